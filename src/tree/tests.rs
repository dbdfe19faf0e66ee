//! What was wrong once, in few lines each; the wider tests are in `tests/` (model, scripts, recorded v2 cases).

use super::*;
use crate::codec;
use crate::key::KEY_PARTS_MAX;

fn put(path: &str, ttl_ms: Option<u64>, dir: bool) -> Put {
    let key = Key::parse(path).unwrap();
    Put { key, mode: PutMode::Set, value: Value::default(), ttl_ms, dir, refresh: false }
}

fn apply(tree: &mut Tree, time: u64, command: Command) -> Result<Vec<Effect>, Refused> {
    let mut effects = Vec::new();
    tree.apply(Timestamp::new(time), command, &mut effects).map(|own| effects.split_off(own))
}

#[test]
fn a_refused_transaction_names_the_index_it_left_the_tree_at() {
    let mut tree = Tree::new();
    let operations = vec![Operation::Put(put("/a", None, false)), Operation::Put(put("/a/b", None, false))];
    let refused = apply(&mut tree, 1, Command::Transaction(Transaction { checks: Vec::new(), operations }));
    let key = Key::parse("/a").unwrap();
    assert_eq!(refused.unwrap_err(), Refused::NotADirectory { key, index: Index::new(0) });
    assert_eq!(tree.index(), Index::new(0));
}

#[test]
fn a_directory_with_the_longest_ttl_has_no_timer() {
    let mut tree = Tree::new();
    apply(&mut tree, 1, Command::Put(put("/d", None, true))).unwrap();
    let update = Put { mode: PutMode::Update, ..put("/d", Some(u64::MAX), true) };
    apply(&mut tree, 1, Command::Put(update)).unwrap();
    assert_eq!(tree.get("/d").unwrap().deadline(), None);
    assert_eq!((tree.timer_count(), tree.next_wake()), (0, None));
}

#[test]
fn in_order_creation_goes_no_deeper_than_a_key_can() {
    let mut tree = Tree::new();
    let create = |depth: usize| {
        let directory = Key::parse(&"/d".repeat(depth)).unwrap();
        Command::CreateInOrder(CreateInOrder { directory, value: Value::default(), ttl_ms: None, dir: false })
    };
    assert!(apply(&mut tree, 1, create(KEY_PARTS_MAX - 1)).is_ok());
    let refused = apply(&mut tree, 1, create(KEY_PARTS_MAX)).unwrap_err();
    let key = Key::parse(&"/d".repeat(KEY_PARTS_MAX)).unwrap();
    assert_eq!(refused, Refused::TooDeep { key, index: Index::new(1) });
}

/// A node as images have it: its depth, name, indexes, deadline, and value unless it is a directory.
type Written<'a> = (u16, &'a str, u64, u64, Option<u64>, Option<codec::Slice<'a>>);

fn file(depth: u16, name: &str) -> Written<'_> {
    (depth, name, 1, 1, None, Some(codec::Slice(b"")))
}

fn directory(depth: u16, name: &str) -> Written<'_> {
    (depth, name, 1, 1, None, None)
}

fn load(nodes: &[Written<'_>]) -> Result<Tree, ImageError> {
    let mut loader = Loader::new();
    let chunk: Vec<u8> = nodes.iter().flat_map(codec::encode).collect();
    loader.chunk(&chunk)?;
    Ok(loader.finish(Index::new(1), Timestamp::new(1)))
}

#[test]
fn an_image_is_loaded() {
    let tree = load(&[directory(1, "a"), file(2, "b"), file(1, "a!")]).unwrap();
    let keys: Vec<&str> = tree.root().descendants().map(|node| node.key().as_str()).collect();
    assert_eq!(keys, ["/a", "/a/b", "/a!"]);
}

#[test]
fn an_image_of_no_tree_is_refused() {
    let misplaced: &[&[Written<'_>]] = &[
        &[file(0, "root")],
        &[file(2, "below_nothing")],
        &[file(1, "a"), file(2, "below_a_file")],
        &[directory(1, "a"), file(2, "b"), file(4, "too_deep")],
        &[file(1, "twice"), file(1, "twice")],
        &[directory(1, "twice"), file(2, "a"), directory(1, "twice")],
        &[file(1, "b"), file(1, "a")],
        &[file(1, "")],
        &[file(1, "..")],
        &[file(1, "two/parts")],
        &[file(1, "slash/")],
        &[file(1, "/slash")],
        &[file(1, "nul\0")],
    ];
    for nodes in misplaced {
        assert!(matches!(load(nodes), Err(ImageError::Misplaced { .. })), "{nodes:?}");
    }
    let mut loader = Loader::new();
    let whole = codec::encode(&file(1, "a"));
    assert!(matches!(loader.chunk(&whole[..whole.len() - 1]), Err(ImageError::Decode(_))));
}
