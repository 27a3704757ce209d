//! The role that is taken on: `assume_role`, or the older arguments beside it.

use std::time::Duration;

use pve_model::Value;

use zeroize::Zeroizing;

use super::{Reader, Secret, SettingsError};

/// A role of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssumeRole {
    /// `role_arn`.
    pub role_arn: String,
    /// `session_name`.
    pub session_name: Option<String>,
    /// `external_id`.
    pub external_id: Option<String>,
    /// `policy`.
    pub policy: Option<String>,
    /// `policy_arns`.
    pub policy_arns: Vec<String>,
    /// `duration`.
    pub duration: Option<Duration>,
    /// `tags`, of the session.
    pub tags: Vec<(String, String)>,
    /// `transitive_tag_keys`: tags that sessions which follow have too.
    pub transitive_tag_keys: Vec<String>,
    /// `source_identity`: who takes it on.
    pub source_identity: Option<String>,
}

/// A role that is taken on with a token of another place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebIdentity {
    /// `role_arn`.
    pub role_arn: String,
    /// `session_name`.
    pub session_name: Option<String>,
    /// `policy`.
    pub policy: Option<String>,
    /// `policy_arns`.
    pub policy_arns: Vec<String>,
    /// `duration`.
    pub duration: Option<Duration>,
    /// `web_identity_token`.
    pub token: Option<Secret>,
    /// `web_identity_token_file`, read each time that it is needed.
    pub token_file: String,
}

impl Reader<'_> {
    /// The role, if one is named.
    pub(super) fn assume_role(&mut self) -> Option<AssumeRole> {
        let block = self.value("assume_role");
        let old = self.older_role();
        let Some(block) = block else { return old };
        let Some(entries) = block.entries() else {
            self.invalid("assume_role", "must be an object with role_arn");
            return None;
        };
        let mut role = AssumeRole::default();
        for (name, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().map(String::from);
            match (&**name, text) {
                ("role_arn", Some(text)) => role.role_arn = text,
                ("session_name", text @ Some(_)) => role.session_name = text,
                ("external_id", text @ Some(_)) => role.external_id = text,
                ("policy", text @ Some(_)) => role.policy = text,
                ("source_identity", text @ Some(_)) => role.source_identity = text,
                ("duration", Some(text)) => role.duration = self.duration("assume_role.duration", &text),
                ("policy_arns", None) => role.policy_arns = self.list("assume_role.policy_arns", value),
                ("transitive_tag_keys", None) => {
                    role.transitive_tag_keys = self.list("assume_role.transitive_tag_keys", value);
                }
                ("tags", None) => role.tags = self.tags("assume_role.tags", value),
                (
                    "role_arn"
                    | "session_name"
                    | "external_id"
                    | "policy"
                    | "duration"
                    | "source_identity"
                    | "policy_arns"
                    | "transitive_tag_keys"
                    | "tags",
                    _,
                ) => self.invalid(&format!("assume_role.{name}"), "is of another type"),
                _ => self.errors.push(SettingsError::Unknown(format!("assume_role.{name}"))),
            }
        }
        if role.role_arn.is_empty() {
            self.invalid("assume_role", "needs role_arn");
        }
        Some(role)
    }

    /// The role that is taken on with a token, if one is named.
    pub(super) fn web_identity(&mut self) -> Option<WebIdentity> {
        let block = self.value("assume_role_with_web_identity")?;
        let name = "assume_role_with_web_identity";
        let Some(entries) = block.entries() else {
            self.invalid(name, "must be an object with role_arn and web_identity_token_file");
            return None;
        };
        let mut role = WebIdentity::default();
        for (field, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            match (&**field, value.as_str().map(String::from)) {
                ("role_arn", Some(text)) => role.role_arn = text,
                ("session_name", text @ Some(_)) => role.session_name = text,
                ("policy", text @ Some(_)) => role.policy = text,
                ("web_identity_token_file", Some(text)) => role.token_file = self.expanded(text),
                ("web_identity_token", Some(text)) => role.token = Some(Secret(Zeroizing::new(text))),
                ("duration", Some(text)) => role.duration = self.duration(&format!("{name}.duration"), &text),
                ("policy_arns", None) => role.policy_arns = self.list(&format!("{name}.policy_arns"), value),
                _ => self.errors.push(SettingsError::Unknown(format!("{name}.{field}"))),
            }
        }
        if role.role_arn.is_empty() {
            role.role_arn = self.variable(&["AWS_ROLE_ARN"]).unwrap_or_default();
        }
        if role.token_file.is_empty() && role.token.is_none() {
            role.token_file = self.variable(&["AWS_WEB_IDENTITY_TOKEN_FILE"]).unwrap_or_default();
        }
        role.session_name = role.session_name.or_else(|| self.variable(&["AWS_ROLE_SESSION_NAME"]));
        if role.role_arn.is_empty() || (role.token_file.is_empty() && role.token.is_none()) {
            self.invalid(name, "needs role_arn, and web_identity_token or web_identity_token_file");
        } else if !role.token_file.is_empty() && role.token.is_some() {
            self.invalid(name, "has two tokens: web_identity_token and web_identity_token_file");
        }
        Some(role)
    }

    fn older_role(&mut self) -> Option<AssumeRole> {
        let role_arn = self.text("role_arn");
        let session_name = self.text("session_name");
        let external_id = self.text("external_id");
        let policy = self.text("assume_role_policy");
        let policy_arns = self.texts("assume_role_policy_arns");
        let seconds = self.value("assume_role_duration_seconds");
        let duration = seconds.and_then(|value| {
            let text = value.as_str().map(String::from).or_else(|| Some(value.as_number()?.to_string()));
            let whole = text.and_then(|text| text.parse().ok());
            if whole.is_none() {
                self.invalid("assume_role_duration_seconds", "must be a whole number");
            }
            whole.map(Duration::from_secs)
        });
        let given = self.value("assume_role_tags");
        let tags = given.map(|tags| self.tags("assume_role_tags", &tags)).unwrap_or_default();
        let transitive_tag_keys = self.texts("assume_role_transitive_tag_keys");
        Some(AssumeRole {
            role_arn: role_arn?,
            session_name,
            external_id,
            policy,
            policy_arns,
            duration,
            tags,
            transitive_tag_keys,
            source_identity: None,
        })
    }

    /// A duration as the language of Terraform writes it: `1h30m`.
    fn duration(&mut self, name: &str, text: &str) -> Option<Duration> {
        let mut seconds = 0;
        let mut digits = String::new();
        for character in text.chars() {
            let unit = match character {
                '0'..='9' => {
                    digits.push(character);
                    continue;
                }
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => 0,
            };
            let Some(count) = digits.parse::<u64>().ok().filter(|_| unit > 0) else {
                digits.push('?');
                break;
            };
            seconds += count.saturating_mul(unit);
            digits.clear();
        }
        if seconds == 0 || !digits.is_empty() {
            self.invalid(name, "must be a duration such as 1h or 30m");
            return None;
        }
        Some(Duration::from_secs(seconds))
    }

    fn tags(&mut self, name: &str, value: &Value) -> Vec<(String, String)> {
        let pair = |(name, value): (&std::sync::Arc<str>, &Value)| {
            Some((name.to_string(), value.as_str()?.to_string()))
        };
        let tags = value.entries().and_then(|entries| entries.iter().map(pair).collect());
        if tags.is_none() {
            self.invalid(name, "must be a map of strings");
        }
        tags.unwrap_or_default()
    }

    pub(super) fn list(&mut self, name: &str, value: &Value) -> Vec<String> {
        let texts =
            value.elements().and_then(|all| all.iter().map(|one| one.as_str().map(String::from)).collect());
        if texts.is_none() {
            self.invalid(name, "must be a list of strings");
        }
        texts.unwrap_or_default()
    }
}
