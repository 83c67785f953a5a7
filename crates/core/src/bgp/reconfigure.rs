//! A new configuration in place of the old one, with as little disturbance as it allows.

use super::adj_out::AdjOut;
use super::config::{Invalid, LimitTerms, NeighbourConfig, OutsidePolicy, Relation, SpeakerConfig, Terms};
use super::event::{Action, NeighbourId};
use super::notice::SessionEnd;
use super::originate::Originations;
use super::policy::{Policy, Tables};
use super::rib::Effect;
use super::session::SessionEvent;
use super::slots::Slot;
use super::speaker::{Peer, Speaker, rank, say_ready};
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{AfiSafi, Notification, Refresh};
use alloc::vec::Vec;

impl Speaker {
    /// Takes a new configuration. Neighbours are matched by name: those unchanged keep their sessions,
    /// the others' sessions end or begin. From here on a [`NeighbourId`] is an index into the new
    /// list; connections keep their numbers. Every `UpdatesReady` said before is void: what still
    /// waits is said again, under the new numbers.
    pub fn replace_config(&mut self, now: Instant, config: SpeakerConfig, actions: &mut Vec<Action>) {
        let old = core::mem::replace(&mut self.config, config);
        if self.config == old {
            return;
        }
        let identity = |it: &SpeakerConfig| (it.router_id, it.asn, it.public_asn);
        let same_identity = identity(&old) == identity(&self.config);
        self.renumber();
        self.part(now, same_identity, actions);
        self.tables = Tables::new(&self.config);
        self.meet(now, actions);

        let announced: Vec<Prefix> = self.originations.prefixes(true);
        let before = core::mem::take(&mut self.originations);
        self.originations = Originations::new(&self.config, &mut self.shared);
        drop(before);
        for place in announced.iter().filter_map(|prefix| self.rib.place(prefix)).collect::<Vec<_>>() {
            let peers = &self.peers;
            let max_paths = self.config.max_paths;
            let effect = self.rib.set(place, Slot::LOCAL, None, &|slot| rank(peers, slot), max_paths);
            self.spread::<Prefix>(place, effect, actions);
        }
        self.originations_due = true;
        self.reconsider_originations(actions);

        let kernel = |it: &SpeakerConfig| (it.source_v4, it.source_v6);
        let forwarding = kernel(&old) != kernel(&self.config);
        if forwarding || old.max_paths != self.config.max_paths {
            self.decide_all_again(forwarding, actions);
        }
        let lists = |it: &SpeakerConfig| (it.bogons.clone(), it.own_prefixes.clone(), it.inside_asns.clone());
        if lists(&old) != lists(&self.config) {
            self.filter_again(now, actions);
        } else if old.draining != self.config.draining {
            self.peer_slots().for_each(|slot| self.tell_again(slot, None, actions));
        }
    }

    /// Whoever stays is spoken of by its new number from here on.
    fn renumber(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            let name = &peer.session.config.name;
            if let Some(at) = self.config.neighbours.iter().position(|it| it.name == *name) {
                peer.session.id = NeighbourId(at as u16);
            }
            if let Some(out) = &mut peer.out {
                out.told = false;
            }
        }
    }

    /// Ends the sessions of neighbours that are gone or not what they were.
    fn part(&mut self, now: Instant, same_identity: bool, actions: &mut Vec<Action>) {
        for slot in self.peer_slots() {
            let Some(peer) = self.peers[slot.index()].as_ref() else { continue };
            let name = &peer.session.config.name;
            let new = self.config.neighbours.iter().find(|it| it.name == *name);
            let keeps = new.is_some_and(|new| same_identity && same_session(&peer.session.config, new));
            if keeps {
                continue;
            }
            // RFC 4486: Peer De-configured, or Other Configuration Change.
            let subcode = if new.is_some() { 6 } else { 3 };
            let notification = Notification::new(Notification::CEASE, subcode);
            let end = SessionEvent::End(SessionEnd::ConfigurationChanged, notification);
            // It must not dial again before it is gone.
            if let Some(peer) = self.peers[slot.index()].as_mut() {
                peer.session.retire();
            }
            self.session_event(now, slot, end, actions);
            // Routes that were kept without a session.
            self.take_all_out(slot, actions);
            self.peers[slot.index()] = None;
        }
    }

    /// Gives every neighbour of the new list a slot, and begins with those that are new.
    fn meet(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let neighbours = self.config.neighbours.clone();
        let mut slots = Vec::with_capacity(neighbours.len());
        for (id, neighbour) in (0..=u16::MAX).map(NeighbourId).zip(neighbours) {
            let known = self.peer_slots().find(|slot| {
                self.peers[slot.index()].as_ref().is_some_and(|it| it.session.config.name == neighbour.name)
            });
            match known {
                Some(slot) => {
                    slots.push(slot);
                    self.adjust(now, slot, neighbour, actions);
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
        if let Some(free) = self.peer_slots().find(|slot| self.peers[slot.index()].is_none()) {
            self.peers[free.index()] = Some(peer);
            return free;
        }
        self.peers.push(Some(peer));
        Slot((self.peers.len() - 1) as u16)
    }

    fn begin(&mut self, now: Instant, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_ref() else { return };
        let link_up = self.links_up.contains(peer.session.config.transport.link());
        if link_up {
            self.session_event(now, slot, SessionEvent::LinkUp, actions);
        }
        if self.started {
            self.session_event(now, slot, SessionEvent::Start, actions);
        }
    }

    /// A neighbour that keeps its session: what it is told may be another thing now.
    fn adjust(&mut self, now: Instant, slot: Slot, new: NeighbourConfig, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.session.config == new {
            if let Some(policy) = &mut peer.policy {
                policy.renew(&self.config, &new);
            }
            if peer.out.as_ref().is_some_and(AdjOut::has_more) {
                say_ready(peer, now, actions);
            }
            return;
        }
        let policy = Policy::new(&self.config, &new);
        let word = |relation: &Relation| match relation {
            Relation::Outside(policy) => policy.invalid,
            Relation::Inside { .. } => Invalid::Take,
        };
        let validate = word(&peer.session.config.relation) != word(&new.relation);
        let import = policy.as_ref().map(|it| it.import()) != peer.policy.as_ref().map(|it| it.import());
        peer.policy = policy;
        peer.session.config = new;
        self.tell_again(slot, None, actions);
        if validate {
            self.validate_all_again(actions);
        }
        if import {
            self.ask_again(now, slot, actions);
        }
        self.check_limit(now, slot, actions);
    }

    fn decide_all_again(&mut self, forwarding: bool, actions: &mut Vec<Action>) {
        for place in self.rib.places() {
            let peers = &self.peers;
            let effect = self.rib.redecide(place, &|slot| rank(peers, slot), self.config.max_paths);
            let effect = Effect { forwarding: effect.forwarding || forwarding, ..effect };
            self.spread::<Prefix>(place, effect, actions);
        }
    }

    /// The lists by which routes are filtered have changed: neighbours outside are asked to tell
    /// everything again (RFC 2918), or their sessions begin anew if they cannot; and are told
    /// everything again.
    fn filter_again(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for slot in self.peer_slots() {
            self.tell_again(slot, None, actions);
            self.ask_again(now, slot, actions);
        }
    }

    /// What a neighbour outside has told would be taken otherwise now.
    fn ask_again(&mut self, now: Instant, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_ref() else { return };
        let Some(negotiated) = peer.session.established() else { return };
        if matches!(peer.session.config.relation, Relation::Inside { .. }) {
            return;
        }
        if negotiated.route_refresh {
            let mut bytes = Vec::new();
            for &family in &negotiated.families {
                AfiSafi::from(family).emit_refresh(Refresh::Request, &mut bytes);
            }
            actions.push(Action::Send { connection: negotiated.connection, bytes });
        } else {
            let notification = Notification::new(Notification::CEASE, 6);
            let end = SessionEvent::End(SessionEnd::ConfigurationChanged, notification);
            self.session_event(now, slot, end, actions);
        }
    }
}

/// Whether a session goes on under a new configuration: only what can be told or asked for again may differ.
fn same_session(old: &NeighbourConfig, new: &NeighbourConfig) -> bool {
    let agreed = |relation: &Relation| match relation {
        Relation::Inside { .. } => Relation::Inside { prepends: 1 },
        // OPEN says the role (RFC 9234 4.1); all else is ours alone.
        Relation::Outside(policy) => Relation::Outside(OutsidePolicy::of(policy.role)),
    };
    let without = |it: &NeighbourConfig| NeighbourConfig {
        relation: agreed(&it.relation),
        terms: Terms { drain: false, bfd: None, limit: LimitTerms::default(), ..it.terms.clone() },
        ..it.clone()
    };
    without(old) == without(new)
}
