//! What Terraform's and OpenTofu's own settings say about registries: tokens, and where a host's services are.
//! <https://developer.hashicorp.com/terraform/cli/config/config-file>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pve_config::syntax::{Block, Body, Expr, ExprKind, SourceId, ast, parse_body};
use secrecy::SecretString;

/// The registry of modules without a host.
pub const DEFAULT_REGISTRY: &str = "registry.opentofu.org";

/// Names another registry for modules without a host.
const REGISTRY_VARIABLE: &str = "PVE_MODULE_REGISTRY";
/// Starts the names of variables that hold tokens: `TF_TOKEN_app_terraform_io`.
const TOKEN_VARIABLE: &str = "TF_TOKEN_";

/// Settings for fetching.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The registry of modules without a host.
    pub default_registry: String,
    /// Tokens by host.
    pub tokens: BTreeMap<String, SecretString>,
    /// URLs of services by host, in place of what the host itself says.
    pub services: BTreeMap<String, BTreeMap<String, String>>,
}

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct SettingsError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub fault: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            default_registry: DEFAULT_REGISTRY.into(),
            tokens: BTreeMap::new(),
            services: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The settings of this user: the CLI configuration file, credentials that `login` saved, and the environment,
    /// which is first in precedence.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn find(
        variable: &dyn Fn(&str) -> Option<String>,
        names: &[String],
    ) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        if let Some(home) = &home {
            settings.take_json(&home.join(".terraform.d/credentials.tfrc.json"))?;
        }
        if let Some(path) = configuration_file(variable, home.as_deref()) {
            settings.take_file(&path)?;
        }
        for name in names {
            if let (Some(host), Some(token)) = (name.strip_prefix(TOKEN_VARIABLE), variable(name)) {
                settings.tokens.insert(host_of_variable(host), token.into());
            }
        }
        if let Some(registry) = variable(REGISTRY_VARIABLE).filter(|registry| !registry.is_empty()) {
            settings.default_registry = registry;
        }
        Ok(settings)
    }

    fn take_json(&mut self, path: &Path) -> Result<(), SettingsError> {
        let Some(text) = read(path)? else { return Ok(()) };
        let fault = |fault: String| SettingsError { path: path.display().to_string(), fault };
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
        let hosts = json["credentials"].as_object().into_iter().flatten();
        for (host, credentials) in hosts {
            if let Some(token) = credentials["token"].as_str() {
                self.tokens.insert(host.to_lowercase(), token.into());
            }
        }
        Ok(())
    }

    fn take_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let Some(text) = read(path)? else { return Ok(()) };
        let fault = |fault: String| SettingsError { path: path.display().to_string(), fault };
        let parsed = parse_body(SourceId::default(), &text);
        if let Some(found) = parsed.diagnostics.iter().find(|found| found.is_error()) {
            let line = found.span.map_or(1, |span| text[..span.start as usize].matches('\n').count() + 1);
            return Err(fault(format!("line {line}: {}", found.summary)));
        }
        for block in parsed.value.blocks() {
            let Some(host) = block.labels.first().map(|label| label.name.to_lowercase()) else { continue };
            match block.block_type.as_str() {
                "credentials" => {
                    let token = text_attribute(&block.body, "token");
                    let token = token.ok_or_else(|| fault(format!("credentials of {host} have no token")))?;
                    self.tokens.insert(host, token.into());
                }
                "host" => {
                    self.services.insert(host, services(block));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<String>, SettingsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SettingsError { path: path.display().to_string(), fault: error.to_string() }),
    }
}

/// The CLI configuration file: the one that is named, else OpenTofu's, else Terraform's.
fn configuration_file(variable: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    let named = ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"].into_iter().find_map(variable);
    if let Some(path) = named.filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let shared = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".config")));
    let candidates = [
        home.map(|home| home.join(".tofurc")),
        shared.map(|folder| folder.join("opentofu/tofurc")),
        home.map(|home| home.join(".terraformrc")),
    ];
    candidates.into_iter().flatten().find(|path| path.exists())
}

/// `xn--caf-dma_example_com`'s host: `_` stands for a dot and `__` for a hyphen.
fn host_of_variable(name: &str) -> String {
    name.replace("__", "-").replace('_', ".").to_lowercase()
}

fn services(block: &Block) -> BTreeMap<String, String> {
    let Some(attribute) = block.body.attribute("services") else { return BTreeMap::new() };
    let ExprKind::Object(items) = &attribute.expr.kind else { return BTreeMap::new() };
    let name = |key: &ast::ObjectKey| match key {
        ast::ObjectKey::Name(name) => Some(name.name.to_string()),
        ast::ObjectKey::Expression(expr) => text_of(expr),
    };
    items.iter().filter_map(|item| Some((name(&item.key)?, text_of(&item.value)?))).collect()
}

fn text_attribute(body: &Body, name: &str) -> Option<String> {
    text_of(&body.attribute(name)?.expr)
}

fn text_of(expr: &Expr) -> Option<String> {
    let value = pve_config::configuration::constant(expr).ok()?;
    value.as_str().map(String::from)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
