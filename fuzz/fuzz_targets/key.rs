#![no_main]

#[path = "../bodies/key.rs"]
mod key;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| key::run(bytes));
