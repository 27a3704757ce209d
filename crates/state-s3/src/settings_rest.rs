//! Arguments that are taken without an effect, and those that are refused.

use super::{Reader, SettingsError};

/// Taken, and without effect.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "dynamodb_table",
        "the log's own conditional writes keep writers apart; a lock that Terraform holds in the table on its state is \
         respected",
    ),
    (
        "use_lockfile",
        "the log's own conditional writes keep writers apart; a lock object that Terraform holds on its state is respected",
    ),
    ("skip_credentials_validation", "credentials are checked by using them"),
    (
        "skip_requesting_account_id",
        "the account is asked for only where allowed_account_ids or forbidden_account_ids needs it",
    ),
    ("skip_region_validation", "regions are not checked against a list"),
    ("skip_metadata_api_check", "credentials are found as the AWS tools find them"),
    ("max_retries", "conditional writes are repeated by the log itself"),
    ("retry_mode", "conditional writes are repeated by the log itself"),
    ("use_legacy_workflow", "credentials are found as the AWS tools find them"),
    ("iam_endpoint", "nothing is asked of IAM"),
    ("lock_tags", "objects of the log carry no tags"),
    ("state_tags", "objects of the log carry no tags"),
];

/// What Terraform and OpenTofu have and is refused: it would change which credentials are found.
const REFUSED: &[(&str, &str)] = &[
    (
        "ec2_metadata_service_endpoint",
        "set AWS_EC2_METADATA_SERVICE_ENDPOINT, by which all AWS tools find credentials",
    ),
    (
        "ec2_metadata_service_endpoint_mode",
        "set AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE, by which all AWS tools find credentials",
    ),
];

impl Reader<'_> {
    pub(super) fn remarks(&mut self) -> Vec<String> {
        let given =
            |(name, _): &&(&str, &str)| self.arguments.get(*name).is_some_and(|value| !value.is_null());
        let remarks = WITHOUT_EFFECT.iter().filter(given);
        remarks.map(|(name, why)| format!("{name} has no effect: {why}")).collect()
    }

    /// Arguments that nobody asked for.
    pub(super) fn judge_the_rest(&mut self) {
        for (name, value) in self.arguments {
            let known = self.read.iter().any(|read| **read == **name)
                || WITHOUT_EFFECT.iter().any(|(known, _)| *known == &**name);
            if known {
                continue;
            }
            match REFUSED.iter().find(|(refused, _)| *refused == &**name) {
                None => self.errors.push(SettingsError::Unknown(name.to_string())),
                Some((_, reason)) if !value.is_null() => {
                    self.errors.push(SettingsError::Unsupported { argument: name.to_string(), reason });
                }
                Some(_) => {}
            }
        }
    }
}
