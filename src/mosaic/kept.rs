//! Decoded parts of images, kept for the cutouts that need them next.
//!
//! Invariant: no more bytes are kept than the limit allows, with one part at least;
//! what was asked for longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Which image, and which of its parts.
pub(super) type Key = (u64, usize);

/// Parts that are kept.
pub(super) struct Kept {
    most: usize,
    bytes: usize,
    turn: u64,
    parts: HashMap<Key, (Arc<Vec<f32>>, u64)>,
    /// By when they were asked for last.
    order: BTreeMap<u64, Key>,
}

impl Kept {
    /// None yet; at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, bytes: 0, turn: 0, parts: HashMap::new(), order: BTreeMap::new() }
    }

    /// A part, if it is kept.
    pub fn get(&mut self, key: Key) -> Option<Arc<Vec<f32>>> {
        let (part, turn) = self.parts.get_mut(&key)?;
        self.order.remove(turn);
        self.turn += 1;
        *turn = self.turn;
        self.order.insert(self.turn, key);
        Some(Arc::clone(part))
    }

    /// Keeps a part.
    pub fn put(&mut self, key: Key, part: Arc<Vec<f32>>) {
        self.turn += 1;
        self.bytes += size_of_val(part.as_slice());
        if let Some((old, turn)) = self.parts.insert(key, (part, self.turn)) {
            self.bytes -= size_of_val(old.as_slice());
            self.order.remove(&turn);
        }
        self.order.insert(self.turn, key);
        while self.bytes > self.most && self.parts.len() > 1 {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            if let Some((part, _)) = self.parts.remove(&oldest) {
                self.bytes -= size_of_val(part.as_slice());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_goes_first() {
        let mut kept = Kept::new(3 * 400);
        let part = || Arc::new(vec![0.0; 100]);
        for block in 0..3 {
            kept.put((1, block), part());
        }
        assert!(kept.get((1, 0)).is_some());
        kept.put((1, 3), part());
        let there: Vec<bool> = (0..4).map(|block| kept.parts.contains_key(&(1, block))).collect();
        assert_eq!(there, [true, false, true, true]);
        // The same again is not counted twice, and one too large for all is kept alone.
        kept.put((1, 3), part());
        assert_eq!(kept.bytes, 1200);
        kept.put((2, 0), Arc::new(vec![0.0; 1000]));
        assert_eq!((kept.bytes, kept.parts.len(), kept.order.len()), (4000, 1, 1));
    }
}
