//! SIGHUP, SIGTERM, SIGINT and SIGUSR1 as readable events.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub struct Signals(SignalFd);

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Read the plan anew.
    Reload,
    /// End for good, and leave the kernel as it is.
    Stop,
    /// End for another process to take the place.
    Restart,
}

impl Signals {
    /// To be called before any thread begins: threads inherit what is blocked here.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn catch() -> io::Result<Signals> {
        let caught = SigSet::from_iter([Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1]);
        caught.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&caught, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The next request, if any waits.
    pub fn next(&self) -> Option<Request> {
        let info = self.0.read_signal().ok()??;
        match Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()? {
            Signal::SIGHUP => Some(Request::Reload),
            Signal::SIGUSR1 => Some(Request::Restart),
            _ => Some(Request::Stop),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
