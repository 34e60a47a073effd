//! What can go wrong between the program and a GPU.

/// Why a GPU cannot be used, or not any longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The program was built without the feature `cuda`.
    #[error("this program was built without CUDA: build it with `--features cuda`")]
    NotBuilt,
    /// There is no driver.
    #[error("no NVIDIA driver on this machine (libcuda.so.1 is not found)")]
    NoDriver,
    /// The driver is older than what the program asks of it.
    #[error(
        "the NVIDIA driver supports CUDA {}.{}, and {}.{} is needed: update it",
        found / 1000, found % 1000 / 10, needed / 1000, needed % 1000 / 10
    )]
    DriverTooOld {
        /// 1000 × major + 10 × minor.
        found: i32,
        /// The same.
        needed: i32,
    },
    /// There are fewer devices.
    #[error("no device cuda:{index}: the driver knows {count}")]
    NoDevice {
        /// Asked for.
        index: usize,
        /// There are.
        count: usize,
    },
    /// The device is older than the kernels' instructions.
    #[error(
        "cuda:{index} ({name}) has compute capability {}.{}: 8.0 is needed, which GPUs since 2020 \
         have (A100, RTX 30 and later). --device cpu works without",
        found.0, found.1
    )]
    DeviceTooOld {
        /// Asked for.
        index: usize,
        /// Its name.
        name: String,
        /// Its compute capability.
        found: (i32, i32),
    },
    /// libnvrtc is nowhere to be found.
    #[error(
        "libnvrtc, which compiles the GPU's kernels, is not found (looked in {}). Install it with \
         `pip install nvidia-cuda-nvrtc` or with the CUDA toolkit, or name the file in HIWL_NVRTC",
        searched.join(", ")
    )]
    NoCompiler {
        /// Where it was looked for.
        searched: Vec<String>,
    },
    /// A kernel does not compile.
    #[error("{file} does not compile for {target}: {log}")]
    Compile {
        /// The kernel's file.
        file: &'static str,
        /// Such as `sm_90`.
        target: String,
        /// What the compiler said.
        log: String,
    },
    /// The device's memory is full.
    #[error("the GPU has no {bytes} bytes left")]
    OutOfMemory {
        /// Asked for at once.
        bytes: usize,
    },
    /// The device is gone, or a kernel did what it must not: nothing runs on
    /// it any longer in this process.
    #[error("the GPU is lost ({call}: {text})")]
    Lost {
        /// What found out.
        call: &'static str,
        /// The driver's words.
        text: String,
    },
    /// Anything else that the driver refuses.
    #[error("CUDA driver, {call}: {text}")]
    Driver {
        /// What was asked.
        call: &'static str,
        /// The driver's words.
        text: String,
    },
    /// A kernel of another name than any in the sources.
    #[error("no kernel `{0}`")]
    NoKernel(String),
    /// Weights that do not fit the architecture.
    #[error(transparent)]
    Weights(#[from] crate::model::weights::WeightsError),
}

impl CudaError {
    /// Whether less memory would do.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. })
    }

    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NotBuilt
                | Self::NoDriver
                | Self::NoDevice { .. }
                | Self::DriverTooOld { .. }
                | Self::DeviceTooOld { .. }
                | Self::NoCompiler { .. }
        )
    }
}
