//! Whether a tunnel's far end lives: asked when it is silent, given up when it answers nothing, taken
//! back with the first packet. Whoever asks and answers, and how, is the caller's.
//!
//! ```text
//!  heard ──QUIET──▶ ask ──AGAIN──▶ ask ── ... QUESTIONS times ──AGAIN──▶ dead     2 s in all
//! ```
//!
//! Two seconds are less than BGP's shortest hold time of three less one between its keepalives: whoever speaks
//! BGP over the tunnel hears of it by the carrier first.
//!
//! What is counted is questions, not time: a process that was stopped for a while asks again before it
//! says anything of others. A far end that has never answered is not judged: it may be of an older version,
//! and one that is dead from the start has no sessions that would have to go.

use crate::time::{Duration, Instant};

/// Silence after which is asked.
pub const QUIET: Duration = Duration::from_millis(500);
/// From a question without an answer to the next.
pub const AGAIN: Duration = Duration::from_millis(250);
/// So many questions without an answer are a dead far end.
pub const QUESTIONS: u32 = 6;
/// It is asked at least so often, whatever it says: so the round trip is known, and both ends are heard.
const REGULARLY: Duration = Duration::from_secs(5);
/// From the last word to the verdict.
pub const LIMIT: Duration = QUIET.saturating_add(AGAIN.saturating_mul(QUESTIONS));
/// An answer that took longer is no measure of the path.
const LONGEST: Duration = Duration::from_secs(10);

/// What is known of a far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has never answered.
    Unproven,
    Alive,
    Dead(Cause),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nothing comes from it.
    Silent,
    /// It says that nothing of ours comes to it.
    Deaf,
}

/// What has been until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// Questions and answers.
    pub asked: u64,
    pub answered: u64,
    /// How long the last answer took, and the quickest one.
    pub round_trips: Option<(Duration, Duration)>,
}

#[derive(Debug, Clone)]
pub struct Keepalive {
    /// When we began to speak; `None`: so long ago that it would have heard us.
    started: Option<Instant>,
    /// It has answered once.
    proven: bool,
    /// It has answered none of the last questions.
    silent: bool,
    /// When it last said that it hears nothing. It is believed for as long as silence would be: a far end that
    /// is no longer asked itself says nothing more, though it hears.
    deaf: Option<Instant>,
    last_heard: Instant,
    last_asked: Instant,
    /// Questions into its silence.
    open: u32,
    /// When there is something to do.
    due: Instant,
    /// It has just come, or come back: it shall know at once that it is heard.
    at_once: bool,
    last_rtt: Option<Duration>,
    least_rtt: Option<Duration>,
    asked: u64,
    answered: u64,
}

impl Keepalive {
    pub fn new(now: Instant) -> Keepalive {
        Keepalive {
            started: Some(now),
            proven: false,
            silent: false,
            deaf: None,
            last_heard: now,
            last_asked: now,
            open: 0,
            due: now,
            at_once: true,
            last_rtt: None,
            least_rtt: None,
            asked: 0,
            answered: 0,
        }
    }

    /// Goes on where another one stands that has judged the same far end, and heard it last when time began.
    pub fn go_on(now: Instant, verdict: Verdict, past: Past) -> Keepalive {
        let (last_rtt, least_rtt) = past.round_trips.unzip();
        let deaf = verdict == Verdict::Dead(Cause::Deaf);
        Keepalive {
            started: if deaf { None } else { Some(now) },
            proven: verdict != Verdict::Unproven,
            silent: verdict == Verdict::Dead(Cause::Silent),
            deaf: deaf.then_some(now),
            last_heard: Instant(0),
            last_rtt,
            least_rtt,
            asked: past.asked,
            answered: past.answered,
            ..Keepalive::new(now)
        }
    }

    pub fn verdict(&self) -> Verdict {
        match (self.proven, self.silent, self.deaf.is_some()) {
            (false, ..) => Verdict::Unproven,
            (true, true, _) => Verdict::Dead(Cause::Silent),
            (true, false, true) => Verdict::Dead(Cause::Deaf),
            (true, false, false) => Verdict::Alive,
        }
    }

    /// Something has come from the far end, whatever it was.
    pub fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.open = 0;
        if self.silent {
            self.silent = false;
            self.at_once = true;
            self.due = now;
        }
    }

    /// An answer has come to the question that was asked at `asked`; `None`: to one of those that are open.
    pub fn answered(&mut self, now: Instant, asked: Option<Instant>) {
        // To one of several it would be a guess.
        let asked = asked.or((self.open <= 1).then_some(self.last_asked));
        if let Some(rtt) = asked.map(|asked| now.since(asked)).filter(|rtt| *rtt < LONGEST) {
            self.last_rtt = Some(rtt);
            self.least_rtt = Some(self.least_rtt.map_or(rtt, |least| least.min(rtt)));
        }
        self.answered += 1;
        self.proven = true;
        self.heard(now);
    }

    /// The far end has said that it has heard nothing of us for so long.
    pub fn told(&mut self, now: Instant, silence: Duration) {
        // What it did not hear before we were there says nothing of the path.
        let long_enough = self.started.is_none_or(|started| now.since(started) >= LIMIT);
        self.deaf = (silence >= LIMIT && long_enough).then_some(now);
        self.proven = true;
        self.heard(now);
    }

    /// For how long nothing has come, to be told to the far end.
    pub fn silence(&self, now: Instant) -> Duration {
        now.since(self.last_heard)
    }

    /// Questions into its silence.
    pub fn open_questions(&self) -> u32 {
        self.open
    }

    pub fn past(&self) -> Past {
        let Keepalive { asked, answered, .. } = *self;
        Past { asked, answered, round_trips: self.last_rtt.zip(self.least_rtt) }
    }

    /// When [`Keepalive::poll`] has something to do.
    pub fn next_timeout(&self) -> Instant {
        self.due
    }

    /// Judges, and says whether to ask now. Everything that has come until `now` must have been told
    /// before.
    pub fn poll(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.deaf = self.deaf.filter(|said| now.since(*said) < LIMIT);
        let alive = self.verdict() == Verdict::Alive;
        let ask = (self.last_heard + QUIET).min(self.last_asked + REGULARLY);
        if alive && !self.at_once && now < ask {
            self.due = ask;
            return false;
        }
        self.at_once = false;
        self.silent |= self.proven && self.open >= QUESTIONS;
        if now >= self.last_heard + QUIET {
            self.open = self.open.saturating_add(1);
        }
        self.asked += 1;
        self.last_asked = now;
        self.due = now + if self.verdict() == Verdict::Alive { AGAIN } else { QUIET };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn at(milliseconds: u64) -> Instant {
        Instant(0) + ms(milliseconds)
    }

    #[test]
    fn silence_is_asked_about_and_then_judged() {
        let mut keepalive = Keepalive::new(at(0));
        assert!(keepalive.poll(at(0)));
        keepalive.answered(at(20), Some(at(0)));
        assert_eq!(keepalive.past().round_trips, Some((ms(20), ms(20))));
        let mut asked = Vec::new();
        for now in (20..3600).map(at) {
            if keepalive.poll(now) {
                asked.push((now.since(at(20)).as_millis(), keepalive.verdict()));
            }
        }
        let alive = [500, 750, 1000, 1250, 1500, 1750].map(|time| (time, Verdict::Alive));
        let dead = [2000, 2500, 3000, 3500].map(|time| (time, Verdict::Dead(Cause::Silent)));
        assert_eq!(asked, [&alive[..], &dead].concat());
        keepalive.heard(at(4100));
        assert_eq!(keepalive.verdict(), Verdict::Alive);
        assert!(keepalive.poll(at(4100)), "it is told at once");
        assert!(!keepalive.poll(at(4300)));
    }

    #[test]
    fn who_never_answered_is_not_judged() {
        let mut keepalive = Keepalive::new(at(0));
        for now in (0..20_000).map(at) {
            keepalive.poll(now);
            if now == at(5000) {
                keepalive.heard(now);
            }
        }
        assert_eq!(keepalive.verdict(), Verdict::Unproven);
        assert!(keepalive.past().asked > 20);
    }

    #[test]
    fn a_process_that_was_stopped_asks_before_it_judges() {
        let mut keepalive = Keepalive::new(at(0));
        keepalive.answered(at(10), None);
        assert!(keepalive.poll(at(60_000)));
        assert_eq!(keepalive.verdict(), Verdict::Alive);
    }

    #[test]
    fn who_says_that_it_is_deaf_is_believed_once_we_have_spoken_long_enough() {
        let mut keepalive = Keepalive::new(at(0));
        keepalive.told(at(1000), ms(9000));
        assert_eq!(keepalive.verdict(), Verdict::Alive, "we have only just begun");
        keepalive.told(at(2600), ms(1999));
        assert_eq!(keepalive.verdict(), Verdict::Alive);
        keepalive.told(at(2700), ms(2000));
        assert_eq!(keepalive.verdict(), Verdict::Dead(Cause::Deaf));
        keepalive.heard(at(2800));
        assert_eq!(keepalive.verdict(), Verdict::Dead(Cause::Deaf));
        keepalive.told(at(2900), ms(0));
        assert_eq!(keepalive.verdict(), Verdict::Alive);
    }

    #[test]
    fn who_no_longer_says_that_it_is_deaf_is_heard() {
        let mut keepalive = Keepalive::new(at(0));
        keepalive.told(at(3000), ms(2000));
        for now in (3000..4990).map(at) {
            keepalive.heard(now);
            keepalive.poll(now);
            assert_eq!(keepalive.verdict(), Verdict::Dead(Cause::Deaf));
        }
        for now in (4990..5600).map(at) {
            keepalive.heard(now);
            keepalive.poll(now);
        }
        assert_eq!(keepalive.verdict(), Verdict::Alive);
    }

    #[test]
    fn who_goes_on_knows_what_was_known() {
        let past = Past { asked: 7, answered: 5, round_trips: Some((ms(30), ms(20))) };
        for verdict in [Verdict::Alive, Verdict::Dead(Cause::Silent), Verdict::Dead(Cause::Deaf)] {
            let mut keepalive = Keepalive::go_on(at(10), verdict, past);
            assert_eq!((keepalive.verdict(), keepalive.past()), (verdict, past));
            assert_eq!(keepalive.silence(at(20)), ms(20));
            // Who does not hear us has not heard the other one either.
            keepalive.told(at(20), ms(60_000));
            let still = verdict == Verdict::Dead(Cause::Deaf);
            assert_eq!(keepalive.verdict(), if still { verdict } else { Verdict::Alive });
            keepalive.answered(at(40), Some(at(30)));
            let past = Past { answered: 6, round_trips: Some((ms(10), ms(10))), ..past };
            assert_eq!(keepalive.past(), past);
        }
    }

    /// Two ends and the way between them, which takes `DELAY` and may be cut in one direction or both.
    struct Pair {
        now: u64,
        ends: [Keepalive; 2],
        /// When it arrives, at whom, the silence that it tells of, and when it was asked if it answers.
        under_way: Vec<(u64, usize, Duration, Option<Instant>)>,
        cut: [bool; 2],
        changes: [u32; 2],
    }

    const DELAY: u64 = 30;

    impl Pair {
        /// One end is `apart` milliseconds older than the other.
        fn new(apart: u64) -> Pair {
            let ends = [Keepalive::new(at(0)), Keepalive::new(at(apart))];
            let mut pair = Pair { now: apart, ends, under_way: Vec::new(), cut: [false; 2], changes: [0; 2] };
            pair.run(4000);
            assert_eq!(pair.verdicts(), [Verdict::Alive; 2]);
            pair.changes = [0; 2];
            pair
        }

        fn verdicts(&self) -> [Verdict; 2] {
            [self.ends[0].verdict(), self.ends[1].verdict()]
        }

        fn are(&self, dead: bool) -> [bool; 2] {
            self.verdicts().map(|verdict| matches!(verdict, Verdict::Dead(_)) == dead)
        }

        fn send(&mut self, from: usize, answer: Option<Instant>) {
            if !self.cut[from] {
                let silence = self.ends[from].silence(at(self.now));
                self.under_way.push((self.now + DELAY, 1 - from, silence, answer));
            }
        }

        fn run(&mut self, milliseconds: u64) {
            for _ in 0..milliseconds {
                let before = self.verdicts();
                let now = at(self.now);
                while let Some(next) = self.under_way.iter().position(|under_way| under_way.0 <= self.now) {
                    let (_, to, silence, answer) = self.under_way.remove(next);
                    self.ends[to].told(now, silence);
                    match answer {
                        Some(asked) => self.ends[to].answered(now, Some(asked)),
                        None => self.send(to, Some(at(self.now - DELAY))),
                    }
                }
                for end in 0..2 {
                    if self.ends[end].poll(now) {
                        self.send(end, None);
                    }
                }
                for (end, before) in before.iter().enumerate() {
                    self.changes[end] += u32::from(*before != self.ends[end].verdict());
                }
                self.now += 1;
            }
        }
    }

    proptest! {
        #[test]
        fn a_cut_of_either_way_takes_both_ends_down_in_time_and_without_flapping(
            apart in 0u64..1500, phase in 0u64..2000, ways in prop_oneof![Just([true, false]), Just([false, true]), Just([true, true])],
            long in 0u64..6000,
        ) {
            let mut pair = Pair::new(apart);
            pair.run(phase);
            prop_assert_eq!(pair.changes, [0; 2]);
            pair.cut = ways;
            pair.run(2500);
            prop_assert_eq!(pair.are(true), [true; 2]);
            pair.run(long);
            prop_assert_eq!(pair.changes, [1; 2]);
            pair.cut = [false; 2];
            pair.run(QUIET.as_millis() as u64 + 3 * DELAY);
            prop_assert_eq!(pair.are(false), [true; 2]);
            pair.run(5000);
            // Between silence and life an end may learn that it was not heard.
            prop_assert!(pair.changes.iter().all(|changes| *changes <= 3), "{:?}", pair.changes);
        }

        /// Gaps below the limit, polls late by any time.
        #[test]
        fn never_down_while_packets_arrive(gaps in proptest::collection::vec((1u64..1900, 1u64..900), 1..60)) {
            let mut keepalive = Keepalive::new(at(0));
            keepalive.answered(at(0), None);
            let mut now = 0;
            for (gap, step) in gaps {
                let arrives = now + gap;
                while now < arrives {
                    keepalive.poll(at(now));
                    prop_assert_eq!(keepalive.verdict(), Verdict::Alive);
                    now += step;
                }
                now = now.max(arrives);
                keepalive.heard(at(now));
            }
        }
    }
}
