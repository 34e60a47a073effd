//! Counts by name as bars, and histograms.

use maud::{Markup, html};

use super::axis::{Axis, Frame};
use super::{at, colour, percent};
use crate::words::count;

/// A bar: a name, how many, and the place of its colour.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What is counted.
    pub name: String,
    /// How many.
    pub rows: u64,
    /// By which the style sheet knows its colour.
    pub colour: usize,
}

/// Bars that lie below one another, each with its count and its share of `whole`.
pub fn bars(title: &str, bars: &[Bar], whole: u64) -> Markup {
    const LINE: f64 = 26.0;
    let longest = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * 7.5 + 10.0).clamp(40.0, 170.0);
    let (width, right) = (420.0, 118.0);
    let height = LINE * bars.len() as f64 + 6.0;
    let most = bars.iter().map(|bar| bar.rows).max().unwrap_or(0).max(1) as f64;
    html! {
        svg viewBox=(format!("0 0 {width} {}", at(height))) role="img" aria-label=(title) {
            @for (place, bar) in bars.iter().enumerate() {
                @let top = 3.0 + LINE * place as f64;
                @let long = bar.rows as f64 / most * (width - left - right);
                g {
                    title { (bar.name) ": " (count(bar.rows)) " (" (percent(bar.rows, whole)) ")" }
                    text x=(at(left - 8.0)) y=(at(top + 16.0)) text-anchor="end" { (short(&bar.name)) }
                    rect class=(colour(bar.colour)) x=(at(left)) y=(at(top + 2.0))
                        width=(at(long.max(if bar.rows > 0 { 1.0 } else { 0.0 })))
                        height=(at(LINE - 6.0)) rx="2" {}
                    text x=(at(left + long + 6.0)) y=(at(top + 16.0)) {
                        (count(bar.rows)) tspan class="soft" { " " (percent(bar.rows, whole)) }
                    }
                }
            }
        }
    }
}

/// The beginning of a long name; all of it is told on hovering.
fn short(name: &str) -> String {
    if name.chars().count() <= 22 {
        return name.to_owned();
    }
    name.chars().take(21).collect::<String>() + "…"
}

/// Counts by bins of equal width between two values.
pub fn histogram(title: &str, across: &str, bins: &[u64], range: [f64; 2], hue: usize) -> Markup {
    // Room for `300 k` beside the title.
    let frame = Frame { left: 64.0, ..Frame::new(300.0, 180.0) };
    let x_axis = Axis::new(across, range[0], range[1], 5);
    let y_axis = Axis::from_zero("rows", bins.iter().map(|rows| *rows as f64), true);
    let edge = |bin: usize| bin as f64 / bins.len().max(1) as f64;
    let value = |bin: usize| range[0] + edge(bin) * (range[1] - range[0]);
    html! {
        svg viewBox=(format!("0 0 {} {}", frame.width, frame.height)) role="img" aria-label=(title) {
            (frame.axes(&x_axis, &y_axis))
            @for (bin, rows) in bins.iter().enumerate().filter(|(_, rows)| **rows > 0) {
                @let (left, right) = (frame.x(edge(bin)), frame.x(edge(bin + 1)));
                // A lone row is seen beside a million.
                @let top = frame.y(y_axis.place(*rows as f64)).min(frame.y(0.0) - 1.0);
                rect class=(colour(hue)) x=(at(left + 0.5)) y=(at(top)) width=(at(right - left - 1.0))
                    height=(at(frame.y(0.0) - top)) {
                    title { (format!("{:.3} – {:.3}: ", value(bin), value(bin + 1))) (count(*rows)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_counts_and_names_are_text() {
        let bar = |name: &str, rows, colour| Bar { name: name.into(), rows, colour };
        let drawn = bars("labels", &[bar("SPI", 200, 0), bar("<b>", 100, 1)], 300).into_string();
        let widths: Vec<f64> = drawn
            .split("width=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.01, "{widths:?}");
        assert!(drawn.contains("&lt;b&gt;") && !drawn.contains("<b>"));
        assert!(drawn.contains("66.7 %"));
    }

    #[test]
    fn a_histogram_has_a_bar_for_each_bin_with_rows() {
        let drawn = histogram("c", "confidence", &[0, 5, 0, 10], [0.0, 1.0], 2).into_string();
        assert_eq!(drawn.matches("<rect").count(), 2);
        assert!(drawn.contains("0.750 – 1.000: 10"), "{drawn}");
        assert!(!histogram("c", "", &[], [0.0, 0.0], 0).into_string().contains("NaN"));
    }
}
