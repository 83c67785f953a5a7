//! Segments of hosts: where they attach, and what tells one from another.

use super::lines::all_read;
use super::peers::{self, FarEnd};
use super::{Survey, gateways};
use crate::declaration::line::Family;
use crate::declaration::{AskedFarEnd, Place, PlaceBy, Said, Segment, TunnelEnd, Vtep};
use crate::problem::SegmentProblem;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::wire::bgp::RouteTarget;

/// What has been seen of segments so far, each with the segment's name and where it was said.
#[derive(Default)]
struct Seen<'a> {
    /// Whether the number was stated as one: two equal VNIs are told as such.
    indices: HashMap<u16, (&'a str, Range<usize>, bool)>,
    targets: HashMap<RouteTarget, (&'a str, Range<usize>, bool)>,
    lans: HashMap<&'a str, (&'a str, Range<usize>)>,
    /// How many ports of the whole file name a LAN.
    named: HashMap<&'a str, usize>,
    /// The routers' lines by their stated addresses.
    lines: HashMap<IpAddr, &'a str>,
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut seen = Seen::default();
    for router in &file.routers {
        let addresses = router.uplinks.iter().flat_map(|uplink| uplink.stated());
        seen.lines.extend(addresses.map(|prefix| (prefix.addr(), router.name.as_str())));
    }
    let names = file.segments.iter().flat_map(Segment::places).filter_map(|place| place.lan?.sound());
    names.for_each(|name| *seen.named.entry(name.as_str()).or_default() += 1);
    for segment in &file.segments {
        let routers = places(survey, segment, &seen);
        if routers.len() > 1 {
            stretched(survey, segment);
        }
        numbers(survey, segment, &mut seen);
        vtep(survey, segment);
        lans(survey, segment, &mut seen);
    }
    gateways::check(survey);
}

/// The routers that carry it, as far as they are known.
fn places(survey: &mut Survey<'_>, segment: &Segment, seen: &Seen<'_>) -> HashSet<usize> {
    let mut routers = HashSet::new();
    let is_empty = segment.ports.is_empty() && segment.port.is_empty() && segment.tunnels.is_empty();
    if is_empty && segment.ports.sound().is_some() {
        survey.tell(segment.name.span(), SegmentProblem::NoPorts);
    }
    for place in segment.places().filter(|place| place.sound) {
        let Some((router, _)) = survey.router_named(place.router, place.span.clone()) else { continue };
        routers.insert(router);
        if let PlaceBy::Tunnel(end) = place.by {
            tunnel(survey, router, end, seen);
        }
    }
    routers
}

fn tunnel(survey: &mut Survey<'_>, router: usize, end: &TunnelEnd, seen: &Seen<'_>) {
    if let Some(said) = &end.keepalive
        && let Some(&AskedFarEnd::Host(address)) = said.sound()
        && (address.is_unspecified() || address.is_loopback() || address.is_multicast())
    {
        survey.tell(said.span(), SegmentProblem::KeepaliveNoHost { address });
    }
    let Some(uplink) = survey.uplink(router, &end.over) else { return };
    if let Some(remote) = end.remote.sound()
        && let Some(of) = seen.lines.get(remote)
    {
        let kind = SegmentProblem::RemoteIsLine { remote: *remote, router: of.to_string() };
        return survey.tell(end.remote.span(), kind);
    }
    let far = FarEnd {
        by: end.by,
        terms: &end.terms,
        router,
        uplink,
        over: end.over.span(),
        remote: Some(&end.remote),
    };
    peers::far_end(survey, far);
}

/// What only a segment on several routers needs.
fn stretched(survey: &mut Survey<'_>, segment: &Segment) {
    if let Some(vni) = segment.vni.sound()
        && segment.index.is_none()
        && u16::try_from(vni.0).is_err()
    {
        survey.tell(segment.vni.span(), SegmentProblem::IndexMissing { vni: vni.0 });
    }
    if let Some(asn) = survey.file.network.asn.sound()
        && segment.route_target.is_none()
        && u16::try_from(asn.0).is_err()
    {
        let asn = *asn;
        survey.tell(segment.name.span(), SegmentProblem::RouteTargetMissing { asn });
    }
}

/// Indices and route targets: no two segments share one.
fn numbers<'a>(survey: &mut Survey<'a>, segment: &'a Segment, seen: &mut Seen<'a>) {
    let name = segment.name.as_str();
    let span = segment.index.as_ref().map_or(segment.vni.span(), Said::span);
    let is_stated = segment.index.is_some();
    let is_known =
        segment.index.as_ref().map_or(segment.vni.sound().is_some(), |said| said.sound().is_some());
    if let Some(index) = segment.index().filter(|_| is_known) {
        match seen.indices.get(&index) {
            Some((first, other, stated)) if is_stated || *stated => {
                let kind = SegmentProblem::IndexTwice { index, first: first.to_string() };
                survey.tell_both(span, other.clone(), kind);
            }
            Some(_) => {}
            None => {
                seen.indices.insert(index, (name, span, is_stated));
            }
        }
    }
    for (target, span, is_stated) in targets(survey, segment) {
        match seen.targets.get(&target) {
            Some((first, other, stated)) if *first != name && (is_stated || *stated) => {
                let kind = SegmentProblem::RouteTargetShared {
                    target: target.to_string(),
                    first: first.to_string(),
                };
                survey.tell_both(span, other.clone(), kind);
            }
            Some(_) => {}
            None => {
                seen.targets.insert(target, (name, span, is_stated));
            }
        }
    }
    if let Some(list) = &segment.route_target {
        survey.repeated(list, |target| *target);
    }
}

/// The route targets that a segment has, and whether they were stated.
fn targets(survey: &Survey<'_>, segment: &Segment) -> Vec<(RouteTarget, Range<usize>, bool)> {
    let of_vni = || {
        let asn = u16::try_from(survey.file.network.asn.sound()?.0).ok()?;
        let target = RouteTarget::of_two_octet_as(asn, segment.vni.sound()?.0);
        Some((target, segment.vni.span(), false))
    };
    match &segment.route_target {
        None => of_vni().into_iter().collect(),
        Some(list) => list.iter().filter_map(|said| Some((*said.sound()?, said.span(), true))).collect(),
    }
}

fn vtep(survey: &mut Survey<'_>, segment: &Segment) {
    let Some(said) = &segment.vtep else { return };
    let Some(vtep) = said.sound() else { return };
    let family = match vtep {
        Vtep::Ipv4 => Family::V4,
        Vtep::Ipv6 => Family::V6,
    };
    let pools = &survey.file.network.loopbacks;
    if all_read(pools) && pools.iter().all(|pool| Family::of(pool.addr()) != family) {
        survey.tell_both(said.span(), pools.span(), SegmentProblem::VtepMissing { family });
    }
}

/// One LAN as a segment's ports state it.
#[derive(Default)]
struct Lan<'a> {
    /// The first of its ports that forwards while all is well.
    active: Option<Range<usize>>,
    /// Whether one of them might be meant to, and cannot be read.
    is_unclear: bool,
    routers: HashMap<&'a str, Range<usize>>,
    first: Range<usize>,
}

fn lans<'a>(survey: &mut Survey<'a>, segment: &'a Segment, seen: &mut Seen<'a>) {
    let mut lans: HashMap<&str, Lan<'_>> = HashMap::new();
    // A LAN's name that could not be read may be any.
    let mut all_named = true;
    for place in segment.places() {
        let Some(said) = place.lan else {
            if let Some(standby) = place.standby.filter(|standby| standby.sound() == Some(&true)) {
                survey.tell(standby.span(), SegmentProblem::StandbyWithoutLan);
            }
            continue;
        };
        let Some(name) = said.sound() else {
            all_named = false;
            continue;
        };
        match seen.lans.get(name.as_str()) {
            Some((first, other)) if *first != segment.name.as_str() => {
                let kind = SegmentProblem::LanTwice { lan: name.clone(), first: first.to_string() };
                survey.tell_both(said.span(), other.clone(), kind);
                continue;
            }
            Some(_) => {}
            None => {
                seen.lans.insert(name, (&segment.name, said.span()));
            }
        }
        let lan = lans.entry(name).or_insert_with(|| Lan { first: said.span(), ..Lan::default() });
        joins(survey, name, said.span(), &place, lan);
    }
    let mut lans: Vec<(&str, Lan<'_>)> = lans.into_iter().collect();
    lans.sort_by_key(|(_, lan)| lan.first.start);
    for (name, lan) in &lans {
        if seen.named.get(name) == Some(&1) && lan.active.is_some() && all_named {
            let others = lans.iter().map(|(other, _)| *other).filter(|other| other != name);
            let like = survey.nearest(name, others);
            survey.tell(lan.first.clone(), SegmentProblem::LanOfOne { lan: (*name).into(), like });
        }
    }
    for (name, lan) in lans {
        if lan.active.is_none() && !lan.is_unclear && all_named {
            survey.tell(lan.first, SegmentProblem::NoActive { lan: name.into() });
        }
    }
}

/// One more port of a LAN.
fn joins<'a>(survey: &mut Survey<'_>, name: &str, span: Range<usize>, place: &Place<'a>, lan: &mut Lan<'a>) {
    let is_active = match place.standby {
        None => Some(true),
        Some(said) => said.sound().map(|standby| !standby),
    };
    let same_router = place.sound.then(|| lan.routers.get(place.router).cloned()).flatten();
    match (same_router, &lan.active) {
        (Some(first), _) => {
            let kind = SegmentProblem::LanOnOneRouter { lan: name.into(), router: place.router.into() };
            survey.tell_both(span.clone(), first, kind);
            // Told as such, whatever else it may be.
            lan.is_unclear = true;
        }
        (None, Some(first)) if is_active == Some(true) => {
            survey.tell_both(span.clone(), first.clone(), SegmentProblem::TwoActive { lan: name.into() });
        }
        _ => {}
    }
    if place.sound {
        lan.routers.entry(place.router).or_insert(span.clone());
    }
    match is_active {
        Some(true) => {
            lan.active.get_or_insert(span);
        }
        Some(false) => {}
        None => lan.is_unclear = true,
    }
}
