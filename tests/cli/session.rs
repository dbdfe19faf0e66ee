//! Sessions with etcdctl, recorded: what was asked, what came on stdout and stderr, and the exit code.
//!
//! ```text
//!   $ set /a 1            a command; `$~` where stdout is not compared, since it is help
//!   $ set /a < b\n        the same with stdin
//!   | 1                   a line of stdout; `|_` for one without an end
//!   ! Error: …            a line of stderr; `!_` for one without an end
//!   = 4                   the exit code, when it is not 0
//! ```
//!
//! Indexes count from where the session begins (`+1`), since every server begins elsewhere; ids, URLs and moments are
//! masked. In commands, `{+1}` stands for an index, `{url}` for the server.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::servers::{PEER_URL, Server};

/// How far from the beginning of a session a number is taken for an index.
const REACH: u64 = 1_000;

/// Writes that every server needs first, for indexes to be told from other numbers.
pub(crate) const WRITES: usize = 3_000;

/// Plays the commands of `script` with the client that `client` makes, and returns it with what came of them.
pub(crate) fn play(script: &str, server: &Server, client: &dyn Fn() -> Command) -> String {
    let base = server.index();
    assert!(base > 2 * REACH, "indexes cannot be told from other numbers");
    let mut played = String::new();
    for line in script.lines() {
        let Some(command) = line.strip_prefix('$') else {
            if line.is_empty() || line.starts_with('#') {
                writeln!(played, "{line}").unwrap();
            }
            continue;
        };
        writeln!(played, "{line}").unwrap();
        let is_help = command.starts_with('~');
        let (command, stdin) = match command.trim_start_matches('~').split_once(" < ") {
            Some((command, stdin)) => (command, stdin.replace("\\n", "\n")),
            None => (command.trim_start_matches('~'), String::new()),
        };
        let words = words(&command.replace("{url}", &server.url), base);
        let mut process = client();
        process.arg("--endpoints").arg(&server.url).args(words);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process.spawn().unwrap();
        // Whoever does not read stdin may have ended already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        if !is_help {
            show(&mut played, '|', &mask(&String::from_utf8_lossy(&output.stdout), server, base));
        }
        show(&mut played, '!', &mask(&without_stty(&String::from_utf8_lossy(&output.stderr)), server, base));
        match output.status.code() {
            Some(0) => {}
            Some(code) => writeln!(played, "= {code}").unwrap(),
            None => writeln!(played, "= {}", output.status).unwrap(),
        }
    }
    played
}

fn show(played: &mut String, mark: char, text: &str) {
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => writeln!(played, "{mark} {line}").unwrap(),
            None => writeln!(played, "{mark}_{line}").unwrap(),
        }
    }
}

/// etcdctl calls a program to hide passwords, which complains where there is no terminal.
fn without_stty(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with("stty:")).collect()
}

/// Words as a shell would split them, with quotes of both kinds, and indexes put in.
fn words(command: &str, base: u64) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    let index = |word: String| match word
        .split_once("{+")
        .and_then(|(head, rest)| Some((head, rest.split_once('}')?)))
    {
        Some((head, (offset, tail))) => format!("{head}{}{tail}", base + offset.parse::<u64>().unwrap()),
        None => word,
    };
    words.into_iter().map(index).collect()
}

/// `text` without what differs from server to server.
fn mask(text: &str, server: &Server, base: u64) -> String {
    let text = text.replace(&server.url, "<url>").replace(PEER_URL, "<peer>");
    let id = &server.id;
    let text = text.replace(&format!("{id}: name="), "<id>: name=");
    let text = text.replace(&format!("member {id} is"), "member <id> is");
    let text = text.replace(&format!("member remove {id}\n"), "member remove <id>\n");
    let text = mask_after(&text, "\"expiration\":\"", "<moment>", |c| c != '"');
    let text = mask_after(&text, "\"ttl\":", "<ttl>", |c: char| c.is_ascii_digit());
    let text = mask_after(&text, "TTL: ", "<ttl>", |c: char| c.is_ascii_digit());
    let mut masked = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        masked.push_str(&mask_word(&rest[..word], base));
        let next = rest[word..].chars().next().map_or(0, char::len_utf8);
        masked.push_str(&rest[word..word + next]);
        rest = &rest[word + next..];
    }
    masked
}

fn mask_word(word: &str, base: u64) -> String {
    match word.parse::<u64>() {
        Ok(number) if number >= base && number < base + REACH => format!("+{}", number - base),
        Ok(number) if number < base && number + REACH > base => format!("-{}", base - number),
        Ok(_) | Err(_) => word.to_owned(),
    }
}

/// Puts `mask` in place of those characters after each `mark` that are `meant`, if there are any.
fn mask_after(text: &str, mark: &str, mask: &str, meant: impl Fn(char) -> bool) -> String {
    let mut pieces = text.split(mark);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(&meant);
        let found = &piece[..piece.len() - rest.len()];
        masked.push_str(mark);
        // Nothing, and a TTL of none, are the same everywhere.
        masked.push_str(if matches!(found, "" | "0") { found } else { mask });
        masked.push_str(rest);
    }
    masked
}

/// Plays every session on one server, and compares with what is recorded; or records, where that is asked for.
pub(crate) fn play_all(server: &Server, client: &dyn Fn() -> Command, record: bool) {
    server.raise_index(WRITES);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/sessions");
    let mut files: Vec<_> = directory.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "where are the sessions?");
    let mut different = Vec::new();
    for file in files {
        let recorded = std::fs::read_to_string(&file).unwrap();
        let played = play(&recorded, server, client);
        clean(server);
        if record {
            std::fs::write(&file, &played).unwrap();
        } else if played != recorded {
            let difference = similar::TextDiff::from_lines(&recorded, &played);
            let difference =
                difference.unified_diff().context_radius(1).header("recorded", "played").to_string();
            different.push(format!("{}:\n{difference}", file.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Removes what a session left behind.
fn clean(server: &Server) {
    let listing = server.request("GET", "/v2/keys/", "");
    for piece in listing.split("\"key\":\"").skip(1) {
        let key = piece.split('"').next().unwrap();
        if key.matches('/').count() == 1 {
            server.request("DELETE", &format!("/v2/keys{key}?recursive=true"), "");
        }
    }
}
