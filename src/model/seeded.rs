//! Weights made from a seed by integer arithmetic, the same here and in numpy.
//!
//! They let golden results be stored without their weights, and make the
//! untrained networks that fixtures and tests run on. They are no
//! initialisation for training.
//!
//! Invariant: a tensor's values depend on the seed, its name and its shape
//! only, bit for bit on every platform. `tests/oracles/seeded.py` repeats the
//! formula; changing either breaks the golden results.

use candle_core::{Device, Tensor};

use super::architecture::Architecture;
use super::parameters::{Parameter, parameters};
use super::weights::{Weights, WeightsError};

/// SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195).
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream that belongs to `name` under `seed`.
    pub fn named(seed: u64, name: &str) -> Self {
        Self(seed ^ fnv1a64(name.as_bytes()))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `low..high`, from the upper 53 bits.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next_u64() >> 11) as f64 * 2f64.powi(-53);
        low + (high - low) * unit
    }
}

/// FNV-1a in 64 bits (draft-eastlake-fnv).
fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// All weights of one network. `prefix` (such as `stage1.`) belongs to the
/// name that seeds a tensor, so that the stages of a model differ.
///
/// # Errors
/// [`WeightsError::Tensor`] if candle cannot allocate.
pub fn weights(
    architecture: &Architecture,
    classes: usize,
    seed: u64,
    prefix: &str,
) -> Result<Weights, WeightsError> {
    let mut weights = Weights::new();
    for parameter in parameters(architecture, classes) {
        let tensor = tensor(&parameter, seed, prefix)?;
        weights.insert(parameter.name, tensor);
    }
    Ok(weights)
}

/// One tensor: see [`weights`].
///
/// # Errors
/// [`WeightsError::Tensor`] if candle cannot allocate.
pub fn tensor(parameter: &Parameter, seed: u64, prefix: &str) -> Result<Tensor, WeightsError> {
    let name = &parameter.name;
    let (low, high) = range(name, &parameter.shape);
    let mut stream = SplitMix64::named(seed, &format!("{prefix}{name}"));
    let count = parameter.shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| stream.uniform(low, high) as f32).collect();
    Tensor::from_vec(values, parameter.shape.as_slice(), &Device::Cpu)
        .map_err(WeightsError::tensor(name))
}

/// The interval from which a tensor's values are drawn.
///
/// Vectors are near those of an untrained batch norm, with enough spread that
/// each of them matters. Matrices get the variance `gain / fan_in`; the gains
/// keep activations of B0…B7 between 0.1 and 100 (found by trial: projections
/// make up for the gate of about a half and two SiLUs, those inside a stage
/// are weak so that residuals do not add up, and weak gates keep the product
/// of gate and activation from running away).
fn range(name: &str, shape: &[usize]) -> (f64, f64) {
    if shape.len() == 1 {
        return if name.ends_with("running_var") {
            (0.5, 1.5)
        } else if name.ends_with("weight") {
            (0.9, 1.1)
        } else {
            (-0.05, 0.05)
        };
    }
    let projects = shape.len() == 4 && shape[2] == 1 && shape[0] <= shape[1];
    let gain = if name.contains(".fc") {
        0.25
    } else if name.starts_with("classifier") {
        1.0
    } else if projects && name.contains(".0.block.") {
        4.0
    } else if projects {
        0.2
    } else {
        2.0
    };
    let fan_in: usize = shape[1..].iter().product();
    let bound = (3.0 * gain / fan_in as f64).sqrt();
    (-bound, bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs for seed 1234567, as listed for the reference `splitmix64.c`.
    #[test]
    fn the_generator_is_splitmix64() {
        let mut stream = SplitMix64(1_234_567);
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([(); 3].map(|()| stream.next_u64()), expected);
    }

    /// Test vectors of draft-eastlake-fnv.
    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a64(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a64(b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(fnv1a64(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn stages_and_seeds_differ_and_ranges_hold() {
        let parameter = Parameter { name: "features.0.1.running_var".into(), shape: vec![1000] };
        let values =
            |seed, prefix| tensor(&parameter, seed, prefix).unwrap().to_vec1::<f32>().unwrap();
        let one = values(1, "stage1.");
        assert_eq!(one, values(1, "stage1."));
        assert_ne!(one, values(1, "stage2."));
        assert_ne!(one, values(2, "stage1."));
        assert!(one.iter().all(|v| (0.5..=1.5).contains(v)));
        let mean = one.iter().sum::<f32>() / 1000.0;
        assert!((mean - 1.0).abs() < 0.05, "mean {mean}");
    }
}
