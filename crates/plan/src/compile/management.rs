//! The management plane: the overlay over which people repair, and each site's management switch.
//!
//! Every member has a session with every meeting point that it can reach, and through these
//! reaches all others: direct sessions between all would grow with the square of the members.

use super::lines::{self, FarEnds, OVERLAY_PORT, accept, drop};
use super::names;
use super::survey::{Line, Machine, Survey, host};
use super::sysctls;
use crate::declaration::{Pass, Person, Purpose, Uplink};
use std::net::{IpAddr, SocketAddr};
use tsumugi_core::desired::{
    Address, Desired, DropReason, Hook, Link, LinkKind, Match, NextHop, ProtocolMatch, Route, RouteTarget,
    Verdict, Wall, WallRule,
};
use tsumugi_core::id::{IfName, KeyName, Plane, Prefix};
use tsumugi_core::mtu::{Ip, Way, Wrapping};
use tsumugi_core::router_plan::{ManagementPlan, Overlay, OverlayLine, OverlayNeighbour, OverlayPath};

/// What the overlay carries, in bytes: IPv6's minimum on every path alike, so that no member has
/// to know what the others' lines pass. Two outer packets where a line passes no more than that.
pub const MTU: u16 = 1280;
/// What a site's management switch carries.
const SWITCH_MTU: u32 = 1500;
/// The name of a laptop's one line.
const LAPTOP_LINE: &str = "laptop";
/// What a laptop's line may pass, wherever it is: IPv6's minimum is safe.
const LAPTOP_PATH_MTU: u16 = 1280;

/// The overlay's interface.
pub fn device() -> IfName {
    IfName::new("mgmt").expect("four letters")
}

/// The name of a member's key for one of its lines.
pub fn key(member: &str, line: &str) -> KeyName {
    KeyName(format!("management.{member}.{line}"))
}

/// How the overlay's packets leave over a line.
pub fn way(outer: Ip, path_mtu: u16) -> Way {
    Way { wrapping: Wrapping::WireGuard, outer, path_mtu: path_mtu.into(), mtu: MTU.into() }
}

/// A router's management plane; the far ends of its overlay are added to `far_ends`.
pub fn router(survey: &Survey<'_>, index: usize, far_ends: &mut FarEnds) -> ManagementPlan {
    let machine = &survey.machines[index];
    let own = survey.space.router(machine.id);
    let neighbours = neighbours(survey, index, far_ends);
    let overlay = Overlay {
        device: device(),
        alias: names::alias(&format!("management overlay of {}", survey.network().name.get())),
        mtu: MTU,
        space: survey.space.0,
        lines: machine
            .lines
            .iter()
            .filter(|line| is_management(line))
            .map(|line| overlay_line(machine, line))
            .collect(),
        neighbours,
    };
    let switch = machine.router.management_port.as_ref().map(|port| port.get().clone());
    let mut links = lines::links(machine, Plane::Management);
    links.push(overlay_link(&overlay));
    let mut addresses = lines::addresses(machine, Plane::Management);
    addresses.push(Address { link: device(), prefix: host(own.into()) });
    if let Some(port) = &switch {
        links.push(Link {
            name: port.clone(),
            alias: names::alias(&format!("management switch of {}", *machine.site.name)),
            kind: LinkKind::Port,
            mtu: SWITCH_MTU,
            mac: None,
            master: None,
        });
        let on_switch = survey.space.router_on_switch(*machine.site.id, machine.id);
        let prefix = Prefix::new(on_switch.into(), 64).expect("64 is a length of IPv6");
        addresses.push(Address { link: port.clone(), prefix });
    }
    let mut routes = lines::routes(machine, Plane::Management, far_ends);
    routes.extend(own_routes(survey, index));
    let desired = Desired {
        links,
        addresses,
        routes,
        neighbours: Vec::new(),
        sysctls: settings(survey, index),
        walls: walls(survey, index, &overlay),
        segment_walls: Vec::new(),
    };
    ManagementPlan { desired, overlay }
}

fn is_management(line: &Line<'_>) -> bool {
    line.uplink.is_for(Purpose::Management)
}

fn overlay_link(overlay: &Overlay) -> Link {
    Link {
        name: overlay.device.clone(),
        alias: overlay.alias.clone(),
        kind: LinkKind::Tunnel,
        mtu: overlay.mtu.into(),
        mac: None,
        master: None,
    }
}

fn overlay_line(machine: &Machine<'_>, line: &Line<'_>) -> OverlayLine {
    let mut stated = line.uplink.stated();
    // With two addresses the family of each path decides which it is.
    let address = match (stated.next(), stated.next()) {
        (Some(only), None) => Some(only.addr()),
        _ => None,
    };
    OverlayLine {
        name: line.uplink.name.get().clone(),
        plane: line.plane,
        link: Some(line.link.clone()),
        address,
        listen_port: OVERLAY_PORT,
        key: key(&machine.router.name, &line.uplink.name),
    }
}

/// The routes of the management plane but for those of lines.
fn own_routes(survey: &Survey<'_>, index: usize) -> Vec<Route> {
    let machine = &survey.machines[index];
    let source = Some(IpAddr::from(survey.space.router(machine.id)));
    let route = |prefix: Prefix, link: &IfName, via: Option<IpAddr>| Route {
        prefix,
        target: RouteTarget::NextHops { next_hops: vec![NextHop { link: link.clone(), via }] },
        source,
        mtu: None,
        metric: None,
    };
    let mut routes = Vec::new();
    let port = machine.router.management_port.as_ref().map(|port| port.get());
    let gateway = survey.gateway_of(machine.site.name.get());
    match (machine.has_management_line(), port, gateway) {
        (true, _, _) => routes.push(route(survey.space.0, &device(), None)),
        (false, Some(port), Some(gateway)) => {
            let via = survey.space.router_on_switch(*machine.site.id, survey.machines[gateway].id);
            routes.push(route(survey.space.0, port, Some(via.into())));
        }
        _ => {}
    }
    if let Some(port) = port {
        for (other, neighbour) in survey.on_switch(machine.site.name.get()) {
            if other != index && !neighbour.has_management_line() {
                let via = survey.space.router_on_switch(*machine.site.id, neighbour.id);
                routes.push(route(host(survey.space.router(neighbour.id).into()), port, Some(via.into())));
            }
        }
    }
    routes
}

/// Whether others are reached through this router: a meeting point, or the gateway of a switch.
fn forwards(survey: &Survey<'_>, index: usize) -> bool {
    let machine = &survey.machines[index];
    machine.router.meeting() || survey.gateway_of(machine.site.name.get()) == Some(index)
}

fn settings(survey: &Survey<'_>, index: usize) -> Vec<tsumugi_core::desired::Sysctl> {
    let machine = &survey.machines[index];
    let mut ours = vec![device()];
    ours.extend(machine.router.management_port.as_ref().map(|port| port.get().clone()));
    let mut clients = Vec::new();
    for line in machine.lines.iter().filter(|line| line.plane == Plane::Management) {
        if lines::is_stated(line.uplink) {
            ours.push(line.link.clone())
        } else {
            clients.push(line.link.clone())
        }
    }
    // The parent of a macvlan stays with the machine, and with it whatever tells it its address.
    let parents = machine.lines.iter().filter(|line| line.uplink.share());
    clients.extend(parents.map(|line| line.uplink.port.get().clone()).filter(|port| !ours.contains(port)));
    clients.sort_unstable();
    clients.dedup();
    sysctls::management(&ours, &clients, forwards(survey, index))
}

/// On the overlay only the management space; on the switch, of IPv6, only that and what is local;
/// on the plane's own lines only the overlay. Forwarded is only between overlay and switch.
fn walls(survey: &Survey<'_>, index: usize, overlay: &Overlay) -> Vec<Wall> {
    let machine = &survey.machines[index];
    let space = vec![survey.space.0];
    let port = machine.router.management_port.as_ref().map(|port| port.get().clone());
    let own_lines: Vec<&Line<'_>> =
        machine.lines.iter().filter(|line| line.plane == Plane::Management && !line.uplink.share()).collect();

    let clamps = clamps(overlay);
    let mut rules = clamp_rules(&clamps, true);
    rules.extend([
        accept(Match { iif: vec![device()], from: space.clone(), ..Match::default() }),
        drop(DropReason::NotManagement, Match { iif: vec![device()], ..Match::default() }),
    ]);
    if let Some(port) = &port {
        let on_switch = |protocol, not_from: Vec<Prefix>| Match {
            iif: vec![port.clone()],
            not_from,
            protocol,
            ..Match::default()
        };
        rules.push(accept(on_switch(Some(ProtocolMatch::NeighbourDiscovery), Vec::new())));
        let local = vec![survey.space.0, link_local(), unspecified()];
        rules.push(drop(DropReason::NotManagement, on_switch(None, local)));
    }
    if !own_lines.is_empty() {
        let links: Vec<IfName> = own_lines.iter().map(|line| line.link.clone()).collect();
        let on_lines = |protocol| Match { iif: links.clone(), protocol, ..Match::default() };
        rules.push(accept(on_lines(Some(ProtocolMatch::NeighbourDiscovery))));
        rules.push(accept(on_lines(Some(ProtocolMatch::Icmp))));
        rules.extend(lines::overlay_rules(&links));
        rules.extend(own_lines.iter().flat_map(|line| lines::client_rules(line)));
        rules.push(accept(on_lines(Some(ProtocolMatch::Established))));
        rules.push(drop(DropReason::NotManagement, on_lines(None)));
    }

    let mut inside = vec![device()];
    inside.extend(port);
    let mut ours = inside.clone();
    ours.extend(
        machine.lines.iter().filter(|line| line.plane == Plane::Management).map(|line| line.link.clone()),
    );
    let mut transit = clamp_rules(&clamps, true);
    transit.extend(clamp_rules(&clamps, false));
    if forwards(survey, index) {
        let through =
            Match { iif: inside.clone(), oif: inside, from: space.clone(), to: space, ..Match::default() };
        transit.push(accept(through));
    }
    transit.push(drop(DropReason::NoTransit, Match { iif: ours.clone(), ..Match::default() }));
    transit.push(drop(DropReason::NoTransit, Match { oif: ours, ..Match::default() }));
    with_output(
        vec![
            Wall { hook: Hook::Input, rules, otherwise: None },
            Wall { hook: Hook::Forward, rules: transit, otherwise: None },
        ],
        &clamps,
    )
}

/// The MSS with which TCP fits one outer packet on every path of a member: the narrowest decides,
/// because any of them may be the one that is alive. Empty if every path has room for a full one.
fn clamps(overlay: &Overlay) -> Vec<(Ip, u16)> {
    let ways = overlay.neighbours.iter().flat_map(|neighbour| &neighbour.paths).map(|path| {
        // IPv6's header is the larger one, for a path whose family is the other side's choice.
        let outer = path.endpoint.map_or(Ip::V6, |endpoint| Ip::of_ipv6(endpoint.is_ipv6()));
        way(outer, path.path_mtu)
    });
    let narrow: Vec<Way> = ways.filter(Way::needs_clamp).collect();
    Ip::BOTH
        .into_iter()
        .filter_map(|ip| {
            let least = narrow.iter().map(|way| way.mss(ip)).min()?;
            Some((ip, u16::try_from(least).ok().filter(|mss| *mss > 0)?))
        })
        .collect()
}

fn clamp_rules(clamps: &[(Ip, u16)], arriving: bool) -> Vec<WallRule> {
    let rule = |(ip, mss): &(Ip, u16)| {
        let protocol = Some(ProtocolMatch::TcpSyn { ipv6: *ip == Ip::V6 });
        let matches = if arriving {
            Match { iif: vec![device()], protocol, ..Match::default() }
        } else {
            Match { oif: vec![device()], protocol, ..Match::default() }
        };
        WallRule { matches, verdict: Verdict::ClampMss { mss: *mss } }
    };
    clamps.iter().map(rule).collect()
}

fn with_output(mut walls: Vec<Wall>, clamps: &[(Ip, u16)]) -> Vec<Wall> {
    if !clamps.is_empty() {
        walls.push(Wall { hook: Hook::Output, rules: clamp_rules(clamps, false), otherwise: None });
    }
    walls
}

fn link_local() -> Prefix {
    "fe80::/10".parse().expect("a prefix")
}

fn unspecified() -> Prefix {
    "::/128".parse().expect("a prefix")
}

/// Whom this router has a session with: the meeting points, and everybody if it is one itself.
fn neighbours(survey: &Survey<'_>, index: usize, far_ends: &mut FarEnds) -> Vec<OverlayNeighbour> {
    let machine = &survey.machines[index];
    if !machine.has_management_line() {
        return Vec::new();
    }
    let mut neighbours = Vec::new();
    let others: Vec<usize> = if machine.router.meeting() {
        (0..survey.machines.len()).collect()
    } else {
        survey.meetings().to_vec()
    };
    for other in others.into_iter().filter(|other| *other != index) {
        let far = &survey.machines[other];
        let paths = paths(machine, far, far_ends);
        if !paths.is_empty() {
            neighbours.push(OverlayNeighbour {
                name: far.router.name.get().clone(),
                prefixes: behind(survey, other),
                meeting: far.router.meeting(),
                paths,
            });
        }
    }
    if machine.router.meeting() {
        for person in &survey.declaration.persons {
            neighbours.extend(laptop_neighbour(survey, machine, person));
        }
    }
    neighbours
}

/// What is reached through a router: itself, and behind the gateway of a management switch the
/// switch and the routers that have no line of their own.
fn behind(survey: &Survey<'_>, index: usize) -> Vec<Prefix> {
    let machine = &survey.machines[index];
    let mut prefixes = vec![host(survey.space.router(machine.id).into())];
    let site = machine.site.name.get();
    if survey.gateway_of(site) == Some(index) {
        prefixes.push(survey.space.switch(*machine.site.id));
        let lineless = survey.on_switch(site).filter(|(_, other)| !other.has_management_line());
        prefixes.extend(lineless.map(|(_, other)| host(survey.space.router(other.id).into())));
    }
    prefixes
}

/// Every pair of lines over which two members meet, in order of preference: lines shared with the
/// fabric first. They are fast and cost nothing by the byte, while an independent line (LTE) is
/// slow and metered; every path is kept alive, so that the independent one is known to work and
/// takes over within seconds when the shared ones are gone.
fn paths(machine: &Machine<'_>, far: &Machine<'_>, far_ends: &mut FarEnds) -> Vec<OverlayPath> {
    let mut found = Vec::new();
    for ours in machine.lines.iter().filter(|line| is_management(line)) {
        for theirs in far.lines.iter().filter(|line| is_management(line)) {
            let Some(ip) = meet(ours.uplink, theirs.uplink) else { continue };
            let path_mtu = ours.uplink.path_mtu().min(theirs.uplink.path_mtu());
            let endpoint = lines::called_at(theirs.uplink, ip);
            if let Some(remote) = endpoint {
                let known = far_ends.entry((ours.index, remote)).or_insert(path_mtu);
                *known = (*known).min(path_mtu);
            }
            let independent = |line: &Line<'_>| !line.uplink.is_for(Purpose::Fabric);
            let rank = (independent(ours), independent(theirs), ours.index, theirs.index);
            found.push((
                rank,
                OverlayPath {
                    line: ours.uplink.name.get().clone(),
                    remote_key: key(&far.router.name, &theirs.uplink.name),
                    endpoint: endpoint.map(|remote| SocketAddr::new(remote, OVERLAY_PORT)),
                    path_mtu,
                },
            ));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, path)| path).collect()
}

/// The family over which two lines carry the overlay, IPv6 first: at least one can be called.
pub fn meet(a: &Uplink, b: &Uplink) -> Option<Ip> {
    let both_udp = a.passes(Pass::Udp) && b.passes(Pass::Udp);
    let has = |uplink: &Uplink, ip: Ip| if ip == Ip::V6 { uplink.has_v6() } else { uplink.has_v4() };
    [Ip::V6, Ip::V4].into_iter().find(|ip| {
        a.network() == b.network()
            && both_udp
            && has(a, *ip)
            && has(b, *ip)
            && (lines::called_at(a, *ip).is_some() || lines::called_at(b, *ip).is_some())
    })
}

/// A laptop as a meeting point sees it: it calls from anywhere on the Internet.
fn laptop_neighbour(survey: &Survey<'_>, machine: &Machine<'_>, person: &Person) -> Option<OverlayNeighbour> {
    let paths: Vec<OverlayPath> = callable_lines(machine)
        .map(|(line, _)| OverlayPath {
            line: line.uplink.name.get().clone(),
            remote_key: key(&person.name, LAPTOP_LINE),
            endpoint: None,
            path_mtu: LAPTOP_PATH_MTU.min(line.uplink.path_mtu()),
        })
        .collect();
    (!paths.is_empty()).then(|| OverlayNeighbour {
        name: person.name.get().clone(),
        prefixes: vec![host(survey.space.laptop(*person.id).into())],
        meeting: false,
        paths,
    })
}

/// The lines of a router that a laptop somewhere on the Internet can call, and at which address:
/// IPv4 where there is a choice, since more places have it.
fn callable_lines<'m, 'a>(machine: &'m Machine<'a>) -> impl Iterator<Item = (&'m Line<'a>, IpAddr)> {
    machine.lines.iter().filter(|line| is_management(line)).filter_map(|line| {
        let open = line.uplink.network() == crate::declaration::line::Net::Internet;
        let address = [Ip::V4, Ip::V6].into_iter().find_map(|ip| lines::called_at(line.uplink, ip));
        address.filter(|_| open).map(|address| (line, address))
    })
}

/// A person's laptop: a member that calls the meeting points from wherever it is.
pub fn laptop(survey: &Survey<'_>, person: &Person) -> ManagementPlan {
    let own = IpAddr::from(survey.space.laptop(*person.id));
    let neighbours = survey.meetings().iter().filter_map(|index| {
        let machine = &survey.machines[*index];
        let paths: Vec<OverlayPath> = callable_lines(machine)
            .map(|(line, address)| OverlayPath {
                line: LAPTOP_LINE.into(),
                remote_key: key(&machine.router.name, &line.uplink.name),
                endpoint: Some(SocketAddr::new(address, OVERLAY_PORT)),
                path_mtu: LAPTOP_PATH_MTU.min(line.uplink.path_mtu()),
            })
            .collect();
        (!paths.is_empty()).then(|| OverlayNeighbour {
            name: machine.router.name.get().clone(),
            prefixes: behind(survey, *index),
            meeting: true,
            paths,
        })
    });
    let overlay = Overlay {
        device: device(),
        alias: names::alias(&format!("management overlay of {}", survey.network().name.get())),
        mtu: MTU,
        space: survey.space.0,
        lines: vec![OverlayLine {
            name: LAPTOP_LINE.into(),
            plane: Plane::Management,
            link: None,
            address: None,
            listen_port: OVERLAY_PORT,
            key: key(&person.name, LAPTOP_LINE),
        }],
        neighbours: neighbours.collect(),
    };
    let space = survey.space.0;
    let desired = Desired {
        links: vec![overlay_link(&overlay)],
        addresses: vec![Address { link: device(), prefix: host(own) }],
        routes: vec![Route {
            prefix: space,
            target: RouteTarget::NextHops { next_hops: vec![NextHop { link: device(), via: None }] },
            source: Some(own),
            mtu: None,
            metric: None,
        }],
        neighbours: Vec::new(),
        sysctls: sysctls::management(&[device()], &[], false),
        walls: laptop_walls(space, &overlay),
        segment_walls: Vec::new(),
    };
    ManagementPlan { desired, overlay }
}

/// From the overlay only the management space, and nothing through a laptop.
fn laptop_walls(space: Prefix, overlay: &Overlay) -> Vec<Wall> {
    let clamps = clamps(overlay);
    let mut input = clamp_rules(&clamps, true);
    input.push(accept(Match { iif: vec![device()], from: vec![space], ..Match::default() }));
    input.push(drop(DropReason::NotManagement, Match { iif: vec![device()], ..Match::default() }));
    let transit = vec![
        drop(DropReason::NoTransit, Match { iif: vec![device()], ..Match::default() }),
        drop(DropReason::NoTransit, Match { oif: vec![device()], ..Match::default() }),
    ];
    with_output(
        vec![
            Wall { hook: Hook::Input, rules: input, otherwise: None },
            Wall { hook: Hook::Forward, rules: transit, otherwise: None },
        ],
        &clamps,
    )
}

/// The management part of a plan that has not been filled in yet.
pub fn nothing(survey: &Survey<'_>) -> ManagementPlan {
    let overlay = Overlay {
        device: device(),
        alias: String::new(),
        mtu: MTU,
        space: survey.space.0,
        lines: Vec::new(),
        neighbours: Vec::new(),
    };
    ManagementPlan { desired: Desired::default(), overlay }
}
