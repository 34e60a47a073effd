//! candle's name for a device. Its CUDA backend is a feature of the build
//! (`candle-cuda`), as it links NVIDIA's libraries.

use crate::engine::Device;

/// Where tensors lie. `None` where this program has no backend for it.
///
/// # Errors
/// candle's, if the GPU cannot be used.
pub fn place(device: Device) -> candle_core::Result<Option<candle_core::Device>> {
    match device {
        Device::Cpu => Ok(Some(candle_core::Device::Cpu)),
        #[cfg(feature = "candle-cuda")]
        Device::Cuda(index) => candle_core::Device::new_cuda(index).map(Some),
        #[cfg(not(feature = "candle-cuda"))]
        Device::Cuda(_) => Ok(None),
    }
}
