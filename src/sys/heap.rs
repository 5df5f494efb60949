//! How the C library's allocator gives memory back: mallopt(3).
#![expect(unsafe_code, reason = "nix has no mallopt")]

/// Blocks of so many bytes come from the system, and go back to it when they are freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 * 1024;

/// Keeps large blocks out of the heap, for good. The GNU C library begins so, but raises its limit with each large
/// block that is freed; from then on they lie among small ones that outlive them, and a flood leaves a heap of holes.
/// Best called before there is a second thread: each has a heap of its own otherwise, with holes of its own.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_ARENA_MAX, 1)] {
        // SAFETY: mallopt(3) takes any option and value, and does nothing with those that it does not like.
        unsafe { libc::mallopt(option, value) };
    }
}
