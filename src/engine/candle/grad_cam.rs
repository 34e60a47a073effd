//! Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) by gradients, for networks whose
//! features are not the means of feature maps. Of the others it is exact without any
//! ([`Want::MAPS`](crate::engine::Want::MAPS)).
//!
//! Which layer is weighed follows pytorch-grad-cam: the last feature maps, and of a
//! transformer the tokens that its last attention sees, behind their norm and without
//! the class token, each at the place of its patch.

use candle_core::{Device, Result, Tensor, Var, bail};

use super::door::normalised;
use super::network::{Network, Pass};
use super::ops::values;
use crate::engine::{InferenceError, Normalisation};
use crate::model::backbone::Layer;

/// A network in evaluation mode, what it is fed, and gradients.
pub struct GradCam {
    network: Network,
    size: usize,
    normalisation: Normalisation,
}

/// What is weighed, and what came of it.
struct Weighed {
    /// `[channels][places]`.
    maps: Var,
    /// 1×classes.
    logits: Tensor,
}

impl GradCam {
    /// Joins a network with what it is fed: images of `size` × `size` pixels.
    pub fn new(network: Network, size: usize, normalisation: Normalisation) -> Self {
        Self { network, size, normalisation }
    }

    /// The map of an output for an image (interleaved RGB, row 0 on top),
    /// `[side][side]`, and the output's logit. The map is `Σₖ α[k] A[k]` of the maps
    /// `A`, where `α[k]` is the mean of the logit's gradient by `A[k]`'s pixels;
    /// Grad-CAM shows what of it is above 0.
    ///
    /// # Errors
    /// [`InferenceError`] if the image has another size.
    pub fn of(
        &self,
        image: &[u8],
        output: usize,
    ) -> std::result::Result<(Vec<f32>, f32), InferenceError> {
        InferenceError::check_sizes(&[image], 3 * self.size * self.size)?;
        Ok(self.map(image, output)?)
    }

    fn map(&self, image: &[u8], output: usize) -> Result<(Vec<f32>, f32)> {
        let Weighed { maps, logits } = self.weighed(image)?;
        let logit = logits.narrow(1, output, 1)?.sum_all()?;
        let gradients = logit.backward()?;
        let Some(gradient) = gradients.get(&maps) else {
            bail!("the logit does not depend on the maps");
        };
        let (channels, places) = maps.dims2()?;
        let gradient: Vec<f32> = values(&gradient.contiguous()?)?;
        let maps: Vec<f32> = values(maps.as_tensor())?;
        let mut map = vec![0f64; places];
        for channel in 0..channels {
            let own = channel * places..(channel + 1) * places;
            let sum: f64 = gradient[own.clone()].iter().map(|value| f64::from(*value)).sum();
            let weight = sum / places as f64;
            map.iter_mut()
                .zip(&maps[own])
                .for_each(|(to, value)| *to += weight * f64::from(*value));
        }
        Ok((map.into_iter().map(|value| value as f32).collect(), logit.to_scalar()?))
    }

    /// Runs the network from what is weighed on, as something that has a gradient.
    fn weighed(&self, image: &[u8]) -> Result<Weighed> {
        let (network, mut pass) = (&self.network, Pass::default());
        let pixels = normalised(image, self.size, self.normalisation, &Device::Cpu)?;
        let body = &network.plan().body;
        let is_encoder = |layer: &Layer| matches!(layer, Layer::Encoder { .. });
        let last = body.iter().rposition(is_encoder).map(|at| (at, &body[at]));
        let (maps, behind) = match last {
            Some((at, Layer::Encoder { prefix, heads, .. })) => {
                let x = network.all(&body[..at], &pixels, &mut pass)?;
                let normed = network.token_norm(&format!("{prefix}.ln_1"), &x)?;
                // 1 × T × D: the class token, and a token a patch.
                let tokens = normed.dim(1)?;
                let class = normed.narrow(1, 0, 1)?;
                let patches = normed.narrow(1, 1, tokens - 1)?.squeeze(0)?;
                let maps = Var::from_tensor(&patches.t()?.contiguous()?)?;
                let patches = maps.as_tensor().t()?.contiguous()?.unsqueeze(0)?;
                let normed = Tensor::cat(&[&class, &patches], 1)?;
                let x = network.attending(prefix, *heads, &x, &normed)?;
                (maps, network.all(&body[at + 1..], &x, &mut pass)?)
            }
            _ => {
                // C × 1 × h × w.
                let found = network.maps(&pixels, &mut pass)?;
                let shape = found.dims().to_vec();
                let places = shape[1..].iter().product::<usize>();
                let maps = Var::from_tensor(&found.reshape((shape[0], places))?)?;
                let behind = maps.as_tensor().reshape(shape)?;
                (maps, behind)
            }
        };
        let features = network.features(&behind, &mut pass)?;
        Ok(Weighed { maps, logits: network.classify(&features)? })
    }
}
