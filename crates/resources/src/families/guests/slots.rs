//! Devices by the names of their slots: CD drives and network devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use pve_model::{Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::definition::{Fields, flag, number, of_type, text};
use crate::limits;
use crate::property::Properties;
use crate::values::{flag as flag_of, text as text_of};

/// The attributes of a network device.
pub(super) fn network() -> Fields {
    vec![
        ("bridge", text()),
        ("firewall", flag()),
        ("link_down", flag()),
        ("mac_address", text().checked(limits::mac_address)),
        ("model", text().checked(limits::not_empty)),
        ("mtu", number().range(576, 9216)),
        ("queues", number().range(0, 16)),
        ("rate_limit", number().means("MB a second")),
        ("tag", number().range(1, 4094)),
        ("trunks", of_type(Type::set(Type::Number)).range(1, 4094)),
    ]
}

/// The devices of a map, by slot.
pub(super) fn of<'v>(value: &'v Value, name: &str) -> BTreeMap<Arc<str>, &'v Value> {
    let entries = value.get(name).filter(|part| part.is_known() && !part.is_null()).and_then(Value::entries);
    entries.into_iter().flatten().map(|(slot, device)| (slot.clone(), device)).collect()
}

/// An option of a CD drive.
pub(super) fn cdrom(device: &Value) -> Properties {
    Properties::starting(text_of(device, "file_id").unwrap_or("cdrom")).with("media", Some("cdrom"))
}

/// What a CD drive is said to have, in the attributes of `guide` that are set.
pub(super) fn read_cdrom(option: &str, guide: Option<&Value>) -> Json {
    let medium = json!(Properties::parse(option).first_or("file"));
    guided(Map::from_iter([("file_id".to_string(), medium)]), guide)
}

/// Options of a network device with the attributes that stand for them.
const OPTIONS: &[(&str, &str)] = &[
    ("bridge", "bridge"),
    ("firewall", "firewall"),
    ("link_down", "link_down"),
    ("mtu", "mtu"),
    ("queues", "queues"),
    ("rate_limit", "rate"),
    ("tag", "tag"),
    ("trunks", "trunks"),
];

/// The model and the address of an option, which the API writes as one.
fn model_of(option: &Properties) -> (Option<String>, Option<String>) {
    let known =
        |key: &str| OPTIONS.iter().any(|(_, option)| *option == key) || key == "macaddr" || key == "model";
    let pair = option.pairs().iter().find(|(key, _)| !known(key));
    match pair {
        Some((model, mac)) => (Some(model.clone()), Some(mac.clone())),
        None => (option.first_or("model").map(String::from), option.get("macaddr").map(String::from)),
    }
}

fn written(device: &Value, name: &str) -> Option<String> {
    let part = device.get(name).filter(|part| !part.is_null())?;
    match part.elements() {
        Some(elements) => {
            let texts: Vec<String> =
                elements.iter().map(|one| pve_model::codec::to_plain_json(one).to_string()).collect();
            Some(texts.join(";"))
        }
        None => match flag_of(device, name) {
            Some(value) => Some(u8::from(value).to_string()),
            None => crate::object::plain(part),
        },
    }
}

/// The option of a device: what is not stated stays as `current` has it, unless `before` stated it.
pub(super) fn net(device: &Value, before: Option<&Value>, current: Option<&str>) -> Properties {
    let current = current.map(Properties::parse).unwrap_or_default();
    let (model, mac) = model_of(&current);
    let model = text_of(device, "model").map(String::from).or(model).unwrap_or("virtio".into());
    let mac = text_of(device, "mac_address").map(String::from).or(mac);
    let mut option = match mac {
        Some(mac) => Properties::default().with(&model, Some(mac)),
        None => Properties::starting(model),
    };
    for (name, key) in OPTIONS {
        let was_stated = before.is_some_and(|before| written(before, name).is_some());
        let kept = current.get(key).filter(|_| !was_stated).map(String::from);
        option = option.with(key, written(device, name).or(kept));
    }
    option
}

/// What a network device is said to have, in the attributes of `guide` that are set.
pub(super) fn read_net(option: &str, guide: Option<&Value>) -> Json {
    let option = Properties::parse(option);
    let (model, mac) = model_of(&option);
    let mut read =
        Map::from_iter([("model".to_string(), json!(model)), ("mac_address".to_string(), json!(mac))]);
    for (name, key) in OPTIONS {
        let text = option.get(key);
        let value = match *name {
            "bridge" => json!(text),
            "firewall" | "link_down" => text.map_or(Json::Null, |text| json!(crate::property::is_true(text))),
            "trunks" => match text {
                Some(text) => {
                    text.split(';').filter_map(|one| one.parse::<i64>().ok()).map(|one| json!(one)).collect()
                }
                None => Json::Null,
            },
            _ => text.and_then(|text| text.parse::<f64>().ok()).map_or(Json::Null, whole),
        };
        read.insert((*name).to_string(), value);
    }
    guided(read, guide)
}

/// A number without a fraction where it has none.
pub(super) fn whole(number: f64) -> Json {
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

/// What was read, without the attributes that `guide` leaves out. A bool that is left out is false.
pub(super) fn guided(mut read: Map<String, Json>, guide: Option<&Value>) -> Json {
    let Some(guide) = guide else { return Json::Object(read) };
    for (name, part) in &mut read {
        match guide.get(name) {
            Some(stated) if stated.is_null() => *part = Json::Null,
            Some(stated) if stated.as_bool().is_some() && part.is_null() => *part = json!(false),
            _ => {}
        }
    }
    Json::Object(read)
}
