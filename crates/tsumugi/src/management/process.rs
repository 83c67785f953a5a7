//! The loop of the management process.

use super::line::{LineSockets, Sent};
use super::overlay::{LineKey, Overlay, Sink};
use super::{BUFFER, status};
use crate::kernel::plane::Keeper;
use crate::kernel::tun::{TunKind, attach};
use crate::observe::logging;
use crate::observe::serve::StatusSocket;
use crate::observe::status::{ManagementTrouble, Missing};
use crate::observe::words;
use crate::state::{KeyRing, PlanRefused, StateDir};
use boringtun::x25519::StaticSecret;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{read, write};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use tsumugi_core::desired::RouteTarget;
use tsumugi_core::id::{Plane, Prefix};
use tsumugi_core::router_plan::{OverlayLine, RouterPlan};
use tsumugi_plan::explain::Lang;

/// How often sessions are looked after.
const TICK: Duration = Duration::from_millis(250);
/// How often what is missing is tried again.
const MAINTENANCE: Duration = Duration::from_secs(1);
/// Packets read from one descriptor before the others have their turn.
const BUDGET: usize = 64;
const EVENTS: usize = 32;

// Who an event of the loop is for; lines count up from the last.
const SIGNAL: u64 = 0;
const STATUS: u64 = 1;
const PLANE: u64 = 2;
const DEVICE: u64 = 3;
const LINES: u64 = 4;

/// The verb `management`: runs until SIGTERM, and leaves interfaces, addresses and routes in place.
///
/// # Errors
/// What the process cannot live without: its directory, its status socket, netlink.
pub fn run(directory: &Path) -> io::Result<()> {
    // Before any thread is made, so that all of them leave these signals to the loop.
    let signals = SigSet::from_iter([Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    logging::init("management");
    Management::new(StateDir::open(directory)?)?.run(&signals)
}

/// The descriptors that the overlay sends to.
pub struct Wires {
    pub lines: Vec<Line>,
    pub device: Option<OwnedFd>,
}

pub struct Line {
    pub plan: OverlayLine,
    /// The smallest of its paths in bytes.
    path_mtu: u16,
    pub sockets: Option<LineSockets>,
    /// Why it is not open, as last said.
    pub trouble: Option<Missing>,
}

impl Sink for Wires {
    fn datagram(&mut self, line: usize, to: SocketAddr, bytes: &[u8]) {
        let Some(line) = self.lines.get_mut(line) else { return };
        if let Some(sockets) = &line.sockets
            && sockets.send(to, bytes) == Sent::LinkGone
        {
            line.sockets = None;
        }
    }

    fn packet(&mut self, bytes: &[u8]) {
        if let Some(device) = &self.device {
            // If the device is down or full the packet is lost, as on any link.
            let _ = write(device, bytes);
        }
    }
}

pub struct Management {
    state: StateDir,
    epoll: Epoll,
    status: StatusSocket,
    pub keeper: Keeper,
    /// `None` before the first one that was understood.
    pub plan: Option<RouterPlan>,
    pub refused: Option<PlanRefused>,
    pub overlay: Option<Overlay>,
    pub wires: Wires,
    /// What is missing of keys and devices, as last said.
    pub troubles: BTreeMap<&'static str, Vec<ManagementTrouble>>,
    pub started: Instant,
    buffer: Vec<u8>,
}

impl Management {
    fn new(state: StateDir) -> io::Result<Management> {
        let initial = state.plane(Plane::Management)?;
        let keeper = Keeper::new(Plane::Management, initial.clone(), &initial, Default::default())?;
        Ok(Management {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            status: StatusSocket::bind(&state.socket("management"))?,
            keeper,
            state,
            plan: None,
            refused: None,
            overlay: None,
            wires: Wires { lines: Vec::new(), device: None },
            troubles: BTreeMap::new(),
            started: Instant::now(),
            buffer: vec![0; BUFFER],
        })
    }

    fn run(&mut self, signals: &SignalFd) -> io::Result<()> {
        self.watch(signals, SIGNAL)?;
        self.watch(&self.status, STATUS)?;
        self.watch(&self.keeper, PLANE)?;
        self.take_plan();
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut next_tick = Instant::now();
        let mut next_maintenance = next_tick;
        loop {
            let now = Instant::now();
            if self.keeper.next_timeout().is_some_and(|due| due <= now) {
                self.turn(now);
            }
            if now >= next_maintenance {
                self.maintain();
                next_maintenance = now + MAINTENANCE;
            }
            if now >= next_tick {
                if let Some(overlay) = &mut self.overlay {
                    overlay.tick(now, &mut self.wires);
                }
                next_tick = now + TICK;
            }
            let due = self.keeper.next_timeout();
            let until = due.into_iter().fold(next_maintenance.min(next_tick), Instant::min);
            let count = match self.epoll.wait(&mut events, timeout(until)) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let now = Instant::now();
            for event in &events[..count] {
                match event.data() {
                    SIGNAL => {
                        if self.on_signals(signals) {
                            return Ok(());
                        }
                    }
                    STATUS => self.on_status(now),
                    PLANE => self.turn(now),
                    DEVICE => self.on_device(now),
                    line => self.on_line(now, (line - LINES) as usize),
                }
            }
        }
    }

    fn watch(&self, descriptor: &impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// A link that came may be the one that a line waits for: no need to wait for the next look.
    fn turn(&mut self, now: Instant) {
        let turn = self.keeper.turn(now);
        if turn.links.iter().any(|event| event.link.as_ref().is_some_and(|link| link.up)) {
            self.open_lines();
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

    fn on_status(&mut self, now: Instant) {
        let document = status::document(self, now);
        self.status.serve(|| document);
    }

    fn on_device(&mut self, now: Instant) {
        for _ in 0..BUDGET {
            let Some(device) = &self.wires.device else { return };
            match read(device, &mut self.buffer) {
                Ok(length) => {
                    if let Some(overlay) = &mut self.overlay {
                        overlay.packet_from_kernel(now, &self.buffer[..length], &mut self.wires);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Err(_) => {
                    // Removed by hand: the next look makes it anew.
                    self.wires.device = None;
                    return;
                }
            }
        }
    }

    fn on_line(&mut self, now: Instant, line: usize) {
        for _ in 0..BUDGET {
            let sockets = self.wires.lines.get(line).and_then(|line| line.sockets.as_ref());
            let Some((length, from)) = sockets.and_then(|sockets| sockets.receive(&mut self.buffer)) else {
                return;
            };
            if let Some(overlay) = &mut self.overlay {
                overlay.datagram_from_line(now, line, from, &self.buffer[..length], &mut self.wires);
            }
        }
    }

    /// Reads the plan; one that is refused changes nothing.
    fn take_plan(&mut self) {
        let plan = match self.state.plan() {
            Ok(plan) => plan,
            Err(refused) => {
                if self.refused.as_ref() != Some(&refused) {
                    let reason = words::plan_refused(&refused, Lang::En);
                    tracing::error!(reason, "plan refused, what runs is kept");
                }
                self.refused = Some(refused);
                return;
            }
        };
        self.refused = None;
        if let Err(error) = self.keeper.set_desired(plan.management.desired.clone()) {
            tracing::error!(%error, "the management plane is not watched");
        }
        let earlier = self.plan.as_ref().map(|plan| &plan.management.overlay);
        if earlier.is_none_or(|earlier| earlier.device != plan.management.overlay.device) {
            self.wires.device = None;
        }
        tracing::info!(generation = plan.generation, machine = plan.name, "the plan is in force");
        self.wires.lines = lines(&plan, std::mem::take(&mut self.wires.lines));
        self.plan = Some(plan);
        self.make_overlay();
        self.maintain();
    }

    /// The sessions of the plan, as far as there are keys for them.
    fn make_overlay(&mut self) {
        let Some(plan) = &self.plan else { return };
        let mut missing = Vec::new();
        let ring = self.state.keyring().unwrap_or_else(|error| {
            missing.push(ManagementTrouble::KeyRing { error: error.to_string() });
            KeyRing::default()
        });
        let mut keys = Vec::new();
        for line in &self.wires.lines {
            match self.state.private_key(&line.plan.key) {
                Ok(secret) => keys.push(LineKey { name: line.plan.name.clone(), secret: secret.into() }),
                Err(error) => {
                    let (key, error) = (line.plan.key.clone(), error.to_string());
                    missing.push(ManagementTrouble::PrivateKey { key, error });
                    // Lines and keys have the same numbers; a random key is nobody's.
                    let nobody = StaticSecret::from(rand::random::<[u8; 32]>());
                    keys.push(LineKey { name: line.plan.name.clone(), secret: nobody });
                }
            }
        }
        for path in plan.management.overlay.neighbours.iter().flat_map(|neighbour| &neighbour.paths) {
            if let Err(error) = ring.public_key(&path.remote_key) {
                let (key, error) = (path.remote_key.clone(), error.to_string());
                missing.push(ManagementTrouble::PublicKey { key, error });
            }
        }
        let public = |path: &tsumugi_core::router_plan::OverlayPath| ring.public_key(&path.remote_key).ok();
        let earlier = self.overlay.take();
        self.overlay = Some(Overlay::new(&plan.management.overlay, local(plan), keys, public, earlier));
        self.note("keys", missing);
    }

    /// Makes what is missing.
    fn maintain(&mut self) {
        if self.troubles.contains_key("keys") {
            self.make_overlay();
        }
        self.open_device();
        self.open_lines();
    }

    fn open_device(&mut self) {
        let Some(plan) = self.plan.as_ref().filter(|_| self.wires.device.is_none()) else { return };
        let attached = self
            .state
            .plane(Plane::Management)
            .and_then(|initial| attach(&initial, &plan.management.overlay.device, TunKind::Tun));
        let trouble = match attached {
            Ok(device) => {
                let watched = self.watch(&device, DEVICE);
                self.wires.device = Some(device);
                watched.err()
            }
            Err(error) => Some(error),
        };
        let trouble = trouble.map(|error| ManagementTrouble::Device { error: error.to_string() });
        self.note("device", trouble.into_iter().collect());
    }

    fn open_lines(&mut self) {
        for (number, line) in self.wires.lines.iter_mut().enumerate() {
            if line.sockets.is_some() {
                continue;
            }
            let opened = self
                .state
                .plane(line.plan.plane)
                .and_then(|plane| LineSockets::open(&plane, &line.plan, line.path_mtu));
            let name = &line.plan.name;
            match opened {
                Ok(sockets) => {
                    for descriptor in sockets.descriptors() {
                        let event = EpollEvent::new(EpollFlags::EPOLLIN, LINES + number as u64);
                        if let Err(errno) = self.epoll.add(descriptor, event) {
                            tracing::error!(line = name, error = errno.desc(), "the line is not heard");
                        }
                    }
                    tracing::info!(line = name, "the line is open");
                    line.sockets = Some(sockets);
                    line.trouble = None;
                }
                Err(error) => {
                    let trouble = Missing::from(&error);
                    if line.trouble.as_ref() != Some(&trouble) {
                        let reason = words::missing(&trouble, Lang::En);
                        tracing::warn!(line = name, reason, "the line is not open; trying again");
                        line.trouble = Some(trouble);
                    }
                }
            }
        }
    }

    /// Says each trouble once when it begins, and once when none is left.
    fn note(&mut self, what: &'static str, troubles: Vec<ManagementTrouble>) {
        let before = self.troubles.remove(what).unwrap_or_default();
        for trouble in troubles.iter().filter(|trouble| !before.contains(trouble)) {
            let reason = words::management_trouble(trouble, Lang::En);
            tracing::warn!(what, reason, "missing; trying again");
        }
        if !troubles.is_empty() {
            self.troubles.insert(what, troubles);
        } else if !before.is_empty() {
            tracing::info!(what, "no longer missing");
        }
    }
}

/// The plan's lines; those that are as they were stay open.
fn lines(plan: &RouterPlan, mut earlier: Vec<Line>) -> Vec<Line> {
    let overlay = &plan.management.overlay;
    let lines = overlay.lines.iter().enumerate().map(|(number, line)| {
        let paths = overlay.neighbours.iter().flat_map(|neighbour| &neighbour.paths);
        let path_mtu = paths.filter(|path| path.line == line.name).map(|path| path.path_mtu).min();
        let path_mtu = path_mtu.unwrap_or(1280);
        // The number is what the loop knows the descriptors by.
        let same = earlier.get_mut(number).filter(|same| same.plan == *line && same.path_mtu == path_mtu);
        let (sockets, trouble) = same.map_or((None, None), |same| (same.sockets.take(), same.trouble.take()));
        Line { plan: line.clone(), path_mtu, sockets, trouble }
    });
    lines.collect()
}

/// What of the management space is reached without the overlay.
fn local(plan: &RouterPlan) -> Vec<Prefix> {
    let overlay = &plan.management.overlay;
    let desired = &plan.management.desired;
    let addresses = desired.addresses.iter().map(|address| address.prefix.trunc());
    let routes = desired.routes.iter().filter_map(|route| match &route.target {
        RouteTarget::NextHops { next_hops } => {
            next_hops.iter().all(|hop| hop.link != overlay.device).then_some(route.prefix)
        }
        RouteTarget::Discard | RouteTarget::Unreachable => None,
    });
    addresses.chain(routes).filter(|prefix| overlay.space.contains(prefix)).collect()
}

/// Rounded up, so that the loop does not spin before something is due.
fn timeout(until: Instant) -> EpollTimeout {
    let left = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000).min(60_000);
    EpollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX))
}
