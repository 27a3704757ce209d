//! Copies that are whole, interrupted and done again, or refused.

use pve_model::event::{LeaseTakenOver, LogMoved, Payload};

use super::*;
use crate::conformance::draft;
use crate::{Draft, EventLog as _, Key, MemoryLog};

fn key() -> Key {
    Key::from_bytes([1; 32])
}

fn taken_over() -> Draft {
    let payload = Payload::LeaseTakenOver(LeaseTakenOver { from: "ann".into(), epoch: 2 });
    Draft { payload, ..draft("") }
}

async fn source(events: u64) -> MemoryLog {
    let log = MemoryLog::new(key());
    for head in 0..events {
        log.append(head, vec![draft(&head.to_string())]).await.unwrap();
    }
    log
}

fn arrival() -> Draft {
    Draft {
        payload: Payload::LogMoved(LogMoved {
            place: "there".into(),
            arrived: true,
            here: None,
            stores: Vec::new(),
        }),
        ..draft("")
    }
}

#[tokio::test]
async fn a_copy_is_the_same_log() {
    let from = source(1203).await;
    let to = MemoryLog::named(from.id(), key());
    let copied = Copied { events: 1203, arrived: false };
    assert_eq!(copy_log(&from, &to).await.unwrap(), copied);
    assert_eq!(to.read(0).await.unwrap(), from.read(0).await.unwrap());
    assert_eq!(to.stored(0).await.unwrap(), from.stored(0).await.unwrap());
}

#[tokio::test]
async fn an_interrupted_copy_is_done_again() {
    let from = source(20).await;
    let (all, rings) = (from.stored(0).await.unwrap(), from.keyrings().await.unwrap());
    for there in [0, 7, 20] {
        let to = MemoryLog::named(from.id(), key());
        to.adopt(&all[..there], &rings).await.unwrap();
        let copied = |arrived| Copied { events: 20, arrived };
        assert_eq!(copy_log(&from, &to).await.unwrap(), copied(false), "{there}");
        to.append(20, vec![taken_over()]).await.unwrap();
        assert_eq!(copy_log(&from, &to).await.unwrap(), copied(false), "{there}");
        to.append(21, vec![arrival()]).await.unwrap();
        assert_eq!(copy_log(&from, &to).await.unwrap(), copied(true), "{there}");
        assert_eq!(to.head().await.unwrap(), 22);
    }
    // The old place got an event about its lease meanwhile.
    let to = MemoryLog::named(from.id(), key());
    to.adopt(&all, &rings).await.unwrap();
    to.append(20, vec![arrival()]).await.unwrap();
    from.append(20, vec![taken_over()]).await.unwrap();
    assert_eq!(copy_log(&from, &to).await.unwrap(), Copied { events: 20, arrived: true });
}

#[tokio::test]
async fn a_place_with_another_log_is_refused_and_left_alone() {
    let from = source(3).await;
    let other = source(2).await;
    assert!(matches!(copy_log(&from, &other).await, Err(TransferError::Occupied { events: 2 })));
    let gone_on = MemoryLog::named(from.id(), key());
    gone_on.adopt(&from.stored(0).await.unwrap(), &from.keyrings().await.unwrap()).await.unwrap();
    gone_on.append(3, vec![draft("x")]).await.unwrap();
    assert!(matches!(copy_log(&from, &gone_on).await, Err(TransferError::Occupied { events: 4 })));
    let empty = MemoryLog::new(key());
    assert!(matches!(copy_log(&from, &empty).await, Err(TransferError::OtherLog { .. })));
    for (log, events) in [(&other, 2), (&gone_on, 4), (&empty, 0)] {
        assert_eq!(log.head().await.unwrap(), events);
    }
}
