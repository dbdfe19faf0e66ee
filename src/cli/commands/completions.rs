//! `completions`.

use std::io;

use clap::CommandFactory as _;

use crate::cli::args::{Arguments, Completions};
use crate::cli::failure::Failure;

pub(crate) fn run(completions: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "spinney", &mut script);
    Ok(io::Write::write_all(&mut io::stdout(), &script)?)
}
