//! Access lines: the underlay plane, and the lines that the management plane has for itself.

use super::names;
use super::survey::{Line, Machine, host};
use super::sysctls;
use crate::declaration::{LineAddress, Pass, Purpose, Uplink};
use std::collections::BTreeMap;
use std::net::IpAddr;
use tsumugi_core::desired::{
    Address, Desired, DropReason, Hook, Link, LinkKind, Match, NextHop, ProtocolMatch, Route, RouteTarget,
    Verdict, Wall, WallRule,
};
use tsumugi_core::id::{IfName, Plane, Prefix};
use tsumugi_core::mtu::Ip;
use tsumugi_core::router_plan::{Encapsulation, Tunnel};
use tsumugi_core::wire::geneve;

/// The UDP port of the management overlay on every line.
pub const OVERLAY_PORT: u16 = 51_900;
/// A line's routes have this metric plus the line's index: each line has a default route of its
/// own, and a socket that is bound to the line's interface finds it.
const METRIC: u32 = 1024;
const PROTOCOL_GRE: u8 = 47;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ETHERIP: u8 = 97;
/// What an Ethernet port carries.
const ETHERNET_MTU: u32 = 1500;

/// A far end that packets go to whose size must be known: by line, the largest that passes whole.
pub type FarEnds = BTreeMap<(u32, IpAddr), u16>;

/// Whether we set the line's addresses ourselves; else somebody else runs a client.
pub fn is_stated(uplink: &Uplink) -> bool {
    uplink.address.iter().all(|address| matches!(**address, LineAddress::Stated(_)))
}

/// The interfaces of the lines in one plane.
pub fn links(machine: &Machine<'_>, plane: Plane) -> Vec<Link> {
    lines(machine, plane).map(link).collect()
}

fn link(line: &Line<'_>) -> Link {
    let uplink = line.uplink;
    let kind =
        if uplink.share() { LinkKind::Macvlan { parent: uplink.port.get().clone() } } else { LinkKind::Port };
    let runs_pppoe = uplink.address.iter().any(|address| **address == LineAddress::Pppoe);
    Link {
        name: line.link.clone(),
        alias: names::alias(&format!("line {} ({}) on {}", *uplink.name, uplink.kind.name(), *uplink.port)),
        kind,
        // PPPoE's own eight bytes stand before what the line carries.
        mtu: if runs_pppoe { ETHERNET_MTU } else { uplink.path_mtu().into() },
        mac: None,
        master: None,
    }
}

fn lines<'m, 'a>(machine: &'m Machine<'a>, plane: Plane) -> impl Iterator<Item = &'m Line<'a>> {
    machine.lines.iter().filter(move |line| line.plane == plane)
}

/// The stated addresses of the lines in one plane.
pub fn addresses(machine: &Machine<'_>, plane: Plane) -> Vec<Address> {
    let of = |line: &Line<'_>| -> Vec<Address> {
        line.uplink.stated().map(|prefix| Address { link: line.link.clone(), prefix }).collect()
    };
    lines(machine, plane).flat_map(of).collect()
}

/// The routes of the lines in one plane: to each far end with the path's MTU locked, so that the
/// sender cuts and no router in the middle cuts again; and the line's default.
pub fn routes(machine: &Machine<'_>, plane: Plane, far_ends: &FarEnds) -> Vec<Route> {
    let mut routes = Vec::new();
    for line in lines(machine, plane) {
        let metric = Some(METRIC + line.index);
        let of_line = far_ends.range((line.index, IpAddr::from([0; 4]))..);
        for ((_, remote), path_mtu) in of_line.take_while(|((index, _), _)| *index == line.index) {
            if let Some(next_hop) = next_hop(line, *remote) {
                routes.push(Route {
                    prefix: host(*remote),
                    target: RouteTarget::NextHops { next_hops: vec![next_hop] },
                    source: None,
                    mtu: Some((*path_mtu).into()),
                    metric,
                });
            }
        }
        for gateway in line.uplink.gateways() {
            let everything = if gateway.is_ipv6() { "::/0" } else { "0.0.0.0/0" };
            routes.push(Route {
                prefix: everything.parse().expect("a prefix"),
                target: RouteTarget::NextHops {
                    next_hops: vec![NextHop { link: line.link.clone(), via: Some(**gateway) }],
                },
                source: None,
                mtu: None,
                metric,
            });
        }
    }
    routes
}

/// The way to a far end: on the line itself, or by its gateway. `None` where a client of somebody
/// else's looks after the line: its own default route leads there.
fn next_hop(line: &Line<'_>, remote: IpAddr) -> Option<NextHop> {
    let link = line.link.clone();
    if line.uplink.stated().any(|prefix| prefix.contains(&remote)) {
        return Some(NextHop { link, via: None });
    }
    let of_family = |gateway: &&crate::declaration::Said<IpAddr>| gateway.is_ipv6() == remote.is_ipv6();
    let gateway = line.uplink.gateways().iter().find(of_family)?;
    Some(NextHop { link, via: Some(**gateway) })
}

/// The far ends of tunnels, by line. Those of the overlay come in as `far_ends` already.
pub fn add_tunnels(machine: &Machine<'_>, tunnels: &[Tunnel], far_ends: &mut FarEnds) {
    for tunnel in tunnels {
        let line = machine.lines.iter().find(|line| line.link == tunnel.uplink);
        if let (Some(line), Some(remote)) = (line, tunnel.remote) {
            let known = far_ends.entry((line.index, remote)).or_insert(tunnel.path_mtu);
            *known = (*known).min(tunnel.path_mtu);
        }
    }
}

/// The whole underlay plane.
pub fn underlay(machine: &Machine<'_>, tunnels: &[Tunnel], far_ends: &FarEnds) -> Desired {
    let split = |stated: bool| -> Vec<IfName> {
        lines(machine, Plane::Underlay)
            .filter(|line| is_stated(line.uplink) == stated)
            .map(|line| line.link.clone())
            .collect()
    };
    Desired {
        links: links(machine, Plane::Underlay),
        addresses: addresses(machine, Plane::Underlay),
        routes: routes(machine, Plane::Underlay, far_ends),
        neighbours: Vec::new(),
        sysctls: sysctls::underlay(&split(true), &split(false)),
        walls: walls(machine, tunnels),
        segment_walls: Vec::new(),
    }
}

/// Only the protocols of our tunnels, from known far ends; what a host needs to live; the overlay.
fn walls(machine: &Machine<'_>, tunnels: &[Tunnel]) -> Vec<Wall> {
    let mut rules = vec![accept(Match { iif: vec![IfName::loopback()], ..Match::default() })];
    let all: Vec<IfName> = lines(machine, Plane::Underlay).map(|line| line.link.clone()).collect();
    if !all.is_empty() {
        for protocol in [ProtocolMatch::NeighbourDiscovery, ProtocolMatch::Icmp] {
            rules.push(accept(Match { iif: all.clone(), protocol: Some(protocol), ..Match::default() }));
        }
    }
    rules.extend(tunnel_rules(tunnels));
    for line in lines(machine, Plane::Underlay) {
        rules.extend(client_rules(line));
    }
    let shared: Vec<IfName> = lines(machine, Plane::Underlay)
        .filter(|line| line.uplink.is_for(Purpose::Management))
        .map(|line| line.link.clone())
        .collect();
    rules.extend(overlay_rules(&shared));
    vec![
        Wall { hook: Hook::Input, rules, otherwise: Some(DropReason::NotATunnel) },
        Wall { hook: Hook::Forward, rules: Vec::new(), otherwise: Some(DropReason::NoTransit) },
    ]
}

pub fn accept(matches: Match) -> WallRule {
    WallRule { matches, verdict: Verdict::Accept }
}

pub fn drop(reason: DropReason, matches: Match) -> WallRule {
    WallRule { matches, verdict: Verdict::Drop { reason } }
}

/// One rule for each line and protocol (and port): the tunnels that share them differ in nothing
/// but their far ends.
fn tunnel_rules(tunnels: &[Tunnel]) -> Vec<WallRule> {
    /// A protocol number with the port of UDP, on a line, in a family.
    type Group<'t> = (&'t IfName, bool, u8, Option<u16>);
    let mut groups: BTreeMap<Group<'_>, Option<Vec<Prefix>>> = BTreeMap::new();
    for tunnel in tunnels {
        let (protocol, port) = match &tunnel.encapsulation {
            Encapsulation::Gre { .. } | Encapsulation::Gretap { .. } => (PROTOCOL_GRE, None),
            Encapsulation::EtherIp => (PROTOCOL_ETHERIP, None),
            Encapsulation::Geneve { .. } => (PROTOCOL_UDP, Some(geneve::PORT)),
            Encapsulation::WireGuard { local_port, .. } => (PROTOCOL_UDP, Some(*local_port)),
        };
        let group = (&tunnel.uplink, tunnel.outer_ipv6, protocol, port);
        let remotes = groups.entry(group).or_insert_with(|| Some(Vec::new()));
        match (remotes.as_mut(), tunnel.remote) {
            (Some(remotes), Some(remote)) => remotes.push(host(remote)),
            // A far end whose address is learned: anybody may knock, and WireGuard's keys decide.
            _ => *remotes = None,
        }
    }
    let mut rules = Vec::new();
    for ((uplink, ipv6, protocol, port), remotes) in groups {
        let mut from = remotes.unwrap_or_default();
        from.sort_unstable();
        from.dedup();
        let matching = |protocol: ProtocolMatch| Match {
            iif: vec![uplink.clone()],
            from: from.clone(),
            protocol: Some(protocol),
            ..Match::default()
        };
        rules.push(accept(matching(match port {
            Some(port) => ProtocolMatch::Udp { ports: vec![port], either: false },
            None => ProtocolMatch::Number { number: protocol },
        })));
        if ipv6 {
            // The second half of a packet has no port, and with an extension header before the
            // tunnel's (the kernel's ip6gre makes one) not even its protocol can be seen.
            let later = accept(matching(ProtocolMatch::LaterFragment));
            if !rules.contains(&later) {
                rules.push(later);
            }
        }
    }
    rules
}

/// What the client that looks after a line must hear.
pub fn client_rules(line: &Line<'_>) -> Vec<WallRule> {
    let mut ports = Vec::new();
    for address in line.uplink.address.iter() {
        match **address {
            LineAddress::Dhcp => ports.push(68),
            // A router advertisement may send the host on to DHCPv6 (RFC 4861 4.2).
            LineAddress::Dhcp6Pd | LineAddress::Auto => ports.push(546),
            LineAddress::Stated(_) | LineAddress::Pppoe => {}
        }
    }
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return Vec::new();
    }
    let protocol = Some(ProtocolMatch::Udp { ports, either: false });
    vec![accept(Match { iif: vec![line.link.clone()], protocol, ..Match::default() })]
}

/// The overlay's packets on these lines: members call from anywhere, and keys decide.
pub fn overlay_rules(lines: &[IfName]) -> Vec<WallRule> {
    if lines.is_empty() {
        return Vec::new();
    }
    let on_lines = |protocol: ProtocolMatch| {
        accept(Match { iif: lines.to_vec(), protocol: Some(protocol), ..Match::default() })
    };
    vec![
        on_lines(ProtocolMatch::Udp { ports: vec![OVERLAY_PORT], either: false }),
        on_lines(ProtocolMatch::LaterFragment),
    ]
}

/// Whether the line can be called at an address of this family, and at which.
pub fn called_at(uplink: &Uplink, ip: Ip) -> Option<IpAddr> {
    super::ends::known(uplink, ip).filter(|_| uplink.passes(Pass::Incoming) && uplink.passes(Pass::Udp))
}
