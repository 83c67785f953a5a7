//! The old one's side.

use super::message::{Message, Partner, Received, VERSION};
use super::{PROGRAM, state};
use crate::datapath::batch::Arrival;
use crate::datapath::probing::Probing;
use crate::datapath::{Datapath, Token, wireguard};
use crate::kernel::channel::Door;
use crate::observe::serve::StatusSocket;
use crate::observe::status::{HandoverRefused, HandoversRefused};
use crate::observe::words;
use crate::state::StateDir;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use std::io;
use std::mem::discriminant;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

/// How long the new one may take until it says who it is, until it is ready (it shakes hands meanwhile),
/// and until it has begun.
const GREETING: Duration = Duration::from_secs(1);
const READY: Duration = Duration::from_secs(8);
const BEGIN: Duration = Duration::from_secs(2);
/// How long a moment is waited for at which no datagram is half here.
const SETTLE: Duration = Duration::from_millis(500);
/// How soon that is looked for again, and what waits is sent again.
const SOON: Duration = Duration::from_millis(2);
/// How long what comes for our sessions is opened still, unless the new one says that there is no more.
const LINGER: Duration = Duration::from_secs(15);

/// Where a successor is let in, and how far it is.
pub struct Giver {
    door: Door,
    giving: Option<Giving>,
    refused: Vec<HandoversRefused>,
}

struct Giving {
    partner: Partner,
    program: String,
    stage: Stage,
    since: Instant,
}

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Hello,
    Ready,
    /// That no datagram is half here.
    Settled,
    Taken,
}

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    GoOn,
    /// The new one has begun: nothing is to be read any more.
    Linger,
}

impl Giver {
    /// # Errors
    /// As the kernel says.
    pub fn new(state: &StateDir) -> io::Result<Giver> {
        Ok(Giver { door: Door::bind(&state.socket("handover"))?, giving: None, refused: Vec::new() })
    }

    pub fn refused(&self) -> &[HandoversRefused] {
        &self.refused
    }

    /// Whether descriptors have been shown to another process: nothing is opened or closed meanwhile.
    pub fn holds(&self) -> bool {
        self.giving.as_ref().is_some_and(|giving| giving.stage != Stage::Hello)
    }

    /// Whether nothing is read any more, because the other one may read.
    pub fn has_stopped(&self) -> bool {
        self.giving.as_ref().is_some_and(|giving| giving.stage == Stage::Taken)
    }

    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let giving = self.giving.as_ref()?;
        if giving.stage == Stage::Settled || giving.partner.waiting() > 0 {
            return Some(now + SOON);
        }
        Some(giving.since + giving.patience())
    }

    fn count(&mut self, why: &HandoverRefused, pid: Option<i32>) {
        let same = |known: &&mut HandoversRefused| discriminant(&known.why) == discriminant(why);
        match self.refused.iter_mut().find(same) {
            Some(known) => *known = HandoversRefused { why: why.clone(), count: known.count + 1 },
            None => self.refused.push(HandoversRefused { why: why.clone(), count: 1 }),
        }
        let reason = words::handover_refused(why, Lang::En);
        tracing::warn!(pid, reason, "not handed over, going on");
    }
}

impl AsFd for Giver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }
}

impl Giving {
    fn patience(&self) -> Duration {
        match self.stage {
            Stage::Hello => GREETING,
            Stage::Ready => READY,
            Stage::Settled => SETTLE,
            Stage::Taken => BEGIN,
        }
    }

    fn await_next(&mut self, stage: Stage, now: Instant) {
        self.stage = stage;
        self.since = now;
    }
}

impl Datapath {
    /// Lets in who knocks: one at a time, of our own user.
    pub(in crate::datapath) fn on_knock(&mut self, now: Instant) {
        while let Some(channel) = self.giver.door.accept() {
            let mut partner = Partner::new(channel);
            let peer = partner.peer().ok();
            let why = if peer.is_none_or(|peer| peer.uid != nix::unistd::geteuid().as_raw()) {
                HandoverRefused::NotAllowed
            } else if self.giver.giving.is_some() {
                HandoverRefused::Busy
            } else if let Err(error) = super::super::watch(&self.epoll, &partner, Token::Partner) {
                HandoverRefused::System { error: error.to_string() }
            } else {
                self.giver.giving =
                    Some(Giving { partner, program: String::new(), stage: Stage::Hello, since: now });
                continue;
            };
            partner.tell(&Message::Refused { why: why.clone() });
            // Whether it hears that is its own affair.
            let _ = partner.flush();
            self.giver.count(&why, peer.map(|peer| peer.pid));
        }
    }

    /// Hears what the new one says, and does what is due.
    pub(in crate::datapath) fn hand_over(&mut self, now: Instant) -> Step {
        let Some(mut giving) = self.giver.giving.take() else { return Step::GoOn };
        match self.advance(&mut giving, now) {
            Ok(Step::GoOn) => {
                self.giver.giving = Some(giving);
                Step::GoOn
            }
            Ok(Step::Linger) => {
                self.giver.giving = Some(giving);
                Step::Linger
            }
            Err(why) => {
                self.go_on(giving, &why);
                Step::GoOn
            }
        }
    }

    fn advance(&mut self, giving: &mut Giving, now: Instant) -> Result<Step, HandoverRefused> {
        while let Some(received) = next(giving)? {
            if self.hear(giving, &received, now)? == Step::Linger {
                return Ok(Step::Linger);
            }
        }
        self.pass_on(&mut giving.partner);
        let late = now.saturating_duration_since(giving.since) >= giving.patience();
        match giving.stage {
            Stage::Settled if late || self.forwarding.is_settled(now) => {
                self.stop_reading();
                self.count_shortcut();
                self.tell_all(&mut giving.partner, now, |_| Ok(Vec::new()))?;
                giving.partner.tell(&Message::Yours);
                giving.await_next(Stage::Taken, now);
            }
            Stage::Taken if late => {
                // What it says from now on it cannot send, so that both know the same.
                giving.partner.hang_up();
                while let Ok(Some(received)) = giving.partner.next() {
                    if received.message == Message::Taken {
                        return Ok(Step::Linger);
                    }
                }
                return Err(HandoverRefused::Silent);
            }
            _ if late => return Err(HandoverRefused::Silent),
            _ => {}
        }
        giving.partner.flush().map_err(|_| HandoverRefused::Gone)?;
        Ok(Step::GoOn)
    }

    fn hear(
        &mut self,
        giving: &mut Giving,
        received: &Received,
        now: Instant,
    ) -> Result<Step, HandoverRefused> {
        match (giving.stage, &received.message) {
            (Stage::Hello, Message::Hello { version, program }) => {
                if *version != VERSION {
                    return Err(HandoverRefused::Version { found: *version, known: VERSION });
                }
                giving.program.clone_from(program);
                giving.await_next(Stage::Ready, now);
                tracing::info!(to = program, "another process asks to take over");
                self.forwarding.for_another = Some(Vec::new());
                // Its sweep takes away what the packet sockets, which it shares, leave to the kernel now.
                self.shut_shortcut();
                self.tell_all(&mut giving.partner, now, copies)?;
                giving.partner.tell(&Message::All {
                    program: PROGRAM.into(),
                    plan_hash: self.plan.as_ref().map(|plan| plan.hash.clone()).unwrap_or_default(),
                    stack: self.stack.applied().cloned(),
                });
            }
            (Stage::Ready, Message::Ready) => giving.await_next(Stage::Settled, now),
            (Stage::Taken, Message::Taken) => return Ok(Step::Linger),
            _ => return Err(HandoverRefused::NotUnderstood),
        }
        Ok(Step::GoOn)
    }

    /// Tells how far each line and each tunnel is, with what `copies` makes of their descriptors.
    fn tell_all(
        &mut self,
        partner: &mut Partner,
        now: Instant,
        copies: impl Fn(&mut dyn Iterator<Item = &OwnedFd>) -> io::Result<Vec<OwnedFd>>,
    ) -> Result<(), HandoverRefused> {
        let refused = |error: io::Error| HandoverRefused::System { error: error.to_string() };
        for line in &self.forwarding.lines {
            let descriptors = copies(&mut line.descriptors()).map_err(refused)?;
            partner.give(&Message::Line(line.state()), &[], descriptors);
        }
        for tunnel in self.forwarding.tunnels.iter().flatten() {
            let descriptors = copies(&mut state::descriptors(tunnel)).map_err(refused)?;
            partner.give(&Message::Tunnel(Box::new(state::of(tunnel, now))), &[], descriptors);
        }
        Ok(())
    }

    /// The other one was refused, or is no more: everything is as it was.
    fn go_on(&mut self, mut giving: Giving, why: &HandoverRefused) {
        self.giver.count(why, giving.partner.peer().ok().map(|peer| peer.pid));
        giving.partner.tell(&Message::Refused { why: why.clone() });
        // Whether it hears that is its own affair.
        let _ = giving.partner.flush();
        if giving.stage == Stage::Hello {
            return;
        }
        drop(giving);
        self.forwarding.for_another = None;
        self.watch_all();
        self.follow_shortcut();
        if let Err(error) = self.take_names() {
            tracing::error!(reason = %error, "no longer to be asked");
        }
        if std::mem::take(&mut self.plan_waits) {
            self.take_plan();
        }
    }

    /// Takes the names in the state directory back, which the other one may have taken.
    fn take_names(&mut self) -> io::Result<()> {
        self.status = StatusSocket::bind(&self.state.socket("datapath"))?;
        self.giver.door = Door::bind(&self.state.socket("handover"))?;
        self.probing = Probing::new(&self.state)?;
        super::super::watch(&self.epoll, &self.status, Token::Status)?;
        super::super::watch(&self.epoll, &self.probing.socket, Token::Askers)?;
        super::super::watch(&self.epoll, &self.giver, Token::Knock)
    }

    /// Opens what the new one passes back for our sessions, until there is no more.
    pub(in crate::datapath) fn linger(&mut self, signals: &SignalFd) {
        let Some(giving) = self.giver.giving.take() else { return };
        let mut partner = giving.partner;
        self.forwarding.for_another = None;
        tracing::info!(to = giving.program, "handed over");
        let until = Instant::now() + LINGER;
        loop {
            match partner.next() {
                Ok(Some(received)) => match received.message {
                    Message::Datagram { tunnel, source, destination, traffic_class }
                        if received.bytes.first() == Some(&wireguard::DATA) =>
                    {
                        let slot = self.forwarding.slot_of(&tunnel);
                        let arrival = Arrival::of(source, destination, traffic_class);
                        if let Some(slot) = slot {
                            self.forwarding.on_passed(Instant::now(), slot, arrival, &received.bytes);
                        }
                    }
                    Message::End => break,
                    _ => {}
                },
                Ok(None) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let milliseconds = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
                    let mut fds =
                        [partner.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
                    if milliseconds == 0 || poll(&mut fds, PollTimeout::from(milliseconds)).is_err() {
                        break;
                    }
                    if let Ok(Some(info)) = signals.read_signal()
                        && i32::try_from(info.ssi_signo) != Ok(Signal::SIGHUP as i32)
                    {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        tracing::info!(seconds = self.started.elapsed().as_secs(), "ended");
    }
}

fn next(giving: &mut Giving) -> Result<Option<Received>, HandoverRefused> {
    giving.partner.next().map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HandoverRefused::Gone,
        _ => HandoverRefused::NotUnderstood,
    })
}

fn copies(descriptors: &mut dyn Iterator<Item = &OwnedFd>) -> io::Result<Vec<OwnedFd>> {
    descriptors.map(OwnedFd::try_clone).collect()
}
