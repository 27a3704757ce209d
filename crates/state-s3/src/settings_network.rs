//! Endpoints, accounts, and files: what is around the requests.

use pve_model::Value;

use super::{Reader, SettingsError};

/// Why certificates are always checked.
pub(super) const INSECURE: &str = "certificates are always checked, since the log would go to whoever answers; name their issuer in custom_ca_bundle";
const SSO: &str = "the AWS tools have no such setting: the portal of the profile's region is asked";

/// How the endpoint of a service is named.
pub(super) struct Service {
    /// In `endpoints`.
    name: &'static str,
    /// Before there was `endpoints`.
    argument: &'static str,
    variables: [&'static str; 3],
}

/// Where roles are asked for.
pub(super) const STS: Service = Service {
    name: "sts",
    argument: "sts_endpoint",
    variables: ["AWS_ENDPOINT_URL_STS", "AWS_STS_ENDPOINT", "AWS_ENDPOINT_URL"],
};
/// Where Terraform's table of locks is.
pub(super) const DYNAMODB: Service = Service {
    name: "dynamodb",
    argument: "dynamodb_endpoint",
    variables: ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL"],
};

impl Reader<'_> {
    /// The first of these variables that has a text.
    pub(super) fn variable(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| (self.environment)(name).filter(|text| !text.is_empty()))
    }

    pub(super) fn unsupported(&mut self, argument: &str, reason: &'static str) {
        self.errors.push(SettingsError::Unsupported { argument: argument.into(), reason });
    }

    /// An empty one is another than none: environments are then folders of the bucket.
    pub(super) fn workspace_key_prefix(&mut self) -> String {
        let given = self.value("workspace_key_prefix");
        match given.as_ref().and_then(Value::as_str) {
            Some("") => String::new(),
            _ => self.text("workspace_key_prefix").unwrap_or_else(|| "env:".into()),
        }
    }

    pub(super) fn path(&mut self, name: &'static str) -> Option<String> {
        let path = self.text(name)?;
        Some(self.expanded(path))
    }

    pub(super) fn paths(&mut self, name: &'static str) -> Vec<String> {
        self.texts(name).into_iter().map(|path| self.expanded(path)).collect()
    }

    /// `~/` is the home, as Terraform has it in the paths of this block.
    pub(super) fn expanded(&self, path: String) -> String {
        match (path.strip_prefix("~/"), self.variable(&["HOME", "USERPROFILE"])) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => path,
        }
    }

    /// The accounts that are allowed, and those that are not.
    pub(super) fn accounts(&mut self) -> (Vec<String>, Vec<String>) {
        let allowed = self.texts("allowed_account_ids");
        let forbidden = self.texts("forbidden_account_ids");
        if !allowed.is_empty() && !forbidden.is_empty() {
            self.invalid("allowed_account_ids", "cannot be given together with forbidden_account_ids");
        }
        (allowed, forbidden)
    }

    pub(super) fn endpoint(&mut self) -> Option<String> {
        let block = self.value("endpoints");
        let entries = block.as_ref().and_then(Value::entries);
        if block.is_some() && entries.is_none() {
            self.invalid("endpoints", "must be an object, for instance { s3 = \"https://...\" }");
        }
        let mut endpoint = None;
        for (name, value) in entries.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            match (&**name, value.as_str()) {
                ("s3", Some(url)) => endpoint = Some(url.to_string()),
                // Read each by itself.
                ("dynamodb" | "sts", Some(_)) => {}
                ("s3" | "dynamodb" | "sts", None) => {
                    self.invalid(&format!("endpoints.{name}"), "must be a string")
                }
                // Nothing is asked of it, with `endpoints` as with the argument of before.
                ("iam", _) => {}
                ("sso", _) => self.unsupported("endpoints.sso", SSO),
                _ => self.errors.push(SettingsError::Unknown(format!("endpoints.{name}"))),
            }
        }
        let old = self.text("endpoint");
        let variable = self.variable(&["AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL"]);
        let endpoint = endpoint.or(old).or(variable).filter(|url| !url.is_empty())?;
        self.check_url("endpoints.s3", &endpoint)
    }

    /// Where a service beside the store is asked.
    pub(super) fn endpoint_of(&mut self, service: &Service) -> Option<String> {
        let old = self.text(service.argument);
        let block = self.value("endpoints");
        let entries = block.as_ref().and_then(Value::entries);
        let given = entries.and_then(|entries| entries.get(service.name)?.as_str());
        let variable = self.variable(&service.variables);
        let endpoint = given.map(String::from).or(old).or(variable)?;
        self.check_url(&format!("endpoints.{}", service.name), &endpoint)
    }

    /// The endpoint as it is used, unless it cannot be.
    fn check_url(&mut self, name: &str, url: &str) -> Option<String> {
        let checked = checked_endpoint(name, url);
        checked.map_err(|error| self.errors.push(error)).ok()
    }
}

/// The endpoint of a service as it is used: with and without the slash at its end it is the same place.
///
/// # Errors
/// When it cannot be used; `name` says where it stands.
pub(crate) fn checked_endpoint(name: &str, url: &str) -> Result<String, SettingsError> {
    // Two ways to write one are one name of the store.
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.trim_end_matches('/'));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(port).unwrap_or(&host);
    let reason = if !["https", "http"].contains(&&*scheme) {
        "must be a URL that begins with https:// or http://"
    } else if host.contains('@') {
        // It is told in messages and kept where the place of the log is.
        "must be without a user: credentials are found as the AWS tools find them"
    } else {
        return Ok(format!("{scheme}://{host}{path}"));
    };
    Err(SettingsError::Invalid { argument: name.into(), reason: reason.into() })
}
