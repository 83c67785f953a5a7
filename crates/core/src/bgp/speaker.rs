//! The speaker: every session, the table, and what follows from one for the other.

use super::config::SpeakerConfig;
use super::event::{Action, Event, NeighbourId, RouteChange};
use super::status::{FamilyCounts, NeighbourStatus, RouteStatus, SessionState, SpeakerStatus};
use crate::bgp::config::{Relation, Transport};
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::IpAddr;

/// BGP on one router. Nothing happens but in its methods, which return at once.
pub struct Speaker {
    config: SpeakerConfig,
}

impl Speaker {
    pub fn new(config: SpeakerConfig) -> Speaker {
        Speaker { config }
    }

    /// Takes one event and appends what is to be done, in order.
    pub fn step(&mut self, _now: Instant, _event: Event<'_>, _actions: &mut Vec<Action>) {}

    /// When [`Event::Timeout`] is due; may be in the past.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Appends UPDATEs for the neighbour's connection to `out`: whole messages, about `budget` bytes
    /// (exceeded by at most one message). True if there are more.
    pub fn poll_updates(&mut self, _neighbour: NeighbourId, _budget: usize, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Appends at most `budget` changes for the kernel. True if there are more.
    pub fn poll_routes(&mut self, _budget: usize, _out: &mut Vec<RouteChange>) -> bool {
        false
    }

    /// Every route that the kernel should hold now, whatever was polled: for a comparison with what it does hold.
    pub fn routes_wanted(&self) -> Vec<RouteChange> {
        Vec::new()
    }

    /// Takes a new configuration. Neighbours are matched by name: those unchanged keep their sessions,
    /// the others' sessions end or begin. From here on a [`NeighbourId`] is an index into the new list.
    pub fn replace_config(&mut self, _now: Instant, config: SpeakerConfig, _actions: &mut Vec<Action>) {
        self.config = config;
    }

    /// The Loc-RIB, a prefix at a time, IPv4 first.
    pub fn routes(&self) -> impl Iterator<Item = RouteStatus> + '_ {
        core::iter::empty()
    }

    pub fn status(&self, _now: Instant) -> SpeakerStatus {
        let neighbours = self
            .config
            .neighbours
            .iter()
            .map(|neighbour| NeighbourStatus {
                name: neighbour.name.clone(),
                link: neighbour.transport.link().clone(),
                remote: match neighbour.transport {
                    Transport::Unnumbered { remote, .. } => remote.map(IpAddr::V6),
                    Transport::Numbered { remote, .. } => Some(remote),
                },
                remote_asn: neighbour.remote_asn,
                role: match &neighbour.relation {
                    Relation::Inside { .. } => None,
                    Relation::Outside(policy) => Some(policy.role),
                },
                state: SessionState::AwaitStart,
                established_for_ms: None,
                established_count: 0,
                hold_ms: 0,
                keepalive_ms: 0,
                router_id: None,
                last_end: None,
                accepted: FamilyCounts::default(),
                announced: FamilyCounts::default(),
                pending: 0,
                updates_in: 0,
                updates_out: 0,
                refused: Vec::new(),
                refused_count: 0,
            })
            .collect();
        SpeakerStatus {
            router_id: self.config.router_id,
            asn: self.config.asn,
            public_asn: self.config.public_asn,
            neighbours,
            prefixes: FamilyCounts::default(),
            originated: Vec::new(),
            held_back: Vec::new(),
        }
    }
}
