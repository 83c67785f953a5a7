//! How large packets become: overheads, how many outer packets, MSS; the arithmetic and its proof.
//!
//! Everything is in bytes. "Inner" is the IP packet that enters a tunnel; "outer" is what the line
//! carries, with its own IP header. A tunnel never cuts the inner packet: the outer one is cut, by
//! its sender, at the path MTU (RFC 791, RFC 8200 4.5).

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An Ethernet header without a tag.
pub const ETHERNET: u32 = 14;
/// An IEEE 802.1Q tag.
pub const VLAN: u32 = 4;
/// UDP (RFC 768).
pub const UDP: u32 = 8;
/// TCP without options (RFC 9293): options are subtracted by the sender itself (RFC 6691).
pub const TCP: u32 = 20;
/// GRE without a key (RFC 2784).
pub const GRE: u32 = 4;
/// A key in GRE (RFC 2890).
pub const GRE_KEY: u32 = 4;
/// EtherIP (RFC 3378).
pub const ETHERIP: u32 = 2;
/// VXLAN (RFC 7348).
pub const VXLAN: u32 = 8;
/// GENEVE without options (RFC 8926).
pub const GENEVE: u32 = 8;
/// WireGuard's data message: type, receiver and counter before the packet.
pub const WIREGUARD_HEADER: u32 = 16;
/// WireGuard's authenticator behind the packet.
pub const WIREGUARD_TAG: u32 = 16;
/// WireGuard pads the inner packet to a multiple of this.
pub const WIREGUARD_PADDING: u32 = 16;
/// IPv6's fragment header (RFC 8200 4.5).
pub const IPV6_FRAGMENT: u32 = 8;
/// Every fragment but the last carries a multiple of this.
pub const FRAGMENT_UNIT: u32 = 8;
/// The least that every IPv6 path passes (RFC 8200 5).
pub const IPV6_MINIMUM: u32 = 1280;

/// The family of an IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ip {
    V4,
    V6,
}

impl Ip {
    pub const BOTH: [Ip; 2] = [Ip::V4, Ip::V6];

    pub fn of_ipv6(is_ipv6: bool) -> Ip {
        if is_ipv6 { Ip::V6 } else { Ip::V4 }
    }

    /// Its header without options.
    pub fn header(self) -> u32 {
        match self {
            Ip::V4 => 20,
            Ip::V6 => 40,
        }
    }

    /// What each fragment carries besides the header.
    pub fn fragment_header(self) -> u32 {
        match self {
            Ip::V4 => 0,
            Ip::V6 => IPV6_FRAGMENT,
        }
    }
}

/// What a packet is put into, above the outer IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Wrapping {
    /// Nothing: the packet itself, with its own header.
    Ethernet,
    Gre {
        key: bool,
    },
    Gretap {
        key: bool,
        vlan: bool,
    },
    EtherIp {
        vlan: bool,
    },
    Geneve {
        vlan: bool,
    },
    WireGuard,
    Vxlan {
        vlan: bool,
    },
}

/// A header or a trailer that stands between the inner packet and the outer IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    InnerEthernet,
    InnerVlan,
    Gre,
    GreKey,
    EtherIp,
    Geneve,
    Vxlan,
    WireGuardHeader,
    WireGuardTag,
    /// Filling up to a multiple of 16.
    WireGuardPadding,
    Udp,
}

impl Wrapping {
    /// What is added to an inner packet of this size, from the inside to the outside; the outer IP
    /// header is not among it.
    pub fn parts(self, inner: u32) -> Vec<(Part, u32)> {
        let mut parts = Vec::new();
        let frame = |parts: &mut Vec<(Part, u32)>, vlan: bool| {
            parts.push((Part::InnerEthernet, ETHERNET));
            if vlan {
                parts.push((Part::InnerVlan, VLAN));
            }
        };
        let gre = |parts: &mut Vec<(Part, u32)>, key: bool| {
            parts.push((Part::Gre, GRE));
            if key {
                parts.push((Part::GreKey, GRE_KEY));
            }
        };
        match self {
            Wrapping::Ethernet => {}
            Wrapping::Gre { key } => gre(&mut parts, key),
            Wrapping::Gretap { key, vlan } => {
                frame(&mut parts, vlan);
                gre(&mut parts, key);
            }
            Wrapping::EtherIp { vlan } => {
                frame(&mut parts, vlan);
                parts.push((Part::EtherIp, ETHERIP));
            }
            Wrapping::Geneve { vlan } => {
                frame(&mut parts, vlan);
                parts.push((Part::Geneve, GENEVE));
                parts.push((Part::Udp, UDP));
            }
            Wrapping::WireGuard => {
                let padding = inner.next_multiple_of(WIREGUARD_PADDING) - inner;
                if padding > 0 {
                    parts.push((Part::WireGuardPadding, padding));
                }
                parts.push((Part::WireGuardTag, WIREGUARD_TAG));
                parts.push((Part::WireGuardHeader, WIREGUARD_HEADER));
                parts.push((Part::Udp, UDP));
            }
            Wrapping::Vxlan { vlan } => {
                frame(&mut parts, vlan);
                parts.push((Part::Vxlan, VXLAN));
                parts.push((Part::Udp, UDP));
            }
        }
        parts
    }

    /// What the outer IP header carries for an inner packet of this size.
    pub fn payload(self, inner: u32) -> u32 {
        inner + self.parts(inner).iter().map(|(_, bytes)| bytes).sum::<u32>()
    }

    /// The largest inner packet that becomes at most `payload` bytes; 0 if none does.
    pub fn inner_within(self, payload: u32) -> u32 {
        let room = payload.saturating_sub(self.payload(0));
        match self {
            Wrapping::WireGuard => room / WIREGUARD_PADDING * WIREGUARD_PADDING,
            _ => room,
        }
    }

    /// The outer IP header that stands before the payload; none around a packet that is not wrapped.
    pub fn outer_header(self, outer: Ip) -> u32 {
        if self == Wrapping::Ethernet { 0 } else { outer.header() }
    }
}

/// What one packet can carry behind its IP header at this path MTU.
pub fn whole_capacity(outer: Ip, path_mtu: u32) -> u32 {
    path_mtu.saturating_sub(outer.header())
}

/// What the last fragment can carry at this path MTU.
pub fn last_capacity(outer: Ip, path_mtu: u32) -> u32 {
    path_mtu.saturating_sub(outer.header() + outer.fragment_header())
}

/// What every fragment but the last carries at this path MTU: a multiple of 8.
pub fn fragment_capacity(outer: Ip, path_mtu: u32) -> u32 {
    last_capacity(outer, path_mtu) / FRAGMENT_UNIT * FRAGMENT_UNIT
}

/// The largest payload that leaves as at most `packets` outer packets.
pub fn capacity(outer: Ip, path_mtu: u32, packets: u32) -> u32 {
    match packets {
        0 => 0,
        1 => whole_capacity(outer, path_mtu),
        _ => (packets - 1) * fragment_capacity(outer, path_mtu) + last_capacity(outer, path_mtu),
    }
}

/// The sizes of the outer packets, headers included, that a payload behind an outer IP header
/// leaves as. Empty if the path MTU has no room for a single unit of 8 bytes.
pub fn outer_packets(outer: Ip, path_mtu: u32, payload: u32) -> Vec<u32> {
    if payload <= whole_capacity(outer, path_mtu) {
        return Vec::from([outer.header() + payload]);
    }
    let (full, last) = (fragment_capacity(outer, path_mtu), last_capacity(outer, path_mtu));
    let mut sizes = Vec::new();
    if full == 0 {
        return sizes;
    }
    let headers = outer.header() + outer.fragment_header();
    let mut rest = payload;
    while rest > last {
        sizes.push(headers + full);
        rest -= full;
    }
    sizes.push(headers + rest);
    sizes
}

/// The way of packets through one link: what they are put into, over which family, over how narrow
/// a path, and how large the inside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    pub wrapping: Wrapping,
    pub outer: Ip,
    /// The largest outer packet that passes whole.
    pub path_mtu: u32,
    /// The largest inner packet.
    pub mtu: u32,
}

impl Way {
    /// Whether what is too large does not leave at all: a wire has no fragments, and VTEPs must not
    /// make any (RFC 7348 4.3).
    pub fn is_never_cut(&self) -> bool {
        matches!(self.wrapping, Wrapping::Ethernet | Wrapping::Vxlan { .. })
    }

    /// The size of what an inner packet of this size becomes, uncut and with the outer IP header.
    pub fn whole(&self, inner: u32) -> u32 {
        self.wrapping.payload(inner) + self.wrapping.outer_header(self.outer)
    }

    /// The sizes of the outer packets that an inner packet of this size leaves as; empty if it
    /// cannot leave.
    pub fn packets(&self, inner: u32) -> Vec<u32> {
        if self.is_never_cut() {
            let whole = self.whole(inner);
            return if whole <= self.path_mtu { Vec::from([whole]) } else { Vec::new() };
        }
        outer_packets(self.outer, self.path_mtu, self.wrapping.payload(inner))
    }

    /// The largest inner packet that leaves as at most so many outer packets, whatever the link's
    /// own MTU.
    pub fn largest_inner(&self, packets: u32) -> u32 {
        let packets = if self.is_never_cut() { packets.min(1) } else { packets };
        if self.wrapping == Wrapping::Ethernet {
            return packets * self.path_mtu;
        }
        self.wrapping.inner_within(capacity(self.outer, self.path_mtu, packets))
    }

    /// The MSS with which a TCP segment fits one outer packet (and the link's own MTU); 0 if none
    /// does.
    pub fn mss(&self, inner: Ip) -> u32 {
        self.largest_inner(1).min(self.mtu).saturating_sub(inner.header() + TCP)
    }

    /// Whether TCP at the link's own MTU would need more than one outer packet, so that its MSS has
    /// to be lowered.
    pub fn needs_clamp(&self) -> bool {
        self.largest_inner(1) < self.mtu
    }

    /// The arithmetic, line by line, in the order in which a person would do it.
    pub fn account(&self) -> Account {
        let mut lines = Vec::from([Line::Inner { bytes: self.mtu }]);
        let parts = self.wrapping.parts(self.mtu);
        lines.extend(parts.into_iter().map(|(part, bytes)| Line::Part { part, bytes }));
        if self.wrapping != Wrapping::Ethernet {
            lines.push(Line::OuterHeader { ip: self.outer, bytes: self.outer.header() });
        }
        lines.push(Line::Whole { bytes: self.whole(self.mtu) });
        lines.push(Line::PathMtu { bytes: self.path_mtu });
        let sizes = self.packets(self.mtu);
        if sizes.len() > 1 {
            lines.push(Line::FragmentCapacity {
                ip: self.outer,
                first: fragment_capacity(self.outer, self.path_mtu),
                last: last_capacity(self.outer, self.path_mtu),
            });
        }
        lines.push(Line::Packets { sizes });
        let counts: &[u32] = match self.wrapping {
            Wrapping::Ethernet => &[],
            Wrapping::Vxlan { .. } => &[1],
            _ => &[1, 2],
        };
        for packets in counts {
            lines.push(Line::LargestInner { packets: *packets, bytes: self.largest_inner(*packets) });
        }
        if self.needs_clamp() && !self.is_never_cut() {
            for ip in Ip::BOTH {
                lines.push(Line::Mss { ip, bytes: self.mss(ip), headers: ip.header() + TCP });
            }
        }
        Account { way: *self, lines }
    }
}

/// The arithmetic of one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub way: Way,
    pub lines: Vec<Line>,
}

/// One line of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "line")]
pub enum Line {
    /// A full inner packet.
    Inner { bytes: u32 },
    /// What is put around it.
    Part { part: Part, bytes: u32 },
    /// The outer IP header.
    OuterHeader { ip: Ip, bytes: u32 },
    /// All of it, uncut.
    Whole { bytes: u32 },
    /// The largest outer packet that passes whole.
    PathMtu { bytes: u32 },
    /// What a fragment carries: all but the last, and the last.
    FragmentCapacity { ip: Ip, first: u32, last: u32 },
    /// What leaves, each with its headers. Empty: it cannot leave.
    Packets { sizes: Vec<u32> },
    /// The largest inner packet that leaves as so many outer ones.
    LargestInner { packets: u32, bytes: u32 },
    /// The MSS with which TCP fits one outer packet, and the inner headers that it leaves out.
    Mss { ip: Ip, bytes: u32, headers: u32 },
}

/// How a segment's frames cross the inside links.
pub fn segment(vtep: Ip, links_mtu: u32, segment_mtu: u32, vlan: bool) -> Way {
    Way { wrapping: Wrapping::Vxlan { vlan }, outer: vtep, path_mtu: links_mtu, mtu: segment_mtu }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Cuts as a sender does, byte by byte of the RFC, and knows nothing of the formulas above.
    fn naive_fragmenter(outer: Ip, path_mtu: u32, payload: u32) -> Vec<u32> {
        let header = if outer == Ip::V4 { 20 } else { 40 };
        if header + payload <= path_mtu {
            return Vec::from([header + payload]);
        }
        let extra = if outer == Ip::V4 { 0 } else { 8 };
        let mut sizes = Vec::new();
        let mut offset = 0;
        while offset < payload {
            let mut size = payload - offset;
            while header + extra + size > path_mtu || (offset + size < payload && !size.is_multiple_of(8)) {
                size -= 1;
            }
            sizes.push(header + extra + size);
            offset += size;
        }
        sizes
    }

    fn wrappings() -> Vec<Wrapping> {
        let mut all = Vec::from([Wrapping::WireGuard]);
        for bit in [false, true] {
            all.push(Wrapping::Gre { key: bit });
            all.push(Wrapping::EtherIp { vlan: bit });
            all.push(Wrapping::Geneve { vlan: bit });
            for vlan in [false, true] {
                all.push(Wrapping::Gretap { key: bit, vlan });
            }
        }
        all
    }

    fn way(wrapping: Wrapping, outer: Ip, path_mtu: u32) -> Way {
        Way { wrapping, outer, path_mtu, mtu: 2400 }
    }

    #[test]
    fn agrees_with_the_naive_fragmenter_on_every_usual_path() {
        for outer in Ip::BOTH {
            for path_mtu in [1280, 1281, 1400, 1438, 1454, 1460, 1492, 1499, 1500, 2400] {
                for payload in 1..=4400 {
                    assert_eq!(
                        outer_packets(outer, path_mtu, payload),
                        naive_fragmenter(outer, path_mtu, payload),
                        "{outer:?} {path_mtu} {payload}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_inner_packet_is_the_largest() {
        for wrapping in wrappings() {
            for outer in Ip::BOTH {
                for path_mtu in 1280..=1500 {
                    let way = way(wrapping, outer, path_mtu);
                    for packets in [1, 2] {
                        let largest = way.largest_inner(packets);
                        assert!(way.packets(largest).len() <= packets as usize, "{way:?}");
                        assert!(way.packets(largest + 1).len() > packets as usize, "{way:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn known_capacities_of_two_packets() {
        for (path_mtu, v4, v6) in [(1500, 2960, 2900), (1454, 2866, 2806), (1280, 2516, 2464)] {
            assert_eq!(capacity(Ip::V4, path_mtu, 2), v4);
            assert_eq!(capacity(Ip::V6, path_mtu, 2), v6);
        }
    }

    #[test]
    fn known_payloads_of_2400() {
        for (wrapping, payload) in [
            (Wrapping::Gre { key: false }, 2404),
            (Wrapping::Gre { key: true }, 2408),
            (Wrapping::EtherIp { vlan: false }, 2416),
            (Wrapping::EtherIp { vlan: true }, 2420),
            (Wrapping::Gretap { key: false, vlan: false }, 2418),
            (Wrapping::Geneve { vlan: false }, 2430),
            (Wrapping::Geneve { vlan: true }, 2434),
            (Wrapping::WireGuard, 2440),
        ] {
            assert_eq!(wrapping.payload(2400), payload, "{wrapping:?}");
        }
    }

    #[test]
    fn every_tunnel_at_2400_is_two_packets_from_1280_to_1500() {
        for wrapping in wrappings() {
            for outer in Ip::BOTH {
                for path_mtu in 1280..=1500 {
                    let sizes = way(wrapping, outer, path_mtu).packets(2400);
                    assert_eq!(sizes.len(), 2, "{wrapping:?} {outer:?} {path_mtu}");
                    assert!(sizes.iter().all(|size| *size <= path_mtu));
                }
            }
        }
        assert_eq!(way(Wrapping::WireGuard, Ip::V6, 1280).largest_inner(2), 2416);
    }

    #[test]
    fn known_mss() {
        for (wrapping, outer, path_mtu, inner, mss) in [
            (Wrapping::Gre { key: false }, Ip::V6, 1500, Ip::V4, 1416),
            (Wrapping::Gre { key: false }, Ip::V6, 1500, Ip::V6, 1396),
            (Wrapping::EtherIp { vlan: false }, Ip::V6, 1500, Ip::V4, 1404),
            (Wrapping::EtherIp { vlan: false }, Ip::V6, 1500, Ip::V6, 1384),
            // 1500 - 40 - 8 - 8 - 14 = 1430.
            (Wrapping::Geneve { vlan: false }, Ip::V6, 1500, Ip::V4, 1390),
            (Wrapping::Geneve { vlan: false }, Ip::V6, 1500, Ip::V6, 1370),
            (Wrapping::Geneve { vlan: false }, Ip::V4, 1500, Ip::V4, 1410),
            // 1500 - 20 - 8 - 32 = 1440, a multiple of 16.
            (Wrapping::WireGuard, Ip::V4, 1500, Ip::V4, 1400),
            // 1500 - 40 - 8 - 32 = 1420, padded from 1408.
            (Wrapping::WireGuard, Ip::V6, 1500, Ip::V4, 1368),
            // 1454 - 20 - 8 - 32 = 1394, padded from 1392.
            (Wrapping::WireGuard, Ip::V4, 1454, Ip::V6, 1332),
        ] {
            assert_eq!(way(wrapping, outer, path_mtu).mss(inner), mss, "{wrapping:?} {outer:?} {path_mtu}");
        }
    }

    #[test]
    fn a_segment_of_1500_is_one_packet_on_links_of_2400() {
        for (vtep, size) in [(Ip::V4, 1550), (Ip::V6, 1570)] {
            assert_eq!(segment(vtep, 2400, 1500, false).packets(1500), [size]);
            assert_eq!(segment(vtep, 2400, 1500, true).packets(1500), [size + 4]);
            assert!(segment(vtep, 1500, 1500, false).packets(1500).is_empty());
        }
    }

    #[test]
    fn an_ethernet_link_is_one_packet_or_nothing() {
        let wire = |path_mtu| way(Wrapping::Ethernet, Ip::V4, path_mtu);
        assert_eq!(wire(2400).packets(2400), [2400]);
        assert!(wire(1500).packets(2400).is_empty());
        assert!(!wire(2400).needs_clamp());
    }

    #[test]
    fn an_account_of_gre_over_ngn() {
        let lines = way(Wrapping::Gre { key: false }, Ip::V6, 1500).account().lines;
        assert_eq!(
            lines,
            [
                Line::Inner { bytes: 2400 },
                Line::Part { part: Part::Gre, bytes: 4 },
                Line::OuterHeader { ip: Ip::V6, bytes: 40 },
                Line::Whole { bytes: 2444 },
                Line::PathMtu { bytes: 1500 },
                Line::FragmentCapacity { ip: Ip::V6, first: 1448, last: 1452 },
                Line::Packets { sizes: Vec::from([1496, 1004]) },
                Line::LargestInner { packets: 1, bytes: 1456 },
                Line::LargestInner { packets: 2, bytes: 2896 },
                Line::Mss { ip: Ip::V4, bytes: 1416, headers: 40 },
                Line::Mss { ip: Ip::V6, bytes: 1396, headers: 60 },
            ]
        );
    }

    proptest! {
        #[test]
        fn packets_carry_the_payload_and_never_exceed_the_path(
            outer in prop_oneof![Just(Ip::V4), Just(Ip::V6)], path_mtu in 0u32..10_000, payload in 0u32..65_536,
        ) {
            let sizes = outer_packets(outer, path_mtu, payload);
            if !sizes.is_empty() {
                prop_assert!(sizes.iter().all(|size| *size <= path_mtu));
                let headers = outer.header() + if sizes.len() > 1 { outer.fragment_header() } else { 0 };
                prop_assert_eq!(sizes.iter().map(|size| size - headers).sum::<u32>(), payload);
                let full = &sizes[..sizes.len() - 1];
                prop_assert!(full.iter().all(|size| (size - headers) % 8 == 0));
            } else {
                prop_assert!(fragment_capacity(outer, path_mtu) == 0);
            }
        }

        #[test]
        fn a_segment_with_this_mss_fits_one_packet_and_a_larger_does_not(
            index in 0usize..wrappings().len(), outer in prop_oneof![Just(Ip::V4), Just(Ip::V6)],
            inner in prop_oneof![Just(Ip::V4), Just(Ip::V6)], path_mtu in 576u32..2400,
        ) {
            let way = way(wrappings()[index], outer, path_mtu);
            let mss = way.mss(inner);
            prop_assert_eq!(way.packets(inner.header() + TCP + mss).len(), 1);
            prop_assert!(!way.needs_clamp() || way.packets(inner.header() + TCP + mss + 1).len() > 1);
        }
    }
}
