//! The program `spinney`; everything it does is in [`spinney::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    spinney::cli::run(std::env::args_os())
}
