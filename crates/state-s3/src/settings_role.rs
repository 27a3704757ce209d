//! The role that is taken on: `assume_role`, or the older arguments beside it.

use std::time::Duration;

use pve_model::Value;

use super::{Reader, SettingsError};

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
    /// `web_identity_token_file`.
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
                ("duration", Some(text)) => role.duration = self.duration(&text),
                ("policy_arns", None) => role.policy_arns = texts(value).unwrap_or_default(),
                ("tags", None) => role.tags = tags(value).unwrap_or_default(),
                ("transitive_tag_keys" | "source_identity", _) => {
                    self.errors.push(SettingsError::Unsupported(format!("assume_role.{name}")));
                }
                ("role_arn" | "session_name" | "external_id" | "policy" | "duration", None) => {
                    self.invalid(&format!("assume_role.{name}"), "must be a string");
                }
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
                ("web_identity_token_file", Some(text)) => role.token_file = text,
                ("policy_arns", None) => role.policy_arns = texts(value).unwrap_or_default(),
                ("web_identity_token" | "duration", _) => {
                    self.errors.push(SettingsError::Unsupported(format!("{name}.{field}")));
                }
                _ => self.errors.push(SettingsError::Unknown(format!("{name}.{field}"))),
            }
        }
        let variable = |name: &str| (self.environment)(name).unwrap_or_default();
        if role.role_arn.is_empty() {
            role.role_arn = variable("AWS_ROLE_ARN");
        }
        if role.token_file.is_empty() {
            role.token_file = variable("AWS_WEB_IDENTITY_TOKEN_FILE");
        }
        if role.role_arn.is_empty() || role.token_file.is_empty() {
            self.invalid(name, "needs role_arn and web_identity_token_file");
        }
        Some(role)
    }

    /// Where roles are asked for.
    pub(super) fn sts_endpoint(&mut self) -> Option<String> {
        let old = self.text("sts_endpoint");
        let block = self.value("endpoints");
        let given = block.as_ref().and_then(Value::entries).and_then(|entries| entries.get("sts")?.as_str());
        given.map(String::from).or(old).or_else(|| (self.environment)("AWS_ENDPOINT_URL_STS"))
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
        let tags = given.as_ref().and_then(tags).unwrap_or_default();
        Some(AssumeRole {
            role_arn: role_arn?,
            session_name,
            external_id,
            policy,
            policy_arns,
            duration,
            tags,
        })
    }

    /// A duration as the language of Terraform writes it: `1h30m`.
    fn duration(&mut self, text: &str) -> Option<Duration> {
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
            self.invalid("assume_role.duration", "must be a duration such as 1h or 30m");
            return None;
        }
        Some(Duration::from_secs(seconds))
    }
}

fn tags(value: &Value) -> Option<Vec<(String, String)>> {
    let tags = value.entries()?.iter();
    tags.map(|(name, value)| Some((name.to_string(), value.as_str()?.to_string()))).collect()
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.elements()?.iter().map(|one| one.as_str().map(String::from)).collect()
}
