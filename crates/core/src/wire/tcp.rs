//! The TCP header (RFC 9293 3.1), to be looked at and mended; we never speak TCP ourselves here.

use super::{Malformed, u16_at, u32_at};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Where in the header the checksum stands.
pub const CHECKSUM_AT: usize = 16;

/// Control bits.
pub mod flags {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
    pub const URG: u8 = 0x20;
    pub const ECE: u8 = 0x40;
    pub const CWR: u8 = 0x80;
}

/// Option kinds (RFC 9293 3.2).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
/// Kind, length and value of the MSS option.
const MSS_LEN: u8 = 4;

/// A segment whose header is whole.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// # Errors
    /// `Truncated`, or `Length` for a data offset below the header's own length.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let packet = Packet(bytes);
        if packet.header_len() < HEADER_LEN {
            return Err(Malformed::Length);
        }
        if bytes.len() < packet.header_len() { Err(Malformed::Truncated) } else { Ok(packet) }
    }

    pub fn sequence(&self) -> u32 {
        u32_at(self.0, 4)
    }

    /// Bytes of the header, options included.
    pub fn header_len(&self) -> usize {
        usize::from(self.0[12] >> 4) * 4
    }

    /// See [`flags`].
    pub fn flags(&self) -> u8 {
        self.0[13]
    }

    pub fn checksum(&self) -> u16 {
        u16_at(self.0, CHECKSUM_AT)
    }

    pub fn payload(&self) -> &'a [u8] {
        &self.0[self.header_len()..]
    }

    /// The maximum segment size that the option says, and where in the header the value stands. The
    /// options are walked as RFC 9293 3.1 says; one whose length is a lie ends the walk.
    pub fn mss(&self) -> Option<(usize, u16)> {
        let mut at = HEADER_LEN;
        let options = &self.0[..self.header_len()];
        loop {
            match *options.get(at..)? {
                [] | [END, ..] => return None,
                [NO_OPERATION, ..] => at += 1,
                [MSS, MSS_LEN, high, low, ..] => return Some((at + 2, u16::from_be_bytes([high, low]))),
                [_, len, ..] if len >= 2 => at += usize::from(len),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn header(options: &[u8]) -> Vec<u8> {
        let mut bytes = [0; HEADER_LEN].to_vec();
        bytes.extend_from_slice(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = ((bytes.len() / 4) as u8) << 4;
        bytes
    }

    #[test]
    fn the_mss_stands_anywhere_among_the_options() {
        for (options, expect) in [
            (&[2, 4, 5, 180][..], Some((22, 1460))),
            (&[1, 2, 4, 5, 180], Some((23, 1460))),
            (&[3, 3, 7, 1, 4, 2, 2, 4, 5, 180], Some((28, 1460))),
            (&[8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180], Some((32, 1460))),
            (&[], None),
            (&[0, 2, 4, 5, 180], None),
            (&[1, 1, 1, 1], None),
            (&[2, 3, 5, 180], None),
            (&[4, 0, 2, 4, 5, 180], None),
            (&[4, 1, 2, 4, 5, 180], None),
            (&[8, 200, 2, 4, 5, 180], None),
            (&[1, 1, 1, 2], None),
        ] {
            let bytes = header(options);
            assert_eq!(Packet::new_checked(&bytes).unwrap().mss(), expect, "{options:?}");
        }
    }

    #[test]
    fn lies_are_refused() {
        assert_eq!(Packet::new_checked(&[0x50; 19]).unwrap_err(), Malformed::Truncated);
        let mut bytes = header(&[]);
        bytes[12] = 0x40;
        assert_eq!(Packet::new_checked(&bytes).unwrap_err(), Malformed::Length);
        bytes[12] = 0x60;
        assert_eq!(Packet::new_checked(&bytes).unwrap_err(), Malformed::Truncated);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(packet) = Packet::new_checked(&bytes)
                && let Some((at, value)) = packet.mss()
            {
                prop_assert_eq!(u16_at(&bytes, at), value);
                prop_assert!(at + 2 <= packet.header_len());
            }
        }
    }
}
