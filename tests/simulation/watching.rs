//! Whether watchers are told what they have to be: every change that matches, once and in order, or that they have
//! to start over.

use spinney::{Event, Key, Watch};

use super::coverage::Coverage;
use super::witness::Witness;
use crate::model;

/// A watch at a member, and how far it was told.
pub struct Watcher {
    watch: Watch,
    key: Key,
    recursive: bool,
    /// The first index that it has not been told of, one way or the other.
    next: u64,
    told: u64,
}

impl Watcher {
    /// Follows `watch`, which is of `key` from the index `next` on.
    #[must_use]
    pub fn new(watch: Watch, key: Key, recursive: bool, next: u64) -> Self {
        Self { watch, key, recursive, next, told: 0 }
    }

    /// How many events it was told.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Takes what was sent, and checks it. Says what is wrong.
    pub fn take(&mut self, witness: &Witness, most: usize, coverage: &mut Coverage) -> Result<(), String> {
        for _ in 0..most {
            match self.watch.try_recv() {
                Ok(event) => self.check(&event, witness, coverage)?,
                Err(_) => return Ok(()),
            }
            self.told += 1;
        }
        Ok(())
    }

    /// Says what is missing, when all there is up to `index` should have been told.
    pub fn finish(&mut self, witness: &Witness, index: u64, coverage: &mut Coverage) -> Result<(), String> {
        self.take(witness, usize::MAX, coverage)?;
        self.skip(witness, index + 1)
    }

    fn check(&mut self, event: &Event, witness: &Witness, coverage: &mut Coverage) -> Result<(), String> {
        let index = event.index().get();
        match event {
            Event::Change(change) => {
                if index < self.next {
                    return Err(format!("{} was told {index} twice or late", self.name()));
                }
                self.skip(witness, index)?;
                let Some(expected) = witness.event(index) else {
                    return Err(format!("{} was told {index}, which never was", self.name()));
                };
                if self.concern(expected) == Concern::None || expected.refresh {
                    return Err(format!("{} was told of {}", self.name(), expected.path));
                }
                let told = (change.action.as_str(), change.key().as_str(), change.time.get());
                if told != (expected.action, &*expected.path, expected.time)
                    || model::duel::entry(&change.node) != expected.entry
                    || change.prev_node.as_ref().map(model::duel::entry) != expected.previous
                {
                    return Err(format!("{} was told {change:?}, and it was {expected:?}", self.name()));
                }
                if expected.action == "expire" {
                    coverage.reach("a key expired");
                }
            }
            Event::Resync(resync) => {
                coverage.reach("a watcher was told to start over");
                if resync.missed_from.get() != self.next
                    && self.skip(witness, resync.missed_from.get()).is_err()
                    || index + 1 < self.next
                {
                    return Err(format!("{} is at {}, and was told {resync:?}", self.name(), self.next));
                }
                let there = resync.node.as_ref().map(model::duel::entry);
                if self.key != Key::root() && there.as_ref() != witness.version(&self.key, index) {
                    return Err(format!("{} was told that at {index} there is {there:?}", self.name()));
                }
            }
            _ => return Err("an event of no known kind".to_owned()),
        }
        self.next = index + 1;
        Ok(())
    }

    /// Goes over what comes before `to`: nothing of it may concern this watch.
    fn skip(&mut self, witness: &Witness, to: u64) -> Result<(), String> {
        for index in self.next..to {
            let event = witness.event(index).ok_or_else(|| format!("there is no change {index}"))?;
            if self.concern(event) == Concern::Must && !event.refresh {
                return Err(format!(
                    "{} was not told {index}, {} of {}",
                    self.name(),
                    event.action,
                    event.path
                ));
            }
        }
        self.next = self.next.max(to);
        Ok(())
    }

    fn concern(&self, event: &model::Event) -> Concern {
        let key = self.key.as_str();
        let below = if key == "/" { Some(&*event.path) } else { event.path.strip_prefix(key) };
        match below {
            Some("") => Concern::Must,
            Some(rest) if rest.starts_with('/') => match self.recursive {
                true if rest.contains("/_") => Concern::None,
                true => Concern::Must,
                false => Concern::None,
            },
            // The removal of a directory above: told while live if it was there, and from history in any case.
            _ if event.removed.is_some() && key.starts_with(&format!("{}/", event.path)) => Concern::May,
            _ => Concern::None,
        }
    }

    fn name(&self) -> String {
        let how = if self.recursive { "below" } else { "of" };
        format!("the watcher {how} {} (told {} so far)", self.key, self.told)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Concern {
    Must,
    May,
    None,
}
