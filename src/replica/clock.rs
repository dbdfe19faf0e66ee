//! Log time: the wall clock while somebody else leads, and from taking office on, the time that has passed since.

use std::time::Duration;

use crate::types::Timestamp;

/// What the owner's clocks show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, which may be set at any time.
    pub wall: Timestamp,
    /// The time since some moment in this process's life, which goes on evenly.
    pub running: Duration,
}

/// Makes of the two clocks the one that the core is given.
#[derive(Clone, Debug, Default)]
pub(super) struct LogClock {
    /// What the clocks showed when this member took office.
    office: Option<Moment>,
}

impl LogClock {
    /// The present, to the core.
    pub(super) fn now(&self, moment: Moment) -> Timestamp {
        match self.office {
            None => moment.wall,
            Some(taken) => taken.wall.after(moment.running.saturating_sub(taken.running)),
        }
    }

    /// Notes whether this member leads, as of `moment`.
    pub(super) fn observe(&mut self, moment: Moment, leads: bool) {
        match (leads, self.office) {
            (true, None) => self.office = Some(moment),
            (false, Some(_)) => self.office = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall: u64, running: u64) -> Moment {
        Moment { wall: Timestamp::new(wall), running: Duration::from_millis(running) }
    }

    #[test]
    fn a_wall_clock_that_is_set_does_not_move_a_leader() {
        let mut clock = LogClock::default();
        assert_eq!(clock.now(moment(5_000, 10)), Timestamp::new(5_000));
        clock.observe(moment(5_000, 10), true);
        assert_eq!(clock.now(moment(1, 17)), Timestamp::new(5_007));
        clock.observe(moment(9_000, 20), true);
        assert_eq!(clock.now(moment(9_000, 20)), Timestamp::new(5_010));
        clock.observe(moment(9_000, 20), false);
        assert_eq!(clock.now(moment(9_000, 20)), Timestamp::new(9_000));
    }
}
