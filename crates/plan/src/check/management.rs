//! The ways by which people come to repair: none of this stops the network, so most of it warns.

use super::Survey;
use super::lines::{all_read, has_known_addresses, is_known};
use crate::declaration::line::{Family, Net};
use crate::declaration::{Pass, Purpose, Router, Said, Uplink};
use crate::problem::ManagementProblem;
use std::collections::{HashMap, HashSet};

pub(super) fn check(survey: &mut Survey<'_>) {
    // What a line is for, and which line it is, decides all of it.
    let lines = || survey.file.routers.iter().flat_map(|router| &router.uplinks);
    let known =
        |uplink: &Uplink| all_read(&uplink.purposes) && is_known(uplink) && has_known_addresses(uplink);
    let sited = survey.file.routers.iter().all(|router| router.site.sound().is_some());
    if !sited || !lines().all(known) {
        return;
    }
    sites(survey);
    devices(survey);
    meeting_points(survey);
}

fn is_line(uplink: &Uplink) -> bool {
    uplink.is_for(Purpose::Management)
}

/// A line for management alone does not depend on the AS.
fn is_independent(uplink: &Uplink) -> bool {
    is_line(uplink) && !uplink.is_for(Purpose::Fabric)
}

fn sites(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut by_site: HashMap<&str, Vec<&Router>> = HashMap::new();
    for router in &file.routers {
        if let Some(site) = router.site.sound() {
            by_site.entry(site.as_str()).or_default().push(router);
        }
    }
    for site in &file.sites {
        let Some(routers) = by_site.get(site.name.as_str()) else { continue };
        let has =
            |wanted: fn(&Uplink) -> bool| routers.iter().any(|router| router.uplinks.iter().any(wanted));
        if !has(is_independent) {
            let kind = ManagementProblem::NoIndependentLine { site: site.name.to_string() };
            survey.tell(site.name.span(), kind);
        }
        // Over the site's switch a router is reached through one that has a line.
        let over_switch = routers
            .iter()
            .any(|router| router.management_port.is_some() && router.uplinks.iter().any(is_line));
        for router in routers {
            let reached =
                router.uplinks.iter().any(is_line) || (router.management_port.is_some() && over_switch);
            if !reached {
                let kind = ManagementProblem::RouterUnreachable { router: router.name.to_string() };
                survey.tell(router.name.span(), kind);
            }
        }
    }
}

fn devices(survey: &mut Survey<'_>) {
    let file = survey.file;
    let with_port: HashSet<&str> = file
        .routers
        .iter()
        .filter(|router| router.management_port.is_some())
        .filter_map(|router| Some(router.site.sound()?.as_str()))
        .collect();
    for device in &file.devices {
        let Some(site) = device.site.sound() else { continue };
        if survey.sites.contains_key(site.as_str()) && !with_port.contains(site.as_str()) {
            let kind = ManagementProblem::DeviceUnreachable { site: site.clone() };
            survey.tell(device.site.span(), kind);
        }
    }
}

/// A line that others can call for management, by a family: it lets calls in and its address is
/// stated.
fn called(uplink: &Uplink) -> impl Iterator<Item = Family> + '_ {
    let takes_calls = is_line(uplink) && uplink.passes(Pass::Incoming);
    let families = [Family::V6, Family::V4].into_iter();
    families.filter(move |family| takes_calls && uplink.seen_at(*family).is_some())
}

fn meeting_points(survey: &mut Survey<'_>) {
    let file = survey.file;
    if file.routers.iter().any(|router| router.meeting.as_ref().is_some_and(|said| said.sound().is_none())) {
        return;
    }
    // Who can be called where: two are enough to know whether there is one besides oneself.
    let mut points: HashMap<(Net, Family), Vec<usize>> = HashMap::new();
    for (at, router) in file.routers.iter().enumerate().filter(|(_, router)| router.meeting()) {
        let mut found = false;
        for uplink in &router.uplinks {
            for family in called(uplink) {
                found = true;
                let points = points.entry((uplink.network(), family)).or_default();
                if points.len() < 2 && !points.contains(&at) {
                    points.push(at);
                }
            }
        }
        if !found {
            let span = router.meeting.as_ref().map_or(router.name.span(), Said::span);
            let kind = ManagementProblem::MeetingCannotBeCalled { router: router.name.to_string() };
            survey.tell(span, kind);
        }
    }
    if file.routers.len() > 1 {
        for (at, router) in file.routers.iter().enumerate() {
            for uplink in router.uplinks.iter().filter(|uplink| is_line(uplink)) {
                let net = uplink.network();
                let meets = |family| {
                    uplink.has(family)
                        && points
                            .get(&(net, family))
                            .is_some_and(|points| points.iter().any(|point| *point != at))
                };
                // Others call a meeting point.
                let is_point = router.meeting() && called(uplink).next().is_some();
                if !is_point && !meets(Family::V4) && !meets(Family::V6) {
                    let kind = ManagementProblem::NoMeetingPoint { line: uplink.name.to_string(), net };
                    survey.tell(uplink.name.span(), kind);
                }
            }
        }
    }
    let laptops_meet =
        [Family::V4, Family::V6].iter().any(|family| points.contains_key(&(Net::Internet, *family)));
    for person in file.persons.iter().filter(|_| !laptops_meet) {
        let kind = ManagementProblem::LaptopMeetsNobody { person: person.name.to_string() };
        survey.tell(person.name.span(), kind);
    }
}
