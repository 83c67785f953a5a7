//! Caches that can be reached, and words about validity that mean something.

use super::Survey;
use crate::declaration::{CachePlane, List, Said};
use crate::problem::{ProblemKind, Reading, RpkiProblem};
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
    let plane = rpki.plane.as_ref();
    endpoints(survey, plane, &rpki.caches, |cache, trouble| match trouble {
        Trouble::Unusable => RpkiProblem::CacheUnusable { cache },
        Trouble::InFabric => RpkiProblem::CacheInFabric { cache },
        Trouble::InManagement => RpkiProblem::CacheInManagement { cache },
    });
}

/// Why a far end cannot be reached as the file says.
pub(super) enum Trouble {
    Unusable,
    InFabric,
    InManagement,
}

/// Far ends that routers call, in a plane of the file's choice.
pub(super) fn endpoints<P: Into<ProblemKind>>(
    survey: &mut Survey<'_>,
    plane: Option<&Said<CachePlane>>,
    said: &List<SocketAddr>,
    problem: impl Fn(SocketAddr, Trouble) -> P,
) {
    let plane = match plane {
        Some(said) => said.sound().copied(),
        None => Some(CachePlane::Management),
    };
    let mut seen: HashMap<SocketAddr, _> = HashMap::new();
    for said in said.iter() {
        let Some(end) = said.sound().copied() else { continue };
        if let Some(first) = seen.insert(end, said.span()) {
            survey.tell_both(said.span(), first, Reading::Repeated { text: end.to_string() });
            continue;
        }
        let in_management = survey.management.is_some_and(|space| space.contains(&end.ip()));
        let trouble = if !is_usable(end) {
            Trouble::Unusable
        } else if plane == Some(CachePlane::Management) && survey.prefixes.holding(end.ip()).is_some() {
            Trouble::InFabric
        } else if plane == Some(CachePlane::Fabric) && in_management {
            Trouble::InManagement
        } else {
            continue;
        };
        survey.tell(said.span(), problem(end, trouble));
    }
}

fn is_usable(end: SocketAddr) -> bool {
    let unusable = match end.ip() {
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
    !unusable && end.port() != 0
}
