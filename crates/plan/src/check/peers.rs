//! Networks outside, and the connections to them.

use super::lines::has_known_addresses;
use super::links::line_passes;
use super::network::{is_global, longest};
use super::{Survey, space};
use crate::declaration::line::Family;
use crate::declaration::{
    AskedFarEnd, List, Peer, PeerAt, PeerBy, Role, Said, TunnelBy, TunnelTerms, Uplink, word,
};
use crate::problem::{LineProblem, LinkProblem, PeerProblem, ProblemKind};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::id::{Asn, Prefix};

/// What has been seen of connections so far.
#[derive(Default)]
struct Seen<'a> {
    /// Neighbours by router.
    neighbours: HashMap<(usize, IpAddr), Range<usize>>,
    /// Our own addresses on connections.
    addresses: HashMap<IpAddr, Range<usize>>,
    /// By router, for connections that overlap.
    connections: HashMap<usize, Vec<(Prefix, Range<usize>)>>,
    /// List files that are written by AS-SETs.
    lists: HashMap<String, (&'a str, Range<usize>)>,
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let inside: HashMap<Asn, &Said<String>> = file
        .routers
        .iter()
        .filter(|router| router.asn.as_ref().map_or(router.id.sound().is_some(), |asn| asn.sound().is_some()))
        .map(|router| (router.asn(), &router.name))
        .collect();
    let mut seen = Seen::default();
    for peer in &file.peers {
        number(survey, peer, &inside);
        limit(survey, peer);
        announced(survey, peer);
        list(survey, peer, &mut seen);
        never_via(survey, peer);
        for asns in [&peer.origins, &peer.never_via].into_iter().flatten() {
            survey.repeated(asns, |asn| *asn);
        }
        for prefixes in [&peer.announce, &peer.withhold].into_iter().flatten() {
            survey.repeated(prefixes, |prefix| *prefix);
        }
        for at in &peer.at {
            connection(survey, at, &mut seen);
        }
    }
    for connections in seen.connections.values() {
        for (later, earlier) in space::overlaps(connections) {
            let kind = PeerProblem::ConnectionsOverlap {
                address: connections[later].0,
                first: connections[earlier].0,
            };
            survey.tell_both(connections[later].1.clone(), connections[earlier].1.clone(), kind);
        }
    }
}

fn number(survey: &mut Survey<'_>, peer: &Peer, inside: &HashMap<Asn, &Said<String>>) {
    let Some(asn) = peer.asn.sound().copied() else { return };
    let span = peer.asn.span();
    if let Some(router) = inside.get(&asn) {
        let kind = PeerProblem::AsnIsRouters { asn, router: router.to_string() };
        survey.tell_both(span, router.span(), kind);
    } else if survey.file.network.asn.sound() == Some(&asn) {
        survey.tell_both(span, survey.file.network.asn.span(), PeerProblem::AsnIsOurs { asn });
    } else if asn.is_private() {
        match peer.role.sound() {
            Some(Role::Customer) | None => {}
            Some(role) => survey.tell(span, PeerProblem::AsnPrivate { asn, role: *role }),
        }
    } else if asn.is_bogon() {
        survey.tell(span, PeerProblem::AsnReserved { asn });
    }
}

/// Two keys speak of the limit.
fn limit(survey: &mut Survey<'_>, peer: &Peer) {
    if peer.limit.is_some() {
        return;
    }
    let warn = peer.limit_warn.as_ref().map(|said| ("limit-warn", said.span()));
    let rest = peer.limit_rest.as_ref().map(|said| ("limit-rest", said.span()));
    for (key, span) in [warn, rest].into_iter().flatten() {
        survey.tell(span, PeerProblem::WithoutLimit { key });
    }
}

fn announced(survey: &mut Survey<'_>, peer: &Peer) {
    let Some(role) = peer.role.sound().copied() else { return };
    match (&peer.prefixes, role) {
        (None, Role::Customer) if peer.list_path().is_none() => {
            survey.tell(peer.role.span(), PeerProblem::CustomerWithoutPrefixes)
        }
        (None, Role::Customer) if !peer.strict_role() => {
            survey.tell(peer.role.span(), PeerProblem::CustomerUnconfirmed);
        }
        (Some(prefixes), Role::Provider | Role::Peer | Role::RouteServer) => {
            survey.tell(prefixes.span(), PeerProblem::PrefixesOutOfPlace { role });
        }
        (Some(prefixes), Role::Customer) => {
            for said in prefixes.iter() {
                let Some(prefix) = said.sound() else { continue };
                if let Some(pool) = survey.loopbacks.overlapping(prefix) {
                    survey.tell(said.span(), PeerProblem::PrefixInPool { prefix: *prefix, pool });
                } else if survey.prefixes.around(prefix).is_some() {
                    // A part of ours, lent to the customer: it stays inside, of whatever length.
                } else if prefix.prefix_len() > longest(prefix) {
                    let kind = PeerProblem::PrefixTooLong { prefix: *prefix, longest: longest(prefix) };
                    survey.tell(said.span(), kind);
                } else if !is_global(prefix) {
                    survey.tell(said.span(), PeerProblem::PrefixNotGlobal { prefix: *prefix });
                }
            }
            survey.repeated(prefixes, |prefix| *prefix);
        }
        (None, _) => {}
    }
}

/// The list file can be used, and has something for every session.
fn list<'a>(survey: &mut Survey<'a>, peer: &'a Peer, seen: &mut Seen<'a>) {
    let unread = |said: Option<bool>| said == Some(false);
    if unread(peer.list.as_ref().map(|list| list.sound().is_some()))
        || unread(peer.as_set.as_ref().map(|set| set.sound().is_some()))
    {
        return;
    }
    let Some(path) = peer.list_path() else { return };
    let said = peer.list.as_ref().map(Said::span).or(peer.as_set.as_ref().map(Said::span));
    let Some(span) = said else { return };
    if let Some(set) = &peer.as_set {
        let first = seen.lists.entry(path.clone()).or_insert((&set.0, span.clone())).clone();
        if first.0 != set.0 {
            survey.tell_both(span.clone(), first.1, PeerProblem::ListTwice { path: path.clone() });
        }
    }
    let ranges = match survey.lists.get(&path) {
        Ok(ranges) => ranges,
        Err(trouble) => return survey.tell(span, PeerProblem::List { path, trouble }),
    };
    let listed: HashSet<Family> = ranges.iter().map(|range| Family::of(range.prefix.addr())).collect();
    let said: HashSet<Family> =
        peer.prefixes().iter().filter_map(|said| Some(Family::of(said.sound()?.addr()))).collect();
    let neighbours = peer.at.iter().flat_map(|at| at.neighbours.iter()).filter_map(Said::sound);
    let mut spoken: Vec<Family> = neighbours.map(|address| Family::of(*address)).collect();
    spoken.sort_unstable();
    spoken.dedup();
    for family in spoken.into_iter().filter(|family| !listed.contains(family) && !said.contains(family)) {
        survey.tell(span.clone(), PeerProblem::ListWithoutFamily { path: path.clone(), family });
    }
}

/// All that the peer says comes by itself, and nothing that it says may have come by us.
fn never_via(survey: &mut Survey<'_>, peer: &Peer) {
    let all = [peer.asn.sound(), survey.file.network.asn.sound()];
    for said in peer.never_via.iter().flat_map(|list| list.iter()) {
        if let Some(asn) = said.sound().filter(|asn| all.contains(&Some(asn))) {
            survey.tell(said.span(), PeerProblem::NeverViaItself { asn: *asn });
        }
    }
}

fn connection<'a>(survey: &mut Survey<'a>, at: &'a Said<PeerAt>, seen: &mut Seen<'_>) {
    let router = survey.router(&at.router).map(|(router, _)| router);
    keys(survey, at);
    if let (Some(by), Some(router), Some(over)) = (at.by.sound(), router, &at.over)
        && let Some(by) = by.tunnel()
        && let Some(uplink) = survey.uplink(router, over)
    {
        let (over, remote) = (over.span(), at.remote.as_ref());
        far_end(survey, FarEnd { by, terms: &at.terms, router, uplink, over, remote });
    }
    let addresses = addresses(survey, &at.addresses, seen);
    if let Some(router) = router {
        seen.connections.entry(router).or_default().extend(addresses.iter().cloned());
    }
    keepalive(survey, at, &addresses);
    neighbours(survey, at, &addresses, router, seen);
}

/// Who is asked whether it lives has to be beside us, to be found without a router in between.
fn keepalive(survey: &mut Survey<'_>, at: &PeerAt, addresses: &[(Prefix, Range<usize>)]) {
    let Some(said) = &at.keepalive else { return };
    let Some(&AskedFarEnd::Host(address)) = said.sound() else { return };
    // An address that could not be read may be the one beside it.
    let all_read = at.addresses.sound().is_some() && addresses.len() == at.addresses.len();
    let beside = |(prefix, _): &(Prefix, _)| prefix.contains(&address) && prefix.addr() != address;
    if all_read && !addresses.iter().any(beside) {
        survey.tell_both(said.span(), at.addresses.span(), PeerProblem::KeepaliveNotBeside { address });
    }
}

/// Each kind of connection has keys of its own.
fn keys(survey: &mut Survey<'_>, at: &PeerAt) {
    let Some(by) = at.by.sound().copied() else { return };
    let wire = by == PeerBy::Ethernet;
    let terms = &at.terms;
    let said: [(&'static str, Option<Range<usize>>, bool); 8] = [
        ("over", at.over.as_ref().map(Said::span), !wire),
        ("remote", at.remote.as_ref().map(Said::span), !wire),
        ("port", at.port.as_ref().map(Said::span), wire),
        ("vni", terms.vni.as_ref().map(Said::span), by == PeerBy::Geneve),
        ("key", terms.key.as_ref().map(Said::span), by == PeerBy::Gretap),
        ("accept-reversed", terms.accept_reversed.as_ref().map(Said::span), by == PeerBy::EtherIp),
        ("clamp", terms.clamp.as_ref().map(Said::span), !wire),
        ("keepalive", at.keepalive.as_ref().map(Said::span), !wire),
    ];
    for (key, span, in_place) in said {
        let may_be_unsaid = matches!(key, "key" | "accept-reversed" | "clamp" | "keepalive");
        match (span, in_place) {
            (Some(span), false) => survey.tell(span, LinkProblem::KeyOutOfPlace { key, by: word(by) }),
            (None, true) if !may_be_unsaid => {
                survey.tell(at.by.span(), LinkProblem::KeyMissing { key, by: word(by) });
            }
            _ => {}
        }
    }
}

/// The way to a tunnel's far end that is no router of ours.
pub(super) struct FarEnd<'a, 's> {
    pub by: TunnelBy,
    pub terms: &'s TunnelTerms,
    pub router: usize,
    pub uplink: &'a Uplink,
    /// Where the uplink is named.
    pub over: Range<usize>,
    pub remote: Option<&'s Said<IpAddr>>,
}

/// Whether the line passes the tunnel, and has an address that the far end can be sent to from.
pub(super) fn far_end<'a>(survey: &mut Survey<'a>, far: FarEnd<'a, '_>) {
    let FarEnd { by, terms, router, uplink, over, remote } = far;
    line_passes(survey, uplink, over.clone(), by.needs(), word(by));
    let Some(said) = remote else { return };
    let Some(remote) = said.sound().copied() else { return };
    let span = said.span();
    let space = survey.prefixes.holding(remote).or(survey.management_around(remote));
    if let Some(space) = space {
        return survey.tell(span, PeerProblem::RemoteInside { remote, space });
    }
    if has_known_addresses(uplink) {
        let family = Family::of(remote);
        let line = || uplink.name.to_string();
        if uplink.stated().any(|prefix| prefix.addr() == remote) {
            return survey.tell_both(span, uplink.address.span(), PeerProblem::RemoteIsOurs { remote });
        } else if uplink.stated().next().is_none() {
            let kind = LinkProblem::NeedsStatedAddress { line: line(), by: word(by) };
            return survey.tell_both(over, uplink.address.span(), kind);
        } else if !uplink.stated().any(|prefix| Family::of(prefix.addr()) == family) {
            let kind = PeerProblem::RemoteFamily { line: line(), family };
            return survey.tell_both(span, uplink.address.span(), kind);
        }
    }
    let key = (router, uplink.name.as_str(), (word(by), terms.number(by)), remote);
    match survey.tunnels.get(&key).cloned() {
        Some(first) => survey.tell_both(span, first, ProblemKind::TunnelTwice),
        None => {
            survey.tunnels.insert(key, span);
        }
    }
}

/// Our addresses on a connection: those that an interface can have.
fn addresses<'a>(
    survey: &mut Survey<'a>,
    addresses: &List<Prefix>,
    seen: &mut Seen<'_>,
) -> Vec<(Prefix, Range<usize>)> {
    let mut families: HashMap<Family, Range<usize>> = HashMap::new();
    let mut found = Vec::new();
    for said in addresses.iter() {
        let Some(prefix) = said.sound() else { continue };
        let (address, family) = (prefix.addr(), Family::of(prefix.addr()));
        if let Some(first) = families.insert(family, said.span()) {
            survey.tell_both(said.span(), first, LineProblem::FamilyTwice { family });
            continue;
        }
        if !survey.host_address(prefix, said.span()) {
            continue;
        }
        let space = survey.loopbacks.holding(address).or(survey.management_around(address));
        if let Some(space) = space {
            survey.tell(said.span(), PeerProblem::AddressInPool { address, space });
        } else if let Some(first) = seen.addresses.get(&address) {
            survey.tell_both(said.span(), first.clone(), LineProblem::AddressTwice { address });
            continue;
        }
        seen.addresses.insert(address, said.span());
        found.push((*prefix, said.span()));
    }
    found
}

fn neighbours(
    survey: &mut Survey<'_>,
    at: &PeerAt,
    addresses: &[(Prefix, Range<usize>)],
    router: Option<usize>,
    seen: &mut Seen<'_>,
) {
    // An address that could not be read may be the neighbour's.
    let all_read = at.addresses.sound().is_some() && addresses.len() == at.addresses.len();
    let mut met = vec![false; addresses.len()];
    for said in at.neighbours.iter() {
        let Some(neighbour) = said.sound().copied() else {
            met.fill(true);
            continue;
        };
        match addresses.iter().position(|(prefix, _)| prefix.contains(&neighbour)) {
            Some(on) => {
                met[on] = true;
                if addresses[on].0.addr() == neighbour {
                    let kind = PeerProblem::NeighbourIsOurs { neighbour };
                    survey.tell_both(said.span(), addresses[on].1.clone(), kind);
                    continue;
                }
            }
            None if all_read => {
                let kind = PeerProblem::NeighbourNotOnConnection { neighbour };
                survey.tell_both(said.span(), at.addresses.span(), kind);
                // Told once: the address beside it is not without a neighbour of its own accord.
                for (at, (prefix, _)) in addresses.iter().enumerate() {
                    met[at] |= Family::of(prefix.addr()) == Family::of(neighbour);
                }
                continue;
            }
            None => {}
        }
        let Some(router) = router else { continue };
        match seen.neighbours.get(&(router, neighbour)) {
            Some(first) => {
                survey.tell_both(said.span(), first.clone(), PeerProblem::NeighbourTwice { neighbour });
            }
            None => {
                seen.neighbours.insert((router, neighbour), said.span());
            }
        }
    }
    if at.neighbours.sound().is_none() {
        return;
    }
    for (on, (prefix, span)) in addresses.iter().enumerate() {
        if !met[on] {
            survey.tell(span.clone(), PeerProblem::AddressWithoutNeighbour { address: *prefix });
        }
    }
}
