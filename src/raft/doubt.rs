//! A founder that has nothing does not know whether it has ever had anything.
//!
//! With an empty disk, one that starts for the first time looks like one whose disk was lost. The latter may have voted, and may
//! have said that entries are durable: others count on that, and it knows nothing of it any more. Were it to vote again, it could
//! help to elect somebody who has less than was acknowledged. So a founder with nothing is *in doubt*, and takes no part: it
//! hears nobody, votes for nobody, and does not stand. It asks the other founders how far they are (a [`Testimony`]), and
//! an [`Inquiry`] says when it is out of doubt:
//!
//! - **All have answered.** It goes on as one who has been in the newest of their terms and has voted there
//!   for itself, and who has had the newest of their logs: it votes for nobody whose log is less ([`HardState::floor`]), and
//!   does not stand before it has as much.
//! - **They begin.** So many have answered that with this member they are a majority, nobody who has answered has an entry,
//!   and the others cannot be reached. Else a cluster could begin only once all its founders are there. They begin in the first
//!   term, as if each had voted for itself there: so a founder that is started again knows that it is not new.
//!
//! Why the first is safe: whatever a vote or an acknowledgement of its earlier life counted for, it counted with the
//! member that it was given to, which had begun that term, or had that entry, before it asked for it. That one is among those who
//! have answered, later, so neither its term nor its log is beyond theirs. This holds for messages of the earlier life that
//! are still on their way, too, which is why a majority of answers is not enough: whoever they are on their way to may be
//! missing from it (Michael, Ports, Sharma, Szekeres, "Recovering Shared Objects Without Stable Storage", 2017). From then on
//! this member is as bound as if its disk were there: it follows no older leader, and helps to elect nobody who lacks what it may
//! have had. Members that joined later are not asked; so whoever knows that one of them has a vote, or that this member has none
//! any more, gives no testimony, and it is to join as a new member. One refusal is enough: a founder that lags behind may not
//! know. `tests/raft_exhaustive.rs` and the simulator lose disks in the middle of everything.
//!
//! The second takes the word of those who have nothing, those who are in doubt themselves among them. It is wrong, and both a
//! second leader in a term and the loss of what was acknowledged may follow, when the cluster began without them, they have never been
//! given an entry since, this member is one that had some and has lost its disk, and whoever else has them cannot be reached.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FAR, Output, Raft, is_founder};
use crate::entry::{Config, EntryId, HardState};
use crate::types::{MemberId, Term};

/// How far a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Testimony {
    /// The newest term that it has been in.
    pub term: Term,
    /// The last entry that it has, or has had.
    pub last: EntryId,
}

impl Testimony {
    /// The more of both.
    fn or_more(self, other: Self) -> Self {
        Self { term: self.term.max(other.term), last: self.last.max(other.last) }
    }

    fn has_nothing(self) -> bool {
        self.last == EntryId::default()
    }
}

/// What the other founders have said so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inquiry {
    /// Those who have not answered; the others have.
    silent: BTreeSet<MemberId>,
    answers: BTreeMap<MemberId, Testimony>,
    /// Those who are asked for the first time.
    unasked: BTreeSet<MemberId>,
    majority: usize,
}

impl Inquiry {
    /// The inquiry of `member`, one of the voters of `config`.
    #[must_use]
    pub fn new(config: &Config, member: MemberId) -> Self {
        let mut others = config.voters.clone();
        others.remove(&member);
        let majority = config.voters.len() / 2 + 1;
        Self { silent: others.clone(), answers: BTreeMap::new(), unasked: others, majority }
    }

    /// Who is to be asked, or asked again: whoever has not answered.
    pub fn silent(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.silent.iter().copied()
    }

    /// A founder has answered. What nobody can have reached counts for nothing.
    pub fn answered(&mut self, member: MemberId, testimony: Testimony) {
        self.unasked.remove(&member);
        let Testimony { term, last } = testimony;
        if last.term <= term && term.get() <= FAR && last.index.get() <= FAR && self.silent.remove(&member) {
            self.answers.insert(member, testimony);
        }
    }

    /// A founder was asked, and did not answer.
    pub fn did_not_answer(&mut self, member: MemberId) {
        self.unasked.remove(&member);
    }

    /// What the member is to go on from, once it is out of doubt.
    #[must_use]
    pub fn verdict(&self) -> Option<Testimony> {
        let has_all = self.silent.is_empty();
        let has_nobody_anything = self.answers.values().all(|testimony| testimony.has_nothing());
        let is_majority = self.answers.len() + 1 >= self.majority;
        let begins = self.unasked.is_empty() && is_majority && has_nobody_anything;
        (has_all || begins)
            .then(|| self.answers.values().copied().fold(Testimony::default(), Testimony::or_more))
    }
}

impl Raft {
    /// Whether this member waits to hear how far the other founders are, and takes no part until then.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// How far this member is, for `founder`, which is in doubt. None when that can only come back as a new member: it was
    /// removed, or may have given its word to others than founders.
    #[must_use]
    pub fn testimony_for(&self, founder: MemberId) -> Option<Testimony> {
        let config = self.configs.current();
        let mut electors = config.voters.iter().chain(&config.outgoing);
        let is_as_founded = electors.all(|&elector| is_founder(elector)) && !self.is_removed(founder);
        is_as_founded.then(|| self.testimony())
    }

    /// How far this member is, or may have been.
    #[must_use]
    pub fn testimony(&self) -> Testimony {
        let HardState { term, floor, .. } = self.hard_state;
        Testimony { term, last: self.log.last().max(floor) }
    }

    /// This member is out of doubt.
    pub(super) fn go_on_from(&mut self, testimony: Testimony, outputs: &mut Vec<Output>) {
        if !self.is_in_doubt || self.is_stopped {
            return;
        }
        self.is_in_doubt = false;
        let Testimony { term, last } = testimony;
        // From the first term on: whoever has been in one is never in doubt again.
        let first = Term::default().next();
        self.become_follower(term.max(first), None);
        self.hard_state.vote = Some(self.id);
        self.hard_state.floor = last;
        self.is_unwritten = true;
        if term > first || !testimony.has_nothing() {
            // It may have promised a leader to vote for nobody else for a while.
            self.election.keep_quiet(&self.settings);
        }
        self.write_hard_state(outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LogIndex;

    fn founders(count: u64) -> Config {
        Config { voters: (1..=count).map(MemberId::new).collect(), ..Config::default() }
    }

    fn testimony(term: u64, last: (u64, u64)) -> Testimony {
        let last = EntryId { term: Term::new(last.0), index: LogIndex::new(last.1) };
        Testimony { term: Term::new(term), last }
    }

    const NOTHING: Testimony =
        Testimony { term: Term::new(0), last: EntryId { term: Term::new(0), index: LogIndex::new(0) } };

    #[test]
    fn where_others_have_something_all_must_answer() {
        let mut inquiry = Inquiry::new(&founders(5), MemberId::new(1));
        let answers = [testimony(4, (3, 9)), testimony(7, (2, 30)), NOTHING];
        for (member, answer) in (2..).zip(answers) {
            inquiry.answered(MemberId::new(member), answer);
            inquiry.did_not_answer(MemberId::new(5));
            assert_eq!(inquiry.verdict(), None);
        }
        assert_eq!(inquiry.silent().collect::<Vec<_>>(), [MemberId::new(5)]);
        inquiry.answered(MemberId::new(5), testimony(1, (1, 1)));
        assert_eq!(inquiry.verdict(), Some(testimony(7, (3, 9))));
    }

    #[test]
    fn a_majority_that_has_nothing_begins_once_the_others_were_asked() {
        let mut inquiry = Inquiry::new(&founders(3), MemberId::new(2));
        inquiry.answered(MemberId::new(1), testimony(1, (0, 0)));
        assert_eq!(inquiry.verdict(), None, "the third may have something");
        inquiry.did_not_answer(MemberId::new(3));
        assert_eq!(inquiry.verdict(), Some(testimony(1, (0, 0))));

        let mut inquiry = Inquiry::new(&founders(5), MemberId::new(2));
        [1, 3, 4].into_iter().for_each(|silent| inquiry.did_not_answer(MemberId::new(silent)));
        inquiry.answered(MemberId::new(5), NOTHING);
        assert_eq!(inquiry.verdict(), None, "two of five are no majority");
    }

    #[test]
    fn what_nobody_can_have_reached_is_no_answer() {
        let mut inquiry = Inquiry::new(&founders(2), MemberId::new(1));
        for absurd in [testimony(u64::MAX, (1, 1)), testimony(2, (1, u64::MAX)), testimony(1, (2, 2))] {
            inquiry.answered(MemberId::new(2), absurd);
            assert_eq!(inquiry.verdict(), None);
        }
        inquiry.answered(MemberId::new(7), NOTHING);
        assert_eq!(inquiry.verdict(), None, "it is no founder");
        inquiry.answered(MemberId::new(2), testimony(2, (2, 2)));
        assert_eq!(inquiry.verdict(), Some(testimony(2, (2, 2))));
    }
}
