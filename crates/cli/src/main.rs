//! The `pve` binary: the only crate that prints.

#[macro_use]
mod screen;

mod arguments;
mod backend;
mod commands;
mod connect;
mod console;
mod duration;
mod edit;
mod environment;
mod environments;
mod failure;
mod generate;
mod interrupt;
mod plan_file;
mod progress;
mod project;
mod providers;
mod provision;
mod render;
mod replace_file;
mod secrets;
mod session;
mod terraform_json;
mod trace;
mod variables;
mod workspace;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use arguments::{Arguments, Command, with_double_dashes};
use render::paint::Paint;

fn main() -> ExitCode {
    pve_api_client::install_crypto_provider();
    let words = with_double_dashes(environment::with_variables(std::env::args_os().collect()));
    let command = Arguments::command().term_width(screen::help_width());
    let parsed = command.try_get_matches_from(words);
    let mut arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return not_run(&error),
    };
    environment::fill_in(&mut arguments.global);
    let paint = Paint::for_stream(&std::io::stderr(), arguments.global.no_color);
    if let Err(failure) = trace::start(arguments.global.verbose) {
        return ExitCode::from(failure.report(paint));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let message = format!("threads cannot be started: {error}");
            let hint = "Check the limits of this system: `ulimit -a`.";
            return ExitCode::from(failure::Failure::hinted(message, hint).report(paint));
        }
    };
    let ended = runtime.block_on(run(arguments));
    let ended = ended.and_then(|code| match screen::lost() {
        Some(error) => Err(failure::Failure::hinted(
            format!("the output could not be written: {error}"),
            "What was done is done. Free some space, or print elsewhere.",
        )),
        None => Ok(code),
    });
    ExitCode::from(ended.unwrap_or_else(|failure| failure.report(paint)))
}

/// Help, the version, or what is wrong with the command line, in the words of other errors.
fn not_run(error: &clap::Error) -> ExitCode {
    if error.kind() == clap::error::ErrorKind::DisplayVersion {
        let json = std::env::args_os().any(|word| word == "-json" || word == "--json");
        let ended = commands::about::version(json);
        return ExitCode::from(ended.unwrap_or_else(|failure| failure.report(Paint::plain())));
    }
    if !error.use_stderr() {
        // When the terminal is gone there is nobody to tell.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let paint = Paint::for_stream(&std::io::stderr(), false);
    let text = error.render();
    let text = if paint.is_enabled() { text.ansi().to_string() } else { text.to_string() };
    let text = text.replacen("error:", "Error:", 1);
    eprint!("{}", text.replacen("For more information, try", &format!("{} try", paint.cyan("Hint:")), 1));
    ExitCode::from(failure::FAILED)
}

async fn run(arguments: Arguments) -> failure::Ended {
    let global = &arguments.global;
    match arguments.command {
        Command::Init(options) => commands::init::run(global, &options).await,
        Command::Get(options) => commands::get::run(global, &options).await,
        Command::Validate(options) => commands::validate::run(global, &options),
        Command::Plan(options) => commands::plan::run(global, &options).await,
        Command::Apply(options) => commands::apply::run(global, &options).await,
        Command::Destroy(options) => commands::apply::run_destroy(global, options).await,
        Command::Refresh(options) => commands::apply::run_refresh(global, options).await,
        Command::Show(options) => commands::show::run(global, &options).await,
        Command::Log(options) => commands::log::run(global, &options).await,
        Command::Replay(options) => commands::replay::run(global, &options).await,
        Command::Output(options) => commands::output::run(global, &options).await,
        Command::State(command) => commands::state::run(global, &command).await,
        Command::Taint(options) => commands::taint::run(global, &options, true).await,
        Command::Untaint(options) => commands::taint::run(global, &options, false).await,
        Command::Import(options) => commands::import::run(global, &options).await,
        Command::Lock(command) => commands::unlock::status(global, &command).await,
        Command::Unlock(options) => commands::unlock::run(global, &options).await,
        Command::Key(command) => commands::key::run(global, &command).await,
        Command::Workspace(command) => commands::workspace::run(global, &command),
        Command::Providers => commands::providers::run(global).await,
        Command::Graph(options) => commands::graph::run(global, &options),
        Command::Completions(options) => commands::about::completions(&options),
        Command::Man(options) => commands::about::man(&options),
        Command::Version => commands::about::version(global.json),
        Command::Console(options) => commands::console::run(global, &options).await,
        Command::Fmt(options) => commands::fmt::run(global, &options),
        Command::Simulator(options) => commands::simulator::run(global, &options).await,
    }
}
