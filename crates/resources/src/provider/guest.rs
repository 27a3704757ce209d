//! A VM or a container, whichever it is.

use pve_executor::ports::ProviderError;
use pve_model::{Type, Value};

use super::identity::Traits;
use super::unfinished::{with_set_aside, with_unremoved};
use crate::cluster::Call;
use crate::guest::GuestKind;
use crate::observed::Observed;
use crate::registry::Kind;
use crate::values::{all_blocks, block, with, with_elements};
use crate::{container, vm};

/// A VM or container as the target of calls.
pub(super) enum Guest<'a> {
    Vm(vm::Target<'a>),
    Container(container::Target<'a>),
}

impl<'a> Guest<'a> {
    pub(super) fn new(
        guest: GuestKind,
        kind: &'a Kind,
        call: Call<'a>,
        (node, vmid): (String, u32),
    ) -> Guest<'a> {
        match guest {
            GuestKind::Vm => Guest::Vm(vm::Target::new(call, kind, node, vmid)),
            GuestKind::Container => Guest::Container(container::Target::new(call, kind, node, vmid)),
        }
    }

    pub(super) async fn look(&self) -> Result<Option<Observed>, ProviderError> {
        match self {
            Guest::Vm(vm) => vm.look().await,
            Guest::Container(container) => container.look().await,
        }
    }

    /// Whether what was seen last under the id is the guest that was to be changed: another one's values would count as ours
    /// if they were told to be left.
    pub(super) fn is_known(&self, prior: &Value) -> bool {
        let vmid = match self {
            Guest::Vm(vm) => vm.vmid,
            Guest::Container(container) => container.vmid,
        };
        let known = Traits::recorded(prior, self.call().identity.as_deref());
        self.call().cluster.seen(vmid).is_some_and(|now| known.is_replaced(&now).is_none())
    }

    /// The calls that act on it.
    pub(super) fn call(&self) -> &Call<'a> {
        match self {
            Guest::Vm(vm) => &vm.call,
            Guest::Container(container) => &container.call,
        }
    }

    pub(super) async fn read(&self, planned: &Value) -> Result<Value, ProviderError> {
        match self {
            Guest::Vm(vm) => vm.read(planned).await,
            Guest::Container(container) => container.read(planned).await,
        }
    }

    /// The values of a guest whose change from `prior` to `planned` broke off.
    pub(super) async fn read_left(&self, prior: &Value, planned: &Value) -> Result<Value, ProviderError> {
        let guide = with_unremoved(prior, planned);
        match self {
            Guest::Vm(vm) => {
                let Some(observed) = vm.look().await? else { return self.read(&guide).await };
                let seen = (&observed, vm.call.identity.as_deref());
                let read = self.read(&with_set_aside(&guide, planned, seen, vm.kind.block())).await?;
                vm.with_unfinished_removals(prior, planned, read).await
            }
            Guest::Container(container) => {
                let read = container.read(&guide).await?;
                container.with_unfinished_removals(prior, planned, read).await
            }
        }
    }

    /// Such a guest, or one that is being made (without `prior`), where passwords may not have been set. A password cannot
    /// be read back, so one that is planned counts as not set, and one that was to go as there: either is asked for once
    /// more, which does no harm.
    pub(super) async fn read_unfinished(
        &self,
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<Value, ProviderError> {
        let value = match prior {
            Some(prior) => self.read_left(prior, planned).await?,
            None => self.read(planned).await?,
        };
        Ok(match self {
            Guest::Vm(_) if has_password(planned) => without_password(&value),
            _ => value,
        })
    }

    pub(super) async fn make(&self, planned: &Value, marker: Option<&str>) -> Result<(), ProviderError> {
        match (self, block(planned, "clone")) {
            (Guest::Vm(vm), Some(clone)) => vm.clone_from(planned, clone, marker).await,
            (Guest::Vm(vm), None) => vm.create(planned, marker).await,
            (Guest::Container(container), Some(clone)) => container.clone_from(planned, clone, marker).await,
            (Guest::Container(container), None) => container.create(planned, marker).await,
        }
    }

    pub(super) async fn bring_to(&self, prior: Option<&Value>, planned: &Value) -> Result<(), ProviderError> {
        let cloned = block(planned, "clone").is_some();
        match self {
            Guest::Vm(vm) => vm.bring_to(prior, planned, cloned).await,
            Guest::Container(container) => container.bring_to(prior, planned, cloned).await,
        }
    }

    pub(super) async fn finish(&self, planned: &Value) -> Result<Value, ProviderError> {
        match self {
            Guest::Vm(vm) => vm.finish(planned).await,
            Guest::Container(container) => container.finish(planned).await,
        }
    }

    pub(super) async fn delete(&self, prior: &Value) -> Result<(), ProviderError> {
        match self {
            Guest::Vm(vm) => vm.delete(prior).await,
            Guest::Container(container) => container.delete(prior).await,
        }
    }

    pub(super) async fn migrate(
        &self,
        prior: &Value,
        planned: &Value,
        to: &str,
    ) -> Result<(), ProviderError> {
        match self {
            Guest::Vm(vm) => vm.migrate(prior, planned, to).await,
            Guest::Container(container) => container.migrate(prior, planned, to).await,
        }
    }
}

fn has_password(value: &Value) -> bool {
    let account = block(value, "initialization").and_then(|of| block(of, "user_account"));
    account.and_then(|account| account.get("password")).is_some_and(|password| !password.is_null())
}

fn without_password(value: &Value) -> Value {
    let in_each = |value: &Value, name: &str, change: &dyn Fn(&Value) -> Value| {
        with_elements(value, name, all_blocks(value, name).iter().map(change).collect())
    };
    in_each(value, "initialization", &|initialization| {
        in_each(initialization, "user_account", &|account| {
            with(account, "password", Value::null(Type::String))
        })
    })
}
