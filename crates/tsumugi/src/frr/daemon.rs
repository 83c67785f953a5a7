//! One of FRR's daemons: a child that is started again when it has ended.

use crate::kernel::{Namespace, child};
use crate::observe::status::FrrTrouble;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::path::Path;
use std::process::Child;
use tsumugi_core::time::{Duration, Instant};

/// Between attempts to start it; doubled up to the longest while it does not last.
const RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// One that lasted this long did well.
const WELL: Duration = Duration::from_secs(60);

enum State {
    Running { child: Child, since: Instant },
    Waiting { until: Instant },
}

pub struct Daemon {
    pub name: &'static str,
    state: State,
    retry: Duration,
    has_run: bool,
    /// Told to end: that it does so is no news.
    told: bool,
}

impl Daemon {
    pub fn new(name: &'static str) -> Daemon {
        Daemon {
            name,
            state: State::Waiting { until: Instant::default() },
            retry: RETRY,
            has_run: false,
            told: false,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether it is to be started now.
    pub fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting { until } if until <= now)
    }

    /// Starts it, with its configuration in `directory` as it stands there.
    ///
    /// # Errors
    /// Why not; it is due again later.
    pub fn start(&mut self, now: Instant, space: &Namespace, directory: &Path) -> Result<(), FrrTrouble> {
        // All paths are relative: its user need not be let into the folders above, and paths of sockets
        // stay short.
        // A daemon becomes another user, and the kernel then forgets that it is to end with its parent
        // (PR_SET_PDEATHSIG): the shell, which stays who it is, passes the signal on.
        let more = if self.name == "bfdd" { " --bfdctl bfdd.sock" } else { "" };
        let line = format!(
            "cd \"$0\" || exit
            trap 'kill $!' TERM
            {program}/{name} -f {name}.conf --vty_socket . -z {socket} -i {name}.pid -P 0{more} &
            wait $!; status=$?
            while kill -0 $! 2>/dev/null; do wait $!; status=$?; done
            exit $status",
            program = super::PROGRAMS,
            socket = super::SOCKET,
            name = self.name,
        );
        // What the last one left would be taken for the new one's.
        let _ = std::fs::remove_file(directory.join(format!("{}.vty", self.name)));
        let arguments: [&std::ffi::OsStr; 3] = ["-c".as_ref(), line.as_ref(), directory.as_os_str()];
        match child::spawn(space, "sh", &arguments) {
            Ok(child) => {
                tracing::info!(daemon = self.name, "FRR's daemon started");
                self.has_run = true;
                self.told = false;
                self.state = State::Running { child, since: now };
                Ok(())
            }
            Err(error) => {
                self.wait(now);
                Err(FrrTrouble::NotStarted { daemon: self.name.into(), error: error.to_string() })
            }
        }
    }

    /// Whether it was started before.
    pub fn has_run(&self) -> bool {
        self.has_run
    }

    /// Cannot be started now.
    pub fn rest(&mut self, now: Instant) {
        self.wait(now);
    }

    fn wait(&mut self, now: Instant) {
        self.state = State::Waiting { until: now + self.retry };
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
    }

    /// Looks whether it still lives; if not, how it ended.
    pub fn look(&mut self, now: Instant) -> Option<FrrTrouble> {
        let State::Running { child, since } = &mut self.state else { return None };
        if now.since(*since) >= WELL {
            self.retry = RETRY;
        }
        let status = match child.try_wait() {
            Ok(None) => return None,
            // As a shell tells of a signal.
            Ok(Some(status)) => match status.code() {
                Some(code @ 129..) => format!("signal: {}", code - 128),
                _ => status.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if self.told {
            self.state = State::Waiting { until: now };
            return None;
        }
        self.wait(now);
        Some(FrrTrouble::Ended { daemon: self.name.into(), status })
    }

    /// Tells it to end.
    pub fn end(&mut self) {
        self.told = true;
        if let State::Running { child, .. } = &self.state
            && let Ok(pid) = i32::try_from(child.id())
        {
            // A child that nobody has waited for keeps its number: the signal cannot reach another.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Whether it has gone.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.state {
            State::Running { child, .. } => !matches!(child.try_wait(), Ok(None)),
            State::Waiting { .. } => true,
        }
    }

    /// Ends one that has not heard; the kernel does so at once.
    pub fn kill(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Running { child, .. } => child.kill(),
            State::Waiting { .. } => Ok(()),
        }
    }
}
