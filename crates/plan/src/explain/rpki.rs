//! Words for route validation.

use super::{Lang, Words};
use crate::problem::RpkiProblem;
use std::fmt::Write;
use tsumugi_core::rpki::config::RpkiConfig;

pub(super) fn words(kind: &RpkiProblem) -> Words {
    match kind {
        RpkiProblem::CacheUnusable { cache } => Words::new(
            format!("no cache can be at {cache}"),
            "write the address and the port of its RTR server as the routers reach it",
            format!("{cache}にキャッシュがあることはありません"),
            "ルーターから届く、RTRサーバーのアドレスとポートを書いてください",
        ),
        RpkiProblem::CacheInFabric { cache } => Words::new(
            format!("{cache} is one of the AS's own addresses, and the management plane has no way to it"),
            "add `plane = \"fabric\"` to [rpki], or write the cache's management address",
            format!("{cache}はAS自身のアドレスで、管理面からは届きません"),
            "[rpki]に`plane = \"fabric\"`を書くか、キャッシュの管理用アドレスを書いてください",
        ),
        RpkiProblem::CacheInManagement { cache } => Words::new(
            format!("{cache} is in the management space, and the fabric has no way to it"),
            "remove `plane = \"fabric\"` from [rpki]",
            format!("{cache}は管理用のアドレスで、fabricからは届きません"),
            "[rpki]の`plane = \"fabric\"`を消してください",
        ),
        RpkiProblem::InvalidUnknown => Words::new(
            "nothing tells which routes are invalid, so this changes nothing",
            "add [rpki] with `caches = [\"ADDRESS:PORT\"]`, or remove this",
            "どの経路が不正かを知る手段がないので、書いても何も変わりません",
            "[rpki]に`caches = [\"アドレス:ポート\"]`を書くか、これを消してください",
        ),
    }
}

/// The part of a plan's summary.
pub(super) fn lines(text: &mut String, rpki: &RpkiConfig, lang: Lang) {
    let _ = writeln!(text, "  RPKI");
    let plane = rpki.plane;
    for (at, cache) in rpki.caches.iter().enumerate() {
        let rank = match at {
            0 => lang.pick("asked first", "最初に尋ねる"),
            _ => lang.pick("asked while all above are lost", "上のすべてを失ったら尋ねる"),
        };
        let where_ = lang.pick(format!("in {plane}"), format!("{plane}面"));
        let _ = writeln!(text, "    {:24} {where_}; {rank}", cache.to_string());
    }
    if let Some(expire) = rpki.expire {
        let words = lang.pick(
            format!("data of a lost cache counts for {expire} s"),
            format!("キャッシュを失っても{expire}秒はデータを使う"),
        );
        let _ = writeln!(text, "    {words}");
    }
    if let Some(slurm) = &rpki.slurm {
        let words = lang.pick(format!("exceptions: {slurm}"), format!("例外: {slurm}"));
        let _ = writeln!(text, "    {words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::id::Plane;

    #[test]
    fn caches_are_read_out_in_their_order() {
        let caches = ["198.51.100.77:323", "[2001:db8:77::1]:8282"].map(|it| it.parse().unwrap()).to_vec();
        let config = RpkiConfig { caches, plane: Plane::Fabric, expire: Some(3600), slurm: None };
        let mut text = String::new();
        lines(&mut text, &config, Lang::En);
        let expected = "  RPKI
    198.51.100.77:323        in fabric; asked first
    [2001:db8:77::1]:8282    in fabric; asked while all above are lost
    data of a lost cache counts for 3600 s
";
        assert_eq!(text, expected);
    }
}
