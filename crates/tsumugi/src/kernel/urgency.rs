//! Threads that the scheduler lets run before others.

use nix::errno::Errno;
use std::io;

/// Above every ordinary thread, below whatever an operator has made more urgent (1 to 99).
const PRIORITY: libc::c_int = 10;

/// The calling thread runs as soon as it has something to do, whoever else is busy (SCHED_RR, sched(7)).
/// Threads and programs that it begins do not.
///
/// # Errors
/// EPERM without CAP_SYS_NICE, as in a namespace of an ordinary user.
pub fn make_urgent() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel only reads `parameters`, during the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
