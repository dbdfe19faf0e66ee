//! Several operations at once: all of them, or none.

use super::{Check, Effect, Expect, Mismatch, Operation, Refused, Transaction, Tree, Value};
use crate::node::Node;
use crate::types::Index;

impl Tree {
    /// Runs the operations in order, if all checks hold; each takes the next index. When one is refused, the old
    /// root comes back and nothing has happened.
    pub(super) fn transact(
        &mut self,
        transaction: Transaction,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        for check in &transaction.checks {
            self.check(check)?;
        }
        let (root, index, before) = (self.nodes.root().clone(), self.index, effects.len());
        for operation in transaction.operations {
            match self.operate(operation) {
                Ok(effect) => effects.push(effect),
                Err(refused) => {
                    effects.truncate(before);
                    self.nodes.roll_back(root);
                    self.index = index;
                    return Err(refused.at(index));
                }
            }
        }
        Ok(())
    }

    fn operate(&mut self, operation: Operation) -> Result<Effect, Refused> {
        match operation {
            Operation::Put(put) => self.put(put),
            Operation::Delete(delete) => self.delete(delete),
            Operation::CreateInOrder(create) => self.create_in_order(create),
        }
    }

    fn check(&self, check: &Check) -> Result<(), Refused> {
        let current = self.get(&check.key).ok();
        let mismatch = match &check.expect {
            Expect::Present => current.is_none().then(Mismatch::default),
            Expect::Absent => current.is_some().then(Mismatch::default),
            Expect::Value(value) => match current {
                Some(node) if !node.is_dir() && *node.value() == *value.0 => None,
                _ => Some(Mismatch {
                    value: Some((value.clone(), Value::new(current.map_or(&[][..], Node::value)))),
                    index: None,
                }),
            },
            Expect::Index(index) => match current.map_or(Index::default(), Node::modified) {
                found if found == *index => None,
                found => Some(Mismatch { value: None, index: Some((*index, found)) }),
            },
        };
        match mismatch {
            None => Ok(()),
            Some(mismatch) => {
                let (key, current) = (check.key.clone(), current.cloned());
                Err(Refused::CompareFailed { key, mismatch, current, index: self.index })
            }
        }
    }
}
