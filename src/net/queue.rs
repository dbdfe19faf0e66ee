//! What waits to be sent to one peer on one connection.

use std::collections::VecDeque;

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

/// All of them, the most urgent first.
const CLASSES: [Class; 3] = [Class::Urgent, Class::Data, Class::Bulk];

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
            Kind::Ping | Kind::Part | Kind::JoinRequest | Kind::JoinAnswer => None,
        }
    }
}

/// Data is sent in pieces of so many bytes, so that what is urgent need not wait for all of a large message.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// What one message costs besides its bytes, about, so that small ones are counted too.
const MESSAGE_OVERHEAD: usize = 64;

/// Messages of one class.
#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// So many bytes of the first are sent.
    begun: usize,
}

impl Waiting {
    /// How many bytes [`pop`](Self::pop) gives.
    fn bytes_of_next(&self, class: Class) -> Option<usize> {
        let left = self.messages.front()?.len() - self.begun;
        Some(if class == Class::Data { left.min(PIECE_BYTES) } else { left })
    }

    /// What comes next: a message, or a piece of one.
    fn pop(&mut self, class: Class) -> Option<(Kind, Vec<u8>)> {
        let (bytes, message) = (self.bytes_of_next(class)?, self.messages.front()?);
        let ends = self.begun + bytes;
        if ends < message.len() {
            let piece = message[self.begun..ends].to_vec();
            self.begun = ends;
            return Some((Kind::Part, piece));
        }
        let begun = std::mem::take(&mut self.begun);
        let mut message = self.messages.pop_front()?;
        self.bytes -= message.len() + MESSAGE_OVERHEAD;
        message.drain(..begun);
        Some((class.kind(), message))
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
    pub(super) fn push(&mut self, class: Class, message: Vec<u8>) -> Result<(), Unsent> {
        let waiting = &mut self.waiting[class as usize];
        let bytes = waiting.bytes + message.len() + MESSAGE_OVERHEAD;
        let is_alone = waiting.messages.is_empty();
        if waiting.messages.len() >= self.messages_max || (bytes > self.bytes_max && !is_alone) {
            self.refused = true;
            return Err(Unsent::Full);
        }
        waiting.bytes = bytes;
        waiting.messages.push_back(message);
        Ok(())
    }

    /// Moves what comes next to `batch`: the most urgent first, and beyond one message, or a piece of one, no more than `bytes_max`.
    pub(super) fn take(&mut self, bytes_max: usize, batch: &mut Vec<(Kind, Vec<u8>)>) {
        let mut bytes = 0;
        for class in CLASSES {
            let waiting = &mut self.waiting[class as usize];
            while let Some(next) = waiting.bytes_of_next(class) {
                if !batch.is_empty() && bytes + next > bytes_max {
                    return;
                }
                bytes += next;
                batch.extend(waiting.pop(class));
            }
        }
    }

    /// How large the next message is, or the next piece.
    pub(super) fn bytes_of_next(&self) -> Option<usize> {
        CLASSES.iter().find_map(|&class| self.waiting[class as usize].bytes_of_next(class))
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

/// How many messages end in a batch.
pub(super) fn messages_in(batch: &[(Kind, Vec<u8>)]) -> usize {
    batch.iter().filter(|(kind, _)| *kind != Kind::Part).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(queue: &mut Queue, bytes_max: usize) -> Vec<(Kind, usize)> {
        let mut batch = Vec::new();
        queue.take(bytes_max, &mut batch);
        batch.iter().map(|(kind, message)| (*kind, message.len())).collect()
    }

    #[test]
    fn what_is_urgent_comes_between_the_pieces_of_what_is_large() {
        let mut queue = Queue::new(1 << 20, 100);
        let large: Vec<u8> = (0..2 * PIECE_BYTES + 9).map(|n| (n % 251) as u8).collect();
        queue.push(Class::Data, large.clone()).unwrap();
        queue.push(Class::Data, vec![7; 5]).unwrap();
        let level = queue.level();
        let take_one = |queue: &mut Queue| {
            let mut batch = Vec::new();
            queue.take(0, &mut batch);
            assert_eq!(batch.len(), 1);
            batch.remove(0)
        };
        let mut sent = vec![take_one(&mut queue)];
        assert_eq!(queue.level(), level, "it waits until all of it is sent");
        queue.push(Class::Urgent, vec![1]).unwrap();
        sent.extend((0..4).map(|_| take_one(&mut queue)));
        assert!(queue.is_empty());
        let kinds: Vec<Kind> = sent.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::Part, Kind::Urgent, Kind::Part, Kind::Data, Kind::Data]);
        let bytes = |of: &[usize]| -> Vec<u8> { of.iter().flat_map(|&n| sent[n].1.clone()).collect() };
        assert!(bytes(&[0, 2, 3]) == large && bytes(&[4]) == [7; 5]);
        assert_eq!(queue.level(), (0, 0));
    }

    #[test]
    fn the_urgent_go_first_and_a_batch_is_bounded() {
        let mut queue = Queue::new(10_000, 100);
        for bytes in [300, 400, 500] {
            queue.push(Class::Data, vec![0; bytes]).unwrap();
        }
        queue.push(Class::Urgent, vec![0; 7]).unwrap();
        assert_eq!(lengths(&mut queue, 800), [(Kind::Urgent, 7), (Kind::Data, 300), (Kind::Data, 400)]);
        assert_eq!(lengths(&mut queue, 100), [(Kind::Data, 500)], "one is taken whatever its size");
        assert!(queue.is_empty());
        assert_eq!(queue.level(), (0, 0));
    }

    #[test]
    fn the_newest_is_refused_and_room_is_told_once() {
        let mut queue = Queue::new(1000, 3);
        queue.push(Class::Data, vec![0; 5000]).unwrap();
        assert_eq!(queue.push(Class::Data, vec![1]), Err(Unsent::Full), "by bytes");
        queue.push(Class::Urgent, vec![1]).unwrap();
        assert!(!queue.has_room_again());
        assert_eq!(lengths(&mut queue, 1), [(Kind::Urgent, 1)]);
        assert_eq!(lengths(&mut queue, 1), [(Kind::Data, 5000)]);
        assert!(queue.has_room_again());
        assert!(!queue.has_room_again());
        for _ in 0..3 {
            queue.push(Class::Data, vec![1]).unwrap();
        }
        assert_eq!(queue.push(Class::Data, vec![1]), Err(Unsent::Full), "by number");
        assert_eq!(queue.clear(), 3);
        assert!(queue.has_room_again());
    }
}
