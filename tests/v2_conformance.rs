//! Recorded answers of etcd's v2 keys API, replayed against the tree.
//!
//! ```text
//!   conformance/v2-*.json ──► case ──► request ──► front ──► Tree        one command or read a request
//!                               │                    ├─────► watches     naive matcher over the effects
//!                               └────── expected ◄───┘                   the recorded answer, placeholders and all
//! ```
//! There is no HTTP here: `conformance/request.rs` reads parameters as an HTTP front has to, and the clock is a
//! number that the replay moves. What concerns HTTP alone is left out by name, in [`NOT_THE_TREE`].

#![expect(clippy::unwrap_used, reason = "a recording that cannot be read fails the test")]

mod conformance;

use std::collections::BTreeSet;
use std::path::Path;

use conformance::Replay;
use serde_json::Value;

/// What is left out: cases of the recording and, where a colon follows, single steps of one (from 0).
///
/// Each group says why no tree could answer.
const NOT_THE_TREE: &[(&str, &[&str])] = &[
    (
        "users and roles live in front of the tree",
        &[
            "auth-status",
            "auth-methods",
            "auth-paths",
            "auth-roles-empty",
            "auth-users-empty",
            "auth-enable-needs-root",
            "auth-user-create",
            "auth-user-root-gets-root-role",
            "auth-user-errors",
            "auth-user-update-errors",
            "auth-user-grant-revoke",
            "auth-user-with-roles",
            "auth-role-create",
            "auth-role-empty",
            "auth-role-grant-revoke",
            "auth-role-errors",
            "auth-enable-disable",
            "auth-guest-may-do-all-by-default",
            "auth-guest-restricted",
            "auth-bad-credentials",
            "auth-user-permissions",
            "auth-recursive-needs-prefix-permission",
            "auth-guest-recursive-quirk",
        ],
    ),
    (
        "methods and headers of HTTP",
        &[
            "method-not-allowed-keys",
            "method-options",
            "cors-headers-everywhere",
            "method-not-allowed-machines",
            "method-not-allowed-stats",
            "method-not-allowed-members",
            "method-not-allowed-version-health",
        ],
    ),
    (
        "endpoints beside the keys",
        &[
            "version",
            "health",
            "machines",
            "members-list",
            "members-not-found",
            "members-put-delete-unknown",
            "members-put-unknown-id",
            "members-bad-content-type",
            "members-bad-urls",
            "members-bad-json",
            "stats-self",
            "stats-leader",
            "stats-unknown",
        ],
    ),
    (
        "statistics are counted where requests come in",
        &[
            "stats-store-counts",
            "stats-store-failures",
            "stats-store-expire",
            "stats-store-bad-requests-uncounted",
        ],
    ),
    ("the parser of Content-Type", &["content-type-malformed"]),
    (
        "URLs are routed and redirected before a key is read from them",
        &[
            "path-double-slash-redirects",
            "path-dot-segments-redirect",
            "path-escaped-dot-segments-redirect",
            "path-redirect-keeps-escapes",
            "path-three-dots:2",
            "path-bad-escape",
            "path-not-under-keys",
            "path-case-of-prefix",
            "path-escaped-prefix",
            "path-absolute-form-target",
        ],
    ),
    (
        "keys of the tree are text without NUL",
        &[
            "path-invalid-utf8",
            "path-control-characters:1",
            "path-control-characters:2",
            "path-control-characters:3",
        ],
    ),
    (
        "a TTL beyond the end of time lasts for ever here; etcd's multiplication wraps",
        &["ttl-overflows-to-the-past-means-permanent"],
    ),
];

#[test]
fn on_a_fresh_tree() {
    replay_all("fresh", |_| Replay::new());
}

/// As the recording was made: one store for all cases, each cleaned away after itself, with a past that is longer
/// than history.
#[test]
fn on_a_tree_with_a_past() {
    replay_all("with a past", |previous| previous.unwrap_or_else(Replay::with_a_past));
}

/// Plays all cases, each on the tree that `tree` gives when handed the one of the case before.
fn replay_all(title: &str, tree: impl Fn(Option<Replay>) -> Replay) {
    let left_out: BTreeSet<&str> = NOT_THE_TREE.iter().flat_map(|(_, names)| *names).copied().collect();
    let mut unknown = left_out.clone();
    let (mut cases, mut steps, mut problems) = (0, 0, Vec::new());
    let mut replay = None;
    for case in recorded_cases() {
        let name = case["name"].as_str().unwrap();
        let is_left_out = |step| left_out.contains(format!("{name}:{step}").as_str());
        if unknown.remove(name) {
            continue;
        }
        let here: Vec<usize> = (0..case["steps"].as_array().unwrap().len()).collect();
        let (skipped, played): (Vec<usize>, _) = here.into_iter().partition(|&step| is_left_out(step));
        for step in skipped {
            unknown.remove(format!("{name}:{step}").as_str());
        }
        (cases, steps) = (cases + 1, steps + played.len());
        let mut on = tree(replay.take());
        problems.extend(on.case(&case, &played).into_iter().map(|problem| format!("{name}, {problem}")));
        replay = Some(on);
    }
    println!("{title}: {cases} cases, {steps} steps; {} cases or steps left out by name", left_out.len());
    assert!(unknown.is_empty(), "left out, but not in the recording: {unknown:?}");
    assert!(problems.is_empty(), "{} steps differ:\n{}", problems.len(), problems.join("\n"));
}

fn recorded_cases() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut files: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let cases = |path| match serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() {
        Value::Array(cases) => cases,
        other => panic!("not a list of cases: {other}"),
    };
    files.into_iter().flat_map(cases).collect()
}
