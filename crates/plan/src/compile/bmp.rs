//! Whom each router tells of its sessions and routes.

use super::survey::{Survey, host};
use crate::declaration::CachePlane;
use tsumugi_core::bgp::config::BmpConfig;
use tsumugi_core::desired::{Match, ProtocolMatch};
use tsumugi_core::id::Plane;

pub(super) fn bmp(survey: &Survey<'_>) -> Option<BmpConfig> {
    let said = survey.declaration.bmp.as_ref()?;
    Some(BmpConfig {
        collectors: said.collectors.iter().map(|collector| **collector).collect(),
        plane: match said.plane() {
            CachePlane::Management => Plane::Management,
            CachePlane::Fabric => Plane::Fabric,
        },
    })
}

/// What collectors in the fabric answer; see [`super::rpki::answers`].
pub(super) fn answers(survey: &Survey<'_>) -> Vec<Match> {
    let Some(said) = survey.declaration.bmp.as_ref() else { return Vec::new() };
    if said.plane() != CachePlane::Fabric {
        return Vec::new();
    }
    let answer = |collector: std::net::SocketAddr| Match {
        from: vec![host(collector.ip())],
        protocol: Some(ProtocolMatch::Tcp { ports: vec![collector.port()], either: true }),
        ..Match::default()
    };
    said.collectors.iter().map(|collector| answer(**collector)).collect()
}
