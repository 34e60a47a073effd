//! The curves of a training run as an SVG: loss and accuracy over epochs, for
//! training and validation (the paper's figure 5).
//!
//! SVG is text, and two panels with lines need no library. What is drawn comes
//! from [`crate::train::history`].
//!
//! Invariant: whatever the numbers, the text is well-formed XML in which every
//! coordinate is finite; points that cannot be drawn are gaps in a line.

use std::fmt::Write as _;

use crate::events::Epoch;

/// Width of the drawing and height of a panel, in pixels.
const WIDTH: f64 = 760.0;
const PANEL: f64 = 280.0;
/// Room around a panel for ticks and titles.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 45.0;

/// Colours that differ for the colour-blind too (Okabe & Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// Values beyond this are no points: a diverged loss would flatten every other
/// epoch to a line, and arithmetic on its axis would overflow.
const LIMIT: f64 = 1e9;

/// A line of a panel.
struct Line {
    name: String,
    colour: &'static str,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// Draws the epochs of a run: one colour a model, training dashed and
/// validation solid.
pub fn svg(epochs: &[Epoch]) -> String {
    let mut models: Vec<&str> = Vec::new();
    for epoch in epochs {
        if !models.contains(&epoch.model.as_str()) {
            models.push(&epoch.model);
        }
    }
    let lines = |train: fn(&Epoch) -> f64, val: fn(&Epoch) -> f64| -> Vec<Line> {
        let mut lines = Vec::new();
        for (model, colour) in models.iter().zip(COLOURS.iter().cycle()) {
            for (what, of, dashed) in [("train", train, true), ("validation", val, false)] {
                let points = epochs
                    .iter()
                    .filter(|e| e.model == *model)
                    .map(|e| (f64::from(e.epoch), of(e)))
                    .collect();
                lines.push(Line { name: format!("{model}, {what}"), colour, dashed, points });
            }
        }
        lines
    };

    let height = 2.0 * (TOP + PANEL + BOTTOM);
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Loss and accuracy of training and validation over epochs</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
    );
    panel(&mut text, TOP, "loss", &lines(|e| e.train_loss, |e| e.val_loss));
    let second = 2.0 * TOP + PANEL + BOTTOM;
    panel(&mut text, second, "accuracy", &lines(|e| e.train_accuracy, |e| e.val_accuracy));
    text.push_str("</svg>\n");
    text
}

/// One panel whose upper edge is at `top`.
fn panel(text: &mut String, top: f64, title: &str, lines: &[Line]) {
    let points = || lines.iter().flat_map(|l| &l.points).filter(|(_, y)| drawable(*y));
    let x_axis = Axis::new(points().map(|p| p.0), true);
    let y_axis = Axis::new(points().map(|p| p.1), false);
    let (right, bottom) = (WIDTH - RIGHT, top + PANEL);
    let x = |value: f64| LEFT + x_axis.place(value) * (right - LEFT);
    let y = |value: f64| bottom - y_axis.place(value) * PANEL;

    let middle = top + PANEL / 2.0;
    let _ = writeln!(
        text,
        "<g><text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 18 {middle})\">{title}</text>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">epoch</text>",
        (LEFT + right) / 2.0,
        bottom + 36.0
    );
    for tick in x_axis.ticks() {
        let at = x(tick);
        let _ = writeln!(
            text,
            "<path d=\"M{at:.1} {bottom:.1}v5\" stroke=\"#444\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 19.0,
            x_axis.label(tick)
        );
    }
    for tick in y_axis.ticks() {
        let at = y(tick);
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 7.0,
            at + 4.5,
            y_axis.label(tick)
        );
    }
    let _ = writeln!(
        text,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{PANEL}\" fill=\"none\" stroke=\"#444\"/>",
        right - LEFT
    );
    for (index, line) in lines.iter().enumerate() {
        let dash = if line.dashed { " stroke-dasharray=\"5 3\"" } else { "" };
        let style = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"{dash}", line.colour);
        for part in line.points.split(|(_, value)| !drawable(*value)).filter(|p| !p.is_empty()) {
            let _ = match part {
                // A line of one point is invisible.
                [(px, py)] => writeln!(
                    text,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{}\"/>",
                    x(*px),
                    y(*py),
                    line.colour
                ),
                _ => {
                    let at: Vec<String> =
                        part.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
                    writeln!(text, "<polyline {style} points=\"{}\"/>", at.join(" "))
                }
            };
        }
        let (from, at) = (right + 12.0, top + 12.0 + 20.0 * index as f64);
        let _ = writeln!(
            text,
            "<path d=\"M{from} {at}h24\" {style}/><text x=\"{}\" y=\"{}\">{}</text>",
            from + 30.0,
            at + 4.5,
            escaped(&line.name)
        );
    }
    text.push_str("</g>\n");
}

/// Whether a value is a point of a line. NaN and infinities are not.
fn drawable(value: f64) -> bool {
    value.abs() <= LIMIT
}

/// A linear axis with round ticks.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// An axis that holds every value. Those of `whole` numbers have whole
    /// ticks and end at the values; others end at ticks.
    fn new(values: impl Iterator<Item = f64>, whole: bool) -> Self {
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // A range that is nothing, or next to nothing, becomes a little.
        let least = if whole { 1.0 } else { (low.abs().max(high.abs()) * 1e-3).max(1e-6) };
        if high - low < least {
            high = low + least;
        }
        let rough = (high - low) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|r| r * power >= rough);
        let mut step = round.unwrap_or(10.0) * power;
        if whole {
            step = step.max(1.0);
        } else {
            low = (low / step).floor() * step;
            high = (high / step).ceil() * step;
        }
        Self { low, high, step }
    }

    /// Where a value is between the ends, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil();
        (0..20)
            .map(|i| (first + f64::from(i)) * self.step)
            .take_while(|t| *t <= self.high + self.step * 1e-6)
            .collect()
    }

    fn label(&self, tick: f64) -> String {
        if tick != 0.0 && !(1e-4..1e6).contains(&tick.abs()) {
            return format!("{tick:.1e}");
        }
        let decimals = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{:.decimals$}", if tick.abs() < self.step * 1e-6 { 0.0 } else { tick })
    }
}

/// Text as XML, without characters that XML does not have.
fn escaped(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .map(|c| match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(model: &str, number: u32, loss: f64, accuracy: f64) -> Epoch {
        Epoch {
            model: model.into(),
            epoch: number,
            size: 240,
            learning_rate: 0.005,
            train_loss: loss * 1.1,
            train_accuracy: accuracy * 0.98,
            val_loss: loss,
            val_accuracy: accuracy,
            images_per_s: 10.0,
            seconds: 1.0,
            recall: Vec::new(),
        }
    }

    fn points(svg: &str) -> Vec<Vec<(f64, f64)>> {
        let lines = svg.lines().filter(|l| l.starts_with("<polyline"));
        lines
            .map(|line| {
                let list = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
                let pair = |p: &str| {
                    let (x, y) = p.split_once(',').unwrap();
                    (x.parse().unwrap(), y.parse().unwrap())
                };
                list.split(' ').map(pair).collect()
            })
            .collect()
    }

    #[test]
    fn a_falling_loss_falls_and_a_rising_accuracy_rises() {
        let epochs: Vec<Epoch> = (1..=10)
            .map(|i| epoch("single", i, 1.0 / f64::from(i), 0.9 + 0.005 * f64::from(i)))
            .collect();
        let lines = points(&svg(&epochs));
        assert_eq!(lines.len(), 4);
        for line in &lines {
            assert_eq!(line.len(), 10);
            assert!(line.windows(2).all(|w| w[0].0 < w[1].0), "to the right");
        }
        // SVG's y points down.
        assert!(lines[1].windows(2).all(|w| w[0].1 < w[1].1));
        assert!(lines[3].windows(2).all(|w| w[0].1 > w[1].1));
    }

    #[test]
    fn what_cannot_be_drawn_is_a_gap() {
        let mut epochs: Vec<Epoch> = (1..=7).map(|i| epoch("single", i, 0.5, 0.9)).collect();
        for diverged in [f64::NAN, f64::NEG_INFINITY, 1e30] {
            epochs[3].val_loss = diverged;
            let text = svg(&epochs);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            let lengths: Vec<usize> = points(&text).iter().map(Vec::len).collect();
            assert_eq!(lengths, [7, 3, 3, 7, 7]);
        }
    }

    #[test]
    fn strange_numbers_give_finite_coordinates() {
        let huge = [f64::MAX, f64::MIN, f64::INFINITY, f64::NAN, 0.0, 1e-300, -5.0];
        for a in huge {
            for b in huge {
                let text = svg(&[epoch("a<b&c", 1, a, b), epoch("a<b&c", 2, b, a)]);
                assert!(!text.contains("NaN") && !text.contains("inf"), "{a} {b}: {text}");
                assert!(text.contains("a&lt;b&amp;c, train"));
            }
        }
        assert!(svg(&[]).ends_with("</svg>\n"));
        assert!(svg(&[epoch("single", 1, 0.5, 0.5)]).contains("<circle"));
    }

    #[test]
    fn ticks_are_round_and_hold_every_value() {
        for (values, expected) in [
            (vec![0.11, 0.93], "0.0 0.2 0.4 0.6 0.8 1.0"),
            (vec![0.951, 0.982], "0.95 0.96 0.97 0.98 0.99"),
            (vec![0.5], "0.5000 0.5001 0.5002 0.5003 0.5004 0.5005"),
        ] {
            let axis = Axis::new(values.into_iter(), false);
            let labels: Vec<String> = axis.ticks().iter().map(|&t| axis.label(t)).collect();
            assert_eq!(labels.join(" "), expected);
        }
        let axis = Axis::new([1.0, 123.0].into_iter(), true);
        assert_eq!(axis.ticks(), [50.0, 100.0]);
    }
}
