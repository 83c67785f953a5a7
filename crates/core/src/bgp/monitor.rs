//! What collectors are told by BMP (RFC 7854): sessions as they come and go, every route as our policy has taken
//! it, and of each prefix the route that was chosen (RFC 9069). Each collector is told at its own pace, and what waits for it is bounded: of a route only that it has changed is
//! kept, and whoever falls too far behind is told everything anew.

mod loc_rib;

use super::event::ConnectionId;
use super::notice::SessionEnd;
use super::rib::Route;
use super::slots::{Slot, Source};
use super::speaker::{Peer, Speaker};
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{AfiSafi, EXTENDED_MESSAGE_MAX, MpNextHop, MpReach, MpUnreach, UnicastNlri, Update};
use crate::wire::bmp::{self, Ends, LocRib, PeerDown, PeerHeader, View};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};

/// Changes of routes that wait for one collector at the most: some 3 MB.
const CHANGES_MAX: usize = 65_536;
/// Changes of sessions that wait.
const SESSIONS_MAX: usize = 4_096;
/// Prefixes looked at in one piece.
const PREFIXES: usize = 256;

/// A collector, by its place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectorId(pub u16);

/// What was told and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorCounts {
    /// Routes told and withdrawn.
    pub routes: u64,
    /// Sessions that were told to have come or gone.
    pub sessions: u64,
    /// Changes that were not told one by one, because too many waited.
    pub dropped: u64,
    /// How often everything was told anew because of that.
    pub resyncs: u64,
}

/// What one collector has yet to hear.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    greeted: bool,
    sessions: VecDeque<SessionChange>,
    /// Prefixes, each with whose route to it has changed; `None`: the chosen one.
    changed: BTreeSet<(Prefix, Option<Source>)>,
    walk: Walk,
    /// As it was told that what is chosen is told.
    chosen: Option<LocRib>,
    /// Sessions that stand.
    standing: BTreeSet<Slot>,
    /// Sessions that it knows to stand.
    up: BTreeMap<Slot, PeerHeader>,
    /// Families that were told whole, after all that has changed.
    whole: VecDeque<(Slot, AfiSafi)>,
    counts: MonitorCounts,
}

#[derive(Debug)]
enum SessionChange {
    Up(Slot),
    Down(Slot, SessionEnd),
}

/// How far the table was told.
#[derive(Debug, Default)]
struct Walk {
    /// Every session that stands was told.
    begun: bool,
    after: Option<Prefix>,
    through: bool,
}

/// What the shell knows of a message's surroundings.
pub struct Surroundings<'a> {
    pub now: Instant,
    /// Seconds since 1970 (UTC).
    pub unix: u32,
    /// What the router is, and its name.
    pub description: &'a str,
    pub name: &'a str,
    /// The local and the remote port of a connection.
    pub ports: &'a dyn Fn(ConnectionId) -> Option<(u16, u16)>,
}

impl Monitor {
    fn route_changed(&mut self, prefix: Prefix, source: Option<Source>) {
        // What is still to come will be told as it is then.
        let told = self.walk.through || self.walk.after.is_some_and(|after| prefix <= after);
        let stands = source.is_none_or(|source| self.standing.contains(&source.slot));
        if told && stands {
            self.changed.insert((prefix, source));
        }
        if self.changed.len() > CHANGES_MAX {
            self.tell_anew();
        }
    }

    fn session_changed(&mut self, change: SessionChange) {
        match change {
            SessionChange::Up(slot) => self.standing.insert(slot),
            SessionChange::Down(slot, _) => {
                // With a session go its routes, and nobody counts them one by one.
                self.changed.retain(|(_, whose)| whose.is_none_or(|whose| whose.slot != slot));
                self.standing.remove(&slot)
            }
        };
        if self.sessions.len() >= SESSIONS_MAX {
            self.counts.dropped += 1;
            self.sessions.clear();
            self.tell_anew();
        } else {
            self.sessions.push_back(change);
        }
    }

    /// Forgets what waits: every session is ended for the collector, and told again with all of its routes.
    fn tell_anew(&mut self) {
        self.counts.dropped += self.changed.len() as u64;
        self.counts.resyncs += 1;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.changed.clear();
        self.whole.clear();
        self.walk = Walk::default();
    }

    fn has_work(&self) -> bool {
        let waits = !self.sessions.is_empty() || !self.changed.is_empty() || !self.whole.is_empty();
        waits || !self.greeted || !self.walk.through
    }
}

impl Speaker {
    /// A collector has come: it will be told everything.
    pub fn begin_monitor(&mut self, id: CollectorId) {
        let stands = |peer: &Option<Peer>| peer.as_ref().is_some_and(|it| it.session.established().is_some());
        let standing = self.peer_slots().filter(|slot| stands(&self.peers[slot.index()])).collect();
        self.monitors.insert(id, Monitor { standing, ..Monitor::default() });
    }

    /// It is gone, with what it was told.
    pub fn end_monitor(&mut self, id: CollectorId) -> MonitorCounts {
        self.monitors.remove(&id).map(|monitor| monitor.counts).unwrap_or_default()
    }

    pub fn monitor_counts(&self, id: CollectorId) -> MonitorCounts {
        self.monitors.get(&id).map(|monitor| monitor.counts).unwrap_or_default()
    }

    /// Whether [`Speaker::poll_monitor`] has something to say.
    pub fn monitor_has_work(&self, id: CollectorId) -> bool {
        self.monitors.get(&id).is_some_and(Monitor::has_work)
    }

    pub(super) fn monitored_route(&mut self, prefix: &Prefix, source: Source) {
        for monitor in self.monitors.values_mut() {
            monitor.route_changed(*prefix, Some(source));
        }
    }

    pub(super) fn monitored_choice(&mut self, prefix: &Prefix) {
        for monitor in self.monitors.values_mut() {
            monitor.route_changed(*prefix, None);
        }
    }

    /// Of a whole family routes are chosen from now on (RFC 4724 4.1): a collector that has heard of none begins again.
    pub(super) fn monitored_selection(&mut self) {
        for monitor in self.monitors.values_mut().filter(|monitor| monitor.walk.begun) {
            monitor.begin_anew();
        }
    }

    pub(super) fn monitored_up(&mut self, slot: Slot) {
        for monitor in self.monitors.values_mut() {
            monitor.session_changed(SessionChange::Up(slot));
        }
    }

    pub(super) fn monitored_down(&mut self, slot: Slot, end: &SessionEnd) {
        for monitor in self.monitors.values_mut() {
            monitor.session_changed(SessionChange::Down(slot, end.clone()));
        }
    }

    pub(super) fn monitored_whole(&mut self, slot: Slot, family: AfiSafi) {
        for monitor in self.monitors.values_mut() {
            // A walk says so itself.
            if monitor.walk.through && monitor.whole.len() < SESSIONS_MAX {
                monitor.whole.push_back((slot, family));
            }
        }
    }

    /// Appends messages for a collector, about `budget` bytes of them. True if there are more.
    pub fn poll_monitor(
        &mut self,
        id: CollectorId,
        around: &Surroundings<'_>,
        budget: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(mut monitor) = self.monitors.remove(&id) else { return false };
        if monitor.chosen.is_some_and(|chosen| chosen != self.loc_rib()) {
            monitor.begin_anew();
        }
        let mut teller = Teller { speaker: self, around, monitor: &mut monitor, out };
        let end = teller.out.len() + budget;
        teller.greet();
        teller.sessions();
        teller.changes(end);
        teller.walk(end);
        let more = monitor.has_work();
        self.monitors.insert(id, monitor);
        more
    }
}

struct Teller<'a> {
    speaker: &'a Speaker,
    around: &'a Surroundings<'a>,
    monitor: &'a mut Monitor,
    out: &'a mut Vec<u8>,
}

impl Teller<'_> {
    fn greet(&mut self) {
        if !core::mem::replace(&mut self.monitor.greeted, true) {
            bmp::initiation(self.around.description, self.around.name, self.out);
        }
    }

    fn sessions(&mut self) {
        if !core::mem::replace(&mut self.monitor.walk.begun, true) {
            self.monitor.sessions.clear();
            for slot in self.monitor.up.keys().copied().collect::<Vec<_>>() {
                self.down(slot, PeerDown::NoLongerMonitored);
            }
            self.speaker.peer_slots().for_each(|slot| self.up(slot));
            self.choice_begins();
        }
        while let Some(change) = self.monitor.sessions.pop_front() {
            match change {
                SessionChange::Up(slot) => self.up(slot),
                SessionChange::Down(slot, end) => self.down(slot, why(&end)),
            }
        }
    }

    fn up(&mut self, slot: Slot) {
        let Some(peer) = self.speaker.peers[slot.index()].as_ref() else { return };
        let (Some(negotiated), Some(remote)) = (peer.session.established(), peer.session.remote()) else {
            return;
        };
        let header = PeerHeader {
            distinguisher: is_link_local(remote).then_some(u64::from(slot.0) + 1),
            address: remote,
            asn: peer.session.config.remote_asn,
            identifier: negotiated.router_id,
        };
        let (local_port, remote_port) = (self.around.ports)(negotiated.connection).unwrap_or((0, 0));
        let ends = Ends { local: peer.session.local(), local_port, remote_port };
        let (sent, received) = peer.session.opens();
        bmp::peer_up(header, self.since(peer), ends, &sent, &received, self.out);
        self.monitor.up.insert(slot, header);
        self.monitor.counts.sessions += 1;
    }

    fn since(&self, peer: &Peer) -> u32 {
        let stood = peer.established_at.map_or(0, |at| self.around.now.since(at).as_secs());
        self.around.unix.saturating_sub(u32::try_from(stood).unwrap_or(u32::MAX))
    }

    fn down(&mut self, slot: Slot, why: PeerDown<'_>) {
        if let Some(header) = self.monitor.up.remove(&slot) {
            bmp::peer_down(header, self.around.unix, why, self.out);
            self.monitor.counts.sessions += 1;
        }
    }

    /// Routes that are others than were told, until `end`.
    fn changes(&mut self, end: usize) {
        while self.out.len() < end {
            let Some((prefix, source)) = self.monitor.changed.pop_first() else { break };
            let Some(source) = source else {
                self.choice(prefix, self.around.unix, self.speaker.rib.get(&prefix));
                continue;
            };
            let Some(&header) = self.monitor.up.get(&source.slot) else { continue };
            let destination = self.speaker.rib.get(&prefix);
            let mut paths = destination.into_iter().flat_map(|it| self.speaker.standing(&prefix, it));
            let path = paths.find(|path| path.source() == source);
            let listed = self.listed(prefix, source);
            if !is_nameless(listed, source) {
                self.route(View::Taken(header), self.around.unix, listed, path.map(|path| &*path.route));
            }
        }
        while self.monitor.changed.is_empty() && self.out.len() < end {
            let Some((slot, family)) = self.monitor.whole.pop_front() else { break };
            self.end_of_rib(slot, family);
        }
    }

    /// The next prefixes of the table, until `end`.
    fn walk(&mut self, end: usize) {
        if self.monitor.walk.through {
            return;
        }
        let (speaker, after) = (self.speaker, self.monitor.walk.after);
        for (taken, (prefix, destination)) in speaker.rib.after(after.as_ref()).enumerate() {
            if taken == PREFIXES || self.out.len() >= end {
                return;
            }
            for path in speaker.standing(&prefix, destination) {
                let listed = self.listed(prefix, path.source());
                if let Some(&header) = self.monitor.up.get(&path.slot)
                    && !is_nameless(listed, path.source())
                {
                    self.route(View::Taken(header), 0, listed, Some(&path.route));
                }
            }
            if destination.best().is_some() {
                self.choice(prefix, 0, Some(destination));
            }
            self.monitor.walk.after = Some(prefix);
        }
        self.monitor.walk.through = true;
        for slot in self.monitor.up.keys().copied().collect::<Vec<_>>() {
            let peer = speaker.peers[slot.index()].as_ref();
            let told = peer.map(|peer| peer.told_all.clone()).unwrap_or_default();
            for family in told {
                self.end_of_rib(slot, family);
            }
        }
        self.choice_is_whole();
    }

    /// With an identifier where the two OPENs, which the collector has, say that there is one (RFC 7911).
    fn listed(&self, prefix: Prefix, source: Source) -> UnicastNlri {
        let peer = self.speaker.peers.get(source.slot.index()).and_then(Option::as_ref);
        let session = peer.and_then(|peer| peer.session.established());
        let said = session.is_some_and(|it| it.context.path_ids.of(AfiSafi::of(&prefix)));
        UnicastNlri { prefix, path_id: said.then_some(source.path_id) }
    }

    fn route(&mut self, view: View, at: u32, listed: UnicastNlri, route: Option<&Route>) {
        let mut message = Vec::new();
        update(listed, route).emit(true, &mut message);
        // What our own communities have made longer than any message.
        if message.len() > EXTENDED_MESSAGE_MAX {
            self.monitor.counts.dropped += 1;
            return;
        }
        bmp::route_monitoring(view, at, self.out, |out| out.extend_from_slice(&message));
        self.monitor.counts.routes += 1;
    }

    fn end_of_rib(&mut self, slot: Slot, family: AfiSafi) {
        let Some(&header) = self.monitor.up.get(&slot) else { return };
        if family.is_unicast() {
            bmp::route_monitoring(View::Taken(header), 0, self.out, |out| {
                Update::emit_end_of_rib(family, out)
            });
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn why(end: &SessionEnd) -> PeerDown<'_> {
    match end {
        SessionEnd::NotificationReceived { notification } => PeerDown::RemoteNotification(notification),
        SessionEnd::NotificationSent { notification } => PeerDown::LocalNotification(notification),
        SessionEnd::Closed | SessionEnd::ConnectFailed => PeerDown::RemoteSilent,
        _ => PeerDown::LocalSilent,
    }
}

/// One route as an UPDATE; `None`: it is withdrawn.
fn update(listed: UnicastNlri, route: Option<&Route>) -> Update {
    let (family, prefixes, prefix) = (AfiSafi::of(&listed.prefix), alloc::vec![listed], &listed.prefix);
    let Some(route) = route else {
        return match prefix {
            Prefix::V4(_) => Update { withdrawn: prefixes, ..Update::default() },
            Prefix::V6(_) => {
                let unreach = MpUnreach { family, prefixes, evpn: Vec::new() };
                Update { mp_unreach: Some(unreach), ..Update::default() }
            }
        };
    };
    let update = Update { attributes: Some(route.attributes.clone()), ..Update::default() };
    match (prefix, route.next_hop) {
        (Prefix::V4(_), Some(IpAddr::V4(next_hop))) => {
            Update { next_hop: Some(next_hop), announced: prefixes, ..update }
        }
        // What the router announces itself leads to no neighbour.
        (Prefix::V4(_), None) => {
            Update { next_hop: Some(Ipv4Addr::UNSPECIFIED), announced: prefixes, ..update }
        }
        (_, next_hop) => {
            let next_hop = match next_hop {
                Some(IpAddr::V4(address)) => MpNextHop::V4(address),
                Some(IpAddr::V6(address)) => MpNextHop::V6(address),
                None => MpNextHop::V6(Ipv6Addr::UNSPECIFIED),
            };
            let reach = MpReach { family, next_hop, prefixes, evpn: Vec::new() };
            Update { mp_reach: Some(reach), ..update }
        }
    }
}

/// Of an earlier session with identifiers, while the present one has none: the collector would take it for the one
/// path that the neighbour tells now.
fn is_nameless(listed: UnicastNlri, source: Source) -> bool {
    listed.path_id.is_none() && source.path_id != 0
}
