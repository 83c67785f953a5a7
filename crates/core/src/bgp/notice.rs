//! What a speaker tells the log, as types: the words are made elsewhere.

use super::change::SessionTerm;
use super::config::Family;
use crate::bfd::BfdDown;
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{BgpRole, EvpnFault, EvpnRoute};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};

/// One change of state, true when read alone. `neighbour` is `NeighbourConfig::name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "notice")]
pub enum Notice {
    /// The session stands: routes flow. Times in milliseconds, as negotiated; 0: none.
    Established { neighbour: String, router_id: Ipv4Addr, hold: u32, keepalive: u32 },
    /// A session that stood has ended, and with it every route it brought.
    Lost { neighbour: String, reason: SessionEnd },
    /// An attempt to set up a session failed for this reason, which is not the last one's. Silent
    /// until the reason changes or the session stands.
    Failing { neighbour: String, reason: SessionEnd },
    /// A neighbour has gone that means to be back within so many seconds and forwards meanwhile: its routes
    /// stay in use (RFC 4724).
    RoutesKept { neighbour: String, seconds: u16 },
    /// It was not back in time: what it did not tell again is gone.
    RoutesKeptNoLonger { neighbour: String },
    /// The kernel has routes of these families of an earlier life of ours: they stay in use, and nothing is chosen
    /// or told until neighbours have told everything (RFC 4724 4.1).
    Restarting { families: Vec<Family> },
    /// Routes of a family are chosen and told from here on, so many milliseconds after the start.
    RoutesSelected { family: Family, why: DeferralEnd, after_ms: u64 },
    /// A route was not taken. Once per prefix and reason, for the first of them.
    Refused { neighbour: String, prefix: Prefix, reason: ImportRefusal },
    /// The neighbour's list of refused routes is full: further ones are only counted.
    RefusedListFull { neighbour: String, listed: u32 },
    /// Policy has changed, and so many routes of the neighbour can be judged by it only when it tells them
    /// again: they were refused and not kept, and it cannot be asked (RFC 2918). Its session stands.
    NotJudgedAgain { neighbour: String, routes: u64 },
    /// The neighbour comes near its prefix limit. Once per family in a session.
    LimitNear { neighbour: String, family: Family, count: u32, limit: u32 },
    /// An UPDATE's attribute was wrong (RFC 7606). Once per attribute and reason in a session.
    AttributeError { neighbour: String, error: crate::wire::bgp::AttributeError },
    /// A route cannot be sent: its attributes leave no room in a message.
    TooLarge { neighbour: String, prefix: Prefix },
    /// EVPN routes were not taken. Once per reason in a session; `route`: the first of them, if it could
    /// be read.
    EvpnRefused { neighbour: String, route: Option<EvpnRoute>, reason: EvpnRefusal },
    /// An EVPN route cannot be sent: its attributes leave no room in a message.
    EvpnTooLarge { neighbour: String, route: EvpnRoute },
    /// We announce one of our own prefixes.
    OriginationStarted { prefix: Prefix },
    /// We no longer announce it: none of what it stands for can be reached.
    OriginationStopped { prefix: Prefix },
}

/// Why routes are no longer merely gathered after a restart of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeferralEnd {
    /// Everybody who was waited for has told everything.
    Told,
    /// Somebody has not come back, or not told everything, in time.
    Late,
    /// A link or a neighbour has failed: what the kernel holds may lead nowhere.
    Failure,
}

/// Why a session, or an attempt at one, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum SessionEnd {
    /// The link went down.
    LinkDown,
    /// TCP could not connect (refused, unreachable).
    ConnectFailed,
    /// TCP did not connect in time.
    ConnectTimeout,
    /// TCP stood, but no OPEN came in time.
    OpenTimeout,
    /// The far end closed the connection, or it broke, with no word.
    Closed,
    /// Nothing was heard for the hold time.
    HoldExpired,
    /// BFD knows that the neighbour, or the way to it, is gone (RFC 5882 10.2).
    BfdDown { bfd: BfdDown },
    /// The neighbour has not read what we send for too long (RFC 9687).
    SendHoldExpired,
    /// The neighbour ended it.
    NotificationReceived { notification: crate::wire::bgp::Notification },
    /// We ended it over what the neighbour sent.
    NotificationSent { notification: crate::wire::bgp::Notification },
    /// Both ends dialled at once and the other connection is kept (RFC 4271 6.8).
    Collision,
    /// OPEN spoke of another AS number.
    WrongAsn { expected: Asn, found: Asn },
    /// OPEN speaks of another role than the file does, or of none where one is asked for (RFC 9234).
    RoleMismatch { expected: BgpRole, found: Option<BgpRole> },
    /// The two have no address family in common.
    NoCommonFamily,
    /// More prefixes came than the limit allows. The session rests for so many milliseconds.
    PrefixLimit { limit: u32, rest: u32 },
    /// The neighbour's link-local address changed.
    RemoteChanged,
    /// The configuration of the session changed: these of its terms, which no session outlives. Without any,
    /// the neighbour is none any more, or the engine that ended it does not say which.
    ConfigurationChanged { terms: Vec<SessionTerm> },
    /// We stop.
    Stopped,
}

/// Why an EVPN route was not taken from a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum EvpnRefusal {
    /// It is none that can be read.
    Nlri { fault: EvpnFault },
    /// By policy, or for its attributes.
    Import { reason: ImportRefusal },
}

/// Why a route was not taken from a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "refused")]
pub enum ImportRefusal {
    /// Our own (private) AS number stands in the path: it has been here (RFC 4271 9.1.2).
    OwnAsInPath { asn: Asn },
    /// The first AS number of the path is not the neighbour's.
    FirstAsNotNeighbours { first: Option<Asn> },
    /// From outside: the network's public AS number stands in the path.
    PublicAsInPath,
    /// From outside: a private or reserved AS number stands in the path.
    BogonAsInPath { asn: Asn },
    /// From outside: AS_SETs are no longer accepted (RFC 9774).
    AsSetInPath,
    /// From outside: somebody on its way said that it goes to customers only, and this neighbour is not
    /// above us (RFC 9234 5).
    Leak { told_by: Asn },
    /// From outside: a default route.
    Default,
    /// From outside: within a prefix that nobody may announce.
    Bogon { within: Prefix },
    /// From outside: longer than /24 or /48.
    TooLong,
    /// From outside: shorter than /8 or /16.
    TooShort,
    /// From outside: within a prefix of our own.
    OwnPrefix { within: Prefix },
    /// From a customer: not among what it may announce.
    NotTheCustomers,
    /// Not among what the file lists for this neighbour.
    NotListed,
    /// Its path goes by a network by which nothing is taken from this neighbour.
    Via { asn: Asn },
    /// It begins at a network at which nothing from this neighbour may begin.
    OriginNotListed { origin: Option<Asn> },
    /// The next hop is one of our own addresses, no address of a router, or on another network than
    /// the session.
    NextHop { next_hop: IpAddr },
    /// From outside: payloads cover the prefix, and none names this origin at this length (RFC 6811).
    /// `origin`: `None` where the path ends in a set.
    OriginInvalid { origin: Option<Asn> },
    /// From outside: the path goes up from `customer` to one that is none of the providers that it has
    /// signed (ASPA).
    PathInvalid { customer: Asn, not_provider: Asn },
    /// As many paths of the neighbour to this prefix as there may be are there already (RFC 7911).
    TooManyPaths,
    /// The UPDATE's attributes were wrong: taken as a withdrawal (RFC 7606).
    TreatedAsWithdraw,
}
