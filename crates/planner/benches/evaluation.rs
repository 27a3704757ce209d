//! How fast a root with `for_each` over many objects is loaded and planned: `cargo bench -p pve-planner --bench
//! evaluation`. Times are the best of a few runs; the ratios tell whether time grows with the number.

#![expect(clippy::unwrap_used, reason = "what fails should end it")]

use std::path::Path;
use std::time::{Duration, Instant};

use pve_config::configuration::{SnapshotFiles, collect_variables, load};
use pve_config::functions::Context;
use pve_model::rules::{KindRules, RulesRegistry};
use pve_model::schema::{Attribute, Schema};
use pve_model::{ResourceMode, Type};
use pve_planner::evaluation::Inputs;
use pve_planner::graph::Graph;
use pve_planner::planning::{Observed, Options, Outcome, plan};
use pve_planner::scope::Surroundings;

const RUNS: usize = 3;

fn main() {
    let mut times: Vec<f64> = Vec::new();
    for count in [1_000, 10_000, 100_000] {
        let time = (0..RUNS).map(|_| evaluate(count)).min().unwrap_or_default();
        println!("{count} instances: {:.1} ms", time.as_secs_f64() * 1e3);
        times.push(time.as_secs_f64());
    }
    for pair in times.windows(2) {
        println!("ten times the instances take {:.1} times as long", pair[1] / pair[0]);
    }
}

/// One kind, with an attribute that takes anything.
struct Kinds(Schema);

impl Kinds {
    fn new() -> Kinds {
        let mut schema = Schema::default();
        let input = Attribute { ty: Type::Dynamic, optional: true, ..Attribute::default() };
        let id = Attribute { ty: Type::String, computed: true, ..Attribute::default() };
        schema.block.attributes.extend([("input".into(), input), ("id".into(), id)]);
        Kinds(schema)
    }
}

impl KindRules for Kinds {
    fn schema(&self) -> &Schema {
        &self.0
    }
}

impl RulesRegistry for Kinds {
    fn resource(&self, _: &str) -> Option<&dyn KindRules> {
        Some(self)
    }

    fn data(&self, _: &str) -> Option<&dyn KindRules> {
        None
    }

    fn provider(&self, _: &str) -> Option<&Schema> {
        None
    }

    fn provider_of(&self, _: &str) -> Option<&str> {
        Some("terraform")
    }

    fn is_foreseen(&self, _: ResourceMode, _: &str) -> bool {
        false
    }

    fn resource_kinds(&self) -> Vec<&str> {
        Vec::new()
    }

    fn data_kinds(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Plans a root with one resource for each of so many objects, each with ten attributes that are derived from it.
fn evaluate(count: usize) -> Duration {
    let files = SnapshotFiles::new([("/project/main.tf".into(), root(count).into_bytes())]);
    let registry = Kinds::new();
    let start = Instant::now();
    let before = clock(start);
    let mut loaded = load(&files, Path::new("/project"));
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let functions = Context::new("/project", jiff::Timestamp::UNIX_EPOCH);
    let configuration = &loaded.configuration;
    let (variables, _) =
        collect_variables(&configuration.root, &[], &mut loaded.sources, &functions).unwrap();
    let graph = Graph::build(configuration).unwrap();
    let inputs = Inputs {
        configuration,
        variables: &variables,
        registry: &registry,
        functions: &functions,
        surroundings: &Surroundings::default(),
        only_checked: false,
    };
    let state = pve_model::state::State::default();
    let outcome = plan(inputs, &graph, &state, &Observed::default(), &Options::default()).unwrap();
    let time = clock(start) - before;
    let Outcome::Planned(planning) = outcome else { panic!("something had to be read") };
    assert_eq!(planning.plan.changes.len(), count);
    time
}

/// How long this thread has run: the time of day also counts what other programs do. That is what is told elsewhere.
fn clock(start: Instant) -> Duration {
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = ran.and_then(|text| text.split(' ').next()?.parse().ok());
    ran.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn root(count: usize) -> String {
    format!(
        r#"
locals {{
  guests = {{ for index in flatten([for block in range({blocks}) : [for place in range(1000) : block * 1000 + place]]) :
    format("guest-%06d", index) => {{ index = index, size = index % 8 + 1, tags = ["a", "b"] }}
  }}
}}

resource "terraform_data" "guest" {{
  for_each = local.guests
  input = {{
    name    = each.key
    upper   = upper(each.key)
    cores   = each.value.size
    memory  = each.value.size * 1024
    address = cidrhost("10.0.0.0/8", each.value.index + 1)
    tags    = join(",", each.value.tags)
    is_big  = each.value.size > 4
    role    = each.value.size > 4 ? "worker" : "proxy"
    title   = "guest ${{each.value.index}} of {count}"
    labels  = {{ for tag in each.value.tags : tag => each.key }}
  }}
}}
"#,
        blocks = count / 1000
    )
}
