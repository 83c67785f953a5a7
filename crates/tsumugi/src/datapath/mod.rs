//! The datapath process: tunnel devices in the fabric, outer packets in the underlay, one loop.
//!
//! ```text
//! fabric    TUN/TAP gre-x ──read──▶ encapsulate, cut ──▶ raw socket of the line    underlay
//!           TUN/TAP gre-x ◀─write── decapsulate, find ◀── raw or UDP socket
//! ```
//!
//! The devices are persistent: with the process gone its interfaces, addresses and routes stay, and
//! the next life attaches to them again. What is not there yet is tried again, never fatal.

mod engine;
mod forward;
mod line;
mod maintain;
mod options;
mod socket;
mod status;
mod table;
mod trouble;
mod tunnel;
mod wireguard;

use crate::kernel::{Namespace, Netlink};
use crate::observe::logging;
use crate::observe::serve::StatusSocket;
use crate::state::{PlanRefused, StateDir};
use forward::{Forwarding, Health};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};
use tsumugi_core::id::Plane;
use tsumugi_core::router_plan::RouterPlan;

/// How often what is missing is tried again, and what is there is looked at.
const MAINTENANCE: Duration = Duration::from_secs(1);
/// Events taken from the kernel at once.
const EVENTS: usize = 64;

/// The verb `datapath`: runs until SIGTERM.
///
/// # Errors
/// What the process cannot live without: its directory, its namespaces, its status socket.
pub fn run(directory: &Path) -> io::Result<()> {
    // Before any thread is made, so that all of them leave these signals to the loop.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    logging::init("datapath");
    Datapath::new(StateDir::open(directory)?)?.run(&signals)
}

/// Who an event of the loop is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signal,
    Status,
    /// A tunnel's device.
    Device(usize),
    /// A tunnel's UDP socket.
    Datagrams(usize),
    /// A raw socket of a line: the line's slot and the socket's place in it.
    Line(usize, usize),
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, slot, place) = match self {
            Token::Signal => (0, 0, 0),
            Token::Status => (1, 0, 0),
            Token::Device(slot) => (2, slot, 0),
            Token::Datagrams(slot) => (3, slot, 0),
            Token::Line(slot, place) => (4, slot, place),
        };
        kind << 56 | (slot as u64 & 0xff_ffff) << 16 | (place as u64 & 0xffff)
    }

    fn decode(value: u64) -> Option<Token> {
        let slot = usize::try_from(value >> 16 & 0xff_ffff).ok()?;
        let place = usize::try_from(value & 0xffff).ok()?;
        Some(match value >> 56 {
            0 => Token::Signal,
            1 => Token::Status,
            2 => Token::Device(slot),
            3 => Token::Datagrams(slot),
            4 => Token::Line(slot, place),
            _ => return None,
        })
    }
}

struct Datapath {
    state: StateDir,
    underlay: Namespace,
    fabric: Namespace,
    underlay_netlink: Netlink,
    fabric_netlink: Netlink,
    epoll: Epoll,
    status: StatusSocket,
    /// `None` before the first one that was understood.
    plan: Option<RouterPlan>,
    refused: Option<PlanRefused>,
    forwarding: Forwarding,
    started: Instant,
}

impl Datapath {
    fn new(state: StateDir) -> io::Result<Datapath> {
        let underlay = state.plane(Plane::Underlay)?;
        let fabric = state.plane(Plane::Fabric)?;
        Ok(Datapath {
            underlay_netlink: Netlink::open_in(&underlay)?,
            fabric_netlink: Netlink::open_in(&fabric)?,
            underlay,
            fabric,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            status: StatusSocket::bind(&state.socket("datapath"))?,
            state,
            plan: None,
            refused: None,
            forwarding: Forwarding::new(),
            started: Instant::now(),
        })
    }

    fn run(&mut self, signals: &SignalFd) -> io::Result<()> {
        watch(&self.epoll, signals, Token::Signal)?;
        watch(&self.epoll, &self.status, Token::Status)?;
        self.take_plan();
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut next_maintenance = Instant::now();
        let mut next_timers = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next_maintenance {
                self.maintain();
                next_maintenance = now + MAINTENANCE;
            }
            if now >= next_timers {
                self.forwarding.on_time(now);
                next_timers = now + wireguard::TIMERS;
            }
            let timers = self.has_timers().then_some(next_timers);
            let until = timers.map_or(next_maintenance, |timers| timers.min(next_maintenance));
            let count = match self.epoll.wait(&mut events, timeout(until)) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let now = Instant::now();
            for event in &events[..count] {
                match Token::decode(event.data()) {
                    Some(Token::Signal) => {
                        if self.on_signals(signals) {
                            return Ok(());
                        }
                        next_timers = now;
                    }
                    Some(Token::Status) => {
                        let (forwarding, plan, refused) = (&self.forwarding, &self.plan, &self.refused);
                        self.status
                            .serve(|| status::document(now, forwarding, plan.as_ref(), refused.as_ref()));
                    }
                    Some(token) => {
                        if self.on_packets(now, token) == Health::Broken {
                            self.release(token);
                            next_maintenance = now;
                        }
                    }
                    None => {}
                }
            }
        }
    }

    fn on_packets(&mut self, now: Instant, token: Token) -> Health {
        match token {
            Token::Device(slot) => self.forwarding.from_device(now, slot),
            Token::Datagrams(slot) => self.forwarding.from_datagrams(now, slot),
            Token::Line(slot, place) => self.forwarding.from_line(now, slot, place),
            Token::Signal | Token::Status => Health::Well,
        }
    }

    /// True if the process shall end.
    fn on_signals(&mut self, signals: &SignalFd) -> bool {
        while let Ok(Some(info)) = signals.read_signal() {
            if i32::try_from(info.ssi_signo) == Ok(Signal::SIGHUP as i32) {
                self.take_plan();
            } else {
                tracing::info!(seconds = self.started.elapsed().as_secs(), "ended");
                return true;
            }
        }
        false
    }
}

/// Wakes the loop when the descriptor is readable; a second call changes the token.
fn watch(epoll: &Epoll, descriptor: &impl AsFd, token: Token) -> io::Result<()> {
    let mut event = EpollEvent::new(EpollFlags::EPOLLIN, token.encode());
    match epoll.add(descriptor, event) {
        Err(Errno::EEXIST) => Ok(epoll.modify(descriptor, &mut event)?),
        other => Ok(other?),
    }
}

/// Rounded up, so that the loop does not wake a moment too early.
fn timeout(until: Instant) -> EpollTimeout {
    let left = until.saturating_duration_since(Instant::now());
    let milliseconds = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    EpollTimeout::from(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for token in
            [Token::Signal, Token::Status, Token::Device(3), Token::Datagrams(70_000), Token::Line(5, 3)]
        {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
