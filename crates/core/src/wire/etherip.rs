//! EtherIP (RFC 3378): a whole Ethernet frame behind two bytes, IP protocol 97.

use super::Malformed;

pub const HEADER_LEN: usize = 2;
/// The only version there is (RFC 3378 section 3).
pub const VERSION: u8 = 3;

/// What the header says: nothing but its version, which is always 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repr;

impl Repr {
    /// Version 3 with twelve reserved bits that are zero. The old BSDs' nibble order (0x03 first,
    /// FreeBSD 6.1 to 7.2) is another version to us, and refused.
    ///
    /// # Errors
    /// `Truncated`, `Version` or `Reserved`.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let &[first, second, ..] = bytes else { return Err(Malformed::Truncated) };
        if first >> 4 != VERSION {
            return Err(Malformed::Version);
        }
        if first & 0x0f != 0 || second != 0 {
            return Err(Malformed::Reserved);
        }
        Ok(Repr)
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
        Repr.emit(&mut bytes);
        assert_eq!(bytes, [0x30, 0x00]);
        assert_eq!(Repr::parse(&bytes), Ok(Repr));
    }

    #[test]
    fn others_are_refused() {
        for (bytes, error) in [
            (&[0x30][..], Malformed::Truncated),
            (&[0x03, 0x00], Malformed::Version),
            (&[0x20, 0x00], Malformed::Version),
            (&[0x31, 0x00], Malformed::Reserved),
            (&[0x30, 0x01], Malformed::Reserved),
        ] {
            assert_eq!(Repr::parse(bytes), Err(error));
        }
    }
}
