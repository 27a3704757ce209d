//! The projection of events.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::event::{ActionFailed, ActionSucceeded, Actor, Claim, LogMoved, RunStarted, UnknownPayload};

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
