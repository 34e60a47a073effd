//! Where the time of a forward pass goes, by kind of layer.

use std::time::{Duration, Instant};

/// A kind of layer, as reports tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Bytes to pixels and the first convolution.
    Stem,
    /// The expanding 1×1 convolutions.
    Expand,
    /// The depthwise convolutions.
    Depthwise,
    /// Squeeze and excite, without applying its factors.
    SqueezeExcite,
    /// The projecting 1×1 convolutions with these factors and the residuals.
    Project,
    /// The last 1×1 convolution, the mean and the classifier.
    Head,
}

impl LayerKind {
    /// In the order of the network.
    pub const ALL: [Self; 6] =
        [Self::Stem, Self::Expand, Self::Depthwise, Self::SqueezeExcite, Self::Project, Self::Head];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stem => "stem",
            Self::Expand => "expand",
            Self::Depthwise => "depthwise",
            Self::SqueezeExcite => "squeeze-excite",
            Self::Project => "project",
            Self::Head => "head",
        }
    }
}

/// Time spent and arithmetic done, by kind of layer.
#[derive(Debug, Clone, Default)]
pub struct LayerTimes {
    /// In the order of the pass, which is the same for every image.
    steps: Vec<(LayerKind, Duration)>,
    multiply_adds: [u64; LayerKind::ALL.len()],
}

impl LayerTimes {
    /// Time spent in layers of this kind.
    pub fn time(&self, kind: LayerKind) -> Duration {
        self.steps.iter().filter(|step| step.0 == kind).map(|step| step.1).sum()
    }

    /// Each step, of some microseconds, with its time.
    pub fn steps(&self) -> &[(LayerKind, Duration)] {
        &self.steps
    }

    /// The shorter time of each step of two walks of as many images: close to
    /// what an idle processor takes, even while others use it.
    #[must_use]
    pub fn shorter(mut self, other: &Self) -> Self {
        for (step, other) in self.steps.iter_mut().zip(&other.steps) {
            step.1 = step.1.min(other.1);
        }
        self
    }

    /// Multiplications and additions in pairs, of channels that exist: those
    /// that fill up a vector do not count.
    pub fn multiply_adds(&self, kind: LayerKind) -> u64 {
        self.multiply_adds[kind as usize]
    }

    /// Counts arithmetic.
    pub(super) fn count(&mut self, kind: LayerKind, multiply_adds: usize) {
        self.multiply_adds[kind as usize] += multiply_adds as u64;
    }
}

/// What watches a forward pass.
pub(super) trait Clock: Send {
    /// Does `work`, which is part of layers of this kind.
    fn measure<R>(&mut self, kind: LayerKind, work: impl FnOnce() -> R) -> R;

    /// A clock for work that another thread does meanwhile.
    fn fork(&self) -> Self;
}

/// Watches nothing and costs nothing.
pub(super) struct NoClock;

impl Clock for NoClock {
    #[inline(always)]
    fn measure<R>(&mut self, _: LayerKind, work: impl FnOnce() -> R) -> R {
        work()
    }

    fn fork(&self) -> Self {
        Self
    }
}

impl Clock for LayerTimes {
    fn measure<R>(&mut self, kind: LayerKind, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        self.steps.push((kind, start.elapsed()));
        result
    }

    /// What other threads do is not counted: only walks of one thread are
    /// profiled.
    fn fork(&self) -> Self {
        Self::default()
    }
}
