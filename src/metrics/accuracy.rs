//! Accuracy: the fraction of all examples that were predicted right (paper,
//! equation 7).

use super::{Confusion, ratio};

/// The accuracy, 0 to 1; 0 for no examples.
pub fn accuracy(matrix: &Confusion) -> f64 {
    ratio(matrix.correct(), matrix.total())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::confusion::tests::table_3;

    #[test]
    fn table_3_gives_the_papers_accuracy() {
        assert_eq!(format!("{:.4}", accuracy(&table_3())), "0.9632");
    }
}
