//! What is different on a terminal: colours, questions, passwords.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::run::Run as _;
use crate::servers::{Server, installed, spinney};
use crate::skipped;

/// What `client` shows on a terminal, and how it ends; `None` where no program makes terminals. Where it asks with words
/// that end as the first of `asked`, the second is typed.
fn on_terminal(client: &Command, words: &[&str], asked: (&str, &str)) -> Option<(String, Option<i32>)> {
    let mut command = Command::new(installed("script")?);
    let program = client.get_program().to_str().unwrap();
    let line = [&[program], words].concat().iter().map(|word| format!("'{word}' ")).collect::<String>();
    command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
    for (name, value) in client.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child =
        command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (question, typed) = asked;
    let (mut screen, mut keyboard) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let mut shown = Vec::new();
    while !shown.ends_with(question.as_bytes()) {
        let mut byte = [0];
        assert_eq!(screen.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
        shown.extend(byte);
    }
    keyboard.write_all(typed.as_bytes()).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    let text = String::from_utf8(shown).unwrap().replace("\r\n", "\n");
    Some((text, child.wait().unwrap().code()))
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let server = Server::spinney(&[]);
    server.request("PUT", "/v2/keys/app/port", "value=8080");
    let words = ["--endpoints", &server.url, "tree"];
    let plain = String::from_utf8(spinney().args(words).run().stdout).unwrap();
    assert!(plain.starts_with("/\n└── app/\n    └── port = \"8080\"\n"), "{plain:?}");
    let Some((coloured, _)) = on_terminal(&spinney(), &words, ("", "")) else { return skipped("script") };
    assert!(coloured.contains("\u{1b}[34mapp/\u{1b}[0m"), "{coloured:?}");
    let mut unwilling = spinney();
    unwilling.env("NO_COLOR", "1");
    assert_eq!(on_terminal(&unwilling, &words, ("", "")).unwrap().0, plain);
}

#[test]
fn an_import_asks_first() {
    let server = Server::spinney(&[]);
    let file = server.scratch().join("app.json");
    std::fs::write(&file, r#"{"port": 9090}"#).unwrap();
    let words = ["--endpoints", &server.url, "import", "/app", file.to_str().unwrap()];
    let Some((said, code)) = on_terminal(&spinney(), &words, ("[y/N] ", "n\n")) else {
        return skipped("script");
    };
    assert!(said.ends_with("\nMake 1 change? [y/N] n\nnothing was changed\n"), "{said:?}");
    assert_eq!(code, Some(1));
    let (said, code) = on_terminal(&spinney(), &words, ("[y/N] ", "y\n")).unwrap();
    assert!(code == Some(0) && said.contains("[y/N] y\n1 change made; the index is "), "{said:?}");
}

#[test]
fn passwords_are_asked_for_as_etcdctl_asks() {
    let server = Server::spinney(&[]);
    // Both ask before they hide what is typed: who is very quick is seen, and tries again.
    for user in 0..50 {
        let user = format!("u{user}");
        let words = ["--endpoints", &server.url, "user", "add", &user];
        let answer = ("word: ", "secret\n");
        let Some((said, code)) = on_terminal(&spinney(), &words, answer) else { return skipped("script") };
        if !said.contains("secret") {
            assert_eq!((said, code), (format!("New password: \nUser {user} created\n"), Some(0)));
            return;
        }
    }
    panic!("what is typed is seen");
}
