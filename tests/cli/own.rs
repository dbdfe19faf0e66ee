//! What etcdctl never had: drawings, exports and imports, the editor, completions, help; and backups.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::servers::{Server, spinney};
use crate::skipped;

/// Exit code, stdout, stderr.
type Outcome = (i32, String, String);

fn run(mut command: Command, words: &[&str], stdin: &str) -> Outcome {
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever does not read stdin may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn on(server: &Server, words: &[&str]) -> Outcome {
    run(spinney(), &[&["--endpoints", &server.url], words].concat(), "")
}

/// What a command prints that must go well.
fn good(server: &Server, words: &[&str]) -> String {
    let (code, out, err) = on(server, words);
    assert_eq!((code, err.as_str()), (0, ""), "{words:?}: {out}");
    out
}

fn with_services() -> Server {
    let server = Server::spinney(&[]);
    for (key, value) in
        [("/app/port", "8080"), ("/app/name", "spinney"), ("/app/db/host", "10.0.0.1"), ("/other", "x")]
    {
        good(&server, &["set", key, value]);
    }
    good(&server, &["mkdir", "/app/empty"]);
    server
}

#[test]
fn tree_draws_directories_and_values() {
    let server = with_services();
    let drawn = good(&server, &["tree", "/app"]);
    let expected = "/app/\n├── db/\n│   └── host = \"10.0.0.1\"\n├── empty/\n├── name = \"spinney\"\n└── port = \
                    \"8080\"\n\n2 directories, 3 values\n";
    assert_eq!(drawn, expected);
    let drawn = good(&server, &["tree", "--depth", "1", "--keys-only"]);
    assert_eq!(drawn, "/\n├── app/\n└── other\n\n3 directories, 4 values\n");
    assert_eq!(good(&server, &["tree", "/other"]), "/other = \"x\"\n");
    let (code, _, err) = on(&server, &["tree", "/none"]);
    assert!(code == 4 && err.starts_with("Error:  100: Key not found (/none) ["), "{err}");
}

#[test]
fn what_is_exported_can_be_imported_elsewhere() {
    let server = with_services();
    let directory = server.scratch();
    for format in ["json", "toml"] {
        let text = good(&server, &["export", "--format", format, "/app"]);
        let file = directory.join(format!("app.{format}"));
        fs::write(&file, &text).unwrap();
        let target = format!("/copy/{format}");
        let plan = good(&server, &["import", "--yes", &target, file.to_str().unwrap()]);
        assert!(plan.contains(&format!("+ {target}/db/host = \"10.0.0.1\"\n")), "{plan}");
        assert!(plan.contains("4 changes made; the index is "), "{plan}");
        assert_eq!(good(&server, &["export", "--format", format, &target]), text);
        let again = good(&server, &["import", "--yes", &target, file.to_str().unwrap()]);
        assert_eq!(again, format!("{target} is as the file says\n"));
    }
    let expected = "{\n  \"db\": {\n    \"host\": \"10.0.0.1\"\n  },\n  \"empty\": {},\n  \"name\": \"spinney\",\n  \
                    \"port\": \"8080\"\n}\n";
    assert_eq!(good(&server, &["export", "/app"]), expected);
}

#[test]
fn values_that_are_no_text_are_told_of() {
    let server = Server::spinney(&[]);
    server.request("PUT", "/v2/keys/d/binary", "value=%FF");
    let (code, out, err) = on(&server, &["export", "/d"]);
    assert_eq!((code, out.as_str()), (0, "{\n  \"binary\": \"\u{fffd}\"\n}\n"));
    assert!(err.starts_with("/d/binary: may be other bytes than these"), "{err}");
    let data = server.data();
    server.signal("TERM");
    let (_, _, _directory) = server.wait();
    let (code, out, err) = run(spinney(), &["export", "--data-dir", data.to_str().unwrap(), "/d"], "");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("the value of /d/binary is no text"), "{err}");
}

#[test]
fn an_import_is_one_transaction() {
    let server = with_services();
    let index = server.index();
    let file = server.scratch().join("app.toml");
    fs::write(&file, "port = 9090\nname = 'oak'\n[cache]\nsize = 5\n").unwrap();
    let file = file.to_str().unwrap();

    let (code, out, err) = on(&server, &["import", "--dry-run", "/app", file]);
    let diff = "+ /app/cache/size = \"5\"\n- /app/name = \"spinney\"\n+ /app/name = \"oak\"\n- /app/port = \"8080\"\n+ \
                /app/port = \"9090\"\nkept 2 that the file does not have: --prune removes what does not expire\n";
    assert_eq!((code, out.as_str(), err.as_str()), (1, diff, ""));
    let (code, _, err) = on(&server, &["import", "/app", file]);
    assert!(code == 1 && err.contains("there is nobody to ask"), "{err}");
    assert_eq!(server.index(), index + 1, "nothing was to be changed so far");

    let done = good(&server, &["import", "--yes", "/app", file]);
    assert_eq!(done, format!("{diff}3 changes made; the index is {}\n", index + 4));
    fs::write(file, "port = 9091\n").unwrap();
    let done = good(&server, &["import", "--yes", "/app", file]);
    assert!(done.ends_with(&format!("\n1 change made; the index is {}\n", index + 5)), "{done}");
    fs::write(file, "port = 9090\nname = 'oak'\n[cache]\nsize = 5\n").unwrap();
    assert_eq!(good(&server, &["ls", "--sort", "-r", "-p", "/app"]).lines().count(), 7);

    good(&server, &["set", "--ttl", "1000", "/app/lease", "me"]);
    let done = good(&server, &["import", "--yes", "--prune", "/app", file]);
    assert!(
        done.contains("- /app/db/host") && done.contains("- /app/empty/") && done.contains("they expire"),
        "{done}"
    );
    assert_eq!(
        good(&server, &["ls", "--sort", "-r", "-p", "/app"]),
        "/app/cache/\n/app/cache/size\n/app/lease\n/app/name\n/app/port\n"
    );
    let (code, out, err) = on(&server, &["export", "/app"]);
    assert!(code == 0 && !out.contains("lease"), "{out}");
    assert_eq!(err, "left out 1 that expire; --with-ttl keeps their values\n");
}

#[test]
fn an_import_that_is_too_much_for_one_transaction_is_told_what_to_do() {
    let server = Server::spinney(&[]);
    let value = "x".repeat(1_000_000);
    let text =
        format!(r#"{{"1": "{value}", "2": "{value}", "3": "{value}", "4": "{value}", "5": "{value}"}}"#);
    let words = ["--endpoints", &server.url, "import", "--yes", "/big", "-"];
    let (code, _, err) = run(spinney(), &words, &text);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("transaction of 50") && err.contains("nothing was changed"), "{err}");
    assert!(err.contains("--one-by-one makes the changes one after the other"), "{err}");
    assert!(server.request("GET", "/v2/keys/big", "").contains("404 Not Found"));
    let (code, out, err) = run(spinney(), &[&words[..], &["--one-by-one"]].concat(), &text);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(good(&server, &["ls", "/big"]).lines().count(), 5);
}

#[test]
fn imports_that_make_no_sense_change_nothing() {
    let server = with_services();
    let index = server.index();
    for (text, why) in [
        ("[1]", "a list has no place"),
        (r#"{"db": 1}"#, "/app/db is a directory, in the file a value; --prune lets the first go"),
        (r#"{"name": {"a": 1}}"#, "/app/name is a value, in the file a directory"),
        (r#"{"a/b": 1}"#, "has a slash"),
        ("{", "not JSON"),
    ] {
        let words = ["--endpoints", &server.url, "import", "--yes", "/app", "-"];
        let (code, _, err) = run(spinney(), &words, text);
        assert!(code == 1 && err.contains(why), "{text}: {err}");
    }
    assert_eq!(server.index(), index + 1);
    let words = ["--endpoints", &server.url, "import", "--yes", "--prune", "/app", "-"];
    let (code, out, err) = run(spinney(), &words, r#"{"db": 1, "name": {"a": 1}}"#);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(
        good(&server, &["export", "/app"]),
        "{\n  \"db\": \"1\",\n  \"name\": {\n    \"a\": \"1\"\n  }\n}\n"
    );
}

#[test]
fn a_server_without_transactions_is_told_so() {
    let Some(server) = Server::etcd() else { return skipped("etcd") };
    good(&server, &["set", "/app/a", "1"]);
    good(&server, &["set", "/app/gone", "1"]);
    let words = ["--endpoints", &server.url, "import", "--prune", "--yes", "/app", "-"];
    let text = r#"{"a": 2, "b": {"c": 3}, "d": {}}"#;
    let (code, _, err) = run(spinney(), &words, text);
    assert!(code == 4 && err.starts_with("nothing was changed: this server has no transactions"), "{err}");
    assert_eq!(good(&server, &["ls", "--sort", "/app"]), "/app/a\n/app/gone\n");
    let (code, out, err) = run(spinney(), &[&words[..], &["--one-by-one"]].concat(), text);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let exported = "{\n  \"a\": \"2\",\n  \"b\": {\n    \"c\": \"3\"\n  },\n  \"d\": {}\n}\n";
    assert_eq!(good(&server, &["export", "/app"]), exported);
}

#[test]
fn a_data_directory_is_exported_and_imported_without_a_server() {
    let server = with_services();
    let text = good(&server, &["export", "/"]);
    let data = server.data();
    let data = data.to_str().unwrap();
    let (code, _, err) = run(spinney(), &["export", "--data-dir", data, "/"], "");
    assert!(code == 1 && err.contains("cannot open"), "a server has it: {err}");
    server.signal("TERM");
    let (_, _, directory) = server.wait();

    let (code, out, err) = run(spinney(), &["export", "--data-dir", data, "/"], "");
    assert_eq!((code, out.as_str(), err.as_str()), (0, text.as_str(), ""));
    let words = ["import", "--data-dir", data, "--yes", "--prune", "/app", "-"];
    let (code, out, err) = run(spinney(), &words, r#"{"port": 1}"#);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (_, out, _) = run(spinney(), &["export", "--data-dir", data, "/app"], "");
    assert_eq!(out, "{\n  \"port\": \"1\"\n}\n");

    let missing = directory.path().join("missing");
    let (code, _, err) = run(spinney(), &["export", "--data-dir", missing.to_str().unwrap(), "/"], "");
    assert!(code == 1 && err.contains("cannot open"), "{err}");
    assert!(!missing.exists());
}

/// A program that edits a file as `script` says.
fn editor(server: &Server, script: &str) -> Command {
    let path = server.scratch().join("editor.sh");
    fs::write(&path, script).unwrap();
    let mut command = spinney();
    command
        .args(["--endpoints", &server.url])
        .env("EDITOR", format!("sh {}", path.display()))
        .env_remove("VISUAL");
    command
}

#[test]
fn edit_writes_back_what_the_editor_leaves() {
    let server = with_services();
    let (code, out, err) = run(editor(&server, "echo 9090 > $1"), &["edit", "/app/port"], "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("/app/port is changed; its index is "), "{out}");
    assert_eq!(good(&server, &["get", "/app/port"]), "9090\n", "the end of the line is the editor's");
    let (code, out, _) = run(editor(&server, "cat $1 >/dev/null"), &["edit", "/app/port"], "");
    assert_eq!((code, out.as_str()), (0, "/app/port is as before\n"));
    let (code, _, err) = run(editor(&server, "echo x > $1; exit 3"), &["edit", "/app/port"], "");
    assert!(code == 1 && err.contains("nothing is changed"), "{err}");
    assert_eq!(good(&server, &["get", "/app/port"]), "9090\n");
    let (code, _, _) = run(editor(&server, "echo new > $1"), &["edit", "/app/new"], "");
    assert_eq!((code, good(&server, &["get", "/app/new"]).as_str()), (0, "new\n"));
    let (code, _, err) = run(editor(&server, "true"), &["edit", "/app"], "");
    assert!(code == 1 && err.contains("is a directory"), "{err}");
}

#[test]
fn edit_overwrites_nobody() {
    let server = with_services();
    let between =
        format!("{} --endpoints {} set /app/port 7 >/dev/null", env!("CARGO_BIN_EXE_spinney"), server.url);
    let (code, _, err) =
        run(editor(&server, &format!("{between}; echo mine > $1")), &["edit", "/app/port"], "");
    assert!(
        code == 4 && err.contains("101: Compare failed") && err.contains("somebody else changed it"),
        "{err}"
    );
    assert_eq!(good(&server, &["get", "/app/port"]), "7\n");
    let kept = Path::new(err.trim().rsplit(' ').next().unwrap());
    assert_eq!(fs::read_to_string(kept).unwrap(), "mine\n");
    fs::remove_file(kept).unwrap();
}

#[test]
fn edit_lets_a_key_live_as_long_as_before() {
    let server = with_services();
    good(&server, &["set", "--ttl", "1000", "/app/lease", "me"]);
    run(editor(&server, "echo you > $1"), &["edit", "/app/lease"], "");
    let shown = good(&server, &["-o", "extended", "get", "/app/lease"]);
    assert!(shown.ends_with("\nyou\n") && !shown.contains("TTL: 0"), "{shown}");
}

#[test]
fn backup_copies_a_data_directory() {
    let server = with_services();
    let text = good(&server, &["export", "/"]);
    server.signal("TERM");
    let (_, _, directory) = server.wait();
    let (data, copy) = (directory.path().join("data"), directory.path().join("copy"));
    let words = ["backup", "--data-dir", data.to_str().unwrap(), "--backup-dir", copy.to_str().unwrap()];
    let (code, out, err) = run(spinney(), &words, "");
    assert!(code == 0 && out.is_empty() && err.contains(": 4 keys; the index goes on at "), "{out}{err}");
    let (code, _, err) = run(spinney(), &words, "");
    assert_eq!(code, 1, "the copy is in the way: {err}");
    let (_, out, _) = run(spinney(), &["export", "--data-dir", copy.to_str().unwrap(), "/"], "");
    assert_eq!(out, text);
    let (code, _, err) =
        run(spinney(), &["backup", "--data-dir", "/nonexistent", "--backup-dir", "/tmp/x"], "");
    assert_eq!(code, 1, "{err}");
    let (code, _, err) = run(spinney(), &["backup"], "");
    assert_eq!((code, err.as_str()), (1, "which directory? Please use --data-dir\n"));
    let words = ["backup", "--data-dir", data.to_str().unwrap()];
    let (code, _, err) = run(spinney(), &words, "");
    assert_eq!((code, err.as_str()), (1, "which directory? Please use --backup-dir\n"));
}

#[test]
fn a_directory_of_etcds_is_told_of() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::create_dir_all(scratch.path().join("etcd/member/snap")).unwrap();
    let (etcd, copy) = (scratch.path().join("etcd"), scratch.path().join("copy"));
    let (etcd, copy) = (etcd.to_str().unwrap(), copy.to_str().unwrap());
    for words in
        [&["backup", "--data-dir", etcd, "--backup-dir", copy][..], &["export", "--data-dir", etcd, "/"]]
    {
        let (code, out, err) = run(spinney(), words, "");
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains("is a data directory of etcd's, which cannot be read"), "{words:?}: {err}");
    }
    assert!(!scratch.path().join("copy").exists());
}

#[test]
fn every_command_has_help_with_an_example() {
    let (code, help, _) = run(spinney(), &["help"], "");
    assert_eq!(code, 0);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    assert!(names.len() >= 24, "{names:?}");
    for name in names {
        for words in [&[name, "--help"], &["help", name]] {
            let (code, help, err) = run(spinney(), words, "");
            assert_eq!((code, err.as_str()), (0, ""));
            assert!(help.contains("Usage:"), "{help}");
            assert!(!help.contains('\u{1b}'), "colours are for terminals");
            assert_can_be_copied(&help);
        }
    }
    let (code, out, _) = run(spinney(), &["--version"], "");
    assert_eq!((code, out), (0, format!("spinney version: {}\nAPI version: 2\n", env!("CARGO_PKG_VERSION"))));
}

/// Examples are broken where a shell allows it, and nowhere else.
fn assert_can_be_copied(help: &str) {
    let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("no examples: {help}"));
    let mut goes_on = false;
    for line in examples.lines().take_while(|line| !line.is_empty()) {
        let begins = ["  spinney ", "  source "].iter().any(|start| line.starts_with(start));
        assert!(line.len() <= 80 && begins != goes_on, "{line}");
        goes_on = line.ends_with('\\');
    }
    assert!(!goes_on, "{examples}");
}

#[test]
fn wrong_usage_shows_what_would_be_right() {
    for (words, what, usage) in [
        (&["set", "--ttl", "x", "/a", "1"][..], ": invalid value \"x\" for flag -ttl", "Usage: spinney set"),
        (
            &["watch", "--after-index", "x"],
            ": invalid value \"x\" for flag -after-index",
            "Usage: spinney watch",
        ),
        (&["ls", "--bogus"], ": flag provided but not defined: -bogus", "Usage: spinney ls"),
        (&["--timeout", "5", "ls"], ". invalid value \"5\" for flag -timeout", "Usage: spinney [OPTIONS]"),
    ] {
        let (code, out, err) = run(spinney(), words, "");
        assert!(code == 1 && err.starts_with(&what[2..]), "{words:?}: {err}");
        assert!(
            out.starts_with(&format!("Incorrect Usage{what}")) && out.contains(usage),
            "{words:?}: {out}"
        );
    }
}

#[test]
fn what_is_too_much_is_named() {
    for words in [&["tree", "/a", "/b"][..], &["export", "/a", "/b"], &["serve", "/b"]] {
        let (code, out, err) = run(spinney(), words, "");
        assert_eq!((code, out.as_str(), err.as_str()), (1, "", "unexpected argument: /b; see --help\n"));
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, err) = run(spinney(), &["completions", shell], "");
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(script.contains("cluster-health") && script.contains("exec-watch"), "{shell}");
    }
    let (code, _, err) = run(spinney(), &["completions", "nonesuch"], "");
    assert!(code == 1 && err.contains("bash"), "{err}");
}

#[test]
fn variables_of_etcdctl_are_heeded() {
    let server = with_services();
    for name in ["ETCDCTL_ENDPOINTS", "ETCDCTL_ENDPOINT", "ETCDCTL_PEERS"] {
        let mut command = spinney();
        command.env(name, &server.url);
        assert_eq!(run(command, &["get", "/other"], "").1, "x\n");
    }
    let mut command = spinney();
    command.env("ETCDCTL_ENDPOINTS", "http://127.0.0.1:1").env("ETCDCTL_PEERS", &server.url);
    assert_eq!(run(command, &["get", "/other"], "").0, 2, "the first of them counts");
    for flag in ["--peers", "-C", "--endpoint"] {
        assert_eq!(run(spinney(), &[flag, &server.url, "get", "/other"], "").1, "x\n");
    }
    // What is empty is as good as missing.
    let mut command = spinney();
    command.env("ETCDCTL_PEERS", &server.url);
    for name in ["ENDPOINTS", "USERNAME", "CA_FILE", "CERT_FILE", "KEY_FILE", "DISCOVERY_SRV"] {
        command.env(format!("ETCDCTL_{name}"), "");
    }
    assert_eq!(run(command, &["get", "/other"], ""), (0, "x\n".to_owned(), String::new()));
    let empty = ["--ca-file", "", "--cert-file=", "--key-file=", "--endpoints", &server.url, "get", "/other"];
    assert_eq!(run(spinney(), &empty, ""), (0, "x\n".to_owned(), String::new()));

    let both = format!("http://127.0.0.1:1,{}", server.url);
    assert_eq!(
        run(spinney(), &["--no-sync", "--endpoints", &both, "get", "/other"], "").1,
        "x\n",
        "fails over"
    );
}
