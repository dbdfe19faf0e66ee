//! The rows about members that are processes, beside three etcd where it is installed.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use crate::processes::{Kind, Trio};
use crate::shared::load::{self, fill, put};
use crate::shared::servers::Contestant;
use crate::table::{Reach, Row, Table, Unit};
use crate::turns::{Series, Turn, in_turns};
use crate::{Options, Result};

/// How many keys the rows about speed write.
const KEYS: usize = 1_000;

/// With how many connections, and how many times what etcd does.
const PUTS: [(usize, f64); 3] = [(1, 2.0), (16, 3.0), (64, 3.0)];

const KILLED: &str = "a leader is killed: until the next write";
const FROZEN: &str = "a leader is frozen: until the next write";

pub(crate) fn measure(options: &Options, scratch: &Path, table: &mut Table) -> Result<()> {
    let puts = PUTS.map(|(connections, times)| (connections, times, put_row(connections)));
    let names = puts.iter().map(|(_, _, name)| name.as_str()).chain([KILLED, FROZEN]);
    if names.into_iter().any(|name| options.wants(name)) {
        let contestants = Contestants::start(scratch)?;
        for (connections, times, name) in puts.into_iter().filter(|(_, _, name)| options.wants(name)) {
            table.add(contestants.puts(options, connections, times, name)?);
        }
        if options.wants(KILLED) {
            let rows = contestants.ends(options, KILLED, (150.0, Some(700.0)), Trio::kill_leader)?;
            rows.into_iter().for_each(|row| table.add(row));
        }
        if options.wants(FROZEN) {
            let rows = contestants.ends(options, FROZEN, (800.0, None), Trio::freeze_leader)?;
            rows.into_iter().for_each(|row| table.add(row));
        }
    }
    let name = format!("memory of a member, {} keys; a store alone", options.keys);
    if options.wants(&name) {
        table.add(memory(options.keys, name, scratch)?);
    }
    Ok(())
}

fn put_row(connections: usize) -> String {
    format!("HTTP PUT to three processes, {connections} connections; three etcd")
}

struct Contestants {
    spinney: RefCell<Trio>,
    etcd: Option<RefCell<Trio>>,
}

impl Contestants {
    fn start(scratch: &Path) -> Result<Self> {
        let spinney = Trio::start(Kind::Spinney, scratch)?.ok_or("no spinney")?;
        let etcd = Trio::start(Kind::Etcd, scratch)?;
        if etcd.is_none() {
            eprintln!("etcd is not installed: nothing is compared with it");
        }
        for trio in [Some(&spinney), etcd.as_ref()].into_iter().flatten() {
            fill(trio.addresses()[0], KEYS)?;
        }
        Ok(Self { spinney: RefCell::new(spinney), etcd: etcd.map(RefCell::new) })
    }

    /// What both measure, in turns.
    fn in_turns(
        &self,
        rounds: usize,
        turn: impl Fn(&mut Trio) -> Result<f64>,
    ) -> Result<(Series, Option<Series>)> {
        let turn = |trio: &RefCell<Trio>| Ok([turn(&mut trio.borrow_mut())?]);
        let spinney: Turn<'_, 1> = Box::new(|| turn(&self.spinney));
        let Some(etcd) = &self.etcd else {
            let [[spinney]] = in_turns(rounds, [spinney])?;
            return Ok((spinney, None));
        };
        let [[spinney], [etcd]] = in_turns(rounds, [spinney, Box::new(|| turn(etcd))])?;
        Ok((spinney, Some(etcd)))
    }

    fn puts(&self, options: &Options, connections: usize, times: f64, what: String) -> Result<Row> {
        let requests: Vec<Vec<u8>> = (0..KEYS).map(put).collect();
        // A slice is long enough for the slowest to have a few hundred answers.
        let slice = options.slice.max(Duration::from_millis(500));
        let (spinney, limit) = self
            .in_turns(options.rounds, |trio| load::rate(&trio.addresses(), connections, slice, &requests))?;
        Ok(Row { what, unit: Unit::PerSecond, spinney, limit, reach: Reach::TimesAtLeast(times) })
    }

    /// What follows on the end of leaders: the median, and the worst.
    fn ends(
        &self,
        options: &Options,
        what: &str,
        (median, worst): (f64, Option<f64>),
        end: impl Fn(&mut Trio) -> Result<f64>,
    ) -> Result<[Row; 2]> {
        let (spinney, limit) = self.in_turns(options.ends, end)?;
        let (unit, reach) = (Unit::Milliseconds, worst.map_or(Reach::ToCompare, Reach::AtMost));
        let highest = Row {
            what: format!("the same, the worst of {}", options.ends),
            unit,
            spinney: spinney.worst(),
            limit: limit.as_ref().map(Series::worst),
            reach,
        };
        Ok([
            Row { what: format!("{what}; etcd"), unit, spinney, limit, reach: Reach::AtMost(median) },
            highest,
        ])
    }
}

/// What a member has with so many keys, beside a store alone, both served over HTTP.
fn memory(keys: usize, what: String, scratch: &Path) -> Result<Row> {
    let directory = scratch.join("memory");
    let member = || {
        let trio = Trio::start(Kind::Spinney, &directory)?.ok_or("no spinney")?;
        fill(trio.addresses()[0], keys)?;
        (0..3).try_for_each(|member| trio.wait_until_whole(member))?;
        Ok([trio.own_bytes()?])
    };
    let alone = || {
        let alone = Contestant::spinney(&directory.join("alone"))?;
        fill(alone.address, keys)?;
        Ok([alone.own_bytes()?])
    };
    let [[spinney], [limit]] = in_turns(1, [Box::new(member), Box::new(alone)])?;
    Ok(Row { what, unit: Unit::Bytes, spinney, limit: Some(limit), reach: Reach::TimesAtMost(1.2) })
}
