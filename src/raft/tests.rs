//! What a member does that is a majority alone; the scripts in `tests/scripts/raft` play clusters.

use std::sync::Arc;

use super::*;
use crate::entry::{Contact, Entry, Payload};
use crate::types::Term;

const ME: MemberId = MemberId::new(1);

fn alone(known: Known) -> Raft {
    Raft::new(ME, Settings::default(), known, 1)
}

fn founder() -> Known {
    Known::founder(Config::alone(ME))
}

fn step(raft: &mut Raft, now: u64, input: Input) -> Vec<Output> {
    let mut outputs = Vec::new();
    raft.step(Timestamp::new(now), input, &mut outputs);
    outputs
}

fn leader() -> Raft {
    let mut raft = alone(founder());
    step(&mut raft, 10, Input::Campaign);
    step(&mut raft, 10, Input::Persisted(1));
    step(&mut raft, 10, Input::Persisted(2));
    assert_eq!(raft.role(), Role::Leader);
    raft
}

fn command(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

#[test]
fn leads_only_once_its_own_vote_is_durable() {
    let mut raft = alone(founder());
    let outputs = step(&mut raft, 10, Input::Campaign);
    let hard_state = HardState { term: Term::new(1), vote: Some(ME), ..raft.hard_state() };
    let write = WriteSet { hard_state: Some(hard_state), ..WriteSet::default() };
    assert_eq!(outputs, [Output::Persist { sequence: 1, write }]);
    assert_eq!(raft.role(), Role::Candidate);
    let refused = step(&mut raft, 10, Input::Propose(vec![command("a")]));
    assert_eq!(refused, [Output::Refuse { commands: vec![command("a")], reason: Refusal::NoLeader }]);
    step(&mut raft, 10, Input::Persisted(1));
    assert_eq!(raft.role(), Role::Leader);
}

#[test]
fn a_new_log_begins_with_the_members() {
    let mut raft = alone(founder());
    step(&mut raft, 10, Input::Campaign);
    let outputs = step(&mut raft, 10, Input::Persisted(1));
    let [Output::Persist { write, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(matches!(&write.entries[..], [Entry { payload: Payload::Config(_), .. }]));
}

#[test]
fn commits_what_is_durable_and_no_more() {
    let mut raft = leader();
    assert!(matches!(
        step(&mut raft, 20, Input::Propose(vec![command("a")]))[..],
        [Output::Persist { sequence: 3, .. }]
    ));
    step(&mut raft, 21, Input::Propose(vec![command("b"), command("c")]));
    let outputs = step(&mut raft, 22, Input::Persisted(3));
    let [Output::Apply(entries)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(
        entries.iter().map(|entry| &entry.payload).collect::<Vec<_>>(),
        [&Payload::Command(command("a"))]
    );
    let outputs = step(&mut raft, 23, Input::Persisted(4));
    let [Output::Apply(entries)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(entries.len(), 2);
    assert_eq!(raft.applied().index, LogIndex::new(4));
}

#[test]
fn log_time_never_goes_back() {
    let mut raft = leader();
    step(&mut raft, 50, Input::Propose(vec![command("a")]));
    let outputs = step(&mut raft, 40, Input::Propose(vec![command("b")]));
    let [Output::Persist { write, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(write.entries[0].time, Timestamp::new(50));
}

#[test]
fn what_earlier_terms_left_is_committed_with_the_first_entry_of_the_new_one() {
    let last = EntryId { term: Term::new(3), index: LogIndex::new(7) };
    let mut known = Known::restored(last, Timestamp::default(), Config::alone(ME));
    known.hard_state.term = Term::new(3);
    let mut raft = alone(known);
    step(&mut raft, 10, Input::Campaign);
    let outputs = step(&mut raft, 10, Input::Persisted(1));
    let [Output::Persist { write, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(write.entries[0].id, EntryId { term: Term::new(4), index: LogIndex::new(8) });
    assert_eq!(write.entries[0].payload, Payload::Noop);
}

#[test]
fn a_failed_disk_ends_the_reign() {
    let mut raft = leader();
    step(&mut raft, 20, Input::Propose(vec![command("a")]));
    assert_eq!(step(&mut raft, 20, Input::PersistFailed), []);
    let refused = step(&mut raft, 20, Input::Propose(vec![command("b")]));
    assert_eq!(refused, [Output::Refuse { commands: vec![command("b")], reason: Refusal::Stopped }]);
}

#[test]
fn a_majority_is_not_reached_alone_among_three() {
    let voters = [1, 2, 3].map(MemberId::new).into();
    let mut raft = alone(Known::founder(Config { voters, ..Config::default() }));
    step(&mut raft, 10, Input::Campaign);
    assert_eq!(step(&mut raft, 10, Input::Persisted(1)), []);
    assert_eq!(raft.role(), Role::Candidate);
}

/// Others hear of a candidate when its vote is durable, and may answer before it has itself heard so.
#[test]
fn however_quick_the_others_are_it_leads_once_its_own_vote_is_durable() {
    let voters = [1, 2, 3].map(MemberId::new);
    let mut raft = alone(Known::founder(Config { voters: voters.into(), ..Config::default() }));
    step(&mut raft, 10, Input::Campaign);
    let boot = raft.boot();
    for from in &voters[1..] {
        let message = Message::VoteAnswer { boot, granted: true };
        let vote = Envelope { from: *from, to: ME, term: Term::new(1), message };
        assert_eq!(step(&mut raft, 10, Input::Receive(vote)), []);
    }
    assert_eq!(raft.role(), Role::Candidate);
    step(&mut raft, 10, Input::Persisted(1));
    assert_eq!(raft.role(), Role::Leader);
}

const OTHER: MemberId = MemberId::new(2);

/// One that leads, and decides alone, with another one that listens.
fn leader_of_another() -> Raft {
    let config = Config {
        learners: [OTHER].into(),
        contacts: [ME, OTHER].map(|member| (member, Contact::default())).into(),
        ..Config::alone(ME)
    };
    let mut raft = alone(Known::founder(config));
    step(&mut raft, 10, Input::Campaign);
    step(&mut raft, 10, Input::Persisted(1));
    step(&mut raft, 10, Input::Persisted(2));
    assert_eq!(raft.role(), Role::Leader);
    raft
}

fn from_other(message: Message) -> Input {
    Input::Receive(Envelope { from: OTHER, to: ME, term: Term::new(1), message })
}

fn matched(index: u64) -> Input {
    let outcome = AppendOutcome::Matched(LogIndex::new(index));
    let promised = Timestamp::default();
    from_other(Message::AppendAnswer { outcome, round: 0, promised, room: u64::MAX })
}

#[test]
fn how_far_the_log_is_committed_goes_with_the_next_entries_or_alone_when_nothing_comes() {
    let mut raft = leader_of_another();
    step(&mut raft, 20, matched(1));
    let sent = |outputs: &[Output]| {
        let sent = outputs.iter().filter_map(|output| match output {
            Output::Send { envelope, .. } => Some(envelope.message.clone()),
            _ => None,
        });
        sent.collect::<Vec<_>>()
    };
    let upto = |index| EntryId { term: Term::new(1), index: LogIndex::new(index) };
    assert_eq!(sent(&step(&mut raft, 20, Input::Flush)), [Message::Committed { upto: upto(1) }]);

    step(&mut raft, 21, Input::Propose(vec![command("a")]));
    step(&mut raft, 21, Input::Persisted(3));
    assert_eq!(sent(&step(&mut raft, 21, matched(2))), []);
    let next = sent(&step(&mut raft, 22, Input::Propose(vec![command("b")])));
    assert!(matches!(&next[..], [Message::Append { committed, .. }] if committed.get() == 2), "{next:?}");
    assert_eq!(sent(&step(&mut raft, 22, Input::Flush)), []);

    step(&mut raft, 23, Input::Persisted(4));
    assert_eq!(sent(&step(&mut raft, 23, Input::Flush)), [], "it has not got what is committed");
    step(&mut raft, 23, matched(3));
    assert_eq!(sent(&step(&mut raft, 23, Input::Flush)), [Message::Committed { upto: upto(3) }]);
    assert_eq!(sent(&step(&mut raft, 23, Input::Flush)), []);
}

#[test]
fn a_leader_does_not_wait_for_proposals_that_were_applied_without_it() {
    let mut raft = leader_of_another();
    let forward = |first, settled, commands: &[&str]| {
        let commands = commands.iter().map(|text| Command(command(text))).collect();
        from_other(Message::Forward { boot: BootId::new(5), first, settled, commands })
    };
    let taken = |outputs: &[Output]| {
        let entries = outputs.iter().filter_map(|output| match output {
            Output::Persist { write, .. } => Some(write.entries.len()),
            _ => None,
        });
        entries.sum::<usize>()
    };
    assert_eq!(taken(&step(&mut raft, 20, forward(1, 0, &["a"]))), 1);
    assert_eq!(taken(&step(&mut raft, 21, forward(3, 0, &["c"]))), 0, "the second is missing");
    // An earlier leader had taken it, and by now it is applied.
    assert_eq!(taken(&step(&mut raft, 22, forward(3, 2, &["c"]))), 1);
}
