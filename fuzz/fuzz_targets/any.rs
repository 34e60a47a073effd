//! Any bytes, through one of the checks of `checks.rs`: `HIWL_FUZZ` names it. One
//! program for all, since each is the whole of hiwl, built and linked for minutes.
#![no_main]

#[allow(dead_code, reason = "the project's own mutator uses it too")]
mod checks;

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static CHECK: OnceLock<fn(&[u8]) -> bool> = OnceLock::new();
    let check = CHECK.get_or_init(|| {
        let name = std::env::var("HIWL_FUZZ").unwrap_or_default();
        checks::named(&name).expect("HIWL_FUZZ names a check")
    });
    check(bytes);
});
