//! Each kernel on each backend of this processor against the plain reference,
//! on shapes drawn from a seed, edges included.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    backend::{Backend, HalfRunner, Launch, Runner},
    depthwise::{Depthwise, Ring},
    elementwise::{Mean, ScalePixels, ScaleWeights, Sigmoid2},
    format::{Bf16, F32, Format},
    lines::{BLOCK, Line, blocks, lines},
    panels::Product,
    planes::PlanesMut,
    pointwise::{Output, Pointwise},
    reference::{self, Planes},
    stem::{Normalise, Stem, colours},
};

/// Kernels work in f32 on values near 1: sums of some hundred products stay
/// within this of the reference in f64.
const TOLERANCE: f64 = 2e-5;

/// bfloat16 has 8 bits: half a unit in the last place of a result.
const ROUNDING: f64 = 1.0 / 256.0;

/// Zeros before a side of `size` pixels, and outputs along it: as PyTorch's
/// networks pad, (k − 1) / 2 everywhere, or (`same`) as TensorFlow's do.
pub fn padding(same: bool, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    if same {
        let outputs = size.div_ceil(stride);
        (((outputs - 1) * stride + kernel).saturating_sub(size) / 2, outputs)
    } else {
        let pad = (kernel - 1) / 2;
        (pad, (size + 2 * pad - kernel) / stride + 1)
    }
}

/// A format on a backend of this processor, and how near the reference on the
/// same rounded numbers its results in f32 and its cells have to be.
struct Case<F: Format> {
    name: String,
    runner: F::Runner,
    whole_lines: bool,
    lines: f64,
    cells: f64,
}

fn f32_cases() -> Vec<Case<F32>> {
    let of = |(backend, runner): (Backend, Runner)| Case {
        name: format!("{backend:?}"),
        runner,
        whole_lines: runner.whole_lines(),
        lines: TOLERANCE,
        cells: TOLERANCE,
    };
    runners().map(of).collect()
}

/// None where this processor has no bfloat16.
fn bf16_cases() -> Option<Case<Bf16>> {
    let runner = HalfRunner::new()?;
    // The coarse SiLU, and the order of sums.
    let (lines, cells) = (3e-4, ROUNDING);
    let whole_lines = Runner::new(runner.backend())?.whole_lines();
    Some(Case { name: "bf16".into(), runner, whole_lines, lines, cells })
}

#[test]
#[allow(clippy::print_stdout, reason = "which instructions the other tests had is told")]
fn backends_are_told_and_the_best_is_the_last() {
    let available = Backend::available();
    assert_eq!(available.first(), Some(&Backend::Portable));
    assert_eq!(available.last(), Some(&Backend::detect()));
    // What every processor of the kind has.
    assert!(available.contains(&Backend::Neon) == cfg!(target_arch = "aarch64"));
    assert!(available.iter().all(|backend| backend.name().parse() == Ok(*backend)));
    assert!("sse".parse::<Backend>().unwrap_err().contains("portable, neon, avx2, avx512"));
    let names: Vec<_> = available.iter().map(|backend| backend.name()).collect();
    let half = HalfRunner::new();
    println!("{}; bfloat16: {}", names.join(", "), half.is_some());
    assert!(half.is_none_or(|half| available.contains(&half.backend())));
}

/// What a value becomes in a cell of the format.
fn held<F: Format>(value: f32) -> f32 {
    F::widen(&F::narrow(&Line([value; BLOCK]))).0[0]
}

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

/// `[blocks][height · width]`, in the format's cells.
fn cells<F: Format>(planes: &Planes) -> Vec<F::Cell> {
    blocked(planes).iter().map(F::narrow).collect()
}

fn widened<F: Format>(cells: &[F::Cell]) -> Vec<Line> {
    cells.iter().map(F::widen).collect()
}

fn assert_close(found: &[Line], expected: &Planes, what: &str) {
    assert_within(found, expected, TOLERANCE, what);
}

fn assert_within(found: &[Line], expected: &Planes, tolerance: f64, what: &str) {
    let plane = expected.height * expected.width;
    for channel in 0..blocks(expected.channels) * BLOCK {
        for pixel in 0..plane {
            let found = f64::from(found[channel / BLOCK * plane + pixel].0[channel % BLOCK]);
            // Lanes past the last channel stay zero.
            let expected = expected.values.get(channel * plane + pixel).copied().unwrap_or(0.0);
            let tolerance = tolerance * (1.0 + expected.abs());
            assert!(
                (found - expected).abs() <= tolerance,
                "{what}: channel {channel}, pixel {pixel}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn pointwise_is_the_reference_on_random_shapes() {
    f32_cases().iter().for_each(pointwise_is_the_reference);
    bf16_cases().iter().for_each(pointwise_is_the_reference);
}

fn pointwise_is_the_reference<F: Format>(format: &Case<F>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for case in 0..60 {
        let channels = rng.random_range(1..=70);
        let outputs = rng.random_range(1..=150);
        let (height, width) = (rng.random_range(1..=4), rng.random_range(1..=37));
        let (silu2, residual): (bool, bool) = (rng.random(), rng.random());
        let what = format!(
            "{}, case {case}: {channels} to {outputs}, {height} × {width}, silu2 {silu2}, \
             residual {residual}",
            format.name
        );
        let round = |values: Vec<f32>| values.into_iter().map(held::<F>).collect::<Vec<f32>>();
        let weights = round(random(&mut rng, outputs * channels, 0.3));
        let bias = random(&mut rng, outputs, 1.0);
        let input = planes(&mut rng, channels, height, width)
            .map(|value| f64::from(held::<F>(value as f32)));
        let added = planes(&mut rng, outputs, height, width);
        let mut expected =
            reference::convolution(&input, &weights, (outputs, 1, 1, false), |side| (0, side));
        let plane = height * width;
        for (i, value) in expected.values.iter_mut().enumerate() {
            *value += f64::from(bias[i / plane]);
            *value = if silu2 { reference::silu2(*value) } else { *value };
            *value += if residual { added.values[i] } else { 0.0 };
        }

        let product = Product::<F>::new(&weights, &bias, format.whole_lines);
        let (input, added) = (cells::<F>(&input), blocked(&added));
        let size = product.blocks * plane;
        let mut in_lines = vec![Line([f32::NAN; BLOCK]); size];
        let mut in_cells = vec![F::narrow(&Line([f32::NAN; BLOCK])); size];
        for panel in &product.panels {
            let here = panel.blocks.start * plane..panel.blocks.end * plane;
            let blocks = panel.blocks.len();
            let cells = PlanesMut::new(&mut in_cells[here.clone()], blocks, plane, plane);
            let lines = PlanesMut::new(&mut in_lines[here.clone()], blocks, plane, plane);
            let run = |output: Output<'_, F>| {
                format.runner.launch(Pointwise::<F> {
                    input: &input,
                    input_block: plane,
                    channels,
                    weights: product.weights(panel),
                    bias: product.bias(panel),
                    residual: residual.then_some(&added[here.clone()]),
                    output,
                    output_row: width,
                    rows: height,
                    width,
                    silu2,
                });
            };
            if case % 2 == 0 {
                run(Output::Both(cells, lines));
            } else {
                run(Output::Cells(cells));
                run(Output::Lines(lines));
            }
        }
        assert_within(&in_lines, &expected, format.lines, &what);
        assert_within(&widened::<F>(&in_cells), &expected, format.cells, &what);
    }
}

#[test]
fn depthwise_is_the_reference_on_random_shapes() {
    f32_cases().iter().for_each(depthwise_is_the_reference);
    bf16_cases().iter().for_each(depthwise_is_the_reference);
}

fn depthwise_is_the_reference<F: Format>(format: &Case<F>) {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for case in 0..60 {
        let kernel = if rng.random() { 3 } else { 5 };
        let stride = rng.random_range(1..=2);
        let same = rng.random();
        let channels = rng.random_range(1..=4 * BLOCK);
        let side = rng.random_range(1..=23);
        let along = |side| padding(same, side, kernel, stride);
        let (pad, output_side) = along(side);
        let strip = rng.random_range(1..=output_side);
        let what = format!(
            "{}, case {case}: {channels} × {side}², {kernel}×{kernel} stride {stride}, \
             same {same}, {strip} rows at a time",
            format.name
        );
        let weights = random(&mut rng, channels * kernel * kernel, 0.5);
        let bias = random(&mut rng, channels, 1.0);
        let input = planes(&mut rng, channels, side, side);
        let shape = (channels, kernel, stride, true);
        let mut expected = reference::convolution(&input, &weights, shape, along);
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
        let mut output = vec![F::ZERO; panel * plane];
        let strips = output_side.div_ceil(strip);
        let mut sums = vec![Line::ZERO; panel * strips];
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
            let window = PlanesMut::new(&mut output, panel, plane, plane);
            let of_strip = PlanesMut::new(&mut sums, panel, strips, strips);
            format.runner.launch(Depthwise::<F> {
                input: &rows,
                ring,
                height: side,
                pad_top: pad,
                kernel,
                stride,
                weights: &packed,
                bias: &lines(&bias),
                output: window.split_at(start * output_side).1,
                output_width: output_side,
                rows: start..end,
                sums: of_strip.split_at(start / strip).1,
            });
        }
        assert_within(&widened::<F>(&output), &expected, format.cells, &what);
        let mut totals = Planes::new(channels, 1, 1);
        for (channel, values) in expected.values.chunks(plane).enumerate() {
            totals.values[channel] = values.iter().sum();
        }
        // Errors of a sum grow with its terms, which may cancel.
        let terms = expected.values.chunks(plane).map(|v| v.iter().map(|y| y.abs()).sum::<f64>());
        let largest = terms.fold(1.0, f64::max);
        let pool: Vec<Line> = sums
            .chunks(strips)
            .map(|sums| Line(std::array::from_fn(|i| sums.iter().map(|s| s.0[i]).sum())))
            .collect();
        assert_within(&pool, &totals, format.lines * largest, &format!("{what}: sums"));
    }
}

#[test]
fn the_stem_is_the_reference_on_random_shapes() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (backend, runner) in runners() {
        for case in 0..20 {
            let outputs = rng.random_range(1..=80);
            let size = rng.random_range(1..=45);
            let same = rng.random();
            let along = |size| padding(same, size, 3, 2);
            let (pad, side) = along(size);
            let what = format!("{backend:?}, case {case}: {outputs} of {size}², same {same}");
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
            let mut expected = reference::convolution(&input, &weights, shape, along);
            for (i, value) in expected.values.iter_mut().enumerate() {
                *value = reference::silu2(*value + f64::from(bias[i / (side * side)]));
            }

            let reordered: Vec<_> =
                (0..weights.len()).map(|i| weights[i / 27 * 27 + i % 3 * 9 + i % 27 / 3]).collect();
            let product = Product::<F32>::new(&reordered, &bias, runner.whole_lines());
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
        let of = |ts: &[f32]| {
            let mut values = lines(ts);
            runner.run(Sigmoid2(&mut values));
            values[0].0[..ts.len()].to_vec()
        };
        assert_eq!(of(&[f32::MIN, f32::NEG_INFINITY, -126.5]), [1.0; 3], "{backend:?}");
        assert_eq!(of(&[0.0, -0.0, 1e-40]), [0.5; 3], "{backend:?}");
        for least in of(&[f32::MAX, f32::INFINITY, f32::NAN]) {
            assert!((0.0..3e-38).contains(&least), "{backend:?}: {least}");
        }
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
        runner.run(ScaleWeights::<F32> {
            weights: &weights,
            panel,
            factors: &factors,
            step,
            output,
        });
        for (i, (found, from)) in scaled.iter().zip(&weights).enumerate() {
            let channel = i / panel;
            let factor = factors[channel / BLOCK * step].0[channel % BLOCK];
            assert_eq!(found.0, from.0.map(|w| w * factor), "{backend:?}");
        }

        let mut pixels = lines(&random(&mut rng, 5 * BLOCK, 1.0));
        let mut mean = Line::ZERO;
        runner.run(Mean { pixels: &pixels, output: &mut mean });
        let before = pixels.clone();
        runner.run(ScalePixels::<F32> { pixels: &mut pixels, factors: &factors[0] });
        for lane in 0..BLOCK {
            let expected = before.iter().map(|pixel| pixel.0[lane]).sum::<f32>() / 5.0;
            assert!((mean.0[lane] - expected).abs() < 1e-6, "{backend:?}");
            for (after, before) in pixels.iter().zip(&before) {
                assert_eq!(after.0[lane], before.0[lane] * factors[0].0[lane], "{backend:?}");
            }
        }
    }
}

#[test]
fn factors_are_rounded_once_into_pairs_of_bf16() {
    let Some(format) = bf16_cases() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (channels, panel) = (22, 3);
    let weights = lines(&random(&mut rng, channels * panel * BLOCK, 1.0));
    let factors = lines(&random(&mut rng, blocks(channels) * BLOCK, 1.0));
    let mut scaled = vec![Bf16::NO_WEIGHTS; channels / 2 * panel];
    format.runner.launch(ScaleWeights::<Bf16> {
        weights: &weights,
        panel,
        factors: &factors,
        step: 1,
        output: &mut scaled,
    });
    for (i, found) in scaled.iter().enumerate() {
        let (step, block) = (i / panel, i % panel);
        let of = |channel: usize| {
            let factor = factors[channel / BLOCK].0[channel % BLOCK];
            Line(weights[channel * panel + block].0.map(|w| w * factor))
        };
        assert_eq!(*found, Bf16::pack(&[of(2 * step), of(2 * step + 1)]));
    }

    let before: Vec<_> =
        lines(&random(&mut rng, 5 * BLOCK, 1.0)).iter().map(Bf16::narrow).collect();
    let mut pixels = before.clone();
    format.runner.launch(ScalePixels::<Bf16> { pixels: &mut pixels, factors: &factors[0] });
    for (found, before) in pixels.iter().zip(&before) {
        let mut expected = Bf16::widen(before);
        expected.0.iter_mut().zip(factors[0].0).for_each(|(x, factor)| *x *= factor);
        assert_eq!(*found, Bf16::narrow(&expected));
    }
}
