//! A bare hierarchical timer wheel: lists threaded through an arena, with nothing but a number to carry.
//!
//! Level 0 has a slot a tick, level 1 a slot for 256 ticks, and so on. A timer lives on the level of the highest
//! digit (base 256) in which its deadline differs from the present, and moves down when the present gets there.
//! Wide levels, because every move down is a cache miss.

const SLOTS: usize = 256;
const LEVELS: usize = 4;
const BITS: u32 = SLOTS.trailing_zeros();

/// No timer.
const NONE: u32 = u32::MAX;

/// In `previous`: there is none, and the rest is the slot.
const IS_FIRST: u32 = 1 << 31;

/// Timers by their number.
pub(crate) struct Wheel {
    now: u64,
    /// The first timer of each slot, level after level.
    first: [u32; SLOTS * LEVELS],
    /// One bit a slot: whether there is a timer in it.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    timers: Vec<Timer>,
    len: usize,
}

/// Sixteen bytes: four to a cache line.
struct Timer {
    deadline: u64,
    next: u32,
    previous: u32,
}

impl Default for Wheel {
    fn default() -> Self {
        let first = [NONE; SLOTS * LEVELS];
        Self { now: 0, first, occupied: [[0; SLOTS / 64]; LEVELS], timers: Vec::new(), len: 0 }
    }
}

impl Wheel {
    /// Adds the next timer: numbers count up from 0.
    pub(crate) fn insert(&mut self, timer: u32, deadline: u64) {
        self.timers.push(Timer { deadline, next: NONE, previous: NONE });
        self.len += 1;
        self.link(timer);
    }

    pub(crate) fn move_to(&mut self, timer: u32, deadline: u64) {
        self.unlink(timer);
        self.timers[timer as usize].deadline = deadline;
        self.link(timer);
    }

    /// Takes out all that is due and returns how many that are.
    pub(crate) fn expire(&mut self, now: u64) -> usize {
        let before = self.len;
        while let Some((slot, begin)) = self.next_slot()
            && begin <= now
        {
            self.now = begin;
            self.mark(slot, false);
            let mut timer = std::mem::replace(&mut self.first[slot], NONE);
            while timer != NONE {
                let Timer { deadline, next, .. } = self.timers[timer as usize];
                if deadline <= begin {
                    self.len -= 1;
                } else {
                    self.link(timer);
                }
                timer = next;
            }
        }
        self.now = now;
        before - self.len
    }

    /// How many timers there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slot that comes next, and when it begins. Whatever is on a lower level comes before a higher one's.
    fn next_slot(&self) -> Option<(usize, u64)> {
        (0..LEVELS).find_map(|level| {
            let words = &self.occupied[level];
            let word = words.iter().position(|&slots| slots != 0)?;
            let slot = word * 64 + words[word].trailing_zeros() as usize;
            let shift = BITS * level as u32;
            let above = (self.now >> (shift + BITS)) << (shift + BITS);
            Some((level * SLOTS + slot, above + ((slot as u64) << shift)))
        })
    }

    fn mark(&mut self, slot: usize, is_occupied: bool) {
        let (word, bit) = (&mut self.occupied[slot / SLOTS][slot % SLOTS / 64], 1 << (slot % 64));
        *word = if is_occupied { *word | bit } else { *word & !bit };
    }

    fn link(&mut self, timer: u32) {
        let deadline = self.timers[timer as usize].deadline.max(self.now);
        let highest_bit = ((deadline ^ self.now) | 1).ilog2();
        let level = ((highest_bit / BITS) as usize).min(LEVELS - 1);
        let slot = level * SLOTS + (deadline >> (BITS * level as u32)) as usize % SLOTS;
        self.mark(slot, true);
        let next = std::mem::replace(&mut self.first[slot], timer);
        if next != NONE {
            self.timers[next as usize].previous = timer;
        }
        let linked = &mut self.timers[timer as usize];
        (linked.next, linked.previous) = (next, slot as u32 | IS_FIRST);
    }

    fn unlink(&mut self, timer: u32) {
        let Timer { next, previous, .. } = self.timers[timer as usize];
        if next != NONE {
            self.timers[next as usize].previous = previous;
        }
        if previous & IS_FIRST == 0 {
            self.timers[previous as usize].next = next;
            return;
        }
        let slot = (previous & !IS_FIRST) as usize;
        self.first[slot] = next;
        if next == NONE {
            self.mark(slot, false);
        }
    }
}
