//! Neighbours that restart and forward meanwhile (RFC 4724 4.2, RFC 8538): what they told stays in use until they have
//! told it again, or are not back in time.

use super::event::Action;
use super::notice::{Notice, SessionEnd};
use super::session::Negotiated;
use super::slots::Slot;
use super::speaker::Speaker;
use crate::id::IfName;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{AfiSafi, Notification};
use alloc::vec::Vec;

/// How long a neighbour that is back may take to tell everything, at most.
const TELLING: Duration = Duration::from_secs(360);

/// Families whose routes stay when a session ends so. An end without a word is a restart; one with a word is
/// if both have said so and the word is no Hard Reset (RFC 8538 4). What we end for good is none, and over a
/// link that is down nothing is forwarded.
pub(super) fn kept(end: &SessionEnd, negotiated: &Negotiated) -> Vec<AfiSafi> {
    let restarts = match end {
        SessionEnd::Closed => true,
        SessionEnd::HoldExpired | SessionEnd::NotificationSent { .. } => negotiated.notification,
        SessionEnd::NotificationReceived { notification } => {
            let hard = (Notification::CEASE, Notification::HARD_RESET);
            negotiated.notification && (notification.code, notification.subcode) != hard
        }
        _ => false,
    };
    let restart = negotiated.restart.as_ref().filter(|it| restarts && it.time > 0);
    let carried = |family: &AfiSafi| negotiated.families.iter().any(|&it| AfiSafi::from(it) == *family);
    restart.map_or_else(Vec::new, |it| it.families.iter().map(|it| it.0).filter(carried).collect())
}

impl Speaker {
    /// A neighbour is gone whose routes stay.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        slot: Slot,
        kept: &[AfiSafi],
        negotiated: &Negotiated,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.kept_until = None;
        let Some(restart) = negotiated.restart.as_ref().filter(|_| !kept.is_empty()) else { return };
        let time = Duration::from_secs(u64::from(restart.time));
        peer.kept_until = Some(now + time);
        let seconds = restart.time;
        actions.push(Action::Log(Notice::RoutesKept { neighbour: peer.name(), seconds }));
        for &family in kept {
            // Of the restart before this one (RFC 4724 4.2).
            self.sweep(slot, family, actions);
            self.mark_stale(slot, family);
        }
    }

    /// The neighbour is back: what it has not forwarded by meanwhile goes, the rest has time until it has
    /// been told again.
    pub(super) fn back(
        &mut self,
        now: Instant,
        slot: Slot,
        negotiated: &Negotiated,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.kept_until.is_none() {
            return;
        }
        peer.kept_until = Some(now + TELLING);
        let forwarded = |family: AfiSafi| {
            let said = negotiated.restart.iter().flat_map(|it| &it.families);
            let carried = negotiated.families.iter().any(|&it| AfiSafi::from(it) == family);
            carried && said.copied().any(|it| it == (family, true))
        };
        for family in [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST, AfiSafi::EVPN] {
            if !forwarded(family) {
                self.sweep(slot, family, actions);
            }
        }
    }

    /// The link of some is down: nothing is forwarded over it.
    pub(super) fn keep_nothing_over(&mut self, link: &IfName, actions: &mut Vec<Action>) {
        for slot in self.peer_slots() {
            let Some(peer) = self.peers[slot.index()].as_ref() else { continue };
            if peer.kept_until.is_some() && peer.session.config.transport.link() == link {
                self.keep_no_longer(slot, actions);
            }
        }
    }

    /// The neighbour has told everything of a family: End-of-RIB.
    pub(super) fn told_all(&mut self, slot: Slot, family: AfiSafi, actions: &mut Vec<Action>) {
        self.monitored_whole(slot, family);
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if !peer.told_all.insert(family) || peer.kept_until.is_none() {
            return;
        }
        let families = peer.session.established().map_or(&[][..], |it| &it.families);
        if families.iter().all(|&it| peer.told_all.contains(&it.into())) {
            peer.kept_until = None;
        }
        self.sweep(slot, family, actions);
    }

    /// It was not back in time, or did not tell everything in time.
    pub(super) fn keep_no_longer(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.kept_until = None;
        actions.push(Action::Log(Notice::RoutesKeptNoLonger { neighbour: peer.name() }));
        for family in [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST, AfiSafi::EVPN] {
            self.sweep(slot, family, actions);
        }
    }
}
