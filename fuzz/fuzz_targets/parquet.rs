//! Any bytes, through the checks of `checks::parquet`.
#![no_main]

#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    checks::parquet(bytes);
});
