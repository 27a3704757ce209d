//! Options of the cluster.

use async_trait::async_trait;
use pve_model::rules::Problem;
use pve_model::{Path, Value};

use crate::cluster::Method;
use crate::definition::{flag, number, object, problem, text};
use crate::object::{Delete, Hooks, Object, Read};
use crate::operations::Proof;
use crate::params::Params;
use crate::property::Properties;
use crate::values::int;

const KEYBOARDS: &[&str] = &[
    "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is", "it",
    "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
];

const LANGUAGES: &[&str] = &[
    "ca", "da", "de", "en", "es", "eu", "fa", "fr", "he", "it", "ja", "nb", "nn", "pl", "pt_BR", "ru", "sl",
    "sv", "tr", "zh_CN", "zh_TW",
];

/// There are no applets any more: Proxmox VE takes them for HTML.
fn same_console(a: &str, b: &str) -> bool {
    let kind = |text: &str| if text == "applet" { "html5".to_string() } else { text.to_string() };
    kind(a) == kind(b)
}

/// `proxmox_cluster_options`
pub(super) fn options() -> Object {
    let limit = |key: &'static str| number().part_of("bwlimit", key).means("KiB a second");
    let mode = &["always", "never"];
    Object {
        names: &["proxmox_cluster_options", "proxmox_virtual_environment_cluster_options"],
        what: "options of",
        about: "Options of the cluster. Those that are not configured stay as they are; destroying it sets the others \
                back to what Proxmox VE does without them.",
        fields: vec![
            ("bandwidth_limit_clone", limit("clone")),
            ("bandwidth_limit_default", limit("default")),
            ("bandwidth_limit_migration", limit("migration")),
            ("bandwidth_limit_move", limit("move")),
            ("bandwidth_limit_restore", limit("restore")),
            ("console", text().one_of(&["applet", "vv", "html5", "xtermjs"]).same_as(same_console)),
            ("crs_ha", text().computed().part_of("crs", "ha").one_of(&["static", "basic", "dynamic"])),
            ("crs_ha_auto_rebalance", flag().part_of("crs", "ha-auto-rebalance")),
            (
                "crs_ha_auto_rebalance_hold_duration",
                number().part_of("crs", "ha-auto-rebalance-hold-duration").range(0, i64::MAX),
            ),
            (
                "crs_ha_auto_rebalance_margin",
                number().part_of("crs", "ha-auto-rebalance-margin").range(0, 100),
            ),
            (
                "crs_ha_auto_rebalance_method",
                text().part_of("crs", "ha-auto-rebalance-method").one_of(&["bruteforce", "topsis"]),
            ),
            (
                "crs_ha_auto_rebalance_threshold",
                number().part_of("crs", "ha-auto-rebalance-threshold").range(0, 100),
            ),
            ("crs_ha_rebalance_on_start", flag().part_of("crs", "ha-rebalance-on-start")),
            ("description", text()),
            ("email_from", text()),
            (
                "ha_shutdown_policy",
                text().part_of("ha", "shutdown_policy").one_of(&[
                    "freeze",
                    "failover",
                    "migrate",
                    "conditional",
                ]),
            ),
            ("http_proxy", text()),
            ("id", text().read_only()),
            ("keyboard", text().one_of(KEYBOARDS)),
            ("language", text().one_of(LANGUAGES)),
            ("mac_prefix", text().computed()),
            ("max_workers", number()),
            ("migration_cidr", text().part_of("migration", "network")),
            (
                "migration_type",
                text().part_of("migration", "type").absent("secure").one_of(&["secure", "insecure"]),
            ),
            (
                "next_id",
                object(vec![
                    ("lower", number().range(100, i64::MAX)),
                    ("upper", number().range(100, i64::MAX)),
                ])
                .param("next-id"),
            ),
            (
                "notify",
                object(vec![
                    ("ha_fencing_mode", text().param("fencing").one_of(mode)),
                    ("ha_fencing_target", text().param("target-fencing")),
                    ("package_updates", text().param("package-updates").one_of(&["auto", "always", "never"])),
                    ("package_updates_target", text().param("target-package-updates")),
                    ("replication", text().one_of(mode)),
                    ("replication_target", text().param("target-replication")),
                ]),
            ),
        ],
        create: (Method::Put, "/cluster/options"),
        read: Read::At("/cluster/options"),
        update: (Method::Put, "/cluster/options"),
        delete: Delete::Reset,
        id: "cluster",
        import: "cluster",
        proof: Proof::Presence,
        example: r#"
  keyboard       = "de"
  migration_type = "secure"

  next_id = {
    lower = 1000
    upper = 9999
  }
"#,
        hooks: &Options,
        ..Object::default()
    }
}

struct Options;

#[async_trait]
impl Hooks for Options {
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let Some(range) = config.get("next_id") else { return Vec::new() };
        let (Some(lower), Some(upper)) = (int(range, "lower"), int(range, "upper")) else {
            return Vec::new();
        };
        let detail = format!("lower is {lower}, upper is {upper}");
        let problem =
            problem(Path::attribute("next_id"), "A range of ids that ends before it begins", detail);
        (lower > upper).then_some(problem).into_iter().collect()
    }

    /// A network to migrate over needs a type beside it.
    fn params(&self, params: &mut Params, _: Option<&Value>, _: &Value) {
        if let Some(migration) = params.0.get_mut("migration")
            && Properties::parse(migration).get("type").is_none()
        {
            *migration = format!("type=secure,{migration}");
        }
    }

    /// There are options of one cluster only: any id will do.
    fn located(&self, base: &Value, id: &str) -> Option<Value> {
        (!id.is_empty()).then(|| base.clone())
    }
}
