//! What happened, in a line each.

use std::fmt;

use spinney::internals::entry::{Config, Entry, EntryId, Payload, Session, Testimony};
use spinney::internals::raft::{AppendOutcome, Change, Envelope, Granted, Message, Request, Role};
use spinney::internals::session::Admission;
use spinney::{MemberId, Term};

use super::{Cluster, Event};

impl Cluster {
    /// What each member knows, in a line each.
    pub(crate) fn status(&self) -> String {
        let mut out = String::new();
        for (member, machine) in &self.members {
            let Some(raft) = &machine.raft else {
                out += &format!("m{member} is down\n");
                continue;
            };
            let role = match (raft.is_stopped(), raft.is_in_doubt()) {
                (true, _) => "stopped",
                (_, true) => "in doubt",
                _ => role_name(raft.role()),
            };
            let leader = raft.leader().map_or("nobody".to_owned(), |leader| format!("m{leader}"));
            out += &format!(
                "m{member} {role} of term {}, follows {leader}; last {} durable {} committed {} applied {}; {}\n",
                raft.hard_state().term,
                id(raft.last()),
                raft.durable(),
                raft.committed(),
                raft.applied().index,
                shown_config(raft.config()),
            );
        }
        out
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(member, role, term) => write!(f, "m{member} {} of term {term}", role_name(*role)),
            Self::Sent(envelope) => f.write_str(&letter(envelope)),
            Self::Lost(envelope) => write!(f, "{}  (lost)", letter(envelope)),
            Self::Wrote(member, write) => {
                write!(f, "m{member} writes")?;
                if let Some(hard) = write.hard_state {
                    let vote = hard.vote.map_or("nobody".to_owned(), |vote| format!("m{vote}"));
                    write!(f, " term={} vote={vote}", hard.term)?;
                    if hard.floor != Testimony::default() {
                        write!(f, " floor=t{},{}", hard.floor.term, id(hard.floor.last))?;
                    }
                }
                if let Some(from) = write.truncate_from {
                    write!(f, " truncate={from}")?;
                }
                f.write_str(&listed(&write.entries))?;
                write.snapshot.map_or(Ok(()), |mark| write!(f, " snapshot={}", id(mark)))
            }
            Self::Synced(member, sequence) => write!(f, "m{member} synced #{sequence}"),
            Self::Applied(member, entry, admission) => {
                write!(f, "m{member} applies {}", shown(entry))?;
                match admission {
                    Admission::Fresh => Ok(()),
                    Admission::Duplicate => f.write_str("  (again: skipped)"),
                    Admission::Refused => f.write_str("  (refused: skipped)"),
                }
            }
            Self::Refused(member, count, reason) => {
                write!(f, "m{member} refuses {count} proposals: {reason:?}")
            }
            Self::Ready(member, token, applied) => {
                write!(f, "m{member} read {token} may see up to {applied}")
            }
            Self::ReadRefused(member, token, reason) => {
                write!(f, "m{member} refuses read {token}: {reason:?}")
            }
            Self::Answered(member, token, result) => match result {
                Ok(Granted::Change { entry, added: None }) => {
                    write!(f, "m{member} answers {token}: a change, {}", id(*entry))
                }
                Ok(Granted::Change { entry, added: Some(added) }) => {
                    write!(f, "m{member} answers {token}: a change, {}, adds m{added}", id(*entry))
                }
                Ok(Granted::Transfer { to }) => write!(f, "m{member} answers {token}: hands over to m{to}"),
                Err(denied) => write!(f, "m{member} answers {token}: {denied}"),
            },
            Self::Installed(member, snapshot) => write!(f, "m{member} installs snapshot {}", id(*snapshot)),
            Self::Stopped(member, stop) => write!(f, "m{member} stops: {stop:?}"),
            Self::Fault(member, peer, what) => write!(f, "m{member} finds fault with m{peer}: {what}"),
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "LEADER",
    }
}

/// An entry's name: index@term.
fn id(id: EntryId) -> String {
    format!("{}@{}", id.index, id.term)
}

fn shown(entry: &Entry) -> String {
    let what = match &entry.payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Config(config) => shown_config(config),
        Payload::Command(text) => {
            let text = String::from_utf8_lossy(text);
            if text.len() > 24 { format!("{} bytes", text.len()) } else { text.into_owned() }
        }
    };
    let session = entry
        .session
        .map_or(String::new(), |Session { member, sequence, .. }| format!(" (m{member} #{sequence})"));
    format!("{} {what}{session}", id(entry.id))
}

fn shown_config(config: &Config) -> String {
    let list = |members: &std::collections::BTreeSet<MemberId>| {
        members.iter().map(|member| format!("m{member}")).collect::<Vec<_>>().join(" ")
    };
    let mut out = format!("voters {}", list(&config.voters));
    if !config.outgoing.is_empty() {
        out += &format!(", outgoing {}", list(&config.outgoing));
    }
    if !config.learners.is_empty() {
        out += &format!(", learners {}", list(&config.learners));
    }
    out
}

fn listed(entries: &[Entry]) -> String {
    match entries {
        [] => String::new(),
        [one] => format!(" entries={}", id(one.id)),
        [first, .., last] => format!(" entries={}..{}", id(first.id), id(last.id)),
    }
}

fn letter(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message } = envelope;
    format!("m{from} → m{to} {}", said(message, *term))
}

fn yes_or_no(granted: bool) -> &'static str {
    if granted { "yes" } else { "no" }
}

fn said(message: &Message, term: Term) -> String {
    match message {
        Message::PreVote { term, last } => format!("pre-vote? term={term} last={}", id(*last)),
        Message::PreVoteAnswer { term: asked, granted } => {
            format!("pre-vote {} term={asked} (in term {term})", yes_or_no(*granted))
        }
        Message::Vote { last, is_transfer, .. } => {
            let transfer = if *is_transfer { " transfer" } else { "" };
            format!("vote? term={term} last={}{transfer}", id(*last))
        }
        Message::VoteAnswer { granted, .. } => format!("vote {} term={term}", yes_or_no(*granted)),
        Message::Append { prev, entries, committed, .. } => {
            let name = if entries.is_empty() { "heartbeat" } else { "append" };
            format!("{name} prev={}{} commit={committed} term={term}", id(*prev), listed(entries))
        }
        Message::AppendAnswer { outcome: AppendOutcome::Matched(index), .. } => {
            format!("matched {index} term={term}")
        }
        Message::AppendAnswer { outcome: AppendOutcome::Missing { prev, hint }, .. } => {
            format!("missing {prev} hint={} term={term}", id(*hint))
        }
        Message::Forward { first, settled, commands, .. } => {
            format!("forward #{first}..#{} settled=#{settled}", first + commands.len() as u64 - 1)
        }
        Message::ForwardAnswer { next, .. } => {
            format!("forward again from {}", next.map_or("the start".to_owned(), |next| format!("#{next}")))
        }
        Message::ReadIndex { number, .. } => format!("read-index? {number}"),
        Message::ReadIndexAnswer { number, index, .. } => format!("read-index {number} is {index}"),
        Message::SnapshotOffer { snapshot } => format!("snapshot {}?", id(*snapshot)),
        Message::SnapshotRequest { snapshot, offset } => {
            format!("snapshot {} from byte {offset}", id(*snapshot))
        }
        Message::SnapshotChunk { snapshot, offset, bytes, is_last } => {
            let last = if *is_last { ", the last" } else { "" };
            format!("snapshot {} byte {offset}, {} bytes{last}", id(*snapshot), bytes.len())
        }
        Message::TimeoutNow { last } => format!("stand now! last={}", id(*last)),
        Message::Ask { token, request } => format!("ask {token} {}", asked(request)),
        Message::Answer { token, result } => match result {
            Ok(_) => format!("answer {token} granted"),
            Err(denied) => format!("answer {token} {denied:?}"),
        },
        Message::Committed { upto } => format!("committed {} term={term}", id(*upto)),
        Message::Removed { committed } => format!("you are removed, as of {committed}"),
    }
}

fn asked(request: &Request) -> String {
    let change = |change: &Change| match change {
        Change::Add(contact) => format!("add {}", contact.name),
        Change::Promote(member) => format!("promote m{member}"),
        Change::Demote(member) => format!("demote m{member}"),
        Change::Remove(member) => format!("remove m{member}"),
        Change::Update(member, _) => format!("update m{member}"),
    };
    match request {
        Request::Change { changes, .. } => changes.iter().map(change).collect::<Vec<_>>().join(", "),
        Request::Transfer(None) => "transfer".to_owned(),
        Request::Transfer(Some(to)) => format!("transfer to m{to}"),
    }
}
