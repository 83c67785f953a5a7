//! The datapath process: tunnel devices in the fabric, outer packets in the underlay, one loop.
//!
//! ```text
//! fabric    TUN/TAP gre-x ──read──▶ encapsulate, cut ──▶ raw socket of the line    underlay
//!           TUN/TAP gre-x ◀─write── decapsulate, find ◀── raw or UDP socket
//! ```
//!
//! The devices are persistent: with the process gone its interfaces, addresses and routes stay, and
//! the next life attaches to them again. What is not there yet is tried again, never fatal.

mod batch;
mod delivery;
mod echoing;
mod engine;
mod forward;
mod handover;
mod inward;
mod keepalive;
mod kernel_signals;
mod line;
mod maintain;
mod meanwhile;
mod next_hops;
mod opening;
mod options;
mod outbox;
mod outside;
mod outward;
mod path;
mod probing;
mod sealing;
mod shortcut;
mod signals;
mod socket;
mod stack;
mod status;
mod switchover;
mod table;
mod trouble;
mod tunnel;
mod udp;
mod wireguard;

use crate::kernel::features::Features;
use crate::kernel::next_hop::HopWatch;
use crate::kernel::plane::Keeper;
use crate::observe::logging;
use crate::observe::serve::StatusSocket;
use crate::observe::status::TakenOver;
use crate::state::{PlanRefused, StateDir};
use engine::Sides;
use forward::{Forwarding, Health};
use handover::{Begun, Giver, Predecessor, Step, Taking};
use meanwhile::meanwhile;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use probing::Probing;
use shortcut::Shortcut;
use stack::Stack;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};
use tsumugi_core::desired::Desired;
use tsumugi_core::id::Plane;
use tsumugi_core::router_plan::RouterPlan;

/// How often what is missing is tried again, and what is there is looked at.
const MAINTENANCE: Duration = Duration::from_secs(1);
/// How long what is said of routes and neighbours is gathered before next hops are read anew.
const HOPS: Duration = Duration::from_millis(20);
/// How soon what came for a predecessor's sessions is passed back at the latest.
const PASSING: Duration = Duration::from_millis(50);
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
    let state = StateDir::open(directory)?;
    let begun = handover::begin(&state)?;
    Datapath::new(state, begun)?.run(&signals)
}

/// Who an event of the loop is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signal,
    Status,
    /// The keeper of the underlay.
    Underlay,
    /// A tunnel's device.
    Device(usize),
    /// A tunnel's UDP socket.
    Datagrams(usize),
    /// A raw socket of a line: the line's slot and the socket's place in it.
    Line(usize, usize),
    /// The same, of network control.
    LineControl(usize, usize),
    /// A line's packet socket.
    Packets(usize),
    /// A line's packet socket of network control.
    Control(usize),
    /// The socket on a kernel's device of a tunnel.
    Signals(usize),
    /// Routes and neighbours of the underlay.
    Hops,
    /// A process that wants to take over.
    Knock,
    /// The one that was let in.
    Partner,
    /// Who asks for a path to be measured.
    Askers,
    /// Answers of far ends' machines to echo requests beside their tunnels.
    Echoes,
}

/// In which order those have their turn that wait at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// What the loop itself is about.
    Loop,
    /// Network control: far ends' questions and BGP never wait behind bulk.
    Control,
    Bulk,
}

/// Puts events into the order of their turns.
fn in_turn(events: &mut [EpollEvent]) {
    events.sort_unstable_by_key(|event| Token::decode(event.data()).map_or(Turn::Bulk, Token::turn));
}

impl Token {
    fn turn(self) -> Turn {
        match self {
            Token::Control(_) | Token::LineControl(..) | Token::Signals(_) => Turn::Control,
            Token::Device(_) | Token::Datagrams(_) | Token::Line(..) | Token::Packets(_) => Turn::Bulk,
            Token::Signal
            | Token::Status
            | Token::Underlay
            | Token::Hops
            | Token::Knock
            | Token::Partner
            | Token::Askers
            | Token::Echoes => Turn::Loop,
        }
    }

    /// Whether packets wait there, signals of far ends among them: they pass whatever the loop is at.
    fn is_packets(self) -> bool {
        self.turn() != Turn::Loop
    }

    fn encode(self) -> u64 {
        let (kind, slot, place) = match self {
            Token::Signal => (0, 0, 0),
            Token::Status => (1, 0, 0),
            Token::Underlay => (5, 0, 0),
            Token::Device(slot) => (2, slot, 0),
            Token::Datagrams(slot) => (3, slot, 0),
            Token::Line(slot, place) => (4, slot, place),
            Token::Packets(slot) => (6, slot, 0),
            Token::Hops => (7, 0, 0),
            Token::Askers => (10, 0, 0),
            Token::Control(slot) => (8, slot, 0),
            Token::Signals(slot) => (9, slot, 0),
            Token::Knock => (11, 0, 0),
            Token::Partner => (12, 0, 0),
            Token::Echoes => (13, 0, 0),
            Token::LineControl(slot, place) => (14, slot, place),
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
            5 => Token::Underlay,
            6 => Token::Packets(slot),
            7 => Token::Hops,
            10 => Token::Askers,
            8 => Token::Control(slot),
            9 => Token::Signals(slot),
            11 => Token::Knock,
            12 => Token::Partner,
            13 => Token::Echoes,
            14 => Token::LineControl(slot, place),
            _ => return None,
        })
    }
}

struct Datapath {
    state: StateDir,
    sides: Sides,
    /// Ports, addresses, routes and walls of the underlay: this process is their owner.
    keeper: Keeper,
    epoll: Epoll,
    status: StatusSocket,
    /// Where a successor is let in.
    giver: Giver,
    /// The process that opens what comes for its sessions still.
    predecessor: Option<Predecessor>,
    taken_over: Option<TakenOver>,
    /// A plan came while another process was about to take over.
    plan_waits: bool,
    /// From whom this process takes over.
    taking: Option<Taking>,
    probing: Probing,
    /// `None` before the first one that was understood.
    plan: Option<RouterPlan>,
    refused: Option<PlanRefused>,
    forwarding: Forwarding,
    stack: Stack,
    /// Why the stack cannot be kept from packets; asked again with the next plan.
    stack_refused: Option<String>,
    shortcut: Shortcut,
    hops: HopWatch,
    /// Of the underlay's devices.
    features: Features,
    started: Instant,
}

impl Datapath {
    fn new(state: StateDir, begun: Begun) -> io::Result<Datapath> {
        let underlay = state.plane(Plane::Underlay)?;
        let fabric = state.plane(Plane::Fabric)?;
        Ok(Datapath {
            keeper: Keeper::new(
                Plane::Underlay,
                underlay.clone(),
                &state.plane(Plane::Management)?,
                Desired::default(),
            )?,
            hops: HopWatch::open(&underlay)?,
            features: Features::open(&underlay)?,
            sides: Sides::new(underlay, fabric)?,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            status: StatusSocket::bind(&state.socket("datapath"))?,
            giver: Giver::new(&state)?,
            predecessor: None,
            taken_over: None,
            plan_waits: false,
            taking: begun.taking,
            probing: Probing::new(&state)?,
            state,
            plan: None,
            refused: None,
            forwarding: begun.forwarding,
            stack: begun.stack,
            stack_refused: None,
            shortcut: Shortcut::default(),
            started: Instant::now(),
        })
    }

    fn run(&mut self, signals: &SignalFd) -> io::Result<()> {
        watch(&self.epoll, signals, Token::Signal)?;
        watch(&self.epoll, &self.status, Token::Status)?;
        watch(&self.epoll, &self.probing.socket, Token::Askers)?;
        watch(&self.epoll, &self.keeper, Token::Underlay)?;
        watch(&self.epoll, &self.hops, Token::Hops)?;
        watch(&self.epoll, &self.giver, Token::Knock)?;
        if let Some(taking) = self.taking.take() {
            self.take_over(taking)?;
            self.watch_all();
        }
        if self.plan.is_none() {
            self.take_plan();
        }
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut due = Due { maintenance: Instant::now(), timers: Instant::now(), hops: None };
        loop {
            let now = Instant::now();
            let holds = self.giver.holds();
            if self.keeper.next_timeout().is_some_and(|due| due <= now) && self.keep_underlay(now) {
                due.maintenance = now;
            }
            if now >= due.maintenance {
                if !holds {
                    self.maintain();
                }
                due.maintenance = now + MAINTENANCE;
            }
            if self.shortcut.next_timeout().is_some_and(|due| due <= now) {
                self.keep_shortcut(now);
            }
            if due.hops.is_some_and(|due| due <= now) {
                self.follow_next_hops();
                self.follow_shortcut();
                due.hops = None;
            }
            if now >= due.timers {
                if !holds {
                    self.forwarding.on_time(now);
                }
                due.timers = now + wireguard::TIMERS;
            }
            let timers = self.forwarding.has_timers.then_some(due.timers);
            let passing = self.predecessor.is_some().then_some(now + PASSING);
            let until = [
                timers,
                due.hops,
                self.keeper.next_timeout(),
                self.forwarding.next_round(now),
                self.next_trial(now),
                self.giver.next_timeout(now),
                self.shortcut.next_timeout(),
                passing,
            ]
            .into_iter()
            .flatten()
            .fold(due.maintenance, Instant::min);
            let count = match self.epoll.wait(&mut events, timeout(until)) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let now = Instant::now();
            in_turn(&mut events[..count]);
            for event in &events[..count] {
                let Some(token) = Token::decode(event.data()) else { continue };
                match token {
                    Token::Signal => match self.on_signals(signals) {
                        Signalled::Nothing => {}
                        Signalled::PlanTaken => due.timers = now,
                        Signalled::End => return Ok(()),
                    },
                    Token::Status => {
                        self.ask_the_kernel();
                        self.count_shortcut();
                        let view = status::View {
                            now,
                            started: self.started,
                            forwarding: &self.forwarding,
                            probing: &self.probing,
                            keeper: &self.keeper,
                            plan: self.plan.as_ref(),
                            refused: self.refused.as_ref(),
                            taken_over: self.taken_over.as_ref(),
                            handovers_refused: self.giver.refused(),
                        };
                        self.status.serve(|| view.document());
                    }
                    Token::Underlay => {
                        if self.keep_underlay(now) {
                            due.maintenance = now;
                        }
                    }
                    Token::Knock => self.on_knock(now),
                    Token::Partner => {}
                    Token::Askers => self.on_askers(now),
                    Token::Echoes => self.on_echoes(now),
                    Token::Hops => {
                        if self.hops.heard() {
                            due.hops = due.hops.or(Some(now + HOPS));
                        }
                    }
                    Token::Device(_)
                    | Token::Datagrams(_)
                    | Token::Line(..)
                    | Token::LineControl(..)
                    | Token::Packets(_)
                    | Token::Control(_)
                    | Token::Signals(_) => {
                        if self.forwarding.on(now, token) == Health::Broken {
                            self.release(token);
                            due.maintenance = now;
                        }
                    }
                }
            }
            if !self.giver.has_stopped() {
                self.keep_alive(Instant::now());
                self.probe(Instant::now());
            }
            self.pass_back(now);
            if self.hand_over(now) == Step::Linger {
                self.linger(signals);
                return Ok(());
            }
        }
    }

    /// True if an interface of the underlay is other than it was.
    fn keep_underlay(&mut self, now: Instant) -> bool {
        let Datapath { keeper, .. } = self;
        let turn = meanwhile(&self.epoll, &mut self.forwarding, || keeper.turn(now));
        !turn.links.is_empty()
    }

    fn on_signals(&mut self, signals: &SignalFd) -> Signalled {
        let mut signalled = Signalled::Nothing;
        while let Ok(Some(info)) = signals.read_signal() {
            if i32::try_from(info.ssi_signo) != Ok(Signal::SIGHUP as i32) {
                self.remove_shortcut();
                tracing::info!(seconds = self.started.elapsed().as_secs(), "ended");
                return Signalled::End;
            }
            if self.giver.holds() {
                self.plan_waits = true;
                continue;
            }
            self.take_plan();
            signalled = Signalled::PlanTaken;
        }
        signalled
    }
}

/// What the signals of one wake-up ask for.
enum Signalled {
    Nothing,
    PlanTaken,
    End,
}

/// When the loop has something to do without being woken.
struct Due {
    maintenance: Instant,
    timers: Instant,
    /// Something was said of routes or neighbours.
    hops: Option<Instant>,
}

/// Wakes the loop when the descriptor is readable; a second call changes the token.
fn watch(epoll: &Epoll, descriptor: &impl AsFd, token: Token) -> io::Result<()> {
    let mut event = EpollEvent::new(EpollFlags::EPOLLIN, token.encode());
    match epoll.add(descriptor, event) {
        Err(Errno::EEXIST) => Ok(epoll.modify(descriptor, &mut event)?),
        other => Ok(other?),
    }
}

/// A second call does nothing.
fn unwatch(epoll: &Epoll, descriptor: &impl AsFd) {
    let _ = epoll.delete(descriptor);
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
    fn network_control_has_its_turn_before_bulk() {
        let waiting = [
            Token::Device(1),
            Token::Packets(0),
            Token::Control(0),
            Token::Datagrams(2),
            Token::Hops,
            Token::Signals(3),
            Token::Line(5, 3),
            Token::Status,
        ];
        let mut events = waiting.map(|token| EpollEvent::new(EpollFlags::EPOLLIN, token.encode()));
        in_turn(&mut events);
        let turns = events.map(|event| Token::decode(event.data()).unwrap().turn());
        use Turn::{Bulk, Control, Loop};
        assert_eq!(turns, [Loop, Loop, Control, Control, Bulk, Bulk, Bulk, Bulk]);
        assert!(Token::Control(0).is_packets() && !Token::Hops.is_packets());
    }

    #[test]
    fn tokens_come_back() {
        for token in [
            Token::Signal,
            Token::Status,
            Token::Device(3),
            Token::Datagrams(70_000),
            Token::Line(5, 3),
            Token::Packets(9),
            Token::Control(9),
            Token::Signals(1),
            Token::Hops,
            Token::Knock,
            Token::Partner,
            Token::Askers,
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
