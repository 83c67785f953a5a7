//! The outer packets: an IP header in front of each piece of the payload.

use super::{DropReason, HOP_LIMIT};
use crate::wire::ip::protocol;
use crate::wire::{ipv4, ipv6};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

/// Between whom a tunnel's outer packets travel, and how large they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outer {
    ends: Ends,
    protocol: u8,
    /// The largest outer packet, in bytes.
    path_mtu: u16,
    /// DSCP and ECN of the packets.
    traffic_class: u8,
    /// No router may cut what leaves whole.
    dont_fragment: bool,
}

impl Outer {
    /// `None` if the two addresses are not of one family.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, path_mtu: u16) -> Option<Outer> {
        let ends = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ends::V4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ends::V6 { source, destination },
            _ => return None,
        };
        Some(Outer { ends, protocol, path_mtu, traffic_class: 0, dont_fragment: false })
    }

    #[must_use]
    pub fn with_traffic_class(self, traffic_class: u8) -> Outer {
        Outer { traffic_class, ..self }
    }

    /// Whatever leaves whole arrives whole or not at all: DF is set in IPv4 (in IPv6 it always is so).
    #[must_use]
    pub fn with_dont_fragment(self) -> Outer {
        Outer { dont_fragment: true, ..self }
    }

    pub fn source(&self) -> IpAddr {
        match self.ends {
            Ends::V4 { source, .. } => source.into(),
            Ends::V6 { source, .. } => source.into(),
        }
    }

    pub fn destination(&self) -> IpAddr {
        match self.ends {
            Ends::V4 { destination, .. } => destination.into(),
            Ends::V6 { destination, .. } => destination.into(),
        }
    }

    /// The outer packets that carry `payload`. As [`Outer::pieces`], the bytes with them.
    ///
    /// # Errors
    /// As [`Outer::pieces`].
    pub fn fragments<'a>(&self, payload: &'a [u8], identification: u32) -> Result<Fragments<'a>, DropReason> {
        Ok(Fragments { payload, pieces: self.pieces(payload.len(), identification)? })
    }

    /// The outer packets that carry a payload of `len` bytes: one if it fits the path, else as few
    /// fragments as it takes, all but the last as large as the path and steps of eight bytes allow. The
    /// kernel cuts the same way. `identification` must not come again between the two ends while
    /// fragments that bear it may be under way; IPv4 takes its low 16 bits.
    ///
    /// DF is not set in IPv4 unless asked for: a smaller path than the plan says costs a third packet, not
    /// the link. So every packet needs a number (RFC 6864 4.1), one that leaves whole too.
    ///
    /// # Errors
    /// `TooLarge` if the payload is more than one IP packet can hold, `PathTooSmall` if no eight
    /// bytes of it fit the path.
    pub fn pieces(&self, len: usize, identification: u32) -> Result<Pieces, DropReason> {
        let path = usize::from(self.path_mtu);
        let (whole, piece, max) = match self.ends {
            Ends::V4 { .. } => {
                let room = path.saturating_sub(ipv4::HEADER_LEN);
                (room, room, ipv4::MAX_LEN - ipv4::HEADER_LEN)
            }
            Ends::V6 { .. } => {
                let room = path.saturating_sub(ipv6::HEADER_LEN);
                (room, room.saturating_sub(ipv6::FRAGMENT_HEADER_LEN), ipv6::MAX_PAYLOAD_LEN)
            }
        };
        if len > max {
            return Err(DropReason::TooLarge);
        }
        if len > whole && piece < 8 {
            return Err(DropReason::PathTooSmall);
        }
        let (piece, last) = if len <= whole { (None, 0) } else { (Some(piece & !7), piece) };
        Ok(Pieces { outer: *self, len, identification, offset: 0, piece, last })
    }

    /// Whether a payload of `len` bytes leaves as one packet.
    pub fn fits(&self, len: usize) -> bool {
        let header = match self.ends {
            Ends::V4 { .. } => ipv4::HEADER_LEN,
            Ends::V6 { .. } => ipv6::HEADER_LEN,
        };
        header + len <= usize::from(self.path_mtu)
    }

    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The header of a packet with `payload_len` bytes of the payload from `offset` on.
    fn header(&self, payload_len: usize, cut: Cut) -> Header {
        let mut bytes = [0; Header::MAX];
        let len = match self.ends {
            Ends::V4 { source, destination } => {
                let repr = ipv4::Repr {
                    source,
                    destination,
                    protocol: self.protocol,
                    hop_limit: HOP_LIMIT,
                    traffic_class: self.traffic_class,
                    identification: cut.identification as u16,
                    dont_fragment: self.dont_fragment && !cut.more && cut.offset == 0,
                    more_fragments: cut.more,
                    fragment_offset: cut.offset,
                    payload_len,
                };
                repr.emit(&mut bytes);
                repr.buffer_len()
            }
            Ends::V6 { source, destination } => {
                let fragment = (cut.more || cut.offset > 0).then_some(ipv6::FragmentRepr {
                    next_header: self.protocol,
                    offset: cut.offset,
                    more: cut.more,
                    identification: cut.identification,
                });
                let repr = ipv6::Repr {
                    source,
                    destination,
                    next_header: if fragment.is_some() { protocol::FRAGMENT } else { self.protocol },
                    hop_limit: HOP_LIMIT,
                    traffic_class: self.traffic_class,
                    flow_label: 0,
                    payload_len: payload_len + fragment.map_or(0, |fragment| fragment.buffer_len()),
                };
                repr.emit(&mut bytes);
                if let Some(fragment) = fragment {
                    fragment.emit(&mut bytes[ipv6::HEADER_LEN..]);
                }
                repr.buffer_len() + fragment.map_or(0, |fragment| fragment.buffer_len())
            }
        };
        Header { bytes, len }
    }
}

/// Where a fragment belongs.
#[derive(Clone, Copy)]
struct Cut {
    identification: u32,
    offset: usize,
    more: bool,
}

/// The bytes of an outer header, fragment header included.
#[derive(Debug, Clone, Copy)]
struct Header {
    bytes: [u8; Header::MAX],
    len: usize,
}

impl Header {
    const MAX: usize = ipv6::HEADER_LEN + ipv6::FRAGMENT_HEADER_LEN;
}

/// One outer packet: its header and its part of the payload, to be sent one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Fragment<'a> {
    header: Header,
    pub payload: &'a [u8],
}

impl Fragment<'_> {
    pub fn header(&self) -> &[u8] {
        &self.header.bytes[..self.header.len]
    }

    /// Bytes of the whole outer packet.
    pub fn packet_len(&self) -> usize {
        self.header.len + self.payload.len()
    }
}

/// One outer packet: its header, and which bytes of the payload follow it.
#[derive(Debug, Clone)]
pub struct Piece {
    header: Header,
    pub range: Range<usize>,
}

impl Piece {
    pub fn header(&self) -> &[u8] {
        &self.header.bytes[..self.header.len]
    }
}

/// The outer packets of one payload, in order. Made by [`Outer::pieces`].
#[derive(Debug, Clone)]
pub struct Pieces {
    outer: Outer,
    /// Bytes of the payload.
    len: usize,
    identification: u32,
    /// In bytes; past the payload once all is out.
    offset: usize,
    /// Bytes of all fragments but the last; `None`: the payload goes whole.
    piece: Option<usize>,
    /// The most that the last fragment can hold.
    last: usize,
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let rest = self.len.checked_sub(self.offset).filter(|rest| *rest > 0)?;
        let (len, more) = match self.piece {
            Some(piece) if rest > self.last => (piece, true),
            _ => (rest, false),
        };
        let cut = Cut { identification: self.identification, offset: self.offset, more };
        let range = self.offset..self.offset + len;
        self.offset = range.end;
        Some(Piece { header: self.outer.header(len, cut), range })
    }
}

/// The same with their bytes. Made by [`Outer::fragments`].
#[derive(Debug, Clone)]
pub struct Fragments<'a> {
    payload: &'a [u8],
    pieces: Pieces,
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        let Piece { header, range } = self.pieces.next()?;
        Some(Fragment { header, payload: self.payload.get(range)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{MAX_SHIM_LEN, Shim, encapsulate};
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn ends(six: bool) -> (IpAddr, IpAddr) {
        if six {
            ("2001:db8:101::1".parse().unwrap(), "2001:db8:102::1".parse().unwrap())
        } else {
            ("192.0.2.1".parse().unwrap(), "198.51.100.2".parse().unwrap())
        }
    }

    fn packets(six: bool, path_mtu: u16, payload: &[u8]) -> Vec<Vec<u8>> {
        let (source, destination) = ends(six);
        let outer = Outer::new(source, destination, protocol::GRE, path_mtu).unwrap();
        let fragments = outer.fragments(payload, 0xabcd_1234).unwrap();
        fragments.map(|fragment| [fragment.header(), fragment.payload].concat()).collect()
    }

    /// What stands outside a full inner packet of 2400 bytes, by the kind of tunnel.
    const OVERHEADS: [(&str, usize); 7] = [
        ("gre", 4),
        ("gre with key", 8),
        ("gretap", 18),
        ("gretap with key", 22),
        ("etherip", 16),
        ("geneve", 30),
        ("wireguard", 40),
    ];

    #[test]
    fn a_full_inner_packet_is_exactly_two_outer_packets_on_every_path() {
        for path_mtu in 1280..=1500 {
            for six in [false, true] {
                for (kind, overhead) in OVERHEADS {
                    // EtherIP with a VLAN tag has four more.
                    for len in [2400 + overhead, 2400 + overhead + usize::from(kind == "etherip") * 4] {
                        let packets = packets(six, path_mtu, &vec![0; len]);
                        assert_eq!(packets.len(), 2, "{kind} at {path_mtu}");
                        assert!(packets.iter().all(|packet| packet.len() <= usize::from(path_mtu)));
                    }
                }
            }
        }
    }

    /// The capacities of two packets that the arithmetic of the plan builds on.
    #[test]
    fn two_packets_hold_exactly_what_they_should() {
        for (six, path_mtu, capacity) in [
            (true, 1500, 2900),
            (true, 1454, 2806),
            (true, 1280, 2464),
            (false, 1500, 2960),
            (false, 1454, 2866),
            (false, 1280, 2516),
        ] {
            assert_eq!(packets(six, path_mtu, &vec![0; capacity]).len(), 2);
            assert_eq!(packets(six, path_mtu, &vec![0; capacity + 1]).len(), 3);
        }
    }

    /// Outer header, tunnel header and what is inside, computed apart from this code.
    #[test]
    fn whole_packets_byte_by_byte() {
        let frame = "02000000000202000000000188b5aabb";
        let packet = "4500001400014000403bae86c6120001c6120002";
        let v6 = "20010db801010000000000000000000120010db8010200000000000000000001";
        let gre = |key| Shim::Gre { key };
        for (shim, header, inner, over_v4, over_v6) in [
            (Shim::EtherIp, "3000", frame, "450000261234000040617c0c", "6000000000126140"),
            (gre(None), "00000800", packet, "4500002c12340000402f7c38", "6000000000182f40"),
            (gre(Some(7)), "2000080000000007", packet, "4500003012340000402f7c34", "60000000001c2f40"),
            (Shim::Gretap { key: None }, "00006558", frame, "4500002812340000402f7c3c", "6000000000142f40"),
        ] {
            let bytes = |hex: &str| -> Vec<u8> {
                (0..hex.len() / 2)
                    .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
                    .collect()
            };
            for (six, outside) in [(false, [over_v4, "c0000201c6336402"]), (true, [over_v6, v6])] {
                let (source, destination) = ends(six);
                let outer = Outer::new(source, destination, shim.protocol(), 1500).unwrap();
                let mut buffer = [vec![0; MAX_SHIM_LEN], bytes(inner)].concat();
                let end = buffer.len();
                let range = encapsulate(shim, &outer, &mut buffer, MAX_SHIM_LEN..end).unwrap();
                let mut packets = outer.fragments(&buffer[range], 0x1234).unwrap();
                let sent = packets.next().unwrap();
                assert_eq!(
                    [sent.header(), sent.payload].concat(),
                    bytes(&[&outside.concat(), header, inner].concat()),
                    "{shim:?} {six}"
                );
                assert!(packets.next().is_none());
            }
        }
    }

    #[test]
    fn gre_over_ipv6_at_1500_byte_by_byte() {
        let packets = packets(true, 1500, &[0x5a; 2404]);
        let ends = "20010db8010100000000000000000001 20010db8010200000000000000000001";
        let hex =
            |bytes: &[u8]| bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(packets[0].len(), 40 + 8 + 1448);
        assert_eq!(
            hex(&packets[0][..48]),
            ["6000000005b02c40", &ends.replace(' ', ""), "2f000001abcd1234"].concat()
        );
        assert_eq!(packets[1].len(), 40 + 8 + 956);
        assert_eq!(
            hex(&packets[1][..48]),
            ["6000000003c42c40", &ends.replace(' ', ""), "2f0005a8abcd1234"].concat()
        );
    }

    #[test]
    fn what_fits_goes_whole_without_a_fragment_header() {
        let packets = packets(true, 1280, &[1; 1240]);
        assert_eq!((packets.len(), packets[0].len()), (1, 1280));
        assert_eq!(packets[0][6], protocol::GRE);
    }

    #[test]
    fn dont_fragment_is_for_what_is_whole() {
        let (source, destination) = ends(false);
        let outer = Outer::new(source, destination, 47, 1280).unwrap();
        let bits = |outer: Outer, len: usize| -> Vec<u8> {
            outer.pieces(len, 7).unwrap().map(|piece| piece.header()[6] & 0xe0).collect()
        };
        assert_eq!(bits(outer, 1260), [0]);
        assert_eq!(bits(outer.with_dont_fragment(), 1260), [0x40]);
        assert_eq!(bits(outer.with_dont_fragment(), 1261), [0x20, 0]);
    }

    #[test]
    fn refusals() {
        let (source, destination) = ends(true);
        let outer = |mtu| Outer::new(source, destination, 47, mtu).unwrap();
        assert_eq!(outer(1280).fragments(&vec![0; 65_536], 0).unwrap_err(), DropReason::TooLarge);
        assert_eq!(outer(55).fragments(&[0; 64], 0).unwrap_err(), DropReason::PathTooSmall);
        assert_eq!(outer(0).fragments(&[0; 64], 0).unwrap_err(), DropReason::PathTooSmall);
        assert!(Outer::new(source, ends(false).1, 47, 1500).is_none());
    }

    proptest! {
        #[test]
        fn pieces_are_what_the_rfcs_ask(len in 1usize..9000, path_mtu in 68u16..1600, six: bool) {
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let packets = packets(six, path_mtu, &payload);
            let mut whole = Vec::new();
            for (at, packet) in packets.iter().enumerate() {
                prop_assert!(packet.len() <= usize::from(path_mtu));
                let sliced = etherparse::SlicedPacket::from_ip(packet).unwrap();
                let (offset, more, part) = match sliced.net.unwrap() {
                    etherparse::NetSlice::Ipv4(ip) => {
                        let header = ip.header().to_header();
                        prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
                        prop_assert_eq!(header.time_to_live, 64);
                        prop_assert!(!header.dont_fragment);
                        (usize::from(header.fragment_offset.value()) * 8, header.more_fragments, ip.payload().payload.to_vec())
                    }
                    etherparse::NetSlice::Ipv6(ip) => {
                        prop_assert_eq!(ip.header().hop_limit(), 64);
                        let walked = ipv6::Packet::new_checked(packet).unwrap().walk().unwrap();
                        let (offset, more) = walked.fragment.map_or((0, false), |f| (f.offset, f.more));
                        (offset, more, ip.payload().payload.to_vec())
                    }
                    _ => unreachable!(),
                };
                prop_assert_eq!(offset, whole.len());
                prop_assert_eq!(more, at + 1 < packets.len());
                if more { prop_assert!(part.len().is_multiple_of(8)); }
                whole.extend(part);
            }
            prop_assert_eq!(whole, payload);
        }
    }
}
