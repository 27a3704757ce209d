//! The deprecated `acl` blocks of users and groups: entries of the access control list, set one by one.

use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use serde_json::{Value as Json, json};

use crate::cluster::{ApiError, Call, Cluster, Method};
use crate::definition::{Fields, flag, text};
use crate::params::Params;
use crate::values::{all_blocks, flag as flag_of, text as text_of};

const MOST: Duration = Duration::from_secs(60);

/// Who holds the permissions.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    User(&'a str),
    Group(&'a str),
}

/// The attributes of a block.
pub(super) fn fields() -> Fields {
    vec![
        ("path", text().required()),
        ("propagate", flag().or(false)),
        ("role_id", text().required().param("roleid")),
    ]
}

/// Sets what is planned, then takes out what is not: nobody is without permissions in between.
pub(super) async fn bring(
    call: &Call<'_>,
    holder: Holder<'_>,
    prior: Option<&Value>,
    planned: &Value,
) -> Result<(), ProviderError> {
    let before = prior.map(|prior| all_blocks(prior, "acl")).unwrap_or_default();
    let after = all_blocks(planned, "acl");
    let is_set = |entry: &Value| {
        after
            .iter()
            .any(|other| ["path", "role_id"].iter().all(|name| text_of(entry, name) == text_of(other, name)))
    };
    let new = after.iter().filter(|entry| !before.contains(entry)).map(|entry| (entry, false));
    let gone = before.iter().filter(|entry| !is_set(entry)).map(|entry| (entry, true));
    for (entry, delete) in new.chain(gone) {
        let mut params = Params::default();
        params.put("path", text_of(entry, "path"));
        params.put("roles", text_of(entry, "role_id"));
        params.put_flag("propagate", flag_of(entry, "propagate"));
        params.put_flag("delete", delete.then_some(true));
        match holder {
            Holder::User(user) => params.put("users", Some(user)),
            Holder::Group(group) => params.put("groups", Some(group)),
        }
        call.step("set permissions", Method::Put, "/access/acl", &params, MOST).await?;
    }
    Ok(())
}

/// The answer with the entries of the holder, if blocks were configured: else permissions are somebody else's matter.
pub(super) async fn complete(
    cluster: &Cluster,
    holder: Holder<'_>,
    prior: &Value,
    mut answer: Json,
) -> Result<Json, ApiError> {
    if all_blocks(prior, "acl").is_empty() {
        answer["acl"] = json!([]);
        return Ok(answer);
    }
    let (kind, name) = match holder {
        Holder::User(user) => ("user", user),
        Holder::Group(group) => ("group", group),
    };
    let list = cluster.get("/access/acl").await?;
    let own = list.as_array().into_iter().flatten();
    answer["acl"] = own.filter(|entry| entry["type"] == kind && entry["ugid"] == name).cloned().collect();
    Ok(answer)
}
