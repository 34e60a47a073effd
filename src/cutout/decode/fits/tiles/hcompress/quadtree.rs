//! Quadtrees of bit planes.
//!
//! Each of four quadrants of coefficients is coded plane by plane, the highest
//! bit first: as a quadtree, whose nodes say by four bits which of their
//! quarters hold ones, or directly, four pixels in four bits. Nodes are in a
//! fixed Huffman code, those of a level from the last to the first. Signs of
//! all coefficients that are not zero come last.

use super::{Coefficient, Grid, halvings, levels};
use crate::cutout::decode::fits::tiles::Damage;
use crate::cutout::decode::fits::tiles::bits::Bits;

/// How a plane begins that is a quadtree, and one that is not.
const TREE: u32 = 0xF;
const DIRECT: u32 = 0;

/// The Huffman code: the bits of a code, their number, and the node.
const CODES: [(usize, u32, u8); 16] = [
    (0b00_0000, 3, 1),
    (0b00_1000, 3, 2),
    (0b01_0000, 3, 4),
    (0b01_1000, 3, 8),
    (0b10_0000, 4, 3),
    (0b10_0100, 4, 5),
    (0b10_1000, 4, 10),
    (0b10_1100, 4, 12),
    (0b11_0000, 4, 15),
    (0b11_0100, 5, 6),
    (0b11_0110, 5, 7),
    (0b11_1000, 5, 9),
    (0b11_1010, 5, 11),
    (0b11_1100, 5, 13),
    (0b11_1110, 6, 0),
    (0b11_1111, 6, 14),
];

/// Length and node by the next six bits.
static NODES: [(u32, u8); 64] = nodes();

const fn nodes() -> [(u32, u8); 64] {
    let mut nodes = [(0, 0); 64];
    let mut n = 0;
    while n < CODES.len() {
        let (bits, length, node) = CODES[n];
        let mut rest = 0;
        while rest < 1 << (6 - length) {
            nodes[bits + rest] = (length, node);
            rest += 1;
        }
        n += 1;
    }
    nodes
}

/// Reads the coefficients of a tile, which are zero before. `planes` are the
/// bit planes of the quadrants.
///
/// # Errors
/// Where the stream is damaged.
pub fn read<T: Coefficient>(
    bits: &mut Bits<'_>,
    grid: &mut Grid<'_, T>,
    planes: [u8; 3],
) -> Result<(), Damage> {
    let [sums, differences, both] = planes;
    let (top, left) = (grid.rows.div_ceil(2), grid.columns.div_ceil(2));
    let (bottom, right) = (grid.rows / 2, grid.columns / 2);
    let mut trees = Trees { nodes: Vec::new(), parents: Vec::new() };
    for (start, rows, columns, planes) in [
        ([0, 0], top, left, sums),
        ([0, left], top, right, differences),
        ([top, 0], bottom, left, differences),
        ([top, left], bottom, right, both),
    ] {
        for plane in (0..u32::from(planes)).rev() {
            if trees.read(bits, rows, columns)? {
                trees.insert(grid, start, [rows, columns], plane);
            }
        }
    }
    if bits.take(4)? != 0 {
        return Err(Damage("bit planes without an end"));
    }
    bits.align();
    for value in grid.values.iter_mut().filter(|value| **value != T::default()) {
        if bits.take(1)? == 1 {
            *value = -*value;
        }
    }
    Ok(())
}

/// Room for the nodes of a plane.
struct Trees {
    /// Nodes of four pixels each, a row after the other.
    nodes: Vec<u8>,
    /// Those of the level above.
    parents: Vec<u8>,
}

impl Trees {
    /// Reads a plane of a quadrant, down to nodes of four pixels each; false
    /// where it is empty.
    fn read(&mut self, bits: &mut Bits<'_>, rows: usize, columns: usize) -> Result<bool, Damage> {
        // A quadrant without rows has a tree of one node a level.
        let (node_rows, node_columns) = (rows.div_ceil(2), columns.div_ceil(2));
        match bits.take(4)? {
            DIRECT => {
                self.nodes.resize(node_rows * node_columns, 0);
                for node in &mut self.nodes {
                    *node = bits.take(4)? as u8;
                }
            }
            TREE => {
                let root = node(bits)?;
                if root == 0 {
                    return Ok(false);
                }
                self.nodes.clear();
                self.nodes.push(root);
                let depth = levels(rows, columns);
                let sizes = halvings(rows, depth).zip(halvings(columns, depth));
                // The first level is the root, the last one are pixels.
                for (rows, columns) in sizes.skip(1).take((depth as usize).saturating_sub(1)) {
                    std::mem::swap(&mut self.nodes, &mut self.parents);
                    self.expand(bits, rows.max(1), columns.max(1))?;
                }
            }
            _ => return Err(Damage("a bit plane of no known form")),
        }
        Ok(true)
    }

    /// Reads a level of nodes, `rows × columns`, below that of the parents.
    fn expand(&mut self, bits: &mut Bits<'_>, rows: usize, columns: usize) -> Result<(), Damage> {
        // Every node is written below.
        self.nodes.resize(rows * columns, 0);
        let above = columns.div_ceil(2);
        for row in (0..rows).rev() {
            let parents = &self.parents[row / 2 * above..][..above];
            let nodes = &mut self.nodes[row * columns..][..columns];
            let shift = if row % 2 == 0 { 2 } else { 0 };
            for (column, found) in nodes.iter_mut().enumerate().rev() {
                let quarter = parents[column / 2] >> (shift + 1 - column % 2) & 1;
                *found = if quarter == 0 { 0 } else { node(bits)? };
            }
        }
        Ok(())
    }

    /// Sets a bit of the coefficients of a quadrant by the nodes.
    fn insert<T: Coefficient>(
        &self,
        grid: &mut Grid<'_, T>,
        [top, left]: [usize; 2],
        [rows, columns]: [usize; 2],
        plane: u32,
    ) {
        if rows == 0 || columns == 0 {
            return;
        }
        let bit = |node: u8, shift: u32| T::of(i64::from(node >> shift & 1)) << plane as usize;
        let nodes = self.nodes.chunks_exact(columns.div_ceil(2));
        let lines = grid.values[top * grid.columns..].chunks_mut(2 * grid.columns);
        for (row, (nodes, lines)) in (0..rows).step_by(2).zip(nodes.zip(lines)) {
            let (upper, lower) = lines.split_at_mut(grid.columns);
            set(&mut upper[left..left + columns], nodes, |node| [bit(node, 3), bit(node, 2)]);
            if row + 1 < rows {
                set(&mut lower[left..left + columns], nodes, |node| [bit(node, 1), bit(node, 0)]);
            }
        }
    }
}

/// Sets bits of a line: two pixels a node, or one for the last.
fn set<T: Coefficient>(line: &mut [T], nodes: &[u8], bits: impl Fn(u8) -> [T; 2]) {
    let (pairs, rest) = line.as_chunks_mut();
    for ([one, other], node) in pairs.iter_mut().zip(nodes) {
        let [first, second] = bits(*node);
        *one |= first;
        *other |= second;
    }
    if let ([last], Some(node)) = (rest, nodes.last()) {
        *last |= bits(*node)[0];
    }
}

fn node(bits: &mut Bits<'_>) -> Result<u8, Damage> {
    let (length, node) = NODES[bits.peek_six()];
    bits.drop(length)?;
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_code() {
        let mut seen: Vec<u8> = NODES.iter().map(|(_, node)| *node).collect();
        assert!(NODES.iter().all(|(length, _)| (3..=6).contains(length)));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..16).collect::<Vec<u8>>());
    }
}
