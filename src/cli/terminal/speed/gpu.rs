//! How fast a network runs on a GPU, and which kernels take the time.
//!
//! The pixels stay on the device: copies run beside the launches of another
//! batch in a run, and are not in it here. Rates are medians. The times of
//! kernels are each waited for, a few microseconds a launch too long, so their
//! sum is more than a batch takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::Normalisation;
use crate::engine::cuda::{CudaError, GpuPrecision, Queue, Single, Timed};
use crate::model::{model_file::Model, seeded::SplitMix64};

/// Launches of a batch between two looks at the clock take about as long.
const STRETCH: Duration = Duration::from_millis(200);

/// What was measured.
#[derive(Debug, Clone)]
pub struct Speed {
    /// The device, in words.
    pub device: String,
    /// What activations are stored in.
    pub precision: GpuPrecision,
    /// By batch.
    pub rates: Vec<Rate>,
    /// Batch of the kernels' times.
    pub profiled: usize,
    /// The slowest first.
    pub kernels: Vec<KernelTime>,
}

/// Images a second with one size of batch.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Images per batch.
    pub batch: usize,
    /// Median, lowest, highest; `None` where the memory does not suffice.
    pub images_per_second: Option<[f64; 3]>,
    /// Whether all logits were finite.
    pub finite: bool,
}

/// What a kernel takes of a batch, in the layers that give it the same grid.
#[derive(Debug, Clone, Copy)]
pub struct KernelTime {
    /// Its name.
    pub name: &'static str,
    /// Its blocks.
    pub grid: [u32; 3],
    /// Launches.
    pub launches: usize,
    /// Time of all of them.
    pub time: Duration,
}

/// Measures the model's first network on `queue`, a device called `device`;
/// `seconds` for each batch.
///
/// # Errors
/// [`CudaError::Lost`], [`CudaError::Driver`]; too little memory for a batch is
/// an answer.
pub fn measure(
    device: &str,
    queue: &Arc<dyn Queue>,
    precision: GpuPrecision,
    model: &Model,
    batches: &[usize],
    seconds: f64,
) -> Result<Speed, CudaError> {
    let limit = Duration::from_secs_f64(seconds);
    let (mut rates, mut profile) = (Vec::new(), (0, Vec::new()));
    for &batch in batches {
        let (images_per_second, finite) = match network(queue, precision, model, batch) {
            Ok(network) => {
                let rates = repeat(&network, batch, limit)?;
                let finite = network.logits()?.iter().all(|logit| logit.is_finite());
                if batch > profile.0 {
                    profile = (batch, kernels(&network, queue)?);
                }
                (Some(rates), finite)
            }
            Err(error) if error.is_out_of_memory() => (None, true),
            Err(error) => return Err(error),
        };
        rates.push(Rate { batch, images_per_second, finite });
    }
    let (profiled, kernels) = profile;
    Ok(Speed { device: device.to_owned(), precision, rates, profiled, kernels })
}

/// The first network with a batch of noise on the device.
fn network(
    queue: &Arc<dyn Queue>,
    precision: GpuPrecision,
    model: &Model,
    batch: usize,
) -> Result<Single, CudaError> {
    let description = &model.description;
    let input = &description.input;
    let mut random = SplitMix64::named(1, "noise");
    let bytes = batch * 3 * input.size * input.size;
    let pixels: Vec<u8> = (0..bytes).map(|_| (random.next_u64() >> 56) as u8).collect();
    Single::new(
        queue,
        precision,
        &description.architectures[0],
        (description.scheme.networks()[0].outputs(), input.size),
        &model.networks[0],
        Normalisation { mean: input.mean, std: input.std },
        batch,
        &pixels,
    )
}

/// Images a second over stretches of launches: median, lowest, highest.
fn repeat(network: &Single, batch: usize, limit: Duration) -> Result<[f64; 3], CudaError> {
    let once = network.time(2)?.max(Duration::from_nanos(2)) / 2;
    let launches = (STRETCH.as_secs_f64() / once.as_secs_f64()).ceil() as usize;
    let (began, mut rates) = (Instant::now(), Vec::new());
    while rates.len() < 3 || began.elapsed() < limit {
        let took = network.time(launches)?.max(Duration::from_nanos(1));
        rates.push((launches * batch) as f64 / took.as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok([rates[rates.len() / 2], rates[0], rates[rates.len() - 1]])
}

/// The kernels of a batch.
fn kernels(network: &Single, queue: &Arc<dyn Queue>) -> Result<Vec<KernelTime>, CudaError> {
    const PASSES: usize = 5;
    let timed = Timed::new(queue);
    for _ in 0..PASSES {
        network.launch(&timed)?;
    }
    let times = timed.times().into_iter().map(|((name, grid), (launches, time))| KernelTime {
        name,
        grid,
        launches: launches / PASSES,
        time: time / PASSES as u32,
    });
    let mut times: Vec<KernelTime> = times.collect();
    times.sort_by_key(|kernel| std::cmp::Reverse(kernel.time));
    Ok(times)
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}", self.device, self.precision.name())?;
        for Rate { batch, images_per_second, finite } in &self.rates {
            let finite = if *finite { "" } else { ", logits are not finite" };
            match images_per_second {
                Some([median, lowest, highest]) => writeln!(
                    f,
                    "  batch {batch:<4} {median:8.0} images/s ({lowest:.0} to {highest:.0}){finite}"
                )?,
                None => writeln!(f, "  batch {batch:<4} does not fit into the memory")?,
            }
        }
        let all: Duration = self.kernels.iter().map(|kernel| kernel.time).sum();
        if !self.kernels.is_empty() {
            let batch = format!("batch {}", self.profiled);
            writeln!(f, "  {batch:<24}{:>10}{:>12}{:>10}", "launches", "µs/batch", "of all")?;
        }
        let mut kernels: BTreeMap<&str, (usize, Duration)> = BTreeMap::new();
        for KernelTime { name, launches, time, .. } in &self.kernels {
            let (of_all, sum) = kernels.entry(name).or_default();
            (*of_all, *sum) = (*of_all + launches, *sum + *time);
        }
        let mut kernels: Vec<_> = kernels.into_iter().collect();
        kernels.sort_by_key(|(_, (_, time))| std::cmp::Reverse(*time));
        for (name, (launches, time)) in kernels {
            let (time, all) = (time.as_secs_f64(), all.as_secs_f64());
            writeln!(
                f,
                "  {name:<24}{launches:>10}{:>12.0}{:>8.0} %",
                1e6 * time,
                100.0 * time / all.max(f64::MIN_POSITIVE)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cuda::kernels::emulated::{Emulated, Mode};
    use crate::model::architecture::Architecture;

    #[test]
    fn a_report_adds_up_and_a_batch_without_room_is_an_answer() {
        let model = Model::seeded(Architecture::nano(), 32, 1).unwrap();
        let queue = Emulated::with_memory(GpuPrecision::F32, Mode::Forward, 4 << 20);
        let speed = measure("none", &queue, GpuPrecision::F32, &model, &[1, 2, 512], 0.0).unwrap();
        let fit: Vec<bool> = speed.rates.iter().map(|r| r.images_per_second.is_some()).collect();
        assert_eq!(fit, [true, true, false]);
        for [median, lowest, highest] in speed.rates.iter().filter_map(|r| r.images_per_second) {
            assert!(lowest > 0.0 && lowest <= median && median <= highest);
        }
        assert_eq!(speed.profiled, 2);
        assert!(speed.kernels.iter().all(|kernel| kernel.launches > 0));
        assert!(speed.rates.iter().all(|rate| rate.finite));
        assert!(speed.kernels.is_sorted_by(|a, b| a.time >= b.time));
        let text = speed.to_string();
        for word in ["none, f32", "batch 512  does not fit", "stem", "of all"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        // A kernel is a line, however many grids it has.
        assert_eq!(text.matches("pointwise_f32").count(), 1, "{text}");
        assert!(speed.kernels.iter().filter(|kernel| kernel.name == "pointwise_f32").count() > 1);
    }
}
