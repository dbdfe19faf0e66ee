//! One member: a thread that takes what waits, steps the core with all of it, and carries out what the core is ready for.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use protobuf::Message as _;
use raft::eraftpb::{Entry, HardState, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use super::inbox::{Caller, Inbox, Proposal, Waiting};
use super::wire;
use crate::Result;
use crate::raw_log::RawLog;

const TICK: Duration = Duration::from_millis(10);

/// How many applied entries stay in memory for members that are behind.
const KEPT_ENTRIES: u64 = 50_000;

/// What a member has applied.
pub(super) type Map = HashMap<String, Vec<u8>>;

/// What others may know of a member while it runs.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) inbox: Inbox,
    pub(super) is_leader: AtomicBool,
    pub(super) applied: AtomicU64,
}

pub(super) struct Member {
    shared: Arc<Shared>,
    node: RawNode<MemStorage>,
    log: RawLog,
    /// What goes into the log with the next write.
    record: Vec<u8>,
    peers: Vec<Peer>,
    /// What was proposed here and is not applied yet, in the order of its indices.
    pending: VecDeque<Pending>,
    map: Map,
}

struct Peer {
    id: u64,
    stream: TcpStream,
    outgoing: Vec<u8>,
}

struct Pending {
    index: u64,
    term: u64,
    caller: Arc<Caller>,
}

/// What is proposed: `length of the key u16 little-endian │ key │ value`.
pub(super) fn encode(key: &str, value: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(2 + key.len() + value.len());
    data.extend_from_slice(&(key.len() as u16).to_le_bytes());
    data.extend_from_slice(key.as_bytes());
    data.extend_from_slice(value);
    data
}

fn decode(data: &[u8]) -> Result<(String, Vec<u8>)> {
    let (length, rest) = data.split_first_chunk().ok_or("an entry without a length")?;
    let (key, value) =
        rest.split_at_checked(u16::from_le_bytes(*length) as usize).ok_or("an entry without a key")?;
    Ok((String::from_utf8(key.to_vec())?, value.to_vec()))
}

impl Member {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: u64,
        members: &[u64],
        log: RawLog,
        peers: Vec<(u64, TcpStream)>,
    ) -> Result<Self> {
        let config = Config {
            id,
            election_tick: 30,
            heartbeat_tick: 5,
            max_size_per_msg: 1 << 20,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state((members.to_vec(), Vec::new()));
        let node = RawNode::new(&config, storage, &slog::Logger::root(slog::Discard, slog::o!()))?;
        let peer = |(id, stream)| Peer { id, stream, outgoing: Vec::new() };
        Ok(Self {
            shared,
            node,
            log,
            record: Vec::new(),
            peers: peers.into_iter().map(peer).collect(),
            pending: VecDeque::new(),
            map: Map::new(),
        })
    }

    /// Stands for election at once, instead of after a while.
    pub(super) fn campaign(&mut self) -> Result<()> {
        Ok(self.node.campaign()?)
    }

    /// Runs until the inbox is closed, and returns what was applied.
    pub(super) fn run(mut self) -> Result<Map> {
        let outcome = self.turn_until_closed();
        // Nobody waits for a member that is gone.
        self.shared.inbox.close();
        self.fail_pending();
        let mut left = Waiting::default();
        self.shared.inbox.take(Instant::now(), &mut left);
        left.proposals.iter().for_each(|proposal| proposal.caller.answer(false));
        for peer in &self.peers {
            let _ = peer.stream.shutdown(std::net::Shutdown::Both);
        }
        outcome.map(|()| self.map)
    }

    fn turn_until_closed(&mut self) -> Result<()> {
        let mut waiting = Waiting::default();
        let mut next_tick = Instant::now() + TICK;
        loop {
            for message in waiting.messages.drain(..) {
                self.node.step(message)?;
            }
            let now = Instant::now();
            if now >= next_tick {
                self.node.tick();
                next_tick = now + TICK;
            }
            self.propose(&mut waiting.proposals)?;
            while self.node.has_ready() {
                self.carry_out()?;
            }
            self.shared.inbox.take(next_tick, &mut waiting);
            if waiting.is_closed {
                waiting.proposals.iter().for_each(|proposal| proposal.caller.answer(false));
                return Ok(());
            }
        }
    }

    /// Proposes all at once: each is an entry of its own, and they go out in one message a peer.
    fn propose(&mut self, proposals: &mut Vec<Proposal>) -> Result<()> {
        if proposals.is_empty() {
            return Ok(());
        }
        if self.node.raft.state != StateRole::Leader {
            proposals.drain(..).for_each(|proposal| proposal.caller.answer(false));
            return Ok(());
        }
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.node.raft.id;
        let (term, next) = (self.node.raft.term, self.node.raft.raft_log.last_index() + 1);
        let mut entries = Vec::with_capacity(proposals.len());
        for (index, Proposal { data, caller }) in (next..).zip(proposals.drain(..)) {
            entries.push(Entry { data: data.into(), ..Entry::default() });
            self.pending.push_back(Pending { index, term, caller });
        }
        message.set_entries(entries.into());
        Ok(self.node.step(message)?)
    }

    fn carry_out(&mut self) -> Result<()> {
        let mut ready = self.node.ready();
        if !ready.snapshot().is_empty() {
            return Err("a member fell behind what is kept".into());
        }
        if let Some(soft) = ready.ss() {
            self.shared.is_leader.store(soft.raft_state == StateRole::Leader, Ordering::Release);
            if soft.raft_state != StateRole::Leader {
                self.fail_pending();
            }
        }
        // A leader's go out before it writes, so that all write at the same time.
        self.send(&ready.take_messages())?;
        self.apply(ready.take_committed_entries())?;
        self.persist(ready.entries(), ready.hs(), ready.must_sync())?;
        self.send(&ready.take_persisted_messages())?;
        let mut light = self.node.advance_append(ready);
        if let Some(commit) = light.commit_index() {
            self.node.mut_store().wl().mut_hard_state().commit = commit;
        }
        self.send(&light.take_messages())?;
        self.apply(light.take_committed_entries())?;
        self.node.advance_apply();
        self.compact()
    }

    /// One write and one sync for all entries. A commit index alone may get lost: it goes along with the next write.
    fn persist(&mut self, entries: &[Entry], state: Option<&HardState>, must_sync: bool) -> Result<()> {
        if let Some(state) = state {
            state.write_length_delimited_to_vec(&mut self.record)?;
        }
        for entry in entries {
            entry.write_length_delimited_to_vec(&mut self.record)?;
        }
        if must_sync {
            self.log.write(&self.record)?;
            self.log.sync()?;
            self.record.clear();
        }
        let mut storage = self.node.mut_store().wl();
        storage.append(entries)?;
        if let Some(state) = state {
            storage.set_hardstate(state.clone());
        }
        Ok(())
    }

    /// One write a peer for all messages to it.
    fn send(&mut self, messages: &[Message]) -> Result<()> {
        for message in messages {
            let peer = self.peers.iter_mut().find(|peer| peer.id == message.to);
            wire::encode(message, &mut peer.ok_or("a message to nobody")?.outgoing)?;
        }
        for Peer { stream, outgoing, .. } in &mut self.peers {
            if !outgoing.is_empty() {
                // Whoever has hung up is closing, or will be missed by the others.
                let _ = stream.write_all(outgoing);
                outgoing.clear();
            }
        }
        Ok(())
    }

    fn apply(&mut self, entries: Vec<Entry>) -> Result<()> {
        let Some(last) = entries.last().map(|entry| entry.index) else { return Ok(()) };
        for entry in &entries {
            // A leader's first entry says nothing.
            if !entry.data.is_empty() {
                let (key, value) = decode(&entry.data)?;
                self.map.insert(key, value);
            }
            while self.pending.front().is_some_and(|pending| pending.index <= entry.index) {
                let Some(pending) = self.pending.pop_front() else { break };
                pending.caller.answer((pending.index, pending.term) == (entry.index, entry.term));
            }
        }
        self.shared.applied.store(last, Ordering::Release);
        Ok(())
    }

    fn fail_pending(&mut self) {
        self.pending.drain(..).for_each(|pending| pending.caller.answer(false));
    }

    /// Drops from memory what every member has, as far as a leader knows.
    fn compact(&mut self) -> Result<()> {
        let raft = &self.node.raft;
        let applied = self.shared.applied.load(Ordering::Relaxed);
        if applied < raft.raft_log.first_index() + 2 * KEPT_ENTRIES {
            return Ok(());
        }
        let matched = raft.prs().iter().map(|(_, progress)| progress.matched).min();
        let everywhere = matched.filter(|_| raft.state == StateRole::Leader).unwrap_or(applied);
        let end = everywhere.min(applied - KEPT_ENTRIES);
        Ok(self.node.mut_store().wl().compact(end)?)
    }
}
