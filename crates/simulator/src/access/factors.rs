//! Second factors (PVE::API2::TFA): what a user has, recovery keys and codes by time, and who may change them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Digest as _;

use super::{login, users};
use crate::failure::Failure;
use crate::request::{Answer, Request};
use crate::router::Route;

const USER: &str = "/access/tfa/{userid}";
const ENTRY: &str = "/access/tfa/{userid}/{id}";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/access/tfa", list),
    ("GET", USER, of_user),
    ("POST", USER, add),
    ("GET", ENTRY, read),
    ("PUT", ENTRY, update),
    ("DELETE", ENTRY, delete),
    ("PUT", "/access/users/{userid}/unlock-tfa", |request| {
        account(request, &request.text("userid"))?;
        Ok(json!(0))
    }),
    ("GET", "/access/users/{userid}/tfa", types),
];

/// A factor of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Factor {
    pub id: String,
    pub kind: String,
    pub description: String,
    /// Seconds since the epoch.
    pub created: u64,
    pub enabled: bool,
}

impl Factor {
    fn shown(&self) -> Value {
        let mut row = json!({
            "id": self.id, "type": self.kind, "description": self.description, "created": self.created,
        });
        if !self.enabled {
            row["enable"] = json!(0);
        }
        row
    }
}

fn account<'a>(request: &'a Request<'_>, name: &str) -> Result<&'a users::User, Failure> {
    request.state.access.users.get(name).ok_or_else(|| users::missing(name))
}

fn factors<'a>(request: &'a Request<'_>, name: &str) -> &'a [Factor] {
    request.state.access.users.get(name).map_or(&[], |user| user.factors.as_slice())
}

fn shown(factors: &[Factor]) -> Value {
    factors.iter().map(Factor::shown).collect()
}

/// Users with factors, those that the caller may see.
fn list(request: &mut Request<'_>) -> Answer {
    let privileges = ["User.Modify", "Sys.Audit"];
    let all = request.allows_any("/access/groups", &privileges);
    let own = request.identity.full_name();
    let sees = |name: &String, user: &users::User| {
        let group = |group: &String| request.allows_any(&format!("/access/groups/{group}"), &privileges);
        all || *name == own || user.groups.iter().any(group)
    };
    let rows = request.state.access.users.iter();
    let rows = rows.filter(|(name, user)| !user.factors.is_empty() && sees(name, user));
    Ok(rows.map(|(name, user)| json!({ "userid": name, "entries": shown(&user.factors) })).collect())
}

fn of_user(request: &mut Request<'_>) -> Answer {
    Ok(shown(factors(request, &request.text("userid"))))
}

fn read(request: &mut Request<'_>) -> Answer {
    let (user, id) = (request.text("userid"), request.text("id"));
    match factors(request, &user).iter().find(|factor| factor.id == id) {
        Some(factor) => Ok(factor.shown()),
        None => Err(Failure { status: 404, ..Failure::died(format!("No such tfa entry '{id}'")) }),
    }
}

/// The kind that the realm asks for, and on demand the kinds that the user has.
fn types(request: &mut Request<'_>) -> Answer {
    let name = request.text("userid");
    let realm = users::verify_name(&name)?;
    let Some(options) = super::realms::FILE.sections(request.state).get(realm) else {
        return Err(Failure::died(format!("auth domain '{realm}' does not exist")));
    };
    let mut row = Map::new();
    let asked =
        options.get("tfa").and_then(|text| text.split(',').find_map(|part| part.strip_prefix("type=")));
    if let Some(asked) = asked {
        row.insert("realm".to_owned(), json!(asked));
    }
    if request.flag("multiple") {
        let kinds: BTreeSet<&str> =
            factors(request, &name).iter().map(|factor| factor.kind.as_str()).collect();
        row.insert("user".to_owned(), json!(kinds));
    }
    Ok(Value::Object(row))
}

/// Puts the changed factors back; a user with factors has `x` as its keys.
fn store(request: &mut Request<'_>, name: &str, factors: Vec<Factor>) {
    if let Some(user) = request.state.access.users.get_mut(name) {
        match factors.is_empty() {
            true => user.options.remove("keys"),
            false => user.options.insert("keys".to_owned(), "x".to_owned()),
        };
        user.factors = factors;
    }
}

fn add(request: &mut Request<'_>) -> Answer {
    login::confirm(request, "password")?;
    let (name, kind) = (request.text("userid"), request.text("type"));
    let failed = |text: &str| Err(Failure::died(text));
    let mut factors = factors(request, &name).to_vec();
    let mut answer = Map::new();
    let sent = |key: &str| request.get(key).is_some();
    let mut id = uuid::Uuid::new_v4().to_string();
    match kind.as_str() {
        "recovery" => {
            if ["description", "totp", "value", "challenge"].into_iter().any(sent) {
                return failed("generating recovery tokens does not allow additional parameters");
            }
            if factors.iter().any(|factor| factor.kind == "recovery") {
                return failed("user already has recovery keys");
            }
            id = "recovery".to_owned();
            let keys: Vec<String> = (0..10).map(|_| recovery_key()).collect();
            answer.insert("recovery".to_owned(), json!(keys));
        }
        _ if !sent("description") => return failed("'description' is required for new entries"),
        "totp" => {
            let (Some(uri), Some(value)) = (request.get("totp"), request.get("value")) else {
                return failed("'totp' and 'value' parameters are required for 'totp' entries");
            };
            let Some(secret) = secret_of(uri) else { return failed("failed to parse otpauth uri") };
            let step = request.seconds() / 30;
            if !(step.saturating_sub(1)..=step + 1).any(|step| code(&secret, step) == value) {
                return failed("failed to verify TOTP challenge");
            }
        }
        "yubico" => {
            let realm = name.rsplit('@').next().unwrap_or_default();
            return failed(&format!("no yubico otp configuration available for realm {realm}"));
        }
        _ => return failed(&format!("no {kind} configuration available")),
    }
    answer.insert("id".to_owned(), json!(id));
    let description = request.text("description");
    factors.push(Factor { id, kind, description, created: request.seconds(), enabled: true });
    store(request, &name, factors);
    Ok(Value::Object(answer))
}

fn recovery_key() -> String {
    let text = uuid::Uuid::new_v4().simple().to_string();
    let part = |at: usize| &text[at * 4..at * 4 + 4];
    format!("{}-{}-{}-{}", part(0), part(1), part(2), part(5))
}

fn update(request: &mut Request<'_>) -> Answer {
    login::confirm(request, "password")?;
    let (name, id) = (request.text("userid"), request.text("id"));
    let mut factors = factors(request, &name).to_vec();
    let Some(factor) = factors.iter_mut().find(|factor| factor.id == id) else {
        return Err(Failure::died("no such entry"));
    };
    if let Some(description) = request.get("description") {
        description.clone_into(&mut factor.description);
    }
    if request.get("enable").is_some() {
        factor.enabled = request.flag("enable");
    }
    store(request, &name, factors);
    Ok(Value::Null)
}

fn delete(request: &mut Request<'_>) -> Answer {
    login::confirm(request, "password")?;
    let (name, id) = (request.text("userid"), request.text("id"));
    let mut factors = factors(request, &name).to_vec();
    let before = factors.len();
    factors.retain(|factor| factor.id != id);
    if factors.len() == before {
        return Err(Failure::died("no such entry"));
    }
    store(request, &name, factors);
    Ok(Value::Null)
}

/// The secret in `otpauth://totp/NAME?secret=BASE32&...`.
fn secret_of(uri: &str) -> Option<Vec<u8>> {
    let query = uri.strip_prefix("otpauth://totp/")?.split_once('?')?.1;
    let text = query.split('&').find_map(|part| part.strip_prefix("secret="))?;
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for sign in text.trim_end_matches('=').bytes() {
        let value = match sign.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// The six digits of a 30 second step (RFC 6238 with HMAC-SHA-1).
fn code(secret: &[u8], step: u64) -> String {
    let mut key = [0_u8; 64];
    let short = sha1::Sha1::digest(secret);
    let bytes = if secret.len() > key.len() { short.as_slice() } else { secret };
    key[..bytes.len()].copy_from_slice(bytes);
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = sha1::Sha1::new().chain_update(padded(0x36)).chain_update(step.to_be_bytes()).finalize();
    let sum = sha1::Sha1::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    let at = usize::from(sum[19] & 0xf);
    let number = sum[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;

    #[test]
    fn a_user_confirms_a_new_factor_with_the_own_password() {
        let root = Calls::new();
        let user = root.user("a@pve", &[]);
        let path = "/access/tfa/a@pve";
        let missing = user.refused("POST", path, &[("type", "recovery")]);
        assert!(missing.ends_with("[password: password is required to modify user]"), "{missing}");
        let made = user.ok("POST", path, &[("type", "recovery"), ("password", "secret12")]);
        assert_eq!((&made["id"], made["recovery"].as_array().map(Vec::len)), (&json!("recovery"), Some(10)));
        assert_eq!(root.refused("POST", path, &[("type", "recovery")]), "500 user already has recovery keys");
        assert_eq!(root.get("/access/users/a@pve")["keys"], json!("x"));
        assert_eq!(root.get("/access/tfa")[0]["entries"][0]["type"], json!("recovery"));
        assert_eq!(root.refused("GET", &format!("{path}/none"), &[]), "404 No such tfa entry 'none'");
        root.ok("DELETE", &format!("{path}/recovery"), &[]);
        assert_eq!(
            (root.get(path), root.get("/access/users/a@pve")["keys"].clone()),
            (json!([]), json!(null))
        );
    }

    #[test]
    fn a_code_by_time_has_to_be_the_present_one() {
        let root = Calls::new();
        let uri = "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let sent = [("type", "totp"), ("description", "phone"), ("totp", uri), ("value", "12345")];
        assert_eq!(
            root.refused("POST", "/access/tfa/root@pam", &sent),
            "500 failed to verify TOTP challenge"
        );
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = secret_of("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=6").unwrap();
        assert_eq!(secret, b"12345678901234567890");
        // Appendix B has eight digits: 94287082 at 59 s, 07081804 at 1111111109 s.
        assert_eq!(
            (code(&secret, 59 / 30), code(&secret, 1_111_111_109 / 30)),
            ("287082".into(), "081804".into())
        );
    }
}
