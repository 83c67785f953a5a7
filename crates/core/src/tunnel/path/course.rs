//! One direction's way through the measurement: sizes, then pieces, then pieces turned round.

use super::{Direction, LEAST_IPV4, Shape, Tally};
use crate::mtu::{IPV6_MINIMUM, Ip, Way};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// From one try to the next.
const PACE: Duration = Duration::from_millis(25);
/// Pieces are tried with so much more inside than what fits whole, at least.
const BEYOND_WHOLE: u32 = 64;

/// How often a thing is tried before it is held not to pass, whatever is lost by chance.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    pub whole: u32,
    pub pieces: u32,
}

/// What a course is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "at")]
pub enum Looking {
    /// The largest that passes whole lies between these, in bytes.
    Sizes {
        least: u16,
        most: u16,
    },
    Pieces,
    Turned,
    Done,
}

/// What an exam came to.
enum Verdict {
    Tally(Tally),
    /// Of what was sent beside it nothing came either: nothing is known.
    Silent,
}

/// A trial that was sent, with a small packet beside it that shows whether the path was alive.
#[derive(Debug, Clone, Copy)]
struct Try {
    sent: Instant,
    arrived: bool,
    beside: bool,
}

/// One shape, tried until it is known whether it passes.
#[derive(Debug)]
struct Exam {
    shape: Shape,
    /// Tries that count: those that arrived and those that did not although what was beside them did.
    needed: u32,
    /// One that arrives is enough.
    until_first: bool,
    tries: Vec<Try>,
    next: Instant,
}

impl Exam {
    fn new(now: Instant, shape: Shape, needed: u32, until_first: bool) -> Exam {
        Exam { shape, needed, until_first, tries: Vec::new(), next: now }
    }

    fn limit(&self) -> usize {
        self.needed as usize * 3 + 8
    }

    fn arrived(&self) -> u32 {
        self.tries.iter().filter(|one| one.arrived).count() as u32
    }

    /// Of those whose time is over: how many have failed, and how many say nothing.
    fn failed(&self, now: Instant, patience: Duration) -> (u32, u32) {
        let over = self.tries.iter().filter(|one| !one.arrived && now.since(one.sent) >= patience);
        over.fold(
            (0, 0),
            |(failed, mute), one| if one.beside { (failed + 1, mute) } else { (failed, mute + 1) },
        )
    }

    fn verdict(&self, now: Instant, patience: Duration) -> Option<Verdict> {
        let arrived = self.arrived();
        let (failed, mute) = self.failed(now, patience);
        let counted = Tally { sent: arrived + failed, arrived };
        if counted.sent >= self.needed || (self.until_first && arrived > 0) {
            return Some(Verdict::Tally(counted));
        }
        let settled = (counted.sent + mute) as usize;
        (settled >= self.limit()).then_some(Verdict::Silent)
    }

    fn is_due(&self, now: Instant, patience: Duration) -> bool {
        let (_, mute) = self.failed(now, patience);
        now >= self.next && self.wants_more(mute)
    }

    fn wants_more(&self, mute: u32) -> bool {
        self.tries.len() < self.limit() && (self.tries.len() as u32).saturating_sub(mute) < self.needed
    }

    /// When there is something to do although nothing arrives.
    fn next_timeout(&self, now: Instant, patience: Duration) -> Option<Instant> {
        let waiting = self.tries.iter().filter(|one| !one.arrived && now.since(one.sent) < patience);
        let settles = waiting.map(|one| one.sent + patience).min();
        let (_, mute) = self.failed(now, patience);
        let sends = self.wants_more(mute).then_some(self.next);
        settles.into_iter().chain(sends).min()
    }
}

#[derive(Debug)]
pub struct Course {
    way: Way,
    tries: Tries,
    looking: Looking,
    /// Passes; `None`: nothing does yet.
    low: Option<u16>,
    /// Does not.
    high: u16,
    least: u16,
    exam: Exam,
    found: Direction,
    /// Inner packets may have so many bytes.
    inner_most: Option<u16>,
}

impl Course {
    /// Begins with the largest packet, of at most `most` bytes. `within_mtu`: no inner packet is larger than the
    /// tunnel's MTU.
    pub fn new(now: Instant, way: Way, most: u16, tries: Tries, within_mtu: bool) -> Course {
        let floor = match way.outer {
            Ip::V4 => LEAST_IPV4,
            Ip::V6 => IPV6_MINIMUM as u16,
        };
        let (floor, most) =
            if within_mtu { (whole_at_most(&way, floor), whole_at_most(&way, most)) } else { (floor, most) };
        let least = makable(&way, floor);
        let most = makable(&way, most.max(floor));
        Course {
            looking: Looking::Sizes { least, most },
            low: None,
            high: most.saturating_add(1),
            least,
            exam: Exam::new(now, whole(&way, most), tries.whole, true),
            found: Direction::default(),
            inner_most: within_mtu.then(|| u16::try_from(way.mtu).unwrap_or(u16::MAX)),
            way,
            tries,
        }
    }

    pub fn looking(&self) -> Looking {
        self.looking
    }

    pub fn is_done(&self) -> bool {
        self.looking == Looking::Done
    }

    pub fn found(&self) -> Direction {
        self.found
    }

    /// The exam's shape and the number of the next try, if it is time for one.
    pub fn poll(&mut self, now: Instant, patience: Duration) -> Option<(Shape, usize)> {
        if self.is_done() || !self.exam.is_due(now, patience) {
            return None;
        }
        self.exam.tries.push(Try { sent: now, arrived: false, beside: false });
        self.exam.next = now + PACE;
        Some((self.exam.shape, self.exam.tries.len() - 1))
    }

    /// A trial of the shape that is examined arrived; others are late and say nothing new.
    pub fn arrived(&mut self, shape: Shape, number: usize) {
        if let Some(one) = self.exam.tries.get_mut(number).filter(|_| self.exam.shape == shape) {
            one.arrived = true;
        }
    }

    /// What was sent beside it arrived.
    pub fn beside_arrived(&mut self, shape: Shape, number: usize) {
        if let Some(one) = self.exam.tries.get_mut(number).filter(|_| self.exam.shape == shape) {
            one.beside = true;
        }
    }

    pub fn next_timeout(&self, now: Instant, patience: Duration) -> Option<Instant> {
        if self.is_done() { None } else { self.exam.next_timeout(now, patience) }
    }

    /// Goes on if it is known how the exam came out. False if the far end has gone silent.
    pub fn advance(&mut self, now: Instant, patience: Duration) -> bool {
        while !self.is_done() {
            match self.exam.verdict(now, patience) {
                None => return true,
                Some(Verdict::Silent) => return false,
                Some(Verdict::Tally(tally)) => self.take(now, tally),
            }
        }
        true
    }

    fn take(&mut self, now: Instant, tally: Tally) {
        match self.looking {
            Looking::Sizes { .. } => {
                let size = self.exam.shape.path;
                if tally.arrived > 0 {
                    self.low = Some(size);
                } else {
                    self.high = size;
                }
                self.next_size(now);
            }
            Looking::Pieces => {
                self.found.pieces = tally;
                self.looking = Looking::Turned;
                let shape = Shape { turned: true, ..self.exam.shape };
                self.exam = Exam::new(now, shape, self.tries.pieces, false);
            }
            Looking::Turned => {
                self.found.turned = tally;
                self.looking = Looking::Done;
            }
            Looking::Done => {}
        }
    }

    /// Halves what is between what passes and what does not; the least that matters comes second.
    fn next_size(&mut self, now: Instant) {
        let next = match self.low {
            None if self.high <= self.least => None,
            None => Some(self.least),
            Some(low) => {
                let middle = makable(&self.way, low + (self.high - low) / 2);
                // Where the tunnel makes sizes in steps, the next one may be above the middle.
                let above = (middle..self.high).map(|size| makable(&self.way, size)).find(|size| *size > low);
                above.filter(|size| *size < self.high)
            }
        };
        if let Some(size) = next {
            self.looking = Looking::Sizes { least: self.low.unwrap_or(self.least), most: self.high - 1 };
            self.exam = Exam::new(now, whole(&self.way, size), self.tries.whole, true);
            return;
        }
        self.found.mtu = self.low;
        match self.low {
            None => self.looking = Looking::Done,
            Some(path) => {
                self.looking = Looking::Pieces;
                self.exam = Exam::new(now, cut(&self.way, path, self.inner_most), self.tries.pieces, false);
            }
        }
    }
}

/// The largest size of an outer packet up to `size` that the tunnel can make: WireGuard goes in steps of 16.
pub fn makable(way: &Way, size: u16) -> u16 {
    let at = Way { path_mtu: size.into(), ..*way };
    // Not above `size`, but for what is below all headers.
    u16::try_from(at.whole(at.largest_inner(1))).unwrap_or(size)
}

/// An outer packet of just this size.
fn whole(way: &Way, size: u16) -> Shape {
    let inner = Way { path_mtu: size.into(), ..*way }.largest_inner(1);
    Shape { inner: u16::try_from(inner).unwrap_or(size), path: size, turned: false }
}

/// The same, but for what the tunnel's own MTU allows no larger than needed for that.
pub fn whole_at_most(way: &Way, size: u16) -> u16 {
    size.min(u16::try_from(way.whole(way.mtu)).unwrap_or(u16::MAX))
}

/// Two pieces on a path of this size: a full packet where that is two. Where an inner packet may not be as large
/// as that, it is cut smaller than the path asks for.
fn cut(way: &Way, path: u16, inner_most: Option<u16>) -> Shape {
    let at = Way { path_mtu: path.into(), ..*way };
    let most = at.largest_inner(2);
    let inner = way.mtu.max(at.largest_inner(1) + BEYOND_WHOLE).min(most);
    if let Some(inner) = inner_most.filter(|most| inner > u32::from(*most)) {
        let whole = u16::try_from(way.whole(inner.into())).unwrap_or(path);
        return Shape { inner, path: path.min(whole.saturating_sub(BEYOND_WHOLE as u16)), turned: false };
    }
    Shape { inner: u16::try_from(inner).unwrap_or(path), path, turned: false }
}
