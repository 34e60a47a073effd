//! Each kernel on each backend of this processor against the plain reference,
//! on shapes drawn from a seed, edges included.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    backend::{Backend, ByteRunner, HalfRunner, Launch, Runner},
    bytes::ByteLine,
    depthwise::{Depthwise, Ring},
    elementwise::{Mean, ScalePixels, ScaleWeights, Sigmoid2},
    format::{Bf16, F32, Format},
    int8::Int8,
    lines::{BLOCK, Line, blocks, lines},
    panels::Product,
    planes::PlanesMut,
    pointwise::{Output, Pointwise},
    prepare::{PixelScale, Prepare},
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

fn int8_cases() -> Vec<Case<Int8>> {
    let of = |backend: Backend| {
        let runner = ByteRunner::new(backend)?;
        let whole_lines = Runner::new(backend)?.whole_lines();
        // The coarse SiLU, with an estimate of a reciprocal in AVX2.
        let error = if backend == Backend::Avx2 { 6e-4 } else { 3e-4 };
        let (lines, cells) = (error, error);
        Some(Case { name: format!("{backend:?}, int8"), runner, whole_lines, lines, cells })
    };
    Backend::available().into_iter().filter_map(of).collect()
}

/// What a product multiplies, and the same in plain numbers.
struct Multiplied<F: Format> {
    operands: Vec<F::Operand>,
    scales: Vec<PixelScale>,
    values: Planes,
}

/// How a format rounds what it multiplies.
trait Rounded: Format {
    /// Weights that the format holds exactly, `[outputs][channels]`.
    fn weights(rng: &mut ChaCha8Rng, outputs: usize, channels: usize) -> Vec<f32>;

    /// Planes as the format multiplies them.
    fn multiplied(runner: Self::Runner, planes: &Planes) -> Multiplied<Self>;
}

/// Of a format that multiplies cells.
fn multiplied_cells<F: Format<Operand = <F as Format>::Cell>>(planes: &Planes) -> Multiplied<F> {
    let values = planes.clone().map(|value| f64::from(held::<F>(value as f32)));
    Multiplied { operands: cells::<F>(planes), scales: Vec::new(), values }
}

fn held_weights<F: Format>(rng: &mut ChaCha8Rng, outputs: usize, channels: usize) -> Vec<f32> {
    random(rng, outputs * channels, 0.3).into_iter().map(held::<F>).collect()
}

impl Rounded for F32 {
    fn weights(rng: &mut ChaCha8Rng, outputs: usize, channels: usize) -> Vec<f32> {
        held_weights::<Self>(rng, outputs, channels)
    }

    fn multiplied(_: Runner, planes: &Planes) -> Multiplied<Self> {
        multiplied_cells(planes)
    }
}

impl Rounded for Bf16 {
    fn weights(rng: &mut ChaCha8Rng, outputs: usize, channels: usize) -> Vec<f32> {
        held_weights::<Self>(rng, outputs, channels)
    }

    fn multiplied(_: HalfRunner, planes: &Planes) -> Multiplied<Self> {
        multiplied_cells(planes)
    }
}

impl Rounded for Int8 {
    /// Whole units of another size for each output, of which one has as many as there are.
    fn weights(rng: &mut ChaCha8Rng, outputs: usize, channels: usize) -> Vec<f32> {
        let row = |output: usize| {
            let largest = rng.random_range(0..channels);
            let unit = 0.3 / 128.0 / (1 + output % 4) as f32;
            (0..channels)
                .map(|channel| {
                    let units = rng.random_range(-127i8..=127);
                    unit * f32::from(if channel == largest { -127 } else { units })
                })
                .collect::<Vec<f32>>()
        };
        (0..outputs).flat_map(row).collect()
    }

    fn multiplied(runner: ByteRunner, planes: &Planes) -> Multiplied<Self> {
        let mut lines = blocked(planes);
        let (operands, scales) =
            rounded_pixels(runner, &mut lines, planes.height * planes.width, None);
        let mut values = planes.clone();
        let plane = planes.height * planes.width;
        for (i, value) in values.values.iter_mut().enumerate() {
            let (channel, pixel) = (i / plane, i % plane);
            let byte = operands[channel / BLOCK * plane + pixel].0[channel % BLOCK];
            let PixelScale { low, step } = scales[pixel];
            *value = f64::from(low) + f64::from(step) * f64::from(byte);
        }
        Multiplied { operands, scales, values }
    }
}

/// Bytes and scales of planes of so many pixels.
fn rounded_pixels(
    runner: ByteRunner,
    lines: &mut [Line],
    plane: usize,
    factors: Option<(&[Line], usize)>,
) -> (Vec<ByteLine>, Vec<PixelScale>) {
    let blocks = lines.len() / plane;
    let mut operands = vec![ByteLine([77; BLOCK]); lines.len()];
    let mut scales = vec![PixelScale::NONE; plane];
    let prepared = (PlanesMut::new(&mut operands, blocks, plane, plane), &mut scales[..]);
    let cells = PlanesMut::new(lines, blocks, plane, plane);
    let work = Prepare::<Int8> { cells, factors, prepared: Some(prepared) };
    // In two pieces, as a team does it.
    let (mine, others) = work.split(plane / 3);
    for work in [mine, others] {
        Int8::prepare(runner, work);
    }
    (operands, scales)
}

/// Each pixel's bytes stand for its channels within half a unit, of which 255 reach from its
/// least channel (or 0) to its largest (or 0).
#[test]
fn pixels_are_rounded_to_half_a_unit_of_their_own() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for format in int8_cases() {
        for case in 0..40 {
            let (blocks, plane) = (rng.random_range(1..=5), rng.random_range(1..=11));
            let what = format!("{}, case {case}: {blocks} blocks of {plane}", format.name);
            // Among them pixels that are positive or negative everywhere, zero, tiny and huge.
            let scales = [1.0, 1e-3, 0.0, 1e-42, 1e30, 7.0];
            let pixel: Vec<(f32, f32)> = (0..plane)
                .map(|_| {
                    let scale = scales[rng.random_range(0..scales.len())];
                    (scale, [-1.0, -0.1, 0.0][rng.random_range(0..3)])
                })
                .collect();
            let mut lines: Vec<Line> = (0..blocks * plane)
                .map(|i| {
                    let (scale, from) = pixel[i % plane];
                    Line([(); BLOCK].map(|()| scale * rng.random_range(from..from + 1.0)))
                })
                .collect();
            let step = rng.random_range(1..=3);
            let factors = super::lines::lines(&random(&mut rng, blocks * step * BLOCK, 1.0));
            let factors = rng.random::<bool>().then_some((&factors[..], step));
            let values: Vec<Line> = (lines.iter().enumerate())
                .map(|(i, line)| match factors {
                    Some((factors, step)) => Line(std::array::from_fn(|lane| {
                        line.0[lane] * factors[i / plane * step].0[lane]
                    })),
                    None => *line,
                })
                .collect();
            let (operands, scales) = rounded_pixels(format.runner, &mut lines, plane, factors);
            for (pixel, PixelScale { low, step }) in scales.iter().enumerate() {
                let of_pixel = || values.iter().skip(pixel).step_by(plane).flat_map(|line| line.0);
                assert_eq!(*low, of_pixel().fold(0.0, f32::min), "{what}");
                let high = of_pixel().fold(0.0, f32::max);
                let unit = (high - low) / 255.0;
                assert!((*step - unit).abs() <= 2e-7 * unit + 2e-45, "{what}: {step}, not {unit}");
                let bytes = operands.iter().skip(pixel).step_by(plane).flat_map(|line| line.0);
                for (value, byte) in of_pixel().zip(bytes) {
                    let stands_for = f64::from(*low) + f64::from(*step) * f64::from(byte);
                    let off = (stands_for - f64::from(value)).abs();
                    // Below the smallest normal number a unit is all that there is.
                    let allowed = (0.501 * f64::from(*step)).max(255.0 * 1.2e-38);
                    assert!(off <= allowed, "{what}: {value} as {stands_for}, a unit is {step}");
                }
            }
        }
    }
}

/// What is not a number is not made one.
#[test]
fn an_infinite_channel_shows_in_every_result_of_its_pixel() {
    for format in int8_cases() {
        let mut lines = vec![Line([1.0; BLOCK]); 3];
        lines[1].0[5] = f32::INFINITY;
        let (operands, scales) = rounded_pixels(format.runner, &mut lines, 3, None);
        let product = Product::<Int8>::new(&[0.5; 4 * BLOCK], &[1.0; 4], format.whole_lines);
        let mut results = vec![Line::ZERO; 3];
        format.runner.launch(Pointwise::<Int8> {
            input: &operands,
            input_block: 3,
            scales: &scales,
            channels: BLOCK,
            weights: product.weights(&product.panels[0]),
            bias: product.bias(&product.panels[0]),
            residual: None,
            output: Output::Lines(PlanesMut::new(&mut results, 1, 3, 3)),
            output_row: 3,
            rows: 1,
            width: 3,
            silu2: false,
        });
        for (pixel, result) in results.iter().enumerate() {
            let finite = result.0[..4].iter().all(|value| value.is_finite());
            assert_eq!(finite, pixel != 1, "{}: {:?}", format.name, result.0);
        }
    }
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
    let bytes = int8_cases().into_iter().map(|case| case.name).collect::<Vec<_>>().join("; ");
    println!("{}; bfloat16: {}; {bytes}", names.join(", "), half.is_some());
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
    int8_cases().iter().for_each(pointwise_is_the_reference);
}

fn pointwise_is_the_reference<F: Rounded>(format: &Case<F>) {
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
        let weights = F::weights(&mut rng, outputs, channels);
        let bias = random(&mut rng, outputs, 1.0);
        let input = F::multiplied(format.runner, &planes(&mut rng, channels, height, width));
        let added = planes(&mut rng, outputs, height, width);
        let shape = (outputs, 1, 1, false);
        let mut expected = reference::convolution(&input.values, &weights, shape, |side| (0, side));
        let plane = height * width;
        for (i, value) in expected.values.iter_mut().enumerate() {
            *value += f64::from(bias[i / plane]);
            *value = if silu2 { reference::silu2(*value) } else { *value };
            *value += if residual { added.values[i] } else { 0.0 };
        }

        let product = Product::<F>::new(&weights, &bias, format.whole_lines);
        let added = blocked(&added);
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
                    input: &input.operands,
                    input_block: plane,
                    scales: &input.scales,
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
    int8_cases().iter().for_each(depthwise_is_the_reference);
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
        let unit = Line([1.0; BLOCK]);
        assert_eq!(*found, Bf16::pack(&[of(2 * step), of(2 * step + 1)], &unit));
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
