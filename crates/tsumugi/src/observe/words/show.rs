//! Words for the decision between paths, and for what a neighbour is not told.

use super::import_refusal;
use tsumugi_core::bgp::config::Role;
use tsumugi_core::bgp::{ExportRefusal, LostAt, NeighbourStatus, PathStatus};
use tsumugi_core::wire::bgp::Origin;
use tsumugi_plan::explain::Lang;

/// What an outside neighbour is to us; `None`: another router of the network.
pub fn role(role: Option<Role>, lang: Lang) -> &'static str {
    match role {
        None => lang.pick("inside", "内側"),
        Some(Role::Provider) => lang.pick("provider", "上流"),
        Some(Role::Peer) => lang.pick("peer", "ピア"),
        Some(Role::Customer) => lang.pick("customer", "顧客"),
        Some(Role::RouteServer) => lang.pick("route server", "ルートサーバー"),
    }
}

/// What was agreed on of several paths to one prefix (RFC 7911), behind other words; nothing: the best alone.
pub fn add_paths(neighbour: &NeighbourStatus, lang: Lang) -> String {
    match (neighbour.paths_received.is_empty(), neighbour.paths_sent.is_empty()) {
        (true, true) => "",
        (false, true) => lang.pick(", several paths received", "、複数経路を受信"),
        (true, false) => lang.pick(", several paths sent", "、複数経路を送信"),
        (false, false) => lang.pick(", several paths received and sent", "、複数経路を送受信"),
    }
    .to_owned()
}

pub fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "IGP",
        Origin::Egp => "EGP",
        Origin::Incomplete => "incomplete",
    }
}

/// Where a path lost against the best, with the values that were compared. `used`: how many paths are
/// used together.
pub fn lost(at: LostAt, path: &PathStatus, best: &PathStatus, used: usize, lang: Lang) -> String {
    let med = |path: &PathStatus| path.med.unwrap_or(0);
    match at {
        LostAt::LocalPreference => {
            let (its, bests) = (path.local_preference, best.local_preference);
            lang.pick(
                format!("its local preference {its} is lower than {bests}"),
                format!("ローカル優先度{its}が{bests}より低いためです"),
            )
        }
        LostAt::PathLength => {
            let (its, bests) = (path.path_length, best.path_length);
            lang.pick(
                format!("its AS path is longer: {its} networks, not {bests}"),
                format!("ASパスが長いためです: {bests}ではなく{its}"),
            )
        }
        LostAt::Origin => {
            let (its, bests) = (origin(path.origin), origin(best.origin));
            lang.pick(
                format!("its origin {its} is worse than {bests}"),
                format!("オリジン{its}が{bests}より劣るためです"),
            )
        }
        LostAt::Med => {
            let its = med(path);
            lang.pick(
                format!("the same neighbouring AS gives another path a lower MED than {its}"),
                format!("同じ隣接ASが別の経路により小さいMEDを付けています (この経路は{its})"),
            )
        }
        LostAt::UsedTogether => {
            lang.pick("as good as the best, and used together with it", "最良と同等で、一緒に使われています")
                .to_owned()
        }
        LostAt::MaxPaths => lang.pick(
            format!(
                "as good as the best; {used} are used, and those of lower BGP identifiers come first ({} here)",
                identifier(path)
            ),
            format!("最良と同等です。使うのは{used}本で、BGP識別子の小さい順です (ここは{})", identifier(path)),
        ),
    }
}

fn identifier(path: &PathStatus) -> String {
    path.identifier.map_or_else(|| "-".to_owned(), |identifier| identifier.to_string())
}

/// Why the best path won, in a sentence: what the last step was that left others behind.
pub fn won(paths: &[PathStatus], lang: Lang) -> String {
    let others = paths.len().saturating_sub(1);
    let left: Vec<LostAt> = paths.iter().filter_map(|path| path.lost).collect();
    let Some(last) = left.iter().max() else {
        return lang.pick("it is the only route", "ほかに経路がありません").to_owned();
    };
    let step = match last {
        LostAt::LocalPreference => lang.pick("the higher local preference", "ローカル優先度の高さ"),
        LostAt::PathLength => lang.pick("the shorter AS path", "ASパスの短さ"),
        LostAt::Origin => lang.pick("the better origin", "オリジンの良さ"),
        LostAt::Med => lang.pick("the lower MED", "MEDの小ささ"),
        LostAt::UsedTogether | LostAt::MaxPaths => {
            let equal = left.iter().filter(|at| **at >= LostAt::UsedTogether).count();
            return lang.pick(
                format!("{equal} of {others} others are as good, and the lowest BGP identifier comes first"),
                format!("ほかの{others}本のうち{equal}本は同等で、BGP識別子が最小のものが先です"),
            );
        }
    };
    lang.pick(
        format!("of {} routes it was decided by {step}", others + 1),
        format!("{}本のうち、{step}で決まりました", others + 1),
    )
}

/// Why a neighbour is not told of a route.
pub fn not_told(reason: &ExportRefusal, lang: Lang) -> String {
    let fixed = match reason {
        ExportRefusal::BackToSource => lang.pick("it is the neighbour's own", "その相手自身の経路です"),
        ExportRefusal::WouldLoop => {
            lang.pick("the neighbour stands in its path already", "相手がすでにASパスの中にいます")
        }
        ExportRefusal::KeptByCommunity => lang.pick(
            "a community keeps it here (RFC 1997)",
            "コミュニティーが外へ出すことを禁じています (RFC 1997)",
        ),
        ExportRefusal::NoClass => lang.pick(
            "nothing says where the network has it from",
            "網がどこから得た経路かを示すものがありません",
        ),
        ExportRefusal::NotForThem => lang.pick(
            "it is a provider's or a peer's, and goes to customers only",
            "上流かピアの経路なので、顧客にだけ伝えます",
        ),
        ExportRefusal::OnlyToCustomers => lang.pick(
            "it is marked as for customers only (RFC 9234)",
            "顧客にだけ伝えるという印があります (RFC 9234)",
        ),
        ExportRefusal::NotExactlyOwn => lang.pick(
            "it is a part of our own prefixes, and only whole ones leave",
            "自分たちのプレフィックスの一部です。外へ出すのは全体だけです",
        ),
        ExportRefusal::NotAnnounced => lang.pick(
            "the file lists what this peer is told, and it is not in that list",
            "ファイルがこの相手に伝えるものを挙げており、その中にありません",
        ),
        ExportRefusal::Withheld => {
            lang.pick("the file withholds it from this peer", "ファイルがこの相手には伝えないとしています")
        }
        ExportRefusal::AskedNotTo => lang.pick(
            "the customer whose route it is asked that this peer does not hear of it",
            "この経路の顧客が、この相手には伝えないよう求めています",
        ),
        ExportRefusal::NotForAnyone(why) => {
            let why = import_refusal(why, lang);
            return lang
                .pick(format!("no other network takes it: {why}"), format!("どの網も受け取りません: {why}"));
        }
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::rpki::Validity;

    fn path(lost: Option<LostAt>) -> PathStatus {
        PathStatus {
            path_id: None,
            neighbour: Some("a".into()),
            next_hop: None,
            as_path: "1 2".into(),
            path_length: 2,
            origin: Origin::Igp,
            med: None,
            local_preference: 100,
            identifier: None,
            stale: false,
            discard: false,
            communities: Vec::new(),
            validity: Validity::NotFound,
            large_communities: Vec::new(),
            lost,
        }
    }

    #[test]
    fn every_step_has_its_values() {
        let best = PathStatus { local_preference: 200, path_length: 1, ..path(None) };
        let said = |at| lost(at, &path(Some(at)), &best, 2, Lang::En);
        assert_eq!(said(LostAt::LocalPreference), "its local preference 100 is lower than 200");
        assert_eq!(said(LostAt::PathLength), "its AS path is longer: 2 networks, not 1");
        assert!(said(LostAt::Med).contains("MED") && said(LostAt::MaxPaths).contains("2 are used"));
    }

    #[test]
    fn the_last_step_decided() {
        let by =
            |lost: &[Option<LostAt>]| won(&lost.iter().map(|it| path(*it)).collect::<Vec<_>>(), Lang::En);
        assert_eq!(by(&[None]), "it is the only route");
        let two = [None, Some(LostAt::PathLength), Some(LostAt::LocalPreference)];
        assert_eq!(by(&two), "of 3 routes it was decided by the shorter AS path");
        let equal = [None, Some(LostAt::UsedTogether), Some(LostAt::LocalPreference)];
        assert!(by(&equal).starts_with("1 of 2 others are as good"));
    }
}
