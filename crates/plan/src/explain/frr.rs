//! Words for what FRR cannot do.

use super::{Lang, Words};
use crate::problem::FrrProblem;
use std::fmt::Write;
use tsumugi_core::router_plan::{RouterPlan, Routing};

/// Who speaks the router's BGP where that is FRR, and what then is not as it is with our own speaker.
pub(super) fn lines(text: &mut String, plan: &RouterPlan, lang: Lang) {
    if plan.routing != Routing::Frr {
        return;
    }
    let all: [&str; 6] = match lang {
        Lang::En => [
            "BGP by FRR: the same policy as by our own speaker. What differs:",
            "what was refused is known, and not why: FRR keeps no reasons; `tsumugi show` and `dump` refer to vtysh",
            "a changed plan is in force seconds later; where FRR reads a long policy, as many seconds after a start",
            "the network's own routes leave with a MED of 0; an AGGREGATOR leaves as a customer said it",
            "a neighbour hears no route with its own AS number in the path",
            "another `routing` is in force after a restart of the router process, which resets every session",
        ],
        Lang::Ja => [
            "BGPはFRR: 方針は自前のスピーカーと同じ。違いは次のとおり:",
            "拒否した理由は残らない(FRRは理由を保存しない)。`tsumugi show`と`dump`の代わりにvtyshを使う",
            "計画の変更は数秒後に有効になる。方針が長いと、起動時にも数秒かかる",
            "自分のネットワークの経路はMED 0で出ていき、顧客の付けたAGGREGATORはそのまま出ていく",
            "隣接ASの番号がパスにある経路は、そのASには広報しない",
            "`routing`の変更はルータープロセスの再起動後に有効になり、すべてのセッションが切れる",
        ],
    };
    for (at, words) in all.iter().enumerate() {
        let _ = writeln!(text, "{}{words}", if at == 0 { "  " } else { "    " });
    }
}

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
        FrrProblem::FrrListsTooMuch { router, prefixes, most } => Words::new(
            format!(
                "{prefixes} prefixes are listed for peers at {router}, more than {most}: its BGP is FRR's, which reads long lists slower and slower, 2000 prefixes in most of a minute, and speaks to nobody meanwhile"
            ),
            "remove `routing = \"frr\"` from the router, connect the peer at another one, or list fewer prefixes",
            format!(
                "{router}のピアには{prefixes}個のプレフィックスが列挙されています(上限{most}個)。{router}のBGPはFRRで、一覧が長いほど読むのが急に遅くなり、2000個で1分近く誰とも話せません"
            ),
            "ルーターの`routing = \"frr\"`を消すか、ピアを別のルーターに接続するか、一覧を短くしてください",
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
