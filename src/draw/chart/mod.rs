//! Charts as SVG: within a page, or as files of their own.
//!
//! | file | what it draws |
//! | --- | --- |
//! | [`axis`] | axes with round ticks, and the frame that they stand at |
//! | [`bars`] | counts by name, and histograms |
//! | [`matrix`] | what was taken for what |
//! | [`lines`] | curves, within a page and as a file, and reliability by bins |
//! | [`sky`] | where on the sky, as a map |
//!
//! Colours are classes of the page's style sheet, which has one of them for light and
//! one for dark: those of Okabe & Ito (2008) for what has a name, viridis for what
//! has a size; both differ for the colour-blind too. What a chart says on hovering it
//! says in `<title>` elements, which need no script.
//!
//! Invariants: every text is escaped (maud does it); every coordinate is finite,
//! whatever the numbers.

pub mod axis;
pub mod bars;
pub mod lines;
pub mod matrix;
pub mod sky;

use super::colours::viridis;

/// Colours of things that have names, on light paper (Okabe & Ito's, one of them
/// darker, and two more): `c0` to `c7` of the style sheet. The ninth has the first one's
/// again.
pub const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b98900", "#56b4e9", "#7a5195", "#6b7280"];

/// The class of the style sheet of things that have no name, and so no colour.
pub const UNNAMED: &str = "unnamed";

/// The class of the style sheet of the thing at `place`.
pub fn colour(place: usize) -> String {
    format!("c{}", place % COLOURS.len())
}

/// A coordinate, to a tenth of a pixel; what is not finite is 0.
fn at(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A part of a whole as a percentage: `12.3 %`, `0.004 %`; nothing of nothing.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = 100.0 * part as f64 / whole as f64;
    match percent {
        p if p == 0.0 || p >= 0.1 => format!("{p:.1} %"),
        p => format!("{p:.0$} %", (-p.log10()).ceil().clamp(1.0, 8.0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_finite() {
        assert_eq!([0.0, 1.04, 12.96, -3.0].map(at), ["0", "1", "13", "-3"]);
        assert_eq!([f64::NAN, f64::INFINITY].map(at), ["0", "0"]);
        assert_eq!(percent(1, 8), "12.5 %");
        assert_eq!(percent(3, 100_000), "0.003 %");
        assert_eq!(percent(0, 7), "0.0 %");
        assert_eq!(percent(0, 0), "–");
    }
}
