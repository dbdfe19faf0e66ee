//! What was wrong once, in few lines each; the wider tests are in `tests/` (model, scripts, recorded v2 cases).

use proptest::collection::vec;
use proptest::prelude::*;

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

/// What a tree answered and told of one command.
type Told = (Result<usize, Refused>, Vec<Change>);

fn told(tree: &mut Tree, time: u64, command: Command, budget: Option<usize>) -> Told {
    let (time, mut effects) = (Timestamp::new(time), Vec::new());
    if let Some(budget) = budget {
        let mut count = 0;
        while tree.expire_due(time, budget, &mut effects) {
            assert!(effects.len() - count <= budget);
            count = effects.len();
        }
    }
    let own = tree.apply(time, command, &mut effects);
    (own, effects.into_iter().map(|effect| Change::clone(&effect.change)).collect())
}

proptest! {
    /// In one go or bit by bit, looked at closely before (and at a later time) or not: the same goes, in the same order.
    #[test]
    fn what_is_due_goes_alike_however_it_is_gone_about(
        commands in vec((0_usize..8, any::<bool>(), 0_u64..600, 0_u64..400), 1..60),
        budget in 1_usize..5,
        ahead in 0_u64..500,
    ) {
        let (mut whole, mut parts) = (Tree::new(), Tree::new());
        let mut time = 0;
        for (n, dir, ttl, step) in commands {
            time += step;
            while parts.refine_timers(Timestamp::new(time + ahead), budget) {}
            // Many have the same deadline, and some lie below others.
            let path = ["/d", "/d/a", "/d/b", "/d/e", "/d/e/a", "/a", "/b", "/c"][n];
            let command = Command::Put(put(path, Some(ttl / 100 * 100 + 100 - time % 100), dir));
            let expected = told(&mut whole, time, command.clone(), None);
            prop_assert_eq!(told(&mut parts, time, command, Some(budget)), expected);
        }
        let (end, rest) = (time + 2_000, || Command::Expire);
        prop_assert_eq!(told(&mut parts, end, rest(), Some(budget)), told(&mut whole, end, rest(), None));
        prop_assert_eq!((parts.timer_count(), parts.file_count(), parts.due.len()), (0, whole.file_count(), 0));
    }
}

/// Whoever looks on meanwhile sees the first of them gone; a command of an earlier time lets go of the rest before it.
#[test]
fn a_command_does_not_come_between_those_that_are_due() {
    let mut tree = Tree::new();
    for n in 0..10 {
        apply(&mut tree, 1, Command::Put(put(&format!("/{n}"), Some(9), false))).unwrap();
    }
    let mut effects = Vec::new();
    assert!(tree.expire_due(Timestamp::new(20), 14, &mut effects), "ten are looked at, four go");
    assert_eq!((effects.len(), tree.file_count(), tree.timer_count()), (4, 6, 6));
    assert_eq!((tree.index(), tree.next_wake()), (Index::new(14), Some(Timestamp::new(20))));
    let own = tree.apply(Timestamp::new(2), Command::Put(put("/9", None, false)), &mut effects).unwrap();
    assert_eq!((own, tree.index(), tree.timer_count()), (10, Index::new(21), 0));
    assert_eq!(effects[own].change.prev_node, None);
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
