//! The operations that candle lacks or runs slowly, each beside a plain
//! reference that its tests compare it with.

pub mod cpu;
pub mod cuda;
pub mod depthwise;
