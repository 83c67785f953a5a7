//! The nouns of a Linux router, as one plane of it should be.
//!
//! A [`Desired`] is compiled from the file and is the same in the lab and in production. It says
//! only what tsumugi owns: what else stands in the namespace is left alone.

use crate::id::{IfName, Mac, Prefix, Vni};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// The number that tags the plan's routes (`rtm_protocol`), addresses (`IFA_PROTO`) and neighbours
/// (`NDA_PROTOCOL`) in the kernel.
pub const ROUTE_PROTOCOL: u8 = 84;
/// The routing protocol number of what BGP learned. Two numbers, because two owners: the routes of
/// the plan are reconciled with the plan, those of BGP with what the speaker says, and neither ever
/// touches the other's.
pub const BGP_ROUTE_PROTOCOL: u8 = 85;
/// The metric of BGP's routes in both families: behind the plan's routes (the kernel's defaults, 0
/// and 1024), so that for one prefix both can stand and the plan wins.
pub const BGP_ROUTE_METRIC: u32 = 2048;
/// What the alias of every interface that we made or took begins with.
pub const ALIAS_TAG: &str = "tsumugi: ";
/// The name of our table in nftables, in the families inet and bridge.
pub const NFT_TABLE: &str = "tsumugi";

/// All that one plane should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// In the order in which they can be made: a parent before its children.
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub neighbours: Vec<Neighbour>,
    pub sysctls: Vec<Sysctl>,
    pub walls: Vec<Wall>,
    /// In the order of the file.
    pub segment_walls: Vec<SegmentWall>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Stable, at most 15 bytes.
    pub name: IfName,
    /// What it is, in words; follows [`ALIAS_TAG`] in the kernel's alias.
    pub alias: String,
    pub kind: LinkKind,
    /// Bytes of the layer above: an Ethernet header does not count.
    pub mtu: u32,
    /// `None`: as the device has it.
    pub mac: Option<Mac>,
    /// The bridge that it is a port of.
    pub master: Option<IfName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum LinkKind {
    /// A physical port of the machine, found in the initial namespace and moved here, its name kept.
    Port,
    /// Made over `parent` in the initial namespace and moved here: for boxes with one port.
    Macvlan {
        parent: IfName,
    },
    Bridge,
    /// A VXLAN device of this namespace (RFC 7348), a port of its bridge. It learns nothing by itself
    /// and answers neighbour questions that it knows the answer to (suppression).
    Vxlan {
        vni: Vni,
        /// Our VTEP: the outer source, and what it is reached by.
        local: IpAddr,
    },
    /// The frames of one VLAN (IEEE 802.1Q) on `parent`, which is of this namespace.
    Vlan {
        parent: IfName,
        tag: u16,
    },
    /// Made by a packet process (datapath or management), never here: its name, MTU and addresses
    /// are looked after once it exists.
    Tunnel,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    pub link: IfName,
    /// The address with its prefix length. IPv6 ones are set without duplicate detection.
    pub prefix: Prefix,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub prefix: Prefix,
    pub target: RouteTarget,
    /// Preferred source: the address of packets that this machine itself starts, errors included.
    pub source: Option<IpAddr>,
    /// A locked path MTU, in bytes of the outer packet.
    pub mtu: Option<u32>,
    /// `None`: the kernel's default for the family.
    pub metric: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "to")]
pub enum RouteTarget {
    /// One next hop, or several that are used together. Never empty.
    NextHops { next_hops: Vec<NextHop> },
    /// Silently dropped: what an originator holds for the AS's prefixes (RTN_BLACKHOLE).
    Discard,
    /// Answered with an ICMP error (RTN_UNREACHABLE).
    Unreachable,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NextHop {
    pub link: IfName,
    /// `None`: the far end of the link itself. May be IPv6 for an IPv4 prefix (RFC 8950).
    pub via: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Neighbour {
    pub link: IfName,
    pub address: IpAddr,
    pub mac: Mac,
}

/// What EVPN puts into the kernel beside the plan: nobody's plan holds it, a process that runs does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum BridgeEntry {
    /// Frames for everyone, and for nobody known, go to this VTEP as well.
    Flood { vxlan: IfName, vtep: IpAddr },
    /// A MAC is behind this VTEP. `sticky`: it cannot move to a port.
    Mac { vxlan: IfName, mac: Mac, vtep: IpAddr, sticky: bool },
    /// A host behind another VTEP, for suppression and for routing to it.
    Host { bridge: IfName, address: IpAddr, mac: Mac },
}

/// What no frame of a segment may do, whatever stands in other walls. All of it is in the bridge family.
///
/// Everywhere: frames for 01:80:c2:00:00:00/44 (BPDUs and other frames of one link, IEEE 802.1Q 8.6.3)
/// and our own loop probes never cross the bridge. Every drop is counted under its [`DropReason`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentWall {
    pub bridge: IfName,
    pub vxlan: Option<IfName>,
    pub ports: Vec<PortWall>,
    /// A gateway that other routers are as well: its ARP, neighbour discovery, router advertisements,
    /// DHCP and MAC never cross the VXLAN device, in either direction.
    pub gateway: Option<GatewayWall>,
    /// TCP that crosses the VXLAN device is held to these MSS (IPv4, IPv6), in bytes, never raised.
    pub clamp_v4: Option<u16>,
    pub clamp_v6: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortWall {
    pub link: IfName,
    /// Broadcast, multicast and unknown unicast frames a second, each kind by itself.
    pub storm_limit: u32,
    /// Blocked from the moment it exists, but for the short times that the process that elects says
    /// otherwise: of a LAN that hangs on several routers.
    pub starts_blocked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayWall {
    pub mac: Mac,
    /// What the router itself sends to a host behind another router leaves the VXLAN device from this
    /// MAC: from the gateway's it could not leave, and the bridge over there would take it for its own.
    pub own_mac: Mac,
    /// Without their prefix lengths, link-local included.
    pub addresses: Vec<IpAddr>,
}

/// One kernel setting of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sysctl {
    /// The path below /proc/sys with slashes: `net/ipv4/ip_forward`. A part that names an interface
    /// is present only while that interface is.
    pub key: String,
    pub value: String,
    /// Whether a router works without it (an ordinary user's namespace forbids some).
    pub optional: bool,
}

/// The rules of one hook, first match first. Our chains accept what no rule decided, unless
/// `otherwise` says drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    pub hook: Hook,
    pub rules: Vec<WallRule>,
    /// Why the rest is dropped; `None`: the rest is accepted.
    pub otherwise: Option<DropReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Before routing, before connection tracking: for source filters.
    Prerouting,
    Input,
    Forward,
    Output,
}

/// What one rule looks at: all that is stated must hold; a list holds if any of it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Interfaces the packet came in by.
    pub iif: Vec<IfName>,
    /// Interfaces the packet leaves by.
    pub oif: Vec<IfName>,
    /// Sources; of one family per rule.
    pub from: Vec<Prefix>,
    /// The source is none of these; of one family per rule.
    pub not_from: Vec<Prefix>,
    /// Destinations; of one family per rule.
    pub to: Vec<Prefix>,
    pub protocol: Option<ProtocolMatch>,
    /// The hop limit (IPv4: TTL) on arrival: 255 says that no router has passed it on. Only beside addresses,
    /// which say the family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop_limit: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "protocol")]
pub enum ProtocolMatch {
    /// TCP to (or, with `either`, also from) one of these ports.
    Tcp {
        ports: Vec<u16>,
        either: bool,
    },
    Udp {
        ports: Vec<u16>,
        either: bool,
    },
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp,
    /// Neighbour discovery and router messages of IPv6 (types 133 to 137).
    NeighbourDiscovery,
    Number {
        number: u8,
    },
    /// TCP SYN of one family, for clamping.
    TcpSyn {
        ipv6: bool,
    },
    /// A fragment but not the first: it has no ports, and without its first it reaches nobody. In
    /// IPv6 the input hook sees fragments (reassembly comes after it), in IPv4 none.
    LaterFragment,
    /// Packets of connections that were let in before (stateful).
    Established,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallRule {
    #[serde(rename = "match")]
    pub matches: Match,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Verdict {
    Accept,
    /// Dropped and counted under its reason.
    Drop {
        reason: DropReason,
    },
    /// The MSS option of TCP is lowered to this many bytes, never raised.
    ClampMss {
        mss: u16,
    },
}

/// Why a wall dropped a packet. The counter in nftables bears the reason's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// BGP from somebody who is no neighbour of the plan.
    BgpFromStranger,
    /// BFD from somebody who is no neighbour of the plan.
    BfdFromStranger,
    /// VXLAN from somebody who is no VTEP of the plan.
    VxlanFromStranger,
    /// From outside or a segment to one of our loopbacks or routers, and not ICMP.
    NotForRouters,
    /// Came from outside with a source that is ours.
    OurSourceFromOutside,
    /// A customer's or guest's packet with a source that is not theirs (BCP 38).
    FalseSource,
    /// In the underlay: no protocol of our tunnels, or not from a known far end.
    NotATunnel,
    /// In the management plane: not from the management space.
    NotManagement,
    /// Would have crossed from one line to another, or through a plane that forwards nothing.
    NoTransit,
    /// From a segment to another one, or to what its `deny` names.
    DeniedToSegment,
    /// Mail (TCP port 25) from a segment that may not send any.
    MailFromSegment,
    /// A frame that belongs to one link only: a BPDU, a loop probe.
    LinkLocalFrame,
    /// On a port that is blocked: a standby's, or one with a loop.
    BlockedPort,
    /// More broadcast, multicast or unknown unicast than a port may send.
    Storm,
    /// A gateway's own frame on its way to or from another router's gateway.
    GatewayFrame,
    /// From a host that plays the gateway, another router, or a DHCP server.
    FalseGateway,
}

impl DropReason {
    pub const ALL: [DropReason; 16] = [
        DropReason::BgpFromStranger,
        DropReason::BfdFromStranger,
        DropReason::VxlanFromStranger,
        DropReason::NotForRouters,
        DropReason::OurSourceFromOutside,
        DropReason::FalseSource,
        DropReason::NotATunnel,
        DropReason::NotManagement,
        DropReason::NoTransit,
        DropReason::DeniedToSegment,
        DropReason::MailFromSegment,
        DropReason::LinkLocalFrame,
        DropReason::BlockedPort,
        DropReason::Storm,
        DropReason::GatewayFrame,
        DropReason::FalseGateway,
    ];

    /// The name of its counter.
    pub fn counter(self) -> &'static str {
        match self {
            DropReason::BgpFromStranger => "bgp-from-stranger",
            DropReason::BfdFromStranger => "bfd-from-stranger",
            DropReason::VxlanFromStranger => "vxlan-from-stranger",
            DropReason::NotForRouters => "not-for-routers",
            DropReason::OurSourceFromOutside => "our-source-from-outside",
            DropReason::FalseSource => "false-source",
            DropReason::NotATunnel => "not-a-tunnel",
            DropReason::NotManagement => "not-management",
            DropReason::NoTransit => "no-transit",
            DropReason::DeniedToSegment => "denied-to-segment",
            DropReason::MailFromSegment => "mail-from-segment",
            DropReason::LinkLocalFrame => "link-local-frame",
            DropReason::BlockedPort => "blocked-port",
            DropReason::Storm => "storm",
            DropReason::GatewayFrame => "gateway-frame",
            DropReason::FalseGateway => "false-gateway",
        }
    }
}
