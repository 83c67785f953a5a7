//! The child: started, fed, started again.

use super::config::{configuration, leases};
use crate::kernel::{Namespace, child};
use crate::observe::status::{DhcpStatus, DhcpTrouble};
use crate::observe::words;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

const PROGRAM: &str = "dnsmasq";
/// Between looks at whether it still lives.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks at one that was told to end; and how long it may take.
const LOOK_ENDING: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);
/// Between attempts to start it; doubled up to the longest while it does not last.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// One that lasted this long did well.
const WELL: Duration = Duration::from_secs(60);
/// Reservations change with every host that moves; the server reads them at most this often.
const RESERVE: Duration = Duration::from_secs(1);

enum State {
    /// No segment wants one.
    Idle,
    Running {
        child: Child,
        since: Instant,
    },
    /// Told to end, because it has to be another.
    Ending {
        child: Child,
        until: Instant,
    },
    Waiting {
        until: Instant,
    },
}

pub struct Server {
    space: Namespace,
    directory: PathBuf,
    /// The configuration that should be in force.
    wanted: Option<String>,
    state: State,
    retry: Duration,
    trouble: Option<DhcpTrouble>,
    reserved: String,
    /// When to give the server what has changed in `reserved`.
    reserve_at: Option<Instant>,
    last_reserved: Option<Instant>,
    next_look: Instant,
}

impl Server {
    /// `directory` is the machine's state folder, `space` where the segments are. Call everything from
    /// one thread: the child ends with it.
    pub fn new(space: Namespace, directory: &Path) -> Server {
        Server {
            space,
            directory: directory.into(),
            wanted: None,
            state: State::Idle,
            retry: RETRY,
            trouble: None,
            reserved: String::new(),
            reserve_at: None,
            last_reserved: None,
            next_look: Instant::default(),
        }
    }

    /// Serves what the plan says from now on.
    pub fn set_plan(&mut self, now: Instant, evpn: &EvpnConfig) {
        let wanted = configuration(evpn);
        if wanted == self.wanted {
            return;
        }
        self.wanted = wanted;
        self.retry = RETRY;
        self.trouble = None;
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Running { child, .. } => {
                signal(&child, Signal::SIGTERM);
                State::Ending { child, until: now + PATIENCE }
            }
            ending @ State::Ending { .. } => ending,
            State::Idle | State::Waiting { .. } => State::Waiting { until: now },
        };
        self.next_look = now;
    }

    /// From now on these addresses belong to these MACs: [`super::reservations`].
    pub fn reserve(&mut self, now: Instant, reserved: String) {
        if reserved != self.reserved {
            self.reserved = reserved;
            let earliest = self.last_reserved.map_or(now, |last| (last + RESERVE).max(now));
            self.reserve_at.get_or_insert(earliest);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let look = match &self.state {
            State::Idle => None,
            State::Waiting { until } => Some(*until),
            State::Running { .. } | State::Ending { .. } => Some(self.next_look),
        };
        look.into_iter().chain(self.reserve_at).min()
    }

    /// Does what is due.
    pub fn turn(&mut self, now: Instant) {
        if self.reserve_at.is_some_and(|at| at <= now) {
            self.reserve_at = None;
            self.last_reserved = Some(now);
            let written = self.write("dhcp-reservations", &self.reserved);
            if let (Ok(()), State::Running { child, .. }) = (written, &self.state) {
                // It reads its reservations anew.
                signal(child, Signal::SIGHUP);
            }
        }
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Waiting { until } if until <= now => self.start(now),
            State::Running { mut child, since } if self.next_look <= now => {
                self.next_look = now + LOOK;
                match child.try_wait() {
                    Ok(None) => {
                        if now.since(since) >= WELL {
                            self.retry = RETRY;
                        }
                        State::Running { child, since }
                    }
                    Ok(Some(status)) => self.fail(now, DhcpTrouble::Ended { status: status.to_string() }),
                    Err(error) => self.fail(now, DhcpTrouble::NotStarted { error: error.to_string() }),
                }
            }
            State::Ending { mut child, until } if self.next_look <= now => {
                self.next_look = now + LOOK_ENDING;
                match child.try_wait() {
                    Ok(None) if until <= now => {
                        signal(&child, Signal::SIGKILL);
                        State::Ending { child, until: now + PATIENCE }
                    }
                    Ok(None) => State::Ending { child, until },
                    Ok(Some(_)) | Err(_) => self.start(now),
                }
            }
            other => other,
        };
    }

    /// Ends it; what it has given stays in its file. Waits for at most half a second: the kernel ends
    /// it with us anyway.
    pub fn stop(&mut self) {
        let (State::Running { mut child, .. } | State::Ending { mut child, .. }) =
            std::mem::replace(&mut self.state, State::Idle)
        else {
            return;
        };
        signal(&child, Signal::SIGTERM);
        for _ in 0..50 {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `None`: no segment wants a server.
    pub fn status(&self) -> Option<DhcpStatus> {
        self.wanted.as_ref()?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let file = fs::read_to_string(self.path("dhcp-leases")).unwrap_or_default();
        Some(DhcpStatus {
            running: matches!(self.state, State::Running { .. }),
            trouble: self.trouble.clone(),
            leases: leases(&file, since_1970),
        })
    }

    fn start(&mut self, now: Instant) -> State {
        let Some(wanted) = self.wanted.clone() else { return State::Idle };
        let written =
            self.write("dhcp.conf", &wanted).and_then(|()| self.write("dhcp-reservations", &self.reserved));
        if let Err(error) = written {
            return self.fail(now, DhcpTrouble::NotStarted { error: error.to_string() });
        }
        let arguments = [
            self.argument("--conf-file=", "dhcp.conf"),
            self.argument("--dhcp-leasefile=", "dhcp-leases"),
            self.argument("--dhcp-hostsfile=", "dhcp-reservations"),
            // We know its number.
            "--pid-file=".into(),
        ];
        match child::spawn(&self.space, PROGRAM, &arguments) {
            Ok(child) => {
                tracing::info!("DHCP server started");
                self.trouble = None;
                self.next_look = now + LOOK;
                State::Running { child, since: now }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.retry = LONGEST_RETRY;
                self.fail(now, DhcpTrouble::NotInstalled)
            }
            Err(error) => self.fail(now, DhcpTrouble::NotStarted { error: error.to_string() }),
        }
    }

    /// Said once for each trouble, tried again later.
    fn fail(&mut self, now: Instant, trouble: DhcpTrouble) -> State {
        if self.trouble.as_ref() != Some(&trouble) {
            let why = words::dhcp_trouble(&trouble, Lang::En);
            tracing::warn!("no DHCP server for the segments, trying again: {why}");
        }
        self.trouble = Some(trouble);
        let until = now + self.retry;
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
        State::Waiting { until }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn argument(&self, option: &str, name: &str) -> std::ffi::OsString {
        let mut argument = std::ffi::OsString::from(option);
        argument.push(self.path(name));
        argument
    }

    /// As a whole or not at all.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, text)?;
        fs::rename(new, self.path(name))
    }
}

/// A child that nobody has waited for yet keeps its number: the signal cannot reach another.
fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
