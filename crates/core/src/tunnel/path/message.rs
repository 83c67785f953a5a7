//! What the two ends say to each other while one of them measures: the bodies of signals.

use super::Shape;

/// The body of a question: in which shape it is to be replied to.
///
/// ```text
///  0 inner   2 path   4 turned
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub reply: Shape,
}

impl Question {
    pub const LEN: usize = 5;

    pub fn emit(&self) -> [u8; Question::LEN] {
        let [i0, i1] = self.reply.inner.to_be_bytes();
        let [p0, p1] = self.reply.path.to_be_bytes();
        [i0, i1, p0, p1, self.reply.turned.into()]
    }

    /// `None` if it is too short or no shape.
    pub fn parse(body: &[u8]) -> Option<Question> {
        let &[i0, i1, p0, p1, turned] = body.first_chunk::<{ Question::LEN }>()?;
        let turned = match turned {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (inner, path) = (u16::from_be_bytes([i0, i1]), u16::from_be_bytes([p0, p1]));
        Some(Question { reply: Shape { inner, path, turned } })
    }
}

/// The body of a reply: which of the run's questions were heard, and when this one was.
///
/// ```text
///  0 newest   4 heard   12 time   20 most
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The highest sequence that was heard of the run.
    pub newest: u32,
    /// The lowest bit is `newest`, the next one the question before it, and so on.
    pub heard: u64,
    /// In nanoseconds on the clock of whoever replies.
    pub time: u64,
    /// The largest packet that the line of whoever replies takes, in bytes.
    pub most: u16,
}

impl Reply {
    pub const LEN: usize = 22;

    pub fn emit(&self) -> [u8; Reply::LEN] {
        let mut body = [0; Reply::LEN];
        body[..4].copy_from_slice(&self.newest.to_be_bytes());
        body[4..12].copy_from_slice(&self.heard.to_be_bytes());
        body[12..20].copy_from_slice(&self.time.to_be_bytes());
        body[20..].copy_from_slice(&self.most.to_be_bytes());
        body
    }

    /// `None` if it is too short.
    pub fn parse(body: &[u8]) -> Option<Reply> {
        let body = body.first_chunk::<{ Reply::LEN }>()?;
        let &[n0, n1, n2, n3, h0, h1, h2, h3, h4, h5, h6, h7, time @ .., m0, m1] = body;
        Some(Reply {
            newest: u32::from_be_bytes([n0, n1, n2, n3]),
            heard: u64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
            time: u64::from_be_bytes(time),
            most: u16::from_be_bytes([m0, m1]),
        })
    }

    /// The sequences that it says were heard.
    pub fn sequences(&self) -> impl Iterator<Item = u32> + use<> {
        let Reply { newest, heard, .. } = *self;
        (0..u64::BITS).filter(move |bit| heard >> bit & 1 == 1).filter_map(move |bit| newest.checked_sub(bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_by_byte() {
        let question = Question { reply: Shape { inner: 0x0102, path: 0x0304, turned: true } };
        assert_eq!(question.emit(), [1, 2, 3, 4, 1]);
        let reply = Reply {
            newest: 0x0102_0304,
            heard: 0x0506_0708_090a_0b0c,
            time: 0x0d0e_0f10_1112_1314,
            most: 0x1516,
        };
        assert_eq!(reply.emit(), core::array::from_fn(|at| at as u8 + 1));
        let early = Reply { newest: 1, heard: 0b111, time: 0, most: 0 };
        assert!(early.sequences().eq([1, 0]));
    }

    proptest! {
        #[test]
        fn round_trip(inner: u16, path: u16, turned: bool, newest: u32, heard: u64, time: u64, most: u16) {
            let question = Question { reply: Shape { inner, path, turned } };
            prop_assert_eq!(Question::parse(&question.emit()), Some(question));
            let reply = Reply { newest, heard, time, most };
            prop_assert_eq!(Reply::parse(&reply.emit()), Some(reply));
        }

        #[test]
        fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = Question::parse(&body);
            if let Some(reply) = Reply::parse(&body) {
                prop_assert!(reply.sequences().count() <= 64);
            }
        }
    }
}
