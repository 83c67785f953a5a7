//! What is wrong with segments.

use crate::language::line::Family;
use serde::Serialize;
use std::net::IpAddr;
use tsumugi_core::id::{Asn, Prefix};

/// Segments of hosts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SegmentProblem {
    /// No host has such an address.
    KeepaliveNoHost {
        address: IpAddr,
    },
    GatewayOutsidePrefixes {
        gateway: Prefix,
    },
    GatewayInPool {
        gateway: Prefix,
        pool: Prefix,
    },
    GatewaysOverlap {
        gateway: Prefix,
        first: Prefix,
    },
    /// A part of ours that is lent to a customer already.
    GatewayIsLent {
        gateway: Prefix,
        prefix: Prefix,
        peer: String,
    },
    /// Hosts of IPv6 make themselves addresses in a /64 only (RFC 4862 5.5.3).
    GatewayNotSlash64 {
        gateway: Prefix,
    },
    /// Neither `ports` nor tables of any.
    NoPorts,
    /// One port with frames of a VLAN and frames without a tag.
    PortMixed {
        port: String,
        tag: u16,
    },
    /// What has no meaning without a gateway (for DHCP: of IPv4).
    GatewayMissing {
        key: &'static str,
    },
    DhcpBackwards,
    DhcpOutsideGateway {
        network: Prefix,
    },
    DhcpHoldsGateway {
        gateway: IpAddr,
    },
    DnsUnusable {
        address: IpAddr,
    },
    VtepMissing {
        family: Family,
    },
    IndexMissing {
        vni: u32,
    },
    IndexTwice {
        index: u16,
        first: String,
    },
    RouteTargetMissing {
        asn: Asn,
    },
    /// Two segments that would take each other's routes.
    RouteTargetShared {
        target: String,
        first: String,
    },
    StandbyWithoutLan,
    TwoActive {
        lan: String,
    },
    NoActive {
        lan: String,
    },
    LanOnOneRouter {
        lan: String,
        router: String,
    },
    /// A LAN with one port, and another that might be meant.
    LanOfOne {
        lan: String,
        like: Option<String>,
    },
    /// A LAN that is another segment's already.
    LanTwice {
        lan: String,
        first: String,
    },
    /// `deny` or `allow` of the segment itself.
    ReachSelf,
    ManagementAllowed,
    ManagementDenied,
    AllowOutside,
    DeniedAndAllowed {
        word: String,
    },
    AllowsNothing,
    /// The servers that hosts are told of are behind what `deny` names.
    DnsDenied {
        address: IpAddr,
    },
    /// The far end of a tunnel is a line of our own.
    RemoteIsLine {
        remote: IpAddr,
        router: String,
    },
}
