//! The JSON syntax, as configuration and as variables.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pve_config::syntax::{SourceId, json};

fuzz_target!(|text: &str| {
    let parsed = json::parse_body(SourceId(0), text);
    let content = parsed.value.content(&json::language_blocks);
    let _ = parsed.value.attributes();
    drop(content);
});
