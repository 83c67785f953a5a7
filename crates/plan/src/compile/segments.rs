//! Segments: Ethernet networks of hosts. On each router that carries one a bridge with its ports;
//! where several carry it, a VXLAN device that joins the bridges.

use super::ends;
use super::identity;
use super::names;
use super::paths;
use super::survey::{Machine, Survey};
use crate::declaration::{Place, PlaceBy, Segment, Vtep};
use crate::problem::{Problem, ProblemKind};
use std::collections::{BTreeMap, HashSet};
use tsumugi_core::desired::{Address, GatewayWall, Link, LinkKind, PortWall, SegmentWall};
use tsumugi_core::evpn::config::{Dhcp, EvpnConfig, Gateway, SegmentConfig, SegmentPort, SharedLan, Stretch};
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::mtu::{self, Ip, Way};
use tsumugi_core::router_plan::Tunnel;
use tsumugi_core::wire::bgp::{RouteDistinguisher, RouteTarget};

/// What hosts may send, in bytes above the Ethernet header: everybody's plain 1500.
pub const MTU: u16 = 1500;
/// The same for those who reckon.
pub const MTU_BYTES: u32 = MTU as u32;
/// How long a host keeps an address that it was lent, in seconds.
const LEASE: u32 = 3600;

/// A segment as a whole.
pub struct Whole {
    /// The routers that carry it, in the order in which the file names them.
    pub carriers: Vec<usize>,
    /// The family that VXLAN goes over.
    pub vtep: Ip,
    /// How its frames go between its routers, by the narrowest link of the usual paths; `None`: one
    /// router carries it.
    pub way: Option<Way>,
}

/// A segment on one router, all names decided.
pub struct Carried<'a> {
    /// The place in `Survey::segments`.
    pub index: usize,
    pub said: &'a Segment,
    pub bridge: IfName,
    /// `None`: no other router carries it.
    pub vxlan: Option<IfName>,
    pub ports: Vec<Port<'a>>,
}

/// A port of a segment on its router.
pub struct Port<'a> {
    pub link: IfName,
    pub place: Place<'a>,
    pub by: PortBy,
    pub lan: Option<SharedLan>,
}

pub enum PortBy {
    Wire,
    Vlan { parent: IfName, tag: u16 },
    Tunnel(Box<Tunnel>),
}

impl Carried<'_> {
    pub fn has_gateway(&self) -> bool {
        !self.said.gateways().is_empty()
    }
}

/// Gives each router a bridge for each segment that has a port on it.
pub fn place<'a>(survey: &mut Survey<'a>, flows: &mut ends::Flows, problems: &mut Vec<Problem>) {
    for (index, segment) in survey.declaration.segments.iter().enumerate() {
        let carriers = carriers(survey, segment, problems);
        let vtep = vtep(survey, segment);
        let is_stretched = carriers.len() > 1;
        if is_stretched {
            let way = mtu::segment(vtep, survey.network().mtu().into(), MTU.into(), false);
            if way.packets(way.mtu).len() != 1 {
                let kind = ProblemKind::SegmentTooSmall {
                    segment: segment.name.get().clone(),
                    needs: way.whole(way.mtu),
                    has: way.path_mtu,
                    arithmetic: way.account(),
                };
                problems.push(Problem::new(segment.name.span(), kind));
            }
        }
        for carrier in &carriers {
            let names = &mut survey.machines[*carrier].names;
            let bridge = names.find(&format!("seg-{}", *segment.name));
            let vxlan = is_stretched.then(|| names.find(&format!("vx-{}", *segment.name)));
            let carried = Carried { index, said: segment, bridge, vxlan, ports: Vec::new() };
            survey.machines[*carrier].segments.push(carried);
        }
        ports(survey, index, segment, flows, problems);
        let way = is_stretched.then(|| {
            let narrowest = paths::narrowest(survey, &carriers).unwrap_or(survey.network().mtu().into());
            mtu::segment(vtep, narrowest, MTU.into(), false)
        });
        survey.segments.push(Whole { carriers, vtep, way });
    }
}

fn carriers(survey: &Survey<'_>, segment: &Segment, problems: &mut Vec<Problem>) -> Vec<usize> {
    let mut carriers: Vec<usize> = Vec::new();
    let mut known: HashSet<usize> = HashSet::new();
    for place in segment.places() {
        match survey.machine(place.router) {
            Some(machine) if known.insert(machine) => carriers.push(machine),
            Some(_) => {}
            None => problems.push(Problem::new(place.span, ProblemKind::Unchecked)),
        }
    }
    carriers
}

/// The stated family, else IPv4 where routers have such loopbacks: its header is the smaller one.
pub fn vtep(survey: &Survey<'_>, segment: &Segment) -> Ip {
    match segment.vtep.as_deref() {
        Some(Vtep::Ipv4) => Ip::V4,
        Some(Vtep::Ipv6) => Ip::V6,
        None => Ip::of_ipv6(survey.network().loopbacks.iter().all(|pool| pool.addr().is_ipv6())),
    }
}

/// Every port at its router.
fn ports<'a>(
    survey: &mut Survey<'a>,
    index: usize,
    segment: &'a Segment,
    flows: &mut ends::Flows,
    problems: &mut Vec<Problem>,
) {
    let lans = shared_lans(survey, segment);
    for place in segment.places() {
        let Some(machine) = survey.machine(place.router) else { continue };
        let (link, by) = match place.by {
            PlaceBy::Port { port, vlan: None } => (port.clone(), PortBy::Wire),
            PlaceBy::Port { port, vlan: Some(tag) } => {
                let link = survey.machines[machine].names.find(&format!("{port}.{}", **tag));
                (link, PortBy::Vlan { parent: port.clone(), tag: **tag })
            }
            PlaceBy::Tunnel(end) => match ends::segment_end(survey, machine, segment, end, flows) {
                Ok(tunnel) => (tunnel.name.clone(), PortBy::Tunnel(Box::new(tunnel))),
                Err(kind) => {
                    problems.push(Problem::new(end.span(), kind));
                    continue;
                }
            },
        };
        let lan = place.lan.and_then(|lan| lans.get(lan.as_str())).and_then(|lan| {
            let preference = lan.iter().position(|router| *router == place.router)?;
            Some(SharedLan {
                name: place.lan?.get().clone(),
                esi: identity::esi(&survey.network().name, &segment.name, place.lan?),
                preference: u16::try_from(preference).unwrap_or(u16::MAX),
            })
        });
        let carried = survey.machines[machine].segments.iter_mut().find(|carried| carried.index == index);
        if let Some(carried) = carried {
            carried.ports.push(Port { link, place, by, lan });
        }
    }
}

/// The LANs that hang on several routers, each with those routers by preference: the active one
/// first, then those that stand by in the order of the file.
fn shared_lans<'a>(survey: &Survey<'_>, segment: &'a Segment) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut lans: BTreeMap<&str, Vec<(bool, usize, &str)>> = BTreeMap::new();
    for place in segment.places() {
        if let Some(lan) = place.lan
            && survey.machine(place.router).is_some()
        {
            lans.entry(lan.as_str()).or_default().push((place.is_standby(), place.span.start, place.router));
        }
    }
    let shared = lans.into_iter().filter(|(_, routers)| routers.len() > 1);
    shared
        .map(|(lan, mut routers)| {
            routers.sort_by_key(|(standby, at, _)| (*standby, *at));
            (lan, routers.into_iter().map(|(_, _, router)| router).collect())
        })
        .collect()
}

/// What a router is told of its segments.
pub fn evpn(survey: &Survey<'_>, machine: &Machine<'_>) -> EvpnConfig {
    let network = survey.network().name.get();
    let links = machine.segments.iter().flat_map(|carried| &carried.ports).map(|port| &port.link);
    let mut numbers = identity::numbers(links);
    let segments = machine.segments.iter().map(|carried| {
        let ports = carried.ports.iter().map(|port| SegmentPort {
            link: port.link.clone(),
            number: numbers.remove(&port.link).unwrap_or_default(),
            lan: port.lan.clone(),
        });
        SegmentConfig {
            name: carried.said.name.get().clone(),
            vni: *carried.said.vni,
            bridge: carried.bridge.clone(),
            stretch: stretch(survey, machine, carried),
            ports: ports.collect(),
            gateway: carried.has_gateway().then(|| gateway(survey, machine, carried.said)),
        }
    });
    EvpnConfig {
        network: identity::network(network),
        router: machine.id.into(),
        segments: segments.collect(),
    }
}

fn stretch(survey: &Survey<'_>, machine: &Machine<'_>, carried: &Carried<'_>) -> Option<Stretch> {
    let whole = &survey.segments[carried.index];
    let targets = route_targets(survey, carried.said);
    Some(Stretch {
        vxlan: carried.vxlan.clone()?,
        vtep: machine.loopback(whole.vtep)?,
        rd: RouteDistinguisher::of_router(machine.bgp_identifier(), carried.said.index()?),
        export: targets.first().copied().into_iter().collect(),
        import: targets,
    })
}

/// The stated ones, else the public AS number with the VNI.
fn route_targets(survey: &Survey<'_>, segment: &Segment) -> Vec<RouteTarget> {
    match &segment.route_target {
        Some(stated) => stated.iter().map(|target| **target).collect(),
        None => u16::try_from(survey.network().asn.0)
            .map(|asn| RouteTarget::of_two_octet_as(asn, segment.vni.0))
            .into_iter()
            .collect(),
    }
}

fn gateway(survey: &Survey<'_>, machine: &Machine<'_>, segment: &Segment) -> Gateway {
    let network = survey.network().name.get();
    Gateway {
        mac: identity::gateway_mac(network, *segment.vni),
        own_mac: identity::own_mac(network, *segment.vni, machine.id),
        link_local: identity::gateway_link_local(network, *segment.vni),
        own_link_local: identity::own_link_local(network, *segment.vni, machine.id),
        addresses: gateways(segment).collect(),
        dns: segment.dns.iter().flat_map(|list| list.iter()).map(|address| **address).collect(),
        dhcp: segment.dhcp.as_ref().map(|range| Dhcp { first: range.first, last: range.last, lease: LEASE }),
    }
}

/// The bridges, their VXLAN devices and their ports.
pub fn links(survey: &Survey<'_>, machine: &Machine<'_>) -> Vec<Link> {
    let mut links = Vec::new();
    let mut parents: HashSet<&IfName> = HashSet::new();
    for carried in &machine.segments {
        let (segment, network) = (carried.said, survey.network().name.get());
        let name = segment.name.get();
        let link = |name: &IfName, alias: String, kind: LinkKind| Link {
            name: name.clone(),
            alias: names::alias(&alias),
            kind,
            mtu: MTU.into(),
            mac: None,
            master: Some(carried.bridge.clone()),
        };
        let mac = match carried.has_gateway() {
            true => identity::gateway_mac(network, *segment.vni),
            false => names::mac(network, &machine.router.name, &carried.bridge),
        };
        let bridge = link(&carried.bridge, format!("segment {name} VNI {}", segment.vni.0), LinkKind::Bridge);
        links.push(Link { mac: Some(mac), master: None, ..bridge });
        let vtep = machine.loopback(survey.segments[carried.index].vtep);
        if let (Some(vxlan), Some(local)) = (&carried.vxlan, vtep) {
            let kind = LinkKind::Vxlan { vni: *segment.vni, local };
            links.push(link(vxlan, format!("segment {name} on other routers, VXLAN from {local}"), kind));
        }
        for port in &carried.ports {
            let alias = format!("port of segment {name}");
            let made = match &port.by {
                PortBy::Wire => link(&port.link, alias, LinkKind::Port),
                PortBy::Vlan { parent, tag } => {
                    if parents.insert(parent) {
                        let trunk = link(parent, "port with VLANs of segments".into(), LinkKind::Port);
                        links.push(Link { master: None, ..trunk });
                    }
                    let kind = LinkKind::Vlan { parent: parent.clone(), tag: *tag };
                    link(&port.link, format!("{alias}, VLAN {tag} of {parent}"), kind)
                }
                PortBy::Tunnel(tunnel) => {
                    Link { mac: tunnel.mac, ..link(&port.link, tunnel.alias.clone(), LinkKind::Tunnel) }
                }
            };
            links.push(made);
        }
    }
    links
}

/// What only belongs to bridges and carries no IP of its own: ports, VXLAN devices, and bridges
/// whose hosts have no gateway.
pub fn without_ip(machine: &Machine<'_>) -> Vec<IfName> {
    let mut names = Vec::new();
    for carried in &machine.segments {
        names.extend((!carried.has_gateway()).then(|| carried.bridge.clone()));
        names.extend(carried.vxlan.clone());
        for port in &carried.ports {
            if let PortBy::Vlan { parent, .. } = &port.by
                && !names.contains(parent)
            {
                names.push(parent.clone());
            }
            names.push(port.link.clone());
        }
    }
    names
}

/// The tunnels of those ports that are tunnels.
pub fn tunnels<'s>(machine: &'s Machine<'_>) -> impl Iterator<Item = &'s Tunnel> {
    machine.segments.iter().flat_map(|carried| &carried.ports).filter_map(|port| match &port.by {
        PortBy::Tunnel(tunnel) => Some(&**tunnel),
        _ => None,
    })
}

/// The hosts' gateways on this router's bridges, with the link-local address that goes with them:
/// the same on every router that carries the segment.
pub fn addresses(survey: &Survey<'_>, machine: &Machine<'_>) -> Vec<Address> {
    let mut addresses = Vec::new();
    for carried in machine.segments.iter().filter(|carried| carried.has_gateway()) {
        let link_local = identity::gateway_link_local(&survey.network().name, *carried.said.vni);
        let link_local = Prefix::new(link_local.into(), 64).expect("64 is a length of IPv6");
        let on = |prefix| Address { link: carried.bridge.clone(), prefix };
        addresses.push(on(link_local));
        addresses.extend(gateways(carried.said).map(on));
    }
    addresses
}

/// A segment's gateway addresses with their prefix length.
pub fn gateways(segment: &Segment) -> impl Iterator<Item = Prefix> + '_ {
    segment.gateways().iter().map(|prefix| **prefix)
}

/// What no frame of a segment may do.
pub fn walls(survey: &Survey<'_>, machine: &Machine<'_>) -> Vec<SegmentWall> {
    let of = |carried: &Carried<'_>| {
        let way = survey.segments[carried.index].way.filter(Way::needs_clamp);
        let clamp = |ip: Ip| way.and_then(|way| u16::try_from(way.mss(ip)).ok()).filter(|mss| *mss > 0);
        let shared = carried.has_gateway() && carried.vxlan.is_some();
        SegmentWall {
            bridge: carried.bridge.clone(),
            vxlan: carried.vxlan.clone(),
            ports: carried
                .ports
                .iter()
                .map(|port| PortWall {
                    link: port.link.clone(),
                    storm_limit: port.place.storm_limit(),
                    starts_blocked: port.lan.is_some(),
                })
                .collect(),
            gateway: shared.then(|| {
                let gateway = gateway(survey, machine, carried.said);
                let own = gateway.addresses.iter().map(Prefix::addr);
                GatewayWall {
                    mac: gateway.mac,
                    own_mac: gateway.own_mac,
                    addresses: own.chain([gateway.link_local.into()]).collect(),
                }
            }),
            clamp_v4: clamp(Ip::V4),
            clamp_v6: clamp(Ip::V6),
        }
    };
    machine.segments.iter().map(of).collect()
}
