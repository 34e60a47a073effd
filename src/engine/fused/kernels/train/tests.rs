//! Every pass against plain loops in f64, on random shapes and for all
//! backends of this processor; the gradients also against differences of the
//! forward pass.

mod bfloat16;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::backend::Backend;
use crate::tests::padding;

fn cpus() -> impl Iterator<Item = Cpu> {
    Backend::available().into_iter().filter_map(Cpu::new)
}

struct Random(ChaCha8Rng);

impl Random {
    fn new(name: &str) -> Self {
        let seed = name.bytes().fold(5, |seed, byte| 31 * seed % 1_000_003 + u64::from(byte));
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// Rows of `channels`, padded with zeros.
    fn rows(&mut self, rows: usize, channels: usize) -> Buffer {
        let stride = padded(channels);
        let mut buffer = Buffer::zeros(rows * stride);
        for row in buffer.chunks_exact_mut(stride).take(rows) {
            row[..channels].fill_with(|| self.0.random_range(-1.5..1.5));
        }
        buffer
    }
}

#[track_caller]
fn assert_close(found: f32, expected: f64, scale: f64) {
    assert!((f64::from(found) - expected).abs() <= 2e-5 * scale, "{found} for {expected}");
}

fn silu(z: f64) -> f64 {
    z / (1.0 + (-z).exp())
}

fn slope(z: f64) -> f64 {
    let s = 1.0 / (1.0 + (-z).exp());
    s * (1.0 + z * (1.0 - s))
}

/// Shapes of a test; Miri takes a minute for each.
const ROUNDS: usize = if cfg!(miri) { 2 } else { 30 };

#[test]
fn products_are_those_of_plain_loops() {
    for cpu in cpus() {
        let mut random = Random::new("product");
        for _ in 0..ROUNDS {
            let (m, k, n) = (1 + random.below(60), 1 + random.below(70), 1 + random.below(150));
            let (a, b) = (random.rows(m, k), random.rows(k, n));
            let mut c = random.rows(m, n);
            let before = Buffer::of(&c);
            let mut packed = Packed::new(k, n);
            packed.pack(&b, padded(n), 1);
            let accumulate = random.below(2) == 1;
            product(cpu, m, (&*a, padded(k)), &packed, (&mut *c, padded(n)), accumulate);
            for i in 0..m {
                for j in 0..padded(n) {
                    let at = i * padded(n) + j;
                    let mut sum = if accumulate { f64::from(before[at]) } else { 0.0 };
                    for l in 0..k {
                        sum += f64::from(a[i * padded(k) + l]) * f64::from(b[l * padded(n) + j]);
                    }
                    assert_close(c[at], sum, 10.0);
                }
            }
        }
    }
}

#[test]
fn outer_products_are_those_of_plain_loops() {
    for cpu in cpus() {
        let mut random = Random::new("outer");
        for _ in 0..ROUNDS {
            let (m, n, w) = (1 + random.below(60), 1 + random.below(70), 1 + random.below(150));
            let (a, b) = (random.rows(m, n), random.rows(m, w));
            let mut sum = random.rows(padded(n), w);
            let before = Buffer::of(&sum);
            let first = random.below(2) == 1;
            outer(cpu, m, (&*a, padded(n), n), (&*b, padded(w), w), &mut sum, first, &mut []);
            for i in 0..n {
                for j in 0..w {
                    let at = i * padded(w) + j;
                    let mut expected = if first { 0.0 } else { f64::from(before[at]) };
                    for r in 0..m {
                        let (a, b) = (a[r * padded(n) + i], b[r * padded(w) + j]);
                        expected += f64::from(a) * f64::from(b);
                    }
                    assert_close(sum[at], expected, 10.0);
                }
            }
        }
    }
}

#[test]
fn moments_keep_their_digits_far_from_zero() {
    for cpu in cpus() {
        let mut random = Random::new("moments");
        let (rows, channels) = (1003, 40);
        let mut x = random.rows(rows, channels);
        for row in x.chunks_exact_mut(padded(channels)) {
            row[3] += 1000.0;
        }
        let mut moments = Moments::new(padded(channels));
        for _ in 0..2 {
            moments.clear();
            for part in x.chunks(37 * padded(channels)) {
                moments.add(cpu, part);
            }
        }
        assert_eq!(moments.rows(), rows);
        moments.finish(|i, mean, m2| {
            let column = || x.iter().skip(i).step_by(padded(channels)).map(|&v| f64::from(v));
            let expected = column().sum::<f64>() / rows as f64;
            let deviations: f64 = column().map(|v| (v - expected).powi(2)).sum();
            assert!((mean - expected).abs() < 1e-6 * expected.abs().max(1.0), "{mean} {expected}");
            assert!((m2 - deviations).abs() <= 1e-5 * deviations, "{m2} {deviations}");
        });
    }
}

#[test]
fn elementwise_passes_and_sums_are_those_of_plain_loops() {
    for cpu in cpus() {
        let mut random = Random::new("elementwise");
        for _ in 0..8 {
            let (rows, channels) = (1 + random.below(300), 1 + random.below(70));
            let c = padded(channels);
            let (x, da) = (random.rows(rows, channels), random.rows(rows, channels));
            let v: Vec<Buffer> = (0..5).map(|_| random.rows(1, channels)).collect();
            let v: [&[f32]; 5] = [&v[0], &v[1], &v[2], &v[3], &v[4]];
            let mut out: Vec<Buffer> = (0..5).map(|_| Buffer::zeros(rows * c)).collect();
            let mut sums: Vec<Sums> = (0..4).map(|_| Sums::new(c, 5)).collect();
            activate(cpu, &x, (v[0], v[1]), Some(v[4]), &mut out[0]);
            affine(cpu, &x, (v[0], v[1]), 1.25, Some(&da), &mut out[1]);
            combine(cpu, &da, &x, [v[0], v[1], v[2]], &mut out[2]);
            pool(cpu, &x, (v[0], v[1]), &mut sums[0]);
            gradient_sums(cpu, &da, &x, (v[2], v[3]), &mut sums[1]);
            project_sums(cpu, &da, &x, v, &mut out[3], &mut sums[2]);
            pool_gradient(cpu, &x, v, &mut out[4], &mut sums[3]);
            let mut expected = [[0.0; 5]; 4];
            for i in 0..c {
                expected.iter_mut().for_each(|e| e.fill(0.0));
                let [s, t, rstd, offset, gate] = v.map(|v| f64::from(v[i]));
                for row in 0..rows {
                    let at = row * c + i;
                    let (x, da) = (f64::from(x[at]), f64::from(da[at]));
                    let (z, hat) = (x * s + t, x * rstd + offset);
                    assert_close(out[0][at], silu(z) * gate, 5.0);
                    assert_close(out[1][at], z * 1.25 + da, 5.0);
                    assert_close(out[2][at], da * s + x * t + rstd, 5.0);
                    assert_close(out[3][at], silu(z) * gate, 5.0);
                    assert_close(out[4][at], gate * slope(z), 5.0);
                    let dz = da * slope(z);
                    let add = [
                        [silu(z), 0.0, 0.0, 0.0, 0.0],
                        [da, da * hat, 0.0, 0.0, 0.0],
                        [da * silu(z), dz, slope(z), dz * hat, slope(z) * hat],
                        [gate * slope(z), gate * slope(z) * hat, 0.0, 0.0, 0.0],
                    ];
                    for (e, a) in expected.iter_mut().flatten().zip(add.as_flattened()) {
                        *e += a;
                    }
                }
                for (sums, expected) in sums.iter_mut().zip(&expected) {
                    for (n, &expected) in expected.iter().enumerate() {
                        assert_close(sums.get(n)[i] as f32, expected, 5.0 * rows as f64);
                    }
                }
            }
        }
    }
}

/// A depthwise case with everything that its passes read.
struct Depthwise {
    g: Geometry,
    channels: usize,
    weights: Vec<f32>,
    x: Buffer,
    da: Buffer,
    residual: Buffer,
    /// Scale, shift, rstd, offset of the norm before; scale, shift, gate,
    /// constant, c0, c1, c2 behind.
    v: Vec<Buffer>,
}

impl Depthwise {
    fn new(random: &mut Random) -> Self {
        let channels = 1 + random.below(40);
        let (kernel, stride) = (3 + 2 * random.below(2), 1 + random.below(2));
        let input = kernel + random.below(24);
        let same = random.below(2) == 1;
        let (pad, output) = padding(same, input, kernel, stride);
        let g = Geometry { channels: padded(channels), input, output, kernel, stride, pad };
        let weights = random.rows(1, channels * kernel * kernel);
        Self {
            g,
            channels,
            weights: weights[..channels * kernel * kernel].to_vec(),
            x: random.rows(input * input, channels),
            da: random.rows(output * output, channels),
            residual: random.rows(input * input, channels),
            v: (0..11).map(|_| random.rows(1, channels)).collect(),
        }
    }

    fn packed(&self) -> DepthwiseWeights {
        let mut weights = DepthwiseWeights::new(self.channels, self.g.kernel, self.g.stride);
        weights.pack(&self.weights);
        weights
    }

    fn v(&self, n: usize, c: usize) -> f64 {
        f64::from(self.v[n][c])
    }

    /// Calls `f(input pixel, output pixel, tap)` for all that meet.
    fn meet(&self, mut f: impl FnMut(usize, usize, usize)) {
        let g = self.g;
        for (oy, ox) in (0..g.output).flat_map(|y| (0..g.output).map(move |x| (y, x))) {
            for (ky, kx) in (0..g.kernel).flat_map(|y| (0..g.kernel).map(move |x| (y, x))) {
                let (y, x) = (oy * g.stride + ky, ox * g.stride + kx);
                if (g.pad..g.pad + g.input).contains(&y) && (g.pad..g.pad + g.input).contains(&x) {
                    let input = (y - g.pad) * g.input + x - g.pad;
                    f(input, oy * g.output + ox, ky * g.kernel + kx);
                }
            }
        }
    }

    fn read(&self, pixel: usize, c: usize, activated: bool) -> f64 {
        let x = f64::from(self.x[pixel * self.g.channels + c]);
        if activated { silu(x * self.v(0, c) + self.v(1, c)) } else { x }
    }

    fn plain_forward(&self, c: usize, activated: bool) -> Vec<f64> {
        let taps = self.g.kernel * self.g.kernel;
        let mut out = vec![0.0; self.g.output * self.g.output];
        self.meet(|i, o, t| {
            out[o] += self.read(i, c, activated) * f64::from(self.weights[c * taps + t]);
        });
        out
    }
}

#[test]
fn depthwise_passes_are_those_of_plain_loops() {
    let mut random = Random::new("depthwise");
    for round in 0..60 {
        let case = Depthwise::new(&mut random);
        let (g, activated) = (case.g, round % 2 == 0);
        let residual = (round % 4 < 2).then_some(&case.residual[..]);
        let taps = g.kernel * g.kernel;
        for cpu in cpus() {
            let v = |n: usize| &case.v[n][..];
            let forward = match activated {
                true => ForwardInput::Activated(&case.x[..], (v(0), v(1))),
                false => ForwardInput::Plain(&case.x),
            };
            let mut out = Buffer::zeros(g.output * g.output * g.channels);
            let mut scratch = Buffer::zeros(g.forward_scratch());
            scratch.fill(f32::NAN);
            let weights = case.packed();
            depthwise_forward(cpu, g, forward, &weights, &mut out, &mut scratch);

            let mut dx = Buffer::zeros(case.x.len());
            let mut dw = Buffer::zeros(taps * g.channels);
            let mut sums = Sums::new(g.channels, 2);
            let mut scratch = Buffer::zeros(g.backward_scratch());
            scratch.fill(f32::NAN);
            let gradient = Gated {
                da: &case.da,
                out: &out,
                vectors: [v(4), v(5), v(6), v(7), v(8), v(9), v(10)],
            };
            let input = if activated {
                let vectors = [v(0), v(1), v(2), v(3)];
                let (x, dx, sums) = (&case.x[..], &mut dx[..], &mut sums);
                DepthwiseInput::Activated { x, dx, vectors, sums, residual }
            } else {
                DepthwiseInput::Plain { x: &case.x, dx: &mut dx, residual }
            };
            depthwise_backward(cpu, g, &gradient, input, &weights, &mut dw, &mut scratch);

            for c in 0..case.channels {
                let expected = case.plain_forward(c, activated);
                let mut d_out = vec![0.0; expected.len()];
                for (pixel, &value) in expected.iter().enumerate() {
                    assert_close(out[pixel * g.channels + c], value, 30.0);
                    let da = f64::from(case.da[pixel * g.channels + c]);
                    let z = value * case.v(4, c) + case.v(5, c);
                    let dz = (case.v(6, c) * da + case.v(7, c)) * slope(z);
                    d_out[pixel] = dz * case.v(8, c) + value * case.v(9, c) + case.v(10, c);
                }
                let mut d_in = vec![0.0; g.input * g.input];
                let mut d_weights = vec![0.0; taps];
                case.meet(|i, o, t| {
                    d_in[i] += d_out[o] * f64::from(case.weights[c * taps + t]);
                    d_weights[t] += d_out[o] * case.read(i, c, activated);
                });
                for (t, &expected) in d_weights.iter().enumerate() {
                    let found = dw[(c / 16 * taps + t) * 16 + c % 16];
                    assert_close(found, expected, 10.0 * expected.abs().max(100.0));
                }
                let (mut first, mut second) = (0.0, 0.0);
                for (i, &d) in d_in.iter().enumerate() {
                    let at = i * g.channels + c;
                    let x = f64::from(case.x[at]);
                    let past = residual.map_or(0.0, |residual| f64::from(residual[at]));
                    let z = x * case.v(0, c) + case.v(1, c);
                    let d = (d + past) * if activated { slope(z) } else { 1.0 };
                    assert_close(dx[at], d, 200.0);
                    first += d;
                    second += d * (x * case.v(2, c) + case.v(3, c));
                }
                if activated {
                    assert_close(sums.get(0)[c] as f32, first, 10.0 * first.abs().max(500.0));
                    assert_close(sums.get(1)[c] as f32, second, 10.0 * second.abs().max(500.0));
                }
            }
        }
    }
}

/// The plain backward loops above and the forward pass agree: the derivative
/// along a random direction is that of differences.
#[test]
fn silus_slope_is_its_derivative() {
    for z in [-20.0, -3.0, -1.0, 0.0, 0.3, 2.0, 15.0] {
        let difference = (silu(z + 1e-5) - silu(z - 1e-5)) / 2e-5;
        assert!((slope(z) - difference).abs() < 1e-8, "{z}");
    }
}
