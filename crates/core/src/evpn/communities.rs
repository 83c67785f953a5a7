//! What a route's extended communities say to a segment.

use crate::id::Mac;
use crate::wire::bgp::{Esi, ExtendedCommunity, Meaning, RouteTarget};

/// The tunnel type of VXLAN (RFC 8365 5.1.3).
const VXLAN: u16 = 8;
/// DF election's algorithm (IANA, RFC 9785).
const LOWEST_PREFERENCE: u8 = 3;

/// RFC 7432 7.6: the six high bytes of the segment's value, so that only its routers take the route.
pub(super) fn es_import(esi: Esi) -> ExtendedCommunity {
    let [_, a, b, c, d, e, f, ..] = esi.0;
    ExtendedCommunity::es_import(Mac([a, b, c, d, e, f]))
}

/// RFC 8584 2.2 with RFC 9785 3: the lowest preference forwards.
pub(super) fn lowest_preference(preference: u16) -> ExtendedCommunity {
    let [hi, lo] = preference.to_be_bytes();
    ExtendedCommunity([0x06, 0x06, LOWEST_PREFERENCE, 0, 0, 0, hi, lo])
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Encapsulations are named, and VXLAN is not one of them.
    pub not_vxlan: bool,
    /// RFC 7432 15: 0 where none is said.
    pub sequence: u32,
    pub sticky: bool,
    pub default_gateway: bool,
    /// RFC 9135 8.1: whose MAC routed packets would go to.
    pub router_mac: Option<Mac>,
    pub preference: Option<u16>,
}

impl Said {
    pub fn by(communities: &[ExtendedCommunity]) -> Said {
        let mut said = Said::default();
        let mut vxlan = false;
        for community in communities {
            match community.meaning() {
                Some(Meaning::Encapsulation(tunnel)) => {
                    vxlan |= tunnel == VXLAN;
                    said.not_vxlan = true;
                }
                Some(Meaning::DefaultGateway) => said.default_gateway = true,
                Some(Meaning::MacMobility { sticky, sequence }) => {
                    said.sticky |= sticky;
                    said.sequence = said.sequence.max(sequence);
                }
                Some(Meaning::RouterMac(mac)) => said.router_mac = Some(mac),
                _ => {}
            }
            // Other algorithms (2: the highest preference) say nothing that can be compared.
            if let [0x06, 0x06, algorithm, _, _, _, hi, lo] = community.0
                && algorithm & 0x1f == LOWEST_PREFERENCE
            {
                said.preference = Some(u16::from_be_bytes([hi, lo]));
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
