//! Words for what FRR cannot do.

use super::Words;
use crate::problem::FrrProblem;

pub(super) fn words(kind: &FrrProblem) -> Words {
    match kind {
        FrrProblem::FrrCarriesSegment { router, segment } => Words::new(
            format!(
                "router {router} has FRR for its BGP, and we do not run EVPN through FRR: hosts of segment {segment} would reach nobody from there"
            ),
            "remove `routing = \"frr\"` from the router, or attach the segment at another one",
            format!(
                "ルーター {router}のBGPはFRRです。FRRではEVPNを動かさないため、セグメント {segment}のホストはそこから誰にも届きません"
            ),
            "ルーターの`routing = \"frr\"`を消すか、セグメントを別のルーターにつないでください",
        ),
        FrrProblem::FrrPassesSegment { router, segment } => Words::new(
            format!(
                "segment {segment} is on several routers, and {router} would have to hand its routes on, which FRR does not do for us"
            ),
            "remove `routing = \"frr\"` from the router, or keep each segment on one router",
            format!(
                "セグメント {segment}は複数のルーターにまたがり、{router}はその経路を渡す必要がありますが、FRRではそれを行いません"
            ),
            "ルーターの`routing = \"frr\"`を消すか、セグメントをそれぞれ1台のルーターに収めてください",
        ),
        FrrProblem::FrrValidatesNothing { router, peer } => Words::new(
            format!("what {peer} announces at {router} would not be validated: FRR there asks no RPKI cache"),
            "remove `routing = \"frr\"` from the router, or connect the peer at another one",
            format!("{router}のFRRはRPKIキャッシュに問い合わせないため、{peer}の経路は検証されません"),
            "ルーターの`routing = \"frr\"`を消すか、ピアを別のルーターに接続してください",
        ),
        FrrProblem::FrrTellsNoCollector { router } => Words::new(
            format!("the collectors of [bmp] would be told nothing of {router}: its sessions are FRR's"),
            "remove `routing = \"frr\"` from the router, or [bmp]",
            format!("[bmp]の収集器に{router}のことが何も知らされません。そのセッションはFRRのものです"),
            "ルーターの`routing = \"frr\"`か、[bmp]を消してください",
        ),
        FrrProblem::FrrTellsOnePath { router, peer } => Words::new(
            format!("{router} has FRR for its BGP, and there {peer} is told the best path alone"),
            "remove `add-paths-send`, or the router's `routing = \"frr\"`",
            format!("{router}のBGPはFRRで、そこでは{peer}に最良の経路だけを伝えます"),
            "`add-paths-send`か、ルーターの`routing = \"frr\"`を消してください",
        ),
        FrrProblem::FrrWatchesOneHop { router, peer } => Words::new(
            format!("{router} has FRR for its BGP, and there BFD watches {peer} over one hop only"),
            "remove `bfd-multihop`, or `routing = \"frr\"` from the router",
            format!("{router}のBGPはFRRで、そこではBFDは{peer}を1ホップでしか見張れません"),
            "`bfd-multihop`か、ルーターの`routing = \"frr\"`を消してください",
        ),
    }
}
