//! Whether what clients saw of one key can be told in some order: a checker of linearizability that knows nothing of
//! logs, terms or members.
//!
//! The search is the one of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with Lowe's memory of
//! what was tried ("Testing for Linearizability", 2017): take an operation that nobody had to come before, see
//! whether the register answers as it did, and go on; step back where it does not.

use std::collections::BTreeSet;

/// What a client did to the register, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// It read this.
    Read(Option<u64>),
    /// It wrote this, whatever was there.
    Write(u64),
    /// It wrote `new` if `old` was there. `done` says whether it was; `None` is not known.
    Swap { old: u64, new: u64, done: Option<bool> },
    /// It removed what was there. `done` says whether there was anything; `None` is not known.
    Remove { done: Option<bool> },
}

/// One call and when it happened.
#[derive(Clone, Debug)]
pub struct Operation {
    /// When the client called.
    pub called: u64,
    /// When it was answered; `None` for one whose fate nobody knows. It may have taken effect at any time since
    /// it was called, or never.
    pub answered: Option<u64>,
    /// What it was.
    pub call: Call,
}

/// How many steps the search may take before it gives up without an opinion.
const STEPS_MAX: u64 = 2_000_000;

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none.
    Impossible,
    /// The search was given up.
    Unknown,
}

/// Whether `operations` on one register, which begins empty, can be put in an order that explains every answer and
/// in which what was answered before another was called comes first.
#[must_use]
pub fn check(operations: &[Operation]) -> Verdict {
    let mut operations = operations.to_vec();
    operations.sort_by_key(|operation| operation.called);
    let mut search = Search {
        taken: vec![0; operations.len().div_ceil(64)],
        operations,
        first: 0,
        tried: BTreeSet::new(),
        steps: 0,
    };
    search.run()
}

struct Search {
    /// By the time they were called.
    operations: Vec<Operation>,
    /// One bit for each: it has its place already.
    taken: Vec<u64>,
    /// All before this one are taken.
    first: usize,
    /// What was there, with what was taken, when it led nowhere.
    tried: BTreeSet<(Option<u64>, usize, Vec<u64>)>,
    steps: u64,
}

/// An operation that was given its place, to be taken back.
struct Step {
    operation: usize,
    before: Option<u64>,
    first: usize,
}

impl Search {
    fn run(&mut self) -> Verdict {
        let mut state = None;
        let mut path: Vec<Step> = Vec::new();
        let mut from = self.first;
        loop {
            if self.is_done() {
                return Verdict::Linearizable;
            }
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Verdict::Unknown;
            }
            if let Some((operation, after)) = self.next_candidate(from, state) {
                path.push(Step { operation, before: state, first: self.first });
                self.take(operation);
                if self.tried.insert(self.memory(after)) {
                    state = after;
                    from = self.first;
                    continue;
                }
            }
            // What was tried last leads nowhere, or nothing can come next.
            let Some(step) = path.pop() else { return Verdict::Impossible };
            self.untake(&step);
            state = step.before;
            from = step.operation + 1;
        }
    }

    /// Those without an answer need no place.
    fn is_done(&self) -> bool {
        (self.first..self.operations.len())
            .all(|at| self.is_taken(at) || self.operations[at].answered.is_none())
    }

    /// The first operation from `from` on that may come next and explains its answer, and what is there after it.
    fn next_candidate(&self, from: usize, state: Option<u64>) -> Option<(usize, Option<u64>)> {
        let waiting = || (self.first..self.operations.len()).filter(|at| !self.is_taken(*at));
        // Whoever was called after another one's answer cannot come before it.
        let deadline = waiting().filter_map(|at| self.operations[at].answered).min().unwrap_or(u64::MAX);
        waiting()
            .filter(|at| *at >= from)
            .take_while(|at| self.operations[*at].called <= deadline)
            .find_map(|at| apply(&self.operations[at].call, state).map(|after| (at, after)))
    }

    fn is_taken(&self, at: usize) -> bool {
        self.taken[at / 64] & 1 << (at % 64) != 0
    }

    fn take(&mut self, at: usize) {
        self.taken[at / 64] |= 1 << (at % 64);
        while self.first < self.operations.len() && self.is_taken(self.first) {
            self.first += 1;
        }
    }

    fn untake(&mut self, step: &Step) {
        self.taken[step.operation / 64] &= !(1 << (step.operation % 64));
        self.first = step.first;
    }

    /// All before the first that is not taken are taken: only the words from there on tell states apart.
    fn memory(&self, state: Option<u64>) -> (Option<u64>, usize, Vec<u64>) {
        let mut words = self.taken[(self.first / 64).min(self.taken.len())..].to_vec();
        while words.last() == Some(&0) {
            words.pop();
        }
        (state, self.first, words)
    }
}

/// What is there after `call`, if it answers so; what is not known to be done may do nothing.
fn apply(call: &Call, state: Option<u64>) -> Option<Option<u64>> {
    match *call {
        Call::Read(seen) => (seen == state).then_some(state),
        Call::Write(value) => Some(Some(value)),
        Call::Swap { old, new, done } => {
            let holds = state == Some(old);
            match done {
                Some(done) if done != holds => None,
                _ => Some(if holds { Some(new) } else { state }),
            }
        }
        Call::Remove { done } => match done {
            Some(done) if done != state.is_some() => None,
            _ => Some(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(called: u64, answered: u64, call: Call) -> Operation {
        Operation { called, answered: Some(answered), call }
    }

    fn unknown(called: u64, call: Call) -> Operation {
        Operation { called, answered: None, call }
    }

    #[test]
    fn a_read_sees_one_of_the_writes_it_overlaps() {
        let history = |seen| {
            [
                operation(0, 10, Call::Write(1)),
                operation(5, 15, Call::Write(2)),
                operation(16, 20, Call::Read(Some(seen))),
            ]
        };
        assert_eq!(check(&history(1)), Verdict::Linearizable);
        assert_eq!(check(&history(2)), Verdict::Linearizable);
        assert_eq!(check(&history(3)), Verdict::Impossible);
    }

    #[test]
    fn a_stale_read_is_found() {
        let history = [
            operation(0, 1, Call::Write(1)),
            operation(2, 3, Call::Write(2)),
            operation(4, 5, Call::Read(Some(1))),
        ];
        assert_eq!(check(&history), Verdict::Impossible);
    }

    #[test]
    fn reads_do_not_go_back() {
        let history = [
            operation(0, 1, Call::Write(1)),
            operation(2, 20, Call::Write(2)),
            operation(3, 4, Call::Read(Some(2))),
            operation(5, 6, Call::Read(Some(1))),
        ];
        assert_eq!(check(&history), Verdict::Impossible);
    }

    #[test]
    fn what_nobody_knows_may_have_happened_late_or_never() {
        let lost = unknown(0, Call::Write(7));
        for seen in [Some(7), Some(1)] {
            let history =
                [lost.clone(), operation(1, 2, Call::Write(1)), operation(90, 91, Call::Read(seen))];
            assert_eq!(check(&history), Verdict::Linearizable);
        }
        let history = [lost, operation(1, 2, Call::Read(Some(7))), operation(3, 4, Call::Read(None))];
        assert_eq!(check(&history), Verdict::Impossible, "it happens once");
    }

    #[test]
    fn swaps_and_removals_say_what_was_there() {
        let swap = |done| Call::Swap { old: 1, new: 2, done: Some(done) };
        let history = |done| [operation(0, 1, Call::Write(1)), operation(2, 3, swap(done))];
        assert_eq!(check(&history(true)), Verdict::Linearizable);
        assert_eq!(check(&history(false)), Verdict::Impossible);
        let history = [
            operation(0, 1, Call::Write(1)),
            operation(2, 9, Call::Remove { done: Some(true) }),
            operation(2, 9, Call::Remove { done: Some(true) }),
        ];
        assert_eq!(check(&history), Verdict::Impossible, "only one of the two can have removed it");
    }
}
