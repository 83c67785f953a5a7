//! Segments of hosts.

use super::{Survey, space};
use crate::problem::{NotYet, Reading, SegmentProblem};
use std::ops::Range;
use tsumugi_core::id::Prefix;

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut gateways: Vec<(Prefix, Range<usize>)> = Vec::new();
    for segment in &file.segments {
        let mut first: Option<usize> = None;
        let mut stretched = false;
        for said in segment.ports.iter() {
            let Some(port) = said.sound() else { continue };
            let Some((router, _)) = survey.router_named(&port.router, said.span()) else { continue };
            if *first.get_or_insert(router) != router && !stretched {
                stretched = true;
                survey.tell(said.span(), Reading::NotYet { what: NotYet::Evpn });
            }
        }
        for said in segment.gateway.iter().flat_map(|list| list.iter()) {
            let Some(gateway) = said.sound() else { continue };
            if !survey.host_address(gateway, said.span()) {
                continue;
            }
            let network = gateway.trunc();
            if let Some(pool) = survey.loopbacks.overlapping(&network) {
                survey.tell(said.span(), SegmentProblem::GatewayInPool { gateway: *gateway, pool });
            } else if survey.prefixes_read && survey.prefixes.around(&network).is_none() {
                survey.tell(said.span(), SegmentProblem::GatewayOutsidePrefixes { gateway: *gateway });
            }
            gateways.push((*gateway, said.span()));
        }
    }
    for (later, earlier) in space::overlaps(&gateways) {
        let kind = SegmentProblem::GatewaysOverlap { gateway: gateways[later].0, first: gateways[earlier].0 };
        survey.tell_both(gateways[later].1.clone(), gateways[earlier].1.clone(), kind);
    }
}
