//! Lanes: where connections are served, once they are taken at a door.
//!
//! ```text
//!   door ─► connection ─► the lane with the fewest ─┬─► lane: a thread, a runtime for it, a task for each connection
//!                                                   └─► lane: …
//! ```
//! A server with threads of its own has a lane on each. They share nothing, and a connection stays where it is: all
//! that belongs to a request happens on one thread, and no other is woken for it. On somebody else's runtime there is
//! one lane, and where its tasks run is that runtime's to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::connection::{self, Arrival, Handler, House};
use super::pulse::Pulse;
use super::roll::Roll;

/// The ends of all lanes at which connections come in. When it is gone, lanes end as soon as they have served what they
/// have.
pub(super) struct Lanes(Vec<Entrance>);

struct Entrance {
    // As many as may be open at once, at most.
    arrivals: UnboundedSender<Arrival>,
    open: Arc<AtomicUsize>,
}

impl Lanes {
    /// So many of them.
    pub(super) fn new(count: usize) -> (Self, Vec<Lane>) {
        let (entrances, lanes) = (0..count.max(1)).map(|_| lane()).unzip();
        (Self(entrances), lanes)
    }

    /// Hands a connection to the lane that has the fewest.
    pub(super) fn take(&self, arrival: Arrival) {
        let entrance = self.0.iter().min_by_key(|entrance| entrance.open.load(Ordering::Relaxed));
        if let Some(Entrance { arrivals, open }) = entrance {
            open.fetch_add(1, Ordering::Relaxed);
            // Where a lane is gone, its runtime is, and the connection goes with it.
            let _ = arrivals.send(arrival);
        }
    }
}

fn lane() -> (Entrance, Lane) {
    let (sender, arrivals) = unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    (Entrance { arrivals: sender, open: Arc::clone(&open) }, Lane { arrivals, open })
}

/// One lane.
pub(super) struct Lane {
    arrivals: UnboundedReceiver<Arrival>,
    /// How many connections it has.
    open: Arc<AtomicUsize>,
}

impl Lane {
    /// Serves what arrives, then lets what is under way end. With a `pulse`, the thread is the lane's own.
    pub(super) async fn serve<H: Handler>(mut self, house: House<H>, pulse: Option<Pulse>) {
        let (pulse, mut attendants) = (pulse.map(Arc::new), JoinSet::new());
        let roll = pulse.clone().map(|pulse| {
            let roll = Roll::of_this_thread();
            let called = Arc::clone(&roll);
            attendants.spawn(async move { called.call().await });
            attendants.spawn(async move { pulse.stay_awake().await });
            roll
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                arrival = self.arrivals.recv() => match arrival {
                    Some(arrival) => {
                        let serving = connection::serve(arrival, house.clone(), pulse.clone());
                        match &roll {
                            Some(roll) => connections.spawn(Arc::clone(roll).enrol(serving)),
                            None => connections.spawn(serving),
                        };
                    }
                    None => break,
                },
                Some(_) = connections.join_next() => {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        // What takes longer is cut off when the set is dropped.
        let _ = tokio::time::timeout(house.limits.stop_timeout, ended).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_spread_over_the_lanes_and_one_that_ended_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let arrive = || Arrival::of(TcpStream::connect(address).unwrap());
        let (entrances, lanes) = Lanes::new(3);
        (0..6).for_each(|_| entrances.take(arrive()));
        let came = |lanes: &[Lane]| lanes.iter().map(|lane| lane.arrivals.len()).collect::<Vec<_>>();
        assert_eq!(came(&lanes), [2, 2, 2]);
        lanes[1].open.fetch_sub(1, Ordering::Relaxed);
        entrances.take(arrive());
        assert_eq!(came(&lanes), [2, 3, 2]);
    }
}
