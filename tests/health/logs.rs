//! Logs on disks that are slow: leaders are heard while segments are made, and a log stays within its bounds whatever its
//! snapshots wait for.

use spinney::{Error, Pending};

use crate::disk::Syncs;
use crate::support::wait_until;
use crate::trio::{ELECTION, LOG_BYTES, SEGMENT, Trio, for_some_elections};

/// Writes are of so many bytes, several under way at a time: a few times as many fill a segment.
const VALUE_BYTES: usize = 4 << 10;
const UNDER_WAY: u64 = 8;

impl Trio {
    /// A few writes of some size, by way of a member: whether all were done.
    fn write(&self, member: usize, round: u64) -> Result<(), Error> {
        let value = format!("{round} {}", "x".repeat(VALUE_BYTES));
        let put = |n: u64| self.stores[member].put(format!("/n/{n}")).value(&value).submit();
        let pending: Vec<Pending<_>> = (0..UNDER_WAY).map(put).collect();
        pending.into_iter().try_for_each(|pending| pending.wait().map(drop))
    }

    /// No log is longer than it may be: four times what it is to have, and a segment.
    fn check_logs(&self) {
        for (n, store) in self.stores.iter().enumerate() {
            let (bytes, most) = (store.status().log.unwrap().bytes, 4 * LOG_BYTES + u64::from(SEGMENT));
            assert!(bytes <= most, "the log of member {n} has {bytes} bytes, and may have {most}");
        }
    }
}

/// So many rounds of writes fill a log to twice of what it may have.
const ROUNDS: u64 = 8 * LOG_BYTES / (UNDER_WAY * VALUE_BYTES as u64);

#[test]
fn segments_that_are_made_on_a_slow_disk_keep_no_leader_from_being_heard() {
    let trio = Trio::with_small_logs();
    let leader = trio.leader();
    let before = trio.lead_by(leader);
    trio.paces[leader].set(Syncs::Take(ELECTION.0 / 3));
    for_some_elections(|round| {
        trio.write(leader, round).unwrap();
        trio.write((leader + 1) % 3, round).unwrap();
    });
    for n in 0..3 {
        assert_eq!(trio.lead_by(n), before, "as member {n} knows");
    }
}

#[test]
fn a_log_whose_snapshot_takes_for_ever_stops_at_four_times_its_size() {
    let trio = Trio::with_small_logs();
    let leader = trio.leader();
    trio.paces.iter().for_each(|pace| pace.set_snapshots(Syncs::StandStill));
    let refused = (0..ROUNDS).find_map(|round| {
        trio.check_logs();
        trio.write(leader, round).err()
    });
    assert!(refused.is_some(), "so much cannot be written");
    trio.check_logs();
    assert_eq!(
        trio.stores[leader].get_latest("/n").unwrap().children().count(),
        UNDER_WAY as usize,
        "reads go on"
    );

    trio.paces.iter().for_each(|pace| pace.set_snapshots(Syncs::AsTheyCome));
    (0..3).for_each(|n| wait_until("there is room again", || trio.write(n, 0).is_ok()));
    trio.check_logs();
}

#[test]
fn a_log_stays_within_bounds_beside_a_member_that_takes_for_ever_to_take_a_snapshot() {
    let trio = Trio::with_small_logs();
    let leader = trio.leader();
    let (slow, other) = ((leader + 1) % 3, (leader + 2) % 3);
    // It falls so far behind that it needs a snapshot, and then it is there, and never done with it.
    trio.paces[slow].set(Syncs::StandStill);
    (0..ROUNDS).for_each(|round| trio.write(leader, round).unwrap());
    trio.paces[slow].set_snapshots(Syncs::StandStill);
    for round in 0..2 * ROUNDS {
        trio.write(other, round).unwrap();
        trio.check_logs();
    }
    trio.heal(slow);
    assert_eq!(trio.stores[slow].get_latest("/n").unwrap().children().count(), UNDER_WAY as usize);
}
