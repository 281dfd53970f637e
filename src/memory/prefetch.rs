//! Asking the processor for memory before it is needed.
//!
//! Keys lie all over memory: an update that waits for its key waits longer than it computes. So
//! updates are done some dozen at a time, and all their keys are asked for before the first is used.

/// Asks for the cache line that this value begins in. Only a hint: it changes nothing but time.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "the only way to ask")]
        // SAFETY: a prefetch reads nothing that the program can see and cannot fault, and the
        // address is that of a live reference anyway. SSE is part of every x86-64.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
