//! `pve state adopt`: takes over what a state file of Terraform or OpenTofu manages.

use std::collections::BTreeMap;
use std::path::Path;

use pve_model::address::Target;
use pve_model::event::{InstanceObserved, Payload};
use pve_model::rules::RulesRegistry as _;
use pve_model::state::InstanceRecord;
use pve_model::{InstanceAddress, PathStep, ResourceAddress, ResourceMode};
use pve_resources::Registry;
use serde_json::{Value as Json, json};

use super::super::{parse_target, print_json};
use super::file::{Resource, SensitiveStep};
use super::found::{self, Found};
use crate::arguments::{EditOptions, GlobalOptions};
use crate::edit::Edit;
use crate::failure::{Ended, Failure};
use crate::project::Project;

/// What a state file has for the log, and what of it the log cannot have.
#[derive(Default)]
struct Adoption {
    instances: Vec<(InstanceAddress, InstanceRecord)>,
    left: Vec<String>,
}

/// Records every object of the state as imported. The cluster is asked by the next plan, as after any import.
///
/// # Errors
/// When the state cannot be read, Terraform works on it, an object of it is managed already, or the log cannot be
/// written.
pub async fn run(
    global: &GlobalOptions,
    project: &Project,
    path: Option<&Path>,
    options: &EditOptions,
) -> Ended {
    match path {
        Some(path) => {
            let found = Found::file(&project.working_directory, path)?;
            let adoption = Adoption::of(found.as_ref(), &path.display().to_string())?;
            let edit = Edit::begin_or_new(project, "state adopt", &options.lock).await?;
            adopt(global, adoption, &path.display().to_string(), &edit, options).await
        }
        None => {
            // Under the lock, which respects the one of Terraform: what is read then is not written to.
            let edit = Edit::begin_or_new(project, "state adopt", &options.lock).await?;
            let shown = found::place(project)?;
            let adoption = Adoption::of(found::of_backend(project).await?.as_ref(), &shown)?;
            adopt(global, adoption, &shown, &edit, options).await
        }
    }
}

async fn adopt(
    global: &GlobalOptions,
    adoption: Adoption,
    shown: &str,
    edit: &Edit,
    options: &EditOptions,
) -> Ended {
    let Adoption { instances, left } = adoption;
    if let Some((address, _)) =
        instances.iter().find(|(address, _)| edit.state.instances.contains_key(address))
    {
        let hint = "Nothing was changed. Only what the log does not have can be adopted.";
        return Err(Failure::hinted(format!("{address} is managed already"), hint));
    }
    let addresses: Vec<String> = instances.iter().map(|(address, _)| address.to_string()).collect();
    if !options.dry_run && !instances.is_empty() {
        let seen = |(address, record)| {
            Payload::InstanceImported(InstanceObserved { address, deposed: None, record })
        };
        edit.record(instances.into_iter().map(seen).collect(), BTreeMap::new()).await?;
    }
    if global.json {
        print_json(&json!({
            "format_version": "1.0", "dry_run": options.dry_run, "adopted": addresses, "left": left,
        }))?;
        return Ok(0);
    }
    let word = if options.dry_run { "Would adopt" } else { "Adopted" };
    addresses.iter().for_each(|address| println!("{word} {address}"));
    left.iter().for_each(|what| println!("Left out {what}"));
    eprintln!(
        "{word} {} objects. `pve plan` compares them with the cluster and the configuration.\n{shown} may hold secrets in \
         plain text: put it away safely, and do not apply with Terraform any more.",
        addresses.len(),
    );
    Ok(0)
}

impl Adoption {
    /// What a state has.
    fn of(found: Option<&Found>, shown: &str) -> Result<Adoption, Failure> {
        let found = found.ok_or_else(|| {
            let hint =
                "Terraform keeps it elsewhere? Print it with `terraform state pull`, and name that file.";
            Failure::hinted(format!("there is no state {shown}"), hint)
        })?;
        let registry = pve_resources::registry();
        let mut adoption = Adoption::default();
        for resource in found.file.managed() {
            adoption.add(resource, &registry)?;
        }
        Ok(adoption)
    }

    fn add(&mut self, resource: &Resource, registry: &Registry) -> Result<(), Failure> {
        let Some(rules) = registry.resource(&resource.kind) else {
            self.left.push(format!("{}: pve does not have the kind", resource.block()));
            return Ok(());
        };
        let ty = rules.schema().block.implied_type();
        for instance in &resource.instances {
            let address = resource.address(instance)?;
            if let Some(name) = &instance.deposed {
                self.left.push(format!("{address}: the deposed object {name}"));
                continue;
            }
            let values = pve_model::codec::decode(&instance.attributes, &ty)
                .map_err(|error| Failure::plain(format!("{address}: its attributes do not fit: {error}")))?;
            let record = InstanceRecord {
                provider: provider(resource),
                schema_version: rules.schema().version,
                values: pve_model::codec::encode(&values, &ty),
                sensitive: sensitive_paths(&resource.kind, &instance.sensitive_attributes),
                dependencies: instance.dependencies.iter().filter_map(|text| dependency(text)).collect(),
                create_before_destroy: instance.create_before_destroy,
                keep: false,
                tainted: instance.status.as_deref() == Some("tainted"),
                identity: None,
                unspoken: None,
            };
            self.instances.push((address, record));
        }
        Ok(())
    }
}

/// `provider["registry.terraform.io/bpg/proxmox"].other` is `proxmox.other` here.
fn provider(resource: &Resource) -> String {
    let name = pve_config::configuration::default_provider(&resource.kind);
    let alias = resource.provider.rsplit_once(']').map(|(_, alias)| alias).unwrap_or_default();
    format!("{name}{alias}")
}

fn dependency(text: &str) -> Option<ResourceAddress> {
    match parse_target(text).ok()? {
        Target::Resource(resource) if resource.mode == ResourceMode::Managed => Some(resource),
        _ => None,
    }
}

/// The output of `terraform_data` is its input, and Terraform does not mark it.
fn sensitive_paths(kind: &str, marked: &[Vec<SensitiveStep>]) -> Vec<pve_model::Path> {
    let input = PathStep::Attribute("input".into());
    let as_output = |path: &pve_model::Path| {
        let mut steps = path.0.clone();
        steps[0] = PathStep::Attribute("output".into());
        pve_model::Path(steps)
    };
    let paths: Vec<_> = marked.iter().map(|steps| sensitive_path(steps)).collect();
    let of_input = paths.iter().filter(|path| kind == "terraform_data" && path.0.first() == Some(&input));
    let outputs: Vec<_> = of_input.map(as_output).collect();
    [paths, outputs].concat()
}

fn sensitive_path(steps: &[SensitiveStep]) -> pve_model::Path {
    let step = |step: &SensitiveStep| match (&*step.kind, &step.value) {
        ("index", Json::Object(index)) => match index.get("value") {
            Some(Json::Number(number)) => PathStep::Index(number.as_u64().unwrap_or_default()),
            other => PathStep::Key(other.and_then(Json::as_str).unwrap_or_default().into()),
        },
        (_, value) => PathStep::Attribute(value.as_str().unwrap_or_default().into()),
    };
    pve_model::Path(steps.iter().map(step).collect())
}
