//! What this router announces of a segment.

use super::communities::{es_import, lowest_preference};
use super::config::{SegmentConfig, Stretch};
use crate::bgp::{EvpnPath, EvpnUpdate};
use crate::id::{Mac, Vni};
use crate::wire::bgp::{Esi, EvpnBody, EvpnRoute, ExtendedCommunity, PmsiTunnel};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Route targets, encapsulation, and one more. In ascending order, as all routers write them alike.
fn communities(stretch: &Stretch, more: Option<ExtendedCommunity>) -> Box<[ExtendedCommunity]> {
    let targets = stretch.export.iter().map(|target| ExtendedCommunity(target.0));
    let mut all: Vec<ExtendedCommunity> = targets.chain([ExtendedCommunity::VXLAN]).chain(more).collect();
    all.sort_unstable();
    all.into_boxed_slice()
}

fn mac_path(stretch: &Stretch, vni: Vni, more: Option<ExtendedCommunity>) -> EvpnPath {
    EvpnPath {
        next_hop: stretch.vtep,
        // The ESI stays zero, shared LAN or not: one port of it forwards, so a host that appears at
        // another router has moved like any other, and no receiver needs type 1 routes to follow it.
        body: EvpnBody { label: vni.0, ..EvpnBody::default() },
        communities: communities(stretch, more),
        pmsi: None,
    }
}

fn mac_route(stretch: &Stretch, mac: Mac, ip: Option<IpAddr>) -> EvpnRoute {
    EvpnRoute::MacIp { rd: stretch.rd, tag: 0, mac, ip }
}

/// A type 2 route of a host on a port. `sequence`: `None` withdraws it; 0 is said by saying none
/// (RFC 7432 15).
pub(super) fn mac_ip(
    stretch: &Stretch,
    vni: Vni,
    mac: Mac,
    ip: Option<IpAddr>,
    sequence: Option<u32>,
) -> EvpnUpdate {
    let moved = |sequence| (sequence > 0).then(|| ExtendedCommunity::mac_mobility(false, sequence));
    let path = sequence.map(|sequence| mac_path(stretch, vni, moved(sequence)));
    EvpnUpdate { route: mac_route(stretch, mac, ip), path }
}

/// What stands while others can reach us: the type 3 route (RFC 7432 11, RFC 6514 5) and, on a
/// gateway, this router's own MAC, which never moves (RFC 7432 15.2).
///
/// The gateway's MAC and addresses are not announced: they are the same on every router, so each host
/// finds them at its own (RFC 7432 10.1), and no router would have a use for them.
pub(super) fn standing(config: &SegmentConfig, up: bool) -> impl Iterator<Item = EvpnUpdate> {
    let mut updates = Vec::new();
    if let Some(stretch) = &config.stretch {
        let route = EvpnRoute::Multicast { rd: stretch.rd, tag: 0, originator: stretch.vtep };
        let path = EvpnPath {
            next_hop: stretch.vtep,
            body: EvpnBody::default(),
            communities: communities(stretch, None),
            pmsi: Some(PmsiTunnel::ingress_replication(config.vni, stretch.vtep)),
        };
        updates.push(EvpnUpdate { route, path: up.then_some(path) });
        if let Some(gateway) = &config.gateway {
            let path = mac_path(stretch, config.vni, Some(ExtendedCommunity::mac_mobility(true, 0)));
            let route = mac_route(stretch, gateway.own_mac, None);
            updates.push(EvpnUpdate { route, path: up.then_some(path) });
        }
    }
    updates.into_iter()
}

pub(super) fn segment_route(stretch: &Stretch, esi: Esi) -> EvpnRoute {
    EvpnRoute::EthernetSegment { rd: stretch.rd, esi, originator: stretch.vtep }
}

/// A type 4 route (RFC 7432 7.4): it carries the segment's own route target only (RFC 7432 8.1.1).
pub(super) fn candidate(stretch: &Stretch, esi: Esi, preference: Option<u16>) -> EvpnUpdate {
    let path = preference.map(|preference| EvpnPath {
        next_hop: stretch.vtep,
        body: EvpnBody::default(),
        communities: vec![es_import(esi), lowest_preference(preference)].into_boxed_slice(),
        pmsi: None,
    });
    EvpnUpdate { route: segment_route(stretch, esi), path }
}
