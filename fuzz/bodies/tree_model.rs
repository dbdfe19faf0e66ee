//! Bytes as steps for the tree and the naive model of it.

#[path = "../../tests/model/mod.rs"]
mod model;

pub(crate) fn run(bytes: &[u8]) {
    model::duel::play(bytes);
}
