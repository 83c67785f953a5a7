//! Asking far ends whether they live, and the carrier of a tunnel's interface that follows from it.

use super::forward::core_time;
use super::kernel_signals::KernelSignals;
use super::probing::Said;
use super::status::milliseconds;
use crate::observe::status::{FarEnd, KeepaliveStatus, WhyDead, WhyUnasked};
use std::time::{Duration, Instant};
use tsumugi_core::id::IfName;
use tsumugi_core::router_plan::{self, Keepalive as Asks};
use tsumugi_core::time;
use tsumugi_core::tunnel::keepalive::{Cause, Keepalive, Past, Verdict};
use tsumugi_core::tunnel::neighbour::{self, Neighbour, Reached};
use tsumugi_core::tunnel::signal::{Ends, Kind, Signal};

/// Room for a question or an answer of any kind.
pub const ROOM: usize = 160;
const _: () = assert!(neighbour::MAX_LEN <= ROOM);

/// One question or answer may be lost; of so many open ones a session of WireGuard is the reason, perhaps, which
/// the far end has forgotten.
const MISSED: u32 = 2;

/// What is known of one tunnel's far end.
pub struct Keeping {
    asked: Asked,
    keepalive: Keepalive,
    /// Of this life of the process.
    number: u64,
    sequence: u32,
    /// What the core's time counts from.
    started: Instant,
    /// Since when the verdict is what it is.
    since: Option<Instant>,
    last: Verdict,
    /// How often the far end was given up.
    deaths: u64,
    /// With the kernel's own device: how signals get past it.
    pub kernel: KernelSignals,
    /// Of a measurement that asks the neighbour by echo requests: their answers are ours.
    pub echo_run: Option<u64>,
}

/// When far ends are looked at: those that are silent are asked, and interfaces follow what is known. The loop
/// wakes for every batch of packets and there may be hundreds of tunnels, so it does not look at all of them
/// each time. What is heard puts a far end off, which is found out at its old time; what has to be sooner
/// says so by [`Round::hasten`].
#[derive(Debug, Default)]
pub struct Round {
    next: Next,
}

#[derive(Debug, Default)]
enum Next {
    #[default]
    AtOnce,
    At(Instant),
    /// No far end is asked.
    Never,
}

impl Round {
    /// Has it come at once: a far end died or came back, a tunnel is new, a device may want its carrier.
    pub fn hasten(&mut self) {
        self.next = Next::AtOnce;
    }

    /// It is over; the earliest of all far ends is due at that moment.
    pub fn end(&mut self, due: Option<Instant>) {
        self.next = due.map_or(Next::Never, Next::At);
    }

    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        match self.next {
            Next::AtOnce => Some(now),
            Next::At(due) => Some(due),
            Next::Never => None,
        }
    }
}

/// Who answers.
enum Asked {
    Datapath(Ends),
    Neighbour(Neighbour),
}

/// What a packet that came in is.
pub enum Came {
    /// For the device.
    Packet,
    /// For us.
    Signal,
    /// For whoever measures the path.
    Measured(Said),
    /// For us, and wants the answer of so many bytes that now stands in the buffer.
    Question(usize),
}

impl Keeping {
    /// `None`: nobody is asked.
    pub fn new(plan: &router_plan::Tunnel) -> Option<Keeping> {
        let asked = match plan.keepalive {
            Asks::Nobody | Asks::Off => return None,
            Asks::Signals { local, remote, remote_mac } => {
                Asked::Datapath(Ends { local, remote, macs: plan.mac.zip(remote_mac) })
            }
            Asks::Neighbour { address, source } => {
                Asked::Neighbour(Neighbour::new(plan.mac?, source, address)?)
            }
        };
        Some(Keeping::begin(Instant::now(), asked))
    }

    fn begin(now: Instant, asked: Asked) -> Keeping {
        let keepalive = Keepalive::new(time::Instant(0));
        Keeping {
            asked,
            last: keepalive.verdict(),
            keepalive,
            number: rand::random(),
            sequence: 0,
            started: now,
            since: None,
            deaths: 0,
            kernel: KernelSignals::default(),
            echo_run: None,
        }
    }

    fn time(&self, now: Instant) -> time::Instant {
        core_time(self.started, now)
    }

    /// The two ends inside, where the far end's datapath is ours too.
    pub fn signal_ends(&self) -> Option<&Ends> {
        match &self.asked {
            Asked::Datapath(ends) => Some(ends),
            Asked::Neighbour(_) => None,
        }
    }

    /// Where the neighbour inside is that answers instead.
    pub fn reached(&self) -> Option<Reached> {
        match &self.asked {
            Asked::Datapath(_) => None,
            Asked::Neighbour(neighbour) => neighbour.reached(),
        }
    }

    /// Notes that something has come from the far end. If it is held for other than it was last seen, the
    /// round is to come at once.
    pub fn heard(&mut self, now: Instant, round: &mut Round) {
        self.keepalive.heard(self.time(now));
        if self.keepalive.verdict() != self.last {
            round.hasten();
        }
    }

    /// Takes out what is for us; a packet for the device is noted by [`Keeping::heard`] when it is
    /// delivered.
    pub fn take(&mut self, now: Instant, frame: &[u8], answer: &mut [u8; ROOM]) -> Came {
        let time = self.time(now);
        match &mut self.asked {
            Asked::Neighbour(neighbour) => {
                // The stack has asked perhaps as well: it shall have the answer.
                if neighbour.is_answered_by(frame) {
                    self.keepalive.answered(time, None);
                }
                if let Some(run) = self.echo_run
                    && let Some(said) = Said::of_echo(frame, run)
                {
                    return Came::Measured(said);
                }
                Came::Packet
            }
            Asked::Datapath(ends) => {
                let Some(signal) = ends.parse(frame) else { return Came::Packet };
                if let Some(said) = Said::parse(&signal) {
                    return Came::Measured(said);
                }
                self.keepalive.told(time, silence_of(signal.body));
                match signal.kind {
                    Kind::Ask => {
                        let len = say(
                            ends,
                            &self.keepalive,
                            time,
                            &Signal { kind: Kind::Answer, ..signal },
                            answer,
                        );
                        Came::Question(len)
                    }
                    Kind::Answer => {
                        // An answer to an earlier life is one nevertheless, but its time is not ours.
                        if signal.number == self.number {
                            self.keepalive.answered(time, Some(time::Instant(signal.stamp)));
                        }
                        Came::Signal
                    }
                    Kind::Trial | Kind::Reply | Kind::Other(_) => Came::Signal,
                }
            }
        }
    }

    /// Whether the far end lives; `None`: that it can answer is not known yet.
    pub fn lives(&self) -> Option<bool> {
        match self.keepalive.verdict() {
            Verdict::Unproven => None,
            Verdict::Alive => Some(true),
            Verdict::Dead(_) => Some(false),
        }
    }

    /// For how long nothing has come.
    pub fn silence(&self, now: Instant) -> Duration {
        self.keepalive.silence(self.time(now))
    }

    /// Goes on where another process stands, to which nothing has come for `silence`.
    pub fn go_on(&mut self, now: Instant, known: &KeepaliveStatus, silence: Duration) {
        let verdict = match known.far_end {
            FarEnd::NotAsked { .. } | FarEnd::Unproven => Verdict::Unproven,
            FarEnd::Alive => Verdict::Alive,
            FarEnd::Dead { cause: WhyDead::Silent } => Verdict::Dead(Cause::Silent),
            FarEnd::Dead { cause: WhyDead::Deaf } => Verdict::Dead(Cause::Deaf),
        };
        let [last, least] = [known.rtt_us, known.rtt_min_us].map(|rtt| rtt.map(Duration::from_micros));
        let past = Past { asked: known.asked, answered: known.answered, round_trips: last.zip(least) };
        // Our time begins when something was heard last: the far end is told for how long that is.
        self.started = now.checked_sub(silence).unwrap_or(now);
        self.keepalive = Keepalive::go_on(self.time(now), verdict, past);
        self.last = verdict;
        self.since = known.since_ms.and_then(|since| now.checked_sub(Duration::from_millis(since)));
        self.deaths = known.deaths;
    }

    /// Whether questions are open that a far end of this kind would have answered long ago.
    pub fn misses_answers(&self) -> bool {
        self.lives().is_some() && self.keepalive.open_questions() >= MISSED
    }

    /// When the far end is to be judged or asked.
    pub fn next_timeout(&self) -> Instant {
        self.started + Duration::from_nanos(self.keepalive.next_timeout().0)
    }

    /// Judges, and writes the question that is due; returns its length.
    pub fn poll(&mut self, now: Instant, question: &mut [u8; ROOM]) -> Option<usize> {
        let time = self.time(now);
        if !self.keepalive.poll(time) {
            return None;
        }
        Some(match &self.asked {
            Asked::Neighbour(neighbour) => neighbour.ask(self.keepalive.open_questions(), question),
            Asked::Datapath(ends) => {
                self.sequence = self.sequence.wrapping_add(1);
                let ask = Signal {
                    kind: Kind::Ask,
                    number: self.number,
                    sequence: self.sequence,
                    stamp: time.0,
                    body: &[],
                };
                say(ends, &self.keepalive, time, &ask, question)
            }
        })
    }

    /// The carrier that the interface is to have. The first call that sees a far end die or come back
    /// says so in the log.
    pub fn carrier(&mut self, now: Instant, tunnel: &IfName) -> bool {
        let verdict = self.keepalive.verdict();
        if verdict != self.last {
            self.since = Some(now);
            match verdict {
                Verdict::Dead(cause) => {
                    if !matches!(self.last, Verdict::Dead(_)) {
                        self.deaths += 1;
                    }
                    tracing::warn!(tunnel = %tunnel, cause = ?cause, "far end dead");
                }
                Verdict::Alive => tracing::info!(tunnel = %tunnel, "far end alive"),
                Verdict::Unproven => {}
            }
            self.last = verdict;
        }
        !matches!(verdict, Verdict::Dead(_))
    }

    pub fn status(&self, now: Instant) -> KeepaliveStatus {
        let Past { asked, answered, round_trips } = self.keepalive.past();
        KeepaliveStatus {
            far_end: match self.keepalive.verdict() {
                Verdict::Unproven => FarEnd::Unproven,
                Verdict::Alive => FarEnd::Alive,
                Verdict::Dead(Cause::Silent) => FarEnd::Dead { cause: WhyDead::Silent },
                Verdict::Dead(Cause::Deaf) => FarEnd::Dead { cause: WhyDead::Deaf },
            },
            since_ms: self.since.map(|since| milliseconds(now.saturating_duration_since(since))),
            rtt_us: round_trips.map(|(last, _)| microseconds(last)),
            rtt_min_us: round_trips.map(|(_, least)| microseconds(least)),
            asked,
            answered,
            deaths: self.deaths,
        }
    }
}

/// What a tunnel says of its far end.
pub fn status(now: Instant, plan: &router_plan::Tunnel, keeping: Option<&Keeping>) -> KeepaliveStatus {
    match keeping {
        Some(keeping) => keeping.status(now),
        None => KeepaliveStatus {
            far_end: FarEnd::NotAsked {
                why: if plan.keepalive == Asks::Off { WhyUnasked::Stated } else { WhyUnasked::NoAddress },
            },
            ..KeepaliveStatus::default()
        },
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The body of a question and an answer: for how many milliseconds its sender has heard nothing. A body that
/// is not there tells of none.
fn silence_of(body: &[u8]) -> Duration {
    let silence = body.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    Duration::from_millis(silence.into())
}

/// Writes a signal with our own silence as its body.
fn say(
    ends: &Ends,
    keepalive: &Keepalive,
    now: time::Instant,
    signal: &Signal<'_>,
    buffer: &mut [u8; ROOM],
) -> usize {
    let silence = u32::try_from(keepalive.silence(now).as_millis()).unwrap_or(u32::MAX);
    let len = ends.signal_len(size_of_val(&silence));
    ends.emit(&Signal { body: &silence.to_be_bytes(), ..*signal }, &mut buffer[..len]);
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is heard when: as often as anybody who looked at all far ends each time would have
        /// something to do, the round has come; and after it nothing is left to do.
        #[test]
        fn no_far_end_waits_for_its_round(
            steps in proptest::collection::vec((0u64..900, 0usize..4, 0u8..4, 0u64..4000), 0..300),
        ) {
            let mut now = Instant::now();
            let name = IfName::new("x").expect("a name");
            let mut all: Vec<Keeping> = (1..5u128)
                .map(|at| {
                    let ends = Ends { local: at.into(), remote: 9u128.into(), macs: None };
                    Keeping::begin(now, Asked::Datapath(ends))
                })
                .collect();
            let mut round = Round::default();
            for (passed, at, what, silence) in steps {
                now += Duration::from_millis(passed);
                let keeping = &mut all[at];
                let time = keeping.time(now);
                match what {
                    0 => keeping.keepalive.answered(time, None),
                    1 => keeping.keepalive.told(time, Duration::from_millis(silence)),
                    _ => {}
                }
                if what < 3 {
                    keeping.heard(now, &mut round);
                }
                let has_come = round.next_timeout(now).is_some_and(|due| due <= now);
                let is_due = |keeping: &Keeping| {
                    keeping.next_timeout() <= now || keeping.keepalive.verdict() != keeping.last
                };
                prop_assert!(has_come || !all.iter().any(is_due));
                if has_come {
                    for keeping in &mut all {
                        keeping.poll(now, &mut [0; ROOM]);
                        keeping.carrier(now, &name);
                    }
                    round.end(all.iter().map(Keeping::next_timeout).min());
                    prop_assert!(!all.iter().any(is_due));
                    prop_assert!(round.next_timeout(now).is_some_and(|due| due > now));
                }
            }
        }
    }

    #[test]
    fn where_nobody_is_asked_no_round_comes() {
        let now = Instant::now();
        let mut round = Round::default();
        assert_eq!(round.next_timeout(now), Some(now));
        round.end(None);
        assert_eq!(round.next_timeout(now), None);
        round.hasten();
        assert_eq!(round.next_timeout(now), Some(now));
    }
}
