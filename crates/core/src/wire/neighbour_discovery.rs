//! Neighbour solicitations and advertisements (RFC 4861 4.3, 4.4): ICMPv6 messages with their options.

use super::checksum::Checksum;
use super::ip::protocol;
use super::{Malformed, ipv6};
use crate::id::Mac;
use core::net::Ipv6Addr;

/// RFC 4861 7.1: nothing that a router forwarded.
pub const HOP_LIMIT: u8 = 255;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Type, code, checksum, flags, target.
const FIXED_LEN: usize = 24;
/// A link-layer address of Ethernet with its header.
const OPTION_LEN: usize = 8;

/// RFC 4291 2.7.1: the group that the holder of an address listens to.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solicitation {
    pub target: Ipv6Addr,
    /// Where the answer goes; none from the unspecified address.
    pub source_mac: Option<Mac>,
}

impl Solicitation {
    pub const fn buffer_len(&self) -> usize {
        FIXED_LEN + if self.source_mac.is_some() { OPTION_LEN } else { 0 }
    }

    /// # Panics
    /// If `buffer` is shorter than [`Solicitation::buffer_len`].
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr, buffer: &mut [u8]) {
        let buffer = &mut buffer[..self.buffer_len()];
        buffer.fill(0);
        buffer[0] = SOLICITATION;
        buffer[8..24].copy_from_slice(&self.target.octets());
        if let Some(mac) = self.source_mac {
            buffer[24..26].copy_from_slice(&[SOURCE_LINK_LAYER, 1]);
            buffer[26..32].copy_from_slice(&mac.0);
        }
        let sum = Checksum::pseudo_v6(source, destination, protocol::ICMPV6, buffer.len() as u32);
        let sum = sum.bytes(buffer).finish();
        buffer[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Who says that an address is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    pub target: Ipv6Addr,
    pub target_mac: Option<Mac>,
}

impl Advertisement {
    /// `None`: a packet of another kind.
    ///
    /// # Errors
    /// What RFC 4861 7.1.2 has a receiver discard: `Reserved` (hop limit or code), `Checksum`,
    /// `Truncated`, `Length` (an option of no length).
    pub fn parse(packet: &ipv6::Packet<'_>) -> Result<Option<Advertisement>, Malformed> {
        let bytes = packet.payload();
        if packet.next_header() != protocol::ICMPV6 || bytes.first() != Some(&ADVERTISEMENT) {
            return Ok(None);
        }
        if bytes.len() < FIXED_LEN {
            return Err(Malformed::Truncated);
        }
        if packet.hop_limit() != HOP_LIMIT || bytes[1] != 0 {
            return Err(Malformed::Reserved);
        }
        let pseudo =
            Checksum::pseudo_v6(packet.source(), packet.destination(), protocol::ICMPV6, bytes.len() as u32);
        if pseudo.bytes(bytes).finish() != 0 {
            return Err(Malformed::Checksum);
        }
        let mut target = [0; 16];
        target.copy_from_slice(&bytes[8..24]);
        let mut target_mac = None;
        let mut options = &bytes[FIXED_LEN..];
        while let &[kind, units, ..] = options {
            let len = usize::from(units) * 8;
            if len == 0 {
                return Err(Malformed::Length);
            }
            let option = options.get(..len).ok_or(Malformed::Truncated)?;
            if let (TARGET_LINK_LAYER, &[_, _, a, b, c, d, e, f]) = (kind, option) {
                target_mac = Some(Mac([a, b, c, d, e, f]));
            }
            options = &options[len..];
        }
        Ok(Some(Advertisement { target: target.into(), target_mac }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn a_solicitation_byte_by_byte() {
        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let target: Ipv6Addr = "2402:3160:e00::abcd:1234".parse().unwrap();
        let group = solicited_node(target);
        assert_eq!(group, "ff02::1:ffcd:1234".parse::<Ipv6Addr>().unwrap());
        let message = Solicitation { target, source_mac: Some(Mac([2, 0, 0, 0, 0, 1])) };
        let mut bytes = [0xaa; 32];
        message.emit(source, group, &mut bytes);
        assert_eq!(bytes[..2], [135, 0]);
        assert_eq!(bytes[4..8], [0; 4]);
        assert_eq!(bytes[8..24], target.octets());
        assert_eq!(bytes[24..], [1, 1, 2, 0, 0, 0, 0, 1]);
        // An oracle of another house.
        let header = etherparse::Icmpv6Header::from_slice(&bytes).unwrap().0;
        let want = header.icmp_type.calc_checksum(source.octets(), group.octets(), &bytes[8..]).unwrap();
        assert_eq!(bytes[2..4], want.to_be_bytes());
    }

    fn packet(hop_limit: u8, body: &[u8]) -> alloc::vec::Vec<u8> {
        let (source, destination) = ("fe80::2".parse().unwrap(), "fe80::1".parse().unwrap());
        let header = ipv6::Repr {
            source,
            destination,
            next_header: protocol::ICMPV6,
            hop_limit,
            traffic_class: 0,
            flow_label: 0,
            payload_len: body.len(),
        };
        let mut bytes = vec![0; 40 + body.len()];
        header.emit(&mut bytes);
        bytes[40..].copy_from_slice(body);
        let sum = Checksum::pseudo_v6(source, destination, protocol::ICMPV6, body.len() as u32);
        let sum = sum.bytes(&bytes[40..]).finish();
        if body.len() >= 4 {
            bytes[42..44].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn an_advertisement_says_whose_address_it_is() {
        let target: Ipv6Addr = "2402:3160:e00::2".parse().unwrap();
        let mut body = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
        body.extend_from_slice(&target.octets());
        body.extend_from_slice(&[2, 1, 2, 0, 0, 0, 0, 9]);
        let parse = |bytes: &[u8]| Advertisement::parse(&ipv6::Packet::new_checked(bytes).unwrap());
        let good = packet(255, &body);
        let want = Advertisement { target, target_mac: Some(Mac([2, 0, 0, 0, 0, 9])) };
        assert_eq!(parse(&good), Ok(Some(want)));
        assert_eq!(parse(&packet(64, &body)), Err(Malformed::Reserved));
        let mut bad = good;
        bad[60] ^= 1;
        assert_eq!(parse(&bad), Err(Malformed::Checksum));
        body[25] = 0;
        assert_eq!(parse(&packet(255, &body)), Err(Malformed::Length));
        body[25] = 2;
        assert_eq!(parse(&packet(255, &body)), Err(Malformed::Truncated));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut body = body;
            if let Some(first) = body.first_mut() { *first = 136; }
            if let Some(code) = body.get_mut(1) { *code = 0; }
            let bytes = packet(255, &body);
            let _ = Advertisement::parse(&ipv6::Packet::new_checked(&bytes).unwrap());
        }
    }
}
