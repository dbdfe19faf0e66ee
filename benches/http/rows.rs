//! The rows of the table.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::shared::load::{self, Connection, Crowd, fill, name, put, request};
use crate::shared::servers::Contestant;
use crate::{Options, Result, bare};

/// How many keys the rows about speed read and write.
const KEYS: usize = 1_000;

/// How many clients wait for one key, and how many for news that are not theirs.
const WAITING: usize = 1_000;
const IDLE: usize = 10_000;

/// How far apart one who waits for many looks what has come.
const GLANCE: Duration = Duration::from_micros(100);

/// A row: its name, its unit, what is promised of spinney in relation to etcd, and how one turn measures it.
struct Row {
    name: String,
    unit: &'static str,
    promise: Promise,
    turn: Turn,
}

type Turn = Box<dyn Fn(&Contestant) -> Result<f64>>;

#[derive(Clone, Copy)]
enum Promise {
    AtLeast(f64),
    AtMost(f64),
    Nothing,
}

pub(crate) fn measure(options: &Options, scratch: &Path) -> Result<()> {
    std::fs::create_dir_all(scratch)?;
    println!("| what | spinney | etcd | ratio | reach | bare | ratio to it |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let rows: Vec<Row> = rows(options).into_iter().filter(|row| options.wants(&row.name)).collect();
    if !rows.is_empty() {
        let contestants = Contestants {
            spinney: Contestant::spinney(&scratch.join("spinney"))?,
            etcd: Contestant::etcd(&scratch.join("etcd"))?,
            bare: Some(bare::start(&scratch.join("bare"))?),
        };
        for contestant in contestants.that_store() {
            fill(contestant.address, KEYS)?;
        }
        rows.iter().try_for_each(|row| show(row, options.rounds, &contestants))?;
    }
    // Those that are about memory begin with servers that nothing has happened to.
    let fresh =
        |name: &str, turn: fn(&Contestant, usize) -> Result<f64>, unit, promise, count| -> Result<()> {
            if !options.wants(name) {
                return Ok(());
            }
            let directory = scratch.join(name.replace(' ', "-"));
            let contestants = Contestants {
                spinney: Contestant::spinney(&directory.with_extension("spinney"))?,
                etcd: Contestant::etcd(&directory.with_extension("etcd"))?,
                bare: None,
            };
            let turn = Box::new(move |contestant: &Contestant| turn(contestant, count));
            show(&Row { name: name.to_owned(), unit, promise, turn }, 1, &contestants)
        };
    fresh(&format!("{IDLE} clients wait: memory each"), idle_kib, " KiB", Promise::Nothing, IDLE)?;
    fresh(&format!("{IDLE} clients wait: threads"), idle_threads, "", Promise::Nothing, IDLE)?;
    let name = format!("resident memory with {} keys", options.keys);
    fresh(&name, memory_mib, " MiB", Promise::AtMost(0.35), options.keys)?;
    let _ = std::fs::remove_dir_all(scratch);
    Ok(())
}

fn rows(options: &Options) -> Vec<Row> {
    let slice = options.slice;
    let speed = |what: &str, connections: usize, ratio: f64, requests: Vec<Vec<u8>>| Row {
        name: format!("{what}, {connections} connection{}", if connections == 1 { "" } else { "s" }),
        unit: "/s",
        promise: Promise::AtLeast(ratio),
        turn: Box::new(move |contestant| load::rate(&[contestant.address], connections, slice, &requests)),
    };
    let gets = || (0..KEYS).map(|n| request("GET", &name(n), "")).collect();
    let puts = || (0..KEYS).map(put).collect();
    vec![
        speed("get", 1, 1.5, gets()),
        speed("get", 16, 1.5, gets()),
        speed("get", 64, 1.5, gets()),
        speed("durable put", 1, 1.5, puts()),
        speed("durable put", 16, 1.5, puts()),
        speed("durable put", 64, 2.0, puts()),
        Row {
            name: format!("{WAITING} clients wait for one key: the last is told"),
            unit: " ms",
            promise: Promise::AtMost(0.5),
            turn: Box::new(told),
        },
    ]
}

/// The servers of one row.
struct Contestants {
    spinney: Contestant,
    etcd: Option<Contestant>,
    bare: Option<Contestant>,
}

impl Contestants {
    fn that_store(&self) -> impl Iterator<Item = &Contestant> {
        [Some(&self.spinney), self.etcd.as_ref()].into_iter().flatten()
    }
}

/// What the rounds measured of one server. Nothing of one that is not there.
type Measured = Vec<f64>;

fn show(row: &Row, rounds: usize, contestants: &Contestants) -> Result<()> {
    let servers = [Some(&contestants.spinney), contestants.etcd.as_ref(), contestants.bare.as_ref()];
    let mut measured = [const { Measured::new() }; 3];
    for round in 0..rounds {
        for place in 0..servers.len() {
            let turn = (round + place) % servers.len();
            if let Some(server) = servers[turn] {
                measured[turn].push((row.turn)(server)?);
            }
        }
    }
    let ratio = |other: &Measured| {
        median(measured[0].iter().zip(other).map(|(ours, theirs)| ours / theirs).collect())
    };
    let (to_etcd, to_bare) = (ratio(&measured[1]), ratio(&measured[2]));
    let [spinney, etcd, bare] = measured.map(|values| shown(median(values), row.unit));
    println!(
        "| {} | {spinney} | {etcd} | {} | {} | {bare} | {} |",
        row.name,
        shown(to_etcd, ""),
        row.promise.verdict(to_etcd),
        shown(to_bare, "")
    );
    Ok(())
}

/// `value` to three digits or so; nothing where nothing was measured.
fn shown(value: f64, unit: &str) -> String {
    match value {
        value if value.is_nan() => String::new(),
        value if value >= 1e4 => format!("{:.1}k{unit}", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}{unit}"),
        value if value >= 10.0 => format!("{value:.1}{unit}"),
        value => format!("{value:.2}{unit}"),
    }
}

impl Promise {
    fn verdict(self, ratio: f64) -> String {
        let (reach, is_met) = match self {
            Self::AtLeast(least) => (format!(">= {least}"), ratio >= least),
            Self::AtMost(most) => (format!("<= {most}"), ratio <= most),
            Self::Nothing => return String::new(),
        };
        match is_met {
            _ if ratio.is_nan() => reach,
            true => format!("{reach}, ok"),
            false => format!("{reach}, short"),
        }
    }
}

/// How long it takes until the last of many clients that wait for one key is told, in milliseconds.
fn told(contestant: &Contestant) -> Result<f64> {
    let address = contestant.address;
    let mut crowd = Crowd::of(waiting(address, WAITING, |_| "/v2/keys/awaited?wait=true".to_owned())?)?;
    let mut writer = Connection::new(address)?;
    let started = Instant::now();
    writer.send(&request("PUT", "/v2/keys/awaited", "value=now"))?;
    let mut told = 0;
    while told < WAITING {
        crowd.turn(|_, _| {
            told += 1;
            Ok(None::<&[u8]>)
        })?;
        // So that a server does not wake the client up for each of them.
        std::thread::sleep(GLANCE);
    }
    let elapsed = started.elapsed().saturating_sub(GLANCE);
    writer.answer()?;
    Ok(elapsed.as_secs_f64() * 1000.0)
}

/// Clients that wait, the n-th for what `target` says.
fn waiting(
    address: std::net::SocketAddr,
    count: usize,
    target: impl Fn(usize) -> String,
) -> Result<Vec<Connection>> {
    let wait = |n| {
        let mut connection = Connection::small(address)?;
        connection.send(&request("GET", &target(n), ""))?;
        // The head comes when the watch is there.
        connection.head()?;
        Ok(connection)
    };
    (0..count).map(wait).collect()
}

/// What each of very many clients takes that wait and are told nothing, in KiB.
fn idle_kib(contestant: &Contestant, count: usize) -> Result<f64> {
    let before = contestant.resident_bytes()?;
    let measured = with_idle(contestant, count, Contestant::resident_bytes)?;
    Ok((measured - before) / count as f64 / 1024.0)
}

fn idle_threads(contestant: &Contestant, count: usize) -> Result<f64> {
    with_idle(contestant, count, Contestant::threads)
}

/// What `look` says while so many clients wait. One event still reaches those concerned.
fn with_idle(
    contestant: &Contestant,
    count: usize,
    look: impl Fn(&Contestant) -> Result<f64>,
) -> Result<f64> {
    const KEYS: usize = 100;
    let mut waiting =
        waiting(contestant.address, count, |n| format!("/v2/keys/idle/{}?wait=true", n % KEYS))?;
    let looked = look(contestant)?;
    Connection::new(contestant.address)?.call(&request("PUT", "/v2/keys/idle/7", "value=now"))?;
    for connection in waiting.iter_mut().skip(7).step_by(KEYS) {
        connection.answer()?;
    }
    Ok(looked)
}

/// What a server takes with so many keys, in MiB.
fn memory_mib(contestant: &Contestant, keys: usize) -> Result<f64> {
    fill(contestant.address, keys)?;
    Ok(contestant.resident_bytes()? / f64::from(1 << 20))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
