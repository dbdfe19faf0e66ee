//! The commands of the scripts about the tree.
//!
//! ```text
//!   set KEY [VALUE]       also create, update, swap; ttl=30s dir=true refresh=true, and for swap value=V index=N
//!   in_order KEY [VALUE]  ttl=30s dir=true
//!   delete KEY            dir=true recursive=true, or value=V index=N
//!   check KEY             value=V, index=N, present=true or present=false
//!   begin … commit        the writes and checks between are one transaction
//!   expire                nothing but what is due
//!   wait 30s              time passes, and nobody acts on it
//!   get KEY, list KEY     hidden=true recursive=true
//!   reload                the tree is written to an image and read from it again
//! ```
//! Keys are written without the leading slash. A write shows its changes: the index, the action, the node as it is
//! now and as it was. A node is shown with its indexes, `@2` or, when it was created before, `@1..2`, and with what
//! is left of its TTL.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use goldenscript::ArgumentConsumer;
use spinney::internals::tree::{
    Check, Command, Condition, CreateInOrder, Delete, Effect, Expect, Loader, Mismatch, NodeImages,
    Operation, Put, PutMode, Refused, Transaction, Tree, Value,
};
use spinney::{Index, Key, Node, Timestamp};

type Outcome<T = String> = Result<T, Box<dyn Error>>;

/// A tree, the clock of its log, and the transaction that is being put together.
pub(crate) struct Runner {
    tree: Tree,
    now: Timestamp,
    open: Option<Transaction>,
}

impl Runner {
    pub(crate) fn new() -> Self {
        Self { tree: Tree::new(), now: Timestamp::new(0), open: None }
    }

    /// Applies a command, or adds it to the transaction that is open.
    fn write(&mut self, operation: Operation) -> String {
        if let Some(transaction) = &mut self.open {
            transaction.operations.push(operation);
            return String::new();
        }
        self.apply(match operation {
            Operation::Put(put) => Command::Put(put),
            Operation::Delete(delete) => Command::Delete(delete),
            Operation::CreateInOrder(create) => Command::CreateInOrder(create),
        })
    }

    fn apply(&mut self, command: Command) -> String {
        let mut effects = Vec::new();
        let outcome = self.tree.apply(self.now, command, &mut effects);
        let mut out: String = effects.iter().map(shown_effect).collect();
        if let Err(refused) = outcome {
            out += &shown_refused(&refused);
        }
        out
    }

    /// The clock moves on as a member's does: from one wake to the next.
    fn wait(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(wake) = self.tree.next_wake().filter(|&wake| self.now < wake && wake <= end) {
            self.tree.refine_timers(wake, usize::MAX);
            self.now = wake;
        }
        self.now = end;
    }

    fn get(&self, key: &Key) -> String {
        match self.tree.get(key) {
            Ok(node) => shown(node, self.now) + "\n",
            Err(refused) => shown_refused(&refused),
        }
    }

    fn list(&self, key: &Key, hidden: bool, recursive: bool) -> String {
        let directory = match self.tree.get(key) {
            Ok(node) => node,
            Err(refused) => return shown_refused(&refused),
        };
        let nodes: Vec<&Node> = match hidden {
            true => directory.descendants_with_hidden().collect(),
            false => directory.descendants().collect(),
        };
        let in_it = |node: &&&Node| recursive || node.key().parent().as_ref() == Some(key);
        nodes.iter().filter(in_it).map(|node| shown(node, self.now) + "\n").collect()
    }

    fn reload(&mut self) -> Outcome<()> {
        let mut loader = Loader::new();
        for chunk in NodeImages::new(self.tree.root(), 0) {
            loader.chunk(&chunk[1..])?;
        }
        self.tree = loader.finish(self.tree.index(), self.tree.time());
        Ok(())
    }
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &goldenscript::Context) -> Outcome {
        let name = command.name.as_str();
        let mut args = command.consume_args();
        let mut out = String::new();
        match name {
            "set" | "create" | "update" | "swap" => {
                let mode = match name {
                    "set" => PutMode::Set,
                    "create" => PutMode::Create,
                    "update" => PutMode::Update,
                    _ => PutMode::Swap(condition(&mut args)?.unwrap_or_default()),
                };
                let put = Put {
                    key: key(&mut args)?,
                    mode,
                    value: Value::new(args.next_pos().unwrap_or_default().as_bytes()),
                    ttl_ms: ttl_ms(&mut args)?,
                    dir: flag(&mut args, "dir")?,
                    refresh: flag(&mut args, "refresh")?,
                };
                out = self.write(Operation::Put(put));
            }
            "in_order" => {
                let create = CreateInOrder {
                    directory: key(&mut args)?,
                    value: Value::new(args.next_pos().unwrap_or_default().as_bytes()),
                    ttl_ms: ttl_ms(&mut args)?,
                    dir: flag(&mut args, "dir")?,
                };
                out = self.write(Operation::CreateInOrder(create));
            }
            "delete" => {
                let condition = condition(&mut args)?;
                let (dir, recursive) = (flag(&mut args, "dir")?, flag(&mut args, "recursive")?);
                let key = key(&mut args)?;
                out = self.write(Operation::Delete(Delete { key, dir, recursive, condition }));
            }
            "check" => {
                let expect = match (args.take_key("present"), condition(&mut args)?) {
                    (Some("true"), None) => Expect::Present,
                    (Some("false"), None) => Expect::Absent,
                    (None, Some(Condition { value: Some(value), index: None })) => Expect::Value(value),
                    (None, Some(Condition { value: None, index: Some(index) })) => Expect::Index(index),
                    _ => return Err("a check is for one thing".into()),
                };
                let transaction = self.open.as_mut().ok_or("a check is part of a transaction")?;
                transaction.checks.push(Check { key: key(&mut args)?, expect });
            }
            "begin" => self.open = Some(Transaction::default()),
            "commit" => {
                let transaction = self.open.take().ok_or("nothing was begun")?;
                out = self.apply(Command::Transaction(transaction));
            }
            "expire" => out = self.apply(Command::Expire),
            "wait" => self.wait(duration(args.next_pos().ok_or("how long?")?)?),
            "get" => out = self.get(&key(&mut args)?),
            "list" => {
                let (hidden, recursive) = (flag(&mut args, "hidden")?, flag(&mut args, "recursive")?);
                out = self.list(&key(&mut args)?, hidden, recursive);
            }
            "reload" => self.reload()?,
            _ => return Err(format!("no such command: {name}").into()),
        }
        args.reject_next()?;
        Ok(out)
    }
}

fn key(args: &mut ArgumentConsumer<'_>) -> Outcome<Key> {
    Ok(Key::parse(args.next_pos().ok_or("which key?")?)?)
}

fn flag(args: &mut ArgumentConsumer<'_>, name: &str) -> Outcome<bool> {
    Ok(args.take_key(name).map_or(Ok(false), str::parse)?)
}

fn ttl_ms(args: &mut ArgumentConsumer<'_>) -> Outcome<Option<u64>> {
    let ttl = args.take_key("ttl").map(duration).transpose()?;
    Ok(ttl.map(|ttl| u64::try_from(ttl.as_millis())).transpose()?)
}

/// What `value=` and `index=` ask for, if anything.
fn condition(args: &mut ArgumentConsumer<'_>) -> Outcome<Option<Condition>> {
    let value = args.take_key("value").map(|value| Value::new(value.as_bytes()));
    let index = args.take_key("index").map(str::parse).transpose()?.map(Index::new);
    Ok((value.is_some() || index.is_some()).then_some(Condition { value, index }))
}

fn duration(text: &str) -> Outcome<Duration> {
    let seconds = text.strip_suffix('s').ok_or("a duration is in seconds, as 0.5s")?;
    Ok(Duration::from_secs_f64(seconds.parse()?))
}

fn shown_effect(effect: &Effect) -> String {
    let change = &effect.change;
    let mut out = format!("{}: {} {}", change.index(), change.action, shown(&change.node, change.time));
    if change.action.is_removal() {
        // It has no value any more: only a name.
        out = format!("{}: {} {}", change.index(), change.action, change.key());
    }
    if let Some(previous) = &change.prev_node {
        let _ = write!(out, ", was {}", shown(previous, change.time));
    }
    for node in effect.removed.iter().flat_map(|directory| directory.descendants_with_hidden()) {
        let _ = write!(out, ", with {}", node.key());
    }
    if change.refresh {
        out += ", told to nobody";
    }
    out + "\n"
}

fn shown(node: &Node, now: Timestamp) -> String {
    let mut out = match node.is_dir() {
        true => format!("{}/", node.key().trim_end_matches('/')),
        false => format!("{} = {:?}", node.key(), String::from_utf8_lossy(node.value())),
    };
    let _ = match (node.created(), node.modified()) {
        (created, modified) if created == modified => write!(out, " @{modified}"),
        (created, modified) => write!(out, " @{created}..{modified}"),
    };
    if let Some(ttl) = node.ttl_at(now) {
        let _ = write!(out, " ttl {}s", ttl.as_secs_f64());
    }
    out
}

fn shown_refused(refused: &Refused) -> String {
    let (what, key, index) = match refused {
        Refused::KeyNotFound { key, index } => ("key not found", key, index),
        Refused::CompareFailed { key, index, .. } => ("compare failed", key, index),
        Refused::NotAFile { key, index } => ("not a file", key, index),
        Refused::NotADirectory { key, index } => ("not a directory", key, index),
        Refused::KeyExists { key, index } => ("key exists", key, index),
        Refused::RootReadOnly { index } => ("root is read-only", &Key::root(), index),
        Refused::DirectoryNotEmpty { key, index } => ("directory not empty", key, index),
        Refused::TooDeep { key, index } => ("too deep", key, index),
    };
    let mut out = format!("refused: {what}: {key}");
    if let Refused::CompareFailed { mismatch, .. } = refused
        && *mismatch != Mismatch::default()
    {
        let _ = write!(out, " {}", String::from_utf8_lossy(&mismatch.cause()));
    }
    out + &format!(", at index {index}\n")
}
