//! Returns memory that only the start needed.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "calls the C library's allocator"))]

/// Reading the kernel's types takes some 30 MB for a moment, which glibc would keep.
#[cfg(target_env = "gnu")]
pub(super) fn give_back_memory() {
    // SAFETY: may be called at any time; it touches free memory only.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries return it by themselves, or not at all.
#[cfg(not(target_env = "gnu"))]
pub(super) const fn give_back_memory() {}
