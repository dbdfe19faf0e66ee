//! How far a leader has come with one other member.
//!
//! ```text
//!             answer: matched                       answer: missing, disconnected
//!   Probe ────────────────────► Replicate ────────────────────────────────────────► Probe
//!     └──────── the log was cut before `next` ───────► Snapshot ── matched ─────────► Probe
//! ```

use std::collections::VecDeque;

use super::log::Log;
use super::settings::Settings;
use crate::entry::EntryId;
use crate::types::{LogIndex, Timestamp};

/// What a leader knows of one other member, and what it has under way to it.
///
/// Invariants: `matched < next <= last + 1`; messages are under way only in [`Mode::Replicate`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    /// Its log is durable and the leader's up to here.
    pub(super) matched: LogIndex,
    /// The next entry to send.
    pub(super) next: LogIndex,
    pub(super) mode: Mode,
    /// Messages with entries that are not answered: the last entry of each, and its bytes.
    inflight: VecDeque<(LogIndex, u64)>,
    inflight_bytes: u64,
    /// How many bytes of entries it can take, as it said last.
    pub(super) room: u64,
    /// Entries from here on are being read from the log.
    pub(super) loading: Option<LogIndex>,
    /// How many ticks ago it was heard from in this term, or the leader began to listen.
    pub(super) silence: u32,
    /// The newest round of reads that it has confirmed this leader for.
    pub(super) round: u64,
    /// Until when, by the leader's clock, it votes for nobody else.
    pub(super) promised: Timestamp,
    /// How far it was told that the log is committed.
    pub(super) told: LogIndex,
    /// It is no member any more, and is kept until it knows.
    pub(super) is_leaving: bool,
    pub(super) catch_up: CatchUp,
}

/// What is sent to a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// One message at a time, to find where the logs part.
    Probe {
        /// One is under way.
        is_waiting: bool,
    },
    /// Entry after entry, before the answers come.
    Replicate,
    /// A snapshot: its log ends before the leader's begins.
    Snapshot {
        snapshot: EntryId,
        /// How many ticks ago it asked for more.
        idle: u32,
    },
}

/// How well a learner keeps up: in each round it gets what the leader had when the round began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CatchUp {
    target: LogIndex,
    elapsed: u32,
    /// The last round took no longer than an election timeout: as a voter it would hold nobody up for longer.
    is_done: bool,
}

impl Progress {
    /// A member of which nothing is known yet, when the leader's log ends at `last`.
    pub(super) fn new(last: LogIndex) -> Self {
        Self {
            matched: LogIndex::default(),
            next: last.next(),
            mode: Mode::Probe { is_waiting: false },
            inflight: VecDeque::new(),
            inflight_bytes: 0,
            room: u64::MAX,
            loading: None,
            silence: 0,
            round: 0,
            promised: Timestamp::default(),
            told: LogIndex::default(),
            is_leaving: false,
            catch_up: CatchUp { target: last, ..CatchUp::default() },
        }
    }

    /// Goes back to asking where the logs part.
    pub(super) fn probe(&mut self, next: LogIndex) {
        self.mode = Mode::Probe { is_waiting: false };
        self.next = next.max(self.matched.next());
        self.inflight.clear();
        self.inflight_bytes = 0;
        self.loading = None;
    }

    /// Begins to send this snapshot.
    pub(super) fn begin_snapshot(&mut self, snapshot: EntryId) {
        self.probe(self.next);
        self.mode = Mode::Snapshot { snapshot, idle: 0 };
    }

    /// Whether entries may be sent now.
    pub(super) fn may_send(&self, settings: &Settings) -> bool {
        match self.mode {
            Mode::Probe { is_waiting } => !is_waiting,
            Mode::Replicate => {
                // One message may always be under way, unless the member has no room at all.
                let bytes_max = settings.inflight_bytes.min(self.room);
                let is_free = self.inflight.is_empty() && self.room > 0;
                let is_below =
                    self.inflight_bytes < bytes_max && self.inflight.len() < settings.inflight_messages;
                self.loading.is_none() && (is_free || is_below)
            }
            Mode::Snapshot { .. } => false,
        }
    }

    /// Whether entries were sent that it has not said to have.
    pub(super) fn has_under_way(&self) -> bool {
        self.mode == Mode::Replicate && self.next.previous() > self.matched
    }

    /// Counts a message with entries up to `last` that was sent.
    pub(super) fn sent(&mut self, last: LogIndex, bytes: u64) {
        match &mut self.mode {
            Mode::Probe { is_waiting } => *is_waiting = true,
            Mode::Replicate => {
                self.next = last.next();
                self.inflight.push_back((last, bytes));
                self.inflight_bytes += bytes;
            }
            Mode::Snapshot { .. } => {}
        }
    }

    /// The member's log is durable and the leader's up to `matched`. `log` is the leader's. Returns whether
    /// that is news.
    pub(super) fn matched(&mut self, matched: LogIndex, log: &Log) -> bool {
        let is_news = matched > self.matched;
        let answers_probe = matched >= self.next.previous();
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        while let Some((_, bytes)) = self.inflight.front().filter(|(last, _)| *last <= self.matched) {
            self.inflight_bytes -= bytes;
            self.inflight.pop_front();
        }
        match self.mode {
            // An older answer says nothing of what was asked. Taken for one, it would let all be sent again, and each
            // message of that which comes out of order would bring the next question.
            Mode::Probe { .. } if answers_probe => self.mode = Mode::Replicate,
            Mode::Probe { .. } => {}
            Mode::Replicate => {}
            // The log reaches back to where the member is: no need for the rest of the snapshot.
            Mode::Snapshot { .. } if is_news && log.term_at(self.matched).is_some() => {
                self.probe(self.matched.next());
            }
            Mode::Snapshot { .. } => {}
        }
        is_news
    }

    /// The member has no entry at `prev` as the leader has; `hint` may be common. `log` is the leader's.
    pub(super) fn missing(&mut self, prev: LogIndex, hint: EntryId, log: &Log) {
        let is_stale = match self.mode {
            Mode::Probe { .. } => prev != self.next.previous(),
            Mode::Replicate => prev <= self.matched,
            Mode::Snapshot { .. } => true,
        };
        if !is_stale {
            let common = log.newest_common(hint).index;
            self.probe(common.min(prev.previous()).next());
        }
    }

    pub(super) fn tick(&mut self, last: LogIndex, settings: &Settings) {
        self.silence = self.silence.saturating_add(1);
        if let Mode::Snapshot { idle, .. } = &mut self.mode {
            *idle = idle.saturating_add(1);
        }
        let CatchUp { target, elapsed, is_done } = &mut self.catch_up;
        *elapsed = elapsed.saturating_add(1);
        let is_slow = *elapsed > settings.election_ticks_min;
        if self.matched >= *target {
            (*is_done, *elapsed, *target) = (!is_slow, 0, last);
        } else if is_slow {
            *is_done = false;
        }
    }

    /// Whether it was heard from lately.
    pub(super) fn is_active(&self, settings: &Settings) -> bool {
        self.silence < settings.election_ticks_min
    }

    /// Whether it is being asked where its log and the leader's part, and has not answered.
    pub(super) fn is_probed(&self) -> bool {
        matches!(self.mode, Mode::Probe { .. })
    }

    /// Whether it keeps up so well that it can become a voter.
    pub(super) fn has_caught_up(&self, settings: &Settings) -> bool {
        self.catch_up.is_done && self.is_active(settings)
    }

    pub(super) fn check_invariants(&self, last: LogIndex) {
        assert!(self.matched < self.next && self.next <= last.next(), "{self:?} at {last}");
        debug_assert_eq!(self.inflight_bytes, self.inflight.iter().map(|(_, bytes)| bytes).sum::<u64>());
        debug_assert!(self.inflight.is_empty() || self.mode == Mode::Replicate);
        debug_assert!(self.inflight.iter().all(|(index, _)| *index > self.matched && *index < self.next));
    }
}
