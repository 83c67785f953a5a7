//! Segments as the lab sees them: the LANs behind their ports, each with a host.
//!
//! ```text
//!   er0111 [eth5]----[lan0p0  lan0 (a bridge)  lan0h]----[eth0] host-members-er0111
//!   er0112 [eth5]----[lan0p1]  |        a LAN that hangs on two ports
//!   er0211 [eth5]----[lan1p0  lan1  lan1h]----[eth0] host-members-er0211
//!                     all LANs of a segment stand in one machine, `lans-SEGMENT`
//! ```
//!
//! A host that moves has its cable pulled from one LAN and put into another; a loop is a cable between
//! two LANs; no router sees more of either than a real one would.

use super::Lab;
use super::wire::Wire;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::id::{IfName, Prefix, Vni};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Segment {
    /// As the file calls it.
    pub name: String,
    pub vni: Vni,
    /// The machine in which its LANs are.
    pub machine: String,
    /// The gateway's addresses with their prefix lengths, the same on every router; none: the hosts
    /// are by themselves.
    pub gateways: Vec<Prefix>,
    /// First and last of the addresses that the gateway gives.
    pub dhcp: Option<[Ipv4Addr; 2]>,
    /// Every router with a port of it.
    pub carriers: Vec<Carrier>,
    pub lans: Vec<Lan>,
    /// Where there is a gateway: a host without any address that hangs on no LAN yet.
    pub newcomer: Option<Newcomer>,
}

/// A router that carries a segment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Carrier {
    pub router: String,
    pub bridge: IfName,
    /// The VXLAN device and our VTEP; none: no other router carries it.
    pub stretch: Option<(IfName, IpAddr)>,
}

/// An Ethernet of hosts behind one port, or behind several.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lan {
    /// The bridge that it is.
    pub bridge: IfName,
    /// The ports that it hangs on, the active one first.
    pub ends: Vec<LanEnd>,
    /// The host's machine, and where its cable ends on the LAN's side.
    pub host: String,
    pub host_plug: IfName,
    /// It needs VLANs (IEEE 802.1Q), which the kernel of this machine lacks.
    pub left_out: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LanEnd {
    pub router: String,
    /// The port of the segment's bridge.
    pub port: IfName,
    /// The cable's end on the LAN's side.
    pub plug: IfName,
    pub by: LanBy,
}

/// How a LAN's cable reaches the router.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum LanBy {
    /// It is a port of the router.
    Port,
    /// Frames with this tag (IEEE 802.1Q) on a port of the router.
    Vlan { parent: IfName, tag: u16 },
    /// A member's hardware router (this machine) bridges it into a tunnel of Ethernet.
    Tunnel { machine: String, wire: Box<Wire> },
}

/// A host that comes to a segment while others look.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Newcomer {
    pub machine: String,
    /// Where its cable ends on the segment's side.
    pub plug: IfName,
}

/// The host of a LAN.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guest {
    pub machine: String,
    pub segment: String,
    /// The router whose port its LAN hangs on (the active one), the port, and the segment's bridge there.
    pub router: String,
    pub port: IfName,
    pub bridge: IfName,
    /// The gateway's addresses with the segment's prefix lengths.
    pub gateways: Vec<Prefix>,
    /// The host's own. Where there is a gateway: one for each of its prefixes that leaves room for it.
    pub addresses: Vec<Prefix>,
}

impl Lab {
    pub fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.name == name)
    }

    /// The hosts of segments that have a way out.
    pub fn routed_guests(&self) -> impl Iterator<Item = &Guest> {
        let is_made = |guest: &&Guest| {
            let segment = self.segment(&guest.segment);
            segment.and_then(|segment| segment.lan_of(&guest.machine)).is_some_and(Lan::is_made)
        };
        self.guests.iter().filter(|guest| !guest.gateways.is_empty()).filter(is_made)
    }

    /// The tunnels to members' hardware routers, whose ends are the second ones.
    pub fn member_wires(&self) -> impl Iterator<Item = &Wire> {
        let ends = self.segments.iter().flat_map(|segment| &segment.lans).flat_map(|lan| &lan.ends);
        ends.filter_map(|end| match &end.by {
            LanBy::Tunnel { wire, .. } => Some(&**wire),
            LanBy::Port | LanBy::Vlan { .. } => None,
        })
    }

    /// Whether a router takes VXLAN from this address: a VTEP of another carrier of one of its segments.
    pub fn is_vtep_for(&self, router: &str, address: IpAddr) -> bool {
        let carried = self.segments.iter().filter(|segment| segment.carrier(router).is_some());
        let others = carried.flat_map(|segment| &segment.carriers).filter(|other| other.router != router);
        others.filter_map(|other| other.stretch.as_ref()).any(|(_, vtep)| *vtep == address)
    }

    /// The hosts of one segment.
    pub fn guests_of<'a>(&'a self, segment: &'a Segment) -> impl Iterator<Item = &'a Guest> + use<'a> {
        self.guests.iter().filter(|guest| guest.segment == segment.name)
    }
}

impl Segment {
    pub fn lan_of(&self, host: &str) -> Option<&Lan> {
        self.lans.iter().find(|lan| lan.host == host)
    }

    pub fn carrier(&self, router: &str) -> Option<&Carrier> {
        self.carriers.iter().find(|carrier| carrier.router == router)
    }
}

impl Lan {
    /// Whether it could be made: this kernel may lack VLANs.
    pub fn is_made(&self) -> bool {
        !self.left_out
    }

    pub fn has_vlans(&self) -> bool {
        self.ends.iter().any(|end| matches!(end.by, LanBy::Vlan { .. }))
    }
}
