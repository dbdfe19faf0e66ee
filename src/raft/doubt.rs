//! A founder that has nothing does not know whether it has ever had anything.
//!
//! With an empty disk, one that starts for the first time looks like one whose disk was lost. The latter may have voted, and may
//! have said that entries are durable: others count on that, and it knows nothing of it any more. Were it to vote again, it could
//! help to elect somebody who has less than was acknowledged. So a founder with nothing is *in doubt*, and takes no part: it
//! hears nobody, votes for nobody, and does not stand. Its owner asks all other founders how far they are (a [`Testimony`]), again
//! and again, and it is out of doubt in one of two ways:
//!
//! - **All have told.** It goes on as one who has been in the newest of their terms and has voted there for itself, and who has had
//!   the newest of their logs: it votes for nobody whose log is less ([`HardState::floor`]), and does not stand before it has as much.
//! - **They begin.** When they were asked last, so many told that with this member they are a majority, and the others could not be
//!   reached; and nobody who has ever told, nor this member, has, has had or has ever been told of an entry, or has been in, or been
//!   told of, a term after the first. Else a cluster could begin only once all its founders are there. They begin in the first term,
//!   as if each had voted for itself there: so a founder that is started again knows that it is not new.
//!
//! Why the first is safe: whatever a vote or an acknowledgement of its earlier life counted for, it counted with the
//! member that it was given to, which had begun that term, or had that entry, before it asked for it. That one is among those who
//! have told, after it, so neither its term nor its log is beyond theirs (it may have lost that entry since; then those
//! whose copies counted have it). This holds for messages of the earlier life that are still on their way, too, which is why a
//! majority of answers is not enough: whoever they are on their way to may be missing from it (Michael, Ports, Sharma, Szekeres,
//! "Recovering Shared Objects Without Stable Storage", 2017). From then on this member is as bound as if its disk were there: it
//! follows no older leader, and helps to elect nobody who lacks what it may have had. Members that joined later are not asked, and
//! may have been given its word: as voters, as learners whose promotion nobody else knows of any more, or before they were removed. So
//! whoever knows that the members, or their votes, have ever changed gives no testimony, and this member is to join as a new one. One
//! refusal is enough: a founder that lags behind may not know, but the first change was committed by a majority of the founders before
//! anybody else could be given a vote. `tests/raft_exhaustive.rs` and the simulator lose disks in the middle of everything.
//!
//! What is told may not be durable yet with whoever tells it, and be lost there. Then this member helps to elect nobody until a leader
//! that does without its vote has a newer log. To be told less would not be safe: with the copy on the lost disk, it may be committed.
//!
//! The second takes the word of those who have nothing, those who are in doubt themselves among them. So it is made hard to get wrong:
//!
//! - What a founder in doubt is told of, terms as well as entries, is its floor from then on, durably, and part of its own testimony: it
//!   is not forgotten when it starts again, nor when whoever told loses its disk.
//! - Whoever has been in a later term may have voted for a leader whose entries it never got.
//! - Whoever is there and does not tell how far it is, because it is too slow, or has stopped since its disk failed, is not out of
//!   reach: it may have what is missing. Nor is whoever was there a moment ago, as far as the same process knows, nor whoever was there
//!   and does not even refuse to be called any more.
//! - Whoever told that it has nothing, and cannot be reached any more, is not counted: it may have heard of more since.
//! - Nor does this member begin once it was told that it is to come as a new one, though it is started again.
//! - What others say while this member is in doubt is not followed, but its term is told of with that; and whoever is no founder and
//!   says anything shows that the members have changed.
//! - Whoever is out of doubt takes part once that is durable, and not before. So when somebody stands in a later term, those that
//!   made it stand are in doubt no more, whatever power is lost, and need not wait for those who never came.
//!
//! What is left: a second leader in a term, and the loss of what was acknowledged, may follow when some founders have never been given an
//! entry nor heard of one or of a later term, whether or not they were there in the beginning; this member had an entry, or had voted, and
//! has lost its disk; it makes a majority with them; and whoever else has entries or began that term cannot be reached. Members
//! that joined later are not asked, so they may be up, and are noticed only if they call before this one begins.

use std::collections::BTreeMap;

use super::{FAR, Output, Raft, Stop, is_founder};
use crate::entry::{Config, EntryId, HardState, Testimony};
use crate::types::{MemberId, Term};

/// The term that a cluster begins in.
const FIRST: Term = Term::new(1);

impl Testimony {
    /// Whether nothing has happened yet, as far as whoever says this knows.
    fn is_of_the_beginning(self) -> bool {
        self.term <= FIRST && self.last == EntryId::default()
    }

    /// Nobody can have got further than counting up from 0 leads.
    fn is_possible(self) -> bool {
        let Self { term, last } = self;
        last.term <= term && term.get() <= FAR && last.index.get() <= FAR
    }
}

/// What comes of asking a founder how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Witness {
    /// It tells.
    Told(Testimony),
    /// It is there, and does not tell.
    Silent,
    /// It cannot be reached, nor is it known to have been there a moment ago.
    Unreachable,
    /// It has none to give: see [`Raft::testimony_for_founder`].
    Disowned,
}

/// What a founder in doubt knows of the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inquiry {
    /// The most that each of them has ever told.
    told: BTreeMap<MemberId, Option<Testimony>>,
    majority: usize,
    /// The write-set with which the member is out of doubt, once it is durable.
    end: Option<u64>,
}

impl Inquiry {
    /// The inquiry of `member`, one of the voters of `config`.
    pub(super) fn new(config: &Config, member: MemberId) -> Self {
        let others = config.voters.iter().filter(|&&founder| founder != member);
        let told = others.map(|&founder| (founder, None)).collect();
        Self { told, majority: config.voters.len() / 2 + 1, end: None }
    }

    /// They were asked.
    fn hear(&mut self, answers: &BTreeMap<MemberId, Witness>) {
        for (founder, most) in &mut self.told {
            if let Some(Witness::Told(testimony)) = answers.get(founder) {
                *most = Some(most.unwrap_or_default().or_more(*testimony));
            }
        }
    }

    /// What the member is to go on from, once it is out of doubt; `own` is what it says of itself, and `answers` what came of asking
    /// the others last, all at the same time.
    fn verdict(&self, own: Testimony, answers: &BTreeMap<MemberId, Witness>) -> Option<Testimony> {
        let have_all_told = self.told.values().all(Option::is_some);
        let most = self.most().or_more(own);
        let answers = || self.told.keys().filter_map(|founder| answers.get(founder));
        let telling = answers().filter(|heard| matches!(heard, Witness::Told(_))).count();
        let out_of_reach = answers().filter(|heard| **heard == Witness::Unreachable).count();
        let begins = telling + 1 >= self.majority
            && telling + out_of_reach == self.told.len()
            && most.is_of_the_beginning();
        (have_all_told || begins).then_some(most)
    }

    /// The most of what was told.
    fn most(&self) -> Testimony {
        self.told.values().flatten().copied().fold(Testimony::default(), Testimony::or_more)
    }
}

impl Raft {
    /// Whether this member waits to hear how far the other founders are, and takes no part until then.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.inquiry.is_some()
    }

    /// The founders that this one, which is in doubt, is to ask how far they are, again and again until there are none.
    #[must_use]
    pub fn witnesses(&self) -> Vec<MemberId> {
        self.told().map(|(founder, _)| founder).collect()
    }

    /// Those of them that have never told.
    #[must_use]
    pub fn untold(&self) -> Vec<MemberId> {
        self.told().filter(|(_, told)| told.is_none()).map(|(founder, _)| founder).collect()
    }

    /// What the others have told, as long as that is of interest.
    fn told(&self) -> impl Iterator<Item = (MemberId, Option<Testimony>)> + '_ {
        let inquiry = self.inquiry.iter().filter(|inquiry| inquiry.end.is_none());
        inquiry.flat_map(|inquiry| &inquiry.told).map(|(founder, told)| (*founder, *told))
    }

    /// How far this member is, for a founder in doubt. That can only come as a new member if it was removed, or may have given its
    /// word to others than founders.
    #[must_use]
    pub fn testimony_for_founder(&self) -> Witness {
        let (_, settled) = self.configs.settled(self.committed);
        match (settled.was_changed, self.configs.current().was_changed) {
            (true, _) => Witness::Disowned,
            // That may come to nothing.
            (false, true) => Witness::Silent,
            (false, false) => Witness::Told(self.testimony()),
        }
    }

    /// How far this member is, or may have been.
    #[must_use]
    pub fn testimony(&self) -> Testimony {
        let HardState { term, floor, .. } = self.hard_state;
        Testimony { term, last: self.log.last() }.or_more(floor)
    }

    /// The other founders were asked how far they are.
    pub(super) fn hear_witnesses(
        &mut self,
        mut answers: BTreeMap<MemberId, Witness>,
        outputs: &mut Vec<Output>,
    ) {
        let Some(inquiry) = self.inquiry.as_mut().filter(|inquiry| inquiry.end.is_none()) else { return };
        for heard in answers.values_mut() {
            if matches!(heard, Witness::Told(testimony) if !testimony.is_possible()) {
                *heard = Witness::Silent;
            }
        }
        inquiry.hear(&answers);
        let floor = self.hard_state.floor.or_more(inquiry.most());
        if floor != self.hard_state.floor {
            self.hard_state.floor = floor;
            self.is_unwritten = true;
        }
        if answers.values().any(|heard| *heard == Witness::Disowned) {
            return self.give_up(outputs);
        }
        let inquiry = self.inquiry.as_ref();
        if let Some(testimony) = inquiry.and_then(|inquiry| inquiry.verdict(self.testimony(), &answers)) {
            self.go_on_from(testimony, outputs);
        }
    }

    /// A member says something while this one is in doubt, which is not to follow from it, but may not be the beginning.
    pub(super) fn overhear(&mut self, from: MemberId, term: Term, outputs: &mut Vec<Output>) {
        if self.inquiry.as_ref().is_none_or(|inquiry| inquiry.end.is_some()) {
            return;
        }
        if !is_founder(from) {
            return self.give_up(outputs);
        }
        let floor = self.hard_state.floor.or_more(Testimony { term, ..Testimony::default() });
        self.is_unwritten |= floor != self.hard_state.floor;
        self.hard_state.floor = floor;
    }

    /// This member is to come as a new one. If it is started again instead, it does not begin with those who know of nothing:
    /// others knew of more.
    fn give_up(&mut self, outputs: &mut Vec<Output>) {
        let later = Testimony { term: FIRST.next(), ..Testimony::default() };
        self.hard_state.floor = self.hard_state.floor.or_more(later);
        self.is_unwritten = true;
        self.write_hard_state(outputs);
        self.stop(Some(Stop::Disowned), outputs);
    }

    /// This member is out of doubt, once that is durable.
    fn go_on_from(&mut self, testimony: Testimony, outputs: &mut Vec<Output>) {
        // From the first term on: whoever has been in one is never in doubt again.
        self.become_follower(testimony.term.max(FIRST), None);
        self.hard_state.vote = Some(self.id);
        self.hard_state.floor = testimony;
        self.is_unwritten = true;
        if !testimony.is_of_the_beginning() {
            // It may have promised a leader to vote for nobody else for a while.
            self.election.keep_quiet(&self.settings);
        }
        self.write_hard_state(outputs);
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.end = Some(self.hard_state_write);
        }
    }

    /// Something has become durable: from now on no crash may bring this member back into doubt.
    pub(super) fn take_part(&mut self) {
        let end = self.inquiry.as_ref().and_then(|inquiry| inquiry.end);
        if end.is_some_and(|end| self.writes.is_durable(end)) {
            self.inquiry = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Witness::{Silent, Told, Unreachable};
    use super::*;
    use crate::types::LogIndex;

    fn founders(count: u64) -> Config {
        Config { voters: (1..=count).map(MemberId::new).collect(), ..Config::default() }
    }

    fn testimony(term: u64, last: (u64, u64)) -> Testimony {
        let last = EntryId { term: Term::new(last.0), index: LogIndex::new(last.1) };
        Testimony { term: Term::new(term), last }
    }

    /// The verdict of m1, one of as many as there are `others` and it, after it has heard this of them.
    fn verdict(others: &[Option<Witness>]) -> Option<Testimony> {
        verdict_of(NOTHING, others)
    }

    fn verdict_of(own: Testimony, others: &[Option<Witness>]) -> Option<Testimony> {
        hear(&mut inquiry(others.len()), own, others)
    }

    /// That of m1, with so many others.
    fn inquiry(others: usize) -> Inquiry {
        Inquiry::new(&founders(others as u64 + 1), MemberId::new(1))
    }

    /// The others were asked, all but those of whom there is nothing.
    fn hear(inquiry: &mut Inquiry, own: Testimony, others: &[Option<Witness>]) -> Option<Testimony> {
        let answers =
            (2..).zip(others).filter_map(|(member, heard)| Some((MemberId::new(member), (*heard)?)));
        let answers = answers.collect();
        inquiry.hear(&answers);
        inquiry.verdict(own, &answers)
    }

    const NOTHING: Testimony =
        Testimony { term: Term::new(0), last: EntryId { term: Term::new(0), index: LogIndex::new(0) } };
    const HAS_NOTHING: Option<Witness> = Some(Told(NOTHING));
    const GONE: Option<Witness> = Some(Unreachable);

    #[test]
    fn where_others_have_something_all_must_tell() {
        let told = [testimony(4, (3, 9)), testimony(7, (2, 30)), NOTHING].map(|told| Some(Told(told)));
        let [first, second, third] = told;
        assert_eq!(verdict(&[first, GONE, GONE, GONE]), None);
        assert_eq!(verdict(&[first, second, GONE, GONE]), None);
        assert_eq!(verdict(&[first, second, third, GONE]), None);
        let fourth = Some(Told(testimony(1, (1, 1))));
        assert_eq!(verdict(&[first, second, third, fourth]), Some(testimony(7, (3, 9))));
    }

    #[test]
    fn a_majority_that_has_nothing_begins_once_the_others_were_asked() {
        let began = Some(Told(testimony(1, (0, 0))));
        assert_eq!(verdict(&[began, None]), None, "the third may have something");
        assert_eq!(verdict(&[began, GONE]), Some(testimony(1, (0, 0))));
        assert_eq!(verdict(&[HAS_NOTHING, GONE, GONE, GONE]), None, "two of five are no majority");
        assert_eq!(verdict(&[HAS_NOTHING, began, GONE, GONE]), Some(testimony(1, (0, 0))));
    }

    #[test]
    fn who_is_there_and_does_not_tell_is_not_out_of_reach() {
        assert_eq!(verdict(&[HAS_NOTHING, Some(Silent)]), None);
        let mut inquiry = inquiry(2);
        let mut hear = |others| hear(&mut inquiry, NOTHING, others);
        assert_eq!(hear(&[HAS_NOTHING, Some(Silent)]), None);
        assert_eq!(hear(&[GONE, GONE]), None, "m2 may have heard of more since, and is no majority");
        let told = testimony(2, (2, 2));
        assert_eq!(hear(&[None, Some(Told(told))]), Some(told), "for all what was told holds");
    }

    #[test]
    fn what_was_asked_together_is_weighed_together() {
        let mut inquiry = inquiry(2);
        let mut hear = |others| hear(&mut inquiry, NOTHING, others);
        assert_eq!(hear(&[GONE, GONE]), None);
        assert_eq!(hear(&[HAS_NOTHING, None]), None, "m3 was out of reach before, and may not be now");
        let told = testimony(2, (2, 2));
        assert_eq!(hear(&[HAS_NOTHING, Some(Told(told))]), Some(told));
    }

    #[test]
    fn what_was_told_once_is_not_of_the_beginning_whoever_tells_nothing_now() {
        let mut inquiry = inquiry(3);
        let mut hear = |others: &[_]| hear(&mut inquiry, NOTHING, others);
        assert_eq!(hear(&[Some(Told(testimony(2, (0, 0)))), None, None]), None);
        assert_eq!(hear(&[HAS_NOTHING, HAS_NOTHING, GONE]), None);
    }

    #[test]
    fn whoever_knows_of_more_than_the_beginning_does_not_begin() {
        let voted = Some(Told(testimony(2, (0, 0))));
        assert_eq!(verdict(&[voted, GONE]), None, "it may have elected somebody");
        assert_eq!(verdict(&[voted, HAS_NOTHING]), Some(testimony(2, (0, 0))));
        let was_told = testimony(2, (2, 5));
        assert_eq!(verdict_of(was_told, &[HAS_NOTHING, GONE]), None, "it has heard of entries before");
        assert_eq!(verdict_of(was_told, &[HAS_NOTHING, voted]), Some(was_told));
    }
}
