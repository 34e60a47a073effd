//! Any bytes, through one of the checks of `checks.rs`: `HIWL_FUZZ` names it. One
//! program for all, since each is the whole of hiwl, built and linked for minutes.
//! `HIWL_FUZZ_SEEDS` is a folder for a file to begin with, where the check is of the
//! files of a run, which is made here.
#![no_main]

#[allow(dead_code, reason = "the project's own mutator uses it too")]
mod checks;

use std::sync::OnceLock;
use std::{env, fs};

static CHECK: OnceLock<checks::Check> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = env::var("HIWL_FUZZ").unwrap_or_default();
        let check = checks::named(&name).expect("HIWL_FUZZ names a check");
        CHECK.set(check).expect("this is done once");
        // The run takes longer than an input may.
        if let Some(file) = checks::file_of_run(&name)
            && let Some(folder) = env::var_os("HIWL_FUZZ_SEEDS")
        {
            let seed = std::path::Path::new(&folder).join("of-a-run");
            fs::copy(file, seed).expect("room for a file to begin with");
        }
    },
    |bytes: &[u8]| {
        CHECK.get().expect("it was set at first")(bytes);
    }
);
