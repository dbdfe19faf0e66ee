//! Three members in this process.

use std::sync::Arc;
use std::time::Duration;

use spinney::internals::{open_on, set_clock_ahead};
use spinney::{Builder, MemberId, Store, Term};
use tempfile::TempDir;

use crate::disk::{Pace, SlowDisk, Syncs};
use crate::support::places::founders;
use crate::support::{comes, directory, now, wait_until};

/// A machine that is busy with other things may delay a heartbeat by a few hundred milliseconds.
pub(crate) const ELECTION: (Duration, Duration) =
    (Duration::from_millis(1_000), Duration::from_millis(2_000));

/// How large a small log's segments are, and how long it grows before a snapshot replaces it.
pub(crate) const SEGMENT: u32 = 128 << 10;
pub(crate) const LOG_BYTES: u64 = 1 << 20;

/// What fits into such a segment.
const VALUE_BYTES_MAX: usize = 32 << 10;

/// Three members on disks that take as long as they are told to.
pub(crate) struct Trio {
    pub(crate) stores: Vec<Store>,
    pub(crate) paces: Vec<Arc<Pace>>,
    _directories: Vec<TempDir>,
}

impl Trio {
    pub(crate) fn new() -> Self {
        let trio = Self::with_clocks([Duration::ZERO; 3]);
        trio.wait_until_well();
        trio
    }

    /// Logs so small that it takes little to fill them.
    pub(crate) fn with_small_logs() -> Self {
        let trio = Self::open(|_, builder| {
            let builder = builder.segment_bytes(SEGMENT).log_bytes(LOG_BYTES);
            builder.value_bytes(VALUE_BYTES_MAX).transaction_bytes(2 * VALUE_BYTES_MAX)
        });
        trio.wait_until_well();
        trio
    }

    /// The clock of each is so far ahead of the machine's.
    pub(crate) fn with_clocks(ahead: [Duration; 3]) -> Self {
        Self::open(|n, builder| set_clock_ahead(builder, ahead[n]))
    }

    fn open(set: impl Fn(usize, Builder) -> Builder) -> Self {
        let (peers, directories) = (founders(3), [directory(), directory(), directory()]);
        let paces: Vec<Arc<Pace>> = directories.iter().map(|_| Arc::default()).collect();
        let open = |n: usize| {
            let (name, address) = peers[n].clone();
            let builder = Store::builder().member(name).listen(address).peers(peers.clone());
            let builder = builder.election_timeout(ELECTION.0, ELECTION.1);
            let disk = SlowDisk::open(directories[n].path(), Arc::clone(&paces[n]));
            open_on(Arc::new(disk), set(n, builder)).unwrap()
        };
        let stores = (0..3).map(open).collect();
        Self { stores, paces, _directories: directories.into() }
    }

    pub(crate) fn wait_until_well(&self) {
        for n in 0..3 {
            wait_until(format!("member {n} has nothing to complain of"), || self.problems(n).is_empty());
        }
    }

    /// The disk of a member is well again: so it says, once enough syncs have shown it.
    pub(crate) fn heal(&self, n: usize) {
        self.paces[n].set(Syncs::AsTheyCome);
        let mut count = 0;
        wait_until(format!("the disk of member {n} is well"), || {
            count += 1;
            // Whoever comes back by a snapshot may not know what became of it.
            let _ = self.stores[n].set("/healed", count);
            self.problems(n).is_empty()
        });
        self.wait_until_well();
    }

    pub(crate) fn problems(&self, n: usize) -> Vec<String> {
        self.stores[n].status().problems
    }

    /// Waits until a member says this, among other things.
    pub(crate) fn wait_for_word(&self, n: usize, word: &str) {
        let mut said = Vec::new();
        let is_said = comes(|| {
            said = self.problems(n);
            said.iter().any(|problem| problem.contains(word))
        });
        assert!(is_said, "member {n} does not say {word:?}, but {said:?}");
    }

    /// Who leads, and in which term, as a member knows.
    pub(crate) fn lead_by(&self, n: usize) -> (Option<MemberId>, Term) {
        let cluster = self.stores[n].cluster().unwrap();
        (cluster.leader(), cluster.term())
    }

    /// Has a member lead.
    pub(crate) fn lead(&self, n: usize) {
        let cluster = self.stores[n].cluster().unwrap();
        wait_until("it leads", || cluster.is_leader() || cluster.transfer(Some(cluster.this())).is_ok());
    }

    pub(crate) fn leader(&self) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            leader = (0..3).find(|&n| self.stores[n].cluster().unwrap().is_leader());
            leader.is_some()
        });
        leader.unwrap()
    }
}

impl Drop for Trio {
    /// No member ends before its disk has come back.
    fn drop(&mut self) {
        self.paces.iter().for_each(|pace| pace.set(Syncs::AsTheyCome));
    }
}

/// Has `write` go on for as long as three elections would take.
pub(crate) fn for_some_elections(mut write: impl FnMut(u64)) {
    let began = now();
    let mut count = 0;
    while began.elapsed() < 3 * ELECTION.1 {
        count += 1;
        write(count);
    }
}
