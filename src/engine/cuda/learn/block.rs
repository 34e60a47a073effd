//! One inverted-bottleneck block on a GPU, forward and backward.
//!
//! Kept of the forward pass are the outputs of the convolutions before their
//! norms and the activations that the convolutions read.

use std::sync::Arc;

use super::layers::{Norm, Pass, Product, Received, apply, outer, sum_parts};
use super::parameters::Parameters;
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue,
    device::{Argument, Buffer, run},
    kernels::shapes::{self, Depthwise, Rows},
};
use crate::model::architecture::{MbConv, Padding};

/// Memory that the backward passes of all layers share.
pub struct Workspace {
    /// Gradients behind the depthwise convolution.
    pub gated: Buffer,
    /// Gradients before it, and at the head's features.
    pub expanded: Buffer,
    /// Gradient before the projection's norm.
    pub narrow: Buffer,
    /// Sums of activations, and those of `gate_sums`.
    pub sums: Buffer,
    /// `[images][2][channels]`.
    pub image_parts: Buffer,
    /// `[images][channels]` and `[images][squeezed]`.
    pub d_gate: Buffer,
    pub d_hidden: Buffer,
    pub hidden: Buffer,
    pub constant: Buffer,
}

/// The expansion: product, norm, and what they make.
struct Expand {
    product: Product,
    norm: Norm,
    raw: Buffer,
    activation: Buffer,
}

/// A block with what it keeps of a batch.
pub struct Block {
    spec: MbConv,
    padding: Padding,
    expand: Option<Expand>,
    by_taps: Buffer,
    turned: Buffer,
    depthwise_norm: Norm,
    wide: Buffer,
    activation: Buffer,
    /// The second matrix of squeeze and excite, transposed.
    widen: Buffer,
    means: Buffer,
    before: Buffer,
    gates: Buffer,
    project: Product,
    project_norm: Norm,
    narrow: Buffer,
    /// Ones and zeros where a residual is added without a convolution.
    identity: Option<Buffer>,
}

impl Block {
    /// `side` is the largest side of its input.
    pub fn new(
        queue: &Arc<dyn Queue>,
        precision: GpuPrecision,
        spec: &MbConv,
        (padding, eps): (Padding, f64),
        (images, side): (usize, usize),
    ) -> Result<Self, CudaError> {
        let &MbConv { input, expanded, squeezed, output, kernel, stride, .. } = spec;
        let (_, out) = padding.resolve(side, kernel, stride);
        let (before, behind) = (images * side * side, images * out * out);
        let elements = |count: usize| Buffer::new(queue, count * precision.bytes());
        let floats = |count: usize| Buffer::new(queue, count * 4);
        let norm = |prefix: &str, channels| Norm::new(queue, format!("{prefix}.1"), channels, eps);
        let expand = match spec.expand_prefix() {
            Some(prefix) => Some(Expand {
                product: Product::new(queue, precision, &prefix, (expanded, input))?,
                norm: norm(&prefix, expanded)?,
                raw: elements(before * expanded)?,
                activation: elements(before * expanded)?,
            }),
            None => None,
        };
        let identity = match (&expand, spec.residual()) {
            (None, true) => {
                let mut vectors = vec![1.0; input];
                vectors.resize(2 * input, 0.0);
                Some(Buffer::of_floats(queue, &vectors)?)
            }
            _ => None,
        };
        let prefix = spec.project_prefix();
        Ok(Self {
            expand,
            padding,
            by_taps: floats(kernel * kernel * expanded)?,
            turned: floats(kernel * kernel * expanded)?,
            depthwise_norm: norm(&spec.depthwise_prefix(), expanded)?,
            wide: elements(behind * expanded)?,
            activation: elements(behind * expanded)?,
            widen: floats(squeezed * expanded)?,
            means: floats(images * expanded)?,
            before: floats(images * squeezed)?,
            gates: floats(images * expanded)?,
            project: Product::new(queue, precision, &prefix, (output, expanded))?,
            project_norm: norm(&prefix, output)?,
            narrow: elements(behind * output)?,
            identity,
            spec: spec.clone(),
        })
    }

    /// Side of the output for an input of `side`.
    pub fn output_side(&self, side: usize) -> usize {
        self.padding.resolve(side, self.spec.kernel, self.spec.stride).1
    }

    fn depthwise_weight(&self) -> String {
        format!("{}.0.weight", self.spec.depthwise_prefix())
    }

    /// Brings changed parameters into the forms that kernels read.
    pub fn prepare(&self, queue: &dyn Queue, parameters: &Parameters) -> Result<(), CudaError> {
        let MbConv { expanded, squeezed, kernel, .. } = self.spec;
        if let Some(expand) = &self.expand {
            expand.product.prepare(queue, parameters)?;
        }
        self.project.prepare(queue, parameters)?;
        let taps = kernel * kernel;
        run!(
            queue,
            shapes::each("prepare_taps", taps * expanded),
            parameters.value(&self.depthwise_weight()),
            &self.by_taps,
            &self.turned,
            expanded,
            taps,
            false,
        )?;
        run!(
            queue,
            shapes::each("prepare_taps", squeezed * expanded),
            parameters.value(&format!("{}.fc2.weight", self.spec.se_prefix())),
            &self.widen,
            Argument::NULL,
            expanded,
            squeezed,
            false,
        )
    }

    /// From `x` to `y`; `side` is that of `x`.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        workspace: &Workspace,
        (x, y): (&Buffer, &Buffer),
        side: usize,
        momentum: f32,
    ) -> Result<(), CudaError> {
        let MbConv { expanded, squeezed, kernel, stride, .. } = self.spec;
        let (pad, out) = self.padding.resolve(side, kernel, stride);
        let (before, behind) = (side * side, out * out);
        let input = match &self.expand {
            Some(Expand { product, norm, raw, activation }) => {
                product.forward(pass, x, None, raw, before)?;
                norm.forward(pass, raw, before, momentum)?;
                norm.apply(pass, raw, None, Some(activation), None, before, true)?;
                activation
            }
            None => x,
        };
        self.convolve(pass, (input, &self.by_taps, &self.wide), (side, out, pad), stride)?;
        self.depthwise_norm.forward(pass, &self.wide, behind, momentum)?;
        let (activation, sums) = (Some(&self.activation), Some(&workspace.sums));
        let tiles =
            self.depthwise_norm.apply(pass, &self.wide, None, activation, sums, behind, true)?;
        let prefix = self.spec.se_prefix();
        let value = |what: &str| pass.parameters.value(&format!("{prefix}.{what}"));
        run!(
            pass.queue,
            shapes::flat("squeeze_excite", pass.images, 4 * (expanded + squeezed)),
            &workspace.sums,
            value("fc1.weight"),
            value("fc1.bias"),
            &self.widen,
            value("fc2.bias"),
            &self.gates,
            &self.means,
            &self.before,
            pass.live,
            expanded,
            squeezed,
            tiles,
            1.0 / behind as f32,
        )?;
        self.project.forward(pass, &self.activation, Some(&self.gates), &self.narrow, behind)?;
        self.project_norm.forward(pass, &self.narrow, behind, momentum)?;
        let residual = self.spec.residual().then_some(x);
        self.project_norm.apply(pass, &self.narrow, residual, Some(y), None, behind, false)?;
        Ok(())
    }

    /// A depthwise convolution without bias and SiLU.
    fn convolve(
        &self,
        pass: &Pass<'_>,
        (x, weights, y): (&Buffer, &Buffer, &Buffer),
        (side, out, pad): (usize, usize, usize),
        stride: usize,
    ) -> Result<(), CudaError> {
        let MbConv { expanded, kernel, .. } = self.spec;
        let shape = Depthwise::new(expanded, out);
        let name = shapes::depthwise_kernel(kernel, stride);
        run!(
            pass.queue,
            shape.launch(name, kernel, pass.images, expanded),
            x,
            weights,
            Argument::NULL,
            y,
            Argument::NULL,
            pass.live,
            expanded,
            side,
            out,
            pad,
            shape.rows,
            shape.tiles,
            false,
        )
    }

    /// From the output's gradient to the input's, and all parameters'.
    pub fn backward(
        &self,
        pass: &Pass<'_>,
        workspace: &Workspace,
        (x, dy, dx): (&Buffer, &Buffer, &Buffer),
        side: usize,
    ) -> Result<(), CudaError> {
        let MbConv { expanded, kernel, stride, .. } = self.spec;
        let (pad, out) = self.padding.resolve(side, kernel, stride);
        let (before, behind) = (side * side, out * out);
        let Workspace { gated, expanded: wide, narrow, .. } = workspace;

        let received = Received::plain(dy, false);
        self.project_norm.backward(pass, received, &self.narrow, narrow, behind)?;
        self.project.to_weights(pass, narrow, &self.activation, Some(&self.gates), behind)?;
        self.project.to_input(pass, narrow, None, gated, behind)?;
        self.backward_squeeze(pass, workspace, behind)?;

        let input = self.expand.as_ref().map_or(x, |expand| &expand.activation);
        let taps = kernel * kernel;
        run!(
            pass.queue,
            shapes::depthwise_weights(kernel, pass.images, expanded),
            gated,
            input,
            pass.parts,
            pass.live,
            expanded,
            side,
            out,
            pad,
            stride,
        )?;
        let to = pass.parameters.slope(&self.depthwise_weight());
        sum_parts(pass, to, Some(pass.live), 1, taps * expanded, (taps, false))?;
        let residual = self.spec.residual().then_some(dy);
        let to = if self.expand.is_none() && residual.is_none() { dx } else { wide };
        if stride == 1 {
            let turned = (out, side, kernel - 1 - pad);
            self.convolve(pass, (gated, &self.turned, to), turned, 1)?;
        } else {
            run!(
                pass.queue,
                shapes::depthwise_input(kernel, pass.images * before, expanded),
                gated,
                &self.by_taps,
                to,
                pass.live,
                expanded,
                side,
                out,
                pad,
            )?;
        }
        match (&self.expand, &self.identity) {
            (Some(Expand { product, norm, raw, .. }), _) => {
                norm.backward(pass, Received::plain(wide, true), raw, wide, before)?;
                product.to_weights(pass, wide, x, None, before)?;
                product.to_input(pass, wide, residual, dx, before)
            }
            (None, Some(identity)) => {
                let channels = self.spec.input;
                apply(pass, (wide, channels), identity, residual, Some(dx), None, before, false)?;
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// Squeeze and excite and the depthwise norm: from the gradient at the gated
    /// activation to that before the norm, in its place.
    fn backward_squeeze(
        &self,
        pass: &Pass<'_>,
        workspace: &Workspace,
        pixels: usize,
    ) -> Result<(), CudaError> {
        let MbConv { expanded, squeezed, .. } = self.spec;
        let Workspace { gated, sums, image_parts, d_gate, d_hidden, hidden, constant, .. } =
            workspace;
        let rows = Rows::new(expanded, pixels);
        run!(
            pass.queue,
            rows.launch("gate_sums", pass.images, expanded, 1),
            gated,
            &self.wide,
            &self.depthwise_norm.vectors,
            sums,
            pass.live,
            pixels,
            expanded,
            rows.rows,
            rows.tiles,
        )?;
        let prefix = self.spec.se_prefix();
        let slope = |what: &str| pass.parameters.slope(&format!("{prefix}.{what}"));
        run!(
            pass.queue,
            shapes::flat("squeeze_excite_backward", pass.images, 4 * (expanded + squeezed)),
            sums,
            &self.gates,
            &self.before,
            pass.parameters.value(&format!("{prefix}.fc1.weight")),
            &self.widen,
            d_gate,
            d_hidden,
            hidden,
            constant,
            image_parts,
            pass.live,
            expanded,
            squeezed,
            rows.tiles,
            1.0 / pixels as f32,
        )?;
        outer(pass, d_gate, Some(hidden), slope("fc2.weight"), (expanded, squeezed))?;
        outer(pass, d_gate, None, slope("fc2.bias"), (expanded, 1))?;
        outer(pass, d_hidden, Some(&self.means), slope("fc1.weight"), (squeezed, expanded))?;
        outer(pass, d_hidden, None, slope("fc1.bias"), (squeezed, 1))?;
        let received = Received {
            gradient: Some(gated),
            factors: Some(&self.gates),
            constant: Some(constant),
            activate: true,
        };
        let norm = &self.depthwise_norm;
        norm.backward_from(pass, image_parts, 1, received, &self.wide, gated, pixels)
    }
}
