//! A member that was away while so much was written that the others have reclaimed the log it would need: it catches up by
//! a snapshot, and crashes in the middle of that, on either side, change nothing.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

#[path = "support/links.rs"]
#[allow(dead_code, reason = "others spoil more of it")]
mod links;
#[path = "catch_up/process.rs"]
mod process;
mod support;

use std::time::Duration;

use process::{Facts, Trio};
use support::wait_until;

/// How much is written while a member is away, and to how many keys.
const WRITES: usize = 1_000_000;
const KEYS: usize = 400_000;

/// How large the log grows until a snapshot replaces it.
const LOG_BYTES: u64 = 16 << 20;

/// How long each piece of what is said to the member that comes back takes, so that there is a middle to crash in.
const DELAY: Duration = Duration::from_millis(15);

#[test]
fn a_member_that_was_away_catches_up_though_the_log_is_gone_and_both_ends_crash() {
    let mut trio = Trio::start(LOG_BYTES);
    let leader = trio.leader(&[0, 1, 2]);
    trio.ask(leader, "write before 1000 1000");
    let away = (leader + 1) % 3;
    let other = (leader + 2) % 3;
    let before = trio.facts(away).applied;
    trio.kill(away);

    trio.ask(leader, &format!("write while {WRITES} {KEYS}"));
    for member in [leader, other] {
        let Facts { log_bytes, saved, .. } = trio.facts(member);
        assert!(saved > before + 1000, "member {member} has not let go of the log: {saved} after {before}");
        let most = 4 * LOG_BYTES + u64::from(process::segment_bytes(member));
        assert!(log_bytes <= most, "the log of member {member} has {log_bytes} bytes, and {most} at most");
    }

    // The one that receives dies in the middle.
    for member in [leader, other] {
        trio.links.line(member, away).delay(DELAY);
    }
    let whole = trio.snapshot_bytes(leader);
    trio.start_member(away);
    wait_until("a quarter of the snapshot", || trio.received_bytes(away) >= whole / 4);
    assert_eq!(trio.facts(away).resyncs, 0, "it is not there yet");
    trio.kill(away);

    // The one that sends dies in the middle, and whoever takes its place sends its own.
    trio.start_member(away);
    wait_until("half of the snapshot", || trio.received_bytes(away) >= whole / 2);
    trio.kill(leader);
    assert_eq!(trio.leader(&[other]), other, "the other one does not have everything");
    trio.links.mend();
    trio.ask(other, "write after 1000 1000");
    wait_until("word of what was missed", || trio.facts(away).resyncs > 0);

    trio.start_member(leader);
    let digests = [0, 1, 2].map(|member| trio.ask(member, "digest"));
    assert!(digests.iter().all(|digest| *digest == digests[0]), "members differ: {digests:?}");
    let files = trio.facts(away).files;
    assert_eq!(files, 2000 + KEYS, "something is missing");
}
