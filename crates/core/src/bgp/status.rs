//! What a speaker says of itself.

use super::change::SessionTerm;
use super::event::{NextHop, SpeakerRoute};
use super::notice::{DeferralEnd, EvpnRefusal, ImportRefusal, SessionEnd};
use super::policy::ExportRefusal;
use crate::bgp::config::{Family, Role};
use crate::id::{Asn, IfName, Prefix};
use crate::rpki::{Validity, Vrp};
use crate::wire::bgp::{AttributeError, Origin};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeakerStatus {
    pub router_id: Ipv4Addr,
    pub asn: Asn,
    pub public_asn: Asn,
    /// In the order of the configuration.
    pub neighbours: Vec<NeighbourStatus>,
    /// Prefixes and EVPN routes in the Loc-RIB, our own included.
    pub prefixes: FamilyCounts,
    /// Our own prefixes that we announce now.
    pub originated: Vec<Prefix>,
    /// Our own prefixes that we do not announce, because what they stand for cannot be reached.
    pub held_back: Vec<Prefix>,
    /// What of our own leaves, as the RPKI sees it; empty while nothing is known.
    pub own_validity: Vec<OwnValidity>,
    /// What was found of an earlier life of ours, and what has become of it; `None`: nothing was there.
    pub restart: Option<RestartStatus>,
}

/// A restart of ours (RFC 4724 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartStatus {
    /// Families of which the kernel had something when this life began.
    pub found: Vec<Family>,
    /// Those of which nothing is chosen and told yet.
    pub deferred: Vec<Deferred>,
    /// Those of which it is.
    pub selected: Vec<Selected>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    pub family: Family,
    /// Neighbours, and how many milliseconds more they are waited for at most.
    pub waits_for: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    pub family: Family,
    pub why: DeferralEnd,
    /// Since this life began, in milliseconds.
    pub after_ms: u64,
}

/// One of our own prefixes by the payloads of RPKI, with the network's public AS number as its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnValidity {
    pub prefix: Prefix,
    pub validity: Validity,
    /// Those that cover it.
    pub payloads: Vec<Vrp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCounts {
    pub ipv4: u32,
    pub ipv6: u32,
    pub evpn: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourStatus {
    pub name: String,
    pub link: IfName,
    /// `None`: not heard yet.
    pub remote: Option<IpAddr>,
    pub remote_asn: Asn,
    /// `None`: another router of the network.
    pub role: Option<Role>,
    pub state: SessionState,
    /// How long the session has stood, in milliseconds.
    pub established_for_ms: Option<u64>,
    /// How long ago the last session ended, while none stands, in milliseconds; `None`: there was none.
    pub down_for_ms: Option<u64>,
    /// How often it has come to stand since the start.
    pub established_count: u32,
    /// As negotiated, in milliseconds; 0: none, or no session.
    pub hold_ms: u32,
    pub keepalive_ms: u32,
    /// Families of which it tells several paths to a prefix, as negotiated (RFC 7911).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths_received: Vec<Family>,
    /// Families of which it is told several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths_sent: Vec<Family>,
    /// The neighbour's BGP identifier, while a session stands.
    pub router_id: Option<Ipv4Addr>,
    /// Why the last session or attempt ended.
    pub last_end: Option<SessionEnd>,
    /// Routes taken from it, each path to a prefix counted.
    pub accepted: FamilyCounts,
    /// It restarts: for how many milliseconds more what it told is kept at most; `None`: it does not.
    #[serde(default)]
    pub kept_ms: Option<u64>,
    /// What is kept of it although it has not told it again (RFC 4724, RFC 7313).
    #[serde(default)]
    pub stale: FamilyCounts,
    /// Routes announced to it.
    pub announced: FamilyCounts,
    /// Routes that wait to be sent to it.
    pub pending: u32,
    /// Messages since the start: UPDATEs in and out.
    pub updates_in: u64,
    pub updates_out: u64,
    /// Routes that it announces and that we refuse: at most 256.
    pub refused: Vec<Refused>,
    /// Refusals since the session came to stand, those beyond the list included.
    pub refused_count: u64,
    /// What it announces now and we refuse, as far as it is kept.
    pub refused_now: FamilyCounts,
    /// Refusals of which nothing is kept.
    pub refused_beyond: u64,
    /// Routes of it that are refused as invalid and kept, for when they no longer are.
    pub held: u32,
    /// EVPN routes that were not taken since the session came to stand, by reason.
    pub evpn_refused: Vec<EvpnRefused>,
    /// What was wrong with attributes of its UPDATEs since the start, by kind (RFC 7606).
    #[serde(default)]
    pub attribute_errors: Vec<AttributeErrorCount>,
    /// It can be asked to tell everything again (RFC 2918), while a session stands; else what it tells is
    /// kept for a changed policy.
    #[serde(default)]
    pub route_refresh: bool,
    /// A changed policy is being applied to what was kept of it.
    #[serde(default)]
    pub judging: bool,
    /// What has changed since the session began and comes into force with the next one.
    #[serde(default)]
    pub waits: Vec<SessionTerm>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub prefix: Prefix,
    /// The neighbour's, where it says one (RFC 7911).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    pub reason: ImportRefusal,
    /// Of what could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_path: Option<String>,
    /// Of one that is refused as invalid by its origin: the payloads that say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payloads: Vec<Vrp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeErrorCount {
    #[serde(flatten)]
    pub error: AttributeError,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvpnRefused {
    pub reason: EvpnRefusal,
    pub count: u64,
}

/// What the neighbour's session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// The start, or the end of a penalty (Idle).
    AwaitStart,
    /// The link's carrier (Idle).
    AwaitLink,
    /// A router advertisement, to know whom to dial (Idle).
    AwaitRemote,
    /// The time of the next attempt, or the neighbour's call (Active).
    AwaitRetry,
    /// TCP (Connect).
    AwaitConnection,
    /// The neighbour's OPEN (OpenSent).
    AwaitOpen,
    /// The neighbour's first KEEPALIVE (OpenConfirm).
    AwaitKeepalive,
    Established,
}

/// One prefix of the Loc-RIB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    pub prefix: Prefix,
    /// The best first.
    pub paths: Vec<PathStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStatus {
    /// `None`: our own.
    pub neighbour: Option<String>,
    /// The neighbour's, where it says one (RFC 7911).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    pub next_hop: Option<NextHop>,
    /// As RFC 4271 5.1.2 writes it, sets in braces.
    pub as_path: String,
    /// How many networks it counts as, a set as one.
    pub path_length: u32,
    pub origin: Origin,
    pub med: Option<u32>,
    pub local_preference: u32,
    /// The BGP identifier of who told it; `None`: our own, or its session has never stood.
    pub identifier: Option<Ipv4Addr>,
    /// The neighbour restarts and has not told it again (RFC 4724).
    pub stale: bool,
    /// Its traffic is dropped: our own, or asked for by a customer (RFC 7999).
    pub discard: bool,
    /// Each as `a:b`.
    pub communities: Vec<String>,
    /// What the RPKI says of it, as it was marked where it came in.
    pub validity: Validity,
    /// Of large communities, each as `a:b:c`.
    pub large_communities: Vec<String>,
    /// The step at which it lost; `None`: the best.
    pub lost: Option<LostAt>,
}

/// All that is known of one prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    pub prefix: Prefix,
    /// The best first; empty: there is no route to exactly this.
    pub paths: Vec<PathStatus>,
    /// What the kernel should hold for it.
    pub forwarding: Option<SpeakerRoute>,
    /// Who announces it, or something that holds all of it, and is refused; the shortest first.
    pub refused: Vec<RefusedBy>,
    /// Which neighbours with a session are told of it, and why the others are not.
    pub told: Vec<ToldStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBy {
    pub neighbour: String,
    #[serde(flatten)]
    pub refused: Refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldStatus {
    pub neighbour: String,
    #[serde(flatten)]
    pub state: ToldState,
    /// By which identifiers it was told several paths (RFC 7911), the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path_ids: Vec<u32>,
}

/// Whether a neighbour is told of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "told")]
pub enum ToldState {
    Yes,
    /// It is about to be, or to be told that it is gone or other than it was.
    Waits,
    No {
        why: ExportRefusal,
    },
}

/// One route that a neighbour has told, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum ReceivedRoute {
    Taken { prefix: Prefix, path: PathStatus },
    Refused(Refused),
}

/// One route that a neighbour was told, as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRoute {
    pub prefix: Prefix,
    /// Ours, where the neighbour is told several paths (RFC 7911).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// `None`: a next hop of the session's own.
    pub next_hop: Option<IpAddr>,
    pub as_path: String,
    pub origin: Origin,
    pub communities: Vec<String>,
    pub large_communities: Vec<String>,
    /// Who brought it; `None`: our own.
    pub from: Option<String>,
    /// It has changed since, and the neighbour is about to be told: this is what it will hear.
    pub waits: bool,
}

/// A part of a long answer, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Behind this there may be more; `None`: that was all.
    pub next: Option<Prefix>,
}

/// The step of the decision at which a path was left behind (RFC 4271 9.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostAt {
    /// Another has the higher local preference.
    LocalPreference,
    /// Another has the shorter path.
    PathLength,
    /// Another has the lower origin.
    Origin,
    /// Another of the same neighbouring AS has the lower MED.
    Med,
    /// As good as the best and used together with it.
    UsedTogether,
    /// As good as the best, but as many are used as may be.
    MaxPaths,
}
