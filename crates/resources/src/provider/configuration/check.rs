//! Whether settings of a provider can be what they are given for.

use std::num::NonZeroU16;

use pve_api_client::{TlsVersion, origin};
use pve_model::{Path, Value};

use super::settings::Setting;
use super::{IncompleteConfiguration, SettingPlace};
use crate::definition::Definition;
use crate::values::int;

/// What the arguments of the block say themselves: choices and ranges.
pub(super) fn by_schema(block: &Value) -> Result<(), IncompleteConfiguration> {
    let problems = Definition::new(crate::provider_block::fields()).check(block);
    match problems.into_iter().find(|problem| !problem.warning) {
        None => Ok(()),
        Some(problem) => Err(IncompleteConfiguration {
            message: format!("{}: {}", problem.path, problem.detail.trim_end_matches('.')),
            hint: "correct it, or leave it out",
            place: SettingPlace::Block(problem.path),
        }),
    }
}

pub(super) fn endpoint(setting: Setting) -> Result<String, IncompleteConfiguration> {
    match origin(&setting.text) {
        // It would be recorded, and told in errors, with the address.
        Some(_) if has_login(&setting.text) => {
            let what = format!("is {:?}: it must not have a login in it", shown(&setting.text));
            Err(setting.fault(&what, "give the login as api_token, or as username and password"))
        }
        Some(_) => Ok(setting.text),
        None => {
            let what = format!("is {:?}: it must be a URL such as https://HOST:8006/", shown(&setting.text));
            Err(setting
                .fault(&what, "Proxmox VE answers over https, at port 8006 where nothing else is set up"))
        }
    }
}

fn has_login(endpoint: &str) -> bool {
    let (_, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// A URL without the login in it.
fn shown(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let Some((_, host)) = rest.rsplit_once('@') else { return endpoint.to_string() };
    let lead = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    format!("{lead}...@{host}")
}

/// `USER@REALM!NAME=SECRET`, without blanks.
pub(super) fn token(setting: Setting) -> Result<String, IncompleteConfiguration> {
    let token = &setting.text;
    let parts = token.split_once('=').and_then(|(id, secret)| Some((id.split_once('!')?, secret)));
    let is_token = parts.is_some_and(|((user, name), secret)| {
        let is_user = user.split_once('@').is_some_and(|(user, realm)| !user.is_empty() && !realm.is_empty());
        is_user && !name.is_empty() && !secret.is_empty() && !token.contains(char::is_whitespace)
    });
    if is_token {
        return Ok(setting.text);
    }
    let hint =
        "a token is USER@REALM!NAME=SECRET, for instance root@pam!pve=xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    Err(setting.fault("is no token", hint))
}

/// `USER@REALM`
pub(super) fn user(setting: Setting) -> Result<String, IncompleteConfiguration> {
    if setting.text.contains('@') {
        return Ok(setting.text);
    }
    let hint = "name the realm, too: root@pam for a user of the node, eve@pve for another";
    Err(setting.fault(&format!("is {:?}: it has no realm", setting.text), hint))
}

/// A version of TLS; the older ones mean the oldest that is supported.
pub(super) fn version(setting: Setting) -> Result<TlsVersion, IncompleteConfiguration> {
    setting.text.parse().map_err(|_| {
        let hint = "write 1.3, or 1.2 for a server or proxy that knows no better (1.0 and 1.1 mean 1.2)";
        setting.fault(&format!("is {:?}: that is no version of TLS", setting.text), hint)
    })
}

pub(super) fn port(setting: &Setting) -> Result<u16, IncompleteConfiguration> {
    let port: Result<NonZeroU16, _> = setting.text.trim().parse();
    let hint = "give a number from 1 to 65535, or leave it out for 22";
    port.map(NonZeroU16::get).map_err(|_| setting.fault(&format!("is no port: {}", setting.text), hint))
}

/// A range of ids that has some.
pub(super) fn range((start, end): (u32, u32), block: &Value) -> Result<(u32, u32), IncompleteConfiguration> {
    if start <= end && start >= 100 {
        return Ok((start, end));
    }
    let argument = match int(block, "random_vm_id_end") {
        Some(_) if start >= 100 => "random_vm_id_end",
        _ => "random_vm_id_start",
    };
    Err(IncompleteConfiguration {
        message: format!(
            "random_vm_id_start is {start} and random_vm_id_end is {end}: that is no range of ids"
        ),
        hint: "ids are from 100 to 999999999, and the end is not before the start (10000 to 99999 where they are left out)",
        place: SettingPlace::Block(Path::attribute(argument)),
    })
}
