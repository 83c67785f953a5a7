//! Our own restart (RFC 4724 4.1): the kernel forwards on by what an earlier life gave it, and nothing is chosen or
//! told of a family until those who agreed to it have told us everything, or time is up. Routes are taken in
//! meanwhile as ever; what follows from them waits, which costs no memory.

use super::config::{Family, Relation};
use super::event::Action;
use super::key::Key;
use super::notice::{DeferralEnd, Notice, SessionEnd};
use super::speaker::{Peer, Speaker};
use super::status::{Deferred, RestartStatus, Selected};
use crate::id::Prefix;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{AfiSafi, EvpnRoute, GracefulRestart};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// What of the router's forwarding outlives its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Families by which the kernel forwards on while the process is away, each with whether something of an earlier
    /// life was found there. If nothing was, this is a first start and no restart.
    pub families: Vec<(Family, bool)>,
    /// Within this we mean to be back: what neighbours are told, in whole seconds up to 4095.
    pub back: Within,
    pub waits: Waits,
}

/// A time for each kind of neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    pub inside: Duration,
    pub outside: Duration,
}

/// For what the choice of routes waits after a restart, at most, from the start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// That a link comes up.
    pub link: Duration,
    /// That a session stands on a link that is up.
    pub session: Within,
    /// That a neighbour with which one stands has told everything: the Selection_Deferral_Timer.
    pub telling: Duration,
    /// That such a neighbour goes on telling, not from the start but from the last that it told: who has said nothing
    /// for so long will not say that it is done.
    pub quiet: Duration,
    /// The same of a neighbour that need not say when it is done.
    pub pause: Duration,
}

/// What the next OPEN says of our restarts.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    families: Vec<(Family, bool)>,
    /// Seconds inside and outside.
    back: (u16, u16),
    restarted: bool,
}

impl Offer {
    fn of(forwarding: &Forwarding, restarted: bool) -> Offer {
        // Twelve bits.
        let seconds = |time: Duration| u16::try_from(time.as_secs()).unwrap_or(u16::MAX).min(0x0fff);
        let Within { inside, outside } = forwarding.back;
        let families = forwarding.families.clone();
        Offer { families, back: (seconds(inside), seconds(outside)), restarted }
    }

    /// To a neighbour of this relation with which these families are spoken. `stood`: a session with it has stood in
    /// this life, so that whatever has become of it, we have gone on forwarding.
    ///
    /// Inside, a NOTIFICATION or silence is no restart (no N bit of RFC 8538): a router that is gone, and has other
    /// ways round it, is not to be believed in for longer than its hold time.
    pub fn capability(
        &self,
        relation: &Relation,
        spoken: impl Iterator<Item = Family>,
        stood: bool,
    ) -> GracefulRestart {
        let outside = matches!(relation, Relation::Outside(_));
        let found = |family: Family| self.families.iter().find(|it| it.0 == family).map(|it| it.1);
        let families: Vec<(AfiSafi, bool)> =
            spoken.filter_map(|family| Some((family.into(), found(family)? || stood))).collect();
        let time = if outside { self.back.1 } else { self.back.0 };
        GracefulRestart {
            restarted: self.restarted,
            notification: outside,
            time: if families.is_empty() { 0 } else { time },
            families,
        }
    }
}

/// Our restart, as long as this life lasts.
#[derive(Debug)]
pub(super) struct Deferral {
    begun: Instant,
    waits: Waits,
    /// What was found in the kernel.
    found: Vec<Family>,
    /// Of which nothing is chosen yet.
    deferred: Vec<Family>,
    selected: Vec<Selected>,
    /// Something failed: what the kernel holds may lead nowhere.
    failed: bool,
}

impl Deferral {
    /// Until when a neighbour is waited for to tell all of a family; `None`: it is not.
    ///
    /// RFC 4724 4.1 has nobody wait for one that restarts itself, and that may wait for us, nor for one that knows
    /// nothing of it. Such ones tell all they have as soon as the session stands (FRR says for its first minute that it
    /// has restarted): they are waited for as long as they do not pause.
    fn waits_for(&self, now: Instant, peer: &Peer, link_up: bool, family: Family) -> Option<Instant> {
        let config = &peer.session.config;
        let inside = matches!(config.relation, Relation::Inside { .. });
        if !config.families.contains(&family) || !inside && family == Family::Evpn {
            return None;
        }
        let Some(negotiated) = peer.session.established() else {
            let Waits { link, session, .. } = self.waits;
            let time = match (link_up, inside) {
                (false, _) => link,
                (true, true) => session.inside,
                (true, false) => session.outside,
            };
            return Some(self.begun + time);
        };
        if peer.told_all.contains(&family.into()) || !negotiated.families.contains(&family) {
            return None;
        }
        let says = negotiated.restart.as_ref().is_some_and(|it| !it.restarted);
        let silence = if says { self.waits.quiet } else { self.waits.pause };
        let until = (peer.told_at.unwrap_or(self.begun) + silence).min(self.begun + self.waits.telling);
        (says || until > now).then_some(until)
    }
}

impl Speaker {
    /// Whether routes of an earlier life are used and nothing is chosen yet, of some family at least.
    pub fn is_deferring(&self) -> bool {
        self.deferral.as_ref().is_some_and(|it| !it.deferred.is_empty())
    }

    pub(super) fn defers(&self, family: AfiSafi) -> bool {
        let deferral = self.deferral.as_ref();
        deferral.is_some_and(|it| it.deferred.iter().any(|&deferred| AfiSafi::from(deferred) == family))
    }

    /// The same for a place in a table.
    pub(super) fn defers_at<K: Key>(&mut self, place: super::slab::Place) -> bool {
        if !self.is_deferring() {
            return false;
        }
        let family = K::parts(self).rib.at(place).map(|(key, _)| key.family());
        family.is_some_and(|family| self.defers(family))
    }

    /// Later than the start, it is for sessions to come only.
    pub(super) fn set_forwarding(
        &mut self,
        now: Instant,
        forwarding: &Forwarding,
        actions: &mut Vec<Action>,
    ) {
        let found = forwarding.families.iter().filter(|it| it.1).map(|it| it.0);
        let spoken = |it: &Family| self.config.neighbours.iter().any(|peer| peer.families.contains(it));
        let found: Vec<Family> = found.filter(spoken).collect();
        if !self.started && !found.is_empty() {
            actions.push(Action::Log(Notice::Restarting { families: found.clone() }));
            self.deferral = Some(Deferral {
                begun: now,
                waits: forwarding.waits,
                deferred: found.clone(),
                found,
                selected: Vec::new(),
                failed: false,
            });
        }
        self.offer = Offer::of(forwarding, self.is_deferring());
        self.offer_to_all();
    }

    fn offer_to_all(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            peer.session.offer = self.offer.clone();
        }
    }

    /// A session has ended, or a link has: what that has of a failure ends the deferral, since the kernel must follow.
    pub(super) fn deferral_heeds(&mut self, end: &SessionEnd) {
        let fails =
            matches!(end, SessionEnd::LinkDown | SessionEnd::HoldExpired | SessionEnd::BfdDown { .. });
        if let Some(deferral) = self.deferral.as_mut().filter(|_| fails) {
            deferral.failed = true;
        }
    }

    /// Begins with the families for which nobody is waited any more.
    pub(super) fn reconsider_deferral(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(deferral) = self.deferral.as_ref().filter(|it| !it.deferred.is_empty()) else { return };
        let mut due = Vec::new();
        for &family in &deferral.deferred {
            let mut awaited = self.awaited(now, deferral, family).map(|(_, until)| until);
            let why = if deferral.failed {
                DeferralEnd::Failure
            } else if awaited.clone().next().is_none() {
                DeferralEnd::Told
            } else if awaited.all(|until| until <= now) {
                DeferralEnd::Late
            } else {
                continue;
            };
            due.push((family, why));
        }
        for (family, why) in due {
            self.select(now, family, why, actions);
        }
        if !self.is_deferring() {
            self.offer.restarted = false;
            self.offer_to_all();
        }
    }

    /// Who is waited for, and until when.
    fn awaited<'a>(
        &'a self,
        now: Instant,
        deferral: &'a Deferral,
        family: Family,
    ) -> impl Iterator<Item = (&'a Peer, Instant)> + Clone + 'a {
        self.peers.iter().flatten().filter_map(move |peer| {
            let link_up = self.links_up.contains(peer.session.config.transport.link());
            Some((peer, deferral.waits_for(now, peer, link_up, family)?))
        })
    }

    /// From here on a family's routes are used and told, all that came until now first.
    fn select(&mut self, now: Instant, family: Family, why: DeferralEnd, actions: &mut Vec<Action>) {
        let Some(deferral) = self.deferral.as_mut() else { return };
        deferral.deferred.retain(|&it| it != family);
        let after_ms = u64::try_from(now.since(deferral.begun).as_millis()).unwrap_or(u64::MAX);
        deferral.selected.push(Selected { family, why, after_ms });
        actions.push(Action::Log(Notice::RoutesSelected { family, why, after_ms }));
        match family {
            Family::Evpn => self.deliver_all::<EvpnRoute>(family.into(), actions),
            _ => {
                self.deliver_all::<Prefix>(family.into(), actions);
                self.monitored_selection();
            }
        }
        for slot in self.peer_slots() {
            let peer = self.peers[slot.index()].as_ref();
            let spoken = peer.and_then(|it| it.session.established()).map(|it| it.families.clone());
            if spoken.is_some_and(|it| it.contains(&family)) {
                self.tell_again(slot, Some(family.into()), actions);
                if let Some(out) = self.peers[slot.index()].as_mut().and_then(|peer| peer.out.as_mut()) {
                    out.mark_first_telling([family.into()].into_iter());
                }
            }
        }
    }

    fn deliver_all<K: Key>(&mut self, family: AfiSafi, actions: &mut Vec<Action>) {
        let parts = K::parts(self);
        for (place, key, destination) in parts.rib.iter_mut() {
            if key.family() == family && destination.best().is_some() {
                parts.outlet.push::<K>(place, destination, actions);
            }
        }
    }

    /// When the next wait is over.
    pub(super) fn next_deferral(&self) -> Option<Instant> {
        let deferral = self.deferral.as_ref()?;
        let all = deferral.deferred.iter().flat_map(|&family| self.awaited(self.now, deferral, family));
        all.map(|(_, until)| until).filter(|&until| until > self.now).min()
    }

    /// What was found of an earlier life of ours, and for whom its routes wait; `None`: nothing was there.
    pub fn restart(&self, now: Instant) -> Option<RestartStatus> {
        let deferral = self.deferral.as_ref()?;
        let deferred = |&family: &Family| {
            let mut waits_for: BTreeMap<String, u64> = BTreeMap::new();
            for (peer, until) in self.awaited(now, deferral, family).filter(|it| it.1 > now) {
                let left = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
                waits_for.insert(peer.name(), left);
            }
            Deferred { family, waits_for }
        };
        Some(RestartStatus {
            found: deferral.found.clone(),
            deferred: deferral.deferred.iter().map(deferred).collect(),
            selected: deferral.selected.clone(),
        })
    }
}
