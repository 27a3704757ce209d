//! What a run tells the screen while it goes on.

use pve_model::InstanceAddress;
use pve_model::event::Operation;

/// Takes reports; called from many tasks at once.
pub trait Reporter: Send + Sync {
    /// A step begins.
    fn started(&self, address: &InstanceAddress, operation: Operation);

    /// A step says what it is doing.
    fn status(&self, address: &InstanceAddress, text: &str);

    /// A step is done.
    fn succeeded(&self, address: &InstanceAddress, operation: Operation);

    /// A step failed.
    fn failed(&self, address: &InstanceAddress, operation: Operation, error: &str);

    /// A step is not started because of another that failed.
    fn skipped(&self, address: &InstanceAddress);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentReporter;

impl Reporter for SilentReporter {
    fn started(&self, _: &InstanceAddress, _: Operation) {}
    fn status(&self, _: &InstanceAddress, _: &str) {}
    fn succeeded(&self, _: &InstanceAddress, _: Operation) {}
    fn failed(&self, _: &InstanceAddress, _: Operation, _: &str) {}
    fn skipped(&self, _: &InstanceAddress) {}
}
