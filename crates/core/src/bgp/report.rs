//! What the speaker says of itself, gathered from where it stands.

use super::clearance::is_gone;
use super::config::Relation;
use super::key::Key;
use super::notice::ImportRefusal;
use super::rib::{Destination, Path};
use super::speaker::{Peer, Speaker, next_hop};
use super::status::{FamilyCounts, NeighbourStatus, PathStatus, Refused, RouteStatus, SpeakerStatus};
use crate::id::Prefix;
use crate::rpki::Validity;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{AfiSafi, PathIds};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Speaker {
    pub fn status(&self, now: Instant) -> SpeakerStatus {
        let mut prefixes = FamilyCounts::default();
        for (prefix, _) in self.rib.iter().filter(|(_, destination)| destination.best().is_some()) {
            *prefix.count(&mut prefixes) += 1;
        }
        let present = self.evpn.iter().filter(|(_, destination)| destination.best().is_some());
        prefixes.evpn = u32::try_from(present.count()).unwrap_or(u32::MAX);
        SpeakerStatus {
            router_id: self.config.router_id,
            asn: self.config.asn,
            public_asn: self.config.public_asn,
            neighbours: self.neighbours(now),
            prefixes,
            originated: self.originations.prefixes(true),
            held_back: self.originations.prefixes(false),
            own_validity: self.validator.own(self.leaving(), self.config.public_asn),
            restart: self.restart(now),
        }
    }

    /// Our own prefixes that other networks hear of from this router.
    fn leaving(&self) -> impl Iterator<Item = Prefix> + '_ {
        let originated = self.config.originate.iter().map(|it| it.prefix.trunc());
        originated.filter(|prefix| self.config.own_prefixes.contains(prefix))
    }

    /// Every neighbour, in the order of the configuration.
    pub fn neighbours(&self, now: Instant) -> Vec<NeighbourStatus> {
        let peers = self.slots.iter().filter_map(|slot| self.peers[slot.index()].as_ref());
        peers.map(|peer| self.neighbour(now, peer)).collect()
    }

    fn neighbour(&self, now: Instant, peer: &Peer) -> NeighbourStatus {
        let mut status = neighbour(now, peer);
        status.refused.iter_mut().for_each(|refused| self.complete(peer, refused));
        status
    }

    /// Adds what is known of a refusal elsewhere.
    pub(super) fn complete(&self, peer: &Peer, refused: &mut Refused) {
        if matches!(refused.reason, ImportRefusal::OriginInvalid { .. }) {
            refused.payloads = self.validator.covering(&refused.prefix);
        }
        refused.path_id = peer.shown_path_id(AfiSafi::of(&refused.prefix), refused.path_id.unwrap_or(0));
        if refused.as_path.is_none() {
            let held = peer.held.route(&(refused.prefix, refused.path_id.unwrap_or(0)));
            refused.as_path = held.map(|route| route.attributes.as_path.to_string());
        }
    }

    /// The Loc-RIB, a prefix at a time, IPv4 first.
    pub fn routes(&self) -> impl Iterator<Item = RouteStatus> + '_ {
        let present = self.rib.iter().filter(|(_, destination)| destination.best().is_some());
        present.map(|(prefix, destination)| self.route(prefix, destination))
    }

    fn route(&self, prefix: Prefix, destination: &Destination) -> RouteStatus {
        let paths = self.standing(&prefix, destination).map(|path| self.path(&prefix, path));
        RouteStatus { prefix, paths: paths.collect() }
    }

    /// The paths that count: what is gone may stand there for a moment.
    pub(super) fn standing<'a>(
        &'a self,
        prefix: &Prefix,
        destination: &'a Destination,
    ) -> impl Iterator<Item = &'a Path> + use<'a> {
        let family = prefix.family();
        destination.paths().iter().filter(move |path| !is_gone(&self.peers, family, path))
    }

    pub(super) fn path(&self, prefix: &Prefix, path: &Path) -> PathStatus {
        let peer = self.peers.get(path.slot.index()).and_then(Option::as_ref);
        let attributes = &path.route.attributes;
        PathStatus {
            neighbour: peer.map(Peer::name),
            path_id: peer.and_then(|peer| peer.shown_path_id(prefix.family(), path.route.path_id)),
            next_hop: next_hop(&self.peers, path),
            as_path: attributes.as_path.to_string(),
            path_length: u32::try_from(attributes.as_path.length()).unwrap_or(u32::MAX),
            origin: attributes.origin,
            med: attributes.med,
            local_preference: path.route.local_preference,
            identifier: peer.and_then(|peer| peer.router_id),
            stale: peer.is_some_and(|peer| peer.rounds.is_stale(prefix.family(), path.round)),
            discard: path.route.discard,
            communities: texts(&attributes.communities),
            validity: Validity::of(attributes, self.config.public_asn),
            large_communities: texts(&attributes.large_communities),
            lost: path.lost,
        }
    }
}

pub(super) fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn neighbour(now: Instant, peer: &Peer) -> NeighbourStatus {
    let session = &peer.session;
    let negotiated = session.established();
    let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let families = |ids: PathIds| {
        let families = negotiated.iter().flat_map(|it| &it.families).copied();
        families.filter(|&family| ids.of(family.into())).collect()
    };
    NeighbourStatus {
        name: peer.name(),
        link: session.config.transport.link().clone(),
        remote: session.remote(),
        remote_asn: session.config.remote_asn,
        role: match &session.config.relation {
            Relation::Inside { .. } => None,
            Relation::Outside(policy) => Some(policy.role),
        },
        state: session.state(),
        established_for_ms: peer
            .established_at
            .map(|at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX)),
        down_for_ms: peer
            .down_since
            .map(|since| u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX)),
        established_count: peer.established_count,
        hold_ms: negotiated.map_or(0, |it| millis(it.hold)),
        keepalive_ms: negotiated.map_or(0, |it| millis(it.keepalive)),
        paths_received: families(negotiated.map_or(PathIds::NONE, |it| it.context.path_ids)),
        paths_sent: families(negotiated.map_or(PathIds::NONE, |it| it.tells_paths)),
        router_id: negotiated.map(|it| it.router_id),
        last_end: peer.last_end.clone(),
        accepted: peer.rounds.counts(),
        kept_ms: peer.kept_until.map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX)),
        stale: peer.rounds.stale(),
        announced: peer.out.as_ref().map(|out| out.announced).unwrap_or_default(),
        pending: peer.out.as_ref().map_or(0, |out| u32::try_from(out.waiting()).unwrap_or(u32::MAX)),
        updates_in: peer.updates_in,
        updates_out: peer.updates_out,
        refused: peer.refused.list(),
        refused_count: peer.refused.count(),
        refused_now: peer.refused.counts(),
        refused_beyond: peer.refused.beyond(),
        held: u32::try_from(peer.held.len()).unwrap_or(u32::MAX),
        evpn_refused: peer.evpn_refused.list(),
        attribute_errors: peer.attribute_errors.list(),
        route_refresh: negotiated.is_some_and(|it| it.route_refresh),
        judging: peer.judging.is_some(),
        waits: session.waits().into_iter().chain(peer.unapplied.iter().copied()).collect(),
    }
}
