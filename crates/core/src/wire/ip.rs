//! What both IP families share: protocol numbers, and a packet of either one.

use super::{Malformed, ipv4, ipv6};
use core::net::IpAddr;

/// IP protocol numbers and IPv6 extension headers (IANA).
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    /// What follows is nobody's (RFC 8200 4.7).
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const ETHERIP: u8 = 97;
}

/// A packet of either family whose lengths agree with its bytes.
#[derive(Debug, Clone, Copy)]
pub enum Packet<'a> {
    V4(ipv4::Packet<'a>),
    V6(ipv6::Packet<'a>),
}

impl<'a> Packet<'a> {
    /// # Errors
    /// As the family's own; `Version` if it is neither.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        match version(bytes) {
            Some(4) => ipv4::Packet::new_checked(bytes).map(Packet::V4),
            Some(6) => ipv6::Packet::new_checked(bytes).map(Packet::V6),
            Some(_) => Err(Malformed::Version),
            None => Err(Malformed::Truncated),
        }
    }

    pub fn source(&self) -> IpAddr {
        match self {
            Packet::V4(packet) => packet.source().into(),
            Packet::V6(packet) => packet.source().into(),
        }
    }

    pub fn destination(&self) -> IpAddr {
        match self {
            Packet::V4(packet) => packet.destination().into(),
            Packet::V6(packet) => packet.destination().into(),
        }
    }

    /// DSCP and ECN.
    pub fn traffic_class(&self) -> u8 {
        match self {
            Packet::V4(packet) => packet.traffic_class(),
            Packet::V6(packet) => packet.traffic_class(),
        }
    }

    /// Bytes of the whole packet.
    pub fn total_len(&self) -> usize {
        match self {
            Packet::V4(packet) => packet.total_len(),
            Packet::V6(packet) => packet.total_len(),
        }
    }
}

/// The version nibble that every IP packet begins with; `None` of nothing.
pub fn version(bytes: &[u8]) -> Option<u8> {
    bytes.first().map(|first| first >> 4)
}

/// Sets DSCP and ECN in place, the IPv4 checksum mended.
///
/// # Errors
/// As [`Packet::new_checked`].
pub fn set_traffic_class(bytes: &mut [u8], class: u8) -> Result<(), Malformed> {
    match Packet::new_checked(bytes)? {
        Packet::V4(_) => ipv4::set_traffic_class(bytes, class),
        Packet::V6(_) => ipv6::set_traffic_class(bytes, class),
    }
    Ok(())
}
