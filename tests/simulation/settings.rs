//! How the replicas of a world are set, and their members called.

use spinney::MemberId;
use spinney::internals::BootId;
use spinney::internals::entry::Contact;
use spinney::internals::raft;
use spinney::internals::replica::{HistoryLimits, Settings};
use spinney::internals::wal::WalSettings;

use super::network::Place;
use super::plan::{Fault, Plan};
use super::random::Random;

/// How a member is called and reached.
#[must_use]
pub fn contact(member: MemberId) -> Contact {
    Contact { name: format!("m{member}"), peer_addresses: vec![format!("p{member}")], ..Contact::default() }
}

/// How one replica is set: not all promise the same, so no leader may count on what it would promise itself.
pub(super) fn of_one(all: &Settings, plan: &Plan, place: Place) -> Settings {
    let mut random = Random::stream(plan.seed, &format!("settings of {}", place.0));
    let mut settings = all.clone();
    if settings.raft.lease.is_some() {
        match random.below(4) {
            0 => settings.raft.lease = None,
            1 => {
                settings.raft.election_ticks_min *= 2;
                settings.raft.election_ticks_max *= 2;
            }
            _ => {}
        }
    }
    settings
}

/// How all replicas of a plan are set.
pub(super) fn of(plan: &Plan) -> Settings {
    let mut random = Random::stream(plan.seed, "settings");
    let ends = plan.has(Fault::Degenerate);
    // Leases count on clocks whose speeds differ by no more than this: here by a tenth at the very most.
    let lease = random.one_in(3).then_some(raft::Lease { tick_ms: 10, drift_percent: 15 });
    let mut pick = |choices: &[u64], usual: u64| {
        let drawn = *random.pick(choices);
        if ends { drawn } else { usual }
    };
    let raft = raft::Settings {
        heartbeat_ticks: 5,
        election_ticks_min: pick(&[10, 30, 100], 30) as u32,
        election_ticks_max: 0,
        message_bytes: pick(&[1, 200, 2_000, 8_000], 4_000),
        inflight_messages: pick(&[1, 2, 64], 8) as usize,
        inflight_bytes: pick(&[1, 1_000, 100_000], 100_000),
        uncommitted_bytes: pick(&[1_000, 100_000], 1 << 20),
        cache_bytes: pick(&[0, 500, 100_000], 20_000),
        reads: pick(&[1, 4, 100], 100) as usize,
        chunk_bytes: pick(&[64, 500, 10_000], 4_000),
        ..raft::Settings::default()
    };
    let raft = raft::Settings { election_ticks_max: raft.election_ticks_min * 2, lease, ..raft };
    let short = plan.has(Fault::Compaction);
    Settings {
        raft,
        wal: WalSettings { segment_bytes: 16 << 10, salt_seed: plan.seed },
        history: HistoryLimits {
            changes: pick(&[0, 3, 30, 1_000], 100) as usize,
            ..HistoryLimits::default()
        },
        log_bytes: if short { 16 << 10 } else { 256 << 10 },
        log_entries: if short { pick(&[3, 20, 100], 50) } else { 10_000 },
        lives_from: BootId::default(),
    }
}

/// How long a value may be so that any entry fits into a segment.
pub(super) fn value_bytes_max(settings: &Settings) -> usize {
    settings.wal.segment_bytes as usize / 8
}
