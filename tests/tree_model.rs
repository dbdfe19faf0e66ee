//! The tree against a naive model, over random commands.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod model;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Results, effects, index, content, timers, views held aside, and images read back: the same, step by step.
    #[test]
    fn the_tree_does_what_the_model_does(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        model::duel::play(&bytes);
    }
}
