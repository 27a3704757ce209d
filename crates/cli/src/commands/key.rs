//! `pve key`: who can open the log, and with which keys it is sealed.

use std::io::IsTerminal as _;
use std::sync::Arc;

use pve_model::event::{KeysChanged, Payload};
use pve_state::{Identity, Key, Keyring, KeyringChange, recipient_text};
use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, KeyCommand, LockOptions};
use crate::backend::{log_id, open_to_change};
use crate::duration::parse_wait;
use crate::failure::{Ended, Failure};
use crate::project::{Project, actor};

/// A passphrase that is to be let in.
const VARIABLE: &str = "PVE_NEW_ENCRYPTION_PASSPHRASE";

/// Shows or changes who can open the log.
///
/// # Errors
/// When the log cannot be opened, somebody works on it, or the change cannot be made.
pub async fn run(global: &GlobalOptions, command: &KeyCommand) -> Ended {
    let project = Project::find(global)?;
    match command {
        KeyCommand::Show => show(global, &project).await,
        KeyCommand::Add { recipient, name, lock, .. } => {
            let identity = match recipient {
                Some(text) => Identity::parse(name, text)?,
                None => Identity::of(name, &new_passphrase(global)?)?,
            };
            change(global, &project, lock, KeyringChange::Add(identity), format!("added {name}")).await
        }
        KeyCommand::Remove { name, lock } => {
            let change_ = KeyringChange::Remove(name.clone());
            change(global, &project, lock, change_, format!("removed {name}")).await
        }
        KeyCommand::Rotate { lock } => {
            change(global, &project, lock, KeyringChange::Rotate, "a new key".into()).await
        }
    }
}

async fn show(global: &GlobalOptions, project: &Project) -> Ended {
    let key = project.key()?;
    let own = recipient_text(&key).ok();
    let log = if project.has_log()? { Some(open_to_change(project).await?) } else { None };
    let (mut ring, mut id) = (None, None);
    if let Some(log) = log {
        ring = log.keyring().await?;
        id = if log.head().await? > 0 { Some(log_id(&*log).await?) } else { None };
    }
    let (revision, recipients) = ring.map_or((0, Vec::new()), |ring| (ring.revision, ring.recipients));
    if global.json {
        let recipients = recipients.iter().map(|one| {
            json!({"name": one.name, "added": one.added.to_string(), "passphrase": one.is_passphrase()})
        });
        let recipients: Vec<_> = recipients.collect();
        print_json(&json!({
            "format_version": "1.0", "recipient": own, "log": id, "revision": revision, "recipients": recipients,
        }))?;
        return Ok(0);
    }
    match &own {
        Some(text) => println!("{text}"),
        None => println!("The key here is a passphrase: whoever knows it has the key."),
    }
    if let Some(id) = id {
        println!("The log is {id}.");
    }
    if revision == 0 {
        eprintln!("The log has no keys of its own yet: it is sealed with the key here, if there is a log.");
    }
    for one in recipients {
        let kind = if one.is_passphrase() { "passphrase" } else { "key file" };
        println!("{} ({kind}) since {}", one.name, one.added.strftime("%Y-%m-%d"));
    }
    Ok(0)
}

/// Changes the keys and records that, under the lock. An event behind the change makes every other writer look anew.
async fn change(
    global: &GlobalOptions,
    project: &Project,
    lock: &LockOptions,
    change: KeyringChange,
    told: String,
) -> Ended {
    if !project.has_log()? {
        return Err(Failure::hinted("there is no log yet", "`pve apply` writes the first events."));
    }
    let _lock = project.lock("key", parse_wait(&lock.lock_timeout)?).await?;
    // Refuses one that was moved, emptied or replaced.
    let (noted, state) = project.open_log().await?;
    if state.sequence == 0 {
        return Err(Failure::hinted("the log has no events yet", "`pve apply` writes the first ones."));
    }
    let log = open_to_change(project).await?;
    let actor = actor();
    let ring = log.change_keyring(&format!("{}@{}", actor.user, actor.host), change).await?;
    drop(log);
    let names: Vec<String> = ring.recipients.iter().map(|one| one.name.clone()).collect();
    let payload = KeysChanged { revision: ring.revision, change: told.clone(), recipients: names.clone() };
    let writer = pve_state::Writer::start(Arc::clone(&noted), state, actor);
    writer.record(Payload::KeysChanged(payload)).await.map_err(|error| {
        Failure::plain(format!("the keys were changed, and the log could not be told: {}", error.message))
    })?;
    // Those of before are sealed with keys that are not the newest ones any more.
    if let Err(error) = noted.save_snapshot(&writer.state()).await {
        eprintln!("Note: no snapshot was kept ({error}); the log is complete without it.");
    }
    noted.settle().await;
    report(global, &ring, &told, &names)
}

fn report(global: &GlobalOptions, ring: &Keyring, told: &str, names: &[String]) -> Ended {
    if global.json {
        print_json(&json!({"format_version": "1.0", "revision": ring.revision, "recipients": names}))?;
        return Ok(0);
    }
    println!("Done: {told}. What comes can be opened by {}.", names.join(", "));
    eprintln!(
        "Whoever is let in can read all that is in the log; whoever is taken out can still read what was there until now."
    );
    Ok(0)
}

fn new_passphrase(global: &GlobalOptions) -> Result<Key, Failure> {
    let given = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let text = match given {
        Some(text) => text,
        None if global.input && std::io::stdin().is_terminal() => {
            rpassword::prompt_password("The passphrase to let in: ")
                .map_err(|error| Failure::plain(format!("the passphrase cannot be asked for: {error}")))?
        }
        None => {
            let hint = format!("Set {VARIABLE}.");
            return Err(Failure::hinted("nobody is there to type the passphrase", hint));
        }
    };
    Ok(Key::of_passphrase(text, VARIABLE))
}
