//! One run's hand on the log: commits concurrent events together and keeps the projection up to date.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use pve_model::event::{Actor, Payload};
use pve_model::state::{ProjectionError, State};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::log::{Draft, EventLog, LogError};

/// Why an event is not known to be durable.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct WriterError {
    /// What failed.
    pub message: String,
    /// Whether another writer was faster; nothing more may be done in this run.
    pub lost: bool,
}

type Request = (Vec<Draft>, oneshot::Sender<Result<(), WriterError>>);

/// Records events of one run. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    requests: mpsc::UnboundedSender<Request>,
    state: Arc<Mutex<State>>,
    run: Uuid,
    actor: Actor,
}

impl Writer {
    /// A writer that continues after `state`, the projection of the whole log. Must be called within a runtime.
    pub fn start(log: Arc<dyn EventLog>, state: State, actor: Actor) -> Writer {
        let (requests, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(state));
        tokio::spawn(commit(log, receiver, Arc::clone(&state)));
        Writer { requests, state, run: Uuid::now_v7(), actor }
    }

    /// The run.
    pub fn run(&self) -> Uuid {
        self.run
    }

    /// The projection of everything durable.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Appends an event. Durable on return.
    ///
    /// # Errors
    /// When it is not known to be durable.
    pub async fn record(&self, payload: Payload) -> Result<(), WriterError> {
        self.record_all(vec![payload]).await
    }

    /// Appends events in one batch: after a crash all of them are there, or none. Durable on return.
    ///
    /// # Errors
    /// When they are not known to be durable.
    pub async fn record_all(&self, payloads: Vec<Payload>) -> Result<(), WriterError> {
        let draft = |payload| Draft {
            id: Uuid::now_v7(),
            time: Timestamp::now(),
            run: self.run,
            actor: self.actor.clone(),
            payload,
        };
        let drafts = payloads.into_iter().map(draft).collect();
        let gone = || WriterError { message: "the log was closed after an error".into(), lost: true };
        let (sender, receiver) = oneshot::channel();
        self.requests.send((drafts, sender)).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }
}

/// Appends what was asked for while the append before ran: concurrency costs no extra latency. After an error nothing
/// more is appended, so that no event becomes durable behind one that did not, and whoever asks is told that error.
async fn commit(
    log: Arc<dyn EventLog>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    state: Arc<Mutex<State>>,
) {
    let mut batch = Vec::new();
    // What the next events have to fit: copied once, as a state may be large.
    let mut ahead = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut broken: Option<WriterError> = None;
    while requests.recv_many(&mut batch, 256).await > 0 {
        let (drafts, replies): (Vec<Vec<Draft>>, Vec<_>) = batch.drain(..).unzip();
        let drafts = drafts.concat();
        let result = match &broken {
            Some(error) => {
                if error.lost {
                    log.keep(drafts).await;
                }
                Err(error.clone())
            }
            None => append(&*log, drafts, &mut ahead, &state).await,
        };
        broken = result.as_ref().err().cloned();
        for reply in replies {
            // The asker may be gone: the event is durable all the same.
            let _ = reply.send(result.clone());
        }
    }
}

/// Appends events that fit what came before them. Nobody could project a log with one that does not.
/// `ahead` is the state with them, whether they are durable or not: after an error it is not asked any more.
async fn append(
    log: &dyn EventLog,
    drafts: Vec<Draft>,
    ahead: &mut State,
    state: &Mutex<State>,
) -> Result<(), WriterError> {
    let head = ahead.sequence;
    for (sequence, draft) in (head + 1..).zip(&drafts) {
        ahead.apply(&draft.at(sequence)).map_err(|error| failed(&error))?;
    }
    let events = log.append(head, drafts).await.map_err(|error| lost(&error))?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    events.iter().try_for_each(|event| state.apply(event)).map_err(|error| failed(&error))
}

fn lost(error: &LogError) -> WriterError {
    WriterError { message: error.to_string(), lost: error.is_conflict() }
}

fn failed(error: &ProjectionError) -> WriterError {
    WriterError { message: error.to_string(), lost: false }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::conformance::draft;
    use crate::{Key, MemoryLog};

    fn actor() -> Actor {
        draft("").actor
    }

    #[tokio::test]
    async fn concurrent_events_are_appended_together_and_projected() {
        let log = Arc::new(Full(MemoryLog::new(Key::from_bytes([1; 32])), true.into(), 0.into()));
        let writer = Writer::start(log.clone(), State::default(), actor());
        let all = (0..20).map(|i| writer.record(draft(&i.to_string()).payload));
        for result in futures::future::join_all(all).await {
            result.unwrap();
        }
        assert_eq!((log.head().await.unwrap(), log.2.load(Ordering::SeqCst)), (20, 1));
        assert_eq!(writer.state(), State::project(&log.read(0).await.unwrap()).unwrap());
    }

    #[tokio::test]
    async fn an_event_that_does_not_fit_is_not_appended() {
        let log = Arc::new(MemoryLog::new(Key::from_bytes([1; 32])));
        let writer = Writer::start(log.clone(), State::default(), actor());
        let done = pve_model::event::ActionSucceeded { action: Uuid::nil(), record: None };
        let batch = vec![draft("a").payload, Payload::ActionSucceeded(done)];
        assert!(!writer.record_all(batch).await.unwrap_err().lost);
        assert_eq!((log.head().await.unwrap(), writer.state()), (0, State::default()));
    }

    #[tokio::test]
    async fn events_that_belong_together_are_one_batch() {
        let log = Arc::new(Full(MemoryLog::new(Key::from_bytes([1; 32])), true.into(), 0.into()));
        let writer = Writer::start(log.clone(), State::default(), actor());
        writer.record_all(["a", "b", "c"].map(|text| draft(text).payload).to_vec()).await.unwrap();
        assert_eq!((log.head().await.unwrap(), log.2.load(Ordering::SeqCst)), (3, 1));
        assert_eq!(writer.state().sequence, 3);
    }

    #[tokio::test]
    async fn a_faster_writer_ends_this_one() {
        let log = Arc::new(MemoryLog::new(Key::from_bytes([1; 32])));
        let writer = Writer::start(log.clone(), State::default(), actor());
        log.append(0, vec![draft("other")]).await.unwrap();
        assert!(writer.record(draft("mine").payload).await.unwrap_err().lost);
        assert!(writer.record(draft("again").payload).await.unwrap_err().lost);
        assert_eq!(log.head().await.unwrap(), 1);
    }

    /// A log whose disk is full at the first append and not at later ones, and how many there were.
    struct Full(MemoryLog, AtomicBool, AtomicU32);

    #[async_trait::async_trait]
    impl crate::Layer for Full {
        fn inner(&self) -> &dyn EventLog {
            &self.0
        }
        async fn append(
            &self,
            head: u64,
            batch: Vec<Draft>,
        ) -> Result<Vec<pve_model::event::Event>, LogError> {
            self.2.fetch_add(1, Ordering::SeqCst);
            if self.1.swap(true, Ordering::SeqCst) {
                return self.0.append(head, batch).await;
            }
            Err(LogError::Storage { place: "log.db".into(), reason: "the disk is full".into() })
        }
    }

    #[tokio::test]
    async fn after_an_error_nothing_is_appended_and_each_asker_is_told_that_error() {
        let log = Arc::new(Full(MemoryLog::new(Key::from_bytes([1; 32])), false.into(), 0.into()));
        let writer = Writer::start(log.clone(), State::default(), actor());
        for text in ["one", "two"] {
            let error = writer.record(draft(text).payload).await.unwrap_err();
            assert!(error.message.contains("the disk is full") && !error.lost, "{error:?}");
        }
        assert_eq!(log.head().await.unwrap(), 0);
    }
}
