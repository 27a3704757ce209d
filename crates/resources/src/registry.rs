//! The registry: which kinds there are and by which names.

use std::collections::BTreeMap;

use pve_model::rules::{
    Beside, KindRules, Named, PlanRequest, PlanResponse, Problem, RulesRegistry, Staging,
};
use pve_model::schema::{Block, Schema};
use pve_model::{ResourceMode, Value};

use crate::definition::{Definition, Fields};
use crate::object::{Delete, Engine, Object};
use crate::operations::Operations;
use crate::{
    cluster_firewall, cluster_firewall_security_group, firewall_alias, firewall_ipset, firewall_options,
};
use crate::{container, data, download_file, file, firewall_rules, node_firewall, null_resource, oci_image};
use crate::{families, provider_block, terraform_data, vm};

/// One resource kind or data source with its rules.
pub(crate) struct Kind {
    name: &'static str,
    definition: Definition,
    rules: Rules,
    operations: Option<&'static dyn Operations>,
    engine: Option<Engine>,
}

/// The rules of a kind beyond its schema. Plain functions: each must be pure.
pub(crate) struct Rules {
    pub(crate) validate: fn(&Value) -> Vec<Problem>,
    pub(crate) plan: fn(PlanRequest<'_>) -> PlanResponse,
    pub(crate) claim: fn(&Value) -> Option<String>,
    pub(crate) shares_claim: fn(&Value) -> bool,
    pub(crate) part_of: fn(&Value) -> Option<String>,
    pub(crate) of_cluster: fn(&Value, &Value) -> Value,
    pub(crate) protection: fn(&Value) -> Option<&'static str>,
    pub(crate) remarks: fn(&Beside, &Value, Option<&Value>) -> Vec<String>,
    pub(crate) adopted: fn(&Block, &Value, &Value) -> Value,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            validate: |_| Vec::new(),
            plan: |_| PlanResponse::default(),
            claim: |_| None,
            shares_claim: |_| false,
            part_of: |_| None,
            of_cluster: |_, read| read.clone(),
            protection: |_| None,
            remarks: |_, _, _| Vec::new(),
            adopted: |_, imported, _| imported.clone(),
        }
    }
}

impl Kind {
    pub(crate) fn new(name: &'static str, fields: Fields, rules: Rules) -> Kind {
        Kind { name, definition: Definition::new(fields), rules, operations: None, engine: None }
    }

    /// What it does, if it is a plain object.
    pub(crate) fn operations(&self) -> Option<&dyn Operations> {
        let described = self.engine.as_ref().map(|engine| engine as &dyn Operations);
        described.or(self.operations.map(|operations| operations as &dyn Operations))
    }

    /// Whether it is a virtual machine that is described as data.
    pub(crate) fn is_described_guest(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.object.guest)
    }

    /// Its description, if it has one.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// The limit on an attribute, by its path.
    pub(crate) fn check_at(&self, path: &str) -> Option<crate::definition::Check> {
        self.definition.check_at(path)
    }

    /// The attributes and blocks of the kind.
    pub(crate) fn block(&self) -> &Block {
        &self.definition.schema.block
    }
}

impl KindRules for Kind {
    fn schema(&self) -> &Schema {
        &self.definition.schema
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = self.definition.check(config);
        problems.extend((self.rules.validate)(config));
        problems.extend(self.engine.iter().flat_map(|engine| engine.validate(config)));
        problems
    }

    fn plan(&self, request: PlanRequest<'_>) -> PlanResponse {
        match &self.engine {
            Some(engine) => engine.plan(request),
            None => (self.rules.plan)(request),
        }
    }

    fn of_cluster(&self, recorded: &Value, read: &Value) -> Value {
        let without_marks = self.shown(read, Some(recorded));
        (self.rules.of_cluster)(recorded, without_marks.as_ref().unwrap_or(read))
    }

    fn adopted(&self, imported: &Value, config: &Value) -> Value {
        match &self.engine {
            Some(engine) => engine.adopted(imported, config),
            None => (self.rules.adopted)(&self.definition.schema.block, imported, config),
        }
    }

    fn shown(&self, before: &Value, after: Option<&Value>) -> Option<Value> {
        self.engine.as_ref()?.object.hooks.shown(before, after)
    }

    fn makes_room_first(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.object.made_first)
    }

    fn protection(&self, present: &Value) -> Option<&'static str> {
        (self.rules.protection)(present)
    }

    fn remarks(&self, beside: &Beside, before: &Value, after: Option<&Value>) -> Vec<String> {
        match &self.engine {
            Some(engine) => engine.remarks(beside, before, after),
            None => (self.rules.remarks)(beside, before, after),
        }
    }

    fn claim(&self, planned: &Value) -> Option<String> {
        match &self.engine {
            Some(engine) => engine.claim(planned),
            None => (self.rules.claim)(planned),
        }
    }

    fn excludes_its_like(&self, present: &Value) -> bool {
        let id = ["vm_id", "id"].iter().find_map(|name| crate::values::int(present, name));
        id.is_some_and(|id| self.claim(present) == Some(crate::guest::guest_claim(id)))
    }

    fn further_claims(&self, planned: &Value) -> Vec<String> {
        self.engine.as_ref().map(|engine| engine.object.hooks.claims(planned)).unwrap_or_default()
    }

    fn takes_over(&self) -> bool {
        let is_kept = |object: &Object| matches!(object.delete, Delete::Stays) || object.hooks.takes_over();
        self.engine.as_ref().is_some_and(|engine| is_kept(&engine.object))
    }

    fn known_as(&self, value: &Value) -> Vec<String> {
        crate::preflight::known_as(self.name, value)
    }

    fn named(&self, value: &Value) -> Vec<Named> {
        crate::preflight::named(self.name, value)
    }

    fn staging(&self, value: &Value) -> Option<Staging> {
        crate::families::staging(&self.engine.as_ref()?.object, value)
    }

    fn batch(&self, value: &Value) -> Option<String> {
        crate::families::batch(&self.engine.as_ref()?.object, value)
    }

    fn holds(&self, value: &Value) -> Vec<String> {
        self.engine.as_ref().map(|engine| crate::families::holds(&engine.object, value)).unwrap_or_default()
    }

    fn shares_claim(&self, planned: &Value) -> bool {
        (self.rules.shares_claim)(planned)
    }

    fn part_of(&self, present: &Value) -> Vec<String> {
        match &self.engine {
            Some(engine) => engine.object.hooks.part_of(present),
            None => (self.rules.part_of)(present).into_iter().collect(),
        }
    }
}

/// All kinds that are known.
pub struct Registry {
    kinds: Vec<Kind>,
    resources: BTreeMap<&'static str, usize>,
    data: BTreeMap<&'static str, usize>,
    provider: Schema,
    terraform: Schema,
}

/// The kinds of bpg/proxmox 0.111 and of the built-in provider, one a line.
const PROVIDER_KINDS: &str = include_str!("provider_kinds.txt");
/// The built-in kind.
pub(crate) const TERRAFORM_DATA: &str = "terraform_data";

/// Adds the kinds of these folders: each has `NAMES`, `fields`, `rules` and `Kind` with its operations.
macro_rules! plain {
    ($registry:ident, $($folder:ident),+ $(,)?) => {
        $($registry.add_plain($folder::NAMES, $folder::fields(), $folder::rules(), &$folder::Kind);)+
    };
}

/// The registry of every kind in this crate.
pub fn registry() -> Registry {
    let mut registry = Registry {
        kinds: Vec::new(),
        resources: BTreeMap::new(),
        data: BTreeMap::new(),
        provider: Definition::new(provider_block::fields()).schema,
        terraform: Schema::default(),
    };
    registry.add_resource(vm::NAMES, vm::fields(), vm::rules());
    registry.add_resource(container::NAMES, container::fields(), container::rules());
    registry.add_resource(download_file::NAMES, download_file::fields(), download_file::rules());
    registry.add_resource(file::NAMES, file::fields(), file::rules());
    plain!(
        registry,
        cluster_firewall,
        cluster_firewall_security_group,
        firewall_alias,
        firewall_ipset,
        firewall_options,
        firewall_rules,
        node_firewall,
        oci_image,
    );
    for object in families::objects() {
        registry.add_object(object);
    }
    registry.add_resource(&[TERRAFORM_DATA], terraform_data::fields(), terraform_data::rules());
    registry.add_resource(null_resource::NAMES, null_resource::fields(), Rules::default());
    for (names, fields) in data::sources() {
        let index = registry.kinds.len();
        registry.kinds.push(Kind::new(names.first().copied().unwrap_or_default(), fields, Rules::default()));
        registry.data.extend(names.iter().map(|name| (*name, index)));
    }
    registry
}

impl Registry {
    fn add_resource(&mut self, names: &[&'static str], fields: Fields, rules: Rules) {
        let index = self.kinds.len();
        self.kinds.push(Kind::new(names.first().copied().unwrap_or_default(), fields, rules));
        self.resources.extend(names.iter().map(|name| (*name, index)));
    }

    fn add_plain(
        &mut self,
        names: &[&'static str],
        fields: Fields,
        rules: Rules,
        operations: &'static dyn Operations,
    ) {
        self.add_resource(names, fields, rules);
        if let Some(kind) = self.kinds.last_mut() {
            kind.operations = Some(operations);
        }
    }

    fn add_object(&mut self, object: Object) {
        let names = object.names;
        let (engine, definition) = Engine::new(object);
        let index = self.kinds.len();
        let kind = Kind {
            name: names[0],
            definition,
            rules: Rules::default(),
            operations: None,
            engine: Some(engine),
        };
        self.kinds.push(kind);
        self.resources.extend(names.iter().map(|name| (*name, index)));
    }

    /// The definition of a resource kind.
    pub(crate) fn kind(&self, name: &str) -> Option<&Kind> {
        self.find(&self.resources, name)
    }

    /// Every resource kind or data source once, with its names.
    pub(crate) fn by_kind(&self, data: bool) -> Vec<(Vec<&'static str>, &Kind)> {
        let names = if data { &self.data } else { &self.resources };
        let mut found: BTreeMap<usize, Vec<&'static str>> = BTreeMap::new();
        for (name, index) in names {
            found.entry(*index).or_default().push(name);
        }
        found.into_iter().filter_map(|(index, names)| Some((names, self.kinds.get(index)?))).collect()
    }

    /// The definition of a data source.
    pub(crate) fn data_kind(&self, name: &str) -> Option<&Kind> {
        self.find(&self.data, name)
    }

    fn find(&self, names: &BTreeMap<&'static str, usize>, kind: &str) -> Option<&Kind> {
        self.kinds.get(*names.get(kind)?)
    }
}

impl RulesRegistry for Registry {
    fn resource(&self, kind: &str) -> Option<&dyn KindRules> {
        self.find(&self.resources, kind).map(|kind| kind as &dyn KindRules)
    }

    fn data(&self, kind: &str) -> Option<&dyn KindRules> {
        self.find(&self.data, kind).map(|kind| kind as &dyn KindRules)
    }

    fn provider(&self, local_name: &str) -> Option<&Schema> {
        match local_name {
            "proxmox" => Some(&self.provider),
            "terraform" | "null" => Some(&self.terraform),
            _ => None,
        }
    }

    fn provider_of(&self, kind: &str) -> Option<&str> {
        match kind {
            TERRAFORM_DATA => Some("terraform"),
            _ if null_resource::NAMES.contains(&kind) => Some("null"),
            _ if self.resources.contains_key(kind) || self.data.contains_key(kind) => Some("proxmox"),
            _ => None,
        }
    }

    fn is_foreseen(&self, mode: ResourceMode, kind: &str) -> bool {
        let word = match mode {
            ResourceMode::Managed => "resource",
            ResourceMode::Data => "data",
        };
        PROVIDER_KINDS.lines().any(|line| line.split_once(' ') == Some((word, kind)))
    }

    fn resource_kinds(&self) -> Vec<&str> {
        self.resources.keys().copied().collect()
    }

    fn data_kinds(&self) -> Vec<&str> {
        self.data.keys().copied().collect()
    }
}
