//! What tells the routes of one table apart, and what differs between tables: prefixes with the
//! kernel behind them, EVPN routes with the segments. Everything else is one code for both.

use super::adj_out::{AdjOut, Form, Queue, Telling};
use super::clearance::Clearance;
use super::config::SpeakerConfig;
use super::event::Action;
use super::index::{Index, PrefixIndex};
use super::notice::Notice;
use super::originate::Originations;
use super::outlet::Outlet;
use super::policy::{ExportRefusal, Tables, export_check, export_check_inside};
use super::rib::{Effect, Rib, Route};
use super::slab::Place;
use super::speaker::{Peer, Speaker};
use super::status::FamilyCounts;
use crate::id::Prefix;
use crate::wire::bgp::{AfiSafi, EvpnNlri, EvpnRoute, MpNextHop, Nlri, UnicastNlri};
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt::Debug;
use core::net::IpAddr;

/// The parts of a speaker that a change in one table touches.
pub(super) struct Parts<'a, K: Key> {
    pub rib: &'a mut Rib<K>,
    pub clearance: &'a mut Clearance,
    pub outlet: &'a mut Outlet,
    pub peers: &'a mut [Option<Peer>],
    pub config: &'a SpeakerConfig,
    pub tables: &'a Tables,
}

pub(super) trait Key: Clone + Debug {
    type Nlri: Nlri;
    type Index: Index<Self>;

    fn parts(speaker: &mut Speaker) -> Parts<'_, Self>;
    fn queue(out: &mut AdjOut) -> &mut Queue<Self>;

    fn family(&self) -> AfiSafi;
    /// What collectors hear of.
    fn prefix(&self) -> Option<&Prefix>;
    /// Of a prefix, in bits; nothing else has one.
    fn length(&self) -> u8;
    /// Whether this table holds routes of `family`.
    fn holds(family: AfiSafi) -> bool;
    fn count<'a>(&self, counts: &'a mut FamilyCounts) -> &'a mut u32;

    /// How many equal paths are used together.
    fn max_paths(config: &SpeakerConfig) -> u8;
    /// Whether whoever uses the routes must hear of a change.
    fn concerns_user(effect: Effect) -> bool;
    /// Asks the shell to poll the table's outlet.
    fn ready() -> Action;
    /// Whether something that we originate depends on it.
    fn is_watched(&self, originations: &Originations) -> bool;

    /// As it stands in an UPDATE; without a route: withdrawn. `path_id`: where routes have one.
    fn nlri(&self, path_id: Option<u32>, route: Option<&Route>) -> Self::Nlri;
    fn form(&self, telling: &Telling<'_>, route: &Route) -> Form;
    fn export_check(&self, telling: &Telling<'_>, route: &Route) -> Result<(), ExportRefusal>;
    /// That it does not fit in any message.
    fn too_large(&self, neighbour: String) -> Notice;
}

impl Key for Prefix {
    type Nlri = UnicastNlri;
    type Index = PrefixIndex;

    fn parts(speaker: &mut Speaker) -> Parts<'_, Prefix> {
        Parts {
            rib: &mut speaker.rib,
            clearance: &mut speaker.prefixes_clearance,
            outlet: &mut speaker.kernel,
            peers: &mut speaker.peers,
            config: &speaker.config,
            tables: &speaker.tables,
        }
    }

    fn queue(out: &mut AdjOut) -> &mut Queue<Prefix> {
        &mut out.prefixes
    }

    fn prefix(&self) -> Option<&Prefix> {
        Some(self)
    }

    fn family(&self) -> AfiSafi {
        AfiSafi::of(self)
    }

    fn length(&self) -> u8 {
        self.prefix_len()
    }

    fn holds(family: AfiSafi) -> bool {
        family.is_unicast()
    }

    fn count<'a>(&self, counts: &'a mut FamilyCounts) -> &'a mut u32 {
        match self {
            Prefix::V4(_) => &mut counts.ipv4,
            Prefix::V6(_) => &mut counts.ipv6,
        }
    }

    fn max_paths(config: &SpeakerConfig) -> u8 {
        config.max_paths
    }

    fn concerns_user(effect: Effect) -> bool {
        effect.forwarding
    }

    fn ready() -> Action {
        Action::RoutesReady
    }

    fn is_watched(&self, originations: &Originations) -> bool {
        originations.watches(self)
    }

    fn nlri(&self, path_id: Option<u32>, _: Option<&Route>) -> UnicastNlri {
        UnicastNlri { prefix: *self, path_id }
    }

    fn form(&self, telling: &Telling<'_>, _: &Route) -> Form {
        match telling.local {
            IpAddr::V4(local) if self.addr().is_ipv4() => Form { classic: Some(local), mp: None },
            IpAddr::V4(local) => Form { classic: None, mp: Some(MpNextHop::V4(local)) },
            IpAddr::V6(local) => Form { classic: None, mp: Some(MpNextHop::V6(local)) },
        }
    }

    fn export_check(&self, telling: &Telling<'_>, route: &Route) -> Result<(), ExportRefusal> {
        let Telling { config, tables, neighbour, policy, .. } = *telling;
        export_check(config, tables, neighbour, policy, self, route)
    }

    fn too_large(&self, neighbour: String) -> Notice {
        Notice::TooLarge { neighbour, prefix: *self }
    }
}

impl Key for EvpnRoute {
    type Nlri = EvpnNlri;
    type Index = BTreeMap<EvpnRoute, Place>;

    fn parts(speaker: &mut Speaker) -> Parts<'_, EvpnRoute> {
        Parts {
            rib: &mut speaker.evpn,
            clearance: &mut speaker.evpn_clearance,
            outlet: &mut speaker.segments,
            peers: &mut speaker.peers,
            config: &speaker.config,
            tables: &speaker.tables,
        }
    }

    fn queue(out: &mut AdjOut) -> &mut Queue<EvpnRoute> {
        &mut out.evpn
    }

    fn prefix(&self) -> Option<&Prefix> {
        None
    }

    fn family(&self) -> AfiSafi {
        AfiSafi::EVPN
    }

    fn length(&self) -> u8 {
        0
    }

    fn holds(family: AfiSafi) -> bool {
        family == AfiSafi::EVPN
    }

    fn count<'a>(&self, counts: &'a mut FamilyCounts) -> &'a mut u32 {
        &mut counts.evpn
    }

    /// A route leads to one VTEP, by whatever way the prefixes lead there.
    fn max_paths(_: &SpeakerConfig) -> u8 {
        1
    }

    /// To a segment everything matters that a route carries.
    fn concerns_user(effect: Effect) -> bool {
        effect.best
    }

    fn ready() -> Action {
        Action::EvpnReady
    }

    fn is_watched(&self, _: &Originations) -> bool {
        false
    }

    fn nlri(&self, _: Option<u32>, route: Option<&Route>) -> EvpnNlri {
        let body = route.and_then(|route| route.body.as_deref()).cloned().unwrap_or_default();
        EvpnNlri { route: self.clone(), body }
    }

    /// The next hop is the VTEP, and stays it (RFC 8365 5.1.3, 10.1).
    fn form(&self, _: &Telling<'_>, route: &Route) -> Form {
        let mp = route.next_hop.map(|next_hop| match next_hop {
            IpAddr::V4(address) => MpNextHop::V4(address),
            IpAddr::V6(address) => MpNextHop::V6(address),
        });
        Form { classic: None, mp }
    }

    fn export_check(&self, telling: &Telling<'_>, route: &Route) -> Result<(), ExportRefusal> {
        export_check_inside(telling.neighbour, route)?;
        telling.policy.map_or(Ok(()), |_| Err(ExportRefusal::NotForThem))
    }

    fn too_large(&self, neighbour: String) -> Notice {
        Notice::EvpnTooLarge { neighbour, route: self.clone() }
    }
}
