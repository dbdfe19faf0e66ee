//! What waits to be sent to one peer on one connection.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::Unsent;
use super::frame::Kind;

/// How urgent a message is, and which connection it takes.
///
/// Messages of one class to one peer arrive in the order in which they were sent, as long as the session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Small and soon: heartbeats, votes, answers. Overtakes data that waits.
    Urgent,
    /// The rest.
    Data,
    /// Large and patient: snapshots. On a connection of its own, which opens when needed, and at a limited rate.
    Bulk,
}

impl Class {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Urgent => Kind::Urgent,
            Self::Data => Kind::Data,
            Self::Bulk => Kind::Bulk,
        }
    }

    pub(super) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Urgent => Some(Self::Urgent),
            Kind::Data => Some(Self::Data),
            Kind::Bulk => Some(Self::Bulk),
            Kind::Ping | Kind::JoinRequest | Kind::JoinAnswer => None,
        }
    }
}

/// Bytes of a message.
#[derive(Clone, Debug)]
pub enum Part {
    /// Its own.
    Own(Vec<u8>),
    /// Shared with whoever else has them: sent without being copied.
    Shared(Arc<[u8]>),
}

impl Part {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A message: the receiver gets its parts as one run of bytes.
#[derive(Clone, Debug)]
pub struct Outgoing {
    parts: Vec<Part>,
    bytes: usize,
}

impl Outgoing {
    /// The message of these parts.
    #[must_use]
    pub fn new(parts: Vec<Part>) -> Self {
        let bytes = parts.iter().map(|part| part.as_slice().len()).sum();
        Self { parts, bytes }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(vec![Part::Own(bytes)])
    }
}

impl From<Arc<[u8]>> for Outgoing {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::new(vec![Part::Shared(bytes)])
    }
}

impl From<&[u8]> for Outgoing {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

/// What one message costs besides its bytes, about, so that small ones are counted too.
const MESSAGE_OVERHEAD: usize = 64;

/// Messages of one class.
#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Outgoing>,
    bytes: usize,
}

impl Waiting {
    fn pop(&mut self) -> Option<Outgoing> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes + MESSAGE_OVERHEAD;
        Some(message)
    }
}

/// Messages in the order of their class, bounded in bytes and number.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: [Waiting; 3],
    bytes_max: usize,
    messages_max: usize,
    /// A message was refused since the queue was last half empty.
    refused: bool,
}

impl Queue {
    /// At most so many bytes and messages of each class.
    pub(super) fn new(bytes_max: usize, messages_max: usize) -> Self {
        Self { waiting: Default::default(), bytes_max, messages_max, refused: false }
    }

    /// Puts a message behind the others of its class.
    pub(super) fn push(&mut self, class: Class, message: Outgoing) -> Result<(), Unsent> {
        let waiting = &mut self.waiting[class as usize];
        let bytes = waiting.bytes + message.bytes + MESSAGE_OVERHEAD;
        let is_alone = waiting.messages.is_empty();
        if waiting.messages.len() >= self.messages_max || (bytes > self.bytes_max && !is_alone) {
            self.refused = true;
            return Err(Unsent::Full);
        }
        waiting.bytes = bytes;
        waiting.messages.push_back(message);
        Ok(())
    }

    /// Moves what comes next to `batch`: the most urgent first, and beyond one message no more than `bytes_max`.
    pub(super) fn take(&mut self, bytes_max: usize, batch: &mut Vec<(Class, Outgoing)>) {
        let mut bytes = 0;
        for class in [Class::Urgent, Class::Data, Class::Bulk] {
            let waiting = &mut self.waiting[class as usize];
            while let Some(next) = waiting.messages.front() {
                if !batch.is_empty() && bytes + next.bytes > bytes_max {
                    return;
                }
                bytes += next.bytes;
                batch.extend(waiting.pop().map(|message| (class, message)));
            }
        }
    }

    /// How large the next message is.
    pub(super) fn bytes_of_next(&self) -> Option<usize> {
        self.waiting.iter().find_map(|waiting| waiting.messages.front()).map(Outgoing::bytes)
    }

    /// Whether somebody who was refused should be told, once, that there is room again.
    pub(super) fn has_room_again(&mut self) -> bool {
        let roomy = |waiting: &Waiting| {
            waiting.bytes <= self.bytes_max / 2 && waiting.messages.len() <= self.messages_max / 2
        };
        self.refused && self.waiting.iter().all(roomy) && std::mem::take(&mut self.refused)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(|waiting| waiting.messages.is_empty())
    }

    /// Drops all; gives how many.
    pub(super) fn clear(&mut self) -> usize {
        let dropped = self.waiting.iter().map(|waiting| waiting.messages.len()).sum();
        self.waiting = Default::default();
        dropped
    }

    /// How many bytes wait, and how many messages.
    pub(super) fn level(&self) -> (usize, usize) {
        self.waiting.iter().fold((0, 0), |(bytes, messages), waiting| {
            (bytes + waiting.bytes, messages + waiting.messages.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(queue: &mut Queue, bytes_max: usize) -> Vec<(Class, usize)> {
        let mut batch = Vec::new();
        queue.take(bytes_max, &mut batch);
        batch.iter().map(|(class, message)| (*class, message.bytes())).collect()
    }

    #[test]
    fn the_urgent_go_first_and_a_batch_is_bounded() {
        let mut queue = Queue::new(10_000, 100);
        for bytes in [300, 400, 500] {
            queue.push(Class::Data, vec![0; bytes].into()).unwrap();
        }
        queue.push(Class::Urgent, vec![0; 7].into()).unwrap();
        assert_eq!(lengths(&mut queue, 800), [(Class::Urgent, 7), (Class::Data, 300), (Class::Data, 400)]);
        assert_eq!(lengths(&mut queue, 100), [(Class::Data, 500)], "one is taken whatever its size");
        assert!(queue.is_empty());
        assert_eq!(queue.level(), (0, 0));
    }

    #[test]
    fn the_newest_is_refused_and_room_is_told_once() {
        let mut queue = Queue::new(1000, 3);
        queue.push(Class::Data, vec![0; 5000].into()).unwrap();
        assert_eq!(queue.push(Class::Data, vec![1].into()), Err(Unsent::Full), "by bytes");
        queue.push(Class::Urgent, vec![1].into()).unwrap();
        assert!(!queue.has_room_again());
        assert_eq!(lengths(&mut queue, 1), [(Class::Urgent, 1)]);
        assert_eq!(lengths(&mut queue, 1), [(Class::Data, 5000)]);
        assert!(queue.has_room_again());
        assert!(!queue.has_room_again());
        for _ in 0..3 {
            queue.push(Class::Data, vec![1].into()).unwrap();
        }
        assert_eq!(queue.push(Class::Data, vec![1].into()), Err(Unsent::Full), "by number");
        assert_eq!(queue.clear(), 3);
        assert!(queue.has_room_again());
    }
}
