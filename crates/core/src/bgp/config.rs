//! What a speaker is told: compiled from the file, never decided here.

use crate::bfd::BfdTerms;
use crate::id::{Asn, IfName, KeyName, Plane, Prefix};
use crate::wire::bgp::BgpRole;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeakerConfig {
    /// BGP identifier (RFC 6286): non-zero, unique within the network.
    pub router_id: Ipv4Addr,
    /// The router's own AS number, private, spoken on inside links.
    pub asn: Asn,
    /// The network's AS number, spoken to the outside.
    pub public_asn: Asn,
    /// Exactly the AS numbers of the file's routers: stripped from what leaves, sorted.
    pub inside_asns: Vec<Asn>,
    /// Preferred source of every route, per family.
    pub source_v4: Option<Ipv4Addr>,
    pub source_v6: Option<Ipv6Addr>,
    pub originate: Vec<Origination>,
    pub neighbours: Vec<NeighbourConfig>,
    /// Prefixes that are never taken from outside, nor anything within them (RFC 6890 and others).
    pub bogons: Vec<Prefix>,
    /// The AS's own prefixes: nothing within them is taken from outside (a customer's stated
    /// assignment excepted), and only these themselves leave.
    pub own_prefixes: Vec<Prefix>,
    /// Equal paths used together.
    pub max_paths: u8,
    /// The router is about to go: whoever hears its routes is asked to prefer any other (RFC 8326).
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub draining: bool,
}

/// A prefix that this router announces as the network's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origination {
    pub prefix: Prefix,
    /// Announced only while a route to at least one of these is there, learned from a neighbour;
    /// empty: always.
    pub while_reaching: Vec<Prefix>,
    /// True: the kernel holds a discard route for it while it is announced.
    pub discard: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourConfig {
    /// Unique: the far router's name and the link, or the peer's name and family.
    pub name: String,
    pub transport: Transport,
    /// The AS number we present in OPEN.
    pub local_asn: Asn,
    /// The only AS number we accept in OPEN.
    pub remote_asn: Asn,
    pub relation: Relation,
    pub families: Vec<Family>,
    pub timers: Timers,
    #[serde(default, skip_serializing_if = "Terms::is_nothing")]
    pub terms: Terms,
}

/// What is agreed about one session besides its policy. Nothing of it unless it is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// The session is about to go: both ends prefer any other (RFC 8326).
    pub drain: bool,
    /// Who does not say its role in OPEN is no neighbour (RFC 9234 4.2).
    pub strict_role: bool,
    /// Nothing is taken that has crossed a router on its way (RFC 5082).
    pub gtsm: bool,
    /// The secret with which every segment of the TCP connection is signed (RFC 2385).
    pub password: Option<KeyName>,
    /// How it is watched (RFC 5880); `None`: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdTerms>,
    /// Of the prefix limit.
    pub limit: LimitTerms,
}

/// What becomes of a neighbour that comes near its prefix limit, and of one that goes beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitTerms {
    /// The log hears of so many percent of it.
    pub warn_percent: u8,
    /// In milliseconds: how long the session then rests.
    pub rest: u32,
}

impl Default for LimitTerms {
    fn default() -> LimitTerms {
        LimitTerms { warn_percent: 75, rest: 15 * 60_000 }
    }
}

impl Terms {
    fn is_nothing(&self) -> bool {
        *self == Terms::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    Ipv4Unicast,
    Ipv6Unicast,
    /// Segments' routes (RFC 7432); inside only.
    Evpn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Transport {
    /// Between link-local addresses on one link (RFC 8950 for IPv4).
    Unnumbered {
        link: IfName,
        local: Ipv6Addr,
        /// `None`: the source of the router advertisements heard on the link.
        remote: Option<Ipv6Addr>,
    },
    /// An outside connection with addresses of its own. `network`: what is reached on the link itself.
    Numbered { link: IfName, local: IpAddr, remote: IpAddr, network: Prefix },
}

impl Transport {
    pub fn link(&self) -> &IfName {
        match self {
            Transport::Unnumbered { link, .. } | Transport::Numbered { link, .. } => link,
        }
    }
}

/// What the neighbour is to us, and with it the whole policy (RFC 8212: there is always one).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Relation {
    /// Another router of the file. `prepends`: how often our own AS number stands in the path on
    /// this link, at least 1: the link's cost.
    Inside {
        prepends: u8,
    },
    Outside(OutsidePolicy),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsidePolicy {
    pub role: Role,
    /// What a customer may announce: exactly these and what is within them. Empty for others.
    pub customer_prefixes: Vec<Prefix>,
    /// Private AS numbers allowed in a customer's paths.
    pub allowed_private_asns: Vec<Asn>,
    /// The public AS number is prepended this many times beyond the first.
    pub extra_prepends: u8,
    /// More prefixes than this per family end the session; `None`: no limit.
    pub prefix_limit: Option<u32>,
    /// What becomes of its routes that the RPKI calls invalid.
    #[serde(default, skip_serializing_if = "Invalid::is_drop")]
    pub invalid: Invalid,
}

/// What becomes of a route that is invalid by its origin (RFC 6811) or by its path (ASPA).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invalid {
    /// It is not taken. The default: a forged route is mostly longer than the true one, and the longer
    /// prefix wins however little it is preferred (RFC 7454 6.1.1.2).
    #[default]
    Drop,
    /// It is taken as the last choice of its class.
    Last,
    /// It is taken as if nobody had looked.
    Take,
}

impl Invalid {
    fn is_drop(&self) -> bool {
        *self == Invalid::Drop
    }
}

/// The peer's word, as we see it: it is our provider, our peer, our customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Provider,
    Peer,
    Customer,
}

impl Role {
    /// What such a neighbour says of itself in OPEN, and what we say to it (RFC 9234 4.2).
    pub fn agreed(self) -> (BgpRole, BgpRole) {
        match self {
            Role::Provider => (BgpRole::PROVIDER, BgpRole::CUSTOMER),
            Role::Peer => (BgpRole::PEER, BgpRole::PEER),
            Role::Customer => (BgpRole::CUSTOMER, BgpRole::PROVIDER),
        }
    }
}

/// All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    pub keepalive: u32,
    /// RFC 4271: zero or at least 3000.
    pub hold: u32,
    /// From a failed attempt to the next.
    pub connect_retry: u32,
    /// How long an attempt to connect may take.
    pub connect_timeout: u32,
}

impl Timers {
    /// On inside links.
    pub const INSIDE: Timers =
        Timers { keepalive: 1_000, hold: 3_000, connect_retry: 500, connect_timeout: 1_000 };
    /// To other networks (RFC 4271 10, hold 90 s).
    pub const OUTSIDE: Timers =
        Timers { keepalive: 30_000, hold: 90_000, connect_retry: 5_000, connect_timeout: 10_000 };
}
/// Who is told of sessions and routes by BMP (RFC 7854).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmpConfig {
    /// All of them are told everything.
    pub collectors: Vec<SocketAddr>,
    /// The plane in which they are reached.
    pub plane: Plane,
}
