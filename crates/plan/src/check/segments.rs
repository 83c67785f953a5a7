//! Segments of hosts.

use super::{Survey, space};
use crate::problem::SegmentProblem;
use std::ops::Range;
use tsumugi_core::id::Prefix;

pub(super) fn check(survey: &mut Survey<'_>) {
    let file = survey.file;
    let mut gateways: Vec<(Prefix, Range<usize>)> = Vec::new();
    for segment in &file.segments {
        for place in segment.places().filter(|place| place.sound) {
            let _ = survey.router_named(place.router, place.span);
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
