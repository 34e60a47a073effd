//! The unit of memory of every kernel: a [`Line`] of 16 channels of one pixel.
//!
//! Activations are blocked by channels, `[⌈channels / 16⌉][pixels][16]`, so
//! that the depthwise convolution reads neighbouring pixels from neighbouring
//! lines, the 1×1 convolution reads the channels of a few pixels from a few
//! lines, and any run of blocks can be handed to a thread as one slice. Lanes
//! past the last channel are zero in weights and hence everywhere.

/// Channels in a [`Line`], the widest vector in f32.
pub const BLOCK: usize = 16;

/// Sixteen channels of one pixel, or sixteen weights: one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Line(pub [f32; BLOCK]);

impl Line {
    /// Zeros.
    pub const ZERO: Self = Self([0.0; BLOCK]);
}

/// Lines that hold `channels` values.
pub const fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// Values as lines, the last one filled up with zeros.
pub fn lines(values: &[f32]) -> Vec<Line> {
    values
        .chunks(BLOCK)
        .map(|chunk| {
            let mut line = Line::ZERO;
            line.0[..chunk.len()].copy_from_slice(chunk);
            line
        })
        .collect()
}
