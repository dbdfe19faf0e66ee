//! A store that begins alone, and grows to three members while it is written to.
//!
//! ```text
//!   cargo run --release --example grow
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use spinney::Store;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let root = std::env::temp_dir().join(format!("spinney-grow-{}", std::process::id()));
    let outcome = run(&root);
    std::fs::remove_dir_all(&root)?;
    outcome
}

fn run(root: &Path) -> Result<()> {
    // For months it was enough to be alone.
    let store = Store::open(root.join("n1"))?;
    store.set("/app/greeting", "Hello")?;
    drop(store);

    // The same directory, now as the first member of a cluster that others may join.
    let first = Store::builder().dir(root.join("n1")).member("n1").listen("127.0.0.1:0").open()?;
    let cluster = first.cluster().ok_or("a store that listens is a member")?;
    println!("n1 is alone at {}, with {} file", cluster.address(), first.status().files);

    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = {
        let (store, stop, written) = (first.clone(), Arc::clone(&stop), Arc::clone(&written));
        std::thread::spawn(move || -> std::result::Result<(), spinney::Error> {
            while !stop.load(Ordering::Relaxed) {
                store.create_in_order("/queue", "job")?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    };

    // Each of the others asks any member to be let in, catches up as a learner, and gets a vote.
    let mut others = Vec::new();
    for name in ["n2", "n3"] {
        let builder = Store::builder().dir(root.join(name)).member(name).listen("127.0.0.1:0");
        others.push(builder.join(cluster.address().to_string()).open()?);
        while !cluster.members().iter().any(|member| member.name == name && member.is_voter) {
            std::thread::sleep(Duration::from_millis(10));
        }
        println!("{name} has joined, and votes; {} jobs so far", written.load(Ordering::Relaxed));
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().map_err(|_| "the writer failed")??;

    let expected = written.load(Ordering::Relaxed);
    for (member, store) in cluster.members().iter().zip([&first].into_iter().chain(&others)) {
        let jobs = store.get_latest("/queue")?.children().count();
        println!(
            "{}: {jobs} jobs, greeting {:?}",
            member.name,
            store.get("/app/greeting")?.text().unwrap_or("")
        );
        if jobs != expected {
            return Err(format!("{expected} jobs were acknowledged").into());
        }
    }
    Ok(())
}
