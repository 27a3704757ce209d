//! `pve version`, `pve completions` and `pve man`

use clap::CommandFactory as _;
use serde_json::json;

use super::print_json;
use crate::arguments::{Arguments, CompletionsOptions, ManOptions};
use crate::failure::{Ended, Failure};
use crate::terraform_json::LANGUAGE_VERSION;

/// Prints the version. As JSON it has the names that tools for Terraform look for.
///
/// # Errors
/// When it cannot be written out.
pub fn version(json: bool) -> Ended {
    let platform = format!("{}_{}", std::env::consts::OS, architecture());
    if json {
        print_json(&json!({
            "format_version": "1.0",
            "version": env!("CARGO_PKG_VERSION"),
            "terraform_version": LANGUAGE_VERSION,
            "platform": platform,
            "provider_selections": {},
            "terraform_outdated": false,
        }))?;
    } else {
        println!("pve v{}\non {platform}", env!("CARGO_PKG_VERSION"));
        println!("The configuration language is that of OpenTofu {LANGUAGE_VERSION}.");
    }
    Ok(0)
}

/// The machine by the name that Go has for it, as Terraform prints it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Prints completions.
///
/// # Errors
/// Never.
pub fn completions(options: &CompletionsOptions) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "pve", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(0)
}

/// Writes a manual page for every command.
///
/// # Errors
/// When they cannot be written.
pub fn man(options: &ManOptions) -> Ended {
    let shown = options.folder.display();
    let failed = Failure::writing(&options.folder);
    std::fs::create_dir_all(&options.folder).map_err(&failed)?;
    clap_mangen::generate_to(Arguments::command(), &options.folder).map_err(failed)?;
    eprintln!("Manual pages are in {shown}.");
    Ok(0)
}
