//! Room for pixels that is used again. A picture is made by one thread and let go
//! by another, and what it takes is so large that the system takes it back and
//! clears new pages for the next one: a third of the time of decoding.
//!
//! Whoever makes pixels takes room here, and whoever is the last to see them gives
//! it back; one who does not costs nothing but the gain. Invariant: what is taken
//! holds nothing of what was in it before, unless it is taken to be written whole
//! ([`Room::any`]), and no more than [`MOST`] bytes wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that wait at most, of each kind.
const MOST: usize = 32 << 20;

/// Smaller room is as cheap from the allocator.
const LEAST: usize = 32 << 10;

/// Room for more than so many times what is asked for waits for larger pictures.
const LARGER: usize = 2;

/// Room that waits to be used again.
pub struct Room<T>(Mutex<Vec<Vec<T>>>);

/// For pictures.
pub static BYTES: Room<u8> = Room(Mutex::new(Vec::new()));

/// For bands.
pub static FLOATS: Room<f32> = Room(Mutex::new(Vec::new()));

impl<T: Clone + Default> Room<T> {
    /// An empty vector with room for `len` values.
    pub fn empty(&self, len: usize) -> Vec<T> {
        let mut room = self.taken(len);
        room.clear();
        room
    }

    /// `len` zeros.
    pub fn zeros(&self, len: usize) -> Vec<T> {
        let mut room = self.empty(len);
        room.resize(len, T::default());
        room
    }

    /// `len` values that may be those of any picture before: for who writes all of them.
    pub fn any(&self, len: usize) -> Vec<T> {
        let mut room = self.taken(len);
        room.resize(len, T::default());
        room
    }

    /// Room for `len` values, with what was in it.
    fn taken(&self, len: usize) -> Vec<T> {
        let fits = |room: &Vec<T>| (len..=LARGER * len).contains(&room.capacity());
        let mut waiting = self.waiting();
        match waiting.iter().rposition(fits) {
            Some(place) => waiting.swap_remove(place),
            None => {
                drop(waiting);
                Vec::with_capacity(len)
            }
        }
    }

    /// Gives room back that nobody looks into any more.
    pub fn give(&self, room: Vec<T>) {
        let bytes = |room: &Vec<T>| room.capacity() * size_of::<T>();
        if !(LEAST..=MOST / 4).contains(&bytes(&room)) {
            return;
        }
        let mut waiting = self.waiting();
        let mut sum = bytes(&room) + waiting.iter().map(bytes).sum::<usize>();
        waiting.push(room);
        // The oldest goes first: sizes that are not asked for any more.
        while sum > MOST {
            sum -= bytes(&waiting.remove(0));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        // Whole vectors go in and out: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_without_what_was_in_it() {
        let room: Room<u8> = Room(Mutex::default());
        let first = vec![7_u8; 3 * LEAST];
        let place = first.as_ptr();
        room.give(first);
        // Too large for the little that is asked for, and too small for the much.
        for len in [LEAST, 4 * LEAST] {
            let other = room.zeros(len);
            assert_ne!(other.as_ptr(), place, "{len}");
        }
        let again = room.zeros(2 * LEAST);
        assert_eq!((again.as_ptr(), again.len()), (place, 2 * LEAST));
        assert!(again.iter().all(|value| *value == 0));
        assert!(room.waiting().is_empty());
        // Whoever writes all of it spares the zeros; of what is not there they are made.
        room.give(again);
        let any = room.any(2 * LEAST);
        assert_eq!((any.as_ptr(), any.len()), (place, 2 * LEAST));
        assert_eq!(room.any(3 * LEAST), vec![0; 3 * LEAST]);
    }

    #[test]
    fn no_more_waits_than_may() {
        let room: Room<f32> = Room(Mutex::default());
        room.give(vec![1.0; 8]);
        room.give(vec![1.0; MOST]);
        assert!(room.waiting().is_empty(), "neither small nor huge room waits");
        let each = MOST / 4 / 8;
        for _ in 0..40 {
            room.give(vec![1.0; each]);
        }
        assert_eq!(room.waiting().len(), MOST / (4 * each));
    }
}
