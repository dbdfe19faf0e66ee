use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::inner::BRANCHES_MAX;
use super::leaf::SLOTS_MAX;
use super::word::word;
use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Child(Arc<(String, u32)>);

impl Child {
    fn new(name: &str, value: u32) -> Self {
        Self(Arc::new((name.to_owned(), value)))
    }
}

impl Named for Child {
    fn name(&self) -> &str {
        &self.0.0
    }
}

type Model = BTreeMap<String, u32>;

/// Every invariant of the module's docs but the one about removals, and how many children there are.
fn check(children: &Children<Child>) {
    let Some(root) = children.0.as_deref() else { return };
    let mut names = Vec::new();
    check_page(root, b"", None, &mut names);
    assert!(names.is_sorted_by(|a, b| a < b));
    assert_eq!(names.len(), children.len());
    assert!(!matches!(root, Page::Inner(inner) if inner.branches.len() < 2));
}

fn check_page(page: &Page<Child>, low: &[u8], high: Option<&[u8]>, names: &mut Vec<String>) {
    assert!(page.width() > 0 && page.width() <= page.width_max());
    let first = names.len();
    match page {
        Page::Few(few) => {
            assert!(high.is_none() && low.is_empty(), "few are a root");
            names.extend(few.0.iter().map_while(Option::as_ref).map(|child| child.name().to_owned()));
        }
        Page::Leaf(leaf) => {
            assert!(leaf.slots.capacity() <= leaf.slots.len() + 24 || leaf.slots.len() > SLOTS_MAX - 24);
            for slot in &leaf.slots {
                let begin = &leaf.slots[0].name()[..usize::from(leaf.skip)];
                assert!(slot.name().starts_with(begin));
                assert_eq!(slot.word, word(slot.name(), leaf.skip));
                names.push(slot.child.name().to_owned());
            }
        }
        Page::Inner(inner) => {
            assert_eq!(&*inner.branches[0].low, low);
            for (position, branch) in inner.branches.iter().enumerate() {
                if position > 0 {
                    assert!(branch.low.starts_with(&inner.branches[1].low[..usize::from(inner.skip)]));
                    assert_eq!(branch.word, word(&branch.low, inner.skip));
                }
                assert_eq!(branch.page.height() + 1, inner.height);
                let next = inner.branches.get(position + 1).map(|next| &*next.low);
                check_page(&branch.page, &branch.low, next.or(high), names);
            }
        }
    }
    for name in &names[first..] {
        assert!(low <= name.as_bytes() && high.is_none_or(|high| name.as_bytes() < high));
    }
    assert_eq!(page.len(), names.len() - first);
}

fn assert_is(children: &Children<Child>, model: &Model) {
    check(children);
    assert!(children.iter().map(|child| (&child.0.0, &child.0.1)).eq(model));
    assert_eq!(children.is_empty(), model.is_empty());
}

/// The names of `numbers`, and so their count, sequence and likeness, all in one dense space.
fn numbered(numbers: impl Iterator<Item = u32>) -> Children<Child> {
    let mut children = Children::default();
    for number in numbers {
        children.insert(Child::new(&format!("{number:020}"), number));
    }
    children
}

/// All numbers below `count`, each once, in no evident order.
fn scattered(count: u32) -> impl Iterator<Item = u32> {
    assert_ne!(count % 7_919, 0);
    (0..count).map(move |i| (u64::from(i) * 7_919 % u64::from(count)) as u32)
}

fn widths(page: &Page<Child>, leaves: &mut Vec<usize>) {
    match page {
        Page::Inner(inner) => inner.branches.iter().for_each(|branch| widths(&branch.page, leaves)),
        _ => leaves.push(page.width()),
    }
}

fn leaf_widths(children: &Children<Child>) -> Vec<usize> {
    let mut leaves = Vec::new();
    widths(children.0.as_deref().unwrap(), &mut leaves);
    leaves
}

/// How many pages of `children` are not pages of `before`.
fn pages_copied(before: &Children<Child>, children: &Children<Child>) -> usize {
    fn pages(page: &Arc<Page<Child>>, found: &mut Vec<*const Page<Child>>) {
        found.push(Arc::as_ptr(page));
        if let Page::Inner(inner) = &**page {
            inner.branches.iter().for_each(|branch| pages(&branch.page, found));
        }
    }
    let [mut old, mut new] = [Vec::new(), Vec::new()];
    pages(before.0.as_ref().unwrap(), &mut old);
    pages(children.0.as_ref().unwrap(), &mut new);
    old.sort_unstable();
    new.iter().filter(|page| old.binary_search(page).is_err()).count()
}

#[test]
fn an_empty_map_is_one_null_pointer_and_a_small_one_one_page() {
    assert_eq!(size_of::<Children<Child>>(), size_of::<usize>());
    assert_eq!(size_of::<Page<Child>>(), 40);
    let mut children = Children::default();
    assert!(children.is_empty() && children.get("a").is_none() && children.iter().next().is_none());
    for (name, count) in [("c", 1), ("a", 2), ("d", 3), ("b", 4)] {
        assert_eq!(children.insert(Child::new(name, 0)), None);
        assert!(matches!(children.0.as_deref(), Some(Page::Few(_))) && children.len() == count);
    }
    assert_eq!(children.iter().map(Named::name).collect::<String>(), "abcd");
    assert_eq!(children.insert(Child::new("b", 1)), Some(Child::new("b", 0)));
    assert_eq!(children.insert(Child::new("e", 0)), None);
    assert!(matches!(children.0.as_deref(), Some(Page::Leaf(_))));
    for name in ["a", "b", "e"] {
        assert!(children.remove(name).is_some());
        check(&children);
    }
    assert!(matches!(children.0.as_deref(), Some(Page::Few(_))));
    assert!(
        children.remove("c").is_some() && children.remove("c").is_none() && children.remove("d").is_some()
    );
    assert!(children.0.is_none());
}

#[test]
fn names_in_order_leave_full_pages() {
    let appended = |numbers: std::ops::Range<u32>| {
        let mut children = Children::default();
        for number in numbers {
            assert_eq!(children.append(Child::new(&format!("{number:020}"), number)), None);
        }
        children
    };
    for children in [numbered(0..20_000), appended(0..20_000)] {
        check(&children);
        let widths = leaf_widths(&children);
        assert_eq!(widths.len(), 20_000_usize.div_ceil(SLOTS_MAX));
        // Words tell them apart: no two in a leaf are alike.
        let Some(Page::Inner(root)) = children.0.as_deref() else { panic!("many are in several pages") };
        assert!(root.branches.len() <= BRANCHES_MAX && root.height == 2);
    }
    let mut children = numbered(0..1_000);
    children.append(Child::new("00000000000000000007", 1));
    assert_eq!((children.len(), children.get("00000000000000000007").unwrap().0.1), (1_000, 1));

    // Falling order, and rising order before a greater name, leave them nearly so.
    let mut below_config = Children::default();
    below_config.insert(Child::new("config", 0));
    (0..10_000).for_each(|number| {
        assert!(below_config.insert(Child::new(&format!("{number:020}"), number)).is_none())
    });
    for children in [below_config, numbered((0..10_000).rev())] {
        check(&children);
        assert!(leaf_widths(&children).len() <= children.len().div_ceil(SLOTS_MAX * 15 / 16) + 1);
    }
}

/// Names that fall just behind a full page, the greatest first, do not get a page each.
#[test]
fn a_full_page_in_the_middle_splits_with_room_on_both_sides() {
    let mut children = numbered(0..640);
    for letter in ('a'..='z').rev() {
        children.insert(Child::new(&format!("00000000000000000063{letter}"), 0));
    }
    check(&children);
    assert!(leaf_widths(&children).len() <= 15, "{:?}", leaf_widths(&children));
}

/// How many neighbours in one page their words do not tell apart.
fn ambiguous(page: &Page<Child>) -> usize {
    match page {
        Page::Few(_) => 0,
        Page::Leaf(leaf) => leaf.slots.windows(2).filter(|pair| pair[0].word == pair[1].word).count(),
        Page::Inner(inner) => {
            let later = &inner.branches[1..];
            let here = later.windows(2).filter(|pair| pair[0].word == pair[1].word).count();
            here + inner.branches.iter().map(|branch| ambiguous(&branch.page)).sum::<usize>()
        }
    }
}

#[test]
fn the_words_of_names_that_begin_alike_differ() {
    for children in [numbered(0..5_000), numbered(scattered(5_000))] {
        assert_eq!(ambiguous(children.0.as_deref().unwrap()), 0);
    }
    // Other names beside them are in the way within one page only.
    for numbers in [(0..5_000).collect::<Vec<_>>(), scattered(5_000).collect()] {
        let mut children = numbered(0..0);
        for name in ["a", "b", "c", "d", "e"] {
            children.insert(Child::new(name, 0));
        }
        for number in numbers {
            children.insert(Child::new(&format!("job-in-queue-{number:05}"), number));
        }
        assert!(ambiguous(children.0.as_deref().unwrap()) < SLOTS_MAX);
    }
}

#[test]
fn a_write_after_a_clone_copies_a_page_a_level() {
    let mut children = numbered(scattered(50_000));
    let before = children.clone();
    assert_eq!(pages_copied(&before, &children), 0);
    children.get_mut("00000000000000012345").unwrap().0 = Arc::new(("00000000000000012345".into(), 0));
    let Some(Page::Inner(root)) = before.0.as_deref() else { panic!("many are in several pages") };
    assert_eq!(pages_copied(&before, &children), usize::from(root.height) + 1);
    assert_eq!(before.get("00000000000000012345").unwrap().0.1, 12_345);

    let differences: Vec<_> = before.differences(&children).filter(|(mine, theirs)| mine != theirs).collect();
    assert_eq!(differences.len(), 1);
    assert!(before.differences(&children).count() <= SLOTS_MAX);
    assert_eq!(children.differences(&children).count(), 0);
    assert!(before != children && before == numbered(0..50_000));
}

/// The pages that the two share are passed over also where a split has made one of them higher.
#[test]
fn differences_visit_little_more_than_the_changes() {
    for count in [65, 2_048, 2_049, 50_000] {
        let before = numbered(0..count);
        let mut after = before.clone();
        for number in count..count + 200 {
            after.insert(Child::new(&format!("{number:020}"), number));
        }
        assert!(before.differences(&after).count() <= 200 + SLOTS_MAX, "{count}");
        assert_eq!(before.differences(&after).filter(|(mine, _)| mine.is_none()).count(), 200);
        for number in scattered(count).take(40) {
            after.remove(&format!("{number:020}"));
        }
        assert!(after.differences(&before).count() <= 200 + 41 * SLOTS_MAX, "{count}");
    }
}

/// Whether no two neighbours below one page fill half a page or less together.
fn is_filled(page: &Page<Child>) -> bool {
    let Page::Inner(inner) = page else { return true };
    inner.branches.iter().all(|branch| is_filled(&branch.page))
        && inner
            .branches
            .windows(2)
            .all(|pair| pair[0].page.width() + pair[1].page.width() > pair[0].page.width_max() / 2)
}

#[test]
fn removals_from_either_end_keep_the_pages_in_order() {
    for from_behind in [false, true] {
        let mut children = numbered(0..5_000);
        for i in 0..5_000 {
            let number = if from_behind { 4_999 - i } else { i };
            assert!(children.remove(&format!("{number:020}")).is_some());
            if i % 50 == 14 {
                check(&children);
                assert!(is_filled(children.0.as_deref().unwrap()));
                // What belonged in a page that is gone still finds its place.
                children.insert(Child::new(&format!("{number:020}"), 0));
                check(&children);
                children.remove(&format!("{number:020}"));
            }
        }
        assert!(children.0.is_none());
    }
}

#[test]
fn removals_give_the_pages_back() {
    let mut children = numbered(scattered(30_000));
    for number in scattered(30_000) {
        if number % 10 != 0 {
            assert!(children.remove(&format!("{number:020}")).is_some());
        }
    }
    check(&children);
    assert!(is_filled(children.0.as_deref().unwrap()));
    let widths = leaf_widths(&children);
    assert!(widths.len() < 3_000 / (SLOTS_MAX / 4), "{} leaves for 3,000", widths.len());
    for number in (0..30_000).step_by(10) {
        assert!(children.remove(&format!("{number:020}")).is_some());
    }
    assert!(children.0.is_none());
}

/// Short names, long ones, ones that share a beginning longer than a word, and text beyond ASCII.
fn name() -> impl Strategy<Value = String> {
    let number = 0_u32..40;
    prop_oneof![
        2 => "[a-c]{1,3}",
        2 => "[a-b]{8,12}",
        2 => (0_u32..3_000).prop_map(|number| format!("{number:020}")),
        2 => number.prop_map(|number| format!("job-in-queue-{number}")),
        1 => "[aäé木]{1,5}",
        1 => "[ -.0-~]{1,20}",
        1 => "a\u{1}{0,3}",
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Insert(String, u32),
    Append(String, u32),
    Change(String, u32),
    /// Many names that follow each other, so that few operations make a deep tree.
    Fill(String, u32),
    /// Every `n`th child.
    Thin(usize),
    Remove(String),
    Keep,
}

fn op() -> impl Strategy<Value = Op> {
    let value = 0_u32..100;
    prop_oneof![
        6 => (name(), value.clone()).prop_map(|(name, value)| Op::Insert(name, value)),
        2 => (name(), value.clone()).prop_map(|(name, value)| Op::Append(name, value)),
        2 => (name(), value.clone()).prop_map(|(name, value)| Op::Change(name, value)),
        1 => (name(), 1_u32..400).prop_map(|(name, count)| Op::Fill(name, count)),
        1 => (1_usize..5).prop_map(Op::Thin),
        5 => name().prop_map(Op::Remove),
        1 => Just(Op::Keep),
    ]
}

fn run(op: Op, children: &mut Children<Child>, model: &mut Model) {
    let old = |name: &str, old: Option<u32>| old.map(|value| Child::new(name, value));
    match op {
        Op::Insert(name, value) => {
            let replaced = children.insert(Child::new(&name, value));
            assert_eq!(replaced, old(&name, model.insert(name.clone(), value)));
        }
        Op::Append(name, value) => {
            let replaced = children.append(Child::new(&name, value));
            assert_eq!(replaced, old(&name, model.insert(name.clone(), value)));
        }
        Op::Change(name, value) => {
            let child = children.get_mut(&name);
            assert_eq!(child.is_some(), model.contains_key(&name));
            if let Some(child) = child {
                *child = Child::new(&name, value);
                model.insert(name, value);
            }
        }
        Op::Fill(name, count) => {
            for number in scattered(count) {
                let name = format!("{name}{number}");
                children.insert(Child::new(&name, number));
                model.insert(name, number);
            }
        }
        Op::Thin(step) => {
            for name in model.keys().step_by(step).cloned().collect::<Vec<_>>() {
                assert_eq!(children.remove(&name), old(&name, model.remove(&name)));
            }
        }
        Op::Remove(name) => assert_eq!(children.remove(&name), old(&name, model.remove(&name))),
        Op::Keep => {}
    }
}

/// What differs under one name, as the values on either side.
type Difference = (String, [Option<u32>; 2]);

fn naive_differences(left: &Model, right: &Model) -> Vec<Difference> {
    let both: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    both.into_iter()
        .map(|name| (name.clone(), [left, right].map(|model| model.get(name).copied())))
        .filter(|(_, [left, right])| left != right)
        .collect()
}

fn assert_differences(left: (&Children<Child>, &Model), right: (&Children<Child>, &Model)) {
    let told = left.0.differences(right.0).map(|(left, right)| -> Difference {
        let name = left.or(right).expect("one side has the name").name().to_owned();
        assert!([left, right].into_iter().flatten().all(|child| child.name() == name));
        (name, [left, right].map(|child| child.map(|child| child.0.1)))
    });
    let mut told: Vec<_> = told.collect();
    assert!(told.is_sorted_by(|a, b| a.0 < b.0));
    // Of what is not shared, it may tell equal pairs as well.
    told.retain(|(_, [left, right])| left != right);
    assert_eq!(told, naive_differences(left.1, right.1));
    assert_eq!(left.0 == right.0, left.1 == right.1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn it_is_a_sorted_map_whose_clones_do_not_change(ops in vec(op(), 1..120), probes in vec(name(), 20)) {
        let mut children = Children::default();
        let mut model = Model::new();
        let mut kept = Vec::new();
        for op in ops {
            if matches!(op, Op::Keep) {
                kept.push((children.clone(), model.clone()));
            }
            run(op, &mut children, &mut model);
            check(&children);
        }
        assert_is(&children, &model);
        for probe in &probes {
            prop_assert_eq!(children.get(probe).map(|child| child.0.1), model.get(probe).copied());
        }
        prop_assert_eq!(children.last().map(Named::name), model.keys().last().map(String::as_str));
        for (old, old_model) in &kept {
            assert_is(old, old_model);
            assert_differences((old, old_model), (&children, &model));
            assert_differences((&children, &model), (old, old_model));
        }
        for pair in kept.windows(2) {
            assert_differences((&pair[0].0, &pair[0].1), (&pair[1].0, &pair[1].1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn it_holds_many(
        numbers in vec(0_u32..50_000, 25_000),
        runs in vec((any::<bool>(), prop_oneof![Just(0), 0_u32..50_000], 1_u32..6_000), 8),
    ) {
        let mut children = Children::default();
        let mut model = Model::new();
        for (number, i) in numbers.into_iter().zip(0..) {
            // Every fifth operation removes, so that more than 10,000 remain.
            let name = format!("{number:06}");
            run(if i % 5 == 4 { Op::Remove(name) } else { Op::Insert(name, i) }, &mut children, &mut model);
        }
        prop_assert!(model.len() > 10_000);
        // Whole pages come and go, high ones too.
        for (is_removal, first, count) in runs {
            let (old, old_model) = (children.clone(), model.clone());
            for number in first..first + count {
                let name = format!("{number:06}");
                run(if is_removal { Op::Remove(name) } else { Op::Insert(name, 0) }, &mut children, &mut model);
            }
            assert_is(&children, &model);
            assert_is(&old, &old_model);
            assert_differences((&old, &old_model), (&children, &model));
        }
    }
}
