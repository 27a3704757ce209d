//! `pve log`

use pve_model::event::Event;
use pve_state::{KeyError, LogError};
use serde_json::{Value as Json, json};

use self::history::{Described, lines};
use super::{parse_target, print_json};
use crate::arguments::{GlobalOptions, LogCommand, LogOptions};
use crate::backend::{discard_spool, refuse_left_behind};
use crate::duration::parse_wait;
use crate::environments::tell_if_none_is_chosen;
use crate::failure::{Ended, Failure, chain};
use crate::project::Project;
use crate::render::paint::Paint;

mod history;

/// `format_version` of the log's JSON: one document with `events`, or one an event with `--jsonl`.
const FORMAT: &str = "1.0";
/// How times are shown: to the second, in universal time, as `pve replay -to` takes them.
pub const TIME: &str = "%Y-%m-%d %H:%M:%SZ";

const RESTORE: &str = "Restore the log from a copy; what it is about in the cluster is untouched.";

/// Shows or checks the log.
///
/// # Errors
/// When it cannot be read.
pub async fn run(global: &GlobalOptions, options: &LogOptions) -> Ended {
    let project = Project::find(global)?;
    if let Some(LogCommand::Push { discard, lock_timeout }) = &options.command {
        return push(global, &project, *discard, lock_timeout).await;
    }
    tell_if_none_is_chosen(&project)?;
    if !project.has_log()? {
        eprintln!("There is no log yet; `pve apply` writes the first events.");
        if global.json && options.command.is_none() {
            print_json(&json!({"format_version": FORMAT, "events": []}))?;
        }
        return Ok(0);
    }
    if let Some(LogCommand::Verify) = options.command {
        return verify(global, &project).await;
    }
    let events = project.open_log().await?.0.read(0).await?;
    if events.is_empty() {
        eprintln!("The log of the environment {} has no events yet.", project.stream());
    }
    let target = options.address.as_deref().map(parse_target).transpose()?;
    let lines = lines(&events, target.as_ref(), options, global.json)?;
    let skip = options.last.map_or(0, |last| lines.len().saturating_sub(last));
    print_lines(global, options, &lines[skip..])?;
    Ok(0)
}

fn print_lines(
    global: &GlobalOptions,
    options: &LogOptions,
    shown: &[(&Event, Described)],
) -> Result<(), Failure> {
    if options.jsonl {
        for (event, described) in shown {
            let mut json = event_json(event, described);
            json["format_version"] = json!(FORMAT);
            print_json(&json)?;
        }
    } else if global.json {
        let events = shown.iter().map(|(event, described)| event_json(event, described));
        print_json(&json!({"format_version": FORMAT, "events": events.collect::<Vec<_>>()}))?;
    } else {
        let paint = Paint::for_stream(&std::io::stdout(), global.no_color);
        for (event, described) in shown {
            let (time, actor) = (event.time.strftime(TIME), &event.actor);
            let id = if options.events { format!("{} ", event.id) } else { String::new() };
            let line = format!("{id}{time} {}@{} {}", actor.user, actor.host, described.line);
            println!("{}", paint.prose_behind(&format!("{:>5} ", event.sequence), &line));
        }
    }
    Ok(())
}

fn event_json(event: &Event, described: &Described) -> Json {
    let address = described.address.as_ref().map(ToString::to_string);
    json!({
        "sequence": event.sequence, "id": event.id, "time": event.time.to_string(),
        "run": event.run, "user": event.actor.user, "host": event.actor.host,
        "version": event.actor.version, "kind": event.payload.kind(), "address": address, "text": described.text,
    })
}

async fn push(global: &GlobalOptions, project: &Project, discard: bool, wait: &str) -> Ended {
    if discard {
        match discard_spool(project)? {
            Some(file) => println!("Put aside as {}.", file.display()),
            None => eprintln!("There is nothing to push."),
        }
        return Ok(0);
    }
    let pushed = crate::backend::push(project, parse_wait(wait)?).await?;
    if global.json {
        let pushed = pushed.unwrap_or_default();
        let notes =
            pushed.notes.iter().map(|(address, text)| json!({"address": address.to_string(), "text": text}));
        print_json(&json!({
            "format_version": FORMAT, "pushed": pushed.events, "passed_over": pushed.passed_over,
            "notes": notes.collect::<Vec<_>>(),
        }))?;
        return Ok(0);
    }
    let Some(pushed) = pushed else {
        eprintln!("There is nothing to push.");
        return Ok(0);
    };
    println!("Pushed {} events.", pushed.events);
    if pushed.passed_over > 0 {
        eprintln!(
            "Another run worked meanwhile: {} more say nothing that it does not know better, and are kept in the log as \
             what was passed over.",
            pushed.passed_over
        );
    }
    for (address, note) in &pushed.notes {
        eprintln!("Note: {address}: {note}.");
    }
    Ok(0)
}

/// Checks the chain, which needs no key, then what this machine remembers of the log, and with the key at hand that
/// every event is as whoever had the key wrote it: the chain could be made anew by somebody who has not.
async fn verify(global: &GlobalOptions, project: &Project) -> Ended {
    refuse_left_behind(project).await?;
    let checked =
        match crate::backend::open_without_key(project).await.map(|log| async move { log.verify().await }) {
            Ok(checking) => checking.await,
            Err(failure) => return Err(failure),
        };
    let found = match checked {
        Ok(found) => found,
        Err(LogError::Damaged(fault)) => return Err(Failure::hinted(fault, RESTORE)),
        Err(error) => return Err(error.into()),
    };
    let mut fault = found.fault.as_ref().map(ToString::to_string);
    let mut opened = false;
    if fault.is_none() {
        fault = crate::backend::unlike_remembered(project).await?;
    }
    if fault.is_none() && project.has_key() {
        match crate::backend::open_all(project).await? {
            Ok(all) => opened = all,
            // Whoever has another key checks the chain alone.
            Err(LogError::Key(KeyError::NotForThis { .. })) => {}
            Err(error) => fault = Some(chain(&error)),
        }
    }
    if global.json {
        let document =
            json!({"format_version": "1.0", "events": found.events, "fault": fault, "opened": opened});
        print_json(&document)?;
        return Ok(u8::from(fault.is_some()));
    }
    match fault {
        None if opened => println!("{} events, none changed; all open with the key here.", found.events),
        None => println!(
            "{} events, none changed. Without the log's key, who wrote them is not proved.",
            found.events
        ),
        Some(fault) => {
            return Err(Failure::hinted(fault, RESTORE));
        }
    }
    Ok(0)
}
