//! A changed policy, applied to what a neighbour has told before: it is asked to tell it again (RFC 2918), or,
//! if it cannot be asked, what was kept of it is judged again, a piece at a time. No session ends for it.

use super::by_path::PathOf;
use super::event::Action;
use super::notice::Notice;
use super::slots::Slot;
use super::speaker::{Peer, Speaker};
use crate::id::Prefix;
use crate::wire::bgp::{AfiSafi, Refresh};
use alloc::vec::Vec;

/// How far a neighbour's kept routes are judged again.
#[derive(Debug, Default)]
pub(super) struct Judging {
    /// The last prefix that was; `None`: none yet.
    done_to: Option<Prefix>,
}

impl Speaker {
    /// What a neighbour has told would be taken otherwise now.
    pub(super) fn judge_again(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.session.established().is_none() || ask_to_tell(peer, actions) {
            return;
        }
        peer.judging = Some(Judging::default());
        let (neighbour, routes) = (peer.name(), peer.refused.beyond());
        if routes > 0 {
            actions.push(Action::Log(Notice::NotJudgedAgain { neighbour, routes }));
        }
        self.ask_to_poll(actions);
    }

    /// Judges at most `budget` routes. True if there are more.
    pub(super) fn poll_judged(&mut self, budget: usize, actions: &mut Vec<Action>) -> bool {
        let mut left = budget;
        for slot in self.peer_slots() {
            while left > 0 {
                let Some(prefix) = self.next_to_judge(slot) else { break };
                for id in self.told_paths_of(slot, &prefix) {
                    self.judge_told(slot, (prefix, id), actions);
                }
                left -= 1;
            }
        }
        self.peers.iter().flatten().any(|peer| peer.judging.is_some())
    }

    /// The next of a neighbour's prefixes, taken or refused; at the end it is no longer judged.
    fn next_to_judge(&mut self, slot: Slot) -> Option<Prefix> {
        let peer = self.peers[slot.index()].as_mut()?;
        let judging = peer.judging.as_mut()?;
        let after = judging.done_to.as_ref();
        let taken = peer.adj_in.keys_after(after).next();
        let refused = peer.refused.keys_after(after).next();
        judging.done_to = [taken, refused].into_iter().flatten().min();
        if judging.done_to.is_none() {
            peer.judging = None;
            return None;
        }
        judging.done_to
    }

    /// The identifiers by which it was told (RFC 7911).
    fn told_paths_of(&self, slot: Slot, prefix: &Prefix) -> Vec<u32> {
        let Some(peer) = self.peers[slot.index()].as_ref() else { return Vec::new() };
        peer.adj_in.ids_of(prefix).chain(peer.refused.ids_of(prefix)).collect()
    }

    fn judge_told(&mut self, slot: Slot, path: PathOf, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_ref() else { return };
        // What could not be read says nothing to judge.
        let Some(told) = peer.adj_in.get(&path).or_else(|| peer.refused.told(&path)).cloned() else {
            return;
        };
        let route = self.import(slot, &told.attributes, told.next_hop);
        let route = self.judge(slot, path, route);
        self.admit(slot, path, route, Some(told), actions);
    }
}

/// Asks a neighbour to tell everything again; false if it cannot be asked.
pub(super) fn ask_to_tell(peer: &Peer, actions: &mut Vec<Action>) -> bool {
    let Some(negotiated) = peer.session.established().filter(|it| it.route_refresh) else { return false };
    let mut bytes = Vec::new();
    for &family in &negotiated.families {
        AfiSafi::from(family).emit_refresh(Refresh::Request, &mut bytes);
    }
    actions.push(Action::Send { connection: negotiated.connection, bytes });
    true
}
