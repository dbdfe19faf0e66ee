//! What is said at joining, before there is a session: the words, and their version.
//!
//! Each is one frame ([`crate::net`]) with the encoding of one [`JoinAsk`], or of one [`JoinAnswer`]. Whoever does not know the version that
//! is asked in refuses in words that every version understands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entry::{Contact, Testimony};
use crate::types::{ClusterId, MemberId};

/// The version of what is said here.
pub const VERSION: u16 = 4;

/// Where members are called.
pub type Addresses = BTreeMap<MemberId, Vec<String>>;

/// What somebody says who is no member yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAsk {
    /// In which words.
    pub version: u16,
    /// What it wants.
    pub question: Question,
}

/// What it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// To become a member, who is called and reached like this.
    LetMeIn(Contact),
    /// To know whether it has been this member before, from that one and nobody else.
    HaveIBeen {
        /// Of which cluster.
        cluster: ClusterId,
        /// Who it would be.
        me: MemberId,
        /// Who is meant.
        you: MemberId,
    },
}

/// What a member says to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// You are a member.
    Welcome {
        /// Of which cluster.
        cluster: ClusterId,
        /// Under which id.
        member: MemberId,
    },
    /// You are not, and why.
    Refused(String),
    /// You have been this member before, or the cluster has gone on to other members: you may come as a new one.
    Known,
    /// Not that this member knew.
    Unknown {
        /// How far it is itself.
        testimony: Testimony,
        /// Where it calls the others.
        addresses: Addresses,
    },
    /// This member is another one than you mean, or of another cluster.
    Stranger,
}

impl JoinAsk {
    /// It, in the words of this version.
    #[must_use]
    pub fn new(question: Question) -> Self {
        Self { version: VERSION, question }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::entry::EntryId;
    use crate::types::{LogIndex, Term};

    #[test]
    fn golden_bytes() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let contact = Contact {
            name: "n4".to_owned(),
            peer_addresses: vec!["h:7".to_owned()],
            client_addresses: vec!["c".to_owned()],
        };
        let ask = |question| hex(codec::encode(&JoinAsk::new(question)));
        assert_eq!(ask(Question::LetMeIn(contact)), "0400026e340103683a37010163");
        let (cluster, member) = (ClusterId::new(7), MemberId::new(2));
        assert_eq!(ask(Question::HaveIBeen { cluster, me: MemberId::new(1), you: member }), "0401070102");
        let answer = |answer: JoinAnswer| hex(codec::encode(&answer));
        assert_eq!(answer(JoinAnswer::Welcome { cluster, member }), "000702");
        assert_eq!(answer(JoinAnswer::Refused("no".to_owned())), "01026e6f");
        assert_eq!(answer(JoinAnswer::Known), "02");
        let last = EntryId { term: Term::new(3), index: LogIndex::new(9) };
        let testimony = Testimony { term: Term::new(4), last };
        let addresses = [(member, vec!["h:7".to_owned()])].into();
        assert_eq!(answer(JoinAnswer::Unknown { testimony, addresses }), "0304030901020103683a37");
        assert_eq!(answer(JoinAnswer::Stranger), "04");
    }
}
