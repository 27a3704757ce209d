//! Which steps may begin, which wait until the others of their batch are staged, and which are at their end.

use std::collections::{BTreeMap, VecDeque};

use futures::channel::oneshot;
use pve_model::plan::Step;

/// A step whose change is staged.
pub(crate) struct Staged {
    /// Its place in the plan.
    pub(crate) at: usize,
    /// Whether what needs it may go on: its postconditions hold.
    pub(crate) is_as_wanted: bool,
    /// Opened when what is staged is to be applied.
    pub(crate) door: oneshot::Sender<()>,
}

/// How far the steps of a plan are.
pub(crate) struct Walk<'a> {
    steps: &'a [Step],
    followers: Vec<Vec<usize>>,
    /// How many steps each still waits for.
    waiting: Vec<usize>,
    ready: VecDeque<usize>,
    far: Vec<Far>,
    /// Those that wait for their batch.
    doors: BTreeMap<usize, oneshot::Sender<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Far {
    Ahead,
    /// It will not begin, since something that it needs failed.
    Stopped,
    /// Staged; what needs it and is of its batch waits for it no longer.
    Staged,
    /// Staged, and not as it was wanted: what needs it will not begin.
    Unwanted,
    Ended,
}

impl<'a> Walk<'a> {
    pub(crate) fn over(steps: &'a [Step]) -> Walk<'a> {
        let waiting: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
        for (at, step) in steps.iter().enumerate() {
            step.after.iter().for_each(|before| followers[*before].push(at));
        }
        let ready = (0..steps.len()).filter(|at| waiting[*at] == 0).collect();
        Walk { steps, followers, waiting, ready, far: vec![Far::Ahead; steps.len()], doors: BTreeMap::new() }
    }

    /// The next step that may begin, while fewer than `most` of those that run do something.
    pub(crate) fn next(&mut self, running: usize, most: usize) -> Option<usize> {
        if running.saturating_sub(self.doors.len()) < most { self.ready.pop_front() } else { None }
    }

    pub(crate) fn is_ended(&self, at: usize) -> bool {
        self.far[at] == Far::Ended
    }

    /// A step waits for its batch. What needs it and is of its batch waits for it no longer.
    pub(crate) fn staged(&mut self, one: Staged) {
        self.doors.insert(one.at, one.door);
        if one.is_as_wanted {
            self.far[one.at] = Far::Staged;
            let (companions, _) = self.followers_of(one.at);
            self.release(&companions);
        } else {
            self.far[one.at] = Far::Unwanted;
            self.stop(one.at);
        }
    }

    /// A step is at its end.
    pub(crate) fn ended(&mut self, at: usize, is_done: bool) {
        self.doors.remove(&at);
        let before = std::mem::replace(&mut self.far[at], Far::Ended);
        if !is_done {
            return self.stop(at);
        }
        let (companions, others) = self.followers_of(at);
        if before != Far::Staged {
            self.release(&companions);
        }
        self.release(&others);
    }

    /// What needs a step: what is of its batch, and the rest.
    fn followers_of(&self, at: usize) -> (Vec<usize>, Vec<usize>) {
        self.followers[at].iter().partition(|other| self.are_together(at, **other))
    }

    fn are_together(&self, one: usize, other: usize) -> bool {
        self.steps[one].batch.is_some() && self.steps[one].batch == self.steps[other].batch
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
            for follower in &self.followers[at] {
                if self.far[*follower] == Far::Ahead {
                    self.far[*follower] = Far::Stopped;
                    open.push(*follower);
                }
            }
        }
    }

    /// Lets those go on that wait for nobody any more: all of their batch are staged, as far as they will be, and those
    /// that they need are at their end, so that results are recorded in the order of the steps.
    pub(crate) fn let_go(&mut self, is_stopped: bool) {
        let may_go = |at: &usize| {
            let mut together = (0..self.steps.len()).filter(|other| self.are_together(*at, *other));
            let is_whole = is_stopped || together.all(|other| self.far[other] != Far::Ahead);
            let mut needed = self.steps[*at].after.iter().filter(|other| self.are_together(*at, **other));
            is_whole && needed.all(|other| self.is_ended(*other))
        };
        let open: Vec<usize> = self.doors.keys().copied().filter(may_go).collect();
        for door in open.iter().filter_map(|at| self.doors.remove(at)) {
            // Whoever waited may be gone.
            let _ = door.send(());
        }
    }
}
