//! F1: the harmonic mean of precision and recall (paper, equation 10).

use super::{Confusion, ratio};

/// The F1 of each class, 0 to 1, as 2·TP / (examples + predictions); 0 for a
/// class with neither.
pub fn f1(matrix: &Confusion) -> Vec<f64> {
    let of = |class| {
        let both = matrix.support(class) + matrix.predictions(class);
        ratio(2 * matrix.get(class, class), both)
    };
    (0..matrix.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::confusion::tests::table_3;

    #[test]
    fn table_3_gives_table_4() {
        let found: Vec<String> = f1(&table_3()).iter().map(|f| format!("{f:.4}")).collect();
        assert_eq!(found, ["0.9656", "0.9563", "0.7455", "0.9629", "0.9834"]);
    }

    #[test]
    fn a_class_that_never_occurs_has_none() {
        assert_eq!(f1(&Confusion::new(&["a".into()])), [0.0]);
    }
}
