//! Routes told again on request (RFC 2918), with a beginning and an end where both sides know how to say
//! so (RFC 7313): what was not told again by then is gone.

use super::adj_out::Queue;
use super::event::Action;
use super::key::Key;
use super::slots::Slot;
use super::speaker::{Speaker, say_ready};
use crate::id::Prefix;
use crate::wire::bgp::{AfiSafi, EvpnRoute, Refresh};
use alloc::vec::Vec;

impl Speaker {
    pub(super) fn refresh(&mut self, slot: Slot, family: AfiSafi, what: Refresh, actions: &mut Vec<Action>) {
        let deferred = self.defers(family);
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        let Some(negotiated) = peer.session.established() else { return };
        if !negotiated.families.iter().any(|&carried| AfiSafi::from(carried) == family) {
            return;
        }
        let enhanced = negotiated.enhanced_refresh;
        match what {
            // The first telling is to come.
            Refresh::Request if deferred => {}
            Refresh::Request if enhanced && Prefix::holds(family) => {
                self.tell_between::<Prefix>(slot, family, actions);
            }
            Refresh::Request if enhanced => self.tell_between::<EvpnRoute>(slot, family, actions),
            Refresh::Request => self.tell_again(slot, Some(family), actions),
            // RFC 7313 4.2: of who restarts gracefully, none before the first telling is through.
            Refresh::Begin if negotiated.restart.is_some() && !peer.told_all.contains(&family) => {}
            Refresh::Begin if enhanced => {
                peer.refreshing.insert(family);
                self.mark_stale(slot, family);
            }
            Refresh::End if peer.refreshing.remove(&family) => self.sweep(slot, family, actions),
            // An end without a beginning, or a word that was not agreed on.
            Refresh::Begin | Refresh::End | Refresh::Unknown(_) => {}
        }
    }

    fn tell_between<K: Key>(&mut self, slot: Slot, family: AfiSafi, actions: &mut Vec<Action>) {
        let marked = self.queue::<K>(slot).is_some_and(|queue| queue.begin_refresh(family));
        self.tell_again(slot, Some(family), actions);
        if marked && let Some(queue) = self.queue::<K>(slot) {
            queue.end_refresh(family);
        }
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            say_ready(peer, self.now, actions);
        }
    }

    fn queue<K: Key>(&mut self, slot: Slot) -> Option<&mut Queue<K>> {
        Some(K::queue(self.peers[slot.index()].as_mut()?.out.as_mut()?))
    }

    /// All that the neighbour has told of a family is of an earlier telling from now on.
    pub(super) fn mark_stale(&mut self, slot: Slot, family: AfiSafi) {
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.rounds.begin(family);
            peer.refused.mark_stale(family);
            peer.held.mark_stale(family);
        }
    }

    /// What of a family was not told again is gone.
    pub(super) fn sweep(&mut self, slot: Slot, family: AfiSafi, actions: &mut Vec<Action>) {
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.refused.sweep(family);
            peer.held.sweep(family);
        }
        self.end_round(slot, family, actions);
    }
}
