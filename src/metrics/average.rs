//! The macro average: every class counts the same, however rare (the paper's
//! `Avg`). A class without examples has nothing that could be averaged, and is
//! left out.

use super::Confusion;

/// The mean of `values`, one a class, over the classes with examples; 0 for
/// none.
///
/// # Panics
/// If there are fewer values than classes.
pub fn macro_average_of(matrix: &Confusion, values: &[f64]) -> f64 {
    let there = (0..matrix.len()).filter(|&class| matrix.support(class) > 0);
    macro_average(&there.map(|class| values[class]).collect::<Vec<_>>())
}

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
    fn classes_without_examples_are_left_out() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let matrix = Confusion::from_rows(&names, &[vec![3, 1, 0], vec![0, 0, 0], vec![1, 0, 1]]);
        assert_eq!(macro_average_of(&matrix, &recall(&matrix)), (0.75 + 0.5) / 2.0);
        assert_eq!(macro_average_of(&Confusion::new(&names), &[0.0; 3]), 0.0);
    }

    #[test]
    fn table_3_gives_table_4() {
        let rounded = |values: Vec<f64>| format!("{:.4}", macro_average(&values));
        assert_eq!(rounded(recall(&table_3())), "0.9156");
        assert_eq!(rounded(f1(&table_3())), "0.9227");
        assert_eq!(rounded(precision(&table_3())), "0.9307");
        // The paper prints 0.9302: the mean of the precisions as it prints
        // them, its slip for CSS (0.7855 for 0.7885) among them.
        assert_eq!(rounded(vec![0.9679, 0.9499, 0.7855, 0.9641, 0.9834]), "0.9302");
    }
}
