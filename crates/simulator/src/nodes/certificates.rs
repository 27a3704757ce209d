//! Certificates of a node (PVE::API2::Certificates). What is in one is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;

const ACME: &str = "/nodes/{node}/certificates/acme/certificate";

pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/certificates", |_| {
        Ok(["acme", "custom", "info"].map(|name| json!({ "name": name })).into())
    }),
    ("GET", "/nodes/{node}/certificates/info", info),
    ("POST", "/nodes/{node}/certificates/custom", upload),
    ("DELETE", "/nodes/{node}/certificates/custom", remove),
    ("GET", "/nodes/{node}/certificates/acme", |_| Ok(json!([{ "name": "certificate" }]))),
    ("POST", ACME, order),
    ("PUT", ACME, renew),
    ("DELETE", ACME, revoke),
];

fn fingerprint(pem: &str) -> String {
    let body: String = pem
        .lines()
        .skip_while(|line| !line.contains("BEGIN CERTIFICATE"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .collect();
    let bytes = STANDARD.decode(body.trim()).unwrap_or_else(|_| pem.as_bytes().to_vec());
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn custom(request: &Request<'_>, pem: &str) -> Value {
    let year = 365 * 86_400;
    json!({
        "filename": "pveproxy-ssl.pem", "fingerprint": fingerprint(pem), "pem": pem, "issuer": "/CN=issuer",
        "subject": format!("/CN={}", request.node), "notbefore": request.seconds() - 86_400,
        "notafter": request.seconds() + year, "public-key-bits": 2048, "public-key-type": "rsaEncryption",
        "san": [request.node],
    })
}

fn info(request: &mut Request<'_>) -> Answer {
    let node = &request.node;
    let row = |file: &str, subject: String| {
        json!({
            "filename": file, "fingerprint": super::fingerprint(request.state, node), "subject": subject,
            "issuer": "/CN=Proxmox Virtual Environment/OU=simulator/O=PVE Cluster Manager CA",
            "notbefore": request.seconds() - 86_400, "notafter": request.seconds() + 730 * 86_400,
            "public-key-bits": 2048, "public-key-type": "rsaEncryption", "san": [node],
        })
    };
    let mut rows = vec![
        row(
            "pve-root-ca.pem",
            "/CN=Proxmox Virtual Environment/OU=simulator/O=PVE Cluster Manager CA".to_owned(),
        ),
        row("pve-ssl.pem", format!("/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN={node}.lan")),
    ];
    rows.extend(request.state.certificates.get(node).map(|pem| custom(request, pem)));
    Ok(Value::Array(rows))
}

fn upload(request: &mut Request<'_>) -> Answer {
    let node = request.node.clone();
    let present = request.state.certificates.contains_key(&node);
    let force = request.flag("force");
    if request.get("key").is_none() && !present {
        let text = "Attempted to upload custom certificate without (existing) key.";
        return Err(Failure::parameter("key", format!("{text}\n")));
    }
    if present && !force {
        let text = "Custom certificate file exists but force flag is not set.";
        return Err(Failure::parameter("certificates", text));
    }
    if request.get("key").is_some() && present && !force {
        return Err(Failure::parameter(
            "key",
            "Custom certificate key file exists but force flag is not set.",
        ));
    }
    let pem = request.text("certificates");
    let answer = custom(request, &pem);
    request.state.certificates.insert(node, pem);
    Ok(answer)
}

fn remove(request: &mut Request<'_>) -> Answer {
    let node = request.node.clone();
    request.state.certificates.remove(&node);
    Ok(Value::Null)
}

/// The domains of the node's configuration.
fn check_domains(request: &Request<'_>) -> Result<Vec<String>, Failure> {
    let options = request.state.node_options.get(&request.node).cloned().unwrap_or_default();
    let listed =
        options.get("acme").and_then(|text| text.split(',').find_map(|part| part.strip_prefix("domains=")));
    let mut domains: Vec<String> =
        listed.into_iter().flat_map(|list| list.split(';')).map(str::to_owned).collect();
    let more = options.iter().filter(|(key, _)| key.starts_with("acmedomain"));
    domains.extend(more.filter_map(|(_, text)| {
        let first = text.split(',').next()?;
        Some(first.strip_prefix("domain=").unwrap_or(first).to_owned())
    }));
    if domains.is_empty() {
        let node = &request.node;
        return Err(Failure::died(format!("no domains configured for node '{node}'")));
    }
    Ok(domains)
}

fn order(request: &mut Request<'_>) -> Answer {
    let present = request.state.certificates.contains_key(&request.node);
    if present && !request.flag("force") {
        let text = "Custom certificate exists but 'force' is not set.";
        return Err(Failure::parameter("force", text));
    }
    issue(request, "acmenewcert")
}

fn renew(request: &mut Request<'_>) -> Answer {
    if !request.state.certificates.contains_key(&request.node) {
        return Err(Failure::died("No current (custom) certificate found, please order a new certificate!"));
    }
    issue(request, "acmerenew")
}

fn issue(request: &mut Request<'_>, kind: &str) -> Answer {
    let domains = check_domains(request)?;
    Ok(request.task(kind, "", |request, outcome| {
        outcome.say("Loading ACME account details");
        outcome.say("Placing ACME order");
        for domain in &domains {
            outcome.say(format!("The validation for {domain} is pending!"));
            outcome.say(format!("Status is 'valid', domain '{domain}' OK!"));
        }
        outcome.say("All domains validated!");
        outcome.say("Setting pveproxy certificate and key");
        let body = STANDARD.encode(format!("{}|{}|{}", request.node, domains.join(","), request.seconds()));
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let node = request.node.clone();
        request.state.certificates.insert(node, pem);
        Ok(())
    }))
}

fn revoke(request: &mut Request<'_>) -> Answer {
    Ok(request.task("acmerevoke", "", |request, outcome: &mut Outcome| {
        let node = request.node.clone();
        if request.state.certificates.remove(&node).is_none() {
            return Err(Failure::died("Certificate file not found"));
        }
        outcome.say("Revoking old certificate");
        outcome.say("Deleting certificate files");
        Ok(())
    }))
}
