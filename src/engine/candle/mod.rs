//! EfficientNet with candle's tensors, and the operations that candle lacks.

pub mod depthwise;
pub mod efficientnet;
