//! The replay of one recorded case: its steps, one after the other, on one tree and one clock.

mod answer;
mod expected;
mod request;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use answer::Answer;
use expected::Expected;
use request::Asked;
use serde_json::Value;
use spinney::internals::tree::{Command, Delete, Effect, Put, PutMode, Refused, Tree};
use spinney::{Index, Key, Timestamp};
use watch::{History, Watch};

/// A tree, what is watched in it, and the clock: all that a server would have behind its front.
pub(crate) struct Replay {
    tree: Tree,
    now: Timestamp,
    history: History,
    watches: BTreeMap<String, Watch>,
}

/// Nothing that any recording waits for takes longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A request takes this long, so that no two have the same time.
const REQUEST: Duration = Duration::from_millis(1);

impl Replay {
    pub(crate) fn new() -> Self {
        let now = Timestamp::new(1_700_000_000_000);
        Self { tree: Tree::new(), now, history: History::default(), watches: BTreeMap::new() }
    }

    /// A replay whose tree has seen other changes before, more than history keeps, and has other keys and timers.
    pub(crate) fn with_a_past() -> Self {
        let mut replay = Self::new();
        for n in 0..1200u32 {
            let put = Put {
                key: Key::parse(&format!("/past/{}/{}", n % 7, n % 50)).expect("a key"),
                mode: PutMode::Set,
                value: spinney::internals::tree::Value::new(n.to_string().as_bytes()),
                ttl_ms: (n % 3 == 0).then_some(1_000_000_000 + u64::from(n)),
                dir: false,
                refresh: false,
            };
            replay.apply(Command::Put(put)).expect("only files are made");
        }
        replay
    }

    /// Plays those of the case's steps that are named and cleans up; says what differed.
    pub(crate) fn case(&mut self, case: &Value, steps: &[usize]) -> Vec<String> {
        self.remove(case["dir"].as_str());
        let mut expected = Expected::new(self.tree.index());
        let mut problems = Vec::new();
        for &number in steps {
            let step = &case["steps"][number];
            if let Err(problem) = self.step(step, &mut expected) {
                problems.push(format!("step {number}: {problem}\n    {}", step["request"]));
            }
        }
        self.watches.clear();
        self.remove(case["dir"].as_str());
        for name in case["cleanup"].as_array().into_iter().flatten() {
            self.remove(name.as_str().map(|name| expected.fill(name)).as_deref());
        }
        problems
    }

    fn step(&mut self, step: &Value, expected: &mut Expected) -> Result<(), String> {
        let field = |name| step[name].as_str();
        if let Some(name) = field("open") {
            self.open(name, step, expected)
        } else if let Some(times) = step["repeat"].as_u64() {
            (0..times).try_for_each(|_| match self.request(&step["request"], expected)?.status {
                200 | 201 => Ok(()),
                status => Err(format!("status {status} in a repeated request")),
            })
        } else if step.get("request").is_some() {
            let answer = self.request(&step["request"], expected)?;
            compare(&answer, &step["response"], expected)
        } else if let Some(name) = field("expect") {
            self.expect(name, step, expected)
        } else if let Some(name) = field("quiet") {
            self.pass(seconds(&step["for"]));
            let watch = &self.watches[name];
            let is_quiet = watch.events.is_empty() && !watch.is_complete();
            if is_quiet { Ok(()) } else { Err(format!("{name} is not quiet: {:?}", watch.events)) }
        } else if let Some(name) = field("close") {
            self.watches.remove(name).map(|_| ()).ok_or_else(|| format!("no watch {name}"))
        } else if let Some(path) = field("gone") {
            let key = request::key_of(&expected.fill(path));
            self.pass_until(|replay| replay.tree.get(&key).is_err())
        } else if step.get("sleep").is_some() {
            self.pass(seconds(&step["sleep"]));
            Ok(())
        } else {
            Err("unknown kind of step".to_owned())
        }
    }

    /// The answer to a request that does not wait for what is still to come.
    fn request(&mut self, request: &Value, expected: &mut Expected) -> Result<Answer, String> {
        let asked = self.receive(request, expected);
        Ok(match asked {
            Err(bad) => answer::bad_request(&bad),
            Ok(Asked::Get { key, recursive }) => match self.tree.get(&key) {
                Ok(node) => answer::read(node, recursive, self.now, self.tree.index()),
                Err(refused) => answer::refused(&refused),
            },
            Ok(Asked::Watch(asking)) => match Watch::open(asking.clone(), &self.history) {
                Ok(watch) => {
                    let change = watch.events.front().ok_or("waits for what is still to come")?;
                    Answer { status: 200, index: self.tree.index(), body: answer::event(change) }
                }
                Err(start) => answer::outdated(start, asking.since, self.tree.index()),
            },
            Ok(Asked::Write { command, no_value }) => match self.apply(command) {
                Ok(effect) => answer::change(&effect.change, self.tree.index(), no_value),
                Err(refused) => answer::refused(&refused),
            },
        })
    }

    /// A request with its placeholders filled in, as it arrives: a little later than what was before.
    fn receive(&mut self, request: &Value, expected: &mut Expected) -> Result<Asked, request::BadRequest> {
        self.pass(REQUEST);
        expected.now = self.now;
        request::parse(&expected.fill_all(request))
    }

    fn open(&mut self, name: &str, step: &Value, expected: &mut Expected) -> Result<(), String> {
        let Ok(Asked::Watch(asking)) = self.receive(&step["request"], expected) else {
            return Err("is not a watch".to_owned());
        };
        let watch =
            Watch::open(asking, &self.history).map_err(|start| format!("history begins at {start}"))?;
        self.watches.insert(name.to_owned(), watch);
        let head = Answer { status: 200, index: self.tree.index(), body: Value::Null };
        compare(&head, &step["response"], expected)
    }

    fn expect(&mut self, name: &str, step: &Value, expected: &mut Expected) -> Result<(), String> {
        for wanted in step["events"].as_array().expect("a list of events") {
            self.pass_until(|replay| !replay.watches[name].events.is_empty())?;
            let change = self.watches.get_mut(name).and_then(|watch| watch.events.pop_front());
            let change = change.expect("waited for above");
            expected.now = change.time;
            expected.compare(wanted, &answer::event(&change), "event")?;
        }
        let watch = &self.watches[name];
        match step["end"].as_bool() {
            Some(true) if !watch.is_complete() => Err("the response is left open".to_owned()),
            Some(true) if !watch.events.is_empty() => Err(format!("more comes: {:?}", watch.events)),
            _ => Ok(()),
        }
    }

    /// Lets time pass as a member does: it wakes when the tree says so, looks closer, and proposes an expiry when
    /// something is due.
    fn pass(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(wake) = self.tree.next_wake().filter(|&wake| wake <= end) {
            self.now = self.now.max(wake);
            self.tree.refine_timers(self.now, usize::MAX);
            if self.tree.next_wake().is_some_and(|wake| wake <= self.now) {
                self.run(Command::Expire).expect("nothing is refused");
            }
        }
        self.now = end;
    }

    /// Lets no more time pass than it takes until `there`, from one deadline to the next.
    fn pass_until(&mut self, there: impl Fn(&Self) -> bool) -> Result<(), String> {
        let give_up = self.now.after(WAIT_MAX);
        while !there(self) {
            let wake = self.tree.next_wake().filter(|&wake| wake <= give_up).ok_or("waits in vain")?;
            self.pass(wake.since(self.now));
        }
        Ok(())
    }

    /// What `command`, which makes one change, did.
    fn apply(&mut self, command: Command) -> Result<Effect, Refused> {
        self.run(command).map(|mut own| own.pop().expect("one change was made"))
    }

    /// Applies `command`, tells whoever is to know, and returns what was done beside expiry.
    fn run(&mut self, command: Command) -> Result<Vec<Effect>, Refused> {
        let (before, mut effects) = (self.tree.index(), Vec::new());
        let outcome = self.tree.apply(self.now, command, &mut effects);
        for (effect, expected) in effects.iter().zip(before.get() + 1..) {
            assert_eq!(effect.change.index(), Index::new(expected), "changes are numbered without a gap");
            self.history.push(effect.change.clone());
            for watch in self.watches.values_mut() {
                watch.tell(effect);
            }
        }
        assert_eq!(self.tree.index().get(), before.get() + effects.len() as u64);
        outcome.map(|own| effects.split_off(own))
    }

    fn remove(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            let key = Key::parse(name).expect("a key");
            // It may not be there.
            let _ = self.run(Command::Delete(Delete { key, dir: true, recursive: true, condition: None }));
        }
    }
}

/// Status, index and body; how they are framed is the HTTP front's matter.
fn compare(answer: &Answer, recorded: &Value, expected: &mut Expected) -> Result<(), String> {
    expected.compare(&recorded["status"], &answer.status.into(), "status")?;
    let headers = recorded["headers"].as_object().expect("headers");
    let index = headers.get("@node").or(headers.get("@error")).ok_or("no index was recorded")?;
    let wanted = expected.index(index);
    if answer.index != wanted {
        return Err(format!("index: expected {wanted}, got {}", answer.index));
    }
    match recorded.get("json") {
        Some(wanted) => expected.compare(wanted, &answer.body, "body"),
        None => Ok(()),
    }
}

fn seconds(number: &Value) -> Duration {
    Duration::from_secs_f64(number.as_f64().expect("seconds"))
}
