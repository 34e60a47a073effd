//! How good predictions are, one file a metric (paper, section 5.1).
//!
//! Everything but calibration follows from the [`Confusion`] matrix. Where
//! predictions come from is none of its business.
//!
//! A ratio 0/0 (the recall of a class without examples, the precision of one
//! that is never predicted) is 0, as scikit-learn's `zero_division=0` has it;
//! [`ClassificationReport`] says which they are.

pub mod accuracy;
pub mod average;
pub mod average_precision;
pub mod calibration;
pub mod confidences;
pub mod confusion;
pub mod f1;
pub mod fit;
pub mod precision;
pub mod published;
pub mod recall;
pub mod report;
pub mod votes;

pub use accuracy::accuracy;
pub use average::{macro_average, macro_average_of};
pub use average_precision::average_precision;
pub use calibration::Calibration;
pub use confidences::Confidences;
pub use confusion::Confusion;
pub use f1::f1;
pub use fit::{Fit, fit};
pub use precision::precision;
pub use published::Published;
pub use recall::recall;
pub use report::ClassificationReport;
pub use votes::VoteReport;

/// `part / whole`, 0 for 0/0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
