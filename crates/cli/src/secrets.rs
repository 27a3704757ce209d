//! What is secret of the texts of a configuration: which lines are never shown, and which words are taken out of messages.

use std::collections::BTreeMap;

use pve_config::configuration::{Secrets, VariableInput};
use pve_config::syntax::{SourceMap, Span};
use pve_executor::Redaction;
use pve_model::Value;

/// A line of a longer text that says less than this is found in any message, and gives nothing away.
const TELLING: usize = 12;

/// Takes out of messages what the configuration has written out of its secrets.
pub fn written(secrets: &Secrets) -> Redaction {
    let mut values: Vec<Value> = Vec::new();
    for text in &secrets.texts {
        let lines: Vec<&str> = text.trim().lines().collect();
        let told = lines.iter().filter(|line| lines.len() == 1 || line.trim().len() >= TELLING);
        values.extend(told.map(|line| Value::string(*line).sensitive()));
    }
    Redaction::of(&values)
}

/// Values of variables that are not called sensitive and go into something that is, all of them.
pub fn values(secrets: &Secrets, variables: &BTreeMap<String, Value>) -> Vec<Value> {
    let whole = secrets.variables.iter().filter(|(_, is_whole)| **is_whole);
    whole.filter_map(|(name, _)| variables.get(name)).map(|value| value.clone().sensitive()).collect()
}

/// Hides where files have the values of secret variables; `inputs` are none where one of the files could not be read.
pub fn hide_variables(sources: &mut SourceMap, secrets: &Secrets, inputs: Option<&[VariableInput]>) {
    let secret =
        inputs.unwrap_or_default().iter().filter(|input| secrets.variables.contains_key(&input.name));
    sources.hide(secret.filter_map(|input| input.span));
    if inputs.is_none() {
        let found = lines(sources, &|name, value| secrets.variables.contains_key(name) && is_written(value));
        // Where a value ends is not known in a text with a mistake: all of such a file may be one.
        let files = sources.iter().filter(|(_, source)| {
            let is_values = [".tfvars", ".tfvars.json"].iter().any(|end| source.name.ends_with(end));
            is_values && secrets.variables.keys().any(|name| source.text.contains(name.as_str()))
        });
        let whole: Vec<Span> = files.map(|(id, source)| Span::new(id, 0, length(&source.text))).collect();
        sources.hide(found.into_iter().chain(whole));
    }
}

/// Takes out of messages the words of the files' values of secret variables: one without its quotes is no value yet.
pub fn words_of_variables(
    sources: &SourceMap,
    secrets: &Secrets,
    inputs: Option<&[VariableInput]>,
) -> Redaction {
    let spans: Vec<Span> = match inputs {
        Some(inputs) => {
            let secret = inputs.iter().filter(|input| secrets.variables.contains_key(&input.name));
            secret.filter_map(|input| input.span).collect()
        }
        None => lines(sources, &|name, _| secrets.variables.contains_key(name)),
    };
    let text = |span: &Span| sources.get(span.source)?.text.get(span.start as usize..span.end as usize);
    let values = spans
        .iter()
        .filter_map(text)
        .map(|text| text.split_once(['=', ':']).map_or(text, |(_, value)| value));
    let is_word = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    let words: Vec<Value> = values
        .flat_map(|value| value.split(|letter| !is_word(letter)))
        .map(|word| Value::string(word).sensitive())
        .collect();
    Redaction::of(&words)
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// Whether the source is not to be shown at a span: something secret is known to stand there, or its name says so where
/// the text could not be read.
pub fn is_hidden(sources: &SourceMap, span: Span) -> bool {
    let Some(source) = sources.get(span.source) else { return false };
    let text = &*source.text;
    let before = text.get(..span.start as usize).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let behind = text.get(span.end.max(span.start) as usize..).unwrap_or_default();
    let end = text.len() - behind.len() + behind.find('\n').unwrap_or(behind.len());
    let shown = text.get(start..end).unwrap_or_default();
    sources.is_hidden(span)
        || shown.lines().any(|line| sets(line, &|name, value| is_secret_name(name) && is_written(value)))
}

fn is_secret_name(name: &str) -> bool {
    ["password", "passphrase", "secret", "token", "private_key"].iter().any(|word| name.ends_with(word))
}

/// The lines that set such a name to such a text.
fn lines(sources: &SourceMap, is_meant: &dyn Fn(&str, &str) -> bool) -> Vec<Span> {
    let mut found = Vec::new();
    for (id, source) in sources.iter() {
        let mut start = 0;
        for line in source.text.split_inclusive('\n') {
            if sets(line, is_meant) {
                let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
                found.push(Span::new(id, at(start), at(start + line.trim_end().len())));
            }
            start += line.len();
        }
    }
    found
}

/// `NAME = VALUE` or `"NAME": VALUE`
fn sets(line: &str, is_meant: &dyn Fn(&str, &str) -> bool) -> bool {
    let Some((name, value)) = line.split_once(['=', ':']) else { return false };
    is_meant(name.trim().trim_matches('"'), value)
}

/// Whether a value is written out, and does not come from elsewhere.
fn is_written(value: &str) -> bool {
    value.contains(['"', '<'])
}

/// Hides the values of secret variables that are given on the command line or in the environment.
pub fn hide_given(sources: &mut SourceMap, secrets: &Secrets) {
    let secret = sources.iter().filter(|(_, source)| {
        given(&source.name).is_some_and(|variable| secrets.variables.contains_key(variable))
    });
    let whole = secret.map(|(id, source)| Span::new(id, 0, length(&source.text)));
    let whole: Vec<Span> = whole.collect();
    sources.hide(whole);
}

/// The variable of a source that is no file.
fn given(name: &str) -> Option<&str> {
    let name = name.strip_suffix('>')?;
    name.strip_prefix("<-var ").or_else(|| name.strip_prefix("<TF_VAR_"))
}
