//! What a router is told of the segments that it carries: compiled from the file, never decided here.

use crate::id::{IfName, Mac, Prefix, Vni};
use crate::wire::bgp::{Esi, RouteDistinguisher, RouteTarget};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};

/// All segments with a port on this router.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvpnConfig {
    /// A digest of the network's name: tells our own probe frames from another network's.
    pub network: u64,
    /// The router's id in the file.
    pub router: u32,
    /// In the order of the file.
    pub segments: Vec<SegmentConfig>,
}

/// A segment on one router: a bridge with ports and, if other routers carry it too, a VXLAN device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentConfig {
    pub name: String,
    pub vni: Vni,
    pub bridge: IfName,
    /// `None`: no other router has a port of it.
    pub stretch: Option<Stretch>,
    pub ports: Vec<SegmentPort>,
    pub gateway: Option<Gateway>,
}

/// How a segment reaches its other routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The VXLAN device, a port of the bridge.
    pub vxlan: IfName,
    /// Our loopback, of the family that all the segment's routers use.
    pub vtep: IpAddr,
    pub rd: RouteDistinguisher,
    /// Routes with any of these are taken. Never empty.
    pub import: Vec<RouteTarget>,
    /// Put on what we announce. Never empty.
    pub export: Vec<RouteTarget>,
}

/// Where hosts attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentPort {
    pub link: IfName,
    /// Tells the router's ports apart in probe frames; stable while the file says the same.
    pub number: u16,
    /// If the LAN behind it is joined to other ports of the segment too.
    pub lan: Option<SharedLan>,
}

/// A LAN that hangs on several ports, of which one forwards at a time (single-active).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLan {
    pub name: String,
    pub esi: Esi,
    /// Who forwards: the lowest that is there. 0 is the active port; unique within the LAN.
    pub preference: u16,
}

/// The router as the hosts' way out: the same address and MAC on every router that carries the segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The bridge's MAC, the same everywhere. It never crosses a VXLAN device.
    pub mac: Mac,
    /// This router's own MAC in the segment: it asks for silent hosts with it, and other routers
    /// know it as a static MAC behind our VTEP.
    pub own_mac: Mac,
    /// The bridge's link-local address, the same everywhere: the hosts' next hop in IPv6.
    pub link_local: Ipv6Addr,
    /// This router's own link-local address: the source of its questions. Not on any interface.
    pub own_link_local: Ipv6Addr,
    /// With their prefix lengths.
    pub addresses: Vec<Prefix>,
    /// Told to hosts in router advertisements (RFC 8106) and DHCP.
    pub dns: Vec<IpAddr>,
    pub dhcp: Option<Dhcp>,
}

/// IPv4 addresses for hosts that ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dhcp {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
    /// Seconds.
    pub lease: u32,
}
