//! A vision transformer in evaluation mode, as candle-transformers computes it.
//!
//! Its embeddings and encoder are torchvision's under other names: norms first, an
//! epsilon of one's own, the exact GELU. For inference alone: its norms and its softmax
//! keep no graph (`apply_op3_no_bwd`), so that what lies before them would learn
//! nothing, without a word. What learns is [`super::network`]'s, of the same layers.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Module, Result, Tensor};
use candle_nn::{Activation, LayerNorm, VarBuilder, layer_norm};
use candle_transformers::models::vit::{Config, Embeddings, Encoder};

use crate::model::backbone::{Layer, Plan};

/// Its layers from pixels to tokens.
pub(super) struct Transformer {
    embeddings: Embeddings,
    encoder: Encoder,
    norm: LayerNorm,
}

/// Its sizes; `None` of a plan that is no transformer.
fn config(plan: &Plan, eps: f64) -> Option<Config> {
    let [Layer::Tokens { patch, width, count }, Layer::Encoder { heads, hidden, .. }, ..] =
        plan.body[..]
    else {
        return None;
    };
    let layers = plan.body.iter().filter(|layer| matches!(layer, Layer::Encoder { .. }));
    Some(Config {
        hidden_size: width,
        num_hidden_layers: layers.count(),
        num_attention_heads: heads,
        intermediate_size: hidden,
        hidden_act: Activation::Gelu,
        layer_norm_eps: eps,
        image_size: patch * (count - 1).isqrt(),
        patch_size: patch,
        num_channels: 3,
        qkv_bias: true,
    })
}

/// A tensor's name in candle-transformers for torchvision's, where it is one tensor in
/// both.
fn renamed(name: &str) -> Option<String> {
    let name = match name {
        "class_token" => "cls_token".to_owned(),
        "encoder.pos_embedding" => "position_embeddings".to_owned(),
        _ => {
            if let Some(part) = name.strip_prefix("conv_proj.") {
                return Some(format!("patch_embeddings.projection.{part}"));
            }
            if let Some(part) = name.strip_prefix("encoder.ln.") {
                return Some(format!("norm.{part}"));
            }
            let layer = name.strip_prefix("encoder.layers.encoder_layer_")?;
            let (place, part) = layer.split_once('.')?;
            let (module, what) = part.rsplit_once('.')?;
            let module = match module {
                "ln_1" => "layernorm_before",
                "ln_2" => "layernorm_after",
                "self_attention.out_proj" => "attention.output.dense",
                "mlp.0" => "intermediate.dense",
                "mlp.3" => "output.dense",
                _ => return None,
            };
            format!("layer.{place}.{module}.{what}")
        }
    };
    Some(name)
}

impl Transformer {
    /// That of a plan and its tensors; `None` where the plan is no transformer.
    ///
    /// # Errors
    /// candle's, if a tensor is missing or misshapen.
    pub fn of(plan: &Plan, eps: f64, tensors: &BTreeMap<String, Tensor>) -> Result<Option<Self>> {
        let Some(config) = config(plan, eps) else {
            return Ok(None);
        };
        let mut named = HashMap::new();
        for (name, tensor) in tensors {
            if let Some(name) = renamed(name) {
                named.insert(name, tensor.clone());
            }
            // One tensor of three there.
            let Some((layer, part)) = name.split_once(".self_attention.in_proj_") else {
                continue;
            };
            let place = layer.rsplit('_').next().unwrap_or_default();
            for (third, module) in ["query", "key", "value"].into_iter().enumerate() {
                let own = tensor.narrow(0, third * config.hidden_size, config.hidden_size)?;
                named.insert(format!("layer.{place}.attention.attention.{module}.{part}"), own);
            }
        }
        let Some(like) = named.get("cls_token") else {
            return Ok(None);
        };
        let (dtype, device) = (like.dtype(), like.device().clone());
        let tensors = VarBuilder::from_tensors(named, dtype, &device);
        Ok(Some(Self {
            embeddings: Embeddings::new(&config, false, tensors.clone())?,
            encoder: Encoder::new(&config, tensors.clone())?,
            norm: layer_norm(config.hidden_size, eps, tensors.pp("norm"))?,
        }))
    }

    /// The tokens (N×T×D) of normalised images (N×3×S×S).
    ///
    /// # Errors
    /// candle's, if shapes or types do not fit.
    pub fn tokens(&self, images: &Tensor) -> Result<Tensor> {
        let embedded = self.embeddings.forward(images, None, false)?;
        self.norm.forward(&self.encoder.forward(&embedded)?)
    }
}
