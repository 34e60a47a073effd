//! Operations that candle 0.11 does not have, or has slowly or wrongly, each with its
//! gradient: convolutions (candle's gradient towards the input is a loop over taps),
//! depthwise ones (one tensor a group there), batch norm while training (a dozen
//! passes there), and the largest of windows (whose gradient candle has only where
//! windows do not overlap).
//!
//! Except where a module says otherwise images are C×N×H×W, channels first: then a
//! convolution is one matrix product without a copy, and what a channel is normalised
//! by lies in one piece. All are for the processor, in f32 and, for those who want to
//! know what rounding does, in f64; [`portable`] has the same for any device.

pub mod conv;
pub mod depthwise;
pub mod norm;
pub mod pool;
pub mod portable;

use candle_core::{CpuStorage, Layout, Result, Tensor, WithDType, bail};

/// Does the same with `$t` as the type of a tensor's numbers: f64, or f32.
macro_rules! by_type {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            // Of any other type the values cannot be taken, which is an error.
            _ => {
                type $t = f32;
                $body
            }
        }
    };
}
pub(super) use by_type;

/// The values of a contiguous tensor.
fn contiguous<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((from, to)) = layout.contiguous_offsets() else {
        bail!("tensors must be contiguous, got {layout:?}");
    };
    Ok(&storage.as_slice::<T>()?[from..to])
}

/// A copy of the values of a tensor, in its order.
pub(super) fn values<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    tensor.flatten_all()?.to_vec1()
}

/// So many zeros.
pub(super) fn zeros<T: WithDType>(count: usize) -> Vec<T> {
    vec![T::from_f64(0.0); count]
}

#[cfg(test)]
pub(crate) mod checks {
    //! Gradients against differences.

    use candle_core::{Device, Tensor, Var};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use crate::near::apart;

    pub fn generator(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    pub fn random(rng: &mut ChaCha8Rng, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.dims(), b.dims());
        apart(&super::values::<f32>(a).unwrap(), &super::values::<f32>(b).unwrap())
    }

    fn number(tensor: Tensor) -> f64 {
        super::values::<f32>(&tensor).unwrap().into_iter().map(f64::from).sum()
    }

    /// That the gradients of a random product of `run`'s output are the differences
    /// over steps of `step`, along a random direction of each input.
    pub fn gradients(
        rng: &mut ChaCha8Rng,
        inputs: &[Tensor],
        (step, tolerance): (f64, f64),
        run: impl Fn(&[Tensor]) -> Tensor,
    ) {
        let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let output = run(&tensors);
        let seed = random(rng, output.dims());
        let loss = |output: &Tensor| (output * &seed).unwrap();
        let gradients = loss(&output).sum_all().unwrap().backward().unwrap();
        for place in 0..inputs.len() {
            let direction = random(rng, inputs[place].dims());
            let at = |distance: f64| {
                let mut moved = inputs.to_vec();
                moved[place] = (&inputs[place] + (&direction * distance).unwrap()).unwrap();
                number(loss(&run(&moved)))
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            let gradient = gradients.get(&vars[place]).unwrap();
            let found = number((gradient * &direction).unwrap());
            assert!(
                (found - expected).abs() < tolerance * (1.0 + expected.abs()),
                "input {place} of {:?}: {found} where differences say {expected}",
                inputs.iter().map(|t| t.dims().to_vec()).collect::<Vec<_>>()
            );
        }
    }
}
