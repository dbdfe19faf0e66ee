//! The commands of the scripts about Raft. Members are called 1, 2, 3; entries index@term.
//!
//! The scripts are in groups: `a` elections, `b` replication, `c` disks, `d` snapshots, `e` members and
//! transfers, `f` reads and proposals, `g` time.
//!
//! ```text
//!   cluster N             members 1 to N, founded together; heartbeat=5 election=30 inflight=8 message=BYTES cache=BYTES
//!                         uncommitted=BYTES chunk=BYTES lease=PERCENT: the settings
//!   show messages|changes|all   what is told from here on: with `changes` (the default) neither messages nor writes
//!   elect M               member M stands, and everything is delivered
//!   stand M               member M stands
//!   propose M TEXT…       callers of M propose, together
//!   read M TOKEN          a caller of M wants to read what is newest
//!   add M NAME, promote M WHO…, demote M WHO…, remove M WHO…    a caller of M asks for a change; expect=INDEX
//!   replace M NEW OLD     promote NEW and remove OLD, in one change
//!   transfer M [WHO]      a caller of M asks to hand over
//!   tick M… [for=N]       N ticks pass for these members, or for all
//!   run N                 N times, a tick for everybody and all that follows
//!   timeout M             ticks pass for M until it stands
//!   settle                everything is delivered, and what follows from it
//!   deliver [to=M] [from=M] [count=N]     the oldest messages are delivered, or with newest=true the newest one
//!   drop [to=M] [from=M], duplicate       messages are lost, doubled
//!   cut A B, heal         nothing comes through between A and B (one_way=true: from A to B); everything does
//!   disconnect A B        the connection between A and B is closed, and both notice
//!   connect A B           it stands again, and both know
//!   slow M, sync M, quick M    M writes, but syncs when told to; all at once, or the oldest count=N; as it writes
//!   fail M                the disk of M fails
//!   crash M [kept=N], start M   M goes down; of what was not synced N write-sets are there
//!   forget M              M goes down and its disk is put back as it was when it was founded
//!   lose M                M goes down and its disk is lost; when it is started again, it is in doubt
//!   testify M WHO…        M asks these, together: each tells how far it is, or cannot be reached
//!   clock back=MS         everybody's clock goes back
//!   time M                what an entry would be stamped with
//!   join M                a member that knows nothing comes up
//!   lease PERCENT         whoever is started from here on has leases and allows for this drift
//!   snapshot M [full=true]     M takes a snapshot and cuts its log; with full as far as it may
//!   status                what each member knows
//!   tree M                what member M has applied
//! ```

use std::error::Error;

use goldenscript::ArgumentConsumer;
use spinney::internals::raft::{Change, Input, Lease, Message, Request, Settings};
use spinney::{LogIndex, MemberId, Timestamp};

use crate::cluster::{Cluster, Event, contact};

type Outcome<T = String> = Result<T, Box<dyn Error>>;

/// A cluster, and how much of it is told.
pub(crate) struct Runner {
    cluster: Cluster,
    shows_messages: bool,
    shows_writes: bool,
    token: u64,
}

impl Runner {
    pub(crate) fn new() -> Self {
        Self {
            cluster: Cluster::founded(0, Settings::default()),
            shows_messages: false,
            shows_writes: false,
            token: 0,
        }
    }

    fn told(&self, events: &[Event]) -> String {
        let is_told = |event: &&Event| match event {
            Event::Sent(_) | Event::Lost(_) => self.shows_messages,
            Event::Wrote(..) | Event::Synced(..) => self.shows_writes,
            _ => true,
        };
        events.iter().filter(is_told).map(|event| format!("{event}\n")).collect()
    }

    fn step(&mut self, member: MemberId, input: Input) -> Vec<Event> {
        let mut events = Vec::new();
        self.cluster.step(member, input, &mut events);
        events
    }

    fn change(&mut self, member: MemberId, changes: Vec<Change>, expected: Option<u64>) -> Vec<Event> {
        self.token += 1;
        let request = Request::Change { changes, expected: expected.map(LogIndex::new) };
        self.step(member, Input::Ask { token: self.token, request })
    }

    /// A tick for each of these, a moment later.
    fn tick(&mut self, members: &[MemberId], count: u64, events: &mut Vec<Event>) {
        for _ in 0..count {
            self.cluster.now += 10;
            for &member in members {
                self.cluster.step(member, Input::Tick, events);
            }
        }
    }

    /// Ticks for one member alone, until it does not wait any more.
    fn time_out(&mut self, member: MemberId) -> Outcome<Vec<Event>> {
        let mut events = Vec::new();
        for _ in 0..200 {
            self.tick(&[member], 1, &mut events);
            let asks = |message: &Message| matches!(message, Message::PreVote { .. });
            let stands = |event: &Event| match event {
                Event::Role(..) => true,
                Event::Sent(envelope) | Event::Lost(envelope) => asks(&envelope.message),
                _ => false,
            };
            if events.iter().any(stands) {
                return Ok(events);
            }
        }
        Err(format!("m{member} waits on").into())
    }

    fn tree(&self, member: MemberId) -> String {
        let line = |(index, text): &(LogIndex, std::sync::Arc<[u8]>)| {
            format!("{index} {}\n", String::from_utf8_lossy(text))
        };
        self.cluster.members[&member].tree.iter().map(line).collect()
    }

    /// The places on the wire of the messages that are meant.
    fn places(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Vec<usize>> {
        let mut end = |name| args.take_key(name).map(parse).transpose();
        let (from, to) = (end("from")?, end("to")?);
        let is_meant = |place: &usize| {
            let envelope = &self.cluster.wire[*place];
            from.is_none_or(|from| envelope.from == from) && to.is_none_or(|to| envelope.to == to)
        };
        Ok((0..self.cluster.wire.len()).filter(is_meant).collect())
    }
}

fn lease(percent: u64) -> Lease {
    Lease { tick_ms: 10, drift_percent: percent as u8 }
}

fn settings(args: &mut ArgumentConsumer<'_>) -> Outcome<Settings> {
    let default = Settings::default();
    let election = key(args, "election")?.unwrap_or(30) as u32;
    Ok(Settings {
        heartbeat_ticks: key(args, "heartbeat")?.unwrap_or(5) as u32,
        election_ticks_min: election,
        election_ticks_max: 2 * election,
        inflight_messages: key(args, "inflight")?.unwrap_or(8) as usize,
        message_bytes: key(args, "message")?.unwrap_or(default.message_bytes),
        cache_bytes: key(args, "cache")?.unwrap_or(default.cache_bytes),
        uncommitted_bytes: key(args, "uncommitted")?.unwrap_or(default.uncommitted_bytes),
        chunk_bytes: key(args, "chunk")?.unwrap_or(default.chunk_bytes),
        lease: key(args, "lease")?.map(lease),
        ..default
    })
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &goldenscript::Context) -> Outcome {
        let mut args = command.consume_args();
        let mut events = Vec::new();
        let mut out = String::new();
        match command.name.as_str() {
            "cluster" => {
                let count = number(&mut args)?;
                self.cluster = Cluster::founded(count, settings(&mut args)?);
            }
            "show" => {
                let what = args.next_pos().ok_or("show what?")?;
                self.shows_messages = what != "changes";
                self.shows_writes = what == "all";
            }
            "elect" => {
                events = self.step(member(&mut args)?, Input::Campaign);
                self.cluster.settle(&mut events);
            }
            "stand" => events = self.step(member(&mut args)?, Input::Campaign),
            "propose" => {
                let member = member(&mut args)?;
                let texts = std::iter::from_fn(|| args.next_pos()).map(|text| text.as_bytes().into());
                let commands = texts.collect();
                events = self.step(member, Input::Propose(commands));
            }
            "read" => {
                let (member, token) = (member(&mut args)?, number(&mut args)?);
                events = self.step(member, Input::Read { token });
            }
            "add" => {
                let asked = member(&mut args)?;
                let mut contact = contact(MemberId::new(0));
                contact.name = args.next_pos().ok_or("add whom?")?.to_string();
                contact.peer_addresses = vec![contact.name.clone()];
                let expected = key(&mut args, "expect")?;
                events = self.change(asked, vec![Change::Add(contact)], expected);
            }
            "promote" | "demote" | "remove" => {
                let asked = member(&mut args)?;
                let change = match command.name.as_str() {
                    "promote" => Change::Promote,
                    "demote" => Change::Demote,
                    _ => Change::Remove,
                };
                let mut changes = vec![change(member(&mut args)?)];
                while let Some(who) = args.next_pos() {
                    changes.push(change(parse(who)?));
                }
                let expected = key(&mut args, "expect")?;
                events = self.change(asked, changes, expected);
            }
            "replace" => {
                let (asked, new, old) = (member(&mut args)?, member(&mut args)?, member(&mut args)?);
                events = self.change(asked, vec![Change::Promote(new), Change::Remove(old)], None);
            }
            "transfer" => {
                let asked = member(&mut args)?;
                let to = args.next_pos().map(|arg| parse(arg)).transpose()?;
                self.token += 1;
                let request = Request::Transfer(to);
                events = self.step(asked, Input::Ask { token: self.token, request });
            }
            "tick" => {
                let count = key(&mut args, "for")?.unwrap_or(1);
                let mut members = Vec::new();
                while let Some(arg) = args.next_pos() {
                    members.push(parse(arg)?);
                }
                if members.is_empty() {
                    members.extend(self.cluster.members.keys());
                }
                self.tick(&members, count, &mut events);
            }
            "run" => {
                for _ in 0..number(&mut args)? {
                    let members: Vec<MemberId> = self.cluster.members.keys().copied().collect();
                    self.tick(&members, 1, &mut events);
                    self.cluster.settle(&mut events);
                }
            }
            "timeout" => events = self.time_out(member(&mut args)?)?,
            "settle" => self.cluster.settle(&mut events),
            "deliver" => {
                let mut places = self.places(&mut args)?;
                if args.take_key("newest").is_some() {
                    places = places.split_off(places.len().saturating_sub(1));
                }
                let count = key(&mut args, "count")?.unwrap_or(u64::MAX) as usize;
                for (taken, place) in places.into_iter().take(count).enumerate() {
                    self.cluster.deliver(place - taken, &mut events);
                }
            }
            "drop" => {
                for place in self.places(&mut args)?.into_iter().rev() {
                    self.cluster.wire.remove(place);
                }
            }
            "duplicate" => self.cluster.wire = [&self.cluster.wire[..], &self.cluster.wire[..]].concat(),
            "cut" => {
                let (a, b) = (member(&mut args)?, member(&mut args)?);
                self.cluster.cuts.insert((a, b));
                if args.take_key("one_way").is_none() {
                    self.cluster.cuts.insert((b, a));
                }
            }
            "heal" => self.cluster.cuts.clear(),
            "disconnect" => {
                let (a, b) = (member(&mut args)?, member(&mut args)?);
                self.cluster.step(a, Input::Disconnected(b), &mut events);
                self.cluster.step(b, Input::Disconnected(a), &mut events);
            }
            "connect" => {
                let (a, b) = (member(&mut args)?, member(&mut args)?);
                self.cluster.step(a, Input::Connected(b), &mut events);
                self.cluster.step(b, Input::Connected(a), &mut events);
            }
            "slow" => self.machine(&mut args)?.is_quick = false,
            "quick" => {
                let member = member(&mut args)?;
                self.cluster.find_machine(member).ok_or("nobody")?.is_quick = true;
                self.cluster.sync(member, usize::MAX, &mut events);
            }
            "sync" => {
                let member = member(&mut args)?;
                let count = key(&mut args, "count")?.map_or(usize::MAX, |count| count as usize);
                self.cluster.sync(member, count, &mut events);
            }
            "fail" => events = self.step(member(&mut args)?, Input::PersistFailed),
            "crash" => {
                let member = member(&mut args)?;
                let kept = key(&mut args, "kept")?.unwrap_or(0) as usize;
                self.cluster.crash(member, kept);
            }
            "forget" => {
                let member = member(&mut args)?;
                self.cluster.crash(member, 0);
                self.cluster.find_machine(member).ok_or("nobody")?.disk.forget();
            }
            "lose" => self.cluster.lose_disk(member(&mut args)?),
            "testify" => {
                let (member, mut events) = (member(&mut args)?, Vec::new());
                let mut witnesses = Vec::new();
                while let Some(witness) = args.next_pos() {
                    witnesses.push(parse(witness)?);
                }
                self.cluster.testify(member, &witnesses, &mut events);
                out = self.told(&events);
            }
            "clock" => {
                let back = key(&mut args, "back")?.ok_or("by how much?")?;
                self.cluster.now = self.cluster.now.saturating_sub(back);
            }
            "time" => {
                let member = member(&mut args)?;
                let time = self.cluster.raft(member).log_time(Timestamp::new(self.cluster.now));
                out = format!("{} ms\n", time.get());
            }
            "start" => self.cluster.start(member(&mut args)?),
            "join" => self.cluster.join(member(&mut args)?),
            "lease" => self.cluster.settings.lease = Some(lease(number(&mut args)?)),
            "snapshot" => {
                let member = member(&mut args)?;
                let is_full = args.take_key("full").is_some();
                let upto = self.cluster.snapshot(member, is_full, &mut events);
                out = format!("m{member} lets go of the log up to {upto}\n");
            }
            "status" => out = self.cluster.status(),
            "tree" => out = self.tree(member(&mut args)?),
            name => return Err(format!("no command is called {name}").into()),
        }
        args.reject_next()?;
        Ok(self.told(&events) + &out)
    }
}

impl Runner {
    fn machine(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<&mut crate::cluster::Machine> {
        self.cluster.find_machine(member(args)?).ok_or_else(|| "there is no such member".into())
    }
}

/// A member's number; in hexadecimal, as members are shown.
fn parse(text: &str) -> Outcome<MemberId> {
    Ok(MemberId::new(u64::from_str_radix(text, 16)?))
}

fn member(args: &mut ArgumentConsumer<'_>) -> Outcome<MemberId> {
    parse(args.next_pos().ok_or("which member?")?)
}

fn number(args: &mut ArgumentConsumer<'_>) -> Outcome<u64> {
    Ok(args.next_pos().ok_or("which number?")?.parse()?)
}

fn key(args: &mut ArgumentConsumer<'_>, name: &str) -> Outcome<Option<u64>> {
    Ok(args.take_key(name).map(str::parse).transpose()?)
}
