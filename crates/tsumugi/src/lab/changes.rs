//! What a proof changes in a running lab for a while, and how it is put back: by the proof, by an
//! error on its way, or when the person interrupts it.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{self, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// As shells say it of a command that SIGINT ended.
const INTERRUPTED: i32 = 130;

type Undo = Box<dyn FnMut() -> io::Result<()> + Send>;

/// Of all that stands changed, with the number of each; the newest last. Whoever makes a change or puts
/// one back holds it.
static STANDING: Mutex<(u64, Vec<(u64, Undo)>)> = Mutex::new((0, Vec::new()));

/// A change that stands. Dropping it puts back what was.
#[must_use = "it is put back at once"]
pub struct Change(u64);

impl Change {
    /// Makes a change. `undo` may be run after half of it, and more than once.
    ///
    /// # Errors
    /// What `make` fails with; what it did is put back.
    pub fn make(
        undo: impl FnMut() -> io::Result<()> + Send + 'static,
        make: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Change> {
        let mut standing = STANDING.lock().unwrap_or_else(PoisonError::into_inner);
        standing.0 += 1;
        let number = standing.0;
        standing.1.push((number, Box::new(undo)));
        let made = make();
        drop(standing);
        let change = Change(number);
        made.map(|()| change)
    }

    /// Puts back what was.
    ///
    /// # Errors
    /// What the system says.
    pub fn undo(self) -> io::Result<()> {
        let done = put_back(self.0);
        std::mem::forget(self);
        done
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls `undo`.
        let _ = put_back(self.0);
    }
}

fn put_back(number: u64) -> io::Result<()> {
    let mut standing = STANDING.lock().unwrap_or_else(PoisonError::into_inner);
    let found = standing.1.iter().position(|(other, _)| *other == number);
    match found.map(|index| standing.1.remove(index)) {
        Some((_, mut undo)) => undo(),
        None => Ok(()),
    }
}

/// Where the signal's handler writes to; kept open for ever.
static BELL: OnceLock<PipeWriter> = OnceLock::new();
static BELL_NUMBER: AtomicI32 = AtomicI32::new(-1);

/// From now on SIGINT and SIGTERM put back all that stands changed and end the process.
///
/// # Errors
/// If no pipe can be made or no handler set.
pub fn put_back_when_interrupted() -> io::Result<()> {
    let (mut bell, ring) = io::pipe()?;
    let ring = BELL.get_or_init(|| ring);
    BELL_NUMBER.store(ring.as_raw_fd(), Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler calls nothing but write(2), which may be called in one (signal-safety(7)).
        unsafe { sigaction(signal, &action) }?;
    }
    std::thread::spawn(move || {
        if bell.read_exact(&mut [0]).is_ok() {
            // Held until the end: nothing is changed any more.
            let mut standing = STANDING.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some((_, mut undo)) = standing.1.pop() {
                let _ = undo();
            }
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}

extern "C" fn on_signal(_: libc::c_int) {
    let bell = BELL_NUMBER.load(Ordering::Relaxed);
    // SAFETY: one byte of a constant; the descriptor is never closed.
    unsafe { libc::write(bell, b"!".as_ptr().cast(), 1) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_change_is_put_back_whatever_happens() {
        let undone = Arc::new(AtomicUsize::new(0));
        let undo = || {
            let undone = Arc::clone(&undone);
            move || {
                undone.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        };
        drop(Change::make(undo(), || Ok(())).unwrap());
        Change::make(undo(), || Ok(())).unwrap().undo().unwrap();
        assert!(Change::make(undo(), || Err(io::ErrorKind::Other.into())).is_err());
        assert_eq!(undone.load(Ordering::Relaxed), 3);
    }
}
