//! A galaxy, its heat map, and the one over the other, side by side.

use super::colours::viridis;
use super::pixels::{lay, paper};
use crate::cutout::RgbImage;

/// White pixels between pictures.
const GAP: usize = 4;
const WHITE: [u8; 3] = [255; 3];

/// How much of an overlay is the heat map.
const HEAT: f32 = 0.5;

/// A map, and where its pixels lie in a picture.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// `[side][side]`.
    pub map: &'a [f32],
    /// Its pixels along a side.
    pub side: usize,
    /// The place of its first pixel, in the picture's, counted from the middle of
    /// that one's first.
    pub first: f32,
    /// The picture's pixels from one of its to the next.
    pub step: f32,
    /// Where what is looked at begins and ends: beyond there is no heat.
    pub field: [f32; 2],
}

/// A heat map at the size of a picture, 0 to 1, `[height][width]`: what speaks against
/// is left out, and the largest value becomes 1. Between the map's pixels it is
/// interpolated; beyond them it goes on as it ends, as far as the field reaches.
pub fn heat(placed: Placed<'_>, width: usize, height: usize) -> Vec<f32> {
    let Placed { map, side, first, step, field: [from, to] } = placed;
    let most = map.iter().fold(0.0_f32, |most, value| most.max(*value));
    let at = |x: usize, y: usize| {
        let value = map[y * side + x].max(0.0);
        if most > 0.0 { value / most } else { 0.0 }
    };
    let places = |count: usize| -> Vec<Option<(usize, usize, f32)>> {
        let place = |k: usize| {
            let at = ((k as f32 - first) / step).max(0.0);
            let below = (at as usize).min(side - 1);
            let seen = (from..=to).contains(&(k as f32));
            seen.then(|| (below, (below + 1).min(side - 1), at - below as f32))
        };
        (0..count).map(place).collect()
    };
    let (columns, rows) = (places(width), places(height));
    let mix = |a: f32, b: f32, part: f32| a + part * (b - a);
    let value = |row: Option<(usize, usize, f32)>, column: Option<(usize, usize, f32)>| {
        let ((y0, y1, v), (x0, x1, u)) = row.zip(column)?;
        Some(mix(mix(at(x0, y0), at(x1, y0), u), mix(at(x0, y1), at(x1, y1), u), v))
    };
    let all = rows.iter().flat_map(|row| columns.iter().map(move |column| (*row, *column)));
    all.map(|(row, column)| value(row, column).unwrap_or(0.0)).collect()
}

/// Picture, heat map and overlay.
pub fn three(picture: &RgbImage, placed: Placed<'_>) -> RgbImage {
    let heat = coloured(picture, placed);
    beside(&[picture, &heat, &half(picture, &heat)])
}

/// A heat map over its picture.
pub fn over(picture: &RgbImage, placed: Placed<'_>) -> RgbImage {
    half(picture, &coloured(picture, placed))
}

/// A heat map in colours, as large as its picture.
fn coloured(picture: &RgbImage, placed: Placed<'_>) -> RgbImage {
    let (width, height) = (picture.width, picture.height);
    let heat = heat(placed, width, height);
    RgbImage { width, height, pixels: heat.into_iter().flat_map(viridis).collect() }
}

/// Half of each.
fn half(picture: &RgbImage, heat: &RgbImage) -> RgbImage {
    let mix = |(own, heat): (&u8, &u8)| {
        (f32::from(*own) * (1.0 - HEAT) + f32::from(*heat) * HEAT).round() as u8
    };
    let pixels = picture.pixels.iter().zip(&heat.pixels).map(mix).collect();
    RgbImage { width: picture.width, height: picture.height, pixels }
}

/// Pictures of one height side by side.
fn beside(pictures: &[&RgbImage]) -> RgbImage {
    let height = pictures.iter().map(|picture| picture.height).max().unwrap_or(0);
    let width = pictures.iter().map(|picture| picture.width + GAP).sum::<usize>() - GAP;
    let mut all = paper(width, height, WHITE);
    let mut left = 0;
    for picture in pictures {
        lay(&mut all, picture, left, 0);
        left += picture.width + GAP;
    }
    all
}

/// Pictures one below the other.
pub fn below(pictures: &[RgbImage]) -> RgbImage {
    let width = pictures.iter().map(|picture| picture.width).max().unwrap_or(0);
    let height = pictures.iter().map(|picture| picture.height + GAP).sum::<usize>();
    let mut all = paper(width, height.saturating_sub(GAP), WHITE);
    let mut top = 0;
    for picture in pictures {
        lay(&mut all, picture, 0, top);
        top += picture.height + GAP;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_lies_where_the_map_has_it() {
        // A map of 2 × 2 with its peak on the lower left, at 1 and 5 of 8 × 7 pixels.
        let map = [-3.0, 1.0, 4.0, 2.0];
        let heat =
            heat(Placed { map: &map, side: 2, first: 1.0, step: 4.0, field: [-0.5, 7.5] }, 8, 7);
        let at = |x: usize, y: usize| heat[y * 8 + x];
        assert_eq!((at(0, 0), at(7, 0), at(0, 6), at(7, 6)), (0.0, 0.25, 1.0, 0.5));
        assert_eq!((at(1, 5), at(5, 5), at(3, 5), at(1, 3)), (1.0, 0.5, 0.75, 0.5));
        let cold = Placed { map: &[-1.0; 4], side: 2, first: 0.0, step: 2.0, field: [-0.5, 3.5] };
        assert!(super::heat(cold, 4, 4).iter().all(|value| *value == 0.0));
        // Beyond what is looked at there is none.
        let middle = Placed { map: &[1.0], side: 1, first: 2.0, step: 3.0, field: [0.5, 3.5] };
        let lit = super::heat(middle, 5, 5).iter().filter(|value| **value == 1.0).count();
        assert_eq!(lit, 9);
    }

    #[test]
    fn panels_stand_side_by_side_and_rows_below_each_other() {
        let picture = RgbImage { width: 3, height: 2, pixels: (0..18).collect() };
        let panels = three(
            &picture,
            Placed { map: &[1.0], side: 1, first: 0.0, step: 3.0, field: [-0.5, 2.5] },
        );
        assert_eq!((panels.width, panels.height), (3 * 3 + 2 * GAP, 2));
        let pixel = |x: usize, y: usize| &panels.pixels[3 * (y * panels.width + x)..][..3];
        assert_eq!((pixel(2, 1), pixel(3, 0)), (&[15, 16, 17][..], &[255; 3][..]));
        assert_eq!(pixel(3 + GAP, 0), [0xfd, 0xe7, 0x25]);
        let over = pixel(2 * (3 + GAP) + 2, 1);
        assert_eq!(over, [134, 124, 27]);
        let sheet = below(&[panels.clone(), panels.clone()]);
        assert_eq!((sheet.width, sheet.height), (panels.width, 4 + GAP));
        assert_eq!(&sheet.pixels[3 * (2 + GAP) * sheet.width..][..9], &panels.pixels[..9]);
    }
}
