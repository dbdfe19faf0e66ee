//! What the operating system is asked for, and in which order: a process whose calls are written down.
//!
//! The simulated disk shows that the log is right if every sync does what it says. Here it is seen that each of them reaches
//! the system, on the file that it is about, before anybody is told; and that nothing else is asked for.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should not")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use spinney::{Durability, Store};
use support::run::Run as _;
use support::{SEGMENT, directory, small};

/// Put before the C library: writes down each call that succeeded, once it has.
const WITNESS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_as_ever(const char *path, int flags, mode_t mode) {
    return ((int (*)(const char *, int, ...)) dlsym(RTLD_NEXT, "open64"))(path, flags, mode);
}

static void note(const char *call, const char *path, const char *to) {
    static char line[8400];
    static int log = -1;
    static int lock;
    while (__sync_lock_test_and_set(&lock, 1)) {}
    if (log < 0) log = open_as_ever(getenv("CALLS_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    int length = snprintf(line, sizeof line, "%s %s %s\n", call, path, to);
    if (write(log, line, length) != length) abort();
    __sync_lock_release(&lock);
}

static int of_file(const char *call, int file) {
    int result = ((int (*)(int)) dlsym(RTLD_NEXT, call))(file);
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    if (result == 0) note(call, path, "");
    return result;
}

int fsync(int file) { return of_file("fsync", file); }
int fdatasync(int file) { return of_file("fdatasync", file); }

int rename(const char *from, const char *to) {
    int result = ((int (*)(const char *, const char *)) dlsym(RTLD_NEXT, "rename"))(from, to);
    if (result == 0) note("rename", from, to);
    return result;
}

int unlink(const char *path) {
    int result = ((int (*)(const char *)) dlsym(RTLD_NEXT, "unlink"))(path);
    if (result == 0) note("unlink", path, "");
    return result;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int file = open_as_ever(path, flags, va_arg(rest, mode_t));
    va_end(rest);
    if (file >= 0 && flags & (O_CREAT | O_WRONLY | O_RDWR)) note("touch", path, "");
    return file;
}

int socket(int domain, int type, int protocol) {
    note("socket", "", "");
    return ((int (*)(int, int, int)) dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
}

pid_t fork(void) {
    note("fork", "", "");
    return ((pid_t (*)(void)) dlsym(RTLD_NEXT, "fork"))();
}

int posix_spawnp(pid_t *child, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]) {
    note("spawn", file, "");
    return ((int (*)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                     char *const *, char *const *)) dlsym(RTLD_NEXT, "posix_spawnp"))(
        child, file, actions, attributes, arguments, environment);
}

int mkdir(const char *path, mode_t mode) {
    int result = ((int (*)(const char *, mode_t)) dlsym(RTLD_NEXT, "mkdir"))(path, mode);
    if (result == 0) note("mkdir", path, "");
    return result;
}
"#;

/// What the child does, by name.
const CHILD: &str = "CALLS_CHILD";
const LOG: &str = "CALLS_LOG";
const PATH: &str = "CALLS_PATH";

/// A line of the log: a call, or what the child says.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    call: String,
    /// Below the directory in which everything happens.
    path: String,
    to: String,
}

/// The child.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let [path, log] = [PATH, LOG].map(|name| PathBuf::from(std::env::var(name).unwrap()));
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    let mut say = |what: &str| file.write_all(format!("{what}  \n").as_bytes()).unwrap();
    let store = |durability| small().dir(path.join("above/store")).durability(durability).open().unwrap();
    match &*task {
        "writes" => {
            let store = store(Durability::Disk);
            say("open");
            for number in 0..400 {
                store.set(format!("/{}", number % 50), "x".repeat(1000)).unwrap();
                say("acknowledged");
            }
            store.snapshot().unwrap();
            say("saved");
            drop(store);
            say("closed");
        }
        "behind" => {
            let store = store(Durability::Process);
            store.set("/a", "x").unwrap();
            say("acknowledged");
            // Nothing else happens that would have it synced.
            let is_synced = || {
                lines(&log, &path)
                    .iter()
                    .rev()
                    .take_while(|line| line.call != "acknowledged")
                    .any(is_sync_of_log)
            };
            assert!((0..2_000).any(|_| {
                thread::sleep(Duration::from_millis(10));
                is_synced()
            }));
            say("synced");
            // As a kill would have it: closing syncs, too.
            std::process::exit(0);
        }
        "all" => {
            // What the store must not do, to see that it would be seen.
            drop(TcpListener::bind("127.0.0.1:0").unwrap());
            assert!(Command::new("true").status().unwrap().success());
            for store in [store(Durability::Disk), Store::in_memory()] {
                say("open");
                let watch = store.watch("/").recursive().start().unwrap();
                store.put("/short").value("x").ttl(Duration::from_millis(20)).send().unwrap();
                assert_eq!(watch.iter().take(2).count(), 2);
                store.put("/a").value("x").submit().wait().unwrap();
                store.snapshot().unwrap();
                store.backup(&mut Vec::new()).unwrap();
                drop(store);
                say("closed");
            }
        }
        other => panic!("{other}?"),
    }
}

fn is_sync_of_log(line: &Line) -> bool {
    line.call == "fdatasync" && line.path.ends_with(".wal")
}

/// A segment of the log goes, or is made into another one.
fn is_gone(line: &Line) -> bool {
    matches!(&*line.call, "rename" | "unlink") && line.path.ends_with(".wal")
}

fn lines(log: &Path, base: &Path) -> Vec<Line> {
    let base = format!("{}/", base.display());
    let text = fs::read_to_string(log).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ').map(|word| word.strip_prefix(&base).unwrap_or(word).to_owned());
        let mut word = || words.next().unwrap_or_default();
        Line { call: word(), path: word(), to: word() }
    };
    text.lines().map(line).collect()
}

/// Runs the child under the eyes of the witness.
fn witnessed(task: &str) -> Vec<Line> {
    let directory = directory();
    let base = directory.path().canonicalize().unwrap();
    let [source, witness, log] = ["witness.c", "witness.so", "log"].map(|name| base.join(name));
    fs::write(&source, WITNESS).unwrap();
    fs::write(&log, "").unwrap();
    // Whoever builds this has what links it: a C compiler.
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&witness, &source]).arg("-ldl").status();
    assert!(built.unwrap().success());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env(CHILD, task)
        .env(LOG, &log)
        .env(PATH, &base)
        .env("LD_PRELOAD", &witness)
        .run();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    lines(&log, &base)
}

/// Whether `wanted` is among the lines from `from` on, and none before it is of the kind `too_late`.
fn comes(
    lines: &[Line],
    from: usize,
    wanted: impl Fn(&Line) -> bool,
    too_late: impl Fn(&Line) -> bool,
) -> bool {
    lines[from..].iter().find(|line| wanted(line) || too_late(line)).is_some_and(wanted)
}

#[test]
fn what_is_acknowledged_was_synced_first() {
    let lines = witnessed("writes");
    let is = |call: &'static str| move |line: &Line| line.call == call;

    let mut is_synced = false;
    let mut acknowledged = 0;
    for line in &lines {
        if line.call == "acknowledged" {
            acknowledged += 1;
            assert!(is_synced, "write {acknowledged} was acknowledged without a sync");
            is_synced = false;
        }
        is_synced |= is_sync_of_log(line);
    }
    assert_eq!(acknowledged, 400);

    let synced_directory = |line: &Line| line.call == "fsync" && line.path == "above/store";
    let mut renamed = [0, 0];
    for (place, line) in lines.iter().enumerate() {
        match &*line.call {
            // A directory that was made is durable in the one above before anything is promised.
            "mkdir" => {
                let above = Path::new(&line.path).parent().unwrap().to_str().unwrap();
                let is_synced = |line: &Line| {
                    line.call == "fsync"
                        && (line.path == above || above.is_empty() && line.path.starts_with('/'))
                };
                assert!(comes(&lines, place, is_synced, is("open")), "nobody synced what is above {line:?}");
            }
            // What gets its name is whole, and its name is durable before it is relied on.
            "rename" if line.path.ends_with(".tmp") => {
                let is_synced = |other: &Line| other.call.ends_with("sync") && other.path == line.path;
                let before = lines[..place].iter().rev().take_while(|other| other.to != line.path);
                assert!(before.into_iter().any(is_synced), "{line:?} was not synced before");
                // A segment is used by what is written to it; a snapshot by letting go of what it stands for.
                let is_snapshot = line.to.ends_with(".snap");
                let is_used = |other: &Line| {
                    if is_snapshot { is_gone(other) } else { is_sync_of_log(other) && other.path == line.to }
                };
                assert!(
                    comes(&lines, place + 1, synced_directory, is_used),
                    "the name was not made durable: {line:?}"
                );
                renamed[usize::from(is_snapshot)] += 1;
            }
            // A part of the log goes only when there is a snapshot, and a mark of it is durable.
            _ if is_gone(line) => {
                let saved = lines[..place].iter().position(|other| other.to.ends_with(".snap"));
                let saved = saved.unwrap();
                assert!(
                    comes(&lines[..place], saved, is_sync_of_log, |_| false),
                    "{line:?}: there is no mark"
                );
            }
            _ => {}
        }
    }
    assert!(
        renamed[0] > 400_000 / SEGMENT as usize && renamed[1] > 0,
        "too little has happened: {renamed:?}"
    );
    assert_eq!(lines.last().map(|line| &*line.call), Some("closed"));
}

#[test]
fn what_need_not_wait_for_the_disk_is_synced_soon_afterwards() {
    let lines = witnessed("behind");
    assert_eq!(lines.last().map(|line| &*line.call), Some("synced"));
}

#[test]
fn nothing_is_touched_that_was_not_named() {
    let lines = witnessed("all");
    let below = |path: &str| path == "above" || path.starts_with("above/");
    // From the first that the store does until it is gone; then the one that has no directory.
    let first = lines.iter().position(|line| below(&line.path)).unwrap();
    let (before, calls) = lines.split_at(first);
    for call in ["socket", "spawn"] {
        assert!(before.iter().any(|line| line.call == call), "no {call} was seen: {before:?}");
    }
    let closed = calls.iter().position(|line| line.call == "closed").unwrap();
    for line in &calls[..closed] {
        let is_ours = match &*line.call {
            "touch" | "mkdir" | "unlink" => below(&line.path),
            "rename" => below(&line.path) && below(&line.to),
            call => !["socket", "fork", "spawn"].contains(&call),
        };
        assert!(is_ours, "{line:?}");
    }
    assert!(calls[..closed].iter().any(|line| line.call == "touch"), "nothing was seen: {lines:?}");
    let after: Vec<_> = calls[closed + 1..].iter().map(|line| &*line.call).collect();
    assert_eq!(after, ["open", "closed"], "{calls:?}");
}
