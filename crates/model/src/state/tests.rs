//! The projection of events.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::event::{
    ActionFailed, ActionSucceeded, Actor, Claim, InstanceRestored, LogMoved, RunStarted, UnknownPayload,
};

fn event(sequence: u64, payload: Payload) -> Event {
    let actor = Actor { user: "ops".into(), host: "desk".into(), version: "0".into() };
    Event { sequence, id: Uuid::nil(), time: Timestamp::UNIX_EPOCH, run: Uuid::nil(), actor, payload }
}

fn record(name: &str) -> InstanceRecord {
    InstanceRecord {
        provider: "proxmox".into(),
        schema_version: 0,
        values: json!({"name": name}),
        sensitive: vec![],
        dependencies: vec![],
        create_before_destroy: false,
        keep: false,
        tainted: false,
        identity: None,
        unspoken: None,
    }
}

fn intent(action: u128, depose_as: Option<&str>) -> Payload {
    Payload::ActionIntended(ActionIntended {
        action: Uuid::from_u128(action),
        address: "a.b".parse().unwrap(),
        deposed: None,
        operation: Operation::Create,
        provider: "proxmox".into(),
        claim: Claim::default(),
        planned: json!({}),
        sensitive: vec![],
        depose_as: depose_as.map(String::from),
        dependencies: vec![],
        create_before_destroy: false,
        provisioners: 0,
    })
}

fn done(action: u128, name: &str) -> Payload {
    Payload::ActionSucceeded(ActionSucceeded { action: Uuid::from_u128(action), record: Some(record(name)) })
}

#[test]
fn an_intent_without_result_stays_open() {
    let state = State::project(&[event(1, intent(1, None))]).unwrap();
    assert_eq!(state.open_actions.len(), 1);
    assert!(state.instances.is_empty());
}

#[test]
fn a_failed_replacement_brings_the_deposed_object_back() {
    let failed = Payload::ActionFailed(ActionFailed {
        action: Uuid::from_u128(2),
        error: "full".into(),
        record: None,
    });
    let events = [
        event(1, intent(1, None)),
        event(2, done(1, "old")),
        event(3, intent(2, Some("d"))),
        event(4, failed),
    ];
    let state = State::project(&events).unwrap();
    let instance = &state.instances[&"a.b".parse().unwrap()];
    assert_eq!(instance.current, Some(record("old")));
    assert!(instance.deposed.is_empty());
}

#[test]
fn a_deposed_object_that_is_restored_changes_places_with_the_present_one() {
    let restored = || {
        let deposed = "d".into();
        Payload::InstanceRestored(InstanceRestored { address: "a.b".parse().unwrap(), deposed })
    };
    let mut events = vec![
        event(1, intent(1, None)),
        event(2, done(1, "old")),
        event(3, intent(2, Some("d"))),
        event(4, done(2, "new")),
        event(5, restored()),
    ];
    let state = State::project(&events).unwrap();
    let instance = &state.instances[&"a.b".parse().unwrap()];
    assert_eq!(instance.current, Some(record("old")));
    assert_eq!(instance.deposed, [("d".to_string(), record("new"))].into());
    events.drain(2..4);
    events[2].sequence = 3;
    assert!(matches!(State::project(&events), Err(ProjectionError::NothingDeposed { sequence: 3, .. })));
}

#[test]
fn gaps_unknown_kinds_and_results_without_intents_stop_the_projection() {
    assert!(matches!(State::project(&[event(2, intent(1, None))]), Err(ProjectionError::Gap { .. })));
    assert!(matches!(State::project(&[event(1, done(7, "x"))]), Err(ProjectionError::NoSuchAction { .. })));
    let newer = Payload::Unknown(UnknownPayload { kind: "guest_dreamt".into(), version: 9, body: json!({}) });
    let text = serde_json::to_string(&event(1, newer)).unwrap();
    let read: Event = serde_json::from_str(&text).unwrap();
    assert!(matches!(State::project(&[read]), Err(ProjectionError::UnknownKind { .. })));
}

#[test]
fn events_survive_json() {
    let before = event(1, intent(1, Some("d")));
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), before);
}

fn started(place: Option<&str>, store: &str) -> Payload {
    Payload::RunStarted(RunStarted {
        command: "apply".into(),
        environment: "default".into(),
        cluster: "none".into(),
        place: place.map(String::from),
        store: place.map(|_| store.into()),
    })
}

fn moved(arrived: bool, here: Option<&str>, stores: &[&str]) -> Payload {
    let (place, here) = ("there".into(), here.map(String::from));
    let stores = stores.iter().map(ToString::to_string).collect();
    Payload::LogMoved(LogMoved { place, arrived, here, stores })
}

#[test]
fn a_log_is_where_it_arrived_and_a_run_that_is_told_of_late_does_not_take_it_back() {
    let payloads = [
        started(Some("old"), "one"),
        started(Some("old"), "two"),
        moved(false, None, &[]),
        moved(true, Some("new"), &["three"]),
        started(Some("old"), "one"),
        started(Some("new"), "four"),
        moved(true, None, &[]),
        started(None, "none"),
    ];
    let events: Vec<Event> =
        payloads.into_iter().zip(1..).map(|(payload, place)| event(place, payload)).collect();
    let home = |last: usize| {
        let state = State::project(&events[..last]).unwrap();
        (state.place, state.stores.into_iter().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(home(2), (Some("old".into()), "one two".into()));
    assert_eq!(home(4), (Some("new".into()), "three".into()));
    assert_eq!(home(6), (Some("new".into()), "four three".into()));
    assert_eq!(home(8), (None, String::new()));
}

/// Names of all fields, down to those of records.
fn fields(value: &serde_json::Value) -> Vec<String> {
    let serde_json::Value::Object(object) = value else { return Vec::new() };
    let of = |(name, value): (&String, &serde_json::Value)| {
        let inner = fields(value).into_iter().map(|inner| format!("{name}.{inner}")).collect::<Vec<_>>();
        if inner.is_empty() { vec![name.clone()] } else { inner }
    };
    let mut all: Vec<String> = object.iter().flat_map(of).collect();
    all.sort();
    all
}

/// Without `..`, so that whoever adds a field comes by here.
#[test]
fn what_is_kept_of_a_projection_has_another_form_when_it_has_other_fields() {
    let record = InstanceRecord {
        provider: "p".into(),
        schema_version: 1,
        values: json!(null),
        sensitive: vec![Path::attribute("a")],
        dependencies: vec!["a.b".parse::<InstanceAddress>().unwrap().resource],
        create_before_destroy: true,
        keep: true,
        tainted: true,
        identity: Some("i".into()),
        unspoken: Some(BTreeMap::from([("o".into(), "v".into())])),
    };
    let kept = serde_json::to_value(&record).unwrap();
    assert_eq!(
        fields(&kept).join(" "),
        "create_before_destroy dependencies identity keep provider schema_version sensitive tainted unspoken.o values"
    );
    let state = State {
        sequence: 1,
        cluster: Some("c".into()),
        endpoints: BTreeSet::new(),
        instances: BTreeMap::new(),
        outputs: BTreeMap::new(),
        open_actions: Vec::new(),
        configuration: Some("d".into()),
        moved_to: Some("m".into()),
        place: Some("p".into()),
        stores: BTreeSet::from(["s".into()]),
    };
    assert_eq!(
        fields(&serde_json::to_value(&state).unwrap()).join(" "),
        "cluster configuration endpoints instances moved_to open_actions outputs place sequence stores"
    );
    assert_eq!(FORM, 3, "the lists above are those of this form");
}

#[test]
fn a_program_of_before_does_not_pass_over_what_an_event_has_since() {
    let written = serde_json::to_value(started(Some("here"), "one")).unwrap();
    assert_eq!(written["version"], 2);
    // What was written before is read.
    let mut old = serde_json::to_value(started(Some("here"), "one")).unwrap();
    old["version"] = json!(1);
    old["body"].as_object_mut().unwrap().remove("store");
    let Payload::RunStarted(read) = serde_json::from_value(old).unwrap() else { panic!("unknown") };
    assert_eq!((read.place.as_deref(), read.store), (Some("here"), None));
    let mut newer = written;
    newer["version"] = json!(crate::event::PAYLOAD_VERSION + 1);
    let newer = event(1, serde_json::from_value(newer).unwrap());
    assert!(matches!(State::project([&newer]), Err(ProjectionError::UnknownKind { version: 3, .. })));
}
