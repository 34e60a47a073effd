//! The one table of which engine computes which networks where, and the doors
//! that it opens.
//!
//! Invariant: what cannot be computed as it is asked for is an error, never computed
//! otherwise.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use super::candle::{self, CandleLearner, GradCam, TensorNetwork};
use super::cuda::learn::GpuLearner;
use super::cuda::{self, Cascade, CascadeOptions, CudaError, GpuPrecision};
use super::fused::learn::FusedLearner;
use super::fused::{Backend, PackedNetwork};
use super::learn::{Learn, Settings, Updates};
use super::optimizer::LayerRates;
use super::{Device, Infer, InferPair, Loss, Normalisation, Precision};
use crate::model::architecture::Architecture;
use crate::model::backbone::Backbone;
use crate::model::weights::{Weights, WeightsError};

/// What computes networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Ours on the processor.
    Fused,
    /// Ours on NVIDIA GPUs.
    Cuda,
    /// candle's tensors, layer by layer: every backbone, on the processor; on NVIDIA GPUs
    /// too where the program is built with `candle-cuda`.
    Candle,
}

/// What an engine can.
struct Can {
    engine: Engine,
    /// Whether it computes on GPUs; otherwise on the processor.
    gpu: bool,
    /// What it holds numbers in.
    precisions: &'static [Precision],
    /// Whether it computes every backbone; otherwise EfficientNets alone.
    any_backbone: bool,
}

impl Can {
    fn computes(&self, backbone: Backbone) -> bool {
        self.any_backbone || backbone == Backbone::Efficientnet
    }
}

/// The first that fits is taken where none is named.
const TABLE: &[Can] = &[
    Can {
        engine: Engine::Fused,
        gpu: false,
        precisions: &[Precision::F32, Precision::Bf16, Precision::Int8],
        any_backbone: false,
    },
    Can {
        engine: Engine::Cuda,
        gpu: true,
        precisions: &[Precision::F32, Precision::Bf16],
        any_backbone: false,
    },
    Can { engine: Engine::Candle, gpu: false, precisions: &[Precision::F32], any_backbone: true },
    #[cfg(feature = "candle-cuda")]
    Can { engine: Engine::Candle, gpu: true, precisions: &[Precision::F32], any_backbone: true },
];

impl Engine {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Fused, Self::Cuda, Self::Candle];

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Cuda => "cuda",
            Self::Candle => "candle",
        }
    }

    /// The engine that computes networks of all of these architectures on `device`:
    /// the one that is asked for, or the default there.
    ///
    /// # Errors
    /// [`EngineError::Elsewhere`] if it does not compute there,
    /// [`EngineError::NoBackbone`] if none does that computes one of them.
    pub fn on<'a>(
        device: Device,
        asked: Option<Self>,
        architectures: impl IntoIterator<Item = &'a Architecture>,
    ) -> Result<Self, EngineError> {
        let mut engine = can(device, asked, Backbone::Efficientnet)?.engine;
        for architecture in architectures {
            let own = can(device, asked, architecture.backbone)?;
            if own.any_backbone {
                engine = own.engine;
            }
        }
        Ok(engine)
    }

    /// The engine that a run has to name to be done again as it was: another
    /// than the default of its device.
    pub fn to_name(self) -> Option<Self> {
        let default = |can: &Can| TABLE.iter().find(|other| other.gpu == can.gpu);
        let own = TABLE.iter().find(|can| can.engine == self)?;
        (default(own)?.engine != self).then_some(self)
    }

    /// Whether it computes in `precision`; of a processor's, on this one.
    pub fn computes(self, precision: Precision) -> bool {
        let can = TABLE.iter().find(|can| can.engine == self);
        let here = self != Self::Fused || precision.is_available_on(Backend::detect());
        here && can.is_some_and(|can| can.precisions.contains(&precision))
    }

    /// The fastest precision of the engine on this machine, but for bytes, which are for who
    /// asks for them.
    pub fn fastest(self) -> Precision {
        match self {
            Self::Fused => Precision::detect(),
            Self::Cuda => Precision::Bf16,
            Self::Candle => Precision::F32,
        }
    }
}

/// The line of the table.
fn can(
    device: Device,
    asked: Option<Engine>,
    backbone: Backbone,
) -> Result<&'static Can, EngineError> {
    let gpu = device != Device::Cpu;
    let fits = |can: &&Can| can.gpu == gpu && asked.is_none_or(|engine| engine == can.engine);
    let mut there = TABLE.iter().filter(fits).peekable();
    if there.peek().is_none() {
        return Err(EngineError::Elsewhere { engine: asked.unwrap_or(Engine::Fused), device });
    }
    there
        .find(|can| can.computes(backbone))
        .ok_or(EngineError::NoBackbone { backbone: backbone.name(), device })
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |engine: &Self| engine.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| "one of fused, cuda, candle".to_owned())
    }
}

/// Why an engine cannot compute what it is asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// It does not compute on this device.
    #[error(
        "the {engine} engine does not compute on {device}{hint}",
        hint = hint(*engine, *device)
    )]
    Elsewhere {
        /// Which was asked for.
        engine: Engine,
        /// Where.
        device: Device,
    },
    /// It learns classes and no votes.
    #[error("votes are learned on the processor, not on {device}: --device cpu")]
    NoVotes {
        /// Where they were to be learned.
        device: Device,
    },
    /// It knows one learning rate for all layers.
    #[error(
        "learning rates that differ by layer (layer_decay, layer_rates) are for the processor, \
         not for {device}: --device cpu"
    )]
    NoLayerRates {
        /// Where it was to learn.
        device: Device,
    },
    /// Only the candle engine has this backbone, and it computes on the processor, or
    /// another was asked for.
    #[error(
        "{backbone} is computed by the candle engine alone, and not on {device} by what was asked \
         for: --device cpu, and no --engine (on GPUs, a program built with --features candle-cuda)"
    )]
    NoBackbone {
        /// Its name.
        backbone: &'static str,
        /// Where it was to be computed.
        device: Device,
    },
    /// It leaves no blocks out.
    #[error("the {engine} engine learns without stochastic depth: leave one of them out")]
    NoStochasticDepth {
        /// Which was asked for.
        engine: Engine,
    },
    /// It runs networks one by one.
    #[error("the {engine} engine runs no two networks as one")]
    NoPair {
        /// Which was asked for.
        engine: Engine,
    },
    /// candle cannot use the GPU.
    #[error("{device}: candle: {source}")]
    Place {
        /// Which was asked for.
        device: Device,
        /// What candle said.
        source: candle_core::Error,
    },
    /// It, or the processor, does not compute in this precision.
    #[error("the {engine} engine does not compute in {precision} here", precision = precision.name())]
    NoPrecision {
        /// Which engine.
        engine: Engine,
        /// What was asked for.
        precision: Precision,
    },
    /// Weights and architecture do not agree.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The GPU cannot be used.
    #[error("{device}: {source}")]
    Gpu {
        /// Which was asked for.
        device: Device,
        /// What is wrong with it.
        source: CudaError,
    },
}

impl EngineError {
    /// Whether something else must be asked for: trying again will not help.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Gpu { source, .. } => source.is_usage(),
            Self::Place { .. } => false,
            _ => true,
        }
    }
}

/// What would make an engine compute on a device where it does not.
fn hint(engine: Engine, device: Device) -> &'static str {
    match (engine, device) {
        (Engine::Candle, Device::Cuda(_)) => {
            " (a program built with --features candle-cuda does; others: --device cpu)"
        }
        _ => "",
    }
}

/// Where the candle engine computes.
fn place(device: Device) -> Result<candle_core::Device, EngineError> {
    let found = candle::place(device).map_err(|source| EngineError::Place { device, source })?;
    found.ok_or(EngineError::Elsewhere { engine: Engine::Candle, device })
}

/// A network, before an engine takes it.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    /// Its layers.
    pub architecture: &'a Architecture,
    /// Logits an image.
    pub outputs: usize,
    /// Side of the images, in pixels.
    pub size: usize,
    /// What is done to pixels first.
    pub normalisation: Normalisation,
    /// Its tensors.
    pub weights: &'a Weights,
}

/// What an engine made of networks.
pub struct Opened<N: ?Sized> {
    /// It or them, ready to run.
    pub network: Box<N>,
    /// What to tell a person of the device.
    pub note: Option<String>,
}

/// What networks are run with.
#[derive(Debug, Clone)]
pub struct Room {
    /// Images that run at once. A GPU takes memory for them; less where it has no more.
    pub batch: usize,
    /// Batches under way on a GPU, each with memory of its own.
    pub lanes: usize,
    /// What the fused engine computes on, if not on the threads of whoever asks.
    pub threads: Option<Arc<ThreadPool>>,
}

impl Room {
    /// For one thread, whose batches run one after the other.
    pub fn for_one(batch: usize) -> Self {
        Self { batch, lanes: 1, threads: None }
    }

    /// For threads that run batches beside one another: one computes, one's pixels are
    /// copied, one's rows are being made.
    pub fn for_many(batch: usize) -> Self {
        Self { batch, lanes: 3, threads: None }
    }

    /// The same with threads for the processor's part, which batches share.
    pub fn on(self, threads: Option<&Arc<ThreadPool>>) -> Self {
        Self { threads: threads.map(Arc::clone), ..self }
    }
}

/// A network in evaluation mode.
///
/// # Errors
/// [`EngineError`].
pub fn infer(
    network: Network<'_>,
    device: Device,
    engine: Option<Engine>,
    precision: Precision,
    room: Room,
) -> Result<Opened<dyn Infer>, EngineError> {
    let Network { architecture, outputs, size, normalisation, weights } = network;
    let engine = can(device, engine, architecture.backbone)?.engine;
    if !engine.computes(precision) {
        return Err(EngineError::NoPrecision { engine, precision });
    }
    let name = architecture.name.as_str();
    tracing::debug!(%engine, %device, precision = precision.name(), name, size, "a network opens");
    let network: Box<dyn Infer> = match engine {
        Engine::Fused => {
            let backend = Backend::detect();
            let packed = PackedNetwork::with(
                architecture,
                outputs,
                size,
                weights,
                normalisation,
                backend,
                precision,
            )?;
            Box::new(match room.threads {
                Some(threads) => packed.on(threads),
                None => packed,
            })
        }
        Engine::Candle => {
            let place = place(device)?;
            let network = candle::Network::on(&place, architecture, outputs, weights)?;
            Box::new(TensorNetwork::new(network, size, normalisation))
        }
        Engine::Cuda => {
            let failed = |source| failed(device, source);
            let (gpu, precision) = open_gpu(device, precision)?;
            let alone = cuda::Alone::new(
                &mut || gpu.queue(),
                precision,
                architecture,
                (outputs, size),
                weights,
                normalisation,
                (room.batch, room.lanes),
            );
            let alone = alone.map_err(failed)?;
            let note = note(device, &gpu, alone.batch(), room.batch);
            return Ok(Opened { network: Box::new(alone), note: Some(note) });
        }
    };
    Ok(Opened { network, note: None })
}

/// A network that tells by gradients where it sees an answer, on the processor.
///
/// # Errors
/// [`EngineError`].
pub fn grad_cam(network: Network<'_>, engine: Option<Engine>) -> Result<GradCam, EngineError> {
    let Network { architecture, outputs, size, normalisation, weights } = network;
    let engine = can(Device::Cpu, engine, architecture.backbone)?.engine;
    let name = architecture.name.as_str();
    tracing::debug!(%engine, name, size, "a network opens for its gradients");
    let network = candle::Network::load(architecture, outputs, weights)?;
    Ok(GradCam::new(network, size, normalisation))
}

/// Two networks of one architecture and input, where the second sees what the
/// first says.
pub struct Pair<'a> {
    /// Both.
    pub networks: [Network<'a>; 2],
    /// The first network's output whose images the second one sees.
    pub combined: usize,
    /// Whether it sees all others as well.
    pub all: bool,
    /// What a GPU takes memory for.
    pub room: Room,
}

/// Two networks run as one on a GPU.
///
/// # Errors
/// [`EngineError`].
pub fn pair(
    pair: &Pair<'_>,
    device: Device,
    engine: Option<Engine>,
    precision: Precision,
) -> Result<Opened<dyn InferPair>, EngineError> {
    let [first, second] = pair.networks;
    let engine = can(device, engine, first.architecture.backbone)?.engine;
    if engine != Engine::Cuda {
        return Err(EngineError::NoPair { engine });
    }
    let (gpu, precision) = open_gpu(device, precision)?;
    tracing::debug!(%engine, %device, gpu = gpu.description, "two networks open as one");
    let options = CascadeOptions {
        precision,
        batch: pair.room.batch,
        lanes: pair.room.lanes,
        combined: pair.combined,
        all: pair.all,
    };
    let cascade = Cascade::new(
        &mut || gpu.queue(),
        first.architecture,
        first.size,
        [(first.weights, first.outputs), (second.weights, second.outputs)],
        first.normalisation,
        options,
    )
    .map_err(|source| failed(device, source))?;
    let note = note(device, &gpu, cascade.batch(), pair.room.batch);
    Ok(Opened { network: Box::new(cascade), note: Some(note) })
}

/// Whether what computes a backbone on `device` learns it by a loss, and with such rates:
/// to be asked before anything is read.
///
/// # Errors
/// [`EngineError::NoBackbone`], [`EngineError::NoVotes`], [`EngineError::NoLayerRates`].
pub fn can_learn(
    device: Device,
    backbone: Backbone,
    loss: &Loss,
    layers: &LayerRates,
) -> Result<(), EngineError> {
    learns(can(device, None, backbone)?.engine, device, loss, layers)
}

/// The same of an engine.
fn learns(
    engine: Engine,
    device: Device,
    loss: &Loss,
    layers: &LayerRates,
) -> Result<(), EngineError> {
    if engine != Engine::Cuda {
        Ok(())
    } else if *loss != Loss::Classes {
        Err(EngineError::NoVotes { device })
    } else if !layers.are_even() {
        Err(EngineError::NoLayerRates { device })
    } else {
        Ok(())
    }
}

/// A network that learns, before its first step.
///
/// # Errors
/// [`EngineError`].
pub fn learn(
    architecture: &Architecture,
    weights: &Weights,
    settings: Settings,
    updates: Updates,
    (device, precision): (Device, Precision),
    engine: Option<Engine>,
) -> Result<Box<dyn Learn>, EngineError> {
    let can = can(device, engine, architecture.backbone)?;
    tracing::debug!(engine = %can.engine, %device, name = architecture.name, "a network learns");
    if !can.engine.computes(precision) || !precision.is_learned_in() {
        return Err(EngineError::NoPrecision { engine: can.engine, precision });
    }
    if can.engine == Engine::Candle {
        if settings.stochastic_depth > 0.0 {
            return Err(EngineError::NoStochasticDepth { engine: can.engine });
        }
        let place = place(device)?;
        let learner = CandleLearner::on(&place, architecture, weights, settings, updates)?;
        return Ok(Box::new(learner));
    }
    if can.engine != Engine::Cuda {
        let learner = FusedLearner::new(architecture, weights, settings, updates, precision)?;
        return Ok(Box::new(learner));
    }
    learns(can.engine, device, &settings.loss, &updates.layers)?;
    let (gpu, precision) = open_gpu(device, precision)?;
    let learner = gpu.queue().and_then(|queue| {
        GpuLearner::new(&queue, precision, architecture, weights, settings, updates)
    });
    Ok(Box::new(learner.map_err(|source| failed(device, source))?))
}

/// What to tell a person of a GPU that takes batches of `fits` images where
/// `asked` were asked for.
fn note(device: Device, gpu: &cuda::Gpu, fits: usize, asked: usize) -> String {
    let mut note = format!("{device}: {}", gpu.description);
    if fits < asked {
        note += &format!("; its memory holds batches of {fits} instead of {asked}");
    }
    note
}

/// The GPU that `device` names, and how it holds numbers; of a processor, none.
fn open_gpu(
    device: Device,
    precision: Precision,
) -> Result<(cuda::Gpu, GpuPrecision), EngineError> {
    let engine = Engine::Cuda;
    let held = GpuPrecision::of(precision).ok_or(EngineError::NoPrecision { engine, precision })?;
    match device {
        Device::Cuda(index) => {
            cuda::open(index, held).map(|gpu| (gpu, held)).map_err(|e| failed(device, e))
        }
        Device::Cpu => Err(EngineError::Elsewhere { engine: Engine::Cuda, device }),
    }
}

/// What failed on `device`, where it is not the weights.
fn failed(device: Device, source: CudaError) -> EngineError {
    match source {
        CudaError::Weights(error) => EngineError::Weights(error),
        source => EngineError::Gpu { device, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_in_the_table_once_and_named() {
        for (engine, can) in Engine::ALL.into_iter().zip(TABLE) {
            assert_eq!(engine, can.engine);
            assert_eq!(engine.name().parse(), Ok(engine));
            assert!(engine.computes(engine.fastest()) && engine.computes(Precision::F32));
            assert_eq!(engine.to_name(), (engine == Engine::Candle).then_some(engine));
        }
        assert!("tensorrt".parse::<Engine>().is_err());
    }

    /// Without a GPU: what it would not learn is said before it is looked for.
    #[test]
    fn what_a_gpu_does_not_learn_is_refused_before_it_is_looked_for() {
        use crate::engine::optimizer::Rule;
        use crate::model::seeded;

        let gpu = Device::Cuda(0);
        let uneven = LayerRates::new([("features".to_owned(), 0.5)].into());
        let even = LayerRates::default();
        let votes = [Loss::Counts(vec![0..1, 1..2]), Loss::Fractions(vec![0..1, 1..2])];
        let can_learn = |device, loss: &Loss, layers: &LayerRates| {
            can_learn(device, Backbone::Efficientnet, loss, layers)
        };
        assert!(can_learn(gpu, &Loss::Classes, &even).is_ok());
        for (loss, layers) in [
            (&votes[0], &even),
            (&votes[1], &even),
            (&Loss::Classes, &uneven),
            (&votes[0], &uneven),
        ] {
            assert!(can_learn(Device::Cpu, loss, layers).is_ok());
            // Of a GPU's engines ours alone refuses: candle's learns all of it.
            assert!(learns(Engine::Candle, gpu, loss, layers).is_ok());
            let refused = can_learn(gpu, loss, layers).unwrap_err();
            let said = refused.to_string();
            assert!(refused.is_usage() && said.contains("--device cpu"), "{said}");
            assert_eq!(said.contains("votes"), *loss != Loss::Classes, "{said}");
            // The door says the same, where no driver could be opened.
            let architecture = Architecture::nano();
            let weights = seeded::weights(&architecture, 2, 1, "").unwrap();
            let settings = Settings {
                classes: 2,
                batch: 2,
                max_size: 64,
                normalisation: Normalisation { mean: [0.0; 3], std: [1.0; 3] },
                frozen_backbone: false,
                stochastic_depth: 0.0,
                loss: loss.clone(),
            };
            let updates = Updates {
                rule: Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
                layers: layers.clone(),
                decay_vectors: false,
                average: None,
                norm_momentum: 0.1,
            };
            let on = (gpu, Precision::F32);
            let door = learn(&architecture, &weights, settings, updates, on, None);
            assert_eq!(door.err().map(|e| e.to_string()), Some(said));
        }
    }

    /// Without a GPU, as above.
    #[test]
    fn bytes_are_multiplied_by_the_fused_engine_and_never_learned_in() {
        use crate::engine::optimizer::Rule;
        use crate::model::seeded;

        let architecture = Architecture::nano();
        let weights = seeded::weights(&architecture, 2, 1, "").unwrap();
        let normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };
        let network = Network {
            architecture: &architecture,
            outputs: 2,
            size: 64,
            normalisation,
            weights: &weights,
        };
        let refused = |error: Option<EngineError>| {
            let error = error.unwrap();
            let said = error.to_string();
            assert!(matches!(error, EngineError::NoPrecision { .. }) && error.is_usage(), "{said}");
        };
        let on = |device, engine| {
            infer(network, device, engine, Precision::Int8, Room::for_one(1)).err()
        };
        refused(on(Device::Cuda(0), None));
        refused(on(Device::Cpu, Some(Engine::Candle)));
        let here = on(Device::Cpu, None);
        assert_eq!(here.is_none(), Precision::Int8.is_available_on(Backend::detect()));
        let both = Pair { networks: [network; 2], combined: 1, all: true, room: Room::for_one(1) };
        refused(pair(&both, Device::Cuda(0), None, Precision::Int8).err());
        let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let layers = LayerRates::default();
        let updates =
            Updates { rule, layers, decay_vectors: false, average: None, norm_momentum: 0.1 };
        let settings = Settings {
            classes: 2,
            batch: 2,
            max_size: 64,
            normalisation,
            frozen_backbone: false,
            stochastic_depth: 0.0,
            loss: Loss::Classes,
        };
        for device in [Device::Cpu, Device::Cuda(0)] {
            let (settings, updates) = (settings.clone(), updates.clone());
            let on = (device, Precision::Int8);
            refused(learn(&architecture, &weights, settings, updates, on, None).err());
        }
    }

    #[test]
    fn another_backbone_is_asked_of_the_engine_that_has_it() {
        let (gpu, votes) = (Device::Cuda(0), Loss::Counts(vec![0..1, 1..2]));
        let asked = can_learn(gpu, Backbone::Resnet50, &votes, &LayerRates::default());
        if cfg!(feature = "candle-cuda") {
            asked.unwrap();
        } else {
            assert!(matches!(asked, Err(EngineError::NoBackbone { .. })), "{asked:?}");
        }
    }

    #[test]
    fn a_gpu_that_candle_cannot_use_is_no_fault_of_what_was_asked_for() {
        let source = candle_core::Error::Msg("CUDA_ERROR_OUT_OF_MEMORY".into());
        let error = EngineError::Place { device: Device::Cuda(1), source };
        assert!(!error.is_usage());
        assert_eq!(error.to_string(), "cuda:1: candle: CUDA_ERROR_OUT_OF_MEMORY");
    }

    #[test]
    fn the_table_says_what_computes_where() {
        let gpu = Device::Cuda(0);
        let on = |device, engine, names: &[&str]| {
            let named = |name: &&str| Architecture::named(name).unwrap();
            Engine::on(device, engine, &names.iter().map(named).collect::<Vec<_>>())
        };
        let (b1, resnet) = ("efficientnet-b1", "resnet50");
        assert_eq!(on(Device::Cpu, None, &[b1]).unwrap(), Engine::Fused);
        assert_eq!(on(gpu, None, &[b1, b1]).unwrap(), Engine::Cuda);
        assert_eq!(on(Device::Cpu, Some(Engine::Candle), &[b1]).unwrap(), Engine::Candle);
        assert_eq!(on(Device::Cpu, None, &[resnet]).unwrap(), Engine::Candle);
        assert_eq!(on(Device::Cpu, None, &[b1, resnet]).unwrap(), Engine::Candle);
        for (device, engine) in [(gpu, Engine::Cuda), (Device::Cpu, Engine::Fused)] {
            let error = on(device, Some(engine), &[resnet]).unwrap_err();
            assert!(matches!(error, EngineError::NoBackbone { .. }) && error.is_usage(), "{error}");
        }
        for (device, engine) in [(gpu, Engine::Fused), (Device::Cpu, Engine::Cuda)] {
            let error = on(device, Some(engine), &[b1]).unwrap_err();
            assert!(matches!(error, EngineError::Elsewhere { .. }) && error.is_usage(), "{error}");
        }
        // candle's backend for GPUs is a feature of the build.
        if cfg!(feature = "candle-cuda") {
            assert_eq!(on(gpu, Some(Engine::Candle), &[b1]).unwrap(), Engine::Candle);
            assert_eq!(on(gpu, None, &[resnet]).unwrap(), Engine::Candle);
        } else {
            let error = on(gpu, Some(Engine::Candle), &[b1]).unwrap_err().to_string();
            assert!(error.contains("does not compute on cuda:0 (a program built"), "{error}");
            let error = on(gpu, None, &[resnet]).unwrap_err();
            assert!(matches!(error, EngineError::NoBackbone { .. }), "{error}");
        }
    }
}
