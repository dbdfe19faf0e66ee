//! Which proposals count, told a second time in the plainest way: the list of all that were ever applied.

use std::collections::{BTreeMap, BTreeSet};

use spinney::MemberId;
use spinney::internals::entry::{Entry, Payload};

/// What was applied, of whom.
#[derive(Debug, Default)]
pub struct Sessions {
    /// All members of the newest configuration, and what was applied of each life.
    members: BTreeMap<MemberId, BTreeMap<u64, BTreeSet<u64>>>,
    /// How many came a second time.
    pub doubles: u64,
}

impl Sessions {
    /// The command of `entry`, if it is to be run.
    pub fn admit<'a>(&mut self, entry: &'a Entry) -> Option<&'a [u8]> {
        match &entry.payload {
            Payload::Noop => None,
            Payload::Config(config) => {
                self.members.retain(|member, _| config.contains(*member));
                for member in config.members() {
                    self.members.entry(member).or_default();
                }
                None
            }
            Payload::Command(bytes) => {
                let Some(session) = entry.session else { return Some(bytes) };
                let lives = self.members.get_mut(&session.member)?;
                let newest = lives.keys().last().copied().unwrap_or(0);
                if session.boot.get() < newest {
                    return None;
                }
                let applied = lives.get(&session.boot.get()).map_or(0, BTreeSet::len) as u64;
                if session.sequence <= applied {
                    self.doubles += 1;
                    return None;
                }
                let is_next = session.sequence == applied + 1;
                if is_next {
                    lives.entry(session.boot.get()).or_default().insert(session.sequence);
                }
                is_next.then_some(&**bytes)
            }
        }
    }
}
