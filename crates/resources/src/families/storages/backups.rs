//! Which backups a storage keeps: one property string and one parameter beside it.

use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use crate::definition::{Item, block_one, flag, number};
use crate::params::Params;
use crate::values::int;

const BESIDE: &str = "max-protected-backups";

/// The block.
pub(super) fn block() -> Item {
    let keep = |param: &'static str| number().range(0, i64::MAX).param(param);
    block_one(vec![
        ("keep_all", flag().computed().or(false).param("keep-all")),
        ("keep_daily", keep("keep-daily")),
        ("keep_hourly", keep("keep-hourly")),
        ("keep_last", keep("keep-last")),
        ("keep_monthly", keep("keep-monthly")),
        ("keep_weekly", keep("keep-weekly")),
        ("keep_yearly", keep("keep-yearly")),
        ("max_protected_backups", number().unsent().unread()),
    ])
    .param("prune-backups")
}

fn protected(value: &Value) -> Option<i64> {
    int(value.get("backups")?, "max_protected_backups")
}

/// Adds the parameter beside the property string.
pub(super) fn params(params: &mut Params, prior: Option<&Value>, planned: &Value) {
    let (before, after) = (prior.and_then(protected), protected(planned));
    if after.is_some() && before != after {
        params.put(BESIDE, after);
    }
    if before.is_some() && after.is_none() {
        let delete = params.0.get("delete").map_or(BESIDE.to_string(), |names| format!("{names},{BESIDE}"));
        params.put("delete", Some(delete));
    }
}

/// Puts what stands beside the property string into the block. A block of which nothing is set is in no answer.
pub(super) fn read(prior: &Value, answer: &Json, read: &mut Map<String, Json>) {
    if !read.contains_key("backups") {
        return;
    }
    if read["backups"].is_null() && prior.get("backups").is_some_and(|block| !block.is_null()) {
        read["backups"] = json!({ "keep_all": false });
    }
    if let Some(count) = answer.get(BESIDE) {
        let count =
            count.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(count.clone(), Json::from);
        if read["backups"].is_null() {
            read["backups"] = Json::Object(Map::new());
        }
        read["backups"]["max_protected_backups"] = count;
    }
}
