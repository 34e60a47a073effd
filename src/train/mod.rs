//! Learning on the CPU.
//!
//! [`network`] runs EfficientNet forward and backward without an autograd
//! graph; [`optimizer`] turns gradients into steps. Recipes, checkpoints and
//! the loop are left to their users.

pub mod network;
pub mod optimizer;
