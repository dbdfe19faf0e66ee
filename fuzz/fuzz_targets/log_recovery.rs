#![no_main]

#[path = "../bodies/log_recovery.rs"]
mod log_recovery;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_recovery::run(bytes));
