//! What kernels compute, in plain loops over f64: obviously right and slow.
//! Tests hold kernels and whole networks against it.
//!
//! It shares no code with the kernels.

/// Planes of `height` × `width` values, `[channels][height][width]`.
#[derive(Debug, Clone)]
pub struct Planes {
    /// Planes.
    pub channels: usize,
    /// Rows of each.
    pub height: usize,
    /// Pixels of each row.
    pub width: usize,
    /// Plane by plane, row by row.
    pub values: Vec<f64>,
}

impl Planes {
    /// Zeros.
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, values: vec![0.0; channels * height * width] }
    }

    /// Place of a value in `values`.
    pub fn index(&self, channel: usize, y: usize, x: usize) -> usize {
        (channel * self.height + y) * self.width + x
    }

    /// A value.
    pub fn at(&self, channel: usize, y: usize, x: usize) -> f64 {
        self.values[self.index(channel, y, x)]
    }

    /// The value at a place that may lie in the zeros around.
    fn padded(&self, channel: usize, y: isize, x: isize) -> f64 {
        let inside = |at: isize, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        match (inside(y, self.height), inside(x, self.width)) {
            (Some(y), Some(x)) => self.at(channel, y, x),
            _ => 0.0,
        }
    }

    /// The same planes of `f` of their values.
    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|value| *value = f(*value));
        self
    }

    /// The mean of each plane, as planes of one value.
    pub fn means(&self) -> Self {
        let plane = self.height * self.width;
        let values = self.values.chunks(plane).map(|p| p.iter().sum::<f64>() / plane as f64);
        Self { channels: self.channels, height: 1, width: 1, values: values.collect() }
    }
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `x · sigmoid(x)`.
pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// What the kernels compute for [`silu`].
pub fn silu2(t: f64) -> f64 {
    t * sigmoid2(t)
}

/// What the kernels compute for [`sigmoid`].
pub fn sigmoid2(t: f64) -> f64 {
    1.0 / (1.0 + t.exp2())
}

/// A convolution with weights `[outputs][channels / groups][kernel][kernel]`,
/// where `groups` is 1 or (depthwise) the number of channels. `padding` gives
/// the zeros before a side of so many pixels, and how many outputs there are.
pub fn convolution(
    input: &Planes,
    weights: &[f32],
    (outputs, kernel, stride, depthwise): (usize, usize, usize, bool),
    padding: impl Fn(usize) -> (usize, usize),
) -> Planes {
    let (top, height) = padding(input.height);
    let (left, width) = padding(input.width);
    let channels = if depthwise { 1 } else { input.channels };
    let mut output = Planes::new(outputs, height, width);
    for o in 0..outputs {
        for y in 0..height {
            for x in 0..width {
                let mut sum = 0.0;
                for c in 0..channels {
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let weight = weights[((o * channels + c) * kernel + ky) * kernel + kx];
                            let channel = if depthwise { o } else { c };
                            let y = (y * stride + ky) as isize - top as isize;
                            let x = (x * stride + kx) as isize - left as isize;
                            sum += f64::from(weight) * input.padded(channel, y, x);
                        }
                    }
                }
                let index = output.index(o, y, x);
                output.values[index] = sum;
            }
        }
    }
    output
}
