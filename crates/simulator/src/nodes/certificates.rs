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

/// What is between the lines of a certificate.
fn bytes_of(pem: &str) -> Vec<u8> {
    let body: String = pem
        .lines()
        .skip_while(|line| !line.contains("BEGIN CERTIFICATE"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .collect();
    STANDARD.decode(body.trim()).unwrap_or_else(|_| pem.as_bytes().to_vec())
}

fn fingerprint(pem: &str) -> String {
    sha2::Sha256::digest(bytes_of(pem)).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// From when to when the node's own certificates are valid.
const OWN: (u64, u64) = (1_735_689_600, 1_735_689_600 + 3650 * DAY);
const DAY: u64 = 86_400;

/// Seconds since the epoch of a time in a certificate: `250101000000Z`.
fn moment(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 12)?;
    let part = |at: usize| digits.get(at * 2..at * 2 + 2)?.parse::<u64>().ok();
    let year = 2000 + part(0)?;
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month = part(1)?.checked_sub(1)? as usize;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let extra = u64::from(is_leap && month > 1);
    let days =
        (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before.get(month)? + part(2)? - 1 + extra;
    Some(days * DAY + part(3)? * 3600 + part(4)? * 60 + part(5)?)
}

/// From when to when a certificate is valid: as it says, or what was ordered for 90 days from its order on.
fn validity(pem: &str) -> (u64, u64) {
    let bytes = bytes_of(pem);
    if let Some(ordered) =
        std::str::from_utf8(&bytes).ok().and_then(|text| text.rsplit('|').next()?.parse().ok())
    {
        return (ordered, ordered + 90 * DAY);
    }
    // Two times of 13 characters in a sequence (X.509, `Validity`).
    let found = bytes.windows(32).find(|window| {
        window.starts_with(&[0x30, 0x1e, 0x17, 0x0d]) && window[17..].starts_with(&[0x17, 0x0d])
    });
    let times = found.and_then(|window| {
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(window.get(range)?).ok();
        Some((moment(text(4..17)?)?, moment(text(19..32)?)?))
    });
    times.unwrap_or(OWN)
}

fn custom(request: &Request<'_>, pem: &str) -> Value {
    let (from, to) = validity(pem);
    json!({
        "filename": "pveproxy-ssl.pem", "fingerprint": fingerprint(pem), "pem": pem, "issuer": "/CN=issuer",
        "subject": format!("/CN={}", request.node), "notbefore": from, "notafter": to, "public-key-bits": 2048, "public-key-type": "rsaEncryption",
        "san": [request.node],
    })
}

fn info(request: &mut Request<'_>) -> Answer {
    let node = &request.node;
    let row = |file: &str, subject: String| {
        json!({
            "filename": file, "fingerprint": super::fingerprint(request.state, node), "subject": subject,
            "issuer": "/CN=Proxmox Virtual Environment/OU=simulator/O=PVE Cluster Manager CA",
            "notbefore": OWN.0, "notafter": OWN.1,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;

    #[test]
    fn a_certificate_is_valid_as_long_as_it_says() {
        let mut parameters = rcgen::CertificateParams::new(vec!["pve.test".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2025, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2028, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let root = Calls::new();
        let sent = [("certificates", pem.as_str()), ("key", key.as_str())];
        let made = root.ok("POST", "/nodes/pve/certificates/custom", &sent);
        assert_eq!((&made["notbefore"], &made["notafter"]), (&json!(1_735_689_600), &json!(1_835_481_600)));
    }

    #[test]
    fn reading_a_certificate_again_says_the_same() {
        let root = Calls::new();
        root.simulator.stop_clock();
        root.ok("PUT", "/nodes/pve/config", &[("acme", "domains=pve.test")]);
        root.ok("POST", ACME.replace("{node}", "pve").as_str(), &[]);
        let first = root.get("/nodes/pve/certificates/info");
        root.simulator.advance(std::time::Duration::from_secs(3600));
        assert_eq!(root.get("/nodes/pve/certificates/info"), first);
        assert_eq!(first.as_array().map(Vec::len), Some(3));
    }
}
