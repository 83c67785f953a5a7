//! The end that is asked: it replies in the shape that the question wants, remembers which questions of
//! the newest run it has heard, and does no more than so much of it.

use super::{Question, Reply, Shape};
use crate::mtu::Way;
use crate::time::{Duration, Instant};
use crate::tunnel::DropReason;

/// Replies in a row, and how long until there is one more: no measurement of ours asks that often.
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
    /// What is replied to the question of this run and sequence, and in which shape. `way` is our tunnel,
    /// `most` what its line takes.
    ///
    /// # Errors
    /// `QuestionTooMany`; `QuestionShape` if a reply in that shape would be a weapon.
    pub fn hear(
        &mut self,
        now: Instant,
        (way, most): (&Way, u16),
        (run, sequence): (u64, u32),
        question: Question,
    ) -> Result<(Shape, Reply), DropReason> {
        if !question.reply.is_fair(way, most) {
            return Err(DropReason::QuestionShape);
        }
        if self.run != Some(run) {
            (self.run, self.newest, self.heard) = (Some(run), sequence, 0);
        }
        if sequence > self.newest {
            self.heard = self.heard.checked_shl(sequence - self.newest).unwrap_or(0);
            self.newest = sequence;
        }
        self.heard |= 1u64.checked_shl(self.newest - sequence).unwrap_or(0);
        self.grant(now);
        self.credit = self.credit.checked_sub(1).ok_or(DropReason::QuestionTooMany)?;
        let reply = Reply { newest: self.newest, heard: self.heard, time: now.0, most };
        Ok((question.reply, reply))
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

    use crate::mtu::{Ip, Wrapping};
    use alloc::vec::Vec;

    const QUESTION: Question = Question { reply: Shape { inner: 1456, path: 1500, turned: false } };
    const WAY: Way = Way { wrapping: Wrapping::Gre { key: false }, outer: Ip::V6, path_mtu: 1500, mtu: 2400 };

    #[test]
    fn what_was_heard_is_told_in_whatever_order_it_came() {
        let mut reflector = Reflector::default();
        let mut heard = |run, sequence| {
            let heard = reflector.hear(Instant(9), (&WAY, 1500), (run, sequence), QUESTION);
            let (shape, reply) = heard.unwrap();
            assert_eq!((shape, reply.time, reply.most), (QUESTION.reply, 9, 1500));
            reply.sequences().collect::<Vec<_>>()
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
            let mut asked = |sequence| reflector.hear(now, (&WAY, 1500), (1, sequence), QUESTION);
            (0..1000).filter(|sequence| asked(*sequence).is_ok()).count()
        };
        assert_eq!(at(50_000), 100);
        assert_eq!(at(50_010), 2);
        assert_eq!(at(50_012), 1);
        assert_eq!(at(u64::MAX / 2_000_000), 100);
    }

    #[test]
    fn no_reply_is_a_weapon() {
        let hear = |inner, path, most| {
            let question = Question { reply: Shape { inner, path, turned: false } };
            Reflector::default().hear(Instant(0), (&WAY, most), (1, 1), question).err()
        };
        assert_eq!(hear(2896, 1500, 1500), None);
        for (inner, path, most) in
            [(2897, 1500, 1500), (1456, 1500, 1499), (127, 1500, 1500), (60_000, 200, 1500), (200, 40, 1500)]
        {
            assert_eq!(hear(inner, path, most), Some(DropReason::QuestionShape), "{inner} {path}");
        }
    }
}
