//! A new configuration in place of the old one, with as little disturbance as it allows.

use super::adj_out::AdjOut;
use super::change::{Effect, SessionTerm, changed_terms, has, resets, successors};
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
use alloc::vec;
use alloc::vec::Vec;

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
        let mut staying: Vec<Option<(Slot, Vec<SessionTerm>)>> = vec![None; self.config.neighbours.len()];
        let slots = self.slots.clone();
        for ((slot, before), place) in slots.into_iter().zip(&old.neighbours).zip(successors) {
            let new = |at: usize| Some((at, self.config.neighbours.get(at)?));
            let terms = place.and_then(new);
            let terms = terms.map(|(at, after)| (at, changed_terms(&old, before, &self.config, after)));
            match terms {
                Some((at, terms)) if !resets(&terms) => staying[at] = Some((slot, terms)),
                _ => self.part(now, slot, place.is_some(), actions),
            }
        }
        self.tables = Tables::new(&self.config);
        self.meet(now, staying, actions);

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

    /// Ends the session of a neighbour that is gone or not what it was.
    fn part(&mut self, now: Instant, slot: Slot, comes_back: bool, actions: &mut Vec<Action>) {
        // RFC 4486: Other Configuration Change, or Peer De-configured.
        let subcode = if comes_back { 6 } else { 3 };
        let notification = Notification::new(Notification::CEASE, subcode);
        let end = SessionEvent::End(SessionEnd::ConfigurationChanged, notification);
        // It must not dial again before it is gone.
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.session.retire();
        }
        self.session_event(now, slot, end, actions);
        self.retire(slot, actions);
    }

    /// Gives every neighbour of the new list a slot, and begins with those that are new. `staying`: by new
    /// number, with what is another.
    fn meet(
        &mut self,
        now: Instant,
        staying: Vec<Option<(Slot, Vec<SessionTerm>)>>,
        actions: &mut Vec<Action>,
    ) {
        let neighbours = self.config.neighbours.clone();
        let mut slots = Vec::with_capacity(neighbours.len());
        for ((id, neighbour), known) in (0..=u16::MAX).map(NeighbourId).zip(neighbours).zip(staying) {
            match known {
                Some((slot, terms)) => {
                    slots.push(slot);
                    self.adjust(now, slot, neighbour, &terms, actions);
                }
                None => {
                    let slot = self.new_slot(Peer::new(id, neighbour, &self.config));
                    slots.push(slot);
                    self.begin(now, slot, actions);
                }
            }
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
