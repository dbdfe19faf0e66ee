//! What peers say, honest or not: bytes are messages, or are not, and whatever they are no member panics; what it has
//! acknowledged by then can be opened again.
//!
//! Steps follow each other: a byte that says what happens, and for a message two that say how long it is.

use std::sync::Arc;
use std::time::Duration;

use spinney::internals::codec;
use spinney::internals::entry::Config;
use spinney::internals::raft::Envelope;
use spinney::internals::replica::{Founding, Input, Moment, Output, Replica, Settings};
use spinney::internals::tree::Command;
use spinney::internals::wal::{Disk, SimulatedDisk, WalSettings};
use spinney::{ClusterId, Identity, MemberId, Timestamp};

const ME: MemberId = MemberId::new(1);

pub(crate) fn run(bytes: &[u8]) {
    let disk = SimulatedDisk::new();
    let mut member = Member { replica: open(&disk), running: Duration::ZERO, waiting: Vec::new(), token: 0 };
    let mut rest = bytes;
    while let Some((&what, after)) = rest.split_first() {
        rest = after;
        match what % 8 {
            0 => member.step(Input::Tick),
            1 => member.step(Input::Campaign),
            2 => member.carry_out(),
            3 => {
                let command: Arc<[u8]> = codec::encode(&Command::Expire).into();
                member.token += 1;
                let token = member.token;
                member.step(if what & 8 == 0 {
                    Input::Propose { token, command }
                } else {
                    Input::Read { token }
                });
            }
            _ => {
                let Some((length, after)) = rest.split_first_chunk() else { break };
                let (message, after) =
                    after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
                rest = after;
                let Ok(mut envelope) = codec::decode::<Envelope>(message) else { continue };
                assert_eq!(codec::decode(&codec::encode(&envelope)), Ok(envelope.clone()));
                // Who speaks, and to whom, is known by the connection.
                (envelope.from, envelope.to) = (MemberId::new(2 + envelope.from.get() % 3), ME);
                member.step(Input::Receive(envelope));
            }
        }
        assert!(member.replica.raft().committed() <= member.replica.raft().last().index);
    }
    member.carry_out();
    let (failed, durable) = (member.replica.failure().is_some(), member.replica.raft().durable());
    drop(member);
    disk.restart();
    let again = open(&disk);
    assert!(failed || again.raft().last().index >= durable);
}

fn open(disk: &SimulatedDisk) -> Replica {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let identity = Identity { cluster: ClusterId::new(7), member: ME };
    let voters = [1, 2, 3].map(MemberId::new);
    let founders = Config {
        voters: voters.into(),
        contacts: voters.map(|member| (member, Default::default())).into(),
        ..Config::default()
    };
    let settings =
        Settings { wal: WalSettings { segment_bytes: 64 << 10, salt_seed: 1 }, ..Settings::default() };
    let replica = Replica::open(disk, settings, identity, Founding::Together(founders), 1);
    replica.expect("a disk on which nothing failed can be opened")
}

/// A member, and what it has asked for that was not done yet.
struct Member {
    replica: Replica,
    running: Duration,
    waiting: Vec<Output>,
    token: u64,
}

impl Member {
    fn moment(&mut self) -> Moment {
        self.running += Duration::from_millis(3);
        Moment { wall: Timestamp::new(1_700_000_000_000).after(self.running), running: self.running }
    }

    fn step(&mut self, input: Input) {
        let moment = self.moment();
        self.replica.step(moment, input, &mut self.waiting);
    }

    /// The disk does all that is asked of it.
    fn carry_out(&mut self) {
        for _ in 0..100 {
            let moment = self.moment();
            self.replica.flush(moment, &mut self.waiting);
            if self.waiting.is_empty() {
                return;
            }
            for output in std::mem::take(&mut self.waiting) {
                match output {
                    Output::Sync(job) => {
                        let synced = job.run(check);
                        self.step(Input::Synced(synced));
                    }
                    Output::Run(job) => self.step(Input::Done(job.run())),
                    Output::Send(envelope) => check(envelope),
                    _ => {}
                }
            }
        }
        panic!("it never comes to rest");
    }
}

/// What is sent can be read by whoever gets it.
fn check(envelope: Envelope) {
    assert!(envelope.from == ME && envelope.to != ME);
    assert_eq!(codec::decode(&codec::encode(&envelope)), Ok(envelope));
}
