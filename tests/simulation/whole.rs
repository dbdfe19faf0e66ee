//! What a whole cluster does: all that it is asked for, all that is due, and nothing else.

use std::collections::BTreeMap;

use spinney::internals::raft::{AppendOutcome, Message};
use spinney::{LogIndex, MemberId, Term};

use super::network::Place;
use super::plan::{MS, SECOND, Time};
use super::workload::{Request, register};
use super::world::{Event, World};

/// A call to a whole cluster is answered within this time.
const ANSWER_MAX: Time = 20 * SECOND;

/// A whole cluster does not refuse what it is asked for longer than this.
const REFUSED_MAX: Time = 5 * SECOND;

/// What is due has expired so soon, in milliseconds of the log's time: a tick, and the time to agree on it, twice if
/// something else expires just then.
const LATE_MS_MAX: u64 = 150;

/// All that clients have written with a time to live is gone after this.
const LIVES_MAX: Time = 10 * SECOND;

/// What members have said to each other since somebody began to listen.
#[derive(Debug, Default)]
pub(super) struct Spoken(BTreeMap<&'static str, u64>);

impl Spoken {
    /// Takes note of a message.
    pub(super) fn note(&mut self, message: &Message) {
        *self.0.entry(kind_of(message)).or_default() += 1;
    }
}

/// What there is to say in a cluster in which nothing happens.
const HEARTBEAT: &str = "heartbeats";
const HEARTBEAT_ANSWER: &str = "answers to them";

fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Append { entries, .. } if entries.is_empty() => HEARTBEAT,
        Message::AppendAnswer { outcome: AppendOutcome::Matched(_), .. } => HEARTBEAT_ANSWER,
        Message::Append { .. } | Message::AppendAnswer { .. } | Message::Committed { .. } => "entries",
        Message::PreVote { .. } | Message::PreVoteAnswer { .. } => "questions before an election",
        Message::Vote { .. } | Message::VoteAnswer { .. } => "votes",
        Message::Forward { .. } | Message::ForwardAnswer { .. } => "forwarded proposals",
        Message::ReadIndex { .. } | Message::ReadIndexAnswer { .. } => "reads",
        Message::SnapshotOffer { .. } | Message::SnapshotRequest { .. } | Message::SnapshotChunk { .. } => {
            "snapshots"
        }
        Message::TimeoutNow { .. } => "calls to stand",
        Message::Ask { .. } | Message::Answer { .. } => "requests",
        Message::Removed { .. } => "words to those who were removed",
    }
}

impl World {
    /// A whole cluster takes a write and a read at each of its members.
    pub(super) fn probe(&mut self) {
        let Some((_, config)) = self.settled() else { return };
        let members: Vec<MemberId> = config.members().collect();
        for member in members {
            self.insist(member, Self::clients_probe);
            self.insist(member, |_| Request::Read { key: register(0), register: Some(0) });
        }
    }

    /// Asks `member` until it does what it is asked for. It may refuse for a moment, but not for ever: a cluster that is whole
    /// has no reason to.
    fn insist(&mut self, member: MemberId, request: impl Fn(&mut Self) -> Request) {
        let (place, began) = (self.places[&member], self.now);
        loop {
            let request = request(self);
            let asked = format!("{request:?}");
            let token = self.call(None, place, request);
            while self.is_waiting(token) {
                self.run_until(self.now + 20 * MS);
                self.require(self.now - began < ANSWER_MAX, || {
                    format!("{member} does not answer {asked}: {}", self.why_not_whole())
                });
            }
            if self.is_done(token) {
                return;
            }
            self.require(self.now - began < REFUSED_MAX, || {
                format!("{member} goes on refusing {asked}: {}", self.why_not_whole())
            });
            self.run_until(self.now + 50 * MS);
        }
    }

    /// Keys expire by themselves, each when it is due, and log time goes on as the clock of whoever leads does.
    pub(super) fn watch_expiry(&mut self) {
        let Some((_, config)) = self.settled() else { return };
        let members: Vec<MemberId> = config.members().collect();
        for ttl_ms in [1, 700, 700, 1_500] {
            let member = *self.checks.pick(&members);
            self.insist(member, |world| world.clients_short_lived(ttl_ms));
        }
        let began = self.leader_time();
        self.outlive_all();
        if let (Some((leader, term, log, clock)), Some((leads, in_term, log_now, clock_now))) =
            (began, self.leader_time())
            && (leads, in_term) == (leader, term)
        {
            let (passed, ran) = (log_now - log, clock_now - clock);
            self.require(passed.abs_diff(ran) <= 1, || {
                format!("{passed} ms of log time passed while the clock of {leader:?} ran {ran} ms")
            });
        }
    }

    /// Who leads, in which term, the log's time there, and what the clock says that never is set.
    fn leader_time(&self) -> Option<(Place, Term, u64, u64)> {
        let (leader, _) = self.settled()?;
        let machine = &self.machines[leader.0];
        let (replica, moment) = (machine.replica.as_ref()?, machine.moment(self.now));
        let running = moment.running.as_millis() as u64;
        Some((leader, replica.raft().hard_state().term, replica.log_time(moment).get(), running))
    }

    /// Waits until nothing is left that has a time to live. None of it stays longer than that, nobody being there to write.
    fn outlive_all(&mut self) {
        // Whoever has just taken office may be the first to know how late it is, and wait for room in its log.
        self.run_until(self.slow_jobs_until.max(self.now) + LATE_MS_MAX * MS);
        let began = self.now;
        while let Some(deadline) = self.witness.first_deadline() {
            let Some((leader, _, time, _)) = self.leader_time() else {
                return self.require(false, || "nobody leads a whole cluster".to_owned());
            };
            self.require(time < deadline + LATE_MS_MAX, || {
                format!(
                    "by the time of {leader:?} a key has not expired {} ms after its time",
                    time - deadline
                )
            });
            let applied = self.witness.slot(self.witness.last()).map_or(0, |slot| slot.time);
            self.require(applied <= time, || {
                format!("{leader:?} is at {time}, and an entry was made at {applied}")
            });
            self.require(self.now - began < LIVES_MAX, || "what has a time to live does not end".to_owned());
            self.run_until(self.now + 10 * MS);
        }
    }

    /// Nothing happens in a whole cluster but heartbeats, once everything has expired: nothing is tried again for ever.
    pub(super) fn watch_still(&mut self) {
        self.outlive_all();
        self.let_outsiders_learn();
        self.let_pass();
        let (elections, entries) = (self.report.elections, self.witness.last());
        self.spoken = Spoken::default();
        let patience = self.patience();
        self.run_until(self.now + patience);
        let after = self.report.elections;
        self.require(after == elections, || format!("{} elections in a whole cluster", after - elections));
        self.check_still(entries, patience);
    }

    /// Whoever was removed and stood still since asks once more when it goes on, and is told.
    fn let_outsiders_learn(&mut self) {
        let Some((_, config)) = self.settled() else { return };
        let outside =
            |machine: &&super::machine::Machine| machine.is_up() && !config.contains(machine.member());
        let awake =
            self.machines.iter().filter(outside).map(|machine| machine.paused_until.max(self.now)).max();
        if let Some(awake) = awake {
            self.run_until(awake + 2 * self.patience());
        }
    }

    /// Lets everything come that is on its way, and whoever waits for something give it up: also a leader who calls for one
    /// that was removed and is gone.
    pub(super) fn let_pass(&mut self) {
        let frames = self.events.iter().filter(|(_, event)| matches!(event, Event::Arrive(_)));
        let last = frames.map(|((time, _), _)| *time).max().unwrap_or(self.now);
        self.run_until(last.max(self.now) + self.patience());
    }

    /// Nobody waits longer than this for an answer before it tries again.
    fn patience(&self) -> Time {
        let ticks = self.machines.iter().map(|machine| machine.settings.raft.election_ticks_max).max();
        500 * MS + u64::from(ticks.unwrap_or(0)) * 11 * MS
    }

    fn check_still(&self, entries: LogIndex, listened: Time) {
        let Some((_, config)) = self.settled() else {
            return self.require(false, || "nobody leads a whole cluster".to_owned());
        };
        let last = self.witness.last();
        self.require(last == entries, || format!("the log went on from {entries} to {last} by itself"));
        let heartbeat = u64::from(self.settings.raft.heartbeat_ticks) * 9 * MS;
        let beats = (listened / heartbeat + 2) * (config.members().count() as u64 - 1);
        let is_usual =
            |(kind, times): (&&str, &u64)| [HEARTBEAT, HEARTBEAT_ANSWER].contains(kind) && *times <= beats;
        self.require(self.spoken.0.iter().all(is_usual), || {
            format!(
                "in {} ms in which nothing happened there were {:?}: {}",
                listened / MS,
                self.spoken.0,
                self.why_not_whole()
            )
        });
    }
}
