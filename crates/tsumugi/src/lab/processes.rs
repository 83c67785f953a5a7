//! The processes of ours in a lab: started, ended and started again.

use super::machine::Machine;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};
use tsumugi_core::id::Plane;

/// One of the three processes of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessKind {
    Management,
    Datapath,
    Router,
}

impl ProcessKind {
    pub const ALL: [ProcessKind; 3] = [ProcessKind::Management, ProcessKind::Datapath, ProcessKind::Router];

    /// The verb that runs it.
    pub fn name(self) -> &'static str {
        match self {
            ProcessKind::Management => "management",
            ProcessKind::Datapath => "datapath",
            ProcessKind::Router => "router",
        }
    }
}

impl Machine {
    pub fn log_path(&self, kind: ProcessKind) -> PathBuf {
        self.state_dir().join(format!("{}.log", kind.name()))
    }

    /// The unix socket from which the process's status can be read as one JSON document.
    pub fn socket_path(&self, kind: ProcessKind) -> PathBuf {
        self.state_dir().join(format!("{}.sock", kind.name()))
    }

    fn pid_path(&self, kind: ProcessKind) -> PathBuf {
        self.state_dir().join(format!("{}.pid", kind.name()))
    }

    /// The process if it runs.
    pub fn pid(&self, kind: ProcessKind) -> Option<Pid> {
        let pid = fs::read_to_string(self.pid_path(kind)).ok()?.trim().parse().ok()?;
        // A process that has ended but was not reaped yet does not run.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        (!matches!(state, 'Z' | 'X')).then(|| Pid::from_raw(pid))
    }

    /// Memory of the process in bytes, its share of what several processes share (PSS); 0 if it does
    /// not run.
    pub fn memory(&self, kind: ProcessKind) -> u64 {
        let Some(pid) = self.pid(kind) else { return 0 };
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib: u64 = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0);
        kib * 1024
    }

    /// Starts the process in the machine's own namespace, its log appended to [`Machine::log_path`].
    ///
    /// # Errors
    /// If it runs already or cannot be started.
    pub fn start(&self, kind: ProcessKind) -> io::Result<Pid> {
        if self.pid(kind).is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} runs already", kind.name()),
            ));
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_path(kind))?;
        let mut command = self.command(Plane::Management, "/proc/self/exe")?;
        command.arg(kind.name()).arg("--state").arg(self.state_dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Reaped by whoever ends it, or by init once this process is gone.
        let pid = Pid::from_raw(command.spawn()?.id().cast_signed());
        fs::write(self.pid_path(kind), format!("{pid}\n"))?;
        Ok(pid)
    }

    /// Ends the process with SIGKILL and returns when it is gone. Nothing to do if it does not run.
    ///
    /// # Errors
    /// If it is still there after two seconds.
    pub fn kill(&self, kind: ProcessKind) -> io::Result<()> {
        let Some(pid) = self.pid(kind) else { return Ok(()) };
        kill(pid, Signal::SIGKILL)?;
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.pid(kind) == Some(pid) {
            // No child of this process: then init reaps it.
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            if Instant::now() > deadline {
                let words = format!("{} of {} does not end", kind.name(), self.name);
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The last `count` lines of the process's log.
    pub fn log_tail(&self, kind: ProcessKind, count: usize) -> Vec<String> {
        let text = fs::read_to_string(self.log_path(kind)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
    }
}
