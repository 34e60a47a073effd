//! How each kernel is cut into blocks.

use crate::engine::cuda::{GpuPrecision, Launch};

/// Threads of most kernels.
const THREADS: usize = 256;

/// Rows of the tiles of a product, and columns of the f32 one.
const TILE: (usize, usize) = (128, 64);

fn grid(blocks: usize) -> [u32; 3] {
    [u32::try_from(blocks.max(1)).expect("fewer than 2³² blocks"), 1, 1]
}

/// A kernel of one-dimensional blocks.
pub fn flat(kernel: &'static str, blocks: usize, shared: usize) -> Launch {
    Launch { kernel, grid: grid(blocks), block: [THREADS as u32, 1, 1], shared }
}

/// A kernel with a thread for each of `tasks`.
pub fn each(kernel: &'static str, tasks: usize) -> Launch {
    flat(kernel, tasks.div_ceil(THREADS), 0)
}

/// The stem over so many output pixels.
pub fn stem(pixels: usize, channels: usize) -> Launch {
    let shared = 27 * channels * size_of::<f32>();
    flat("stem", (pixels * channels / 8).div_ceil(THREADS), shared)
}

/// A product of `m` rows and `n` columns.
pub fn pointwise(precision: GpuPrecision, m: usize, n: usize) -> Launch {
    if precision == GpuPrecision::F32 {
        return flat("pointwise_f32", m.div_ceil(64) * n.div_ceil(TILE.1), 0);
    }
    let (columns, kernel) = columns(n);
    // Three buffers of 32 of k for rows and columns, 80 bytes each.
    let shared = 3 * (TILE.0 + columns) * 80;
    flat(kernel, m.div_ceil(TILE.0) * n.div_ceil(columns), shared)
}

/// Columns of a tile: few computed for nothing, but rather wide tiles, which read
/// the input less often and feed the tensor cores better: to read the rows of a
/// tile costs as much as 48 columns.
fn columns(n: usize) -> (usize, &'static str) {
    let tiles = [
        (16, "pointwise_16"),
        (32, "pointwise_32"),
        (64, "pointwise_64"),
        (96, "pointwise_96"),
        (128, "pointwise_128"),
    ];
    let cost = |&(columns, _): &(usize, &str)| n.div_ceil(columns) * (columns + 48);
    // The first of equals is the narrowest.
    tiles.into_iter().min_by_key(cost).unwrap_or(tiles[4])
}

/// A depthwise convolution: blocks of channels × pixels, and tiles of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depthwise {
    /// Threads along channels, of 4 each.
    pub across: usize,
    /// Threads along pixels.
    pub down: usize,
    /// Output rows a tile.
    pub rows: usize,
    /// Tiles an image.
    pub tiles: usize,
}

impl Depthwise {
    /// For a convolution with an output of `out` × `out` pixels.
    pub fn new(channels: usize, out: usize) -> Self {
        // At most 64 threads of 4 channels: 512 bytes side by side.
        let (across, down) = across(channels / 4);
        // About 8 strips of 4 pixels a thread, so that weights are read once
        // for 32 pixels and rows are shared within a block.
        let rows = (8 * down).div_ceil(out.div_ceil(4)).clamp(1, out);
        Self { across, down, rows, tiles: out.div_ceil(rows) }
    }

    /// The launch over images.
    pub fn launch(
        &self,
        kernel: &'static str,
        size: usize,
        images: usize,
        channels: usize,
    ) -> Launch {
        let blocks = channels / (4 * self.across);
        Launch {
            kernel,
            grid: [grid(images * self.tiles)[0], blocks as u32, 1],
            block: [self.across as u32, self.down as u32, 1],
            shared: (size * size).max(self.down) * self.across * 16,
        }
    }
}

/// Threads along `groups` of channels, which they divide, and along pixels.
fn across(groups: usize) -> (usize, usize) {
    let across = (1..=groups.min(64)).rev().find(|n| groups.is_multiple_of(*n)).unwrap_or(1);
    (across, (THREADS / across).max(1))
}

/// A kernel that goes over all pixels, 4 channels a thread: blocks of channels ×
/// pixels, and tiles of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    across: usize,
    down: usize,
    /// Pixels a tile.
    pub rows: usize,
    /// Tiles an image.
    pub tiles: usize,
}

impl Rows {
    /// For images of so many pixels.
    pub fn new(channels: usize, pixels: usize) -> Self {
        let (across, down) = across(channels / 4);
        // 64 pixels a thread, so that what is known of a channel is read once
        // for all of them, and few partial sums are left to be added.
        let rows = (64 * down).min(pixels);
        Self { across, down, rows, tiles: pixels.div_ceil(rows) }
    }

    /// The launch over images, with `sums` floats a channel and thread.
    pub fn launch(
        &self,
        kernel: &'static str,
        images: usize,
        channels: usize,
        sums: usize,
    ) -> Launch {
        Launch {
            kernel,
            grid: [grid(images * self.tiles)[0], (channels / (4 * self.across)) as u32, 1],
            block: [self.across as u32, self.down as u32, 1],
            shared: self.down * sums * self.across * 16,
        }
    }
}

/// A kernel that adds up the parts of 32 channels a block.
pub fn finish(kernel: &'static str, channels: usize) -> Launch {
    Launch { block: [32 * 32, 1, 1], ..flat(kernel, channels.div_ceil(32), 0) }
}

/// The gradient of a product's weights from `m` rows, and into how many ranges
/// they are cut.
pub fn weight_gradient(precision: GpuPrecision, m: usize, n: usize, k: usize) -> (Launch, usize) {
    let tiles = n.div_ceil(64) * k.div_ceil(64);
    // Four blocks for each multiprocessor of a large GPU.
    let splits = (528 / tiles).clamp(1, m.div_ceil(32).max(1));
    let launch = match precision {
        GpuPrecision::F32 => flat("weight_gradient_f32", tiles * splits, 0),
        GpuPrecision::Bf16 => Launch {
            block: [128, 1, 1],
            ..flat("weight_gradient", tiles * splits, 3 * 2 * 32 * 144)
        },
    };
    (launch, splits)
}

/// The gradient of a depthwise convolution's weights.
pub fn depthwise_weights(size: usize, images: usize, channels: usize) -> Launch {
    let (across, down) = across(channels / 2);
    Launch {
        kernel: if size == 3 { "depthwise_weights_3" } else { "depthwise_weights_5" },
        grid: [grid(images)[0], (channels / (2 * across)) as u32, 1],
        block: [across as u32, down as u32, 1],
        shared: down * across * 8,
    }
}

/// The gradient of a depthwise convolution of stride 2 towards its input.
pub fn depthwise_input(size: usize, pixels: usize, channels: usize) -> Launch {
    let kernel = if size == 3 { "depthwise_input_3" } else { "depthwise_input_5" };
    each(kernel, pixels * channels / 4)
}

/// The gradient of the stem's weights: launch, rows a tile, tiles an image.
pub fn stem_weights(images: usize, channels: usize, out: usize) -> (Launch, usize, usize) {
    let rows = out.div_ceil(4);
    let tiles = out.div_ceil(rows);
    let down = (THREADS / channels).max(1);
    let launch = Launch {
        kernel: "stem_weights",
        grid: grid(images * tiles),
        block: [channels as u32, down as u32, 1],
        shared: channels * down * 4,
    };
    (launch, rows, tiles)
}

/// The name of a depthwise kernel.
pub fn depthwise_kernel(size: usize, stride: usize) -> &'static str {
    match (size, stride) {
        (3, 1) => "depthwise_3_1",
        (3, 2) => "depthwise_3_2",
        (5, 1) => "depthwise_5_1",
        _ => "depthwise_5_2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_wide_and_little_is_computed_for_nothing() {
        let chosen = |n| columns(n).0;
        assert_eq!([8, 16, 24, 40, 80, 96].map(chosen), [16, 16, 32, 64, 96, 96]);
        assert_eq!([320, 480, 1280].map(chosen), [128; 3]);
        assert_eq!([112, 144, 192, 240, 288].map(chosen), [128, 96, 96, 128, 96]);
    }

    #[test]
    fn depthwise_blocks_cover_all_channels() {
        for channels in (8..2000).step_by(8) {
            let shape = Depthwise::new(channels, 15);
            let launch = shape.launch("depthwise_5_1", 5, 3, channels);
            assert_eq!(launch.grid[1] as usize * shape.across * 4, channels);
            assert!(launch.block[0] * launch.block[1] <= 256 && launch.shared <= 48 << 10);
            assert!(shape.rows * shape.tiles >= 15);
        }
    }
}
