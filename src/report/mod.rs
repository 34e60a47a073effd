//! Progress and summaries for the person at the terminal.

pub mod curves;
