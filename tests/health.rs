//! A disk that is slow or stands still, a clock that is wrong, a member that lags: what `status` says of it, and what the
//! cluster does about it. Real members, sockets and files; only how long a sync takes is the test's to say.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

#[path = "health/disk.rs"]
mod disk;
#[path = "health/logs.rs"]
mod logs;
mod support;
#[path = "health/trio.rs"]
mod trio;

use std::time::Duration;

use disk::Syncs;
use spinney::{Error, Pending};
use support::wait_until;
use trio::{ELECTION, Trio, for_some_elections};

#[test]
fn a_disk_that_is_slow_or_stands_still_is_told_of_by_its_member_alone() {
    let trio = Trio::new();
    let follower = (trio.leader() + 1) % 3;
    let others = [(follower + 1) % 3, (follower + 2) % 3];

    trio.paces[follower].set(Syncs::Take(Duration::from_millis(250)));
    let mut count = 0;
    wait_until("a disk that is slow", || {
        count += 1;
        trio.stores[others[0]].set("/a", count).unwrap();
        trio.problems(follower).iter().any(|problem| problem.starts_with("the disk is slow: a sync takes "))
    });

    trio.paces[follower].set(Syncs::StandStill);
    trio.stores[others[0]].set("/a", "not there yet").unwrap();
    trio.wait_for_word(follower, "the disk stalls: a sync has not come back for ");
    for other in others {
        assert!(trio.problems(other).iter().all(|problem| !problem.contains("disk")), "whose disk is well");
    }

    trio.heal(follower);
    assert_eq!(trio.stores[follower].get("/a").unwrap().text(), Some("not there yet"));
}

#[test]
fn a_member_that_lags_is_told_of_by_the_leader_until_it_has_caught_up() {
    let trio = Trio::new();
    let leader = trio.leader();
    let follower = (leader + 1) % 3;
    // It hears all, and gets nothing on its disk.
    trio.paces[follower].set(Syncs::StandStill);
    let write = |count: u64| {
        let pending: Vec<Pending<_>> = (0..count)
            .map(|n| trio.stores[leader].put(format!("/n/{}", n % 100)).value(n).submit())
            .collect();
        pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    };
    let word = format!("member n{} lags behind, and is catching up", follower + 1);
    write(9_000);
    assert!(!trio.problems(leader).contains(&word), "so much may be under way");
    write(2_000);
    wait_until("word of it", || trio.problems(leader).contains(&word));

    trio.heal(follower);
    assert_eq!(trio.stores[follower].get("/n").unwrap().children().count(), 100);
}

#[test]
fn without_a_quorum_whoever_is_left_says_whom_it_reaches() {
    let mut trio = Trio::new();
    let leader = trio.leader();
    let left = trio.stores.swap_remove((leader + 1) % 3);
    trio.stores.clear();
    wait_until("word of it", || {
        let problems = left.status().problems;
        problems.contains(&"no leader is known; 1 of 3 members are within reach".to_owned())
            && problems.iter().filter(|problem| problem.ends_with(" is not within reach")).count() == 2
    });
    assert!(matches!(left.set("/a", "1"), Err(Error::Unavailable { .. })));
}

#[test]
fn a_clock_that_differs_from_the_leaders_is_told_of() {
    let trio = Trio::with_clocks([Duration::ZERO, Duration::ZERO, Duration::from_secs(100)]);
    // "this member's clock is 99.9 s ahead of the leader's"
    let told = |n: usize| {
        trio.problems(n).iter().find_map(|problem| {
            let (seconds, how) = problem.strip_prefix("this member's clock is ")?.split_once(" s ")?;
            Some((seconds.parse().unwrap(), how.to_owned()))
        })
    };
    for (leader, differing, wanted) in
        [(0, &[2][..], "ahead of the leader's"), (2, &[0, 1], "behind the leader's")]
    {
        trio.lead(leader);
        for &n in differing {
            wait_until("word of it", || {
                told(n)
                    .is_some_and(|(seconds, how): (f64, _)| (90.0..110.0).contains(&seconds) && how == wanted)
            });
        }
        for n in (0..3).filter(|n| !differing.contains(n)) {
            wait_until("no word where there is nothing to say", || told(n).is_none());
        }
    }
}

#[test]
fn a_follower_whose_disk_stands_still_hears_its_leader_and_costs_nobody_an_election() {
    let mut trio = Trio::new();
    let leader = trio.leader();
    let [follower, other] = [(leader + 1) % 3, (leader + 2) % 3];
    let before = trio.lead_by(leader);
    trio.paces[follower].set(Syncs::StandStill);
    for_some_elections(|count| {
        trio.stores[other].set("/a", count).unwrap();
        for n in 0..3 {
            assert_eq!(trio.lead_by(n), before, "as member {n} knows");
        }
    });
    // Without the third, the leader leads, and reads, by what the follower answers: with nothing new on its disk.
    trio.stores[other] = trio.stores[leader].clone();
    for_some_elections(|_| {
        trio.stores[leader].get_latest("/a").unwrap();
        assert_eq!([trio.lead_by(leader), trio.lead_by(follower)], [before; 2]);
    });
    trio.paces[follower].set(Syncs::AsTheyCome);
    trio.stores[follower].set("/a", "the last").unwrap();
    assert_eq!([trio.lead_by(leader), trio.lead_by(follower)], [before; 2]);
}

#[test]
fn a_leader_whose_disk_is_slow_but_comes_back_in_time_goes_on_leading() {
    let trio = Trio::new();
    let leader = trio.leader();
    let before = trio.lead_by(leader);
    // What is written while a sync runs waits for that, too: twice as long, and less than an election.
    trio.paces[leader].set(Syncs::Take(ELECTION.0 / 5));
    for_some_elections(|count| drop(trio.stores[(leader + 1) % 3].set("/a", count).unwrap()));
    for n in 0..3 {
        assert_eq!(trio.lead_by(n), before, "as member {n} knows");
    }
}

#[test]
fn a_leader_whose_disk_stands_still_makes_way_and_comes_back_as_a_follower() {
    let trio = Trio::new();
    let leader = trio.leader();
    let other = (leader + 1) % 3;
    let (_, term) = trio.lead_by(leader);
    trio.paces[leader].set(Syncs::StandStill);
    // What the two others have on disk is agreed on, whoever leads; the leader itself cannot apply it.
    let own = trio.stores[leader].put("/own").value("1").submit();
    trio.stores[other].set("/a", "1").unwrap();
    wait_until("another one leads", || {
        let (leads, since) = trio.lead_by(other);
        !trio.stores[leader].cluster().unwrap().is_leader() && leads.is_some() && since > term
    });
    let after = trio.lead_by(other);
    assert_ne!(after.0, Some(trio.stores[leader].cluster().unwrap().this()));
    for_some_elections(|count| drop(trio.stores[other].set("/a", count).unwrap()));
    assert_eq!(trio.lead_by(other), after, "one election is enough");

    trio.heal(leader);
    assert_eq!(trio.lead_by(leader), after);
    let _ = own.wait();
    assert_eq!(trio.stores[leader].get_latest("/own").unwrap().text(), Some("1"));
}
