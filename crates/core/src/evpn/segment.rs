//! One segment on this router: its tables, and what it announces of them.

use super::config::{SegmentConfig, Stretch};
use super::entries::{Entries, Key, Value};
use super::event::Action;
use super::hosts::{Hosts, is_host_of};
use super::import::Import;
use super::macs::{Claim, MacState, Place};
use super::notice::Notice;
use super::originate;
use super::port::Port;
use crate::bgp::EvpnUpdate;
use crate::desired::BridgeEntry;
use crate::id::Mac;
use crate::time::Instant;
use crate::wire::bgp::{Esi, EvpnRoute, RouteDistinguisher};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What is known of the segment's hosts and routers.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub macs: BTreeMap<Mac, MacState>,
    pub hosts: Hosts,
    /// Type 3 routes: who of them floods where.
    pub flood: BTreeMap<(RouteDistinguisher, IpAddr), IpAddr>,
}

impl Tables {
    pub fn wanted(&self, key: Key) -> Option<Value> {
        match key {
            Key::Flood(vtep) => self.flood.values().any(|it| *it == vtep).then_some(Value::Flood),
            Key::Mac(mac) => match self.macs.get(&mac)?.place() {
                Place::Vtep { vtep, sticky } => Some(Value::Mac { vtep, sticky }),
                Place::Nowhere | Place::Port(_) => None,
            },
            Key::Host(address) => self.hosts.wanted(&self.macs, address),
        }
    }
}

#[derive(Debug)]
pub(super) struct Segment {
    pub config: SegmentConfig,
    pub vxlan_up: bool,
    /// By [`super::config::SegmentPort::number`].
    pub ports: BTreeMap<u16, Port>,
    pub tables: Tables,
    pub entries: Entries,
    /// When a MAC's moves are to be forgotten.
    pub due: BTreeSet<(Instant, Mac)>,
    /// When the last route of a host was withdrawn.
    pub lost: BTreeMap<IpAddr, Instant>,
    /// Our type 4 routes: the preference they say.
    pub candidates: BTreeMap<Esi, u16>,
}

impl Segment {
    pub fn new(config: SegmentConfig) -> Segment {
        let ports = config.ports.iter().map(|port| (port.number, Port::new(port.clone()))).collect();
        Segment {
            config,
            vxlan_up: false,
            ports,
            tables: Tables::default(),
            entries: Entries::default(),
            due: BTreeSet::new(),
            lost: BTreeMap::new(),
            candidates: BTreeMap::new(),
        }
    }

    /// The stretch, while others can reach us by it.
    pub fn reachable(&self) -> Option<&Stretch> {
        self.config.stretch.as_ref().filter(|_| self.vxlan_up)
    }

    /// Whether other routers of the segment are heard, or there are none to hear.
    pub fn is_connected(&self) -> bool {
        self.config.stretch.is_none() || (self.vxlan_up && !self.tables.flood.is_empty())
    }

    pub fn set_vxlan(&mut self, up: bool, actions: &mut Vec<Action>) {
        if self.vxlan_up == up {
            return;
        }
        self.vxlan_up = up;
        let updates = originate::standing(&self.config, up);
        actions.extend(updates.map(Action::Originate));
        let local: Vec<Mac> =
            self.tables.macs.iter().filter(|it| it.1.local.is_some()).map(|it| *it.0).collect();
        for mac in local {
            self.announce(mac, actions);
        }
        if up {
            // A new device holds nothing of what an old one was told.
            self.entries.all_again();
        }
    }

    /// What a route means to the segment now; `None`: nothing any more.
    pub fn take(
        &mut self,
        now: Instant,
        route: &EvpnRoute,
        import: Option<Import>,
        actions: &mut Vec<Action>,
    ) {
        match (route, import) {
            (EvpnRoute::MacIp { mac, .. }, Some(Import::Claim { claim, .. })) => {
                self.set_claim(now, *mac, claim, actions);
            }
            (EvpnRoute::MacIp { rd, tag: 0, mac, ip }, None) => {
                self.drop_claim(now, *mac, *rd, *ip, actions);
            }
            (EvpnRoute::Multicast { rd, originator, .. }, Some(Import::Flood { vtep })) => {
                let before = self.tables.flood.insert((*rd, *originator), vtep);
                before.into_iter().chain([vtep]).for_each(|it| self.entries.touch(Key::Flood(it)));
            }
            (EvpnRoute::Multicast { rd, tag: 0, originator }, None) => {
                if let Some(vtep) = self.tables.flood.remove(&(*rd, *originator)) {
                    self.entries.touch(Key::Flood(vtep));
                }
            }
            _ => {}
        }
    }

    fn set_claim(&mut self, now: Instant, mac: Mac, claim: Claim, actions: &mut Vec<Action>) {
        let state = self.tables.macs.entry(mac).or_default();
        let before = state.claims.iter_mut().find(|it| (it.rd, it.ip) == (claim.rd, claim.ip));
        match before {
            Some(before) if *before == claim => return,
            Some(before) => *before = claim,
            None => state.claims.push(claim),
        }
        let segment = || self.config.name.clone();
        let other = state.claims.iter().find(|it| it.sticky && it.vtep != claim.vtep);
        if let (Some(other), true) = (other, claim.sticky) {
            let (kept, other) = (claim.vtep.min(other.vtep), claim.vtep.max(other.vtep));
            actions.push(Action::Log(Notice::StickyMacClaimedTwice { segment: segment(), mac, kept, other }));
        }
        let ours = self.config.gateway.as_ref().map(|gateway| [gateway.mac, gateway.own_mac]);
        if let Some(mac) = claim.router_mac.filter(|mac| ours.is_some_and(|ours| ours.contains(mac))) {
            let vtep = claim.vtep;
            actions.push(Action::Log(Notice::OurMacClaimed { segment: segment(), mac, vtep }));
        }
        if let Some(ip) = claim.ip {
            self.tables.hosts.claim(ip, mac);
        }
        self.disturb(now, mac);
        self.settle(mac, claim.ip, actions);
    }

    fn drop_claim(
        &mut self,
        now: Instant,
        mac: Mac,
        rd: RouteDistinguisher,
        ip: Option<IpAddr>,
        actions: &mut Vec<Action>,
    ) {
        let Some(state) = self.tables.macs.get_mut(&mac) else { return };
        let Some(at) = state.claims.iter().position(|it| (it.rd, it.ip) == (rd, ip)) else { return };
        state.claims.swap_remove(at);
        if let Some(ip) = ip
            && !state.claims.iter().any(|it| it.ip == Some(ip))
        {
            self.tables.hosts.unclaim(ip, mac);
        }
        self.disturb(now, mac);
        self.settle(mac, ip, actions);
        self.lose_host(now, ip);
    }

    /// Decides anew where a MAC is, and says so to the kernel and to others. `ip`: an address whose
    /// route has just come or gone.
    pub fn settle(&mut self, mac: Mac, ip: Option<IpAddr>, actions: &mut Vec<Action>) {
        let Some(state) = self.tables.macs.get_mut(&mac) else { return };
        if let Some(stretch) = &self.config.stretch {
            state.yield_to_better(stretch.vtep);
        }
        if !state.best().is_some_and(|best| best.sticky) {
            state.alerted = false;
        }
        let claimed = state.claims.iter().filter_map(|claim| claim.ip);
        for address in claimed.chain(self.tables.hosts.of(mac)).chain(ip) {
            self.entries.touch(Key::Host(address));
        }
        self.entries.touch(Key::Mac(mac));
        self.announce(mac, actions);
        if self.tables.macs.get(&mac).is_some_and(MacState::is_empty) {
            self.tables.macs.remove(&mac);
        }
    }

    /// Makes our type 2 routes of a MAC what they should be.
    fn announce(&mut self, mac: Mac, actions: &mut Vec<Action>) {
        let Some(stretch) = self.config.stretch.as_ref() else { return };
        let state = self.tables.macs.get_mut(&mac);
        let heard = state.as_ref().filter(|state| !state.is_frozen()).and_then(|state| state.local);
        let want = heard.filter(|_| self.vxlan_up).map(|local| local.sequence);
        let vni = self.config.vni;
        if let Some(state) = state
            && state.announced != want
        {
            state.announced = want;
            actions.push(Action::Originate(originate::mac_ip(stretch, vni, mac, None, want)));
        }
        let addresses: Vec<IpAddr> = self.tables.hosts.of(mac).collect();
        for address in addresses {
            let Some(host) = self.tables.hosts.local.get_mut(&address) else { continue };
            let want = want.map(|sequence| (mac, sequence));
            if host.announced == want {
                continue;
            }
            let before = core::mem::replace(&mut host.announced, want);
            let mut originate = |mac, sequence| {
                let update = originate::mac_ip(stretch, vni, mac, Some(address), sequence);
                actions.push(Action::Originate(update));
            };
            if let Some((before, _)) = before.filter(|before| want.is_none_or(|want| want.0 != before.0)) {
                originate(before, None);
            }
            if let Some((mac, sequence)) = want {
                originate(mac, Some(sequence));
            }
        }
    }

    pub fn hear_host(&mut self, address: IpAddr, mac: Mac, actions: &mut Vec<Action>) {
        let gateway = self.config.gateway.as_ref();
        let ours = gateway.is_some_and(|it| mac == it.mac || mac == it.own_mac);
        // The kernel believes whatever address the sender of an ARP question says that it has.
        let stranger = gateway.is_some_and(|it| !is_host_of(it, address));
        if ours || stranger || mac.0[0] & 1 != 0 || mac.0 == [0; 6] {
            return;
        }
        self.tables.hosts.hear(address, mac);
        self.entries.touch(Key::Host(address));
        self.announce(mac, actions);
    }

    pub fn forget_host(&mut self, address: IpAddr, actions: &mut Vec<Action>) {
        let Some(host) = self.tables.hosts.forget(address) else { return };
        self.entries.touch(Key::Host(address));
        if let Some((mac, _)) = host.announced {
            self.withdraw_host(mac, address, actions);
        }
    }

    fn withdraw_host(&self, mac: Mac, address: IpAddr, actions: &mut Vec<Action>) {
        if let Some(stretch) = &self.config.stretch {
            let update = originate::mac_ip(stretch, self.config.vni, mac, Some(address), None);
            actions.push(Action::Originate(update));
        }
    }

    /// The kernel has a MAC on a port no longer.
    pub fn forget_mac(&mut self, port: u16, mac: Mac, actions: &mut Vec<Action>) {
        let Some(state) = self.tables.macs.get_mut(&mac) else { return };
        if state.local.is_some_and(|local| local.port == port) {
            state.local = None;
            self.settle(mac, None, actions);
        }
    }

    /// Nothing that was heard on a port is true any more.
    pub fn forget_port(&mut self, port: u16, actions: &mut Vec<Action>) {
        for mac in self.local_macs().filter(|it| it.0 == port).map(|it| it.1).collect::<Vec<Mac>>() {
            self.forget_mac(port, mac, actions);
        }
    }

    pub fn local_macs(&self) -> impl Iterator<Item = (u16, Mac)> {
        self.tables.macs.iter().filter_map(|(mac, state)| Some((state.local?.port, *mac)))
    }

    /// All that the kernel should hold, made from the tables alone.
    pub fn entries_wanted(&self) -> impl Iterator<Item = BridgeEntry> {
        let tables = &self.tables;
        let flood: BTreeSet<IpAddr> = tables.flood.values().copied().collect();
        let hosts: BTreeSet<IpAddr> = tables.hosts.claimed().collect();
        let keys = flood.into_iter().map(Key::Flood);
        let keys = keys.chain(tables.macs.keys().copied().map(Key::Mac));
        let keys = keys.chain(hosts.into_iter().map(Key::Host));
        keys.filter_map(|key| super::entries::entry(&self.config, key, tables.wanted(key)?))
    }

    /// All that we announce of it: what has to be withdrawn when it goes.
    pub fn withdraw_all(&mut self, actions: &mut Vec<Action>) {
        self.set_vxlan(false, actions);
        let Some(stretch) = &self.config.stretch else { return };
        for esi in core::mem::take(&mut self.candidates).into_keys() {
            let route = originate::segment_route(stretch, esi);
            actions.push(Action::Originate(EvpnUpdate { route, path: None }));
        }
    }
}
