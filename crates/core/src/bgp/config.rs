//! What a speaker is told: compiled from the file, never decided here.

use crate::bfd::BfdTerms;
use crate::id::{Asn, IfName, InvalidName, KeyName, Plane, Prefix};
use crate::wire::bgp::BgpRole;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;
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
    /// Whether there may be several paths to one prefix.
    #[serde(skip_serializing_if = "AddPaths::is_nothing")]
    pub add_paths: AddPaths,
}

/// Several paths to one prefix, told apart by identifiers (RFC 7911): both only if the neighbour agrees in OPEN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddPaths {
    /// Those of the neighbour are taken, at most 64 to a prefix.
    pub receive: bool,
    /// The neighbour is told so many to a prefix at most, the best first; `None`: the best alone, with no identifier.
    pub send: Option<u8>,
}

impl AddPaths {
    fn is_nothing(&self) -> bool {
        *self == AddPaths::default()
    }
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
    /// What it may announce. `None`: whatever the role lets in, which of a customer is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<PrefixRange>>,
    /// Where its routes may begin; empty: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Asn>,
    /// Routes that come by one of these networks are not taken from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_via: Vec<Asn>,
    /// Of what the role lets out, only these and what is within them. `None`: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announce: Option<Vec<Prefix>>,
    /// Of what the role lets out, not these nor what is within them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withhold: Vec<Prefix>,
    /// Private AS numbers allowed in a customer's paths.
    pub allowed_private_asns: Vec<Asn>,
    /// The public AS number is prepended this many times beyond the first.
    pub extra_prepends: u8,
    /// More routes than this per family end the session, each path to a prefix counted; `None`: no limit.
    pub prefix_limit: Option<u32>,
    /// What becomes of its routes that the RPKI calls invalid.
    #[serde(default, skip_serializing_if = "Invalid::is_drop")]
    pub invalid: Invalid,
}

impl OutsidePolicy {
    /// What the role alone comes to. Of a customer nothing is listed yet: it may announce nothing.
    pub fn of(role: Role) -> OutsidePolicy {
        OutsidePolicy {
            role,
            listed: None,
            origins: Vec::new(),
            never_via: Vec::new(),
            announce: None,
            withhold: Vec::new(),
            allowed_private_asns: Vec::new(),
            extra_prepends: 0,
            prefix_limit: None,
            invalid: Invalid::Drop,
        }
    }
}

/// A prefix and what is within it, of some lengths: as text `192.0.2.0/24` for itself alone,
/// `192.0.2.0/24<=28` for itself and what is within up to /28, `192.0.2.0/24>=26<=28` for what is within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PrefixRange {
    /// Host bits zero.
    pub prefix: Prefix,
    /// At least the prefix's own length.
    pub least: u8,
    /// At least `least`, at most what the family has.
    pub most: u8,
}

impl PrefixRange {
    pub fn exact(prefix: Prefix) -> PrefixRange {
        PrefixRange { prefix: prefix.trunc(), least: prefix.prefix_len(), most: prefix.prefix_len() }
    }

    /// Itself and what is within, no longer than `most`.
    pub fn up_to(prefix: Prefix, most: u8) -> PrefixRange {
        let exact = PrefixRange::exact(prefix);
        PrefixRange { most: most.clamp(exact.least, prefix.max_prefix_len()), ..exact }
    }

    /// Whether this very prefix is one of them.
    pub fn admits(&self, prefix: &Prefix) -> bool {
        self.prefix.contains(prefix) && (self.least..=self.most).contains(&prefix.prefix_len())
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.prefix.prefix_len();
        write!(f, "{}", self.prefix)?;
        if self.least != own {
            write!(f, ">={}", self.least)?;
        }
        if self.most != own { write!(f, "<={}", self.most) } else { Ok(()) }
    }
}

impl FromStr for PrefixRange {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<PrefixRange, InvalidName> {
        let length = |text: &str| text.parse::<u8>().map_err(|_| InvalidName);
        let (rest, most) = match text.split_once("<=") {
            Some((rest, most)) => (rest, Some(length(most)?)),
            None => (text, None),
        };
        let (rest, least) = match rest.split_once(">=") {
            Some((rest, least)) => (rest, Some(length(least)?)),
            None => (rest, None),
        };
        let prefix: Prefix = rest.parse().map_err(|_| InvalidName)?;
        let least = least.unwrap_or(prefix.prefix_len());
        let most = most.unwrap_or(least);
        let sound = prefix == prefix.trunc()
            && (prefix.prefix_len()..=most).contains(&least)
            && most <= prefix.max_prefix_len();
        if sound { Ok(PrefixRange { prefix, least, most }) } else { Err(InvalidName) }
    }
}

impl From<PrefixRange> for String {
    fn from(range: PrefixRange) -> String {
        range.to_string()
    }
}

impl TryFrom<String> for PrefixRange {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<PrefixRange, InvalidName> {
        text.parse()
    }
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

/// The peer's word, as we see it: it is our provider, our peer, our customer, or the route server of an
/// exchange of which we are a client (RFC 7947).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Provider,
    Peer,
    Customer,
    RouteServer,
}

impl Role {
    /// What such a neighbour says of itself in OPEN, and what we say to it (RFC 9234 4.2).
    pub fn agreed(self) -> (BgpRole, BgpRole) {
        match self {
            Role::Provider => (BgpRole::PROVIDER, BgpRole::CUSTOMER),
            Role::Peer => (BgpRole::PEER, BgpRole::PEER),
            Role::Customer => (BgpRole::CUSTOMER, BgpRole::PROVIDER),
            Role::RouteServer => (BgpRole::ROUTE_SERVER, BgpRole::ROUTE_SERVER_CLIENT),
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
    /// For how long a neighbour may leave unread what is to be sent to it. `None`: 8 minutes, or twice the hold
    /// time if that is longer (RFC 9687 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_hold: Option<u32>,
}

impl Timers {
    /// On inside links.
    pub const INSIDE: Timers =
        Timers { keepalive: 1_000, hold: 3_000, connect_retry: 500, connect_timeout: 1_000, send_hold: None };
    /// To other networks (RFC 4271 10, hold 90 s).
    pub const OUTSIDE: Timers = Timers {
        keepalive: 30_000,
        hold: 90_000,
        connect_retry: 5_000,
        connect_timeout: 10_000,
        send_hold: None,
    };
}
/// Who is told of sessions and routes by BMP (RFC 7854).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmpConfig {
    /// All of them are told everything.
    pub collectors: Vec<SocketAddr>,
    /// The plane in which they are reached.
    pub plane: Plane,
}
