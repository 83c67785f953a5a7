//! What a router's BGP is told.

use super::bogons::bogons;
use super::ends::Connection;
use super::fabric::{self, Inside};
use super::segments;
use super::survey::{Machine, Survey, host};
use crate::declaration::{List, Peer};
use std::net::IpAddr;
use tsumugi_core::bgp::config::{
    AddPaths, Family, LimitTerms, NeighbourConfig, Origination, OutsidePolicy, PrefixRange, Relation,
    SpeakerConfig, Terms, Timers, Transport,
};
use tsumugi_core::bgp::policy::{LONGEST_V4, LONGEST_V6};
use tsumugi_core::id::Prefix;
use tsumugi_core::mtu::Ip;

/// Equal paths used together.
const MAX_PATHS: u8 = 16;

/// The configuration of one router's speaker.
pub fn speaker(survey: &Survey<'_>, machine: &Machine<'_>) -> SpeakerConfig {
    let public_asn = *survey.network().asn;
    // A router that carries no segment hands their routes on all the same.
    let has_evpn = survey.segments.iter().any(|segment| segment.carriers.len() > 1);
    let mut neighbours: Vec<NeighbourConfig> = fabric::inside(survey, machine)
        .iter()
        .map(|link| inside_neighbour(machine, link, has_evpn))
        .collect();
    for connection in fabric::outside(survey, machine) {
        for neighbour in outside_neighbours(survey, connection) {
            let name = unused(&neighbours, &neighbour.name);
            neighbours.push(NeighbourConfig { name, ..neighbour });
        }
    }
    SpeakerConfig {
        router_id: machine.bgp_identifier(),
        asn: machine.asn,
        public_asn,
        inside_asns: survey.inside_asns.clone(),
        source_v4: machine.loopback_v4(),
        source_v6: machine.loopback_v6(),
        originate: originations(survey, machine),
        neighbours,
        bogons: bogons(),
        own_prefixes: survey.network().prefixes.iter().map(|prefix| **prefix).collect(),
        max_paths: MAX_PATHS,
        draining: machine.router.drain(),
    }
}

/// The name, or where a session has it already (a second connection to the same peer) the name
/// with a count.
fn unused(neighbours: &[NeighbourConfig], name: &str) -> String {
    let is_free = |name: &str| neighbours.iter().all(|neighbour| neighbour.name != name);
    let counted = (2..).map(|count| format!("{name}.{count}"));
    std::iter::once(name.to_owned()).chain(counted).find(|name| is_free(name)).unwrap_or_default()
}

fn inside_neighbour(machine: &Machine<'_>, link: &Inside<'_>, has_evpn: bool) -> NeighbourConfig {
    let mut families = vec![Family::Ipv4Unicast, Family::Ipv6Unicast];
    families.extend(has_evpn.then_some(Family::Evpn));
    NeighbourConfig {
        name: format!("{}/{}", *link.far.router.name, link.end.name),
        transport: Transport::Unnumbered {
            link: link.end.name.clone(),
            local: machine.link_local,
            remote: Some(link.far.link_local),
        },
        local_asn: machine.asn,
        remote_asn: link.far.asn,
        relation: Relation::Inside { prepends: link.cost },
        families,
        timers: Timers::INSIDE,
        terms: Terms { bfd: link.bfd, ..Terms::default() },
    }
}

/// One session for each of the peer's addresses, each with the routes of its family.
fn outside_neighbours(survey: &Survey<'_>, connection: &Connection<'_>) -> Vec<NeighbourConfig> {
    let public_asn = *survey.network().asn;
    let peer = connection.peer;
    let mut neighbours = Vec::new();
    for remote in connection.said.neighbours.iter() {
        let local = connection.said.addresses.iter().find(|prefix| prefix.contains(&**remote));
        let same_family =
            || connection.said.addresses.iter().find(|prefix| prefix.addr().is_ipv6() == remote.is_ipv6());
        let Some(local) = local.or_else(same_family) else { continue };
        let (family, word) = match **remote {
            IpAddr::V4(_) => (Family::Ipv4Unicast, "ipv4"),
            IpAddr::V6(_) => (Family::Ipv6Unicast, "ipv6"),
        };
        neighbours.push(NeighbourConfig {
            name: format!("{}/{word}", *peer.name),
            transport: Transport::Numbered {
                link: connection.end.name.clone(),
                local: local.addr(),
                remote: **remote,
                network: local.trunc(),
            },
            local_asn: public_asn,
            remote_asn: *peer.asn,
            relation: Relation::Outside(OutsidePolicy {
                role: *peer.role,
                listed: listed(survey, peer, family),
                origins: values(&peer.origins),
                never_via: values(&peer.never_via),
                announce: peer.announce.as_ref().map(|_| values(&peer.announce)),
                withhold: values(&peer.withhold),
                // A customer with a private AS number speaks it itself.
                allowed_private_asns: [*peer.asn].into_iter().filter(|asn| asn.is_private()).collect(),
                extra_prepends: peer.prepend(),
                prefix_limit: peer.limit.as_ref().map(|limit| **limit),
                invalid: peer.invalid(),
            }),
            families: vec![family],
            timers: Timers::OUTSIDE,
            terms: terms(peer),
        });
    }
    neighbours
}

fn values<T: Copy>(list: &Option<List<T>>) -> Vec<T> {
    list.iter().flat_map(|list| list.iter()).map(|said| **said).collect()
}

/// What the peer may announce: the prefixes of the file, each with what is within it, and of its list file
/// what is of the session's family.
fn listed(survey: &Survey<'_>, peer: &Peer, family: Family) -> Option<Vec<PrefixRange>> {
    let path = peer.list_path();
    if peer.prefixes.is_none() && path.is_none() {
        return None;
    }
    let lent = |prefix: &Prefix| survey.network().prefixes.iter().any(|own| own.contains(prefix));
    let within = |prefix: &Prefix| match prefix {
        // A part of ours stays inside, of whatever length.
        _ if lent(prefix) => prefix.max_prefix_len(),
        Prefix::V4(_) => LONGEST_V4,
        Prefix::V6(_) => LONGEST_V6,
    };
    let said = peer.prefixes().iter().map(|prefix| PrefixRange::up_to(**prefix, within(prefix)));
    let of_family = |range: &&PrefixRange| range.prefix.addr().is_ipv4() == (family == Family::Ipv4Unicast);
    let file = path.and_then(|path| survey.lists?.get(&path).ok()).unwrap_or_default();
    let mut all: Vec<PrefixRange> = said.chain(file.iter().filter(of_family).copied()).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

fn terms(peer: &Peer) -> Terms {
    let unsaid = LimitTerms::default();
    Terms {
        drain: peer.drain(),
        strict_role: peer.strict_role(),
        gtsm: peer.gtsm(),
        bfd: super::watch::peer(peer),
        password: peer.password.as_ref().map(|secret| secret.0.clone()),
        limit: LimitTerms {
            warn_percent: peer.limit_warn.as_ref().map_or(unsaid.warn_percent, |percent| **percent),
            rest: peer.limit_rest.as_ref().map_or(unsaid.rest, |minutes| u32::from(**minutes) * 60_000),
        },
        add_paths: AddPaths {
            receive: peer.add_paths_receive.as_ref().is_some_and(|receive| **receive),
            send: peer.add_paths_send.as_ref().map(|most| **most),
        },
    }
}

/// What the router announces: its loopbacks and the segments whose gateway it is always, the AS's
/// prefixes if it is an originator and reaches the rest of the AS.
fn originations(survey: &Survey<'_>, machine: &Machine<'_>) -> Vec<Origination> {
    let always = |prefix: Prefix| Origination { prefix, while_reaching: Vec::new(), discard: false };
    let mut all: Vec<Origination> = machine.loopbacks.iter().map(|address| always(host(*address))).collect();
    let segments = machine.segments.iter().flat_map(|carried| segments::gateways(carried.said));
    all.extend(segments.map(|prefix| always(prefix.trunc())));
    let network = survey.network();
    if network.originate().iter().any(|router| **router == *machine.router.name) {
        for prefix in network.prefixes.iter() {
            let ip = Ip::of_ipv6(prefix.addr().is_ipv6());
            all.push(Origination {
                prefix: **prefix,
                while_reaching: elsewhere(survey, machine, ip),
                discard: true,
            });
        }
    }
    all
}

/// Loopbacks that show that the rest of the AS is reached: of routers at other sites; in a network
/// of one site, of any other router; in a network of one router, nothing is asked for.
fn elsewhere(survey: &Survey<'_>, machine: &Machine<'_>, ip: Ip) -> Vec<Prefix> {
    let of = |other: &Machine<'_>| other.loopback(ip).or_else(|| other.loopbacks.first().copied()).map(host);
    let others = || survey.machines.iter().filter(|other| other.id != machine.id);
    let away: Vec<Prefix> =
        others().filter(|other| *other.site.name != *machine.site.name).filter_map(of).collect();
    if away.is_empty() { others().filter_map(of).collect() } else { away }
}
