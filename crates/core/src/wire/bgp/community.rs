//! Marks on a route: communities (RFC 1997), extended (RFC 4360) and large ones (RFC 8092).

use super::evpn::RouteTarget;
use crate::id::Mac;
use core::fmt;

/// RFC 1997: by custom an AS number and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// RFC 8326: the route is about to go; prefer any other.
    pub const GRACEFUL_SHUTDOWN: Community = Community(0xffff_0000);
    /// RFC 7999: what is sent there is to be dropped.
    pub const BLACKHOLE: Community = Community(0xffff_029a);
    /// Not beyond the AS that hears it.
    pub const NO_EXPORT: Community = Community(0xffff_ff01);
    /// To nobody.
    pub const NO_ADVERTISE: Community = Community(0xffff_ff02);
    /// Not beyond the AS, nor beyond a member of its confederation.
    pub const NO_EXPORT_SUBCONFED: Community = Community(0xffff_ff03);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// RFC 4360: a type of one or two bytes and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Whether it may cross into another AS (RFC 4360 2: the T bit is 0).
    pub fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }

    /// RFC 9012 4.1: behind this next hop packets are VXLAN (RFC 8365 5.1.3: tunnel type 8).
    pub const VXLAN: ExtendedCommunity = ExtendedCommunity([0x03, 0x0c, 0, 0, 0, 0, 0, 8]);

    /// RFC 7432 7.8: the route is a gateway's own.
    pub const DEFAULT_GATEWAY: ExtendedCommunity = ExtendedCommunity([0x03, 0x0d, 0, 0, 0, 0, 0, 0]);

    /// RFC 7432 7.7: how often the MAC has moved; sticky: it never does.
    pub fn mac_mobility(sticky: bool, sequence: u32) -> ExtendedCommunity {
        let [a, b, c, d] = sequence.to_be_bytes();
        ExtendedCommunity([0x06, 0x00, u8::from(sticky), 0, a, b, c, d])
    }

    /// RFC 7432 7.5. `label`: 24 bits.
    pub fn esi_label(single_active: bool, label: u32) -> ExtendedCommunity {
        let [_, a, b, c] = label.to_be_bytes();
        ExtendedCommunity([0x06, 0x01, u8::from(single_active), 0, 0, a, b, c])
    }

    /// RFC 7432 7.6: for the routers of this Ethernet segment.
    pub fn es_import(mac: Mac) -> ExtendedCommunity {
        ExtendedCommunity::of_mac(0x02, mac)
    }

    /// RFC 9135 8.1: where routed frames are sent to.
    pub fn router_mac(mac: Mac) -> ExtendedCommunity {
        ExtendedCommunity::of_mac(0x03, mac)
    }

    fn of_mac(subtype: u8, Mac([a, b, c, d, e, f]): Mac) -> ExtendedCommunity {
        ExtendedCommunity([0x06, subtype, a, b, c, d, e, f])
    }

    /// What it says, if it is one that EVPN needs.
    pub fn meaning(self) -> Option<Meaning> {
        let [kind, subtype, value @ ..] = self.0;
        let [a, b, c, d, e, f] = value;
        Some(match (kind, subtype) {
            (0x00..=0x02, 0x02) => Meaning::RouteTarget(RouteTarget(self.0)),
            (0x03, 0x0c) => Meaning::Encapsulation(u16::from_be_bytes([e, f])),
            (0x03, 0x0d) => Meaning::DefaultGateway,
            (0x06, 0x00) => {
                Meaning::MacMobility { sticky: a & 1 != 0, sequence: u32::from_be_bytes([c, d, e, f]) }
            }
            (0x06, 0x01) => {
                Meaning::EsiLabel { single_active: a & 1 != 0, label: u32::from_be_bytes([0, d, e, f]) }
            }
            (0x06, 0x02) => Meaning::EsImport(Mac([a, b, c, d, e, f])),
            (0x06, 0x03) => Meaning::RouterMac(Mac([a, b, c, d, e, f])),
            _ => return None,
        })
    }
}

impl From<RouteTarget> for ExtendedCommunity {
    fn from(target: RouteTarget) -> ExtendedCommunity {
        ExtendedCommunity(target.0)
    }
}

/// An extended community by what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaning {
    /// RFC 4360 4, RFC 5668 2: of an AS of two octets, an address, or an AS of four.
    RouteTarget(RouteTarget),
    /// The tunnel type of RFC 9012 4.1; see [`ExtendedCommunity::VXLAN`].
    Encapsulation(u16),
    DefaultGateway,
    MacMobility {
        sticky: bool,
        sequence: u32,
    },
    EsiLabel {
        single_active: bool,
        /// 24 bits.
        label: u32,
    },
    EsImport(Mac),
    RouterMac(Mac),
}

/// RFC 8092: three four-octet numbers, of which the first is an AS number that owns the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    pub global_administrator: u32,
    pub data1: u32,
    pub data2: u32,
}

impl LargeCommunity {
    pub fn new(global_administrator: u32, data1: u32, data2: u32) -> LargeCommunity {
        LargeCommunity { global_administrator, data1, data2 }
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global_administrator, self.data1, self.data2)
    }
}
