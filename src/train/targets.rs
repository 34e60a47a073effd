//! What the network is taught to answer: smoothed labels, and the loss that
//! compares answers with them.
//!
//! The loss here is the plain reference, in f64; the one that runs is part of
//! the training kernels.

/// Writes the target distribution of each image to its row of `out`
/// (`classes.len() × number`): `1 − smoothing` for its class and
/// `smoothing / (number − 1)` for the others (paper, equation 5).
///
/// PyTorch's `label_smoothing` is another: it spreads α over *all* classes, so
/// that its `α = smoothing × number / (number − 1)` is the same.
///
/// # Panics
/// If a class is not below `number`, or `out` has another length.
pub fn smoothed(classes: &[usize], number: usize, smoothing: f32, out: &mut [f32]) {
    assert_eq!(out.len(), classes.len() * number);
    // With a single class there is nobody to give the rest to.
    let (own, other) = match number {
        1 => (1.0, 0.0),
        _ => (1.0 - smoothing, smoothing / (number - 1) as f32),
    };
    for (&class, row) in classes.iter().zip(out.chunks_exact_mut(number)) {
        row.fill(other);
        row[class] = own;
    }
}

/// Writes what a model of votes learns of each image to its row of `out`:
/// fractions are smoothed question by question, as classes are; what nobody was
/// asked stays zero.
///
/// # Panics
/// If the lengths do not agree.
pub fn of_votes(
    votes: &[&[f32]],
    questions: &[std::ops::Range<usize>],
    smoothing: f32,
    out: &mut [f32],
) {
    let width = votes.first().map_or(0, |row| row.len());
    assert_eq!(out.len(), votes.len() * width);
    for (own, row) in votes.iter().zip(out.chunks_exact_mut(width.max(1))) {
        row.copy_from_slice(own);
        if smoothing == 0.0 {
            continue;
        }
        for question in questions {
            let of = &mut row[question.clone()];
            let sum: f32 = of.iter().sum();
            let others = of.len().saturating_sub(1).max(1) as f32;
            // Each gives its part to the others.
            of.iter_mut().for_each(|t| *t += smoothing * ((sum - *t) / others - *t));
        }
    }
}

/// Cross-entropy between the softmax of `logits` and `targets`, both rows of
/// `number`, as the mean of the rows: −Σ t · log softmax(z). It is NaN for no
/// rows.
///
/// # Panics
/// If the lengths differ.
pub fn cross_entropy(logits: &[f32], targets: &[f32], number: usize) -> f64 {
    assert_eq!(logits.len(), targets.len());
    let rows = logits.chunks_exact(number).zip(targets.chunks_exact(number));
    let sum: f64 = rows
        .map(|(logits, targets)| {
            let logits: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = logits.iter().map(|z| (z - most).exp()).sum::<f64>().ln() + most;
            let terms = logits.iter().zip(targets).map(|(z, &t)| f64::from(t) * (total - z));
            terms.sum::<f64>()
        })
        .sum();
    sum / (logits.len() / number) as f64
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn the_papers_example() {
        // Section 3.3: CSS of five classes with α = 0.1.
        let mut row = [0.0; 5];
        smoothed(&[2], 5, 0.1, &mut row);
        assert_eq!(row, [0.025, 0.025, 0.9, 0.025, 0.025]);
    }

    #[test]
    fn rows_are_distributions() {
        for number in 1..6 {
            let mut row = vec![9.0; number];
            smoothed(&[number - 1], number, 0.05, &mut row);
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            smoothed(&[0], number, 0.0, &mut row);
            assert_eq!(row[0], 1.0);
            assert!(row[1..].iter().all(|&t| t == 0.0));
        }
    }

    #[test]
    fn votes_are_smoothed_question_by_question() {
        let mut out = [9.0; 5];
        of_votes(&[&[1.0, 0.0, 0.0, 0.0, 0.0]], &[0..3, 3..5], 0.1, &mut out);
        for (found, expected) in out.iter().zip([0.9, 0.05, 0.05, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{out:?}");
        }
        let mut even = [0.0; 2];
        of_votes(&[&[0.5, 0.5]], std::slice::from_ref(&(0..2)), 0.3, &mut even);
        assert_eq!(even, [0.5, 0.5]);
    }

    #[derive(Deserialize)]
    struct Case {
        smoothing: f32,
        classes: Vec<usize>,
        logits: Vec<Vec<f32>>,
        loss: f64,
    }

    #[derive(Deserialize)]
    struct Golden {
        loss: Vec<Case>,
    }

    /// `tests/oracles/live/training.py` made the numbers with PyTorch.
    #[test]
    fn the_loss_is_pytorchs() {
        let text = include_str!("../../fixtures/golden/torch.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert!(golden.loss.len() >= 6);
        for case in golden.loss {
            let number = case.logits[0].len();
            let logits = case.logits.concat();
            let mut targets = vec![0.0; logits.len()];
            smoothed(&case.classes, number, case.smoothing, &mut targets);
            let found = cross_entropy(&logits, &targets, number);
            assert!((found - case.loss).abs() < 1e-6 * case.loss, "{found} and {}", case.loss);
        }
    }
}
