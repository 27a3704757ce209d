//! What declarations refer to.

use super::{Condition, Local, ModuleCall, Output, Provisioner, Resource};
use crate::syntax::{Expr, Traversal};

impl Condition {
    /// Everything that the condition and its message refer to.
    pub fn references(&self) -> Vec<Traversal> {
        [self.condition.references(), self.message.references()].concat()
    }
}

impl Local {
    /// Everything that the value refers to.
    pub fn references(&self) -> Vec<Traversal> {
        self.value.references()
    }
}

impl Output {
    /// Everything that the output refers to.
    pub fn references(&self) -> Vec<Traversal> {
        let mut found = self.value.references();
        found.extend(self.depends_on.iter().cloned());
        found.extend(self.preconditions.iter().flat_map(Condition::references));
        found
    }
}

impl Resource {
    /// Everything that the resource refers to.
    pub fn references(&self) -> Vec<Traversal> {
        let repetition = [&self.count, &self.for_each, &self.enabled];
        let mut found: Vec<Traversal> = repetition.into_iter().flatten().flat_map(Expr::references).collect();
        found.extend(self.body.references());
        found.extend(self.depends_on.iter().cloned());
        found.extend(self.lifecycle.prevent_destroy.iter().flat_map(Expr::references));
        found.extend(self.lifecycle.replace_triggered_by.iter().flat_map(Expr::references));
        let conditions = self.lifecycle.preconditions.iter().chain(&self.lifecycle.postconditions);
        found.extend(conditions.flat_map(Condition::references));
        // Those that run at destruction refer to the instance itself only.
        let provisioners = self.provisioners.iter().filter(|provisioner| !provisioner.at_destroy);
        found.extend(provisioners.flat_map(Provisioner::references));
        found
    }
}

impl ModuleCall {
    /// What decides how many instances there are.
    pub fn repetition_references(&self) -> Vec<Traversal> {
        let repetition = [&self.count, &self.for_each, &self.enabled];
        repetition.into_iter().flatten().flat_map(Expr::references).collect()
    }
}
