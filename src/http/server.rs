//! The server: what callers build, start and stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{self, Door, Handler, House, OpenDoor, Stopping};
use super::cors::Cors;
use super::front::{Front, Profile};
use super::lanes::{Lane, Lanes};
use super::limits::Limits;
use super::pulse::{Company, Pulse};
use crate::store::Store;

/// A server of etcd's v2 API over a [`Store`]: say how, then [`start`](Server::start) it on a runtime of its own,
/// [`run`](Server::run) it on yours, or take its [`router`](Server::router) for a server that you have.
///
/// ```
/// use std::net::TcpListener;
/// use spinney::{Store, http::Server};
///
/// let store = Store::in_memory();
/// # let address = "127.0.0.1:0";
/// # #[cfg(any())]
/// let address = "127.0.0.1:2379";
/// let running = Server::new(store).listen(TcpListener::bind(address)?).start()?;
/// # use std::io::{Read, Write};
/// # let mut connection = std::net::TcpStream::connect(running.addresses()[0])?;
/// # connection.write_all(b"GET /version HTTP/1.0\r\n\r\n")?;
/// # let mut answer = String::new();
/// # connection.read_to_string(&mut answer)?;
/// # assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
/// running.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is served until it is started or run"]
pub struct Server {
    store: Store,
    name: String,
    client_urls: Vec<String>,
    peer_urls: Vec<String>,
    cors: Cors,
    limits: Limits,
    doors: Vec<Door>,
}

impl Server {
    /// A server of `store`, to which the caller may keep other handles. It holds its own until it has stopped.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            name: "default".to_owned(),
            client_urls: Vec::new(),
            peer_urls: Vec::new(),
            cors: Cors::default(),
            limits: Limits::default(),
            doors: Vec::new(),
        }
    }

    /// Serves on this listener, too. Clients speak HTTP/1.1 there.
    pub fn listen(mut self, listener: TcpListener) -> Self {
        self.doors.push(Door::plain(listener));
        self
    }

    /// Serves on this listener, too, to clients that speak TLS.
    #[cfg(feature = "tls")]
    pub fn listen_tls(mut self, listener: TcpListener, tls: super::Tls) -> Self {
        self.doors.push(Door::with_tls(listener, tls));
        self
    }

    /// What the member is called in `/v2/members`: `default` unless something else is said.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The URLs that clients are told to use, in `/v2/members` and `/v2/machines`: by default those of the listeners.
    pub fn client_urls<T: Into<String>>(mut self, urls: impl IntoIterator<Item = T>) -> Self {
        self.client_urls = urls.into_iter().map(Into::into).collect();
        self
    }

    /// The URLs of the member for its peers, in `/v2/members`: none by default.
    pub fn peer_urls<T: Into<String>>(mut self, urls: impl IntoIterator<Item = T>) -> Self {
        self.peer_urls = urls.into_iter().map(Into::into).collect();
        self
    }

    /// Which pages of other sites may use the API: all by default.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// How much is taken of everything that clients decide.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves on threads of its own, one for each that the system runs at once, until what is returned is stopped or
    /// dropped.
    ///
    /// A client that is alone is answered quickest here: while it asks again within some 30 us, the thread that serves it
    /// does not go to sleep.
    ///
    /// # Errors
    ///
    /// When there is no listener, or one cannot be used, or the system has no thread to give.
    pub fn start(self) -> io::Result<Running> {
        let addresses = self.addresses()?;
        let (stop, stopped) = watch::channel(false);
        let runtimes = (0..threads()).map(|_| runtime_of_one()).collect::<io::Result<Vec<_>>>()?;
        // Listeners are handed to a runtime here, so that what is wrong with them is told to the caller.
        let Opened { doors, house, lanes, entrances } =
            runtimes[0].block_on(async { self.open(stopped, runtimes.len()) })?;
        // The first thread attends to the doors, too.
        let mut attending = Some(connection::attend(doors, house.clone(), entrances));
        let (shared, mut threads) = (Arc::default(), Vec::new());
        for (runtime, lane) in runtimes.into_iter().zip(lanes) {
            let serving = lane.serve(house.clone(), Some(Pulse::new(&shared)));
            let attending = attending.take();
            let run = move || match attending {
                None => runtime.block_on(serving),
                Some(attending) => runtime.block_on(async { _ = tokio::join!(attending, serving) }),
            };
            threads.push(thread::Builder::new().name("spinney-http".to_owned()).spawn(run)?);
        }
        Ok(Running { stop: Stopper(stop), threads, addresses })
    }

    /// Serves on the runtime of the caller, which is tokio's with I/O and time enabled, until `until` is over and
    /// the requests under way are answered. Watches end then.
    ///
    /// # Errors
    ///
    /// When there is no listener, or one cannot be used.
    ///
    /// ```no_run
    /// # async fn serve(store: spinney::Store) -> std::io::Result<()> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:2379")?;
    /// let until = async { tokio::time::sleep(std::time::Duration::from_secs(60)).await };
    /// spinney::http::Server::new(store).listen(listener).run(until).await
    /// # }
    /// ```
    pub async fn run(self, until: impl Future<Output = ()>) -> io::Result<()> {
        let (stop, stopped) = watch::channel(false);
        let opened = self.open(stopped, 1)?;
        opened.run(stop, until).await;
        Ok(())
    }

    /// The API as a service of axum's, to be nested or merged into an application of one's own. It answers every path
    /// that nothing else does. Listeners, and limits of connections, are that application's matter.
    ///
    /// ```
    /// use spinney::{Store, http::Server};
    ///
    /// let application: axum::Router = Server::new(Store::in_memory()).router();
    /// # let _ = application;
    /// ```
    pub fn router(self) -> Router {
        let front = Arc::new(self.front(None));
        Router::new().fallback(move |request: Request<Body>| {
            let front = Arc::clone(&front);
            async move { front.handle(request, Company::Others).await }
        })
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if self.doors.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no listener to serve on"));
        }
        self.doors.iter().map(Door::address).collect()
    }

    /// Begins to listen, on the runtime that this runs on. Nothing is served before the parts are run.
    fn open(mut self, stopped: watch::Receiver<bool>, lanes: usize) -> io::Result<Opened<Front>> {
        let urls = self.addresses()?.into_iter().zip(&self.doors).map(|(address, door)| door.url(address));
        if self.client_urls.is_empty() {
            self.client_urls = urls.collect();
        }
        let doors = std::mem::take(&mut self.doors);
        let limits = self.limits.clone();
        let front = self.front(Some(Stopping::new(stopped.clone())));
        Opened::new(doors, front, limits, stopped, lanes)
    }

    fn front(self, stop: Option<Stopping>) -> Front {
        let Self { store, name, client_urls, peer_urls, cors, limits, doors: _ } = self;
        Front::new(store, Profile { name, client_urls, peer_urls }, cors, limits, stop)
    }
}

/// A server that listens: the parts that serve.
pub(super) struct Opened<H> {
    doors: Vec<OpenDoor>,
    house: House<H>,
    lanes: Vec<Lane>,
    entrances: Lanes,
}

impl<H: Handler> Opened<H> {
    /// Begins to listen, on the runtime that this runs on. Nothing is served before the parts are run.
    pub(super) fn new(
        doors: Vec<Door>,
        handler: H,
        limits: Limits,
        stopped: watch::Receiver<bool>,
        lanes: usize,
    ) -> io::Result<Self> {
        let doors = doors.into_iter().map(Door::open).collect::<io::Result<Vec<_>>>()?;
        let (entrances, lanes) = Lanes::new(lanes);
        let house = House { handler: Arc::new(handler), limits: Arc::new(limits), stopped };
        Ok(Self { doors, house, lanes, entrances })
    }

    /// Serves on the runtime that this runs on until `until` is over, and then what is under way.
    pub(super) async fn run(self, stop: watch::Sender<bool>, until: impl Future<Output = ()>) {
        let Self { doors, house, lanes, entrances } = self;
        let attending = connection::attend(doors, house.clone(), entrances);
        let lanes = lanes.into_iter().map(|lane| lane.serve(house.clone(), None)).collect::<JoinSet<_>>();
        let serving = async { _ = tokio::join!(attending, lanes.join_all()) };
        let stopping = async move {
            until.await;
            let _ = stop.send(true);
            // Dropped at the end only: its being gone means "stop", too.
            stop.closed().await;
        };
        tokio::pin!(stopping, serving);
        tokio::select! {
            () = &mut serving => {}
            () = &mut stopping => serving.await,
        }
    }
}

/// How many threads a server has: one for each that the system runs at once.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// A runtime for one thread.
fn runtime_of_one() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().thread_name("spinney-http").build()
}

/// A server that runs, from [`Server::start`]. Dropping it stops the server, and waits until it has.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Running {
    stop: Stopper,
    threads: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

impl Running {
    /// Where the server listens, in the order in which the listeners were given.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle that stops the server from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Stops: takes no more connections, ends watches, answers what is under way, and returns when all is done.
    pub fn stop(self) {
        drop(self);
    }

    /// Waits until somebody else stops the server.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // What panicked there has been reported by its thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stop.stop();
            self.join();
        }
    }
}

/// Stops a server that somebody else holds; from [`Running::stopper`].
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Tells the server to stop, and returns at once. Once is enough.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
