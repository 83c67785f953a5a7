//! Which routers validate, and by whom.

use super::ends::Connection;
use super::survey::{Machine, Survey, host};
use crate::declaration::CachePlane;
use tsumugi_core::bgp::config::{Relation, SpeakerConfig};
use tsumugi_core::desired::{Match, ProtocolMatch};
use tsumugi_core::id::Plane;
use tsumugi_core::rpki::config::RpkiConfig;

/// For routers that hear from outside, and for those that announce what is ours: the others take what
/// the border has marked.
pub(super) fn rpki(survey: &Survey<'_>, speaker: &SpeakerConfig) -> Option<RpkiConfig> {
    let said = survey.declaration.rpki.as_ref()?;
    let outside = speaker.neighbours.iter().any(|it| matches!(it.relation, Relation::Outside(_)));
    let announces = speaker.originate.iter().any(|it| speaker.own_prefixes.contains(&it.prefix));
    (outside || announces).then(|| RpkiConfig {
        caches: said.caches.iter().map(|cache| **cache).collect(),
        plane: match said.plane() {
            CachePlane::Management => Plane::Management,
            CachePlane::Fabric => Plane::Fabric,
        },
        expire: said.expire.as_ref().map(|expire| **expire),
        slurm: said.slurm.as_ref().map(|path| path.get().clone()),
    })
}

/// What caches in the fabric answer: from nobody else would TCP reach a router. Without state, so that
/// the fabric need not follow connections; nothing listens on the port that a stranger could feign.
pub(super) fn answers(survey: &Survey<'_>, machine: &Machine<'_>, outside: &[&Connection<'_>]) -> Vec<Match> {
    let Some(said) = survey.declaration.rpki.as_ref() else { return Vec::new() };
    let announces = survey.network().originate().iter().any(|router| **router == *machine.router.name);
    if said.plane() != CachePlane::Fabric || (outside.is_empty() && !announces) {
        return Vec::new();
    }
    let answer = |cache: std::net::SocketAddr| Match {
        from: vec![host(cache.ip())],
        protocol: Some(ProtocolMatch::Tcp { ports: vec![cache.port()], either: true }),
        ..Match::default()
    };
    said.caches.iter().map(|cache| answer(**cache)).collect()
}
