//! Words for BMP.

use super::{Lang, Words};
use crate::problem::BmpProblem;
use std::fmt::Write;
use tsumugi_core::bgp::config::BmpConfig;

pub(super) fn words(kind: &BmpProblem) -> Words {
    match kind {
        BmpProblem::CollectorUnusable { collector } => Words::new(
            format!("no collector can be at {collector}"),
            "write the address and the port of its BMP server as the routers reach it",
            format!("{collector}に収集器があることはありません"),
            "ルーターから届く、BMPサーバーのアドレスとポートを書いてください",
        ),
        BmpProblem::CollectorInFabric { collector } => Words::new(
            format!(
                "{collector} is one of the AS's own addresses, and the management plane has no way to it"
            ),
            "add `plane = \"fabric\"` to [bmp], or write the collector's management address",
            format!("{collector}はAS自身のアドレスで、管理面からは届きません"),
            "[bmp]に`plane = \"fabric\"`を書くか、収集器の管理用アドレスを書いてください",
        ),
        BmpProblem::CollectorInManagement { collector } => Words::new(
            format!("{collector} is in the management space, and the fabric has no way to it"),
            "remove `plane = \"fabric\"` from [bmp]",
            format!("{collector}は管理用のアドレスで、fabricからは届きません"),
            "[bmp]の`plane = \"fabric\"`を消してください",
        ),
    }
}

/// The part of a plan's summary.
pub(super) fn lines(text: &mut String, bmp: &BmpConfig, lang: Lang) {
    let _ = writeln!(text, "  BMP");
    let plane = bmp.plane;
    for collector in &bmp.collectors {
        let words = lang.pick(
            format!("in {plane}; is told every session and route"),
            format!("{plane}面。すべてのセッションと経路を知らせる"),
        );
        let _ = writeln!(text, "    {:24} {words}", collector.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::id::Plane;

    #[test]
    fn collectors_are_read_out() {
        let collectors = vec!["198.51.100.78:11019".parse().unwrap()];
        let config = BmpConfig { collectors, plane: Plane::Management };
        let mut text = String::new();
        lines(&mut text, &config, Lang::En);
        let expected = "  BMP\n    198.51.100.78:11019      in management; is told every session and route\n";
        assert_eq!(text, expected);
    }
}
