//! The server as programs hold it: on which runtime, on how many listeners, known by what name, stopped by whom.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod http;
mod support;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http::client::Client;
use spinney::Store;
use spinney::http::{Cors, Server};
use tower_service::Service;

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn it_runs_on_a_runtime_of_the_callers_until_it_is_told() {
    let listener = listener();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let until = async move {
            let _ = stopped.await;
        };
        runtime.block_on(Server::new(Store::in_memory()).listen(listener).run(until))
    });
    let mut client = Client::new(address).unwrap();
    assert_eq!(client.call("PUT", "/v2/keys/a", Some("value=1")).unwrap().head.status, 201);
    let mut watch = Client::new(address).unwrap();
    watch.send("GET", "/v2/keys/a?wait=true", &[], None).unwrap();
    assert_eq!(watch.head().unwrap().status, 200);
    stop.send(()).unwrap();
    serving.join().unwrap().unwrap();
    assert_eq!(watch.chunk().unwrap(), None);
    assert!(client.is_closed());
}

#[test]
fn it_can_be_stopped_from_elsewhere_and_be_waited_for() {
    let running = Server::new(Store::in_memory()).listen(listener()).start().unwrap();
    let stopper = running.stopper();
    let waiting = thread::spawn(move || running.wait());
    stopper.stop();
    stopper.stop();
    waiting.join().unwrap();
}

#[test]
fn without_a_listener_there_is_nothing_to_run() {
    let error = Server::new(Store::in_memory()).start().unwrap_err();
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (ErrorKind::InvalidInput, "there is no listener to serve on")
    );
}

#[test]
fn it_serves_on_all_its_listeners_under_one_name() {
    let (one, two) = (listener(), listener());
    let server = Server::new(Store::in_memory()).listen(one).listen(two).name("m1");
    let running = server.peer_urls(["http://127.0.0.1:7001"]).start().unwrap();
    let [one, two] = running.addresses() else { panic!() };
    for address in [one, two] {
        let reply = Client::new(*address).unwrap().call("GET", "/v2/members", None).unwrap();
        let expected = format!(
            "{{\"members\":[{{\"id\":\"1\",\"name\":\"m1\",\"peerURLs\":[\"http://127.0.0.1:7001\"],\
             \"clientURLs\":[\"http://{one}\",\"http://{two}\"]}}]}}\n"
        );
        assert_eq!(reply.text(), expected);
    }
    let server = Server::new(Store::in_memory()).client_urls(["http://z:2", "http://a:1"]);
    let (_running, address) = http::start(server);
    let reply = Client::new(address).unwrap().call("GET", "/v2/machines", None).unwrap();
    assert_eq!(reply.text(), "http://a:1, http://z:2");
}

#[test]
fn only_listed_origins_are_let_read_where_there_is_a_list() {
    let cors = Cors::Origins(vec!["http://a.example".to_owned()]);
    let (_running, address) = http::start(Server::new(Store::in_memory()).cors(cors));
    let mut client = Client::new(address).unwrap();
    for (origin, expected) in
        [(Some("http://a.example"), Some("http://a.example")), (Some("http://b"), None), (None, None)]
    {
        for method in ["GET", "OPTIONS"] {
            let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
            client.send(method, "/version", &headers, None).unwrap();
            let reply = client.reply(method).unwrap();
            assert_eq!(reply.head.status, 200);
            assert_eq!(reply.head.header("Access-Control-Allow-Origin"), expected, "{method} {origin:?}");
            assert_eq!(reply.head.header("Access-Control-Allow-Methods").is_some(), expected.is_some());
        }
    }
}

#[test]
fn it_is_a_part_of_an_application_of_axums() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::in_memory();
        let mut application = axum::Router::new()
            .route("/hello", axum::routing::get(|| async { "hello" }))
            .merge(Server::new(store.clone()).router());
        for (target, expected) in
            [("/hello", StatusCode::OK), ("/v2/keys/a", StatusCode::NOT_FOUND), ("/version", StatusCode::OK)]
        {
            let request = Request::get(target).body(Body::empty()).unwrap();
            assert_eq!(application.call(request).await.unwrap().status(), expected, "{target}");
        }
        let request = Request::put("/v2/keys/a?value=1").body(Body::empty()).unwrap();
        assert_eq!(application.call(request).await.unwrap().status(), StatusCode::CREATED);
        assert_eq!(store.get("/a").unwrap().text(), Some("1"));
    });
}

#[test]
fn metrics_and_health_say_how_it_is() {
    let store = Store::in_memory();
    let (_running, address) = http::serve(&store);
    let mut client = Client::new(address).unwrap();
    client.call("PUT", "/v2/keys/a", Some("value=1")).unwrap();
    client.call("GET", "/v2/keys/nothing", None).unwrap();
    let metrics = client.call("GET", "/metrics", None).unwrap();
    assert!(metrics.head.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        "spinney_http_requests_total{code=\"201\",method=\"PUT\"} 1",
        "spinney_http_requests_total{code=\"404\",method=\"GET\"} 1",
        "spinney_index 1",
        "spinney_files 1",
        "# TYPE spinney_watchers gauge",
    ] {
        assert!(metrics.text().lines().any(|other| other == line), "{line}\n{}", metrics.text());
    }
    for method in ["HEAD", "POST", "ODD"] {
        assert_eq!(client.call(method, "/metrics", None).unwrap().head.status, 200, "{method}");
    }
}

/// A store whose log has failed takes no writes; that is what health is about.
#[test]
fn health_fails_with_the_store() {
    let store = Store::builder().tree_bytes(1).open().unwrap();
    let (_running, address) = http::serve(&store);
    let mut client = Client::new(address).unwrap();
    let reply = client.call("GET", "/health", None).unwrap();
    assert_eq!((reply.head.status, &*reply.text()), (200, "{\"health\":\"true\"}"));
    client.call("PUT", "/v2/keys/a", Some("value=1")).unwrap();
    let reply = client.call("GET", "/health", None).unwrap();
    assert_eq!((reply.head.status, &*reply.text()), (503, "{\"health\":\"false\"}\n"));
    let reply = client.call("PUT", "/v2/keys/b", Some("value=1")).unwrap();
    assert_eq!(reply.head.status, 500);
    assert!(
        reply
            .text()
            .starts_with("{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":\"no space: ")
    );
}
