//! The end that is asked: it replies in the shape that the question wants, remembers which questions of
//! the newest run it has heard, and does no more than so much of it.

use super::{Question, Reply, Shape};
use crate::time::{Duration, Instant};

/// Replies in a row, and how long until there is one more: a measurement asks at half that rate.
const BURST: u32 = 100;
const EACH: Duration = Duration::from_millis(4);

/// Of one tunnel.
#[derive(Debug, Clone)]
pub struct Reflector {
    /// The far end's name for its measurement.
    run: Option<u64>,
    newest: u32,
    heard: u64,
    /// Replies that may be given at once.
    credit: u32,
    /// Until when credit has been given.
    credited: Instant,
}

impl Default for Reflector {
    fn default() -> Reflector {
        Reflector { run: None, newest: 0, heard: 0, credit: BURST, credited: Instant::default() }
    }
}

impl Reflector {
    /// What is replied, and in which shape; `None` to one question too many.
    pub fn hear(
        &mut self,
        now: Instant,
        run: u64,
        sequence: u32,
        question: Question,
    ) -> Option<(Shape, Reply)> {
        if self.run != Some(run) {
            (self.run, self.newest, self.heard) = (Some(run), sequence, 0);
        }
        if sequence > self.newest {
            self.heard = self.heard.checked_shl(sequence - self.newest).unwrap_or(0);
            self.newest = sequence;
        }
        self.heard |= 1u64.checked_shl(self.newest - sequence).unwrap_or(0);
        self.grant(now);
        self.credit = self.credit.checked_sub(1)?;
        Some((question.reply, Reply { newest: self.newest, heard: self.heard, time: now.0 }))
    }

    fn grant(&mut self, now: Instant) {
        let more = now.since(self.credited).as_nanos() / EACH.as_nanos();
        let Ok(more) = u32::try_from(more) else {
            (self.credit, self.credited) = (BURST, now);
            return;
        };
        self.credit = self.credit.saturating_add(more).min(BURST);
        self.credited = self.credited + EACH * more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question = Question { reply: Shape { inner: 1, path: 2, turned: false } };

    #[test]
    fn what_was_heard_is_told_in_whatever_order_it_came() {
        let mut reflector = Reflector::default();
        let mut heard = |run, sequence| {
            let (shape, reply) = reflector.hear(Instant(9), run, sequence, QUESTION).unwrap();
            assert_eq!((shape, reply.time), (QUESTION.reply, 9));
            reply.sequences().collect::<alloc::vec::Vec<_>>()
        };
        assert_eq!(heard(1, 3), [3]);
        assert_eq!(heard(1, 5), [5, 3]);
        assert_eq!(heard(1, 4), [5, 4, 3]);
        assert_eq!(heard(1, 4), [5, 4, 3], "twice is once");
        assert_eq!(heard(1, 68), [68, 5]);
        assert_eq!(heard(1, 1000), [1000]);
        assert_eq!(heard(1, 2), [1000], "too long ago to be told");
        assert_eq!(heard(2, 0), [0], "another run");
    }

    #[test]
    fn a_flood_is_not_answered() {
        let mut reflector = Reflector::default();
        let mut at = |milliseconds: u64| {
            let now = Instant(milliseconds * 1_000_000);
            (0..1000).filter(|sequence| reflector.hear(now, 1, *sequence, QUESTION).is_some()).count()
        };
        assert_eq!(at(50_000), 100);
        assert_eq!(at(50_010), 2);
        assert_eq!(at(50_012), 1);
        assert_eq!(at(u64::MAX / 2_000_000), 100);
    }
}
