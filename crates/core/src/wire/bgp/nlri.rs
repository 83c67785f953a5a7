//! Prefixes on the wire: a length in bits and as many bytes as it takes (RFC 4271 4.3, RFC 4760 5).

use crate::id::Prefix;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ipnet::{Ipv4Net, Ipv6Net};

/// The bytes of a path identifier.
pub(super) const PATH_ID_LEN: usize = 4;

/// An address family and what its routes are for (RFC 4760 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AfiSafi {
    pub afi: u16,
    pub safi: u8,
}

impl AfiSafi {
    pub const IPV4_UNICAST: AfiSafi = AfiSafi { afi: 1, safi: 1 };
    pub const IPV6_UNICAST: AfiSafi = AfiSafi { afi: 2, safi: 1 };

    /// RFC 7432 4: L2VPN, EVPN.
    pub const EVPN: AfiSafi = AfiSafi { afi: 25, safi: 70 };

    pub fn of(prefix: &Prefix) -> AfiSafi {
        match prefix {
            Prefix::V4(_) => AfiSafi::IPV4_UNICAST,
            Prefix::V6(_) => AfiSafi::IPV6_UNICAST,
        }
    }

    /// Of prefixes alone.
    pub fn is_unicast(self) -> bool {
        self == AfiSafi::IPV4_UNICAST || self == AfiSafi::IPV6_UNICAST
    }

    /// The bytes that the longest route takes.
    pub(super) fn longest(self) -> usize {
        match self {
            AfiSafi::IPV4_UNICAST => 5,
            AfiSafi::IPV6_UNICAST => 17,
            // Type 5 of IPv6 (RFC 9136 3.1).
            _ => 60,
        }
    }
}

/// Families whose routes come with path identifiers, in one direction of a session (RFC 7911).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathIds {
    pub ipv4: bool,
    pub ipv6: bool,
}

impl PathIds {
    pub const NONE: PathIds = PathIds { ipv4: false, ipv6: false };

    pub fn of(self, family: AfiSafi) -> bool {
        match family {
            AfiSafi::IPV4_UNICAST => self.ipv4,
            AfiSafi::IPV6_UNICAST => self.ipv6,
            _ => false,
        }
    }
}

/// A prefix as an UPDATE lists it. Without an identifier a neighbour has one route to it; with them as many as there
/// are identifiers, which mean nothing else (RFC 7911 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnicastNlri {
    pub prefix: Prefix,
    pub path_id: Option<u32>,
}

impl From<Prefix> for UnicastNlri {
    fn from(prefix: Prefix) -> UnicastNlri {
        UnicastNlri { prefix, path_id: None }
    }
}

/// What an UPDATE lists: routes of one family, one behind the other.
pub trait Nlri {
    fn family(&self) -> AfiSafi;

    /// The bytes that it takes.
    fn wire_len(&self) -> usize;

    fn emit(&self, out: &mut Vec<u8>);

    /// Whether an identifier stands before it (RFC 7911 3).
    fn has_path_id(&self) -> bool {
        false
    }
}

impl Nlri for Prefix {
    fn family(&self) -> AfiSafi {
        AfiSafi::of(self)
    }

    fn wire_len(&self) -> usize {
        1 + usize::from(self.prefix_len()).div_ceil(8)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let bytes = self.wire_len() - 1;
        out.push(self.prefix_len());
        match self.network() {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()[..bytes]),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()[..bytes]),
        }
    }
}

impl Nlri for UnicastNlri {
    fn family(&self) -> AfiSafi {
        self.prefix.family()
    }

    fn wire_len(&self) -> usize {
        self.prefix.wire_len() + if self.path_id.is_some() { PATH_ID_LEN } else { 0 }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.path_id {
            out.extend_from_slice(&id.to_be_bytes());
        }
        self.prefix.emit(out);
    }

    fn has_path_id(&self) -> bool {
        self.path_id.is_some()
    }
}

/// All prefixes of a field, each behind its path identifier where there are such; `None` if one is too long for the
/// family or for the field, or an identifier is cut off. Bits behind the prefix are of no meaning and cleared.
pub(super) fn parse(mut field: &[u8], ipv6: bool, path_ids: bool) -> Option<Vec<UnicastNlri>> {
    // Four bytes a prefix is what real tables come to; at most one a byte.
    let least = if path_ids { 4 + PATH_ID_LEN } else { 4 };
    let mut routes = Vec::with_capacity(field.len().div_ceil(least));
    while !field.is_empty() {
        let mut path_id = None;
        if path_ids {
            let (id, rest) = field.split_first_chunk::<PATH_ID_LEN>()?;
            (path_id, field) = (Some(u32::from_be_bytes(*id)), rest);
        }
        let (&length, rest) = field.split_first()?;
        let bytes = usize::from(length).div_ceil(8);
        let (address, rest) = rest.split_at_checked(bytes)?;
        let prefix = if ipv6 {
            let mut octets = [0; 16];
            octets.get_mut(..bytes)?.copy_from_slice(address);
            Prefix::V6(Ipv6Net::new(Ipv6Addr::from(octets), length).ok()?)
        } else {
            let mut octets = [0; 4];
            octets.get_mut(..bytes)?.copy_from_slice(address);
            Prefix::V4(Ipv4Net::new(Ipv4Addr::from(octets), length).ok()?)
        };
        routes.push(UnicastNlri { prefix: prefix.trunc(), path_id });
        field = rest;
    }
    Some(routes)
}
