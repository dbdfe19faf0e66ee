//! Instances of a service under keys with a TTL: each keeps its own alive, and one that dies is gone by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use spinney::{Action, Error, Event, Store};

/// How long an instance that is not heard of counts as alive.
const TTL: Duration = Duration::from_millis(400);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory();

    // Who needs the service watches the directory: those that come, and those that go.
    let watch = store.watch("/services/api").recursive().start()?;
    let watcher = watch.on_event(|event| {
        if let Event::Change(change) = event {
            let what = match change.action {
                Action::Expire => "is gone: it has not been heard of in time",
                Action::Delete => "has left",
                _ => "is here",
            };
            println!("watcher    {} {what}", change.node.name());
        }
    })?;

    let mut instances = Vec::new();
    for (name, address) in [("a", "10.0.0.1:80"), ("b", "10.0.0.2:80"), ("c", "10.0.0.3:80")] {
        instances.push(Instance::start(&store, name, address)?);
    }
    thread::sleep(TTL * 2);
    println!("discovery  {}", addresses(&store)?);

    // One dies: nobody says goodbye for it. Another leaves in good order.
    instances.remove(1).die();
    instances.remove(1).leave()?;
    thread::sleep(TTL * 2);
    println!("discovery  {}", addresses(&store)?);

    instances.remove(0).leave()?;
    drop(watcher);
    Ok(())
}

/// One instance, with a thread that renews its key.
struct Instance {
    store: Store,
    key: String,
    alive: Arc<AtomicBool>,
    heart: thread::JoinHandle<()>,
}

impl Instance {
    fn start(store: &Store, name: &str, address: &str) -> Result<Self, Error> {
        let key = format!("/services/api/{name}");
        store.put(&key).value(address).ttl(TTL).if_absent().send()?;
        let alive = Arc::new(AtomicBool::new(true));
        let heart = {
            let (store, key, alive) = (store.clone(), key.clone(), Arc::clone(&alive));
            thread::spawn(move || {
                while alive.load(Ordering::Relaxed) {
                    // A refresh renews the TTL and tells no watcher: nothing has changed for them.
                    if store.put(&key).ttl(TTL).refresh().if_exists().send().is_err() {
                        return;
                    }
                    thread::sleep(TTL / 4);
                }
            })
        };
        Ok(Self { store: store.clone(), key, alive, heart })
    }

    fn die(self) {
        self.alive.store(false, Ordering::Relaxed);
        let _ = self.heart.join();
    }

    fn leave(self) -> Result<(), Error> {
        let (store, key) = (self.store.clone(), self.key.clone());
        self.die();
        store.delete(key).map(drop)
    }
}

fn addresses(store: &Store) -> Result<String, Error> {
    let instances = store.list("/services/api")?;
    let addresses: Vec<_> = instances.iter().filter_map(|instance| instance.text()).collect();
    Ok(format!("{} instances: {}", addresses.len(), addresses.join(", ")))
}
