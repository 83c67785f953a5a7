//! Ethernet II frames, without the frame check sequence.

use super::{Malformed, u16_at};
use crate::id::Mac;

/// Bytes of a header without a VLAN tag.
pub const HEADER_LEN: usize = 14;
/// Bytes of one VLAN tag.
pub const TAG_LEN: usize = 4;
/// More tags than this are nobody's network.
const MAX_TAGS: usize = 4;

/// EtherType numbers (IEEE 802), which GRE uses as well.
pub mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const IPV6: u16 = 0x86dd;
    /// A VLAN tag of a customer (IEEE 802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// A VLAN tag of a provider (IEEE 802.1ad), and what was used before it had a number.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;
    /// Transparent Ethernet bridging: a whole frame follows.
    pub const BRIDGING: u16 = 0x6558;
    /// Local Experimental EtherType 1 (IEEE 802 9.2.4): our loop probes.
    pub const LOCAL_EXPERIMENTAL: u16 = 0x88b5;
}

/// A frame that is at least as long as its header.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    /// # Errors
    /// `Truncated` below 14 bytes. Shorter payloads than Ethernet's minimum are fine: tunnels do not pad.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Frame<'a>, Malformed> {
        if bytes.len() < HEADER_LEN { Err(Malformed::Truncated) } else { Ok(Frame(bytes)) }
    }

    pub fn destination(&self) -> Mac {
        Mac([self.0[0], self.0[1], self.0[2], self.0[3], self.0[4], self.0[5]])
    }

    pub fn source(&self) -> Mac {
        Mac([self.0[6], self.0[7], self.0[8], self.0[9], self.0[10], self.0[11]])
    }

    pub fn ethertype(&self) -> u16 {
        u16_at(self.0, 12)
    }

    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_LEN..]
    }

    /// The EtherType behind all VLAN tags, and where in the frame its payload begins.
    ///
    /// # Errors
    /// `Truncated` if the frame ends within a tag, `TooManyHeaders` above four.
    pub fn behind_tags(&self) -> Result<(u16, usize), Malformed> {
        let mut at = HEADER_LEN;
        for _ in 0..=MAX_TAGS {
            let ethertype = u16_at(self.0, at - 2);
            match ethertype {
                ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN => at += TAG_LEN,
                _ => return Ok((ethertype, at)),
            }
            if self.0.len() < at {
                return Err(Malformed::Truncated);
            }
        }
        Err(Malformed::TooManyHeaders)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    pub destination: Mac,
    pub source: Mac,
    pub ethertype: u16,
}

impl Repr {
    pub fn parse(frame: &Frame<'_>) -> Repr {
        Repr { destination: frame.destination(), source: frame.source(), ethertype: frame.ethertype() }
    }

    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// # Panics
    /// If `buffer` is shorter than [`Repr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8]) {
        buffer[..6].copy_from_slice(&self.destination.0);
        buffer[6..12].copy_from_slice(&self.source.0);
        buffer[12..14].copy_from_slice(&self.ethertype.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let repr = Repr {
            destination: Mac([2, 0, 0, 0, 0, 1]),
            source: Mac([2, 0, 0, 0, 0, 2]),
            ethertype: ethertype::IPV6,
        };
        let mut bytes = [0; 16];
        repr.emit(&mut bytes);
        assert_eq!(bytes, [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0, 0]);
        let frame = Frame::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&frame), repr);
        assert_eq!(frame.payload(), [0, 0]);
        assert_eq!(Frame::new_checked(&bytes[..13]).unwrap_err(), Malformed::Truncated);
    }

    #[test]
    fn tags_are_looked_behind() {
        let mut bytes = [0; 30];
        let mut check = |types: &[u16], len: usize| {
            for (at, value) in types.iter().enumerate() {
                bytes[12 + 4 * at..14 + 4 * at].copy_from_slice(&value.to_be_bytes());
            }
            Frame::new_checked(&bytes[..len]).unwrap().behind_tags()
        };
        assert_eq!(check(&[0x0800], 14), Ok((0x0800, 14)));
        assert_eq!(check(&[0x8100, 0x86dd], 18), Ok((0x86dd, 18)));
        assert_eq!(check(&[0x88a8, 0x8100, 0x0800], 22), Ok((0x0800, 22)));
        assert_eq!(check(&[0x8100, 0x0800], 17), Err(Malformed::Truncated));
        assert_eq!(check(&[0x8100; 5], 30), Err(Malformed::Truncated));
        assert_eq!(Frame::new_checked(&[0x81; 64]).unwrap().behind_tags(), Ok((0x8181, 14)));
    }
}
