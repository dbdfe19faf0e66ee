//! The words of the command line in the form that clap expects.
//!
//! etcdctl reads flags as Go programs do: with one dash or two, the value after `=` or in the next word, on either side of
//! the arguments. A word that looks like a flag and is none is an argument, if it is not the first: `set /key -5` works.
//!
//! ```text
//!   get /a -o json --quorum=false   ─►   spinney --output=json get -- /a
//! ```

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

use super::values;

/// What the words turn out to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Something for clap to read.
    Run {
        /// The command that is to run.
        path: Vec<String>,
        /// All words, in clap's form.
        words: Vec<OsString>,
    },
    /// Help with the command at this path: none for all of the program.
    Help(Vec<String>),
    /// The version.
    Version,
    /// There is no such command.
    Unknown(String),
    /// A flag is wrong.
    Wrong {
        /// The command whose flag it is.
        path: Vec<String>,
        /// What is wrong.
        what: String,
    },
}

/// A flag in a word: its name, without dashes, and a value after `=`.
struct Flag<'a> {
    name: &'a str,
    value: Option<&'a OsStr>,
}

/// Reads `words`, without the program's name, for `program`, which clap has built.
pub(crate) fn read(program: &Command, words: impl IntoIterator<Item = OsString>) -> Words {
    let mut reader = Reader::new(program);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if let Err(end) = reader.word(word, &mut words) {
            return end;
        }
    }
    reader.finish()
}

struct Reader<'a> {
    program: &'a Command,
    /// The command that has been named so far.
    command: &'a Command,
    path: Vec<String>,
    globals: Vec<OsString>,
    flags: Vec<OsString>,
    arguments: Vec<OsString>,
    /// Whether whatever comes is an argument.
    only_arguments: bool,
}

impl<'a> Reader<'a> {
    fn new(program: &'a Command) -> Self {
        let (globals, flags, arguments) = (Vec::new(), Vec::new(), Vec::new());
        Self { program, command: program, path: Vec::new(), globals, flags, arguments, only_arguments: false }
    }

    fn word(&mut self, word: OsString, rest: &mut impl Iterator<Item = OsString>) -> Result<(), Words> {
        if self.only_arguments {
            self.arguments.push(word);
        } else if word == "--" {
            self.only_arguments = true;
        } else if let Some(flag) = flag(&word) {
            match self.find(flag.name) {
                Some((arg, is_global)) => self.flag(&flag, arg, is_global, rest)?,
                None if !self.arguments.is_empty() => self.argument(word),
                None if self.is_cluster_of_switches(flag.name) => {
                    let switches = flag.name.chars().map(|switch| OsString::from(format!("-{switch}")));
                    self.flags.extend(switches);
                }
                // clap knows what was meant, perhaps.
                None if !self.is_client() => self.flags.push(word),
                None => return Err(self.wrong(format!("flag provided but not defined: -{}", flag.name))),
            }
        } else if self.command.has_subcommands() {
            self.name(&word)?;
        } else {
            self.argument(word);
        }
        Ok(())
    }

    /// Takes the next command on the path.
    fn name(&mut self, word: &OsStr) -> Result<(), Words> {
        let name = word.to_string_lossy().into_owned();
        if self.path.is_empty() && (name == "help" || name == "h") {
            self.path.push("help".to_owned());
            return Ok(());
        }
        let Some(command) = self.command.find_subcommand(&name) else {
            return Err(Words::Unknown(name));
        };
        self.command = command;
        self.path.push(name);
        Ok(())
    }

    fn argument(&mut self, word: OsString) {
        self.arguments.push(word);
        // The command that `exec-watch` runs has flags of its own.
        let mut positionals = self.command.get_positionals();
        let trailing = positionals.position(Arg::is_trailing_var_arg_set);
        self.only_arguments = trailing.is_some_and(|position| self.arguments.len() > position);
    }

    /// The flag called `name`, of the command or else of the program, and whether it is the program's.
    fn find(&self, name: &str) -> Option<(&'a Arg, bool)> {
        let of = |command: &'a Command| command.get_arguments().find(|arg| is_called(arg, name));
        let own = of(self.command).map(|arg| (arg, self.path.is_empty()));
        own.or_else(|| of(self.program).filter(|_| self.is_client()).map(|arg| (arg, true)))
    }

    /// Whether the command asks servers. One that is a server has connections of its own kind, with flags of the same
    /// names.
    fn is_client(&self) -> bool {
        self.path.first().is_none_or(|command| command != "serve")
    }

    fn is_cluster_of_switches(&self, name: &str) -> bool {
        let is_switch = |letter: char| {
            let found = self.find(letter.encode_utf8(&mut [0; 4]));
            found.is_some_and(|(arg, is_global)| !is_global && matches!(arg.get_action(), ArgAction::SetTrue))
        };
        name.len() > 1 && name.chars().all(is_switch)
    }

    fn flag(
        &mut self,
        flag: &Flag<'_>,
        arg: &Arg,
        is_global: bool,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), Words> {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let name = long.unwrap_or_else(|| format!("-{}", arg.get_short().unwrap_or_default()));
        let word = match arg.get_action() {
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong => {
                return Err(Words::Help(std::mem::take(&mut self.path)));
            }
            ArgAction::SetTrue => match flag.value.map(|value| value.to_string_lossy()) {
                None => Some(name.into()),
                Some(value) => match values::boolean(&value) {
                    Some(on) => on.then(|| name.into()),
                    None => {
                        let what =
                            format!("invalid boolean value \"{value}\" for -{}: parse error", flag.name);
                        return Err(self.wrong(what));
                    }
                },
            },
            _ => {
                let value = match flag.value {
                    Some(value) => value.to_owned(),
                    None => match rest.next() {
                        Some(value) => value,
                        None => return Err(self.wrong(format!("flag needs an argument: -{}", flag.name))),
                    },
                };
                let mut word = OsString::from(name);
                word.push("=");
                word.push(value);
                Some(word)
            }
        };
        if arg.get_id() == "version" && is_global {
            return Err(Words::Version);
        }
        let words = if is_global { &mut self.globals } else { &mut self.flags };
        words.extend(word);
        Ok(())
    }

    fn wrong(&self, what: String) -> Words {
        Words::Wrong { path: self.path.clone(), what }
    }

    fn finish(mut self) -> Words {
        if self.path.first().is_some_and(|first| first == "help") {
            self.path.remove(0);
            return Words::Help(self.path);
        }
        if self.command.has_subcommands() {
            return Words::Help(self.path);
        }
        let mut words = vec![OsString::from("spinney")];
        words.append(&mut self.globals);
        words.extend(self.path.iter().map(OsString::from));
        words.append(&mut self.flags);
        words.push("--".into());
        words.append(&mut self.arguments);
        Words::Run { path: self.path, words }
    }
}

/// The flag that `word` looks like; a single dash is an argument.
fn flag(word: &OsStr) -> Option<Flag<'_>> {
    let bytes = word.as_encoded_bytes();
    let body =
        bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")).filter(|body| !body.is_empty())?;
    let name_end = body.iter().position(|&byte| byte == b'=').unwrap_or(body.len());
    let name = std::str::from_utf8(&body[..name_end]).ok()?;
    let value_start = bytes.len() - body.len() + name_end + 1;
    Some(Flag { name, value: (name_end < body.len()).then(|| tail(word, value_start)) })
}

/// `word` from byte `start` on, which follows an `=`.
#[cfg(unix)]
fn tail(word: &OsStr, start: usize) -> &OsStr {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(&word.as_bytes()[start..])
}

/// `word` from byte `start` on, which follows an `=`.
#[cfg(not(unix))]
fn tail(word: &OsStr, start: usize) -> &OsStr {
    OsStr::new(word.to_str().map_or("", |word| &word[start..]))
}

fn is_called(arg: &Arg, name: &str) -> bool {
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    arg.get_long() == Some(name)
        || arg.get_all_aliases().unwrap_or_default().contains(&name)
        || (letter.is_some() && arg.get_short() == letter)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn of(line: &str) -> Words {
        let mut program = super::super::Arguments::command();
        program.build();
        read(&program, line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> String {
        match of(line) {
            Words::Run { words, .. } => words.join(OsStr::new(" ")).into_string().unwrap(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_stand_anywhere_with_one_dash_or_two() {
        assert_eq!(run("get /a -o json --quorum=false"), "spinney --output=json get -- /a");
        assert_eq!(
            run("-output=json ls -p -r / --sort=1"),
            "spinney --output=json ls -p --recursive --sort -- /"
        );
        assert_eq!(run("ls -pr"), "spinney ls -p -r --");
        assert_eq!(run("set /a 1 --ttl 5"), "spinney set --ttl=5 -- /a 1");
        assert_eq!(run("member add n1 http://h:1"), "spinney member add -- n1 http://h:1");
    }

    #[test]
    fn what_is_no_flag_is_an_argument_unless_it_is_the_first() {
        assert_eq!(run("set /a -5"), "spinney set -- /a -5");
        assert_eq!(run("set /a --bogus"), "spinney set -- /a --bogus");
        assert_eq!(run("set -- -a -r"), "spinney set -- -a -r");
        let wrong =
            Words::Wrong { path: vec!["set".into()], what: "flag provided but not defined: -bogus".into() };
        assert_eq!(of("set --bogus /a"), wrong);
    }

    #[test]
    fn a_command_to_run_keeps_its_flags() {
        assert_eq!(run("exec-watch -r /a -- sh -r -c x"), "spinney exec-watch --recursive -- /a sh -r -c x");
        assert_eq!(run("exec-watch /a sh -r"), "spinney exec-watch -- /a sh -r");
    }

    #[test]
    fn wrong_values_are_named() {
        let what = |line: &str| match of(line) {
            Words::Wrong { what, .. } => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(what("get -q=maybe /a"), "invalid boolean value \"maybe\" for -q: parse error");
        assert_eq!(what("set /a --ttl"), "flag needs an argument: -ttl");
        assert_eq!(what("--bogus ls"), "flag provided but not defined: -bogus");
    }

    #[test]
    fn help_and_versions() {
        assert_eq!(of(""), Words::Help(vec![]));
        assert_eq!(of("help set"), Words::Help(vec!["set".into()]));
        assert_eq!(of("set -h"), Words::Help(vec!["set".into()]));
        assert_eq!(of("member"), Words::Help(vec!["member".into()]));
        assert_eq!(of("help nope"), Words::Unknown("nope".into()));
        assert_eq!(of("member nope"), Words::Unknown("nope".into()));
        assert_eq!(of("-v"), Words::Version);
    }
}
