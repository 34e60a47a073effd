//! Whether a prepared picture shows anything: what is blank or saturated has no
//! label, as a network has an answer to everything.
//!
//! Services outside of their footprint send black, white, or a line of text; a
//! cutout may be of a place where there is nothing. The thresholds lie far from
//! galaxies: of the 2,878 of Galaxy Zoo 2's clean validation sample, the least
//! spread is 65 of 255 and the largest share of one grey is 0.24.
//!
//! Brightness is the mean of the three channels, in 255ths.

use super::{Reason, Rejection, RgbImage};

/// Between the 1st and the 99th percentile of brightness there is less than this
/// where there is nothing: the noise of SDSS's sky has 14.
const FLAT: f64 = 24.0;

/// One grey fills a picture of text, or of a plain ground, to this share.
const PLAIN: f64 = 0.85;

/// A galaxy on a plain ground is brighter than it by this in the middle.
const RISEN: f64 = 64.0;

/// A smaller one is a single hill of light in this part of the picture's side:
const HILL: usize = 4;
/// along rows and columns brightness goes up to its top and down again, and all that
/// it rises and falls is no more than this much of that. A line of text crosses a
/// dozen strokes; a neighbour beside a galaxy makes it less than 2.
const UP_AND_DOWN: f64 = 1.5;
/// Steps that do not count: what compression leaves around an object.
const RIPPLE: f64 = 8.0;
/// As many pixels are brighter than half of its top: a hot one is alone.
const TOP: usize = 6;

/// Noise that is stretched further: no more spread than this,
const NOISY: f64 = 48.0;
/// and a middle as bright as the edge to within this.
const LEVEL: f64 = 6.0;

/// A channel is full from here.
const FULL: u8 = 250;
/// A picture is saturated where so many of its pixels are full; of the
/// validation galaxies none exceeds 0.02.
const TOO_FULL: f64 = 0.25;

/// Of larger pictures every so many pixels one is counted: plenty for shares.
const STEP: usize = 3;
const LARGE: usize = 10_000;

/// Blocks a side in which a picture is looked at as a whole.
const BLOCKS: usize = 10;
/// Smaller ones for its middle: ten pixels of Galaxy Zoo's crop.
const CORE: usize = 24;

/// Rejects a picture that shows nothing.
///
/// # Errors
/// [`Reason::Blank`] and [`Reason::Saturated`].
pub fn check(picture: &RgbImage) -> Result<(), Rejection> {
    let pixels = picture.pixels.as_chunks::<3>().0;
    if pixels.is_empty() {
        return Ok(());
    }
    let step = if pixels.len() > LARGE { STEP } else { 1 };
    let (mut counts, mut full) = ([0_u32; 766], 0_usize);
    for pixel in pixels.iter().step_by(step) {
        counts[pixel.iter().map(|value| usize::from(*value)).sum::<usize>()] += 1;
        full += usize::from(pixel.iter().any(|value| *value >= FULL));
    }
    let looked_at = pixels.len().div_ceil(step) as f64;
    let share = |count: f64| count / looked_at;
    let spread = percentile(&counts, 0.99) - percentile(&counts, 0.01);
    let blank = |what: &str| Err(Rejection::new(Reason::Blank, what));
    // A small object is a percent of the picture, and in its middle.
    if spread < FLAT && risen(picture, CORE) < FLAT {
        return blank(&format!("no contrast: brightness varies by {spread:.0} of 255"));
    }
    let (ground, most) = counts.iter().enumerate().max_by_key(|(_, n)| **n).unwrap_or((0, &0));
    let plain = share(f64::from(*most));
    if plain >= PLAIN || spread < NOISY {
        let risen = risen(picture, BLOCKS);
        if plain >= PLAIN && risen < RISEN && !is_hill(picture, ground as f64 / 3.0) {
            let percent = plain * 100.0;
            return blank(&format!(
                "{percent:.0} % of the pixels are alike, those in the middle too"
            ));
        }
        if spread < NOISY && risen < LEVEL {
            return blank(&format!("nothing in the middle: {risen:.1} of 255 off the edge"));
        }
    }
    let full = share(full as f64);
    if full >= TOO_FULL {
        let detail = format!("{:.0} % of the pixels are full", full * 100.0);
        return Err(Rejection::new(Reason::Saturated, detail));
    }
    Ok(())
}

/// The brightness below which a share of the pixels lies.
fn percentile(counts: &[u32; 766], share: f64) -> f64 {
    let total: u32 = counts.iter().sum();
    let wanted = share * f64::from(total);
    let mut below = 0.0;
    for (sum, count) in counts.iter().enumerate() {
        below += f64::from(*count);
        if below >= wanted {
            return sum as f64 / 3.0;
        }
    }
    255.0
}

/// By how much the block in the middle, of so many a side, is off the edge.
fn risen(picture: &RgbImage, blocks: usize) -> f64 {
    let (width, height) = (picture.width, picture.height);
    let (across, down) = ((width / blocks).max(1), (height / blocks).max(1));
    let middle = block(picture, (width - across) / 2, (height - down) / 2, across, down);
    (middle - edge(picture)).abs()
}

/// Whether there is one hill of light in the middle of a plain ground.
fn is_hill(picture: &RgbImage, ground: f64) -> bool {
    let (across, down) = (picture.width / HILL, picture.height / HILL);
    let (left, top) = ((picture.width - across) / 2, (picture.height - down) / 2);
    let above = |x: usize, y: usize| {
        let at = ((top + y) * picture.width + left + x) * 3;
        let sum: u16 = picture.pixels[at..at + 3].iter().map(|v| u16::from(*v)).sum();
        (f64::from(sum) / 3.0 - ground).abs()
    };
    let pixels = || (0..down).flat_map(|y| (0..across).map(move |x| (x, y)));
    let highest = pixels().map(|(x, y)| above(x, y)).fold(0.0, f64::max);
    let high = pixels().filter(|&(x, y)| above(x, y) >= highest / 2.0).count();
    let rows = paths((0..down).map(|y| (0..across).map(move |x| above(x, y))));
    let columns = paths((0..across).map(|x| (0..down).map(move |y| above(x, y))));
    highest >= RISEN && high >= TOP && rows < UP_AND_DOWN && columns < UP_AND_DOWN
}

/// All that brightness rises and falls along lines, as a multiple of what it would
/// if each went up to its top and down again.
fn paths(lines: impl Iterator<Item = impl Iterator<Item = f64>>) -> f64 {
    let (mut gone, mut needed) = (0.0, 0.0);
    for line in lines {
        let line: Vec<f64> = line.collect();
        let (Some(first), Some(last)) = (line.first(), line.last()) else { continue };
        let steps = line.windows(2).map(|pair| ((pair[1] - pair[0]).abs() - RIPPLE).max(0.0));
        gone += steps.sum::<f64>();
        needed += 2.0 * line.iter().copied().fold(0.0, f64::max) - first - last;
    }
    if needed > 0.0 { gone / needed } else { f64::INFINITY }
}

/// Median brightness of the blocks along the edge.
fn edge(picture: &RgbImage) -> f64 {
    let (width, height) = (picture.width, picture.height);
    let (across, down) = ((width / BLOCKS).max(1), (height / BLOCKS).max(1));
    let (columns, rows) = (width / across, height / down);
    let mut blocks = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            if row == 0 || column == 0 || row + 1 == rows || column + 1 == columns {
                blocks.push(block(picture, column * across, row * down, across, down));
            }
        }
    }
    blocks.sort_by(f64::total_cmp);
    blocks[blocks.len() / 2]
}

fn block(picture: &RgbImage, left: usize, top: usize, across: usize, down: usize) -> f64 {
    let lines = picture.pixels.chunks_exact(picture.width * 3).skip(top).take(down);
    let line = |line: &[u8]| {
        line[left * 3..(left + across) * 3].iter().map(|v| u64::from(*v)).sum::<u64>()
    };
    lines.map(line).sum::<u64>() as f64 / (3 * across * down) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 120;

    fn picture(colour: impl Fn(f64, f64) -> [u8; 3]) -> RgbImage {
        let middle = (SIDE as f64 - 1.0) / 2.0;
        let pixels = (0..SIDE * SIDE)
            .flat_map(|k| colour((k % SIDE) as f64 - middle, (k / SIDE) as f64 - middle))
            .collect();
        RgbImage { width: SIDE, height: SIDE, pixels }
    }

    fn reason(picture: &RgbImage) -> Option<Reason> {
        check(picture).err().map(|rejection| rejection.reason)
    }

    /// Numbers that look drawn, 0 to `most`.
    fn noise(x: f64, y: f64, most: u64) -> u8 {
        let k = (x + 500.0) as u64 * 7919 + (y + 500.0) as u64 * 104_729;
        (k.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).checked_rem(most + 1).unwrap_or(0) as u8
    }

    #[test]
    fn pictures_of_one_colour_are_blank() {
        for colour in [[0; 3], [255; 3], [128, 128, 128], [200, 10, 90]] {
            assert_eq!(reason(&picture(|_, _| colour)), Some(Reason::Blank), "{colour:?}");
        }
    }

    #[test]
    fn text_and_an_empty_sky_are_blank() {
        // Strokes of letters above the middle and through it.
        for row in [-30.0..-24.0, -3.0..3.0] {
            let text = picture(|x, y| {
                let stroke = row.contains(&y) && x.abs() < 45.0 && (x as i64).rem_euclid(5) < 2;
                [if stroke { 255 } else { 0 }; 3]
            });
            assert_eq!(reason(&text), Some(Reason::Blank), "{row:?}");
        }
        let sky = picture(|x, y| [noise(x, y, 20), noise(y, x, 20), noise(x, y, 12)]);
        assert_eq!(reason(&sky), Some(Reason::Blank));
        let stretched = picture(|x, y| [noise(x, y, 40); 3]);
        assert_eq!(reason(&stretched), Some(Reason::Blank));
    }

    #[test]
    fn galaxies_are_not() {
        for (peak, scale) in [(80.0, 8.0), (200.0, 4.0), (250.0, 30.0), (60.0, 20.0)] {
            for sky in [0, 10, 40] {
                let galaxy = picture(|x, y| {
                    let light = peak * (-x.hypot(1.6 * y) / scale).exp();
                    [(light + f64::from(noise(x, y, sky))).min(255.0) as u8; 3]
                });
                assert_eq!(reason(&galaxy), None, "{peak} {scale} {sky}");
            }
        }
    }

    /// On a ground without any noise, where text and points are blank.
    #[test]
    fn the_smallest_galaxies_are_hills_and_strokes_are_not() {
        for (peak, scale, turned, aside) in
            [(200.0, 4.0, 1.6, 0.0), (120.0, 2.5, 1.0, 1.0), (250.0, 3.0, 4.0, -4.0)]
        {
            let galaxy = picture(|x, y| {
                let light = |x: f64, y: f64| peak * (-x.hypot(turned * y) / scale).exp();
                // A fainter neighbour beside it, and what JPEG leaves around both.
                let both = light(x - aside, y) + 0.4 * light(x - aside - 9.0, y - 5.0);
                let ripple = if x.hypot(y) < 14.0 { noise(x, y, 4) } else { 0 };
                [(both + f64::from(ripple)).min(255.0) as u8; 3]
            });
            assert_eq!(reason(&galaxy), None, "{peak} {scale}");
        }
        // Short words, upright and lying; a hot pixel.
        for (width, high) in [(12.0, 5.0), (5.0, 12.0)] {
            let word = picture(|x, y| {
                let inside = x.abs() < width && y.abs() < high;
                let stroke = (x as i64).rem_euclid(5) == 0 || (y as i64).rem_euclid(5) == 0;
                let crossed = (y as i64).rem_euclid(3) == 0;
                [if inside && stroke && !crossed { 255 } else { 0 }; 3]
            });
            assert_eq!(reason(&word), Some(Reason::Blank), "{width} {high}");
        }
        let hot = picture(|x, y| [if x.abs() < 1.0 && y.abs() < 1.0 { 255 } else { 3 }; 3]);
        assert_eq!(reason(&hot), Some(Reason::Blank));
    }

    #[test]
    fn a_picture_full_to_the_brim_is_saturated() {
        let star = picture(|x, y| [if x.hypot(y) < 45.0 { 255 } else { noise(x, y, 30) }; 3]);
        assert_eq!(reason(&star), Some(Reason::Saturated));
        let small = picture(|x, y| [if x.hypot(y) < 12.0 { 255 } else { noise(x, y, 30) }; 3]);
        assert_eq!(reason(&small), None);
    }
}
