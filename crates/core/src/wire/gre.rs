//! GRE (RFC 2784) with the key and sequence number of RFC 2890.

use super::checksum::Checksum;
use super::{Malformed, u16_at, u32_at};

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Bits 1, 4 and 5: routing and strict source route of RFC 1701. A receiver that does not implement
/// that RFC must discard (RFC 2784 2.3). Bits 6 to 12 are ignored.
const FORBIDDEN: u16 = 0x4c00;
const VERSION: u16 = 0x0007;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    /// What follows: an EtherType.
    pub protocol: u16,
    /// Whether a checksum over header and payload is carried. Emitting it is not offered: the outer
    /// networks have checksums enough.
    pub checksum: bool,
    pub key: Option<u32>,
    pub sequence: Option<u32>,
}

impl Repr {
    /// A header that carries nothing but what follows it and perhaps a key.
    pub fn new(protocol: u16, key: Option<u32>) -> Repr {
        Repr { protocol, checksum: false, key, sequence: None }
    }

    /// Reads the header at the start of `bytes`, which end where the packet ends.
    ///
    /// # Errors
    /// `Truncated`, `Version`, `Reserved`, or `Checksum` where one is carried and is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        if bytes.len() < 4 {
            return Err(Malformed::Truncated);
        }
        let flags = u16_at(bytes, 0);
        if flags & VERSION != 0 {
            return Err(Malformed::Version);
        }
        if flags & FORBIDDEN != 0 {
            return Err(Malformed::Reserved);
        }
        let mut at = 4;
        let mut word = |wanted: u16| {
            if flags & wanted == 0 {
                return Ok(None);
            }
            if bytes.len() < at + 4 {
                return Err(Malformed::Truncated);
            }
            at += 4;
            Ok(Some(u32_at(bytes, at - 4)))
        };
        let checksum = word(CHECKSUM)?.is_some();
        let key = word(KEY)?;
        let sequence = word(SEQUENCE)?;
        if checksum && Checksum::new().bytes(bytes).finish() != 0 {
            return Err(Malformed::Checksum);
        }
        Ok(Repr { protocol: u16_at(bytes, 2), checksum, key, sequence })
    }

    pub const fn buffer_len(&self) -> usize {
        4 + 4 * (self.checksum as usize + self.key.is_some() as usize + self.sequence.is_some() as usize)
    }

    /// Writes the header; a carried checksum is computed over the whole of `buffer`.
    ///
    /// # Panics
    /// If `buffer` is shorter than [`Repr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8]) {
        let mut flags = 0;
        let mut at = 4;
        if self.checksum {
            flags |= CHECKSUM;
            buffer[at..at + 4].fill(0);
            at += 4;
        }
        for (value, flag) in [(self.key, KEY), (self.sequence, SEQUENCE)] {
            if let Some(value) = value {
                flags |= flag;
                buffer[at..at + 4].copy_from_slice(&value.to_be_bytes());
                at += 4;
            }
        }
        buffer[..2].copy_from_slice(&flags.to_be_bytes());
        buffer[2..4].copy_from_slice(&self.protocol.to_be_bytes());
        if self.checksum {
            let sum = Checksum::new().bytes(buffer).finish();
            buffer[4..6].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(repr: Repr, header: &[u8]) {
        let mut bytes = [0xaa; 20];
        let len = repr.buffer_len();
        repr.emit(&mut bytes[..len]);
        assert_eq!(&bytes[..len], header);
        assert_eq!(Repr::parse(&bytes[..len]), Ok(repr));
        for cut in 0..len {
            assert_eq!(Repr::parse(&bytes[..cut]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn headers_byte_by_byte() {
        check(Repr::new(0x86dd, None), &[0, 0, 0x86, 0xdd]);
        check(Repr::new(0x0800, Some(0x0102_0304)), &[0x20, 0, 0x08, 0, 1, 2, 3, 4]);
        check(
            Repr { sequence: Some(9), ..Repr::new(0x6558, Some(7)) },
            &[0x30, 0, 0x65, 0x58, 0, 0, 0, 7, 0, 0, 0, 9],
        );
        check(Repr { checksum: true, ..Repr::new(0x0800, None) }, &[0x80, 0, 0x08, 0, 0x77, 0xff, 0, 0]);
    }

    #[test]
    fn strangers_are_refused() {
        assert_eq!(Repr::parse(&[0x40, 0, 8, 0]), Err(Malformed::Reserved));
        assert_eq!(Repr::parse(&[0x08, 0, 8, 0]), Err(Malformed::Reserved));
        assert_eq!(Repr::parse(&[0, 1, 8, 0]), Err(Malformed::Version));
        assert_eq!(Repr::parse(&[0x80, 0, 8, 0, 1, 1, 0, 0]), Err(Malformed::Checksum));
        // Bits 6 to 12 are ignored on receipt (RFC 2784 2.3).
        assert!(Repr::parse(&[0x03, 0xf8, 8, 0]).is_ok());
    }
}
