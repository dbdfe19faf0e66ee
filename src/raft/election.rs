//! Standing for election, voting, winning; and who may disturb whom.
//!
//! Before a member stands it asks around whether it would win ([`Message::PreVote`]): who hears from a leader says no, so a
//! member that was cut off, or that has an old log, comes back without anybody's term rising.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quorum::{Tally, tally};
use super::random::Random;
use super::{Lease, Message, Output, Raft, Settings, State};
use crate::entry::{EntryId, HardState};
use crate::types::{BootId, MemberId, Term, Timestamp};

/// Who has said what to a candidacy.
pub(super) type Votes = BTreeMap<MemberId, bool>;

/// The timer of a member that does not lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Election {
    /// Ticks since the timer was started.
    elapsed: u32,
    /// When it is over.
    timeout: u32,
    /// Ticks since the leader was heard from; large when there is none.
    silence: u32,
    /// The connection to the leader has broken: it counts as silent.
    is_cut_off: bool,
    /// For so many ticks this member votes for nobody: before it was restarted it may have promised not to.
    quiet: u32,
    /// It has let another go first, and its own time has not come since.
    has_given_way: bool,
    /// Somebody counts on the vote of this member and has a log that is less, and no leader was heard since.
    is_wanted: bool,
}

impl Election {
    pub(super) fn new(settings: &Settings, random: &mut Random, term: Term) -> Self {
        let mut election = Self {
            elapsed: 0,
            timeout: 0,
            silence: u32::MAX,
            is_cut_off: false,
            quiet: 0,
            has_given_way: false,
            is_wanted: false,
        };
        // Who has never been in a term has never promised anything: no leader is answered before its term is durable.
        if term > Term::default() {
            election.keep_quiet(settings);
        }
        election.restart(settings, random);
        election
    }

    /// Votes for nobody for as long as a promise that is not known here may hold.
    pub(super) fn keep_quiet(&mut self, settings: &Settings) {
        self.quiet = settings.election_ticks_min;
    }

    /// Waits anew, for a time drawn at random, so that members rarely stand together; for less while the connection to
    /// the leader is broken and nobody stands.
    pub(super) fn restart(&mut self, settings: &Settings, random: &mut Random) {
        let Settings { failover_ticks_max, election_ticks_min, election_ticks_max, .. } = *settings;
        let (least, most) = match self.is_cut_off {
            true => (failover_ticks_max, election_ticks_min),
            false => (election_ticks_min, election_ticks_max),
        };
        self.elapsed = 0;
        self.timeout = random.between(least, most);
    }

    /// Waits anew, but hardly.
    fn hurry(&mut self, settings: &Settings, random: &mut Random) {
        self.is_cut_off = true;
        self.elapsed = 0;
        self.timeout = random.between(0, settings.failover_ticks_max);
    }

    /// Waits anew, to let another go first. But once only, until its own time has come or a leader is heard: it may be the only
    /// one who can be elected, and be asked by others for ever.
    fn give_way(&mut self, settings: &Settings, random: &mut Random) {
        if !self.has_given_way {
            self.has_given_way = true;
            self.restart(settings, random);
        }
    }

    /// An election is under way: however slow the disks are, it gets its time.
    fn wait_for_votes(&mut self, settings: &Settings, random: &mut Random) {
        self.is_cut_off = false;
        self.restart(settings, random);
    }

    /// A leader was heard from.
    pub(super) fn heard(&mut self, settings: &Settings, random: &mut Random) {
        self.silence = 0;
        self.elapsed = 0;
        self.has_given_way = false;
        self.is_wanted = false;
        if self.is_cut_off {
            self.is_cut_off = false;
            self.restart(settings, random);
        }
    }

    /// Nobody waits for this member any more.
    pub(super) fn take_office(&mut self) {
        self.is_wanted = false;
    }

    /// Returns whether the time is up.
    fn tick(&mut self) -> bool {
        self.elapsed = self.elapsed.saturating_add(1);
        self.silence = self.silence.saturating_add(1);
        self.quiet = self.quiet.saturating_sub(1);
        let is_up = self.elapsed >= self.timeout;
        self.has_given_way &= !is_up;
        is_up
    }
}

impl Raft {
    pub(super) fn tick(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if self.is_stopped {
            return;
        }
        self.writes.tick();
        self.tick_callers();
        if let State::Leader(_) = self.state {
            return self.tick_leader(now, outputs);
        }
        if self.election.tick() {
            self.election.restart(&self.settings, &mut self.random);
            if self.may_stand() {
                self.ask_whether_to_stand(outputs);
            } else if !self.is_elector() {
                self.ask_whether_removed(outputs);
            }
        }
    }

    /// Whether this member may be elected at all: not when it is a learner, or was removed, nor when its disk stalls and
    /// it could not vote for itself, nor while it has less than it may have had before.
    fn may_stand(&self) -> bool {
        let is_whole = !self.is_in_doubt() && self.log.last() >= self.hard_state.floor.last;
        let is_quick = self.writes.age() <= self.settings.election_ticks_max;
        !self.is_stopped && self.is_elector() && is_whole && is_quick
    }

    /// Whether a log that ends with `last`, with which somebody stands, is as new as the one that this member has, or may have had.
    fn accepts_log(&mut self, last: EntryId) -> bool {
        self.election.is_wanted |= last < self.log.last() && !matches!(self.state, State::Leader(_));
        last >= self.log.last().max(self.hard_state.floor.last)
    }

    /// Whether this member is a voter, or was one before a change that is not committed: until then it may be the only one
    /// whose log is new enough, and has to lead the others into a configuration that leaves it out. Or whether it is one to
    /// somebody else, who cannot be elected without it and whose log it cannot vote for: those wait for it to lead them out of
    /// a configuration that it knows to have come to nothing (Ongaro, "Consensus: Bridging Theory and Practice", 2014, 4.2.2: who
    /// leads need not be in the configuration, which alone says whose votes count).
    fn is_elector(&self) -> bool {
        let (_, settled) = self.configs.settled(self.committed);
        self.configs.current().is_voter(self.id) || settled.is_voter(self.id) || self.election.is_wanted
    }

    /// Whether a leader is known to be there, or was perhaps promised so before a restart: then nobody else gets a vote.
    pub(super) fn is_loyal(&self) -> bool {
        let Election { silence, is_cut_off, quiet, .. } = self.election;
        let has_heard = silence < self.settings.election_ticks_min;
        // A lease counts on the promise that goes with having heard a leader, whatever has happened since.
        let believes = self.settings.lease.is_some() || self.leader.is_some() && !is_cut_off;
        matches!(self.state, State::Leader(_)) || has_heard && believes || quiet > 0
    }

    /// What this member promises a leader that it has just heard, and that sent what it heard at `sent` by its own clock:
    /// until when it votes for nobody else. Counted from then, it is over by the leader's clock before it is over here.
    pub(super) fn promise(&self, sent: Timestamp) -> Timestamp {
        let promise = |lease: Lease| Duration::from_millis(lease.promise_ms(&self.settings));
        self.settings.lease.map_or(Timestamp::default(), |lease| sent.after(promise(lease)))
    }

    /// The connection to the leader has broken. It may have died, and then others are cut off too; where only this
    /// connection broke, they still hear from it and refuse the pre-vote.
    pub(super) fn lose_leader(&mut self) {
        let is_waiting = matches!(self.state, State::Follower);
        if is_waiting && self.settings.lease.is_none() && self.is_elector() {
            self.election.hurry(&self.settings, &mut self.random);
        }
    }

    /// Asks whether it would be elected in the next term.
    fn ask_whether_to_stand(&mut self, outputs: &mut Vec<Output>) {
        self.become_follower(self.hard_state.term, None);
        self.state = State::PreCandidate(Votes::from([(self.id, true)]));
        let (term, last) = (self.hard_state.term.next(), self.log.last());
        for peer in self.other_voters() {
            self.pen().send(peer, Message::PreVote { term, last }, outputs);
        }
        self.decide_pre_vote(outputs);
    }

    /// A learner that hears from no leader may have been removed while it was away, and then nobody comes to tell it. It
    /// asks as if it stood in a term before all: nobody grants that, but whoever knows of a removal says so.
    fn ask_whether_removed(&mut self, outputs: &mut Vec<Output>) {
        self.become_follower(self.hard_state.term, None);
        for peer in self.other_voters() {
            let question = Message::PreVote { term: Term::default(), last: EntryId::default() };
            self.pen().send(peer, question, outputs);
        }
    }

    pub(super) fn answer_pre_vote(
        &mut self,
        from: MemberId,
        term: Term,
        last: EntryId,
        outputs: &mut Vec<Output>,
    ) {
        if self.tell_of_removal(from, outputs) {
            return;
        }
        // The answer names the term that was asked about: for one who is behind, the own one would be too old to count.
        let granted = term > self.hard_state.term && self.accepts_log(last) && !self.is_loyal();
        if granted {
            // Lets it go first: two who stand together only delay each other.
            self.election.give_way(&self.settings, &mut self.random);
        }
        self.pen().send(from, Message::PreVoteAnswer { term, granted }, outputs);
    }

    pub(super) fn count_pre_vote(
        &mut self,
        from: MemberId,
        term: Term,
        granted: bool,
        outputs: &mut Vec<Output>,
    ) {
        if let State::PreCandidate(votes) = &mut self.state
            && term == self.hard_state.term.next()
        {
            votes.insert(from, granted);
            self.decide_pre_vote(outputs);
        }
    }

    fn decide_pre_vote(&mut self, outputs: &mut Vec<Output>) {
        let State::PreCandidate(votes) = &self.state else { return };
        match tally(self.configs.current(), |member| votes.get(&member).copied()) {
            Tally::Won => self.stand(false, outputs),
            Tally::Lost => self.become_follower(self.hard_state.term, None),
            Tally::Open => {}
        }
    }

    /// Stands for election because the owner says so.
    pub(super) fn stand_unasked(&mut self, outputs: &mut Vec<Output>) {
        if self.may_stand() && !matches!(self.state, State::Leader(_) | State::Candidate { .. }) {
            self.stand(false, outputs);
        }
    }

    /// Stands for election: begins a new term with a vote for itself.
    pub(super) fn stand(&mut self, is_transfer: bool, outputs: &mut Vec<Output>) {
        self.become_follower(self.hard_state.term.next(), None);
        self.hard_state.vote = Some(self.id);
        let write = self.persist(Default::default(), outputs);
        self.state = State::Candidate { votes: Votes::new(), write };
        self.election.wait_for_votes(&self.settings, &mut self.random);
        let (boot, last) = (self.hard_state.boot, self.log.last());
        for peer in self.other_voters() {
            // Not before the log that it advertises is durable, and the term: what a crash takes back, nobody must have
            // voted for.
            self.send_when_durable(peer, Message::Vote { boot, last, is_transfer }, outputs);
        }
    }

    pub(super) fn answer_vote(
        &mut self,
        from: MemberId,
        boot: BootId,
        last: EntryId,
        is_transfer: bool,
        outputs: &mut Vec<Output>,
    ) {
        if self.tell_of_removal(from, outputs) {
            return;
        }
        let HardState { term, vote, .. } = self.hard_state;
        // Whether this member is a voter is for the candidate to judge: it may know a newer configuration.
        let is_free = vote == Some(from) || vote.is_none() && self.leader.is_none();
        let is_bound = self.is_loyal() && !is_transfer;
        if !is_free || is_bound || !self.accepts_log(last) {
            return self.pen().send(from, Message::VoteAnswer { boot, granted: false }, outputs);
        }
        if vote.is_none() {
            self.hard_state.vote = Some(from);
            self.is_unwritten = true;
        }
        // A request that comes again, late, is no reason to forget whom it has elected.
        if self.leader.is_none() {
            self.become_follower(term, None);
            self.election.wait_for_votes(&self.settings, &mut self.random);
        }
        self.send_when_durable(from, Message::VoteAnswer { boot, granted: true }, outputs);
    }

    pub(super) fn count_vote(
        &mut self,
        now: Timestamp,
        from: MemberId,
        boot: BootId,
        granted: bool,
        outputs: &mut Vec<Output>,
    ) {
        // A vote for an earlier life was for a log that may be lost.
        if let State::Candidate { votes, .. } = &mut self.state
            && boot == self.hard_state.boot
        {
            votes.insert(from, granted);
            self.decide_vote(now, outputs);
        }
    }

    /// The own vote counts like any other: once it is durable.
    pub(super) fn count_own_vote(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if let State::Candidate { votes, write } = &mut self.state
            && self.writes.is_durable(*write)
            && votes.insert(self.id, true).is_none()
        {
            self.decide_vote(now, outputs);
        }
    }

    fn decide_vote(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let State::Candidate { votes, write } = &self.state else { return };
        match tally(self.configs.current(), |member| votes.get(&member).copied()) {
            Tally::Won if self.writes.is_durable(*write) => self.take_office(now, outputs),
            // Others were asked when it was durable, and have answered before this member is told so.
            Tally::Won => {}
            Tally::Lost => self.become_follower(self.hard_state.term, None),
            Tally::Open => {}
        }
    }

    pub(super) fn other_voters(&self) -> Vec<MemberId> {
        let config = self.configs.current();
        config.members().filter(|&member| member != self.id && config.is_voter(member)).collect()
    }
}

impl Lease {
    /// For how many milliseconds, by the clock of any leader, a follower that hears from it now votes for nobody else.
    fn promise_ms(self, settings: &Settings) -> u64 {
        // The first tick may come right after the leader was heard.
        let ticks = u64::from(settings.election_ticks_min - 1);
        ticks * u64::from(self.tick_ms) * u64::from(100 - self.drift_percent) / 100
    }
}
