//! Caches that can be reached, and words about validity that mean something.

use super::Survey;
use crate::declaration::CachePlane;
use crate::problem::{Reading, RpkiProblem};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let Some(rpki) = &file.rpki else {
        for said in file.peers.iter().filter_map(|peer| peer.invalid.as_ref()) {
            survey.tell(said.span(), RpkiProblem::InvalidUnknown);
        }
        return;
    };
    let plane = match &rpki.plane {
        Some(said) => said.sound().copied(),
        None => Some(CachePlane::Management),
    };
    let mut seen: HashMap<SocketAddr, _> = HashMap::new();
    for said in rpki.caches.iter() {
        let Some(cache) = said.sound().copied() else { continue };
        if let Some(first) = seen.insert(cache, said.span()) {
            survey.tell_both(said.span(), first, Reading::Repeated { text: cache.to_string() });
            continue;
        }
        let in_management = survey.management.is_some_and(|space| space.contains(&cache.ip()));
        if !is_usable(cache) {
            survey.tell(said.span(), RpkiProblem::CacheUnusable { cache });
        } else if plane == Some(CachePlane::Management) && survey.prefixes.holding(cache.ip()).is_some() {
            survey.tell(said.span(), RpkiProblem::CacheInFabric { cache });
        } else if plane == Some(CachePlane::Fabric) && in_management {
            survey.tell(said.span(), RpkiProblem::CacheInManagement { cache });
        }
    }
}

fn is_usable(cache: SocketAddr) -> bool {
    let unusable = match cache.ip() {
        IpAddr::V4(it) => {
            it.is_unspecified()
                || it.is_loopback()
                || it.is_link_local()
                || it.is_multicast()
                || it.is_broadcast()
        }
        IpAddr::V6(it) => {
            it.is_unspecified() || it.is_loopback() || it.is_unicast_link_local() || it.is_multicast()
        }
    };
    !unusable && cache.port() != 0
}
