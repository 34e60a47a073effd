//! How fast a network runs on this machine, and where the time goes: on the
//! processor (`cpu`) and on a GPU (`gpu`). Both measure one network on noise,
//! without reading and decoding.

pub mod cpu;
pub mod gpu;
