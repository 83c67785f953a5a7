//! What the segments' machine says of itself.

use super::machine::Evpn;
use super::macs::Place;
use super::notice::{BlockReason, RouteRefusal};
use super::segment::Segment;
use crate::id::{IfName, Mac, Vni};
use crate::time::Instant;
use crate::wire::bgp::EvpnRoute;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Refused routes that are shown; all are counted.
const SHOWN_REFUSED: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvpnStatus {
    pub router: u32,
    /// In the order of the configuration.
    pub segments: Vec<SegmentStatus>,
    /// Routes meant for a segment that are not used: at most 256.
    pub refused: Vec<RefusedRoute>,
    /// All of those that are not used now.
    pub refused_now: u32,
    pub counters: Counters,
}

/// Since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub routes_refused: u64,
    pub probes_sent: u64,
    pub probes_heard: u64,
    /// Frames of the probes' EtherType that are no probe of this network.
    pub probes_of_strangers: u64,
    /// Questions for silent hosts.
    pub hosts_asked: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentStatus {
    pub name: String,
    pub vni: Vni,
    pub bridge: IfName,
    /// Our own; `None`: no other router carries the segment.
    pub vtep: Option<IpAddr>,
    /// Whether others can reach us: the VXLAN device is there.
    pub reachable: bool,
    pub vteps: Vec<VtepStatus>,
    pub ports: Vec<PortStatus>,
    pub macs: Vec<MacStatus>,
    pub hosts: Vec<HostStatus>,
    /// MACs that more than one VTEP says routed packets go to (RFC 9135 8.1). No segment sends any there.
    pub router_macs_in_conflict: Vec<RouterMac>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VtepStatus {
    pub address: IpAddr,
    /// It takes frames for everyone.
    pub flood: bool,
    /// MACs behind it.
    pub macs: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    pub link: IfName,
    pub number: u16,
    pub up: bool,
    pub blocked: Option<BlockReason>,
    /// How long it has been as it is, in milliseconds.
    pub since_ms: u64,
    pub lan: Option<String>,
    /// MACs on it.
    pub macs: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacStatus {
    pub mac: Mac,
    pub at: MacPlace,
    /// RFC 7432 15.
    pub sequence: u32,
    /// A duplicate (RFC 7432 15.1): for how much longer at least, in milliseconds.
    pub frozen_for_ms: Option<u64>,
    /// Other VTEPs that announce it.
    pub also: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum MacPlace {
    Port { link: IfName },
    Vtep { address: IpAddr, sticky: bool },
    Nowhere,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    pub address: IpAddr,
    pub mac: Mac,
    /// On a port of this router.
    pub local: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterMac {
    pub mac: Mac,
    pub vteps: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRoute {
    pub segment: String,
    /// As `RD [type]:...`.
    pub route: String,
    pub next_hop: IpAddr,
    pub reason: RouteRefusal,
}

/// A route in the notation of FRR, its distinguisher in front.
pub fn route_text(route: &EvpnRoute) -> String {
    match route {
        EvpnRoute::AutoDiscovery { rd, esi, tag } => format!("{rd} [1]:[{tag}]:[{esi}]"),
        EvpnRoute::MacIp { rd, tag, mac, ip: None } => format!("{rd} [2]:[{tag}]:[48]:[{mac}]"),
        EvpnRoute::MacIp { rd, tag, mac, ip: Some(ip) } => {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            format!("{rd} [2]:[{tag}]:[48]:[{mac}]:[{bits}]:[{ip}]")
        }
        EvpnRoute::Multicast { rd, tag, originator } => format!("{rd} [3]:[{tag}]:[{originator}]"),
        EvpnRoute::EthernetSegment { rd, esi, originator } => format!("{rd} [4]:[{esi}]:[{originator}]"),
        EvpnRoute::IpPrefix { rd, tag, prefix } => format!("{rd} [5]:[{tag}]:[{prefix}]"),
    }
}

impl Evpn {
    pub fn status(&self, now: Instant) -> EvpnStatus {
        let refused = self.refused.iter().take(SHOWN_REFUSED).map(|(route, refused)| RefusedRoute {
            segment: self.segments[refused.segment].config.name.clone(),
            route: route_text(route),
            next_hop: refused.next_hop,
            reason: refused.reason,
        });
        EvpnStatus {
            router: self.router,
            segments: self.segments.iter().map(|segment| segment.status(now)).collect(),
            refused: refused.collect(),
            refused_now: u32::try_from(self.refused.len()).unwrap_or(u32::MAX),
            counters: self.counters,
        }
    }
}

impl Segment {
    fn status(&self, now: Instant) -> SegmentStatus {
        let mut vteps: BTreeMap<IpAddr, VtepStatus> = BTreeMap::new();
        fn vtep(vteps: &mut BTreeMap<IpAddr, VtepStatus>, address: IpAddr) -> &mut VtepStatus {
            vteps.entry(address).or_insert(VtepStatus { address, flood: false, macs: 0 })
        }
        for address in self.tables.flood.values() {
            vtep(&mut vteps, *address).flood = true;
        }
        let mut on_ports: BTreeMap<u16, u32> = BTreeMap::new();
        let mut router_macs: BTreeMap<Mac, BTreeSet<IpAddr>> = BTreeMap::new();
        for state in self.tables.macs.values() {
            match state.place() {
                Place::Port(number) => *on_ports.entry(number).or_default() += 1,
                Place::Vtep { vtep: address, .. } => vtep(&mut vteps, address).macs += 1,
                Place::Nowhere => {}
            }
            for claim in &state.claims {
                if let Some(mac) = claim.router_mac {
                    router_macs.entry(mac).or_default().insert(claim.vtep);
                }
            }
        }
        // Our own are claimed by us as well.
        if let Some((gateway, stretch)) = self.config.gateway.as_ref().zip(self.config.stretch.as_ref()) {
            for mac in [gateway.mac, gateway.own_mac] {
                router_macs.entry(mac).or_default().insert(stretch.vtep);
            }
        }
        let ports = self.ports.values().map(|port| PortStatus {
            link: port.config.link.clone(),
            number: port.config.number,
            up: port.up,
            blocked: port.told.clone().flatten(),
            since_ms: u64::try_from(now.since(port.since).as_millis()).unwrap_or(u64::MAX),
            lan: port.config.lan.as_ref().map(|lan| lan.name.clone()),
            macs: on_ports.get(&port.config.number).copied().unwrap_or(0),
        });
        let conflicts = router_macs.into_iter().filter(|it| it.1.len() > 1);
        SegmentStatus {
            name: self.config.name.clone(),
            vni: self.config.vni,
            bridge: self.config.bridge.clone(),
            vtep: self.config.stretch.as_ref().map(|stretch| stretch.vtep),
            reachable: self.reachable().is_some(),
            vteps: vteps.into_values().collect(),
            ports: ports.collect(),
            macs: self.mac_statuses(now),
            hosts: self.host_statuses(),
            router_macs_in_conflict: conflicts
                .map(|(mac, vteps)| RouterMac { mac, vteps: vteps.into_iter().collect() })
                .collect(),
        }
    }

    fn mac_statuses(&self, now: Instant) -> Vec<MacStatus> {
        let of = |(mac, state): (&Mac, &super::macs::MacState)| {
            let place = state.place();
            let at = match place {
                Place::Nowhere => MacPlace::Nowhere,
                Place::Port(number) => MacPlace::Port { link: self.ports.get(&number)?.config.link.clone() },
                Place::Vtep { vtep, sticky } => MacPlace::Vtep { address: vtep, sticky },
            };
            let here = match place {
                Place::Vtep { vtep, .. } => Some(vtep),
                _ => None,
            };
            let also: BTreeSet<IpAddr> =
                state.claims.iter().map(|it| it.vtep).filter(|it| Some(*it) != here).collect();
            let frozen = state.moves.as_ref().filter(|moves| moves.frozen);
            let sequence = state.local.map(|local| local.sequence);
            Some(MacStatus {
                mac: *mac,
                at,
                sequence: sequence.or(state.best().map(|best| best.sequence)).unwrap_or(0),
                frozen_for_ms: frozen
                    .map(|it| u64::try_from(it.due.since(now).as_millis()).unwrap_or(u64::MAX)),
                also: also.into_iter().collect(),
            })
        };
        self.tables.macs.iter().filter_map(of).collect()
    }

    fn host_statuses(&self) -> Vec<HostStatus> {
        let hosts = &self.tables.hosts;
        let addresses: BTreeSet<IpAddr> = hosts.local.keys().copied().chain(hosts.claimed()).collect();
        let of = |address: IpAddr| match hosts.wanted(&self.tables.macs, address) {
            Some(super::entries::Value::Host(mac)) => Some(HostStatus { address, mac, local: false }),
            _ => {
                let mac = hosts.local.get(&address)?.mac;
                self.tables.macs.get(&mac)?.local?;
                Some(HostStatus { address, mac, local: true })
            }
        };
        addresses.into_iter().filter_map(of).collect()
    }
}
