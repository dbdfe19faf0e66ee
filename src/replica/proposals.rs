//! Who waits for which entry.

use std::collections::{BTreeMap, VecDeque};

use crate::entry::{Entry, EntryId, Session};
use crate::session::Sessions;
use crate::types::{BootId, MemberId, Term};

/// The proposals of this life that were taken and are not applied here yet.
#[derive(Debug)]
pub(super) struct Proposals {
    member: MemberId,
    boot: BootId,
    /// The number that the next one gets.
    next: u64,
    numbered: BTreeMap<u64, Option<u64>>,
    /// Those of a member that is a majority alone, with the term in which they were proposed: their entries are
    /// applied in this order.
    unnumbered: VecDeque<(Term, Option<u64>)>,
    /// Whether the newest has a number.
    newest_is_numbered: bool,
}

impl Proposals {
    pub(super) fn new(member: MemberId, boot: BootId) -> Self {
        Self {
            member,
            boot,
            next: 1,
            numbered: BTreeMap::new(),
            unnumbered: VecDeque::new(),
            newest_is_numbered: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbered.len() + self.unnumbered.len()
    }

    /// Adds one that gets a number.
    pub(super) fn add_numbered(&mut self, token: Option<u64>) {
        self.numbered.insert(self.next, token);
        self.next += 1;
        self.newest_is_numbered = true;
    }

    /// Adds one that gets none, by a leader in this term.
    pub(super) fn add_unnumbered(&mut self, term: Term, token: Option<u64>) {
        self.unnumbered.push_back((term, token));
        self.newest_is_numbered = false;
    }

    /// Takes back the newest, which was not taken by the core.
    pub(super) fn take_newest(&mut self) -> Option<u64> {
        if self.newest_is_numbered {
            self.next -= 1;
            self.numbered.remove(&self.next).flatten()
        } else {
            self.unnumbered.pop_back().and_then(|(_, token)| token)
        }
    }

    /// Whether somebody of this life may wait for `entry`.
    pub(super) fn is_ours(&self, entry: &Entry) -> bool {
        entry.session.is_none_or(|session| session.member == self.member && session.boot == self.boot)
    }

    /// Whether a command that nobody waits for is under way: what is due expires by it.
    pub(super) fn is_expiring(&self) -> bool {
        self.numbered.values().chain(self.unnumbered.iter().map(|(_, token)| token)).any(Option::is_none)
    }

    /// Takes out those without a number: who proposed them does not lead any more.
    pub(super) fn take_unnumbered(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unnumbered).into_iter().filter_map(|(_, token)| token).collect()
    }

    /// Takes out who waits for `entry`, a command. The outer `None` says that it is nobody of this life.
    pub(super) fn take(&mut self, id: EntryId, session: Option<Session>) -> Option<Option<u64>> {
        match session {
            Some(session) if session.member == self.member && session.boot == self.boot => {
                self.numbered.remove(&session.sequence)
            }
            Some(_) => None,
            None => {
                // Entries of an earlier life have an earlier term.
                self.unnumbered.front().filter(|(term, _)| *term == id.term)?;
                self.unnumbered.pop_front().map(|(_, token)| token)
            }
        }
    }

    /// Takes out those whose entries a snapshot has skipped: they were applied, and what came of it is not known.
    pub(super) fn take_skipped(&mut self, sessions: &Sessions) -> Vec<u64> {
        let (member, boot) = (self.member, self.boot);
        let mut skipped = Vec::new();
        self.numbered.retain(|sequence, token| {
            let is_skipped = sessions.is_applied(Session { member, boot, sequence: *sequence });
            skipped.extend(token.filter(|_| is_skipped));
            !is_skipped
        });
        skipped
    }

    /// Takes out all.
    pub(super) fn take_all(&mut self) -> Vec<u64> {
        let mut all = self.take_unnumbered();
        all.extend(std::mem::take(&mut self.numbered).into_values().flatten());
        all
    }
}
