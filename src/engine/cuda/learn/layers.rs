//! The layers of a network that learns on a GPU: what each keeps of a batch,
//! and its launches forward and backward.

use std::sync::Arc;

use super::parameters::Parameters;
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue,
    device::{Argument, Buffer, run},
    kernels::shapes::{self, Rows},
};

/// What all launches are given.
pub struct Pass<'a> {
    pub queue: &'a dyn Queue,
    pub precision: GpuPrecision,
    pub parameters: &'a Parameters,
    /// Images that launches cover.
    pub images: usize,
    /// Images there are, on the device.
    pub live: &'a Buffer,
    /// Whether batch norm takes the batch's statistics.
    pub training: bool,
    /// Partial sums.
    pub parts: &'a Buffer,
}

/// The gradient that a batch norm receives: a tensor times factors of each
/// image plus a constant of each image, where given.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    pub gradient: Option<&'a Buffer>,
    pub factors: Option<&'a Buffer>,
    pub constant: Option<&'a Buffer>,
    /// Whether a SiLU lies between.
    pub activate: bool,
}

impl<'a> Received<'a> {
    /// A tensor alone.
    pub fn plain(gradient: &'a Buffer, activate: bool) -> Self {
        Self { gradient: Some(gradient), factors: None, constant: None, activate }
    }
}

/// A batch norm.
pub struct Norm {
    pub prefix: String,
    pub channels: usize,
    eps: f32,
    /// `[4][channels]`.
    pub vectors: Buffer,
    slopes: Buffer,
}

impl Norm {
    pub fn new(
        queue: &Arc<dyn Queue>,
        prefix: String,
        channels: usize,
        eps: f64,
    ) -> Result<Self, CudaError> {
        Ok(Self {
            channels,
            eps: eps as f32,
            vectors: Buffer::zeros(queue, 16 * channels)?,
            slopes: Buffer::zeros(queue, 12 * channels)?,
            prefix,
        })
    }

    /// Statistics of `x`, and the map that they make.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        x: &Buffer,
        pixels: usize,
        momentum: f32,
    ) -> Result<(), CudaError> {
        let rows = Rows::new(self.channels, pixels);
        if pass.training {
            run!(
                pass.queue,
                rows.launch("norm_moments", pass.images, self.channels, 2),
                x,
                pass.parts,
                pass.live,
                pixels,
                self.channels,
                rows.rows,
                rows.tiles,
            )?;
        }
        run!(
            pass.queue,
            shapes::finish("norm_finish", self.channels),
            pass.parts,
            x,
            pass.parameters.value(&format!("{}.weight", self.prefix)),
            pass.parameters.value(&format!("{}.bias", self.prefix)),
            pass.parameters.statistic(&format!("{}.running_mean", self.prefix)),
            pass.parameters.statistic(&format!("{}.running_var", self.prefix)),
            &self.vectors,
            pass.live,
            pixels,
            self.channels,
            rows.tiles,
            momentum,
            self.eps,
            pass.training,
        )
    }

    /// The map, the SiLU, the residual; returns the tiles of the sums.
    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    pub fn apply(
        &self,
        pass: &Pass<'_>,
        x: &Buffer,
        residual: Option<&Buffer>,
        y: Option<&Buffer>,
        sums: Option<&Buffer>,
        pixels: usize,
        activate: bool,
    ) -> Result<usize, CudaError> {
        apply(pass, (x, self.channels), &self.vectors, residual, y, sums, pixels, activate)
    }

    /// Gradients of β and γ, and that of the norm's input into `dx`.
    pub fn backward(
        &self,
        pass: &Pass<'_>,
        received: Received<'_>,
        x: &Buffer,
        dx: &Buffer,
        pixels: usize,
    ) -> Result<(), CudaError> {
        let rows = Rows::new(self.channels, pixels);
        run!(
            pass.queue,
            rows.launch("norm_backward_sums", pass.images, self.channels, 2),
            received.gradient,
            received.factors,
            received.constant,
            x,
            &self.vectors,
            pass.parts,
            pass.live,
            pixels,
            self.channels,
            rows.rows,
            rows.tiles,
            received.activate,
        )?;
        self.backward_from(pass, pass.parts, rows.tiles, received, x, dx, pixels)
    }

    /// The same from sums that are there already, in `tiles` parts an image.
    #[allow(clippy::too_many_arguments, reason = "each is an operand")]
    pub fn backward_from(
        &self,
        pass: &Pass<'_>,
        parts: &Buffer,
        tiles: usize,
        received: Received<'_>,
        x: &Buffer,
        dx: &Buffer,
        pixels: usize,
    ) -> Result<(), CudaError> {
        let (gamma, beta) = (format!("{}.weight", self.prefix), format!("{}.bias", self.prefix));
        run!(
            pass.queue,
            shapes::finish("norm_backward_finish", self.channels),
            parts,
            pass.parameters.value(&gamma),
            &self.vectors,
            pass.parameters.slope(&gamma),
            pass.parameters.slope(&beta),
            &self.slopes,
            pass.live,
            pixels,
            self.channels,
            tiles,
        )?;
        let rows = Rows::new(self.channels, pixels);
        run!(
            pass.queue,
            rows.launch("norm_backward", pass.images, self.channels, 0),
            received.gradient,
            received.factors,
            received.constant,
            x,
            &self.vectors,
            &self.slopes,
            dx,
            pass.live,
            pixels,
            self.channels,
            rows.rows,
            rows.tiles,
            received.activate,
        )
    }
}

/// `y = [silu](x · scale + shift) [+ residual]`; returns the tiles of the sums.
#[allow(clippy::too_many_arguments, reason = "each is an operand")]
pub fn apply(
    pass: &Pass<'_>,
    (x, channels): (&Buffer, usize),
    vectors: &Buffer,
    residual: Option<&Buffer>,
    y: Option<&Buffer>,
    sums: Option<&Buffer>,
    pixels: usize,
    activate: bool,
) -> Result<usize, CudaError> {
    let rows = Rows::new(channels, pixels);
    run!(
        pass.queue,
        rows.launch("norm_apply", pass.images, channels, 1),
        x,
        vectors,
        residual,
        y,
        sums,
        pass.live,
        pixels,
        channels,
        rows.rows,
        rows.tiles,
        activate,
    )?;
    Ok(rows.tiles)
}

/// A 1×1 convolution: weights `[n][k]` under a name, and the forms of them that
/// products read.
pub struct Product {
    pub weight: String,
    pub n: usize,
    pub k: usize,
    as_is: Buffer,
    turned: Buffer,
}

impl Product {
    pub fn new(
        queue: &Arc<dyn Queue>,
        precision: GpuPrecision,
        prefix: &str,
        (n, k): (usize, usize),
    ) -> Result<Self, CudaError> {
        let room = || Buffer::new(queue, n * k * precision.bytes());
        Ok(Self { weight: format!("{prefix}.0.weight"), n, k, as_is: room()?, turned: room()? })
    }

    /// Brings changed weights into the forms that products read.
    pub fn prepare(&self, queue: &dyn Queue, parameters: &Parameters) -> Result<(), CudaError> {
        run!(
            queue,
            shapes::each("prepare_product", self.n * self.k),
            parameters.value(&self.weight),
            &self.as_is,
            &self.turned,
            self.n,
            self.k,
        )
    }

    /// `y = (x · factors) · wᵀ`.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        x: &Buffer,
        factors: Option<&Buffer>,
        y: &Buffer,
        pixels: usize,
    ) -> Result<(), CudaError> {
        let shape = (self.n, self.k);
        product(pass, (x, &self.as_is), shape, factors, None, y, pixels)
    }

    /// `dx = dy · w [+ residual]`.
    pub fn to_input(
        &self,
        pass: &Pass<'_>,
        dy: &Buffer,
        residual: Option<&Buffer>,
        dx: &Buffer,
        pixels: usize,
    ) -> Result<(), CudaError> {
        let shape = (self.k, self.n);
        product(pass, (dy, &self.turned), shape, None, residual, dx, pixels)
    }

    /// `dw = dyᵀ · (x · factors)`.
    pub fn to_weights(
        &self,
        pass: &Pass<'_>,
        dy: &Buffer,
        x: &Buffer,
        factors: Option<&Buffer>,
        pixels: usize,
    ) -> Result<(), CudaError> {
        let Self { n, k, .. } = *self;
        let (launch, splits) = shapes::weight_gradient(pass.precision, pass.images * pixels, n, k);
        run!(pass.queue, launch, dy, x, factors, pass.parts, pass.live, pixels, n, k, splits,)?;
        let to = pass.parameters.slope(&self.weight);
        sum_parts(pass, to, None, splits, n * k, (0, false))
    }
}

fn product(
    pass: &Pass<'_>,
    (x, weights): (&Buffer, &Buffer),
    (n, k): (usize, usize),
    factors: Option<&Buffer>,
    residual: Option<&Buffer>,
    y: &Buffer,
    pixels: usize,
) -> Result<(), CudaError> {
    run!(
        pass.queue,
        shapes::pointwise(pass.precision, pass.images * pixels, n),
        x,
        weights,
        Argument::NULL,
        factors,
        residual,
        y,
        pass.live,
        pixels,
        n,
        k,
        false,
    )
}

/// Adds up partial gradients: `each` of them, or so many an image.
pub fn sum_parts(
    pass: &Pass<'_>,
    to: Argument,
    images: Option<&Buffer>,
    each: usize,
    count: usize,
    (taps, is_stem): (usize, bool),
) -> Result<(), CudaError> {
    let launch = shapes::each("sum_parts", count);
    run!(pass.queue, launch, pass.parts, to, images, each, count, taps, is_stem)
}

/// `Σ a[image][i] · b[image][j]` over the batch, or `Σ a[image][i]`.
pub fn outer(
    pass: &Pass<'_>,
    a: &Buffer,
    b: Option<&Buffer>,
    to: Argument,
    (n, m): (usize, usize),
) -> Result<(), CudaError> {
    run!(pass.queue, shapes::each("outer", n * m), a, b, to, pass.live, n, m)
}
