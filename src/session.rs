//! Exactly once: which proposals were applied, a part of the replicated state.
//!
//! A member that does not learn what became of a proposal proposes it again, under the same number. So the log may
//! hold it twice, and all members skip the second. Proposals come from members alone and each member's come in
//! order, so one row a member is enough, and nothing is forgotten by time:
//!
//! ```text
//!   member │ boot │ applied         the next of this boot is applied + 1, the first of a newer one is 1
//! ```
//! The owner asks [`Sessions::admit`] about each command before it runs it, tells [`Sessions::follow`] of each
//! configuration, and saves the table in snapshots beside the tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entry::{Config, Session};
use crate::types::{BootId, MemberId};

/// Which proposals of which member were applied.
///
/// Equal on all members that have applied the same entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sessions {
    rows: BTreeMap<MemberId, Row>,
}

/// The newest life of a member, and how far its proposals were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Row {
    boot: BootId,
    applied: u64,
}

/// What is to be done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It was not applied before: run it. The table says from now on that it was.
    Fresh,
    /// It was applied before: skip it. Its answer was told then, or is lost.
    Duplicate,
    /// It comes from an earlier life, from nobody of the cluster, or out of order: skip it. It is never applied.
    Refused,
}

impl Sessions {
    /// Whether the command with this session is to be run. One without a session always is.
    pub fn admit(&mut self, session: Option<Session>) -> Admission {
        let Some(Session { member, boot, sequence }) = session else { return Admission::Fresh };
        let Some(row) = self.rows.get_mut(&member) else { return Admission::Refused };
        let applied = if row.boot == boot { row.applied } else { 0 };
        if boot < row.boot || sequence > applied + 1 {
            return Admission::Refused;
        }
        if sequence <= applied {
            return Admission::Duplicate;
        }
        *row = Row { boot, applied: sequence };
        Admission::Fresh
    }

    /// Follows a configuration: members that it has not are forgotten, their ids are never used again.
    pub fn follow(&mut self, config: &Config) {
        self.rows.retain(|member, _| config.contains(*member));
        for member in config.members() {
            self.rows.entry(member).or_default();
        }
    }

    /// Whether proposals of `member` are applied at all.
    #[must_use]
    pub fn knows(&self, member: MemberId) -> bool {
        self.rows.contains_key(&member)
    }

    /// Whether `member` has lived: some life of it has proposed something that was applied.
    #[must_use]
    pub fn has_lived(&self, member: MemberId) -> bool {
        self.rows.get(&member).is_some_and(|row| row.boot != BootId::default())
    }

    /// Whether `member` has lived after this life of it: something that a later one proposed was applied.
    #[must_use]
    pub fn has_life_after(&self, member: MemberId, boot: BootId) -> bool {
        self.rows.get(&member).is_some_and(|row| row.boot > boot)
    }

    /// Up to which number the proposals of this life of a member were applied.
    #[must_use]
    pub fn applied(&self, member: MemberId, boot: BootId) -> u64 {
        self.rows.get(&member).filter(|row| row.boot == boot).map_or(0, |row| row.applied)
    }

    /// Whether the proposal with this session was applied.
    #[must_use]
    pub fn is_applied(&self, session: Session) -> bool {
        session.sequence <= self.applied(session.member, session.boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Contact;

    fn session(member: u64, boot: u64, sequence: u64) -> Option<Session> {
        Some(Session { member: MemberId::new(member), boot: BootId::new(boot), sequence })
    }

    fn sessions_of(members: &[u64]) -> Sessions {
        let mut sessions = Sessions::default();
        sessions.follow(&config(members));
        sessions
    }

    fn config(members: &[u64]) -> Config {
        Config::founded_by(members.iter().map(|&member| (MemberId::new(member), Contact::default())))
    }

    #[test]
    fn what_is_proposed_again_is_applied_once() {
        let mut sessions = sessions_of(&[1, 2]);
        assert_eq!(sessions.admit(session(1, 7, 1)), Admission::Fresh);
        assert_eq!(sessions.admit(session(1, 7, 2)), Admission::Fresh);
        assert_eq!(sessions.admit(session(1, 7, 1)), Admission::Duplicate);
        assert_eq!(sessions.admit(session(1, 7, 2)), Admission::Duplicate);
        assert_eq!(sessions.admit(session(2, 7, 1)), Admission::Fresh);
        assert!(sessions.is_applied(session(1, 7, 2).unwrap()));
        assert!(!sessions.is_applied(session(1, 7, 3).unwrap()));
    }

    #[test]
    fn nothing_is_applied_out_of_order() {
        let mut sessions = sessions_of(&[1]);
        assert_eq!(sessions.admit(session(1, 7, 2)), Admission::Refused);
        assert_eq!(sessions.admit(session(1, 7, 1)), Admission::Fresh);
        assert_eq!(sessions.admit(session(1, 7, 3)), Admission::Refused);
        assert_eq!(sessions.admit(session(1, 7, 2)), Admission::Fresh);
    }

    #[test]
    fn a_new_life_retires_the_one_before() {
        let mut sessions = sessions_of(&[1]);
        assert_eq!(sessions.admit(session(1, 7, 1)), Admission::Fresh);
        assert_eq!(sessions.admit(session(1, 9, 2)), Admission::Refused);
        assert_eq!(sessions.admit(session(1, 9, 1)), Admission::Fresh);
        assert_eq!(sessions.admit(session(1, 7, 2)), Admission::Refused);
        assert_eq!(sessions.admit(session(1, 9, 1)), Admission::Duplicate);
    }

    #[test]
    fn strangers_and_those_who_left_are_refused() {
        let mut sessions = sessions_of(&[1, 2]);
        assert_eq!(sessions.admit(session(3, 1, 1)), Admission::Refused);
        sessions.follow(&config(&[1, 3]));
        assert_eq!(sessions.admit(session(2, 1, 1)), Admission::Refused);
        assert_eq!(sessions.admit(session(3, 1, 1)), Admission::Fresh);
    }

    #[test]
    fn without_a_session_everything_is_applied() {
        assert_eq!(Sessions::default().admit(None), Admission::Fresh);
    }
}
