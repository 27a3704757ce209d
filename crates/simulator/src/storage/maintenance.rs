//! Images from registries, pruning of backups, and what is known of a file before it is imported.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::state::{Effect, Volume};
use crate::volumes;

pub(crate) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/storage/{storage}/oci-registry-pull", pull),
    ("GET", "/nodes/{node}/query-oci-repo-tags", |_| Ok(json!(["latest"]))),
    ("GET", "/nodes/{node}/storage/{storage}/prunebackups", preview),
    ("DELETE", "/nodes/{node}/storage/{storage}/prunebackups", prune),
    ("GET", "/nodes/{node}/storage/{storage}/import-metadata", |request| {
        let volume = request.text("volume");
        Err(Failure::died(format!("unable to parse directory volume name '{volume}'")))
    }),
];

/// Bytes of an image, whichever it is.
const IMAGE: u64 = 8 << 20;

/// Pulls an image as a container template.
fn pull(request: &mut Request<'_>) -> Answer {
    let (storage, reference) = (request.text("storage"), request.text("reference"));
    let options = volumes::storage(request.state, &storage)?;
    if volumes::is_block(options) {
        let kind = options.get("type").cloned().unwrap_or_default();
        return Err(Failure::died(format!(
            "can't upload to storage type '{kind}', not a file based storage!"
        )));
    }
    if !volumes::allows(options, "vztmpl") {
        return Err(Failure::died(format!(
            "storage '{storage}' is not configured for content-type 'vztmpl'"
        )));
    }
    let name = request.get("filename").unwrap_or(&reference);
    let name = name.rsplit('/').next().unwrap_or_default();
    let plain = |sign: char| if sign.is_ascii_alphanumeric() || "-_.".contains(sign) { sign } else { '_' };
    let file = format!("{}.tar", name.chars().map(plain).collect::<String>());
    let id = format!("{storage}:vztmpl/{file}");
    if volumes::is_on(request.state, &id, &request.node) {
        return Err(Failure::died(format!("refusing to override existing file '{file}'")));
    }
    let volume = Volume {
        content: "vztmpl".to_owned(),
        format: "tar".to_owned(),
        size: IMAGE,
        file_size: IMAGE,
        owner: None,
        parent: None,
        created: request.seconds(),
        bytes: None,
        backup: None,
        nodes: volumes::place(request, &storage),
    };
    Ok(request.task("ociregistrypull", &file, |_, outcome| {
        outcome.say("Getting image source signatures");
        outcome.say("Writing manifest to image destination");
        outcome.effects.push(Effect::AddVolume { id, volume: Box::new(volume) });
        Ok(())
    }))
}

/// The backups that the rules would keep or remove, newest first.
fn marks(request: &Request<'_>) -> Result<Vec<(String, Value)>, Failure> {
    let storage = request.text("storage");
    let options = volumes::storage(request.state, &storage)?;
    let Some(rules) = request.get("prune-backups").or(options.get("prune-backups").map(String::as_str))
    else {
        return Err(Failure::died(format!("no prune-backups options configured for storage '{storage}'")));
    };
    let keep = |name: &str| -> Option<usize> {
        rules.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    // Rules by time keep at least as many; only the plain count is applied.
    let all = keep("keep-all") == Some(1) || keep("keep-last").is_none();
    let last = keep("keep-last").unwrap_or(0);
    let (kind, vmid) = (request.get("type"), request.number("vmid"));
    let mut found: Vec<_> = request
        .state
        .volumes
        .iter()
        .filter_map(|(id, volume)| Some((id, volume, volume.backup.as_ref()?)))
        .filter(|(id, _, backup)| {
            id.split_once(':').is_some_and(|(name, _)| name == storage)
                && kind.is_none_or(|kind| kind == backup.kind.name())
                && vmid.is_none_or(|vmid| vmid == u64::from(backup.vmid))
        })
        .collect();
    found.sort_by_key(|(_, volume, backup)| (backup.vmid, std::cmp::Reverse(volume.created)));
    let mut seen: Vec<(u32, usize)> = Vec::new();
    Ok(found
        .into_iter()
        .map(|(id, volume, backup)| {
            let number = match seen.iter_mut().find(|(vmid, _)| *vmid == backup.vmid) {
                Some((_, number)) => {
                    *number += 1;
                    *number
                }
                None => {
                    seen.push((backup.vmid, 1));
                    1
                }
            };
            let mark = match () {
                () if backup.protected => "protected",
                () if all || number <= last => "keep",
                () => "remove",
            };
            let row = json!({
                "volid": id, "ctime": volume.created, "mark": mark, "type": backup.kind.name(), "vmid": backup.vmid,
            });
            (id.clone(), row)
        })
        .collect())
}

fn preview(request: &mut Request<'_>) -> Answer {
    Ok(marks(request)?.into_iter().map(|(_, row)| row).collect())
}

fn prune(request: &mut Request<'_>) -> Answer {
    let removed: BTreeSet<String> =
        marks(request)?.into_iter().filter(|(_, row)| row["mark"] == "remove").map(|(id, _)| id).collect();
    let storage = request.text("storage");
    Ok(request.task("prunebackups", &storage, |request, outcome: &mut Outcome| {
        for id in removed {
            request.state.volumes.remove(&id);
            outcome.say(format!("removing backup '{id}'"));
        }
        Ok(())
    }))
}
