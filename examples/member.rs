//! One member a process, for three terminals: set, get and watch on any of them, kill one and see.
//!
//! ```text
//!   cargo run --release --example member n1      and n2, n3 in other terminals
//!   > set /message1 Book1
//!   > members
//! ```
//! The directories are `member-n1` and so on, in the directory for temporary files; `forget` as second argument begins anew.
//! Commands: `set KEY VALUE`, `get KEY`, `latest KEY`, `rm KEY`, `ls KEY`, `watch KEY`, `members`, `status`, `lead`, `quit`.

use std::error::Error;
use std::io::{BufRead, Write};

use spinney::Store;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PEERS: [(&str, &str); 3] =
    [("n1", "127.0.0.1:7001"), ("n2", "127.0.0.1:7002"), ("n3", "127.0.0.1:7003")];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "n1".to_owned());
    let Some((_, address)) = PEERS.iter().find(|(peer, _)| *peer == name) else {
        return Err("the member is n1, n2 or n3".into());
    };
    let dir = std::env::temp_dir().join(format!("member-{name}"));
    if arguments.next().as_deref() == Some("forget") && dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let store = Store::builder().dir(&dir).member(&name).listen(*address).peers(PEERS).open()?;
    println!("{name} listens at {address}, its data is in {}", dir.display());

    let mut lines = std::io::stdin().lock().lines();
    loop {
        print!("{name}> ");
        std::io::stdout().flush()?;
        let Some(line) = lines.next().transpose()? else { return Ok(()) };
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            return Ok(());
        }
        if let Err(error) = obey(&store, &words) {
            println!("{error}");
        }
    }
}

fn obey(store: &Store, words: &[&str]) -> Result<()> {
    match words {
        [] => {}
        ["set", key, value @ ..] => println!("at index {}", store.set(key, value.join(" "))?.index()),
        ["get", key] => println!("{}", store.get(key)?.text().unwrap_or("(no text)")),
        ["latest", key] => println!("{}", store.get_latest(key)?.text().unwrap_or("(no text)")),
        ["rm", key] => println!("at index {}", store.delete(key)?.index()),
        ["ls", key] => store.list(key)?.iter().for_each(|node| println!("{}", node.key())),
        ["watch", key] => {
            let watch = store.watch(key).recursive().start()?;
            // It ends with the store.
            std::thread::spawn(move || watch.iter().for_each(|event| println!("\n{event:?}")));
        }
        ["members"] => {
            for member in store.cluster().map(|cluster| cluster.members()).unwrap_or_default() {
                let leads = if member.is_leader { "leads" } else { "follows" };
                let reached = if member.is_reachable { "" } else { ", out of reach" };
                println!("{} {} {leads}{reached}", member.name, member.peer_addresses.join(" "));
            }
        }
        ["status"] => println!("{:#?}", store.status()),
        ["lead"] => {
            let cluster = store.cluster().ok_or("no cluster")?;
            cluster.transfer(Some(cluster.this()))?;
        }
        _ => println!("set, get, latest, rm, ls, watch, members, status, lead or quit"),
    }
    Ok(())
}
