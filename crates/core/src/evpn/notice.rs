//! What is said about segments: types here, words in the shell.

use crate::id::{IfName, Mac};
use crate::wire::bgp::EvpnRoute;
use alloc::string::String;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Why a port takes and gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum BlockReason {
    /// Another port of its LAN forwards.
    Standby,
    /// It has just come up, and another port of its LAN may not have stopped yet.
    TakingOver,
    /// What it sends comes back on this port.
    LoopBehind,
    /// Its LAN is joined by a cable to another port of the network: the router's id, its interface.
    LoopWith { router: u32, port: IfName },
    /// MACs move back and forth between it and the rest of the segment.
    Flapping,
}

/// Why a route that is meant for a segment is not used. It is relayed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum RouteRefusal {
    /// Its encapsulation community names others than VXLAN (RFC 8365 5.1.3).
    NotVxlan,
    /// Its label is not the segment's VNI (RFC 8365 5.1.3: VNIs mean the same everywhere here).
    WrongVni { label: u32 },
    /// An Ethernet tag: a VLAN-aware bundle (RFC 7432 6.3), which no segment is.
    EthernetTag,
    /// A type 3 route without a tunnel (RFC 7432 11.2).
    NoPmsi,
    /// A tunnel of another kind (RFC 6514 5): nobody here floods by multicast.
    NotIngressReplication { kind: u8 },
    /// No address that a VTEP can have: unspecified, multicast, or not 4 or 16 bytes long.
    BadVtep,
    /// The VTEP is IPv4 and the segment IPv6, or the other way round.
    WrongFamily,
    /// All zeros, or a group's.
    BadMac,
    /// No address that a host can have.
    BadAddress,
    /// The gateway's MAC without the default-gateway community, or the one of this router.
    OurMac,
    /// Another MAC for the gateway's address.
    OurAddress,
    /// Another router is the same gateway (RFC 7432 10.1): nothing to learn, and nothing wrong.
    SameGateway,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    PortBlocked {
        segment: String,
        port: IfName,
        reason: BlockReason,
    },
    PortOpened {
        segment: String,
        port: IfName,
        reason: BlockReason,
    },
    /// RFC 7432 15.1: a MAC moved too often; it stays where it is until it is quiet.
    DuplicateMac {
        segment: String,
        mac: Mac,
    },
    DuplicateEnded {
        segment: String,
        mac: Mac,
    },
    /// Another VTEP claims a MAC of our own (a gateway's or a router's).
    OurMacClaimed {
        segment: String,
        mac: Mac,
        vtep: IpAddr,
    },
    /// A sticky MAC was heard elsewhere (RFC 7432 15.2).
    StickyMacMoved {
        segment: String,
        mac: Mac,
        port: IfName,
    },
    /// Two VTEPs say that a MAC is theirs for good: the lower address is believed.
    StickyMacClaimedTwice {
        segment: String,
        mac: Mac,
        kept: IpAddr,
        other: IpAddr,
    },
    /// A route for a segment is not used, the first of its kind from its VTEP.
    RouteRefused {
        segment: String,
        route: EvpnRoute,
        next_hop: IpAddr,
        reason: RouteRefusal,
    },
}
