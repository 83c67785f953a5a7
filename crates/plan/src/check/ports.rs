//! Every port of a router has one use; only a shared one has more.

use super::Survey;
use crate::declaration::{PlaceBy, Said};
use crate::problem::{LineProblem, PortUse, ProblemKind, SegmentProblem};
use std::collections::HashMap;
use std::ops::Range;
use tsumugi_core::id::IfName;

/// A use that the file states.
struct Use {
    port: String,
    span: Range<usize>,
    what: PortUse,
    /// The port stays with the machine: it may carry the operator's session and other such uses.
    stays: bool,
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let mut uses: Vec<Vec<Use>> = collect(survey);
    for of_router in &mut uses {
        // In the order of the file, so that the later one is told.
        of_router.sort_by_key(|one| one.span.start);
        let mut firsts: HashMap<&str, &Use> = HashMap::new();
        let mut vlans = Vlans::new();
        for one in of_router.iter() {
            if is_reserved(&one.port) {
                survey.tell(one.span.clone(), LineProblem::PortReserved { port: one.port.clone() });
            }
            match firsts.get(one.port.as_str()) {
                None => {
                    firsts.insert(&one.port, one);
                    vlans.extend(vlan(one).map(|tag| ((one.port.as_str(), tag), one)));
                }
                Some(first) if first.stays && one.stays && !(both_are_management(first, one)) => {}
                Some(first) if both_are_segments(first, one) => {
                    segments(survey, one, first, &mut vlans);
                }
                Some(first) => {
                    survey.tell_both(one.span.clone(), first.span.clone(), twice(one, first));
                }
            }
        }
    }
}

/// The VLANs of a router's ports.
type Vlans<'u> = HashMap<(&'u str, u16), &'u Use>;

fn vlan(one: &Use) -> Option<u16> {
    match one.what {
        PortUse::Vlan(_, tag) => Some(tag),
        _ => None,
    }
}

fn both_are_segments(a: &Use, b: &Use) -> bool {
    let of_segment = |one: &Use| matches!(one.what, PortUse::Segment(_) | PortUse::Vlan(..));
    of_segment(a) && of_segment(b)
}

/// A port may carry several segments, each with a VLAN of its own. Without a tag it carries one
/// alone: a host could give its frames the tag of another segment's VLAN.
fn segments<'u>(survey: &mut Survey<'_>, one: &'u Use, first: &'u Use, vlans: &mut Vlans<'u>) {
    let Some(tag) = vlan(one).filter(|_| vlan(first).is_some()) else {
        let kind = match vlan(one).or(vlan(first)) {
            Some(tag) => SegmentProblem::PortMixed { port: one.port.clone(), tag }.into(),
            None => ProblemKind::from(twice(one, first)),
        };
        return survey.tell_both(one.span.clone(), first.span.clone(), kind);
    };
    match vlans.get(&(one.port.as_str(), tag)) {
        Some(same) => survey.tell_both(one.span.clone(), same.span.clone(), twice(one, same)),
        None => {
            vlans.insert((&one.port, tag), one);
        }
    }
}

fn twice(one: &Use, first: &Use) -> LineProblem {
    let uplink = |one: &Use| matches!(one.what, PortUse::Uplink(_));
    LineProblem::PortTwice {
        port: one.port.clone(),
        first: first.what.clone(),
        shareable: uplink(one) || uplink(first),
    }
}

fn both_are_management(a: &Use, b: &Use) -> bool {
    a.what == PortUse::Management && b.what == PortUse::Management
}

/// The names that tsumugi gives to interfaces of its own.
fn is_reserved(port: &str) -> bool {
    const OURS: [&str; 2] = ["lo", "mgmt"];
    const BEGINNINGS: [&str; 7] = ["gre-", "eip-", "wg-", "gtap-", "mv-", "seg-", "vx-"];
    OURS.contains(&port) || BEGINNINGS.iter().any(|beginning| port.starts_with(beginning))
}

/// All uses, by router. What cannot be read, or is at a router that is not there, is left out.
fn collect(survey: &Survey<'_>) -> Vec<Vec<Use>> {
    let file = survey.file;
    let mut uses: Vec<Vec<Use>> = file.routers.iter().map(|_| Vec::new()).collect();
    let mut add = |router: Option<&usize>, port: Option<&Said<IfName>>, what: PortUse, stays: bool| {
        if let Some(router) = router
            && let Some(said) = port
            && let Some(port) = said.sound()
        {
            uses[*router].push(Use { port: port.to_string(), span: said.span(), what, stays });
        }
    };
    for (at, router) in file.routers.iter().enumerate() {
        add(Some(&at), router.management_port.as_ref(), PortUse::Management, true);
        for uplink in &router.uplinks {
            // A share that could not be read may have been a true one.
            let stays = uplink.share.as_ref().is_some_and(|share| share.sound() != Some(&false));
            add(Some(&at), Some(&uplink.port), PortUse::Uplink(uplink.name.to_string()), stays);
        }
    }
    for link in &file.links {
        let Some(ports) = link.ports.as_ref().and_then(Said::sound) else { continue };
        let Some(between) = link.between.sound() else { continue };
        if between[0] == between[1] {
            // Told as such.
            continue;
        }
        for side in [0, 1] {
            let Some(router) = between[side].sound().and_then(|name| survey.routers.get(name.as_str()))
            else {
                continue;
            };
            let far = between[1 - side].to_string();
            add(Some(router), Some(&ports[side]), PortUse::Link(far), false);
        }
    }
    for segment in &file.segments {
        for place in segment.places().filter(|place| place.sound) {
            let PlaceBy::Port { port, vlan } = place.by else { continue };
            let router = survey.routers.get(place.router);
            let port = Said::new(port.clone(), place.span);
            let name = segment.name.to_string();
            let what = match vlan {
                None => PortUse::Segment(name),
                Some(tag) => match tag.sound() {
                    Some(tag) => PortUse::Vlan(name, *tag),
                    None => continue,
                },
            };
            add(router, Some(&port), what, false);
        }
    }
    for peer in &file.peers {
        for at in &peer.at {
            let Some(router) = at.router.sound() else { continue };
            let router = survey.routers.get(router.as_str());
            add(router, at.port.as_ref(), PortUse::Peer(peer.name.to_string()), false);
        }
    }
    uses
}
