//! What is planned for containers, by cases.

use pve_model::codec::decode;
use serde_json::{Value as Json, json};

use super::*;
use crate::definition::Definition;

fn value(json: Json) -> Value {
    decode(&json, &Definition::new(crate::container::fields()).schema.block.implied_type()).unwrap()
}

#[test]
fn a_new_password_is_a_change_in_place_and_says_what_it_does() {
    let with_password =
        |password: &str| value(json!({"initialization": [{"user_account": [{"password": password}]}]}));
    let (prior, config) = (with_password("one"), with_password("two"));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert_eq!(response.replace, vec![]);
    assert_eq!(response.notes.len(), 1);
    assert!(!response.notes[0].contains("two"));
}

#[test]
fn sizes_of_mount_points_are_compared_as_sizes() {
    let with_size =
        |size: &str| value(json!({"mount_point": [{"path": "/srv", "volume": "lvm", "size": size}]}));
    let (prior, config) = (with_size("4096M"), with_size("4G"));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert!(changed(&prior, &response.planned.unwrap()).is_empty());
}

// As the reference plans it: the API ends a description with a line feed.
#[test]
fn the_description_is_planned_as_the_api_keeps_it() {
    let config = value(json!({"description": "  one\r\ntwo\n\n"}));
    let response = plan(PlanRequest { prior: None, config: &config, proposed: &config });
    assert_eq!(text(&response.planned.unwrap(), "description"), Some("one\ntwo\n"));
    let prior = value(json!({"description": "one\ntwo"}));
    let response = plan(PlanRequest { prior: Some(&prior), config: &config, proposed: &config });
    assert!(changed(&prior, &response.planned.unwrap()).is_empty());
}

// As the reference plans it.
#[test]
fn an_empty_dns_block_and_no_variables_are_nothing() {
    let dns = json!([{"domain": "", "servers": []}]);
    let config =
        value(json!({"environment_variables": {}, "initialization": [{"hostname": "h", "dns": dns}]}));
    for prior in [None, Some(&value(json!({"initialization": [{"hostname": "h", "dns": []}]})))] {
        let response = plan(PlanRequest { prior, config: &config, proposed: &config });
        let planned = response.planned.unwrap();
        assert!(planned.get("environment_variables").is_some_and(Value::is_null));
        assert!(all_blocks(block(&planned, "initialization").unwrap(), "dns").is_empty());
    }
}
