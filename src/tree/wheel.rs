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
//! - Where a timer is follows from its deadline and the wheel's time: `list_of`. Advancing the time keeps
//!   that true by moving the timers of one slot at most.
//! - So a slot of a level comes later than all slots of the levels below, and than the slots before it; nothing
//!   ever wraps around.
//! - A bit of `occupied` is set exactly when the slot's list is not empty.

#[cfg(test)]
mod tests;

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
    /// Never later than the earliest deadline. It may be earlier, by less than a slot's width, only to move timers
    /// down. That happens to a timer once a level at most: `1 + log64(milliseconds to go)` times, which is 4 for an
    /// hour and 6 for a year, and 10 for any deadline.
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.heads[OVERDUE] != NONE {
            return Some(Timestamp::new(self.overdue_from));
        }
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = u64::from(self.occupied[level].trailing_zeros());
        let shift = SLOT_BITS * level as u32;
        // The bits above the level are those of the present time.
        let above = u64::MAX.checked_shl(shift + SLOT_BITS).unwrap_or(0);
        Some(Timestamp::new(self.now & above | slot << shift))
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
