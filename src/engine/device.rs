//! Where the networks run: what is asked for, and what there is.

use std::{fmt, str::FromStr};

use super::cuda::{self, CudaError};

/// Where the networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, counted from 0.
    Cuda(usize),
}

/// What `--device` takes where one is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU, or the processor where there is none that can be used.
    #[default]
    Auto,
    /// This and no other.
    Only(Device),
}

impl DeviceChoice {
    /// The device that it means on this machine, and why `auto` is the processor
    /// although there is a GPU or a driver, if so. One that is asked for by name
    /// is taken at its word: opening it says what is missing.
    pub fn resolve(self) -> (Device, Option<CudaError>) {
        match self {
            Self::Only(device) => (device, None),
            Self::Auto => automatic(cuda::usable(0)),
        }
    }
}

/// The device that `auto` means, by what was found of the first GPU.
fn automatic(gpu: Result<(), CudaError>) -> (Device, Option<CudaError>) {
    match gpu {
        Ok(()) => (Device::Cuda(0), None),
        // There is none: nothing to explain.
        Err(CudaError::NotBuilt | CudaError::NoDriver | CudaError::NoDevice { .. }) => {
            (Device::Cpu, None)
        }
        Err(error) => (Device::Cpu, Some(error)),
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(',') {
            return Err("one device: several GPUs work together in classify and evaluate, but \
                        none of them trains with another"
                .to_owned());
        }
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") => Ok(Self::Auto),
            ("cpu", "0") => Ok(Self::Only(Device::Cpu)),
            ("cuda", index) => match index.parse() {
                Ok(index) => Ok(Self::Only(Device::Cuda(index))),
                Err(_) => Err(format!("`{index}` is no number of a GPU, such as cuda:0")),
            },
            _ => Err("one of auto, cpu, cuda:0, cuda:1, …".to_owned()),
        }
    }
}

/// Where the batches of one run go: the processor, or one or several GPUs, each
/// of which takes whole batches as it becomes free.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Devices {
    /// The processor.
    #[default]
    Cpu,
    /// GPUs by their numbers, each once, at least one.
    Cuda(Vec<usize>),
}

impl Devices {
    /// Each of them.
    pub fn each(&self) -> Vec<Device> {
        match self {
            Self::Cpu => vec![Device::Cpu],
            Self::Cuda(gpus) => gpus.iter().map(|&index| Device::Cuda(index)).collect(),
        }
    }

    /// The first of them.
    pub fn first(&self) -> Device {
        self.each().first().copied().unwrap_or_default()
    }

    /// Cutouts a batch, unless told otherwise: enough to fill a GPU.
    pub fn batch(&self) -> usize {
        match self {
            Self::Cpu => 32,
            Self::Cuda(_) => 256,
        }
    }
}

/// What `--device` takes where several may be given, with commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicesChoice(Vec<DeviceChoice>);

impl DevicesChoice {
    /// The devices that it means on this machine, and what hinders `auto` (see
    /// [`DeviceChoice::resolve`]).
    pub fn resolve(&self) -> (Devices, Option<CudaError>) {
        let (mut gpus, mut hindrance) = (Vec::new(), None);
        for choice in &self.0 {
            let (device, why) = choice.resolve();
            hindrance = hindrance.or(why);
            if let Device::Cuda(index) = device {
                gpus.push(index);
            }
        }
        (if gpus.is_empty() { Devices::Cpu } else { Devices::Cuda(gpus) }, hindrance)
    }
}

impl FromStr for DevicesChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut choices: Vec<DeviceChoice> = Vec::new();
        for part in text.split(',') {
            let choice = part.trim().parse()?;
            if choices.contains(&choice) {
                return Err(format!("{part} is named twice"));
            }
            choices.push(choice);
        }
        let is_gpu = |choice: &DeviceChoice| matches!(choice, DeviceChoice::Only(Device::Cuda(_)));
        if choices.len() > 1 && !choices.iter().all(is_gpu) {
            return Err("only GPUs work together: cuda:0,cuda:1".to_owned());
        }
        Ok(Self(choices))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named() {
        let parse = |text: &str| text.parse::<DeviceChoice>();
        assert_eq!(parse("auto"), Ok(DeviceChoice::Auto));
        assert_eq!(parse("cpu"), Ok(DeviceChoice::Only(Device::Cpu)));
        assert_eq!(parse("cuda"), Ok(DeviceChoice::Only(Device::Cuda(0))));
        assert_eq!(parse("cuda:3"), Ok(DeviceChoice::Only(Device::Cuda(3))));
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:1", "auto:2", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let several = parse("cuda:0,cuda:1").unwrap_err();
        assert!(several.contains("none of them trains with another"), "{several}");
        assert_eq!(Device::Cuda(3).to_string(), "cuda:3");
    }

    #[test]
    fn several_gpus_are_named_with_commas() {
        let parse = |text: &str| text.parse::<DevicesChoice>().map(|choice| choice.resolve().0);
        assert_eq!(parse("cpu"), Ok(Devices::Cpu));
        assert_eq!(parse("cuda:2"), Ok(Devices::Cuda(vec![2])));
        assert_eq!(parse("cuda:0, cuda:3"), Ok(Devices::Cuda(vec![0, 3])));
        for (wrong, words) in [
            ("cuda:0,cuda:0", "twice"),
            ("cuda,cuda:0", "twice"),
            ("cpu,cuda:0", "only GPUs"),
            ("auto,cuda:1", "only GPUs"),
            ("cuda:0,", "one of"),
            ("cuda:0,gpu", "one of"),
        ] {
            let error = wrong.parse::<DevicesChoice>().unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn auto_is_the_processor_and_says_why_where_a_gpu_cannot_be_used() {
        let too_old = CudaError::DeviceTooOld { index: 0, name: "K80".into(), found: (3, 7) };
        let no_compiler = CudaError::NoCompiler { searched: vec!["/lib".into()] };
        let old_driver = CudaError::DriverTooOld { found: 11_040, needed: 12_000 };
        let volta = CudaError::DeviceTooOld { index: 0, name: "Tesla V100".into(), found: (7, 0) };
        for (error, words) in [
            (too_old, "8.0 is needed"),
            (volta, "(Tesla V100) has compute capability 7.0: 8.0 is needed"),
            (no_compiler, "libnvrtc"),
            (old_driver, "11.4"),
        ] {
            let (device, hindrance) = automatic(Err(error));
            assert_eq!(device, Device::Cpu);
            assert!(hindrance.is_some_and(|why| why.to_string().contains(words)), "{words}");
        }
        let none =
            [CudaError::NotBuilt, CudaError::NoDriver, CudaError::NoDevice { index: 0, count: 0 }];
        for error in none {
            let (device, hindrance) = automatic(Err(error));
            assert!(device == Device::Cpu && hindrance.is_none());
        }
        let (device, hindrance) = automatic(Ok(()));
        assert!(device == Device::Cuda(0) && hindrance.is_none());
    }

    #[test]
    fn a_gpu_without_a_driver_is_a_clear_error() {
        if cuda::devices() > 0 {
            return;
        }
        let (device, hindrance) = DeviceChoice::Auto.resolve();
        assert!(device == Device::Cpu && hindrance.is_none(), "{hindrance:?}");
        let error = cuda::open(0, cuda::GpuPrecision::Bf16).err().unwrap();
        assert!(error.is_usage(), "{error}");
    }
}
