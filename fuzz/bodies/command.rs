//! Bytes as commands: whatever decodes can be encoded and applied, and the tree stays in order.

use spinney::Timestamp;
use spinney::internals::codec;
use spinney::internals::tree::{Command, Tree};

pub(crate) fn run(mut bytes: &[u8]) {
    let mut tree = Tree::new();
    let mut effects = Vec::new();
    while let Ok((command, read)) = codec::decode_prefix::<Command>(bytes) {
        let encoded = codec::encode(&command);
        assert!(encoded.len() <= read, "the encoding is the shortest");
        assert_eq!(codec::decode(&encoded).as_ref(), Ok(&command));
        bytes = &bytes[read..];

        let before = tree.index().get();
        effects.clear();
        // A refusal is as good an answer as any.
        let _ = tree.apply(Timestamp::new(before * 1000), command, &mut effects);
        let indexes: Vec<u64> = effects.iter().map(|effect| effect.change.index().get()).collect();
        assert_eq!(indexes, (before + 1..=tree.index().get()).collect::<Vec<_>>());
    }
    let nodes = || tree.root().descendants_with_hidden();
    assert_eq!(tree.file_count(), nodes().filter(|node| !node.is_dir()).count());
    assert_eq!(tree.timer_count(), nodes().filter(|node| node.deadline().is_some()).count());
    assert!(tree.next_wake() <= nodes().filter_map(spinney::Node::deadline).min());
}
