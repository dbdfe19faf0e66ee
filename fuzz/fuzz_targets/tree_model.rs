#![no_main]

#[path = "../bodies/tree_model.rs"]
mod tree_model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tree_model::run(bytes));
