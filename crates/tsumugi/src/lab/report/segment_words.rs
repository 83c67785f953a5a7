//! The findings about segments in words, English and Japanese side by side.

use super::SegmentFinding;
use super::words::{list, millis, seconds, sum};
use crate::lab::probe::frame::Whom;
use std::time::Duration;

impl Whom {
    fn words(self) -> [&'static str; 2] {
        match self {
            Whom::Everybody => ["a broadcast", "ブロードキャスト"],
            Whom::Group => ["a multicast", "マルチキャスト"],
            Whom::Nobody => ["a frame for nobody known", "宛先不明のフレーム"],
        }
    }
}

impl SegmentFinding {
    pub(super) fn words(&self) -> [String; 2] {
        match self {
            SegmentFinding::NotHere => [
                "left out: this kernel has no VLANs (802.1Q)".into(),
                "省略: このカーネルにはVLAN (802.1Q)がありません".into(),
            ],
            SegmentFinding::OneHost => ["one host only".into(), "ホストは 1台のみ".into()],
            SegmentFinding::OneRouter => ["one router only".into(), "ルーターは 1台のみ".into()],
            SegmentFinding::Full { .. }
            | SegmentFinding::NoVxlan
            | SegmentFinding::NotOnePacket { .. }
            | SegmentFinding::TooManyOuter { .. }
            | SegmentFinding::NothingOuter { .. } => self.full(),
            SegmentFinding::Once { .. }
            | SegmentFinding::Again { .. }
            | SegmentFinding::Back { .. }
            | SegmentFinding::Missed { .. } => self.flood(),
            SegmentFinding::Apart { .. }
            | SegmentFinding::CameTo(_)
            | SegmentFinding::OneGateway
            | SegmentFinding::Gateways { .. }
            | SegmentFinding::Denied { .. }
            | SegmentFinding::AllowedLost { .. } => self.isolation(),
            SegmentFinding::Moved { .. }
            | SegmentFinding::NotReachedAt { .. }
            | SegmentFinding::Stale { .. } => self.moving(),
            SegmentFinding::Guarded { .. }
            | SegmentFinding::NotGuarded { .. }
            | SegmentFinding::NotSaid { .. }
            | SegmentFinding::StaysBlocked { .. }
            | SegmentFinding::OthersDown { .. } => self.guard(),
            _ => self.gateway(),
        }
    }

    fn full(&self) -> [String; 2] {
        match self {
            SegmentFinding::Full { bytes, over, outer: _ } if over.is_empty() => [
                format!("{bytes} both ways, within one router"),
                format!("往復 {bytes} バイト、同一ルーター内"),
            ],
            SegmentFinding::Full { bytes, over, outer } => {
                let over = over.join(", ");
                let [out, outside] = match outer {
                    0 => [String::new(), String::new()],
                    outer => [format!(", at most {outer} outside"), format!("、外側は最大 {outer}")],
                };
                [
                    format!("{bytes} both ways in one VXLAN packet{out}, over {over}"),
                    format!("往復 {bytes} バイトが VXLAN 一つに{outside}、経由 {over}"),
                ]
            }
            SegmentFinding::NoVxlan => {
                ["no link carried it in VXLAN".into(), "VXLAN で運んだリンクがありません".into()]
            }
            SegmentFinding::NotOnePacket { link, packets } => [
                format!("{packets} VXLAN packets on {link} instead of 1"),
                format!("{link} の VXLAN パケットが 1 ではなく {packets}"),
            ],
            SegmentFinding::TooManyOuter { link, pieces } => {
                let (count, pieces) = (pieces.len(), sum(pieces));
                [
                    format!("{count} outer packets on {link}: {pieces}"),
                    format!("{link} の外側のパケットが {count}: {pieces}"),
                ]
            }
            SegmentFinding::NothingOuter { link } => [
                format!("outside of {link} nothing of it was seen"),
                format!("{link} の外側で観測されません"),
            ],
            _ => Default::default(),
        }
    }

    fn flood(&self) -> [String; 2] {
        match self {
            SegmentFinding::Once { hosts, frames } => [
                format!("{frames} frames, each once at {hosts} others, none came back"),
                format!("{frames} フレームが他の {hosts} 台に一度ずつ、戻りなし"),
            ],
            SegmentFinding::Again { whom, at, times } => {
                let [what, ja] = whom.words();
                [format!("{what} arrived {times} times at {at}"), format!("{ja}が {at} に {times} 回到着")]
            }
            SegmentFinding::Back { whom } => {
                let [what, ja] = whom.words();
                [format!("{what} came back to its sender"), format!("{ja}が送信元へ戻りました")]
            }
            SegmentFinding::Missed { whom, at } => {
                let ([what, ja], at) = (whom.words(), list(at));
                [format!("{what} did not arrive at {at}"), format!("{ja}が {at} に届きません")]
            }
            _ => Default::default(),
        }
    }

    fn isolation(&self) -> [String; 2] {
        match self {
            SegmentFinding::Apart { frames, places } => [
                format!("{frames} frames and packets, none at {places} other places"),
                format!("{frames} 個のフレームとパケット、他の {places} 箇所に到達なし"),
            ],
            SegmentFinding::CameTo(whom) => {
                let list = list(whom);
                [format!("came to where it may not: {list}"), format!("届いてはならない所に到達: {list}")]
            }
            SegmentFinding::OneGateway => [
                "one answers for it, and no other LAN hears the question".into(),
                "応答は一つ、問い合わせは他の LAN に届かない".into(),
            ],
            SegmentFinding::Gateways { count } => {
                [format!("{count} answers instead of 1"), format!("応答が 1 ではなく {count}")]
            }
            SegmentFinding::Denied { denied, passed } => [
                format!("{denied} dropped and counted, {passed} passes"),
                format!("{denied} は破棄し計数、{passed} は通過"),
            ],
            SegmentFinding::AllowedLost { what } => {
                [format!("{what} does not pass"), format!("{what} が通りません")]
            }
            _ => Default::default(),
        }
    }

    fn moving(&self) -> [String; 2] {
        match self {
            SegmentFinding::Moved { from, to, there, back } => {
                let (there, back) = (millis(*there), millis(*back));
                [
                    format!("{from} to {to}: reached after {there}, back after {back}, nothing stale"),
                    format!("{from} から {to} へ: {there} で到達、復帰 {back}、古い登録なし"),
                ]
            }
            SegmentFinding::NotReachedAt { router, after } => {
                let after = seconds(*after);
                [
                    format!("not reached at {router} after {after}"),
                    format!("{router} で {after} 後も到達できません"),
                ]
            }
            SegmentFinding::Stale { after, entries } => {
                let (after, list) = (seconds(*after), list(entries));
                [
                    format!("stale after {after}: {list}"),
                    format!("{after} 後も古い登録が残っています: {list}"),
                ]
            }
            _ => Default::default(),
        }
    }

    fn guard(&self) -> [String; 2] {
        match self {
            SegmentFinding::Guarded { port, after, opened, others } => {
                let (after, opened, lost) = (millis(*after), seconds(*opened), millis(*others));
                let [lost, outage] = match *others {
                    Duration::ZERO => ["none interrupted".into(), "中断なし".into()],
                    _ => [format!("interrupted for {lost}"), format!("中断 {lost}")],
                };
                [
                    format!(
                        "{port} blocked after {after}, open {opened} after the cable went; others: {lost}"
                    ),
                    format!("{after} で {port} を遮断、ケーブル除去 {opened} 後に再開、他は{outage}"),
                ]
            }
            SegmentFinding::NotGuarded { after } => {
                let after = seconds(*after);
                [format!("no port is blocked after {after}"), format!("{after} 後も遮断されません")]
            }
            SegmentFinding::NotSaid { port } => [
                format!("{port} is blocked, and its router does not say so"),
                format!("{port} の遮断が状態に表れません"),
            ],
            SegmentFinding::StaysBlocked { port, after } => {
                let after = seconds(*after);
                [
                    format!("{port} stays blocked {after} after the cable went"),
                    format!("ケーブル除去 {after} 後も {port} は遮断されたまま"),
                ]
            }
            SegmentFinding::OthersDown { outage } => {
                let outage = seconds(*outage);
                [format!("others were apart for {outage}"), format!("他のホスト間が {outage} 不通")]
            }
            _ => Default::default(),
        }
    }

    fn gateway(&self) -> [String; 2] {
        match self {
            SegmentFinding::WayOut { gateway, way } => {
                let way = way.join(" → ");
                [format!("by {gateway}: {way}"), format!("{gateway} 経由: {way}")]
            }
            SegmentFinding::NotNearest { gateway, instead } => {
                [format!("by {gateway} instead of {instead}"), format!("{instead} ではなく {gateway} を経由")]
            }
            SegmentFinding::TakenOver { by, after, back } => {
                let (after, back) = (seconds(*after), seconds(*back));
                [
                    format!("{by} took over, {after} without the outside; {back} at the return"),
                    format!("{by} が引き継ぎ、外部への中断 {after}、復帰時 {back}"),
                ]
            }
            SegmentFinding::NotTakenOver { dead, after } => {
                let after = seconds(*after);
                [
                    format!("{dead} is dead, and after {after} there is no way out"),
                    format!("{dead} の停止から {after} 後も外部に届きません"),
                ]
            }
            SegmentFinding::NotBack { router, after } => {
                let after = seconds(*after);
                [
                    format!("{router} is back for {after}, and hosts do not go by it"),
                    format!("{router} の復帰から {after} 後も経由しません"),
                ]
            }
            SegmentFinding::Newcomer { addresses, after, outside } => {
                let (after, list) = (seconds(*after), list(addresses));
                let [en, ja] = match outside {
                    Some(host) => [format!(" and reaches {host}"), format!("、{host} に到達")],
                    None => [
                        "; the file has no outside to reach".to_owned(),
                        "(ファイルに外部がなく、到達は未確認)".to_owned(),
                    ],
                };
                [format!("was given {list} after {after}{en}"), format!("{after} で {list} を取得{ja}")]
            }
            SegmentFinding::NotGiven { what, after } => {
                let after = seconds(*after);
                [format!("was not given {what} after {after}"), format!("{after} 後も {what} を得られません")]
            }
            _ => Default::default(),
        }
    }
}
