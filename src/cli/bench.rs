//! `hiwl bench`: how fast is this machine, and where does the time go?

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Exit, print, usage};
use crate::classify::recipe::PrecisionChoice;
use crate::cli::terminal::speed;
use crate::engine::cuda::{self, CudaError, GpuPrecision};
use crate::engine::fused::{Backend, PackedNetwork};
use crate::engine::{Device, DeviceChoice, Engine, EngineError, Normalisation, Precision, open};
use crate::model::model_file::Model;
use crate::model::seeded::SplitMix64;
use crate::pipeline;

/// Measure how fast this machine classifies.
///
/// Runs the model's first network on images of noise, in batches of several
/// sizes and in each precision that the device has, and prints images per second
/// and the time of each kind of layer; on a processor also the limit that its
/// arithmetic sets. Decoding is not in it: while a night's run goes on, its
/// last lines tell which stage is the slowest.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model file.  [default: the one that comes with the program]
    #[arg(short, long, value_name = "FILE", env = "HIWL_MODEL")]
    model: Option<PathBuf>,

    /// What is measured: auto (a GPU if there is one), cpu, or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,

    /// What computes: fused (the default on a processor), cuda (on GPUs), or
    /// candle, of which only the rate is told.
    #[arg(long, value_name = "ENGINE")]
    engine: Option<Engine>,

    /// Only this precision.  [default: all that the device has]
    #[arg(long, value_enum)]
    precision: Option<PrecisionChoice>,

    /// The instruction set of the processor's kernels: portable, neon, avx2, avx512.
    /// [default: the widest that it has]
    #[arg(long, value_name = "SET")]
    backend: Option<Backend>,

    /// Images per batch.  [default: 1,8,32; on a GPU 64,256,1024]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
    batches: Option<Vec<u16>>,

    /// Threads.  [default: one per core]
    #[arg(long, value_name = "N", value_parser = super::numbers::workers)]
    workers: Option<usize>,

    /// Seconds that each measurement takes.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds, up to 3600".to_owned()),
    }
}

impl Arguments {
    pub(super) fn run(self) -> Result<Exit, CliError> {
        let path = super::model::chosen(self.model.clone())?;
        let model = Model::read(&path).map_err(usage)?;
        let description = &model.description;
        let size = description.input.size;
        print(&format!("{}, {size} × {size} pixels\n", description.architectures[0].name))?;
        let (device, hindrance) = self.device.resolve();
        super::say_hindrance(hindrance);
        let engine = Engine::on(device, self.engine, &description.architectures).map_err(usage)?;
        if self.backend.is_some() && engine != Engine::Fused {
            let what = format!("--backend is of the fused engine, and not of {engine}");
            return Err(usage(anyhow::anyhow!(what)));
        }
        match (engine, device) {
            (Engine::Candle, _) => self.plainly(&model, device),
            (_, Device::Cpu) => self.on_cpu(&model),
            (_, Device::Cuda(index)) => self.on_gpu(&model, index),
        }
    }

    fn batches(&self, default: [usize; 3]) -> Vec<usize> {
        match &self.batches {
            Some(batches) => batches.iter().copied().map(usize::from).collect(),
            None => default.to_vec(),
        }
    }

    fn on_gpu(&self, model: &Model, index: usize) -> Result<Exit, CliError> {
        let failed = |error: CudaError| match error.is_usage() {
            true => usage(error),
            false => error.into(),
        };
        let precisions = match self.precision {
            None => vec![GpuPrecision::F32, GpuPrecision::Bf16],
            Some(choice) => {
                let precision = choice.named().unwrap_or_else(|| Engine::Cuda.fastest());
                let refused = EngineError::NoPrecision { engine: Engine::Cuda, precision };
                vec![GpuPrecision::of(precision).ok_or(refused).map_err(usage)?]
            }
        };
        let batches = self.batches([64, 256, 1024]);
        for precision in precisions {
            let gpu = cuda::open(index, precision).map_err(failed)?;
            let queue = gpu.queue().map_err(failed)?;
            let (name, seconds) = (&gpu.description, self.seconds);
            let speed = speed::gpu::measure(name, &queue, precision, model, &batches, seconds);
            print(&format!("\n{}", speed.map_err(failed)?))?;
        }
        Ok(Exit::Ok)
    }

    /// The rate of the reference, which knows no kinds of layers.
    fn plainly(&self, model: &Model, device: Device) -> Result<Exit, CliError> {
        let precision = self.precision.and_then(PrecisionChoice::named).unwrap_or(Precision::F32);
        let batches = self.batches([1, 2, 4]);
        let description = &model.description;
        let size = description.input.size;
        let network = open::Network {
            architecture: &description.architectures[0],
            outputs: description.scheme.networks()[0].outputs(),
            size,
            normalisation: Normalisation {
                mean: description.input.mean,
                std: description.input.std,
            },
            weights: &model.networks[0],
        };
        let engine = Engine::Candle;
        let network = open::infer(network, device, Some(engine), precision, open::Room::for_one(1));
        let network = network.map_err(usage)?.network;
        let images = noise(batches.iter().copied().max().unwrap_or(1), size);
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        print(&format!("\n{engine} on {device}, {}\n", precision.name()))?;
        for (batch, median, best) in
            speed::cpu::measure_plainly(&*network, &images, &batches, self.seconds)?
        {
            print(&format!("  batch {batch:<3} {median:8.1} images/s (best {best:.1})\n"))?;
        }
        Ok(Exit::Ok)
    }

    fn on_cpu(&self, model: &Model) -> Result<Exit, CliError> {
        let backend = self.backend.unwrap_or_else(Backend::detect);
        if !backend.is_available() {
            return Err(usage(anyhow::anyhow!("this processor has no {}", backend.name())));
        }
        let wanted = match self.precision {
            None => vec![Precision::F32, Precision::Bf16, Precision::Int8],
            Some(choice) => vec![choice.named().unwrap_or_else(Precision::detect)],
        };
        let found: Vec<Precision> =
            wanted.iter().copied().filter(|p| p.is_available_on(backend)).collect();
        if found.is_empty() {
            return Err(usage(anyhow::anyhow!(
                "this processor has no {} arithmetic with {}",
                wanted[0].name(),
                backend.name()
            )));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.workers.unwrap_or(cores);
        let pool = pipeline::threads::pool("bench", workers)?;
        let batches = self.batches([1, 8, 32]);
        let description = &model.description;
        let size = description.input.size;
        let images = noise(batches.iter().copied().max().unwrap_or(1), size);
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        for precision in found {
            let network = PackedNetwork::with(
                &description.architectures[0],
                description.scheme.networks()[0].outputs(),
                size,
                &model.networks[0],
                Normalisation { mean: description.input.mean, std: description.input.std },
                backend,
                precision,
            )?;
            let measure = speed::cpu::measure;
            let speed = pool.install(|| measure(&network, &images, &batches, self.seconds));
            print(&format!("\n{speed}"))?;
        }
        Ok(Exit::Ok)
    }
}

/// Images of noise, interleaved RGB.
fn noise(count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut random = SplitMix64::named(1, "noise");
    let mut image = || (0..3 * size * size).map(|_| (random.next_u64() >> 56) as u8).collect();
    (0..count).map(|_| image()).collect()
}
