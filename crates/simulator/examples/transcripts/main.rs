//! Plays recordings of the real API against a fresh simulator and tells where the two differ.
//!
//! `cargo run -p pve-simulator --example transcripts -- FOLDER [FILE...] [-v]`: one row a file, with `-v` every
//! difference. The files are played at the same time, each on a simulator whose clock only the player moves. Ends with 1 if a step differs, 2 if the recordings cannot be read.

mod answer;
mod compare;
mod environment;
mod log;
mod player;
mod recording;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use recording::Recording;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How a file went.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let (verbose, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument == "-v");
    match run(&names, !verbose.is_empty()).await {
        Ok(total) if total.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn run(names: &[String], verbose: bool) -> Result<Count, Error> {
    let (folder, chosen) = names.split_first().ok_or("usage: transcripts FOLDER [FILE...] [-v]")?;
    let mut total = Count::default();
    println!("{:<34} {:>7} {:>7} {:>8}", "recording", "passed", "failed", "skipped");
    let mut playing = Vec::new();
    for path in files(Path::new(folder), chosen)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let recording: Recording = serde_json::from_slice(&std::fs::read(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        playing.push((name.clone(), tokio::spawn(async move { play(&name, &recording).await })));
    }
    for (name, played) in playing {
        let (count, differences) = played.await??;
        if verbose {
            differences.iter().for_each(|difference| println!("{difference}"));
        }
        println!("{name:<34} {:>7} {:>7} {:>8}", count.passed, count.failed, count.skipped);
        total.passed += count.passed;
        total.failed += count.failed;
        total.skipped += count.skipped;
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(total)
}

fn files(folder: &Path, chosen: &[String]) -> std::io::Result<Vec<PathBuf>> {
    if !chosen.is_empty() {
        return Ok(chosen.iter().map(|name| folder.join(name)).collect());
    }
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    all.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    all.sort();
    Ok(all)
}

/// Plays one recording on a simulator of its own. Steps whose failure was the recorded server's own are left out, what
/// they left behind is made. Steps that a substituted piece of the recorded server influenced
/// are sent, since later ones depend on them, and not compared.
async fn play(name: &str, recording: &Recording) -> Result<(Count, Vec<String>), Error> {
    let server = environment::start(name).await?;
    let newcomer = environment::newcomer(name, server.simulator()).await?;
    let mut player = player::Player::new(&server, newcomer.as_ref(), recording)?;
    player.prepare(&environment::preparations(name)).await?;
    if let Some((rest, preparation)) = environment::later(name) {
        player.advance(rest);
        player.prepare(&[preparation]).await?;
        player.advance(rest);
    }
    let (mut count, mut differences) = (Count::default(), Vec::new());
    let unplayed = recording.unplayed();
    for (number, step) in recording.steps.iter().enumerate() {
        if unplayed.contains(&number) {
            player.prepare(&environment::aftermath(name, number)).await?;
            count.skipped += 1;
            continue;
        }
        environment::meanwhile(name, number, server.simulator());
        player.prepare(&environment::unrecorded(name, number)).await?;
        let found = player.play(step).await?;
        if step.stubbed {
            count.skipped += 1;
        } else if found.is_empty() {
            count.passed += 1;
        } else {
            count.failed += 1;
            let request = &step.request;
            let note = step.note.as_deref().unwrap_or_default();
            let sent =
                request.raw_body.clone().unwrap_or_else(|| serde_json::json!(request.params).to_string());
            differences.push(format!(
                "{name} #{number} {} {} {sent} ({note})\n    {}",
                request.method,
                request.path,
                found.join("\n    ")
            ));
        }
    }
    if let Some(newcomer) = newcomer {
        newcomer.shutdown().await;
    }
    server.shutdown().await;
    Ok((count, differences))
}
