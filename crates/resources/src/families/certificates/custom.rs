//! Certificates of one's own.

use async_trait::async_trait;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::Method;
use crate::definition::{flag, number, text, texts};
use crate::object::{Delete, Form, Hooks, Object, Read, Removal};
use crate::params::Params;
use crate::values::{flag as flag_of, text as text_of};

const PLACE: &str = "/nodes/{node_name}/certificates/custom";

/// What the node calls the file.
const FILE: &str = "pveproxy-ssl.pem";

/// `proxmox_virtual_environment_certificate`
pub(super) fn certificate() -> Object {
    let told = |param: &'static str| text().read_only().param(param).follows();
    Object {
        names: &["proxmox_virtual_environment_certificate"],
        what: "certificate of node",
        about: "A certificate that a node uses for its interface and API, which is restarted. The API does not tell its key.",
        fields: vec![
            ("certificate", text().required().param("certificates").unread()),
            ("certificate_chain", text().local()),
            ("expiration_date", told("notafter").form(Form::Seconds)),
            ("file_name", text().read_only().param("filename")),
            ("id", text().read_only()),
            ("issuer", told("issuer")),
            ("node_name", text().required().replaces().unsent()),
            ("overwrite", flag().or(false).local()),
            ("private_key", text().required().sensitive().param("key").unread()),
            ("public_key_size", number().read_only().param("public-key-bits").follows().means("bits")),
            ("public_key_type", told("public-key-type")),
            ("ssl_fingerprint", told("fingerprint")),
            ("start_date", told("notbefore").form(Form::Seconds)),
            ("subject", told("subject")),
            ("subject_alternative_names", texts().read_only().param("san").follows()),
        ],
        create: (Method::Post, PLACE),
        read: Read::Among("/nodes/{node_name}/certificates/info", &[]),
        update: (Method::Post, PLACE),
        delete: Delete::At("/nodes/{node_name}/certificates/custom?restart=1"),
        removal: Removal::Absence,
        whole: true,
        id: "{node_name}_certificate",
        import: "{node_name}",
        example: r#"
  node_name   = "pve"
  certificate = "-----BEGIN CERTIFICATE-----\n...\n-----END CERTIFICATE-----\n"
  private_key = "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n"
"#,
        hooks: &Custom,
        ..Object::default()
    }
}

struct Custom;

fn chain(value: &Value) -> String {
    let parts =
        ["certificate", "certificate_chain"].map(|name| text_of(value, name).unwrap_or_default().trim());
    parts.iter().filter(|part| !part.is_empty()).map(|part| format!("{part}\n")).collect()
}

#[async_trait]
impl Hooks for Custom {
    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        if prior.is_some_and(|prior| chain(prior) == chain(planned)) && params.0.is_empty() {
            return;
        }
        params.put("certificates", Some(chain(planned)));
        params.put("key", text_of(planned, "private_key"));
        params.put_flag("force", Some(prior.is_some() || flag_of(planned, "overwrite") == Some(true)));
        params.put_flag("restart", Some(true));
    }

    fn is_it(&self, _: &Value, entry: &Json) -> bool {
        entry.get("filename").and_then(Json::as_str) == Some(FILE)
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let kind = answer.get("public-key-type").and_then(Json::as_str).unwrap_or_default();
        let known = ["ecdsa", "dsa", "rsa"].into_iter().find(|name| kind.contains(name));
        read.insert("public_key_type".into(), json!(known.unwrap_or(kind)));
        let pem = answer.get("pem").and_then(Json::as_str).unwrap_or_default();
        // The node shows the certificate alone, or with its chain.
        let certificate = text_of(prior, "certificate").unwrap_or_default().trim();
        if certificate.is_empty()
            || !pem.trim().starts_with(certificate) && !chain(prior).starts_with(pem.trim())
        {
            read.insert("certificate".into(), json!(pem));
        }
    }
}
