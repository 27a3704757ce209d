//! The places and parameters of every kind, checked against what the API itself says that it takes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::cluster::Method;
use crate::definition::Definition;
use crate::families;
use crate::object::{Delete, Field, Form, Read};

/// The endpoints of the API with their parameters, as the simulator has them.
fn endpoints() -> Map<String, Json> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../simulator/schema/endpoints.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The parameters of the endpoint that a template of ours is an instance of.
fn find<'j>(endpoints: &'j Map<String, Json>, verb: &str, template: &str) -> Option<&'j Json> {
    let ours: Vec<&str> = template.split('?').next().unwrap().split('/').collect();
    let is_name = |piece: &str| piece.starts_with('{');
    let fits = |path: &str| {
        let theirs: Vec<&str> = path.split('/').collect();
        theirs.len() == ours.len()
            && theirs
                .iter()
                .zip(&ours)
                .all(|(theirs, ours)| theirs == ours || is_name(theirs) && is_name(ours))
    };
    let exact = |path: &str| path.split('/').zip(&ours).filter(|(theirs, ours)| theirs == *ours).count();
    let paths =
        endpoints.iter().filter_map(|(key, params)| Some((key.strip_prefix(verb)?.trim_start(), params)));
    paths.filter(|(path, _)| fits(path)).max_by_key(|(path, _)| exact(path)).map(|(_, params)| params)
}

fn params_of(fields: &[Field], making: bool) -> BTreeSet<String> {
    let sent = fields.iter().filter(|field| !field.fixed);
    let sent = sent.filter(|field| if making { field.wire.create } else { field.wire.update });
    sent.map(|field| match field.wire.form {
        Form::Numbered(first) => format!("{}{first}", field.param()),
        _ => field.param().to_string(),
    })
    .collect()
}

fn takes(params: &Json, name: &str) -> bool {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    params.get(name).is_some() || params.get(format!("{stem}[n]")).is_some()
}

/// Parameters of later versions of the API than the one that the list is of.
const LATER: &[&str] = &["audiences"];

#[test]
fn every_request_is_one_that_the_api_knows() {
    let endpoints = endpoints();
    let mut faults = Vec::new();
    for mut object in families::objects() {
        let fields = Definition::new(std::mem::take(&mut object.fields)).wires;
        let (Read::At(read) | Read::Among(read, _)) = object.read else { continue };
        let mut requests = vec![
            (object.create.0, object.create.1, Some(true)),
            (Method::Get, read, None),
            (object.update.0, object.update.1, Some(false)),
        ];
        match object.delete {
            Delete::At(place) => requests.push((Method::Delete, place, None)),
            Delete::By(method, place) => requests.push((method, place, None)),
            Delete::Reset | Delete::Stays => {}
        }
        for (method, template, making) in requests.into_iter().filter(|(_, template, _)| !template.is_empty())
        {
            let name = object.names[0];
            let verb = format!("{method:?}").to_uppercase();
            let Some(params) = find(&endpoints, &verb, template) else {
                faults.push(format!("{name}: there is no {verb} {template}"));
                continue;
            };
            let query = template.split_once('?').map(|(_, query)| query).unwrap_or_default();
            let mut sent: BTreeSet<String> =
                query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0.to_string())).collect();
            if let Some(making) = making {
                sent.extend(params_of(&fields, making));
                let constants = object.constants.iter().map(|(name, _)| *name);
                sent.extend(
                    constants.filter(|name| making || object.always.contains(name)).map(String::from),
                );
            }
            let unknown: Vec<&String> =
                sent.iter().filter(|name| !takes(params, name) && !LATER.contains(&name.as_str())).collect();
            if !unknown.is_empty() {
                faults.push(format!("{name}: {verb} {template} takes no {unknown:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
