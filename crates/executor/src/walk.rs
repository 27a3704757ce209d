//! Which steps may begin, which wait until the others of their batch are staged, and which are at their end.

use std::collections::{BTreeMap, VecDeque};

use futures::channel::oneshot;
use pve_model::plan::{Batch, Step};

/// A step whose change is staged.
pub(crate) struct Staged {
    /// Its place in the plan.
    pub(crate) at: usize,
    /// Whether what needs it may go on: its postconditions hold.
    pub(crate) is_as_wanted: bool,
    /// Opened when what is staged is to be applied. Told whether all of its batch is staged.
    pub(crate) door: oneshot::Sender<bool>,
}

/// How far the steps of a plan are.
pub(crate) struct Walk<'a> {
    steps: &'a [Step],
    followers: Vec<Vec<usize>>,
    /// How many steps each still waits for.
    waiting: Vec<usize>,
    ready: VecDeque<usize>,
    far: Vec<Far>,
    /// The batch of each step.
    batch: Vec<Option<usize>>,
    batches: Vec<Members>,
    /// Those that wait for their batch.
    doors: BTreeMap<usize, oneshot::Sender<bool>>,
}

/// How many steps of a batch are where.
#[derive(Default)]
struct Members {
    /// Those that will perhaps be staged yet.
    ahead: usize,
    /// Those that will not be: they failed, or something that they need has.
    lacking: usize,
    /// Those that are staged and not at their end.
    staged: usize,
    /// The batches of the same place that are to be applied before.
    earlier: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Far {
    Ahead,
    /// It will not begin, since something that it needs failed.
    Stopped,
    /// Staged; what needs it and is of its round waits for it no longer.
    Staged,
    /// Staged, and not as it was wanted: what needs it begins when it is applied and then is.
    Unwanted,
    Done,
    Failed,
}

impl<'a> Walk<'a> {
    pub(crate) fn over(steps: &'a [Step]) -> Walk<'a> {
        let waiting: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
        for (at, step) in steps.iter().enumerate() {
            step.after.iter().for_each(|before| followers[*before].push(at));
        }
        let ready = (0..steps.len()).filter(|at| waiting[*at] == 0).collect();
        let (batch, batches) = numbered(steps);
        let far = vec![Far::Ahead; steps.len()];
        Walk { steps, followers, waiting, ready, far, batch, batches, doors: BTreeMap::new() }
    }

    /// The next step that may begin, while fewer than `most` of those that run do something. One whose place has an
    /// earlier batch waits for that: it would be applied with it, without the others of its own.
    pub(crate) fn next(&mut self, running: usize, most: usize) -> Option<usize> {
        if running.saturating_sub(self.doors.len()) >= most {
            return None;
        }
        let may_begin = |at: &usize| {
            let earlier = self.batch[*at].map(|batch| &self.batches[batch].earlier);
            let is_over = |batch: &usize| self.batches[*batch].ahead + self.batches[*batch].staged == 0;
            earlier.into_iter().flatten().all(is_over)
        };
        let place = self.ready.iter().position(may_begin)?;
        self.ready.remove(place)
    }

    pub(crate) fn is_ended(&self, at: usize) -> bool {
        matches!(self.far[at], Far::Done | Far::Failed)
    }

    /// A step waits for its batch. What needs it and is of its round waits for it no longer.
    pub(crate) fn staged(&mut self, one: Staged) {
        self.doors.insert(one.at, one.door);
        if one.is_as_wanted {
            self.set(one.at, Far::Staged);
            let (companions, _) = self.followers_of(one.at);
            self.release(&companions);
        } else {
            self.set(one.at, Far::Unwanted);
            self.stop(one.at);
        }
    }

    /// A step is at its end.
    pub(crate) fn ended(&mut self, at: usize, is_done: bool) {
        self.doors.remove(&at);
        let before = self.far[at];
        self.set(at, if is_done { Far::Done } else { Far::Failed });
        if !is_done {
            return self.stop(at);
        }
        if before == Far::Unwanted {
            self.resume(at);
        }
        let (companions, others) = self.followers_of(at);
        if before != Far::Staged {
            self.release(&companions);
        }
        self.release(&others);
    }

    fn set(&mut self, at: usize, far: Far) {
        let before = std::mem::replace(&mut self.far[at], far);
        let Some(batch) = self.batch[at] else { return };
        let members = &mut self.batches[batch];
        if let Some(count) = members.those(before) {
            *count -= 1;
        }
        if let Some(count) = members.those(far) {
            *count += 1;
        }
    }

    /// What needs a step: what needs it staged, and what needs it to be at its end.
    fn followers_of(&self, at: usize) -> (Vec<usize>, Vec<usize>) {
        let round = |at: usize| self.steps[at].batch.as_ref().map(|batch| batch.round);
        self.followers[at].iter().partition(|other| round(at).is_some() && round(at) == round(**other))
    }

    fn release(&mut self, followers: &[usize]) {
        for follower in followers {
            self.waiting[*follower] -= 1;
            if self.waiting[*follower] == 0 {
                self.ready.push_back(*follower);
            }
        }
    }

    /// Nothing that needs this step will begin any more, unless it has.
    fn stop(&mut self, at: usize) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            for follower in self.followers[at].clone() {
                if self.far[follower] == Far::Ahead {
                    self.set(follower, Far::Stopped);
                    open.push(follower);
                }
            }
        }
    }

    /// What was stopped for this step alone may begin after all.
    fn resume(&mut self, at: usize) {
        for later in at + 1..self.steps.len() {
            let lacks =
                |before: &usize| matches!(self.far[*before], Far::Stopped | Far::Unwanted | Far::Failed);
            if self.far[later] == Far::Stopped && !self.steps[later].after.iter().any(lacks) {
                self.set(later, Far::Ahead);
            }
        }
    }

    /// Lets those go on that wait for nobody any more: all of their batch are staged, as far as they will be, and those
    /// that they need are at their end, so that results are recorded in the order of the steps.
    pub(crate) fn let_go(&mut self, is_stopped: bool) {
        let may_go = |at: &usize| {
            let is_settled = is_stopped || self.members(*at).is_none_or(|members| members.ahead == 0);
            is_settled && self.steps[*at].after.iter().all(|other| self.is_ended(*other))
        };
        let open: Vec<usize> = self.doors.keys().copied().filter(may_go).collect();
        for at in open {
            let is_whole = self.members(at).is_none_or(|members| members.ahead + members.lacking == 0);
            if let Some(door) = self.doors.remove(&at) {
                // Whoever waited may be gone.
                let _ = door.send(is_whole);
            }
        }
    }

    fn members(&self, at: usize) -> Option<&Members> {
        self.batch[at].map(|batch| &self.batches[batch])
    }
}

impl Members {
    fn those(&mut self, far: Far) -> Option<&mut usize> {
        match far {
            Far::Ahead => Some(&mut self.ahead),
            Far::Stopped | Far::Failed => Some(&mut self.lacking),
            Far::Staged | Far::Unwanted => Some(&mut self.staged),
            Far::Done => None,
        }
    }
}

/// The batch of each step, and the batches.
fn numbered(steps: &[Step]) -> (Vec<Option<usize>>, Vec<Members>) {
    let mut numbers: BTreeMap<&Batch, usize> = BTreeMap::new();
    steps.iter().filter_map(|step| step.batch.as_ref()).for_each(|batch| {
        numbers.insert(batch, 0);
    });
    let mut batches: Vec<Members> = Vec::new();
    let mut of_place: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    // Those of a place by their rounds.
    for (batch, number) in &mut numbers {
        *number = batches.len();
        let earlier = of_place.entry(&batch.place).or_default();
        batches.push(Members { earlier: earlier.clone(), ..Members::default() });
        earlier.push(*number);
    }
    let batch: Vec<Option<usize>> = steps.iter().map(|step| Some(numbers[step.batch.as_ref()?])).collect();
    batch.iter().flatten().for_each(|number| batches[*number].ahead += 1);
    (batch, batches)
}
