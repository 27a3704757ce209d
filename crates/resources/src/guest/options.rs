//! Options that VMs and containers have alike.

use pve_model::Value;
use serde_json::{Value as Json, json};

use crate::observed::Observed;
use crate::property::Properties;
use crate::values::block;

/// SSH keys, one a line, each once: a file of keys ends with an empty line, and lists of keys are put together.
pub(crate) fn key_lines<T: AsRef<str>>(keys: &[T]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in keys.iter().flat_map(|key| key.as_ref().lines()).map(str::trim) {
        if !line.is_empty() && !lines.iter().any(|known| known == line) {
            lines.push(line.to_string());
        }
    }
    lines
}

/// `order=1,up=2,down=3`, or `1` alone.
pub(crate) fn decode_startup(observed: &Observed, guide: &Value) -> Json {
    let startup = observed.written("startup").map(|startup| Properties::parse(&startup));
    // One that states nothing is not written down by the cluster.
    let Some(startup) = startup.or_else(|| block(guide, "startup").map(|_| Properties::default())) else {
        return json!([]);
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
    json!([{
        "order": number(startup.first_or("order")),
        "up_delay": number(startup.get("up")),
        "down_delay": number(startup.get("down")),
    }])
}
