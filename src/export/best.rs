//! The first of very many by some key, without keeping the others.
//!
//! Invariant: which they are, and in which order, depends on keys and places
//! alone; of equal keys the earlier places are taken.

use std::collections::BinaryHeap;

/// The places with the least keys.
#[derive(Debug, Clone)]
pub(crate) struct Best<K> {
    most: usize,
    /// The greatest is on top, to be given up for a lesser one.
    heap: BinaryHeap<(K, u64)>,
}

impl<K: Ord> Best<K> {
    /// At most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new() }
    }

    /// The greatest key that is kept, if no more fit; a greater one is not taken.
    pub(crate) fn last(&self) -> Option<&K> {
        self.heap.peek().filter(|_| self.heap.len() == self.most).map(|(key, _)| key)
    }

    /// Looks at the next.
    pub(crate) fn add(&mut self, key: K, place: u64) {
        if self.most == 0 {
            return;
        }
        if self.heap.len() < self.most {
            self.heap.push((key, place));
        } else if let Some(mut last) = self.heap.peek_mut()
            && (&key, &place) < (&last.0, &last.1)
        {
            *last = (key, place);
        }
    }

    /// What is kept, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &(K, u64)> {
        self.heap.iter()
    }

    /// What is kept, the least key first.
    pub(crate) fn sorted(self) -> Vec<(K, u64)> {
        self.heap.into_sorted_vec()
    }

    /// The places, the least key first.
    pub(crate) fn places(self) -> Vec<u64> {
        self.sorted().into_iter().map(|(_, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_kept_and_earlier_ones_of_equals() {
        let keys = [5, 3, 9, 3, 1, 3, 7, 1];
        for most in 0..10 {
            let mut best = Best::new(most);
            keys.iter().zip(0..).for_each(|(key, place)| best.add(*key, place));
            let mut sorted: Vec<(i32, u64)> = keys.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            let expected: Vec<u64> = sorted.iter().take(most).map(|(_, place)| *place).collect();
            assert_eq!(best.places(), expected, "{most}");
        }
    }
}
