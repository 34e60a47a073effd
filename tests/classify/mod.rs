//! `hiwl classify` and `hiwl verify`, run as a user runs them.

mod bad_input;
mod equal;
mod faults;
mod precision;
mod real;
mod shipped;
mod usage;
