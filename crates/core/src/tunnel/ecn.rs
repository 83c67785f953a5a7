//! Explicit congestion notification across a tunnel (RFC 6040, and RFC 9601 for what has a tunnel header or
//! an Ethernet header between its two IP headers). The DSCP is not carried out: the outside gives it no meaning.
//!
//! Tunnels of IP packets are between routers of ours, which all carry marks in: their packets can be marked
//! outside (normal mode). Tunnels of Ethernet frames end at routers by others as well, and nothing tells what
//! these do with a mark: our frames leave as what cannot be marked (compatibility mode, RFC 9601 4), so that a
//! full queue drops them. What comes is treated alike: a mark is never lost.

use super::DropReason;
use super::inside::Link;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ip;

const MASK: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

/// The ECN fields that the pieces of one datagram came with (RFC 3168 5.3, RFC 9601 5): a bit for each of the
/// four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks(u8);

impl Marks {
    pub fn of(class: u8) -> Marks {
        Marks::default().with(class)
    }

    #[must_use]
    pub fn with(self, class: u8) -> Marks {
        Marks(self.0 | 1 << (class & MASK))
    }

    /// The traffic class of the whole, of which the first piece has `class`.
    ///
    /// # Errors
    /// `MixedEcn` if some could be marked and others not.
    pub fn whole(self, class: u8) -> Result<u8, DropReason> {
        let has = |ecn: u8| self.0 & 1 << ecn != 0;
        let ecn = match (has(CE), has(ECT_1), has(ECT_0)) {
            (false, false, false) => return Ok(class),
            _ if has(NOT_ECT) => return Err(DropReason::MixedEcn),
            (true, ..) => CE,
            (_, true, _) => ECT_1,
            _ => ECT_0,
        };
        Ok(class & !MASK | ecn)
    }
}

/// The traffic class of the outer packet: the ECN field of an inner IP packet (RFC 6040 4.1), zero for
/// Ethernet. Zero if `inner` is not IP.
pub fn outer_class(link: Link, inner: &[u8]) -> u8 {
    match (ip::version(inner), inner) {
        _ if link == Link::Ethernet => 0,
        (Some(4), [_, class, ..]) => class & MASK,
        (Some(6), [_, second, ..]) => (second >> 4) & MASK,
        _ => 0,
    }
}

/// Carries what the outer traffic class says into the inner IP packet (RFC 6040 4.2, figure 4), behind an
/// Ethernet header and VLAN tags too. A frame with anything but IP has no place for a mark and stays as it is.
///
/// # Errors
/// `Congestion` if the mark cannot be carried in, so that the packet must be dropped; `Malformed` if
/// there is a mark to carry and what should be an IP packet is none.
pub fn carry_in(link: Link, outer_class: u8, inner: &mut [u8]) -> Result<(), DropReason> {
    let outer = outer_class & MASK;
    if outer != CE && outer != ECT_1 {
        return Ok(());
    }
    let at = match link {
        Link::Ip => 0,
        Link::Ethernet => match ethernet::Frame::new_checked(inner)?.behind_tags() {
            Ok((ethertype::IPV4 | ethertype::IPV6, at)) => at,
            _ => return Ok(()),
        },
    };
    let inner = inner.get_mut(at..).ok_or(DropReason::Malformed)?;
    let class = ip::Packet::new_checked(inner)?.traffic_class();
    let ecn = match (outer, class & MASK) {
        (CE, NOT_ECT) => return Err(DropReason::Congestion),
        (CE, _) => CE,
        // ECT(0) inside, ECT(1) outside: the outer one is carried in.
        (_, ECT_0) => ECT_1,
        _ => return Ok(()),
    };
    ip::set_traffic_class(inner, class & !MASK | ecn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ipv4, ipv6};

    fn v4(class: u8) -> [u8; 20] {
        let mut bytes = [0; 20];
        ipv4::Repr {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: 59,
            hop_limit: 64,
            traffic_class: class,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: 0,
        }
        .emit(&mut bytes);
        bytes
    }

    fn v6(class: u8) -> [u8; 40] {
        let mut bytes = [0; 40];
        let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        ipv6::Repr {
            source,
            destination,
            next_header: 59,
            hop_limit: 64,
            traffic_class: class,
            flow_label: 5,
            payload_len: 0,
        }
        .emit(&mut bytes);
        bytes
    }

    /// The rows of figure 4 of RFC 6040: inner, then outer 0, ECT(1), ECT(0), CE.
    #[test]
    fn figure_4() {
        let rows: [(u8, [Option<u8>; 4]); 4] = [
            (0b00, [Some(0b00), Some(0b00), Some(0b00), None]),
            (0b10, [Some(0b10), Some(0b01), Some(0b10), Some(0b11)]),
            (0b01, [Some(0b01), Some(0b01), Some(0b01), Some(0b11)]),
            (0b11, [Some(0b11), Some(0b11), Some(0b11), Some(0b11)]),
        ];
        for (inner, results) in rows {
            for (outer, expect) in [0b00, 0b01, 0b10, 0b11].into_iter().zip(results) {
                let dscp = 46 << 2;
                let (four, six) = (v4(dscp | inner).to_vec(), v6(dscp | inner).to_vec());
                let framed = |tags: &[u8], packet: &[u8]| [&[0; 12], tags, packet].concat();
                for (link, at, mut bytes) in [
                    (Link::Ip, 0, four.clone()),
                    (Link::Ip, 0, six.clone()),
                    (Link::Ethernet, 14, framed(&[8, 0], &four)),
                    (Link::Ethernet, 22, framed(&[0x88, 0xa8, 0, 9, 0x81, 0, 0, 9, 0x86, 0xdd], &six)),
                ] {
                    let sent = outer_class(link, &bytes);
                    assert_eq!(sent, if link == Link::Ip { inner } else { 0 });
                    let carried = carry_in(link, outer, &mut bytes);
                    let packet = ip::Packet::new_checked(&bytes[at..]).unwrap();
                    let result = carried.map(|()| packet.traffic_class());
                    let expect = expect.map(|ecn| dscp | ecn).ok_or(DropReason::Congestion);
                    assert_eq!(result, expect, "inner {inner:02b} outer {outer:02b}");
                    assert!(!matches!(packet, ip::Packet::V4(packet) if !packet.verify_checksum()));
                }
            }
        }
    }

    /// What was cut outside: RFC 3168 5.3 and RFC 9601 5.
    #[test]
    fn the_whole_is_marked_as_its_pieces_are() {
        let dscp = 46 << 2;
        for (classes, whole) in [
            (&[0, 0][..], Ok(0)),
            (&[2, 2], Ok(2)),
            (&[1, 1, 1], Ok(1)),
            (&[3, 3], Ok(3)),
            (&[2, 3, 2], Ok(3)),
            (&[3, 1], Ok(3)),
            (&[2, 1], Ok(1)),
            (&[0, 3], Err(DropReason::MixedEcn)),
            (&[2, 0, 2], Err(DropReason::MixedEcn)),
            (&[0, 1], Err(DropReason::MixedEcn)),
        ] {
            let marks = classes.iter().fold(Marks::default(), |marks, class| marks.with(dscp | class));
            assert_eq!(marks.whole(dscp | classes[0]), whole.map(|ecn| dscp | ecn), "{classes:?}");
        }
    }

    #[test]
    fn what_is_not_ip_is_not_touched() {
        assert_eq!(outer_class(Link::Ip, &[]), 0);
        assert_eq!(outer_class(Link::Ip, &[0xff; 20]), 0);
        assert_eq!(carry_in(Link::Ip, 0, &mut []), Ok(()));
        assert_eq!(carry_in(Link::Ip, 3, &mut [0x45]), Err(DropReason::Malformed));
        let mut arp = [[0; 12].as_slice(), &[8, 6], &[1; 28]].concat();
        let before = arp.clone();
        assert_eq!(carry_in(Link::Ethernet, 3, &mut arp), Ok(()));
        assert_eq!(arp, before);
        let mut empty = [[0; 12].as_slice(), &[8, 0]].concat();
        assert_eq!(carry_in(Link::Ethernet, 3, &mut empty), Err(DropReason::Malformed));
    }
}
