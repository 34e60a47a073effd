//! Precision: the fraction of a class's predictions that are right (paper,
//! equation 9). Astronomers call it purity.

use super::{Confusion, ratio};

/// The precision of each class, 0 to 1; 0 for a class never predicted.
pub fn precision(matrix: &Confusion) -> Vec<f64> {
    let of = |class| ratio(matrix.get(class, class), matrix.predictions(class));
    (0..matrix.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::confusion::tests::table_3;

    #[test]
    fn table_3_gives_table_4() {
        let found: Vec<String> = precision(&table_3()).iter().map(|p| format!("{p:.4}")).collect();
        // The paper prints 0.7855 for CSS, a slip: 41 of 52 is 0.7885, and
        // its F1 of 0.7455 follows from this one.
        assert_eq!(found, ["0.9679", "0.9499", "0.7885", "0.9641", "0.9834"]);
    }

    #[test]
    fn a_class_never_predicted_has_none() {
        assert_eq!(precision(&Confusion::new(&["a".into()])), [0.0]);
    }
}
