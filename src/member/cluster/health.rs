//! What a member notices of its own disk and clock, and a leader of those that follow it.

use std::time::Duration;

use crate::types::Timestamp;

/// A sync that takes longer is worth a word. Whole elections are shorter.
const SYNC_MAX: Duration = Duration::from_secs(1);

/// Syncs that take so long in the mean are worth a word: a write takes two at best.
const MEAN_SYNC_MAX: Duration = Duration::from_millis(100);

/// For so long it is worth a word: a disk that nothing has been asked of since may be well by now.
const MEAN_SYNC_KEPT: Duration = Duration::from_secs(60);

/// A clock may differ so much from the leader's. What expires is the leader's to say, so nothing depends on it until
/// this member leads.
const SKEW_MAX: Duration = Duration::from_secs(1);

/// A member may lack so many entries: more than any burst of writes, less than a log.
pub(super) const LAG_MAX: u64 = 10_000;

/// The disk and the clock of this member.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// When the sync under way began, by the running clock.
    sync_began: Option<Duration>,
    /// How long syncs take: each counts for an eighth of the mean.
    mean_sync: Duration,
    /// When the last sync came back.
    synced: Duration,
    /// What the leader's clock showed when it last spoke, and what this member's did.
    clocks: Option<(Timestamp, Timestamp)>,
}

impl Health {
    pub(super) fn sync_begins(&mut self, now: Duration) {
        self.sync_began = Some(now);
    }

    pub(super) fn sync_ends(&mut self, now: Duration) {
        if let Some(began) = self.sync_began.take() {
            self.mean_sync = (self.mean_sync * 7 + now.saturating_sub(began)) / 8;
            self.synced = now;
        }
    }

    /// The leader has spoken, and said what its clock shows.
    pub(super) fn compare(&mut self, leaders: Timestamp, own: Timestamp) {
        self.clocks = Some((leaders, own));
    }

    /// There is another leader, or none: what its clock shows is not known.
    pub(super) fn forget_leader(&mut self) {
        self.clocks = None;
    }

    /// What is wrong, in words.
    pub(super) fn problems(&self, now: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        let under_way = self.sync_began.map(|began| now.saturating_sub(began));
        if let Some(long) = under_way.filter(|long| *long >= SYNC_MAX) {
            problems.push(format!("the disk stalls: a sync has not come back for {}", seconds(long)));
        } else if self.mean_sync >= MEAN_SYNC_MAX && now.saturating_sub(self.synced) < MEAN_SYNC_KEPT {
            problems.push(format!("the disk is slow: a sync takes {} ms", self.mean_sync.as_millis()));
        }
        if let Some((leaders, own)) = self.clocks {
            let (ahead, behind) = (own.since(leaders), leaders.since(own));
            if ahead >= SKEW_MAX {
                problems.push(format!("this member's clock is {} ahead of the leader's", seconds(ahead)));
            } else if behind >= SKEW_MAX {
                problems.push(format!("this member's clock is {} behind the leader's", seconds(behind)));
            }
        }
        problems
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_disk_that_stalls_or_is_slow_is_told_of_until_it_is_well_again() {
        let mut health = Health::default();
        health.sync_begins(ms(10));
        assert!(health.problems(ms(900)).is_empty());
        assert_eq!(health.problems(ms(3_510)), ["the disk stalls: a sync has not come back for 3.5 s"]);
        health.sync_ends(ms(3_530));
        assert_eq!(health.problems(ms(3_540)), ["the disk is slow: a sync takes 440 ms"]);
        assert_eq!(health.problems(ms(63_529)).len(), 1);
        assert!(health.problems(ms(63_530)).is_empty(), "nothing has been asked of it since");
        for n in 0..20 {
            health.sync_begins(ms(4_000 + n));
            health.sync_ends(ms(4_001 + n));
        }
        assert!(health.problems(ms(5_000)).is_empty());
    }

    #[test]
    fn a_clock_is_compared_with_the_present_leaders() {
        let mut health = Health::default();
        health.compare(Timestamp::new(10_000), Timestamp::new(10_900));
        assert!(health.problems(ms(0)).is_empty(), "a heartbeat may take a while");
        health.compare(Timestamp::new(10_000), Timestamp::new(12_300));
        assert_eq!(health.problems(ms(0)), ["this member's clock is 2.3 s ahead of the leader's"]);
        health.compare(Timestamp::new(10_000), Timestamp::new(5_000));
        assert_eq!(health.problems(ms(0)), ["this member's clock is 5.0 s behind the leader's"]);
        health.forget_leader();
        assert!(health.problems(ms(0)).is_empty());
    }
}
