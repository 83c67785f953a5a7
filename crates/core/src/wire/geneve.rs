//! GENEVE (RFC 8926): a frame behind eight bytes and options, in UDP.

use super::{Malformed, u16_at, u32_at};
use crate::id::Vni;

/// The destination port (RFC 8926 3.3).
pub const PORT: u16 = 6081;
/// Bytes of the header without options.
pub const HEADER_LEN: usize = 8;

/// O: a message for the far end itself, not for what is behind it.
const CONTROL: u8 = 0x80;
/// C: some option must be understood.
const CRITICAL: u8 = 0x40;
/// Two bits of version, six of the length of the options in words of four bytes.
const VERSION_SHIFT: u32 = 6;
const OPTION_WORDS: u8 = 0x3f;

/// A header of version 0 whose options are all there.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// # Errors
    /// `Truncated` or `Version`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        if bytes[0] >> VERSION_SHIFT != 0 {
            return Err(Malformed::Version);
        }
        let packet = Packet(bytes);
        if bytes.len() < packet.header_len() { Err(Malformed::Truncated) } else { Ok(packet) }
    }

    /// Bytes of the header, options included.
    pub fn header_len(&self) -> usize {
        HEADER_LEN + 4 * usize::from(self.0[0] & OPTION_WORDS)
    }

    /// Its payload must not be forwarded (RFC 8926 3.4, O bit).
    pub fn is_control(&self) -> bool {
        self.0[1] & CONTROL != 0
    }

    /// Who does not parse options must drop it (RFC 8926 3.4, C bit); without it they may be skipped.
    pub fn has_critical_option(&self) -> bool {
        self.0[1] & CRITICAL != 0
    }

    /// What follows: an EtherType.
    pub fn protocol(&self) -> u16 {
        u16_at(self.0, 2)
    }

    pub fn vni(&self) -> Vni {
        Vni(u32_at(self.0, 4) >> 8)
    }

    pub fn payload(&self) -> &'a [u8] {
        &self.0[self.header_len()..]
    }
}

/// A header as we send it: without options, for what is behind the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    /// What follows: an EtherType.
    pub protocol: u16,
    /// Its low 24 bits are sent.
    pub vni: Vni,
}

impl Repr {
    pub fn parse(packet: &Packet<'_>) -> Repr {
        Repr { protocol: packet.protocol(), vni: packet.vni() }
    }

    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// # Panics
    /// If `buffer` is shorter than eight bytes.
    pub fn emit(&self, buffer: &mut [u8]) {
        buffer[..2].fill(0);
        buffer[2..4].copy_from_slice(&self.protocol.to_be_bytes());
        buffer[4..8].copy_from_slice(&(self.vni.0 << 8).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_byte_by_byte() {
        let repr = Repr { protocol: 0x6558, vni: Vni(0x01_0203) };
        let mut bytes = [0xff; 8];
        repr.emit(&mut bytes);
        assert_eq!(bytes, [0, 0, 0x65, 0x58, 1, 2, 3, 0]);
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), repr);
        assert_eq!((packet.is_control(), packet.has_critical_option()), (false, false));
        assert_eq!((packet.header_len(), packet.payload().len()), (8, 0));
    }

    #[test]
    fn options_are_skipped_and_reserved_bits_ignored() {
        // One option of eight bytes (class 0x0102, type 3), reserved bits set, two bytes of payload.
        let bytes = [2, 0x3f, 0x65, 0x58, 0, 0, 7, 0xff, 1, 2, 3, 0xe1, 9, 9, 9, 9, 0xaa, 0xbb];
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!((packet.header_len(), packet.payload()), (16, &[0xaa, 0xbb][..]));
        assert_eq!(packet.vni(), Vni(7));
        assert!(!packet.is_control() && !packet.has_critical_option());
        for (flags, control, critical) in [(0x80, true, false), (0x40, false, true), (0xc0, true, true)] {
            let bytes = [0, flags, 0x65, 0x58, 0, 0, 7, 0];
            let packet = Packet::new_checked(&bytes).unwrap();
            assert_eq!((packet.is_control(), packet.has_critical_option()), (control, critical));
        }
    }

    #[test]
    fn strangers_are_refused() {
        let bytes = [1, 0, 0x65, 0x58, 0, 0, 7, 0, 0, 0, 0, 0];
        assert!(Packet::new_checked(&bytes).is_ok());
        for cut in 0..bytes.len() {
            assert_eq!(Packet::new_checked(&bytes[..cut]).unwrap_err(), Malformed::Truncated);
        }
        for version in [0x40, 0x80, 0xc0] {
            let bytes = [version, 0, 0x65, 0x58, 0, 0, 7, 0];
            assert_eq!(Packet::new_checked(&bytes).unwrap_err(), Malformed::Version);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(packet) = Packet::new_checked(&bytes) {
                prop_assert_eq!(packet.header_len() + packet.payload().len(), bytes.len());
                let mut again = [0; HEADER_LEN];
                Repr::parse(&packet).emit(&mut again);
                prop_assert_eq!(&again[2..7], &bytes[2..7]);
            }
        }
    }
}
