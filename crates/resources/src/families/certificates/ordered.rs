//! Certificates of nodes that are ordered through ACME.

use std::time::Duration;

use async_trait::async_trait;
use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method, Step};
use crate::definition::{flag, object_list, text, texts};
use crate::object::{Delete, Form, Hooks, Object, Read, Removal};
use crate::params::Params;
use crate::property::Properties;
use crate::values::{flag as flag_of, text as text_of, with};

const PLACE: &str = "/nodes/{node_name}/certificates/acme/certificate";
const MOST: Duration = Duration::from_secs(60);

/// What the node calls its certificate where it is not Proxmox VE's own.
const FILE: &str = "pveproxy-ssl.pem";

/// The account of a certificate whose order broke off. No account has this name.
const NOT_ORDERED: &str = "(not ordered)";

/// How many domains have plugins of their own.
const WITH_PLUGIN: usize = 6;

/// `proxmox_acme_certificate`
pub(super) fn certificate() -> Object {
    let domain = vec![("alias", text()), ("domain", text().required()), ("plugin", text())];
    let told = |param: &'static str| text().read_only().param(param).follows();
    Object {
        names: &["proxmox_acme_certificate", "proxmox_virtual_environment_acme_certificate"],
        what: "ACME certificate of node",
        about: "The certificate of a node, ordered through ACME, and ordered anew when its account or domains change or \
                `force` is set.",
        fields: vec![
            ("account", text().required().unsent()),
            ("certificate", told("pem")),
            ("domains", object_list(domain).required().unsent().unread()),
            ("fingerprint", told("fingerprint")),
            ("force", flag().computed().or(false).unsent().unread()),
            ("id", text().read_only()),
            ("issuer", told("issuer")),
            ("node_name", text().required().replaces().unsent()),
            ("not_after", told("notafter").form(Form::Seconds)),
            ("not_before", told("notbefore").form(Form::Seconds)),
            ("subject", told("subject")),
            ("subject_alternative_names", texts().read_only().param("san").follows()),
        ],
        create: (Method::Post, PLACE),
        read: Read::At("/nodes/{node_name}/config"),
        update: (Method::Post, PLACE),
        delete: Delete::At(PLACE),
        removal: Removal::Absence,
        id: "{node_name}",
        import: "{node_name}",
        example: r#"
  node_name = "pve"
  account   = "letsencrypt"
  domains   = [{ domain = "pve.example.test", plugin = "dns1" }]
"#,
        hooks: &Ordered,
        ..Object::default()
    }
}

struct Ordered;

fn domains(value: &Value) -> &[Value] {
    value.get("domains").and_then(Value::elements).unwrap_or_default()
}

/// Domains without a plugin of their own are part of the account's option, the others have one each.
fn settings(value: &Value) -> Params {
    let (plain, own): (Vec<&Value>, Vec<&Value>) =
        domains(value).iter().partition(|domain| text_of(domain, "plugin").is_none());
    let plain: Vec<&str> = plain.iter().filter_map(|domain| text_of(domain, "domain")).collect();
    let plain = Some(plain.join(";")).filter(|domains| !domains.is_empty());
    let mut params = Params::default();
    let account = Properties::default().with("account", text_of(value, "account")).with("domains", plain);
    params.put("acme", Some(account));
    for (number, domain) in own.iter().enumerate() {
        let option = Properties::starting(text_of(domain, "domain").unwrap_or_default())
            .with("plugin", text_of(domain, "plugin"))
            .with("alias", text_of(domain, "alias"));
        params.put(&format!("acmedomain{number}"), Some(option));
    }
    params
}

fn is_changed(prior: &Value, planned: &Value) -> bool {
    settings(prior) != settings(planned)
}

/// The domains of a node's options.
fn read_domains(config: &Json) -> Vec<Json> {
    let option = |name: &str| config.get(name).and_then(Json::as_str).map(Properties::parse);
    let account = option("acme").unwrap_or_default();
    let plain = account.get("domains").unwrap_or_default().split(';').filter(|domain| !domain.is_empty());
    let plain = plain.map(|domain| json!({"domain": domain, "plugin": null, "alias": null}));
    let own = (0..WITH_PLUGIN).filter_map(|number| option(&format!("acmedomain{number}"))).map(|domain| {
        json!({"domain": domain.first_or("domain"), "plugin": domain.get("plugin"), "alias": domain.get("alias")})
    });
    plain.chain(own).collect()
}

#[async_trait]
impl Hooks for Ordered {
    async fn before(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), ProviderError> {
        if prior.is_some_and(|prior| !is_changed(prior, planned)) {
            return Ok(());
        }
        let path = format!("/nodes/{}/config", text_of(planned, "node_name").unwrap_or_default());
        let config = call
            .cluster
            .get(&path)
            .await
            .map_err(|error| call.failed(Step::of("read", "the options"), &error))?;
        let mut params = settings(planned);
        let unused = (0..WITH_PLUGIN).map(|number| format!("acmedomain{number}"));
        let unused: Vec<String> =
            unused.filter(|name| config.get(name).is_some() && !params.0.contains_key(name)).collect();
        params.put("delete", Some(unused.join(",")).filter(|names| !names.is_empty()));
        call.step(Step::of("set", "domains"), Method::Put, &path, &params, MOST).await
    }

    /// Something that is there already is ordered again only by force.
    fn params(&self, params: &mut Params, prior: Option<&Value>, planned: &Value) {
        let force = flag_of(planned, "force") == Some(true);
        if prior.is_none_or(|prior| is_changed(prior, planned)) || force {
            params.put_flag("force", Some(force || prior.is_some()));
        }
    }

    /// Settings without an order would look like a certificate that is there: it has no account until it is ordered.
    fn unfinished(&self, value: Value, done: &[String], _: &[&str]) -> Value {
        if Step::CREATE.is_in(done) || Step::CHANGE.is_in(done) {
            return value;
        }
        with(&value, "account", Value::string(NOT_ORDERED))
    }

    async fn after(
        &self,
        call: &Call<'_>,
        prior: Option<&Value>,
        planned: Option<&Value>,
    ) -> Result<(), ProviderError> {
        let (Some(prior), None) = (prior, planned) else { return Ok(()) };
        let mut params = Params::default();
        params.put("delete", Some(settings(prior).0.keys().cloned().collect::<Vec<_>>().join(",")));
        let path = format!("/nodes/{}/config", text_of(prior, "node_name").unwrap_or_default());
        call.step(Step::of("take out", "domains"), Method::Put, &path, &params, MOST).await
    }

    /// It is there once it has been ordered.
    fn is_it(&self, _: &Value, answer: &Json) -> bool {
        !read_domains(answer).is_empty() && answer.get("filename").is_some()
    }

    async fn complete(&self, cluster: &Cluster, prior: &Value, mut answer: Json) -> Result<Json, ApiError> {
        let node = text_of(prior, "node_name").unwrap_or_default();
        let list = cluster.get(&format!("/nodes/{node}/certificates/info")).await?;
        let wanted: Vec<Json> = read_domains(&answer).iter().map(|domain| domain["domain"].clone()).collect();
        let has = |certificate: &&Json| {
            let names = certificate.get("san").and_then(Json::as_array);
            names.is_some_and(|names| wanted.iter().any(|domain| names.contains(domain)))
        };
        let own = |certificate: &&Json| certificate.get("filename").and_then(Json::as_str) == Some(FILE);
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let found = list.iter().find(has).or_else(|| list.iter().find(own)).and_then(Json::as_object);
        if let Some(answer) = answer.as_object_mut() {
            answer.extend(found.cloned().unwrap_or_default());
        }
        Ok(answer)
    }

    fn read(&self, prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
        let acme = answer.get("acme").and_then(Json::as_str).map(Properties::parse).unwrap_or_default();
        let account = acme.get("account").unwrap_or("default");
        let account = text_of(prior, "account").filter(|known| *known == NOT_ORDERED).unwrap_or(account);
        read.insert("account".into(), json!(account));
        // Those with plugins and those without are kept apart: their order says nothing.
        let mut known: Vec<Json> = domains(prior).iter().map(pve_model::codec::to_plain_json).collect();
        let mut found = read_domains(answer);
        known.sort_by_key(Json::to_string);
        found.sort_by_key(Json::to_string);
        if known != found {
            read.insert("domains".into(), json!(read_domains(answer)));
        }
        if prior.get("force").is_some_and(Value::is_null) {
            read.insert("force".into(), json!(false));
        }
    }
}
