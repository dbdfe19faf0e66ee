//! The program `spinney`: a server of etcd's v2 API, and etcdctl's v2 commands.
//!
//! ```text
//!   run ─► args ─► commands ─┬─► session ─► client ─► a server, over HTTP
//!          words, clap       ├─► serve ─► http, a store
//!                            ├─► proxy ─► http, members of a cluster
//!                            └─► output, failure: what is shown, and the exit code
//! ```
//!
//! The commands that etcdctl has are etcdctl's to the byte: the same requests, the same output on stdout and stderr, the
//! same exit codes. The rest (`serve`, `proxy`, `recover`, `tree`, `edit`, `export`, `import`, `completions`) is Spinney's own.

mod args;
mod client;
mod commands;
mod failure;
mod output;
mod proxy;
mod serve;
mod session;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use args::words::{self, Words};
use args::{Arguments, Command};
use failure::{Failure, exit};
use session::Session;

/// Runs the program with these arguments, of which the first is its name, and says how it ended.
///
/// Everything goes through stdin, stdout and stderr. What the program is asked to serve, it serves until SIGTERM or
/// SIGINT.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match execute(arguments.into_iter().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where stderr is closed, the exit code still tells.
            let _ = io::stderr().write_all(failure.text().as_bytes());
            ExitCode::from(failure.code())
        }
    }
}

fn execute(words: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let mut program = without_empty_variables(serve::foreign::define(Arguments::command()));
    program.build();
    match words::read(&program, words) {
        Words::Help(path) => help(&mut program, &path),
        Words::Version => {
            writeln!(io::stdout(), "spinney version: {}\nAPI version: 2", env!("CARGO_PKG_VERSION"))?;
            Ok(())
        }
        Words::Unknown(name) => {
            Err(Failure::with_code(format_args!("No help topic for '{name}'"), exit::UNKNOWN_COMMAND))
        }
        Words::Wrong { path, what } => Err(wrong_usage(&mut program, &path, &what)),
        Words::Run { path, words } => match program.try_get_matches_from_mut(words) {
            Ok(matches) => {
                let notes = matches.subcommand_matches("serve").map(|flags| notes(&program, flags));
                let arguments = Arguments::from_arg_matches(&matches);
                let arguments = arguments.map_err(|error| Failure::plain(error.render()))?;
                dispatch(arguments, &notes.transpose()?.unwrap_or_default())
            }
            Err(error) => Err(refused(&mut program, &path, &error)),
        },
    }
}

/// A variable that is empty is as good as none, as for etcd and etcdctl.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(without_empty_variables)
}

/// What a server has to say of the flags and variables that it was given.
fn notes(program: &clap::Command, flags: &clap::ArgMatches) -> Result<Vec<String>, Failure> {
    let mut notes = serve::foreign::review(flags)?;
    notes.extend(program.find_subcommand("serve").map(serve::foreign::unknown_variables).unwrap_or_default());
    Ok(notes)
}

/// Runs the command; `notes` are for a server to begin with.
fn dispatch(arguments: Arguments, notes: &[String]) -> Result<(), Failure> {
    let Some(command) = arguments.command else { return Ok(()) };
    let session = Session::new(arguments.global);
    match command {
        Command::Serve(settings) => serve::run(&settings, notes),
        Command::Proxy(proxy) => proxy::run(&session, &proxy),
        Command::Get(get) => commands::read::get(&session, &get),
        Command::Ls(ls) => commands::read::ls(&session, &ls),
        Command::Tree(tree) => commands::tree::run(&session, &tree),
        Command::Set(set) => commands::write::set(&session, &set),
        Command::Mk(mk) => commands::write::mk(&session, &mk),
        Command::Update(update) => commands::write::update(&session, &update),
        Command::Rm(rm) => commands::remove::rm(&session, &rm),
        Command::Rmdir(key) => commands::remove::rmdir(&session, &key),
        Command::Mkdir(directory) => commands::write::mkdir(&session, &directory),
        Command::Setdir(directory) => commands::write::setdir(&session, &directory),
        Command::Updatedir(directory) => commands::write::updatedir(&session, &directory),
        Command::Watch(watch) => commands::watch::run(&session, &watch),
        Command::ExecWatch(watch) => commands::exec_watch::run(&session, &watch),
        Command::Edit(edit) => commands::edit::run(&session, &edit),
        Command::Export(export) => commands::export::run(&session, &export),
        Command::Import(import) => commands::import::run(&session, &import),
        Command::ClusterHealth(health) => commands::health::run(&session, &health),
        Command::Member(member) => commands::member::run(&session, &member),
        Command::User(user) => commands::user::run(&session, &user),
        Command::Role(role) => commands::role::run(&session, &role),
        Command::Auth(auth) => commands::auth::run(&session, &auth),
        Command::Backup(backup) => commands::backup::run(&backup),
        Command::Recover(recover) => commands::recover::run(&recover),
        Command::Completions(completions) => commands::completions::run(&completions),
    }
}

/// The command at `path`, and what is typed to get there.
fn find<'a>(program: &'a mut clap::Command, path: &[String]) -> &'a mut clap::Command {
    path.iter().fold(program, |command, name| {
        command.find_subcommand_mut(name).expect("the words were read with the same commands")
    })
}

fn help(program: &mut clap::Command, path: &[String]) -> Result<(), Failure> {
    let text = find(program, path).render_help();
    write!(anstream::stdout(), "{}", text.ansi())?;
    Ok(())
}

/// Explains a wrong flag as etcdctl does: shortly on stderr, with all that would be right on stdout.
fn wrong_usage(program: &mut clap::Command, path: &[String], what: &str) -> Failure {
    let separator = if path.is_empty() { '.' } else { ':' };
    let text = find(program, path).render_help();
    // Where stdout is closed, stderr still tells.
    let _ = write!(anstream::stdout(), "Incorrect Usage{separator} {what}\n\n{}", text.ansi());
    Failure::plain(what)
}

/// What clap refuses of the command at `path`, in etcdctl's words where it has some.
fn refused(program: &mut clap::Command, path: &[String], error: &clap::Error) -> Failure {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let Some(argument) = context(ContextKind::InvalidArg) else {
        return Failure::plain(error.render().to_string().trim_end());
    };
    if error.kind() == ErrorKind::UnknownArgument {
        if !argument.starts_with('-') {
            return Failure::plain(format_args!("unexpected argument: {argument}; see --help"));
        }
        let name = argument.trim_start_matches('-');
        let meant = context(ContextKind::SuggestedArg);
        let meant = meant.map_or_else(|| "see --help".to_owned(), |flag| format!("did you mean {flag}?"));
        return Failure::plain(format_args!("flag provided but not defined: -{name}; {meant}"));
    }
    let value = context(ContextKind::InvalidValue).filter(|_| error.to_string().contains("parse error"));
    let (ErrorKind::ValueValidation, Some(value)) = (error.kind(), value) else {
        return Failure::plain(error.render().to_string().trim_end());
    };
    let name = argument.split([' ', '=']).next().unwrap_or(argument).trim_start_matches('-');
    let is_global = program.get_arguments().any(|arg| arg.get_long() == Some(name));
    let what = format!("invalid value {} for flag -{name}: parse error", client::quoted(value));
    wrong_usage(program, if is_global { &[] } else { path }, &what)
}
