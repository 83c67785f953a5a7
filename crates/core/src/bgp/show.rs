//! Answers to whoever asks why: of one prefix everything at once, of a table a page at a time. A page
//! looks at no more destinations than it may, so that a question about a million routes holds nobody up.

use super::add_path::{TAKEN_MAX, ToldPath};
use super::adj_out::{Telling, outgoing};
use super::event::NeighbourId;
use super::policy::export_attributes;
use super::report::texts;
use super::rib::{Destination, Route};
use super::slots::{Ear, Slot};
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
        let paths = destination.into_iter().flat_map(|it| self.standing(prefix, it));
        RouteReport {
            prefix: *prefix,
            paths: paths.map(|path| self.path(prefix, path)).collect(),
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
                _ if destination.pending.contains(self.ear(slot)?) => ToldState::Waits,
                Err(why) => ToldState::No { why },
                Ok(_) => ToldState::Yes,
            };
            let path_ids = self.told_paths(slot, prefix).iter().map(|told| told.id).collect();
            Some(ToldStatus { neighbour: telling.neighbour.name.clone(), state, path_ids })
        };
        self.slots.iter().filter_map(state).collect()
    }

    /// What a neighbour was told of a prefix, if it is told several paths.
    fn told_paths(&self, slot: Slot, prefix: &Prefix) -> &[ToldPath] {
        let out = self.peers[slot.index()].as_ref().and_then(|peer| peer.out.as_ref());
        let place = self.rib.place(prefix);
        out.zip(place).map_or(&[], |(out, place)| out.prefixes.paths.of(place))
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

    /// While a session stands.
    fn ear(&self, slot: Slot) -> Option<Ear> {
        self.peers[slot.index()].as_ref()?.out.as_ref().map(|out| out.ear)
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
            let paths = self.rib.get(&prefix).into_iter().flat_map(move |it| self.standing(&prefix, it));
            let taken = paths.filter(move |path| path.slot == slot);
            let taken =
                taken.map(move |path| ReceivedRoute::Taken { prefix, path: self.path(&prefix, path) });
            taken.chain(self.refused_paths(peer, prefix))
        };
        Page::of(keys.iter().flat_map(received).collect(), &keys, budget)
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
        let refused = keys.iter().flat_map(|&prefix| self.refused_paths(peer, prefix));
        Page::of(refused.collect(), &keys, budget)
    }

    /// What of one prefix is refused: of many paths as many as could be taken.
    fn refused_paths(&self, peer: &Peer, prefix: Prefix) -> impl Iterator<Item = ReceivedRoute> {
        peer.refused.of_prefix(prefix).take(TAKEN_MAX).map(|mut refused| {
            self.complete(peer, &mut refused);
            ReceivedRoute::Refused(refused)
        })
    }

    /// How many refusals of a neighbour are not kept, and so not shown.
    pub fn refused_beyond(&self, neighbour: NeighbourId) -> u64 {
        self.peer_of(neighbour).map_or(0, |(_, peer)| peer.refused.beyond())
    }

    /// What a neighbour was told behind `after`, made again from the table as it was made for it: at most
    /// `budget` prefixes are looked at.
    pub fn sent_to(&self, neighbour: NeighbourId, after: Option<&Prefix>, budget: usize) -> Page<SentRoute> {
        let Some((slot, _)) = self.peer_of(neighbour) else { return Page::last(Vec::new()) };
        let Some(ear) = self.ear(slot) else { return Page::last(Vec::new()) };
        let looked: Vec<(Prefix, &Destination)> = self.rib.after(after).take(budget).collect();
        let keys: Vec<Prefix> = looked.iter().map(|(prefix, _)| *prefix).collect();
        let announced = looked.into_iter().filter(|(_, destination)| destination.announced.contains(ear));
        let sent = announced.flat_map(|(prefix, destination)| self.sent_routes(slot, prefix, destination));
        Page::of(sent.collect(), &keys, budget)
    }

    fn sent_routes(&self, slot: Slot, prefix: Prefix, destination: &Destination) -> Vec<SentRoute> {
        let Some(telling) = self.telling(slot, AfiSafi::of(&prefix)) else { return Vec::new() };
        let waits = self.ear(slot).is_some_and(|ear| destination.pending.contains(ear));
        let best = destination.best().map(|best| best.slot);
        if telling.paths(AfiSafi::of(&prefix)).is_none() {
            // Where nothing goes out any more, it waits to be withdrawn.
            let route = outgoing(&telling, &prefix, destination).ok().flatten();
            let sent = route.zip(best).map(|(route, from)| self.sent_route(&telling, prefix, &route, from));
            return sent.map(|sent| SentRoute { waits, ..sent }).into_iter().collect();
        }
        let sent = |told: &ToldPath| {
            let now = || Some(&destination.path_of(told.source)?.route);
            let route = told.said.as_ref().or_else(now)?;
            let sent = self.sent_route(&telling, prefix, route, told.source.slot);
            Some(SentRoute { path_id: Some(told.id), waits, ..sent })
        };
        self.told_paths(slot, &prefix).iter().filter_map(sent).collect()
    }

    fn sent_route(&self, telling: &Telling<'_>, prefix: Prefix, route: &Route, from: Slot) -> SentRoute {
        use super::key::Key;
        let attributes = export_attributes(telling.config, telling.neighbour, telling.policy, route);
        let form = prefix.form(telling, route);
        let next_hop = form.classic.map(IpAddr::V4).or(form.mp.map(|mp| match mp {
            MpNextHop::V4(address) => IpAddr::V4(address),
            MpNextHop::V6(address) | MpNextHop::V6Pair { global: address, .. } => IpAddr::V6(address),
        }));
        let from = self.peers.get(from.index()).and_then(Option::as_ref);
        SentRoute {
            prefix,
            path_id: None,
            next_hop,
            as_path: attributes.as_path.to_string(),
            origin: attributes.origin,
            communities: texts(&attributes.communities),
            large_communities: texts(&attributes.large_communities),
            from: from.map(Peer::name),
            waits: false,
        }
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
