#![no_main]

#[path = "../bodies/command.rs"]
mod command;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| command::run(bytes));
