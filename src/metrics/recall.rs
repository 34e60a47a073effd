//! Recall: the fraction of a class's examples that were found (paper,
//! equation 8). Astronomers call it completeness.

use super::{Confusion, ratio};

/// The recall of each class, 0 to 1; 0 for a class without examples.
pub fn recall(matrix: &Confusion) -> Vec<f64> {
    (0..matrix.len()).map(|class| ratio(matrix.get(class, class), matrix.support(class))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::confusion::tests::table_3;

    #[test]
    fn table_3_gives_table_4() {
        let found: Vec<String> = recall(&table_3()).iter().map(|r| format!("{r:.4}")).collect();
        assert_eq!(found, ["0.9633", "0.9628", "0.7069", "0.9616", "0.9834"]);
    }

    #[test]
    fn a_class_without_examples_has_none() {
        assert_eq!(recall(&Confusion::new(&["a".into()])), [0.0]);
    }
}
