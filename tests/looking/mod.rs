//! What a network sees in galaxies: features beside a catalog's rows, the nearest of
//! one, heat maps, and maps of all.
#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failure of its test")]

mod embed;
mod explain;
mod map;
mod similar;
