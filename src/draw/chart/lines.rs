//! Curves over a common axis, and how often what is said with some confidence is
//! right.

use maud::{Markup, html};

use super::axis::{Axis, Frame};
use super::{COLOURS, at, colour};
use crate::words::count;

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

/// Curves over common axes.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The axis below.
    pub across: Axis,
    /// The axis to the left.
    pub up: Axis,
    /// Its curves.
    pub lines: Vec<Line>,
}

/// Points of a curve up to which each says its value on hovering.
const TOLD: usize = 100;

impl Chart {
    /// Draws the curves for a page, and below them what each is.
    pub fn on_page(&self) -> Markup {
        let frame = Frame::new(420.0, 270.0);
        html! {
            svg class="lines" viewBox=(format!("0 0 {} {}", frame.width, frame.height)) role="img"
                aria-label=(self.title) {
                (self.drawn(frame))
            }
            ul class="legend" {
                @for (place, line) in self.lines.iter().enumerate() {
                    li data-line=(place) {
                        svg class="key" viewBox="0 0 26 10" aria-hidden="true" {
                            path d="M1 5H25" class=(line.class()) {}
                        }
                        (line.name)
                    }
                }
            }
        }
    }

    /// The axes and the curves.
    fn drawn(&self, frame: Frame) -> Markup {
        let Self { across, up, .. } = self;
        let place = |(x, y): &(f64, f64)| (frame.x(across.place(*x)), frame.y(up.place(*y)));
        let pair = |point: &(f64, f64)| {
            let (x, y) = place(point);
            format!("{},{}", at(x), at(y))
        };
        let is_point = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let few = self.lines.iter().all(|line| line.points.len() <= TOLD);
        html! {
            (frame.axes(across, up))
            @for (order, line) in self.lines.iter().enumerate() {
                g data-line=(order) {
                    title { (line.name) }
                    @for part in line.points.split(|p| !is_point(p)).filter(|part| !part.is_empty()) {
                        @match part {
                            [only] => {
                                @let (x, y) = place(only);
                                circle class=(line.class()) r="2.5" cx=(at(x)) cy=(at(y)) {}
                            },
                            _ => polyline class=(line.class())
                                points=(part.iter().map(pair).collect::<Vec<_>>().join(" ")) {},
                        }
                    }
                    @for point in line.points.iter().filter(|point| few && is_point(point)) {
                        @let (x, y) = place(point);
                        circle class="spot" r="5" cx=(at(x)) cy=(at(y)) {
                            title { (line.name) ": " (up.title) " " (number(point.1)) ", " (across.title) " " (number(point.0)) }
                        }
                    }
                }
            }
        }
    }
}

impl Line {
    fn class(&self) -> String {
        format!("line {}{}", colour(self.colour), if self.dashed { " dashed" } else { "" })
    }
}

/// A number with at most four decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Charts as a file of their own, one below the other, each with what its curves are.
///
/// Invariant: it is well-formed XML in which every coordinate is finite.
pub fn file(title: &str, charts: &[Chart]) -> String {
    // As high as its curves' names beside it need.
    const FRAME: [f64; 2] = [570.0, 330.0];
    const LINE: f64 = 18.0;
    let high = |chart: &Chart| FRAME[1].max(30.0 + LINE * chart.lines.len() as f64);
    let (width, height) = (FRAME[0] + 230.0, charts.iter().map(high).sum::<f64>());
    let mut next = 0.0;
    let top = |chart: &Chart| {
        let own = next;
        next += high(chart);
        own
    };
    let tops: Vec<f64> = charts.iter().map(top).collect();
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(at(width)) height=(at(height))
            viewBox=(format!("0 0 {} {}", at(width), at(height))) {
            title { (title) }
            style { (style()) }
            rect width="100%" height="100%" fill="#ffffff" {}
            @for (chart, top) in charts.iter().zip(tops) {
                g transform=(format!("translate(0 {})", at(top))) {
                    (chart.drawn(Frame { top: 16.0, ..Frame::new(FRAME[0], FRAME[1]) }))
                    @for (place, line) in chart.lines.iter().enumerate() {
                        @let y = 24.0 + LINE * place as f64;
                        path class=(line.class()) d=(format!("M{} {}h26", at(FRAME[0] + 4.0), at(y - 4.0))) {}
                        text x=(at(FRAME[0] + 36.0)) y=(at(y)) { (line.name) }
                    }
                }
            }
        }
    };
    drawn.into_string() + "\n"
}

/// What a page's style sheet says of charts, in the colours for light paper.
fn style() -> String {
    let mut style = String::from(
        "svg{font:13px sans-serif}.line{stroke-width:2;stroke-linejoin:round}\
         path.line,polyline.line{fill:none}.dashed{stroke-dasharray:5 4}.grid{stroke:#d9dde4;fill:none}\
         .tick{stroke:#5b6270;fill:none}.title{fill:#5b6270}.spot{fill:none;pointer-events:all}",
    );
    for (place, colour) in COLOURS.iter().enumerate() {
        style += &format!(".c{place}{{fill:{colour};stroke:{colour}}}");
    }
    style
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
        let chart = Chart { title: "curves".into(), across, up, lines: vec![line] };
        let drawn = chart.on_page().into_string();
        let counts = ["<polyline", "r=\"2.5\"", "class=\"spot\""];
        assert_eq!(counts.map(|part| drawn.matches(part).count()), [2, 1, 5]);
        assert!(drawn.contains("a&lt;b: loss 0.7, epoch 3<"), "{drawn}");
        for drawn in [drawn, file("a file", &[chart.clone(), chart])] {
            assert!(!drawn.contains("NaN") && !drawn.contains("inf") && drawn.contains("a&lt;b"));
        }
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
