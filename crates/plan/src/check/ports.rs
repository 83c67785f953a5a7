//! Every port of a router has one use; only a shared one has more.

use super::Survey;
use crate::declaration::Said;
use crate::problem::{LineProblem, PortUse};
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
        for one in of_router.iter() {
            if is_reserved(&one.port) {
                survey.tell(one.span.clone(), LineProblem::PortReserved { port: one.port.clone() });
            }
            match firsts.get(one.port.as_str()) {
                None => {
                    firsts.insert(&one.port, one);
                }
                Some(first) if first.stays && one.stays && !(both_are_management(first, one)) => {}
                Some(first) => {
                    let uplink = |one: &Use| matches!(one.what, PortUse::Uplink(_));
                    let kind = LineProblem::PortTwice {
                        port: one.port.clone(),
                        first: first.what.clone(),
                        shareable: uplink(one) || uplink(first),
                    };
                    survey.tell_both(one.span.clone(), first.span.clone(), kind);
                }
            }
        }
    }
}

fn both_are_management(a: &Use, b: &Use) -> bool {
    a.what == PortUse::Management && b.what == PortUse::Management
}

/// The names that tsumugi gives to interfaces of its own.
fn is_reserved(port: &str) -> bool {
    const OURS: [&str; 2] = ["lo", "mgmt"];
    const BEGINNINGS: [&str; 5] = ["gre-", "eip-", "wg-", "gtap-", "mv-"];
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
        for said in segment.ports.iter() {
            let Some(port) = said.sound() else { continue };
            let router = survey.routers.get(port.router.as_str());
            let port = Said::new(port.port.clone(), said.span());
            add(router, Some(&port), PortUse::Segment(segment.name.to_string()), false);
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
