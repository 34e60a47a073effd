//! A confusion matrix: rows are what galaxies are, columns what they were taken for,
//! shaded by the share of the row.

use maud::{Markup, html};

use super::{at, percent, viridis};
use crate::words::count;

/// Draws a matrix of counts; there are as many rows, and columns a row, as classes.
/// `example` links a cell to an example of it, if there is one.
pub fn matrix(
    classes: &[String],
    counts: &[Vec<u64>],
    example: &dyn Fn(usize, usize) -> Option<String>,
) -> Markup {
    let side = classes.len().max(1) as f64;
    let cell = (360.0 / side).clamp(14.0, 62.0);
    let (left, top) = (86.0, 50.0);
    let (width, height) = (left + side * cell + 8.0, top + side * cell + 8.0);
    // More numbers than can be read are told on hovering alone.
    let written = cell >= 30.0;
    html! {
        svg class="matrix" viewBox=(format!("0 0 {} {}", at(width), at(height))) role="img"
            style=(format!("max-width:{}px", at(1.15 * width))) aria-label="Confusion matrix" {
            text class="title" x=(at(left + side * cell / 2.0)) y="14" text-anchor="middle" { "labelled" }
            text class="title" x="12" y=(at(top + side * cell / 2.0)) text-anchor="middle"
                transform=(format!("rotate(-90 12 {})", at(top + side * cell / 2.0))) { "truth" }
            @for (place, name) in classes.iter().enumerate() {
                @let middle = (place as f64 + 0.5) * cell;
                text x=(at(left + middle)) y=(at(top - 8.0)) text-anchor="middle" {
                    title { (name) } (short(name, cell))
                }
                text x=(at(left - 8.0)) y=(at(top + middle + 4.0)) text-anchor="end" {
                    title { (name) } (short(name, 56.0))
                }
            }
            @for (truth, row) in counts.iter().enumerate() {
                @let whole = row.iter().sum::<u64>();
                @for (said, rows) in row.iter().enumerate() {
                    @let share = if whole == 0 { 0.0 } else { *rows as f64 / whole as f64 };
                    @let drawn = drawn([left + said as f64 * cell, top + truth as f64 * cell, cell], *rows,
                        whole, share, written, [classes.get(truth), classes.get(said)]);
                    @match example(truth, said) {
                        Some(link) => a href=(link) { (drawn) },
                        None => (drawn),
                    }
                }
            }
        }
    }
}

fn drawn(
    [x, y, side]: [f64; 3],
    rows: u64,
    whole: u64,
    share: f64,
    written: bool,
    names: [Option<&String>; 2],
) -> Markup {
    // Square root: one wrong galaxy in a hundred is seen.
    let [r, g, b] = viridis(share.sqrt());
    let light = 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b) > 120.0;
    let [truth, said] = names.map(|name| name.map_or("", String::as_str));
    html! {
        g {
            title { (truth) " labelled " (said) ": " (count(rows)) " (" (percent(rows, whole)) " of " (truth) ")" }
            rect x=(at(x + 0.5)) y=(at(y + 0.5)) width=(at(side - 1.0)) height=(at(side - 1.0))
                fill=(format!("#{r:02x}{g:02x}{b:02x}")) {}
            @if written {
                text x=(at(x + side / 2.0)) y=(at(y + side / 2.0 - 1.0)) text-anchor="middle"
                    style=(if light { "fill:#000" } else { "fill:#fff" }) { (count(rows)) }
                text x=(at(x + side / 2.0)) y=(at(y + side / 2.0 + 13.0)) text-anchor="middle"
                    style=(if light { "fill:#000;font-size:10px" } else { "fill:#fff;font-size:10px" }) {
                    (percent(rows, whole))
                }
            }
        }
    }
}

/// As much of a name as fits into some pixels.
fn short(name: &str, pixels: f64) -> String {
    let most = (pixels / 7.0).max(2.0) as usize;
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).collect::<String>() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_says_what_it_counts() {
        let classes = ["CRS", "<i>"].map(String::from);
        let example = |truth, said| (truth != said).then(|| format!("#row-{truth}{said}"));
        let drawn = matrix(&classes, &[vec![90, 10], vec![0, 0]], &example).into_string();
        assert!(drawn.contains("CRS labelled &lt;i&gt;: 10 (10.0 % of CRS)"), "{drawn}");
        assert!(drawn.contains("href=\"#row-01\"") && !drawn.contains("<i>"));
        assert_eq!(drawn.matches("<rect").count(), 4);
        assert!(!matrix(&[], &[], &|_, _| None).into_string().contains("NaN"));
    }
}
