//! (kernel tests)
