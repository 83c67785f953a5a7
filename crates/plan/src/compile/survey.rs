//! The declaration with its names looked up, and what several parts of every plan need to know:
//! made once, so that a thousand routers compile in well under a second.

use super::ends::{self, Connection, Link};
use super::names::Names;
use super::segments::{Carried, Whole};
use crate::declaration::{Declaration, Network, PlaceBy, Purpose, Router, Site, Uplink};
use crate::lists::Lists;
use crate::problem::Problem;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::{Asn, IfName, Plane, Prefix};
use tsumugi_core::mtu::Ip;

/// The whole declaration, understood.
pub struct Survey<'a> {
    pub declaration: &'a Declaration,
    /// The list files, where plans are made.
    pub lists: Option<&'a Lists>,
    pub space: ManagementSpace,
    /// In the order of the file.
    pub machines: Vec<Machine<'a>>,
    pub links: Vec<Link<'a>>,
    pub connections: Vec<Connection<'a>>,
    /// In the order of the file.
    pub segments: Vec<Whole>,
    /// The AS numbers of all routers, sorted.
    pub inside_asns: Vec<Asn>,
    by_name: HashMap<&'a str, usize>,
    sites: HashMap<&'a str, &'a Site>,
    /// The gateway of each site's management switch.
    gateways: HashMap<&'a str, usize>,
    /// The routers on each site's management switch.
    on_switch: HashMap<&'a str, Vec<usize>>,
    /// The routers where management lines meet.
    meetings: Vec<usize>,
}

/// A router with what follows from its id alone, its lines, and where it meets others.
pub struct Machine<'a> {
    pub router: &'a Router,
    pub site: &'a Site,
    pub id: u16,
    pub asn: Asn,
    pub loopbacks: Vec<IpAddr>,
    pub link_local: Ipv6Addr,
    pub lines: Vec<Line<'a>>,
    pub names: Names,
    /// Indices into `Survey::links`, with the side that is ours.
    pub links: Vec<(usize, usize)>,
    /// Indices into `Survey::connections`.
    pub connections: Vec<usize>,
    /// Segments with a port here.
    pub segments: Vec<Carried<'a>>,
}

/// An access line of a router.
pub struct Line<'a> {
    pub uplink: &'a Uplink,
    /// Counts the router's lines in the order of the file.
    pub index: u32,
    /// The interface: the port, or the macvlan that shares it.
    pub link: IfName,
    pub plane: Plane,
}

impl Machine<'_> {
    pub fn loopback(&self, ip: Ip) -> Option<IpAddr> {
        self.loopbacks.iter().copied().find(|address| address.is_ipv6() == (ip == Ip::V6))
    }

    pub fn loopback_v4(&self) -> Option<Ipv4Addr> {
        self.loopbacks.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        })
    }

    pub fn loopback_v6(&self) -> Option<Ipv6Addr> {
        self.loopbacks.iter().find_map(|address| match address {
            IpAddr::V6(v6) => Some(*v6),
            IpAddr::V4(_) => None,
        })
    }

    /// BGP's. A network without IPv4 loopbacks still needs one that is unique in it (RFC 6286).
    pub fn bgp_identifier(&self) -> Ipv4Addr {
        self.loopback_v4().unwrap_or_else(|| Ipv4Addr::from_bits(self.id.into()))
    }

    pub fn has_management_line(&self) -> bool {
        self.lines.iter().any(|line| line.uplink.is_for(Purpose::Management))
    }

    pub fn line(&self, name: &str) -> Option<&Line<'_>> {
        self.lines.iter().find(|line| line.uplink.name.as_str() == name)
    }
}

impl<'a> Survey<'a> {
    /// Looks everything up; with it what the arithmetic of packets refuses, each with its lines.
    pub fn build(declaration: &'a Declaration) -> (Survey<'a>, Vec<Problem>) {
        let sites: HashMap<&str, &Site> =
            declaration.sites.iter().map(|site| (site.name.as_str(), site)).collect();
        let mut machines = Vec::with_capacity(declaration.routers.len());
        let mut by_name = HashMap::new();
        let ports = stated_ports(declaration);
        for router in &declaration.routers {
            // A file whose names dangle has been refused before.
            let Some(site) = sites.get(router.site.as_str()) else { continue };
            by_name.insert(router.name.as_str(), machines.len());
            let ports = ports.get(router.name.as_str()).map_or(&[][..], Vec::as_slice);
            machines.push(machine(declaration, router, site, ports));
        }
        let mut inside_asns: Vec<Asn> = machines.iter().map(|machine| machine.asn).collect();
        inside_asns.sort_unstable();
        inside_asns.dedup();
        let gateways = gateways(&machines);
        let mut on_switch: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut meetings = Vec::new();
        for (index, machine) in machines.iter().enumerate() {
            if machine.router.management_port.is_some() {
                on_switch.entry(machine.site.name.get().as_str()).or_default().push(index);
            }
            if machine.router.meeting() {
                meetings.push(index);
            }
        }
        let mut survey = Survey {
            declaration,
            lists: None,
            space: ManagementSpace(*declaration.network.management),
            machines,
            links: Vec::new(),
            connections: Vec::new(),
            segments: Vec::new(),
            inside_asns,
            by_name,
            sites,
            gateways,
            on_switch,
            meetings,
        };
        let mut problems = Vec::new();
        let mut flows = ends::Flows::default();
        ends::links(&mut survey, &mut flows, &mut problems);
        ends::connections(&mut survey, &mut flows, &mut problems);
        super::segments::place(&mut survey, &mut flows, &mut problems);
        (survey, problems)
    }

    pub fn machine(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub fn site(&self, name: &str) -> Option<&'a Site> {
        self.sites.get(name).copied()
    }

    /// The router over which a site's management switch is reached.
    pub fn gateway_of(&self, site: &str) -> Option<usize> {
        self.gateways.get(site).copied()
    }

    /// The routers on a site's management switch.
    pub fn on_switch(&self, site: &str) -> impl Iterator<Item = (usize, &Machine<'a>)> {
        let indices = self.on_switch.get(site).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|index| (*index, &self.machines[*index]))
    }

    /// The routers where management lines that cannot be called meet.
    pub fn meetings(&self) -> &[usize] {
        &self.meetings
    }

    pub fn network(&self) -> &'a Network {
        self.declaration.network.get()
    }
}

/// The gateway of a site's management switch: the router of the lowest id that hangs on it and has
/// a management line of its own.
fn gateways<'a>(machines: &[Machine<'a>]) -> HashMap<&'a str, usize> {
    let mut gateways: HashMap<&str, usize> = HashMap::new();
    for (index, machine) in machines.iter().enumerate() {
        if machine.router.management_port.is_none() || !machine.has_management_line() {
            continue;
        }
        let best = gateways.entry(machine.site.name.get().as_str()).or_insert(index);
        if machine.id < machines[*best].id {
            *best = index;
        }
    }
    gateways
}

fn machine<'a>(
    declaration: &'a Declaration,
    router: &'a Router,
    site: &'a Site,
    ports: &[&IfName],
) -> Machine<'a> {
    let id = *router.id;
    let mut names = Names::default();
    names.state(&IfName::loopback());
    names.state(&super::management::device());
    for port in ports {
        names.state(port);
    }
    let lines = router
        .uplinks
        .iter()
        .zip(0..)
        .map(|(uplink, index)| {
            let link = if uplink.share() {
                names.find(&format!("mv-{}", *uplink.name))
            } else {
                uplink.port.get().clone()
            };
            let plane = if uplink.is_for(Purpose::Fabric) { Plane::Underlay } else { Plane::Management };
            Line { uplink, index, link, plane }
        })
        .collect();
    let loopbacks =
        declaration.network.loopbacks.iter().filter_map(|pool| nth_address(pool, id.into())).collect();
    Machine {
        router,
        site,
        id,
        asn: router.asn(),
        loopbacks,
        link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, id),
        lines,
        names,
        links: Vec::new(),
        connections: Vec::new(),
        segments: Vec::new(),
    }
}

/// Every port that the file states, by router: no name that we make up may be one of them.
fn stated_ports(declaration: &Declaration) -> HashMap<&str, Vec<&IfName>> {
    let mut ports: HashMap<&str, Vec<&IfName>> = HashMap::new();
    for router in &declaration.routers {
        let of_router = ports.entry(router.name.as_str()).or_default();
        of_router.extend(router.uplinks.iter().map(|uplink| uplink.port.get()));
        of_router.extend(router.management_port.as_ref().map(|port| port.get()));
    }
    for link in &declaration.links {
        for (router, port) in link.between.iter().zip(link.ports.iter().flat_map(|pair| pair.iter())) {
            ports.entry(router.as_str()).or_default().push(port.get());
        }
    }
    for place in declaration.segments.iter().flat_map(|segment| segment.places()) {
        if let PlaceBy::Port { port, .. } = place.by {
            ports.entry(place.router).or_default().push(port);
        }
    }
    for at in declaration.peers.iter().flat_map(|peer| &peer.at) {
        ports.entry(at.router.as_str()).or_default().extend(at.port.as_ref().map(|port| port.get()));
    }
    ports
}

/// The pool's base address plus `n`; `None` if that is outside of the pool.
pub fn nth_address(pool: &Prefix, n: u32) -> Option<IpAddr> {
    let address = match pool.network() {
        IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from_bits(base.to_bits().checked_add(n)?)),
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from_bits(base.to_bits().checked_add(n.into())?)),
    };
    pool.contains(&address).then_some(address)
}

/// An address as a prefix of its full length.
pub fn host(address: IpAddr) -> Prefix {
    Prefix::from(address)
}

/// The management plane's addresses, all within the file's /48, here called M.
#[derive(Debug, Clone, Copy)]
pub struct ManagementSpace(pub Prefix);

impl ManagementSpace {
    fn at(self, tail: [u16; 5]) -> Ipv6Addr {
        let IpAddr::V6(base) = self.0.network() else {
            // check demands an IPv6 /48; an IPv4 space maps to nothing that could be reached.
            return Ipv6Addr::UNSPECIFIED;
        };
        let [a, b, c, ..] = base.segments();
        let [d, e, f, g, h] = tail;
        Ipv6Addr::new(a, b, c, d, e, f, g, h)
    }

    /// M:0:0::ID
    pub fn router(self, id: u16) -> Ipv6Addr {
        self.at([0, 0, 0, 0, id])
    }

    /// M:0:1::ID
    pub fn laptop(self, id: u16) -> Ipv6Addr {
        self.at([0, 1, 0, 0, id])
    }

    /// M:SITEID::/64, the site's management switch.
    pub fn switch(self, site: u16) -> Prefix {
        Prefix::new(self.at([site, 0, 0, 0, 0]).into(), 64).expect("64 is a length of IPv6")
    }

    /// M:SITEID::ROUTERID
    pub fn router_on_switch(self, site: u16, router: u16) -> Ipv6Addr {
        self.at([site, 0, 0, 0, router])
    }

    /// M:SITEID::d:DEVICEID
    pub fn device(self, site: u16, device: u16) -> Ipv6Addr {
        self.at([site, 0, 0, 0xd, device])
    }
}
