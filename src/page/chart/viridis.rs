//! Viridis (van der Walt & Smith 2015), as matplotlib has it: a colour for a size
//! that grows in lightness evenly, for any eye.

/// Every sixteenth of matplotlib's 256 colours, and the last.
const COLOURS: [[u8; 3]; 17] = [
    [68, 1, 84],
    [72, 24, 106],
    [71, 45, 123],
    [66, 64, 134],
    [59, 82, 139],
    [51, 99, 141],
    [44, 114, 142],
    [38, 130, 142],
    [33, 145, 140],
    [31, 160, 136],
    [40, 174, 128],
    [63, 188, 115],
    [94, 201, 98],
    [132, 212, 75],
    [173, 220, 48],
    [216, 226, 25],
    [253, 231, 37],
];

/// The colour of a size from 0 to 1.
pub fn viridis(size: f64) -> [u8; 3] {
    let place = size.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    // NaN, which clamp lets through, becomes 0.
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = if place.is_finite() { place - below as f64 } else { 0.0 };
    let mixed = |channel: usize| {
        let (a, b) = (COLOURS[below][channel], COLOURS[below + 1][channel]);
        (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8
    };
    [0, 1, 2].map(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_from_violet_to_yellow_and_becomes_lighter() {
        assert_eq!((viridis(0.0), viridis(1.0)), ([68, 1, 84], [253, 231, 37]));
        assert_eq!((viridis(f64::NAN), viridis(7.0)), ([68, 1, 84], [253, 231, 37]));
        let lightness = |size: f64| {
            let [r, g, b] = viridis(size).map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let steps: Vec<f64> = (0..=100).map(|k| lightness(f64::from(k) / 100.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1] + 0.5), "{steps:?}");
    }
}
