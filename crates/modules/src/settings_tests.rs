//! Tokens and services of hosts, from files and variables in a home of the test's own.

use secrecy::ExposeSecret as _;

use super::*;

struct Home {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Home {
    fn new(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Home {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let home = [("HOME".to_string(), folder.path().to_string_lossy().into_owned())];
        let given = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Home { variables: home.into_iter().chain(given).collect(), folder }
    }

    fn settings(&self) -> Result<Settings, SettingsError> {
        let names: Vec<String> = self.variables.keys().cloned().collect();
        Settings::find(&|name| self.variables.get(name).cloned(), &names)
    }
}

fn token(settings: &Settings, host: &str) -> Option<String> {
    settings.tokens.get(host).map(|token| token.expose_secret().to_string())
}

const FILE: &str = r#"
plugin_cache_dir = "/x"
credentials "App.Example.com" {
  token = "from-file"
}
host "localhost:8443" {
  services = {
    "modules.v1" = "http://localhost:8443/modules/"
  }
}
"#;

#[test]
fn nothing_is_needed() {
    let settings = Home::new(&[], &[]).settings().unwrap();
    assert_eq!(settings.default_registry, "registry.opentofu.org");
    assert!(settings.tokens.is_empty() && settings.services.is_empty());
}

#[test]
fn the_configuration_file_gives_tokens_and_services() {
    for name in [".terraformrc", ".tofurc", ".config/opentofu/tofurc"] {
        let settings = Home::new(&[(name, FILE)], &[]).settings().unwrap();
        assert_eq!(token(&settings, "app.example.com").as_deref(), Some("from-file"), "{name}");
        assert_eq!(settings.services["localhost:8443"]["modules.v1"], "http://localhost:8443/modules/");
    }
}

#[test]
fn variables_come_before_files_and_opentofus_file_before_terraforms() {
    let other = "credentials \"app.example.com\" {\n  token = \"from-terraform\"\n}\n";
    let login =
        r#"{"credentials": {"app.example.com": {"token": "login"}, "b.example.com": {"token": "b"}}}"#;
    let files = [(".tofurc", FILE), (".terraformrc", other), (".terraform.d/credentials.tfrc.json", login)];
    let settings = Home::new(&files, &[]).settings().unwrap();
    assert_eq!(token(&settings, "app.example.com").as_deref(), Some("from-file"));
    assert_eq!(token(&settings, "b.example.com").as_deref(), Some("b"));
    let variables = [("TF_TOKEN_app_example_com", "variable"), ("TF_TOKEN_my__host_example_com", "hyphen")];
    let settings = Home::new(&files, &variables).settings().unwrap();
    assert_eq!(token(&settings, "app.example.com").as_deref(), Some("variable"));
    assert_eq!(token(&settings, "my-host.example.com").as_deref(), Some("hyphen"));
}

#[test]
fn a_named_file_and_another_registry_are_used() {
    let mut home = Home::new(&[("named", FILE), (".tofurc", "")], &[("PVE_MODULE_REGISTRY", "r.example")]);
    let named = home.folder.path().join("named").to_string_lossy().into_owned();
    home.variables.insert("TF_CLI_CONFIG_FILE".into(), named);
    let settings = home.settings().unwrap();
    assert_eq!(settings.default_registry, "r.example");
    assert_eq!(token(&settings, "app.example.com").as_deref(), Some("from-file"));
}

#[test]
fn a_wrong_file_is_named_with_its_line_and_tokens_are_never_shown() {
    let wrong = Home::new(&[(".tofurc", "credentials \"a.example\" {\n  token = \n}\n")], &[]).settings();
    let error = wrong.unwrap_err().to_string();
    assert!(error.contains(".tofurc: line "), "{error}");
    let settings = Home::new(&[(".tofurc", FILE)], &[]).settings().unwrap();
    assert!(!format!("{settings:?}").contains("from-file"));
}
