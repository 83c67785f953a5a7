//! The speaker: every session, the table, and what follows from one for the other.

use super::adj_out::{AdjOut, Ribs, Telling, outgoing};
use super::attribute_errors::AttributeErrors;
use super::change::SessionTerm;
use super::clearance::Clearance;
use super::config::{Family, NeighbourConfig, OutsidePolicy, Relation, Role, SpeakerConfig};
use super::connection::next_frame;
use super::decide::Rank;
use super::deferral::{Deferral, Offer};
use super::event::{Action, ConnectionId, Event, NeighbourId, NextHop, RouteChange, SpeakerRoute};
use super::evpn::EvpnRefusals;
use super::judge_again::Judging;
use super::key::{Key, Parts};
use super::monitor::{CollectorId, Monitor};
use super::notice::{Notice, SessionEnd};
use super::originate::Originations;
use super::outlet::Outlet;
use super::policy::{Policy, Tables};
use super::refused::RefusedList;
use super::rib::{Destination, Effect, Path, Rib, Route, Shared};
use super::rounds::Rounds;
use super::session::{Change, Negotiated, Output, Session, SessionEvent};
use super::slab::Place;
use super::slots::{Slot, Source};
use super::told::{AdjIn, AllTold};
use super::validation::{Held, Validator};
use crate::bfd::BfdDown;
use crate::id::{IfName, Prefix};
use crate::time::Instant;
use crate::wire::bgp::{AfiSafi, EvpnRoute, Message, Notification};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// So many notices wait for the next step at most.
const NOTICES_MAX: usize = 64;

/// BGP on one router. Nothing happens but in its methods, which return at once.
pub struct Speaker {
    pub(super) config: SpeakerConfig,
    pub(super) tables: Tables,
    /// By slot.
    pub(super) peers: Vec<Option<Peer>>,
    /// By `NeighbourId`.
    pub(super) slots: Vec<Slot>,
    pub(super) rib: Rib<Prefix>,
    pub(super) evpn: Rib<EvpnRoute>,
    /// What is gone and stands in the tables still.
    pub(super) prefixes_clearance: Clearance,
    pub(super) evpn_clearance: Clearance,
    /// The shell has been told that something is to be cleared and has not yet come to the end of it.
    pub(super) table_told: bool,
    /// Slots whose neighbour is no more and whose routes may stand in the tables still.
    pub(super) retired: BTreeSet<Slot>,
    pub(super) shared: Shared,
    pub(super) all_told: AllTold,
    pub(super) originations: Originations,
    /// Something that an origination depends on has come or gone.
    pub(super) originations_due: bool,
    /// What the kernel must hear of.
    pub(super) kernel: Outlet,
    /// What the segments of this router must hear of.
    pub(super) segments: Outlet,
    pub(super) validator: Validator,
    pub(super) monitors: BTreeMap<CollectorId, Monitor>,
    /// What sessions to come say of our restarts.
    pub(super) offer: Offer,
    /// Our own restart; `None`: this is none.
    pub(super) deferral: Option<Deferral>,
    dialled: u64,
    pub(super) started: bool,
    pub(super) stopped: bool,
    pub(super) links_up: BTreeSet<IfName>,
    /// What came up while updates were polled: goes out with the next step.
    notices: Vec<Notice>,
    /// Of the last step.
    pub(super) now: Instant,
}

/// A neighbour: its session and what is known of its routes.
pub(super) struct Peer {
    pub session: Session,
    /// Of a neighbour outside.
    pub policy: Option<Box<Policy>>,
    /// While the session stands.
    pub out: Option<AdjOut>,
    /// What it has told and we took.
    pub rounds: Rounds,
    pub refused: RefusedList,
    pub evpn_refused: EvpnRefusals,
    /// Refused as invalid.
    pub held: Held,
    /// What it has told and we took, if it cannot be asked again.
    pub adj_in: AdjIn,
    /// What of it is judged again from what was kept, and how far that is.
    pub judging: Option<Judging>,
    /// What the shell could not bring into force on the connection that stands.
    pub unapplied: Vec<SessionTerm>,
    /// Until when its routes are kept although it has not told them again (RFC 4724).
    pub kept_until: Option<Instant>,
    /// Families of which it has told everything once.
    pub told_all: BTreeSet<AfiSafi>,
    /// When its last UPDATE came, or its session came to stand.
    pub told_at: Option<Instant>,
    /// Its identifier when a session last stood.
    pub router_id: Option<Ipv4Addr>,
    /// Families that the neighbour is telling again (RFC 7313).
    pub refreshing: BTreeSet<AfiSafi>,
    /// Families whose prefix limit is known to be near.
    pub limit_said: BTreeSet<Family>,
    pub attribute_errors: AttributeErrors,
    pub established_at: Option<Instant>,
    /// When the last session ended, while none stands.
    pub down_since: Option<Instant>,
    pub established_count: u32,
    pub last_end: Option<SessionEnd>,
    pub failure_said: Option<SessionEnd>,
    pub updates_in: u64,
    pub updates_out: u64,
}

impl Peer {
    pub(super) fn new(id: NeighbourId, config: NeighbourConfig, speaker: &SpeakerConfig) -> Peer {
        Peer {
            policy: Policy::new(speaker, &config),
            session: Session::new(id, config, speaker.router_id),
            out: None,
            rounds: Rounds::default(),
            refused: RefusedList::default(),
            evpn_refused: EvpnRefusals::default(),
            held: Held::default(),
            adj_in: AdjIn::default(),
            judging: None,
            unapplied: Vec::new(),
            kept_until: None,
            told_all: BTreeSet::new(),
            told_at: None,
            router_id: None,
            refreshing: BTreeSet::new(),
            limit_said: BTreeSet::new(),
            attribute_errors: AttributeErrors::default(),
            established_at: None,
            down_since: None,
            established_count: 0,
            last_end: None,
            failure_said: None,
            updates_in: 0,
            updates_out: 0,
        }
    }

    pub(super) fn name(&self) -> String {
        self.session.config.name.clone()
    }

    /// Whether what it tells is kept as it was told: a neighbour that cannot be asked again (RFC 2918).
    pub(super) fn keeps_told(&self) -> bool {
        self.session.established().is_some_and(|it| !it.route_refresh)
    }

    /// Whether it is told several paths of a family (RFC 7911).
    fn tells_paths(&self, family: AfiSafi) -> bool {
        self.session.established().is_some_and(|it| it.tells_paths.of(family))
    }

    /// A path identifier of its own, as it is shown: where it says none there is none.
    pub(super) fn shown_path_id(&self, family: AfiSafi, id: u32) -> Option<u32> {
        let said = self.session.established().is_some_and(|it| it.context.path_ids.of(family));
        (said || id != 0).then_some(id)
    }
}

/// What orders equal paths: who told us.
pub(super) fn rank(peers: &[Option<Peer>], slot: Slot) -> Rank {
    let peer = peers.get(slot.index()).and_then(Option::as_ref);
    let router_id = peer.and_then(|peer| peer.router_id);
    (router_id.unwrap_or(Ipv4Addr::UNSPECIFIED), slot)
}

impl Speaker {
    pub fn new(config: SpeakerConfig) -> Speaker {
        let mut shared = Shared::default();
        let originations = Originations::new(&config, &mut shared);
        let ids = (0..=u16::MAX).zip(&config.neighbours);
        let peers: Vec<Option<Peer>> =
            ids.map(|(id, it)| Some(Peer::new(NeighbourId(id), it.clone(), &config))).collect();
        Speaker {
            tables: Tables::new(&config),
            slots: (0..peers.len() as u16).map(Slot).collect(),
            peers,
            rib: Rib::default(),
            evpn: Rib::default(),
            prefixes_clearance: Clearance::default(),
            evpn_clearance: Clearance::default(),
            table_told: false,
            retired: BTreeSet::new(),
            shared,
            all_told: AllTold::default(),
            originations,
            originations_due: true,
            kernel: Outlet::default(),
            segments: Outlet::default(),
            validator: Validator::default(),
            monitors: BTreeMap::new(),
            offer: Offer::default(),
            deferral: None,
            dialled: 0,
            started: false,
            stopped: false,
            links_up: BTreeSet::new(),
            notices: Vec::new(),
            now: Instant::default(),
            config,
        }
    }

    pub fn config(&self) -> &SpeakerConfig {
        &self.config
    }

    /// Takes one event and appends what is to be done, in order. After [`Event::Stop`] nothing
    /// happens any more.
    pub fn step(&mut self, now: Instant, event: Event<'_>, actions: &mut Vec<Action>) {
        self.now = self.now.max(now);
        actions.extend(self.notices.drain(..).map(Action::Log));
        if self.stopped {
            return;
        }
        match event {
            Event::Forwarding(forwarding) => self.set_forwarding(now, &forwarding, actions),
            Event::Start => {
                self.started = true;
                self.reconsider_originations(actions);
                self.for_all(now, |_| Some(SessionEvent::Start), actions);
            }
            Event::LinkUp(link) => {
                let on_link = |peer: &Peer| *peer.session.config.transport.link() == link;
                self.for_all(now, |peer| on_link(peer).then_some(SessionEvent::LinkUp), actions);
                self.links_up.insert(link);
            }
            Event::LinkDown(link) => {
                let on_link = |peer: &Peer| *peer.session.config.transport.link() == link;
                if self.links_up.remove(&link) && self.peers.iter().flatten().any(on_link) {
                    self.deferral_heeds(&SessionEnd::LinkDown);
                }
                self.for_all(now, |peer| on_link(peer).then_some(SessionEvent::LinkDown), actions);
                self.keep_nothing_over(&link, actions);
            }
            Event::RemoteHeard { neighbour, address } => {
                if let Some(slot) = self.slot(neighbour) {
                    self.session_event(now, slot, SessionEvent::RemoteHeard(address), actions);
                }
            }
            Event::Connected(id) => self.connection_event(now, id, SessionEvent::Connected(id), actions),
            Event::ConnectFailed(id) => {
                self.connection_event(now, id, SessionEvent::ConnectFailed(id), actions)
            }
            Event::Closed(id) => self.connection_event(now, id, SessionEvent::Closed(id), actions),
            Event::Accepted { neighbour, connection } => match self.slot(neighbour) {
                Some(slot) => self.session_event(now, slot, SessionEvent::Accepted(connection), actions),
                None => actions.push(Action::Close { connection }),
            },
            Event::Received { connection, bytes } => self.received(now, connection, bytes, actions),
            Event::BfdDown { neighbour, cause, independent } => {
                if let Some(slot) = self.slot(neighbour) {
                    self.bfd_down(now, slot, cause, independent, actions);
                }
            }
            Event::Timeout => self.timeout(now, actions),
            Event::Evpn(update) => self.originate_evpn(update, actions),
            Event::Validation(change) => self.validation_changed(change, actions),
            Event::Stop => {
                self.stopped = true;
                let stop = || SessionEvent::Stop(Notification::shutdown("the router stops"));
                self.for_all(now, |_| Some(stop()), actions);
            }
            Event::Restart => {
                self.stopped = true;
                // RFC 4486: Administrative Reset.
                let leave = || SessionEvent::Leave(Notification::new(Notification::CEASE, 4));
                self.for_all(now, |_| Some(leave()), actions);
            }
        }
        if self.started && !self.stopped {
            self.reconsider_deferral(now, actions);
        }
    }

    /// When [`Event::Timeout`] is due; may be in the past.
    pub fn next_timeout(&self) -> Option<Instant> {
        let peers = self.peers.iter().flatten();
        peers
            .flat_map(|peer| [peer.session.next_timeout(), peer.send_hold_end(), peer.kept_until])
            .chain([self.next_deferral()])
            .flatten()
            .min()
    }

    /// Appends UPDATEs for the neighbour's connection to `out`: whole messages, about `budget` bytes
    /// (exceeded by at most one set of attributes and its messages per table). True if there are more.
    pub fn poll_updates(&mut self, neighbour: NeighbourId, budget: usize, out: &mut Vec<u8>) -> bool {
        let Some(slot) = self.slot(neighbour) else { return false };
        let Some(peer) = self.peers[slot.index()].as_mut() else { return false };
        let (Some(adj_out), Some(negotiated)) = (&mut peer.out, peer.session.established()) else {
            return false;
        };
        let telling = Telling {
            config: &self.config,
            tables: &self.tables,
            neighbour: &peer.session.config,
            policy: peer.policy.as_deref(),
            negotiated,
            local: peer.session.local(),
            slot,
        };
        let (messages, more) = {
            let ribs = Ribs { prefixes: &mut self.rib, evpn: &mut self.evpn };
            adj_out.poll(&telling, ribs, budget.max(1), out, &mut self.notices)
        };
        self.notices.truncate(NOTICES_MAX);
        peer.updates_out += messages;
        adj_out.told = more;
        adj_out.waits_since = more.then_some(self.now);
        more
    }

    /// Appends at most `budget` changes for the kernel, those of what it holds first. True if there are more.
    pub fn poll_routes(&mut self, budget: usize, out: &mut Vec<RouteChange>) -> bool {
        let (config, peers) = (&self.config, &self.peers);
        let wanted = |prefix: &Prefix, it: &Destination| wanted(config, peers, prefix, it);
        self.kernel
            .poll(&mut self.rib, budget, wanted, |prefix, route| out.push(RouteChange { prefix, route }))
    }

    /// Whether the kernel holds something that is no longer right, or will until [`Speaker::poll_routes`]
    /// has been called often enough; it says such changes first.
    pub fn has_corrections(&self) -> bool {
        self.kernel.has_corrections()
    }

    /// Every route that the kernel should hold now, polled or not: for a comparison with what it
    /// does hold.
    pub fn routes_wanted(&self) -> Vec<RouteChange> {
        let wanted = |(prefix, destination): (Prefix, &Destination)| {
            let route = wanted(&self.config, &self.peers, &prefix, destination)?;
            Some(RouteChange { prefix, route: Some(route) })
        };
        self.rib.iter().filter_map(wanted).collect()
    }

    pub(super) fn slot(&self, neighbour: NeighbourId) -> Option<Slot> {
        self.slots.get(usize::from(neighbour.0)).copied()
    }

    pub(super) fn peer_slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.peers.len() as u16).map(Slot)
    }

    fn for_all(
        &mut self,
        now: Instant,
        event: impl Fn(&Peer) -> Option<SessionEvent>,
        actions: &mut Vec<Action>,
    ) {
        for slot in self.peer_slots() {
            if let Some(event) = self.peers[slot.index()].as_ref().and_then(&event) {
                self.session_event(now, slot, event, actions);
            }
        }
    }

    fn slot_of_connection(&mut self, id: ConnectionId) -> Option<Slot> {
        let holds =
            |peer: &mut Option<Peer>| peer.as_mut().is_some_and(|it| it.session.connection(id).is_some());
        self.peers.iter_mut().position(holds).map(|at| Slot(at as u16))
    }

    fn connection_event(
        &mut self,
        now: Instant,
        id: ConnectionId,
        event: SessionEvent,
        actions: &mut Vec<Action>,
    ) {
        // The connection of a session that has ended meanwhile is nobody's.
        if let Some(slot) = self.slot_of_connection(id) {
            self.session_event(now, slot, event, actions);
        }
    }

    pub(super) fn session_event(
        &mut self,
        now: Instant,
        slot: Slot,
        event: SessionEvent,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        let mut output = Output { actions, changes: Vec::new(), dialled: &mut self.dialled };
        peer.session.step(now, event, &mut output);
        for change in output.changes {
            match change {
                Change::Up(negotiated) => self.session_up(now, slot, &negotiated, actions),
                Change::Down(end, negotiated) => self.session_down(now, slot, end, &negotiated, actions),
                Change::Failed(end) => self.attempt_failed(slot, end, actions),
                Change::Update(update) => self.update(now, slot, &update, actions),
                Change::Refresh(family, what) => self.refresh(slot, family, what, actions),
            }
        }
    }

    fn received(&mut self, now: Instant, id: ConnectionId, bytes: &[u8], actions: &mut Vec<Action>) {
        let Some(slot) = self.slot_of_connection(id) else { return };
        let Some(connection) = self.connection_mut(slot, id) else { return };
        let stream = connection.stream(bytes);
        let mut rest = &*stream;
        loop {
            let context = self.peers[slot.index()].as_ref().map(|peer| peer.session.context(id));
            let Some(context) = context else { return };
            let message = match next_frame(&mut rest, context.message_max()) {
                Ok(None) => break,
                Ok(Some(frame)) => Message::parse(frame, context),
                Err(error) => Err(error),
            };
            self.session_event(now, slot, SessionEvent::Message(id, message), actions);
            if self.connection_mut(slot, id).is_none() {
                return;
            }
        }
        if let Some(connection) = self.connection_mut(slot, id) {
            connection.keep(rest);
        }
    }

    fn connection_mut(&mut self, slot: Slot, id: ConnectionId) -> Option<&mut super::connection::Connection> {
        self.peers[slot.index()].as_mut()?.session.connection(id)
    }

    fn timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        for slot in self.peer_slots() {
            let Some(peer) = self.peers[slot.index()].as_ref() else { continue };
            let stuck = due(peer.send_hold_end());
            if due(peer.session.next_timeout()) {
                self.session_event(now, slot, SessionEvent::Timeout, actions);
            }
            if self.peers[slot.index()].as_ref().is_some_and(|peer| due(peer.kept_until)) {
                self.keep_no_longer(slot, actions);
            }
            if stuck {
                let notification = Notification::new(Notification::SEND_HOLD_TIMER_EXPIRED, 0);
                let end = SessionEvent::End(SessionEnd::SendHoldExpired, notification);
                self.session_event(now, slot, end, actions);
            }
        }
    }

    /// RFC 5882 10.2: the session ends at once. A restart that is under way goes on, since BFD may have gone
    /// with the routing that restarts (RFC 5882 4.3.2), unless the far end says that its does not: then it no
    /// longer forwards (4.3.1). A far end that has switched its session off says nothing of the path (3.2).
    fn bfd_down(
        &mut self,
        now: Instant,
        slot: Slot,
        cause: BfdDown,
        independent: bool,
        actions: &mut Vec<Action>,
    ) {
        if !cause.is_failure() {
            return;
        }
        let restarts = |peer: &Peer| peer.kept_until.is_some() && peer.session.established().is_none();
        if self.peers[slot.index()].as_ref().is_some_and(restarts) {
            if !independent {
                return;
            }
            self.keep_no_longer(slot, actions);
        }
        let notification = Notification::new(Notification::CEASE, Notification::BFD_DOWN);
        let end = SessionEvent::End(SessionEnd::BfdDown { bfd: cause }, notification);
        self.session_event(now, slot, end, actions);
    }

    fn attempt_failed(&mut self, slot: Slot, end: SessionEnd, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers[slot.index()].as_mut() else { return };
        if peer.failure_said.as_ref() != Some(&end) {
            actions.push(Action::Log(Notice::Failing { neighbour: peer.name(), reason: end.clone() }));
        }
        peer.failure_said = Some(end.clone());
        peer.last_end = Some(end);
    }

    /// A route into its table, and out to whom it concerns.
    pub(super) fn set_route<K: Key>(
        &mut self,
        key: &K,
        source: impl Into<Source>,
        route: Option<Arc<Route>>,
        actions: &mut Vec<Action>,
    ) {
        let rib = K::parts(self).rib;
        let place = if route.is_some() { Some(rib.ensure(key)) } else { rib.place(key) };
        if let Some(place) = place {
            self.set_route_at::<K>(place, source, route, actions);
        }
    }

    /// The same for a destination that is there.
    pub(super) fn set_route_at<K: Key>(
        &mut self,
        place: Place,
        source: impl Into<Source>,
        route: Option<Arc<Route>>,
        actions: &mut Vec<Action>,
    ) {
        let source: Source = source.into();
        let there = route.is_some();
        let Parts { rib, peers, config, .. } = K::parts(self);
        let Some(key) = rib.at(place).map(|(key, _)| key.clone()) else { return };
        let whose = peers.get(source.slot.index()).and_then(Option::as_ref);
        let round = whose.map_or(0, |peer| peer.rounds.current(key.family()));
        let effect = rib.set(place, source, round, route, &|slot| rank(peers, slot), K::max_paths(config));
        if let Some(peer) = peers.get_mut(source.slot.index()).and_then(Option::as_mut) {
            peer.rounds.replaced(key.family(), effect.replaced, there);
        }
        if let Some(prefix) = key.prefix() {
            self.monitored_route(prefix, source);
        }
        if effect.replaced.is_some() != there {
            self.originations_due |= key.is_watched(&self.originations);
        }
        self.spread::<K>(place, effect, actions);
        if !there {
            K::parts(self).rib.tidy(place);
        }
    }

    /// Tells neighbours and whoever uses the routes of a change at one destination.
    pub(super) fn spread<K: Key>(&mut self, place: Place, effect: Effect, actions: &mut Vec<Action>) {
        if self.defers_at::<K>(place) {
            return;
        }
        if effect.best && !self.monitors.is_empty() {
            let key = K::parts(self).rib.at(place).map(|(key, _)| key.clone());
            if let Some(prefix) = key.as_ref().and_then(Key::prefix) {
                self.monitored_choice(prefix);
            }
        }
        let now = self.now;
        let Parts { rib, outlet, peers, config, tables, .. } = K::parts(self);
        let Some((key, destination)) = rib.at_mut(place) else { return };
        if K::concerns_user(effect) {
            outlet.push::<K>(place, destination, actions);
        }
        if effect.any {
            let family = key.family();
            for (slot, peer) in (0..).map(Slot).zip(peers) {
                if let Some(peer) = peer
                    && (effect.best || peer.tells_paths(family))
                    && !is_hopeless(config, tables, peer, slot, key, destination)
                {
                    enqueue(peer, place, key, destination, now, actions);
                }
            }
        }
    }

    /// Puts all tables, or one family, in a neighbour's queue.
    pub(super) fn tell_again(&mut self, slot: Slot, family: Option<AfiSafi>, actions: &mut Vec<Action>) {
        self.tell_table_again::<Prefix>(slot, family, actions);
        self.tell_table_again::<EvpnRoute>(slot, family, actions);
        // End-of-RIB is something to tell, too.
        if let Some(peer) = self.peers[slot.index()].as_mut() {
            say_ready(peer, self.now, actions);
        }
    }

    fn tell_table_again<K: Key>(&mut self, slot: Slot, family: Option<AfiSafi>, actions: &mut Vec<Action>) {
        let now = self.now;
        let deferred: Vec<AfiSafi> = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST, AfiSafi::EVPN]
            .into_iter()
            .filter(|&family| self.defers(family))
            .collect();
        let Parts { rib, peers, .. } = K::parts(self);
        let Some(peer) = peers[slot.index()].as_mut().filter(|_| family.is_none_or(K::holds)) else { return };
        for (place, key, destination) in rib.iter_mut() {
            let told = peer.out.as_ref().is_some_and(|out| destination.announced.contains(out.ear));
            let there = destination.best().is_some() || told;
            let asked = family.is_none_or(|family| family == key.family());
            if there && asked && !deferred.contains(&key.family()) {
                if let Some(out) = &mut peer.out {
                    K::queue(out).paths.tell_anew(place);
                }
                enqueue(peer, place, key, destination, now, actions);
            }
        }
    }

    /// Announces or withdraws our own prefixes, as what they stand for comes and goes.
    pub(super) fn reconsider_originations(&mut self, actions: &mut Vec<Action>) {
        if !self.started || !core::mem::replace(&mut self.originations_due, false) {
            return;
        }
        for (prefix, route) in self.originations.reconsider(&self.rib) {
            actions.push(Action::Log(match route {
                Some(_) => Notice::OriginationStarted { prefix },
                None => Notice::OriginationStopped { prefix },
            }));
            self.set_route(&prefix, Slot::LOCAL, route, actions);
        }
    }
}

/// Whether a neighbour has been told nothing of a destination and has nothing to hear of it now: most
/// neighbours of a full table are providers and peers, who are told next to nothing.
fn is_hopeless<K: Key>(
    config: &SpeakerConfig,
    tables: &Tables,
    peer: &Peer,
    slot: Slot,
    key: &K,
    destination: &Destination,
) -> bool {
    let outside = |it: &OutsidePolicy| it.role != Role::Customer;
    let neighbour = &peer.session.config;
    let few = matches!(&neighbour.relation, Relation::Outside(policy) if outside(policy));
    let (Some(negotiated), Some(out)) = (peer.session.established(), &peer.out) else { return true };
    if !few || destination.announced.contains(out.ear) || destination.pending.contains(out.ear) {
        return false;
    }
    let (policy, local) = (peer.policy.as_deref(), peer.session.local());
    let telling = Telling { config, tables, neighbour, policy, negotiated, local, slot };
    !matches!(outgoing(&telling, key, destination), Ok(Some(_)))
}

/// Puts a destination in a neighbour's queue if a session stands that carries it.
fn enqueue<K: Key>(
    peer: &mut Peer,
    place: Place,
    key: &K,
    destination: &mut Destination,
    now: Instant,
    actions: &mut Vec<Action>,
) {
    let family = key.family();
    let carries = |it: &Negotiated| it.families.iter().any(|&carried| AfiSafi::from(carried) == family);
    if !peer.session.established().is_some_and(carries) {
        return;
    }
    if let Some(out) = &mut peer.out {
        let ear = out.ear;
        K::queue(out).enqueue(ear, place, destination);
        say_ready(peer, now, actions);
    }
}

/// Asks the shell to poll, unless it has been asked and has not come to the end.
pub(super) fn say_ready(peer: &mut Peer, now: Instant, actions: &mut Vec<Action>) {
    let (Some(out), Some(negotiated)) = (&mut peer.out, peer.session.established()) else { return };
    if !core::mem::replace(&mut out.told, true) {
        out.waits_since = Some(now);
        let neighbour = peer.session.id;
        actions.push(Action::UpdatesReady { neighbour, connection: negotiated.connection });
    }
}

/// Where a path leads; `None` for our own.
pub(super) fn next_hop(peers: &[Option<Peer>], path: &Path) -> Option<NextHop> {
    let peer = peers.get(path.slot.index()).and_then(Option::as_ref)?;
    let link = peer.session.config.transport.link().clone();
    Some(NextHop { link, via: path.route.next_hop? })
}

/// What the kernel should hold for a destination.
pub(super) fn wanted(
    config: &SpeakerConfig,
    peers: &[Option<Peer>],
    prefix: &Prefix,
    destination: &Destination,
) -> Option<SpeakerRoute> {
    let best = destination.best()?;
    if best.route.discard || destination.used().iter().any(|path| path.route.discard) {
        return Some(SpeakerRoute { next_hops: Vec::new(), source: None, discard: true });
    }
    let mut next_hops: Vec<NextHop> =
        destination.used().iter().filter_map(|path| next_hop(peers, path)).collect();
    // In one order whichever came first, so that the same set is the same route.
    next_hops.sort();
    next_hops.dedup();
    let source = match prefix {
        Prefix::V4(_) => config.source_v4.map(IpAddr::V4),
        Prefix::V6(_) => config.source_v6.map(IpAddr::V6),
    };
    (!next_hops.is_empty()).then_some(SpeakerRoute { next_hops, source, discard: false })
}
