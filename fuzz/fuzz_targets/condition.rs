//! Any bytes, through the checks of `checks::condition`.
#![no_main]

#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    checks::condition(bytes);
});
