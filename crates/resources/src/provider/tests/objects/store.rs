//! A store of objects of one kind, at the places and with the parameters that its description names. It keeps what it
//! is told and answers as the API does: bools as numbers, defaults left out as they were.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use pve_model::Type;
use serde_json::{Map, Value as Json, json};

use super::samples;
use crate::cluster::{Api, ApiError, Content, Method};
use crate::object::{Delete, Field, Form, Object, Read, Removal, names, parse};

/// Who the requests are made as.
pub(in super::super) const USER: &str = "root@pam!test";

type Attributes = BTreeMap<String, String>;

/// The store.
pub(super) struct Store {
    object: Object,
    fields: Vec<Field>,
    state: Mutex<State>,
    /// The beginning of the requests that fail.
    pub(super) failing: Mutex<Option<(String, ApiError)>>,
    /// How many writes are left before the connection breaks, and whether the last one takes effect.
    pub(super) breaks_at: Mutex<Option<(usize, bool)>>,
}

#[derive(Default)]
struct State {
    /// By identity: what was sent.
    objects: BTreeMap<Vec<String>, (Attributes, Map<String, Json>)>,
    requests: Vec<String>,
    /// What was set beside the object, at the place that it is read from too.
    settings: Map<String, Json>,
}

fn failed(message: impl Into<String>) -> ApiError {
    ApiError { message: message.into(), hint: None, status: Some(500), lost: false }
}

fn unescape(path: &str) -> String {
    let mut parts = path.split('%');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| {
        let code = u8::from_str_radix(&part[..2], 16).unwrap();
        format!("{text}{}{}", char::from(code), &part[2..])
    })
}

impl Store {
    pub(super) fn of(kind: &str) -> Store {
        let mut object =
            crate::families::objects().into_iter().find(|object| object.names.contains(&kind)).unwrap();
        let fields = crate::definition::Definition::new(std::mem::take(&mut object.fields)).wires;
        Store {
            object,
            fields,
            state: Mutex::default(),
            failing: Mutex::default(),
            breaks_at: Mutex::default(),
        }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    fn identity(&self) -> &'static str {
        if self.object.import.is_empty() { self.object.id } else { self.object.import }
    }

    /// The attributes that a path and the parameters name, if the path is of the template.
    fn named(&self, template: &str, path: &str, params: &Attributes) -> Option<Attributes> {
        let (template, query) = template.split_once('?').unwrap_or((template, ""));
        let found = parse(template, path)?;
        if found.iter().any(|(_, text)| text.contains('/')) {
            return None;
        }
        let mut named: Attributes =
            found.into_iter().map(|(name, text)| (name.to_string(), unescape(&text))).collect();
        for (param, part) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if let Some(text) = params.get(param) {
                let found = parse(part, text).unwrap_or_default();
                named.extend(found.into_iter().map(|(name, text)| (name.to_string(), text)));
            }
        }
        for field in &self.fields {
            if let Some(text) = params.get(field.param()) {
                named.entry(field.name.to_string()).or_insert_with(|| text.clone());
            }
        }
        samples::identify(self.object.names[0], &mut named);
        Some(named)
    }

    fn key(&self, named: &Attributes) -> Vec<String> {
        names(self.identity()).iter().map(|name| named.get(*name).cloned().unwrap_or_default()).collect()
    }

    fn handle(&self, method: Method, path: &str, sent: &[(String, String)]) -> Result<Json, ApiError> {
        let mut state = self.state.lock().unwrap();
        let shown: Vec<String> = sent.iter().map(|(name, text)| format!("{name}={text}")).collect();
        state.requests.push(format!("{method:?} {path} {}", shown.join("&")));
        if let Some((begin, error)) = &*self.failing.lock().unwrap()
            && format!("{method:?} {path}").starts_with(begin)
        {
            return Err(error.clone());
        }
        if let Some(answer) = samples::elsewhere(self.object.names[0], method, path) {
            return Ok(answer);
        }
        let params: Attributes = sent.iter().cloned().collect();
        if method == Method::Put && samples::is_beside(self.object.names[0], path) {
            for name in params.get("delete").map(String::as_str).unwrap_or_default().split(',') {
                state.settings.remove(name);
            }
            let set = params.into_iter().filter(|(name, _)| name != "delete");
            state.settings.extend(set.map(|(name, text)| (name, json!(text))));
            return Ok(Json::Null);
        }
        let object = &self.object;
        if let Delete::By(verb, template) = object.delete
            && verb == method
            && params.contains_key("delete")
            && let Some(named) = self.named(template, path, &params)
        {
            return self.delete(&mut state, &named);
        }
        if let (Method::Delete, Delete::At(template)) = (method, object.delete)
            && let Some(named) = self.named(template, path, &params)
        {
            return self.delete(&mut state, &named);
        }
        if method == object.create.0
            && let Some(named) = self.named(object.create.1, path, &params)
            && (object.create != object.update || !state.objects.contains_key(&self.key(&named)))
        {
            return self.create(&mut state, named, sent);
        }
        if method == object.update.0
            && let Some(named) = self.named(object.update.1, path, &params)
        {
            return self.update(&mut state, &named, sent);
        }
        match (method, object.read) {
            (Method::Get, Read::At(template)) => {
                let named = self.named(template, path, &params).unwrap_or_else(|| panic!("{path}"));
                let found = state.objects.get(&self.key(&named));
                // A place may be shared by objects that their identity tells apart.
                let agrees = |(own, _): &&(Attributes, Map<String, Json>)| {
                    named.iter().all(|(name, text)| own.get(name) == Some(text))
                };
                let found = found.or_else(|| state.objects.values().find(agrees));
                if found.is_none() && samples::is_beside(object.names[0], path) {
                    return Ok(Json::Object(state.settings.clone()));
                }
                let found = found.ok_or_else(|| failed(format!("{} does not exist", object.what)))?;
                let mut shown = self.shown(found);
                shown.extend(state.settings.clone());
                Ok(samples::answer(object.names[0], shown))
            }
            (Method::Get, Read::Among(template, keys)) => {
                self.named(template, path, &params).unwrap_or_else(|| panic!("{path}"));
                let entry = |found: &(Attributes, Map<String, Json>)| {
                    let mut entry = self.shown(found);
                    for (name, key) in keys {
                        if let Some(text) = found.0.get(*name) {
                            entry.insert((*key).to_string(), json!(text));
                        }
                    }
                    samples::answer(object.names[0], entry)
                };
                Ok(state.objects.values().map(entry).collect())
            }
            _ => panic!("{method:?} {path} is no place of {}", object.names[0]),
        }
    }

    fn create(
        &self,
        state: &mut State,
        named: Attributes,
        sent: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let key = self.key(&named);
        if state.objects.contains_key(&key) {
            return Err(failed(format!("{} already exists", self.object.what)));
        }
        let answer = samples::made(self.object.names[0], &named);
        state.objects.insert(key, (named, self.kept(sent)));
        Ok(answer)
    }

    fn update(
        &self,
        state: &mut State,
        named: &Attributes,
        sent: &[(String, String)],
    ) -> Result<Json, ApiError> {
        let key = self.key(named);
        // Settings are always there.
        let is_setting = !matches!(self.object.delete, Delete::At(_) | Delete::By(..));
        if is_setting {
            state.objects.entry(key.clone()).or_insert_with(|| (named.clone(), Map::new()));
        }
        let Some((_, object)) = state.objects.get_mut(&key) else {
            return Err(failed(format!("{} does not exist", self.object.what)));
        };
        if self.object.removal == Removal::Absence {
            object.clear();
        }
        for (name, text) in sent {
            match (name.as_str(), self.object.removal) {
                ("delete", Removal::Delete | Removal::Each) => {
                    for name in text.split(',') {
                        let removed = object.remove(name);
                        assert!(removed.is_some(), "{name} is deleted and was not there");
                    }
                }
                ("digest", _) => {}
                (_, Removal::Empty) if text.is_empty() => {
                    object.remove(name);
                }
                _ => {}
            }
        }
        let written = self.kept(sent);
        let empty = |text: &Json| self.object.removal == Removal::Empty && *text == json!("");
        object.extend(written.into_iter().filter(|(name, text)| name != "delete" && !empty(text)));
        Ok(Json::Null)
    }

    fn delete(&self, state: &mut State, named: &Attributes) -> Result<Json, ApiError> {
        let removed = state.objects.remove(&self.key(named));
        removed.map(|_| Json::Null).ok_or_else(|| failed(format!("{} does not exist", self.object.what)))
    }

    /// Parameters as they are kept: those sent several times as lists.
    fn kept(&self, sent: &[(String, String)]) -> Map<String, Json> {
        let mut kept = Map::new();
        for (name, text) in sent {
            let several = self.fields.iter().any(|field| {
                field.param() == name
                    && (field.wire.form == Form::Several
                        || matches!(field.ty, Type::List(_) | Type::Set(_)) && !field.inner.is_empty())
            });
            match (several, kept.get_mut(name)) {
                (true, Some(Json::Array(list))) => list.push(json!(text)),
                (true, _) => {
                    kept.insert(name.clone(), json!([text]));
                }
                _ => {
                    kept.insert(name.clone(), json!(text));
                }
            }
        }
        kept
    }

    /// An object as the API shows it: bools and numbers as numbers.
    fn shown(&self, (named, kept): &(Attributes, Map<String, Json>)) -> Map<String, Json> {
        let mut shown = kept.clone();
        for field in self.fields.iter().filter(|field| field.wire.key.is_none()) {
            if let Some(text) = named.get(field.name)
                && !shown.contains_key(field.param())
                && names(self.identity()).contains(&field.name)
            {
                shown.insert(field.param().to_string(), json!(text));
            }
            // Secrets are never told.
            if !field.wire.read && samples::is_secret(field.name) {
                shown.remove(field.param());
            }
            let is_number = matches!(field.ty, Type::Bool | Type::Number) || field.wire.form == Form::Seconds;
            if let (true, Some(Json::String(text))) = (is_number, shown.get(field.param()))
                && let Ok(number) = text.parse::<i64>()
            {
                shown.insert(field.param().to_string(), json!(number));
            }
        }
        shown
    }
}

#[async_trait]
impl Api for Store {
    async fn send(&self, method: Method, path: &str, params: &[(String, String)]) -> Result<Json, ApiError> {
        if path == "/cluster/nextid" {
            return Err(failed("VM already exists"));
        }
        if method == Method::Get {
            return self.handle(method, path, params);
        }
        // The connection breaks at the chosen write, before or after it takes effect.
        match self.breaks_at.lock().unwrap().as_mut() {
            None => {}
            Some((0, _)) => return Err(failed("the connection is gone")),
            Some((left, takes_effect)) => {
                *left -= 1;
                if *left == 0 {
                    if *takes_effect {
                        self.handle(method, path, params)?;
                    }
                    return Err(ApiError { lost: *takes_effect, ..failed("the connection broke") });
                }
            }
        }
        self.handle(method, path, params)
    }

    async fn wait(&self, _: &str, _: Duration) -> Result<(), ApiError> {
        match &mut *self.failing.lock().unwrap() {
            Some((begin, error)) if begin == "Wait" => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn upload(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: &str,
        _: Content<'_>,
        _: Duration,
    ) -> Result<String, ApiError> {
        Err(failed("nothing is uploaded"))
    }

    async fn write_file(&self, _: &str, _: &str, _: Content<'_>, _: Option<u32>) -> Result<(), ApiError> {
        Err(failed("nothing is written"))
    }

    async fn run(&self, _: &str, _: &[&str], _: Duration) -> Result<String, ApiError> {
        Err(failed("nothing is run"))
    }

    fn user(&self) -> String {
        USER.into()
    }
}
