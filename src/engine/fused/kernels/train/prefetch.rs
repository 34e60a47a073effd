//! Asking for memory before it is needed.
//!
//! Processors fetch ahead on their own, but stop at the end of each 4 kB page:
//! passes that stream tensors from memory ask for the next page themselves.

#![allow(unsafe_code, reason = "vendor instructions without effect on values")]

#[cfg(target_arch = "aarch64")]
use std::arch::asm;

/// Bytes ahead: a page.
const AHEAD: usize = 4096;

/// Asks for the cache line that lies a page behind `at`, which need not exist.
#[inline(always)]
pub fn prefetch<E>(at: *const E) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching neither faults nor changes memory, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_byte_add(AHEAD).cast()) }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let at = at.wrapping_byte_add(AHEAD);
        // SAFETY: as above.
        unsafe {
            asm!("prfm pldl1keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// Asks for the cache line at `at` in order to write it, a few hundred cycles
/// before that happens.
#[inline(always)]
pub fn prefetch_to_write<E>(at: *const E) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast()) }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: as above.
        unsafe {
            asm!("prfm pstl1keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}
