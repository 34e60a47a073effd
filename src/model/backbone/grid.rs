//! Where the pixels of the last feature maps lie in a picture: at the middle of the
//! field that each sees.

use super::{Layer, Plan, pooled};

/// Where the pixels of the last feature maps lie in a picture. Places are in the
/// picture's pixels, along either axis, counted from the middle of its first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Pixels along each side of a map.
    pub side: usize,
    /// The middle of the field that the first one sees.
    pub first: f32,
    /// From one to the next.
    pub step: f32,
    /// Where what the network looks at begins and ends: the picture's edges, unless it
    /// looks at the picture's middle alone.
    pub field: [f32; 2],
}

impl Plan {
    /// That of pictures of `size` pixels a side; none of a network that looks at turned
    /// and mirrored views of it.
    ///
    /// Strides with symmetric padding keep the first pixel where it is, so that fields
    /// do not share the picture out evenly: those of 8 pixels over 240 lie 32 apart,
    /// from 0 to 224.
    pub fn grid(&self, size: usize) -> Option<Grid> {
        let turned = |layer: &Layer| matches!(layer, Layer::Look(look) if look.corners.is_some());
        (!self.body.iter().any(turned)).then(|| Grid::of(size).behind(&self.body))
    }

    /// Side of the last feature maps of images of `size` pixels.
    pub fn map_side(&self, size: usize) -> usize {
        Grid::of(size).behind(&self.body).side
    }
}

impl Grid {
    /// A picture's own.
    fn of(size: usize) -> Self {
        Self { side: size, first: 0.0, step: 1.0, field: [-0.5, size as f32 - 0.5] }
    }

    /// Behind layers. What runs beside one another sees the same field.
    fn behind(self, layers: &[Layer]) -> Self {
        layers.iter().fold(self, |grid, layer| match layer {
            Layer::Look(look) => {
                let width = (grid.side * look.fraction.0) as f32 / look.fraction.1 as f32;
                let from = grid.side as f32 / 2.0 - 0.5 - width / 2.0;
                let step = width / look.side as f32;
                let (first, field) = (from + step / 2.0, [from, from + width]);
                Self { side: look.view(), first, step, field }
            }
            Layer::Conv(conv) => {
                let padding = conv.padding.resolve(grid.side, conv.kernel, conv.stride);
                grid.windows(conv.kernel, conv.stride, padding)
            }
            &Layer::MaxPool { kernel, stride, padding, ceil } => {
                let side = pooled(grid.side, kernel, stride, padding, ceil);
                grid.windows(kernel, stride, (padding, side))
            }
            Layer::Tokens { patch, .. } => grid.windows(*patch, *patch, (0, grid.side / patch)),
            Layer::Residual { branch, .. } => grid.behind(branch),
            Layer::Branches(branches) => branches.first().map_or(grid, |first| grid.behind(first)),
            _ => grid,
        })
    }

    /// Behind windows: zeros before the first pixel, and how many windows there are.
    fn windows(self, kernel: usize, stride: usize, (before, side): (usize, usize)) -> Self {
        let middle = (kernel as f32 - 1.0) / 2.0 - before as f32;
        let step = self.step * stride as f32;
        Self { side, first: self.first + self.step * middle, step, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::architecture::{Architecture, Padding};

    #[test]
    fn maps_lie_where_their_fields_do() {
        let b1 = Architecture::efficientnet(1).unwrap();
        let whole = |size: f32| [-0.5, size - 0.5];
        let even = Grid { side: 8, first: 0.0, step: 32.0, field: whole(240.0) };
        assert_eq!(b1.plan().grid(240), Some(even));
        // Strides pad behind, all of kernels of 3 and one pixel of three of those of 5.
        let same = Architecture { padding: Padding::Same, ..b1 };
        assert_eq!(same.plan().grid(240), Some(Grid { first: 15.0, ..even }));
        let grid = |name: &str, size| Architecture::named(name).unwrap().plan().grid(size);
        assert_eq!(grid("resnet50", 240), Some(even));
        // Five pools, each half a pixel further: 0.5 + 1 + 2 + 4 + 8.
        assert_eq!(
            grid("vgg16", 224),
            Some(Grid { side: 7, first: 15.5, step: 32.0, field: whole(224.0) })
        );
        // Patches of 16, by their middles.
        assert_eq!(
            grid("vit-b16", 240),
            Some(Grid { side: 15, first: 7.5, step: 16.0, field: whole(240.0) })
        );
        // The central 224 of 240 pixels as 64; the stem's six pixels begin two before.
        let looked = grid("resnet26", 240).unwrap();
        assert_eq!((looked.side, looked.step, looked.field), (4, 56.0, [7.5, 231.5]));
        assert_eq!(looked.first, 7.5 + 3.5 / 2.0 + 3.5 / 2.0);
        assert_eq!(grid("dieleman", 240), None);
    }
}
