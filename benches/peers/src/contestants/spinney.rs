//! Spinney itself: as it comes, `Durability::Disk` where sets are durable, `Durability::Process` otherwise
//! (what returned survives the end of the process).

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use spinney::{Change, Durability, Pending, Store};

use super::{Contestant, Reader, Sync, look_at};
use crate::Result;
use crate::keys::VALUE;

/// How many sets may be under way at once while loading.
const LOAD_IN_FLIGHT: usize = 1_000;

pub struct Spinney(Store);

impl Spinney {
    pub fn open(directory: &Path, sync: Sync) -> Result<Self> {
        let durability = if sync == Sync::Each { Durability::Disk } else { Durability::Process };
        Ok(Self(Store::builder().dir(directory).durability(durability).open()?))
    }
}

impl Contestant for Spinney {
    fn load(&self, keys: &mut dyn Iterator<Item = String>) -> Result<()> {
        let mut in_flight = VecDeque::with_capacity(LOAD_IN_FLIGHT);
        for key in keys {
            if in_flight.len() == LOAD_IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                wait(oldest)?;
            }
            in_flight.push_back(self.0.put(&key).value(&VALUE[..]).submit());
        }
        in_flight.into_iter().try_for_each(wait)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.set(key, value)?;
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(SpinneyReader(&self.0)))
    }
}

fn wait(pending: Pending<Arc<Change>>) -> Result<()> {
    pending.wait()?;
    Ok(())
}

struct SpinneyReader<'a>(&'a Store);

impl Reader for SpinneyReader<'_> {
    fn get(&mut self, key: &str) -> Result<Option<usize>> {
        Ok(Some(look_at(self.0.get(key)?.value())))
    }
}
