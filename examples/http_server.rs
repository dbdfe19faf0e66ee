//! An application that serves its own store: its operators set what it runs with by curl or etcdctl, and it sees each
//! change as it comes.
//!
//! Without an argument it plays both parts and ends. With an address, as in
//! `cargo run --features http --example http_server 127.0.0.1:2379`, it serves there until it is interrupted; then
//! `curl http://127.0.0.1:2379/v2/keys/app/greeting -XPUT -d value=Hello` is seen here.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use spinney::http::Server;
use spinney::{Event, Node, Store, Watch};

fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::in_memory(); // Or Store::open(directory).
    store.set("/app/greeting", "Welcome")?;
    // From what there is on, before anybody can change it.
    let greeting = store.get("/app/greeting")?;
    let watch = store.watch("/app/greeting").since(greeting.modified().next()).start()?;

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0"))?;
    let server = Server::new(store).name("example").listen(listener).start()?;

    let application = thread::spawn(move || run(&greeting, &watch));
    match address {
        Some(address) => {
            println!("serving on http://{address}/v2/keys");
            server.wait();
        }
        None => {
            operate(server.addresses()[0])?;
            server.stop();
        }
    }
    application.join().map_err(|_| "the application panicked")?;
    Ok(())
}

/// The application: it greets as it is told to, until it is told nothing.
fn run(greeting: &Node, watch: &Watch) {
    println!("application  greets with {:?}", greeting.text().unwrap_or_default());
    for event in watch {
        let Event::Change(change) = event else { continue };
        match change.node.text() {
            Some(text) if !change.action.is_removal() => println!("application  now greets with {text:?}"),
            _ => return,
        }
    }
}

/// An operator, as `curl -XPUT -d value=…` would do it.
fn operate(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    for (method, form) in [("GET", ""), ("PUT", "value=Good+morning"), ("DELETE", "")] {
        let mut connection = TcpStream::connect(address)?;
        write!(
            connection,
            "{method} /v2/keys/app/greeting HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        println!("operator     {method}: {}", answer.lines().last().unwrap_or_default());
    }
    Ok(())
}
