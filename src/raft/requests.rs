//! What only a leader can do, asked of any member: passed on to the leader, and answered once.
//!
//! Unlike proposals these are not repeated: who asks for a change and gets no answer looks at who the members are.

use std::collections::BTreeMap;

use super::{Denied, Granted, Message, Output, Raft, Request, State};
use crate::types::{MemberId, Term, Timestamp};

/// What the leader was asked for by this member, by token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Requests(BTreeMap<u64, Asked>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    leader: MemberId,
    term: Term,
    age: u32,
}

/// So many requests may wait for the leader's answer.
const REQUESTS_MAX: usize = 1024;

impl Requests {
    pub(super) fn tick(&mut self) {
        for asked in self.0.values_mut() {
            asked.age = asked.age.saturating_add(1);
        }
    }
}

impl Raft {
    /// A caller of this member asks.
    pub(super) fn ask(&mut self, now: Timestamp, token: u64, request: Request, outputs: &mut Vec<Output>) {
        let term = self.hard_state.term;
        match (&self.state, self.leader) {
            (State::Leader(_), _) => {
                let result = self.carry_out(now, request, outputs);
                outputs.push(Output::Answer { token, result });
            }
            (_, Some(leader)) if !self.is_stopped && self.requests.0.len() < REQUESTS_MAX => {
                self.requests.0.insert(token, Asked { leader, term, age: 0 });
                self.pen().send(leader, Message::Ask { token, request }, outputs);
            }
            _ => outputs.push(Output::Answer { token, result: Err(Denied::NoLeader) }),
        }
    }

    /// Another member asks for its caller.
    pub(super) fn ask_for(
        &mut self,
        now: Timestamp,
        from: MemberId,
        token: u64,
        request: Request,
        outputs: &mut Vec<Output>,
    ) {
        let is_member = self.configs.current().contains(from);
        let is_leader = matches!(self.state, State::Leader(_));
        let result = if is_leader && is_member {
            self.carry_out(now, request, outputs)
        } else {
            Err(Denied::NoLeader)
        };
        self.pen().send(from, Message::Answer { token, result }, outputs);
    }

    /// The leader has answered.
    pub(super) fn answered(
        &mut self,
        from: MemberId,
        token: u64,
        result: Result<Granted, Denied>,
        outputs: &mut Vec<Output>,
    ) {
        if self.requests.0.get(&token).is_some_and(|asked| asked.leader == from) {
            self.requests.0.remove(&token);
            outputs.push(Output::Answer { token, result });
        }
    }

    /// Gives up on requests whose leader has gone, or has not answered for long.
    pub(super) fn give_up_requests(&mut self, outputs: &mut Vec<Output>) {
        if self.requests.0.is_empty() {
            return;
        }
        let (term, patience) = (self.hard_state.term, self.settings.election_ticks_max);
        let leader = self.leader;
        self.requests.0.retain(|&token, asked| {
            let is_open = asked.term == term && leader == Some(asked.leader) && asked.age <= patience;
            if !is_open {
                outputs.push(Output::Answer { token, result: Err(Denied::Unanswered) });
            }
            is_open
        });
    }

    fn carry_out(
        &mut self,
        now: Timestamp,
        request: Request,
        outputs: &mut Vec<Output>,
    ) -> Result<Granted, Denied> {
        match request {
            Request::Change { changes, expected } => self.change(now, &changes, expected, outputs),
            Request::Transfer(to) => self.start_transfer(to, outputs).map(|to| Granted::Transfer { to }),
        }
    }
}
