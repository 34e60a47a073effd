//! How fast a network runs on this processor, where the time goes, and how
//! far from the limit it is.
//!
//! The limit of a layer is its arithmetic at the processor's peak in the
//! precision of its products, as measured in the same run, for batches on all
//! threads at once; memory, SiLU and all else would have to be free. Machines
//! are shared: rates are medians, the times of layers the shortest of many
//! walks.

use std::fmt;
use std::time::{Duration, Instant};

use crate::engine::fused::{
    Backend, LayerKind, LayerTimes, PackedNetwork, peak_flops, peak_flops_together,
};
use crate::engine::{Infer, InferenceError, Precision, Tensors, Want};

/// Images that the walks by layer take: as many as go together in batches.
const WALK: usize = 4;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Speed {
    /// What ran the kernels.
    pub backend: Backend,
    /// How numbers are held and multiplied.
    pub precision: Precision,
    /// Threads that share the batches.
    pub threads: usize,
    /// Batch, and images a second: median and best.
    pub rates: Vec<(usize, f64, f64)>,
    /// By kind, on one thread.
    pub layers: Vec<LayerSpeed>,
}

/// What the layers of one kind take.
#[derive(Debug, Clone, Copy)]
pub struct LayerSpeed {
    /// Which.
    pub kind: LayerKind,
    /// Seconds per image.
    pub seconds: f64,
    /// Multiplications and additions per image.
    pub flop: f64,
    /// The peak of one thread in a second.
    pub peak: f64,
    /// The peak of all threads at once.
    pub peak_together: f64,
}

/// Measures `network` on `images`, on the current rayon pool; `seconds` for
/// each batch, and as long for the layers.
///
/// # Panics
/// Where there are fewer images than the largest batch.
pub fn measure(
    network: &PackedNetwork,
    images: &[&[u8]],
    batches: &[usize],
    seconds: f64,
) -> Speed {
    let limit = Duration::from_secs_f64(seconds);
    let mut logits = vec![0.0; images.len() * network.classes()];
    let rates = rates(batches, limit, |batch| {
        network.forward(&images[..batch], &mut logits[..batch * network.classes()]);
    });
    let walk = images.len().min(WALK);
    let mut best: Option<LayerTimes> = None;
    repeat(limit, || {
        let next = network.profile(&images[..walk], &mut logits[..walk * network.classes()]);
        best = Some(match best.take() {
            Some(best) => best.shorter(&next),
            None => next,
        });
    });
    let (backend, precision) = (network.backend(), network.precision());
    let peaks = |p| (peak_flops(backend, p), peak_flops_together(backend, p));
    let (plain, own) = (peaks(Precision::F32), peaks(precision));
    let layers = best.map(|times| {
        let of = |kind| {
            let (peak, peak_together) = match kind {
                LayerKind::Expand | LayerKind::Project | LayerKind::Head => own,
                LayerKind::Stem | LayerKind::Depthwise | LayerKind::SqueezeExcite => plain,
            };
            LayerSpeed {
                kind,
                seconds: times.time(kind).as_secs_f64() / walk as f64,
                flop: 2.0 * times.multiply_adds(kind) as f64 / walk as f64,
                peak,
                peak_together,
            }
        };
        LayerKind::ALL.map(of).to_vec()
    });
    Speed {
        backend,
        precision,
        threads: rayon::current_num_threads(),
        rates,
        layers: layers.unwrap_or_default(),
    }
}

/// Batch, and images a second of a network of any engine: median and best.
///
/// # Errors
/// [`InferenceError`].
///
/// # Panics
/// Where there are fewer images than the largest batch.
pub fn measure_plainly(
    network: &dyn Infer,
    images: &[&[u8]],
    batches: &[usize],
    seconds: f64,
) -> Result<Vec<(usize, f64, f64)>, InferenceError> {
    let (mut found, mut result) = (Tensors::default(), Ok(()));
    let limit = Duration::from_secs_f64(seconds);
    let rates = rates(batches, limit, |batch| {
        if result.is_ok() {
            result = network.run(&images[..batch], Want::LOGITS, &mut found);
        }
    });
    result.map(|()| rates)
}

/// Batch, and images a second of `run`: median and best.
fn rates(batches: &[usize], limit: Duration, mut run: impl FnMut(usize)) -> Vec<(usize, f64, f64)> {
    let of = |&batch: &usize| {
        run(batch);
        let mut times = repeat(limit, || run(batch));
        times.sort();
        let rate = |time: Duration| batch as f64 / time.as_secs_f64();
        (batch, rate(times[times.len() / 2]), rate(times[0]))
    };
    batches.iter().map(of).collect()
}

/// The times of `work`, at least three, for at least `limit`.
fn repeat(limit: Duration, mut work: impl FnMut()) -> Vec<Duration> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || begin.elapsed() < limit {
        let start = Instant::now();
        work();
        times.push(start.elapsed().max(Duration::from_nanos(1)));
    }
    times
}

impl Speed {
    /// Images a second that the peak allows on all threads.
    pub fn limit(&self) -> f64 {
        let seconds: f64 = self.layers.iter().map(|layer| layer.flop / layer.peak_together).sum();
        1.0 / seconds
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (backend, precision) = (self.backend.name(), self.precision.name());
        writeln!(f, "{backend}, {precision}, threads: {}", self.threads)?;
        let limit = self.limit();
        for (batch, median, best) in &self.rates {
            writeln!(
                f,
                "  batch {batch:<3} {median:8.1} images/s (best {best:.1}), {:.0} % of the limit",
                100.0 * median / limit
            )?;
        }
        writeln!(
            f,
            "  the limit   {limit:8.1} images/s: all layers at the peak of all threads at once"
        )?;
        let header = ["one thread", "ms/image", "GFLOP/s", "peak", "of peak"];
        let [first, rest @ ..] = header;
        write!(f, "  {first:<16}")?;
        rest.iter().try_for_each(|name| write!(f, "{name:>10}"))?;
        writeln!(f)?;
        for layer in &self.layers {
            let &LayerSpeed { kind, seconds, flop, peak, .. } = layer;
            line(f, kind.name(), seconds, flop, peak)?;
        }
        let sum = |of: &dyn Fn(&LayerSpeed) -> f64| self.layers.iter().map(of).sum::<f64>();
        let (seconds, flop) = (sum(&|l| l.seconds), sum(&|l| l.flop));
        line(f, "all", seconds, flop, flop / sum(&|l| l.flop / l.peak))
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, seconds: f64, flop: f64, peak: f64) -> fmt::Result {
    let rate = flop / seconds.max(f64::MIN_POSITIVE);
    writeln!(
        f,
        "  {name:<16}{:>10.3}{:>10.1}{:>10.1}{:>8.0} %",
        1e3 * seconds,
        rate / 1e9,
        peak / 1e9,
        100.0 * rate / peak
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Normalisation;
    use crate::model::{architecture::Architecture, model_file::Model};

    #[test]
    fn a_report_adds_up() {
        let model = Model::seeded(Architecture::nano(), 64, 1).unwrap();
        let normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };
        let network =
            PackedNetwork::new(&Architecture::nano(), 4, 64, &model.networks[0], normalisation)
                .unwrap();
        let image = vec![7; 3 * 64 * 64];
        let images = [image.as_slice(); 3];
        let speed = measure(&network, &images, &[1, 3], 0.01);
        assert_eq!(speed.rates.iter().map(|rate| rate.0).collect::<Vec<_>>(), [1, 3]);
        assert!(speed.rates.iter().all(|&(_, median, best)| median > 0.0 && best >= median));
        assert!(speed.layers.iter().all(|layer| layer.seconds > 0.0 && layer.flop > 0.0));
        // No layer is faster than the peak; a shared processor may slow the peak down.
        let text = speed.to_string();
        for word in ["batch 3", "depthwise", "squeeze-excite", "the limit", "all "] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        assert!(speed.limit() > 0.0);
    }
}
