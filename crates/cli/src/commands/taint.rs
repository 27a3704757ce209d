//! `pve taint` and `pve untaint`

use std::collections::BTreeMap;

use pve_model::event::{InstanceMarked, Payload};
use serde_json::json;

use super::{parse_instance, print_json};
use crate::arguments::{GlobalOptions, TaintOptions};
use crate::edit::Edit;
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// Marks an instance to be replaced, or takes that back.
///
/// # Errors
/// When there is no such instance, or the log cannot be written.
pub async fn run(global: &GlobalOptions, options: &TaintOptions, tainted: bool) -> Ended {
    let address = parse_instance(&options.address)?;
    let edit = Edit::begin(&Project::find(global)?, if tainted { "taint" } else { "untaint" }, &options.lock)
        .await?;
    let Some(record) = edit.state.current(&address) else {
        if options.allow_missing {
            eprintln!("The state has no {address}; nothing was changed.");
            return Ok(0);
        }
        let hint = "`pve state list` shows the addresses there are.";
        return Err(Failure::hinted(format!("the state has no {address}"), hint));
    };
    if !tainted && !record.tainted {
        return Err(Failure::hinted(
            format!("{address} is not tainted"),
            "Nothing was changed. `pve plan` says why something is replaced.",
        ));
    }
    edit.refuse_open(std::slice::from_ref(&address))?;
    let marked = InstanceMarked { address: address.clone() };
    let payload = if tainted { Payload::InstanceTainted(marked) } else { Payload::InstanceUntainted(marked) };
    edit.record(vec![payload], BTreeMap::new()).await?;
    if global.json {
        print_json(&json!({"format_version": "1.0", "address": address.to_string(), "tainted": tainted}))?;
    } else if tainted {
        println!("Resource instance {address} has been marked as tainted.");
    } else {
        println!("Resource instance {address} has been successfully untainted.");
    }
    Ok(0)
}
