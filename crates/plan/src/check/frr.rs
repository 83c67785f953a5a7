//! Routers whose BGP FRR speaks, and what of the file it cannot do there.

use super::Survey;
use crate::declaration::{Declaration, Router, Segment};
use crate::problem::FrrProblem;
use std::collections::{HashMap, HashSet};
use tsumugi_core::router_plan::Routing;

/// FRR 8.4 takes each entry of a prefix list anew against all that it has: 500 take it 2 s, 1000 take 9 s
/// and 2000 take 42 s of a processor. A customer's prefixes stand there twice.
const MOST_LISTED: usize = 300;

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let by_frr: Vec<&Router> = file.routers.iter().filter(|it| it.routing() == Routing::Frr).collect();
    if by_frr.is_empty() {
        return;
    }
    segments(survey, file, &by_frr);
    peers(survey, file, &by_frr);
    if let Some(bmp) = &file.bmp {
        for router in by_frr {
            let kind = FrrProblem::FrrTellsNoCollector { router: router.name.get().clone() };
            survey.tell_both(said(router), bmp.span(), kind);
        }
    }
}

/// Where a router says that FRR speaks.
fn said(router: &Router) -> std::ops::Range<usize> {
    router.routing.as_ref().map_or_else(|| router.name.span(), |routing| routing.span())
}

fn segments(survey: &mut Survey<'_>, file: &Declaration, by_frr: &[&Router]) {
    let carried_by = |segment: &Segment, router: &Router| {
        segment.places().find(|place| place.sound && place.router == *router.name.get()).map(|it| it.span)
    };
    for router in by_frr {
        let name = || router.name.get().clone();
        for segment in &file.segments {
            if let Some(place) = carried_by(segment, router) {
                let segment = segment.name.get().clone();
                let kind = FrrProblem::FrrCarriesSegment { router: name(), segment };
                survey.tell_both(place, said(router), kind);
            }
        }
        // As one session tells of all segments, one refusal says it.
        let is_shared = |segment: &&Segment| {
            let carriers: HashSet<&str> = segment.places().map(|place| place.router).collect();
            carriers.len() > 1 && carried_by(segment, router).is_none()
        };
        let is_linked =
            file.links.iter().any(|link| link.between.iter().any(|end| end.get() == router.name.get()));
        if let Some(segment) = file.segments.iter().find(is_shared).filter(|_| is_linked) {
            let kind = FrrProblem::FrrPassesSegment { router: name(), segment: segment.name.get().clone() };
            survey.tell_both(said(router), segment.name.span(), kind);
        }
    }
}

fn peers(survey: &mut Survey<'_>, file: &Declaration, by_frr: &[&Router]) {
    let mut listed: HashMap<&String, usize> = HashMap::new();
    for peer in &file.peers {
        for at in &peer.at {
            let Some(router) = by_frr.iter().find(|router| router.name.get() == at.router.get()) else {
                continue;
            };
            let names = || (router.name.get().clone(), peer.name.get().clone());
            let from_file = peer.list_path().and_then(|path| survey.lists.get(&path).ok());
            let prefixes = listed.entry(router.name.get()).or_default();
            *prefixes += peer.prefixes().len() + from_file.map_or(0, <[_]>::len);
            if *prefixes > MOST_LISTED {
                let prefixes = std::mem::take(prefixes);
                let kind = FrrProblem::FrrListsTooMuch { router: names().0, prefixes, most: MOST_LISTED };
                survey.tell_both(at.router.span(), said(router), kind);
            }
            if file.rpki.is_some() {
                let (router_name, peer) = names();
                let kind = FrrProblem::FrrValidatesNothing { router: router_name, peer };
                survey.tell_both(at.router.span(), said(router), kind);
            }
            if let Some(most) = &peer.add_paths_send {
                let (router_name, peer) = names();
                let kind = FrrProblem::FrrTellsOnePath { router: router_name, peer };
                survey.tell_both(most.span(), said(router), kind);
            }
            if let Some(multihop) = peer.bfd.multihop.as_ref().filter(|_| peer.bfd.is_multihop()) {
                let (router_name, peer) = names();
                let kind = FrrProblem::FrrWatchesOneHop { router: router_name, peer };
                survey.tell_both(multihop.span(), said(router), kind);
            }
        }
    }
}
