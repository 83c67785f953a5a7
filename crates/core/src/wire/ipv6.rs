//! The IPv6 header, the walk over its extension headers, and the fragment header (RFC 8200).

use super::ip::protocol;
use super::{Malformed, u16_at, u32_at};
use core::net::Ipv6Addr;

pub const HEADER_LEN: usize = 40;
pub const FRAGMENT_HEADER_LEN: usize = 8;
/// The most that may follow the header.
pub const MAX_PAYLOAD_LEN: usize = 65_535;
/// A path smaller than this is not IPv6's to serve (RFC 8200 section 5).
pub const MIN_PATH_MTU: u16 = 1280;
/// Real packets have one or two extension headers; a long chain is an attack on whoever walks it.
const MAX_EXTENSION_HEADERS: usize = 8;

/// A packet whose payload length agrees with its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// Bytes after the payload length are cut off.
    ///
    /// # Errors
    /// `Truncated` or `Version`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        if bytes[0] >> 4 != 6 {
            return Err(Malformed::Version);
        }
        let total = HEADER_LEN + usize::from(u16_at(bytes, 4));
        bytes.get(..total).map(Packet).ok_or(Malformed::Truncated)
    }

    pub fn traffic_class(&self) -> u8 {
        (u16_at(self.0, 0) >> 4) as u8
    }

    /// Twenty bits.
    pub fn flow_label(&self) -> u32 {
        u32_at(self.0, 0) & 0x000f_ffff
    }

    pub fn total_len(&self) -> usize {
        self.0.len()
    }

    pub fn next_header(&self) -> u8 {
        self.0[6]
    }

    pub fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    pub fn source(&self) -> Ipv6Addr {
        address_at(self.0, 8)
    }

    pub fn destination(&self) -> Ipv6Addr {
        address_at(self.0, 24)
    }

    /// All that follows the header, extension headers included.
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_LEN..]
    }

    /// See [`walk`].
    ///
    /// # Errors
    /// As [`walk`].
    pub fn walk(&self) -> Result<Walked, Malformed> {
        walk(self.next_header(), self.payload())
    }
}

/// Sixteen bytes at `at`. The caller has checked the length.
fn address_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    Ipv6Addr::from(octets)
}

/// Sets DSCP and ECN of the packet that `bytes` begin with.
///
/// # Panics
/// If there are fewer than two bytes.
pub fn set_traffic_class(bytes: &mut [u8], class: u8) {
    bytes[0] = (bytes[0] & 0xf0) | (class >> 4);
    bytes[1] = (bytes[1] & 0x0f) | (class << 4);
}

/// What stands at the end of a chain of extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// The protocol of what follows.
    pub protocol: u8,
    /// Where it begins, in bytes after the IPv6 header.
    pub offset: usize,
    /// The fragment header, if the chain has one. The walk ends there for all but a first fragment.
    pub fragment: Option<FragmentRepr>,
    /// Where the bytes that the fragment header speaks of begin; as `offset` without one.
    pub fragment_offset: usize,
    /// The packet is to be discarded by whoever it is sent to, if it has no use for the headers: an option
    /// says so (RFC 8200 4.2), or a routing header that is not yet at its end (4.4; RFC 5095).
    pub must_discard: bool,
}

/// Walks the chain that begins with `next_header` at the start of `payload`. The kernel's own ip6gre
/// puts destination options in front of GRE (the tunnel encapsulation limit of RFC 2473). An authentication
/// header ends the walk: what is behind it is for who has its key.
///
/// # Errors
/// `Truncated` or `TooManyHeaders`.
pub fn walk(next_header: u8, payload: &[u8]) -> Result<Walked, Malformed> {
    let mut walked =
        Walked { protocol: next_header, offset: 0, fragment: None, fragment_offset: 0, must_discard: false };
    for _ in 0..MAX_EXTENSION_HEADERS {
        let rest = &payload[walked.offset..];
        let len = match walked.protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                let &[_, len, ..] = rest else { return Err(Malformed::Truncated) };
                (usize::from(len) + 1) * 8
            }
            protocol::FRAGMENT if walked.fragment.is_some() => return Err(Malformed::TooManyHeaders),
            protocol::FRAGMENT => {
                let fragment = FragmentRepr::parse(rest)?;
                walked.fragment = Some(fragment);
                walked.protocol = fragment.next_header;
                walked.offset += FRAGMENT_HEADER_LEN;
                walked.fragment_offset = walked.offset;
                if fragment.offset != 0 {
                    return Ok(walked);
                }
                continue;
            }
            _ => {
                if walked.fragment.is_none() {
                    walked.fragment_offset = walked.offset;
                }
                return Ok(walked);
            }
        };
        let header = rest.get(..len).ok_or(Malformed::Truncated)?;
        walked.must_discard |= match walked.protocol {
            // Segments left.
            protocol::ROUTING => header[3] != 0,
            _ => has_vital_option(&header[2..]),
        };
        walked.protocol = header[0];
        walked.offset += len;
    }
    Err(Malformed::TooManyHeaders)
}

/// Whether an option is among `options` whose type begins with anything but two zero bits: who does not know
/// it must discard the packet. We know none but padding (RFC 8200 4.2).
fn has_vital_option(mut options: &[u8]) -> bool {
    const PAD1: u8 = 0;
    loop {
        options = match options {
            [] | [_] => return options.first().is_some_and(|kind| *kind != PAD1),
            [PAD1, rest @ ..] => rest,
            [kind, ..] if kind >> 6 != 0 => return true,
            [_, len, rest @ ..] => match rest.get(usize::from(*len)..) {
                Some(rest) => rest,
                // It ends behind its header.
                None => return true,
            },
        };
    }
}

/// A header without extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub next_header: u8,
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Twenty bits.
    pub flow_label: u32,
    /// Bytes after the header, extension headers included: at most 65,535.
    pub payload_len: usize,
}

impl Repr {
    pub fn parse(packet: &Packet<'_>) -> Repr {
        Repr {
            source: packet.source(),
            destination: packet.destination(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
            payload_len: packet.payload().len(),
        }
    }

    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// # Panics
    /// If `buffer` is shorter than [`Repr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8]) {
        debug_assert!(self.payload_len <= MAX_PAYLOAD_LEN);
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0x000f_ffff);
        buffer[..4].copy_from_slice(&first.to_be_bytes());
        buffer[4..6].copy_from_slice(&(self.payload_len as u16).to_be_bytes());
        buffer[6] = self.next_header;
        buffer[7] = self.hop_limit;
        buffer[8..24].copy_from_slice(&self.source.octets());
        buffer[24..40].copy_from_slice(&self.destination.octets());
    }
}

/// The fragment header (RFC 8200 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentRepr {
    pub next_header: u8,
    /// In bytes: a multiple of 8 below 65,536.
    pub offset: usize,
    pub more: bool,
    pub identification: u32,
}

impl FragmentRepr {
    /// # Errors
    /// `Truncated` below eight bytes. Reserved bits are ignored (RFC 8200 4.5).
    pub fn parse(bytes: &[u8]) -> Result<FragmentRepr, Malformed> {
        if bytes.len() < FRAGMENT_HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let offset = u16_at(bytes, 2);
        Ok(FragmentRepr {
            next_header: bytes[0],
            offset: usize::from(offset & 0xfff8),
            more: offset & 1 != 0,
            identification: u32_at(bytes, 4),
        })
    }

    pub const fn buffer_len(&self) -> usize {
        FRAGMENT_HEADER_LEN
    }

    /// # Panics
    /// If `buffer` is shorter than [`FragmentRepr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8]) {
        debug_assert!(self.offset < 65_536 && self.offset.is_multiple_of(8));
        buffer[0] = self.next_header;
        buffer[1] = 0;
        buffer[2..4].copy_from_slice(&(self.offset as u16 | u16::from(self.more)).to_be_bytes());
        buffer[4..8].copy_from_slice(&self.identification.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn byte_by_byte() {
        let repr = Repr {
            source: "2001:db8:101::1".parse().unwrap(),
            destination: "2001:db8:102::1".parse().unwrap(),
            next_header: 44,
            hop_limit: 64,
            traffic_class: 2,
            flow_label: 0x12345,
            payload_len: 8,
        };
        let mut bytes = [0; 48];
        repr.emit(&mut bytes);
        FragmentRepr { next_header: 47, offset: 1448, more: true, identification: 0xdead_beef }
            .emit(&mut bytes[40..]);
        assert_eq!(bytes[..8], [0x60, 0x21, 0x23, 0x45, 0, 8, 44, 64]);
        assert_eq!(bytes[8..16], [0x20, 0x01, 0x0d, 0xb8, 0x01, 0x01, 0, 0]);
        assert_eq!(bytes[40..], [47, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef]);
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), repr);
        let walked = packet.walk().unwrap();
        assert_eq!((walked.protocol, walked.offset), (47, 8));
        assert_eq!(walked.fragment.unwrap().offset, 1448);
    }

    #[test]
    fn destination_options_before_gre_as_the_kernel_sends_them() {
        // Tunnel encapsulation limit 4, PadN: what ip6gre emits.
        let payload = [47, 0, 4, 1, 4, 1, 1, 0, 0, 0, 0x86, 0xdd];
        assert_eq!(
            walk(60, &payload),
            Ok(Walked { protocol: 47, offset: 8, fragment: None, fragment_offset: 8, must_discard: false })
        );
    }

    #[test]
    fn what_must_not_be_skipped_is_told() {
        let must_discard =
            |next, header: [u8; 8]| walk(next, &[&header[..], &[0; 8]].concat()).unwrap().must_discard;
        for next in [0, 60] {
            assert!(!must_discard(next, [47, 0, 1, 4, 0, 0, 0, 0]), "PadN");
            assert!(!must_discard(next, [47, 0, 0, 0, 0, 0, 0, 0]), "Pad1");
            assert!(!must_discard(next, [47, 0, 0x1e, 1, 9, 0, 0, 0]), "to be skipped");
            for kind in [0x5e, 0x9e, 0xde, 0xc2] {
                assert!(must_discard(next, [47, 0, 0, kind, 1, 9, 0, 0]));
            }
            assert!(must_discard(next, [47, 0, 1, 5, 0, 0, 0, 0]), "longer than its header");
            assert!(must_discard(next, [47, 0, 1, 3, 0, 0, 0, 1]), "half an option");
        }
        assert!(!must_discard(43, [47, 0, 0, 0, 0, 0, 0, 0]));
        assert!(must_discard(43, [47, 0, 0, 1, 0, 0, 0, 0]), "it has to go on");
    }

    #[test]
    fn behind_an_authentication_header_nobody_looks() {
        let walked = walk(60, &[51, 0, 1, 4, 0, 0, 0, 0, 6, 4, 0, 0]).unwrap();
        assert_eq!((walked.protocol, walked.offset), (51, 8));
    }

    #[test]
    fn chains_without_end_are_refused() {
        let payload: Vec<u8> = [60u8, 0, 1, 4, 0, 0, 0, 0].repeat(40);
        assert_eq!(walk(60, &payload), Err(Malformed::TooManyHeaders));
        assert_eq!(walk(60, &payload[..7]), Err(Malformed::Truncated));
        assert_eq!(walk(60, &[47, 200, 0, 0, 0, 0, 0, 0]), Err(Malformed::Truncated));
        assert_eq!(walk(44, &[47, 0, 0]), Err(Malformed::Truncated));
        // A fragment of a fragment.
        assert_eq!(
            walk(44, &[44, 0, 0, 0, 0, 0, 0, 1, 47, 0, 0, 0, 0, 0, 0, 1]),
            Err(Malformed::TooManyHeaders)
        );
    }

    #[test]
    fn the_traffic_class_can_be_changed_in_place() {
        let mut bytes = [0x6f, 0xff, 0, 0];
        set_traffic_class(&mut bytes, 0x03);
        assert_eq!(bytes, [0x60, 0x3f, 0, 0]);
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_the_same_and_etherparse_reads_it(
            source: u128, destination: u128, next_header: u8, hop_limit: u8, traffic_class: u8,
            flow_label in 0u32..1 << 20, payload_len in 0usize..64
        ) {
            let repr = Repr {
                source: Ipv6Addr::from(source), destination: Ipv6Addr::from(destination), next_header, hop_limit,
                traffic_class, flow_label, payload_len,
            };
            let mut bytes = [0; HEADER_LEN + 64];
            repr.emit(&mut bytes);
            prop_assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), repr);
            let (oracle, _) = etherparse::Ipv6Header::from_slice(&bytes).unwrap();
            prop_assert_eq!(&oracle.to_bytes()[..], &bytes[..HEADER_LEN]);
        }

        #[test]
        fn fragment_headers_are_etherparses(next_header: u8, offset in 0u16..8192, more: bool, identification: u32) {
            let repr = FragmentRepr { next_header, offset: usize::from(offset) * 8, more, identification };
            let mut bytes = [0; FRAGMENT_HEADER_LEN];
            repr.emit(&mut bytes);
            prop_assert_eq!(FragmentRepr::parse(&bytes), Ok(repr));
            let (oracle, _) = etherparse::Ipv6FragmentHeader::from_slice(&bytes).unwrap();
            prop_assert_eq!(&oracle.to_bytes()[..], &bytes[..]);
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 40..200), next: u8) {
            let _ = walk(next, &bytes);
            let len = (bytes.len() - 40) as u16;
            bytes[0] = 0x60;
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            bytes[6] = [0, 43, 44, 51, 60, next][usize::from(next % 6)];
            let walked = Packet::new_checked(&bytes).unwrap().walk();
            if let Ok(walked) = walked {
                prop_assert!(walked.offset <= usize::from(len));
            }
        }
    }
}
