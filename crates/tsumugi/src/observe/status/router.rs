//! The document of `router.sock`.

use super::{BfdStatus, BmpReport, DhcpStatus, EntryCounts, FrrStatus, PlanStatus, RpkiReport};
use crate::observe::words;
use crate::state::PlanRefused;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tsumugi_core::bgp::change::SessionChange;
use tsumugi_core::bgp::{
    FamilyCounts, ImportRefusal, NeighbourStatus, OwnValidity, RestartStatus, SpeakerStatus,
};
use tsumugi_core::evpn::EvpnStatus;
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::rpki::Vrp;
use tsumugi_plan::explain::Lang;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Always "router".
    pub process: String,
    pub pid: u32,
    pub uptime_ms: u64,
    pub plan: PlanStatus,
    /// `None` until a plan was understood.
    pub running: Option<Running>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub bgp: BgpStatus,
    /// `None`: its thread does not answer.
    #[serde(default)]
    pub bfd: Option<BfdStatus>,
    pub links: Vec<LinkStatus>,
    pub routes: RouteCounts,
    /// Routes that should stand in the kernel and do not, and its words for it. At most 32.
    pub routes_failed: BTreeMap<Prefix, String>,
    /// Why BGP does not listen on port 179; `None`: it does.
    pub not_listening: Option<String>,
    pub refused_connections: BTreeMap<RefusedConnection, u64>,
    /// Packets that a wall dropped, by reason.
    pub walls: BTreeMap<String, u64>,
    pub segments: EvpnStatus,
    pub entries: EntryCounts,
    /// Why ports cannot be opened or closed as decided, in the kernel's words; `None`: they can.
    pub ports_failing: Option<String>,
    /// `None`: no segment wants a DHCP server.
    pub dhcp: Option<DhcpStatus>,
    /// `None`: the plan has no RTR caches.
    pub rpki: Option<RpkiReport>,
    /// `None`: the plan has no BMP collectors.
    #[serde(default)]
    pub bmp: Option<BmpReport>,
    /// The plan that lies in the state folder, if it is not the one in force.
    #[serde(default)]
    pub ahead: Option<PlanAhead>,
    /// `None`: the embedded speaker speaks BGP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frr: Option<FrrStatus>,
    /// What of the plan could not be applied in the fabric, in the kernel's words.
    pub fabric_failures: Vec<String>,
}

/// What a plan that is not in force would do to the sessions that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAhead {
    pub generation: u64,
    /// Why it would not be taken; then nothing else is known of it.
    pub refused: Option<PlanRefused>,
    pub sessions: Vec<SessionChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpStatus {
    pub router_id: std::net::Ipv4Addr,
    pub asn: u32,
    pub public_asn: u32,
    pub sessions: Vec<SessionStatus>,
    /// Prefixes in the Loc-RIB.
    pub prefixes: FamilyCounts,
    /// A restart of this process: what it found, and for whom it waits; `None`: it found nothing.
    #[serde(default)]
    pub restart: Option<RestartStatus>,
    pub originations: Vec<OriginationStatus>,
    /// Routes that neighbours announce and that are not taken; a bounded list for each neighbour.
    pub refusals: Vec<Refusal>,
}

/// One session; the routes that it refuses stand in [`BgpStatus::refusals`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    #[serde(flatten)]
    pub neighbour: NeighbourStatus,
    pub state_words: String,
    pub last_end_words: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub neighbour: String,
    pub prefix: Prefix,
    pub reason: ImportRefusal,
    /// Of one that is invalid by its origin: the payloads that say so.
    pub payloads: Vec<Vrp>,
    pub words: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginationStatus {
    pub prefix: Prefix,
    /// False: none of what it stands for can be reached.
    pub announced: bool,
    /// What RPKI says of it, with our public AS number as its origin; `None`: nothing is known, or it
    /// does not leave.
    pub validity: Option<OwnValidity>,
    pub validity_words: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    pub name: IfName,
    /// False: the interface is not there (yet).
    pub exists: bool,
    /// Administratively up, and with carrier.
    pub up: bool,
    /// The far end's link-local address, if a router advertisement has told it.
    pub heard: Option<std::net::Ipv6Addr>,
}

/// BGP's routes that the kernel should hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounts {
    pub ipv4: u32,
    pub ipv6: u32,
    /// Of both families: those with several next hops, and those that discard.
    pub multipath: u32,
    pub discard: u32,
    /// Those that it does not hold: their link is away, or it refused them.
    pub missing: u32,
    /// Whether routes of an earlier life of the process, not yet confirmed, are still left there.
    pub keeps_stale: bool,
    /// How many of them there were when the kernel was last read.
    #[serde(default)]
    pub stale: u32,
    /// How many were removed since the start, as nobody confirmed them.
    #[serde(default)]
    pub purged: u64,
}

/// Why a connection to our port 179 was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedConnection {
    /// No neighbour of the plan has this address on this link.
    NotANeighbour,
    /// What comes from it is to be signed, and there is no secret to sign with yet.
    Unsigned,
    /// The neighbour has as many connections as anyone may have.
    TooMany,
    /// The connection was gone before it could be taken.
    Lost,
}

impl From<SpeakerStatus> for BgpStatus {
    fn from(speaker: SpeakerStatus) -> BgpStatus {
        let mut refusals = Vec::new();
        let mut sessions = Vec::new();
        for mut neighbour in speaker.neighbours {
            refusals.extend(std::mem::take(&mut neighbour.refused).into_iter().map(|refused| Refusal {
                neighbour: neighbour.name.clone(),
                prefix: refused.prefix,
                reason: refused.reason,
                words: words::import_refusal(&refused.reason, Lang::En)
                    + &words::payloads(&refused.payloads, Lang::En),
                payloads: refused.payloads,
            }));
            sessions.push(SessionStatus {
                state_words: words::session_state(neighbour.state, Lang::En).into(),
                last_end_words: neighbour.last_end.as_ref().map(|end| words::session_end(end, Lang::En)),
                neighbour,
            });
        }
        let own = speaker.own_validity;
        let announced = speaker.originated.into_iter().map(|prefix| (prefix, true));
        let held_back = speaker.held_back.into_iter().map(|prefix| (prefix, false));
        BgpStatus {
            router_id: speaker.router_id,
            asn: speaker.asn.0,
            public_asn: speaker.public_asn.0,
            sessions,
            prefixes: speaker.prefixes,
            restart: speaker.restart,
            originations: announced
                .chain(held_back)
                .map(|(prefix, announced)| {
                    let validity = own.iter().find(|own| own.prefix == prefix).cloned();
                    let words = |it: &OwnValidity| words::own_validity(it.validity, &it.payloads, Lang::En);
                    OriginationStatus {
                        prefix,
                        announced,
                        validity_words: validity.as_ref().map(words),
                        validity,
                    }
                })
                .collect(),
            refusals,
        }
    }
}
