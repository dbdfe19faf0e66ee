//! Three members in this process.

use std::cell::RefCell;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spinney::Store;

use crate::Result;
use crate::table::{Reach, Row, Unit};
use crate::turns::in_turns;

/// What every key holds.
pub(crate) const VALUE: [u8; 64] = [b'x'; 64];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The members, each with where it lives.
pub(crate) struct Members {
    peers: Vec<(String, String)>,
    has_leases: bool,
    directory: PathBuf,
    stores: RefCell<Vec<Option<Store>>>,
}

/// What is set and got.
pub(crate) fn keys() -> Vec<String> {
    (0..10_000).map(|n| format!("/svc/{:04}/{:04}", n % 100, n / 100)).collect()
}

pub(crate) fn set(store: &Store, key: &str) -> Result<()> {
    store.set(key, VALUE)?;
    Ok(())
}

impl Members {
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        Self::found(directory, false)
    }

    /// Members whose leader reads what is newest without asking anybody.
    pub(crate) fn start_with_leases(directory: &Path) -> Result<Self> {
        Self::found(directory, true)
    }

    fn found(directory: &Path, has_leases: bool) -> Result<Self> {
        let listeners: Vec<_> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        let addresses = listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
        let addresses = addresses.collect::<Result<Vec<_>>>()?;
        drop(listeners);
        let peers = addresses.into_iter().zip(1..).map(|(address, n)| (format!("n{n}"), address)).collect();
        let stores = RefCell::new(vec![None, None, None]);
        let members = Self { peers, has_leases, directory: directory.to_owned(), stores };
        for n in 0..3 {
            members.open(n)?;
        }
        // Every key is there, so that all sets do the same.
        let leader = members.leader()?;
        for key in keys() {
            leader.set(key, VALUE)?;
        }
        Ok(members)
    }

    fn open(&self, n: usize) -> Result<()> {
        let (name, address) = &self.peers[n];
        let builder = Store::builder().dir(self.directory.join(name)).member(name).listen(address);
        let builder = if self.has_leases { builder.leases() } else { builder };
        self.stores.borrow_mut()[n] = Some(builder.peers(self.peers.clone()).open()?);
        Ok(())
    }

    fn leading(&self) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let leads = |store: &Option<Store>| {
                store.as_ref().and_then(Store::cluster).is_some_and(|cluster| cluster.is_leader())
            };
            if let Some(leader) = self.stores.borrow().iter().position(leads) {
                return Ok(leader);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("nobody leads".into())
    }

    /// The member that leads.
    pub(crate) fn leader(&self) -> Result<Store> {
        let leader = self.leading()?;
        self.stores.borrow()[leader].clone().ok_or_else(|| "it was closed".into())
    }

    /// How long it takes from when a leader begins to close until another member has written. A leader that is killed
    /// cannot hand over; that is measured with processes.
    pub(crate) fn failovers(&self, what: &str, count: usize) -> Result<Row> {
        let failover = || {
            let leader = self.leading()?;
            let other = (leader + 1) % 3;
            let lost = self.stores.borrow_mut()[leader].take();
            let survivor = self.stores.borrow()[other].clone().ok_or("it was closed")?;
            let began = Instant::now();
            let closing = std::thread::spawn(move || drop(lost));
            survivor.set("/failover", "x")?;
            let took = began.elapsed();
            closing.join().map_err(|_| "closing failed")?;
            self.open(leader)?;
            // It has to be whole again before the next one goes.
            self.stores.borrow()[leader].as_ref().ok_or("it was closed")?.get_latest("/failover")?;
            Ok([took.as_secs_f64() * 1e3])
        };
        let [[spinney]] = in_turns(count, [Box::new(failover)])?;
        Ok(Row {
            what: what.to_owned(),
            unit: Unit::Milliseconds,
            spinney,
            limit: None,
            reach: Reach::AtMost(150.0),
        })
    }
}
