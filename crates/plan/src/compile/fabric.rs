//! The fabric plane: the real network's links, addresses and walls.

use super::ends::{Connection, End};
use super::lines::{accept, drop};
use super::reach;
use super::segments;
use super::survey::{Machine, Survey, host};
use super::sysctls;
use crate::declaration::{Peer, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use tsumugi_core::bfd::BfdTerms;
use tsumugi_core::desired::{
    Address, Desired, DropReason, Hook, Link, LinkKind, Match, ProtocolMatch, Verdict, Wall, WallRule,
};
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::mtu::{Ip, Way};
use tsumugi_core::router_plan::Tunnel;
use tsumugi_core::wire::bfd;
use tsumugi_core::wire::ip::protocol::NO_NEXT_HEADER;

const BGP: u16 = 179;
/// BFD's ports: one hop, several hops, and its echo, which we send to nobody (RFC 5881, RFC 5883).
const BFD: [u16; 3] = [bfd::PORT, bfd::MULTIHOP_PORT, 3785];
const VXLAN: u16 = 4789;
/// Where a DHCP server listens (RFC 2131 4.1).
const DHCP_SERVER: u16 = 67;

/// An inside link as one of its routers sees it.
pub struct Inside<'s> {
    pub end: &'s End,
    pub way: Way,
    /// The far router.
    pub far: &'s Machine<'s>,
    pub cost: u8,
    /// How its two ends watch each other.
    pub bfd: Option<BfdTerms>,
}

/// The inside links of a router, in the order of the file.
pub fn inside<'s>(survey: &'s Survey<'s>, machine: &'s Machine<'s>) -> Vec<Inside<'s>> {
    let of = |(index, side): &(usize, usize)| {
        let link = &survey.links[*index];
        let far = &survey.machines[link.ends[1 - side].machine];
        let bfd = super::watch::link(survey, link);
        Inside { end: &link.ends[*side], way: link.way, far, cost: link.said.cost(), bfd }
    };
    machine.links.iter().map(of).collect()
}

/// The connections of a router to the outside, in the order of the file.
pub fn outside<'s>(survey: &'s Survey<'s>, machine: &Machine<'_>) -> Vec<&'s Connection<'s>> {
    machine.connections.iter().map(|index| &survey.connections[*index]).collect()
}

/// Every tunnel of a router.
pub fn tunnels(survey: &Survey<'_>, machine: &Machine<'_>) -> Vec<Tunnel> {
    let inside = machine.links.iter().map(|(index, side)| &survey.links[*index].ends[*side]);
    let outside = machine.connections.iter().map(|index| &survey.connections[*index].end);
    let of_links = inside.chain(outside).filter_map(|end| end.tunnel.clone());
    of_links.chain(segments::tunnels(machine).cloned()).collect()
}

/// The whole fabric plane.
pub fn fabric(survey: &Survey<'_>, machine: &Machine<'_>) -> Desired {
    let inside = inside(survey, machine);
    let outside = outside(survey, machine);
    let mut links = Vec::new();
    let mut addresses: Vec<Address> = machine
        .loopbacks
        .iter()
        .map(|address| Address { link: IfName::loopback(), prefix: host(*address) })
        .collect();
    let link_local = |link: &IfName| Address {
        link: link.clone(),
        prefix: Prefix::new(machine.link_local.into(), 64).expect("64 is a length of IPv6"),
    };
    let mut carry_ip = Vec::new();
    for (end, way) in inside
        .iter()
        .map(|inside| (inside.end, inside.way))
        .chain(outside.iter().map(|connection| (&connection.end, connection.way)))
    {
        links.push(link(end, way.mtu));
        addresses.push(link_local(&end.name));
        carry_ip.push(end.name.clone());
    }
    for connection in &outside {
        let on = |prefix: Prefix| Address { link: connection.end.name.clone(), prefix };
        addresses.extend(connection.said.addresses.iter().map(|prefix| on(**prefix)));
    }
    links.extend(segments::links(survey, machine));
    let gateways = machine.segments.iter().filter(|carried| carried.has_gateway());
    let gateways: Vec<_> = gateways.map(|carried| carried.bridge.clone()).collect();
    carry_ip.extend(gateways.iter().cloned());
    addresses.extend(segments::addresses(survey, machine));
    Desired {
        links,
        addresses,
        routes: Vec::new(),
        neighbours: Vec::new(),
        sysctls: sysctls::fabric(&carry_ip, &gateways, &segments::without_ip(machine)),
        walls: walls(survey, machine, &inside, &outside),
        segment_walls: segments::walls(survey, machine),
    }
}

fn link(end: &End, mtu: u32) -> Link {
    Link {
        name: end.name.clone(),
        alias: end.alias.clone(),
        kind: if end.tunnel.is_some() { LinkKind::Tunnel } else { LinkKind::Port },
        mtu,
        mac: end.mac(),
        master: None,
    }
}

fn walls(
    survey: &Survey<'_>,
    machine: &Machine<'_>,
    inside: &[Inside<'_>],
    outside: &[&Connection<'_>],
) -> Vec<Wall> {
    let clamps = clamps(survey, machine, inside, outside);
    let by = |direction: fn(&[IfName]) -> Match| -> Vec<WallRule> {
        clamps.iter().map(|clamp| clamp.rule(direction)).collect()
    };
    let mut input = by(arriving);
    input.extend(input_rules(survey, machine, inside, outside));
    let mut forward = by(arriving);
    forward.extend(by(leaving));
    forward.extend(machine.segments.iter().flat_map(|carried| reach::rules(survey, carried)));
    let walls = [
        Wall { hook: Hook::Prerouting, rules: source_rules(survey, machine, outside), otherwise: None },
        Wall { hook: Hook::Input, rules: input, otherwise: Some(DropReason::NotForRouters) },
        Wall { hook: Hook::Forward, rules: forward, otherwise: None },
        Wall { hook: Hook::Output, rules: by(leaving), otherwise: None },
    ];
    walls.into_iter().filter(|wall| !wall.rules.is_empty() || wall.otherwise.is_some()).collect()
}

fn arriving(links: &[IfName]) -> Match {
    Match { iif: links.to_vec(), ..Match::default() }
}

fn leaving(links: &[IfName]) -> Match {
    Match { oif: links.to_vec(), ..Match::default() }
}

/// The links on which TCP is held to this MSS so that it fits one outer packet. Both directions
/// of a SYN are clamped: one says how large the packets that come may be, the other those that go,
/// and the way back may be another router's.
struct Clamp {
    links: Vec<IfName>,
    ip: Ip,
    mss: u16,
}

impl Clamp {
    fn rule(&self, direction: fn(&[IfName]) -> Match) -> WallRule {
        let protocol = Some(ProtocolMatch::TcpSyn { ipv6: self.ip == Ip::V6 });
        WallRule {
            matches: Match { protocol, ..direction(&self.links) },
            verdict: Verdict::ClampMss { mss: self.mss },
        }
    }
}

fn clamps(
    survey: &Survey<'_>,
    machine: &Machine<'_>,
    inside: &[Inside<'_>],
    outside: &[&Connection<'_>],
) -> Vec<Clamp> {
    // What comes for a host may reach the segment at another of its routers, and the host by VXLAN.
    let stretched = machine.segments.iter().filter(|carried| carried.has_gateway());
    let stretched =
        stretched.filter_map(|carried| Some((&carried.bridge, survey.segments[carried.index].way?)));
    let ways = inside
        .iter()
        .map(|inside| (&inside.end.name, inside.way))
        .chain(outside.iter().map(|connection| (&connection.end.name, connection.way)))
        .chain(stretched);
    let mut groups: BTreeMap<(Ip, u16), Vec<IfName>> = BTreeMap::new();
    for (name, way) in ways.filter(|(_, way)| way.needs_clamp()) {
        for ip in Ip::BOTH {
            // A path that passes no TCP whole leaves it to be cut.
            if let Some(mss) = u16::try_from(way.mss(ip)).ok().filter(|mss| *mss > 0) {
                groups.entry((ip, mss)).or_default().push(name.clone());
            }
        }
    }
    groups.into_iter().map(|((ip, mss), links)| Clamp { links, ip, mss }).collect()
}

/// What may speak to the router itself.
fn input_rules(
    survey: &Survey<'_>,
    machine: &Machine<'_>,
    inside: &[Inside<'_>],
    outside: &[&Connection<'_>],
) -> Vec<WallRule> {
    let mut rules = vec![
        accept(Match { iif: vec![IfName::loopback()], ..Match::default() }),
        accept(Match { protocol: Some(ProtocolMatch::NeighbourDiscovery), ..Match::default() }),
    ];
    let bgp = ProtocolMatch::Tcp { ports: vec![BGP], either: true };
    let mut from_neighbour = |link: &IfName, address: IpAddr, terms: Option<BfdTerms>| {
        let from = Match { iif: vec![link.clone()], from: vec![host(address)], ..Match::default() };
        rules.push(accept(Match { protocol: Some(bgp.clone()), ..from.clone() }));
        if let Some(terms) = terms {
            let port = if terms.multihop { bfd::MULTIHOP_PORT } else { bfd::PORT };
            let protocol = Some(ProtocolMatch::Udp { ports: vec![port], either: false });
            // RFC 5881 5.
            let hop_limit = (!terms.multihop).then_some(255);
            rules.push(accept(Match { protocol, hop_limit, ..from }));
        }
    };
    for link in inside {
        from_neighbour(&link.end.name, link.far.link_local.into(), link.bfd);
    }
    for connection in outside {
        for neighbour in connection.said.neighbours.iter() {
            from_neighbour(&connection.end.name, **neighbour, super::watch::peer(connection.peer));
        }
    }
    let links: Vec<IfName> = inside.iter().map(|link| link.end.name.clone()).collect();
    rules.extend(vtep_rules(survey, machine, &links));
    let strangers = [
        (DropReason::BgpFromStranger, ProtocolMatch::Tcp { ports: vec![BGP], either: false }),
        (DropReason::BfdFromStranger, ProtocolMatch::Udp { ports: BFD.to_vec(), either: false }),
        (DropReason::VxlanFromStranger, ProtocolMatch::Udp { ports: vec![VXLAN], either: false }),
    ];
    for (reason, protocol) in strangers {
        rules.push(drop(reason, Match { protocol: Some(protocol), ..Match::default() }));
    }
    rules.push(accept(Match { protocol: Some(ProtocolMatch::Icmp), ..Match::default() }));
    for carried in machine.segments.iter().filter(|carried| carried.said.dhcp.is_some()) {
        let protocol = Some(ProtocolMatch::Udp { ports: vec![DHCP_SERVER], either: false });
        rules.push(accept(Match { iif: vec![carried.bridge.clone()], protocol, ..Match::default() }));
    }
    rules.extend(super::rpki::answers(survey, machine, outside).into_iter().map(accept));
    rules.extend(super::bmp::answers(survey).into_iter().map(accept));
    // What the datapaths of a link say to each other: the kernel's own devices bring it to the stack too,
    // which throws it away (RFC 8200 4.7).
    for link in inside.iter().filter(|link| link.end.tunnel.is_some()) {
        rules.push(accept(Match {
            iif: vec![link.end.name.clone()],
            from: vec![host(link.far.link_local.into())],
            protocol: Some(ProtocolMatch::Number { number: NO_NEXT_HEADER }),
            ..Match::default()
        }));
    }
    // Routers may speak to each other over the inside: nobody else comes by such a link with such
    // a source, because borders and segments refuse it.
    if !links.is_empty() {
        for ip in Ip::BOTH {
            let from: Vec<Prefix> = of_family(survey.network().loopbacks.iter().map(|pool| **pool), ip);
            if !from.is_empty() {
                rules.push(accept(Match { iif: links.clone(), from, ..Match::default() }));
            }
        }
    }
    rules
}

/// VXLAN from the other routers that carry one of our segments, by inside links only.
fn vtep_rules(survey: &Survey<'_>, machine: &Machine<'_>, links: &[IfName]) -> Vec<WallRule> {
    let mut vteps: BTreeSet<IpAddr> = BTreeSet::new();
    for carried in machine.segments.iter().filter(|carried| carried.vxlan.is_some()) {
        let whole = &survey.segments[carried.index];
        let others = whole.carriers.iter().map(|index| &survey.machines[*index]);
        vteps.extend(
            others.filter(|other| other.id != machine.id).filter_map(|other| other.loopback(whole.vtep)),
        );
    }
    let mut rules = Vec::new();
    for ip in Ip::BOTH {
        let from = of_family(vteps.iter().map(|vtep| host(*vtep)), ip);
        if !from.is_empty() && !links.is_empty() {
            let protocol = Some(ProtocolMatch::Udp { ports: vec![VXLAN], either: false });
            rules.push(accept(Match { iif: links.to_vec(), from, protocol, ..Match::default() }));
        }
    }
    rules
}

fn of_family(prefixes: impl Iterator<Item = Prefix>, ip: Ip) -> Vec<Prefix> {
    prefixes.filter(|prefix| prefix.addr().is_ipv6() == (ip == Ip::V6)).collect()
}

/// What no packet may claim to come from: our own addresses from outside, anything else than its
/// own from a customer or a segment (BCP 38).
fn source_rules(survey: &Survey<'_>, machine: &Machine<'_>, outside: &[&Connection<'_>]) -> Vec<WallRule> {
    let mut rules = Vec::new();
    let network = survey.network();
    let ours = || network.prefixes.iter().map(|prefix| **prefix).chain([survey.space.0]);
    for connection in outside {
        let link = vec![connection.end.name.clone()];
        let is_customer = *connection.peer.role == Role::Customer;
        let mut own: Vec<Prefix> = connection.said.neighbours.iter().map(|address| host(**address)).collect();
        if is_customer {
            own.extend(connection.peer.prefixes().iter().map(|prefix| **prefix));
            own.extend(listed(survey, connection.peer));
            own.extend(link_scope());
        }
        // The neighbour's own address and a customer's prefixes may be ours that we lent.
        for ip in Ip::BOTH {
            let from = of_family(own.iter().copied(), ip);
            if !from.is_empty() {
                rules.push(accept(Match { iif: link.clone(), from, ..Match::default() }));
            }
        }
        for ip in Ip::BOTH {
            let from = of_family(ours(), ip);
            if !from.is_empty() {
                let matches = Match { iif: link.clone(), from, ..Match::default() };
                rules.push(drop(DropReason::OurSourceFromOutside, matches));
            }
        }
        if is_customer {
            rules.push(drop(DropReason::FalseSource, Match { iif: link, ..Match::default() }));
        }
    }
    for carried in &machine.segments {
        // Frames that came by VXLAN leave the same bridge: what holds for its ports holds for them.
        let on_bridge = || Match { iif: vec![carried.bridge.clone()], ..Match::default() };
        let hosts: Vec<Prefix> = segments::gateways(carried.said).map(|prefix| prefix.trunc()).collect();
        for ip in Ip::BOTH.into_iter().filter(|_| !hosts.is_empty()) {
            let from = of_family(hosts.iter().copied().chain(link_scope()), ip);
            rules.push(accept(Match { from, ..on_bridge() }));
        }
        let matches = on_bridge();
        rules.push(drop(DropReason::FalseSource, matches));
    }
    rules
}

/// The networks of a customer's list file, without those that are within others.
fn listed(survey: &Survey<'_>, peer: &Peer) -> Vec<Prefix> {
    let path = peer.list_path();
    let ranges = path.and_then(|path| survey.lists?.get(&path).ok()).unwrap_or_default();
    let mut outer: Vec<Prefix> = Vec::new();
    // Sorted by address, a network stands right before what is within it.
    for range in ranges {
        if !outer.last().is_some_and(|last| last.contains(&range.prefix)) {
            outer.push(range.prefix);
        }
    }
    outer
}

/// Sources that never leave a link: of neighbour discovery, and of a host that has none yet.
fn link_scope() -> [Prefix; 3] {
    let unspecified = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let link_local = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
    [
        Prefix::new(link_local, 10).expect("10 is a length of IPv6"),
        host(unspecified),
        host(IpAddr::from([0; 4])),
    ]
}
