//! What a member counts of the entries that it sends and is sent, and how long it takes until they are acknowledged.
//!
//! Entries alone count, not heartbeats. A leader looks at the clock for one message to each follower at a time: the next is timed
//! once that one has been acknowledged. Rates are those of the last second that is over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::raft::{AppendOutcome, Message};
use crate::types::{LogIndex, MemberId};

/// Rates are taken over this time.
const WINDOW: Duration = Duration::from_secs(1);

/// What goes between the members of a cluster, as one of them sees it: from [`Cluster::traffic`](crate::Cluster::traffic).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Entries that leaders have sent to this member.
    pub received: Flow,
    /// Entries that this member has sent to others as their leader.
    pub sent: Flow,
    /// Those whom it has sent entries.
    pub followers: BTreeMap<MemberId, Follower>,
}

/// Messages with entries, in one direction, since the member was opened.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Flow {
    /// How many messages there were.
    pub messages: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// Messages a second, in the last second that is over.
    pub messages_per_second: f64,
    /// Bytes a second, in the last second that is over.
    pub bytes_per_second: f64,
}

/// What a leader knows of its entries on their way to another member, since it was opened.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Follower {
    /// How many messages of the other one have acknowledged entries.
    pub acknowledged: u64,
    /// How often the connection broke while entries were not acknowledged.
    pub failed: u64,
    /// How long it takes from when entries are sent until they are durable over there, and that is known here.
    pub latency: Latency,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Latency {
    /// The last time.
    pub current: Duration,
    /// In the mean.
    pub average: Duration,
    /// By how much it differs from that, usually.
    pub standard_deviation: Duration,
    /// At least.
    pub minimum: Duration,
    /// At most.
    pub maximum: Duration,
}

/// Who counts.
#[derive(Debug, Default)]
pub(super) struct Counting {
    shown: Traffic,
    samples: BTreeMap<MemberId, Samples>,
    window: Window,
}

/// What is timed for one follower, and was before.
#[derive(Debug, Default)]
struct Samples {
    /// Sent, and not acknowledged yet: up to which entry, and when.
    under_way: Option<(LogIndex, Duration)>,
    count: f64,
    /// In seconds; with the sum of squared differences from it (Welford, 1962).
    mean: f64,
    squares: f64,
}

/// What was counted when the present second began.
#[derive(Debug, Default)]
struct Window {
    began: Duration,
    received: Flow,
    sent: Flow,
}

impl Counting {
    /// A message of so many bytes has left for `to`.
    pub(super) fn sent(
        &mut self,
        to: MemberId,
        message: &Message,
        bytes: usize,
        now: impl FnOnce() -> Duration,
    ) {
        let Message::Append { entries, .. } = message else { return };
        let Some(last) = entries.last() else { return };
        self.shown.sent.count(bytes);
        self.samples.entry(to).or_default().under_way.get_or_insert_with(|| (last.id.index, now()));
    }

    /// A message of so many bytes has come from `from`.
    pub(super) fn received(
        &mut self,
        from: MemberId,
        message: &Message,
        bytes: usize,
        now: impl FnOnce() -> Duration,
    ) {
        match message {
            Message::Append { entries, .. } if !entries.is_empty() => self.shown.received.count(bytes),
            Message::AppendAnswer { outcome: AppendOutcome::Matched(upto), .. } => {
                self.acknowledged(from, *upto, now);
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, by: MemberId, upto: LogIndex, now: impl FnOnce() -> Duration) {
        let Some(samples) = self.samples.get_mut(&by) else { return };
        let Some((_, sent)) = samples.under_way.take_if(|(last, _)| *last <= upto) else { return };
        let follower = self.shown.followers.entry(by).or_default();
        follower.acknowledged += 1;
        follower.latency = samples.add(now().saturating_sub(sent), follower.latency);
    }

    /// The connection to a member has broken.
    pub(super) fn disconnected(&mut self, member: MemberId) {
        let samples = self.samples.get_mut(&member);
        if samples.is_some_and(|samples| samples.under_way.take().is_some()) {
            self.shown.followers.entry(member).or_default().failed += 1;
        }
    }

    /// What there is to show now.
    pub(super) fn show(&mut self, now: Duration) -> Traffic {
        let lasted = now.saturating_sub(self.window.began);
        if lasted >= WINDOW {
            self.shown.received.take_rates(self.window.received, lasted);
            self.shown.sent.take_rates(self.window.sent, lasted);
            self.window = Window { began: now, received: self.shown.received, sent: self.shown.sent };
        }
        self.shown.clone()
    }
}

impl Flow {
    fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    fn take_rates(&mut self, before: Self, lasted: Duration) {
        let a_second = |count: u64| count as f64 / lasted.as_secs_f64();
        self.messages_per_second = a_second(self.messages - before.messages);
        self.bytes_per_second = a_second(self.bytes - before.bytes);
    }
}

impl Samples {
    fn add(&mut self, took: Duration, before: Latency) -> Latency {
        let seconds = took.as_secs_f64();
        self.count += 1.0;
        let off = seconds - self.mean;
        self.mean += off / self.count;
        self.squares += off * (seconds - self.mean);
        let is_first = self.count < 1.5;
        Latency {
            current: took,
            average: Duration::from_secs_f64(self.mean),
            standard_deviation: Duration::from_secs_f64((self.squares / self.count).max(0.0).sqrt()),
            minimum: if is_first { took } else { took.min(before.minimum) },
            maximum: took.max(before.maximum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, EntryId, Payload};
    use crate::types::{Term, Timestamp};

    const OTHER: MemberId = MemberId::new(2);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn append(indexes: &[u64]) -> Message {
        let entry = |&index: &u64| Entry {
            id: EntryId { term: Term::new(1), index: LogIndex::new(index) },
            time: Timestamp::new(0),
            session: None,
            payload: Payload::Noop,
        };
        Message::Append {
            prev: EntryId::default(),
            entries: indexes.iter().map(entry).collect(),
            committed: LogIndex::default(),
            matched: LogIndex::default(),
            round: 0,
            clock: Timestamp::new(0),
        }
    }

    fn matched(upto: u64) -> Message {
        let outcome = AppendOutcome::Matched(LogIndex::new(upto));
        Message::AppendAnswer { outcome, round: 0, promised: Timestamp::new(0), room: 0 }
    }

    #[test]
    fn a_message_is_timed_until_all_that_it_brought_is_acknowledged() {
        let mut counting = Counting::default();
        counting.sent(OTHER, &append(&[1, 2]), 100, || ms(10));
        counting.sent(OTHER, &append(&[3]), 50, || ms(12));
        counting.received(OTHER, &matched(1), 20, || ms(13));
        assert!(counting.show(ms(13)).followers.is_empty());
        counting.received(OTHER, &matched(3), 20, || ms(15));
        // Of what is acknowledged already nothing is timed.
        counting.received(OTHER, &matched(3), 20, || ms(99));
        counting.sent(OTHER, &append(&[4]), 50, || ms(100));
        counting.received(OTHER, &matched(4), 20, || ms(115));
        let Traffic { sent, received, followers, .. } = counting.show(ms(900));
        assert_eq!((sent.messages, sent.bytes, received.messages), (3, 200, 0));
        let Follower { acknowledged, failed, latency } = followers[&OTHER];
        assert_eq!((acknowledged, failed), (2, 0));
        let Latency { current, average, standard_deviation, minimum, maximum } = latency;
        assert_eq!([current, average, standard_deviation], [ms(15), ms(10), ms(5)]);
        assert_eq!([minimum, maximum], [ms(5), ms(15)]);
    }

    #[test]
    fn what_was_under_way_when_a_connection_broke_has_failed() {
        let mut counting = Counting::default();
        counting.disconnected(OTHER);
        counting.sent(OTHER, &append(&[1]), 100, || ms(10));
        counting.disconnected(OTHER);
        counting.disconnected(OTHER);
        counting.received(OTHER, &matched(1), 20, || ms(90));
        let Follower { acknowledged, failed, .. } = counting.show(ms(90)).followers[&OTHER];
        assert_eq!((acknowledged, failed), (0, 1));
    }

    #[test]
    fn rates_are_those_of_the_last_second() {
        let mut counting = Counting::default();
        for n in 0..30 {
            counting.received(OTHER, &append(&[n]), 10, || ms(n));
        }
        // Heartbeats are none.
        counting.received(OTHER, &append(&[]), 10, || ms(40));
        assert_eq!(counting.show(ms(999)).received.messages_per_second, 0.0);
        let Flow { messages, messages_per_second, bytes_per_second, .. } = counting.show(ms(1_500)).received;
        assert_eq!((messages, messages_per_second, bytes_per_second), (30, 20.0, 200.0));
        assert_eq!(counting.show(ms(2_499)).received.messages_per_second, 20.0);
        assert_eq!(counting.show(ms(2_500)).received.messages_per_second, 0.0);
    }
}
