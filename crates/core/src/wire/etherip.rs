//! EtherIP (RFC 3378): a whole Ethernet frame behind two bytes, IP protocol 97.

use super::Malformed;

pub const HEADER_LEN: usize = 2;
/// The only version there is (RFC 3378 section 3).
pub const VERSION: u8 = 3;

/// The first byte as old BSDs sent it (FreeBSD 6.1 to 7.2): the version in its lower half.
pub const REVERSED: u8 = VERSION;

/// What the header says: nothing but its version, which is always 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repr {
    /// The version stands in the wrong half of the byte: to be taken only from a peer that is known
    /// for it. We never send it so.
    pub reversed: bool,
}

impl Repr {
    /// Version 3 with twelve reserved bits that are zero (RFC 3378 section 3).
    ///
    /// # Errors
    /// `Truncated`, `Version` or `Reserved`.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        match *bytes {
            [] | [_] => Err(Malformed::Truncated),
            [REVERSED, 0, ..] => Ok(Repr { reversed: true }),
            [first, ..] if first >> 4 != VERSION => Err(Malformed::Version),
            [first, second, ..] if first & 0x0f != 0 || second != 0 => Err(Malformed::Reserved),
            _ => Ok(Repr { reversed: false }),
        }
    }

    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// # Panics
    /// If `buffer` is shorter than two bytes.
    pub fn emit(&self, buffer: &mut [u8]) {
        buffer[0] = VERSION << 4;
        buffer[1] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_0x30_0x00() {
        let mut bytes = [0xff; 2];
        Repr::default().emit(&mut bytes);
        assert_eq!(bytes, [0x30, 0x00]);
        assert_eq!(Repr::parse(&bytes), Ok(Repr { reversed: false }));
    }

    #[test]
    fn old_bsds_are_told_apart() {
        assert_eq!(Repr::parse(&[0x03, 0x00]), Ok(Repr { reversed: true }));
    }

    #[test]
    fn others_are_refused() {
        for (bytes, error) in [
            (&[0x30][..], Malformed::Truncated),
            (&[0x03, 0x01], Malformed::Version),
            (&[0x13, 0x00], Malformed::Version),
            (&[0x20, 0x00], Malformed::Version),
            (&[0x31, 0x00], Malformed::Reserved),
            (&[0x30, 0x01], Malformed::Reserved),
        ] {
            assert_eq!(Repr::parse(bytes), Err(error));
        }
    }
}
