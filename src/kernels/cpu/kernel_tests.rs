//! Each kernel on each backend of this processor against the plain reference,
//! on shapes drawn from a seed, edges included.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    backend::{Backend, Runner},
    depthwise::{Depthwise, Ring},
    elementwise::{Mean, ScalePixels, ScaleWeights, Sigmoid2},
    lines::{BLOCK, Line, blocks, lines},
    packed::Product,
    pointwise::Pointwise,
    reference::{self, Planes},
    stem::{Normalise, Stem, colours},
};
use crate::network::architecture::Padding;

/// Kernels work in f32 on values near 1: sums of some hundred products stay
/// within this of the reference in f64.
const TOLERANCE: f64 = 2e-5;

fn runners() -> impl Iterator<Item = (Backend, Runner)> {
    Backend::available().into_iter().map(|b| (b, Runner::new(b).unwrap()))
}

fn random(rng: &mut ChaCha8Rng, length: usize, scale: f32) -> Vec<f32> {
    (0..length).map(|_| rng.random_range(-scale..scale)).collect()
}

fn planes(rng: &mut ChaCha8Rng, channels: usize, height: usize, width: usize) -> Planes {
    let mut planes = Planes::new(channels, height, width);
    planes.values.iter_mut().for_each(|v| *v = f64::from(rng.random_range(-2.0f32..2.0)));
    planes
}

/// `[blocks][height · width]`
fn blocked(planes: &Planes) -> Vec<Line> {
    let plane = planes.height * planes.width;
    let mut lines = vec![Line::ZERO; blocks(planes.channels) * plane];
    for channel in 0..planes.channels {
        for pixel in 0..plane {
            lines[channel / BLOCK * plane + pixel].0[channel % BLOCK] =
                planes.values[channel * plane + pixel] as f32;
        }
    }
    lines
}

fn assert_close(found: &[Line], expected: &Planes, what: &str) {
    let plane = expected.height * expected.width;
    for channel in 0..blocks(expected.channels) * BLOCK {
        for pixel in 0..plane {
            let found = f64::from(found[channel / BLOCK * plane + pixel].0[channel % BLOCK]);
            // Lanes past the last channel stay zero.
            let expected = expected.values.get(channel * plane + pixel).copied().unwrap_or(0.0);
            let tolerance = TOLERANCE * (1.0 + expected.abs());
            assert!(
                (found - expected).abs() <= tolerance,
                "{what}: channel {channel}, pixel {pixel}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn pointwise_is_the_reference_on_random_shapes() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (backend, runner) in runners() {
        for case in 0..60 {
            let channels = rng.random_range(1..=70);
            let outputs = rng.random_range(1..=150);
            let (height, width) = (rng.random_range(1..=4), rng.random_range(1..=37));
            let (silu2, residual): (bool, bool) = (rng.random(), rng.random());
            let what = format!(
                "{backend:?}, case {case}: {channels} to {outputs}, {height} × {width}, \
                 silu2 {silu2}, residual {residual}"
            );
            let weights = random(&mut rng, outputs * channels, 0.3);
            let bias = random(&mut rng, outputs, 1.0);
            let input = planes(&mut rng, channels, height, width);
            let added = planes(&mut rng, outputs, height, width);
            let mut expected =
                reference::convolution(&input, &weights, (outputs, 1, 1, false), Padding::Same);
            let plane = height * width;
            for (i, value) in expected.values.iter_mut().enumerate() {
                *value += f64::from(bias[i / plane]);
                *value = if silu2 { reference::silu2(*value) } else { *value };
                *value += if residual { added.values[i] } else { 0.0 };
            }

            let product = Product::new(&weights, &bias, runner.whole_lines());
            let (input, added) = (blocked(&input), blocked(&added));
            let mut output = vec![Line([f32::NAN; BLOCK]); product.blocks * plane];
            for panel in &product.panels {
                let lines = panel.blocks.start * plane..panel.blocks.end * plane;
                runner.run(Pointwise {
                    input: &input,
                    input_block: plane,
                    channels,
                    weights: product.weights(panel),
                    bias: product.bias(panel),
                    residual: residual.then_some(&added[lines.clone()]),
                    output: &mut output[lines],
                    output_block: plane,
                    output_row: width,
                    rows: height,
                    width,
                    silu2,
                });
            }
            assert_close(&output, &expected, &what);
        }
    }
}

#[test]
fn depthwise_is_the_reference_on_random_shapes() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for (backend, runner) in runners() {
        for case in 0..60 {
            let kernel = if rng.random() { 3 } else { 5 };
            let stride = rng.random_range(1..=2);
            let padding = if rng.random() { Padding::Same } else { Padding::Symmetric };
            let channels = rng.random_range(1..=4 * BLOCK);
            let side = rng.random_range(1..=23);
            let (pad, output_side) = padding.resolve(side, kernel, stride);
            let strip = rng.random_range(1..=output_side);
            let what = format!(
                "{backend:?}, case {case}: {channels} × {side}², {kernel}×{kernel} stride {stride}, \
                 {padding:?}, {strip} rows at a time"
            );
            let weights = random(&mut rng, channels * kernel * kernel, 0.5);
            let bias = random(&mut rng, channels, 1.0);
            let input = planes(&mut rng, channels, side, side);
            let shape = (channels, kernel, stride, true);
            let mut expected = reference::convolution(&input, &weights, shape, padding);
            let plane = output_side * output_side;
            for (i, value) in expected.values.iter_mut().enumerate() {
                *value = reference::silu2(*value + f64::from(bias[i / plane]));
            }

            let panel = blocks(channels);
            let ring = Ring {
                rows: (strip - 1) * stride + kernel,
                width: (pad + side).max((output_side - 1) * stride + kernel),
                pad_left: pad,
            };
            let taps = kernel * kernel;
            let packed: Vec<_> = (0..panel * taps)
                .map(|i| {
                    Line(std::array::from_fn(|lane| {
                        let at = (i / taps * BLOCK + lane) * taps + i % taps;
                        weights.get(at).copied().unwrap_or(0.0)
                    }))
                })
                .collect();
            let from = blocked(&input);
            // Rows that were not filled, or not yet, would show.
            let mut rows = vec![Line([f32::NAN; BLOCK]); panel * ring.block()];
            for row in rows.chunks_mut(ring.width) {
                row[..pad].fill(Line::ZERO);
                row[pad + side..].fill(Line::ZERO);
            }
            let mut output = vec![Line::ZERO; panel * plane];
            let mut pool = vec![Line::ZERO; panel];
            let mut done = 0;
            for start in (0..output_side).step_by(strip) {
                let end = (start + strip).min(output_side);
                while done < ((end - 1) * stride + kernel).saturating_sub(pad).min(side) {
                    for block in 0..panel {
                        let to = block * ring.block() + ring.start(done);
                        let row = &from[(block * side + done) * side..][..side];
                        rows[to..to + side].copy_from_slice(row);
                    }
                    done += 1;
                }
                runner.run(Depthwise {
                    input: &rows,
                    ring,
                    height: side,
                    pad_top: pad,
                    kernel,
                    stride,
                    weights: &packed,
                    bias: &lines(&bias),
                    output: &mut output,
                    output_block: plane,
                    output_width: output_side,
                    rows: start..end,
                    pool: &mut pool,
                });
            }
            assert_close(&output, &expected, &what);
            let mut sums = Planes::new(channels, 1, 1);
            for (channel, values) in expected.values.chunks(plane).enumerate() {
                sums.values[channel] = values.iter().sum();
            }
            assert_close(&pool, &sums, &format!("{what}: pool"));
        }
    }
}

#[test]
fn the_stem_is_the_reference_on_random_shapes() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (backend, runner) in runners() {
        for case in 0..20 {
            let outputs = rng.random_range(1..=80);
            let size = rng.random_range(1..=45);
            let padding = if rng.random() { Padding::Same } else { Padding::Symmetric };
            let (pad, side) = padding.resolve(size, 3, 2);
            let what = format!("{backend:?}, case {case}: {outputs} of {size}², {padding:?}");
            let weights = random(&mut rng, outputs * 27, 0.5);
            let bias = random(&mut rng, outputs, 1.0);
            let bytes: Vec<u8> = (0..3 * size * size).map(|_| rng.random()).collect();
            let (scale, shift) = ([0.01, 0.02, 0.015], [-1.0, -0.5, 0.25]);

            let mut input = Planes::new(3, size, size);
            let width = 3 * (pad + size).max(2 * side + 1);
            let mut rows = vec![vec![0.0; width]; size];
            for (y, row) in rows.iter_mut().enumerate() {
                runner.run(Normalise {
                    bytes: &bytes[3 * size * y..][..3 * size],
                    scale: &colours(scale),
                    shift: &colours(shift),
                    output: &mut row[3 * pad..][..3 * size],
                });
                for i in 0..3 * size {
                    let byte = f64::from(bytes[3 * size * y + i]);
                    let expected = byte * f64::from(scale[i % 3]) + f64::from(shift[i % 3]);
                    let at = input.index(i % 3, y, i / 3);
                    input.values[at] = expected;
                    assert!((f64::from(row[3 * pad + i]) - expected).abs() < 1e-6, "{what}");
                }
            }
            let shape = (outputs, 3, 2, false);
            let mut expected = reference::convolution(&input, &weights, shape, padding);
            for (i, value) in expected.values.iter_mut().enumerate() {
                *value = reference::silu2(*value + f64::from(bias[i / (side * side)]));
            }

            let reordered: Vec<_> =
                (0..weights.len()).map(|i| weights[i / 27 * 27 + i % 3 * 9 + i % 27 / 3]).collect();
            let product = Product::new(&reordered, &bias, runner.whole_lines());
            let plane = side * side;
            let mut output = vec![Line::ZERO; product.blocks * plane];
            let zeros = vec![0.0; width];
            for panel in &product.panels {
                for y in 0..side {
                    let row = |tap: usize| {
                        let row = (2 * y + tap).checked_sub(pad).and_then(|y| rows.get(y));
                        row.unwrap_or(&zeros).as_slice()
                    };
                    runner.run(Stem {
                        rows: [row(0), row(1), row(2)],
                        weights: product.weights(panel),
                        bias: product.bias(panel),
                        output: &mut output[panel.blocks.start * plane + y * side..],
                        output_block: plane,
                        width: side,
                    });
                }
            }
            assert_close(&output, &expected, &what);
        }
    }
}

#[test]
fn the_sigmoid_is_exact_to_single_precision_and_never_nan() {
    let ts: Vec<f32> = (-150_000..=150_000).map(|i| i as f32 * 1e-3).collect();
    for (backend, runner) in runners() {
        let mut values = lines(&ts);
        runner.run(Sigmoid2(&mut values));
        for (t, found) in ts.iter().zip(values.iter().flat_map(|line| line.0)) {
            let expected = reference::sigmoid2(f64::from(*t));
            let error = (f64::from(found) - expected).abs();
            // Below 2⁻¹²⁵ it need only be small.
            let allowed = if *t < 125.0 { 4e-7 * expected } else { 3e-38 };
            assert!(error <= allowed, "{backend:?}: {t}: {found}, not {expected}");
        }
        let mut extremes = lines(&[f32::MIN, f32::MAX, 0.0, -0.0, 1e-40]);
        runner.run(Sigmoid2(&mut extremes));
        let [most, least, zero, minus_zero, tiny] = extremes[0].0[..5] else { unreachable!() };
        assert_eq!((most, zero, minus_zero, tiny), (1.0, 0.5, 0.5, 0.5), "{backend:?}");
        assert!((0.0..3e-38).contains(&least), "{backend:?}: {least}");
    }
}

#[test]
fn factors_and_means_go_where_they_belong() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (channels, panel, step) = (21, 3, 2);
    for (backend, runner) in runners() {
        let weights = lines(&random(&mut rng, channels * panel * BLOCK, 1.0));
        let factors = lines(&random(&mut rng, blocks(channels) * step * BLOCK, 1.0));
        let mut scaled = vec![Line::ZERO; weights.len()];
        let output = &mut scaled[..];
        runner.run(ScaleWeights { weights: &weights, panel, factors: &factors, step, output });
        for (i, (found, from)) in scaled.iter().zip(&weights).enumerate() {
            let channel = i / panel;
            let factor = factors[channel / BLOCK * step].0[channel % BLOCK];
            assert_eq!(found.0, from.0.map(|w| w * factor), "{backend:?}");
        }

        let mut pixels = lines(&random(&mut rng, 5 * BLOCK, 1.0));
        let mut mean = Line::ZERO;
        runner.run(Mean { pixels: &pixels, output: &mut mean });
        let before = pixels.clone();
        runner.run(ScalePixels { pixels: &mut pixels, factors: &factors[0] });
        for lane in 0..BLOCK {
            let expected = before.iter().map(|pixel| pixel.0[lane]).sum::<f32>() / 5.0;
            assert!((mean.0[lane] - expected).abs() < 1e-6, "{backend:?}");
            for (after, before) in pixels.iter().zip(&before) {
                assert_eq!(after.0[lane], before.0[lane] * factors[0].0[lane], "{backend:?}");
            }
        }
    }
}
