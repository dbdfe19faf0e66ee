//! What clients ask for.

use spinney::Key;
use spinney::internals::tree::{
    Check, Command, Condition, CreateInOrder, Delete, Expect, Operation, Put, PutMode, Transaction, Value,
};

use super::linear::Call;
use super::random::Random;

/// How many keys are used as registers: whole histories of each are checked for an order.
const REGISTERS: u64 = 3;

/// What a client does next.
#[derive(Clone, Debug)]
pub enum Request {
    /// A write.
    Write {
        /// What the tree is asked to do.
        command: Command,
        /// The same as a call on a register, when it is one.
        call: Option<(u64, Call)>,
    },
    /// A linearizable read.
    Read {
        /// Of this key.
        key: Key,
        /// The number of the register, when it is one.
        register: Option<u64>,
    },
    /// A read of whatever the member has.
    LocalRead {
        /// Of this key.
        key: Key,
    },
}

/// Makes requests. Values are numbers that never come twice.
#[derive(Debug)]
pub struct Workload {
    random: Random,
    next_value: u64,
    /// Values that registers may still have, newest last.
    recent: Vec<u64>,
    /// The longest value that is written.
    value_bytes_max: usize,
}

impl Workload {
    /// The workload of a seed.
    #[must_use]
    pub fn new(seed: u64, value_bytes_max: usize) -> Self {
        Self { random: Random::stream(seed, "workload"), next_value: 1, recent: Vec::new(), value_bytes_max }
    }

    /// What comes next.
    pub fn next(&mut self) -> Request {
        match self.random.below(10) {
            0..=2 => self.write_register(),
            3 | 4 => {
                let number = self.random.below(REGISTERS);
                Request::Read { key: register(number), register: Some(number) }
            }
            5 => Request::Read { key: self.key(), register: None },
            6 => Request::LocalRead { key: self.key() },
            _ => self.write(),
        }
    }

    /// A write of anything but a register.
    pub fn write(&mut self) -> Request {
        Request::Write { command: self.command(), call: None }
    }

    /// A write of a register that is never refused, to see whether the cluster works.
    pub fn probe(&mut self) -> Request {
        let (number, value) = (self.random.below(REGISTERS), self.value());
        Request::Write {
            command: Command::Put(set(register(number), value)),
            call: Some((number, Call::Write(value))),
        }
    }

    /// A write of something that expires, and that nothing else is in the way of.
    pub fn short_lived(&mut self, ttl_ms: u64) -> Request {
        let create = CreateInOrder {
            directory: Key::parse("/short").expect("a key"),
            value: text(self.value()),
            ttl_ms: Some(ttl_ms),
            dir: false,
        };
        Request::Write { command: Command::CreateInOrder(create), call: None }
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.recent.push(self.next_value);
        if self.recent.len() > 8 {
            self.recent.remove(0);
        }
        self.next_value
    }

    fn write_register(&mut self) -> Request {
        let number = self.random.below(REGISTERS);
        let key = register(number);
        let old = if self.recent.is_empty() { 0 } else { *self.random.pick(&self.recent) };
        let (command, call) = match self.random.below(8) {
            0 => {
                let delete = Delete { key, dir: false, recursive: false, condition: None };
                (Command::Delete(delete), Call::Remove { done: None })
            }
            1..=3 => {
                let new = self.value();
                let condition = Condition { value: Some(text(old)), index: None };
                let swap = Put { mode: PutMode::Swap(condition), ..set(key, new) };
                (Command::Put(swap), Call::Swap { old, new, done: None })
            }
            _ => {
                let value = self.value();
                (Command::Put(set(key, value)), Call::Write(value))
            }
        };
        Request::Write { command, call: Some((number, call)) }
    }

    /// Anything that the tree knows, on few keys so that much of it meets.
    fn command(&mut self) -> Command {
        match self.random.below(12) {
            0 => Command::Transaction(self.transaction()),
            1 | 2 => Command::CreateInOrder(CreateInOrder {
                directory: Key::parse("/queue").expect("a key"),
                value: text(self.value()),
                ttl_ms: Some(self.random.between(1, 3_000)),
                dir: false,
            }),
            3 | 4 => {
                let (dir, recursive) = (self.random.one_in(2), self.random.one_in(2));
                Command::Delete(Delete { key: self.key(), dir, recursive, condition: None })
            }
            5 => Command::Put(Put { mode: PutMode::Create, ..self.put() }),
            6 => Command::Put(Put { mode: PutMode::Update, ..self.put() }),
            7 => Command::Put(Put { mode: PutMode::Update, refresh: true, ..self.put() }),
            8 => {
                let size = self.random.below(self.value_bytes_max as u64 + 1) as usize;
                let mut bytes = self.value().to_string().into_bytes();
                bytes.resize(size.max(bytes.len()), b'.');
                Command::Put(Put { value: Value::new(bytes), ..self.put() })
            }
            _ => Command::Put(self.put()),
        }
    }

    fn put(&mut self) -> Put {
        let (key, value) = (self.key(), self.value());
        let ttl_ms = self.random.one_in(2).then(|| self.random.between(1, 4_000));
        Put { ttl_ms, dir: self.random.one_in(8), ..set(key, value) }
    }

    fn transaction(&mut self) -> Transaction {
        let (checked, expect) =
            (self.key(), if self.random.one_in(2) { Expect::Present } else { Expect::Absent });
        let checks = if self.random.one_in(2) { vec![Check { key: checked, expect }] } else { Vec::new() };
        let operations = (0..self.random.between(1, 3)).map(|_| Operation::Put(self.put())).collect();
        Transaction { checks, operations }
    }

    fn key(&mut self) -> Key {
        let keys = ["/a", "/a/x", "/a/y", "/a/x/1", "/b", "/b/_hidden/1", "/c", "/c/1", "/c/2", "/c/3"];
        let key = *self.random.pick(&keys);
        Key::parse(key).expect("a key")
    }
}

/// The key of a register.
#[must_use]
pub fn register(number: u64) -> Key {
    Key::parse(&format!("/register/{number}")).expect("a key")
}

fn set(key: Key, value: u64) -> Put {
    Put { key, mode: PutMode::Set, value: text(value), ttl_ms: None, dir: false, refresh: false }
}

fn text(value: u64) -> Value {
    Value::new(value.to_string().into_bytes())
}
