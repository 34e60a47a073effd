//! How a batch is shared out: groups of neighbouring images, each a task of
//! the current rayon pool with partial sums of its own.
//!
//! The groups depend on the number of images alone and partial sums are added
//! in the order of groups, so results do not depend on threads.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, TryLockError};

use rayon::prelude::*;

use hiwl_kernels::train::Buffer;

/// Most groups of a batch: enough for a dozen cores, few enough that a dozen
/// partial gradients of the widest layer (2.5 MB in B1) are nothing.
pub(super) const GROUPS: usize = 12;

/// Ranges of images, as equal as can be.
pub(super) fn groups(images: usize) -> Vec<Range<usize>> {
    let count = images.min(GROUPS);
    (0..count).map(|i| i * images / count..(i + 1) * images / count).collect()
}

/// The parts of `buffer` that belong to each group, `stride` numbers an image.
pub(super) fn split<'a, E>(
    mut buffer: &'a mut [E],
    groups: &[Range<usize>],
    stride: usize,
) -> Vec<&'a mut [E]> {
    let mut parts = Vec::with_capacity(groups.len());
    for group in groups {
        let (part, rest) = buffer.split_at_mut(group.len() * stride);
        parts.push(part);
        buffer = rest;
    }
    parts
}

/// Runs tasks on the current pool, one at a time on a thread.
pub(super) fn run<T: Send>(tasks: Vec<T>, task: impl Fn(T) + Send + Sync) {
    tasks.into_par_iter().with_max_len(1).for_each(task);
}

/// Working memory, one for each thread that ever works at once. It grows in
/// the first step only.
#[derive(Default)]
pub(super) struct Scratches(Vec<Mutex<Buffer>>);

impl Scratches {
    /// Makes sure that every thread of the current pool finds one.
    pub(super) fn provide(&mut self) {
        let threads = rayon::current_num_threads() + 1;
        self.0.resize_with(self.0.len().max(threads), Mutex::default);
    }

    /// Lends `task` slices of these sizes, each on a cache line of its own,
    /// with any content.
    pub(super) fn with<const N: usize, R>(
        &self,
        sizes: [usize; N],
        task: impl FnOnce([&mut [f32]; N]) -> R,
    ) -> R {
        let mut buffer = self.lock();
        let sizes = sizes.map(|size| size.next_multiple_of(16));
        let needed = sizes.iter().sum();
        if buffer.len() < needed {
            *buffer = Buffer::zeros(needed);
        }
        let mut rest: &mut [f32] = &mut buffer;
        task(sizes.map(|size| {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(size);
            rest = behind;
            part
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        let first = rayon::current_thread_index().unwrap_or(0);
        for i in 0..self.0.len() {
            match self.0[(first + i) % self.0.len()].try_lock() {
                Ok(buffer) => return buffer,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let mutex = &self.0[first % self.0.len()];
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_the_batch_in_order() {
        for images in 1..60 {
            let groups = groups(images);
            assert!(groups.len() <= GROUPS && groups.iter().all(|g| !g.is_empty()));
            assert!(groups.iter().cloned().flatten().eq(0..images));
        }
    }
}
