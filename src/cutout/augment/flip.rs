//! The eight orientations of a square, by mirrors alone.

/// Mirrors a `size` × `size` interleaved RGB image in place: left to right,
/// then top to bottom, then rows and columns change places.
///
/// # Panics
/// If `pixels` is not `size × size × 3` long.
pub fn in_place(pixels: &mut [u8], size: usize, horizontal: bool, vertical: bool, transpose: bool) {
    assert_eq!(pixels.len(), size * size * 3);
    let (pixels, _) = pixels.as_chunks_mut::<3>();
    match (horizontal, vertical) {
        // Both are half a turn: the pixels in the reverse order.
        (true, true) => pixels.reverse(),
        (true, false) => pixels.chunks_exact_mut(size).for_each(<[_]>::reverse),
        (false, true) => {
            for row in 0..size / 2 {
                let (above, below) = pixels.split_at_mut((size - 1 - row) * size);
                above[row * size..(row + 1) * size].swap_with_slice(&mut below[..size]);
            }
        }
        (false, false) => {}
    }
    if transpose {
        for row in 1..size {
            for column in 0..row {
                pixels.swap(row * size + column, column * size + row);
            }
        }
    }
}
