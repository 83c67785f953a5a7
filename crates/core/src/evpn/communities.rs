//! The extended communities that EVPN's routes speak with.

use crate::id::Mac;
use crate::wire::bgp::{Esi, ExtendedCommunity, RouteTarget};

/// Encapsulation (RFC 9012 4.1): the tunnel type for VXLAN (IANA, RFC 8365 11).
const VXLAN: u16 = 8;

/// RFC 9012 4.1: how to send to the next hop.
pub(super) const ENCAPSULATION_VXLAN: ExtendedCommunity =
    ExtendedCommunity([0x03, 0x0c, 0, 0, 0, 0, 0, VXLAN as u8]);

/// RFC 7432 7.7: the sequence number of a move, and whether the MAC may move at all.
pub(super) fn mobility(sequence: u32, sticky: bool) -> ExtendedCommunity {
    let [a, b, c, d] = sequence.to_be_bytes();
    ExtendedCommunity([0x06, 0x00, u8::from(sticky), 0, a, b, c, d])
}

/// RFC 7432 7.6: the six high bytes of the segment's value, so that only its routers take the route.
pub(super) fn es_import(esi: Esi) -> ExtendedCommunity {
    let [_, a, b, c, d, e, f, ..] = esi.0;
    ExtendedCommunity([0x06, 0x02, a, b, c, d, e, f])
}

/// RFC 9785 3: DF algorithm 3, the lowest preference forwards.
pub(super) fn lowest_preference(preference: u16) -> ExtendedCommunity {
    let [hi, lo] = preference.to_be_bytes();
    ExtendedCommunity([0x06, 0x06, 3, 0, 0, 0, hi, lo])
}

/// What a route's communities say to a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Encapsulations are named, and VXLAN is not one of them.
    pub not_vxlan: bool,
    /// RFC 7432 15: 0 where none is said.
    pub sequence: u32,
    pub sticky: bool,
    /// RFC 7432 7.8.
    pub default_gateway: bool,
    /// RFC 9135 8.1: whose MAC routed packets would go to.
    pub router_mac: Option<Mac>,
    /// RFC 9785 3.
    pub preference: Option<u16>,
}

impl Said {
    pub fn by(communities: &[ExtendedCommunity]) -> Said {
        let mut said = Said::default();
        let mut vxlan = false;
        for community in communities {
            match community.0 {
                [0x03, 0x0c, _, _, _, _, hi, lo] => {
                    vxlan |= u16::from_be_bytes([hi, lo]) == VXLAN;
                    said.not_vxlan = true;
                }
                [0x03, 0x0d, ..] => said.default_gateway = true,
                [0x06, 0x00, flags, _, a, b, c, d] => {
                    said.sticky |= flags & 1 != 0;
                    said.sequence = said.sequence.max(u32::from_be_bytes([a, b, c, d]));
                }
                [0x06, 0x03, a, b, c, d, e, f] => said.router_mac = Some(Mac([a, b, c, d, e, f])),
                [0x06, 0x06, algorithm, _, _, _, hi, lo] if matches!(algorithm & 0x1f, 2 | 3) => {
                    said.preference = Some(u16::from_be_bytes([hi, lo]));
                }
                _ => {}
            }
        }
        said.not_vxlan &= !vxlan;
        said
    }
}

/// Whether a route is for those who import `targets`.
pub(super) fn meant_for(communities: &[ExtendedCommunity], targets: &[RouteTarget]) -> bool {
    communities.iter().any(|it| targets.iter().any(|target| target.0 == it.0))
}
