//! The lock around a tree, whose writer makes way for readers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

use crate::tree::Tree;

/// A tree with many readers and one writer.
///
/// Sharded, so that readers on two cores do not pass one cache line back and forth. By itself it would starve them: a writer
/// that lets go only to go on has the lock again before anybody whom it kept waiting has woken up.
pub(crate) struct TreeLock {
    tree: ShardedLock<Tree>,
    /// How many readers found the lock taken and do not have it yet.
    waiting: AtomicUsize,
}

impl TreeLock {
    pub(crate) fn new(tree: Tree) -> Self {
        Self { tree: ShardedLock::new(tree), waiting: AtomicUsize::new(0) }
    }

    pub(crate) fn read(&self) -> ShardedLockReadGuard<'_, Tree> {
        if let Ok(tree) = self.tree.try_read() {
            return tree;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let tree = self.tree.read();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        tree.expect("the tree does not panic")
    }

    /// For the writer, who comes from elsewhere.
    pub(crate) fn write(&self) -> ShardedLockWriteGuard<'_, Tree> {
        self.tree.write().expect("the tree does not panic")
    }

    /// For the writer, who has let go only to go on: after those whom it has kept waiting. That takes as long as waking them
    /// up, since nobody else keeps them out, and who comes now does not wait.
    pub(crate) fn write_again(&self) -> ShardedLockWriteGuard<'_, Tree> {
        while self.waiting.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::bounded;

    use super::*;
    use crate::types::Timestamp;

    /// Longer than any machine is that busy.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn who_waits_for_the_writer_is_next() {
        let lock = TreeLock::new(Tree::new());
        let (begin, begun) = bounded::<()>(0);
        let (seen, sees) = bounded(1);
        thread::scope(|scope| {
            let lock = &lock;
            scope.spawn(move || {
                for () in begun {
                    let time = lock.read().time();
                    if seen.send(time).is_err() {
                        return;
                    }
                }
            });
            let mut tree = lock.write();
            for round in 1..=1_000 {
                begin.send_timeout((), PATIENCE).unwrap();
                let comes = (0..PATIENCE.as_millis() * 10).any(|_| {
                    thread::sleep(Duration::from_micros(100));
                    lock.waiting.load(Ordering::Relaxed) == 1
                });
                assert!(comes, "nobody knows of the reader");
                drop(tree);
                tree = lock.write_again();
                tree.expire_due(Timestamp::new(round), 1, &mut Vec::new());
                // With the lock held: who has not been here yet gets here too late.
                let time = sees.recv_timeout(PATIENCE);
                assert_eq!(time, Ok(Timestamp::new(round - 1)), "the writer went ahead");
            }
            drop(begin);
        });
    }
}
