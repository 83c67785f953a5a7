//! What is gone leaves the table a piece at a time, so that nobody waits while a million routes go: a session
//! that ends, a telling that comes to its end and a configuration by which all is decided again only say so
//! ([`super::rounds`]), and [`Speaker::poll_table`] follows. A session may be back long before that.

use super::event::Action;
use super::key::{Key, Parts};
use super::rib::{Effect, Path};
use super::slab::Place;
use super::slots::{Ear, EarSet, Slot};
use super::speaker::{Peer, Speaker, rank};
use crate::id::Prefix;
use crate::wire::bgp::{AfiSafi, EvpnRoute};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// So many places are looked at for the price of one route that goes.
const LOOKED_AT: u32 = 16;

/// What is to be cleared out of one table.
#[derive(Debug, Default)]
pub(super) struct Clearance {
    /// The next place to be looked at, while places are.
    at: Option<u32>,
    look: Look,
    /// What was asked for since: it waits until all that was found has gone, so that whoever asks in every turn keeps
    /// nothing in the table.
    next: Option<Look>,
    /// Where something is gone, by the prefixes' lengths, the longest first: the kernel looks through half of its
    /// table when of two prefixes with one address the shorter goes before the longer; and hosts, loopbacks
    /// above all, come before networks.
    found: BTreeMap<Reverse<u8>, Vec<Place>>,
}

/// What all places are looked at for, beside what is gone.
#[derive(Debug, Default)]
struct Look {
    /// Ears of sessions that are over: whoever had them has forgotten what was told.
    ears: EarSet,
    /// All is decided again, where the look comes by.
    again: bool,
    /// ... and whoever uses the routes hears of all.
    forwarding: bool,
}

impl Clearance {
    fn is_active(&self) -> bool {
        self.at.is_some() || !self.found.is_empty() || self.next.is_some()
    }

    /// Something is gone, anywhere: all places are to be looked at.
    fn look(&mut self) -> &mut Look {
        self.next.get_or_insert_default()
    }

    /// The next place to be looked at; begins with what was asked for if all before it is done.
    fn next_looked_at(&mut self) -> Option<u32> {
        if self.at.is_none()
            && self.found.is_empty()
            && let Some(next) = self.next.take()
        {
            (self.at, self.look) = (Some(0), next);
        }
        self.at
    }

    fn has(&self, ear: Ear) -> bool {
        self.look.ears.contains(ear) || self.next.as_ref().is_some_and(|it| it.ears.contains(ear))
    }

    fn next_found(&mut self) -> Option<Place> {
        let mut longest = self.found.first_entry()?;
        let place = longest.get_mut().pop();
        if longest.get().is_empty() {
            longest.remove();
        }
        place
    }

    fn looked(&mut self, next: u32, end: u32) {
        self.at = (next < end).then_some(next);
        if self.at.is_none() {
            self.look = Look::default();
        }
    }
}

/// Whether a path no longer counts, though it stands in the table.
pub(super) fn is_gone(peers: &[Option<Peer>], family: AfiSafi, path: &Path) -> bool {
    let peer = || peers.get(path.slot.index()).and_then(Option::as_ref);
    path.slot != Slot::LOCAL && peer().is_none_or(|peer| peer.rounds.is_gone(family, path.round))
}

impl Speaker {
    /// An ear for a session that begins: one of which nothing is remembered.
    pub(super) fn new_ear(&self) -> Ear {
        let taken = |ear: Ear| {
            let clears = self.prefixes_clearance.has(ear) || self.evpn_clearance.has(ear);
            clears || self.peers.iter().flatten().filter_map(|it| it.out.as_ref()).any(|it| it.ear == ear)
        };
        // As many as there are sessions, and those that have ended during two looks.
        (0..u16::MAX).map(Ear).find(|&ear| !taken(ear)).unwrap_or_default()
    }

    /// Forgets what a session that is over was told.
    pub(super) fn forget_told(&mut self, ear: Ear, actions: &mut Vec<Action>) {
        for clearance in [&mut self.prefixes_clearance, &mut self.evpn_clearance] {
            clearance.look().ears.insert(ear);
        }
        self.say_table(actions);
    }

    /// All that a neighbour has told of a family is gone.
    pub(super) fn forget_family(&mut self, slot: Slot, family: AfiSafi, actions: &mut Vec<Action>) {
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.rounds.begin(family);
        }
        self.end_round(slot, family, actions);
    }

    /// What a neighbour has told of a family in earlier rounds is gone.
    pub(super) fn end_round(&mut self, slot: Slot, family: AfiSafi, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.rounds.end(family) {
            let prefixes = Prefix::holds(family);
            if prefixes { &mut self.prefixes_clearance } else { &mut self.evpn_clearance }.look();
            self.say_table(actions);
        }
    }

    /// The neighbour of a slot is no more, and the slot nobody's until its routes have left the table.
    pub(super) fn retire(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        self.peers[slot.index()] = None;
        self.retired.insert(slot);
        self.prefixes_clearance.look();
        self.evpn_clearance.look();
        self.say_table(actions);
    }

    /// Decides on every prefix again; `forwarding`: the kernel hears of all.
    pub(super) fn decide_all_again(&mut self, forwarding: bool, actions: &mut Vec<Action>) {
        let look = self.prefixes_clearance.look();
        look.again = true;
        look.forwarding |= forwarding;
        self.say_table(actions);
    }

    fn say_table(&mut self, actions: &mut Vec<Action>) {
        if !core::mem::replace(&mut self.table_told, true) {
            actions.push(Action::TableReady);
        }
    }

    /// Takes out of the tables what is gone, of at most `budget` destinations (and looks at 16 for each of them
    /// that is left). True if there is more.
    pub fn poll_table(&mut self, budget: usize, actions: &mut Vec<Action>) -> bool {
        let mut left = budget.max(1);
        self.clear::<EvpnRoute>(&mut left, actions);
        self.clear::<Prefix>(&mut left, actions);
        self.reconsider_originations(actions);
        self.table_told = self.prefixes_clearance.is_active() || self.evpn_clearance.is_active();
        if !self.table_told {
            self.retired.clear();
            self.shared.sweep();
        }
        self.table_told
    }

    fn clear<K: Key>(&mut self, left: &mut usize, actions: &mut Vec<Action>) {
        while *left > 0 {
            let clearance = K::parts(self).clearance;
            if let Some(at) = clearance.next_looked_at() {
                let again = clearance.look.again.then_some(clearance.look.forwarding);
                self.look_at::<K>(at, again, actions);
            } else if let Some(place) = clearance.next_found() {
                let effect = self.clear_place::<K>(place);
                self.spread::<K>(place, effect, actions);
                K::parts(self).rib.tidy(place);
            } else {
                break;
            }
            *left -= 1;
        }
    }

    /// Looks at the next places; `again`: at one, which is decided again.
    fn look_at<K: Key>(&mut self, at: u32, again: Option<bool>, actions: &mut Vec<Action>) {
        let Parts { rib, clearance, peers, .. } = K::parts(self);
        let next = at.saturating_add(if again.is_some() { 1 } else { LOOKED_AT });
        for index in at..next.min(rib.end()) {
            let Some(place) = rib.place_at(index) else { continue };
            let Some((key, destination)) = rib.at_mut(place) else { continue };
            destination.announced.remove_all(&clearance.look.ears);
            destination.pending.remove_all(&clearance.look.ears);
            let family = key.family();
            if again.is_none() && destination.paths().iter().any(|path| is_gone(peers, family, path)) {
                clearance.found.entry(Reverse(key.length())).or_default().push(place);
            }
            if again.is_none() {
                rib.tidy(place);
            }
        }
        clearance.looked(next, rib.end());
        let Some(forwarding) = again else { return };
        let Some(place) = K::parts(self).rib.place_at(at) else { return };
        let cleared = self.clear_place::<K>(place);
        let Parts { rib, peers, config, .. } = K::parts(self);
        let decided = rib.redecide(place, &|slot| rank(peers, slot), K::max_paths(config));
        let effect = cleared.and(decided);
        let forwarding = effect.forwarding || forwarding;
        self.spread::<K>(place, Effect { forwarding, ..effect }, actions);
        K::parts(self).rib.tidy(place);
    }

    /// Takes what is gone out of one destination; nobody has been told yet.
    fn clear_place<K: Key>(&mut self, place: Place) -> Effect {
        let Parts { rib, peers, config, .. } = K::parts(self);
        let Some((key, destination)) = rib.at(place) else { return Effect::default() };
        let (key, peers) = (key.clone(), &*peers);
        let gone = |path: &Path| is_gone(peers, key.family(), path);
        if !destination.paths().iter().any(gone) {
            return Effect::default();
        }
        let (effect, taken) = rib.take_out(place, gone, &|slot| rank(peers, slot), K::max_paths(config));
        for path in taken {
            if let Some(prefix) = key.prefix() {
                self.monitored_route(prefix, path.source());
            }
            self.shared.release(path.route);
        }
        self.originations_due |= key.is_watched(&self.originations);
        effect
    }
}
