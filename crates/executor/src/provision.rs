//! The provisioners of a step: each start is durable before it runs, and what it left when it has passed.

use std::sync::PoisonError;

use pve_model::event::{ActionFailed, Payload, ProvisionerPassed, ProvisionerStarted};
use pve_model::plan::{Change, Step};
use pve_model::provisioner::{OnFailure, Provision};
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, Value};
use uuid::Uuid;

use crate::errors::{plain_error, unrecorded};
use crate::execute::Run;
use crate::ports::{ProviderError, ProvisionOutput};
use crate::report::Reporter;

/// What stands on the screen in place of output that may show a secret.
const SUPPRESSED: &str = "(output suppressed due to sensitive value in config)";

impl Run<'_> {
    /// Runs the provisioners of a new object. When one of them fails the object is recorded as tainted: how much of
    /// its provisioning was done is not known.
    pub(crate) async fn provision_made(
        &self,
        step: &Step,
        change: &Change,
        action: Uuid,
        made: &Value,
    ) -> Result<(), ProviderError> {
        let record = self.resolver.lock().unwrap_or_else(PoisonError::into_inner).left(step, made);
        match self.provision(step, change, action, Some((made, &record))).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let record = InstanceRecord { tainted: true, ..record };
                let refused = self.refuse(action, &error, Some(record)).await;
                Err(unrecorded(error, refused))
            }
        }
    }

    /// Runs the provisioners of an object that is about to be destroyed. When one of them fails it is kept.
    pub(crate) async fn provision_doomed(
        &self,
        step: &Step,
        change: &Change,
        action: Uuid,
    ) -> Result<(), ProviderError> {
        match self.provision(step, change, action, None).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let refused = self.refuse(action, &error, None).await;
                Err(unrecorded(error, refused))
            }
        }
    }

    async fn refuse(
        &self,
        action: Uuid,
        error: &ProviderError,
        record: Option<InstanceRecord>,
    ) -> Result<(), ProviderError> {
        if self.is_closed() {
            return Ok(());
        }
        self.record(Payload::ActionFailed(ActionFailed { action, error: error.message.clone(), record }))
            .await
    }

    async fn provision(
        &self,
        step: &Step,
        change: &Change,
        action: Uuid,
        made: Option<(&Value, &InstanceRecord)>,
    ) -> Result<(), ProviderError> {
        for (at, place) in step.provisioners.iter().copied().enumerate() {
            let provision = {
                let resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
                resolver.provision(step, place, made.map(|(value, _)| value)).map_err(plain_error)?
            };
            let kind = provision.kind;
            let record = made.filter(|_| at == 0).map(|(_, record)| record.clone());
            let started = ProvisionerStarted { action, place, kind, record };
            self.record(Payload::ProvisionerStarted(started)).await?;
            let error = self.run_one(&change.address, &provision).await.err();
            if let Some(error) = &error {
                if provision.on_failure == OnFailure::Fail {
                    return Err(ProviderError {
                        hint: error.hint.clone(),
                        ..plain_error(error.message.clone())
                    });
                }
                let text =
                    format!("({}) {}; passed over (on_failure = continue)", kind.name(), error.message);
                self.reporter.status(&change.address, &text);
            }
            let error = error.map(|error| error.message);
            self.record(Payload::ProvisionerPassed(ProvisionerPassed { action, place, error })).await?;
        }
        Ok(())
    }

    async fn run_one(&self, address: &InstanceAddress, provision: &Provision) -> Result<(), ProviderError> {
        let name = provision.kind.name();
        self.reporter.status(address, &format!("provisioning with {name} ..."));
        let shown = Shown { reporter: self.reporter, address, name };
        let result = if provision.sensitive {
            shown.line(SUPPRESSED);
            self.provisioners.run(provision, &Hidden).await
        } else {
            self.provisioners.run(provision, &shown).await
        };
        result.map_err(|error| {
            let detail = error.detail.filter(|_| !provision.sensitive);
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            let message = format!("{name} provisioner: {}{detail}", error.message);
            ProviderError { hint: error.hint, ..plain_error(message) }
        })
    }
}

/// Output that goes to the screen.
struct Shown<'a> {
    reporter: &'a dyn Reporter,
    address: &'a InstanceAddress,
    name: &'a str,
}

impl ProvisionOutput for Shown<'_> {
    fn line(&self, text: &str) {
        self.reporter.status(self.address, &format!("({}) {text}", self.name));
    }
}

/// Output that nobody sees.
struct Hidden;

impl ProvisionOutput for Hidden {
    fn line(&self, _: &str) {}
}
