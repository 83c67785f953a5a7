//! The monotonic clock, as the core counts time.

use nix::time::{ClockId, clock_gettime};
use tsumugi_core::time::{Duration, Instant};

/// Nanoseconds since the machine's start.
pub fn now() -> Instant {
    // The call fails only for a clock that does not exist.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(Instant(0), |time| Instant::default() + Duration::from(time))
}
