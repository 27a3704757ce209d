//! `pve lock status` and `pve unlock`

use pve_state::{EventLog as _, LeaseHolder, break_lease, lease_status};
use pve_state_s3::{SharedLog, TerraformLock};
use serde_json::json;

use super::{is_approved, print_json};
use crate::arguments::{GlobalOptions, LockCommand, UnlockOptions};
use crate::backend::{Backend, is_passed_over, pass_over, unknown_lock};
use crate::failure::{Ended, FAILED, Failure};
use crate::project::{Project, actor};

const QUESTION: &str = "Break it? A run that is alive stops at its next event.";

/// Shows who works on the environment.
///
/// # Errors
/// When the store cannot be read.
pub async fn status(global: &GlobalOptions, _: &LockCommand) -> Ended {
    let project = Project::find(global)?;
    let Some(shared) = shared(&project).await? else {
        let text = "The log is on this machine: the system's lock ends with the process that holds it.";
        return print(global, text, None, Some(&[]));
    };
    let holder = lease_status(&*shared.lease).await?.and_then(|lease| lease.record.holder);
    let locks = match shared.terraform_locks().await {
        Ok(mut locks) => {
            locks.retain(|lock| !is_passed_over(&project, lock));
            Some(locks)
        }
        Err(error) => {
            eprintln!("Note: it cannot be told whether Terraform holds its lock: {error}");
            None
        }
    };
    let (who, begun) = match locks.as_ref().is_none_or(Vec::is_empty) {
        true => ("Nobody", "nobody"),
        false => ("No run of pve", "no run of pve"),
    };
    let environment = project.stream();
    let mut text = match &holder {
        None if shared.log.head().await? == 0 => {
            format!("The environment {environment} has no log yet: {begun} works on it.")
        }
        None => format!("{who} works on the environment {environment}."),
        Some(holder) => format!("Held: {holder}"),
    };
    for lock in locks.iter().flatten() {
        text += &format!("\nTerraform holds its lock on the state beside this log: {lock}");
    }
    print(global, &text, holder.as_ref(), locks.as_deref())
}

/// Breaks the lease that is shown, and no other: its holder's next event is refused.
///
/// # Errors
/// When there is no shared log, nobody approves, or the lease is another one by now.
pub async fn run(global: &GlobalOptions, options: &UnlockOptions) -> Ended {
    let project = Project::find(global)?;
    let Some(shared) = shared(&project).await? else {
        return Err(Failure::hinted(
            "the log is on this machine, and there is nothing to unlock",
            "A run that died holds no lock. `pve apply` names a process that still runs.",
        ));
    };
    if options.terraform {
        return unlock_terraform(global, options, &project, &shared).await;
    }
    if options.force && shared.lease.repair(LeaseHolder::new(actor(), "unlock")).await? {
        println!(
            "The lease could not be read, and is made anew. The next run waits a minute for whoever may have it."
        );
        return Ok(0);
    }
    let Some(lease) = lease_status(&*shared.lease).await? else {
        eprintln!("Nobody works on this environment.");
        return Ok(0);
    };
    if let Some(holder) = &lease.record.holder {
        eprintln!("Held: {holder}");
    }
    if !options.force && !is_approved(global, QUESTION, "Give -force to break the lease.")? {
        eprintln!("Nothing was changed.");
        return Ok(FAILED);
    }
    let by = LeaseHolder::new(actor(), "unlock");
    let remaining = break_lease(&*shared.lease, &*shared.log, &lease, by).await?;
    shared.log.settle().await;
    match remaining {
        None => println!("Unlocked: that process has ended. `pve apply` looks what became of it."),
        Some(time) => println!(
            "Unlocked. That run may be alive and have a request under way until it notices, at the latest at {}: the next \
             run waits until then, and looks what became of it. What it still does is kept there for `pve log push`.",
            (jiff::Timestamp::now() + time).strftime("%H:%M:%SZ")
        ),
    }
    Ok(0)
}

/// Passes over Terraform's locks that are shown, and no other. Nothing is removed: whoever holds it may be alive, and a
/// removal could hit the next one.
async fn unlock_terraform(
    global: &GlobalOptions,
    options: &UnlockOptions,
    project: &Project,
    shared: &SharedLog,
) -> Ended {
    let locks = shared.terraform_locks().await.map_err(|error| unknown_lock(&error))?;
    if locks.is_empty() {
        eprintln!("Terraform holds no lock on the state beside this log.");
        return Ok(0);
    }
    for lock in &locks {
        eprintln!("Held: {lock}");
    }
    let question = "Pass over it? If that run is alive, both would change the same guests.";
    if !options.force && !is_approved(global, question, "Give -force to pass over the lock.")? {
        eprintln!("Nothing was changed.");
        return Ok(FAILED);
    }
    pass_over(project, &locks)?;
    for lock in &locks {
        println!(
            "This lock is passed over from now on. It is left there: `terraform force-unlock {}`.",
            lock.id
        );
    }
    Ok(0)
}

async fn shared(project: &Project) -> Result<Option<SharedLog>, Failure> {
    Ok(match project.backend()? {
        Backend::Local(_) => None,
        Backend::Shared(settings) => {
            Some(SharedLog::connect(settings, project.stream(), project.key()?).await?)
        }
    })
}

/// `locks` are Terraform's; `None` when they cannot be told.
fn print(
    global: &GlobalOptions,
    text: &str,
    holder: Option<&LeaseHolder>,
    locks: Option<&[TerraformLock]>,
) -> Ended {
    if !global.json {
        println!("{text}");
        return Ok(0);
    }
    let lock = |lock: &TerraformLock| {
        json!({
            "id": lock.id, "operation": lock.operation, "who": lock.who, "created": lock.created, "table": lock.table,
        })
    };
    let locks = locks.map(|locks| locks.iter().map(lock).collect::<Vec<_>>());
    print_json(&json!({ "format_version": "1.0", "holder": holder, "terraform": locks }))?;
    Ok(0)
}
