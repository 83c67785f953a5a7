//! The new one's side.

use super::message::{Message, Partner, Received, VERSION};
use super::{PROGRAM, state};
use crate::datapath::Datapath;
use crate::datapath::batch::Arrival;
use crate::datapath::forward::Forwarding;
use crate::datapath::line::Line;
use crate::datapath::opening::FOREIGN;
use crate::datapath::stack::Stack;
use crate::datapath::wireguard::{Keys, TIMERS};
use crate::kernel::channel::Channel;
use crate::observe::status::{HandoverRefused, TakenOver};
use crate::observe::words;
use crate::state::StateDir;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tsumugi_core::tunnel::DropReason;
use tsumugi_plan::explain::Lang;

/// How long the old one may be silent.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long WireGuard's far ends may take to shake hands: who is not there now is not waited for.
const HANDSHAKES: Duration = Duration::from_secs(3);
/// How long an old one that does not hand over may take to end, first asked to, then made to.
const ENDING: [(Signal, Duration); 2] =
    [(Signal::SIGTERM, Duration::from_secs(1)), (Signal::SIGKILL, Duration::from_secs(2))];
/// After so long without a message for the old one's sessions there will be no more, once every far end
/// has used ours.
const QUIET: Duration = Duration::from_millis(500);
/// A far end that still uses the old one's session after so long is asked for another.
const RENEW: Duration = Duration::from_secs(1);
/// The old one is let go in any case.
const LONGEST: Duration = Duration::from_secs(10);

/// What a process begins with.
pub struct Begun {
    pub forwarding: Forwarding,
    pub stack: Stack,
    /// From whom; `None`: nobody lived, or nothing was handed over.
    pub taking: Option<Taking>,
}

impl Begun {
    fn from_nothing() -> Begun {
        Begun { forwarding: Forwarding::new(), stack: Stack::default(), taking: None }
    }
}

/// A handover that has begun.
pub struct Taking {
    partner: Partner,
    pid: i32,
    program: String,
    plan_hash: String,
}

/// The old one, while it opens what comes for its sessions.
pub struct Predecessor {
    partner: Partner,
    since: Instant,
    last_passed: Instant,
}

/// Finds out whether a process lives on this state directory, and takes from it what it hands over. One that
/// hands nothing over is ended, as for any other restart.
///
/// # Errors
/// Another one takes over already, the plan is refused, or the old one does not end.
pub fn begin(state: &StateDir) -> io::Result<Begun> {
    let Ok(channel) = Channel::connect(&state.socket("handover")) else { return Ok(Begun::from_nothing()) };
    let mut partner = Partner::new(channel);
    let peer = partner.peer()?;
    if peer.uid != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "the datapath of another user runs here"));
    }
    // Whoever does not understand the plan could not keep what runs.
    if let Err(refused) = state.plan() {
        return Err(io::Error::other(words::plan_refused(&refused, Lang::En)));
    }
    partner.tell(&Message::Hello { version: VERSION, program: PROGRAM.into() });
    let why = match collect(state, partner, peer.pid) {
        Ok(begun) => return Ok(begun),
        Err(Failed::Refused(why @ HandoverRefused::Busy)) => {
            return Err(io::Error::other(words::handover_refused(&why, Lang::En)));
        }
        Err(Failed::Refused(why)) => words::handover_refused(&why, Lang::En),
        Err(Failed::Io(error)) => error.to_string(),
    };
    tracing::warn!(pid = peer.pid, reason = why, "nothing is handed over, the old process is ended");
    end(peer.pid)?;
    Ok(Begun::from_nothing())
}

enum Failed {
    Refused(HandoverRefused),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Io(error)
    }
}

/// Takes what the old one shows, and shakes hands in its place.
fn collect(state: &StateDir, mut partner: Partner, pid: i32) -> Result<Begun, Failed> {
    let mut forwarding = Forwarding::new();
    let mut sessions = Vec::new();
    let (program, plan_hash, stack) = loop {
        let Received { message, descriptors, .. } = receive(&mut partner, Instant::now() + PATIENCE)?;
        match message {
            Message::Line(of) => {
                let line = Line::adopt(&of, descriptors).ok_or(io::Error::from(ErrorKind::InvalidData))?;
                forwarding.lines.push(line);
            }
            Message::Tunnel(of) => {
                let keys = Keys::of(&of.plan, state).ok().flatten();
                let line = forwarding.lines.iter().position(|line| line.name == of.plan.uplink);
                let line = line.ok_or(io::Error::from(ErrorKind::InvalidData))?;
                let Some(mut tunnel) = state::adopt(&of, keys, line, descriptors, Instant::now()) else {
                    tracing::warn!(tunnel = %of.plan.name, "this tunnel cannot be taken over");
                    continue;
                };
                tunnel.follow_path(state);
                if of.wireguard.as_ref().is_some_and(|wireguard| wireguard.has_session) {
                    sessions.push(forwarding.tunnels.len());
                }
                forwarding.add(tunnel);
            }
            Message::All { program, plan_hash, stack } => break (program, plan_hash, stack),
            Message::Refused { why } => return Err(Failed::Refused(why)),
            _ => return Err(io::Error::from(ErrorKind::InvalidData).into()),
        }
    };
    shake_hands(&mut forwarding, &mut partner, &sessions)?;
    let taking = Some(Taking { partner, pid, program, plan_hash });
    Ok(Begun { forwarding, stack: Stack::left_by(stack), taking })
}

/// Makes sessions of our own with every far end that the old one has a session with. The answers come to it,
/// and it passes them on.
fn shake_hands(forwarding: &mut Forwarding, partner: &mut Partner, slots: &[usize]) -> Result<(), Failed> {
    let deadline = Instant::now() + HANDSHAKES;
    let mut timers = Instant::now();
    loop {
        let now = Instant::now();
        let has_session = |slot: &usize| {
            let tunnel = forwarding.tunnels[*slot].as_ref();
            tunnel.and_then(|tunnel| tunnel.wireguard()).is_none_or(|wireguard| wireguard.has_session())
        };
        if slots.iter().all(has_session) || now >= deadline {
            return Ok(());
        }
        if now >= timers {
            forwarding.on_time(now);
            timers = now + TIMERS;
        }
        match receive(partner, timers.min(deadline)) {
            Ok(Received { message: Message::Refused { why }, .. }) => return Err(Failed::Refused(why)),
            Ok(received) => pass_in(forwarding, &received),
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes in a datagram that the old one has received for us.
fn pass_in(forwarding: &mut Forwarding, received: &Received) {
    if let Message::Datagram { tunnel, source, destination, traffic_class } = &received.message
        && let Some(slot) = forwarding.slot_of(tunnel)
    {
        let (source, destination) = (*source, *destination);
        let arrival = Arrival::of(source, destination, *traffic_class);
        forwarding.on_passed(Instant::now(), slot, arrival, &received.bytes);
    }
}

/// Waits for the next message, and sends what waits.
fn receive(partner: &mut Partner, until: Instant) -> io::Result<Received> {
    loop {
        let mut events = PollFlags::POLLIN;
        if !partner.flush()? {
            events |= PollFlags::POLLOUT;
        }
        if let Some(received) = partner.next()? {
            return Ok(received);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let milliseconds = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match poll(&mut [PollFd::new(partner.as_fd(), events)], PollTimeout::from(milliseconds)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a process that holds what we need.
fn end(pid: i32) -> io::Result<()> {
    if pid <= 0 || Pid::from_raw(pid) == nix::unistd::getpid() {
        return Err(io::Error::other("the old process cannot be ended from here"));
    }
    for (signal, patience) in ENDING {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), signal);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if has_ended(pid) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Err(io::Error::other("the old process does not end"))
}

/// One that nobody has waited for has ended as well (proc_pid_stat(5): the state stands behind the name).
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_none_or(|state| matches!(state, 'Z' | 'X'))
}

impl Datapath {
    /// Has the old one stop, and goes on in its place.
    ///
    /// # Errors
    /// It does not want to any more, and goes on itself.
    pub(in crate::datapath) fn take_over(&mut self, taking: Taking) -> io::Result<()> {
        let Taking { mut partner, pid, program, plan_hash } = taking;
        // What takes long is done while the old one forwards. Another plan than its is taken afterwards.
        if let Ok(plan) = self.state.plan()
            && plan.hash == plan_hash
            && plan.tunnels.iter().all(|tunnel| self.forwarding.slot_of(&tunnel.name).is_some())
        {
            self.keeper.set_desired(plan.underlay.clone())?;
            self.keeper.turn(Instant::now());
            self.plan = Some(plan);
        }
        self.rebuild_table();
        self.follow_next_hops();
        partner.tell(&Message::Ready);
        let alive = match self.await_yours(&mut partner) {
            Ok(None) => true,
            Ok(Some(why)) => return Err(io::Error::other(words::handover_refused(&why, Lang::En))),
            Err(error) => {
                tracing::warn!(pid, reason = %error, "the old process is ended in the middle of it");
                end(pid)?;
                false
            }
        };
        if alive {
            partner.tell(&Message::Taken);
            partner.flush()?;
            self.let_go_of(partner);
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (tunnels, lines) =
            (self.forwarding.tunnels.iter().flatten().count(), self.forwarding.lines.len());
        tracing::info!(pid, program, tunnels, lines, "taken over");
        self.taken_over = Some(TakenOver { pid, program, tunnels: count(tunnels), lines: count(lines) });
        Ok(())
    }

    /// Waits until the old one has stopped; `Some`: it goes on.
    fn await_yours(&mut self, partner: &mut Partner) -> io::Result<Option<HandoverRefused>> {
        let forwarding = &mut self.forwarding;
        loop {
            let received = receive(partner, Instant::now() + PATIENCE)?;
            match &received.message {
                Message::Yours => return Ok(None),
                Message::Refused { why } => return Ok(Some(why.clone())),
                Message::Line(state) => {
                    if let Some(line) = forwarding.lines.iter_mut().find(|line| line.name == state.name) {
                        line.go_on(state);
                    }
                }
                Message::Tunnel(of) => {
                    if let Some(slot) = forwarding.slot_of(&of.plan.name)
                        && let Some(tunnel) = &mut forwarding.tunnels[slot]
                    {
                        state::go_on(tunnel, of, Instant::now());
                    }
                }
                _ => pass_in(forwarding, &received),
            }
        }
    }

    /// The old one opens what comes for its sessions, if it has any.
    fn let_go_of(&mut self, mut partner: Partner) {
        if self.forwarding.tunnels.iter().flatten().any(|tunnel| tunnel.wireguard().is_some()) {
            let now = Instant::now();
            self.forwarding.for_another = Some(Vec::new());
            self.predecessor = Some(Predecessor { partner, since: now, last_passed: now });
        } else {
            partner.tell(&Message::End);
            // If it is gone that is as good.
            let _ = partner.flush();
        }
    }

    /// Passes back what came for sessions of the old one, and lets it go once there is no more.
    pub(in crate::datapath) fn pass_back(&mut self, now: Instant) {
        let Some(mut old) = self.predecessor.take() else { return };
        let late = now.saturating_duration_since(old.since) >= RENEW;
        let slots = self.pass_on(&mut old.partner);
        if !slots.is_empty() {
            old.last_passed = now;
        }
        for slot in slots.into_iter().filter(|_| late) {
            if let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(slot) {
                tunnel.renew();
            }
        }
        let sessions = self.forwarding.tunnels.iter().flatten().filter_map(|tunnel| tunnel.wireguard());
        let all = sessions.filter(|one| one.has_session()).all(|one| one.is_confirmed());
        let quiet = all && now.saturating_duration_since(old.last_passed) >= QUIET;
        let ends = quiet || now.saturating_duration_since(old.since) >= LONGEST;
        if ends {
            old.partner.tell(&Message::End);
        }
        if old.partner.flush().is_err() || ends {
            self.forwarding.for_another = None;
        } else {
            self.predecessor = Some(old);
        }
    }

    /// Hands the other one what came for its sessions; returns the slots of the tunnels.
    pub(super) fn pass_on(&mut self, partner: &mut Partner) -> Vec<usize> {
        let Some(waiting) = &mut self.forwarding.for_another else { return Vec::new() };
        let waiting = std::mem::take(waiting);
        for one in &waiting {
            let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(one.slot) else { continue };
            if partner.waiting() >= FOREIGN {
                tunnel.drops.count(DropReason::NoSession);
                continue;
            }
            let message = Message::Datagram {
                tunnel: tunnel.plan.name.clone(),
                source: one.arrival.source,
                destination: one.arrival.destination,
                traffic_class: one.arrival.traffic_class,
            };
            partner.give(&message, &one.message, Vec::new());
        }
        waiting.into_iter().map(|one| one.slot).collect()
    }
}
