//! The segments under test: one machine with the kernel that it believes in, and what it said.

mod gateways;
mod loops;
mod mobility;
mod net;
mod random;
mod replace;
mod routes;
mod standby;

use super::config::{EvpnConfig, Gateway, SegmentConfig, SegmentPort, SharedLan, Stretch};
use super::{Action, EntryChange, Event, Evpn, Notice};
use crate::bgp::{EvpnPath, EvpnUpdate};
use crate::desired::BridgeEntry;
use crate::id::{IfName, Mac, Vni};
use crate::time::{Duration, Instant};
use crate::wire::bgp::{Esi, EvpnRoute, ExtendedCommunity, RouteDistinguisher, RouteTarget};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::{IpAddr, Ipv4Addr};

pub(super) const VNI: u32 = 100;

pub(super) fn link(name: &str) -> IfName {
    IfName::new(name).unwrap()
}

/// The `n`-th host's.
pub(super) fn mac(n: u8) -> Mac {
    Mac([0x02, 0, 0, 0, 1, n])
}

pub(super) fn vtep(router: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + router))
}

pub(super) fn rd(router: u32) -> RouteDistinguisher {
    let IpAddr::V4(id) = vtep(router) else { unreachable!() };
    RouteDistinguisher::of_router(id, VNI as u16)
}

pub(super) fn target() -> RouteTarget {
    RouteTarget::of_two_octet_as(63806, VNI)
}

pub(super) fn port(number: u16) -> SegmentPort {
    SegmentPort { link: link(&format!("eth{number}")), number, lan: None }
}

/// A port of the LAN that several hang on.
pub(super) fn shared(number: u16, preference: u16) -> SegmentPort {
    let esi = Esi::stated([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let lan = SharedLan { name: "house".to_string(), esi, preference };
    SegmentPort { lan: Some(lan), ..port(number) }
}

pub(super) fn gateway(router: u32) -> Gateway {
    Gateway {
        mac: Mac([0x02, 0xff, 0, 0, 0, 1]),
        own_mac: Mac([0x02, 0xfe, 0, 0, 0, router as u8]),
        link_local: "fe80::1".parse().unwrap(),
        own_link_local: format!("fe80::fe:{router}").parse().unwrap(),
        addresses: vec!["192.0.2.1/24".parse().unwrap(), "2001:db8:e00::1/64".parse().unwrap()],
        dns: Vec::new(),
        dhcp: None,
    }
}

pub(super) fn segment(router: u32, ports: Vec<SegmentPort>) -> SegmentConfig {
    SegmentConfig {
        name: "members".to_string(),
        vni: Vni(VNI),
        bridge: link("seg-members"),
        stretch: Some(Stretch {
            vxlan: link("vx-members"),
            vtep: vtep(router),
            rd: rd(router),
            import: vec![target()],
            export: vec![target()],
        }),
        ports,
        gateway: None,
    }
}

pub(super) fn config(router: u32, segments: Vec<SegmentConfig>) -> EvpnConfig {
    EvpnConfig { network: 0x7473_756d_7567_6921, router, segments }
}

/// What tells entries of the kernel apart.
fn key(entry: &BridgeEntry) -> String {
    match entry {
        BridgeEntry::Flood { vxlan, vtep } => format!("flood {vxlan} {vtep}"),
        BridgeEntry::Mac { vxlan, mac, .. } => format!("mac {vxlan} {mac}"),
        BridgeEntry::Host { bridge, address, .. } => format!("host {bridge} {address}"),
    }
}

/// A machine, and all that it has said so far.
pub(super) struct Bench {
    pub evpn: Evpn,
    pub now: Instant,
    pub announced: BTreeMap<EvpnRoute, EvpnPath>,
    pub kernel: BTreeMap<String, BridgeEntry>,
    pub notices: Vec<Notice>,
    /// What was sent out of which interface since it was last looked at.
    pub frames: Vec<(IfName, Vec<u8>)>,
    /// Ports that were said to be blocked or open.
    pub ports: BTreeMap<IfName, Option<super::BlockReason>>,
    pub flushed: Vec<IfName>,
    /// Hosts that the kernel was to look for.
    pub sought: Vec<IpAddr>,
    /// What was originated since it was last looked at.
    pub originated: Vec<EvpnUpdate>,
}

impl Bench {
    pub fn new(config: EvpnConfig) -> Bench {
        Bench {
            evpn: Evpn::new(config),
            now: Instant(1_000_000_000),
            announced: BTreeMap::new(),
            kernel: BTreeMap::new(),
            notices: Vec::new(),
            frames: Vec::new(),
            ports: BTreeMap::new(),
            flushed: Vec::new(),
            sought: Vec::new(),
            originated: Vec::new(),
        }
    }

    /// One segment with one port, all of it up.
    pub fn up(router: u32) -> Bench {
        Bench::up_with(config(router, vec![segment(router, vec![port(1)])]))
    }

    pub fn up_with(config: EvpnConfig) -> Bench {
        let links: Vec<IfName> = config
            .segments
            .iter()
            .flat_map(|it| {
                let ports = it.ports.iter().map(|port| port.link.clone());
                ports.chain(it.stretch.as_ref().map(|stretch| stretch.vxlan.clone()))
            })
            .collect();
        let mut bench = Bench::new(config);
        for link in links {
            bench.step(Event::LinkUp(link));
        }
        bench
    }

    pub fn step(&mut self, event: Event<'_>) {
        let mut actions = Vec::new();
        self.evpn.step(self.now, event, &mut actions);
        self.took(actions);
    }

    pub fn replace(&mut self, config: EvpnConfig) {
        let mut actions = Vec::new();
        self.evpn.replace(self.now, config, &mut actions);
        self.took(actions);
    }

    fn took(&mut self, actions: Vec<Action>) {
        let mut ready = false;
        for action in actions {
            match action {
                Action::Originate(update) => {
                    self.originated.push(update.clone());
                    match update.path {
                        Some(path) => self.announced.insert(update.route, path),
                        None => self.announced.remove(&update.route),
                    };
                }
                Action::EntriesReady => ready = true,
                Action::SetPort { port, blocked } => {
                    self.ports.insert(port, blocked);
                }
                Action::Flush { port } => self.flushed.push(port),
                Action::AskHost { address, .. } => self.sought.push(address),
                Action::SendFrame { link, frame } => self.frames.push((link, frame)),
                Action::Log(notice) => self.notices.push(notice),
            }
        }
        if ready {
            self.poll();
        }
    }

    /// Everything in small helpings.
    fn poll(&mut self) {
        let mut changes: Vec<EntryChange> = Vec::new();
        while self.evpn.poll_entries(2, &mut changes) {}
        for EntryChange { entry, present } in changes {
            if present {
                self.kernel.insert(key(&entry), entry);
            } else {
                assert_eq!(self.kernel.remove(&key(&entry)), Some(entry), "removes what was told");
            }
        }
    }

    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.evpn.next_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now);
            self.now = at;
            self.step(Event::Timeout);
            assert!(self.evpn.next_timeout().is_none_or(|next| next > at), "time stands still");
        }
        self.now = end;
    }

    pub fn hear(&mut self, port: &str, mac: Mac) {
        self.step(Event::MacHeard { port: link(port), mac });
    }

    pub fn route(&mut self, route: EvpnRoute, path: Option<EvpnPath>) {
        self.step(Event::Route(EvpnUpdate { route, path }));
    }

    /// The entries that the kernel was told, which are those that it should hold.
    pub fn entries(&self) -> Vec<BridgeEntry> {
        let mut wanted = self.evpn.entries_wanted();
        wanted.sort();
        let mut told: Vec<BridgeEntry> = self.kernel.values().cloned().collect();
        told.sort();
        assert_eq!(wanted, told);
        told
    }

    pub fn sequence(&self, mac: Mac) -> Option<u32> {
        let route = self
            .announced
            .iter()
            .find(|(route, _)| matches!(route, EvpnRoute::MacIp { mac: it, ip: None, .. } if *it == mac));
        route.map(|(_, path)| super::communities::Said::by(&path.communities).sequence)
    }
}

/// RFC 7432 7.7, as the tests say it.
pub(super) fn mobility(sequence: u32, sticky: bool) -> ExtendedCommunity {
    ExtendedCommunity::mac_mobility(sticky, sequence)
}
