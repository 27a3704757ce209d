//! The firewalls of the cluster in memory.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::State;
use crate::cluster::{ApiError, Method};

impl State {
    pub(super) fn firewall_rules(
        &mut self,
        method: Method,
        path: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        let (owner, position) = path.split_once("/rules").unwrap();
        let position: Option<usize> = position.strip_prefix('/').map(|text| text.parse().unwrap());
        let rules = self.rules.entry(owner.into()).or_default();
        let sent: Map<String, Json> = params.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        match (method, position) {
            (Method::Post, None) => rules.insert(0, sent),
            (Method::Put, Some(at)) => {
                for name in params.get("delete").map(String::as_str).unwrap_or_default().split(',') {
                    rules[at].remove(name);
                }
                rules[at].extend(sent.into_iter().filter(|(name, _)| name != "delete"));
            }
            (Method::Delete, Some(at)) => {
                rules.remove(at);
            }
            _ => {
                let list = rules.iter().enumerate().map(|(at, rule)| {
                    let mut rule = rule.clone();
                    rule.insert("pos".into(), json!(at));
                    let enable: i64 = rule["enable"].as_str().unwrap().parse().unwrap();
                    rule.insert("enable".into(), json!(enable));
                    Json::Object(rule)
                });
                return Ok(list.collect());
            }
        }
        Ok(Json::Null)
    }

    pub(super) fn firewall_options(
        &mut self,
        method: Method,
        path: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Json, ApiError> {
        let options = self.options.entry(path.into()).or_default();
        if method == Method::Get {
            return Ok(Json::Object(options.clone()));
        }
        for name in params.get("delete").map(String::as_str).unwrap_or_default().split(',') {
            options.remove(name);
        }
        let sent = params.iter().filter(|(name, _)| *name != "delete");
        options.extend(sent.map(|(name, value)| (name.clone(), json!(value))));
        Ok(Json::Null)
    }
}
