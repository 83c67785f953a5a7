//! What the kernel has learned by itself on the plane's bridges: MACs on ports, hosts' addresses.
//!
//! The kernel announces an entry again and again (refreshed, confirmed); what is told here is told once
//! per change.

use super::fdb::{FdbEntry, FdbOwner};
use super::link::LinkInfo;
use super::neighbour::{HostEntry, HostState};
use super::watch::NeighbourNotice;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use tsumugi_core::id::{IfName, Mac};

/// One change of what the kernel has learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// Events may have been lost, or this is the beginning: all that is known.
    Relearned {
        macs: Vec<(IfName, Mac)>,
        hosts: Vec<(IfName, IpAddr, Mac)>,
    },
    /// A MAC was heard on a port where it was not before.
    MacHeard {
        port: IfName,
        mac: Mac,
    },
    /// It has aged out, or an entry of ours stands in its place, or the port is gone.
    MacGone {
        port: IfName,
        mac: Mac,
    },
    /// A host's address is resolved, or resolved to another MAC than before.
    NeighbourHeard {
        bridge: IfName,
        address: IpAddr,
        mac: Mac,
    },
    NeighbourGone {
        bridge: IfName,
        address: IpAddr,
    },
    /// The kernel looks for a host, or has looked in vain.
    Sought {
        bridge: IfName,
        address: IpAddr,
    },
}

#[derive(Debug, Clone)]
struct Place {
    name: IfName,
    kind: PlaceKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceKind {
    /// A bridge of the plan.
    Bridge,
    /// The port towards other routers: what is behind it is not learned from the kernel.
    Vxlan,
    /// Any other link.
    Other,
}

/// What is known, by index of links.
#[derive(Default)]
pub struct Learned {
    places: HashMap<u32, Place>,
    /// By bridge: the port.
    macs: HashMap<(u32, Mac), u32>,
    hosts: HashMap<(u32, IpAddr), Mac>,
    read: bool,
}

impl Learned {
    /// Whether everything must be read: at the beginning and after [`Learned::forget`].
    pub fn must_read(&self) -> bool {
        !self.read
    }

    /// Announcements were lost.
    pub fn forget(&mut self) {
        self.read = false;
    }

    /// Links that are there; those that are gone are still known until [`Learned::drop_links`], because
    /// announcements of what was on them may come later.
    pub fn add_links(&mut self, links: &BTreeMap<IfName, LinkInfo>, bridges: &BTreeSet<IfName>) {
        for link in links.values() {
            let kind = if bridges.contains(&link.name) {
                PlaceKind::Bridge
            } else if link.vxlan.is_some() {
                PlaceKind::Vxlan
            } else {
                PlaceKind::Other
            };
            self.places.insert(link.index, Place { name: link.name.clone(), kind });
        }
    }

    /// What was on links that are gone is gone as well.
    pub fn drop_links(&mut self, links: &BTreeMap<IfName, LinkInfo>, events: &mut Vec<HostEvent>) {
        let there: BTreeSet<u32> = links.values().map(|link| link.index).collect();
        if self.places.keys().all(|index| there.contains(index)) {
            return;
        }
        let gone = |index: &u32| !there.contains(index);
        let macs: Vec<(u32, Mac)> = self
            .macs
            .iter()
            .filter(|((bridge, _), port)| gone(bridge) || gone(port))
            .map(|(key, _)| *key)
            .collect();
        for key in macs {
            self.lose_mac(key, events);
        }
        let hosts: Vec<(u32, IpAddr)> =
            self.hosts.keys().filter(|(bridge, _)| gone(bridge)).copied().collect();
        for key in hosts {
            self.lose_host(key, events);
        }
        self.places.retain(|index, _| there.contains(index));
    }

    pub fn heard(&mut self, notice: &NeighbourNotice, events: &mut Vec<HostEvent>) {
        match *notice {
            NeighbourNotice::Mac { entry, gone } => self.heard_mac(&entry, gone, events),
            NeighbourNotice::Host { entry, gone } => self.heard_host(&entry, gone, events),
            NeighbourNotice::Asked { link, address } => {
                if let Some(bridge) = self.name(link, PlaceKind::Bridge) {
                    events.push(HostEvent::Sought { bridge, address });
                }
            }
        }
    }

    /// In place of all that was known.
    pub fn read(&mut self, fdb: &[FdbEntry], hosts: &[HostEntry]) -> HostEvent {
        self.macs.clear();
        self.hosts.clear();
        self.read = true;
        let mut ignored = Vec::new();
        for entry in fdb {
            self.heard_mac(entry, false, &mut ignored);
        }
        for host in hosts {
            self.heard_host(host, false, &mut ignored);
        }
        let name = |index: &u32| self.places.get(index).map(|place| place.name.clone());
        HostEvent::Relearned {
            macs: self.macs.iter().filter_map(|((_, mac), port)| Some((name(port)?, *mac))).collect(),
            hosts: self
                .hosts
                .iter()
                .filter_map(|((bridge, address), mac)| Some((name(bridge)?, *address, *mac)))
                .collect(),
        }
    }

    fn heard_mac(&mut self, entry: &FdbEntry, gone: bool, events: &mut Vec<HostEvent>) {
        let FdbOwner::Bridge { bridge } = entry.owner else { return };
        let key = (bridge, entry.mac);
        if gone {
            if self.macs.get(&key) == Some(&entry.link) {
                self.lose_mac(key, events);
            }
            return;
        }
        let port = self.name(entry.link, PlaceKind::Other).filter(|_| entry.heard);
        let Some(port) = port.filter(|_| self.name(bridge, PlaceKind::Bridge).is_some()) else {
            self.lose_mac(key, events);
            return;
        };
        if self.macs.insert(key, entry.link) != Some(entry.link) {
            events.push(HostEvent::MacHeard { port, mac: entry.mac });
        }
    }

    fn heard_host(&mut self, entry: &HostEntry, gone: bool, events: &mut Vec<HostEvent>) {
        let Some(bridge) = self.name(entry.link, PlaceKind::Bridge) else { return };
        let (key, address) = ((entry.link, entry.address), entry.address);
        match (entry.state, entry.mac) {
            _ if gone => self.lose_host(key, events),
            (HostState::Resolved, Some(mac)) => {
                if self.hosts.insert(key, mac) != Some(mac) {
                    events.push(HostEvent::NeighbourHeard { bridge, address, mac });
                }
            }
            (HostState::Unresolved, _) => {
                self.lose_host(key, events);
                events.push(HostEvent::Sought { bridge, address });
            }
            _ => self.lose_host(key, events),
        }
    }

    fn lose_mac(&mut self, key: (u32, Mac), events: &mut Vec<HostEvent>) {
        let port = self.macs.remove(&key).and_then(|port| self.places.get(&port));
        events.extend(port.map(|port| HostEvent::MacGone { port: port.name.clone(), mac: key.1 }));
    }

    fn lose_host(&mut self, key: (u32, IpAddr), events: &mut Vec<HostEvent>) {
        let bridge = self.hosts.remove(&key).and_then(|_| self.places.get(&key.0));
        events.extend(
            bridge.map(|bridge| HostEvent::NeighbourGone { bridge: bridge.name.clone(), address: key.1 }),
        );
    }

    fn name(&self, index: u32, kind: PlaceKind) -> Option<IfName> {
        self.places.get(&index).filter(|place| place.kind == kind).map(|place| place.name.clone())
    }
}
