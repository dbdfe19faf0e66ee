//! The classic etcd story: a reverse proxy whose configuration follows the port of its backend.
//!
//! The backend says where it listens under `/services/web`; the proxy reads that, watches it from the index after,
//! and writes a new configuration whenever it changes. Nothing is polled, and nothing in between is missed.

use std::thread;
use std::time::Duration;

use spinney::{Event, Index, Node, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory();
    announce(&store, 8001)?;

    let proxy = {
        let store = store.clone();
        thread::spawn(move || follow(&store))
    };

    // The backend moves from port to port, as deployments do.
    for port in [8002, 8003, 8004] {
        thread::sleep(Duration::from_millis(100));
        announce(&store, port)?;
    }
    thread::sleep(Duration::from_millis(100));
    store.remove("/services/web").recursive().send()?;

    let configurations = proxy.join().map_err(|_| "the proxy failed")??;
    println!("proxy    wrote {configurations} configurations, one for each change");
    Ok(())
}

/// The backend's side: host and port change together, or not at all.
fn announce(store: &Store, port: u16) -> Result<(), spinney::Error> {
    store.txn().set("/services/web/host", "10.0.0.7").set("/services/web/port", port).commit()?;
    println!("backend  listens on port {port}");
    Ok(())
}

/// The proxy's side: read what is there, then follow from the index after, until the service is gone.
fn follow(store: &Store) -> Result<usize, spinney::Error> {
    let view = store.view();
    let mut configurations = 0;
    let mut written = configure(&view.get("/services/web")?, &mut configurations);

    let watch = store.watch("/services/web").recursive().since(view.index().next()).start()?;
    for event in &watch {
        match event {
            Event::Change(change) if change.action.is_removal() => {
                println!("proxy    {} {}: no backend is left", change.action, change.key());
                return Ok(configurations);
            }
            // A transaction's changes come one by one. The view shows both, or neither.
            Event::Change(change) if change.index() > written => {
                let view = store.view();
                if let Ok(service) = view.get("/services/web") {
                    written = configure(&service, &mut configurations).max(view.index());
                }
            }
            // Too slow to be told everything: here is what is there now.
            Event::Resync(resync) => {
                if let Some(service) = &resync.node {
                    written = configure(service, &mut configurations).max(resync.index);
                }
            }
            _ => {}
        }
    }
    Ok(configurations)
}

/// Writes the configuration that a real proxy would now load. Returns the index that it shows.
fn configure(service: &Node, configurations: &mut usize) -> Index {
    let part = |name| service.children().find(|node| node.name() == name);
    let text = |name| part(name).and_then(Node::text).unwrap_or("?");
    println!("proxy    upstream web {{ server {}:{}; }}", text("host"), text("port"));
    *configurations += 1;
    service.children().map(Node::modified).max().unwrap_or_default()
}
