//! Room in the log for what comes. Segments are made, and snapshots taken, beside the turning, and nobody who turns waits for
//! them: what has no room yet is held until it has, and what has none is refused.
//!
//! ```text
//!   a proposal, a Forward ──► Ready: it goes on · NotYet: held, in order, until a flush finds room · None: refused
//!   an Append             ──► Ready: it goes on · else: as if its entries were lost, and the leader is told of it
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::step::answer;
use super::{Answer, Output, Replica};
use crate::codec;
use crate::entry::{Entry, Payload};
use crate::raft::{self, Envelope, Message, Refusal};
use crate::types::Timestamp;
use crate::wal::Reserve;

/// What an entry takes in a record besides its payload, at most: id, time, session, kind and length.
const ENTRY_BYTES: usize = 80;

/// How many times the size at which a snapshot is taken the log may have.
const LOG_SIZES_MAX: u64 = 4;

/// From so many times on, a member that takes its time with a snapshot does not keep the log any more.
const LOG_SIZES_KEPT: u64 = 3;

/// Whether something can be written.
enum Room {
    Ready,
    /// What makes room is under way.
    NotYet,
    /// And why.
    None(String),
}

/// Commands, each with the token of who waits for it, if anybody does.
type Proposed = Vec<(Option<u64>, Arc<[u8]>)>;

/// What waits for room, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Held {
    waiting: VecDeque<Waiting>,
    commands: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Waiting {
    Proposed(Proposed),
    Forwarded(Envelope),
}

impl Held {
    /// How many commands of this member's callers wait.
    pub(super) fn len(&self) -> usize {
        self.commands
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, waiting: Waiting, bytes: usize) {
        if let Waiting::Proposed(all) = &waiting {
            self.commands += all.len();
        }
        self.waiting.push_back(waiting);
        self.bytes += bytes;
    }
}

impl Replica {
    /// Takes a message, and no more of what it brings than the disk has room for: the rest is as if it were lost, and
    /// comes again.
    pub(super) fn receive(&mut self, now: Timestamp, mut envelope: Envelope, outputs: &mut Vec<Output>) {
        if let Message::Forward { commands, .. } = &envelope.message {
            let bytes = commands.iter().map(|command| command.0.len() + ENTRY_BYTES).sum();
            if let Room::NotYet = self.room_behind_others(bytes) {
                if self.may_hold(bytes) {
                    self.held.push(Waiting::Forwarded(envelope), bytes);
                }
                return;
            }
        }
        let mut short_of = 0;
        while !self.has_room(&envelope.message) {
            let brought = match &mut envelope.message {
                Message::Append { entries, .. } => {
                    short_of = entries.first().map_or(0, size_of);
                    halve(entries)
                }
                Message::Forward { commands, .. } => halve(commands),
                _ => 0,
            };
            if brought > 0 {
                short_of = 0;
            } else if short_of == 0 {
                return;
            }
        }
        if let Message::Append { .. } = envelope.message {
            self.tell_room(now, short_of, outputs);
        }
        self.step_raft(now, raft::Input::Receive(envelope), outputs);
    }

    /// A leader that did not know that there is no room, not for one entry, would send what is not taken again with every
    /// answer. So it is told, until there is room for the entry for which there was none.
    fn tell_room(&mut self, now: Timestamp, short_of: usize, outputs: &mut Vec<Output>) {
        let was_short = self.short_of > 0;
        if short_of > 0 || !was_short || self.has_room_to_follow(self.short_of) {
            self.short_of = short_of;
        }
        let is_short = self.short_of > 0;
        if is_short != was_short {
            let backlog = if is_short { u64::MAX } else { 0 };
            self.step_raft(now, raft::Input::Backlog(backlog), outputs);
        }
    }

    fn has_room(&mut self, message: &Message) -> bool {
        match message {
            Message::Append { entries, .. } if !entries.is_empty() => {
                let estimate = entries.iter().map(size_of).sum();
                self.has_room_to_follow(estimate)
                    // Many small entries take less than the estimate, and a message may be as large as a record.
                    || self.has_room_to_follow(codec::encode(entries).len() + ENTRY_BYTES)
            }
            Message::Forward { commands, .. } => {
                let bytes = commands.iter().map(|command| command.0.len() + ENTRY_BYTES).sum();
                matches!(self.room(bytes, Reserve::Ordinary), Room::Ready)
            }
            _ => true,
        }
    }

    /// Whether there is room for so much of what a leader says. What it brings may free some, but not in a log that only a
    /// snapshot makes shorter.
    fn has_room_to_follow(&mut self, bytes: usize) -> bool {
        !self.is_log_full() && matches!(self.room(bytes, Reserve::Freeing), Room::Ready)
    }

    fn room(&mut self, bytes: usize, reserve: Reserve) -> Room {
        if reserve == Reserve::Ordinary && self.is_log_full() {
            let bytes = self.wal.bytes();
            return self.snapshots.why_unsaved().map_or(Room::NotYet, |why| {
                Room::None(format!("the log has {bytes} bytes and cannot shrink: {why}"))
            });
        }
        match self.wal.room_now(bytes, reserve) {
            Ok(true) => Room::Ready,
            Ok(false) => Room::NotYet,
            Err(error) => Room::None(error.to_string()),
        }
    }

    /// The same for what is to be written after all that is held.
    fn room_behind_others(&mut self, bytes: usize) -> Room {
        if self.held.is_empty() { self.room(bytes, Reserve::Ordinary) } else { Room::NotYet }
    }

    /// Whether the log is as long as it may be, and a snapshot would make it shorter.
    fn is_log_full(&self) -> bool {
        self.is_log_beyond(LOG_SIZES_MAX) && self.replicated.applied.index > self.snapshots.saved().index
    }

    /// Whether the log is so long that nothing that a snapshot covers stays in it, whoever is being sent one: that member will
    /// need another.
    pub(super) fn is_log_too_long_to_keep(&self) -> bool {
        self.is_log_beyond(LOG_SIZES_KEPT)
    }

    fn is_log_beyond(&self, sizes: u64) -> bool {
        self.wal.sealed_bytes() >= sizes.saturating_mul(self.settings.log_bytes)
    }

    /// Proposes commands together, or one by one where the log has no room for all at once.
    pub(super) fn propose(&mut self, now: Timestamp, all: Proposed, outputs: &mut Vec<Output>) {
        let bytes = all.iter().map(|(_, command)| command.len() + ENTRY_BYTES).sum::<usize>() + ENTRY_BYTES;
        let is_wanted = all.iter().any(|(token, _)| token.is_some());
        let room =
            if is_wanted { self.room_behind_others(bytes) } else { self.room(bytes, Reserve::Freeing) };
        match room {
            Room::Ready => self.propose_now(now, all, outputs),
            // What is due expires a tick later.
            Room::NotYet if !is_wanted => {}
            Room::NotYet if self.may_hold(bytes) => self.held.push(Waiting::Proposed(all), bytes),
            Room::NotYet => {
                for (token, _) in all {
                    answer(token, Answer::Refused(Refusal::Busy), outputs);
                }
            }
            Room::None(why) => match &all[..] {
                [(token, _)] => answer(*token, Answer::NoRoom(why), outputs),
                _ => all.into_iter().for_each(|one| self.propose(now, vec![one], outputs)),
            },
        }
    }

    fn propose_now(&mut self, now: Timestamp, all: Proposed, outputs: &mut Vec<Output>) {
        let is_unnumbered = self.raft.proposes_unnumbered();
        let term = self.raft.hard_state().term;
        let mut commands = Vec::with_capacity(all.len());
        for (token, command) in all {
            if is_unnumbered {
                self.proposals.add_unnumbered(term, token);
            } else {
                self.proposals.add_numbered(token);
            }
            commands.push(command);
        }
        self.step_raft(now, raft::Input::Propose(commands), outputs);
    }

    /// As much may wait here as the core lets wait there; one always may.
    fn may_hold(&self, bytes: usize) -> bool {
        self.held.is_empty() || (self.held.bytes + bytes) as u64 <= self.settings.raft.uncommitted_bytes
    }

    /// What was held goes on, as far as there is room for it now.
    pub(super) fn give_held(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        for waiting in std::mem::take(&mut self.held).waiting {
            match waiting {
                Waiting::Proposed(all) => self.propose(now, all, outputs),
                Waiting::Forwarded(envelope) => self.receive(now, envelope, outputs),
            }
        }
    }

    /// Nothing is written here any more.
    pub(super) fn refuse_held(&mut self, outputs: &mut Vec<Output>) {
        for waiting in std::mem::take(&mut self.held).waiting {
            if let Waiting::Proposed(all) = waiting {
                all.into_iter()
                    .for_each(|(token, _)| answer(token, Answer::Refused(Refusal::Stopped), outputs));
            }
        }
    }
}

/// Leaves the first half; says how many those are.
fn halve<T>(all: &mut Vec<T>) -> usize {
    all.truncate(all.len() / 2);
    all.len()
}

fn size_of(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Command(bytes) => bytes.len() + ENTRY_BYTES,
        Payload::Config(config) => codec::encode(config).len() + ENTRY_BYTES,
        Payload::Noop => ENTRY_BYTES,
    }
}
