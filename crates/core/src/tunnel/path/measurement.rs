//! The end that measures: which trial is next, what its reply says, what was found.

use super::course::{Course, Looking, Tries};
use super::{Answerer, Direction, PathFinding, Question, Reply, Shape, Tally};
use crate::mtu::Way;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

const GREETINGS: u32 = 20;
const GREETING_PACE: Duration = Duration::from_millis(100);
const TRAIN: u32 = 100;
const TRAIN_PACE: Duration = Duration::from_millis(10);
/// How long an answer is waited for beyond twice the longest round trip.
const PATIENCE: Duration = Duration::from_millis(200);
/// And before a round trip is known, or where they are longer than anybody would use.
const LONGEST_PATIENCE: Duration = Duration::from_secs(2);
/// A thing that passes is held not to pass once in so many times.
const DOUBT: f32 = 1e-4;
const LEAST_TRIES: u32 = 4;
const MOST_TRIES: u32 = 24;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The tunnel, by its plan.
    pub way: Way,
    /// The largest outer packet that our line takes, in bytes.
    pub most: u16,
    pub answerer: Answerer,
}

/// One packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    pub sequence: u32,
    pub shape: Shape,
    pub question: Question,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    Found(PathFinding),
    /// Not one answer: the far end is not ours, or nothing passes at all.
    Unanswered,
    /// The far end answered, and then no more.
    WentSilent,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "stage")]
pub enum Stage {
    Greeting,
    Train {
        sent: u32,
        of: u32,
    },
    Courses {
        out: Looking,
        /// `None`: not told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Looking>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(flatten)]
    pub stage: Stage,
    pub elapsed_ms: u64,
}

/// What a question was for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Greeting,
    Train,
    /// A try of a course: 0 is out (or there and back), 1 is back.
    Trial {
        course: usize,
        shape: Shape,
        number: usize,
    },
    /// What was sent beside it.
    Beside {
        course: usize,
        shape: Shape,
        number: usize,
    },
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    purpose: Purpose,
    sent: Instant,
    heard: bool,
    replied: Option<Times>,
}

/// When a question was heard on their clock, and when the reply was on ours, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    theirs: u64,
    ours: u64,
}

#[derive(Debug)]
enum Phase {
    Greeting { sent: u32, next: Instant },
    Train { sent: u32, next: Instant },
    Courses(Vec<Course>),
    Ended(Outcome),
}

/// Bounded by construction: the round of greetings, one train, and courses of at most a few hundred tries.
#[derive(Debug)]
pub struct Measurement {
    subject: Subject,
    started: Instant,
    phase: Phase,
    /// By sequence.
    asked: Vec<Asked>,
    longest_rtt: Option<Duration>,
    /// What the far end's line takes, as it says.
    their_most: u16,
}

impl Measurement {
    pub fn new(now: Instant, subject: Subject) -> Measurement {
        Measurement {
            subject,
            started: now,
            phase: Phase::Greeting { sent: 0, next: now },
            asked: Vec::new(),
            longest_rtt: None,
            their_most: subject.most,
        }
    }

    /// The same path, asked of somebody else.
    #[must_use]
    pub fn again(&self, now: Instant, answerer: Answerer) -> Measurement {
        Measurement::new(now, Subject { answerer, ..self.subject })
    }

    pub fn way(&self) -> Way {
        self.subject.way
    }

    pub fn outcome(&self) -> Option<Outcome> {
        match &self.phase {
            Phase::Ended(outcome) => Some(*outcome),
            _ => None,
        }
    }

    pub fn progress(&self, now: Instant) -> Option<Progress> {
        let stage = match &self.phase {
            Phase::Greeting { .. } => Stage::Greeting,
            Phase::Train { sent, .. } => Stage::Train { sent: *sent, of: TRAIN },
            Phase::Courses(courses) => {
                Stage::Courses { out: courses.first()?.looking(), back: courses.get(1).map(Course::looking) }
            }
            Phase::Ended(_) => return None,
        };
        let elapsed_ms = u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        Some(Progress { stage, elapsed_ms })
    }

    /// Takes the reply to the question of this sequence.
    pub fn handle_reply(&mut self, now: Instant, sequence: u32, reply: &Reply) {
        for heard in reply.sequences() {
            self.handle_heard(heard);
        }
        if self.handle_return(now, sequence, reply.time) {
            self.their_most = reply.most;
        }
    }

    /// Takes what came back of the echo request of this sequence.
    pub fn handle_echo(&mut self, now: Instant, sequence: u32) {
        self.handle_return(now, sequence, now.0);
    }

    /// True if it was asked and is the first that comes back of it.
    fn handle_return(&mut self, now: Instant, sequence: u32, theirs: u64) -> bool {
        let Some(asked) = self.asked.get_mut(sequence as usize) else { return false };
        if asked.replied.is_some() {
            return false;
        }
        asked.replied = Some(Times { theirs, ours: now.0 });
        let purpose = asked.purpose;
        self.longest_rtt = self.longest_rtt.max(Some(now.since(asked.sent)));
        self.handle_heard(sequence);
        match (purpose, &mut self.phase) {
            (Purpose::Greeting, Phase::Greeting { .. }) => {
                self.phase = Phase::Train { sent: 0, next: now };
            }
            (Purpose::Trial { course: 1, shape, number }, Phase::Courses(courses)) => {
                if let Some(course) = courses.get_mut(1) {
                    course.arrived(shape, number);
                }
            }
            (Purpose::Beside { course, shape, number }, Phase::Courses(courses)) => {
                courses[course].beside_arrived(shape, number);
            }
            _ => {}
        }
        true
    }

    /// The far end has heard this question, whatever became of its reply.
    fn handle_heard(&mut self, sequence: u32) {
        let Some(asked) = self.asked.get_mut(sequence as usize).filter(|asked| !asked.heard) else { return };
        asked.heard = true;
        if let (Purpose::Trial { course: 0, shape, number }, Phase::Courses(courses)) =
            (asked.purpose, &mut self.phase)
        {
            courses[0].arrived(shape, number);
        }
    }

    /// Appends what is to be sent now.
    pub fn poll(&mut self, now: Instant, trials: &mut Vec<Trial>) {
        let patience = self.patience();
        match &mut self.phase {
            Phase::Greeting { sent, next } => {
                if now < *next {
                    return;
                }
                if *sent == GREETINGS {
                    self.phase = Phase::Ended(Outcome::Unanswered);
                    return;
                }
                *sent += 1;
                *next = now + if *sent == GREETINGS { LONGEST_PATIENCE } else { GREETING_PACE };
                self.ask_small(now, Purpose::Greeting, trials);
            }
            Phase::Train { sent, next } => {
                if now < *next {
                    return;
                }
                if *sent == TRAIN {
                    self.begin_courses(now);
                    return self.poll(now, trials);
                }
                *sent += 1;
                *next = now + if *sent == TRAIN { patience } else { TRAIN_PACE };
                self.ask_small(now, Purpose::Train, trials);
            }
            Phase::Courses(courses) => {
                let alive = courses.iter_mut().all(|course| course.advance(now, patience));
                let over = courses.iter().all(Course::is_done);
                if !alive {
                    self.phase = Phase::Ended(Outcome::WentSilent);
                } else if over {
                    self.phase = Phase::Ended(Outcome::Found(self.finding()));
                } else {
                    let next: Vec<_> = courses.iter_mut().map(|course| course.poll(now, patience)).collect();
                    for (course, next) in next.into_iter().enumerate() {
                        let Some((shape, number)) = next else { continue };
                        self.ask_course(now, course, shape, number, trials);
                    }
                }
            }
            Phase::Ended(_) => {}
        }
    }

    /// When [`Measurement::poll`] has something to do next although nothing arrives.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let patience = self.patience();
        match &self.phase {
            Phase::Greeting { next, .. } | Phase::Train { next, .. } => Some(*next),
            Phase::Courses(courses) => {
                courses.iter().filter_map(|course| course.next_timeout(now, patience)).min()
            }
            Phase::Ended(_) => None,
        }
    }

    fn patience(&self) -> Duration {
        self.longest_rtt.map_or(LONGEST_PATIENCE, |rtt| (rtt * 2 + PATIENCE).min(LONGEST_PATIENCE))
    }

    fn ask(&mut self, now: Instant, purpose: Purpose, shape: Shape, reply: Shape, trials: &mut Vec<Trial>) {
        // As many as a measurement can ask are far fewer.
        let sequence = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        self.asked.push(Asked { purpose, sent: now, heard: false, replied: None });
        trials.push(Trial { sequence, shape, question: Question { reply } });
    }

    fn ask_small(&mut self, now: Instant, purpose: Purpose, trials: &mut Vec<Trial>) {
        let small = Shape::small(&self.subject.way);
        self.ask(now, purpose, small, small, trials);
    }

    fn ask_course(
        &mut self,
        now: Instant,
        course: usize,
        shape: Shape,
        number: usize,
        trials: &mut Vec<Trial>,
    ) {
        let small = Shape::small(&self.subject.way);
        let (out, back) = if course == 0 { (shape, small) } else { (small, shape) };
        self.ask(now, Purpose::Trial { course, shape, number }, out, back, trials);
        self.ask_small(now, Purpose::Beside { course, shape, number }, trials);
    }

    fn begin_courses(&mut self, now: Instant) {
        let [out, back] = self.trains();
        let passes = |tally: Tally| tally.arrived as f32 / tally.sent.max(1) as f32;
        let (out, back) = (passes(out), passes(back));
        let round = out * back;
        let tries = Tries { whole: tries(round), pieces: tries(round * out.min(back)) };
        let Subject { way, most, answerer } = self.subject;
        let within_mtu = answerer == Answerer::Neighbour;
        let back = answerer.tells_directions().then_some(self.their_most);
        let courses = [most].into_iter().chain(back);
        self.phase =
            Phase::Courses(courses.map(|most| Course::new(now, way, most, tries, within_mtu)).collect());
    }

    fn train(&self) -> impl DoubleEndedIterator<Item = &Asked> {
        self.asked.iter().filter(|asked| matches!(asked.purpose, Purpose::Train))
    }

    /// Out and back.
    fn trains(&self) -> [Tally; 2] {
        let sent = self.train().count() as u32;
        let heard = self.train().filter(|asked| asked.heard).count() as u32;
        let replied = self.train().filter(|asked| asked.replied.is_some()).count() as u32;
        [Tally { sent, arrived: heard }, Tally { sent: heard, arrived: replied }]
    }

    fn finding(&self) -> PathFinding {
        let Phase::Courses(courses) = &self.phase else { return PathFinding::default() };
        let mut found = courses.iter().map(Course::found);
        let (mut out, back) = (found.next().unwrap_or_default(), found.next());
        let trains = self.trains();
        // The two clocks differ by an amount that no difference of two times holds.
        let transits = |transit: fn(&Asked, Times) -> u64| -> Vec<u64> {
            self.train().filter_map(|asked| Some(transit(asked, asked.replied?))).collect()
        };
        let answered_by = self.subject.answerer;
        out.train = trains[0];
        // Of an echo "theirs" is when it came back: what is there and back counts as out.
        out.jitter_us = jitter(&transits(|asked, times| times.theirs.wrapping_sub(asked.sent.0)));
        let back = back.map(|back| Direction {
            train: trains[1],
            jitter_us: jitter(&transits(|_, times| times.ours.wrapping_sub(times.theirs))),
            ..back
        });
        let mut rtts = transits(|asked, times| times.ours.saturating_sub(asked.sent.0));
        rtts.sort_unstable();
        let microseconds =
            |at: usize| rtts.get(at).map_or(0, |rtt| u32::try_from(rtt / 1000).unwrap_or(u32::MAX));
        PathFinding {
            answered_by,
            out,
            back,
            least_rtt_us: microseconds(0),
            median_rtt_us: microseconds(rtts.len() / 2),
        }
    }
}

/// How often something has to fail that passes with this probability, until chance is no explanation.
fn tries(passes: f32) -> u32 {
    let mut tries = LEAST_TRIES;
    let mut doubt = (0..tries).fold(1.0, |doubt, _| doubt * (1.0 - passes));
    while doubt > DOUBT && tries < MOST_TRIES {
        doubt *= 1.0 - passes;
        tries += 1;
    }
    tries
}

/// The mean difference of neighbours, in microseconds; the times are in nanoseconds.
fn jitter(transits: &[u64]) -> u32 {
    let differences =
        transits.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).cast_signed().unsigned_abs());
    let count = transits.len().saturating_sub(1).max(1) as u64;
    let sum = differences.fold(0u64, u64::saturating_add);
    u32::try_from(sum / count / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_lost_the_more_is_tried() {
        assert_eq!([1.0, 0.98, 0.64, 0.51, 0.05, 0.0].map(tries), [4, 4, 10, 13, 24, 24]);
    }

    #[test]
    fn jitter_is_of_neighbours_and_blind_to_the_clocks() {
        assert_eq!(jitter(&[]), 0);
        assert_eq!(jitter(&[7_000]), 0);
        let times = [10_000u64, 14_000, 12_000];
        assert_eq!(jitter(&times), 3);
        assert_eq!(jitter(&times.map(|time| time.wrapping_sub(11_000))), 3, "their clock is ahead");
    }
}
