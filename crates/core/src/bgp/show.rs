//! Answers to whoever asks why: of one prefix everything at once, of a table a page at a time. A page
//! looks at no more destinations than it may, so that a question about a million routes holds nobody up.

use super::adj_out::{Telling, outgoing};
use super::event::NeighbourId;
use super::policy::export_attributes;
use super::report::texts;
use super::rib::Destination;
use super::slots::Slot;
use super::speaker::{Peer, Speaker, wanted};
use super::status::{Page, ReceivedRoute, RefusedBy, RouteReport, SentRoute, ToldState, ToldStatus};
use crate::id::Prefix;
use crate::wire::bgp::{AfiSafi, MpNextHop};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::IpAddr;

impl Speaker {
    /// The neighbours that are meant: the one of this name, or those whose name begins with it and goes on
    /// with something that belongs to no name of a router or peer (`a/ipv4` and `a/ipv6` of `a`).
    pub fn neighbours_named(&self, name: &str) -> Vec<NeighbourId> {
        let ids = || (0..=u16::MAX).map(NeighbourId).zip(&self.config.neighbours);
        if let Some((id, _)) = ids().find(|(_, neighbour)| neighbour.name == name) {
            return [id].into();
        }
        let goes_on = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let meant = |its: &str| !name.is_empty() && its.strip_prefix(name).is_some_and(goes_on);
        ids().filter(|(_, neighbour)| meant(&neighbour.name)).map(|(id, _)| id).collect()
    }

    /// The longest prefix with a route that holds all of `prefix`: where packets to it go.
    pub fn covering(&self, prefix: &Prefix) -> Option<Prefix> {
        self.rib.covering(prefix)
    }

    /// All that is known of one prefix.
    pub fn explain(&self, prefix: &Prefix) -> RouteReport {
        let destination = self.rib.get(prefix);
        let paths = destination.map_or(&[][..], Destination::paths);
        RouteReport {
            prefix: *prefix,
            paths: paths.iter().map(|path| self.path(path)).collect(),
            forwarding: destination.and_then(|it| wanted(&self.config, &self.peers, prefix, it)),
            refused: self.refused_of(prefix),
            told: destination.map_or_else(Vec::new, |it| self.told_of(prefix, it)),
        }
    }

    /// What neighbours announce that holds all of a prefix, and we refuse.
    pub fn refused_of(&self, prefix: &Prefix) -> Vec<RefusedBy> {
        let mut all = Vec::new();
        for peer in self.peers.iter().flatten() {
            for mut refused in peer.refused.covering(prefix) {
                self.complete(peer, &mut refused);
                all.push(RefusedBy { neighbour: peer.name(), refused });
            }
        }
        all.sort_by_key(|it| it.refused.prefix.prefix_len());
        all
    }

    fn told_of(&self, prefix: &Prefix, destination: &Destination) -> Vec<ToldStatus> {
        let state = |&slot: &Slot| {
            let telling = self.telling(slot, AfiSafi::of(prefix))?;
            let state = match outgoing(&telling, prefix, destination) {
                _ if destination.pending.contains(slot) => ToldState::Waits,
                Err(why) => ToldState::No { why },
                Ok(_) => ToldState::Yes,
            };
            Some(ToldStatus { neighbour: telling.neighbour.name.clone(), state })
        };
        self.slots.iter().filter_map(state).collect()
    }

    /// What is needed to know what a neighbour is told, if a session stands that carries the family.
    fn telling(&self, slot: Slot, family: AfiSafi) -> Option<Telling<'_>> {
        let peer = self.peers[slot.index()].as_ref()?;
        let negotiated = peer.session.established()?;
        let carried = negotiated.families.iter().any(|&it| AfiSafi::from(it) == family);
        carried.then(|| Telling {
            config: &self.config,
            tables: &self.tables,
            neighbour: &peer.session.config,
            policy: peer.policy.as_deref(),
            negotiated,
            local: peer.session.local(),
            slot,
        })
    }

    fn peer_of(&self, neighbour: NeighbourId) -> Option<(Slot, &Peer)> {
        let slot = self.slot(neighbour)?;
        Some((slot, self.peers[slot.index()].as_ref()?))
    }

    /// What a neighbour has told behind `after`, taken or refused: at most `budget` prefixes are looked at.
    pub fn received_from(
        &self,
        neighbour: NeighbourId,
        after: Option<&Prefix>,
        budget: usize,
    ) -> Page<ReceivedRoute> {
        let Some((slot, peer)) = self.peer_of(neighbour) else { return Page::last(Vec::new()) };
        let mut keys: Vec<Prefix> = self.rib.after(after).map(|(prefix, _)| prefix).take(budget).collect();
        keys.extend(peer.refused.keys_after(after).take(budget));
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(budget);
        let received = |&prefix: &Prefix| {
            if let Some(path) = self.rib.get(&prefix).and_then(|it| it.path_of(slot)) {
                return Some(ReceivedRoute::Taken { prefix, path: self.path(path) });
            }
            let mut refused = peer.refused.get(&prefix)?;
            self.complete(peer, &mut refused);
            Some(ReceivedRoute::Refused(refused))
        };
        Page::of(keys.iter().filter_map(received).collect(), &keys, budget)
    }

    /// What a neighbour has told behind `after` and we refuse: at most `budget` prefixes.
    pub fn refused_from(
        &self,
        neighbour: NeighbourId,
        after: Option<&Prefix>,
        budget: usize,
    ) -> Page<ReceivedRoute> {
        let Some((_, peer)) = self.peer_of(neighbour) else { return Page::last(Vec::new()) };
        let keys: Vec<Prefix> = peer.refused.keys_after(after).take(budget).collect();
        let refused = |prefix: &Prefix| {
            let mut refused = peer.refused.get(prefix)?;
            self.complete(peer, &mut refused);
            Some(ReceivedRoute::Refused(refused))
        };
        Page::of(keys.iter().filter_map(refused).collect(), &keys, budget)
    }

    /// How many refusals of a neighbour are not kept, and so not shown.
    pub fn refused_beyond(&self, neighbour: NeighbourId) -> u64 {
        self.peer_of(neighbour).map_or(0, |(_, peer)| peer.refused.beyond())
    }

    /// What a neighbour was told behind `after`, made again from the table as it was made for it: at most
    /// `budget` prefixes are looked at.
    pub fn sent_to(&self, neighbour: NeighbourId, after: Option<&Prefix>, budget: usize) -> Page<SentRoute> {
        let Some((slot, _)) = self.peer_of(neighbour) else { return Page::last(Vec::new()) };
        let looked: Vec<(Prefix, &Destination)> = self.rib.after(after).take(budget).collect();
        let keys: Vec<Prefix> = looked.iter().map(|(prefix, _)| *prefix).collect();
        let announced = looked.into_iter().filter(|(_, destination)| destination.announced.contains(slot));
        let sent = announced.filter_map(|(prefix, destination)| self.sent_route(slot, prefix, destination));
        Page::of(sent.collect(), &keys, budget)
    }

    fn sent_route(&self, slot: Slot, prefix: Prefix, destination: &Destination) -> Option<SentRoute> {
        use super::key::Key;
        let telling = self.telling(slot, AfiSafi::of(&prefix))?;
        // Nothing goes out any more: it waits to be withdrawn.
        let route = outgoing(&telling, &prefix, destination).ok().flatten()?;
        let attributes = export_attributes(telling.config, telling.neighbour, telling.policy, &route);
        let form = prefix.form(&telling, &route);
        let next_hop = form.classic.map(IpAddr::V4).or(form.mp.map(|mp| match mp {
            MpNextHop::V4(address) => IpAddr::V4(address),
            MpNextHop::V6(address) | MpNextHop::V6Pair { global: address, .. } => IpAddr::V6(address),
        }));
        let from = destination.best().and_then(|best| self.peers.get(best.slot.index())?.as_ref());
        Some(SentRoute {
            prefix,
            next_hop,
            as_path: attributes.as_path.to_string(),
            origin: attributes.origin,
            communities: texts(&attributes.communities),
            large_communities: texts(&attributes.large_communities),
            from: from.map(Peer::name),
            waits: destination.pending.contains(slot),
        })
    }
}

impl<T> Page<T> {
    fn last(items: Vec<T>) -> Page<T> {
        Page { items, next: None }
    }

    /// `looked`: what was looked at; fewer than `budget` are the last.
    fn of(items: Vec<T>, looked: &[Prefix], budget: usize) -> Page<T> {
        Page { items, next: looked.last().copied().filter(|_| looked.len() >= budget) }
    }
}
