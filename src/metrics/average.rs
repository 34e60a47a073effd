//! The macro average: every class counts the same, however rare (the paper's
//! `Avg`).

/// The arithmetic mean over the classes; 0 for no classes.
pub fn macro_average(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::confusion::tests::table_3;
    use crate::metrics::{f1, precision, recall};

    #[test]
    fn table_3_gives_table_4() {
        let rounded = |values: Vec<f64>| format!("{:.4}", macro_average(&values));
        assert_eq!(rounded(recall(&table_3())), "0.9156");
        assert_eq!(rounded(f1(&table_3())), "0.9227");
        // The paper prints 0.9302, the mean with its slip for CSS.
        let mut own = precision(&table_3());
        assert_eq!(rounded(own.clone()), "0.9308");
        own[2] = 0.7855;
        assert_eq!(rounded(own), "0.9302");
    }
}
