//! Hashes of texts and files, and unique ids.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use pve_model::{Type, Value};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::Kind::{Number, String as Text};
use super::filesystem::read;
use super::strings::string;
use super::{fail, fail_at, function, parameter, string_type, text, whole};

const STR: super::Parameter = parameter("str", Text);
const PATH: super::Parameter = parameter("path", Text);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("md5", [STR], string_type, |a, _| string(hex(&Md5::digest(text(a, 0))))),
    function!("sha1", [STR], string_type, |a, _| string(hex(&Sha1::digest(text(a, 0))))),
    function!("sha256", [STR], string_type, |a, _| string(hex(&Sha256::digest(text(a, 0))))),
    function!("sha512", [STR], string_type, |a, _| string(hex(&Sha512::digest(text(a, 0))))),
    function!("base64sha256", [STR], string_type, |a, _| string(STANDARD.encode(Sha256::digest(text(a, 0))))),
    function!("base64sha512", [STR], string_type, |a, _| string(STANDARD.encode(Sha512::digest(text(a, 0))))),
    function!("filemd5", [PATH], string_type, |a, c| string(hex(&Md5::digest(read(text(a, 0), c)?)))),
    function!("filesha1", [PATH], string_type, |a, c| string(hex(&Sha1::digest(read(text(a, 0), c)?)))),
    function!("filesha256", [PATH], string_type, |a, c| string(hex(&Sha256::digest(read(text(a, 0), c)?)))),
    function!("filesha512", [PATH], string_type, |a, c| string(hex(&Sha512::digest(read(text(a, 0), c)?)))),
    function!("filebase64sha256", [PATH], string_type, |a, c| {
        string(STANDARD.encode(Sha256::digest(read(text(a, 0), c)?)))
    }),
    function!("filebase64sha512", [PATH], string_type, |a, c| {
        string(STANDARD.encode(Sha512::digest(read(text(a, 0), c)?)))
    }),
    function!("uuid", [], string_type, |_, context| {
        if context.pure { Ok(Value::unknown(Type::String)) } else { string(uuid::Uuid::new_v4().to_string()) }
    }),
    function!("uuidv5", [parameter("namespace", Text), parameter("name", Text)], string_type, |a, _| {
        let namespace = match text(a, 0) {
            "dns" => uuid::Uuid::NAMESPACE_DNS,
            "url" => uuid::Uuid::NAMESPACE_URL,
            "oid" => uuid::Uuid::NAMESPACE_OID,
            "x500" => uuid::Uuid::NAMESPACE_X500,
            other => match other.parse() {
                Ok(namespace) => namespace,
                Err(_) => return fail_at(0, "a UUID, or dns, url, oid or x500 is needed"),
            },
        };
        string(uuid::Uuid::new_v5(&namespace, text(a, 1).as_bytes()).to_string())
    }),
    super::Function {
        name: "bcrypt",
        parameters: &[STR, parameter("cost", Number)],
        variadic: None,
        optional: 1,
        returns: string_type,
        run: |a, context| {
            if context.pure {
                return Ok(Value::unknown(Type::String));
            }
            let cost = if a.len() > 1 { u32::try_from(whole(a, 1)?).unwrap_or(10) } else { 10 };
            match bcrypt::hash(text(a, 0), cost) {
                Ok(hash) => string(hash),
                Err(error) => fail(error.to_string()),
            }
        },
    },
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
