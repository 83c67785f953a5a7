//! The machine: events in, actions out, time as an argument.

use super::communities::Said;
use super::config::EvpnConfig;
use super::event::{Action, EntryChange, Event};
use super::import::import;
use super::lan::{Rival, Rivals, UNSTATED_PREFERENCE};
use super::notice::{Notice, RouteRefusal};
use super::segment::Segment;
use super::status::Counters;
use crate::bgp::{EvpnPath, EvpnUpdate};
use crate::desired::BridgeEntry;
use crate::id::{IfName, Mac};
use crate::time::Instant;
use crate::wire::bgp::EvpnRoute;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What an interface is to us: an index into the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Port { segment: usize, number: u16 },
    Vxlan { segment: usize },
    Bridge { segment: usize },
}

/// What the kernel has learned by itself: MACs on ports, and hosts on bridges.
pub(super) type Learned = (Vec<(IfName, Mac)>, Vec<(IfName, IpAddr, Mac)>);

/// A route that is meant for a segment, and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refused {
    pub segment: usize,
    pub next_hop: IpAddr,
    pub reason: RouteRefusal,
}

/// All segments of one router.
#[derive(Debug)]
pub struct Evpn {
    pub(super) network: u64,
    pub(super) router: u32,
    /// In the order of the configuration.
    pub(super) segments: Vec<Segment>,
    pub(super) roles: BTreeMap<IfName, Role>,
    /// Interfaces with carrier, whether they are ours or not.
    pub(super) up: BTreeSet<IfName>,
    /// What the speaker has told, used or not: a new configuration reads it anew.
    pub(super) routes: BTreeMap<EvpnRoute, EvpnPath>,
    pub(super) refused: BTreeMap<EvpnRoute, Refused>,
    /// How many routes there are of each kind of refusal.
    pub(super) refusals: BTreeMap<Refused, u32>,
    pub(super) rivals: Rivals,
    /// Entries of segments that are gone.
    pub(super) leaving: VecDeque<EntryChange>,
    /// [`Action::EntriesReady`] was said and not yet followed to its end.
    pub(super) ready_said: bool,
    /// When probes are sent next; `None` while no port is up.
    pub(super) next_probe: Option<Instant>,
    pub(super) probe_sequence: u32,
    /// The last step's time: what is due is later.
    pub(super) now: Instant,
    pub(super) asked: BTreeMap<(usize, IpAddr), Instant>,
    pub(super) counters: Counters,
}

impl Evpn {
    pub fn new(config: EvpnConfig) -> Evpn {
        let EvpnConfig { network, router, segments } = config;
        let mut evpn = Evpn {
            network,
            router,
            segments: segments.into_iter().map(Segment::new).collect(),
            roles: BTreeMap::new(),
            up: BTreeSet::new(),
            routes: BTreeMap::new(),
            refused: BTreeMap::new(),
            refusals: BTreeMap::new(),
            rivals: BTreeMap::new(),
            leaving: VecDeque::new(),
            ready_said: false,
            next_probe: None,
            probe_sequence: 0,
            now: Instant::default(),
            asked: BTreeMap::new(),
            counters: Counters::default(),
        };
        evpn.assign_roles();
        evpn
    }

    pub(super) fn assign_roles(&mut self) {
        self.roles.clear();
        for (segment, it) in self.segments.iter().enumerate() {
            let config = &it.config;
            self.roles.insert(config.bridge.clone(), Role::Bridge { segment });
            if let Some(stretch) = &config.stretch {
                self.roles.insert(stretch.vxlan.clone(), Role::Vxlan { segment });
            }
            for port in &config.ports {
                self.roles.insert(port.link.clone(), Role::Port { segment, number: port.number });
            }
        }
    }

    /// Takes one event. `now` never goes back.
    pub fn step(&mut self, now: Instant, event: Event<'_>, actions: &mut Vec<Action>) {
        self.now = now;
        match event {
            Event::Route(update) => self.route(now, update, actions),
            Event::LinkUp(link) => self.link(now, link, true, actions),
            Event::LinkDown(link) => self.link(now, link, false, actions),
            Event::MacHeard { port, mac } => self.mac_heard(now, &port, mac, actions),
            Event::MacGone { port, mac } => {
                if let Some(Role::Port { segment, number }) = self.role(&port) {
                    self.segments[segment].forget_mac(number, mac, actions);
                }
            }
            Event::HostHeard { bridge, address, mac } => {
                if let Some(Role::Bridge { segment }) = self.role(&bridge) {
                    self.segments[segment].hear_host(address, mac, actions);
                }
            }
            Event::HostGone { bridge, address } => {
                if let Some(Role::Bridge { segment }) = self.role(&bridge) {
                    self.segments[segment].forget_host(address, actions);
                }
            }
            Event::HostSought { bridge, address } => self.host_sought(now, &bridge, address, actions),
            Event::Relearned { macs, hosts } => self.relearned(now, macs, hosts, actions),
            Event::ProbeHeard { port, frame } => self.probe_heard(now, &port, frame),
            Event::Timeout => {}
        }
        self.expire(now, actions);
        self.say_ready(actions);
    }

    /// When [`Event::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let ports = self.segments.iter().flat_map(|segment| segment.ports.values());
        let ports = ports.flat_map(|port| port.deadlines()).filter(|at| *at > self.now);
        let moves = self.segments.iter().filter_map(|segment| segment.due.first().map(|it| it.0));
        ports.chain(moves).chain(self.next_probe).min()
    }

    /// At most `budget` changes for the kernel. True: there are more.
    pub fn poll_entries(&mut self, budget: usize, changes: &mut Vec<EntryChange>) -> bool {
        let mut left = budget;
        while left > 0
            && let Some(change) = self.leaving.pop_front()
        {
            changes.push(change);
            left -= 1;
        }
        for segment in &mut self.segments {
            let (tables, config) = (&segment.tables, &segment.config);
            while left > 0
                && let Some(change) = segment.entries.pop(config, |key| tables.wanted(key))
            {
                changes.push(change);
                left -= 1;
            }
        }
        self.ready_said = self.entries_waiting();
        self.ready_said
    }

    /// All that the kernel should hold.
    pub fn entries_wanted(&self) -> Vec<BridgeEntry> {
        self.segments.iter().flat_map(Segment::entries_wanted).collect()
    }

    fn entries_waiting(&self) -> bool {
        !self.leaving.is_empty() || self.segments.iter().any(|segment| segment.entries.is_waiting())
    }

    pub(super) fn say_ready(&mut self, actions: &mut Vec<Action>) {
        if !self.ready_said && self.entries_waiting() {
            self.ready_said = true;
            actions.push(Action::EntriesReady);
        }
    }

    pub(super) fn role(&self, link: &IfName) -> Option<Role> {
        self.roles.get(link).copied()
    }

    fn route(&mut self, now: Instant, update: EvpnUpdate, actions: &mut Vec<Action>) {
        let EvpnUpdate { route, path } = update;
        if let EvpnRoute::EthernetSegment { rd, esi, originator } = route {
            self.rival(rd, esi, originator, path.as_ref());
        }
        let mut refused = None;
        for at in 0..self.segments.len() {
            let reason = self.import_into(now, at, &route, path.as_ref(), actions);
            refused = refused.or(reason);
        }
        self.remember_refusal(&route, refused, false, actions);
        match path {
            Some(path) => self.routes.insert(route, path),
            None => self.routes.remove(&route),
        };
    }

    fn rival(
        &mut self,
        rd: crate::wire::bgp::RouteDistinguisher,
        esi: crate::wire::bgp::Esi,
        originator: IpAddr,
        path: Option<&EvpnPath>,
    ) {
        let of_lan = self.rivals.entry(esi).or_default();
        match path {
            Some(path) => {
                let preference = Said::by(&path.communities).preference;
                let preference = preference.unwrap_or(UNSTATED_PREFERENCE);
                of_lan.insert((rd, originator), Rival { preference });
            }
            None => {
                of_lan.remove(&(rd, originator));
            }
        }
        if of_lan.is_empty() {
            self.rivals.remove(&esi);
        }
    }

    /// What a route means to one segment now.
    pub(super) fn import_into(
        &mut self,
        now: Instant,
        at: usize,
        route: &EvpnRoute,
        path: Option<&EvpnPath>,
        actions: &mut Vec<Action>,
    ) -> Option<Refused> {
        let segment = &mut self.segments[at];
        let said = path.and_then(|path| import(&segment.config, route, path));
        let (used, reason) = match said {
            Some(Ok(used)) => (Some(used), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        segment.take(now, route, used, actions);
        let next_hop = path?.next_hop;
        reason.map(|reason| Refused { segment: at, next_hop, reason })
    }

    /// `quiet`: it was spoken of before.
    pub(super) fn remember_refusal(
        &mut self,
        route: &EvpnRoute,
        refused: Option<Refused>,
        quiet: bool,
        actions: &mut Vec<Action>,
    ) {
        let refused = refused.filter(|it| it.reason != RouteRefusal::SameGateway);
        let before = match refused {
            Some(refused) => self.refused.insert(route.clone(), refused),
            None => self.refused.remove(route),
        };
        if before == refused {
            return;
        }
        if let Some(before) = before
            && let Some(count) = self.refusals.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.refusals.remove(&before);
            }
        }
        let Some(refused) = refused else { return };
        self.counters.routes_refused += 1;
        let alike = self.refusals.entry(refused).or_default();
        *alike += 1;
        let segment = self.segments[refused.segment].config.name.clone();
        let (next_hop, reason) = (refused.next_hop, refused.reason);
        let notice = match (reason, route) {
            (RouteRefusal::OurMac, EvpnRoute::MacIp { mac, .. }) if !quiet => {
                Notice::OurMacClaimed { segment, mac: *mac, vtep: next_hop }
            }
            // One line for a VTEP that does one thing wrong ten thousand times.
            _ if *alike > 1 || quiet => return,
            _ => Notice::RouteRefused { segment, route: route.clone(), next_hop, reason },
        };
        actions.push(Action::Log(notice));
    }

    fn link(&mut self, now: Instant, link: IfName, up: bool, actions: &mut Vec<Action>) {
        let changed = if up { self.up.insert(link.clone()) } else { self.up.remove(&link) };
        if changed {
            self.link_changed(now, &link, up, actions);
        }
    }

    pub(super) fn link_changed(&mut self, now: Instant, link: &IfName, up: bool, actions: &mut Vec<Action>) {
        match self.role(link) {
            Some(Role::Vxlan { segment }) => self.segments[segment].set_vxlan(up, actions),
            Some(Role::Port { segment, number }) => {
                let segment = &mut self.segments[segment];
                if let Some(port) = segment.ports.get_mut(&number) {
                    port.up = up;
                    port.since = now;
                }
                if up {
                    // Heard at once: a loop is noticed as soon as the cable is in.
                    self.next_probe = Some(now);
                } else {
                    segment.forget_port(number, actions);
                }
            }
            Some(Role::Bridge { .. }) | None => {}
        }
    }

    fn mac_heard(&mut self, now: Instant, port: &IfName, mac: Mac, actions: &mut Vec<Action>) {
        if let Some(Role::Port { segment, number }) = self.role(port) {
            self.segments[segment].learn(now, number, mac, actions);
        }
    }

    /// What is not in the list is gone; what is, is heard.
    fn relearned(
        &mut self,
        now: Instant,
        macs: Vec<(IfName, Mac)>,
        hosts: Vec<(IfName, IpAddr, Mac)>,
        actions: &mut Vec<Action>,
    ) {
        let known: BTreeSet<(IfName, Mac)> = macs.iter().cloned().collect();
        let known_hosts: BTreeSet<(IfName, IpAddr)> = hosts.iter().map(|it| (it.0.clone(), it.1)).collect();
        for segment in &mut self.segments {
            let gone = segment.local_macs().filter(|(number, mac)| {
                let port = segment.ports.get(number).map(|port| &port.config.link);
                port.is_none_or(|link| !known.contains(&(link.clone(), *mac)))
            });
            for (number, mac) in gone.collect::<Vec<_>>() {
                segment.forget_mac(number, mac, actions);
            }
            let bridge = segment.config.bridge.clone();
            let gone = segment.tables.hosts.local.keys().copied();
            let gone = gone.filter(|address| !known_hosts.contains(&(bridge.clone(), *address)));
            for address in gone.collect::<Vec<_>>() {
                segment.forget_host(address, actions);
            }
        }
        self.hear_again(now, (macs, hosts), actions);
    }

    pub(super) fn hear_again(&mut self, now: Instant, (macs, hosts): Learned, actions: &mut Vec<Action>) {
        for (port, mac) in macs {
            self.mac_heard(now, &port, mac, actions);
        }
        for (bridge, address, mac) in hosts {
            if let Some(Role::Bridge { segment }) = self.role(&bridge) {
                self.segments[segment].hear_host(address, mac, actions);
            }
        }
    }

    /// What the time brings, and what follows for every port.
    pub(super) fn expire(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for segment in &mut self.segments {
            segment.expire_moves(now, actions);
            if segment.elect(now, &self.rivals, actions) {
                // The other end is to know at once.
                self.next_probe = Some(now);
            }
            segment.find_lost(now, actions);
        }
        self.send_probes(now, actions);
    }
}
