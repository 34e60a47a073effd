//! The confusion matrix: what was taken for what.

use super::ratio;

/// Counts of predictions: rows are true classes, columns predicted ones, as
/// in the paper's table 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: Vec<String>,
    counts: Vec<u64>,
}

impl Confusion {
    /// An empty matrix for these classes.
    pub fn new(classes: &[String]) -> Self {
        Self { classes: classes.to_vec(), counts: vec![0; classes.len() * classes.len()] }
    }

    /// A matrix from its rows.
    ///
    /// # Panics
    /// Unless there are as many rows, and columns a row, as classes.
    pub fn from_rows(classes: &[String], rows: &[Vec<u64>]) -> Self {
        assert!(rows.len() == classes.len() && rows.iter().all(|r| r.len() == classes.len()));
        Self { classes: classes.to_vec(), counts: rows.concat() }
    }

    /// Counts a prediction.
    ///
    /// # Panics
    /// If a class is not one.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        assert!(truth < self.len() && predicted < self.len());
        self.counts[truth * self.classes.len() + predicted] += 1;
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// How often `truth` was taken for `predicted`.
    pub fn get(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes.len() + predicted]
    }

    /// Examples of a class.
    pub fn support(&self, truth: usize) -> u64 {
        (0..self.len()).map(|predicted| self.get(truth, predicted)).sum()
    }

    /// Predictions of a class.
    pub fn predictions(&self, predicted: usize) -> u64 {
        (0..self.len()).map(|truth| self.get(truth, predicted)).sum()
    }

    /// Examples of all classes.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Examples that were predicted right.
    pub fn correct(&self) -> u64 {
        (0..self.len()).map(|class| self.get(class, class)).sum()
    }

    /// The rows as counts.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        self.counts.chunks(self.len().max(1)).map(<[u64]>::to_vec).collect()
    }

    /// The rows as fractions of the class's examples (scikit-learn's
    /// `normalize="true"`).
    pub fn fractions(&self) -> Vec<Vec<f64>> {
        let row = |truth| {
            let support = self.support(truth);
            (0..self.len()).map(|predicted| ratio(self.get(truth, predicted), support)).collect()
        };
        (0..self.len()).map(row).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The paper's table 3: HIWL on the test split.
    pub(in crate::metrics) fn table_3() -> Confusion {
        let classes = ["CRS", "IBS", "CSS", "EO", "SPI"].map(String::from);
        let rows = [
            vec![813, 26, 0, 0, 5],
            vec![25, 777, 0, 0, 5],
            vec![0, 6, 41, 11, 0],
            vec![0, 1, 11, 376, 3],
            vec![2, 8, 0, 3, 768],
        ];
        Confusion::from_rows(&classes, &rows)
    }

    #[test]
    fn rows_are_true_and_columns_predicted() {
        let mut matrix = Confusion::new(&["a", "b"].map(String::from));
        for (truth, predicted) in [(0, 1), (0, 1), (0, 0), (1, 1)] {
            matrix.add(truth, predicted);
        }
        assert_eq!(matrix.rows(), [[1, 2], [0, 1]]);
        assert_eq!((matrix.support(0), matrix.predictions(0)), (3, 1));
        assert_eq!((matrix.total(), matrix.correct()), (4, 2));
        assert_eq!(matrix.fractions(), [[1.0 / 3.0, 2.0 / 3.0], [0.0, 1.0]]);
    }

    #[test]
    fn table_3_has_the_papers_supports() {
        let matrix = table_3();
        let supports: Vec<u64> = (0..5).map(|class| matrix.support(class)).collect();
        // Table 2's test split.
        assert_eq!(supports, [844, 807, 58, 391, 781]);
        assert_eq!(matrix.total(), 2881);
    }
}
