//! What a session brings into the table and, when it ends, takes away with it.

use super::adj_out::AdjOut;
use super::config::{Family, LimitTerms, Relation};
use super::event::Action;
use super::evpn::EvpnRefusals;
use super::key::Key;
use super::notice::{ImportRefusal, Notice, SessionEnd};
use super::policy;
use super::refused::RefusedList;
use super::restart;
use super::rib::Route;
use super::session::{Negotiated, SessionEvent};
use super::slots::Slot;
use super::speaker::{Peer, Speaker};
use super::status::FamilyCounts;
use super::told::{AdjIn, AllTold, Told};
use super::validation::Held;
use crate::id::Prefix;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{AfiSafi, Attributes, DecodedUpdate, EvpnRoute, MpNextHop, Notification};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What an UPDATE says of its routes, shared once anybody has to keep it.
struct ToldOnce<'a> {
    attributes: &'a Attributes,
    next_hop: MpNextHop,
    shared: Option<Arc<Told>>,
}

impl ToldOnce<'_> {
    fn share(&mut self, all: &mut AllTold) -> Arc<Told> {
        let ToldOnce { attributes, next_hop, .. } = *self;
        let share = || all.share(Told { attributes: attributes.clone(), next_hop });
        self.shared.get_or_insert_with(share).clone()
    }
}

impl Speaker {
    pub(super) fn session_up(
        &mut self,
        now: Instant,
        slot: Slot,
        negotiated: &Negotiated,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.established_at = Some(now);
        peer.down_since = None;
        peer.router_id = Some(negotiated.router_id);
        peer.told_all.clear();
        peer.established_count += 1;
        peer.failure_said = None;
        peer.refused = RefusedList::default();
        peer.evpn_refused = EvpnRefusals::default();
        peer.errors_said.clear();
        peer.limit_said.clear();
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        actions.push(Action::Log(Notice::Established {
            neighbour: peer.name(),
            router_id: negotiated.router_id,
            hold: millis(negotiated.hold),
            keepalive: millis(negotiated.keepalive),
        }));
        peer.out = Some(AdjOut::new(now));
        self.monitored_up(slot);
        self.back(now, slot, negotiated, actions);
        self.tell_again(slot, None, actions);
        if let Some(out) = self.peers[slot.index()].as_mut().and_then(|peer| peer.out.as_mut()) {
            out.mark_first_telling(negotiated.families.iter().map(|&family| family.into()));
        }
    }

    /// Everything that a session brought goes with it, at once, unless the neighbour means to be back soon
    /// and to forward meanwhile.
    pub(super) fn session_down(
        &mut self,
        now: Instant,
        slot: Slot,
        end: SessionEnd,
        negotiated: &Negotiated,
        actions: &mut Vec<Action>,
    ) {
        let kept = restart::kept(&end, negotiated);
        self.monitored_down(slot, &end);
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.out = None;
        peer.established_at = None;
        peer.down_since = Some(now);
        peer.refused = RefusedList::default();
        peer.evpn_refused = EvpnRefusals::default();
        peer.held = Held::default();
        peer.adj_in = AdjIn::default();
        peer.refreshing.clear();
        peer.last_end = Some(end.clone());
        peer.failure_said = None;
        actions.push(Action::Log(Notice::Lost { neighbour: peer.name(), reason: end }));
        if self.stopped {
            return;
        }
        self.take_out::<Prefix>(slot, &kept, actions);
        self.take_out::<EvpnRoute>(slot, &kept, actions);
        self.keep(now, slot, &kept, negotiated, actions);
        self.shared.sweep();
        self.all_told.sweep();
        self.reconsider_originations(actions);
    }

    pub(super) fn take_all_out(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        self.take_out::<Prefix>(slot, &[], actions);
        self.take_out::<EvpnRoute>(slot, &[], actions);
    }

    fn take_out<K: Key>(&mut self, slot: Slot, kept: &[AfiSafi], actions: &mut Vec<Action>) {
        for place in K::parts(self).rib.disown(slot) {
            let rib = K::parts(self).rib;
            if rib.at(place).is_some_and(|(key, _)| kept.contains(&key.family())) {
                rib.tidy(place);
            } else {
                self.set_route_at::<K>(place, slot, None, actions);
            }
        }
    }

    pub(super) fn update(
        &mut self,
        now: Instant,
        slot: Slot,
        decoded: &DecodedUpdate,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        let Some(negotiated) = peer.session.established() else { return };
        let carried = |family: AfiSafi| negotiated.families.iter().any(|&it| AfiSafi::from(it) == family);
        let (ipv4, ipv6) = (carried(AfiSafi::IPV4_UNICAST), carried(AfiSafi::IPV6_UNICAST));
        let carried = |prefix: &&Prefix| if prefix.addr().is_ipv4() { ipv4 } else { ipv6 };
        peer.updates_in += 1;
        for &error in &decoded.errors {
            if peer.errors_said.insert((error.code, error.fault)) {
                actions.push(Action::Log(Notice::AttributeError { neighbour: peer.name(), error }));
            }
        }
        let update = &decoded.update;
        let unreachable = update.mp_unreach.iter().flat_map(|unreach| &unreach.prefixes);
        for prefix in update.withdrawn.iter().chain(unreachable).filter(carried) {
            self.withdrawn(slot, prefix, actions);
        }
        let attributes = update.attributes.as_ref();
        let classic = update.next_hop.map(MpNextHop::V4).map(|it| (it, &update.announced));
        let mp = update.mp_reach.as_ref().filter(|reach| !reach.prefixes.is_empty());
        let mp = mp.map(|reach| (reach.next_hop, &reach.prefixes));
        let bad = decoded.treat_as_withdraw();
        for (next_hop, prefixes) in [classic, mp].into_iter().flatten() {
            let Some(attributes) = attributes.filter(|_| !bad) else {
                for prefix in prefixes.iter().filter(carried) {
                    self.unreadable(slot, prefix, actions);
                }
                continue;
            };
            let route = self.import(slot, attributes, next_hop);
            let mut told = ToldOnce { attributes, next_hop, shared: None };
            for prefix in prefixes.iter().filter(carried) {
                self.announced(slot, prefix, route.clone(), &mut told, actions);
            }
        }
        if classic.is_none() {
            // Without NEXT_HOP, which is an error that was said above.
            for prefix in update.announced.iter().filter(carried) {
                self.unreadable(slot, prefix, actions);
            }
        }
        self.update_evpn(slot, decoded, actions);
        if let Some(family) = update.end_of_rib() {
            self.told_all(slot, family, actions);
        }
        self.check_limit(now, slot, actions);
        self.reconsider_originations(actions);
    }

    /// What an UPDATE's routes become here, before their prefixes are looked at.
    pub(super) fn import(
        &mut self,
        slot: Slot,
        attributes: &Attributes,
        next_hop: MpNextHop,
    ) -> Result<Arc<Route>, ImportRefusal> {
        let Some(peer) = self.peers[slot.index()].as_ref() else {
            return Err(ImportRefusal::TreatedAsWithdraw);
        };
        let session = &peer.session;
        let remote = session.remote().unwrap_or(session.local());
        let next_hop = policy::import_next_hop(&session.config, remote, next_hop)?;
        let route = policy::import_attributes(
            &self.config,
            &session.config,
            peer.policy.as_deref(),
            attributes,
            next_hop,
        )?;
        Ok(self.shared.share(route))
    }

    fn announced(
        &mut self,
        slot: Slot,
        prefix: &Prefix,
        route: Result<Arc<Route>, ImportRefusal>,
        told: &mut ToldOnce<'_>,
        actions: &mut Vec<Action>,
    ) {
        let route = self.judge(slot, prefix, route);
        let keeps = self.peers[slot.index()].as_ref().is_some_and(Peer::keeps_told);
        let told = (keeps || route.is_err()).then(|| told.share(&mut self.all_told));
        self.admit(slot, prefix, route, told, actions);
    }

    /// What policy and payloads say of a route to a prefix.
    pub(super) fn judge(
        &mut self,
        slot: Slot,
        prefix: &Prefix,
        route: Result<Arc<Route>, ImportRefusal>,
    ) -> Result<Arc<Route>, ImportRefusal> {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return route };
        let blackhole = route.as_ref().is_ok_and(|route| route.discard);
        let allowed = policy::import_prefix(&self.tables, peer.policy.as_deref(), prefix, blackhole);
        match allowed.and(route) {
            Ok(route) => self.validated(slot, prefix, route),
            Err(reason) => {
                peer.held.remove(prefix);
                Err(reason)
            }
        }
    }

    /// Taken as a withdrawal (RFC 7606 2).
    fn unreadable(&mut self, slot: Slot, prefix: &Prefix, actions: &mut Vec<Action>) {
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.held.remove(prefix);
        }
        self.admit(slot, prefix, Err(ImportRefusal::TreatedAsWithdraw), None, actions);
    }

    /// Takes a route, or notes why not. `told`: what the neighbour said, as far as it is known.
    pub(super) fn admit(
        &mut self,
        slot: Slot,
        prefix: &Prefix,
        route: Result<Arc<Route>, ImportRefusal>,
        told: Option<Arc<Told>>,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        match route {
            Ok(route) => {
                peer.refused.remove(prefix);
                if let Some(told) = told.filter(|_| peer.keeps_told()) {
                    peer.adj_in.insert(prefix, told);
                }
                self.set_route(prefix, slot, Some(route), actions);
            }
            Err(reason) => {
                peer.adj_in.remove(prefix);
                let name = &peer.session.config.name;
                actions.extend(peer.refused.add(name, *prefix, reason, told).map(Action::Log));
                self.set_route(prefix, slot, None, actions);
            }
        }
    }

    fn withdrawn(&mut self, slot: Slot, prefix: &Prefix, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.refused.remove(prefix);
        peer.held.remove(prefix);
        peer.adj_in.remove(prefix);
        self.set_route(prefix, slot, None, actions);
    }

    pub(super) fn check_limit(&mut self, now: Instant, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        let Relation::Outside(policy) = &peer.session.config.relation else { return };
        let Some(limit) = policy.prefix_limit else { return };
        let LimitTerms { warn_percent, rest } = peer.session.config.terms.limit;
        let near = u64::from(limit) * u64::from(warn_percent) / 100;
        let counts = [(Family::Ipv4Unicast, peer.accepted.ipv4), (Family::Ipv6Unicast, peer.accepted.ipv6)];
        for (family, count) in counts {
            if u64::from(count) > near && count <= limit && peer.limit_said.insert(family) {
                actions.push(Action::Log(Notice::LimitNear { neighbour: peer.name(), family, count, limit }));
            }
        }
        let family = match peer.accepted {
            FamilyCounts { ipv4, .. } if ipv4 > limit => AfiSafi::IPV4_UNICAST,
            FamilyCounts { ipv6, .. } if ipv6 > limit => AfiSafi::IPV6_UNICAST,
            _ => return,
        };
        // RFC 4486 4: the family and the limit.
        let mut notification = Notification::new(Notification::CEASE, 1);
        notification.data.extend_from_slice(&family.afi.to_be_bytes());
        notification.data.push(family.safi);
        notification.data.extend_from_slice(&limit.to_be_bytes());
        let end = SessionEvent::End(SessionEnd::PrefixLimit { limit, rest }, notification);
        self.session_event(now, slot, end, actions);
    }
}
