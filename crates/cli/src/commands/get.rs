//! `pve get`, and what `pve init` has in common with it: modules that come from elsewhere.

use pve_config::configuration::{Configuration, Loaded, Module, Version};
use pve_config::syntax::Diagnostic;
use pve_modules::{Installation, Reporter, Settings, install};

use crate::arguments::{GetOptions, GlobalOptions};
use crate::failure::{Ended, Failure};
use crate::project::Project;
use crate::render::diagnostics::render_diagnostics;
use crate::render::paint::Paint;

/// Fetches the modules that are not there.
///
/// # Errors
/// When one cannot be fetched.
pub async fn run(global: &GlobalOptions, options: &GetOptions) -> Ended {
    let project = Project::find(global)?;
    let installation = installed(&project, options.update).await?;
    let modules = counted(&installation.loaded.configuration, installation.fetched);
    report(global, installation.loaded)?;
    println!("All modules are there: {modules}.");
    Ok(0)
}

/// Installs what the configuration calls, with progress on standard error.
///
/// # Errors
/// When settings or the data folder cannot be used.
pub async fn installed(project: &Project, upgrade: bool) -> Result<Installation, Failure> {
    let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let settings = Settings::find(&|name| std::env::var(name).ok(), &names)?;
    Ok(install(&project.root, &settings, upgrade, &Lines).await?)
}

/// Tells what was found in a configuration.
///
/// # Errors
/// When there is an error in it.
pub fn report(global: &GlobalOptions, loaded: Loaded) -> Result<(), Failure> {
    if loaded.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(Failure::Diagnosed { diagnostics: loaded.diagnostics, sources: loaded.sources });
    }
    let paint = Paint::for_stream(&std::io::stderr(), global.no_color);
    eprint!("{}", render_diagnostics(&loaded.diagnostics, &loaded.sources, paint));
    Ok(())
}

/// How many modules the configuration calls, and how many of them were fetched.
pub fn counted(configuration: &Configuration, fetched: usize) -> String {
    let fetched = if fetched == 0 { "none".into() } else { fetched.to_string() };
    match called(&configuration.root) {
        0 => "no modules in use".into(),
        1 => format!("1 module in use, {fetched} fetched"),
        modules => format!("{modules} modules in use, {fetched} fetched"),
    }
}

fn called(module: &Module) -> usize {
    module.module_calls.values().map(|call| 1 + call.child.as_ref().map_or(0, called)).sum()
}

/// Progress as lines on standard error.
struct Lines;

impl Reporter for Lines {
    fn waiting(&self) {
        eprintln!("Waiting: another pve fetches modules for this project.");
    }

    fn fetching(&self, key: &str, source: &str, version: Option<&Version>) {
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        eprintln!("module {key}: fetching {source}{version} ...");
    }
}
