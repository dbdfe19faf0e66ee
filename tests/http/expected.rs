//! Comparing what came over the wire with what was recorded, placeholders included.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `{"$idx": N}` | N after the index that the store had when the case began |
//! | `${idx+N}`, `${idx20+N}` in a text | the same in decimal; padded to 20 digits |
//! | `${rep:c:N}` in a text, `{"$repeat": [c, N]}` | N times the character |
//! | `{"$ttl": N}` | N, or less by the time that has passed since the case began |
//! | `{"$time": name, "in": S}` | a moment, about S seconds from now; the same name is the very same moment |
//! | `{"$unordered": […]}`, `{"$includes": […]}` | these elements in any order; at least these |
//! | `{"$each": X}` | one or more elements, each X |
//! | `{"$stat": [name, N]}` | that counter before the case, plus N |
//! | `{"$any": kind}` | any of that kind |

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::support::now;

/// What the placeholders of one case stand for.
#[derive(Clone)]
pub(crate) struct Expected {
    /// The index when the case began.
    start: u64,
    began: Instant,
    /// The moments that have a name.
    times: BTreeMap<String, String>,
    /// The counters before the case.
    stats: Value,
}

impl Expected {
    pub(crate) fn new(start: u64, stats: Value) -> Self {
        Self { start, began: now(), times: BTreeMap::new(), stats }
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
                let index = self.start + add.parse::<u64>().expect("a number");
                if kind == "idx20" { format!("{index:020}") } else { index.to_string() }
            }
        };
        format!("{before}{filled}{}", self.fill(after))
    }

    /// Whether the JSON `text` is `wanted`, to the byte.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub(crate) fn compare_text(&mut self, wanted: &Value, text: &str) -> Result<(), String> {
        let got: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text:?}"))?;
        self.compare(wanted, &got, "body")?;
        let written = written(&got);
        // A U+FFFD may stand for itself or for a byte that is no text.
        if text == written || text.replace('\u{FFFD}', "\\ufffd") == written {
            return Ok(());
        }
        Err(format!("differs in form alone: expected {written}, got {text}"))
    }

    /// Whether `got` is what `wanted` says.
    ///
    /// # Errors
    ///
    /// Where, below `at`, it is not.
    pub(crate) fn compare(&mut self, wanted: &Value, got: &Value, at: &str) -> Result<(), String> {
        let differs = || Err(format!("{at}: expected {wanted}, got {got}"));
        if let Some((kind, argument)) = placeholder_of(wanted) {
            return if self.placeholder(kind, argument, wanted, got) { Ok(()) } else { differs() };
        }
        match (wanted, got) {
            // The order of the fields counts, too.
            (Value::Object(fields), Value::Object(others)) if fields.keys().eq(others.keys()) => {
                let mut fields = fields.iter();
                fields
                    .try_for_each(|(name, value)| self.compare(value, &others[name], &format!("{at}.{name}")))
            }
            (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
                let mut pairs = elements.iter().zip(others).enumerate();
                pairs.try_for_each(|(n, (a, b))| self.compare(a, b, &format!("{at}[{n}]")))
            }
            (Value::String(text), Value::String(other)) if self.fill(text) == *other => Ok(()),
            (plain, other) if !plain.is_object() && plain == other => Ok(()),
            _ => differs(),
        }
    }

    fn placeholder(&mut self, kind: &str, argument: &Value, wanted: &Value, got: &Value) -> bool {
        match kind {
            "$idx" => got.as_u64() == argument.as_u64().map(|after| self.start + after),
            "$stat" => {
                let before = argument[0].as_str().and_then(|name| self.stats[name].as_u64());
                got.as_u64() == before.zip(argument[1].as_u64()).map(|(before, more)| before + more)
            }
            "$ttl" => {
                let (ttl, left) = (argument.as_u64().expect("seconds"), got.as_u64().unwrap_or_default());
                let passed = self.began.elapsed().as_secs() + 1;
                left <= ttl && left >= ttl.saturating_sub(passed).max(1)
            }
            "$time" => self.is_time(argument, wanted, got),
            "$any" => is_any(argument.as_str().expect("a kind"), got),
            "$each" => got.as_array().is_some_and(|elements| {
                !elements.is_empty()
                    && elements.iter().all(|element| self.compare(argument, element, "").is_ok())
            }),
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

    fn is_time(&mut self, name: &Value, wanted: &Value, got: &Value) -> bool {
        let Some(text) = got.as_str().filter(|text| seconds_of(text).is_some()) else { return false };
        let name = name.as_str().expect("a name").to_owned();
        let known = self.times.entry(name).or_insert_with(|| text.to_owned());
        let about = wanted["in"].as_f64().is_none_or(|ahead| {
            let off = seconds_of(text).expect("looked at above") - wall_clock() - ahead;
            off.abs() < 4.0 + self.began.elapsed().as_secs_f64()
        });
        known == text && about
    }
}

fn wall_clock() -> f64 {
    #[allow(clippy::disallowed_methods, reason = "compared with what a server says")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// The seconds since 1970 of a moment in RFC 3339, in UTC and without zeros at its end.
fn seconds_of(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if time.contains('.') && time.ends_with('0') {
        return None;
    }
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    // Days as a calendar counts them, from March on.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let mut time = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    Some(days as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

fn is_any(kind: &str, got: &Value) -> bool {
    let text = got.as_str().unwrap_or_default();
    match kind {
        "uint" => got.is_u64(),
        "number" => got.is_number(),
        "bool" => got.is_boolean(),
        "string" => got.is_string(),
        "object" => got.is_object(),
        "hex" => {
            (1..=16).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        }
        "version" => {
            text.splitn(3, '.').filter(|part| part.starts_with(|c: char| c.is_ascii_digit())).count() == 3
        }
        "time" => seconds_of(text).is_some(),
        "duration" => text.ends_with('s') && text.starts_with(|c: char| c.is_ascii_digit()),
        "urls" => got
            .as_array()
            .is_some_and(|urls| urls.iter().all(|url| url.as_str().is_some_and(|url| url.contains("://")))),
        other => panic!("unknown kind {other}"),
    }
}

/// The one form that the recorded server writes a value in.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(elements) => format!("[{}]", elements.iter().map(written).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}:{}", string(name), written(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\0'..'\x20' | '\u{2028}' | '\u{2029}' | '\u{FFFD}' => {
                out.push_str(&format!("\\u{:04x}", character as u32));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn placeholder_of(wanted: &Value) -> Option<(&str, &Value)> {
    let (kind, argument) = wanted.as_object()?.iter().next()?;
    kind.starts_with('$').then_some((kind.as_str(), argument))
}
