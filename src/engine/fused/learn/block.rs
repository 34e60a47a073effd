//! One inverted-bottleneck block: expand, depthwise, squeeze and excite,
//! project, residual; forward and backward.
//!
//! Kept of the forward pass are the outputs of the three convolutions before
//! their norms, and no activation: SiLU is computed again where it is needed.

use super::context::{Context, Workspace, strip_rows};
use super::conv::Conv;
use super::groups::{GROUPS, run, split};
use super::norm::Norm;
use super::parameter::Parameters;
use super::profile::{Clock, Part};
use super::squeeze::Squeeze;
use super::stem::Taps;
use crate::model::architecture::{MbConv, Padding};
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{
    Buffer, DepthwiseInput, DepthwiseWeights, Element, ForwardInput, Gated, Geometry, Packed, Sums,
    activate, affine, combine, depthwise_backward, depthwise_forward, gradient_sums, outer,
    outer_room, padded, pool, product, project_sums, view,
};

/// What a block reads.
pub(super) enum BlockInput<'a> {
    /// The block before, `[images][pixels][padded(input)]`.
    Rows(&'a [f32]),
    /// The images themselves, through the stem, which is part of the first block.
    Images(&'a Taps<'a>),
}

/// A block with its weights and what it keeps of a batch.
pub(super) struct Block<E: Element> {
    spec: MbConv,
    padding: Padding,
    /// Expansion, or the stem in the first block.
    pub(super) conv: Option<Conv<E>>,
    is_first: bool,
    /// Where the first block has a residual, the stem's output behind its
    /// SiLU. No member of the published family has one: there the stem is wider.
    stem_rows: Buffer<E>,
    /// The same in f32.
    stem_residual: Buffer,
    depthwise: usize,
    depthwise_weights: DepthwiseWeights,
    pub(super) depthwise_norm: Norm,
    /// Output of the depthwise convolution before its norm.
    wide: Buffer<E>,
    squeeze: Squeeze,
    project: usize,
    project_forward: Packed<E>,
    project_backward: Packed<E>,
    pub(super) project_norm: Norm,
    /// Output of the projection before its norm.
    narrow: Buffer,
    /// By image: the sums of [`project_sums`], and pooling.
    image_sums: Vec<Sums>,
    /// By group: the gradient of the depthwise weights.
    depthwise_partials: Vec<Buffer>,
    /// By image: what the branch is multiplied with before the residual is
    /// added, 1 without stochastic depth.
    pub(super) branch: Vec<f32>,
}

impl<E: Element> Block<E> {
    /// `side` is the largest side of the depthwise convolution's input.
    pub(super) fn new(
        parameters: &mut Parameters,
        weights: &Weights,
        spec: &MbConv,
        stem: Option<Conv<E>>,
        (eps, padding): (f64, Padding),
        (images, side): (usize, usize),
    ) -> Result<Self, WeightsError> {
        let is_first = stem.is_some();
        let conv = match (stem, spec.expand_prefix()) {
            (None, Some(prefix)) => {
                let shape = [spec.expanded, spec.input, 1, 1];
                let pixels = images * side * side;
                Some(Conv::new(parameters, weights, &prefix, &shape, eps, pixels)?)
            }
            (stem, _) => stem,
        };
        let (_, output) = padding.resolve(side, spec.kernel, spec.stride);
        let pixels = images * output * output;
        let wide = padded(spec.expanded);
        let stem_rows = match is_first && spec.residual() {
            true => images * side * side * wide,
            false => 0,
        };
        let taps = spec.kernel * spec.kernel;
        let prefix = spec.depthwise_prefix();
        let shape = [spec.expanded, 1, spec.kernel, spec.kernel];
        let depthwise = parameters.take(weights, format!("{prefix}.0.weight"), &shape)?;
        let depthwise_norm =
            Norm::new(parameters, weights, format!("{prefix}.1"), spec.expanded, eps)?;
        let shape = (spec.expanded, spec.squeezed);
        let squeeze = Squeeze::new(parameters, weights, &spec.se_prefix(), shape, images)?;
        let prefix = spec.project_prefix();
        let shape = [spec.output, spec.expanded, 1, 1];
        let project = parameters.take(weights, format!("{prefix}.0.weight"), &shape)?;
        Ok(Self {
            conv,
            is_first,
            stem_rows: Buffer::zeros(stem_rows),
            stem_residual: Buffer::zeros(stem_rows),
            padding,
            depthwise,
            depthwise_weights: DepthwiseWeights::new(spec.expanded, spec.kernel, spec.stride),
            depthwise_norm,
            wide: Buffer::zeros(pixels * wide),
            squeeze,
            project,
            project_forward: Packed::new(spec.expanded, spec.output),
            project_backward: Packed::new(spec.output, spec.expanded),
            project_norm: Norm::new(parameters, weights, format!("{prefix}.1"), spec.output, eps)?,
            narrow: Buffer::zeros(pixels * padded(spec.output)),
            image_sums: (0..images).map(|_| Sums::new(wide, 5)).collect(),
            depthwise_partials: (0..GROUPS).map(|_| Buffer::zeros(taps * wide)).collect(),
            branch: vec![1.0; images],
            spec: spec.clone(),
        })
    }

    /// Brings changed parameters into the order of the kernels.
    pub(super) fn pack(&mut self, parameters: &Parameters) {
        if let Some(conv) = &mut self.conv {
            conv.pack(parameters, self.is_first);
        }
        self.depthwise_weights.pack(parameters.values(self.depthwise));
        self.squeeze.pack(parameters);
        let project = parameters.values(self.project);
        self.project_forward.pack(project, 1, self.spec.expanded);
        self.project_backward.pack(project, self.spec.expanded, 1);
    }

    /// Largest partial gradient.
    pub(super) fn partial(&self) -> usize {
        let conv = self.conv.as_ref().map_or(0, Conv::partial);
        let project = padded(self.spec.output) * padded(self.spec.expanded);
        conv.max(project).max(self.squeeze.partial())
    }

    /// Floats of an image before and behind the depthwise convolution of an
    /// input of `side`, and of the block's output.
    pub(super) fn strides(&self, side: usize) -> [usize; 3] {
        let g = self.geometry(side);
        let (before, behind) = (side * side, g.output * g.output);
        [before * g.channels, behind * g.channels, behind * padded(self.spec.output)]
    }

    /// Side of the output for an input of `side`.
    pub(super) fn output_side(&self, side: usize) -> usize {
        self.geometry(side).output
    }

    fn geometry(&self, input: usize) -> Geometry {
        let MbConv { kernel, stride, expanded, .. } = self.spec;
        let (pad, output) = self.padding.resolve(input, kernel, stride);
        Geometry { channels: padded(expanded), input, output, kernel, stride, pad }
    }

    /// The norms in order.
    pub(super) fn norms(&self) -> impl Iterator<Item = &Norm> {
        let conv = self.conv.as_ref().map(|conv| &conv.norm);
        conv.into_iter().chain([&self.depthwise_norm, &self.project_norm])
    }

    /// The same, to change them.
    pub(super) fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm> {
        let conv = self.conv.as_mut().map(|conv| &mut conv.norm);
        conv.into_iter().chain([&mut self.depthwise_norm, &mut self.project_norm])
    }

    /// Whether the input is added to the output.
    pub(super) fn has_residual(&self) -> bool {
        self.spec.residual()
    }

    /// The block's output from its input; `side` is that of the depthwise
    /// convolution's input.
    pub(super) fn forward(
        &mut self,
        context: &Context<'_, E>,
        clock: &mut Clock,
        parameters: &Parameters,
        input: &BlockInput<'_>,
        output: &mut [f32],
        side: usize,
    ) {
        if let Some(conv) = &mut self.conv {
            match input {
                BlockInput::Rows(x) => conv.forward(context, x, side * side),
                BlockInput::Images(taps) => conv.forward_stem(context, taps),
            }
            conv.norm.fold_for(context, parameters);
            if self.is_first && self.spec.residual() {
                let len = context.images * side * side * padded(self.spec.expanded);
                let vectors = conv.norm.vectors.affine();
                let rows = &mut self.stem_rows[..len];
                activate(context.own, &conv.out[..len], vectors, None, rows);
                self.stem_residual.iter_mut().zip(&*rows).for_each(|(to, x)| *to = x.widen());
            }
            clock.lap(if self.is_first { Part::Stem } else { Part::Expand });
        }
        self.forward_depthwise(context, input, side);
        self.depthwise_norm.fold_for(context, parameters);
        clock.lap(Part::Depthwise);
        self.forward_pool(context, side);
        self.squeeze.forward(context, parameters);
        clock.lap(Part::Squeeze);
        self.forward_project(context, side);
        self.project_norm.fold_for(context, parameters);
        self.forward_output(context, input, output, side);
        clock.lap(Part::Project);
    }

    fn forward_depthwise(&mut self, context: &Context<'_, E>, input: &BlockInput<'_>, side: usize) {
        let g = self.geometry(side);
        let (read, written) = (side * side * g.channels, g.output * g.output * g.channels);
        let x = |image: usize| {
            let image = image * read..(image + 1) * read;
            match (&self.conv, input) {
                (Some(conv), _) => {
                    ForwardInput::Activated(&conv.out[image], conv.norm.vectors.affine())
                }
                (None, BlockInput::Rows(x)) => ForwardInput::Plain(&x[image]),
                (None, BlockInput::Images(_)) => unreachable!("the first block has the stem"),
            }
        };
        let weights = &self.depthwise_weights;
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(&mut self.wide, context.groups, written))
            .zip(&mut self.depthwise_norm.moments)
            .collect();
        run(tasks, |((group, out), moments)| {
            moments.clear();
            context.scratches.with([g.forward_scratch()], |[scratch]| {
                for (n, out) in group.clone().zip(out.chunks_exact_mut(written)) {
                    depthwise_forward(context.own, g, x(n), weights, out, scratch);
                    if context.training {
                        moments.add(context.own, out);
                    }
                }
            });
        });
    }

    fn forward_pool(&mut self, context: &Context<'_, E>, side: usize) {
        let [_, stride, _] = self.strides(side);
        let c = padded(self.spec.expanded);
        let affine = self.depthwise_norm.vectors.affine();
        let images = self.wide[..context.images * stride].chunks_exact(stride);
        let pooled = self.squeeze.pooled.chunks_exact_mut(c);
        let tasks: Vec<_> = images.zip(pooled).zip(&mut self.image_sums).collect();
        let share = c as f64 / stride as f64;
        run(tasks, |((image, pooled), sums)| {
            sums.clear();
            pool(context.own, image, affine, sums);
            for (mean, sum) in pooled.iter_mut().zip(sums.get(0)) {
                *mean = (sum * share) as f32;
            }
        });
    }

    fn forward_project(&mut self, context: &Context<'_, E>, side: usize) {
        let [_, read, written] = self.strides(side);
        let (ce, co) = (padded(self.spec.expanded), padded(self.spec.output));
        let (wide, gates) = (&self.wide, &self.squeeze.gate);
        let affine = self.depthwise_norm.vectors.affine();
        let weights = &self.project_forward;
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(&mut self.narrow, context.groups, written))
            .zip(&mut self.project_norm.moments)
            .collect();
        let rows = strip_rows(ce);
        run(tasks, |((group, out), moments)| {
            moments.clear();
            context.scratches.with([rows * ce], |[strip]| {
                for (n, out) in group.clone().zip(out.chunks_exact_mut(written)) {
                    let image = &wide[n * read..(n + 1) * read];
                    let gate = &gates[n * ce..(n + 1) * ce];
                    let strip = view(strip);
                    for (x, out) in image.chunks(rows * ce).zip(out.chunks_mut(rows * co)) {
                        activate(context.own, x, affine, Some(gate), strip);
                        let a = (&*strip, ce);
                        product(context.own, x.len() / ce, a, weights, (out, co), false);
                        if context.training {
                            moments.add(context.cpu, out);
                        }
                    }
                }
            });
        });
    }

    fn forward_output(
        &mut self,
        context: &Context<'_, E>,
        input: &BlockInput<'_>,
        output: &mut [f32],
        side: usize,
    ) {
        let [_, _, stride] = self.strides(side);
        let residual = self.spec.residual().then_some(match input {
            BlockInput::Rows(x) => *x,
            BlockInput::Images(_) => &self.stem_residual,
        });
        let affine_of = self.project_norm.vectors.affine();
        let narrow = &self.narrow;
        let tasks: Vec<_> =
            output.chunks_exact_mut(stride).take(context.images).zip(&self.branch).collect();
        let tasks = tasks.into_iter().enumerate().collect();
        run(tasks, |(n, (out, &factor))| {
            let image = n * stride..(n + 1) * stride;
            let residual = residual.map(|x| &x[image.clone()]);
            affine(context.cpu, &narrow[image], affine_of, factor, residual, out);
        });
    }

    /// Gradients of all parameters, and of the input into `dx` where there is one.
    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    pub(super) fn backward(
        &mut self,
        context: &Context<'_, E>,
        clock: &mut Clock,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        input: &BlockInput<'_>,
        dy: &[f32],
        dx: &mut [f32],
        side: usize,
    ) {
        self.backward_output(context, parameters, dy, side);
        self.backward_project(context, parameters, workspace, dy, side);
        clock.lap(Part::ProjectBackward);
        self.backward_squeeze(context, parameters, workspace, side);
        clock.lap(Part::SqueezeBackward);
        let residual = self.spec.residual().then_some(dy);
        self.backward_depthwise(context, parameters, workspace, input, residual, dx, side);
        clock.lap(Part::DepthwiseBackward);
        if let Some(conv) = &mut self.conv {
            conv.norm.gradient_of_groups(parameters, context.groups.len(), 1.0);
            match input {
                BlockInput::Rows(x) => {
                    let pixels = side * side;
                    conv.backward(context, parameters, workspace, x, residual, dx, pixels);
                    clock.lap(Part::ExpandBackward);
                }
                BlockInput::Images(taps) => {
                    conv.backward_stem(context, parameters, workspace, taps);
                    clock.lap(Part::StemBackward);
                }
            }
        }
    }

    /// The projection's batch norm.
    fn backward_output(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        dy: &[f32],
        side: usize,
    ) {
        let [_, _, stride] = self.strides(side);
        let (narrow, branch) = (&self.narrow, &self.branch);
        let hat = self.project_norm.vectors.hat();
        let tasks = context.groups.iter().zip(&mut self.project_norm.sums).collect();
        run(tasks, |(group, sums)| {
            sums.clear();
            for n in group.clone().filter(|&n| branch[n] != 0.0) {
                let image = n * stride..(n + 1) * stride;
                gradient_sums(context.cpu, &dy[image.clone()], &narrow[image], hat, sums);
            }
        });
        // Branches are dropped or all scaled alike.
        let factor = self.branch[..context.images].iter().fold(0f32, |a, &b| a.max(b));
        let groups = context.groups.len();
        self.project_norm.gradient_of_groups(parameters, groups, f64::from(factor));
    }

    /// The projection: its weights' gradient, that at the gated activation
    /// (into `workspace.gated`), and the sums that squeeze and norm need.
    fn backward_project(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        dy: &[f32],
        side: usize,
    ) {
        let [_, wide_stride, narrow_stride] = self.strides(side);
        let (ce, co) = (padded(self.spec.expanded), padded(self.spec.output));
        let shape = (self.spec.output, self.spec.expanded);
        let (narrow, wide, branch) = (&self.narrow, &self.wide, &self.branch);
        let project_norm = &self.project_norm;
        let (weights, gates) = (&self.project_backward, &self.squeeze.gate);
        let vectors = &self.depthwise_norm.vectors;
        let mut sums = &mut self.image_sums[..];
        let sums_by_group = context.groups.iter().map(|group| {
            let (part, rest) = std::mem::take(&mut sums).split_at_mut(group.len());
            sums = rest;
            part
        });
        let tasks: Vec<_> = context
            .groups
            .iter()
            .zip(split(&mut workspace.gated, context.groups, wide_stride))
            .zip(sums_by_group)
            .zip(&mut workspace.partials.0)
            .collect();
        let rows = strip_rows(ce);
        run(tasks, |(((group, da), sums), partial)| {
            let mut first = true;
            let room = outer_room::<E>(rows, shape.0, shape.1);
            context.scratches.with(
                [co, rows * co, rows * ce, room],
                |[c0, d_narrow, strip, room]| {
                    let (d_narrow, activation) = (view::<E>(d_narrow), view::<E>(strip));
                    for ((n, da), sums) in
                        group.clone().zip(da.chunks_exact_mut(wide_stride)).zip(sums)
                    {
                        sums.clear();
                        let [full, c1, c2] = project_norm.vectors.gradient();
                        for (c0, full) in c0.iter_mut().zip(full) {
                            *c0 = full * branch[n];
                        }
                        let gate = &gates[n * ce..(n + 1) * ce];
                        let per_channel =
                            [&vectors.scale, &vectors.shift, &vectors.rstd, &vectors.offset, gate];
                        let image = n * narrow_stride..(n + 1) * narrow_stride;
                        let strips = dy[image.clone()]
                            .chunks(rows * co)
                            .zip(narrow[image].chunks(rows * co))
                            .zip(wide[n * wide_stride..].chunks(rows * ce))
                            .zip(da.chunks_mut(rows * ce));
                        for (((dy, narrow), wide), da) in strips {
                            let count = dy.len() / co;
                            let wide = &wide[..da.len()];
                            combine(context.own, dy, narrow, [c0, c1, c2], d_narrow);
                            let d_narrow = &d_narrow[..count * co];
                            product(
                                context.own,
                                count,
                                (d_narrow, co),
                                weights,
                                (&mut *da, ce),
                                false,
                            );
                            project_sums(context.own, da, wide, per_channel, activation, sums);
                            let a = (d_narrow, co, shape.0);
                            let b = (&*activation, ce, shape.1);
                            outer(context.own, count, a, b, partial, first, room);
                            first = false;
                        }
                    }
                },
            );
        });
        let gradient = parameters.gradient(self.project);
        workspace.partials.sum(context.groups.len(), shape.1, gradient);
    }

    /// Squeeze and excite, and from it the sums of the depthwise norm.
    fn backward_squeeze(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        side: usize,
    ) {
        let (c, channels) = (padded(self.spec.expanded), self.spec.expanded);
        let Self { squeeze, image_sums, .. } = self;
        for (n, sums) in image_sums[..context.images].iter_mut().enumerate() {
            for (d, sum) in squeeze.gate_gradient[n * c..].iter_mut().zip(sums.get(0)) {
                *d = *sum as f32;
            }
        }
        squeeze.backward(context, parameters, workspace);
        let pixels = self.geometry(side).output.pow(2) as f32;
        let squeeze = &mut self.squeeze;
        squeeze.pooled_gradient[..context.images * c].iter_mut().for_each(|d| *d /= pixels);
        let (mut dz, mut dz_hat) = (vec![0.0; channels], vec![0.0; channels]);
        for (n, sums) in self.image_sums[..context.images].iter_mut().enumerate() {
            let gate = &squeeze.gate[n * c..][..channels];
            let constant = &squeeze.pooled_gradient[n * c..][..channels];
            for (total, [from_gate, from_pool]) in [(&mut dz, [1, 2]), (&mut dz_hat, [3, 4])] {
                for ((total, sum), gate) in total.iter_mut().zip(sums.get(from_gate)).zip(gate) {
                    *total += sum * f64::from(*gate);
                }
                for ((total, sum), constant) in
                    total.iter_mut().zip(sums.get(from_pool)).zip(constant)
                {
                    *total += sum * f64::from(*constant);
                }
            }
        }
        self.depthwise_norm.gradient(parameters, &dz, &dz_hat);
    }

    /// The depthwise convolution: its weights' gradient, and that at its input
    /// before the SiLU (into `workspace.expanded`), or into `dx` where the
    /// block does not expand.
    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    fn backward_depthwise(
        &mut self,
        context: &Context<'_, E>,
        parameters: &mut Parameters,
        workspace: &mut Workspace<E>,
        input: &BlockInput<'_>,
        residual: Option<&[f32]>,
        dx: &mut [f32],
        side: usize,
    ) {
        let g = self.geometry(side);
        let (read, written) = (side * side * g.channels, g.output * g.output * g.channels);
        let Workspace { gated, expanded, .. } = workspace;
        let (wide, squeeze, depthwise_weights) =
            (&self.wide, &self.squeeze, &self.depthwise_weights);
        let vectors = &self.depthwise_norm.vectors;
        let gated: &Buffer<E> = gated;
        // What image `n` is learned from.
        let gradient = |n: usize| {
            let [c0, c1, c2] = vectors.gradient();
            let channels = n * g.channels..(n + 1) * g.channels;
            let (gate, constant) =
                (&squeeze.gate[channels.clone()], &squeeze.pooled_gradient[channels]);
            let output = n * written..(n + 1) * written;
            Gated {
                da: &gated[output.clone()],
                out: &wide[output],
                vectors: [&vectors.scale, &vectors.shift, gate, constant, c0, c1, c2],
            }
        };
        // Past an expansion the residual goes with the expansion's gradient.
        let residual = residual.filter(|_| self.conv.is_none() || self.is_first);
        let residual = |n: usize| residual.map(|r| &r[n * read..(n + 1) * read]);
        let partials = context.groups.iter().zip(&mut self.depthwise_partials);
        let (own, weights, scratch) = (context.own, depthwise_weights, [g.backward_scratch()]);
        match (&mut self.conv, input) {
            (Some(conv), _) => {
                let Conv { norm: Norm { vectors: v, sums, .. }, out: x, .. } = conv;
                let vectors: [&[f32]; 4] = [&v.scale, &v.shift, &v.rstd, &v.offset];
                let tasks = partials.zip(split(expanded, context.groups, read)).zip(sums).collect();
                run(tasks, |(((group, dw), dx), sums)| {
                    dw.fill(0.0);
                    sums.clear();
                    context.scratches.with(scratch, |[scratch]| {
                        for (n, dx) in group.clone().zip(dx.chunks_exact_mut(read)) {
                            let (x, residual) = (&x[n * read..(n + 1) * read], residual(n));
                            let sums = &mut *sums;
                            let input =
                                DepthwiseInput::Activated { x, dx, vectors, sums, residual };
                            depthwise_backward(own, g, &gradient(n), input, weights, dw, scratch);
                        }
                    });
                });
            }
            (None, BlockInput::Rows(x)) => {
                let tasks = partials.zip(split(dx, context.groups, read)).collect();
                run(tasks, |((group, dw), dx)| {
                    dw.fill(0.0);
                    context.scratches.with(scratch, |[scratch]| {
                        for (n, dx) in group.clone().zip(dx.chunks_exact_mut(read)) {
                            let (x, residual) = (&x[n * read..(n + 1) * read], residual(n));
                            let input = DepthwiseInput::Plain { x, dx, residual };
                            depthwise_backward(own, g, &gradient(n), input, weights, dw, scratch);
                        }
                    });
                });
            }
            (None, BlockInput::Images(_)) => unreachable!("the first block has the stem"),
        }
        let taps = g.kernel * g.kernel;
        let weights = parameters.gradient(self.depthwise);
        weights.fill(0.0);
        for partial in &self.depthwise_partials[..context.groups.len()] {
            for (c, weights) in weights.chunks_exact_mut(taps).enumerate() {
                for (tap, weight) in weights.iter_mut().enumerate() {
                    *weight += partial[(c / 16 * taps + tap) * 16 + c % 16];
                }
            }
        }
    }
}
