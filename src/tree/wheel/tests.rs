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

/// As the docs of `next_wake` count them.
#[test]
fn wakes_before_the_deadline_are_few() {
    let starts = [0, 1, 62, 63, 4_095, (1 << 36) - 1, (1 << 36) - 1_000_000, 1_700_000_000_000];
    for to_go in [1, 63, 64, 65, 3_600_000, 31_536_000_000, 1 << 62] {
        for now in starts {
            let deadline = at(now + to_go);
            let mut wheel = Wheel::new(at(now));
            wheel.insert(deadline, ());
            let mut due = Vec::new();
            let mut early = 0;
            while let Some(wake) = wheel.next_wake().filter(|&wake| wake < deadline) {
                wheel.advance(wake, &mut due);
                early += 1;
            }
            assert!(due.is_empty() && wheel.next_wake() == Some(deadline));
            assert!(early <= (1 + to_go.ilog2() / 6).min(10), "{early} wakes from {now} for {to_go}");
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
