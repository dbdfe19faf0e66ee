//! What is on disk must be readable by every later version: the bytes of each thing that is encoded, pinned.
//!
//! The framing around them (segments, records, snapshot files) is pinned beside its code in `src/wal`. A change here
//! is a change of the format: it wants a new version number there, and a way to read the old one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use spinney::internals::BootId;
use spinney::internals::codec::{decode, encode};
use spinney::internals::entry::{
    Config, Contact, Entry, EntryId, HardState, Payload, Session, Testimony, WriteSet,
};
use spinney::internals::session::Sessions;
use spinney::internals::tree::{
    Check, Command, Condition, CreateInOrder, Delete, Expect, NodeImages, Operation, Put, PutMode,
    Transaction, Tree, Value,
};
use spinney::{Index, Key, LogIndex, MemberId, Store, Term, Timestamp};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `value` has these bytes, and they are read as `value`.
fn pinned<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, bytes: &str) {
    assert_eq!(hex(&encode(value)), bytes.replace(' ', ""), "{value:?}");
    assert_eq!(&decode::<T>(&encode(value)).unwrap(), value);
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn put(mode: PutMode) -> Put {
    Put { key: key("/a"), mode, value: Value::new(*b"v"), ttl_ms: None, dir: false, refresh: false }
}

#[test]
fn commands() {
    pinned(&Command::Put(put(PutMode::Set)), "00022f61000176000000");
    pinned(
        &Command::Put(Put { ttl_ms: Some(30_000), dir: true, ..put(PutMode::Create) }),
        "00022f6101017601fb30750100",
    );
    pinned(
        &Command::Put(Put { ttl_ms: Some(1), refresh: true, ..put(PutMode::Update) }),
        "00022f6102017601010001",
    );
    let condition = Condition { value: Some(Value::new(*b"w")), index: Some(Index::new(300)) };
    pinned(&Command::Put(put(PutMode::Swap(condition.clone()))), "00022f610301017701fb2c010176000000");
    let delete = Delete { key: key("/a/b"), dir: true, recursive: false, condition: None };
    pinned(&Command::Delete(delete.clone()), "01042f612f62010000");
    pinned(
        &Command::Delete(Delete { condition: Some(condition), ..delete.clone() }),
        "01042f612f6201000101017701fb2c01",
    );
    let create = CreateInOrder { directory: key("/q"), value: Value::default(), ttl_ms: None, dir: false };
    pinned(&Command::CreateInOrder(create.clone()), "02022f71000000");
    let check = |expect| Check { key: key("/c"), expect };
    let checks =
        [Expect::Present, Expect::Absent, Expect::Value(Value::new(*b"x")), Expect::Index(Index::new(7))];
    let transaction = Transaction {
        checks: checks.map(check).into(),
        operations: vec![
            Operation::Put(put(PutMode::Set)),
            Operation::Delete(delete),
            Operation::CreateInOrder(create),
        ],
    };
    pinned(
        &Command::Transaction(transaction),
        "0304022f6300022f6301022f63020178022f6303070300022f6100017600000001042f612f6201000002022f71000000",
    );
    pinned(&Command::Expire, "04");
}

#[test]
fn write_sets() {
    let id = EntryId { term: Term::new(2), index: LogIndex::new(1000) };
    let session = Session { member: MemberId::new(3), boot: BootId::new(300), sequence: 5 };
    let entry = |session, payload| Entry { id, time: Timestamp::new(1_700_000_000_000), session, payload };
    let entries = vec![
        entry(None, Payload::Noop),
        entry(None, Payload::Config(Box::new(config()))),
        entry(None, Payload::Command(b"command".as_slice().into())),
        entry(Some(session), Payload::Command(b"command".as_slice().into())),
    ];
    let floor = Testimony { term: Term::new(3), last: id };
    let hard_state =
        Some(HardState { term: Term::new(2), vote: Some(MemberId::new(1)), boot: BootId::new(7), floor });
    let write = WriteSet {
        hard_state,
        truncate_from: Some(LogIndex::new(9)),
        entries,
        snapshot: Some(id),
        committed: LogIndex::new(999),
    };
    pinned(
        &write,
        "01020101070302fbe80301090402fbe803fd0068e5cf8b010000000002fbe803fd0068e5cf8b01000000010101010201fd00000000010000000101026e310103613a310103623a320102fbe803fd0068e5cf8b010000000207636f6d6d616e6402fbe803fd0068e5cf8b0100000103fb2c01050207636f6d6d616e640102fbe803fbe703",
    );
    pinned(&WriteSet::default(), "0000000000");
}

fn config() -> Config {
    let contact = Contact {
        name: "n1".to_owned(),
        peer_addresses: vec!["a:1".to_owned()],
        client_addresses: vec!["b:2".to_owned()],
    };
    Config {
        voters: [MemberId::new(1)].into(),
        outgoing: [MemberId::new(2)].into(),
        learners: [MemberId::new(1 << 32)].into(),
        contacts: [(MemberId::new(1), contact)].into(),
        was_changed: true,
    }
}

#[test]
fn sessions() {
    let mut sessions = Sessions::default();
    sessions.follow(&config());
    sessions.admit(Some(Session { member: MemberId::new(2), boot: BootId::new(300), sequence: 1 }));
    pinned(&sessions, "0301000002fb2c0101fd00000000010000000000");
}

#[test]
fn images_of_trees() {
    let mut tree = Tree::new();
    let mut effects = Vec::new();
    let dir = Put { ttl_ms: Some(5), dir: true, key: key("/d"), ..put(PutMode::Set) };
    for put in [dir, Put { key: key("/d/f"), ..put(PutMode::Set) }, put(PutMode::Set)] {
        tree.apply(Timestamp::new(1000), Command::Put(put), &mut effects).unwrap();
    }
    let chunks: Vec<_> = NodeImages::new(tree.root(), 2).collect();
    assert_eq!(
        chunks.iter().map(|chunk| hex(chunk)).collect::<Vec<_>>(),
        ["02010161030300010176010164010101fbed0300020166020200010176"]
    );
}

/// What a backup holds between its header (with ids that are drawn) and its end: history, then nodes.
#[test]
fn backups() {
    let store = Store::in_memory();
    store.set("/a", "1").unwrap();
    store.set("/a", "2").unwrap();
    let mut backup = Vec::new();
    store.backup(&mut backup).unwrap();
    let times = [1, 2].map(|index| {
        let watch = store.watch("/a").since(index).start().unwrap();
        let time = watch.recv().unwrap().change().unwrap().time.get();
        hex(&[&[253][..], &time.to_le_bytes()].concat())
    });
    // A prefix of 24 bytes that has the length of the header, which follows it; a chunk's prefix of 8; an end of 28.
    let header = u32::from_le_bytes(backup[16..20].try_into().unwrap()) as usize;
    let body = hex(&backup[24 + header + 8..backup.len() - 28]);
    let body = times.iter().fold(body, |body, time| body.replace(time.as_str(), " time "));
    assert_eq!(
        body,
        "340000000100022f6101010001013100 time 0000022f6102020001013201022f61010100010131 time 000a00000002010161020200010132"
    );
}
