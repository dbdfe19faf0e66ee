#![no_main]

#[path = "../bodies/joining.rs"]
mod joining;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| joining::run(bytes));
