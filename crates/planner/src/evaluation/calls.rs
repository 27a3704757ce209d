//! Module calls: how often each stands, and the value that the outputs of its instances make.

use pve_config::configuration::Module;
use pve_model::{ModulePath, Value};

use super::Evaluation;
use crate::graph::{Item, Node};
use crate::scope::{gather, unevaluated};

impl Evaluation<'_> {
    pub(super) fn call(&mut self, name: &str, module: &Module, path: &ModulePath) {
        let Some(call) = module.module_calls.get(name) else { return };
        let expansion =
            self.expand(call.count.as_ref(), call.for_each.as_ref(), call.enabled.as_ref(), module, path);
        let (shape, repetitions) = match expansion {
            Ok(expansion) => expansion,
            Err(why) => {
                self.note(why);
                self.values_of(path).calls.insert(name.into(), unevaluated());
                return;
            }
        };
        let mut child_path: Vec<String> = path.0.iter().map(|step| step.name.clone()).collect();
        child_path.push(name.to_string());
        for repetition in &repetitions {
            let child = path.child(name, repetition.key());
            self.instances.entry(child_path.clone()).or_default().push(child.clone());
            self.values_of(&child).repetition = repetition.clone();
        }
        self.calls.insert((path.clone(), name.into()), (shape, repetitions));
        self.gather_call(path, name);
    }

    /// After an output is evaluated, the value of its module's call has one attribute more.
    pub(super) fn refresh_calls(&mut self, node: &Node) {
        let (Item::Output(_), Some((name, outer))) = (&node.item, node.module.split_last()) else { return };
        for path in self.instances_of(outer).to_vec() {
            self.gather_call(&path, name);
        }
    }

    fn gather_call(&mut self, path: &ModulePath, name: &str) {
        let Some((shape, repetitions)) = self.calls.get(&(path.clone(), name.to_string())) else { return };
        let outputs = repetitions.iter().map(|repetition| {
            let child = path.child(name, repetition.key());
            let outputs = self.modules.get(&child).map(|values| values.outputs.clone()).unwrap_or_default();
            (repetition.clone(), Value::object(outputs))
        });
        let value = gather(*shape, outputs);
        self.values_of(path).calls.insert(name.to_string(), value);
    }
}
