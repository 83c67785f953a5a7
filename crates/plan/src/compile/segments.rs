//! Segments: Ethernet networks of hosts. One whose ports are all on one router is a bridge there.

use super::names;
use super::survey::{Machine, Survey};
use crate::problem::{Problem, ProblemKind};
use tsumugi_core::desired::{Address, Link, LinkKind};
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::mtu::{self, Ip, Way};

/// What hosts may send, in bytes above the Ethernet header: everybody's plain 1500.
pub const MTU: u16 = 1500;

/// Gives each router a bridge for each segment that has a port on it.
pub fn place<'a>(survey: &mut Survey<'a>, problems: &mut Vec<Problem>) {
    for segment in &survey.declaration.segments {
        let mut machines: Vec<usize> = Vec::new();
        for port in segment.ports.iter() {
            match survey.machine(&port.router) {
                Some(machine) if machines.contains(&machine) => {}
                Some(machine) => machines.push(machine),
                None => problems.push(Problem::new(port.span(), ProblemKind::Unchecked)),
            }
        }
        if machines.len() > 1 {
            let way = way(survey);
            if way.packets(way.mtu).len() != 1 {
                let kind = ProblemKind::SegmentTooSmall {
                    segment: segment.name.get().clone(),
                    needs: way.wrapping.payload(way.mtu) + way.outer.header(),
                    has: way.path_mtu,
                    arithmetic: way.account(),
                };
                problems.push(Problem::new(segment.ports.span(), kind));
            }
        }
        for index in machines {
            let machine = &mut survey.machines[index];
            let bridge = machine.names.find(&format!("seg-{}", *segment.name));
            machine.segments.push((segment, bridge));
        }
    }
}

/// How a segment's full packet crosses the inside links: by the larger header of the two families
/// that its VTEPs' loopbacks may have.
pub fn way(survey: &Survey<'_>) -> Way {
    let has_v6 = survey.network().loopbacks.iter().any(|pool| pool.addr().is_ipv6());
    mtu::segment(Ip::of_ipv6(has_v6), survey.network().mtu().into(), MTU.into(), false)
}

/// The bridges and their ports.
pub fn links(survey: &Survey<'_>, machine: &Machine<'_>) -> Vec<Link> {
    let mut links = Vec::new();
    for (segment, bridge) in &machine.segments {
        links.push(Link {
            name: bridge.clone(),
            alias: names::alias(&format!("segment {} VNI {}", *segment.name, segment.vni.0)),
            kind: LinkKind::Bridge,
            mtu: MTU.into(),
            mac: Some(names::mac(&survey.network().name, &machine.router.name, bridge)),
            master: None,
        });
        links.extend(ports(machine, segment).map(|port| Link {
            name: port.clone(),
            alias: names::alias(&format!("port of segment {}", *segment.name)),
            kind: LinkKind::Port,
            mtu: MTU.into(),
            mac: None,
            master: Some(bridge.clone()),
        }));
    }
    links
}

/// The ports of a segment that are this router's.
pub fn ports<'a>(
    machine: &Machine<'_>,
    segment: &'a crate::declaration::Segment,
) -> impl Iterator<Item = &'a IfName> {
    let router = machine.router.name.get().clone();
    segment.ports.iter().filter(move |port| port.router == router).map(|port| &port.port)
}

/// The hosts' gateways on this router's bridges.
pub fn addresses(machine: &Machine<'_>) -> Vec<Address> {
    let of = |(segment, bridge): &(&crate::declaration::Segment, IfName)| -> Vec<Address> {
        gateways(segment).map(|prefix| Address { link: bridge.clone(), prefix }).collect()
    };
    machine.segments.iter().flat_map(of).collect()
}

/// A segment's gateway addresses with their prefix length.
pub fn gateways(segment: &crate::declaration::Segment) -> impl Iterator<Item = Prefix> + '_ {
    segment.gateway.iter().flat_map(|list| list.iter()).map(|prefix| **prefix)
}
