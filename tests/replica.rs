//! What goes wrong beside the core: in the disk under a member that runs, and on the way of a snapshot.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod replicas;

use replicas::{Replicas, VALUE_BYTES, key_of};
use spinney::internals::raft::{self, Change, Envelope, Message, Refusal, Request};
use spinney::internals::replica::{Answer, Done, Input, Job, Settings};
use spinney::internals::wal::{Disk, SimulatedDisk, SnapshotReader, WalError, WalSettings};
use spinney::{LogIndex, MemberId, Term};

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

/// The same, and the learner has all of a snapshot with everything in it, not checked yet, and somebody who reads there: with this
/// token.
fn reading_behind() -> (Replicas, MemberId, u64) {
    let (mut replicas, learner) = far_behind();
    // Once it is installed, the core calls the read ready.
    replicas.save(LEADER);
    replicas.member(learner).held = Some("check a snapshot");
    replicas.pass(20);
    let token = replicas.token();
    replicas.step(learner, Input::Read { token });
    replicas.deliver(|_| false);
    assert!(!replicas.member(learner).answers.contains_key(&token), "it has nothing yet");
    (replicas, learner, token)
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

/// How many syncs it takes to check a snapshot before it is given its name.
const SYNCS_OF_A_CHECK: u64 = 2;

#[test]
fn a_snapshot_that_cannot_be_given_its_name_comes_again_and_a_read_waits_for_it() {
    let (mut replicas, learner, token) = reading_behind();
    // It is whole, and then the disk will not give it its name.
    let it = replicas.member(learner);
    it.held = None;
    it.disk.fail_sync(SYNCS_OF_A_CHECK);
    let checked = it.jobs.pop_front().unwrap().run();
    assert!(it.disk.names().unwrap().iter().any(|name| name.ends_with(".snap")), "it failed before that");
    replicas.step(learner, Input::Done(checked));
    let it = replicas.member(learner);
    assert_eq!(it.replica.applied().index, LogIndex::default());
    assert!(!it.answers.contains_key(&token), "from an empty tree");
    replicas.pass(400);
    assert_eq!(replicas.applied(learner), replicas.applied(LEADER));
    let answer = replicas.member(learner).answers.get(&token);
    assert!(matches!(answer, Some(Answer::Readable)), "{answer:?}");
}

#[test]
fn a_read_that_waits_for_a_snapshot_is_refused_when_nothing_can_be_written() {
    let (mut replicas, learner, token) = reading_behind();
    replicas.step(learner, Input::Synced(Err(WalError::Poisoned)));
    let checked = replicas.member(learner).jobs.pop_front().unwrap().run();
    replicas.step(learner, Input::Done(checked));
    let it = replicas.member(learner);
    assert!(it.failure.is_some(), "the disk did not fail");
    assert_eq!(it.replica.applied().index, LogIndex::default());
    let answer = it.answers.get(&token);
    assert!(matches!(answer, Some(Answer::Refused(Refusal::Stopped))), "{answer:?} from an empty tree");
}

#[test]
fn a_read_that_waits_for_what_cannot_be_read_from_the_log_is_refused() {
    let mut replicas = Replicas::alone(settings());
    let learner = replicas.add_learner(LEADER);
    replicas.pass(20);
    // The learner has it on its disk, and no more in memory, before it is committed.
    replicas.member(LEADER).stalls = true;
    let written = replicas.write(LEADER, 1)[0];
    replicas.deliver(|_| false);
    replicas.open_again(learner);
    replicas.pass(20);
    replicas.go_on(LEADER);
    replicas.wire.clear();
    let token = replicas.token();
    replicas.step(learner, Input::Read { token });
    replicas.deliver(|_| false);
    assert!(replicas.applied(learner) < replicas.applied(LEADER), "it was told that it is committed");
    assert!(!replicas.member(learner).answers.contains_key(&token), "it has not applied it");

    let (segment, offset) = value_on(&replicas.member(learner).disk, written);
    replicas.member(learner).disk.flip_bit(&segment, offset * 8);
    replicas.pass(20);
    let it = replicas.member(learner);
    assert!(matches!(it.failure.as_deref(), Some(WalError::Damaged { .. })), "{:?}", it.failure);
    let answer = it.answers.get(&token);
    assert!(
        matches!(answer, Some(Answer::Refused(Refusal::Stopped))),
        "{answer:?}, without what it was to see"
    );
}

/// In which segment, and where in it, is what the call with this token has written.
fn value_on(disk: &SimulatedDisk, token: u64) -> (String, usize) {
    let is_it = |bytes: &[u8]| bytes.iter().all(|byte| *byte == token as u8);
    let find = |name: String| Some((disk.content(&name).windows(VALUE_BYTES).position(is_it)?, name));
    let (offset, segment) = disk.names().unwrap().into_iter().find_map(find).expect("it is in the log");
    (segment, offset)
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

#[test]
fn what_another_leader_sends_does_not_get_in_the_way_of_what_is_being_checked() {
    for is_checked_before in [true, false] {
        let (mut replicas, learner) = far_behind();
        replicas.member(learner).held = Some("check a snapshot");
        replicas.pass(20);
        let check = replicas.member(learner).jobs.pop_front().unwrap();
        // Perhaps it was found whole, and nobody was told yet.
        let check: Result<Done, Job> = if is_checked_before { Ok(check.run()) } else { Err(check) };

        // The next leader has one up to the same entry.
        let snapshot = replicas.member(LEADER).replica.saved();
        let name = snapshot_of(&mut replicas, LEADER);
        let saved = replicas.member(LEADER).disk.content(&name);
        let term = Term::new(snapshot.term.get() + 1);
        let bytes = saved[..10_000].into();
        let chunk = Message::SnapshotChunk { snapshot, offset: 0, bytes, is_last: false };
        for message in [Message::SnapshotOffer { snapshot }, chunk] {
            let envelope = Envelope { from: MemberId::new(2), to: learner, term, message };
            replicas.step(learner, Input::Receive(envelope));
        }
        replicas.step(learner, Input::Done(check.unwrap_or_else(Job::run)));

        assert_eq!(replicas.applied(learner), snapshot.index, "{is_checked_before}");
        let installed = replicas.member(learner).disk.content(&name);
        SnapshotReader::new(&installed[..], &name).unwrap().verify().unwrap();
    }
}

/// The leader's newest snapshot.
fn snapshot_of(replicas: &mut Replicas, member: MemberId) -> String {
    let names = replicas.member(member).disk.names().unwrap();
    names.into_iter().rfind(|name| name.ends_with(".snap")).expect("there is a snapshot")
}

#[test]
fn a_snapshot_that_rots_under_a_leader_is_taken_anew() {
    let (mut replicas, learner) = far_behind();
    let name = snapshot_of(&mut replicas, LEADER);
    let before = replicas.member(LEADER).disk.content(&name);
    replicas.member(LEADER).disk.flip_bit(&name, before.len() * 4);
    replicas.pass(100);
    assert_eq!(replicas.applied(learner), LogIndex::default(), "it took what was damaged");
    replicas.pass(300);
    assert_eq!(replicas.applied(learner), replicas.applied(LEADER));
    // What the leader itself would begin with is sound again.
    let name = snapshot_of(&mut replicas, LEADER);
    let saved = replicas.member(LEADER).disk.content(&name);
    SnapshotReader::new(&saved[..], name).unwrap().verify().unwrap();
}

#[test]
fn a_snapshot_that_is_gone_is_taken_anew_and_not_asked_for_all_the_time() {
    let (mut replicas, learner) = far_behind();
    let name = snapshot_of(&mut replicas, LEADER);
    replicas.member(LEADER).disk.remove(&name).unwrap();
    replicas.member(LEADER).held = Some("save a snapshot");
    replicas.pass(200);
    assert_eq!(replicas.applied(learner), LogIndex::default());
    replicas.member(LEADER).held = None;
    let saved = replicas.member(LEADER).jobs.pop_front().expect("it is taken anew").run();
    replicas.step(LEADER, Input::Done(saved));
    replicas.pass(200);
    assert_eq!(replicas.applied(learner), replicas.applied(LEADER));
}

#[test]
fn a_leader_whose_log_rots_under_it_fails_and_sends_nothing_of_it() {
    // Little is kept in memory, so that what others lack is read from the disk.
    let mut settings = settings();
    settings.raft.cache_bytes = 1_000;
    let mut replicas = Replicas::alone(settings);
    let learner = replicas.add_learner(LEADER);
    replicas.pass(20);
    let before = replicas.applied(learner);
    assert_eq!(before, replicas.applied(LEADER));

    replicas.write(LEADER, 30);
    replicas.wire.clear();
    let segments: Vec<_> = replicas
        .member(LEADER)
        .disk
        .names()
        .unwrap()
        .into_iter()
        .filter(|name| name.ends_with(".wal"))
        .collect();
    assert!(segments.len() > 5, "{segments:?}");
    // In the midst of a value of the third.
    replicas.member(LEADER).disk.flip_bit(&segments[2], 6_000 * 8);
    replicas.pass(100);
    let failure = replicas.member(LEADER).failure.clone();
    assert!(matches!(failure.as_deref(), Some(WalError::Damaged { .. })), "{failure:?}");
    assert!(replicas.applied(learner) > before, "what is sound before it is sent");
    assert!(replicas.applied(learner) < replicas.applied(LEADER));
}

#[test]
fn who_becomes_alone_with_proposals_that_had_no_room_tells_each_caller_of_its_own_write() {
    let mut settings = settings();
    settings.raft.uncommitted_bytes = 13_000;
    let mut replicas = Replicas::alone(settings);
    let learner = replicas.add_learner(LEADER);
    replicas.pass(20);

    // Nothing becomes durable, so nothing is committed: what the learner forwards takes all the room but for one.
    replicas.member(LEADER).stalls = true;
    replicas.write(learner, 3);
    replicas.deliver(|_| false);
    let mut tokens = replicas.write(LEADER, 2);
    let changes = vec![Change::Remove(learner)];
    let token = replicas.token();
    replicas.step(LEADER, Input::Ask { token, request: Request::Change { changes, expected: None } });
    assert!(replicas.member(LEADER).replica.raft().config().is_alone(LEADER), "it is not alone");
    tokens.extend(replicas.write(LEADER, 1));
    replicas.go_on(LEADER);
    tokens.extend(replicas.write(LEADER, 1));

    for token in tokens {
        let answer = replicas.member(LEADER).answers.get(&token);
        let Some(Answer::Written { result: Ok(changes), .. }) = answer else { panic!("{token}: {answer:?}") };
        assert_eq!(changes[0].key(), &key_of(token), "the answer to {token}");
    }
}
