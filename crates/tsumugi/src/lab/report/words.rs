//! The findings in words, English and Japanese side by side.

use super::{Finding, Place, ProofId};
use crate::lab::stand_in::Why;
use std::time::Duration;
use tsumugi_plan::explain::Lang;

fn choose(lang: Lang, [english, japanese]: [String; 2]) -> String {
    lang.pick(english, japanese)
}

impl ProofId {
    /// What the proof shows, in a few words.
    pub fn title(self, lang: Lang) -> &'static str {
        let [english, japanese] = match self {
            ProofId::Sessions => ["every session is established", "すべてのセッションが確立"],
            ProofId::Loopbacks => ["every loopback is reached", "すべてのループバックに到達"],
            ProofId::Addresses => ["no address without a reason", "余計なアドレスがない"],
            ProofId::Traceroute => ["hops answer with loopbacks", "各ホップがループバックで応答"],
            ProofId::TwoPackets => ["a full packet is two outside", "最大のパケットが外側で二つ"],
            ProofId::OnePacketTcp => ["TCP fits one outer packet", "TCP が外側一つに収まる"],
            ProofId::Segments => ["hosts pass a plain 1500", "ホスト間で1500バイトが通る"],
            ProofId::SegmentIsolation => ["segments do not touch", "各セグメントの分離"],
            ProofId::FloodOnce => ["a broadcast arrives once", "ブロードキャストは一度だけ届く"],
            ProofId::MacMove => ["a host moves to another site", "ホストが別の拠点へ移動"],
            ProofId::LoopGuard => ["a loop is blocked", "ループの遮断"],
            ProofId::Gateway => ["the nearest way out, always", "最寄りのゲートウェイで外へ"],
            ProofId::Walls => ["forged packets are dropped", "偽のパケットを破棄"],
            ProofId::Outside => ["peers hear what they should", "外部に正しい経路だけを広告"],
            ProofId::Planes => ["the planes do not touch", "各プレーンの分離"],
            ProofId::Cut => ["a silent cut heals", "無言の断線から復旧"],
        };
        lang.pick(english, japanese)
    }
}

impl Place {
    fn words(self) -> [&'static str; 2] {
        match self {
            Place::Sender => ["at the sender's line", "送信側の回線で"],
            Place::Receiver => ["at the receiver's line", "受信側の回線で"],
        }
    }
}

impl Finding {
    pub fn words(&self, lang: Lang) -> String {
        match self {
            Finding::NothingToProve => {
                choose(lang, ["the file has none".into(), "ファイルに該当なし".into()])
            }
            Finding::Failed(why) => {
                choose(lang, [format!("not measured: {why}"), format!("測定できません: {why}")])
            }
            Finding::Of { ipv6, what } => {
                let family = if *ipv6 { "IPv6" } else { "IPv4" };
                format!("{family}: {}", what.words(lang))
            }
            Finding::Segment(finding) => choose(lang, finding.words()),
            Finding::Established { .. }
            | Finding::NotEstablished { .. }
            | Finding::Reached { .. }
            | Finding::Unreached { .. } => choose(lang, self.reaching()),
            Finding::Addresses { .. } | Finding::Strays(_) | Finding::Absent(_) => {
                choose(lang, self.addresses())
            }
            Finding::Way(_)
            | Finding::SilentHop { .. }
            | Finding::ForeignHop { .. }
            | Finding::NoSuchLink { .. }
            | Finding::NotArrived { .. } => choose(lang, self.way()),
            Finding::Dropped(_) | Finding::NotCounted { .. } | Finding::LetThrough(_) => {
                choose(lang, self.walls())
            }
            Finding::Holds { .. }
            | Finding::HoldsWrong { .. }
            | Finding::WrongPath { .. }
            | Finding::OurCommunity { .. }
            | Finding::NoSession(_)
            | Finding::Withdrew { .. }
            | Finding::StillAnnounced { .. } => choose(lang, self.heard_outside()),
            Finding::RefusedAll { .. }
            | Finding::NotAnnounced(_)
            | Finding::TakenAlthough(_)
            | Finding::Prefers { .. }
            | Finding::PrefersWrong { .. } => choose(lang, self.taken_from_outside()),
            Finding::NothingCrossed { .. }
            | Finding::Crossed(_)
            | Finding::NotRestored(_)
            | Finding::Healed { .. }
            | Finding::NoSecondWay { .. }
            | Finding::NotCut { .. }
            | Finding::NotHealed { .. } => choose(lang, self.survival()),
            _ => choose(lang, self.packets()),
        }
    }

    fn walls(&self) -> [String; 2] {
        match self {
            Finding::Dropped(counted) => {
                let sum: u64 = counted.iter().map(|(_, count)| count).sum();
                let each: Vec<String> =
                    counted.iter().map(|(reason, count)| format!("{} {count}", reason.counter())).collect();
                let each = each.join(", ");
                [format!("{sum} dropped and counted: {each}"), format!("{sum} 個を破棄し計数: {each}")]
            }
            Finding::NotCounted { reason, sent, counted } => {
                let name = reason.counter();
                [
                    format!("{sent} packets sent, {counted} counted as {name}"),
                    format!("{sent} 個を送信、{name} の計数は {counted}"),
                ]
            }
            Finding::LetThrough(what) => {
                let list = list(what);
                [format!("let through or answered: {list}"), format!("通過または応答: {list}")]
            }
            _ => Default::default(),
        }
    }

    fn heard_outside(&self) -> [String; 2] {
        match self {
            Finding::Holds { prefixes, path } => {
                let plural = if *prefixes == 1 { "prefix" } else { "prefixes" };
                [
                    format!("exactly {prefixes} {plural} with path {path}"),
                    format!("ちょうど {prefixes} プレフィックス、パス {path}"),
                ]
            }
            Finding::HoldsWrong { missing, extra } => {
                let (missing, extra) = (list(missing), list(extra));
                [
                    format!("missing: {}; too much: {}", dash(&missing), dash(&extra)),
                    format!("不足: {}、余分: {}", dash(&missing), dash(&extra)),
                ]
            }
            Finding::WrongPath { prefix, path, expected } => [
                format!("{prefix} has path {path} instead of {expected}"),
                format!("{prefix} のパスは {path}、正しくは {expected}"),
            ],
            Finding::OurCommunity { prefix, community } => [
                format!("{prefix} carries our own community {community}"),
                format!("{prefix} に内部用コミュニティ {community} が付いています"),
            ],
            Finding::NoSession(why) => [format!("no session: {why}"), format!("セッションなし: {why}")],
            Finding::Withdrew { after } => {
                let after = seconds(*after);
                [
                    format!("cut off, withdrew everything after {after}"),
                    format!("孤立後 {after} ですべて取り消し"),
                ]
            }
            Finding::StillAnnounced { prefixes, after } => {
                let (list, after) = (list(prefixes), seconds(*after));
                [
                    format!("cut off, still announces after {after}: {list}"),
                    format!("孤立後 {after} でも広告中: {list}"),
                ]
            }
            _ => Default::default(),
        }
    }

    fn taken_from_outside(&self) -> [String; 2] {
        match self {
            Finding::RefusedAll { count, reasons } => {
                let [en, ja] = [0, 1].map(|lang| {
                    let each =
                        reasons.iter().map(|(why, count)| format!("{} {count}", why_words(*why)[lang]));
                    each.collect::<Vec<_>>().join(", ")
                });
                [
                    format!("{count} bad ones attracted nothing; refused: {en}"),
                    format!("不正な広告 {count} 件に到達なし、拒否理由: {ja}"),
                ]
            }
            Finding::NotAnnounced(what) => {
                let list = list(what);
                [format!("never announced: {list}"), format!("広告されていません: {list}")]
            }
            Finding::TakenAlthough(what) => {
                let [en, ja] = [0, 1].map(|lang| {
                    let each =
                        what.iter().map(|(prefix, why)| format!("{prefix} ({})", why_words(*why)[lang]));
                    list(&each.collect::<Vec<_>>())
                });
                [
                    format!("packets came although it is to be refused: {en}"),
                    format!("拒否すべき経路に到達: {ja}"),
                ]
            }
            Finding::Prefers { winners } => {
                let winners = list(winners);
                [format!("all packets went to {winners}"), format!("すべて {winners} へ")]
            }
            Finding::PrefersWrong { at, instead } => {
                let (at, instead) = (list(at), list(instead));
                [
                    format!("packets went to {} instead of {instead}", dash(&at)),
                    format!("{instead} ではなく {} へ", dash(&at)),
                ]
            }
            _ => Default::default(),
        }
    }

    fn survival(&self) -> [String; 2] {
        match self {
            Finding::NothingCrossed { packets, places } => [
                format!("{packets} packets from {places} places, none arrived"),
                format!("{places} 箇所からの {packets} パケット、到達なし"),
            ],
            Finding::Crossed(what) => {
                let list = list(what);
                [format!("arrived in the management plane: {list}"), format!("管理プレーンに到達: {list}")]
            }
            Finding::NotRestored(what) => {
                let list = list(what);
                [format!("mended, but not back: {list}"), format!("復旧後も戻りません: {list}")]
            }
            Finding::Healed { interrupted: 0, of, .. } => {
                [format!("none of {of} pairs interrupted"), format!("{of} 組のいずれも中断なし")]
            }
            Finding::Healed { loss, interrupted, of } => {
                let loss = loss.as_millis();
                [
                    format!("{loss} ms, {interrupted} of {of} pairs interrupted"),
                    format!("{loss} ms、{of} 組中 {interrupted} 組が中断"),
                ]
            }
            Finding::NoSecondWay { apart, loss: Duration::ZERO } => {
                let list = list(apart);
                [
                    format!("the file shows no second way for {list}"),
                    format!("ファイル上 {list} に迂回路なし"),
                ]
            }
            Finding::NoSecondWay { apart, loss } => {
                let (list, loss) = (list(apart), loss.as_millis());
                [
                    format!("the file shows no second way for {list}; all others after {loss} ms"),
                    format!("ファイル上 {list} に迂回路なし、他は {loss} ms"),
                ]
            }
            Finding::NotCut { packets } => [
                format!("{packets} outer packets passed although the link is cut"),
                format!("切断中に外側のパケット {packets} 個が通過"),
            ],
            Finding::NotHealed { pairs, after } => {
                let (list, after) = (list(pairs), seconds(*after));
                [
                    format!("still apart after {after}, though there is a second way: {list}"),
                    format!("迂回路があるのに {after} 後も不通: {list}"),
                ]
            }
            _ => Default::default(),
        }
    }

    fn reaching(&self) -> [String; 2] {
        match self {
            Finding::Established { count, after: Some(after) } => {
                let after = seconds(*after);
                [
                    format!("{count} of {count}, the last after {after}"),
                    format!("{count}/{count}、最後は {after} 後"),
                ]
            }
            Finding::Established { count, after: None } => {
                [format!("{count} of {count}"), format!("{count}/{count}")]
            }
            Finding::NotEstablished { of, missing } => {
                let (count, list) = (of - missing.len().min(*of), list(missing));
                [format!("{count} of {of}; not established: {list}"), format!("{count}/{of}、未確立: {list}")]
            }
            Finding::Reached { count, slowest } => {
                let slowest = millis(*slowest);
                [
                    format!("{count} of {count} answered, the slowest in {slowest}"),
                    format!("{count}/{count} が応答、最長 {slowest}"),
                ]
            }
            Finding::Unreached { of, missing } => {
                let (count, list) = (of - missing.len().min(*of), list(missing));
                [
                    format!("{count} of {of} answered; no answer: {list}"),
                    format!("{count}/{of} が応答、応答なし: {list}"),
                ]
            }
            _ => Default::default(),
        }
    }

    fn addresses(&self) -> [String; 2] {
        match self {
            Finding::Addresses { loopback, link_local, outside, gateways: 0 } => [
                format!("{loopback} loopback, {link_local} link-local, {outside} outside"),
                format!("ループバック {loopback}、リンクローカル {link_local}、外部接続 {outside}"),
            ],
            Finding::Addresses { loopback, link_local, outside, gateways } => {
                let word = if *gateways == 1 { "gateway" } else { "gateways" };
                [
                    format!(
                        "{loopback} loopback, {link_local} link-local, {outside} outside, {gateways} {word}"
                    ),
                    format!(
                        "ループバック {loopback}、リンクローカル {link_local}、外部接続 {outside}、\
                         ゲートウェイ {gateways}"
                    ),
                ]
            }
            Finding::Strays(strays) => {
                let list = list(strays);
                [format!("has no place in the fabric: {list}"), format!("fabric にあってはならない: {list}")]
            }
            Finding::Absent(absent) => {
                let list = list(absent);
                [format!("missing: {list}"), format!("不足: {list}")]
            }
            _ => Default::default(),
        }
    }

    fn way(&self) -> [String; 2] {
        match self {
            Finding::Way(way) => {
                let (hops, way) = (way.len(), way.join(" → "));
                let hop = if hops == 1 { "hop" } else { "hops" };
                [format!("{hops} {hop}: {way}"), format!("{hops} ホップ: {way}")]
            }
            Finding::SilentHop { hop, way } => {
                let way = way.join(" → ");
                [format!("hop {hop} does not answer: {way}"), format!("ホップ {hop} が応答しません: {way}")]
            }
            Finding::ForeignHop { hop, address } => [
                format!("hop {hop} answers with {address}, which is no loopback"),
                format!("ホップ {hop} の応答 {address} はループバックではありません"),
            ],
            Finding::NoSuchLink { from, to } => [
                format!("from {from} straight to {to}: the file has no such link"),
                format!("{from} から {to} へ直接のリンクはファイルにありません"),
            ],
            Finding::NotArrived { way } => {
                let way = way.join(" → ");
                [format!("ends before its destination: {way}"), format!("宛先に届きません: {way}")]
            }
            _ => Default::default(),
        }
    }

    fn packets(&self) -> [String; 2] {
        match self {
            Finding::TwoPackets { inner, v4, v6, path_mtu } => {
                let (v4, v6) = (sum(v4), sum(v6));
                let each = match (v4.is_empty(), v6.is_empty()) {
                    (_, true) => v4,
                    (true, _) => v6,
                    _ if v4 == v6 => v4,
                    _ => format!("{v4} (IPv4), {v6} (IPv6)"),
                };
                [
                    format!("{inner} in {each} of at most {path_mtu}"),
                    format!("{inner} → {each}、上限 {path_mtu}"),
                ]
            }
            Finding::Unsent { inner, why } => [
                format!("a packet of {inner} bytes cannot be sent: {why}"),
                format!("{inner} バイトのパケットを送信できません: {why}"),
            ],
            Finding::Lost { inner } => [
                format!("a packet of {inner} bytes does not arrive"),
                format!("{inner} バイトのパケットが届きません"),
            ],
            Finding::Changed { pieces, inner } => {
                let pieces = sum(pieces);
                [
                    format!("sent with {inner} bytes, arrived with {pieces}"),
                    format!("{inner} バイトで送信、{pieces} バイトで到着"),
                ]
            }
            Finding::Pieces { place, pieces } => {
                let ([at, ja], count, pieces) = (place.words(), pieces.len(), sum(pieces));
                let packets = if count == 1 { "packet" } else { "packets" };
                [
                    format!("{count} outer {packets} {at} instead of 2: {pieces}"),
                    format!("{ja}外側のパケットが 2 ではなく {count}: {pieces}"),
                ]
            }
            Finding::TooLarge { place, length, path_mtu } => {
                let [at, ja] = place.words();
                [
                    format!("an outer packet of {length} bytes {at}; the path passes {path_mtu}"),
                    format!("{ja}外側 {length} バイト、経路の上限は {path_mtu}"),
                ]
            }
            Finding::OnePacket { packets, largest, bytes } => {
                let kib = bytes / 1024;
                [
                    format!("{kib} KiB each way in {packets} packets, none cut, the largest {largest}"),
                    format!("往復各 {kib} KiB を {packets} パケット、分割なし、最大 {largest}"),
                ]
            }
            Finding::Fragments { place, count, of } => {
                let [at, ja] = place.words();
                [
                    format!("{count} of {of} outer packets {at} are fragments"),
                    format!("{ja}外側 {of} パケット中 {count} がフラグメント"),
                ]
            }
            Finding::Elsewhere { place } => {
                let [at, ja] = place.words();
                [format!("nothing of it was seen {at}"), format!("{ja}観測されません")]
            }
            Finding::NoTransfer(why) => [format!("the transfer failed: {why}"), format!("転送に失敗: {why}")],
            _ => Default::default(),
        }
    }
}

/// At most this many names in a row of the table; the rest is counted.
const MOST: usize = 6;

pub(super) fn list(names: &[String]) -> String {
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} +{}", names.len() - MOST) } else { shown }
}

/// Why an announcement is to be refused.
fn why_words(why: Why) -> [&'static str; 2] {
    match why {
        Why::Default => ["default", "デフォルト経路"],
        Why::Bogon => ["bogon", "bogon"],
        Why::TooLong => ["too long", "プレフィックス長超過"],
        Why::OwnPrefix => ["our own", "自網のプレフィックス"],
        Why::OwnAsn => ["our AS in its path", "パスに自 AS"],
        Why::PrivateAsn => ["private AS in its path", "パスにプライベート AS"],
        Why::FirstAs => ["another AS first", "先頭が隣接 AS でない"],
        Why::NotListed => ["not listed", "リストにない"],
        Why::NotTheCustomers => ["not the customer's", "顧客のものでない"],
    }
}

/// Nothing at all is a dash.
fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

pub(super) fn sum(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

pub(super) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_title_is_short_and_both_languages_differ() {
        for id in ProofId::ALL {
            assert!(id.title(Lang::En).len() <= 30, "{id:?}");
            assert_ne!(id.title(Lang::En), id.title(Lang::Ja));
        }
    }

    #[test]
    fn two_packets_in_words() {
        let same =
            Finding::TwoPackets { inner: 2400, v4: vec![1496, 1004], v6: vec![1496, 1004], path_mtu: 1500 };
        assert_eq!(same.words(Lang::En), "2400 in 1496 + 1004 of at most 1500");
        let three = Finding::Of {
            ipv6: true,
            what: Box::new(Finding::Pieces { place: Place::Receiver, pieces: vec![1496, 1004, 60] }),
        };
        assert_eq!(
            three.words(Lang::En),
            "IPv6: 3 outer packets at the receiver's line instead of 2: 1496 + 1004 + 60"
        );
        assert_eq!(
            three.words(Lang::Ja),
            "IPv6: 受信側の回線で外側のパケットが 2 ではなく 3: 1496 + 1004 + 60"
        );
    }

    #[test]
    fn long_lists_are_counted() {
        let names: Vec<String> = (1..=8).map(|n| format!("r{n}")).collect();
        assert_eq!(list(&names), "r1, r2, r3, r4, r5, r6 +2");
    }
}
