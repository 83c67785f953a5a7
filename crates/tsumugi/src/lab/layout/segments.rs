//! Segments: the LANs behind their ports, a host on each, members' hardware routers.

use super::super::hosts::{alone_address, guest_address};
use super::super::machine::MachineRole;
use super::super::peer::FarEnd;
use super::super::segment::{Carrier, Guest, Lan, LanBy, LanEnd, Newcomer, Segment};
use super::super::wire::interface;
use super::{Layout, Mismatch};
use std::collections::BTreeSet;
use tsumugi_core::desired::LinkKind;
use tsumugi_core::evpn::config::{SegmentConfig, SegmentPort};
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::router_plan::RouterPlan;

/// Whether a router's link is a port of one of its segments.
pub(super) fn is_port(plan: &RouterPlan, link: &IfName) -> bool {
    plan.evpn.segments.iter().flat_map(|segment| &segment.ports).any(|port| port.link == *link)
}

/// A port of a segment at one router.
struct At<'a> {
    plan: &'a RouterPlan,
    port: &'a SegmentPort,
}

impl Layout<'_> {
    /// A LAN behind each port, or behind several that share it, and a host on each LAN.
    pub(super) fn segment(&mut self, name: &str) -> Result<(), Mismatch> {
        let carried: Vec<(&RouterPlan, &SegmentConfig)> = self
            .source
            .plan
            .routers
            .iter()
            .flat_map(|plan| plan.evpn.segments.iter().map(move |segment| (plan, segment)))
            .filter(|(_, segment)| segment.name == name)
            .collect();
        let Some((_, first)) = carried.first() else {
            return Err(Mismatch(format!("no router carries the segment {name}")));
        };
        let machine = self.machine(&format!("lans-{name}"), MachineRole::Switch, None).name.clone();
        let mut segment = Segment {
            name: name.into(),
            vni: first.vni,
            machine,
            gateways: first.gateway.iter().flat_map(|gateway| gateway.addresses.iter().copied()).collect(),
            dhcp: first
                .gateway
                .iter()
                .find_map(|gateway| gateway.dhcp.as_ref().map(|it| [it.first, it.last])),
            carriers: carried.iter().map(|(plan, segment)| carrier(plan, segment)).collect(),
            lans: Vec::new(),
            newcomer: None,
        };
        for ends in lans(&carried) {
            self.lan(&mut segment, &ends)?;
        }
        // One host needs no number; of several each is called after where it is.
        self.hosts(&mut segment)?;
        if !segment.gateways.is_empty() {
            let machine = self.machine(&format!("newcomer-{name}"), MachineRole::Newcomer, None);
            segment.newcomer = Some(Newcomer { machine: machine.name.clone(), plug: interface("newcomer") });
        }
        self.lab.segments.push(segment);
        Ok(())
    }

    fn lan(&mut self, segment: &mut Segment, ends: &[At<'_>]) -> Result<(), Mismatch> {
        let bridge = format!("lan{}", segment.lans.len());
        let mut lan = Lan {
            bridge: interface(&bridge),
            ends: Vec::new(),
            host: String::new(),
            host_plug: interface(&format!("{bridge}h")),
            left_out: false,
        };
        for (number, at) in ends.iter().enumerate() {
            lan.ends.push(LanEnd {
                router: at.plan.name.clone(),
                port: at.port.link.clone(),
                plug: interface(&format!("{bridge}p{number}")),
                by: self.lan_by(segment, at)?,
            });
        }
        segment.lans.push(lan);
        Ok(())
    }

    fn lan_by(&mut self, segment: &Segment, at: &At<'_>) -> Result<LanBy, Mismatch> {
        let (router, port) = (&at.plan.name, &at.port.link);
        let link = at.plan.fabric.links.iter().find(|link| link.name == *port);
        match link.map(|link| &link.kind) {
            Some(LinkKind::Port) => Ok(LanBy::Port),
            Some(LinkKind::Vlan { parent, tag }) => Ok(LanBy::Vlan { parent: parent.clone(), tag: *tag }),
            Some(LinkKind::Tunnel) => self.member(segment, at),
            _ => Err(Mismatch(format!("{router}: no port {port} of {}", segment.name))),
        }
    }

    /// A member's hardware router at the far end of a tunnel.
    fn member(&mut self, segment: &Segment, at: &At<'_>) -> Result<LanBy, Mismatch> {
        let (router, port) = (&at.plan.name, &at.port.link);
        let missing = |what: &str| Mismatch(format!("{router}: {port} has no {what}"));
        let tunnel = at.plan.tunnels.iter().find(|it| it.name == *port).ok_or_else(|| missing("tunnel"))?;
        let remote = tunnel.remote.ok_or_else(|| missing("far end"))?;
        let mut lines = self.lab.lines.iter();
        let ours = lines.find(|line| line.machine == *router && line.interface == tunnel.uplink);
        let ours = ours.ok_or_else(|| missing("line"))?.clone();
        let wanted = format!("member-{}", segment.name);
        let machine = self.machine(&wanted, MachineRole::StandIn, None).name.clone();
        let far = FarEnd {
            machine: machine.clone(),
            network: segment.name.clone(),
            interface: interface("member"),
            router: router.clone(),
        };
        let name = self.wire_name(&format!("{router}-{machine}"));
        let wire = self.lead_to(name, tunnel, &ours, remote, &far)?;
        Ok(LanBy::Tunnel { machine, wire: Box::new(wire) })
    }

    /// A host on each LAN, called after the segment, and after the router where there are several.
    fn hosts(&mut self, segment: &mut Segment) -> Result<(), Mismatch> {
        let ordinal = u8::try_from(self.lab.segments.len()).unwrap_or(u8::MAX);
        let several = segment.lans.len() > 1;
        let (name, gateways) = (segment.name.clone(), segment.gateways.clone());
        for (number, index) in (0..).zip(0..segment.lans.len()) {
            let Some(end) = segment.lans[index].ends.first().cloned() else { continue };
            let wanted = if several { format!("host-{name}-{}", end.router) } else { format!("host-{name}") };
            let addresses: Vec<Prefix> = if gateways.is_empty() {
                [false, true].map(|ipv6| alone_address(ordinal, number, ipv6)).to_vec()
            } else {
                let of = |gateway: &Prefix| guest_address(*gateway, segment.dhcp, number.into());
                gateways.iter().filter_map(of).collect()
            };
            let machine = self.machine(&wanted, MachineRole::Guest, None);
            machine.addresses = addresses.iter().map(Prefix::addr).collect();
            segment.lans[index].host.clone_from(&machine.name);
            let carrier = segment.carrier(&end.router);
            let guest = Guest {
                machine: segment.lans[index].host.clone(),
                segment: name.clone(),
                bridge: carrier.map(|it| it.bridge.clone()).ok_or(Mismatch(wanted))?,
                router: end.router,
                port: end.port,
                gateways: gateways.clone(),
                addresses,
            };
            self.lab.guests.push(guest);
        }
        Ok(())
    }
}

fn carrier(plan: &RouterPlan, segment: &SegmentConfig) -> Carrier {
    Carrier {
        router: plan.name.clone(),
        bridge: segment.bridge.clone(),
        stretch: segment.stretch.as_ref().map(|stretch| (stretch.vxlan.clone(), stretch.vtep)),
    }
}

/// The ports by the LAN behind them, in the order of the routers, the active port of each first.
fn lans<'a>(carried: &[(&'a RouterPlan, &'a SegmentConfig)]) -> Vec<Vec<At<'a>>> {
    let ports =
        || carried.iter().flat_map(|(plan, segment)| segment.ports.iter().map(|port| At { plan, port }));
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let mut found: Vec<Vec<At>> = Vec::new();
    for at in ports() {
        let Some(shared) = &at.port.lan else {
            found.push(vec![at]);
            continue;
        };
        if taken.insert(&shared.name) {
            let is_same = |other: &At| other.port.lan.as_ref().is_some_and(|lan| lan.name == shared.name);
            let mut ends: Vec<At> = ports().filter(is_same).collect();
            ends.sort_by_key(|end| end.port.lan.as_ref().map(|lan| lan.preference));
            found.push(ends);
        }
    }
    found
}
