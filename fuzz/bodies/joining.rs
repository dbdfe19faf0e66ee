//! What is said at joining, honest or not: bytes are words, or are not; whoever asks to be let in, and whatever a founder in doubt is
//! told, no member panics, and what it wrote can be opened again.
//!
//! Steps follow each other: a byte that says what happens, and two that say how long the words are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::codec;
use spinney::internals::entry::Config;
use spinney::internals::joining::{JoinAnswer, JoinAsk, Question};
use spinney::internals::raft::{Change, Request, Witness};
use spinney::internals::replica::{Founding, Input, Moment, Output, Replica, Settings};
use spinney::internals::wal::{Disk, SimulatedDisk, WalSettings};
use spinney::{ClusterId, Identity, MemberId, Timestamp};

const ME: MemberId = MemberId::new(1);

pub(crate) fn run(bytes: &[u8]) {
    // One that leads a cluster of its own, and is asked; and a founder that asks.
    let mut asked = Member::open(Founding::Together(founders(1)));
    let mut asker = Member::open(Founding::InDoubt(founders(3)));
    (0..1000).for_each(|_| asked.step(Input::Tick));
    let mut answers = BTreeMap::new();
    let mut rest = bytes;
    while let Some((&[what, low, high], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (words, after) = after.split_at(length.min(after.len()));
        rest = after;
        if what & 1 == 0 {
            let Ok(ask) = codec::decode::<JoinAsk>(words) else { continue };
            assert_eq!(codec::decode(&codec::encode(&ask)), Ok(ask.clone()));
            if let Question::LetMeIn(contact) = ask.question {
                let changes = vec![Change::Add(contact)];
                let request = Request::Change { changes, expected: None };
                asked.step(Input::Ask { token: 1, request });
            }
            continue;
        }
        let Ok(answer) = codec::decode::<JoinAnswer>(words) else { continue };
        assert_eq!(codec::decode(&codec::encode(&answer)), Ok(answer.clone()));
        let witness = match answer {
            JoinAnswer::Unknown { testimony, .. } => Witness::Told(testimony),
            JoinAnswer::Refused(_) | JoinAnswer::Welcome { .. } => Witness::Silent,
            JoinAnswer::Stranger => Witness::Unreachable,
            JoinAnswer::Known => Witness::Disowned,
        };
        answers.insert(MemberId::new(2 + u64::from(what >> 1 & 1)), witness);
        if what & 4 == 0 {
            asker.step(Input::Heard(std::mem::take(&mut answers)));
        }
    }
    asked.close();
    asker.close();
}

fn founders(count: u64) -> Config {
    let voters: Vec<_> = (1..=count).map(MemberId::new).collect();
    Config {
        voters: voters.iter().copied().collect(),
        contacts: voters.into_iter().map(|member| (member, Default::default())).collect(),
        ..Config::default()
    }
}

/// A member whose disk does all that is asked of it.
struct Member {
    disk: SimulatedDisk,
    founding: Founding,
    replica: Replica,
    running: Duration,
}

impl Member {
    fn open(founding: Founding) -> Self {
        let disk = SimulatedDisk::new();
        let replica = open(&disk, founding.clone());
        Self { disk, founding, replica, running: Duration::ZERO }
    }

    fn step(&mut self, input: Input) {
        self.running += Duration::from_millis(3);
        let running = self.running;
        let moment = Moment { wall: Timestamp::new(1_700_000_000_000).after(running), running };
        let mut inputs = vec![input];
        for _ in 0..100 {
            let mut outputs = Vec::new();
            inputs.drain(..).for_each(|input| self.replica.step(moment, input, &mut outputs));
            self.replica.flush(moment, &mut outputs);
            for output in outputs {
                match output {
                    Output::Sync(job) => inputs.push(Input::Synced(job.run(|_| {}))),
                    Output::Run(job) => inputs.push(Input::Done(job.run())),
                    _ => {}
                }
            }
            if inputs.is_empty() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// It has written what can be opened, and goes on from there.
    fn close(self) {
        let Self { disk, founding, replica, .. } = self;
        assert!(replica.failure().is_none());
        let (state, last) = (replica.raft().hard_state(), replica.raft().last());
        drop(replica);
        disk.restart();
        let again = open(&disk, founding);
        assert_eq!((again.raft().hard_state().floor, again.raft().last()), (state.floor, last));
    }
}

fn open(disk: &SimulatedDisk, founding: Founding) -> Replica {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let identity = Identity { cluster: ClusterId::new(7), member: ME };
    let settings =
        Settings { wal: WalSettings { segment_bytes: 64 << 10, salt_seed: 1 }, ..Settings::default() };
    Replica::open(disk, settings, identity, founding, 1)
        .expect("a disk on which nothing failed can be opened")
}
