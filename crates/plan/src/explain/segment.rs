//! Words for segments.

use super::Words;
use crate::problem::SegmentProblem;

pub(super) fn words(kind: &SegmentProblem) -> Words {
    match kind {
        SegmentProblem::GatewayOutsidePrefixes { gateway } => Words::new(
            format!(
                "{} lies outside the network's prefixes, so its hosts could not be reached",
                gateway.trunc()
            ),
            "take a piece of one of `prefixes`",
            format!("{}がネットワークのプレフィックスの外にあるので、ホストに届きません", gateway.trunc()),
            "`prefixes`のどれかの一部を使ってください",
        ),
        SegmentProblem::GatewayInPool { gateway, pool } => Words::new(
            format!("{} overlaps the loopbacks' pool {pool}", gateway.trunc()),
            "take a piece of the prefixes that is no pool",
            format!("{}がループバックのプール{pool}と重なっています", gateway.trunc()),
            "プールではない部分を使ってください",
        ),
        SegmentProblem::GatewaysOverlap { gateway, first } => Words::new(
            format!("{} overlaps {}, which is a segment's already", gateway.trunc(), first.trunc()),
            "give each segment a piece of its own",
            format!("{}は、すでにセグメントが使っている{}と重なっています", gateway.trunc(), first.trunc()),
            "セグメントごとに重ならない範囲にしてください",
        ),
    }
}
