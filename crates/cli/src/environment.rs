//! Terraform's variables of the environment that change how a command is read: `TF_CLI_ARGS`, `TF_CLI_ARGS_<command>`,
//! `TF_INPUT` and `TF_WORKSPACE`.

use std::ffi::OsString;

use crate::arguments::GlobalOptions;

/// Commands that have commands of their own.
const FAMILIES: &[&str] = &["state", "workspace", "log", "key"];
/// Options before the command that take the next word as their value.
const WITH_VALUE: &[&str] = &["-C", "-e", "--environment", "--chdir", "-environment", "-chdir"];

/// The arguments with those of `TF_CLI_ARGS` and then `TF_CLI_ARGS_<command>` right behind the command, so that what is
/// typed comes later and wins.
pub fn with_variables(arguments: Vec<OsString>) -> Vec<OsString> {
    insert(arguments, &|name| std::env::var(name).ok())
}

fn insert(mut arguments: Vec<OsString>, variable: &dyn Fn(&str) -> Option<String>) -> Vec<OsString> {
    let Some((name, behind)) = command(&arguments) else { return arguments };
    let texts = [variable("TF_CLI_ARGS"), variable(&format!("TF_CLI_ARGS_{name}"))];
    let words = texts.into_iter().flatten().flat_map(|text| split_words(&text)).map(OsString::from);
    arguments.splice(behind..behind, words.collect::<Vec<_>>());
    arguments
}

/// The command's name, with `_` between its words, and the place behind it.
fn command(arguments: &[OsString]) -> Option<(String, usize)> {
    let mut at = 1;
    loop {
        let word = arguments.get(at)?.to_str()?;
        if WITH_VALUE.contains(&word) {
            at += 2;
        } else if word.starts_with('-') {
            at += 1;
        } else {
            break;
        }
    }
    let name = arguments[at].to_str()?;
    let inner = arguments.get(at + 1).and_then(|word| word.to_str()).filter(|word| !word.starts_with('-'));
    match inner {
        Some(inner) if FAMILIES.contains(&name) => Some((format!("{name}_{inner}"), at + 2)),
        _ => Some((name.to_string(), at + 1)),
    }
}

/// Words as a shell splits them: at blanks, with quotes and backslashes.
pub fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What the environment says where the command line says nothing.
pub fn fill_in(global: &mut GlobalOptions) {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    if global.environment.is_none() {
        global.environment = variable("TF_WORKSPACE");
    }
    let refused = |text: String| matches!(text.to_ascii_lowercase().as_str(), "0" | "f" | "false");
    global.input &= !variable("TF_INPUT").is_some_and(refused);
}

/// Whether `TF_IN_AUTOMATION` says that nobody reads what to do next.
pub fn is_automation() -> bool {
    std::env::var_os("TF_IN_AUTOMATION").is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(line: &str) -> String {
        let variable = |name: &str| match name {
            "TF_CLI_ARGS" => Some("-no-color".to_string()),
            "TF_CLI_ARGS_plan" => Some("-var 'a=b c' -parallelism=\"2\"".to_string()),
            "TF_CLI_ARGS_state_list" => Some("-id=x\\ y".to_string()),
            _ => None,
        };
        let words = insert(line.split(' ').map(OsString::from).collect(), &variable);
        words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn arguments_stand_right_behind_the_command() {
        assert_eq!(
            inserted("pve -chdir=x -e prod plan -out=p"),
            "pve|-chdir=x|-e|prod|plan|-no-color|-var|a=b c|-parallelism=2|-out=p"
        );
        assert_eq!(inserted("pve state list a.b"), "pve|state|list|-no-color|-id=x y|a.b");
        assert_eq!(inserted("pve -version"), "pve|-version");
    }
}
