//! The curves of a training run: loss and accuracy over epochs, of training and
//! validation (the paper's figure 5), for a page and as `curves.svg`.
//!
//! They are drawn by [`crate::draw::chart`]; what they show comes from
//! [`crate::train::history`]. Points that cannot be drawn are gaps in a line.

use crate::draw::chart::COLOURS;
use crate::draw::chart::axis::Axis;
use crate::draw::chart::lines::{Chart, Line, file};
use crate::events::Epoch;
use crate::storage::shown;

/// Values beyond this are no points: a diverged loss would flatten every other epoch
/// to a line.
const LIMIT: f64 = 1e9;

/// Names of the networks that learned, in the order in which they did.
pub fn networks(epochs: &[Epoch]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for epoch in epochs {
        if !names.contains(&epoch.model.as_str()) {
            names.push(&epoch.model);
        }
    }
    names
}

/// Loss and accuracy over epochs: a colour a network, training dashed, validation solid.
pub fn charts(epochs: &[Epoch]) -> [Chart; 2] {
    let lines = |train: fn(&Epoch) -> f64, val: fn(&Epoch) -> f64| -> Vec<Line> {
        let mut lines = Vec::new();
        for (colour, network) in networks(epochs).into_iter().enumerate() {
            for (what, of, dashed) in [("training", train, true), ("validation", val, false)] {
                let name = format!("{}, {what}", shown::line(network));
                let points = points(epochs, network, |epoch| Some(of(epoch)));
                lines.push(Line { name, colour, dashed, points });
            }
        }
        lines
    };
    let loss = lines(|epoch| epoch.train_loss, |epoch| epoch.val_loss);
    let accuracy = lines(|epoch| epoch.train_accuracy, |epoch| epoch.val_accuracy);
    [
        Chart {
            title: "The loss over epochs".to_owned(),
            across: across(epochs),
            up: Axis::around("loss", values(&loss)),
            lines: loss,
        },
        fractions("accuracy", epochs, accuracy),
    ]
}

/// A network's recall of each class on validation, if it tells several apart.
pub fn recall(epochs: &[Epoch], network: &str) -> Option<Chart> {
    let mut classes: Vec<&str> = Vec::new();
    let of_network = epochs.iter().filter(|epoch| epoch.model == network);
    for (class, _) in of_network.flat_map(|epoch| &epoch.recall) {
        if !classes.contains(&class.as_str()) {
            classes.push(class);
        }
    }
    let line = |(colour, class): (usize, &&str)| {
        let of = |epoch: &Epoch| {
            epoch.recall.iter().find(|(name, _)| name == class).map(|(_, recall)| *recall)
        };
        let points = points(epochs, network, of);
        Line { name: shown::line(class), colour, dashed: colour >= COLOURS.len(), points }
    };
    let lines: Vec<Line> = classes.iter().enumerate().map(line).collect();
    (lines.len() > 1).then(|| fractions("recall", epochs, lines))
}

/// Loss and accuracy as an SVG.
pub fn svg(epochs: &[Epoch]) -> String {
    file("Loss and accuracy of training and validation over epochs", &charts(epochs))
}

/// A network's values over epochs.
fn points(epochs: &[Epoch], network: &str, of: impl Fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
    let drawable = |value: &f64| value.abs() <= LIMIT;
    let point =
        |epoch: &Epoch| (f64::from(epoch.epoch), of(epoch).filter(drawable).unwrap_or(f64::NAN));
    epochs.iter().filter(|epoch| epoch.model == network).map(point).collect()
}

/// The values that are points.
fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.points).map(|point| point.1).filter(|v| v.is_finite())
}

fn across(epochs: &[Epoch]) -> Axis {
    let last = epochs.iter().map(|epoch| epoch.epoch).max().unwrap_or(1).max(2);
    Axis::new("epoch", 1.0, f64::from(last), last.min(6)).whole()
}

/// A chart of fractions up to 1, from the twentieth below the least on.
fn fractions(what: &str, epochs: &[Epoch], lines: Vec<Line>) -> Chart {
    let least = values(&lines).fold(1.0, f64::min);
    let floor = (least * 20.0).floor() / 20.0;
    // All of them 1: a twentieth is shown.
    let floor = if floor < 1.0 { floor } else { 0.95 };
    let title = format!("The {what} over epochs");
    Chart { title, across: across(epochs), up: Axis::new(what, floor, 1.0, 5), lines }
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
        let lines = svg.split("<polyline").skip(1);
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
                assert!(text.contains("a&lt;b&amp;c, training"));
            }
        }
        assert!(svg(&[]).ends_with("</svg>\n"));
        assert!(svg(&[epoch("single", 1, 0.5, 0.5)]).contains("<circle"));
    }

    #[test]
    fn classes_have_their_recall_and_one_alone_has_no_chart() {
        let of = |recall: &[(&str, f64)]| Epoch {
            recall: recall.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            ..epoch("one", 1, 0.5, 0.9)
        };
        let epochs = [of(&[("A", 0.5), ("B", 0.75)]), Epoch { epoch: 2, ..of(&[("A", 0.625)]) }];
        let chart = recall(&epochs, "one").unwrap();
        assert_eq!(chart.title, "The recall over epochs");
        assert_eq!(chart.lines[0].points, [(1.0, 0.5), (2.0, 0.625)]);
        assert!(chart.lines[1].points[1].1.is_nan(), "it is not known");
        assert!(recall(&[of(&[("A", 0.5)])], "one").is_none());
        // Where colours come again, lines are dashed.
        let names: Vec<String> = (0..=COLOURS.len()).map(|place| place.to_string()).collect();
        let many: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 0.5)).collect();
        let lines = recall(&[of(&many)], "one").unwrap().lines;
        let dashed: Vec<bool> = lines.iter().map(|line| line.dashed).collect();
        assert_eq!(dashed.iter().position(|dashed| *dashed), Some(COLOURS.len()));
        assert!(recall(&epochs, "two").is_none());
    }
}
