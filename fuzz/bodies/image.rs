//! Bytes as the chunks of an image: what can be loaded is a tree like any other, and its own image is of it.
//!
//! Two bytes say how long each chunk is.

use spinney::internals::tree::{Command, Loader, NodeImages, Tree};
use spinney::{Index, Timestamp};

pub(crate) fn run(mut bytes: &[u8]) {
    let mut chunks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (chunk, rest) = rest.split_at(length);
        chunks.push(chunk.to_vec());
        bytes = rest;
    }
    let Some(mut tree) = load(&chunks) else { return };
    assert!(tree.root().descendants_with_hidden().all(|node| tree.get(node.key()) == Ok(node)));
    let image = image_of(&tree);
    let again = load(&image).expect("what was written can be read");
    assert!(again.root() == tree.root());
    assert_eq!(image_of(&again), image);
    assert_eq!(
        (again.file_count(), again.timer_count(), again.next_wake(), again.bytes()),
        (tree.file_count(), tree.timer_count(), tree.next_wake(), tree.bytes())
    );

    // At the end of time all goes that goes at all.
    let mut effects = Vec::new();
    tree.apply(Timestamp::new(u64::MAX), Command::Expire, &mut effects).expect("nothing is refused");
    assert!(tree.root().descendants_with_hidden().all(|node| node.deadline().is_none()));
    assert_eq!((tree.timer_count(), tree.next_wake()), (0, None));
}

fn image_of(tree: &Tree) -> Vec<Vec<u8>> {
    NodeImages::new(tree.root(), 0).map(|chunk| chunk[1..].to_vec()).collect()
}

fn load(chunks: &[Vec<u8>]) -> Option<Tree> {
    let mut loader = Loader::new();
    for chunk in chunks {
        loader.chunk(chunk).ok()?;
    }
    Some(loader.finish(Index::new(1000), Timestamp::new(1000)))
}
