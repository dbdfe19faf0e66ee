//! What goes wrong beside the core: in the disk under a member that runs, and on the way of a snapshot.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod replicas;

use replicas::Replicas;
use spinney::internals::raft::{self, Message, Refusal};
use spinney::internals::replica::{Answer, Input, Settings};
use spinney::internals::wal::WalSettings;
use spinney::{LogIndex, MemberId};

const LEADER: MemberId = MemberId::new(1);

/// A log of small segments, and snapshots that come in many parts.
fn settings() -> Settings {
    Settings {
        wal: WalSettings { segment_bytes: 16 << 10, ..WalSettings::default() },
        raft: raft::Settings { chunk_bytes: 10_000, ..raft::Settings::default() },
        ..Settings::default()
    }
}

/// A leader whose log begins with a snapshot, and a learner that needs it.
fn far_behind() -> (Replicas, MemberId) {
    let mut replicas = Replicas::alone(settings());
    replicas.write(LEADER, 30);
    replicas.save(LEADER);
    let learner = replicas.add_learner(LEADER);
    replicas.write(LEADER, 3);
    (replicas, learner)
}

/// Where each part of a snapshot begins that comes up to the `count`th; what comes afterwards stays under way.
fn parts(replicas: &mut Replicas, count: usize) -> Vec<u64> {
    let mut parts = Vec::new();
    for _ in 0..count {
        replicas.deliver(|envelope| matches!(envelope.message, Message::SnapshotChunk { .. }));
        let Some(envelope) = replicas.wire.pop_front() else { break };
        let Message::SnapshotChunk { offset, .. } = envelope.message else { break };
        parts.push(offset);
        replicas.step(envelope.to, Input::Receive(envelope));
    }
    parts
}

#[test]
fn a_read_that_waits_for_a_snapshot_is_refused_when_that_cannot_be_installed() {
    let (mut replicas, learner) = far_behind();
    // With all in it that a read has to see: once it is installed, the core calls the read ready.
    replicas.save(LEADER);
    replicas.member(learner).held = Some("check a snapshot");
    replicas.pass(20);
    let token = replicas.token();
    replicas.step(learner, Input::Read { token });
    replicas.deliver(|_| false);
    assert!(!replicas.member(learner).answers.contains_key(&token), "it has nothing yet");

    // All of it is there and whole, and then the disk will not give it its name.
    let checked = replicas.member(learner).jobs.pop_front().unwrap().run();
    replicas.member(learner).disk.fail_sync(0);
    replicas.step(learner, Input::Done(checked));
    let it = replicas.member(learner);
    assert!(it.failure.is_some(), "the disk did not fail");
    assert_eq!(it.replica.applied().index, LogIndex::default());
    let answer = it.answers.get(&token);
    assert!(matches!(answer, Some(Answer::Refused(Refusal::Stopped))), "{answer:?} from an empty tree");
}

#[test]
fn a_snapshot_goes_on_where_it_was_on_another_connection() {
    let (mut replicas, learner) = far_behind();
    let before = parts(&mut replicas, 5);
    assert_eq!(before, [0, 10_000, 20_000, 30_000, 40_000]);

    // The connection breaks with a part under way.
    replicas.wire.clear();
    replicas.step(LEADER, Input::Disconnected(learner));
    replicas.step(learner, Input::Disconnected(LEADER));
    replicas.step(learner, Input::Connected(LEADER));
    replicas.step(LEADER, Input::Connected(learner));
    for _ in 0..10 {
        replicas.step(LEADER, Input::Tick);
    }
    let after = parts(&mut replicas, 100);
    assert_eq!(after.first(), Some(&50_000), "what has come does not come again");
    assert!(after.iter().all(|offset| *offset >= 50_000) && after.len() > 5, "{after:?}");
    replicas.pass(10);
    assert_eq!(replicas.applied(learner), replicas.applied(LEADER));
}
