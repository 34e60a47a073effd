//! From `cuda:0` to queues on a device.

use std::sync::Arc;

use super::{CudaError, GpuPrecision, Queue};

/// A GPU, opened, with its kernels.
pub struct Gpu {
    /// Its name and what it can.
    pub description: String,
    #[cfg(feature = "cuda")]
    device: Arc<super::driver::Device>,
}

/// How many GPUs the driver knows; none where there is no driver, or where the
/// program was built without CUDA.
pub fn devices() -> usize {
    #[cfg(feature = "cuda")]
    return super::driver::count().unwrap_or(0);
    #[cfg(not(feature = "cuda"))]
    0
}

/// Whether GPU `index` could be opened: that it is there and recent enough, and
/// that driver and compiler are. Nothing is opened or compiled.
///
/// # Errors
/// [`CudaError`]: what is missing, as [`open`] would say.
pub fn usable(index: usize) -> Result<(), CudaError> {
    #[cfg(feature = "cuda")]
    return super::driver::usable(index);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = index;
        Err(CudaError::NotBuilt)
    }
}

/// Opens GPU `index` and compiles the kernels for it, or takes those that were
/// compiled before.
///
/// # Errors
/// [`CudaError`]: what is missing, and how to get it.
pub fn open(index: usize, precision: GpuPrecision) -> Result<Gpu, CudaError> {
    #[cfg(feature = "cuda")]
    {
        let device = super::driver::Device::open(index, precision)?;
        Ok(Gpu { description: device.description(), device: Arc::new(device) })
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = (index, precision);
        Err(CudaError::NotBuilt)
    }
}

impl Gpu {
    /// A queue of its own.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn queue(&self) -> Result<Arc<dyn Queue>, CudaError> {
        #[cfg(feature = "cuda")]
        return Ok(Arc::new(super::driver::Stream::new(&self.device)?));
        #[cfg(not(feature = "cuda"))]
        Err(CudaError::NotBuilt)
    }
}
