//! Every pass over bfloat16 against the same pass in f32 (which is held
//! against plain loops next door) on the same numbers: they may differ by how
//! results are rounded and by the coarser sigmoid.

use half::bf16;

use super::*;

/// Half a unit in the last of bfloat16's eight digits, at most so much of a value.
const ROUNDING: f64 = 1.0 / 256.0;

#[allow(clippy::print_stderr, reason = "a test that tests nothing says so")]
fn half_cpu() -> Option<(Cpu, HalfCpu)> {
    let half = HalfCpu::new();
    if half.is_none() {
        eprintln!("not tested: this processor does not multiply bfloat16");
    }
    Some((Cpu::new(Backend::detect())?, half?))
}

/// Numbers in both formats.
fn both(values: &Buffer) -> (Buffer, Buffer<bf16>) {
    let half: Vec<bf16> = values.iter().map(|&v| bf16::round(v)).collect();
    let wide: Vec<f32> = half.iter().map(|v| v.widen()).collect();
    (Buffer::of(&wide), Buffer::of(&half))
}

/// `found` is `expected` but for its rounding and for `slack` of `scale`.
#[track_caller]
fn assert_rounded<E: Element>(found: &[E], expected: &[f32], slack: f64, scale: f64) {
    let rounding = if E::STEP == 2 { ROUNDING } else { 0.0 };
    for (i, (found, &expected)) in found.iter().zip(expected).enumerate() {
        let (found, expected) = (f64::from(found.widen()), f64::from(expected));
        let bound = rounding * expected.abs() + slack * scale;
        assert!((found - expected).abs() <= bound, "{i}: {found} for {expected}");
    }
}

#[test]
fn rounding_is_to_the_nearest_and_keeps_what_is_not_a_number() {
    let mut random = Random::new("rounding");
    let special =
        [0.0, -0.0, 1e-40, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
    let halfway = [0x3f80_8000u32, 0x3f81_8000, 0x3f80_8001, 0x7f80_0001, 0xffff_ffff];
    let any = (0..20_000).map(|_| f32::from_bits(random.0.random()));
    for value in special.into_iter().chain(halfway.map(f32::from_bits)).chain(any) {
        let (found, expected) = (bf16::round(value), bf16::from_f32(value));
        assert_eq!(found.to_bits(), expected.to_bits(), "{value:e}");
    }
}

#[test]
fn products_are_those_of_f32() {
    let Some((cpu, own)) = half_cpu() else { return };
    let mut random = Random::new("half product");
    for _ in 0..40 {
        let (m, k, n) = (1 + random.below(60), 1 + random.below(70), 1 + random.below(150));
        let ((a, half_a), (b, _)) = (both(&random.rows(m, k)), both(&random.rows(k, n)));
        let (mut packed, mut half_packed) = (Packed::new(k, n), Packed::new(k, n));
        packed.pack(&b, padded(n), 1);
        half_packed.pack(&b, padded(n), 1);
        let mut c = random.rows(m, n);
        let mut half_c = Buffer::of(&c);
        let accumulate = random.below(2) == 1;
        let (lda, ldc) = (padded(k), padded(n));
        product(own, m, (&*half_a, lda), &half_packed, (&mut *half_c, ldc), accumulate);
        product(cpu, m, (&*a, lda), &packed, (&mut *c, ldc), accumulate);
        assert_rounded(&half_c, &c, 2e-5, 10.0);
        let mut half_c: Buffer<bf16> = Buffer::zeros(m * ldc);
        product(own, m, (&*half_a, lda), &half_packed, (&mut *half_c, ldc), false);
        product(cpu, m, (&*a, lda), &packed, (&mut *c, ldc), false);
        assert_rounded(&half_c, &c, 2e-5, 10.0);

        // The same rows as one side of an outer product.
        let (wide, half_wide) = both(&random.rows(m, n));
        let mut sum = random.rows(padded(k), n);
        let mut half_sum = Buffer::of(&sum);
        let first = random.below(2) == 1;
        let mut room = Buffer::zeros(outer_room::<bf16>(m, k, n));
        room.fill(f32::NAN);
        let wide_of = (&*half_wide, ldc, n);
        outer(own, m, (&*half_a, lda, k), wide_of, &mut half_sum, first, &mut room);
        outer(cpu, m, (&*a, lda, k), (&*wide, ldc, n), &mut sum, first, &mut []);
        assert_rounded(&half_sum, &sum, 2e-5, 10.0);
    }
}

#[test]
fn elementwise_passes_and_sums_are_those_of_f32() {
    let Some((cpu, own)) = half_cpu() else { return };
    let mut random = Random::new("half elementwise");
    for _ in 0..8 {
        let (rows, channels) = (1 + random.below(300), 1 + random.below(70));
        let c = padded(channels);
        let ((x, half_x), (da, half_da)) =
            (both(&random.rows(rows, channels)), both(&random.rows(rows, channels)));
        let n = rows * c;
        let (x, half_x, da, half_da) = (&x[..n], &half_x[..n], &da[..n], &half_da[..n]);
        let v: Vec<Buffer> = (0..5).map(|_| random.rows(1, channels)).collect();
        let v: [&[f32]; 5] = [&v[0], &v[1], &v[2], &v[3], &v[4]];
        let mut out: Vec<Buffer> = (0..5).map(|_| Buffer::zeros(rows * c)).collect();
        let mut half: Vec<Buffer<bf16>> = (0..5).map(|_| Buffer::zeros(rows * c)).collect();
        let mut sums: Vec<Sums> = (0..3).map(|_| Sums::new(c, 5)).collect();
        let mut half_sums: Vec<Sums> = (0..3).map(|_| Sums::new(c, 5)).collect();
        let vectors = [v[0], v[1], v[2]];
        activate(cpu, x, (v[0], v[1]), Some(v[4]), &mut out[0]);
        activate(own, half_x, (v[0], v[1]), Some(v[4]), &mut half[0]);
        combine(cpu, da, x, vectors, &mut out[1]);
        combine(own, half_da, half_x, vectors, &mut half[1]);
        combine(own, da, x, vectors, &mut half[2]);
        pool(cpu, x, (v[0], v[1]), &mut sums[0]);
        pool(own, half_x, (v[0], v[1]), &mut half_sums[0]);
        project_sums(cpu, da, x, v, &mut out[3], &mut sums[1]);
        project_sums(own, half_da, half_x, v, &mut half[3], &mut half_sums[1]);
        pool_gradient(cpu, x, v, &mut out[4], &mut sums[2]);
        pool_gradient(own, half_x, v, &mut half[4], &mut half_sums[2]);
        for (half, wide) in
            [(0, 0), (1, 1), (2, 1), (3, 3), (4, 4)].map(|(h, w)| (&half[h], &out[w]))
        {
            assert_rounded(half, wide, 5e-4, 5.0);
        }
        for (half, wide) in half_sums.iter_mut().zip(&mut sums) {
            for n in 0..5 {
                for (found, expected) in half.get(n).iter().zip(wide.get(n)) {
                    let bound = 5e-4 * 5.0 * rows as f64;
                    assert!((found - expected).abs() <= bound, "{n}: {found} for {expected}");
                }
            }
        }
        let (mut wide, mut half) = (Moments::new(c), Moments::new(c));
        wide.add(cpu, x);
        half.add(own, half_x);
        let mut expected = Vec::new();
        wide.finish(|_, mean, m2| expected.push((mean, m2)));
        half.finish(|i, mean, m2| assert_eq!((mean, m2), expected[i]));
    }
}

#[test]
fn depthwise_passes_are_those_of_f32() {
    let Some((cpu, own)) = half_cpu() else { return };
    let mut random = Random::new("half depthwise");
    for round in 0..60 {
        let case = Depthwise::new(&mut random);
        let (g, activated) = (case.g, round % 2 == 0);
        let residual = (round % 4 < 2).then_some(&case.residual[..]);
        let weights = case.packed();
        let v = |n: usize| &case.v[n][..];
        let ((x, half_x), (da, half_da)) = (both(&case.x), both(&case.da));
        let (forward, half_forward) = match activated {
            true => {
                let norm = (v(0), v(1));
                (ForwardInput::Activated(&x[..], norm), ForwardInput::Activated(&half_x[..], norm))
            }
            false => (ForwardInput::Plain(&case.x), ForwardInput::Plain(&case.x)),
        };
        let written = g.output * g.output * g.channels;
        let (mut out, mut half_out) = (Buffer::zeros(written), Buffer::zeros(written));
        let mut scratch = Buffer::zeros(g.forward_scratch().max(g.backward_scratch()));
        scratch.fill(f32::NAN);
        depthwise_forward(cpu, g, forward, &weights, &mut out, &mut scratch);
        depthwise_forward(own, g, half_forward, &weights, &mut half_out, &mut scratch);
        assert_rounded::<bf16>(&half_out[..written], &out[..written], 3e-4, 40.0);

        // Both backward passes from the same output.
        let wide_out = Buffer::of(&half_out.iter().map(|v| v.widen()).collect::<Vec<_>>());
        let vectors = [v(4), v(5), v(6), v(7), v(8), v(9), v(10)];
        let inner = [v(0), v(1), v(2), v(3)];
        let len = g.kernel * g.kernel * g.channels;
        let mut sums = [Sums::new(g.channels, 2), Sums::new(g.channels, 2)];
        let (mut dw, mut half_dw) = (Buffer::zeros(len), Buffer::zeros(len));
        let (mut dx, mut half_dx) = (Buffer::zeros(case.x.len()), Buffer::zeros(case.x.len()));
        let mut plain_dx = Buffer::zeros(case.x.len());
        let [first, second] = &mut sums;
        let (input, half_input) = match activated {
            true => {
                let (x, dx, half_dx) = (&x[..], &mut dx[..], &mut half_dx[..]);
                let (vectors, half_x) = (inner, &half_x[..]);
                (
                    DepthwiseInput::Activated { x, dx, vectors, sums: first, residual },
                    DepthwiseInput::Activated {
                        x: half_x,
                        dx: half_dx,
                        vectors,
                        sums: second,
                        residual,
                    },
                )
            }
            false => (
                DepthwiseInput::Plain { x: &case.x, dx: &mut dx, residual },
                DepthwiseInput::Plain { x: &case.x, dx: &mut plain_dx, residual },
            ),
        };
        let gradient = Gated { da: &da[..], out: &wide_out[..], vectors };
        depthwise_backward(cpu, g, &gradient, input, &weights, &mut dw, &mut scratch);
        let gradient = Gated { da: &half_da[..], out: &half_out[..], vectors };
        depthwise_backward(own, g, &gradient, half_input, &weights, &mut half_dw, &mut scratch);
        match activated {
            true => assert_rounded::<bf16>(&half_dx, &dx, 1e-3, 200.0),
            false => assert_rounded::<f32>(&plain_dx, &dx, 1e-3, 200.0),
        }
        let pixels = (g.output * g.output) as f64;
        assert_rounded::<f32>(&half_dw, &dw, 1e-3, 40.0 * pixels);
        let [first, second] = &mut sums;
        for n in 0..2 {
            for (found, expected) in second.get(n).iter().zip(first.get(n)) {
                let bound = 1e-3 * 200.0 * (g.input * g.input) as f64;
                assert!((found - expected).abs() <= bound, "{n}: {found} for {expected}");
            }
        }
    }
}
