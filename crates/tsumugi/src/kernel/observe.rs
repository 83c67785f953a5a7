//! Reads one namespace into the nouns of the core.

use super::address::AddressOrigin as KernelOrigin;
use super::link::LinkInfo;
use super::netlink::{Answer, Netlink};
use super::route::{RouteInfo, TargetInfo};
use super::{Namespace, sysctl};
use std::collections::BTreeMap;
use std::io;
use tsumugi_core::desired::{Desired, Neighbour, NextHop, ROUTE_PROTOCOL, Route, RouteTarget};
use tsumugi_core::id::IfName;
use tsumugi_core::reconcile::{
    AddressOrigin, Observed, ObservedAddress, ObservedKind, ObservedLink, ObservedNeighbour,
};

/// The initial namespace, seen from a plane that is another one.
pub struct Initial {
    pub namespace: Namespace,
    pub netlink: Netlink,
}

/// Interface names by index.
pub type Names = BTreeMap<u32, IfName>;

/// All that a comparison with `desired` needs, walls aside (`walls_in_place` is as given).
///
/// # Errors
/// Those of netlink.
pub fn observe(
    namespace: &Namespace,
    netlink: &mut Netlink,
    initial: Option<&mut Initial>,
    desired: &Desired,
    walls_in_place: bool,
) -> Answer<Observed> {
    let infos = netlink.links()?;
    let names = names(&infos);
    let initial = initial.map(|initial| initial.netlink.links()).transpose()?;
    let parents = initial.as_ref().map_or_else(|| names.clone(), |infos| self::names(infos));
    let links: Vec<ObservedLink> = infos.iter().map(|info| link(info, &names, &parents)).collect();
    let addresses = netlink.addresses()?.into_iter().filter_map(|found| {
        let origin = match found.origin {
            KernelOrigin::Ours => AddressOrigin::Ours,
            KernelOrigin::Generated => AddressOrigin::Generated,
            KernelOrigin::Foreign => AddressOrigin::Foreign,
        };
        Some(ObservedAddress { link: names.get(&found.link)?.clone(), prefix: found.prefix, origin })
    });
    let addresses = addresses.collect();
    let routes = netlink.routes(ROUTE_PROTOCOL)?;
    let neighbours = netlink.neighbours()?.into_iter().filter_map(|found| {
        let link = names.get(&found.link)?.clone();
        let neighbour = Neighbour { link, address: found.address, mac: found.mac };
        Some(ObservedNeighbour { neighbour, ours: found.ours })
    });
    Ok(Observed {
        neighbours: neighbours.collect(),
        routes: routes.iter().map(|found| route(found, &names)).collect(),
        addresses,
        links,
        sysctls: namespace.run(|| io::Result::Ok(sysctl::read(&desired.sysctls)))?,
        walls_in_place,
        initial: initial.map(|infos| {
            let names = self::names(&infos);
            infos.iter().map(|info| link(info, &names, &names)).collect()
        }),
    })
}

pub fn names(links: &[LinkInfo]) -> Names {
    links.iter().map(|link| (link.index, link.name.clone())).collect()
}

fn link(info: &LinkInfo, names: &Names, parents: &Names) -> ObservedLink {
    let kind = match info.kind.as_str() {
        _ if info.loopback => ObservedKind::Loopback,
        "" | "veth" => ObservedKind::Port,
        "macvlan" => {
            ObservedKind::Macvlan { parent: info.parent.and_then(|parent| parents.get(&parent).cloned()) }
        }
        "bridge" => ObservedKind::Bridge,
        "vxlan" => match info.vxlan {
            Some(vxlan) => ObservedKind::Vxlan { vni: vxlan.vni, local: vxlan.local, plain: vxlan.plain },
            None => ObservedKind::Tunnel,
        },
        "vlan" => ObservedKind::Vlan {
            parent: info.parent.and_then(|parent| names.get(&parent).cloned()),
            tag: info.vlan.unwrap_or_default(),
        },
        _ => ObservedKind::Tunnel,
    };
    ObservedLink {
        name: info.name.clone(),
        alias: info.alias.clone(),
        kind,
        mtu: info.mtu,
        mac: info.mac,
        master: info.master.and_then(|master| names.get(&master).cloned()),
        up: info.up,
        makes_link_local: info.makes_link_local,
        tuned: info.tuned,
    }
}

/// A route by names. A next hop on an interface that has just gone keeps its number as name: it
/// equals nothing that is wanted, and so the route is set right.
fn route(info: &RouteInfo, names: &Names) -> Route {
    let target = match &info.target {
        TargetInfo::NextHops(next_hops) => {
            let next_hops = next_hops.iter().map(|hop| NextHop {
                link: names.get(&hop.link).cloned().unwrap_or_else(|| unnamed(hop.link)),
                via: hop.via,
            });
            RouteTarget::NextHops { next_hops: next_hops.collect() }
        }
        // The plan's routes name none: it equals nothing that is wanted.
        TargetInfo::Object(id) => {
            RouteTarget::NextHops { next_hops: vec![NextHop { link: unnamed(*id), via: None }] }
        }
        TargetInfo::Discard => RouteTarget::Discard,
        TargetInfo::Unreachable => RouteTarget::Unreachable,
    };
    Route { prefix: info.prefix, target, source: info.source, mtu: info.mtu, metric: info.metric }
}

fn unnamed(index: u32) -> IfName {
    IfName::new(&format!("#{index}")).unwrap_or_else(|_| IfName::loopback())
}
