//! Terraform's long options with one dash.

use std::ffi::OsString;

/// The arguments with Terraform's single dash before long names turned into two.
pub fn with_double_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut only_operands = false;
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|word| word == "help") {
        // Help with help is what help gives.
        arguments.retain(|word| !["-h", "-help", "--help"].iter().any(|option| word == option));
    }
    arguments
        .into_iter()
        .map(|argument| {
            let Some(text) = argument.to_str() else {
                return argument;
            };
            only_operands |= text == "--";
            let Some(name) = text.strip_prefix('-').filter(|_| !only_operands) else {
                return argument;
            };
            let word = name.split('=').next().unwrap_or_default();
            let is_long = word.len() > 1
                && word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            // `-vv` is a repeated short flag, `-eprod` an environment.
            let is_short = word.chars().all(|c| c == 'v')
                || (word.starts_with('e') && word != "exclude" && word != "environment" && word != "events");
            if is_long && !is_short { format!("-{text}").into() } else { argument }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(with_double_dashes(line.split(' ').map(OsString::from))).unwrap()
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn terraforms_single_dashes_work() {
        let line = "pve -chdir=x plan -input=false -out=p.plan -var-file a.tfvars -var a=-b -parallelism=4 -target a.b -no-color";
        let arguments = parse(line);
        assert_eq!(arguments.global.directory.as_deref(), Some(std::path::Path::new("x")));
        assert!(!arguments.global.input);
        let Command::Plan(plan) = arguments.command else { panic!("no plan") };
        assert_eq!(plan.planning.variables.variables[0].text, "a=-b");
        assert!(plan.planning.variables.variable_files[0].place < plan.planning.variables.variables[0].place);
        assert_eq!(plan.planning.parallelism, 4);
    }

    #[test]
    fn help_is_a_command_and_an_option_at_once() {
        use clap::error::ErrorKind::DisplayHelp;
        for line in ["pve help", "pve help --help", "pve help plan -h", "pve plan -help"] {
            let words = with_double_dashes(line.split(' ').map(OsString::from));
            assert_eq!(Arguments::try_parse_from(words).unwrap_err().kind(), DisplayHelp, "{line}");
        }
    }

    #[test]
    fn short_flags_stay_short() {
        let arguments = parse("pve -C x -e prod -vv apply --simulate --auto-approve");
        assert_eq!(arguments.global.environment.as_deref(), Some("prod"));
        assert_eq!(arguments.global.verbose, 2);
        assert_eq!(parse("pve -eprod log").global.environment.as_deref(), Some("prod"));
    }
}
