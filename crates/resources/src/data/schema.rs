//! The attributes of data sources.

use pve_model::Type;

use crate::definition::{Fields, blocks, flag, number, of_type, text, texts};
use crate::limits;

fn numbers() -> Type {
    Type::list(Type::Number)
}

pub(super) fn nodes() -> Fields {
    vec![
        ("cpu_count", of_type(numbers()).read_only()),
        ("cpu_utilization", of_type(numbers()).read_only()),
        ("id", text().read_only()),
        ("memory_available", of_type(numbers()).read_only()),
        ("memory_used", of_type(numbers()).read_only()),
        ("names", texts().read_only()),
        ("online", of_type(Type::list(Type::Bool)).read_only()),
        ("ssl_fingerprints", texts().read_only()),
        ("support_levels", texts().read_only()),
        ("uptime", of_type(numbers()).read_only()),
    ]
}

pub(super) fn node() -> Fields {
    vec![
        ("cpu_cores", number().read_only()),
        ("cpu_count", number().read_only()),
        ("cpu_model", text().read_only()),
        ("cpu_sockets", number().read_only()),
        ("cpu_utilization", number().read_only()),
        ("id", text().read_only()),
        ("memory_available", number().read_only()),
        ("memory_total", number().read_only()),
        ("memory_used", number().read_only()),
        ("node_name", text().required()),
        ("uptime", number().read_only()),
    ]
}

/// `filters` and `datastores` are attributes, not blocks: they are assigned with `=`.
pub(super) fn datastores() -> Fields {
    let datastore = Type::object([
        ("active", Type::Bool),
        ("content_types", Type::set(Type::String)),
        ("enabled", Type::Bool),
        ("id", Type::String),
        ("node_name", Type::String),
        ("shared", Type::Bool),
        ("space_available", Type::Number),
        ("space_total", Type::Number),
        ("space_used", Type::Number),
        ("space_used_fraction", Type::Number),
        ("type", Type::String),
    ]);
    let optional = |name: &'static str, ty| {
        (std::sync::Arc::<str>::from(name), pve_model::types::AttributeType { ty, optional: true })
    };
    let filters = Type::Object(std::sync::Arc::new(
        [
            optional("content_types", Type::set(Type::String)),
            optional("id", Type::String),
            optional("target", Type::String),
        ]
        .into(),
    ));
    vec![
        ("datastores", of_type(Type::list(datastore)).computed()),
        ("filters", of_type(filters)),
        ("node_name", text().required()),
    ]
}

pub(super) fn version() -> Fields {
    vec![
        ("id", text().read_only()),
        ("release", text().read_only()),
        ("repository_id", text().read_only()),
        ("version", text().read_only()),
    ]
}

/// `vms` and `containers`.
pub(super) fn guests(name: &'static str) -> Fields {
    let guest = Type::object([
        ("name", Type::String),
        ("node_name", Type::String),
        ("status", Type::String),
        ("tags", Type::list(Type::String)),
        ("template", Type::Bool),
        ("vm_id", Type::Number),
    ]);
    let filter = vec![
        ("name", text().required().one_of(&["name", "node_name", "status", "template"])),
        ("regex", flag().or(false)),
        ("values", texts().required()),
    ];
    vec![
        ("filter", blocks(filter)),
        ("id", text().read_only()),
        ("node_name", text()),
        ("tags", texts()),
        (name, of_type(Type::list(guest)).read_only()),
    ]
}

pub(super) fn guest() -> Fields {
    vec![
        ("id", text().read_only()),
        ("name", text().read_only()),
        ("node_name", text().required()),
        ("status", text().computed()),
        ("tags", texts().read_only()),
        ("template", flag().computed()),
        ("vm_id", number().required()),
    ]
}

/// What datastores hold.
const CONTENTS: &[&str] = &["backup", "images", "import", "iso", "rootdir", "snippets", "vztmpl"];

pub(super) fn files() -> Fields {
    let file = Type::object([
        ("content_type", Type::String),
        ("file_format", Type::String),
        ("file_name", Type::String),
        ("file_size", Type::Number),
        ("id", Type::String),
        ("vmid", Type::Number),
    ]);
    let pattern = |text: &str| regex::Regex::new(text).err().map(|error| error.to_string());
    vec![
        ("content_type", text().one_of(CONTENTS)),
        ("datastore_id", text().required().checked(limits::not_empty)),
        ("file_name_regex", text().checked(pattern)),
        ("files", of_type(Type::list(file)).read_only()),
        ("node_name", text().required().checked(limits::not_empty)),
    ]
}

pub(super) fn file() -> Fields {
    vec![
        ("content_type", text().required().one_of(CONTENTS)),
        ("datastore_id", text().required()),
        ("file_format", text().read_only()),
        ("file_name", text().required()),
        ("file_size", number().read_only()),
        ("id", text().read_only()),
        ("node_name", text().required()),
        ("vmid", number().read_only()),
    ]
}
