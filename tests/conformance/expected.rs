//! Comparing what came with what was recorded, placeholders included.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `{"$idx": N}` | N after the index that the store had when the case began |
//! | `${idx+N}`, `${idx20+N}` in a text | the same in decimal; padded to 20 digits |
//! | `${rep:c:N}` in a text, `{"$repeat": [c, N]}` | N times the character |
//! | `{"$ttl": N}` | N, or N-1 where N > 1 |
//! | `{"$time": name, "in": S}` | a moment, S seconds from now; the same name is the very same moment |
//! | `{"$unordered": […]}` | these elements in any order |
//! | `{"$includes": […]}` | at least these elements |

use std::collections::BTreeMap;

use serde_json::Value;
use spinney::{Index, Timestamp};

/// What the placeholders of one case stand for.
#[derive(Clone)]
pub(crate) struct Expected {
    /// The index when the case began.
    start: Index,
    /// When what is compared came.
    pub(crate) now: Timestamp,
    /// The moments that have a name.
    times: BTreeMap<String, u64>,
}

impl Expected {
    pub(crate) fn new(start: Index) -> Self {
        Self { start, now: Timestamp::default(), times: BTreeMap::new() }
    }

    /// `text` with its placeholders filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
        let (placeholder, after) = rest.split_once('}').expect("a placeholder ends");
        let filled = match placeholder.split_once([':', '+']).expect("a placeholder has an argument") {
            ("rep", argument) => {
                let (what, times) = argument.split_once(':').expect("what and how often");
                what.repeat(times.parse().expect("a number"))
            }
            (kind, add) => {
                let index = self.start.get() + add.parse::<u64>().expect("a number");
                if kind == "idx20" { format!("{index:020}") } else { index.to_string() }
            }
        };
        format!("{before}{filled}{}", self.fill(after))
    }

    /// `value` with the placeholders of all its texts filled in.
    pub(crate) fn fill_all(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fill(text).into(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.fill_all(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// The index that `wanted` stands for: the header of an answer.
    pub(crate) fn index(&self, wanted: &Value) -> Index {
        match (&wanted["$idx"], wanted) {
            (Value::Number(after), _) => Index::new(self.start.get() + after.as_u64().expect("an index")),
            (_, Value::String(plain)) => Index::new(plain.parse().expect("an index")),
            other => panic!("no index: {other:?}"),
        }
    }

    /// Whether `got` is what `wanted` says.
    ///
    /// # Errors
    ///
    /// Where, below `at`, it is not.
    pub(crate) fn compare(&mut self, wanted: &Value, got: &Value, at: &str) -> Result<(), String> {
        if let Some((kind, argument)) = placeholder_of(wanted) {
            let holds = self.placeholder(kind, argument, wanted, got);
            return if holds { Ok(()) } else { Err(format!("{at}: expected {wanted}, got {got}")) };
        }
        match (wanted, got) {
            // The order of the fields counts, too.
            (Value::Object(fields), Value::Object(others)) if fields.keys().eq(others.keys()) => fields
                .iter()
                .try_for_each(|(name, value)| self.compare(value, &others[name], &format!("{at}.{name}"))),
            (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
                let mut pairs = elements.iter().zip(others).enumerate();
                pairs.try_for_each(|(n, (a, b))| self.compare(a, b, &format!("{at}[{n}]")))
            }
            (Value::String(text), Value::String(other)) if self.fill(text) == *other => Ok(()),
            (plain, other) if !plain.is_object() && plain == other => Ok(()),
            _ => Err(format!("{at}: expected {wanted}, got {got}")),
        }
    }

    fn placeholder(&mut self, kind: &str, argument: &Value, wanted: &Value, got: &Value) -> bool {
        match kind {
            "$idx" => got.as_u64() == Some(self.index(wanted).get()),
            "$ttl" => {
                let (ttl, left) = (argument.as_i64().expect("seconds"), got.as_i64());
                left == Some(ttl) || ttl > 1 && left == Some(ttl - 1)
            }
            "$time" => got.as_u64().is_some_and(|moment| self.is_time(argument, wanted, moment)),
            "$repeat" => {
                let (what, times) = (argument[0].as_str().expect("a text"), argument[1].as_u64());
                got.as_str() == Some(&what.repeat(times.expect("a count") as usize))
            }
            "$unordered" | "$includes" => {
                let mut left = got.as_array().cloned().unwrap_or_default();
                let found = argument.as_array().expect("elements").iter().all(|element| {
                    let mut matches = |candidate: &Value| {
                        let mut attempt = self.clone();
                        let matched = attempt.compare(element, candidate, "").is_ok();
                        if matched {
                            *self = attempt;
                        }
                        matched
                    };
                    left.iter().position(&mut matches).map(|at| left.remove(at)).is_some()
                });
                found && (kind == "$includes" || left.is_empty())
            }
            other => panic!("unknown placeholder {other}"),
        }
    }

    fn is_time(&mut self, name: &Value, wanted: &Value, moment: u64) -> bool {
        let name = name.as_str().expect("a name").to_owned();
        let known = *self.times.entry(name).or_insert(moment);
        // The replay's clock stands still while a request is answered.
        let meant = wanted["in"].as_u64().map_or(known, |seconds| self.now.get() + seconds * 1000);
        known == moment && meant == moment
    }
}

fn placeholder_of(wanted: &Value) -> Option<(&str, &Value)> {
    let (kind, argument) = wanted.as_object()?.iter().next()?;
    kind.starts_with('$').then_some((kind.as_str(), argument))
}
