use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::new(milliseconds)
}

/// What is due by `now`, in order.
fn advance<T: Ord>(wheel: &mut Wheel<T>, now: u64) -> Vec<(Timestamp, T)> {
    advance_by(usize::MAX, wheel, now)
}

/// The same in small steps. What is to come never comes before what `next_wake` says.
fn advance_by<T: Ord>(budget: usize, wheel: &mut Wheel<T>, now: u64) -> Vec<(Timestamp, T)> {
    let mut due = Vec::new();
    loop {
        let (wake, mut left, before) = (wheel.next_wake(), budget, due.len());
        let is_any = wheel.take_due(at(now), &mut left, &mut due);
        check(wheel);
        assert!(due[before..].iter().all(|(deadline, _)| wake.is_some_and(|wake| wake <= *deadline)));
        if !is_any {
            assert_eq!((left, due.len()), (budget, before), "nothing was left");
            due.sort();
            return due;
        }
    }
}

/// Every invariant of the module's docs, and that the lists are whole.
fn check<T>(wheel: &Wheel<T>) {
    let mut count = 0;
    for (list, &head) in wheel.heads.iter().enumerate() {
        let (mut prev, mut id) = (NONE, head);
        while id != NONE {
            let timer = &wheel.timers[id as usize];
            assert!(wheel.items[id as usize].is_some());
            assert_eq!(timer.prev, prev);
            let belongs = wheel.list_of(timer.deadline);
            assert!(if wheel.opening == Some(list) { belongs < list } else { belongs == list });
            assert!(list != OVERDUE || wheel.overdue_from <= timer.deadline);
            (prev, id) = (id, timer.next);
            count += 1;
        }
        if list != OVERDUE {
            let slot = list % SLOTS;
            assert_eq!(wheel.occupied[list / SLOTS][slot / 64] >> (slot % 64) & 1 == 1, head != NONE);
        }
    }
    assert_eq!(count, wheel.len());
    assert!(wheel.opening.is_none_or(|list| list >= SLOTS && wheel.heads[list] != NONE));
    let unused = std::iter::successors(Some(wheel.free), |&id| Some(wheel.timers.get(id as usize)?.next));
    let unused: Vec<u32> = unused.take_while(|&id| id != NONE).collect();
    assert!(unused.iter().all(|&id| wheel.timers[id as usize].prev == UNUSED));
    assert_eq!((unused.len() + count, wheel.items.len()), (wheel.timers.len(), wheel.timers.len()));
}

#[test]
fn a_timer_falls_due_at_its_millisecond() {
    for deadline in [1, 63, 255, 256, 257, 65_535, 65_536, 3_600_000, 1 << 60, u64::MAX] {
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
    wheel.insert(at(7), "later");
    // Time does not go back, and yet what is due depends on what is asked for.
    assert_eq!(advance(&mut wheel, 4), []);
    assert_eq!(advance(&mut wheel, 6), [(at(5), "past")]);
    assert_eq!(wheel.next_wake(), Some(at(7)));
    wheel.insert(at(1_001), "next");
    assert_eq!(wheel.len(), 3);
    assert_eq!(advance(&mut wheel, 1_001), [(at(7), "later"), (at(1_000), "now"), (at(1_001), "next")]);
}

/// However near one looks, what is due is not taken before it is asked for.
#[test]
fn refining_takes_nothing_out() {
    for deadline in [1, 256, 65_536, 65_537, 1 << 40] {
        let mut wheel = Wheel::new(at(0));
        wheel.insert(at(deadline), "first");
        wheel.insert(at(deadline + 70_000), "second");
        assert!(!wheel.refine(at(deadline - 1), usize::MAX));
        assert!(wheel.next_wake() >= Some(at(deadline - 1)), "as near as one can tell");
        while wheel.refine(at(deadline + 1_000_000), 1) {}
        assert_eq!(wheel.next_wake(), Some(at(deadline)));
        assert_eq!(advance(&mut wheel, deadline - 1), []);
        assert_eq!(advance(&mut wheel, deadline), [(at(deadline), "first")]);
        assert_eq!(wheel.len(), 1);
        check(&wheel);
    }
}

/// A slot that is being emptied is one like the others, whatever is done with its timers.
#[test]
fn a_crowded_slot_is_emptied_bit_by_bit() {
    let mut wheel = Wheel::new(at(0));
    let first: Vec<TimerId> = (0..10).map(|n| wheel.insert(at(65_536 + 256 * (n % 2)), n)).collect();
    assert!(wheel.refine(at(70_000), 4), "six more are in the slot");
    check(&wheel);
    assert_eq!(wheel.next_wake(), Some(at(65_536)));
    // The one that comes next in the slot, one behind it, one that has moved.
    wheel.cancel(first[5]);
    wheel.reschedule(first[2], at(65_536));
    wheel.reschedule(first[9], at(1 << 20));
    wheel.insert(at(65_537), 10);
    check(&wheel);
    let mut due = Vec::new();
    assert!(wheel.take_due(at(65_536), &mut 3, &mut due) && due.is_empty(), "three are moved down");
    let expected = [0, 2, 4, 6, 8].map(|n| (at(65_536), n));
    assert_eq!(advance_by(1, &mut wheel, 65_536), expected);
    let expected =
        [(65_537, 10), (65_792, 1), (65_792, 3), (65_792, 7), (1 << 20, 9)].map(|(t, n)| (at(t), n));
    assert_eq!(advance_by(2, &mut wheel, u64::MAX), expected);
}

/// As the docs of `next_wake` count them.
#[test]
fn wakes_before_the_deadline_are_few() {
    let starts = [0, 1, 254, 255, 65_535, (1 << 40) - 1, (1 << 40) - 1_000_000, 1_700_000_000_000];
    for to_go in [1, 255, 256, 257, 3_600_000, 31_536_000_000, 1 << 62] {
        for now in starts {
            let deadline = at(now + to_go);
            let mut wheel = Wheel::new(at(now));
            wheel.insert(deadline, ());
            let mut early = 0;
            while let Some(wake) = wheel.next_wake().filter(|&wake| wake < deadline) {
                assert_eq!(advance(&mut wheel, wake.get()), []);
                early += 1;
            }
            assert_eq!(wheel.next_wake(), Some(deadline));
            assert!(early <= (1 + to_go.ilog2() / 8).min(7), "{early} wakes from {now} for {to_go}");
        }
    }
}

#[test]
fn memory_is_given_back() {
    let mut wheel = Wheel::new(at(0));
    let ids: Vec<TimerId> = (1..=1_000).map(|deadline| wheel.insert(at(deadline), ())).collect();
    for &id in &ids[..990] {
        wheel.reschedule(id, at(7));
        wheel.cancel(id);
    }
    // The places are used again.
    for deadline in 1..=990 {
        wheel.insert(at(deadline), ());
    }
    assert_eq!(wheel.timers.len(), 1_000);
    assert_eq!(advance(&mut wheel, 1_000).len(), 1_000);
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
    Advance(usize, u64),
    Refine(usize, u64),
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

fn budget() -> impl Strategy<Value = usize> {
    prop_oneof![1_usize..3, Just(usize::MAX)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => moment().prop_map(Op::Insert),
        3 => (any::<prop::sample::Index>(), moment()).prop_map(|(i, at)| Op::Reschedule(i.index(1 << 20), at)),
        2 => any::<prop::sample::Index>().prop_map(|i| Op::Cancel(i.index(1 << 20))),
        2 => (budget(), moment()).prop_map(|(budget, at)| Op::Advance(budget, at)),
        2 => (0_usize..3, moment()).prop_map(|(budget, at)| Op::Refine(budget, at)),
        3 => Just(Op::Wake),
    ]
}

/// The timers in order, and by number their names in the wheel.
#[derive(Default)]
struct Model {
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
        let due: Vec<_> = self.timers.iter().take_while(|(deadline, _)| *deadline <= now).copied().collect();
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
        Op::Advance(budget, offset) => {
            assert_eq!(advance_by(budget, wheel, moment(offset).get()), model.advance(moment(offset)));
        }
        // Left half-way, or gone on with until all is known.
        Op::Refine(0, offset) => {
            wheel.refine(moment(offset), 1);
        }
        Op::Refine(budget, offset) => {
            let first = model.timers.first().map(|&(deadline, _)| deadline);
            while wheel.refine(moment(offset), budget) {}
            let is_known = wheel.next_wake().is_none_or(|wake| wake > moment(offset));
            assert!(is_known || wheel.heads[OVERDUE] != NONE || wheel.next_wake() == first);
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
        let mut model = Model::default();
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
