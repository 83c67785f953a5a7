//! A new configuration in place of the old one, with as little disturbance as it allows.

use super::adj_out::AdjOut;
use super::change::{Effect, SessionTerm, changed_terms, has, resets, resetting, successors};
use super::config::{NeighbourConfig, SpeakerConfig};
use super::event::{Action, NeighbourId};
use super::notice::SessionEnd;
use super::originate::Originations;
use super::policy::{Policy, Tables};
use super::session::SessionEvent;
use super::slots::Slot;
use super::speaker::{Peer, Speaker, rank, say_ready};
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::Notification;
use alloc::vec::Vec;

/// How a neighbour comes into a new configuration.
enum Coming {
    New,
    /// Its session goes on, and these of its terms are others.
    Stays(Slot, Vec<SessionTerm>),
    /// Its session begins anew.
    Again(Option<Past>),
}

/// What a neighbour's status tells of sessions that are over.
struct Past {
    established_count: u32,
    down_since: Option<Instant>,
    last_end: Option<SessionEnd>,
    updates: [u64; 2],
}

impl Past {
    fn of(peer: &Peer) -> Past {
        Past {
            established_count: peer.established_count,
            down_since: peer.down_since,
            last_end: peer.last_end.clone(),
            updates: [peer.updates_in, peer.updates_out],
        }
    }

    fn into_peer(self, peer: &mut Peer) {
        peer.established_count = self.established_count;
        peer.down_since = self.down_since;
        peer.last_end = self.last_end;
        [peer.updates_in, peer.updates_out] = self.updates;
    }
}

impl Speaker {
    /// Takes a new configuration. What becomes of each session is what [`super::change::session_changes`]
    /// says. From here on a [`NeighbourId`] is an index into the new list; connections keep their numbers.
    /// Every `UpdatesReady` said before is void: what still waits is said again, under the new numbers.
    pub fn replace_config(&mut self, now: Instant, config: SpeakerConfig, actions: &mut Vec<Action>) {
        let old = core::mem::replace(&mut self.config, config);
        if self.config == old {
            return;
        }
        let successors = successors(&old.neighbours, &self.config.neighbours);
        self.renumber(&successors);
        let mut coming: Vec<Coming> = self.config.neighbours.iter().map(|_| Coming::New).collect();
        let slots = self.slots.clone();
        for ((slot, before), place) in slots.into_iter().zip(&old.neighbours).zip(successors) {
            let new = |at: usize| Some((at, self.config.neighbours.get(at)?));
            let terms = place.and_then(new);
            let terms = terms.map(|(at, after)| (at, changed_terms(&old, before, &self.config, after)));
            match terms {
                Some((at, terms)) if !resets(&terms) => coming[at] = Coming::Stays(slot, terms),
                Some((at, terms)) => coming[at] = Coming::Again(self.part(now, slot, &terms, actions)),
                None => drop(self.part(now, slot, &[], actions)),
            }
        }
        self.tables = Tables::new(&self.config);
        self.meet(now, coming, actions);

        let announced: Vec<Prefix> = self.originations.prefixes(true);
        let before = core::mem::take(&mut self.originations);
        self.originations = Originations::new(&self.config, &mut self.shared);
        drop(before);
        for place in announced.iter().filter_map(|prefix| self.rib.place(prefix)).collect::<Vec<_>>() {
            let peers = &self.peers;
            let max_paths = self.config.max_paths;
            let effect =
                self.rib.set(place, Slot::LOCAL.into(), 0, None, &|slot| rank(peers, slot), max_paths);
            self.spread::<Prefix>(place, effect, actions);
        }
        self.originations_due = true;
        self.reconsider_originations(actions);

        let kernel = |it: &SpeakerConfig| (it.source_v4, it.source_v6);
        let forwarding = kernel(&old) != kernel(&self.config);
        if forwarding || old.max_paths != self.config.max_paths {
            self.decide_all_again(forwarding, actions);
        }
        self.reconsider_deferral(now, actions);
    }

    /// What of a neighbour's terms could not be brought into force on the connection that stands, in place of
    /// what was said of it before: the status says that it waits for the next session.
    pub fn set_unapplied(&mut self, neighbour: NeighbourId, terms: Vec<SessionTerm>) {
        let slot = self.slot(neighbour);
        if let Some(peer) = slot.and_then(|slot| self.peers[slot.index()].as_mut()) {
            peer.unapplied = terms;
        }
    }

    /// Whoever stays is spoken of by its new number from here on. `successors`: by old number.
    fn renumber(&mut self, successors: &[Option<usize>]) {
        for (slot, place) in self.slots.clone().into_iter().zip(successors) {
            let Some(peer) = self.peers[slot.index()].as_mut() else { continue };
            if let Some(at) = place {
                peer.session.id = NeighbourId(*at as u16);
            }
            if let Some(out) = &mut peer.out {
                out.told = false;
            }
        }
    }

    /// Ends the session of a neighbour that is gone, or of which these terms are others; what is to be told of
    /// it still.
    fn part(
        &mut self,
        now: Instant,
        slot: Slot,
        terms: &[SessionTerm],
        actions: &mut Vec<Action>,
    ) -> Option<Past> {
        // RFC 4486: Peer De-configured, or Other Configuration Change.
        let subcode = if terms.is_empty() { 3 } else { 6 };
        let notification = Notification::new(Notification::CEASE, subcode);
        let end = SessionEnd::ConfigurationChanged { terms: resetting(terms) };
        let end = SessionEvent::End(end, notification);
        // It must not dial again before it is gone.
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.session.retire();
        }
        self.session_event(now, slot, end, actions);
        let past = self.peers[slot.index()].as_ref().map(Past::of);
        self.retire(slot, actions);
        past
    }

    /// Gives every neighbour of the new list a slot, and begins with those that are new. `coming`: by new
    /// number.
    fn meet(&mut self, now: Instant, coming: Vec<Coming>, actions: &mut Vec<Action>) {
        let neighbours = self.config.neighbours.clone();
        let mut slots = Vec::with_capacity(neighbours.len());
        for ((id, neighbour), coming) in (0..=u16::MAX).map(NeighbourId).zip(neighbours).zip(coming) {
            let past = match coming {
                Coming::Stays(slot, terms) => {
                    slots.push(slot);
                    self.adjust(now, slot, neighbour, &terms, actions);
                    continue;
                }
                Coming::Again(past) => past,
                Coming::New => None,
            };
            let mut peer = Peer::new(id, neighbour, &self.config);
            if let Some(past) = past {
                past.into_peer(&mut peer);
            }
            let slot = self.new_slot(peer);
            slots.push(slot);
            self.begin(now, slot, actions);
        }
        self.slots = slots;
    }

    fn new_slot(&mut self, peer: Peer) -> Slot {
        let is_free = |slot: &Slot| self.peers[slot.index()].is_none() && !self.retired.contains(slot);
        if let Some(free) = self.peer_slots().find(is_free) {
            self.peers[free.index()] = Some(peer);
            return free;
        }
        self.peers.push(Some(peer));
        Slot((self.peers.len() - 1) as u16)
    }

    fn begin(&mut self, now: Instant, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.session.offer = self.offer.clone();
        let link_up = self.links_up.contains(peer.session.config.transport.link());
        if link_up {
            self.session_event(now, slot, SessionEvent::LinkUp, actions);
        }
        if self.started {
            self.session_event(now, slot, SessionEvent::Start, actions);
        }
    }

    /// A neighbour that keeps its session, with other terms.
    fn adjust(
        &mut self,
        now: Instant,
        slot: Slot,
        new: NeighbourConfig,
        terms: &[SessionTerm],
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.session.config.relation != new.relation {
            peer.policy = Policy::new(&self.config, &new);
        } else if let Some(policy) = &mut peer.policy {
            policy.renew(&self.config, &new);
        }
        peer.session.adjust(now, new);
        if has(terms, Effect::ToldAgain) {
            self.tell_again(slot, None, actions);
        } else if peer.out.as_ref().is_some_and(AdjOut::has_more) {
            say_ready(peer, now, actions);
        }
        if terms.contains(&SessionTerm::Invalid) {
            self.validate_all_again(actions);
        }
        if has(terms, Effect::JudgedAgain) {
            self.judge_again(slot, actions);
        }
        if terms.contains(&SessionTerm::Limit) {
            if let Some(peer) = self.peers[slot.index()].as_mut() {
                peer.limit_said.clear();
            }
            self.check_limit(now, slot, actions);
        }
    }
}
