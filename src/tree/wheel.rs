//! When what is due: a hierarchical timing wheel (G. Varghese and T. Lauck, "Hashed and hierarchical timing
//! wheels", SOSP 1987, scheme 7), in milliseconds.
//!
//! ```text
//!   deadline and now, 64 bits in groups of 8   │ 8 │ 8 │ 8 │ 8 │ 8 │ 8 │ 8 │ 8 │
//!   level                                        7   6   5   4   3   2   1   0
//!
//!   level 2   │   │   │   │ · │   │ …  256 slots of 65,536 ms   the first group from the left in which
//!   level 1   │   │ · │   │   │ · │ …  256 slots of 256 ms      a deadline differs from now is its level,
//!   level 0   │   │   │ · │ · │   │ …  256 slots of 1 ms        and the value of that group is its slot
//!   overdue   │ · │
//! ```
//! A slot is a doubly linked list through one arena, so a timer is found, moved and taken out in constant time. Levels
//! are wide and the links lie apart from what the timers carry, four timers to a cache line: to follow a list is one
//! cache miss a timer, and that is what a wheel costs.
//!
//! Invariants:
//!
//! - Where a timer is follows from its deadline and the wheel's time: `list_of`. The time moves on from slot to
//!   slot, and each that it reaches is emptied: a slot of level 0 because its timers are due, any other because they
//!   belong further down.
//! - Only what is in the slot that is being emptied, `opening`, may belong further down already: many timers can be in one
//!   slot, and nobody has to wait for all of them.
//! - So a slot of a level comes later than all slots of the levels below, and than the slots before it; nothing
//!   ever wraps around. The one that is being emptied comes first.
//! - A bit of `occupied` is set exactly when the slot's list is not empty.
//! - What is overdue was due before the wheel's time. That happens only where somebody looked closer at a later time than
//!   the next command has.

#[cfg(test)]
mod tests;

use crate::types::Timestamp;

/// How many bits of a deadline choose the slot in a level.
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(SLOT_BITS) as usize;

/// The list of the timers whose deadline was past when they came.
const OVERDUE: usize = LEVELS * SLOTS;
const LISTS: usize = OVERDUE + 1;

/// The link that leads nowhere.
const NONE: u32 = u32::MAX;

/// As a link back: no timer is in this place.
const UNUSED: u32 = NONE - 1;

/// An empty wheel keeps memory for this many timers at most.
const IDLE_CAPACITY: usize = 64;

/// Timers, each a deadline with something to get back when it is due. Pure: time is an argument.
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    /// How far the time has come. What was due before is gone, but for what is overdue.
    now: u64,
    /// The first timer of each list: the slots level by level, then the overdue.
    heads: Box<[u32; LISTS]>,
    /// For each level, which slots have timers.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    /// A slot, not of level 0, that the time has reached and that is not empty yet.
    opening: Option<usize>,
    /// Not after the deadline of anything overdue; the end of time when nothing is.
    overdue_from: u64,
    /// The arena.
    timers: Vec<Timer>,
    /// What the timer in the same place of the arena carries; `None` while the place is unused.
    items: Vec<Option<T>>,
    /// The first unused place of the arena; `next` leads to further ones.
    free: u32,
    /// How many timers there are.
    len: usize,
}

/// Sixteen bytes.
#[derive(Clone, Copy, Debug)]
struct Timer {
    deadline: u64,
    /// The neighbours in the list.
    prev: u32,
    next: u32,
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
            occupied: [[0; SLOTS / 64]; LEVELS],
            opening: None,
            overdue_from: u64::MAX,
            timers: Vec::new(),
            items: Vec::new(),
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
        assert_ne!(timer.prev, UNUSED, "{id:?} is not running");
        Timestamp::new(timer.deadline)
    }

    /// Adds a timer. One whose deadline is past is due at once.
    ///
    /// # Panics
    ///
    /// When there are more than four billion timers.
    pub fn insert(&mut self, deadline: Timestamp, item: T) -> TimerId {
        let (deadline, mut id) = (deadline.get(), self.free);
        if let Some(timer) = self.timers.get_mut(id as usize) {
            self.free = timer.next;
            timer.deadline = deadline;
            self.items[id as usize] = Some(item);
        } else {
            id = self.timers.len() as u32;
            assert!(id < UNUSED, "too many timers");
            self.timers.push(Timer { deadline, prev: NONE, next: NONE });
            self.items.push(Some(item));
        }
        self.len += 1;
        self.link(id, self.list_of(deadline));
        TimerId(id)
    }

    /// Takes a timer out before it is due.
    pub fn cancel(&mut self, id: TimerId) -> T {
        self.deadline(id);
        self.unlink(id.0);
        let (_, item) = self.release(id.0);
        self.shrink_if_empty();
        item
    }

    /// Gives a timer another deadline. It keeps its name.
    pub fn reschedule(&mut self, id: TimerId, deadline: Timestamp) {
        self.deadline(id);
        self.unlink(id.0);
        self.timers[id.0 as usize].deadline = deadline.get();
        self.link(id.0, self.list_of(deadline.get()));
    }

    /// Takes out some of the timers that are due by `now` and adds them to `due`, in no particular order. Returns false once
    /// none is left.
    ///
    /// Those of earlier deadlines come first; [`Wheel::next_wake`] tells what is still to come. Each timer that is taken out
    /// or moves down takes one from `budget`; how far the way is costs nothing. Does nothing without a budget.
    pub fn take_due(&mut self, now: Timestamp, budget: &mut usize, due: &mut Vec<(Timestamp, T)>) -> bool {
        let now = now.get();
        if self.heads[OVERDUE] != NONE && self.overdue_from <= now {
            self.take_overdue(now, due);
            return true;
        }
        let Some((list, begin)) = self.next_slot().filter(|&(_, begin)| begin <= now) else {
            // Time does not go back, also where somebody looked closer at a later one.
            self.now = self.now.max(now);
            self.shrink_if_empty();
            return false;
        };
        if list < SLOTS {
            self.now = begin;
            self.empty(list, budget, |wheel, id| due.push(wheel.release(id)));
        } else {
            self.open(list, begin, budget);
        }
        true
    }

    /// Looks closer at the slots that the time has reached by `now`, until the first deadline is known precisely: once this
    /// returns false, [`Wheel::next_wake`] is not after `now` only if something is due. Takes nothing out, and moves no
    /// more than `budget` timers.
    pub fn refine(&mut self, now: Timestamp, mut budget: usize) -> bool {
        while self.heads[OVERDUE] == NONE
            && let Some((list, begin)) = self.next_slot()
            && list >= SLOTS
            && begin <= now.get()
        {
            if budget == 0 {
                return true;
            }
            self.open(list, begin, &mut budget);
        }
        false
    }

    /// When to look again; `None` when there is no timer.
    ///
    /// Never later than the earliest deadline. It may be earlier, by less than a slot's width, only to move timers
    /// down. That happens to a timer once a level at most: `1 + log256(milliseconds to go)` times, which is 3 for an
    /// hour and 5 for a year, and 7 for any deadline.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let moment = if self.heads[OVERDUE] == NONE { self.next_slot()?.1 } else { self.overdue_from };
        Some(Timestamp::new(moment))
    }

    /// The slot that comes next, and when it begins.
    fn next_slot(&self) -> Option<(usize, u64)> {
        if self.len == 0 {
            return None;
        }
        if let Some(list) = self.opening {
            return Some((list, self.now));
        }
        self.occupied.iter().enumerate().find_map(|(level, words)| {
            let word = words.iter().position(|&slots| slots != 0)?;
            let slot = word * 64 + words[word].trailing_zeros() as usize;
            let shift = SLOT_BITS * level as u32;
            // The bits above the level are those of the present time.
            let above = u64::MAX.checked_shl(shift + SLOT_BITS).unwrap_or(0);
            Some((level * SLOTS + slot, self.now & above | (slot as u64) << shift))
        })
    }

    /// The list where a timer with this deadline belongs.
    fn list_of(&self, deadline: u64) -> usize {
        if deadline < self.now {
            OVERDUE
        } else {
            let level = level_of(deadline, self.now);
            level * SLOTS + slot_in(level, deadline)
        }
    }

    /// Takes out what is overdue by `now`, which may be before the wheel's time.
    fn take_overdue(&mut self, now: u64, due: &mut Vec<(Timestamp, T)>) {
        let mut id = std::mem::replace(&mut self.heads[OVERDUE], NONE);
        self.overdue_from = u64::MAX;
        while id != NONE {
            let Timer { deadline, next, .. } = self.timers[id as usize];
            if deadline <= now {
                due.push(self.release(id));
            } else {
                self.link(id, OVERDUE);
            }
            id = next;
        }
    }

    /// Moves the time on to the beginning of a slot that is not of level 0, and its timers further down.
    fn open(&mut self, list: usize, begin: u64, budget: &mut usize) {
        (self.now, self.opening) = (begin, Some(list));
        self.empty(list, budget, |wheel, id| {
            let belongs = wheel.list_of(wheel.timers[id as usize].deadline);
            wheel.link(id, belongs);
        });
    }

    /// Takes timers out of a slot, for as long as there are any and the budget lasts.
    fn empty(&mut self, list: usize, budget: &mut usize, mut each: impl FnMut(&mut Self, u32)) {
        let mut id = self.heads[list];
        while id != NONE && *budget > 0 {
            *budget -= 1;
            let next = self.timers[id as usize].next;
            each(self, id);
            id = next;
        }
        self.heads[list] = id;
        match self.timers.get_mut(id as usize) {
            Some(first) => first.prev = NONE,
            None => self.mark_empty(list),
        }
    }

    /// Takes note that a list has become empty.
    fn mark_empty(&mut self, list: usize) {
        if list == OVERDUE {
            self.overdue_from = u64::MAX;
            return;
        }
        let slot = list % SLOTS;
        self.occupied[list / SLOTS][slot / 64] &= !(1 << (slot % 64));
        self.opening = self.opening.filter(|&opening| opening != list);
    }

    /// Puts a timer at the head of a list.
    fn link(&mut self, id: u32, list: usize) {
        let head = std::mem::replace(&mut self.heads[list], id);
        if let Some(second) = self.timers.get_mut(head as usize) {
            second.prev = id;
        }
        let timer = &mut self.timers[id as usize];
        (timer.prev, timer.next) = (NONE, head);
        if list == OVERDUE {
            self.overdue_from = self.overdue_from.min(timer.deadline);
        } else {
            let slot = list % SLOTS;
            self.occupied[list / SLOTS][slot / 64] |= 1 << (slot % 64);
        }
    }

    /// Takes a timer out of the list that it is in.
    fn unlink(&mut self, id: u32) {
        let Timer { deadline, prev, next } = self.timers[id as usize];
        if let Some(after) = self.timers.get_mut(next as usize) {
            after.prev = prev;
        }
        if let Some(before) = self.timers.get_mut(prev as usize) {
            before.next = next;
            return;
        }
        let opening = self.opening.filter(|&list| self.heads[list] == id);
        let list = opening.unwrap_or_else(|| self.list_of(deadline));
        self.heads[list] = next;
        if next == NONE {
            self.mark_empty(list);
        }
    }

    /// Gives the place of a timer that is in no list back to the arena.
    fn release(&mut self, id: u32) -> (Timestamp, T) {
        let timer = &mut self.timers[id as usize];
        timer.prev = UNUSED;
        timer.next = std::mem::replace(&mut self.free, id);
        self.len -= 1;
        let item = self.items[id as usize].take().expect("a timer in a list carries something");
        (Timestamp::new(timer.deadline), item)
    }

    /// Gives the memory of many timers back when none is left.
    fn shrink_if_empty(&mut self) {
        if self.len == 0 && self.timers.len() > IDLE_CAPACITY {
            (self.timers, self.items) = (Vec::new(), Vec::new());
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
