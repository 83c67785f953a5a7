//! Links between routers: whether their two ends can meet, and whether the lines pass the tunnel.

use super::Survey;
use super::lines::{all_read, has_known_addresses, is_known};
use crate::declaration::line::Family;
use crate::declaration::{Engine, LineKind, Link, LinkBy, Pass, Purpose, Router, Said, Uplink, word};
use crate::problem::{LineProblem, LinkProblem, ProblemKind};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// UDP ports are counted in fours (20000 + 4 * id + n).
const PARALLEL_WIREGUARD: u8 = 4;

/// What has been seen of links so far.
#[derive(Default)]
struct Seen<'a> {
    /// EtherIP has nothing by which two tunnels between the same addresses are told apart.
    etherip: HashMap<[(usize, &'a str); 2], Range<usize>>,
    wireguard: HashMap<[usize; 2], u8>,
    /// Lines whose fragments have been warned of.
    fragments: HashSet<(usize, &'a str)>,
    /// Sites whose switches have been told to be too small.
    switches: HashSet<&'a str>,
}

/// One end of a tunnel.
#[derive(Clone, Copy)]
struct End<'a> {
    at: usize,
    uplink: &'a Uplink,
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut seen = Seen::default();
    for link in &file.links {
        let between = link.between.sound();
        let routers = between.map(|between| [survey.router(&between[0]), survey.router(&between[1])]);
        if let Some([Some((a, router)), Some((b, _))]) = routers
            && a == b
        {
            survey.tell(link.between.span(), LinkProblem::ToItself { router: router.name.to_string() });
            continue;
        }
        keys(survey, link);
        match (link.by.sound(), routers) {
            (Some(LinkBy::Ethernet), Some([Some(a), Some(b)])) => wire(survey, link, [a.1, b.1], &mut seen),
            (Some(by), Some([a, b])) => tunnel(survey, link, *by, [a, b], &mut seen),
            _ => {}
        }
    }
    for peer in &file.peers {
        for at in &peer.at {
            if let Some(over) = &at.over
                && let Some(router) = at.router.sound().and_then(|name| survey.routers.get(name.as_str()))
                && let Some(uplink) = survey.uplinks.get(&(*router, over.as_str()))
            {
                fragments(survey, End { at: *router, uplink }, &mut seen);
            }
        }
    }
    for end in file.segments.iter().flat_map(|segment| &segment.tunnels) {
        if let Some(router) = end.router.sound().and_then(|name| survey.routers.get(name.as_str()))
            && let Some(uplink) = survey.uplinks.get(&(*router, end.over.as_str()))
        {
            fragments(survey, End { at: *router, uplink }, &mut seen);
        }
    }
}

/// Each kind of link has keys of its own.
fn keys(survey: &mut Survey<'_>, link: &Said<Link>) {
    let Some(by) = link.by.sound().copied() else { return };
    let wire = by == LinkBy::Ethernet;
    let said: [(&'static str, Option<Range<usize>>, bool); 5] = [
        ("over", link.over.as_ref().map(Said::span), !wire),
        ("ports", link.ports.as_ref().map(Said::span), wire),
        ("engine", link.engine.as_ref().map(Said::span), !wire),
        ("keepalive", link.keepalive.as_ref().map(Said::span), !wire),
        ("cleartext", link.cleartext.as_ref().map(Said::span), matches!(by, LinkBy::Gre | LinkBy::EtherIp)),
    ];
    for (key, span, in_place) in said {
        match (span, in_place) {
            (Some(span), false) => survey.tell(span, LinkProblem::KeyOutOfPlace { key, by: word(by) }),
            (None, true) if key == "over" || key == "ports" => {
                survey.tell(link.by.span(), LinkProblem::KeyMissing { key, by: word(by) });
            }
            _ => {}
        }
    }
}

/// Within a site the switch has to pass what the link carries.
fn wire<'a>(survey: &mut Survey<'a>, link: &Said<Link>, routers: [&'a Router; 2], seen: &mut Seen<'a>) {
    if routers[0].site != routers[1].site {
        return;
    }
    let Some(site) = routers[0].site.sound().and_then(|name| survey.sites.get(name.as_str()).copied()) else {
        return;
    };
    let mtu = survey.file.network.mtu();
    if let Some(said) = &site.switch_mtu
        && let Some(switch) = said.sound()
        && *switch < mtu
    {
        // Once for the site, and not again for each link by arithmetic.
        survey.too_large.insert(link.span().start);
        if seen.switches.insert(&site.name) {
            let kind =
                LinkProblem::SwitchMtuTooSmall { site: site.name.to_string(), switch: *switch, link: mtu };
            survey.tell_both(said.span(), link.by.span(), kind);
        }
    }
}

fn tunnel<'a>(
    survey: &mut Survey<'a>,
    link: &'a Said<Link>,
    by: LinkBy,
    routers: [Option<(usize, &'a Router)>; 2],
    seen: &mut Seen<'a>,
) {
    let Some(said) = &link.over else { return };
    let Some(over) = said.sound() else { return };
    let ends = [0, 1].map(|side: usize| {
        let (at, _) = routers[side]?;
        let uplink = survey.uplink(at, &over[side])?;
        Some(End { at, uplink })
    });
    for side in [0, 1] {
        if let Some(end) = ends[side] {
            line_passes(survey, end.uplink, over[side].span(), &[passed_as(by)], word(by));
            fragments(survey, end, seen);
        }
    }
    let [Some(a), Some(b)] = ends else { return };
    let ends = [a, b];
    if ends.iter().any(|end| !is_known(end.uplink)) {
        return;
    }
    if !meet(survey, said.span(), ends) {
        return;
    }
    if by != LinkBy::WireGuard && a.uplink.network().is_open() && !link.cleartext() {
        survey.tell(link.by.span(), LinkProblem::ClearText { by });
    }
    if ends.iter().all(|end| has_known_addresses(end.uplink)) {
        addresses(survey, link, by, ends, over, said.span());
    }
    parallel(survey, by, ends, said.span(), seen);
}

fn passed_as(by: LinkBy) -> Pass {
    match by {
        LinkBy::Gre => Pass::Gre,
        LinkBy::EtherIp => Pass::EtherIp,
        LinkBy::WireGuard | LinkBy::Ethernet => Pass::Udp,
    }
}

/// Tells of a line that is not for the fabric, or that does not pass what a tunnel needs.
pub(super) fn line_passes(
    survey: &mut Survey<'_>,
    uplink: &Uplink,
    span: Range<usize>,
    needs: &[Pass],
    by: &'static str,
) {
    let line = uplink.name.to_string();
    if all_read(&uplink.purposes) && !uplink.is_for(Purpose::Fabric) {
        let other = uplink.purposes.span();
        return survey.tell_both(span, other, LinkProblem::NotForFabric { line });
    }
    if !is_known(uplink) {
        return;
    }
    for &what in needs.iter().chain(&[Pass::Fragments]) {
        if !uplink.passes(what) {
            let stated = uplink.passes.as_ref().map(Said::span);
            let kind = LinkProblem::NotPassed {
                line: line.clone(),
                is: *uplink.kind,
                stated: stated.is_some(),
                what,
                by,
            };
            survey.tell_both(span.clone(), stated.unwrap_or(uplink.kind.span()), kind);
        }
    }
}

/// Once for each line that carries tunnels.
fn fragments<'a>(survey: &mut Survey<'a>, end: End<'a>, seen: &mut Seen<'a>) {
    let said = &end.uplink.kind;
    if said.sound() == Some(&LineKind::Azure)
        && end.uplink.passes.is_none()
        && seen.fragments.insert((end.at, &end.uplink.name))
    {
        survey.tell(said.span(), LineProblem::FragmentsUncertain { line: **said });
    }
}

/// Whether the two lines are on one network and one of them can be called.
fn meet(survey: &mut Survey<'_>, span: Range<usize>, ends: [End<'_>; 2]) -> bool {
    let nets = ends.map(|end| end.uplink.network());
    let region_missing =
        ends.iter().any(|end| *end.uplink.kind == LineKind::Ngn && end.uplink.region.is_none());
    if nets[0] != nets[1] {
        let both_ngn = ends.iter().all(|end| *end.uplink.kind == LineKind::Ngn);
        if !(region_missing && both_ngn) {
            survey.tell(span, LinkProblem::NeverMeet { nets });
        }
        return false;
    }
    if !ends.iter().any(|end| end.uplink.passes(Pass::Incoming)) {
        survey.tell(span, LinkProblem::NobodyCanCall { lines: ends.map(|end| *end.uplink.kind) });
        return false;
    }
    true
}

/// Whether each end knows where to send.
fn addresses(
    survey: &mut Survey<'_>,
    link: &Link,
    by: LinkBy,
    ends: [End<'_>; 2],
    over: &[Said<String>; 2],
    span: Range<usize>,
) {
    let lines = || ends.map(|end| end.uplink.name.to_string());
    let both = |family: Family| ends.iter().all(|end| end.uplink.has(family));
    if !both(Family::V4) && !both(Family::V6) {
        return survey.tell(span, LinkProblem::NoCommonFamily { lines: lines() });
    }
    let has_stated = |end: &End<'_>, family| end.uplink.seen_at(family).is_some();
    if by == LinkBy::WireGuard {
        let called = |end: &End<'_>| {
            let family = |family| both(family) && has_stated(end, family);
            end.uplink.passes(Pass::Incoming) && (family(Family::V6) || family(Family::V4))
        };
        if !ends.iter().any(called) {
            survey.tell(span, LinkProblem::NoAddressToCall { lines: lines() });
        }
        return;
    }
    let stated = |family| ends.iter().all(|end| has_stated(end, family));
    let (v4, v6) = (stated(Family::V4), stated(Family::V6));
    if !v4 && !v6 {
        let mut none_stated = false;
        for (end, said) in ends.iter().zip(over) {
            if !has_stated(end, Family::V4) && !has_stated(end, Family::V6) {
                none_stated = true;
                let kind =
                    LinkProblem::NeedsStatedAddress { line: end.uplink.name.to_string(), by: word(by) };
                survey.tell_both(said.span(), end.uplink.address.span(), kind);
            }
        }
        if !none_stated {
            survey.tell(span, LinkProblem::NoCommonFamily { lines: lines() });
        }
        return;
    }
    // The kernel has no EtherIP, and its GRE over IPv6 cannot fragment outside. IPv6 is taken where
    // both ends have it.
    if let Some(engine) = &link.engine
        && engine.sound() == Some(&Engine::Kernel)
        && (by == LinkBy::EtherIp || v6)
    {
        survey.tell(engine.span(), LinkProblem::KernelCannot { by });
    }
}

fn parallel<'a>(
    survey: &mut Survey<'a>,
    by: LinkBy,
    ends: [End<'a>; 2],
    span: Range<usize>,
    seen: &mut Seen<'a>,
) {
    match by {
        LinkBy::EtherIp => {
            let mut pair = ends.map(|end| (end.at, end.uplink.name.as_str()));
            pair.sort_unstable();
            match seen.etherip.get(&pair) {
                Some(first) => survey.tell_both(span, first.clone(), ProblemKind::TunnelTwice),
                None => {
                    seen.etherip.insert(pair, span);
                }
            }
        }
        LinkBy::WireGuard => {
            let mut pair = ends.map(|end| end.at);
            pair.sort_unstable();
            let count = seen.wireguard.entry(pair).or_default();
            *count = count.saturating_add(1);
            if *count > PARALLEL_WIREGUARD {
                survey.tell(span, LinkProblem::TooManyParallel { most: PARALLEL_WIREGUARD });
            }
        }
        LinkBy::Gre | LinkBy::Ethernet => {}
    }
}
