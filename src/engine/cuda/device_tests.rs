//! Host memory against a device that copies as late as it may.

use std::sync::Mutex;

use super::*;

/// A queue that does nothing before it is waited for.
#[derive(Default)]
struct Late {
    /// To, from, bytes.
    copies: Mutex<Vec<[usize; 3]>>,
    /// Addresses of host memory that was given back while a copy of it waited.
    torn: Mutex<Vec<usize>>,
}

impl Late {
    fn leak(bytes: usize) -> usize {
        Box::leak(vec![7u8; bytes].into_boxed_slice()).as_mut_ptr() as usize
    }

    fn later(&self, to: usize, from: usize, bytes: usize) {
        self.copies.lock().unwrap().push([to, from, bytes]);
    }
}

impl Queue for Late {
    fn allocate(&self, bytes: usize) -> Result<u64, CudaError> {
        Ok(Self::leak(bytes) as u64)
    }

    fn free(&self, _: u64) {}

    fn allocate_host(&self, bytes: usize) -> Result<*mut u8, CudaError> {
        Ok(Self::leak(bytes) as *mut u8)
    }

    fn free_host(&self, address: *mut u8) {
        let waits = |copy: &[usize; 3]| copy[..2].contains(&(address as usize));
        if self.copies.lock().unwrap().iter().any(waits) {
            self.torn.lock().unwrap().push(address as usize);
        }
    }

    unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), CudaError> {
        self.later(to as usize, from as usize, bytes);
        Ok(())
    }

    unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), CudaError> {
        self.later(to as usize, from as usize, bytes);
        Ok(())
    }

    fn fill(&self, _: u64, _: usize, _: u8) -> Result<(), CudaError> {
        Ok(())
    }

    fn launch(&self, _: &Launch, _: &[u64]) -> Result<(), CudaError> {
        Ok(())
    }

    fn finish(&self) -> Result<(), CudaError> {
        for [to, from, bytes] in self.copies.lock().unwrap().drain(..) {
            // SAFETY: both were leaked above, or live in the buffer that waits, and are as large.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        }
        Ok(())
    }

    fn record(
        &self,
        _: &mut dyn FnMut() -> Result<(), CudaError>,
    ) -> Result<Option<Box<dyn Recorded>>, CudaError> {
        Ok(None)
    }
}

#[test]
fn what_is_sent_is_what_was_there_and_what_comes_back_is_waited_for() {
    let late = Arc::new(Late::default());
    let queue: Arc<dyn Queue> = Arc::<Late>::clone(&late);
    let buffer = Buffer::new(&queue, 4).unwrap();
    let mut host = Pinned::new(&queue, 4).unwrap();
    host.as_mut_slice().unwrap().copy_from_slice(&[1, 2, 3, 4]);
    host.upload(&buffer, 4).unwrap();
    // Without a wait in between this would be what the device finds.
    host.as_mut_slice().unwrap().fill(9);
    assert_eq!(buffer.read(4).unwrap(), [1, 2, 3, 4]);

    host.download(&buffer, 4).unwrap();
    assert_eq!(host.as_slice().unwrap(), [1, 2, 3, 4]);

    host.upload(&buffer, 4).unwrap();
    drop(host);
    assert!(late.torn.lock().unwrap().is_empty(), "given back while the device reads it");
}
