//! What a session brings into the table and, when it ends, takes away with it.

use super::add_path::TAKEN_MAX;
use super::adj_out::AdjOut;
use super::by_path::PathOf;
use super::config::{Family, LimitTerms, Relation};
use super::event::Action;
use super::evpn::EvpnRefusals;
use super::notice::{ImportRefusal, Notice, SessionEnd};
use super::policy;
use super::refused::RefusedList;
use super::restart;
use super::rib::{Path, Route};
use super::session::{Negotiated, SessionEvent};
use super::slots::{Slot, Source};
use super::speaker::{Peer, Speaker};
use super::told::{AdjIn, AllTold, Told};
use super::validation::Held;
use crate::id::Prefix;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{AfiSafi, Attributes, DecodedUpdate, MpNextHop, Notification, UnicastNlri};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Every family there is.
pub(super) const ALL: [AfiSafi; 3] = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST, AfiSafi::EVPN];

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
        peer.told_at = Some(now);
        peer.established_count += 1;
        peer.unapplied.clear();
        peer.failure_said = None;
        peer.refused = RefusedList::of(negotiated.route_refresh);
        peer.evpn_refused = EvpnRefusals::default();
        peer.attribute_errors.new_session();
        peer.limit_said.clear();
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        actions.push(Action::Log(Notice::Established {
            neighbour: peer.name(),
            router_id: negotiated.router_id,
            hold: millis(negotiated.hold),
            keepalive: millis(negotiated.keepalive),
        }));
        let ear = self.new_ear();
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.out = Some(AdjOut::new(now, ear));
        }
        self.monitored_up(slot);
        self.back(now, slot, negotiated, actions);
        self.tell_again(slot, None, actions);
        // What is deferred is told later, and its end with it.
        let told = negotiated.families.iter().map(|&family| AfiSafi::from(family));
        let told: Vec<AfiSafi> = told.filter(|&family| !self.defers(family)).collect();
        if let Some(out) = self.peers[slot.index()].as_mut().and_then(|peer| peer.out.as_mut()) {
            out.mark_first_telling(told.into_iter());
        }
    }

    /// Everything that a session brought goes with it, as fast as [`Speaker::poll_table`] is called, unless the
    /// neighbour means to be back soon and to forward meanwhile.
    pub(super) fn session_down(
        &mut self,
        now: Instant,
        slot: Slot,
        end: SessionEnd,
        negotiated: &Negotiated,
        actions: &mut Vec<Action>,
    ) {
        let kept = restart::kept(&end, negotiated);
        self.deferral_heeds(&end);
        self.monitored_down(slot, &end);
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        let ear = peer.out.take().map(|out| out.ear);
        peer.established_at = None;
        peer.down_since = Some(now);
        peer.refused = RefusedList::default();
        peer.evpn_refused = EvpnRefusals::default();
        peer.held = Held::default();
        peer.adj_in = AdjIn::default();
        peer.judging = None;
        peer.refreshing.clear();
        peer.last_end = Some(end.clone());
        peer.failure_said = None;
        actions.push(Action::Log(Notice::Lost { neighbour: peer.name(), reason: end }));
        if self.stopped {
            return;
        }
        if let Some(ear) = ear {
            self.forget_told(ear, actions);
        }
        for family in ALL.into_iter().filter(|family| !kept.contains(family)) {
            self.forget_family(slot, family, actions);
        }
        self.keep(now, slot, &kept, negotiated, actions);
        self.all_told.sweep();
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
        let carried = |route: &&UnicastNlri| if route.prefix.addr().is_ipv4() { ipv4 } else { ipv6 };
        let path = |route: &UnicastNlri| (route.prefix, route.path_id.unwrap_or(0));
        peer.updates_in += 1;
        peer.told_at = Some(now);
        for &error in &decoded.errors {
            if peer.attribute_errors.add(error) {
                actions.push(Action::Log(Notice::AttributeError { neighbour: peer.name(), error }));
            }
        }
        let update = &decoded.update;
        let unreachable = update.mp_unreach.iter().flat_map(|unreach| &unreach.prefixes);
        for path in update.withdrawn.iter().chain(unreachable).filter(carried).map(path) {
            self.withdrawn(slot, path, actions);
        }
        let attributes = update.attributes.as_ref();
        let classic = update.next_hop.map(MpNextHop::V4).map(|it| (it, &update.announced));
        let mp = update.mp_reach.as_ref().filter(|reach| !reach.prefixes.is_empty());
        let mp = mp.map(|reach| (reach.next_hop, &reach.prefixes));
        let bad = decoded.treat_as_withdraw();
        for (next_hop, prefixes) in [classic, mp].into_iter().flatten() {
            let Some(attributes) = attributes.filter(|_| !bad) else {
                for path in prefixes.iter().filter(carried).map(path) {
                    self.unreadable(slot, path, actions);
                }
                continue;
            };
            let route = self.import(slot, attributes, next_hop);
            let mut told = ToldOnce { attributes, next_hop, shared: None };
            for path in prefixes.iter().filter(carried).map(path) {
                self.announced(slot, path, route.clone(), &mut told, actions);
            }
        }
        if classic.is_none() {
            // Without NEXT_HOP, which is an error that was said above.
            for path in update.announced.iter().filter(carried).map(path) {
                self.unreadable(slot, path, actions);
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
        path: PathOf,
        route: Result<Arc<Route>, ImportRefusal>,
        told: &mut ToldOnce<'_>,
        actions: &mut Vec<Action>,
    ) {
        let route = self.judge(slot, path, route);
        let keeps = self.peers[slot.index()].as_ref().is_some_and(Peer::keeps_told);
        let told = (keeps || route.is_err()).then(|| told.share(&mut self.all_told));
        self.admit(slot, path, route, told, actions);
    }

    /// What policy and payloads say of a route to a prefix.
    pub(super) fn judge(
        &mut self,
        slot: Slot,
        path: PathOf,
        route: Result<Arc<Route>, ImportRefusal>,
    ) -> Result<Arc<Route>, ImportRefusal> {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return route };
        let blackhole = route.as_ref().is_ok_and(|route| route.discard);
        let allowed = policy::import_prefix(&self.tables, peer.policy.as_deref(), &path.0, blackhole);
        match allowed.and(route) {
            Ok(route) => self.validated(slot, path, route),
            Err(reason) => {
                peer.held.remove(&path);
                Err(reason)
            }
        }
    }

    /// Taken as a withdrawal (RFC 7606 2).
    fn unreadable(&mut self, slot: Slot, path: PathOf, actions: &mut Vec<Action>) {
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            peer.held.remove(&path);
        }
        self.admit(slot, path, Err(ImportRefusal::TreatedAsWithdraw), None, actions);
    }

    /// Takes a route, or notes why not. `told`: what the neighbour said, as far as it is known.
    pub(super) fn admit(
        &mut self,
        slot: Slot,
        path: PathOf,
        route: Result<Arc<Route>, ImportRefusal>,
        told: Option<Arc<Told>>,
        actions: &mut Vec<Action>,
    ) {
        let (prefix, path_id) = path;
        let source = Source { slot, path_id };
        let route = if self.is_one_too_many(&prefix, source) {
            route.and(Err(ImportRefusal::TooManyPaths))
        } else {
            route
        };
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        match route {
            Ok(route) => {
                peer.refused.remove(&path);
                if let Some(told) = told.filter(|_| peer.keeps_told()) {
                    peer.adj_in.insert(path, told);
                }
                let route = if route.path_id == path_id {
                    route
                } else {
                    self.shared.share(Route { path_id, ..(*route).clone() })
                };
                self.set_route(&prefix, source, Some(route), actions);
            }
            Err(reason) => {
                peer.adj_in.remove(&path);
                let name = &peer.session.config.name;
                actions.extend(peer.refused.add(name, path, reason, told).map(Action::Log));
                self.set_route(&prefix, source, None, actions);
            }
        }
    }

    /// Whether a neighbour has as many other paths to a prefix as it may have.
    fn is_one_too_many(&self, prefix: &Prefix, source: Source) -> bool {
        let Some(peer) = self.peers[source.slot.index()].as_ref() else { return false };
        let family = AfiSafi::of(prefix);
        let has_ids = peer.session.established().is_some_and(|it| it.context.path_ids.of(family));
        if !has_ids {
            return false;
        }
        // What it has yet to tell again (RFC 4724, RFC 7313) may have other identifiers by then.
        let fresh = |path: &&Path| path.slot == source.slot && !peer.rounds.is_stale(family, path.round);
        self.rib.get(prefix).is_some_and(|it| {
            let others = it.paths().iter().filter(fresh);
            others.clone().all(|path| path.source() != source) && others.count() >= TAKEN_MAX
        })
    }

    fn withdrawn(&mut self, slot: Slot, path: PathOf, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        peer.refused.remove(&path);
        peer.held.remove(&path);
        peer.adj_in.remove(&path);
        let (prefix, path_id) = path;
        self.set_route(&prefix, Source { slot, path_id }, None, actions);
    }

    pub(super) fn check_limit(&mut self, now: Instant, slot: Slot, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        let Relation::Outside(policy) = &peer.session.config.relation else { return };
        let Some(limit) = policy.prefix_limit else { return };
        let LimitTerms { warn_percent, rest } = peer.session.config.terms.limit;
        let near = u64::from(limit) * u64::from(warn_percent) / 100;
        let accepted = peer.rounds.limited();
        let counts = [(Family::Ipv4Unicast, accepted.ipv4), (Family::Ipv6Unicast, accepted.ipv6)];
        for (family, count) in counts {
            if u64::from(count) > near && count <= limit && peer.limit_said.insert(family) {
                actions.push(Action::Log(Notice::LimitNear { neighbour: peer.name(), family, count, limit }));
            }
        }
        let family = match accepted {
            _ if accepted.ipv4 > limit => AfiSafi::IPV4_UNICAST,
            _ if accepted.ipv6 > limit => AfiSafi::IPV6_UNICAST,
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
