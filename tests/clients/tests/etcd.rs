//! The crate `etcd`, a client of the v2 API: what it offers, against a store that is served.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use etcd::auth::{self, AuthChange, NewUser, Role, UserUpdate};
use etcd::kv::{self, Action, GetOptions, WatchError, WatchOptions};
use etcd::{BasicAuth, Client, Error, members, stats};
use futures::{Future, Stream};
use hyper::client::HttpConnector;
use spinney::Store;
use spinney::http::{Running, Server};
use tokio::runtime::Runtime;

type HttpClient = Client<HttpConnector>;

struct Session {
    server: Running,
    store: Store,
    runtime: Mutex<Runtime>,
}

impl Session {
    fn new() -> Self {
        let store = Store::in_memory();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::new(store.clone()).listen(listener).start().unwrap();
        Self { server, store, runtime: Mutex::new(Runtime::new().unwrap()) }
    }

    fn client(&self, user: Option<(&str, &str)>) -> HttpClient {
        let user = user.map(|(username, password)| BasicAuth {
            username: username.to_owned(),
            password: password.to_owned(),
        });
        Client::new(&[&format!("http://{}", self.server.addresses()[0])], user).unwrap()
    }

    fn run<T, E>(&self, work: impl Future<Item = T, Error = E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.runtime.lock().unwrap().block_on(work)
    }
}

/// The code of what the server refused.
fn code<T>(outcome: Result<T, Vec<Error>>) -> u64 {
    match outcome.err().as_deref() {
        Some([Error::Api(error)]) => error.error_code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn keys() {
    let session = Session::new();
    let client = session.client(None);
    let made = session.run(kv::create(&client, "/app/a", "1", Some(60))).unwrap();
    assert_eq!((made.data.action, made.data.node.ttl), (Action::Create, Some(60)));
    assert_eq!(made.cluster_info.etcd_index, Some(1));
    assert_eq!(code(session.run(kv::create(&client, "/app/a", "2", None))), 105);

    let index = session.run(kv::set(&client, "/app/a", "2", None)).unwrap().data.node.modified_index;
    assert_eq!(code(session.run(kv::compare_and_swap(&client, "/app/a", "3", None, Some("9"), None))), 101);
    let swapped = session.run(kv::compare_and_swap(&client, "/app/a", "3", None, Some("2"), index)).unwrap();
    assert_eq!(swapped.data.prev_node.and_then(|node| node.value), Some("2".to_owned()));
    session.run(kv::update(&client, "/app/a", "4", None)).unwrap();
    session.run(kv::create_dir(&client, "/app/d", None)).unwrap();
    let job = session.run(kv::create_in_order(&client, "/app/q", "job", None)).unwrap();
    assert!(job.data.node.key.unwrap().starts_with("/app/q/0000"));

    let options = GetOptions { recursive: true, sort: true, strong_consistency: true };
    let listed = session.run(kv::get(&client, "/app", options)).unwrap().data.node.nodes.unwrap();
    let keys: Vec<&str> = listed.iter().filter_map(|node| node.key.as_deref()).collect();
    assert_eq!(keys, ["/app/a", "/app/d", "/app/q"]);

    assert_eq!(code(session.run(kv::delete(&client, "/app", false))), 102);
    session.run(kv::delete_dir(&client, "/app/d")).unwrap();
    session.run(kv::compare_and_delete(&client, "/app/a", Some("4"), None)).unwrap();
    session.run(kv::delete(&client, "/app", true)).unwrap();
    assert_eq!(code(session.run(kv::get(&client, "/app", GetOptions::default()))), 100);
}

#[test]
fn watches() {
    let session = Session::new();
    let client = session.client(None);
    let options =
        WatchOptions { recursive: true, timeout: Some(Duration::from_secs(60)), ..Default::default() };
    let watch = kv::watch(&client, "/w", options);
    let store = session.store.clone();
    let writer = std::thread::spawn(move || {
        while store.status().watches.watchers == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        store.set("/w/a", "1").unwrap();
    });
    let seen = session.run(watch).unwrap().data;
    assert_eq!((seen.action, seen.node.value.as_deref()), (Action::Set, Some("1")));
    writer.join().unwrap();

    let past = WatchOptions { index: Some(1), recursive: true, timeout: None };
    let seen = session.run(kv::watch(&client, "/w", past)).unwrap().data;
    assert_eq!(seen.node.key.as_deref(), Some("/w/a"));
    let short = WatchOptions { timeout: Some(Duration::from_millis(50)), ..Default::default() };
    assert!(matches!(session.run(kv::watch(&client, "/w", short)), Err(WatchError::Timeout)));
}

#[test]
fn users_and_roles() {
    let session = Session::new();
    let nobody = session.client(None);
    let root = session.client(Some(("root", "secret")));
    session.run(auth::create_user(&nobody, NewUser::new("root", "secret"))).unwrap();
    let changed = session.run(auth::enable(&nobody)).unwrap().data;
    assert_eq!(changed, AuthChange::Changed);
    assert!(session.run(auth::status(&root)).unwrap().data);

    let mut role = Role::new("reader");
    role.grant_kv_read_permission("/r/*");
    session.run(auth::create_role(&root, role)).unwrap();
    let mut user = NewUser::new("u", "p");
    user.add_role("reader");
    session.run(auth::create_user(&root, user)).unwrap();
    let reader = session.client(Some(("u", "p")));
    assert_eq!(code(session.run(kv::set(&reader, "/r/a", "1", None))), 110);
    session.run(kv::set(&root, "/r/a", "1", None)).unwrap();
    session.run(kv::get(&reader, "/r/a", GetOptions::default())).unwrap();

    // This client cannot read a user who has no role, which etcd shows without any.
    let users = session.run(auth::get_users(&root)).unwrap().data;
    assert_eq!(users.iter().map(|user| user.name()).collect::<Vec<_>>(), ["root", "u"]);

    let mut update = UserUpdate::new("u");
    update.update_password("q");
    update.revoke_role("reader");
    session.run(auth::update_user(&root, update)).unwrap();
    assert_eq!(code(session.run(kv::get(&reader, "/r/a", GetOptions::default()))), 110);
    session.run(auth::delete_role(&root, "reader")).unwrap();
    session.run(auth::delete_user(&root, "u")).unwrap();
    assert_eq!(session.run(auth::disable(&root)).unwrap().data, AuthChange::Changed);
}

#[test]
fn everything_else() {
    let session = Session::new();
    let client = session.client(None);
    let health = session.run(client.health().collect()).unwrap();
    assert_eq!(health[0].data.health, "true");
    let versions = session.run(client.versions().collect()).unwrap();
    assert_eq!(versions[0].data.cluster_version, "3.4.0");
    let members = session.run(members::list(&client)).unwrap().data;
    assert_eq!(members.len(), 1);
    assert_eq!(session.run(stats::leader_stats(&client)).unwrap().data.leader, members[0].id);
    let of_itself = session.run(stats::self_stats(&client).collect()).unwrap();
    assert_eq!(of_itself[0].data.name, members[0].name);
    session.run(kv::set(&client, "/a", "1", None)).unwrap();
    let counts = session.run(stats::store_stats(&client).collect()).unwrap();
    assert_eq!(counts[0].data.set_success, 1);
}
