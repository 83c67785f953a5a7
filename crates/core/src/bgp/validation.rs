//! Origin validation (RFC 6811) and path verification of what neighbours outside announce.
//!
//! A route's state is set once, where it comes in, and stands in a large community of ours while it is
//! inside, so that all routers prefer alike; a route that carries none was not found, or not looked at.
//! When payloads change, exactly the routes that they may concern are looked at again, a piece at a time,
//! and no session is asked for anything: what was refused as invalid is kept.

use super::by_path::{ByPath, PathOf};
use super::config::{Invalid, OutsidePolicy, Relation, Role};
use super::event::Action;
use super::judge_again::ask_to_tell;
use super::notice::ImportRefusal;
use super::policy;
use super::rib::{Path, Route};
use super::slots::{Slot, Source};
use super::speaker::Speaker;
use super::status::OwnValidity;
use crate::id::{Asn, Prefix};
use crate::rpki::{Change, PathValidity, Side, Validation, Validity, Vrp};
use crate::wire::bgp::{AfiSafi, AsPath, Attributes, LargeCommunity};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The first data part of our large communities: a route's validity.
const STATE: u32 = 2;
/// So many refused routes of a neighbour are kept. The world has some thousands; who sends more leaks,
/// and is asked again (RFC 2918) when payloads change.
const HELD: usize = 65_536;

impl Validity {
    /// As RFC 8097 2 numbers them.
    fn number(self) -> u32 {
        self as u32
    }

    fn bonus(self) -> i32 {
        match self {
            Validity::Valid => 10,
            Validity::NotFound => 0,
            Validity::Invalid => -10,
        }
    }

    /// As marked. Of several marks the worst counts.
    pub(super) fn of(attributes: &Attributes, public_asn: Asn) -> Validity {
        let marks = attributes.large_communities.iter().filter(|it| is_mark(it, public_asn));
        let states = marks.filter_map(|mark| match mark.data2 {
            0 => Some(Validity::Valid),
            2 => Some(Validity::Invalid),
            _ => None,
        });
        states.max().unwrap_or_default()
    }

    /// What it does to a local preference of the class.
    pub(super) fn weigh(self, preference: u32) -> u32 {
        preference.saturating_add_signed(self.bonus())
    }
}

fn is_mark(community: &LargeCommunity, public_asn: Asn) -> bool {
    community.global_administrator == public_asn.0 && community.data1 == STATE
}

/// A neighbour's routes that are refused as invalid, for the day on which they are not.
#[derive(Debug, Default)]
pub(super) struct Held {
    routes: ByPath<HeldRoute>,
    /// There were more than are kept.
    overflow: bool,
}

#[derive(Debug)]
struct HeldRoute {
    route: Arc<Route>,
    /// Of an earlier telling: gone at the end of this one, unless it is told again.
    stale: bool,
}

impl Held {
    fn keep(&mut self, path: PathOf, route: Arc<Route>) {
        if self.routes.len() < HELD || self.routes.get(&path).is_some() {
            self.routes.insert(path, HeldRoute { route, stale: false });
        } else {
            self.overflow = true;
        }
    }

    pub fn remove(&mut self, path: &PathOf) {
        self.routes.remove(path);
    }

    pub fn route(&self, path: &PathOf) -> Option<&Arc<Route>> {
        self.routes.get(path).map(|held| &held.route)
    }

    pub fn mark_stale(&mut self, family: AfiSafi) {
        for (_, held) in self.routes.iter_mut().filter(|(prefix, _)| AfiSafi::of(prefix) == family) {
            held.stale = true;
        }
    }

    pub fn sweep(&mut self, family: AfiSafi) {
        self.routes.retain(|prefix, held| AfiSafi::of(prefix) != family || !held.stale);
    }

    pub fn len(&self) -> usize {
        self.routes.len()
    }
}

/// What waits to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Every route within.
    Within(Prefix),
    /// Of those within, whose path holds one of the AS numbers that changed.
    ByPath(Prefix),
}

impl Due {
    fn range(&self) -> &Prefix {
        match self {
            Due::Within(prefix) | Due::ByPath(prefix) => prefix,
        }
    }
}

/// What routes are validated by, and which are to be validated again.
#[derive(Debug, Default)]
pub(super) struct Validator {
    validation: Validation,
    due: VecDeque<Due>,
    /// The last prefix of the first of `due` that was looked at.
    done_to: Option<Prefix>,
    asns: Vec<Asn>,
    /// The shell was asked to poll and has not come to the end.
    told: bool,
    /// The last route that was marked, with its mark: an UPDATE's prefixes share one route.
    marked: Option<(Arc<Route>, Validity, Arc<Route>)>,
    /// The last path that was verified.
    verified: Option<(Arc<Route>, PathValidity)>,
}

impl Validator {
    pub fn covering(&self, prefix: &Prefix) -> Vec<Vrp> {
        self.validation.vrps.covering(prefix)
    }

    /// What of our own leaves, as the payloads see it; empty while there are none.
    pub fn own(&self, prefixes: impl Iterator<Item = Prefix>, public_asn: Asn) -> Vec<OwnValidity> {
        if !self.validation.present {
            return Vec::new();
        }
        let judge = |prefix: Prefix| OwnValidity {
            validity: self.validation.vrps.validate(&prefix, Some(public_asn)),
            payloads: self.covering(&prefix),
            prefix,
        };
        prefixes.map(judge).collect()
    }
}

impl Speaker {
    /// Other payloads count from now on.
    pub(super) fn validation_changed(&mut self, change: Change, actions: &mut Vec<Action>) {
        let validator = &mut self.validator;
        validator.validation = change.validation;
        validator.verified = None;
        validator.due.extend(change.prefixes.into_iter().map(Due::Within));
        if !change.asns.is_empty() {
            validator.asns.extend(change.asns);
            validator.asns.sort_unstable();
            validator.asns.dedup();
            validator.due.extend(everything().map(Due::ByPath));
        }
        self.ask_again_beyond_held(actions);
        self.say_validation(actions);
    }

    /// A neighbour's word about validity has changed.
    pub(super) fn validate_all_again(&mut self, actions: &mut Vec<Action>) {
        self.validator.due.extend(everything().map(Due::Within));
        self.say_validation(actions);
    }

    fn say_validation(&mut self, actions: &mut Vec<Action>) {
        if !self.validator.due.is_empty() {
            self.ask_to_poll(actions);
        }
    }

    /// Asks the shell for [`Speaker::poll_validation`], unless it has been asked and has not come to the end.
    pub(super) fn ask_to_poll(&mut self, actions: &mut Vec<Action>) {
        if !core::mem::replace(&mut self.validator.told, true) {
            actions.push(Action::ValidationReady);
        }
    }

    /// Whose refused routes could not all be kept is asked to tell everything again.
    fn ask_again_beyond_held(&mut self, actions: &mut Vec<Action>) {
        for peer in self.peers.iter_mut().flatten().filter(|peer| peer.held.overflow) {
            if ask_to_tell(peer, actions) {
                peer.held.overflow = false;
            }
        }
    }

    /// Looks again at no more than `budget` prefixes of those that changed payloads may concern, then of those
    /// that neighbours have told who cannot be asked again since policy changed. True if there are more.
    pub fn poll_validation(&mut self, budget: usize, actions: &mut Vec<Action>) -> bool {
        let mut left = budget.max(1);
        while left > 0 {
            let Some(due) = self.validator.due.front().copied() else { break };
            let prefixes = self.next_within(due.range(), left);
            for prefix in &prefixes {
                self.validate_again(prefix, matches!(due, Due::ByPath(_)), actions);
            }
            if prefixes.len() < left {
                self.validator.due.pop_front();
                self.validator.done_to = None;
            } else {
                self.validator.done_to = prefixes.last().copied();
            }
            // A range in which there is nothing is a look-up, too.
            left = left.saturating_sub(prefixes.len().max(1));
        }
        let judging = self.poll_judged(left, actions);
        for slot in self.peer_slots() {
            self.check_limit(self.now, slot, actions);
        }
        self.reconsider_originations(actions);
        if self.validator.due.is_empty() {
            self.validator.asns = Vec::new();
            self.validator.due = VecDeque::new();
        }
        let more = judging || !self.validator.due.is_empty();
        self.validator.told = more;
        more
    }

    /// The next prefixes within a range to which anybody has, or would have, a route.
    fn next_within(&self, range: &Prefix, count: usize) -> Vec<Prefix> {
        let (from, inclusive) = match &self.validator.done_to {
            Some(done) => (done, false),
            None => (range, true),
        };
        let mut found: Vec<Prefix> = self.rib.within(range, from, inclusive).take(count).collect();
        for peer in self.peers.iter().flatten() {
            let held = peer.held.routes.prefixes_from(from, inclusive);
            found.extend(held.take_while(|prefix| range.contains(prefix)).take(count));
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(count);
        found
    }

    fn validate_again(&mut self, prefix: &Prefix, by_path: bool, actions: &mut Vec<Action>) {
        // What is stale is about to be told again, and is validated then, or is gone.
        let taken = self.rib.get(prefix).map_or(&[][..], |destination| destination.paths()).iter();
        let family = AfiSafi::of(prefix);
        let fresh = |path: &&Path| {
            let peer = self.peers.get(path.slot.index()).and_then(Option::as_ref);
            peer.is_some_and(|peer| !peer.rounds.is_stale(family, path.round))
        };
        let taken = taken.filter(fresh).map(|path| (path.source(), path.route.clone()));
        let mut routes: Vec<(Source, Arc<Route>)> = taken.collect();
        for (slot, peer) in (0..).map(Slot).zip(&self.peers) {
            let held =
                peer.iter().flat_map(|peer| peer.held.routes.of(prefix)).filter(|(_, held)| !held.stale);
            routes.extend(held.map(|(path_id, held)| (Source { slot, path_id }, held.route.clone())));
        }
        for (Source { slot, path_id }, route) in routes {
            let asns = &self.validator.asns;
            let concerned = |path: &AsPath| path.asns().any(|asn| asns.binary_search(&asn).is_ok());
            if slot == Slot::LOCAL || (by_path && !concerned(&route.attributes.as_path)) {
                continue;
            }
            let Some(peer) = self.peers[slot.index()].as_ref() else { continue };
            if matches!(peer.session.config.relation, Relation::Outside(_)) {
                let path = (*prefix, path_id);
                let told = peer.refused.told(&path).or_else(|| peer.adj_in.get(&path)).cloned();
                let route = self.validated(slot, path, route);
                self.admit(slot, path, route, told, actions);
            }
        }
    }

    /// What a neighbour's route is by the payloads: marked with its state, or refused.
    pub(super) fn validated(
        &mut self,
        slot: Slot,
        path: PathOf,
        route: Arc<Route>,
    ) -> Result<Arc<Route>, ImportRefusal> {
        let prefix = &path.0;
        let Some(peer) = self.peers[slot.index()].as_ref() else { return Ok(route) };
        let Relation::Outside(policy) = &peer.session.config.relation else { return Ok(route) };
        let word = policy.invalid;
        // What is of ours and lent to a customer never leaves, and no ROA of ours names the customer. A
        // route whose traffic is to be dropped is longer than what ROAs allow (RFC 7999 3.3).
        let spared = word == Invalid::Take || route.discard || self.tables.is_own(prefix);
        let validation = &self.validator.validation;
        let origin = match spared || validation.vrps.is_empty() {
            true => Validity::NotFound,
            false => validation.vrps.validate(prefix, origin_of(&route, self.config.public_asn)),
        };
        let by_path = match spared || validation.aspas.is_empty() {
            true => PathValidity::Unknown,
            false => self.validator.path(&route, side_of(policy)),
        };
        let refusal = match (origin, by_path) {
            (Validity::Invalid, _) => {
                let origin = origin_of(&route, self.config.public_asn);
                Some(ImportRefusal::OriginInvalid { origin })
            }
            (_, PathValidity::Invalid { customer, not_provider }) => {
                Some(ImportRefusal::PathInvalid { customer, not_provider })
            }
            _ => None,
        };
        let state = if refusal.is_some() { Validity::Invalid } else { origin };
        let Some(peer) = self.peers[slot.index()].as_mut() else { return Ok(route) };
        match refusal {
            Some(refusal) if word == Invalid::Drop => {
                peer.held.keep(path, route);
                Err(refusal)
            }
            _ => {
                peer.held.remove(&path);
                Ok(self.marked(route, state))
            }
        }
    }

    fn marked(&mut self, route: Arc<Route>, state: Validity) -> Arc<Route> {
        let public_asn = self.config.public_asn;
        if Validity::of(&route.attributes, public_asn) == state {
            return route;
        }
        if let Some((of, as_state, marked)) = &self.validator.marked
            && Arc::ptr_eq(of, &route)
            && *as_state == state
        {
            return marked.clone();
        }
        let mut new = (*route).clone();
        let others = new.attributes.large_communities.iter().filter(|it| !is_mark(it, public_asn)).copied();
        let mark = LargeCommunity::new(public_asn.0, STATE, state.number());
        let mark = (state != Validity::NotFound).then_some(mark);
        new.attributes.large_communities = others.chain(mark).collect();
        new.local_preference = policy::preference(new.class, &new.attributes, public_asn);
        let marked = self.shared.share(new);
        self.validator.marked = Some((route, state, marked.clone()));
        marked
    }
}

impl Validator {
    fn path(&mut self, route: &Arc<Route>, side: Side) -> PathValidity {
        // One side is enough to remember: it follows from the neighbour, as the route does.
        if let Some((of, verified)) = &self.verified
            && Arc::ptr_eq(of, route)
        {
            return *verified;
        }
        let asns: Vec<Asn> = route.attributes.as_path.asns().filter(|asn| !asn.is_private()).collect();
        let verified = self.validation.aspas.verify(&asns, side);
        self.verified = Some((route.clone(), verified));
        verified
    }
}

fn everything() -> impl Iterator<Item = Prefix> {
    [Prefix::V4(Default::default()), Prefix::V6(Default::default())].into_iter()
}

/// Whom the world sees as a route's origin once we hand it on: a customer's private AS number is
/// stripped, and we stand there ourselves.
fn origin_of(route: &Route, public_asn: Asn) -> Option<Asn> {
    let path = &route.attributes.as_path;
    if path.has_set() {
        return None;
    }
    let last = path.asns().filter(|asn| !asn.is_private()).last();
    Some(last.unwrap_or(public_asn))
}

/// draft-ietf-sidrops-aspa-verification 6: only what a provider says may have gone down. A route server
/// hands on what peers say.
fn side_of(policy: &OutsidePolicy) -> Side {
    match policy.role {
        Role::Provider => Side::Above,
        Role::Peer | Role::Customer | Role::RouteServer => Side::Below,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::policy::Class;
    use core::net::Ipv4Addr;

    fn path(at: usize) -> PathOf {
        (Prefix::new_assert(Ipv4Addr::from_bits((at as u32) << 8).into(), 24), 0)
    }

    #[test]
    fn a_leak_does_not_fill_the_memory() {
        let route = Arc::new(Route {
            attributes: Attributes::default(),
            next_hop: None,
            class: Some(Class::Provider),
            local_preference: 100,
            discard: false,
            body: None,
            path_id: 0,
        });
        let mut held = Held::default();
        for at in 0..HELD {
            held.keep(path(at), route.clone());
        }
        // The same again is no more.
        held.keep(path(7), route.clone());
        assert!(held.len() == HELD && !held.overflow);
        held.keep(path(HELD), route.clone());
        assert!(held.len() == HELD && held.overflow);
        // What is not told again by the end of a telling is gone.
        held.mark_stale(AfiSafi::IPV4_UNICAST);
        held.keep(path(7), route);
        held.sweep(AfiSafi::IPV6_UNICAST);
        assert_eq!(held.len(), HELD);
        held.sweep(AfiSafi::IPV4_UNICAST);
        assert_eq!(held.len(), 1);
    }
}
