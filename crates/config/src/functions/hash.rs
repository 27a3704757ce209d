//! Hashes, encryption and identifiers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pve_model::value::Refinement;
use pve_model::{Type, Value};
use sha2::Digest as _;

use super::FunctionError;
use super::filesystem::read;
use super::parameter::{Call, Function, Outcome, Returns, number, text};

type Hash = fn(&[u8]) -> Vec<u8>;

fn md5(data: &[u8]) -> Vec<u8> {
    md5::Md5::digest(data).to_vec()
}

fn sha1(data: &[u8]) -> Vec<u8> {
    sha1::Sha1::digest(data).to_vec()
}

fn sha256(data: &[u8]) -> Vec<u8> {
    sha2::Sha256::digest(data).to_vec()
}

fn sha512(data: &[u8]) -> Vec<u8> {
    sha2::Sha512::digest(data).to_vec()
}

macro_rules! of_text {
    ($name:literal, $hash:expr, $encode:expr) => {
        Function::new($name, &[text("str")], Returns::Text, |call| {
            let hash: Hash = $hash;
            Ok(Value::string($encode(&hash(call.text(0).as_bytes()))))
        })
    };
}

macro_rules! of_file {
    ($name:literal, $hash:expr, $encode:expr) => {
        Function::new($name, &[text("path")], Returns::Text, |call| {
            let hash: Hash = $hash;
            Ok(Value::string($encode(&hash(&read(call, 0)?))))
        })
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    of_text!("md5", md5, hex),
    of_text!("sha1", sha1, hex),
    of_text!("sha256", sha256, hex),
    of_text!("sha512", sha512, hex),
    of_text!("base64sha256", sha256, encode),
    of_text!("base64sha512", sha512, encode),
    of_file!("filemd5", md5, hex),
    of_file!("filesha1", sha1, hex),
    of_file!("filesha256", sha256, hex),
    of_file!("filesha512", sha512, hex),
    of_file!("filebase64sha256", sha256, encode),
    of_file!("filebase64sha512", sha512, encode),
    Function::new("bcrypt", &[text("str")], Returns::Text, hash_password).and_more(number("cost")),
    Function::new("uuid", &[], Returns::Text, |call| {
        if call.context.pure {
            return Ok(unknown_text());
        }
        Ok(Value::string(uuid::Uuid::new_v4().to_string()))
    }),
    Function::new("uuidv5", &[text("namespace"), text("name")], Returns::Text, named_uuid),
    Function::new("rsadecrypt", &[text("ciphertext"), text("privatekey")], Returns::Text, decrypt),
];

fn unknown_text() -> Value {
    Value::unknown_refined(Type::String, Refinement { not_null: true, ..Refinement::default() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The cost when none is given.
const USUAL_COST: u32 = 10;

fn hash_password(call: &Call<'_>) -> Outcome {
    let cost = match call.arguments.len() {
        1 => USUAL_COST,
        2 => u32::try_from(call.whole(1)?)
            .map_err(|_| FunctionError::argument(1, "the cost must be from 4 to 31"))?,
        _ => return Err(FunctionError::argument(2, "it takes a string and a cost")),
    };
    if call.context.pure {
        return Ok(unknown_text());
    }
    let parts = bcrypt::hash_with_result(call.text(0), cost);
    // The reference's version; the others are the same hash.
    parts
        .map(|parts| Value::string(parts.format_for_version(bcrypt::Version::TwoA)))
        .map_err(|error| FunctionError::new(error.to_string()))
}

fn named_uuid(call: &Call<'_>) -> Outcome {
    use uuid::Uuid;
    let namespace = match call.text(0) {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => Uuid::parse_str(other)
            .map_err(|_| FunctionError::argument(0, "dns, url, oid, x500 or a UUID is required"))?,
    };
    Ok(Value::string(Uuid::new_v5(&namespace, call.text(1).as_bytes()).to_string()))
}

fn decrypt(call: &Call<'_>) -> Outcome {
    use rsa::pkcs1::DecodeRsaPrivateKey as _;
    use rsa::pkcs8::DecodePrivateKey as _;
    let data = BASE64_STANDARD
        .decode(call.text(0))
        .map_err(|_| FunctionError::argument(0, "a string in Base64 is required"))?;
    let pem = call.text(1);
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(pem)
        .ok()
        .or_else(|| rsa::RsaPrivateKey::from_pkcs8_pem(pem).ok())
        .or_else(|| super::openssh::private_key(pem))
        .ok_or_else(|| FunctionError::argument(1, "an RSA private key in PEM form is required"))?;
    let plain = key
        .decrypt(rsa::Pkcs1v15Encrypt, &data)
        .map_err(|_| FunctionError::new("the text cannot be decrypted with this key"))?;
    let plain =
        String::from_utf8(plain).map_err(|_| FunctionError::new("the decrypted text is not UTF-8"))?;
    super::string::string(plain)
}
