//! Batch norm while training against plain loops in f64: tiles of few pixels, so
//! that there are more partial sums than threads that add them.

use super::{
    shapes::{self, Rows},
    tests::{check, sigmoid, values},
};
use crate::engine::cuda::device::{Argument, run};

const MOMENTUM: f32 = 0.1;
const EPS: f32 = 1e-3;

/// Images, of which the last does not live, pixels an image, channels, pixels a
/// tile.
const SHAPES: [[usize; 4]; 3] = [[24, 63, 40, 5], [3, 300, 8, 300], [4, 20, 264, 3]];

struct Case {
    x: Vec<f32>,
    gradient: Vec<f32>,
    /// γ, β, and the running mean and variance.
    vectors: [Vec<f32>; 4],
}

impl Case {
    fn new([images, pixels, channels, _]: [usize; 4]) -> Self {
        let count = images * pixels * channels;
        // Channels have means of their own.
        let mut x = values(1, count);
        x.iter_mut().enumerate().for_each(|(i, x)| *x += (i % channels % 7) as f32 / 4.0);
        let vectors = [2, 3, 4, 5].map(|seed| values(seed, channels));
        Self { x, gradient: values(6, count), vectors }
    }
}

/// Mean and variance of a channel's values.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count)
}

#[test]
fn batch_norm_forward_and_backward() {
    for shape in SHAPES {
        let [images, pixels, channels, tile] = shape;
        let live = images - 1;
        let count = live * pixels;
        let root = (count as f64).sqrt();
        let case = Case::new(shape);
        let mut rows = Rows::new(channels, pixels);
        (rows.rows, rows.tiles) = (tile, pixels.div_ceil(tile));
        check(
            &format!("norm of {channels} channels"),
            |on| {
                let (x, gradient) = (on.elements(&case.x), on.elements(&case.gradient));
                let [gamma, beta, mean, var] = case.vectors.each_ref().map(|v| on.floats(v));
                let parts = on.float_room(images * rows.tiles * 2 * channels);
                let [vectors, slopes] = [4, 3].map(|n| on.float_room(n * channels));
                let [d_gamma, d_beta] = [(); 2].map(|()| on.float_room(channels));
                let (dx, live_images) = (on.room(images * pixels * channels), on.int(live));
                let (queue, null) = (&*on.queue, Argument::NULL);
                run!(
                    queue,
                    rows.launch("norm_moments", images, channels, 2),
                    &x,
                    &parts,
                    &live_images,
                    pixels,
                    channels,
                    rows.rows,
                    rows.tiles,
                )
                .unwrap();
                run!(
                    queue,
                    shapes::finish("norm_finish", channels),
                    &parts,
                    &x,
                    &gamma,
                    &beta,
                    &mean,
                    &var,
                    &vectors,
                    &live_images,
                    pixels,
                    channels,
                    rows.tiles,
                    MOMENTUM,
                    EPS,
                    true,
                )
                .unwrap();
                run!(
                    queue,
                    rows.launch("norm_backward_sums", images, channels, 2),
                    &gradient,
                    null,
                    null,
                    &x,
                    &vectors,
                    &parts,
                    &live_images,
                    pixels,
                    channels,
                    rows.rows,
                    rows.tiles,
                    true,
                )
                .unwrap();
                run!(
                    queue,
                    shapes::finish("norm_backward_finish", channels),
                    &parts,
                    &gamma,
                    &vectors,
                    &d_gamma,
                    &d_beta,
                    &slopes,
                    &live_images,
                    pixels,
                    channels,
                    rows.tiles,
                )
                .unwrap();
                run!(
                    queue,
                    rows.launch("norm_backward", images, channels, 0),
                    &gradient,
                    null,
                    null,
                    &x,
                    &vectors,
                    &slopes,
                    &dx,
                    &live_images,
                    pixels,
                    channels,
                    rows.rows,
                    rows.tiles,
                    true,
                )
                .unwrap();
                let mut found = on.read(&dx, count * channels);
                let sums = [&d_gamma, &d_beta].map(|sums| sums.floats(channels).unwrap());
                found.extend(sums.into_iter().flatten().map(|sum| sum / root as f32));
                for running in [&mean, &var] {
                    found.extend(running.floats(channels).unwrap());
                }
                found
            },
            |on| {
                let (x, gradient) = (on.stored(case.x.clone()), on.stored(case.gradient.clone()));
                let of = |values: &[f32], channel: usize| -> Vec<f64> {
                    let own = values[channel..].iter().step_by(channels).take(count);
                    own.map(|value| f64::from(*value)).collect()
                };
                let [gamma, beta, running_mean, running_var] = &case.vectors;
                let mut dx = vec![0.0; count * channels];
                let mut found: [Vec<f64>; 4] = Default::default();
                for channel in 0..channels {
                    let x = of(&x, channel);
                    let (mean, var) = moments(&x);
                    let rstd = 1.0 / (var + f64::from(EPS)).sqrt();
                    let (gamma, beta) = (f64::from(gamma[channel]), f64::from(beta[channel]));
                    let hat: Vec<f64> = x.iter().map(|x| (x - mean) * rstd).collect();
                    let dz: Vec<f64> = of(&gradient, channel)
                        .iter()
                        .zip(&hat)
                        .map(|(gradient, hat)| {
                            let u = gamma * hat + beta;
                            let s = sigmoid(u);
                            gradient * (s + u * s * (1.0 - s))
                        })
                        .collect();
                    let sum = dz.iter().sum::<f64>();
                    let by_hat = dz.iter().zip(&hat).map(|(dz, hat)| dz * hat).sum::<f64>();
                    let n = count as f64;
                    for (i, (dz, hat)) in dz.iter().zip(&hat).enumerate() {
                        let own = dz - sum / n - hat * by_hat / n;
                        dx[i * channels + channel] = gamma * rstd * own;
                    }
                    let moved = |old: f32, new: f64| {
                        let momentum = f64::from(MOMENTUM);
                        f64::from(old) * (1.0 - momentum) + new * momentum
                    };
                    let unbiased = var * n / (n - 1.0);
                    found[0].push(by_hat / root);
                    found[1].push(sum / root);
                    found[2].push(moved(running_mean[channel], mean));
                    found[3].push(moved(running_var[channel], unbiased));
                }
                dx.into_iter().chain(found.into_iter().flatten()).collect()
            },
        );
    }
}
