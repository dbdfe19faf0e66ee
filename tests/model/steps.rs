//! Commands out of bytes: few keys, few values and close moments, so that they meet often.

use arbitrary::{Result, Unstructured};
use spinney::internals::tree::{
    Check, Command, Condition, CreateInOrder, Delete, Expect, Operation, Put, PutMode, Transaction, Value,
};
use spinney::{Index, Key};

use super::Model;

/// The most files that `/a` begins with.
const CROWD_MAX: u64 = 150;

/// What is done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A command of an entry with this time.
    Apply(u64, Command),
    /// The timers are asked to look closer at this moment.
    Refine(u64),
    /// The tree is written to an image, and another one read from it.
    Reload,
}

/// The next step out of `bytes`. Moments and conditions go by what `model` holds, so that they are often right.
pub(crate) fn next(bytes: &mut Unstructured<'_>, model: &Model) -> Result<Step> {
    Ok(match bytes.int_in_range(0..=15)? {
        0 => Step::Refine(moment(bytes, model)?),
        1 => Step::Reload,
        2 => Step::Apply(moment(bytes, model)?, Command::Expire),
        _ => Step::Apply(moment(bytes, model)?, command(bytes, model)?),
    })
}

/// How many files `/a` begins with: mostly none, now and then more than a page of it holds.
pub(crate) fn crowd(bytes: &mut Unstructured<'_>) -> Result<u64> {
    if bytes.ratio(1, 32)? { bytes.int_in_range(1..=CROWD_MAX) } else { Ok(0) }
}

/// What makes the files that `/a` begins with.
pub(crate) fn join_crowd(number: u64) -> Step {
    let key = Key::parse(&format!("/a/{number}")).unwrap();
    let (mode, value, ttl_ms) = (PutMode::Set, Value::default(), number.is_multiple_of(5).then_some(number));
    Step::Apply(0, Command::Put(Put { key, mode, value, ttl_ms, dir: false, refresh: false }))
}

/// Mostly now; sometimes a little later, just at or before a deadline, far off, or in the past.
fn moment(bytes: &mut Unstructured<'_>, model: &Model) -> Result<u64> {
    let (now, next) = (model.time, model.first_deadline().unwrap_or(model.time));
    Ok(match bytes.int_in_range(0..=15)? {
        0 => next,
        1 => next.saturating_sub(1),
        2 => next.saturating_add(1),
        3 => now.saturating_sub(3),
        4 => now.saturating_add(1 << bytes.int_in_range(0..=44)?),
        5 => now.saturating_add(7),
        _ => now,
    })
}

fn command(bytes: &mut Unstructured<'_>, model: &Model) -> Result<Command> {
    Ok(match bytes.int_in_range(0..=7)? {
        0 => Command::Transaction(transaction(bytes, model)?),
        _ => match operation(bytes, model)? {
            Operation::Put(put) => Command::Put(put),
            Operation::Delete(delete) => Command::Delete(delete),
            Operation::CreateInOrder(create) => Command::CreateInOrder(create),
        },
    })
}

fn operation(bytes: &mut Unstructured<'_>, model: &Model) -> Result<Operation> {
    Ok(match bytes.int_in_range(0..=9)? {
        0 | 1 => {
            let key = key(bytes)?;
            let condition = if bytes.ratio(1, 3)? { Some(condition(bytes, model, &key)?) } else { None };
            let (dir, recursive) = (bytes.arbitrary()?, bytes.arbitrary()?);
            Operation::Delete(Delete { key, dir, recursive, condition })
        }
        2 => Operation::CreateInOrder(CreateInOrder {
            directory: key(bytes)?,
            value: value(bytes)?,
            ttl_ms: ttl_ms(bytes)?,
            dir: bytes.ratio(1, 4)?,
        }),
        _ => {
            let key = key(bytes)?;
            let mode = match bytes.int_in_range(0..=7)? {
                0..=3 => PutMode::Set,
                4 => PutMode::Create,
                5 | 6 => PutMode::Update,
                _ => PutMode::Swap(condition(bytes, model, &key)?),
            };
            let (value, ttl_ms) = (value(bytes)?, ttl_ms(bytes)?);
            Operation::Put(Put {
                key,
                mode,
                value,
                ttl_ms,
                dir: bytes.ratio(1, 4)?,
                refresh: bytes.ratio(1, 5)?,
            })
        }
    })
}

fn transaction(bytes: &mut Unstructured<'_>, model: &Model) -> Result<Transaction> {
    let mut transaction = Transaction::default();
    for _ in 0..bytes.int_in_range(0..=2)? {
        let key = key(bytes)?;
        let Condition { value, index } = condition(bytes, model, &key)?;
        let expect = match (value, index) {
            (Some(value), _) => Expect::Value(value),
            (None, Some(index)) => Expect::Index(index),
            // Mostly what holds: a transaction that is refused at once shows little.
            (None, None) if model.get(&key).is_ok() ^ bytes.ratio(1, 8)? => Expect::Present,
            (None, None) => Expect::Absent,
        };
        transaction.checks.push(Check { key, expect });
    }
    for _ in 0..bytes.int_in_range(0..=4)? {
        transaction.operations.push(operation(bytes, model)?);
    }
    Ok(transaction)
}

/// The root, or up to three parts. Some names sort around a slash, some are hidden, some are those of nodes made
/// in order.
fn key(bytes: &mut Unstructured<'_>) -> Result<Key> {
    const NAMES: [&str; 6] = ["a", "b", "a!", "_h", "0", "é"];
    let mut path = String::new();
    for _ in 0..bytes.int_in_range(0..=7)? % 4 {
        let name = match bytes.int_in_range(0..=NAMES.len() + 1)? {
            n if n < NAMES.len() => NAMES[n].to_owned(),
            n if n == NAMES.len() => format!("{:020}", bytes.int_in_range(1..=20)?),
            _ => bytes.int_in_range(1..=CROWD_MAX)?.to_string(),
        };
        path = format!("{path}/{name}");
    }
    Ok(Key::parse(if path.is_empty() { "/" } else { &path }).unwrap())
}

fn value(bytes: &mut Unstructured<'_>) -> Result<Value> {
    const VALUES: [&[u8]; 4] = [b"", b"1", b"two", b"\xFF"];
    Ok(Value::new(*bytes.choose(&VALUES)?))
}

fn ttl_ms(bytes: &mut Unstructured<'_>) -> Result<Option<u64>> {
    Ok(match bytes.int_in_range(0..=15)? {
        0 => Some(0),
        1 | 2 => Some(1),
        3 | 4 => Some(10),
        5 => Some(100),
        6 => Some(1 << bytes.int_in_range(0..=44)?),
        7 => Some(u64::MAX),
        _ => None,
    })
}

/// Half of the time what is there now.
fn condition(bytes: &mut Unstructured<'_>, model: &Model, key: &Key) -> Result<Condition> {
    let found = model.get(key).ok();
    let value = match bytes.int_in_range(0..=3)? {
        0 => Some(value(bytes)?),
        1 => found.as_ref().and_then(|entry| entry.value.clone()).map(Value::new),
        _ => None,
    };
    let index = match bytes.int_in_range(0..=3)? {
        0 => Some(Index::new(bytes.int_in_range(0..=20)?)),
        1 => found.map(|entry| Index::new(entry.modified)),
        _ => None,
    };
    Ok(Condition { value, index })
}
