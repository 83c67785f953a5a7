//! EVPN in the speaker (RFC 7432): what comes from neighbours, what the segments of this router say,
//! and what they hear. How routes are decided on and told is the same as for prefixes.

use super::event::{Action, EvpnPath, EvpnUpdate};
use super::notice::{EvpnRefusal, ImportRefusal, Notice};
use super::policy;
use super::rib::{Destination, Route};
use super::slots::Slot;
use super::speaker::Speaker;
use super::status::EvpnRefused;
use crate::wire::bgp::{AfiSafi, Attributes, DecodedUpdate, EvpnBody, EvpnFault, EvpnRoute, MpReach};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// So many reasons are told apart; there are few, unless a neighbour sends rubbish.
const REASONS: usize = 64;

/// Why EVPN routes of a neighbour were not taken, and how often, in this session.
#[derive(Debug, Default)]
pub(super) struct EvpnRefusals {
    counts: BTreeMap<EvpnRefusal, u64>,
    /// Something of it could not be read at all: nothing more is taken (RFC 7606 2, AFI/SAFI disable).
    pub disabled: bool,
}

impl EvpnRefusals {
    /// Counts a refusal. True if it is the first for this reason.
    fn add(&mut self, reason: EvpnRefusal) -> bool {
        if let Some(count) = self.counts.get_mut(&reason) {
            *count += 1;
            return false;
        }
        let new = self.counts.len() < REASONS;
        if new {
            self.counts.insert(reason, 1);
        }
        new
    }

    pub fn list(&self) -> Vec<EvpnRefused> {
        self.counts.iter().map(|(&reason, &count)| EvpnRefused { reason, count }).collect()
    }
}

impl Speaker {
    /// Appends at most `budget` changes of the routes that neighbours brought, each route's latest
    /// state once. A route that we announce ourselves ([`super::Event::Evpn`]) is always the best of
    /// its key: while we do, a neighbour's of the same key counts as withdrawn. True if there are more.
    pub fn poll_evpn(&mut self, budget: usize, out: &mut Vec<EvpnUpdate>) -> bool {
        self.segments.poll(
            &mut self.evpn,
            budget,
            |_, it| learned(it),
            |route, path| {
                out.push(EvpnUpdate { route, path });
            },
        )
    }

    /// The best of every route that neighbours brought, polled or not, in the order of keys: what
    /// [`Speaker::poll_evpn`] comes to.
    pub fn evpn_routes(&self) -> impl Iterator<Item = EvpnUpdate> + '_ {
        let learned = |(route, destination): (EvpnRoute, &Destination)| {
            Some(EvpnUpdate { route, path: Some(learned(destination)?) })
        };
        self.evpn.iter().filter_map(learned)
    }

    /// What a segment of this router announces, or no longer does.
    pub(super) fn originate_evpn(&mut self, update: EvpnUpdate, actions: &mut Vec<Action>) {
        let route = update.path.map(|path| self.shared.share(own_route(path)));
        self.set_route(&update.route, Slot::LOCAL, route, actions);
    }

    /// The EVPN part of an UPDATE. Of a session without it there is none: its context reads none.
    pub(super) fn update_evpn(&mut self, slot: Slot, decoded: &DecodedUpdate, actions: &mut Vec<Action>) {
        for &fault in &decoded.evpn_faults {
            self.refuse_evpn(slot, None, EvpnRefusal::Nlri { fault }, actions);
        }
        if decoded.evpn_faults.contains(&EvpnFault::Unreadable) {
            self.disable_evpn(slot, actions);
        }
        if self.peers[slot.index()].as_ref().is_none_or(|peer| peer.evpn_refused.disabled) {
            return;
        }
        for nlri in decoded.update.mp_unreach.iter().flat_map(|unreach| &unreach.evpn) {
            self.set_route(&nlri.route, slot, None, actions);
        }
        let Some(reach) = decoded.update.mp_reach.as_ref().filter(|reach| !reach.evpn.is_empty()) else {
            return;
        };
        match self.import_evpn(slot, decoded, reach) {
            Ok(route) => self.announced_evpn(slot, reach, &route, actions),
            Err(reason) => {
                for nlri in &reach.evpn {
                    let reason = EvpnRefusal::Import { reason };
                    self.refuse_evpn(slot, Some(&nlri.route), reason, actions);
                    self.set_route(&nlri.route, slot, None, actions);
                }
            }
        }
    }

    /// What is the same for all routes of an UPDATE.
    fn import_evpn(
        &self,
        slot: Slot,
        decoded: &DecodedUpdate,
        reach: &MpReach,
    ) -> Result<Route, ImportRefusal> {
        let peer = self.peers[slot.index()].as_ref();
        let Some((peer, attributes)) = peer.zip(decoded.update.attributes.as_ref()) else {
            return Err(ImportRefusal::TreatedAsWithdraw);
        };
        if decoded.treat_as_withdraw() {
            return Err(ImportRefusal::TreatedAsWithdraw);
        }
        let next_hop = policy::import_vtep(&self.config, reach.next_hop)?;
        policy::import_attributes(
            &self.config,
            &peer.session.config,
            peer.policy.as_deref(),
            attributes,
            next_hop,
        )
    }

    fn announced_evpn(&mut self, slot: Slot, reach: &MpReach, base: &Route, actions: &mut Vec<Action>) {
        // Most routes of one UPDATE have the same body.
        let mut last: Option<(&EvpnBody, Arc<Route>)> = None;
        for nlri in &reach.evpn {
            let route = match last.take() {
                Some((body, route)) if *body == nlri.body => route,
                _ => self.shared.share(Route { body: boxed(&nlri.body), ..base.clone() }),
            };
            last = Some((&nlri.body, route.clone()));
            self.set_route(&nlri.route, slot, Some(route), actions);
        }
    }

    fn refuse_evpn(
        &mut self,
        slot: Slot,
        route: Option<&EvpnRoute>,
        reason: EvpnRefusal,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.evpn_refused.add(reason) {
            let notice = Notice::EvpnRefused { neighbour: peer.name(), route: route.cloned(), reason };
            actions.push(Action::Log(notice));
        }
    }

    /// Takes out what a neighbour has brought and takes nothing more in this session. What it is told
    /// goes on.
    fn disable_evpn(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.evpn_refused.disabled = true;
        self.forget_family(slot, AfiSafi::EVPN, actions);
    }
}

fn boxed(body: &EvpnBody) -> Option<Box<EvpnBody>> {
    Some(Box::new(body.clone()))
}

/// A route that begins here: better than any that comes from elsewhere.
fn own_route(path: EvpnPath) -> Route {
    let attributes = Attributes {
        extended_communities: path.communities,
        pmsi: path.pmsi.map(Box::new),
        ..Attributes::default()
    };
    Route {
        attributes,
        next_hop: Some(path.next_hop),
        class: None,
        local_preference: u32::MAX,
        discard: false,
        body: boxed(&path.body),
        path_id: 0,
    }
}

/// The best path, if a neighbour brought it.
fn learned(destination: &Destination) -> Option<EvpnPath> {
    let best = destination.best().filter(|best| best.slot != Slot::LOCAL)?;
    let attributes = &best.route.attributes;
    Some(EvpnPath {
        next_hop: best.route.next_hop?,
        body: best.route.body.as_deref().cloned().unwrap_or_default(),
        communities: attributes.extended_communities.clone(),
        pmsi: attributes.pmsi.as_deref().cloned(),
    })
}
