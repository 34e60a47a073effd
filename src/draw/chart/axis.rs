//! Axes with round ticks, and the frame of a chart that they stand at.

use maud::{Markup, html};

use super::at;

/// A linear axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
    /// What stands at it.
    pub title: String,
}

impl Axis {
    /// From `low` to `high`, with about `ticks` ticks at round numbers. What is no
    /// range is from 0 to 1.
    pub fn new(title: impl Into<String>, low: f64, high: f64, ticks: u32) -> Self {
        let sound = low.is_finite() && high.is_finite() && high > low;
        let (low, high) = if sound { (low, high) } else { (0.0, 1.0) };
        let rough = (high - low) / f64::from(ticks.max(1));
        let power = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|r| r * power >= rough * 0.999_999);
        Self { low, high, step: round.unwrap_or(10.0) * power, title: title.into() }
    }

    /// From 0 to a round number not below any of these; ticks at whole numbers, if
    /// `whole`.
    pub fn from_zero(
        title: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
        whole: bool,
    ) -> Self {
        let high = values.into_iter().filter(|v| v.is_finite()).fold(0.0, f64::max);
        let axis = Self::new(title, 0.0, if high > 0.0 { high } else { 1.0 }, 5);
        let mut axis = if whole { axis.whole() } else { axis };
        axis.high = (axis.high / axis.step - 1e-9).ceil() * axis.step;
        axis
    }

    /// From a round number not above any of these to one not below; of what is next to no
    /// range a little one.
    pub fn around(title: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Self::new(title, 0.0, 1.0, 6);
        }
        let least = (low.abs().max(high.abs()) * 1e-3).max(1e-6);
        let mut axis = Self::new(title, low, high.max(low + least), 6);
        axis.low = (axis.low / axis.step + 1e-9).floor() * axis.step;
        axis.high = (axis.high / axis.step - 1e-9).ceil() * axis.step;
        axis
    }

    /// The same with ticks at whole numbers alone.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.step = self.step.max(1.0);
        self
    }

    /// Where a value is between the ends, 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let place = (value - self.low) / (self.high - self.low);
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Values of the ticks.
    pub fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil();
        (0..50)
            .map(|tick| (first + f64::from(tick)) * self.step)
            .take_while(|tick| *tick <= self.high + self.step * 1e-6)
            .collect()
    }

    /// A tick's text: no more decimals than the step has, thousands as k, millions as
    /// M.
    pub fn label(&self, tick: f64) -> String {
        if tick.abs() < self.step * 1e-6 {
            return "0".to_owned();
        }
        let (scaled, step, unit) = match tick.abs() {
            size if size >= 1e9 => return format!("{tick:.0e}"),
            size if size >= 1e6 => (tick / 1e6, self.step / 1e6, " M"),
            size if size >= 1e4 => (tick / 1e3, self.step / 1e3, " k"),
            size if size < 1e-4 => return format!("{tick:.0e}"),
            _ => (tick, self.step, ""),
        };
        let decimals = (-(step * 1.000_001).log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{scaled:.decimals$}{unit}")
    }
}

/// Where a chart's frame is within its drawing, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Of the drawing.
    pub width: f64,
    /// Of the drawing.
    pub height: f64,
    /// Room to the left, for ticks and a title.
    pub left: f64,
    /// Room above.
    pub top: f64,
    /// Room to the right.
    pub right: f64,
    /// Room below.
    pub bottom: f64,
}

impl Frame {
    /// A drawing of this size with room for ticks and titles at left and below.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, left: 54.0, top: 10.0, right: 12.0, bottom: 42.0 }
    }

    /// The x of a place from 0 to 1.
    pub fn x(&self, place: f64) -> f64 {
        self.left + place * (self.width - self.left - self.right)
    }

    /// The y of a place from 0 to 1, upwards.
    pub fn y(&self, place: f64) -> f64 {
        self.height - self.bottom - place * (self.height - self.top - self.bottom)
    }

    /// Both axes and the lines of the grid.
    pub fn axes(&self, across: &Axis, up: &Axis) -> Markup {
        let (left, right, top, bottom) = (self.x(0.0), self.x(1.0), self.y(1.0), self.y(0.0));
        let middle = (top + bottom) / 2.0;
        html! {
            @for tick in up.ticks() {
                @let y = self.y(up.place(tick));
                path class="grid" d=(format!("M{} {}H{}", at(left), at(y), at(right))) {}
                text x=(at(left - 6.0)) y=(at(y + 4.0)) text-anchor="end" { (up.label(tick)) }
            }
            @for tick in across.ticks() {
                @let x = self.x(across.place(tick));
                path class="tick" d=(format!("M{} {}v4", at(x), at(bottom))) {}
                text x=(at(x)) y=(at(bottom + 17.0)) text-anchor="middle" { (across.label(tick)) }
            }
            path class="tick" d=(format!("M{} {}H{}", at(left), at(bottom), at(right))) {}
            text class="title" x=(at((left + right) / 2.0)) y=(at(self.height - 6.0))
                text-anchor="middle" { (across.title) }
            text class="title" x="12" y=(at(middle)) text-anchor="middle"
                transform=(format!("rotate(-90 12 {})", at(middle))) { (up.title) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let labels = |axis: &Axis| -> Vec<String> {
            axis.ticks().iter().map(|tick| axis.label(*tick)).collect()
        };
        assert_eq!(labels(&Axis::new("", 0.0, 1.0, 5)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let counts = Axis::from_zero("", [3.0, 17.0, f64::NAN], true);
        assert_eq!(labels(&counts), ["0", "5", "10", "15", "20"]);
        assert_eq!(labels(&Axis::from_zero("", [2.0], true)), ["0", "1", "2"]);
        assert_eq!(labels(&Axis::new("", 1.0, 3.0, 6).whole()), ["1", "2", "3"]);
        let many = Axis::from_zero("", [2_340_000.0], true);
        assert_eq!(labels(&many), ["0", "500 k", "1.0 M", "1.5 M", "2.0 M", "2.5 M"]);
        assert_eq!(labels(&Axis::new("", 118.3, 121.9, 5)).first().unwrap(), "119");
        let around = |values: &[f64]| labels(&Axis::around("", values.to_vec())).join(" ");
        assert_eq!(around(&[0.951, f64::NAN, 0.982]), "0.95 0.96 0.97 0.98 0.99");
        assert_eq!(around(&[0.5]), "0.5000 0.5001 0.5002 0.5003 0.5004 0.5005");
        assert_eq!(around(&[]), "0 0.2 0.4 0.6 0.8 1.0");
    }

    #[test]
    fn whatever_the_numbers_places_are_finite() {
        let strange = [f64::NAN, f64::INFINITY, f64::MIN, f64::MAX, 0.0, -1.0, 1e-300];
        for low in strange {
            for high in strange {
                for axis in [
                    Axis::new("", low, high, 5),
                    Axis::from_zero("", [low, high], true),
                    Axis::around("", [low, high]),
                ] {
                    assert!(axis.ticks().len() <= 50);
                    for value in strange {
                        assert!((0.0..=1.0).contains(&axis.place(value)), "{low} {high} {value}");
                        axis.label(value);
                    }
                }
            }
        }
    }
}
