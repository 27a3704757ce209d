//! Installs what a configuration calls: in rounds, because what a module calls is known only once it is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use futures::{StreamExt as _, stream};
use pve_config::configuration::{
    DiskFiles, InstalledModule, InstalledModules, Loaded, MODULES_FOLDER, MODULES_MANIFEST, MissingModule,
    Module, Version, load_with, module_key, without_credentials,
};
use pve_config::syntax::Diagnostic;
use reqwest::Client;
use tempfile::TempDir;
use url::Url;

use crate::download::{ask_for_address, client, fetch_archive};
use crate::error::{Attempted, FetchError};
use crate::git;
use crate::links::copy_folder;
use crate::registry::Registries;
use crate::settings::Settings;
use crate::source::{Package, Source, parse_source};

/// How much is fetched at a time.
const PARALLEL: usize = 6;
/// How often a server may answer that the module is elsewhere.
const MOST_REFERRALS: usize = 5;

/// Hears what is being done.
pub trait Reporter: Sync {
    /// Another process installs modules in this project; this one waits for it.
    fn waiting(&self);

    /// A module is being fetched. The source is fit to be shown.
    fn fetching(&self, key: &str, source: &str, version: Option<&Version>);
}

/// A configuration with everything that it calls.
#[derive(Debug)]
pub struct Installation {
    /// The configuration. Its diagnostics have what could not be fetched.
    pub loaded: Loaded,
    /// How many modules were fetched.
    pub fetched: usize,
}

/// Installs the modules that the root module in `root` calls and that are not there; all of them anew with `upgrade`.
/// Nothing is asked of any server when everything is there. Two processes may do it at once: one waits for the other.
///
/// # Errors
/// When the data folder cannot be used. What is wrong with a single module is a diagnostic.
pub async fn install(
    root: &Path,
    settings: &Settings,
    upgrade: bool,
    reporter: &dyn Reporter,
) -> Result<Installation, FetchError> {
    let present = read_manifest(root);
    let installed = if upgrade { InstalledModules::default() } else { present.clone() };
    let loaded = load_with(&DiskFiles, root, &installed);
    let unused = unused_keys(&loaded, &present);
    if (loaded.missing.is_empty() && unused.is_empty()) || has_errors(&loaded) {
        return Ok(Installation { loaded, fetched: 0 });
    }
    let folder = root.join(MODULES_FOLDER);
    fs::create_dir_all(&folder).attempted(|| format!("making {}", folder.display()))?;
    let _lock = lock(&folder, reporter).await?;
    remove_leftovers(&folder);
    let manifest = read_manifest(root);
    let installed = if upgrade { InstalledModules::default() } else { manifest.clone() };
    let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&folder);
    let client = client()?;
    let registries = Registries::new(&client, settings);
    let mut run = Run {
        root,
        settings,
        reporter,
        client: &client,
        registries,
        temporary: temporary.attempted(|| format!("making a folder in {}", folder.display()))?,
        manifest,
        installed,
        packages: HashMap::new(),
        failures: BTreeMap::new(),
        fetched: 0,
    };
    loop {
        let loaded = load_with(&DiskFiles, root, &run.installed);
        let pending: Vec<&MissingModule> =
            loaded.missing.iter().filter(|module| !run.failures.contains_key(&module.key())).collect();
        if pending.is_empty() || has_errors(&loaded) {
            return run.finish(loaded);
        }
        run.round(&pending).await?;
    }
}

/// Folders of a run begin with this. No key does.
const TEMPORARY: &str = ".tmp-";

fn has_errors(loaded: &Loaded) -> bool {
    loaded.diagnostics.iter().any(Diagnostic::is_error)
}

/// What is installed. A manifest that cannot be read counts for nothing, so that everything is fetched anew.
fn read_manifest(root: &Path) -> InstalledModules {
    InstalledModules::read(&DiskFiles, root).unwrap_or_default()
}

async fn lock(folder: &Path, reporter: &dyn Reporter) -> Result<File, FetchError> {
    let path = folder.join(".lock");
    let what = || format!("locking {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(&path).attempted(what)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::Error(error)) => return Err(error).attempted(what),
        Err(TryLockError::WouldBlock) => reporter.waiting(),
    }
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(|error| FetchError::plain(error.to_string()))?.attempted(what)
}

/// Takes away what runs that died left; the caller holds the lock.
fn remove_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMPORARY)) {
        // What cannot be taken away does no harm.
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// The keys that no call of the configuration has.
fn unused_keys(loaded: &Loaded, installed: &InstalledModules) -> Vec<String> {
    fn walk(module: &Module, used: &mut BTreeSet<String>) {
        for (name, call) in &module.module_calls {
            let path = [module.path.as_slice(), std::slice::from_ref(name)].concat();
            used.insert(module_key(&path));
            if let Some(child) = &call.child {
                walk(child, used);
            }
        }
    }
    let mut used = BTreeSet::new();
    walk(&loaded.configuration.root, &mut used);
    // Below a missing module everything may be used.
    let missing: Vec<String> = loaded.missing.iter().map(|module| format!("{}.", module.key())).collect();
    let is_used = |key: &String| used.contains(key) || missing.iter().any(|missing| key.starts_with(missing));
    installed.0.keys().filter(|key| !is_used(key)).cloned().collect()
}

/// Where a module is, once registries and servers were asked.
struct Located {
    package: Package,
    folder: PathBuf,
    version: Option<Version>,
}

struct Run<'a> {
    root: &'a Path,
    settings: &'a Settings,
    reporter: &'a dyn Reporter,
    client: &'a Client,
    registries: Registries<'a>,
    temporary: TempDir,
    /// What the file says.
    manifest: InstalledModules,
    /// What counts as installed; less than the manifest has when all is fetched anew.
    installed: InstalledModules,
    /// What was fetched, by what was asked for.
    packages: HashMap<Package, Result<PathBuf, FetchError>>,
    failures: BTreeMap<String, Diagnostic>,
    fetched: usize,
}

impl Run<'_> {
    async fn round(&mut self, pending: &[&MissingModule]) -> Result<(), FetchError> {
        let located: Vec<Result<Located, Diagnostic>> =
            stream::iter(pending).map(|module| self.locate(module)).buffered(PARALLEL).collect().await;
        let mut wanted: Vec<&Package> = Vec::new();
        for package in located.iter().flatten().map(|located| &located.package) {
            if !self.packages.contains_key(package) && !wanted.contains(&package) {
                wanted.push(package);
            }
        }
        let first = self.packages.len();
        let fetching = wanted.iter().enumerate().map(|(index, package)| self.fetch(package, first + index));
        let fetched: Vec<Result<PathBuf, FetchError>> =
            stream::iter(fetching).buffered(PARALLEL).collect().await;
        let fetched: Vec<_> = wanted.into_iter().cloned().zip(fetched).collect();
        self.packages.extend(fetched);
        for (module, located) in pending.iter().zip(located) {
            let placed =
                located.and_then(|located| self.place(module, located).map_err(|e| failed(module, &e)));
            match placed {
                Ok(()) => self.fetched += 1,
                Err(failure) => drop(self.failures.insert(module.key(), failure)),
            }
        }
        self.write_manifest()
    }

    async fn locate(&self, module: &MissingModule) -> Result<Located, Diagnostic> {
        let source = parse_source(&module.source, &self.settings.default_registry)
            .map_err(|error| failed(module, &error))?;
        let (package, folder, version) = match source {
            Source::Package(..) if let Some(span) = module.version_span => {
                let detail = format!("{} is no registry's module.", without_credentials(&module.source));
                let fault = Diagnostic::error(span, "Only a registry's module has a version", detail);
                return Err(fault.with_hint("Take `version` out; a git repository's version is its `?ref=`."));
            }
            Source::Package(package, folder) => {
                self.reporter.fetching(&module.key(), &without_credentials(&module.source), None);
                (package, folder, None)
            }
            Source::Registry(named, folder) => {
                let found = async {
                    let version = self.registries.select(&named, module.version.as_ref()).await?;
                    let shown = format!("{}/{}", named.host, named.path());
                    self.reporter.fetching(&module.key(), &shown, Some(&version));
                    let address = self.registries.locate(&named, &version).await?;
                    let (package, inner) = referred(&address, None)?;
                    Ok((package, inner.join(folder), Some(version)))
                };
                found.await.map_err(|error| failed(module, &error))?
            }
        };
        let (package, folder) = self.follow(package, folder).await.map_err(|error| failed(module, &error))?;
        Ok(Located { package, folder, version })
    }

    /// Asks web servers that know where a module is until one names something that can be fetched.
    async fn follow(
        &self,
        mut package: Package,
        mut folder: PathBuf,
    ) -> Result<(Package, PathBuf), FetchError> {
        for _ in 0..MOST_REFERRALS {
            let Package::Http(http) = &package else { return Ok((package, folder)) };
            if http.archive.is_some() {
                return Ok((package, folder));
            }
            let address = ask_for_address(self.client, &http.url).await?;
            let (next, inner) = referred(&address, Some(&http.url))?;
            (package, folder) = (next, inner.join(folder));
        }
        Err(FetchError::plain("servers refer to each other for this module, which never ends"))
    }

    async fn fetch(&self, package: &Package, number: usize) -> Result<PathBuf, FetchError> {
        let folder = self.temporary.path().join(format!("package-{number}"));
        match package {
            Package::Folder(path) => return Ok(path.clone()),
            Package::Git(package) => git::fetch(package, &folder).await?,
            Package::Http(http) => match http.archive {
                Some(kind) => {
                    fetch_archive(self.client, &http.url, kind, http.checksum.as_deref(), &folder).await?;
                }
                None => return Err(FetchError::plain("the server does not say where the module is")),
            },
        }
        Ok(folder)
    }

    /// Puts a fetched module in its place: as a whole or not at all.
    fn place(&mut self, module: &MissingModule, located: Located) -> Result<(), FetchError> {
        let key = module.key();
        let fetched = match self.packages.get(&located.package) {
            Some(fetched) => fetched.clone()?,
            None => return Err(FetchError::plain("the package was not fetched")),
        };
        let inner = folder_in(&fetched, &located.folder)?;
        let base = if matches!(located.package, Package::Folder(_)) {
            fetched
        } else {
            self.replace(&key, &fetched)?;
            Path::new(MODULES_FOLDER).join(&key)
        };
        let directory = base.join(inner).components().collect();
        let entry = InstalledModule { source: module.source.clone(), version: located.version, directory };
        self.manifest.0.insert(key.clone(), entry.clone());
        self.installed.0.insert(key, entry);
        Ok(())
    }

    fn replace(&mut self, key: &str, package: &Path) -> Result<(), FetchError> {
        let target = self.root.join(MODULES_FOLDER).join(key);
        let what = || format!("writing {}", target.display());
        let new = self.temporary.path().join(format!("new-{key}"));
        copy_folder(package, &new).attempted(what)?;
        // The manifest must not describe what is not there any more when this run is interrupted.
        if self.manifest.0.remove(key).is_some() {
            self.write_manifest()?;
        }
        if target.is_dir() {
            let old = self.temporary.path().join(format!("old-{key}"));
            fs::rename(&target, old).attempted(what)?;
        } else if target.exists() {
            return Err(FetchError::plain(format!("{} is in the way", target.display())));
        }
        fs::rename(new, &target).attempted(what)
    }

    fn write_manifest(&self) -> Result<(), FetchError> {
        let path = self.root.join(MODULES_MANIFEST);
        let new = self.temporary.path().join("manifest");
        let written = fs::write(&new, self.manifest.to_json()).and_then(|()| fs::rename(&new, &path));
        written.attempted(|| format!("writing {}", path.display()))
    }

    fn finish(mut self, mut loaded: Loaded) -> Result<Installation, FetchError> {
        if self.failures.is_empty() && !has_errors(&loaded) {
            self.remove_unused(&loaded)?;
        }
        loaded.diagnostics.extend(self.failures.into_values());
        Ok(Installation { loaded, fetched: self.fetched })
    }

    fn remove_unused(&mut self, loaded: &Loaded) -> Result<(), FetchError> {
        let unused = unused_keys(loaded, &self.manifest);
        for key in &unused {
            self.manifest.0.remove(key);
        }
        if !unused.is_empty() {
            self.write_manifest()?;
        }
        for key in unused {
            let folder = self.root.join(MODULES_FOLDER).join(&key);
            if folder.is_dir() {
                let old = self.temporary.path().join(format!("unused-{key}"));
                fs::rename(&folder, old).attempted(|| format!("removing {}", folder.display()))?;
            }
        }
        Ok(())
    }
}

/// What a registry or a web server refers to. It cannot refer to this machine's folders nor to another registry.
fn referred(address: &str, from: Option<&Url>) -> Result<(Package, PathBuf), FetchError> {
    let relative = ["/", "./", "../"].iter().any(|start| address.starts_with(start));
    let joined = from.filter(|_| relative).and_then(|from| from.join(address).ok());
    let address = joined.map_or(address.to_string(), String::from);
    match parse_source(&address, "")? {
        Source::Package(package @ (Package::Git(_) | Package::Http(_)), folder) => Ok((package, folder)),
        _ => {
            let shown = without_credentials(&address);
            Err(FetchError::plain(format!(
                "the server says that the module is at {shown}, which cannot be fetched"
            )))
        }
    }
}

/// A folder in a package, in which `*` stands for the one folder that there is.
fn folder_in(package: &Path, folder: &Path) -> Result<PathBuf, FetchError> {
    let mut found = PathBuf::new();
    for part in folder.components() {
        let folders = folders_of(&package.join(&found));
        match (part.as_os_str().to_str(), folders.as_slice()) {
            (Some("*"), [only]) => found.push(only),
            _ => found.push(part),
        }
    }
    if package.join(&found).is_dir() {
        return Ok(found);
    }
    let mut outer = found.clone();
    while outer.pop() && !package.join(&outer).is_dir() {}
    let message = format!("the package has no folder \"{}\"", folder.display());
    let place = if outer.as_os_str().is_empty() { "It".into() } else { format!("\"{}\"", outer.display()) };
    match folders_of(&package.join(outer)) {
        folders if folders.is_empty() => Err(FetchError::hinted(message, format!("{place} has no folders."))),
        folders => Err(FetchError::hinted(message, format!("{place} has: {}.", folders.join(", ")))),
    }
}

fn folders_of(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn failed(module: &MissingModule, error: &FetchError) -> Diagnostic {
    let mut detail = format!("Module \"{}\": {error}", module.key());
    if !detail.ends_with('.') {
        detail.push('.');
    }
    let fault = Diagnostic::error(module.span, "A module cannot be fetched", detail);
    match &error.hint {
        Some(hint) => fault.with_hint(hint.clone()),
        None => fault,
    }
}
