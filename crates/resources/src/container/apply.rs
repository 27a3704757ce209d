//! Making, changing and destroying containers.

use std::collections::BTreeSet;
use std::time::Duration;

use pve_executor::ports::ProviderError;
use pve_model::Value;
use pve_model::schema::Block;

use super::addresses::with_addresses;
use super::decode::decode_container;
use super::encode::{Purpose, encode_new, encode_options};
use super::volumes::change_volumes;
use crate::cluster::{Method, Step, refused};
use crate::guest::{
    self, Extent, GuestKind, GuestType, Limits, MARKER, draws_address, encode_ip_config, surplus_devices,
    timeout, with_inherited,
};
use crate::observed::Observed;
use crate::params::Params;
use crate::property::Properties;
use crate::values::{all_blocks, blank, block, complete, flag, text};

/// Containers as a type of guests.
pub(crate) struct Container;

impl GuestType for Container {
    const KIND: GuestKind = GuestKind::Container;

    fn decode(schema: &Block, observed: &Observed, guide: &Value) -> Value {
        decode_container(schema, observed, guide, Extent::Guided)
    }

    fn limits(value: &Value) -> Limits {
        Limits {
            start: Duration::from_secs(300),
            shut_down: Duration::from_secs(60),
            stop: Duration::from_secs(60),
            reboot: None,
            destroy: timeout(value, "timeout_delete").max(Duration::from_secs(60)),
        }
    }
}

/// The container that an action is about.
pub(crate) type Target<'a> = guest::Target<'a, Container>;

impl Target<'_> {
    /// Makes the container from a template file.
    pub(crate) async fn create(&self, planned: &Value, marker: Option<&str>) -> Result<(), ProviderError> {
        let mut params = encode_new(planned);
        params.put("vmid", Some(self.vmid));
        params.put("description", marker);
        let path = format!("/nodes/{}/lxc", self.node);
        let most = timeout(planned, "timeout_create");
        self.call.step(Step::CREATE, Method::Post, &path, &params, most).await
    }

    /// Brings the container from `prior` (`None` after a create or clone) to `planned`.
    pub(crate) async fn bring_to(
        &self,
        prior: Option<&Value>,
        planned: &Value,
        cloned: bool,
    ) -> Result<(), ProviderError> {
        // A guest that was just made does not run.
        let mut taken_back = Vec::new();
        let mut was_running = match prior {
            Some(prior) => {
                let observed = self.look_at_existing().await?;
                self.call.refuse_other(prior, &observed)?;
                self.refuse_other_volumes((prior, planned), &observed, &[])?;
                taken_back = self.take_back(prior, planned, &observed).await?;
                observed.running == Some(true)
            }
            None => false,
        };
        let mut moved = Vec::new();
        if prior.is_some() || cloned {
            moved = self.move_volumes(prior, planned, was_running, &taken_back).await?;
            was_running &= moved.len() == taken_back.len();
        }
        let was_running = self.map_ids(prior, planned, was_running).await?;
        if was_running {
            // A line that waits for a reboot has the size from before a growth that follows it.
            self.grow_volumes(prior, planned).await?;
        }
        self.configure((prior, planned), cloned, &taken_back, &moved).await?;
        if prior.is_some() || cloned {
            self.grow_volumes(None, planned).await?;
        }
        self.change_pool(prior, planned).await?;
        if flag(planned, "template") == Some(true) {
            if self.look_at_options().await?.flag("template") != Some(true) {
                if was_running {
                    self.shut_down(planned).await?;
                }
                let most = timeout(planned, "timeout_create");
                self.call
                    .step(Step::TEMPLATE, Method::Post, &self.path("/template"), &Params::default(), most)
                    .await?;
                self.await_template(most).await?;
            }
            return Ok(());
        }
        self.change_power(planned, was_running, prior.is_some()).await
    }

    /// The answer names no task. Until it has ended the volumes have their old names.
    async fn await_template(&self, most: Duration) -> Result<(), ProviderError> {
        let until = tokio::time::Instant::now() + most;
        while self.look_at_options().await?.flag("template") != Some(true) {
            if tokio::time::Instant::now() > until {
                let message = format!("template {}: it is none yet", self.call.object);
                return Err(refused(message, Some("look at its tasks in the cluster, and plan again")));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }

    async fn configure(
        &self,
        (prior, planned): (Option<&Value>, &Value),
        cloned: bool,
        taken_back: &[String],
        moved: &[String],
    ) -> Result<(), ProviderError> {
        let observed = self.look_at_options().await?;
        self.call.refuse_taken_over(&observed)?;
        if let Some(prior) = prior {
            self.refuse_other_volumes((prior, planned), &observed, moved)?;
        }
        let known = prior.map(|prior| with_inherited(prior, &self.decode(&observed, planned)));
        let (mut set, mut delete) = match &known {
            Some(known) => encode_options(planned, Purpose::All).since(&encode_options(known, Purpose::All)),
            // A clone begins as its template: what is stated is brought about, the rest stays.
            None if cloned => {
                let now = encode_options(&self.decode(&observed, planned), Purpose::Clone);
                encode_options(planned, Purpose::Clone).since(&now)
            }
            None => {
                let mut set = Params::default();
                set.put("description", text(planned, "description"));
                (set, BTreeSet::new())
            }
        };
        if prior.is_some() || cloned {
            change_volumes(&observed, (prior, planned), taken_back, &mut set, &mut delete);
        }
        let marked = observed.text("description").is_some_and(|text| text.starts_with(MARKER));
        match text(planned, "description") {
            Some(description) if marked => set.put("description", Some(description)),
            None if marked => {
                delete.insert("description".to_string());
            }
            _ => {}
        }
        if cloned && all_blocks(planned, "network_interface").is_empty() {
            set.0.extend(addressed_interfaces(&observed, (prior, planned)).0);
        }
        let is_drawn = prior.is_some_and(|prior| !all_blocks(prior, "network_interface").is_empty());
        let drawn = if is_drawn { planned.clone() } else { blank(planned) };
        keep_addresses(&observed, &drawn, &mut set);
        delete.extend(surplus_devices(&observed, known.as_ref(), planned, "network_interface", &set));
        keep_what_it_was_made_with(&observed, (prior, planned), cloned, &mut set, &mut delete);
        delete.retain(|name| observed.config.contains_key(name) && !set.0.contains_key(name));
        if set.0.is_empty() && delete.is_empty() {
            return Ok(());
        }
        let held = set.0.keys().chain(&delete).filter(|name| is_volume(name));
        let observed = match self.lift_protection(held, &observed, planned).await? {
            true => self.look_at_options().await?,
            false => observed,
        };
        if !delete.is_empty() {
            set.put("delete", Some(delete.iter().cloned().collect::<Vec<_>>().join(",")));
        }
        set.put("digest", observed.text("digest"));
        let most = timeout(planned, "timeout_update");
        self.call.step(Step::CONFIGURE, Method::Put, &self.path("/config"), &set, most).await
    }

    /// Moves the container to the planned node; a running one restarts there.
    pub(crate) async fn migrate(
        &self,
        prior: &Value,
        planned: &Value,
        to: &str,
    ) -> Result<(), ProviderError> {
        let observed = self.look_at_existing().await?;
        self.call.refuse_other(prior, &observed)?;
        self.refuse_other_volumes((prior, planned), &observed, &[])?;
        let running = observed.running == Some(true);
        let mut params = Params::default();
        params.put("target", Some(to));
        params.put_flag("restart", running.then_some(true));
        params.put("target-storage", self.target_storages(prior, planned, to).await);
        let most = timeout(planned, "timeout_update");
        self.call.migrate("lxc", self.vmid, &self.path("/migrate"), to, &params, most).await
    }

    /// The values after everything is done.
    pub(crate) async fn finish(&self, planned: &Value) -> Result<Value, ProviderError> {
        // Whether it runs is as planned: its tasks went well.
        let observed = self.look_at_options().await?;
        let mut read = self.decode(&observed, planned);
        if flag(planned, "started") != Some(false) && flag(planned, "template") != Some(true) {
            read = with_addresses(self, planned, read).await;
        }
        Ok(complete(planned, &read))
    }
}

/// Whether an option is the root disk or a mount point.
fn is_volume(option: &str) -> bool {
    option == "rootfs" || option.strip_prefix("mp").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The interfaces that a clone has from its template, with the addresses that are configured for them in turn. One whose
/// addresses are not configured any more has none.
fn addressed_interfaces(observed: &Observed, (prior, planned): (Option<&Value>, &Value)) -> Params {
    let of = |value: &Value| {
        let initialization = block(value, "initialization");
        let configs = initialization.map(|part| all_blocks(part, "ip_config")).unwrap_or_default();
        configs.iter().map(encode_ip_config).collect::<Vec<_>>()
    };
    let mut configs = of(planned);
    let before = prior.map_or(0, |prior| of(prior).len());
    configs.resize(before.max(configs.len()), Properties::default());
    let mut set = Params::default();
    for (index, config) in configs.iter().enumerate() {
        let slot = format!("net{index}");
        let Some(now) = observed.text(&slot).map(|now| Properties::parse(&now)) else { continue };
        let is_address = |key: &str| ["gw", "gw6", "ip", "ip6"].contains(&key);
        let rest = now.pairs().iter().filter(|(key, _)| !is_address(key));
        let wanted = rest.fold(Properties::default(), |all, (key, value)| all.with(key, Some(value)));
        let wanted = wanted.joined(config);
        let is_same = now.pairs().len() == wanted.pairs().len()
            && now.pairs().iter().all(|(key, value)| wanted.get(key) == Some(value));
        set.put(&slot, (!is_same).then_some(wanted));
    }
    set
}

/// Puts the present MAC address into each interface that is to be sent without one, except into a new one that takes the
/// slot of another.
fn keep_addresses(observed: &Observed, planned: &Value, set: &mut Params) {
    for (name, interface) in &mut set.0 {
        let Some(index) = name.strip_prefix("net").and_then(|index| index.parse::<usize>().ok()) else {
            continue;
        };
        if draws_address(planned, "network_interface", index) {
            continue;
        }
        let wanted = Properties::parse(interface);
        let now = observed.text(name).map(|now| Properties::parse(&now));
        if let (None, Some(mac)) = (wanted.get("hwaddr"), now.as_ref().and_then(|now| now.get("hwaddr"))) {
            *interface = wanted.with("hwaddr", Some(mac)).to_string();
        }
    }
}

/// The architecture and the type of the system are settled when the container is made, but for those of a clone: what is not
/// configured of them its template tells.
fn keep_what_it_was_made_with(
    observed: &Observed,
    (prior, planned): (Option<&Value>, &Value),
    cloned: bool,
    set: &mut Params,
    delete: &mut BTreeSet<String>,
) {
    for fixed in ["ostype", "arch"] {
        let same = set.0.get(fixed).is_some_and(|value| observed.text(fixed).as_ref() == Some(value));
        if same || prior.is_none() && !cloned {
            set.0.remove(fixed);
        }
    }
    // A block that is new and has no type leaves a clone the one that its template told.
    let is_new = prior.is_none_or(|prior| block(prior, "operating_system").is_none());
    if is_new && set.0.get("ostype").is_some_and(|kind| kind == "unmanaged") {
        set.0.remove("ostype");
    }
    // A container always has an architecture and a type: without a stated one these are the usual ones.
    let architecture = block(planned, "cpu").and_then(|cpu| cpu.get("architecture"));
    let is_open = architecture.is_some_and(|architecture| !architecture.is_known());
    if delete.remove("arch") && !is_open && observed.text("arch").is_some_and(|arch| arch != "amd64") {
        set.put("arch", Some("amd64"));
    }
    delete.remove("ostype");
}
