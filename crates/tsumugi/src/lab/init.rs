//! PID 1 of a lab: makes the private mounts, begins the work, reaps, and by its end ends all.

use super::space::{End, Word};
use super::{NAMESPACES, ROOT};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};
use std::fs::{self, File};
use std::io::{self, PipeWriter};

/// The exit status of a space whose work was killed.
const KILLED: u8 = 101;

/// Init's whole life. Returns the exit status of PID 1, and with it everything inside ends.
pub(super) fn run(mut to_command: PipeWriter, work: impl FnOnce() -> End) -> i32 {
    // With the keeper, and so with the command, until the lab stays.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return 1;
    }
    // Ctrl-C is for the command, not for PID 1 and what it began.
    let _ = setsid();
    if let Err(what) = private_mounts() {
        let _ = Word::NotMounted(what).say(&mut to_command);
        return 1;
    }
    if Word::Mounted.say(&mut to_command).is_err() {
        return 1;
    }
    // SAFETY: init is a fork of a process with one thread and has begun none.
    let worker = match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            drop(to_command);
            // The work ends with its init in any case; this only spares it the wait.
            let End { code, stays } = work();
            std::process::exit(i32::from(code & 0x7f | if stays { 0x80 } else { 0 }));
        }
        Ok(ForkResult::Parent { child }) => child,
        Err(errno) => {
            let _ = Word::Refused(errno as i32).say(&mut to_command);
            return 1;
        }
    };
    let status = reap_until(worker);
    if status & 0x80 == 0 {
        let _ = Word::Ended(status).say(&mut to_command);
        return i32::from(status);
    }
    // The lab stays: let go of the command, its terminal and its pipes.
    if prctl::set_pdeathsig(None).is_err() || leave_terminal().is_err() {
        return 1;
    }
    let _ = Word::Ended(status).say(&mut to_command);
    drop(to_command);
    reap_for_ever()
}

/// Reaps whatever ends until it is `worker`; its exit status.
fn reap_until(worker: Pid) -> u8 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == worker => {
                return u8::try_from(code).unwrap_or(KILLED);
            }
            Ok(WaitStatus::Signaled(pid, ..)) if pid == worker => return KILLED,
            Err(Errno::ECHILD) => return KILLED,
            _ => {}
        }
    }
}

/// PID 1 of a lab that stays. Ended by SIGKILL from outside, like all of it.
fn reap_for_ever() -> ! {
    let mut ended = SigSet::empty();
    ended.add(Signal::SIGCHLD);
    // Blocked, so that none is lost between the reaping and the waiting.
    let _ = ended.thread_block();
    loop {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        let _ = ended.wait();
    }
}

fn leave_terminal() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    std::env::set_current_dir("/")
}

/// Nothing that is mounted from here on is seen outside, and nothing stands below the outer /run.
///
/// Returns in words what was refused.
fn private_mounts() -> Result<(), String> {
    let none: Option<&str> = None;
    let refused = |what: &'static str| move |errno: Errno| format!("{what}: {}", errno.desc());
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(refused("private mounts"))?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), plain, none).map_err(refused("a /proc of its own"))?;
    let small = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tsumugi"), "/run", Some("tmpfs"), small, Some("mode=0755"))
        .map_err(refused("a /run of its own"))?;
    for folder in [ROOT, NAMESPACES, "/run/lock"] {
        fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))?;
    }
    Ok(())
}
