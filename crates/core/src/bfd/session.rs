//! One session (RFC 5880 6.8): its state, what both ends have said of their pace, and when to send and to
//! give up. The names of the RFC's state variables stand beside ours.

use super::config::{BfdTerms, Path, SessionConfig};
use super::machine::{Action, Random};
use super::status::{BfdDown, BfdSessionStatus};
use crate::time::{Duration, Instant};
use crate::wire::bfd::{Diagnostic, LEN, Repr, State};
use alloc::string::String;
use alloc::vec::Vec;

/// RFC 5880 6.8.3: nobody who is not up sends more often, in microseconds.
const SLOW: u32 = 1_000_000;

#[derive(Debug)]
pub(super) struct Session {
    pub name: String,
    pub terms: BfdTerms,
    pub path: Option<Path>,
    pub state: State,
    /// bfd.LocalDiscr
    pub discriminator: u32,
    diagnostic: Diagnostic,
    /// bfd.DesiredMinTxInterval and bfd.RequiredMinRxInterval: what we say, in microseconds.
    said: Pace,
    /// What we go by: as said once the far end has answered a poll (RFC 5880 6.8.3).
    in_force: Pace,
    polling: Poll,
    far: Far,
    last_sent: Option<Instant>,
    send_at: Option<Instant>,
    detect_at: Option<Instant>,
    /// By how much `detect_at` was put off since the last packet.
    put_off: Duration,
    since: Instant,
    ups: u32,
    downs: u32,
    last_down: Option<BfdDown>,
    sent: u64,
    received: u64,
    /// Switched off: until then the far end is told.
    pub leaves_at: Option<Instant>,
}

/// In microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    desired_tx: u32,
    required_rx: u32,
}

/// A poll sequence (RFC 5880 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poll {
    No,
    Asking,
    /// What is asked about has changed meanwhile: the answer may be to the earlier question.
    AskingAgain,
}

/// What the far end has said last.
#[derive(Debug, Clone, Copy)]
struct Far {
    /// bfd.RemoteDiscr; 0: nothing is known.
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    desired_tx: u32,
    /// bfd.RemoteMinRxInterval
    min_rx: u32,
    multiplier: u8,
    demand: bool,
    independent: bool,
}

impl Far {
    /// RFC 5880 6.8.1.
    const UNKNOWN: Far = Far {
        discriminator: 0,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        desired_tx: 0,
        min_rx: 1,
        multiplier: 0,
        demand: false,
        independent: false,
    };
}

impl Session {
    pub fn new(now: Instant, config: SessionConfig, discriminator: u32) -> Session {
        let said = Session::pace(&config.terms, State::Down);
        Session {
            name: config.name,
            terms: config.terms,
            path: config.path,
            state: State::Down,
            discriminator,
            diagnostic: Diagnostic::NONE,
            said,
            in_force: said,
            polling: Poll::No,
            far: Far::UNKNOWN,
            last_sent: None,
            send_at: config.path.map(|_| now),
            detect_at: None,
            put_off: Duration::ZERO,
            since: now,
            ups: 0,
            downs: 0,
            last_down: None,
            sent: 0,
            received: 0,
            leaves_at: None,
        }
    }

    fn pace(terms: &BfdTerms, state: State) -> Pace {
        let stated = terms.interval.saturating_mul(1000).max(1);
        let desired_tx = if state == State::Up { stated } else { stated.max(SLOW) };
        Pace { desired_tx, required_rx: stated }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        [self.send_at, self.detect_at, self.leaves_at].into_iter().flatten().min()
    }

    /// The way is another one, or gone: whatever was known of the far end is of no use. Its link or its BGP
    /// session tells of that, so nothing is said here.
    pub fn set_path(&mut self, now: Instant, path: Option<Path>) {
        if self.path == path {
            return;
        }
        self.path = path;
        if self.state == State::Up {
            self.downs += 1;
        }
        if self.state != State::Down {
            (self.state, self.diagnostic, self.since) = (State::Down, Diagnostic::PATH_DOWN, now);
        }
        self.far = Far::UNKNOWN;
        self.detect_at = None;
        self.adopt_pace();
        self.send_at = path.map(|_| now);
    }

    /// Another pace, without a break: the far end is asked first where one of the two might be too slow for
    /// the other (RFC 5880 6.8.3).
    pub fn set_terms(&mut self, now: Instant, terms: BfdTerms, random: &mut Random) {
        if self.terms == terms {
            return;
        }
        self.terms = terms;
        if self.adopt_pace() {
            self.send_at = self.send_at.map(|_| now);
        }
        self.pace_again(random);
    }

    /// What we say follows from the terms and the state; true if that is something new to be asked about.
    fn adopt_pace(&mut self) -> bool {
        let new = Session::pace(&self.terms, self.state);
        if self.state != State::Up {
            (self.said, self.in_force, self.polling) = (new, new, Poll::No);
            return false;
        }
        if new == self.said {
            return false;
        }
        self.said = new;
        // "the actual transmission interval used MUST NOT change until the Poll Sequence has terminated"
        // where it would grow; the detection time likewise where it would shrink (RFC 5880 6.8.3).
        self.in_force.desired_tx = self.in_force.desired_tx.min(new.desired_tx);
        self.in_force.required_rx = self.in_force.required_rx.max(new.required_rx);
        self.polling = if self.polling == Poll::No { Poll::Asking } else { Poll::AskingAgain };
        true
    }

    /// Between periodic packets before jitter; `None`: none are sent (RFC 5880 6.8.7).
    fn interval(&self) -> Option<Duration> {
        let both_up = self.state == State::Up && self.far.state == State::Up;
        let on_demand = self.far.demand && both_up && self.polling == Poll::No;
        if self.path.is_none() || self.far.min_rx == 0 || on_demand {
            return None;
        }
        Some(Duration::from_micros(u64::from(self.in_force.desired_tx.max(self.far.min_rx))))
    }

    /// RFC 5880 6.8.4, asynchronous mode.
    fn detection(&self) -> Duration {
        let interval = self.in_force.required_rx.max(self.far.desired_tx);
        Duration::from_micros(u64::from(interval)) * u32::from(self.far.multiplier)
    }

    /// RFC 5880 6.8.7: 75 to 100 percent of the interval, or 75 to 90 if one lost packet is a failure.
    fn jittered(&self, interval: Duration, random: &mut Random) -> Duration {
        let span = if self.terms.multiplier == 1 { 154 } else { 257 };
        interval * (768 + random.next() % span) / 1024
    }

    /// The next periodic packet by the interval as it is now: a shorter one holds at once (RFC 5880 6.8.3).
    fn pace_again(&mut self, random: &mut Random) {
        let Some(interval) = self.interval() else {
            self.send_at = None;
            return;
        };
        let Some(last) = self.last_sent else { return };
        let at = last + self.jittered(interval, random);
        self.send_at = Some(self.send_at.map_or(at, |planned| planned.min(at)));
    }

    /// A valid packet of this session (RFC 5880 6.8.6, from "Set bfd.RemoteDiscr").
    pub fn receive(&mut self, now: Instant, packet: &Repr, random: &mut Random, actions: &mut Vec<Action>) {
        self.received += 1;
        let before = self.interval();
        self.far = Far {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            desired_tx: packet.desired_min_tx,
            min_rx: packet.required_min_rx,
            multiplier: packet.multiplier,
            demand: packet.demand,
            independent: packet.independent,
        };
        if packet.is_final {
            self.answered();
        }
        let changed = self.change_state(now, packet, actions);
        self.detect_at = Some(now + self.detection());
        self.put_off = Duration::ZERO;
        if packet.poll {
            self.send(now, true, random, actions);
        }
        // What differs from the last packet is said at once (RFC 5880 6.8.7).
        if changed && !packet.poll && self.interval().is_some() {
            self.send(now, false, random, actions);
        } else if changed && self.polling != Poll::No {
            // F and P never stand in one packet.
            self.send(now, false, random, actions);
        } else if self.interval() != before {
            self.pace_again(random);
        }
    }

    /// F: the far end knows what we asked about.
    fn answered(&mut self) {
        match self.polling {
            Poll::No => {}
            Poll::Asking => (self.polling, self.in_force) = (Poll::No, self.said),
            Poll::AskingAgain => self.polling = Poll::Asking,
        }
    }

    /// True if the state is another one now.
    fn change_state(&mut self, now: Instant, packet: &Repr, actions: &mut Vec<Action>) -> bool {
        let next = match (self.state, packet.state) {
            (State::AdminDown | State::Down, State::AdminDown) => return false,
            (_, State::AdminDown) | (State::Up, State::Down) => State::Down,
            (State::Down, State::Down) => State::Init,
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => State::Up,
            _ => return false,
        };
        if next == State::Down {
            let cause = match packet.state {
                State::AdminDown => BfdDown::NeighbourAdminDown,
                _ => BfdDown::NeighbourDown { diagnostic: packet.diagnostic },
            };
            self.go_down(now, Diagnostic::NEIGHBOUR_DOWN, cause, actions);
            return true;
        }
        (self.state, self.since) = (next, now);
        if next == State::Up {
            self.ups += 1;
            self.diagnostic = Diagnostic::NONE;
            actions.push(Action::Up { name: self.name.clone() });
        }
        self.adopt_pace();
        true
    }

    fn go_down(&mut self, now: Instant, diagnostic: Diagnostic, cause: BfdDown, actions: &mut Vec<Action>) {
        if self.state == State::Up {
            self.downs += 1;
            self.last_down = Some(cause);
            let independent = self.far.independent;
            actions.push(Action::Down { name: self.name.clone(), cause, independent });
        }
        (self.state, self.diagnostic, self.since) = (State::Down, diagnostic, now);
        self.adopt_pace();
    }

    /// We were not run for so long beyond what was due: nobody could be heard. That time counts for
    /// nobody's silence. If it happens again before the next packet it counts up to the detection time in
    /// all, so that a machine that is always late still finds out.
    pub fn put_off(&mut self, by: Duration) {
        let left = self.detection().saturating_sub(self.put_off);
        let by = if self.put_off.is_zero() { by } else { by.min(left) };
        self.put_off += by;
        self.detect_at = self.detect_at.map(|at| at + by);
    }

    pub fn timeout(&mut self, now: Instant, random: &mut Random, actions: &mut Vec<Action>) {
        if self.detect_at.is_some_and(|at| at <= now) {
            self.detect_at = None;
            // RFC 5880 6.8.4.
            let is_failure = matches!(self.state, State::Init | State::Up);
            if is_failure {
                let detection = u32::try_from(self.detection().as_millis()).unwrap_or(u32::MAX);
                self.go_down(now, Diagnostic::TIME_EXPIRED, BfdDown::Silence { detection }, actions);
            }
            // RFC 5880 6.8.1: a far end that is silent for that long is forgotten.
            self.far = Far { diagnostic: self.far.diagnostic, ..Far::UNKNOWN };
            if is_failure {
                self.send_at = self.interval().map(|_| now);
            } else {
                self.pace_again(random);
            }
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send(now, false, random, actions);
        }
    }

    fn send(&mut self, now: Instant, is_final: bool, random: &mut Random, actions: &mut Vec<Action>) {
        let Some(path) = self.path else {
            self.send_at = None;
            return;
        };
        let repr = Repr {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: !is_final && self.polling != Poll::No,
            is_final,
            // We are a part of the router process (RFC 5882 4.3.2).
            independent: false,
            demand: false,
            multiplier: self.terms.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.far.discriminator,
            desired_min_tx: self.said.desired_tx,
            required_min_rx: self.said.required_rx,
            required_min_echo_rx: 0,
        };
        let mut bytes = [0; LEN];
        repr.emit(&mut bytes);
        self.sent += 1;
        actions.push(Action::Send { path, bytes });
        // An answer is sent whatever the timer says, and the timer goes on (RFC 5880 6.8.7).
        if !is_final {
            self.last_sent = Some(now);
            self.send_at = self.interval().map(|interval| now + self.jittered(interval, random));
        }
    }

    /// Switches the session off and tells the far end, for as long as it would wait for us (RFC 5880 6.8.16).
    pub fn leave(&mut self, now: Instant, random: &mut Random, actions: &mut Vec<Action>) {
        if self.leaves_at.is_some() {
            return;
        }
        let believed = matches!(self.far.state, State::Init | State::Up) && self.far.discriminator != 0;
        let interval = self.in_force.desired_tx.max(self.far.min_rx);
        let patience = Duration::from_micros(u64::from(interval)) * u32::from(self.terms.multiplier);
        (self.state, self.diagnostic, self.since) = (State::AdminDown, Diagnostic::ADMIN_DOWN, now);
        self.adopt_pace();
        self.detect_at = None;
        self.send(now, false, random, actions);
        self.leaves_at = Some(if believed { now + patience } else { now });
    }

    /// A packet to a session that we have switched off: who still believes in it is told again.
    pub fn receive_when_off(
        &mut self,
        now: Instant,
        packet: &Repr,
        random: &mut Random,
        actions: &mut Vec<Action>,
    ) {
        if matches!(packet.state, State::Init | State::Up) {
            self.send(now, false, random, actions);
        } else {
            self.leaves_at = Some(now);
        }
    }

    pub fn status(&self, now: Instant) -> BfdSessionStatus {
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        BfdSessionStatus {
            name: self.name.clone(),
            active: self.path.is_some(),
            state: self.state,
            diagnostic: self.diagnostic,
            remote_state: self.far.state,
            remote_diagnostic: self.far.diagnostic,
            discriminator: self.discriminator,
            remote_discriminator: self.far.discriminator,
            interval_us: self.interval().map_or(0, microseconds),
            detection_us: self.detect_at.map_or(0, |_| microseconds(self.detection())),
            multiplier: self.terms.multiplier,
            remote_multiplier: self.far.multiplier,
            remote_demand: self.far.demand,
            remote_independent: self.far.independent,
            state_for_ms: u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX),
            ups: self.ups,
            downs: self.downs,
            last_down: self.last_down,
            sent: self.sent,
            received: self.received,
        }
    }
}
