//! Programs of the system that run in a plane for as long as we do.

use super::Namespace;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpid, getppid};
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Starts a program in a namespace. It gets SIGTERM when the calling thread ends, whatever ends it:
/// so call this from a thread that lives as long as the process. What it says goes where our own
/// words go.
///
/// # Errors
/// `NotFound` if it is not installed; EPERM if the namespace may not be entered.
pub fn spawn(namespace: &Namespace, program: &str, arguments: &[impl AsRef<OsStr>]) -> io::Result<Child> {
    // Debian keeps daemons where an ordinary user's PATH does not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null());
    let (space, us) = (namespace.clone(), getpid());
    // SAFETY: between fork and exec only system calls are made (setns, prctl, getppid, the mask of
    // signals), on values that the closure owns; nothing is allocated or locked.
    unsafe {
        command.pre_exec(move || {
            setns(&space, CloneFlags::CLONE_NEWNET)?;
            set_pdeathsig(Signal::SIGTERM)?;
            if getppid() != us {
                // We have died before the kernel was told what to do then.
                return Err(io::ErrorKind::Interrupted.into());
            }
            // Signals that we read from a descriptor are blocked here; the program knows nothing of it.
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_runs_in_the_namespace_and_hears_its_signals() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root for a network namespace");
            return;
        }
        let space = Namespace::unnamed().unwrap();
        // Nothing but a loopback is in a new namespace; the mask of blocked signals is empty.
        let script = "grep -q 'SigBlk:.0000000000000000' /proc/self/status \
                      && test $(wc -l </proc/net/dev) = 3";
        let term = SigSet::from_iter([Signal::SIGTERM]);
        let status = std::thread::spawn(move || {
            term.thread_block().unwrap();
            spawn(&space, "sh", &["-c", script]).unwrap().wait().unwrap()
        });
        assert!(status.join().unwrap().success());
        let here = Namespace::current().unwrap();
        let missing = spawn(&here, "no-such-program-of-tsumugi", &[] as &[&str]);
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
