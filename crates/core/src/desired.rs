//! The nouns of a Linux router, as one plane of it should be.
//!
//! A [`Desired`] is compiled from the file and is the same in the lab and in production. It says
//! only what tsumugi owns: what else stands in the namespace is left alone.

use crate::id::{IfName, Mac, Prefix};
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
}

impl DropReason {
    pub const ALL: [DropReason; 9] = [
        DropReason::BgpFromStranger,
        DropReason::BfdFromStranger,
        DropReason::VxlanFromStranger,
        DropReason::NotForRouters,
        DropReason::OurSourceFromOutside,
        DropReason::FalseSource,
        DropReason::NotATunnel,
        DropReason::NotManagement,
        DropReason::NoTransit,
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
        }
    }
}
