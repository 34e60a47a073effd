//! Each kernel of inference against plain loops in f64, on the emulated device
//! in both of its modes, and on a GPU where there is one; in both precisions, on
//! shapes that fit no tile.

use std::sync::Arc;

use super::{
    emulated::{Emulated, Mode, gpu},
    shapes::{self, Depthwise},
};
use crate::engine::cuda::{
    GpuPrecision, Launch, Queue,
    device::{Argument, Buffer, run},
    infer::fold::transposed,
    infer::forward::{scale_and_shift, stem_by_taps},
};
use crate::model::seeded::SplitMix64;

/// Values in −1…1.
pub fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut random = SplitMix64::named(seed, "kernel tests");
    (0..count).map(|_| random.uniform(-1.0, 1.0) as f32).collect()
}

/// The device of a test.
pub struct On {
    pub queue: Arc<dyn Queue>,
    pub precision: GpuPrecision,
}

impl On {
    pub fn elements(&self, values: &[f32]) -> Buffer {
        Buffer::of(&self.queue, &self.precision.encode(values)).unwrap()
    }

    pub fn floats(&self, values: &[f32]) -> Buffer {
        Buffer::of_floats(&self.queue, values).unwrap()
    }

    pub fn int(&self, value: usize) -> Buffer {
        Buffer::of(&self.queue, &(value as i32).to_le_bytes()).unwrap()
    }

    /// Room for so many elements, NaN before it is written.
    pub fn room(&self, count: usize) -> Buffer {
        self.unset(count * self.precision.bytes())
    }

    pub fn float_room(&self, count: usize) -> Buffer {
        self.unset(count * 4)
    }

    /// Bytes that are all ones: NaN in every format.
    fn unset(&self, bytes: usize) -> Buffer {
        let buffer = Buffer::new(&self.queue, bytes).unwrap();
        self.queue.fill(buffer.address(), bytes, 0xff).unwrap();
        buffer
    }

    pub fn read(&self, buffer: &Buffer, count: usize) -> Vec<f32> {
        self.precision.decode(&buffer.read(count * self.precision.bytes()).unwrap())
    }

    /// What a value becomes by being stored.
    pub fn stored(&self, values: Vec<f32>) -> Vec<f32> {
        self.precision.decode(&self.precision.encode(&values))
    }
}

/// Runs `work` in both modes and both precisions. Its results must have the
/// same bits in both modes, and differ from `expected`, which is given the
/// precision's own rounding, by no more than rounding does.
pub fn check(what: &str, work: impl Fn(&On) -> Vec<f32>, expected: impl Fn(&On) -> Vec<f64>) {
    for precision in [GpuPrecision::Bf16, GpuPrecision::F32] {
        check_in(precision, what, &work, &expected);
    }
}

pub fn check_in(
    precision: GpuPrecision,
    what: &str,
    work: impl Fn(&On) -> Vec<f32>,
    expected: impl Fn(&On) -> Vec<f64>,
) {
    let on = |mode| On { queue: Emulated::queue(precision, mode), precision };
    let forward = on(Mode::Forward);
    let expected = expected(&forward);
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    // On a machine with a GPU, whose time is dear, and perhaps without g++.
    if std::env::var_os("HIWL_GPU_ONLY").is_none() {
        let found = work(&forward);
        let again = bits(&work(&on(Mode::Backward)));
        assert!(bits(&found) == again, "{what}, {precision:?}: a race");
        compare(&format!("{what}, {precision:?}"), precision, &found, &expected);
    }
    if let Some(queue) = gpu(precision) {
        let on = On { queue, precision };
        let found = work(&on);
        let again = bits(&work(&on));
        assert!(bits(&found) == again, "{what}, {precision:?}: other bits the second time");
        compare(&format!("{what}, {precision:?} on the GPU"), precision, &found, &expected);
    }
}

fn compare(what: &str, precision: GpuPrecision, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
    let tolerance = match precision {
        GpuPrecision::Bf16 => 6e-3,
        GpuPrecision::F32 => 5e-6,
    };
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        let allowed = tolerance * (expected.abs() + 0.1 * largest);
        assert!(error <= allowed, "{what}, {i}: {found} where {expected} is right");
    }
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

#[test]
fn products_with_every_epilogue() {
    // m = images × pixels, n, k; images live.
    let shapes = [
        (3, 43, 16, 8, 3),
        (2, 100, 24, 144, 2),
        (5, 64, 40, 40, 4),
        (1, 1, 8, 320, 1),
        (2, 130, 96, 16, 1),
        (3, 49, 240, 40, 3),
        (1, 257, 112, 72, 1),
        (4, 9, 320, 200, 4),
    ];
    for (case, (images, pixels, n, k, live)) in shapes.into_iter().enumerate() {
        let (activate, scaled, residual, biased) =
            (case % 2 == 0, case % 3 != 0, case % 4 > 1, case != 5);
        let seed = case as u64;
        let m = images * pixels;
        let (x, w) = (values(seed, m * k), values(seed + 100, n * k));
        let (bias, factors) = (values(seed + 200, n), values(seed + 300, images * k));
        let before = values(seed + 400, m * n);
        check(
            &format!("{m}×{n}×{k}"),
            |on| {
                let (x, w, before) = (on.elements(&x), on.elements(&w), on.elements(&before));
                let (bias, factors) = (on.floats(&bias), on.floats(&factors));
                let (out, live) = (on.room(m * n), on.int(live));
                run!(
                    &*on.queue,
                    shapes::pointwise(on.precision, m, n),
                    &x,
                    &w,
                    biased.then_some(&bias),
                    scaled.then_some(&factors),
                    residual.then_some(&before),
                    &out,
                    &live,
                    pixels,
                    n,
                    k,
                    activate,
                )
                .unwrap();
                on.read(&out, live_rows(&live) * pixels * n)
            },
            |on| {
                let (x, w) = (on.stored(x.clone()), on.stored(w.clone()));
                let before = on.stored(before.clone());
                let mut out = Vec::new();
                for row in 0..live * pixels {
                    let input: Vec<f32> = (0..k)
                        .map(|i| {
                            let factor = factors[row / pixels * k + i];
                            x[row * k + i] * if scaled { factor } else { 1.0 }
                        })
                        .collect();
                    let input = on.stored(input);
                    for column in 0..n {
                        let mut sum = if biased { f64::from(bias[column]) } else { 0.0 };
                        for i in 0..k {
                            sum += f64::from(input[i]) * f64::from(w[column * k + i]);
                        }
                        if residual {
                            sum += f64::from(before[row * n + column]);
                        }
                        out.push(if activate { silu(sum) } else { sum });
                    }
                }
                out
            },
        );
    }
}

fn live_rows(count: &Buffer) -> usize {
    let bytes = count.read(4).unwrap();
    i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

#[test]
fn depthwise_with_sums() {
    let shapes = [
        // channels, side, kernel, stride, pad, out
        (8, 7, 3, 1, 1, 7),
        (24, 15, 5, 2, 2, 8),
        (40, 9, 3, 2, 0, 4),
        (72, 13, 5, 1, 2, 13),
        (32, 30, 3, 2, 1, 15),
        (264, 1, 5, 1, 2, 1),
    ];
    for (case, (channels, side, kernel, stride, pad, out)) in shapes.into_iter().enumerate() {
        let (images, live, activate) = (3, 2, case != 3);
        let seed = 50 + case as u64;
        let x = values(seed, images * side * side * channels);
        let w = values(seed + 100, channels * kernel * kernel);
        let bias = values(seed + 200, channels);
        let shape = Depthwise::new(channels, out);
        let plane = out * out;
        check(
            &format!("{channels} channels, {side} pixels, {kernel}×{kernel}/{stride}"),
            |on| {
                let (x, output) = (on.elements(&x), on.room(images * plane * channels));
                let (w, bias) = (on.floats(&transposed(&w, kernel * kernel)), on.floats(&bias));
                let sums = on.float_room(images * shape.tiles * channels);
                let live_images = on.int(live);
                run!(
                    &*on.queue,
                    shape.launch(
                        shapes::depthwise_kernel(kernel, stride),
                        kernel,
                        images,
                        channels
                    ),
                    &x,
                    &w,
                    &bias,
                    &output,
                    &sums,
                    &live_images,
                    channels,
                    side,
                    out,
                    pad,
                    shape.rows,
                    shape.tiles,
                    activate,
                )
                .unwrap();
                let mut found = on.read(&output, live * plane * channels);
                let sums = sums.floats(live * shape.tiles * channels).unwrap();
                for image in sums.chunks(shape.tiles * channels) {
                    for channel in 0..channels {
                        let tiles = image[channel..].iter().step_by(channels);
                        found.push(tiles.sum::<f32>() / plane as f32);
                    }
                }
                found
            },
            |on| {
                let x = on.stored(x.clone());
                let mut output = Vec::new();
                let mut means = vec![0.0; live * channels];
                for image in 0..live {
                    for (y, at_x) in (0..plane).map(|p| (p / out, p % out)) {
                        for channel in 0..channels {
                            let mut sum = f64::from(bias[channel]);
                            for (ky, kx) in (0..kernel * kernel).map(|t| (t / kernel, t % kernel)) {
                                let (yy, xx) = (y * stride + ky, at_x * stride + kx);
                                if yy < pad || xx < pad || yy - pad >= side || xx - pad >= side {
                                    continue;
                                }
                                let pixel = (image * side + yy - pad) * side + xx - pad;
                                let weight = w[(channel * kernel + ky) * kernel + kx];
                                sum += f64::from(weight) * f64::from(x[pixel * channels + channel]);
                            }
                            let value = if activate { silu(sum) } else { sum };
                            means[image * channels + channel] += value / plane as f64;
                            output.push(value);
                        }
                    }
                }
                output.extend(means);
                output
            },
        );
    }
}

#[test]
fn the_stem_reads_the_rows_it_is_told() {
    for (side, pad, out, channels) in [(9, 1, 5, 8), (12, 0, 6, 24), (16, 1, 8, 40)] {
        let weights = values(1, channels * 27);
        let bias = values(2, channels);
        let mut random = SplitMix64::named(3, "pixels");
        let pixels: Vec<u8> = (0..4 * side * side * 3).map(|_| random.next_u64() as u8).collect();
        let (mean, std) = ([0.3, 0.4, 0.5], [0.2, 0.25, 0.3]);
        let chosen = [3usize, 1];
        check(
            &format!("stem of {side} pixels"),
            |on| {
                let rows: Vec<u8> =
                    chosen.iter().flat_map(|row| (*row as i32).to_le_bytes()).collect();
                let rows = Buffer::of(&on.queue, &rows).unwrap();
                let pixels = Buffer::of(&on.queue, &pixels).unwrap();
                let (weights, bias) = (on.floats(&stem_by_taps(&weights)), on.floats(&bias));
                let normalisation = on.floats(&scale_and_shift(mean, std));
                let output = on.room(4 * out * out * channels);
                let live = on.int(chosen.len());
                run!(
                    &*on.queue,
                    shapes::stem(4 * out * out, channels),
                    &pixels,
                    &rows,
                    &weights,
                    &bias,
                    &normalisation,
                    &output,
                    &live,
                    side,
                    out,
                    pad,
                    channels,
                    true,
                )
                .unwrap();
                on.read(&output, chosen.len() * out * out * channels)
            },
            |_| {
                let mut output = Vec::new();
                for image in chosen {
                    for (y, x) in (0..out * out).map(|p| (p / out, p % out)) {
                        for channel in 0..channels {
                            let mut sum = f64::from(bias[channel]);
                            for tap in 0..27 {
                                let (colour, ky, kx) = (tap / 9, tap % 9 / 3, tap % 3);
                                let (yy, xx) = (2 * y + ky, 2 * x + kx);
                                if yy < pad || xx < pad || yy - pad >= side || xx - pad >= side {
                                    continue;
                                }
                                let at = (image * side + yy - pad) * side + xx - pad;
                                let value = f64::from(pixels[at * 3 + colour]) / 255.0;
                                let value =
                                    (value - f64::from(mean[colour])) / f64::from(std[colour]);
                                sum += value * f64::from(weights[channel * 27 + tap]);
                            }
                            output.push(silu(sum));
                        }
                    }
                }
                output
            },
        );
    }
}

#[test]
fn squeeze_and_excite() {
    for (channels, squeezed, tiles) in [(8, 1, 1), (96, 6, 3), (240, 10, 2), (1152, 48, 1)] {
        let (images, pixels) = (3, 17);
        let sums = values(1, images * tiles * channels);
        let (reduce, reduce_bias) = (values(2, squeezed * channels), values(3, squeezed));
        let (widen, widen_bias) = (values(4, squeezed * channels), values(5, channels));
        let mean = |image: usize, c: usize| {
            let of = |tile| f64::from(sums[(image * tiles + tile) * channels + c]);
            (0..tiles).map(of).sum::<f64>() / pixels as f64
        };
        let hidden = |image: usize, s: usize| {
            let products =
                (0..channels).map(|c| f64::from(reduce[s * channels + c]) * mean(image, c));
            products.sum::<f64>() + f64::from(reduce_bias[s])
        };
        check(
            &format!("{channels} channels squeezed to {squeezed}"),
            |on| {
                let buffers = [&sums, &reduce, &reduce_bias].map(|v| on.floats(v));
                let widen = on.floats(&transposed(&widen, squeezed));
                let widen_bias = on.floats(&widen_bias);
                let factors = on.float_room(images * channels);
                let means = on.float_room(images * channels);
                let before = on.float_room(images * squeezed);
                run!(
                    &*on.queue,
                    shapes::flat("squeeze_excite", images, (channels + squeezed) * 4),
                    &buffers[0],
                    &buffers[1],
                    &buffers[2],
                    &widen,
                    &widen_bias,
                    &factors,
                    &means,
                    &before,
                    &on.int(images),
                    channels,
                    squeezed,
                    tiles,
                    1.0 / pixels as f32,
                )
                .unwrap();
                let mut found = factors.floats(images * channels).unwrap();
                found.extend(means.floats(images * channels).unwrap());
                found.extend(before.floats(images * squeezed).unwrap());
                found
            },
            |_| {
                let mut output = Vec::new();
                for image in 0..images {
                    let hidden: Vec<f64> = (0..squeezed).map(|s| silu(hidden(image, s))).collect();
                    for c in 0..channels {
                        let products = hidden.iter().enumerate();
                        let sum: f64 =
                            products.map(|(s, h)| f64::from(widen[c * squeezed + s]) * h).sum();
                        output.push(sigmoid(sum + f64::from(widen_bias[c])));
                    }
                }
                for image in 0..images {
                    output.extend((0..channels).map(|c| mean(image, c)));
                }
                for image in 0..images {
                    output.extend((0..squeezed).map(|s| hidden(image, s)));
                }
                output
            },
        );
    }
}

#[test]
fn the_head_writes_the_rows_it_is_told() {
    let (images, pixels, features, classes) = (2, 6, 40, 5);
    let rows = [4usize, 1];
    let x = values(1, images * pixels * features);
    let (w, bias) = (values(2, classes * features), values(3, classes));
    check(
        "head",
        |on| {
            let list: Vec<u8> = rows.iter().flat_map(|row| (*row as i32).to_le_bytes()).collect();
            let list = Buffer::of(&on.queue, &list).unwrap();
            let logits = on.float_room(6 * classes);
            let means = on.float_room(images * features);
            run!(
                &*on.queue,
                shapes::flat("head", images, features * 4),
                &on.elements(&x),
                &list,
                &on.floats(&w),
                &on.floats(&bias),
                &logits,
                &means,
                &on.int(images),
                pixels,
                features,
                classes,
            )
            .unwrap();
            let logits = logits.floats(6 * classes).unwrap();
            assert!(logits[..classes].iter().all(|v| v.is_nan()), "a row of nobody's");
            let mut found: Vec<f32> =
                rows.iter().flat_map(|row| logits[row * classes..][..classes].to_vec()).collect();
            found.extend(means.floats(images * features).unwrap());
            found
        },
        |on| {
            let x = on.stored(x.clone());
            let mut output = Vec::new();
            for image in 0..images {
                for class in 0..classes {
                    let mut sum = f64::from(bias[class]);
                    for i in 0..pixels * features {
                        let value = f64::from(x[image * pixels * features + i]) / pixels as f64;
                        sum += value * f64::from(w[class * features + i % features]);
                    }
                    output.push(sum);
                }
            }
            for image in 0..images {
                output.extend((0..features).map(|f| {
                    let of = |p| f64::from(x[(image * pixels + p) * features + f]);
                    (0..pixels).map(of).sum::<f64>() / pixels as f64
                }));
            }
            output
        },
    );
}

#[test]
fn routing_is_that_of_the_host() {
    let images = 77;
    let mut logits = values(9, images * 4);
    logits[3 * 4 + 1] = f32::NAN;
    logits[5 * 4] = f32::INFINITY;
    for (i, row) in logits.chunks_mut(4).enumerate().filter(|(i, _)| i % 9 == 0) {
        // Ties: the first counts.
        row.fill(i as f32);
    }
    for (combined, all, live) in [(0, false, images), (3, false, 70), (2, true, images)] {
        let wanted: Vec<usize> = (0..live)
            .filter(|image| {
                let row = &logits[image * 4..][..4];
                let largest = (1..4).fold(0, |best, i| if row[i] > row[best] { i } else { best });
                row.iter().all(|v| v.is_finite()) && (all || largest == combined)
            })
            .collect();
        check_in(
            GpuPrecision::F32,
            "route",
            |on| {
                let (rows, count) = (on.float_room(images), on.int(0));
                let launch = Launch { block: [32, 1, 1], ..shapes::flat("route", 1, 0) };
                run!(
                    &*on.queue,
                    launch,
                    &on.floats(&logits),
                    &rows,
                    &count,
                    &on.int(live),
                    4usize,
                    combined,
                    all,
                )
                .unwrap();
                let count = live_rows(&count);
                let rows = rows.read(4 * count).unwrap();
                let (rows, _) = rows.as_chunks::<4>();
                rows.iter().map(|row| i32::from_le_bytes(*row) as f32).collect()
            },
            |_| wanted.iter().map(|row| *row as f64).collect(),
        );
    }
}

#[test]
fn null_is_an_argument() {
    // A buffer that is not there is address 0, which kernels compare with.
    assert_eq!(format!("{:?}", Argument::NULL), format!("{:?}", Argument::from(None::<&Buffer>)));
}
