//! Servers that metrics are sent to.

use pve_model::rules::Problem;
use pve_model::{Path, Value};

use crate::definition::{flag, number, problem, text};
use crate::limits;
use crate::object::{Hooks, Object};
use crate::values::text as text_of;

const PLACE: &str = "/cluster/metrics/server/{name}";

/// `proxmox_metrics_server`
pub(super) fn server() -> Object {
    Object {
        names: &["proxmox_metrics_server", "proxmox_virtual_environment_metrics_server"],
        what: "metrics server",
        about: "A server that the nodes send their metrics to. The API does not tell the token of InfluxDB.",
        fields: vec![
            ("disable", flag().computed().or(false)),
            ("graphite_path", text().param("path")),
            ("graphite_proto", text().param("proto").one_of(&["udp", "tcp"])),
            ("id", text().read_only()),
            ("influx_api_path_prefix", text().param("api-path-prefix")),
            ("influx_bucket", text().param("bucket")),
            ("influx_db_proto", text().param("influxdbproto").one_of(&["udp", "http", "https"])),
            ("influx_max_body_size", number().param("max-body-size").means("bytes")),
            ("influx_organization", text().param("organization")),
            ("influx_token", text().sensitive().param("token").unread()),
            ("influx_token_wo", text().sensitive().param("token").write_only()),
            ("influx_token_wo_version", number().local()),
            ("influx_verify", flag().param("verify-certificate").absent(true)),
            ("mtu", number().range(512, 65536)),
            ("name", text().required().replaces().unsent().checked(limits::config_id)),
            ("opentelemetry_compression", text().param("otel-compression").one_of(&["none", "gzip"])),
            ("opentelemetry_headers", text().sensitive().param("otel-headers").unread()),
            (
                "opentelemetry_max_body_size",
                number().param("otel-max-body-size").range(1024, i64::MAX).means("bytes"),
            ),
            ("opentelemetry_path", text().param("otel-path")),
            ("opentelemetry_proto", text().param("otel-protocol").one_of(&["http", "https"])),
            ("opentelemetry_resource_attributes", text().param("otel-resource-attributes")),
            ("opentelemetry_timeout", number().param("otel-timeout").range(1, 10).means("seconds")),
            ("opentelemetry_verify_ssl", flag().param("otel-verify-ssl").absent(true)),
            ("port", number().required().range(1, 65536)),
            ("server", text().required()),
            ("timeout", number().means("seconds")),
            (
                "type",
                text().required().replaces().only_made().one_of(&["graphite", "influxdb", "opentelemetry"]),
            ),
        ],
        whole: true,
        example: r#"
  name   = "metrics"
  server = "192.0.2.10"
  port   = 8089
  type   = "influxdb"
"#,
        hooks: &Server,
        ..Object::listed(PLACE, PLACE, "{name}")
    }
}

struct Server;

/// How the attributes begin that only one type of server has.
const OF_TYPES: &[(&str, &str)] =
    &[("graphite_", "graphite"), ("influx_", "influxdb"), ("opentelemetry_", "opentelemetry")];

impl Hooks for Server {
    /// Proxmox VE refuses what another type has (PVE::Status::Plugin, `options`).
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let (Some(kind), Some(entries)) = (text_of(config, "type"), config.entries()) else {
            return Vec::new();
        };
        let set = entries.iter().filter(|(_, value)| value.is_known() && !value.is_null());
        let foreign = set.filter(|(name, _)| {
            let own = OF_TYPES.iter().find(|(prefix, _)| name.starts_with(prefix));
            own.is_some_and(|(_, own)| *own != kind)
        });
        let problems = foreign.map(|(name, _)| {
            let detail = format!("the type is {kind:?}, which has no {name}: leave it out");
            problem(Path::attribute(&**name), format!("{name} is of another type"), detail)
        });
        problems.collect()
    }
}
