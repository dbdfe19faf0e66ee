//! The five-minute tour: set, get, list, watch, TTL, compare-and-swap, transaction, reopen.

use std::time::Duration;

use spinney::{Action, Error, Event, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;

    // A store is a directory. Opening it makes it.
    let store = Store::open(directory.path())?;

    // Keys are paths; the directories on the way come by themselves.
    store.set("/app/name", "spinney")?;
    store.set("/app/port", 8080)?;
    let port: Option<u16> = store.get("/app/port")?.parse();
    println!("get    /app/port = {port:?}");
    for node in store.list("/app")? {
        println!("list   {} = {}", node.key(), node.text().unwrap_or("(binary)"));
    }

    // A watch tells of every change, once and in order. This one covers everything below /app.
    let watch = store.watch("/app").recursive().start()?;
    store.set("/app/port", 9090)?;
    if let Event::Change(change) = watch.recv()? {
        let before = change.prev_node.as_ref().and_then(|node| node.text());
        println!("watch  {} {}: {:?} -> {:?}", change.action, change.key(), before, change.node.text());
    }

    // A key with a TTL goes by itself, and watchers are told.
    store.put("/app/session").value("short").ttl(Duration::from_millis(200)).send()?;
    for event in &watch {
        if let Event::Change(change) = event {
            println!("ttl    {} {}", change.action, change.key());
            if change.action == Action::Expire {
                break;
            }
        }
    }

    // Compare-and-swap: whoever was first wins, and the loser learns what is there.
    store.put("/app/port").value(9091).if_value(9090).send()?;
    match store.put("/app/port").value(9092).if_value(9090).send() {
        Err(Error::CompareFailed { cause, .. }) => println!("cas    refused: {cause}"),
        other => println!("cas    {other:?}"),
    }

    // Several keys at once, or none of them.
    let changes =
        store.txn().check("/app/port").is(9091).set("/app/port", 80).delete("/app/name").commit()?;
    println!("txn    {} changes up to index {}", changes.len(), store.index());

    // Closing is dropping. What was acknowledged is there when the directory is opened again.
    drop((watch, store));
    let store = Store::open(directory.path())?;
    println!("reopen /app/port = {:?} at index {}", store.get("/app/port")?.text(), store.index());
    Ok(())
}
