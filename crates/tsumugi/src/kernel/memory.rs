//! Memory that the process does not use any more, given back to the machine.
#![allow(unsafe_code)]

/// Gives back what is free: glibc keeps what lies between pieces in use, however much it is, until it is told.
/// With a full table gone that takes some milliseconds. Other C libraries give back by themselves.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time by any thread; it touches no memory that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
