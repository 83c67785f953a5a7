//! The IPv4 header (RFC 791).

use super::checksum::{self, Checksum};
use super::{Malformed, u16_at};
use core::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// The most that a packet can have, header included.
pub const MAX_LEN: usize = 65_535;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// A packet whose lengths agree with its bytes. The checksum is not looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// Bytes after the total length (Ethernet padding) are cut off.
    ///
    /// # Errors
    /// `Truncated`, `Version` or `Length`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        if bytes[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let packet = Packet(bytes);
        let total = usize::from(u16_at(bytes, 2));
        if packet.header_len() < HEADER_LEN || total < packet.header_len() {
            return Err(Malformed::Length);
        }
        bytes.get(..total).map(Packet).ok_or(Malformed::Truncated)
    }

    /// Bytes of the header, options included.
    pub fn header_len(&self) -> usize {
        usize::from(self.0[0] & 0x0f) * 4
    }

    /// DSCP and ECN.
    pub fn traffic_class(&self) -> u8 {
        self.0[1]
    }

    pub fn total_len(&self) -> usize {
        self.0.len()
    }

    pub fn identification(&self) -> u16 {
        u16_at(self.0, 4)
    }

    pub fn dont_fragment(&self) -> bool {
        u16_at(self.0, 6) & DONT_FRAGMENT != 0
    }

    pub fn more_fragments(&self) -> bool {
        u16_at(self.0, 6) & MORE_FRAGMENTS != 0
    }

    /// Where the payload belongs in the whole datagram, in bytes.
    pub fn fragment_offset(&self) -> usize {
        usize::from(u16_at(self.0, 6) & 0x1fff) * 8
    }

    pub fn hop_limit(&self) -> u8 {
        self.0[8]
    }

    pub fn protocol(&self) -> u8 {
        self.0[9]
    }

    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15])
    }

    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }

    pub fn payload(&self) -> &'a [u8] {
        &self.0[self.header_len()..]
    }

    pub fn verify_checksum(&self) -> bool {
        Checksum::new().bytes(&self.0[..self.header_len()]).finish() == 0
    }
}

/// Sets DSCP and ECN of the packet that `bytes` begin with and mends the checksum.
///
/// # Panics
/// If there are fewer than twelve bytes.
pub fn set_traffic_class(bytes: &mut [u8], class: u8) {
    let old = u16_at(bytes, 0);
    bytes[1] = class;
    let sum = checksum::update(u16_at(bytes, 10), old, u16_at(bytes, 0));
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Sets total length and identification in a header, options included, and computes its checksum.
///
/// # Panics
/// If there are fewer than twelve bytes.
pub fn mend(header: &mut [u8], total_len: u16, identification: u16) {
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[4..6].copy_from_slice(&identification.to_be_bytes());
    header[10..12].fill(0);
    let sum = Checksum::new().bytes(header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A header without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    pub identification: u16,
    pub dont_fragment: bool,
    pub more_fragments: bool,
    /// In bytes: a multiple of 8 below 65,536.
    pub fragment_offset: usize,
    /// Bytes after the header: at most 65,515.
    pub payload_len: usize,
}

impl Repr {
    /// Options are skipped.
    ///
    /// # Errors
    /// `Checksum` if the header's does not agree.
    pub fn parse(packet: &Packet<'_>) -> Result<Repr, Malformed> {
        if !packet.verify_checksum() {
            return Err(Malformed::Checksum);
        }
        Ok(Repr {
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            more_fragments: packet.more_fragments(),
            fragment_offset: packet.fragment_offset(),
            payload_len: packet.payload().len(),
        })
    }

    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// # Panics
    /// If `buffer` is shorter than [`Repr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8]) {
        debug_assert!(self.payload_len <= MAX_LEN - HEADER_LEN && self.fragment_offset.is_multiple_of(8));
        let total = (HEADER_LEN + self.payload_len) as u16;
        let fragment = (self.fragment_offset / 8) as u16
            | if self.dont_fragment { DONT_FRAGMENT } else { 0 }
            | if self.more_fragments { MORE_FRAGMENTS } else { 0 };
        buffer[0] = 0x45;
        buffer[1] = self.traffic_class;
        buffer[2..4].copy_from_slice(&total.to_be_bytes());
        buffer[4..6].copy_from_slice(&self.identification.to_be_bytes());
        buffer[6..8].copy_from_slice(&fragment.to_be_bytes());
        buffer[8] = self.hop_limit;
        buffer[9] = self.protocol;
        buffer[10..12].fill(0);
        buffer[12..16].copy_from_slice(&self.source.octets());
        buffer[16..20].copy_from_slice(&self.destination.octets());
        let sum = Checksum::new().bytes(&buffer[..HEADER_LEN]).finish();
        buffer[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repr() -> Repr {
        Repr {
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(198, 51, 100, 2),
            protocol: 47,
            hop_limit: 64,
            traffic_class: 0,
            identification: 0x1234,
            dont_fragment: false,
            more_fragments: true,
            fragment_offset: 1480,
            payload_len: 8,
        }
    }

    #[test]
    fn byte_by_byte() {
        let mut bytes = [0; 28];
        repr().emit(&mut bytes);
        assert_eq!(
            bytes[..20],
            [0x45, 0, 0, 28, 0x12, 0x34, 0x20, 185, 64, 47, 0x5b, 0x8f, 192, 0, 2, 1, 198, 51, 100, 2]
        );
        assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(repr()));
        let (header, _) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
    }

    #[test]
    fn the_traffic_class_can_be_changed_in_place() {
        let mut bytes = [0; 28];
        repr().emit(&mut bytes);
        set_traffic_class(&mut bytes, 3);
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), Ok(Repr { traffic_class: 3, ..repr() }));
    }

    #[test]
    fn lies_are_refused() {
        let mut good = [0; 28];
        repr().emit(&mut good);
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            Packet::new_checked(&bytes).map(|packet| Repr::parse(&packet).map(|_| ())).and_then(|r| r)
        };
        assert_eq!(Packet::new_checked(&good[..19]).unwrap_err(), Malformed::Truncated);
        assert_eq!(with(0, 0x65), Err(Malformed::Version));
        assert_eq!(with(0, 0x44), Err(Malformed::Length));
        assert_eq!(with(3, 19), Err(Malformed::Length));
        assert_eq!(with(3, 29), Err(Malformed::Truncated));
        assert_eq!(with(8, 63), Err(Malformed::Checksum));
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_the_same_and_etherparse_reads_it(
            source: u32, destination: u32, protocol: u8, hop_limit: u8, traffic_class: u8, identification: u16,
            dont_fragment: bool, more_fragments: bool, offset in 0usize..8192, payload_len in 0usize..64
        ) {
            let repr = Repr {
                source: Ipv4Addr::from(source), destination: Ipv4Addr::from(destination), protocol, hop_limit,
                traffic_class, identification, dont_fragment, more_fragments, fragment_offset: offset * 8, payload_len,
            };
            let mut bytes = [0; HEADER_LEN + 64];
            repr.emit(&mut bytes);
            prop_assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), Ok(repr));
            let (oracle, _) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
            prop_assert_eq!(&oracle.to_bytes()[..], &bytes[..HEADER_LEN]);
            prop_assert_eq!(oracle.calc_header_checksum(), oracle.header_checksum);
            prop_assert_eq!(usize::from(oracle.fragment_offset.value()), offset);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(packet) = Packet::new_checked(&bytes) {
                let _ = (Repr::parse(&packet), packet.payload(), packet.fragment_offset());
            }
        }
    }
}
