//! The rows of the table.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::{self, Connection, request};
use crate::servers::Contestant;
use crate::{Options, Result};

/// How many keys the rows about speed read and write.
const KEYS: usize = 1_000;

/// How many clients wait for one key.
const WAITING: usize = 1_000;

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
}

pub(crate) fn measure(options: &Options, scratch: &Path) -> Result<()> {
    let spinney = Contestant::spinney(&scratch.join("spinney"))?;
    let etcd = Contestant::etcd(&scratch.join("etcd"))?;
    if etcd.is_none() {
        println!("etcd is not installed: there is nothing to compare with");
    }
    let contestants: Vec<&Contestant> = [Some(&spinney), etcd.as_ref()].into_iter().flatten().collect();
    for contestant in &contestants {
        fill(contestant, KEYS)?;
    }
    println!("| what | spinney | etcd | ratio | reach |");
    println!("| --- | --- | --- | --- | --- |");
    for row in rows(options).iter().filter(|row| options.wants(&row.name)) {
        show(row, options.rounds, &contestants)?;
    }
    if options.wants("idle") {
        idle(&contestants)?;
    }
    if options.wants("memory") {
        drop((spinney, etcd));
        memory(options.keys, scratch)?;
    }
    let _ = std::fs::remove_dir_all(scratch);
    Ok(())
}

fn rows(options: &Options) -> Vec<Row> {
    let slice = options.slice;
    let mut rows = Vec::new();
    for connections in [1, 16, 64] {
        rows.push(Row {
            name: format!("get, {connections} connections"),
            unit: "/s",
            promise: Promise::AtLeast(1.5),
            turn: Box::new(move |contestant| {
                load::rate(contestant.address, connections, slice, |client, n| {
                    request("GET", &key(client * 37 + n), "")
                })
            }),
        });
    }
    for (connections, ratio) in [(1, 1.5), (16, 1.5), (64, 2.0)] {
        rows.push(Row {
            name: format!("durable put, {connections} connections"),
            unit: "/s",
            promise: Promise::AtLeast(ratio),
            turn: Box::new(move |contestant| {
                load::rate(contestant.address, connections, slice, |client, n| {
                    request("PUT", &key(client * 37 + n), "value=a+value+of+some+thirty+bytes+or+so")
                })
            }),
        });
    }
    rows.push(Row {
        name: format!("{WAITING} clients wait for one key: the last is told"),
        unit: " ms",
        promise: Promise::AtMost(0.5),
        turn: Box::new(told),
    });
    rows
}

fn show(row: &Row, rounds: usize, contestants: &[&Contestant]) -> Result<()> {
    let mut measured = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        for place in 0..contestants.len() {
            let turn = (round + place) % contestants.len();
            measured[turn].push((row.turn)(contestants[turn])?);
        }
    }
    let unit = row.unit;
    let [ours, theirs] = [0, 1].map(|place| measured.get(place).cloned().unwrap_or_default());
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let (ours, theirs) = (median(ours), median(theirs));
    print_row(
        &row.name,
        &format!("{ours:.1}{unit}"),
        &format!("{theirs:.1}{unit}"),
        median(ratios),
        row.promise,
    );
    Ok(())
}

fn print_row(name: &str, ours: &str, theirs: &str, ratio: f64, promise: Promise) {
    let (reach, is_met) = match promise {
        Promise::AtLeast(least) => (format!(">= {least}"), ratio >= least),
        Promise::AtMost(most) => (format!("<= {most}"), ratio <= most),
    };
    let verdict = match is_met {
        _ if ratio.is_nan() => "",
        true => ", met",
        false => ", MISSED",
    };
    println!("| {name} | {ours} | {theirs} | {ratio:.2} | {reach}{verdict} |");
}

/// How long it takes until the last of many clients that wait for one key is told, in milliseconds.
fn told(contestant: &Contestant) -> Result<f64> {
    let address = contestant.address;
    let wait = request("GET", "/v2/keys/awaited?wait=true", "");
    let mut waiting = (0..WAITING).map(|_| Connection::new(address)).collect::<Result<Vec<_>>>()?;
    for connection in &mut waiting {
        connection.send(&wait)?;
        // The head comes when the watch is there.
        connection.read_until(b"\r\n\r\n", 0)?;
    }
    let mut writer = Connection::new(address)?;
    let put = request("PUT", "/v2/keys/awaited", "value=now");
    let started = Instant::now();
    let writing = std::thread::spawn(move || writer.call(&put));
    let told: Duration = {
        for connection in &mut waiting {
            connection.answer()?;
        }
        started.elapsed()
    };
    writing.join().map_err(|_| "the writer panicked")??;
    Ok(told.as_secs_f64() * 1000.0)
}

/// What very many clients take that wait and are told nothing, and whether one event still reaches those concerned.
fn idle(contestants: &[&Contestant]) -> Result<()> {
    const CLIENTS: usize = 10_000;
    const KEYS: usize = 100;
    for contestant in contestants {
        let before = contestant.resident_bytes()?;
        let mut waiting = Vec::new();
        for n in 0..CLIENTS {
            let mut connection = Connection::small(contestant.address)?;
            connection.send(&request("GET", &format!("/v2/keys/idle/{}?wait=true", n % KEYS), ""))?;
            connection.read_until(b"\r\n\r\n", 0)?;
            waiting.push(connection);
        }
        let each = (contestant.resident_bytes()? - before) / CLIENTS as f64 / 1024.0;
        let threads = contestant.threads()?;
        Connection::new(contestant.address)?.call(&request("PUT", "/v2/keys/idle/7", "value=now"))?;
        for connection in waiting.iter_mut().skip(7).step_by(KEYS) {
            connection.answer()?;
        }
        println!(
            "({}: {CLIENTS} clients wait: {each:.1} KiB each, {threads} threads; those concerned were told)",
            contestant.name
        );
    }
    Ok(())
}

/// What many keys take in memory, each server fresh.
fn memory(keys: usize, scratch: &Path) -> Result<()> {
    let megabytes = |contestant: &Contestant| -> Result<f64> {
        fill(contestant, keys)?;
        Ok(contestant.resident_bytes()? / f64::from(1 << 20))
    };
    let spinney = Contestant::spinney(&scratch.join("spinney-memory"))?;
    let ours = megabytes(&spinney)?;
    println!("(spinney has {} threads)", spinney.threads()?);
    drop(spinney);
    let theirs = match Contestant::etcd(&scratch.join("etcd-memory"))? {
        Some(etcd) => megabytes(&etcd)?,
        None => f64::NAN,
    };
    let name = format!("resident memory with {keys} keys");
    print_row(
        &name,
        &format!("{ours:.0} MiB"),
        &format!("{theirs:.0} MiB"),
        ours / theirs,
        Promise::AtMost(0.35),
    );
    Ok(())
}

/// Writes so many keys.
fn fill(contestant: &Contestant, keys: usize) -> Result<()> {
    const CLIENTS: usize = 64;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || -> Result<()> {
                    let mut connection = Connection::new(contestant.address)?;
                    for n in (client..keys).step_by(CLIENTS) {
                        connection.call(&request(
                            "PUT",
                            &name(n),
                            "value=a+value+of+some+thirty+bytes+or+so",
                        ))?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client panicked")?)
    })
}

fn key(n: usize) -> String {
    name(n % KEYS)
}

fn name(n: usize) -> String {
    format!("/v2/keys/bench/{:03}/{n:07}", n % 1000)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
