//! Measuring the paths under tunnels when somebody asks for it, and replying to far ends that measure.

use super::echoing::{self, Beside};
use super::forward::{Buffers, Forwarding};
use super::keepalive::Keeping;
use super::line::Line;
use super::path::way;
use super::tunnel::{Inside, Tunnel};
use super::{Datapath, StateDir, Token, watch};
use crate::kernel::plane::Keeper;
use crate::observe::ask::{AskSocket, Asker};
use crate::observe::status::{ProbeQuestion, ProbeRefused, ProbeSaid};
use crate::state::{KeptPath, PathEnds};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tsumugi_core::id::IfName;
use tsumugi_core::router_plan::{self, Keepalive};
use tsumugi_core::time;
use tsumugi_core::tunnel::path::{Answerer, Measurement, Outcome, Progress, Question, Reply, Shape, Subject};
use tsumugi_core::tunnel::signal::{Kind, Signal};
use tsumugi_core::tunnel::{DropReason, MAX_SHIM_LEN, Outer, encapsulate};
use tsumugi_core::wire::ethernet;

/// Paths that are measured at the same time: each costs up to 160 packets a second.
const AT_ONCE: usize = 4;
/// From one word of progress to the next.
const PROGRESS: Duration = Duration::from_millis(200);

/// A signal of a measurement that came through the tunnel in `slot`.
pub struct Heard {
    pub slot: usize,
    pub at: Instant,
    pub said: Said,
}

/// What such a signal says.
pub struct Said {
    /// Of whoever measures.
    run: u64,
    sequence: u32,
    stamp: u64,
    what: What,
}

enum What {
    Question(Question),
    Reply(Reply),
    Echo,
}

impl Said {
    pub fn echo(run: u64, sequence: u32) -> Said {
        Said { run, sequence, stamp: 0, what: What::Echo }
    }

    /// `None` for a signal of another kind, or one that is not understood.
    pub fn parse(signal: &Signal<'_>) -> Option<Said> {
        let what = match signal.kind {
            Kind::Trial => What::Question(Question::parse(signal.body)?),
            Kind::Reply => What::Reply(Reply::parse(signal.body)?),
            Kind::Ask | Kind::Answer | Kind::Other(_) => return None,
        };
        Some(Said { run: signal.number, sequence: signal.sequence, stamp: signal.stamp, what })
    }
}

/// How the far end is asked.
enum Asking {
    /// By signals.
    Datapath,
    /// By echo requests inside the tunnel.
    Neighbour,
    /// By echo requests beside it.
    Machine(Box<Beside>),
}

impl Asking {
    fn answerer(&self) -> Answerer {
        match self {
            Asking::Datapath => Answerer::Datapath,
            Asking::Neighbour => Answerer::Neighbour,
            Asking::Machine(_) => Answerer::Machine,
        }
    }
}

/// One path that is being measured.
struct Running {
    slot: usize,
    tunnel: IfName,
    ends: PathEnds,
    run: u64,
    asking: Asking,
    measurement: Measurement,
    askers: Vec<Asker>,
    said: Instant,
}

/// Who asks, and what runs because of it.
pub struct Probing {
    pub socket: AskSocket,
    running: Vec<Running>,
}

impl Probing {
    /// # Errors
    /// As the kernel says of the socket.
    pub fn new(state: &StateDir) -> io::Result<Probing> {
        Ok(Probing { socket: AskSocket::bind(&state.socket("probe"))?, running: Vec::new() })
    }

    /// What the measurement of this tunnel's path is at.
    pub fn progress(&self, now: time::Instant, tunnel: &IfName) -> Option<Progress> {
        self.running.iter().find(|running| running.tunnel == *tunnel)?.measurement.progress(now)
    }
}

impl Datapath {
    /// Takes the questions of verbs.
    pub(super) fn on_askers(&mut self, now: Instant) {
        for (asker, question) in self.probing.socket.questions::<ProbeQuestion>() {
            let begun = match question {
                Some(question) => self.begin_probe(now, &question.probe, asker),
                None => Err(ProbeRefused::NotUnderstood),
            };
            if let Err(reason) = begun {
                self.probing.socket.say(asker, &ProbeSaid::Refused(reason));
                self.probing.socket.end(asker);
            }
        }
        self.probe(now);
    }

    fn begin_probe(&mut self, now: Instant, name: &IfName, asker: Asker) -> Result<(), ProbeRefused> {
        let running = &mut self.probing.running;
        if let Some(running) = running.iter_mut().find(|running| running.tunnel == *name) {
            running.askers.push(asker);
            return Ok(());
        }
        let mut slots = self.forwarding.tunnels.iter().enumerate();
        let (slot, tunnel) = slots
            .find_map(|(slot, tunnel)| Some((slot, tunnel.as_ref().filter(|it| it.plan.name == *name)?)))
            .ok_or(ProbeRefused::NoTunnel)?;
        let answerer = answerer(tunnel)?;
        if running.len() >= AT_ONCE {
            return Err(ProbeRefused::Busy);
        }
        // The kernel has its own way out.
        let line_is_open = matches!(tunnel.inside, Inside::Kernel)
            || self.forwarding.lines.get(tunnel.line).is_some_and(Line::is_open);
        let has_session = tunnel.wireguard().is_none_or(|wireguard| wireguard.has_session());
        let ends = tunnel.path_ends().filter(|_| line_is_open && has_session).ok_or(ProbeRefused::NotUp)?;
        let (way, most) = (way(&tunnel.plan), most(&self.keeper, &tunnel.plan));
        let run = rand::random();
        let asking = match answerer {
            Answerer::Datapath => Asking::Datapath,
            Answerer::Neighbour => Asking::Neighbour,
            Answerer::Machine => Asking::Machine(self.beside(&ends).ok_or(ProbeRefused::NotUp)?),
        };
        if let (Asking::Neighbour, Some(Some(tunnel))) = (&asking, self.forwarding.tunnels.get_mut(slot))
            && let Some(keeping) = &mut tunnel.keeping
        {
            keeping.echo_run = Some(run);
        }
        tracing::info!(tunnel = %name, by = ?answerer, "the path is being measured");
        let subject = Subject { way, most, answerer };
        self.probing.running.push(Running {
            slot,
            tunnel: name.clone(),
            ends,
            run,
            asking,
            measurement: Measurement::new(self.forwarding.core_now(now), subject),
            askers: vec![asker],
            said: now,
        });
        Ok(())
    }

    /// Opens what asks the machine at the far end; `None` if that cannot be, which the log says.
    fn beside(&self, ends: &PathEnds) -> Option<Box<Beside>> {
        let opened = Beside::open(&self.sides.underlay, ends).and_then(|beside| {
            watch(&self.epoll, &beside, Token::Echoes)?;
            Ok(Box::new(beside))
        });
        opened
            .inspect_err(
                |error| tracing::warn!(line = %ends.line, reason = %error, "no echo request can be sent"),
            )
            .ok()
    }

    /// Takes the answers that came beside tunnels.
    pub(super) fn on_echoes(&mut self, at: Instant) {
        let Datapath { probing, forwarding, .. } = self;
        for running in &mut probing.running {
            let Asking::Machine(beside) = &mut running.asking else { continue };
            let answers = beside.answers().into_iter();
            let heard = answers.map(|(run, sequence)| Heard {
                slot: running.slot,
                at,
                said: Said::echo(run, sequence),
            });
            forwarding.buffers.heard.extend(heard);
        }
    }

    /// Where the neighbour inside answers no echo requests, the machine at the far end is asked.
    fn ask_another(&mut self, now: Instant) {
        for at in 0..self.probing.running.len() {
            let running = &self.probing.running[at];
            let unanswered = running.measurement.outcome() == Some(Outcome::Unanswered);
            if !unanswered || !matches!(running.asking, Asking::Neighbour) {
                continue;
            }
            let Some(beside) = self.beside(&running.ends) else { continue };
            let core_now = self.forwarding.core_now(now);
            let running = &mut self.probing.running[at];
            running.run = rand::random();
            running.asking = Asking::Machine(beside);
            running.measurement = running.measurement.again(core_now, Answerer::Machine);
        }
    }

    /// When a measurement has something to do without being woken.
    pub(super) fn next_trial(&self, now: Instant) -> Option<Instant> {
        let core_now = self.forwarding.core_now(now);
        let timeouts = self.probing.running.iter().map(|running| {
            let due = running.measurement.next_timeout(core_now).unwrap_or(core_now);
            now + due.since(core_now)
        });
        timeouts.min()
    }

    /// Takes what has come of measurements, ours and far ends', and sends what is due.
    pub(super) fn probe(&mut self, now: Instant) {
        for heard in std::mem::take(&mut self.forwarding.buffers.heard) {
            match heard.said.what {
                What::Question(question) => self.reply(&heard, question),
                What::Reply(_) | What::Echo => {
                    let ours =
                        |running: &&mut Running| running.slot == heard.slot && running.run == heard.said.run;
                    let Some(running) = self.probing.running.iter_mut().find(ours) else { continue };
                    let at = self.forwarding.core_now(heard.at);
                    match (heard.said.what, running.asking.answerer()) {
                        (What::Reply(reply), Answerer::Datapath) => {
                            running.measurement.handle_reply(at, heard.said.sequence, &reply);
                        }
                        (What::Echo, Answerer::Neighbour | Answerer::Machine) => {
                            running.measurement.handle_echo(at, heard.said.sequence);
                        }
                        _ => {}
                    }
                }
            }
        }
        let core_now = self.forwarding.core_now(now);
        let mut trials = Vec::new();
        for running in &mut self.probing.running {
            running.measurement.poll(core_now, &mut trials);
            let (slot, run) = (running.slot, running.run);
            for trial in trials.drain(..) {
                // One that cannot be sent is one that does not arrive.
                let _ = match &mut running.asking {
                    Asking::Datapath => {
                        let signal = Signal {
                            kind: Kind::Trial,
                            number: run,
                            sequence: trial.sequence,
                            stamp: core_now.0,
                            body: &trial.question.emit(),
                        };
                        self.forwarding.send_signal(now, slot, &trial.shape, &signal)
                    }
                    Asking::Neighbour => {
                        self.forwarding.send_shaped(now, slot, &trial.shape, |keeping, frame| {
                            let to = keeping.reached().ok_or(DropReason::NoRemote)?;
                            echoing::write_inside(frame, &to, run, trial.sequence)
                        })
                    }
                    Asking::Machine(beside) => {
                        beside.send(&running.measurement.way(), &trial.shape, run, trial.sequence)
                    }
                };
            }
        }
        self.ask_another(now);
        self.tell(now);
    }

    fn reply(&mut self, heard: &Heard, question: Question) {
        let at = self.forwarding.core_now(heard.at);
        let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(heard.slot) else { return };
        let path = (&way(&tunnel.plan), most(&self.keeper, &tunnel.plan));
        let replied = tunnel.path.reflector.hear(at, path, (heard.said.run, heard.said.sequence), question);
        let sent = replied.and_then(|(shape, reply)| {
            let signal = Signal {
                kind: Kind::Reply,
                number: heard.said.run,
                sequence: heard.said.sequence,
                stamp: heard.said.stamp,
                body: &reply.emit(),
            };
            self.forwarding.send_signal(Instant::now(), heard.slot, &shape, &signal)
        });
        if let Err(reason) = sent
            && let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(heard.slot)
        {
            tunnel.drops.count(reason);
        }
    }

    /// Says how far measurements are, and takes and keeps what has ended.
    fn tell(&mut self, now: Instant) {
        let core_now = self.forwarding.core_now(now);
        let Probing { socket, running } = &mut self.probing;
        let mut ended = Vec::new();
        running.retain_mut(|running| {
            // Another tunnel, or none, in its place.
            let tunnel = self.forwarding.tunnels.get(running.slot).and_then(Option::as_ref);
            let same = tunnel.is_some_and(|tunnel| {
                tunnel.plan.name == running.tunnel && tunnel.path_ends().as_ref() == Some(&running.ends)
            });
            let outcome = running.measurement.outcome();
            if same && outcome.is_none() {
                if now.duration_since(running.said) >= PROGRESS
                    && let Some(progress) = running.measurement.progress(core_now)
                {
                    running.said = now;
                    for asker in &running.askers {
                        socket.say(*asker, &ProbeSaid::Progress(progress));
                    }
                }
                return true;
            }
            let said = match outcome.filter(|_| same) {
                None => End::Said(ProbeSaid::Refused(ProbeRefused::Changed)),
                Some(Outcome::Unanswered) => {
                    End::Said(ProbeSaid::Unanswered { asked: running.asking.answerer() })
                }
                Some(Outcome::WentSilent) => End::Said(ProbeSaid::WentSilent),
                Some(Outcome::Found(finding)) => {
                    let measured_at =
                        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    let planned_mtu = tunnel.map(|tunnel| tunnel.plan.path_mtu);
                    let ends = running.ends.clone();
                    End::Found(running.slot, KeptPath { ends, measured_at, planned_mtu, finding })
                }
            };
            ended.push((std::mem::take(&mut running.askers), said));
            false
        });
        for (askers, end) in ended {
            let said = match end {
                End::Said(said) => said,
                End::Found(slot, kept) => self.take_finding(slot, kept),
            };
            for asker in askers {
                self.probing.socket.say(asker, &said);
                self.probing.socket.end(asker);
            }
        }
    }

    fn take_finding(&mut self, slot: usize, kept: KeptPath) -> ProbeSaid {
        let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(slot) else {
            return ProbeSaid::Refused(ProbeRefused::Changed);
        };
        let not_kept = self.state.keep_path(&tunnel.plan.name, &kept).err().map(|error| error.to_string());
        if let Some(reason) = &not_kept {
            tracing::error!(tunnel = %tunnel.plan.name, reason, "what was measured cannot be kept");
        }
        tunnel.take_path(kept);
        match tunnel.measured() {
            Some(measured) => ProbeSaid::Found { measured: Box::new(measured), not_kept },
            None => ProbeSaid::Refused(ProbeRefused::Changed),
        }
    }
}

impl Forwarding {
    /// As [`Forwarding::send_shaped`], a signal.
    fn send_signal(
        &mut self,
        now: Instant,
        slot: usize,
        shape: &Shape,
        signal: &Signal<'_>,
    ) -> Result<(), DropReason> {
        self.send_shaped(now, slot, shape, |keeping, inner| {
            let ends = keeping.signal_ends().ok_or(DropReason::NoRemote)?;
            if inner.len() < ends.signal_len(signal.body.len()) {
                return Err(DropReason::QuestionShape);
            }
            ends.emit(signal, inner);
            Ok(())
        })
    }

    /// Sends an inner packet that `write` fills through a tunnel in just this shape, whatever its path is held to
    /// be, among the bulk and marked as nothing special: what happens to it happens to members' packets.
    ///
    /// # Errors
    /// Why it could not be.
    fn send_shaped(
        &mut self,
        now: Instant,
        slot: usize,
        shape: &Shape,
        write: impl FnOnce(&Keeping, &mut [u8]) -> Result<(), DropReason>,
    ) -> Result<(), DropReason> {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return Err(DropReason::NoRemote) };
        let line = self.lines.get_mut(tunnel.line).ok_or(DropReason::NoLine)?;
        let keeping = tunnel.keeping.as_ref().ok_or(DropReason::NoRemote)?;
        let header_len = if tunnel.carries_ethernet() { ethernet::HEADER_LEN } else { 0 };
        let len = header_len + usize::from(shape.inner);
        let Buffers { packets, sealer, outbox, .. } = &mut self.buffers;
        let place = MAX_SHIM_LEN..MAX_SHIM_LEN + len;
        let inner = packets.get_mut(place.clone()).ok_or(DropReason::TooLarge)?;
        write(keeping, inner)?;
        let (_, numbers) = line.senders(tunnel.plan.outer_ipv6)?;
        let outer = |from, to, protocol| {
            let outer = Outer::new(from, to, protocol, shape.path).ok_or(DropReason::NoRemote);
            outer.map(Outer::with_dont_fragment)
        };
        let protocol = tunnel.protocol();
        match &mut tunnel.inside {
            &mut Inside::Shim(shim) => {
                let (Some(from), Some(to)) = (tunnel.plan.local, tunnel.plan.remote) else {
                    return Err(DropReason::NoRemote);
                };
                let outer = outer(from, to, protocol)?;
                let payload = encapsulate(shim, &outer, packets, place)?;
                outbox.push(&outer, numbers, &[], &payload, 0)?;
            }
            Inside::WireGuard(wireguard) => {
                let flow = wireguard.flow(0)?;
                let datagram = sealer.seal(now, wireguard, &flow, inner)?;
                outbox.push(&outer(flow.from, flow.to.ip(), protocol)?, numbers, datagram, &(0..0), 0)?;
            }
            Inside::Kernel => return Err(DropReason::DeviceFailed),
        }
        if shape.turned {
            outbox.turn_round();
        }
        self.buffers.flush(tunnel, line);
        Ok(())
    }
}

/// How a measurement ends.
enum End {
    Said(ProbeSaid),
    /// With a finding for the tunnel in this slot.
    Found(usize, KeptPath),
}

/// Who can be asked about the path of a tunnel.
fn answerer(tunnel: &Tunnel) -> Result<Answerer, ProbeRefused> {
    let reached = || tunnel.keeping.as_ref().and_then(Keeping::reached);
    Ok(match (&tunnel.plan.keepalive, &tunnel.inside) {
        (Keepalive::Off, _) => return Err(ProbeRefused::NotAsked),
        (_, Inside::Kernel) | (Keepalive::Nobody, _) => Answerer::Machine,
        (Keepalive::Neighbour { .. }, _) if reached().is_none() => Answerer::Machine,
        (Keepalive::Neighbour { .. }, _) => Answerer::Neighbour,
        (Keepalive::Signals { .. }, _) => Answerer::Datapath,
    })
}

/// The largest packet that the tunnel's line takes, in bytes.
fn most(keeper: &Keeper, plan: &router_plan::Tunnel) -> u16 {
    let link = keeper.links().get(&plan.uplink);
    link.map_or(plan.path_mtu, |link| u16::try_from(link.mtu).unwrap_or(u16::MAX))
}
