//! Names that lead nowhere, numbers given twice.

use super::Survey;
use crate::declaration::Said;
use crate::problem::{Naming, NetworkProblem, Noun};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// Who has a number first.
struct Firsts<'a, K> {
    seen: HashMap<K, (&'a str, Range<usize>)>,
}

impl<'a, K: Hash + Eq> Firsts<'a, K> {
    fn new() -> Firsts<'a, K> {
        Firsts { seen: HashMap::new() }
    }

    /// The first who had it, if this is not the first.
    fn second(&mut self, number: K, name: &'a str, span: Range<usize>) -> Option<(&'a str, Range<usize>)> {
        match self.seen.get(&number) {
            Some(first) => Some(first.clone()),
            None => {
                self.seen.insert(number, (name, span));
                None
            }
        }
    }
}

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let sites = file.sites.iter().map(|site| (site.name.as_str(), &site.id, ""));
    ids(survey, Noun::Site, sites);
    let devices = file
        .devices
        .iter()
        .filter_map(|device| Some((device.name.as_str(), &device.id, device.site.sound()?.as_str())));
    ids(survey, Noun::Device, devices);
    let persons = file.persons.iter().map(|person| (person.name.as_str(), &person.id, ""));
    ids(survey, Noun::Person, persons);
    let routers = file.routers.iter().map(|router| (router.name.as_str(), &router.id, ""));
    ids(survey, Noun::Router, routers);

    for device in &file.devices {
        survey.site(&device.site);
    }
    for router in &file.routers {
        survey.site(&router.site);
    }
    for person in &file.persons {
        if let Some(router) = survey.routers.get(person.name.as_str()).map(|at| &file.routers[*at]) {
            let kind = Naming::DuplicateName { name: person.name.to_string() };
            survey.tell_both(person.name.span(), router.name.span(), kind);
        }
    }
    asns(survey);
    vnis(survey);
    originators(survey);
}

/// `within`: numbers count apart in each.
fn ids<'a>(
    survey: &mut Survey<'a>,
    what: Noun,
    named: impl Iterator<Item = (&'a str, &'a Said<u16>, &'a str)>,
) {
    let mut firsts = Firsts::new();
    for (name, said, within) in named {
        let Some(id) = said.sound() else { continue };
        if let Some((first, other)) = firsts.second((within, *id), name, said.span()) {
            survey.tell_both(said.span(), other, Naming::DuplicateId { what, id: *id, first: first.into() });
        }
    }
}

/// A router that states the AS number of another one, or that another one's id gives.
fn asns(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut firsts = Firsts::new();
    let by_id = file.routers.iter().filter(|router| router.asn.is_none() && router.id.sound().is_some());
    for router in by_id {
        // Two of one id have been told.
        firsts.second(router.asn(), &router.name, router.id.span());
    }
    for router in &file.routers {
        let Some(said) = &router.asn else { continue };
        let Some(asn) = said.sound() else { continue };
        if !asn.is_private() {
            survey.tell(said.span(), NetworkProblem::InsideAsnNotPrivate { asn: *asn });
        }
        if let Some((first, other)) = firsts.second(*asn, &router.name, said.span()) {
            survey.tell_both(said.span(), other, Naming::DuplicateAsn { asn: *asn, first: first.into() });
        }
    }
}

fn vnis(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut firsts = Firsts::new();
    for segment in &file.segments {
        let Some(vni) = segment.vni.sound() else { continue };
        if let Some((first, other)) = firsts.second(*vni, &segment.name, segment.vni.span()) {
            let kind = Naming::DuplicateVni { vni: vni.0, first: first.into() };
            survey.tell_both(segment.vni.span(), other, kind);
        }
    }
}

fn originators(survey: &mut Survey<'_>) {
    let file = survey.file;
    let Some(network) = file.network.sound() else { return };
    match &network.originate {
        Some(said) if said.is_empty() => survey.tell(said.span(), NetworkProblem::OriginateNothing),
        None => survey.tell(file.network.span(), NetworkProblem::OriginateNothing),
        Some(said) => {
            for name in said.iter() {
                survey.router(name);
            }
            survey.repeated(said, |name| name.clone());
        }
    }
}
