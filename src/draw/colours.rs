//! Colours for numbers and for classes, safe for the colour-blind.

/// matplotlib's viridis (van der Walt & Smith 2015): every sixteenth of its 256 colours,
/// and the last. Dark violet to yellow, ever lighter.
const VIRIDIS: [[u8; 3]; 17] = [
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

/// Okabe and Ito's colours (2008), without black and with yellow last, which is hard
/// to see on white.
const CLASSES: [[u8; 3]; 7] = [
    [0xd5, 0x5e, 0x00],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x00, 0x72, 0xb2],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xf0, 0xe4, 0x42],
];

/// The colour of a number from 0 to 1; what is beyond has that of the end.
pub fn viridis(value: impl Into<f64>) -> [u8; 3] {
    let value = value.into();
    let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
    let place = value * (VIRIDIS.len() - 1) as f64;
    let below = (place as usize).min(VIRIDIS.len() - 2);
    let part = place - below as f64;
    let (a, b) = (VIRIDIS[below], VIRIDIS[below + 1]);
    let between = |k: usize| f64::from(a[k]) + part * (f64::from(b[k]) - f64::from(a[k]));
    [0, 1, 2].map(|k| between(k).round() as u8)
}

/// The colour of a class by its place among so many.
pub fn class(place: usize, of: usize) -> [u8; 3] {
    match CLASSES.get(place) {
        Some(colour) if of <= CLASSES.len() => *colour,
        _ => viridis(place as f32 / (of.max(2) - 1) as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn light([r, g, b]: [u8; 3]) -> f32 {
        0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
    }

    #[test]
    fn more_is_lighter_and_ends_are_those_of_viridis() {
        let all: Vec<f32> = (0..=100).map(|k: u8| light(viridis(f64::from(k) / 100.0))).collect();
        assert!(all.windows(2).all(|pair| pair[1] > pair[0] - 0.5), "{all:?}");
        assert!(all[100] > all[50] + 50.0 && all[50] > all[0] + 50.0);
        assert_eq!(viridis(-1.0), [0x44, 0x01, 0x54]);
        assert_eq!((viridis(2.0), viridis(f32::NAN)), ([0xfd, 0xe7, 0x25], viridis(0.0)));
        assert_eq!(viridis(0.5), [0x21, 0x91, 0x8c]);
    }

    #[test]
    fn every_class_has_a_colour_of_its_own() {
        for of in [2, 5, 7, 12, 37] {
            let mut all: Vec<[u8; 3]> = (0..of).map(|place| class(place, of)).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), of);
        }
    }
}
