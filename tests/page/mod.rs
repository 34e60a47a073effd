//! What people look at: reports and contact sheets.
#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failure of its test")]

mod browser;
mod report;
mod sheet;
