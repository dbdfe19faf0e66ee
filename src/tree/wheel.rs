//! When what is due: a hierarchical timing wheel (G. Varghese and T. Lauck, "Hashed and hierarchical timing
//! wheels", SOSP 1987, scheme 7), in milliseconds.
//!
//! ```text
//!   deadline and now, 64 bits in groups of 6   │ 4 │ 6 │ 6 │ 6 │ 6 │ 6 │ 6 │ 6 │ 6 │ 6 │ 6 │
//!   level                                       10   9   8   7   6   5   4   3   2   1   0
//!
//!   level 2   │   │   │   │ · │   │ …  64 slots of 4,096 ms     the first group from the left in which
//!   level 1   │   │ · │   │   │ · │ …  64 slots of 64 ms        a deadline differs from now is its level,
//!   level 0   │   │   │ · │ · │   │ …  64 slots of 1 ms         and the value of that group is its slot
//!   overdue   │ · │
//! ```
//! A slot is a doubly linked list through one arena, so a timer is found, moved and taken out in constant time.
//!
//! Invariants:
//!
//! - Where a timer is follows from its deadline and the wheel's time: [`Wheel::list_of`]. Advancing the time keeps
//!   that true by moving the timers of one slot at most.
//! - So a slot of a level comes later than all slots of the levels below, and than the slots before it; nothing
//!   ever wraps around.
//! - A bit of `occupied` is set exactly when the slot's list is not empty.

use crate::types::Timestamp;

/// How many bits of a deadline choose the slot in a level.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(SLOT_BITS) as usize;

/// The list of the timers whose deadline was past when they came.
const OVERDUE: usize = LEVELS * SLOTS;
const LISTS: usize = OVERDUE + 1;

/// The link that leads nowhere.
const NONE: u32 = u32::MAX;

/// An empty wheel keeps memory for this many timers at most.
const IDLE_CAPACITY: usize = 64;

/// Timers, each a deadline with something to get back when it is due. Pure: time is an argument.
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    /// The last time it was advanced to. What was due by then is gone, but for what is overdue.
    now: u64,
    /// The first timer of each list: the slots level by level, then the overdue.
    heads: Box<[u32; LISTS]>,
    /// For each level, which slots have timers.
    occupied: [u64; LEVELS],
    /// The least deadline that came overdue since there was none.
    overdue_from: u64,
    /// The arena.
    timers: Vec<Timer<T>>,
    /// The first unused place of the arena; `next` leads to further ones.
    free: u32,
    /// How many timers there are.
    len: usize,
}

#[derive(Clone, Debug)]
struct Timer<T> {
    deadline: u64,
    /// The neighbours in the list.
    prev: u32,
    next: u32,
    /// `None` while the place is unused.
    item: Option<T>,
}

/// Names a timer until it is cancelled or falls due; then the name may go to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId(u32);

impl<T> Wheel<T> {
    /// A wheel without timers, at the time `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: now.get(),
            heads: Box::new([NONE; LISTS]),
            occupied: [0; LEVELS],
            overdue_from: u64::MAX,
            timers: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// How many timers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When the timer is due.
    ///
    /// # Panics
    ///
    /// When there is no such timer (any more), as all that take a [`TimerId`].
    pub fn deadline(&self, id: TimerId) -> Timestamp {
        let timer = &self.timers[id.0 as usize];
        assert!(timer.item.is_some(), "{id:?} is not running");
        Timestamp::new(timer.deadline)
    }

    /// Adds a timer. One whose deadline is past already is due at the next advance.
    ///
    /// # Panics
    ///
    /// When there are more than four billion timers.
    pub fn insert(&mut self, deadline: Timestamp, item: T) -> TimerId {
        let id = self.free;
        let id = if let Some(timer) = self.timers.get_mut(id as usize) {
            self.free = timer.next;
            timer.deadline = deadline.get();
            timer.item = Some(item);
            id
        } else {
            let id = self.timers.len() as u32;
            assert!(id < NONE, "too many timers");
            self.timers.push(Timer { deadline: deadline.get(), prev: NONE, next: NONE, item: Some(item) });
            id
        };
        self.len += 1;
        self.link(id, self.list_of(deadline.get()));
        TimerId(id)
    }

    /// Takes a timer out before it is due.
    pub fn cancel(&mut self, id: TimerId) -> T {
        let deadline = self.deadline(id).get();
        self.unlink(id.0, self.list_of(deadline));
        let (_, item) = self.release(id.0);
        self.shrink_if_empty();
        item
    }

    /// Gives a timer another deadline. It keeps its name.
    pub fn reschedule(&mut self, id: TimerId, deadline: Timestamp) {
        let from = self.list_of(self.deadline(id).get());
        let to = self.list_of(deadline.get());
        self.timers[id.0 as usize].deadline = deadline.get();
        if from != to {
            self.unlink(id.0, from);
            self.link(id.0, to);
        } else if to == OVERDUE {
            self.overdue_from = self.overdue_from.min(deadline.get());
        }
    }

    /// Moves the time on to `now` and the timers that are due by then to `due`, in no particular order. An older
    /// `now` stands for the time that the wheel has.
    ///
    /// It costs what the timers cost that fall due or move down, however far the way is.
    pub fn advance(&mut self, now: Timestamp, due: &mut Vec<(Timestamp, T)>) {
        self.expire_list(OVERDUE, due);
        let (old, new) = (self.now, self.now.max(now.get()));
        if old != new {
            self.now = new;
            let top = level_of(old, new);
            // All that is below the level where the times part shares the old time's bits there, and is past.
            for level in 0..top {
                self.expire_slots(level, u64::MAX, due);
            }
            // In that level, the slots before the new time's are past.
            let slot = slot_in(top, new);
            self.expire_slots(top, (1 << slot) - 1, due);
            // Its own slot is partly past, and what remains belongs further down.
            self.open_slot(top * SLOTS + slot, due);
        }
        self.shrink_if_empty();
    }

    /// When to advance next; `None` when there is no timer.
    ///
    /// Never later than the earliest deadline. It may be earlier by less than a slot's width, only to move timers
    /// down: before a timer falls due, that happens once for each level below its own at most, which is 3 times
    /// for an hour, 5 for a year and 10 for any deadline. Within 64 milliseconds it is exact.
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.heads[OVERDUE] != NONE {
            return Some(Timestamp::new(self.overdue_from));
        }
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = u64::from(self.occupied[level].trailing_zeros());
        let shift = SLOT_BITS * level as u32;
        // The bits above the level are those of the present time.
        let above = self.now.checked_shr(shift + SLOT_BITS).unwrap_or(0);
        Some(Timestamp::new(above.checked_shl(shift + SLOT_BITS).unwrap_or(0) | slot << shift))
    }

    /// The list where a timer with this deadline is.
    fn list_of(&self, deadline: u64) -> usize {
        if deadline <= self.now {
            OVERDUE
        } else {
            let level = level_of(deadline, self.now);
            level * SLOTS + slot_in(level, deadline)
        }
    }

    /// Takes all timers out of the `slots` of a level, as they are due.
    fn expire_slots(&mut self, level: usize, slots: u64, due: &mut Vec<(Timestamp, T)>) {
        let mut slots = self.occupied[level] & slots;
        self.occupied[level] &= !slots;
        while slots != 0 {
            self.expire_list(level * SLOTS + slots.trailing_zeros() as usize, due);
            slots &= slots - 1;
        }
    }

    fn expire_list(&mut self, list: usize, due: &mut Vec<(Timestamp, T)>) {
        let mut id = std::mem::replace(&mut self.heads[list], NONE);
        while id != NONE {
            let next = self.timers[id as usize].next;
            due.push(self.release(id));
            id = next;
        }
    }

    /// Takes all timers out of the slot that the time has just reached: they are due or belong in lower levels.
    fn open_slot(&mut self, list: usize, due: &mut Vec<(Timestamp, T)>) {
        self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        let mut id = std::mem::replace(&mut self.heads[list], NONE);
        while id != NONE {
            let Timer { deadline, next, .. } = self.timers[id as usize];
            if deadline <= self.now {
                due.push(self.release(id));
            } else {
                self.link(id, self.list_of(deadline));
            }
            id = next;
        }
    }

    /// Puts a timer at the head of a list.
    fn link(&mut self, id: u32, list: usize) {
        let head = std::mem::replace(&mut self.heads[list], id);
        if let Some(second) = self.timers.get_mut(head as usize) {
            second.prev = id;
        }
        let timer = &mut self.timers[id as usize];
        timer.prev = NONE;
        timer.next = head;
        let deadline = timer.deadline;
        if list != OVERDUE {
            self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
        } else if head == NONE {
            self.overdue_from = deadline;
        } else {
            self.overdue_from = self.overdue_from.min(deadline);
        }
    }

    /// Takes a timer out of the list that it is in.
    fn unlink(&mut self, id: u32, list: usize) {
        let Timer { prev, next, .. } = self.timers[id as usize];
        if let Some(after) = self.timers.get_mut(next as usize) {
            after.prev = prev;
        }
        if let Some(before) = self.timers.get_mut(prev as usize) {
            before.next = next;
        } else {
            self.heads[list] = next;
            if next == NONE && list != OVERDUE {
                self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            }
        }
    }

    /// Gives the place of a timer that is in no list back to the arena.
    fn release(&mut self, id: u32) -> (Timestamp, T) {
        let timer = &mut self.timers[id as usize];
        timer.next = std::mem::replace(&mut self.free, id);
        self.len -= 1;
        (Timestamp::new(timer.deadline), timer.item.take().expect("a timer in a list has its item"))
    }

    /// Gives the memory of many timers back when none is left.
    fn shrink_if_empty(&mut self) {
        if self.len == 0 && self.timers.len() > IDLE_CAPACITY {
            self.timers = Vec::new();
            self.free = NONE;
        }
    }
}

/// The level of the first group of bits, from the left, in which the two differ.
fn level_of(a: u64, b: u64) -> usize {
    (((a ^ b) | 1).ilog2() / SLOT_BITS) as usize
}

/// The slot that `time` falls into in a level.
fn slot_in(level: usize, time: u64) -> usize {
    (time >> (SLOT_BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::new(milliseconds)
    }

    /// What is due by `now`, in order.
    fn advance<T: Ord>(wheel: &mut Wheel<T>, now: u64) -> Vec<(Timestamp, T)> {
        let mut due = Vec::new();
        wheel.advance(at(now), &mut due);
        due.sort();
        due
    }

    /// Every invariant of the module's docs, and that the lists are whole.
    fn check<T>(wheel: &Wheel<T>) {
        let mut count = 0;
        for (list, &head) in wheel.heads.iter().enumerate() {
            let (mut prev, mut id) = (NONE, head);
            while id != NONE {
                let timer = &wheel.timers[id as usize];
                assert!(timer.item.is_some());
                assert_eq!((timer.prev, wheel.list_of(timer.deadline)), (prev, list));
                assert!(list != OVERDUE || wheel.overdue_from <= timer.deadline);
                (prev, id) = (id, timer.next);
                count += 1;
            }
            if list != OVERDUE {
                assert_eq!(wheel.occupied[list / SLOTS] >> (list % SLOTS) & 1 == 1, head != NONE);
            }
        }
        assert_eq!(count, wheel.len());
        let unused = std::iter::successors(Some(wheel.free), |&id| Some(wheel.timers.get(id as usize)?.next));
        assert_eq!(unused.take_while(|&id| id != NONE).count() + count, wheel.timers.len());
    }

    #[test]
    fn a_timer_falls_due_at_its_millisecond() {
        for deadline in [1, 63, 64, 65, 4_095, 4_096, 3_600_000, 1 << 60, u64::MAX] {
            let mut wheel = Wheel::new(at(0));
            wheel.insert(at(deadline), "a");
            assert_eq!(advance(&mut wheel, deadline - 1), []);
            assert_eq!(wheel.next_wake(), Some(at(deadline)));
            assert_eq!(advance(&mut wheel, deadline), [(at(deadline), "a")]);
            assert_eq!((wheel.next_wake(), wheel.len()), (None, 0));
        }
    }

    #[test]
    fn an_overdue_timer_waits_for_the_next_advance() {
        let mut wheel = Wheel::new(at(1_000));
        wheel.insert(at(1_000), "now");
        let past = wheel.insert(at(10), "past");
        assert_eq!(wheel.next_wake(), Some(at(10)));
        wheel.reschedule(past, at(5));
        assert_eq!(wheel.next_wake(), Some(at(5)));
        // Time does not go back, but what is due is due.
        assert_eq!(advance(&mut wheel, 3), [(at(5), "past"), (at(1_000), "now")]);
        wheel.insert(at(1_001), "next");
        assert_eq!(advance(&mut wheel, 999), []);
    }

    /// Following the wakes, a timer is found in at most one wake a level.
    #[test]
    fn wakes_before_the_deadline_are_few() {
        for (deadline, early) in [(63, 0), (64 + 1, 1), (3_600_000, 3), (31_536_000_000, 5), (u64::MAX, 10)] {
            for now in [0, 1, 12_345] {
                let deadline = deadline.max(now + 1);
                let mut wheel = Wheel::new(at(now));
                wheel.insert(at(deadline), ());
                let mut wakes = 0;
                while let Some(wake) = wheel.next_wake() {
                    assert!(wake <= at(deadline));
                    wheel.advance(wake, &mut Vec::new());
                    wakes += 1;
                }
                assert!(wakes <= early + 2, "{wakes} wakes from {now} to {deadline}");
                assert!(now > 0 || wakes <= early + 1, "{wakes} wakes from {now} to {deadline}");
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut wheel = Wheel::new(at(0));
        let ids: Vec<TimerId> = (1..=100_000).map(|deadline| wheel.insert(at(deadline), ())).collect();
        for &id in &ids[..99_000] {
            wheel.reschedule(id, at(7));
            wheel.cancel(id);
        }
        // The places are used again.
        for deadline in 1..=99_000 {
            wheel.insert(at(deadline), ());
        }
        assert_eq!(wheel.timers.len(), 100_000);
        assert_eq!(advance(&mut wheel, 100_000).len(), 100_000);
        assert_eq!(wheel.timers.capacity(), 0);
        check(&wheel);
    }

    #[test]
    #[should_panic(expected = "is not running")]
    fn a_timer_is_not_cancelled_twice() {
        let mut wheel = Wheel::new(at(0));
        let id = wheel.insert(at(1), ());
        wheel.cancel(id);
        wheel.cancel(id);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Reschedule(usize, u64),
        Cancel(usize),
        Advance(u64),
        Wake,
    }

    /// Moments near each other, near the borders between levels, far off, and at both ends of time.
    fn moment() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0_u64..300,
            2 => 0_u64..100_000,
            2 => (0_u32..64, -2_i64..3).prop_map(|(bit, by)| (1_u64 << bit).saturating_add_signed(by)),
            1 => any::<u64>(),
            1 => (0_u64..3).prop_map(|before| u64::MAX - before),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => moment().prop_map(Op::Insert),
            3 => (any::<prop::sample::Index>(), moment()).prop_map(|(i, at)| Op::Reschedule(i.index(1 << 20), at)),
            2 => any::<prop::sample::Index>().prop_map(|i| Op::Cancel(i.index(1 << 20))),
            2 => moment().prop_map(Op::Advance),
            3 => Just(Op::Wake),
        ]
    }

    /// The timers in order, and by number their names in the wheel.
    #[derive(Default)]
    struct Model {
        now: Timestamp,
        timers: BTreeSet<(Timestamp, u32)>,
        ids: BTreeMap<u32, (TimerId, Timestamp)>,
    }

    impl Model {
        fn nth(&self, n: usize) -> Option<(u32, TimerId, Timestamp)> {
            let (&number, &(id, deadline)) = self.ids.iter().nth(n % self.ids.len().max(1))?;
            Some((number, id, deadline))
        }

        fn set(&mut self, number: u32, id: TimerId, deadline: Timestamp) {
            self.timers.insert((deadline, number));
            self.ids.insert(number, (id, deadline));
        }

        fn advance(&mut self, now: Timestamp) -> Vec<(Timestamp, u32)> {
            self.now = self.now.max(now);
            let due: Vec<_> =
                self.timers.iter().take_while(|(deadline, _)| *deadline <= self.now).copied().collect();
            for timer in &due {
                self.timers.remove(timer);
                self.ids.remove(&timer.1);
            }
            due
        }
    }

    fn run(op: &Op, number: u32, base: u64, wheel: &mut Wheel<u32>, model: &mut Model) {
        // Half the runs begin at 0, the others at the time of day or late.
        let moment = |offset: u64| at(base.saturating_add(offset));
        match *op {
            Op::Insert(offset) => {
                let id = wheel.insert(moment(offset), number);
                model.set(number, id, moment(offset));
            }
            Op::Reschedule(n, offset) => {
                if let Some((number, id, deadline)) = model.nth(n) {
                    assert_eq!(wheel.deadline(id), deadline);
                    wheel.reschedule(id, moment(offset));
                    model.timers.remove(&(deadline, number));
                    model.set(number, id, moment(offset));
                }
            }
            Op::Cancel(n) => {
                if let Some((number, id, deadline)) = model.nth(n) {
                    assert_eq!(wheel.cancel(id), number);
                    model.timers.remove(&(deadline, number));
                    model.ids.remove(&number);
                }
            }
            Op::Advance(offset) => {
                assert_eq!(advance(wheel, moment(offset).get()), model.advance(moment(offset)));
            }
            Op::Wake => {
                if let Some(wake) = wheel.next_wake() {
                    assert_eq!(advance(wheel, wake.get()), model.advance(wake));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn it_is_a_sorted_map_of_deadlines(
            base in prop_oneof![2 => Just(0), 1 => Just(1_700_000_000_000), 1 => any::<u64>()],
            ops in vec(op(), 1..100),
        ) {
            let mut wheel = Wheel::new(at(base));
            let mut model = Model { now: at(base), ..Model::default() };
            for (op, number) in ops.iter().zip(0..) {
                run(op, number, base, &mut wheel, &mut model);
                check(&wheel);
                prop_assert_eq!(wheel.len(), model.timers.len());
                prop_assert_eq!(wheel.is_empty(), model.timers.is_empty());
                let earliest = model.timers.first().map(|&(deadline, _)| deadline);
                prop_assert_eq!(wheel.next_wake().is_some(), earliest.is_some());
                prop_assert!(wheel.next_wake() <= earliest);
            }
            let rest = model.advance(at(u64::MAX));
            prop_assert_eq!(advance(&mut wheel, u64::MAX), rest);
        }
    }
}
