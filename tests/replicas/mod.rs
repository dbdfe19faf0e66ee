//! Replicas on simulated disks, driven by hand: what one sends comes when the test says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use spinney::internals::codec;
use spinney::internals::entry::{Config, Contact};
use spinney::internals::raft::{Change, Envelope, Request};
use spinney::internals::replica::{Answer, Founding, Input, Job, Moment, Output, Replica, Settings, SyncJob};
use spinney::internals::tree::{Command, Put, PutMode, Value};
use spinney::internals::wal::{Disk, Identity, SimulatedDisk, WalError};
use spinney::{ClusterId, Key, LogIndex, MemberId, Timestamp};

const CLUSTER: ClusterId = ClusterId::new(7);

/// So much a value has.
pub(crate) const VALUE_BYTES: usize = 4 << 10;

/// One member.
pub(crate) struct Member {
    pub(crate) replica: Replica,
    pub(crate) disk: SimulatedDisk,
    /// By the token of the call.
    pub(crate) answers: BTreeMap<u64, Answer>,
    /// What was given up, and why.
    pub(crate) failure: Option<Arc<WalError>>,
    /// Jobs of this name wait until the test runs them.
    pub(crate) held: Option<&'static str>,
    pub(crate) jobs: VecDeque<Job>,
    /// Its disk makes nothing durable while this is so.
    pub(crate) stalls: bool,
    pub(crate) syncs: VecDeque<SyncJob>,
}

/// Some members and what is under way between them.
pub(crate) struct Replicas {
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) wire: VecDeque<Envelope>,
    settings: Settings,
    /// In milliseconds.
    now: u64,
    next_token: u64,
}

fn contact(name: &str) -> Contact {
    Contact { name: name.to_owned(), peer_addresses: vec![name.to_owned()], ..Contact::default() }
}

/// The key that a call writes.
pub(crate) fn key_of(token: u64) -> Key {
    Key::parse(&format!("/{token}")).unwrap()
}

impl Replicas {
    /// Member 1 alone, which leads.
    pub(crate) fn alone(settings: Settings) -> Self {
        let first = MemberId::new(1);
        let mut replicas =
            Self { members: BTreeMap::new(), wire: VecDeque::new(), settings, now: 1_000, next_token: 1 };
        replicas.open(first, Founding::Together(Config::founded_by([(first, contact("first"))])));
        replicas.step(first, Input::Campaign);
        replicas
    }

    fn open(&mut self, member: MemberId, founding: Founding) {
        self.open_on(SimulatedDisk::new(), member, founding);
    }

    fn open_on(&mut self, disk: SimulatedDisk, member: MemberId, founding: Founding) {
        let identity = Identity { cluster: CLUSTER, member };
        let opened: Arc<dyn Disk> = Arc::new(disk.clone());
        let replica = Replica::open(opened, self.settings.clone(), identity, founding, member.get()).unwrap();
        let it = Member {
            replica,
            disk,
            answers: BTreeMap::new(),
            failure: None,
            held: None,
            jobs: VecDeque::new(),
            stalls: false,
            syncs: VecDeque::new(),
        };
        self.members.insert(member, it);
    }

    /// Closes a member and opens it again. What was under way to it and from it is lost.
    pub(crate) fn open_again(&mut self, member: MemberId) {
        let it = self.members.remove(&member).unwrap();
        it.replica.close().unwrap();
        self.wire.retain(|envelope| envelope.from != member && envelope.to != member);
        self.open_on(it.disk, member, Founding::Joining);
    }

    pub(crate) fn member(&mut self, member: MemberId) -> &mut Member {
        self.members.get_mut(&member).unwrap()
    }

    /// `leader` adds a learner, which comes up; nothing was said to it yet.
    pub(crate) fn add_learner(&mut self, leader: MemberId) -> MemberId {
        let last = self.member(leader).replica.raft().last().index;
        let learner = MemberId::new((1 << 32) + last.next().get());
        self.open(learner, Founding::Joining);
        let changes = vec![Change::Add(contact("learner"))];
        let token = self.token();
        self.step(leader, Input::Ask { token, request: Request::Change { changes, expected: None } });
        assert!(self.member(leader).replica.raft().config().learners.contains(&learner));
        learner
    }

    pub(crate) fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// `leader` writes so many values, each to a key of its own, which is called as the call's token is.
    pub(crate) fn write(&mut self, leader: MemberId, count: usize) -> Vec<u64> {
        let mut tokens = Vec::new();
        for _ in 0..count {
            let token = self.token();
            let key = key_of(token);
            let value = Value::new(vec![token as u8; VALUE_BYTES]);
            let mode = PutMode::Set;
            let put = Command::Put(Put { key, mode, value, ttl_ms: None, dir: false, refresh: false });
            self.step(leader, Input::Propose { token, command: codec::encode(&put).into() });
            tokens.push(token);
        }
        tokens
    }

    /// Lets the disk make durable what it has held up, and all that follows.
    pub(crate) fn go_on(&mut self, member: MemberId) {
        self.member(member).stalls = false;
        while let Some(job) = self.member(member).syncs.pop_front() {
            let synced = job.run(|_| {});
            self.step(member, Input::Synced(synced));
        }
    }

    /// A snapshot is taken, and takes the place of the log as far as it can.
    pub(crate) fn save(&mut self, member: MemberId) {
        let mut outputs = Vec::new();
        self.member(member).replica.save_now(&mut outputs);
        self.carry_out(member, outputs);
        self.run(member);
    }

    /// Gives a member an input, and does what it asks for.
    pub(crate) fn step(&mut self, member: MemberId, input: Input) {
        let moment = self.moment();
        let mut outputs = Vec::new();
        self.member(member).replica.step(moment, input, &mut outputs);
        self.carry_out(member, outputs);
        self.run(member);
    }

    fn moment(&self) -> Moment {
        Moment { wall: Timestamp::new(self.now), running: Duration::from_millis(self.now) }
    }

    fn run(&mut self, member: MemberId) {
        let mut outputs = Vec::new();
        let moment = self.moment();
        self.member(member).replica.flush(moment, &mut outputs);
        self.carry_out(member, outputs);
    }

    fn carry_out(&mut self, member: MemberId, outputs: Vec<Output>) {
        for output in outputs {
            let it = self.members.get_mut(&member).unwrap();
            match output {
                Output::Send(envelope) => self.wire.push_back(envelope),
                Output::Sync(job) if it.stalls => it.syncs.push_back(job),
                Output::Sync(job) => {
                    let wire = &mut self.wire;
                    let synced = job.run(|envelope| wire.push_back(envelope));
                    self.step(member, Input::Synced(synced));
                }
                Output::Run(job) if it.held == Some(job.name()) => it.jobs.push_back(job),
                Output::Run(job) => self.step(member, Input::Done(job.run())),
                Output::Answer { token, answer } => drop(it.answers.insert(token, answer)),
                Output::Failed(error) => it.failure = Some(error),
                Output::Fault { member: peer, what } => panic!("{peer}: {what}"),
                _ => {}
            }
        }
    }

    /// Delivers messages, and what follows from them, until there are none, or one comes that `until` waits for: it stays.
    pub(crate) fn deliver(&mut self, until: impl Fn(&Envelope) -> bool) {
        for _ in 0..10_000 {
            let Some(envelope) = self.wire.front() else { return };
            if until(envelope) {
                return;
            }
            if let Some(envelope) = self.wire.pop_front() {
                self.step(envelope.to, Input::Receive(envelope));
            }
        }
        panic!("there is no end to what they say");
    }

    /// Ticks for everybody, with all messages delivered after each.
    pub(crate) fn pass(&mut self, ticks: usize) {
        let members: Vec<MemberId> = self.members.keys().copied().collect();
        for _ in 0..ticks {
            self.now += 10;
            for &member in &members {
                self.step(member, Input::Tick);
            }
            self.deliver(|_| false);
        }
    }

    /// How far a member's tree is.
    pub(crate) fn applied(&self, member: MemberId) -> LogIndex {
        self.members[&member].replica.applied().index
    }
}
