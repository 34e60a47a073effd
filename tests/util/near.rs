//! How far numbers are from those that are right, for the tests of the library and of the
//! program. Whatever is no number is never near: `f64::max` takes the other of two where
//! one is no number, so that a maximum of differences would hide it.

/// The largest magnitude; no number if one of them is none.
pub fn largest<N: Into<f64>>(values: impl IntoIterator<Item = N>) -> f64 {
    values.into_iter().fold(0.0, |most, value| {
        let value = value.into().abs();
        if most.is_nan() || value <= most { most } else { value }
    })
}

/// The largest difference.
pub fn apart<F, E>(found: &[F], expected: &[E]) -> f64
where
    F: Into<f64> + Copy,
    E: Into<f64> + Copy,
{
    assert_eq!(found.len(), expected.len());
    assert!(!found.is_empty(), "nothing is compared");
    largest(found.iter().zip(expected).map(|(f, e)| -> f64 { (*f).into() - (*e).into() }))
}

/// The largest difference, as a part of the largest value that is right.
pub fn off<F, E>(found: &[F], expected: &[E]) -> f64
where
    F: Into<f64> + Copy,
    E: Into<f64> + Copy,
{
    let scale = largest(expected.iter().copied());
    assert!(scale > 0.0 && scale.is_finite(), "what is right is up to {scale}");
    apart(found, expected) / scale
}

#[test]
fn what_is_no_number_is_never_near() {
    let right = [1.0, -4.0, 2.0];
    assert_eq!(off(&right, &right), 0.0);
    assert_eq!(off(&[1.0_f32, -4.0, 3.0], &right), 0.25);
    assert_eq!(apart(&[1.0_f32, 4.0, 2.0], &right), 8.0);
    for place in 0..3 {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut found = right;
            found[place] = wrong;
            assert!(!off(&found, &right).is_finite(), "{found:?}");
            assert!(!apart(&right, &found).is_finite(), "{found:?}");
            assert!(!apart(&found, &found).is_finite(), "{found:?}");
        }
    }
}
