//! Evaluates declarations in the order of the graph, for every instance of every module. What a resource is worth is
//! asked of a [`ResourceValues`]: planned values while planning, real ones while applying.

use std::collections::{BTreeMap, HashMap};

use pve_config::configuration::{Configuration, Module, Resource, decode_body};
use pve_config::evaluate::evaluate;
use pve_config::functions::Context;
use pve_config::syntax::{Diagnostic, Expr};
use pve_model::rules::RulesRegistry;
use pve_model::{InstanceAddress, ModulePath, ResourceAddress, ResourceMode, Value};

use crate::expansion::Unexpanded;
use crate::findings::located;
use crate::graph::{Graph, Item};
use crate::scope::{
    Instances, ModuleScope, ModuleValues, Repetition, Shape, Surroundings, gather, unevaluated,
};

mod calls;
mod interface;

/// What does not change during an evaluation.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The configuration.
    pub configuration: &'a Configuration,
    /// Values of the root module's variables.
    pub variables: &'a BTreeMap<String, Value>,
    /// What is known of kinds.
    pub registry: &'a dyn RulesRegistry,
    /// Functions.
    pub functions: &'a Context,
    /// What the run is called.
    pub surroundings: &'a Surroundings,
    /// Whether the configuration is only checked: values that are not known yet may decide how many instances there
    /// are, and kinds of providers that pve does not have are worth a warning.
    pub only_checked: bool,
}

/// Gives the values of resource instances.
pub trait ResourceValues {
    /// The value of one instance. `evaluation` has everything that the instance refers to.
    ///
    /// # Errors
    /// With diagnostics; the instance then counts as unknown.
    fn value_of(
        &mut self,
        evaluation: &Evaluation<'_>,
        instance: &Instance<'_>,
    ) -> Result<Value, Vec<Diagnostic>>;
}

/// One instance of a resource that is being evaluated.
pub struct Instance<'a> {
    /// Its address.
    pub address: InstanceAddress,
    /// Its declaration.
    pub resource: &'a Resource,
    /// The module that it stands in.
    pub module: &'a Module,
    /// `each` or `count`.
    pub repetition: &'a Repetition,
    /// Its node in the graph.
    pub place: usize,
}

/// Values of declarations, as far as they are evaluated.
pub struct Evaluation<'a> {
    /// What does not change.
    pub inputs: Inputs<'a>,
    /// The order.
    pub graph: &'a Graph,
    /// By module instance.
    pub modules: Instances,
    /// Instances of each module of the configuration, by the names of the calls.
    instances: BTreeMap<Vec<String>, Vec<ModulePath>>,
    /// How module calls repeat, by calling instance and name.
    calls: HashMap<(ModulePath, String), (Shape, Vec<Repetition>)>,
    /// Provider configurations of the root module by address: `proxmox`, `proxmox.second`.
    pub providers: BTreeMap<String, Value>,
    /// The shape of each evaluated resource.
    pub shapes: BTreeMap<ResourceAddress, Shape>,
    done: Vec<bool>,
    /// What was found wrong so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Declarations that nobody can tell how often they stand; wrong too, unless something is still to be read.
    pub undetermined: Vec<Diagnostic>,
}

impl<'a> Evaluation<'a> {
    /// An evaluation in which nothing is evaluated yet.
    pub fn new(inputs: Inputs<'a>, graph: &'a Graph) -> Evaluation<'a> {
        Evaluation {
            done: vec![false; graph.nodes.len()],
            inputs,
            graph,
            modules: BTreeMap::from([(ModulePath::root(), ModuleValues::default())]),
            instances: BTreeMap::from([(Vec::new(), vec![ModulePath::root()])]),
            calls: HashMap::new(),
            providers: BTreeMap::new(),
            shapes: BTreeMap::new(),
            diagnostics: Vec::new(),
            undetermined: Vec::new(),
        }
    }

    /// Evaluates everything.
    pub fn run(&mut self, values: &mut dyn ResourceValues) {
        for place in 0..self.graph.nodes.len() {
            self.process(place, values);
        }
    }

    /// Evaluates the given declarations and what they need, as far as that is not done.
    pub fn ensure(&mut self, places: impl IntoIterator<Item = usize>, values: &mut dyn ResourceValues) {
        for place in self.graph.closure(places) {
            self.process(place, values);
        }
    }

    /// The module of the configuration that an instance is of.
    pub fn module(&self, path: &[String]) -> Option<&'a Module> {
        path.iter().try_fold(&self.inputs.configuration.root, |module, call| {
            module.module_calls.get(call).and_then(|call| call.child.as_ref())
        })
    }

    /// The instances of a module of the configuration.
    pub fn instances_of(&self, path: &[String]) -> &[ModulePath] {
        self.instances.get(path).map_or(&[], Vec::as_slice)
    }

    /// Names as they are seen by an instance of a resource or of the module itself.
    pub fn scope<'s>(
        &'s self,
        module: &'s Module,
        path: &ModulePath,
        repetition: &'s Repetition,
        self_value: Option<&'s Value>,
    ) -> Option<ModuleScope<'s>> {
        Some(ModuleScope {
            values: self.modules.get(path)?,
            directory: &module.directory,
            surroundings: self.inputs.surroundings,
            functions: self.inputs.functions,
            repetition,
            self_value,
        })
    }

    /// The value of an expression in a module instance.
    ///
    /// # Errors
    /// With diagnostics.
    pub fn expression(
        &self,
        expr: &Expr,
        module: &Module,
        path: &ModulePath,
        repetition: &Repetition,
    ) -> Result<Value, Vec<Diagnostic>> {
        match self.scope(module, path, repetition, None) {
            Some(scope) => evaluate(expr, &scope).map_err(|found| located(found, path)),
            None => Ok(unevaluated()),
        }
    }

    fn process(&mut self, place: usize, values: &mut dyn ResourceValues) {
        if std::mem::replace(&mut self.done[place], true) {
            return;
        }
        let node = &self.graph.nodes[place];
        let Some(module) = self.module(&node.module) else {
            return;
        };
        for path in self.instances_of(&node.module).to_vec() {
            match &node.item {
                Item::Variable(name) => self.variable(name, module, &path),
                Item::Local(name) => {
                    let Some(local) = module.locals.get(name) else { continue };
                    let value = self.expression(&local.value, module, &path, &Repetition::Single);
                    let value = self.checked(value);
                    self.values_of(&path).locals.insert(name.clone(), value);
                }
                Item::Output(name) => self.output(name, module, &path),
                Item::Call(name) => self.call(name, module, &path),
                Item::Provider(name) => self.provider(name, module, &path),
                Item::Resource(mode, kind, name) => {
                    let resource = module.resource(*mode, kind, name);
                    if let Some(resource) = resource {
                        self.resource(resource, module, &path, place, values);
                    }
                }
            }
        }
        self.refresh_calls(node);
    }

    fn values_of(&mut self, path: &ModulePath) -> &mut ModuleValues {
        self.modules.entry(path.clone()).or_default()
    }

    /// The value, or what stands for one that could not be evaluated.
    fn checked(&mut self, result: Result<Value, Vec<Diagnostic>>) -> Value {
        result.unwrap_or_else(|found| {
            self.diagnostics.extend(found);
            unevaluated()
        })
    }

    /// Everything that was found wrong, when nothing is still to be read.
    pub fn take_faults(&mut self) -> Vec<Diagnostic> {
        let mut found = std::mem::take(&mut self.diagnostics);
        found.append(&mut self.undetermined);
        found
    }

    fn note(&mut self, why: Unexpanded) {
        match why {
            Unexpanded::Unknown(found) => self.undetermined.extend(found),
            Unexpanded::Faulty(found) => self.diagnostics.extend(found),
        }
    }

    /// What conditions that are not met say. Unknown conditions are left for apply.
    pub fn conditions(
        &self,
        conditions: &[pve_config::configuration::Condition],
        module: &Module,
        path: &ModulePath,
        repetition: &Repetition,
        self_value: Option<&Value>,
    ) -> Vec<Diagnostic> {
        let Some(scope) = self.scope(module, path, repetition, self_value) else { return Vec::new() };
        let found = conditions.iter().filter_map(|condition| condition.check(&scope)).collect();
        located(found, path)
    }

    fn provider(&mut self, name: &str, module: &Module, path: &ModulePath) {
        if !path.0.is_empty() {
            return;
        }
        let Some(provider) = module.providers.iter().find(|provider| provider.address() == name) else {
            return;
        };
        let Some(schema) = self.inputs.registry.provider(&provider.name) else { return };
        let Some(scope) = self.scope(module, path, &Repetition::Single, None) else { return };
        let (value, found) = decode_body(&provider.body, &schema.block, &scope);
        self.diagnostics.extend(found);
        self.providers.insert(name.to_string(), value);
    }

    fn resource(
        &mut self,
        resource: &Resource,
        module: &Module,
        path: &ModulePath,
        place: usize,
        values: &mut dyn ResourceValues,
    ) {
        let address = ResourceAddress {
            module: path.clone(),
            mode: resource.mode,
            kind: resource.kind.clone(),
            name: resource.name.clone(),
        };
        let value = match self.repetitions(resource, module, path) {
            Err(why) => {
                self.note(why);
                unevaluated()
            }
            Ok((shape, repetitions)) => {
                self.shapes.insert(address.clone(), shape);
                let mut instances = Vec::with_capacity(repetitions.len());
                for repetition in repetitions {
                    let instance = Instance {
                        address: address.instance(repetition.key()),
                        resource,
                        module,
                        repetition: &repetition,
                        place,
                    };
                    let value = values.value_of(self, &instance).map_err(|found| located(found, path));
                    instances.push((repetition.clone(), self.checked(value)));
                }
                gather(shape, instances)
            }
        };
        let all = match resource.mode {
            ResourceMode::Managed => &mut self.values_of(path).managed,
            ResourceMode::Data => &mut self.values_of(path).data,
        };
        all.entry(resource.kind.clone()).or_default().insert(resource.name.clone(), value);
    }
}
