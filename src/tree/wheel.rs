//! Placeholder.
#![allow(missing_docs)]
use crate::types::Timestamp;
use std::collections::BTreeMap;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerId(u32);
pub struct Wheel<T> {
    map: BTreeMap<u32, (Timestamp, T)>,
    next: u32,
}
impl<T> Wheel<T> {
    pub fn new(_: Timestamp) -> Self {
        Self { map: BTreeMap::new(), next: 0 }
    }
    pub fn insert(&mut self, d: Timestamp, t: T) -> TimerId {
        self.next += 1;
        self.map.insert(self.next, (d, t));
        TimerId(self.next)
    }
    pub fn cancel(&mut self, id: TimerId) -> T {
        self.map.remove(&id.0).expect("there").1
    }
    pub fn reschedule(&mut self, id: TimerId, d: Timestamp) {
        self.map.get_mut(&id.0).expect("there").0 = d
    }
    pub fn advance(&mut self, now: Timestamp, due: &mut Vec<(Timestamp, T)>) {
        let ids: Vec<u32> = self.map.iter().filter(|(_, e)| e.0 <= now).map(|(i, _)| *i).collect();
        for i in ids {
            due.push(self.map.remove(&i).expect("there"));
        }
    }
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.map.values().map(|e| e.0).min()
    }
}
