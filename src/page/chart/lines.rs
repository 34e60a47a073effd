//! Curves over a common axis, and how often what is said with some confidence is
//! right.

use maud::{Markup, html};

use super::axis::{Axis, Frame};
use super::{at, colour, count};

/// A curve.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is of.
    pub name: String,
    /// The place of its colour.
    pub colour: usize,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Its points, from left to right; one that is not finite is a gap.
    pub points: Vec<(f64, f64)>,
}

/// Draws curves, and below them what each is.
pub fn lines(title: &str, across: &Axis, up: &Axis, lines: &[Line]) -> Markup {
    let frame = Frame::new(420.0, 270.0);
    let place = |(x, y): &(f64, f64)| {
        format!("{},{}", at(frame.x(across.place(*x))), at(frame.y(up.place(*y))))
    };
    let is_point = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    html! {
        svg viewBox=(format!("0 0 {} {}", frame.width, frame.height)) role="img" aria-label=(title) {
            (frame.axes(across, up))
            @for line in lines {
                @let class = format!("line {}{}", colour(line.colour), if line.dashed { " dashed" } else { "" });
                g {
                    title { (line.name) }
                    @for part in line.points.split(|p| !is_point(p)).filter(|part| !part.is_empty()) {
                        @match part {
                            [only] => circle class=(class) r="2.5"
                                cx=(at(frame.x(across.place(only.0))))
                                cy=(at(frame.y(up.place(only.1)))) {},
                            _ => polyline class=(class)
                                points=(part.iter().map(place).collect::<Vec<_>>().join(" ")) {},
                        }
                    }
                }
            }
        }
        (legend(lines))
    }
}

/// What each curve is.
fn legend(lines: &[Line]) -> Markup {
    html! {
        ul class="legend" {
            @for line in lines {
                li {
                    svg class="key" viewBox="0 0 26 10" aria-hidden="true" {
                        path d="M1 5H25" class=(format!(
                            "line {}{}", colour(line.colour), if line.dashed { " dashed" } else { "" }
                        )) {}
                    }
                    (line.name)
                }
            }
        }
    }
}

/// Predictions of one bin of confidence.
#[derive(Debug, Clone, Copy)]
pub struct Bin {
    /// How many.
    pub rows: u64,
    /// Those that are right.
    pub right: u64,
    /// The mean of their confidences.
    pub confidence: f64,
}

/// How many are right, by confidence: dots on the diagonal are as often right as
/// they say. A dot's area grows with its rows, and its bar spans the binomial
/// standard error.
pub fn reliability(title: &str, bins: &[Bin]) -> Markup {
    let frame = Frame::new(420.0, 330.0);
    let across = Axis::new("confidence", 0.0, 1.0, 5);
    let up = Axis::new("fraction right", 0.0, 1.0, 5);
    let most = bins.iter().map(|bin| bin.rows).max().unwrap_or(1).max(1) as f64;
    html! {
        svg viewBox=(format!("0 0 {} {}", frame.width, frame.height)) role="img" aria-label=(title) {
            (frame.axes(&across, &up))
            path class="soft line dashed" d=(format!(
                "M{} {}L{} {}", at(frame.x(0.0)), at(frame.y(0.0)), at(frame.x(1.0)), at(frame.y(1.0))
            )) {}
            @for bin in bins.iter().filter(|bin| bin.rows > 0) {
                @let right = bin.right as f64 / bin.rows as f64;
                @let error = (right * (1.0 - right) / bin.rows as f64).sqrt();
                @let (x, y) = (frame.x(across.place(bin.confidence)), frame.y(up.place(right)));
                g {
                    title {
                        (format!("mean confidence {:.3}: {:.3} right of ", bin.confidence, right))
                        (count(bin.rows))
                    }
                    path class="line c0" d=(format!(
                        "M{} {}V{}", at(x), at(frame.y(up.place(right - error))), at(frame.y(up.place(right + error)))
                    )) {}
                    circle class="c0" cx=(at(x)) cy=(at(y))
                        r=(at(3.0 + 6.0 * (bin.rows as f64 / most).sqrt())) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_a_gap() {
        let points = [0.5, 0.6, f64::NAN, 0.7, 0.8, f64::INFINITY, 0.9];
        let points = points.iter().zip(0..).map(|(y, x)| (f64::from(x), *y)).collect();
        let line = Line { name: "a<b".into(), colour: 0, dashed: true, points };
        let (across, up) = (Axis::new("epoch", 0.0, 6.0, 6), Axis::new("loss", 0.0, 1.0, 5));
        let drawn = lines("curves", &across, &up, &[line]).into_string();
        assert_eq!((drawn.matches("<polyline").count(), drawn.matches("<circle").count()), (2, 1));
        assert!(!drawn.contains("NaN") && !drawn.contains("inf") && drawn.contains("a&lt;b"));
    }

    #[test]
    fn a_dot_lies_where_it_should() {
        let bins = [
            Bin { rows: 100, right: 50, confidence: 0.5 },
            Bin { rows: 0, right: 0, confidence: 0.0 },
        ];
        let drawn = reliability("r", &bins).into_string();
        let frame = Frame::new(420.0, 330.0);
        let dot = format!("cx=\"{}\" cy=\"{}\"", at(frame.x(0.5)), at(frame.y(0.5)));
        assert!(drawn.contains(&dot), "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 1);
    }
}
