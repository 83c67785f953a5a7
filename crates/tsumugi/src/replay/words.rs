//! A replay in words, English and Japanese, and as JSON.

use super::session::{Counts, Ended, Event};
use super::table::{LeftOut, NoTable, Table};
use crate::observe::words::notification_words;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tsumugi_core::wire::mrt::{Peer, Skipped};
use tsumugi_plan::explain::Lang;

/// Peers of a dump that are named where one is asked for that is not there.
const NAMED: usize = 20;

impl LeftOut {
    pub fn words(self, lang: Lang) -> String {
        match self {
            LeftOut::Kind(Skipped::FirstTableDump) => lang.pick(
                "records of TABLE_DUMP, which has AS numbers of two octets: not read".into(),
                "TABLE_DUMP (2オクテットのAS番号) のレコード: 読みません".into(),
            ),
            LeftOut::Kind(Skipped::OtherFamily) => lang.pick(
                "records of other families than IPv4 and IPv6 unicast: not read".into(),
                "IPv4・IPv6ユニキャスト以外のレコード: 読みません".into(),
            ),
            LeftOut::SessionRecord => lang.pick(
                "records of what was said in sessions (BGP4MP): they are no table".into(),
                "セッションの記録 (BGP4MP): 経路表ではありません".into(),
            ),
            LeftOut::Kind(Skipped::OtherKind { kind, subtype }) => lang.pick(
                format!("records of type {kind}, subtype {subtype}: not read"),
                format!("タイプ{kind}、サブタイプ{subtype}のレコード: 読みません"),
            ),
            LeftOut::Unreadable(error) => lang
                .pick(format!("records that cannot be read: {error}"), format!("読めないレコード: {error}")),
            LeftOut::NoPeer => lang.pick(
                "routes of peers that the dump does not name".into(),
                "ダンプに名前のない相手の経路".into(),
            ),
            LeftOut::Attributes => lang.pick(
                "routes whose attributes nobody would take (RFC 7606)".into(),
                "属性が壊れていて誰も受け取らない経路 (RFC 7606)".into(),
            ),
        }
    }
}

fn left_out_lines(left_out: &BTreeMap<LeftOut, u64>, lang: Lang) -> String {
    left_out.iter().map(|(why, count)| format!("\n  {count} {}", why.words(lang))).collect()
}

impl NoTable {
    pub fn words(&self, lang: Lang) -> String {
        match self {
            NoTable::Read(error) => {
                lang.pick(format!("cannot be read: {error}"), format!("読めません: {error}"))
            }
            NoTable::Packed { by, unpack } => lang.pick(
                format!("is packed by {by}; `{unpack} FILE | tsumugi replay - ...` unpacks it"),
                format!("{by}で圧縮されています。`{unpack} FILE | tsumugi replay - ...`で展開できます"),
            ),
            NoTable::Cut { at } => lang.pick(
                format!("ends within the record that begins at byte {at}: it is not complete"),
                format!("バイト{at}から始まるレコードの途中で終わっています。完全なファイルではありません"),
            ),
            NoTable::Broken { at, error } => lang.pick(
                format!("is no MRT file from byte {at} on: {error}"),
                format!("バイト{at}から先はMRTファイルではありません: {error}"),
            ),
            NoTable::NoSuchPeer(peers) => {
                let named = |peer: &Peer| format!("\n  {} {}", peer.address, peer.asn);
                let mut list: String = peers.iter().take(NAMED).map(named).collect();
                if let Some(more @ 1..) = peers.len().checked_sub(NAMED) {
                    list.push_str(&lang.pick(format!("\n  and {more} more"), format!("\n  ほか{more}")));
                }
                lang.pick(
                    format!("has no routes of that peer; its peers are:{list}"),
                    format!("その相手の経路はありません。ダンプの相手:{list}"),
                )
            }
            NoTable::Empty(left_out) => {
                lang.pick("holds no route to be told", "広告できる経路がありません").to_owned()
                    + &left_out_lines(left_out, lang)
            }
        }
    }
}

impl Table {
    pub fn words(&self, lang: Lang) -> String {
        let (routes, sets) = (self.routes, self.sets.len());
        lang.pick(
            format!("read {routes} routes with {sets} sets of attributes"),
            format!("経路{routes}件 (属性の組{sets}件) を読みました"),
        ) + &left_out_lines(&self.left_out, lang)
    }

    pub fn json(&self) -> Value {
        let left_out = self.left_out.iter();
        let left_out: Vec<Value> =
            left_out.map(|(why, count)| json!({ "why": why.words(Lang::En), "count": count })).collect();
        json!({ "event": "read", "routes": self.routes, "sets": self.sets.len(), "left_out": left_out })
    }
}

impl Counts {
    fn json(self) -> Value {
        json!({
            "routes": self.told, "messages": self.messages, "no_way_ipv4": self.no_way4,
            "no_way_ipv6": self.no_way6, "too_long": self.too_long,
        })
    }

    fn left_out_words(self, lang: Lang) -> String {
        let mut words = String::new();
        for (count, family) in [(self.no_way4, "IPv4"), (self.no_way6, "IPv6")] {
            if count > 0 {
                words.push_str(&lang.pick(
                    format!(
                        "\n  {count} {family} routes not: the far end does not take {family}, or there is no next \
                         hop of it (--next-hop)"
                    ),
                    format!(
                        "\n  {family}の経路{count}件は広告していません: 相手が{family}を受け取らないか、\
                         ネクストホップがありません (--next-hop)"
                    ),
                ));
            }
        }
        if self.too_long > 0 {
            words.push_str(&lang.pick(
                format!("\n  {} routes not: their attributes do not fit into a message", self.too_long),
                format!("\n  経路{}件は広告していません: 属性がメッセージに収まりません", self.too_long),
            ));
        }
        words
    }
}

impl Event {
    pub fn words(&self, of: u64, lang: Lang) -> String {
        match self {
            Event::Established { asn, identifier, after } => {
                let seconds = after.as_secs_f64();
                lang.pick(
                    format!("established with {asn}, router id {identifier}, after {seconds:.1} s"),
                    format!("{asn} (ルーターID {identifier}) と{seconds:.1}秒後に確立しました"),
                )
            }
            Event::Progress(counts) => {
                let told = counts.told;
                lang.pick(format!("{told} of {of} routes"), format!("経路{of}件のうち{told}件"))
            }
            Event::Told { counts, after } => {
                let (told, messages, seconds) = (counts.told, counts.messages, after.as_secs_f64());
                lang.pick(
                    format!("told {told} routes in {messages} UPDATEs within {seconds:.2} s"),
                    format!("経路{told}件を{messages}通のUPDATEで{seconds:.2}秒のうちに広告しました"),
                ) + &counts.left_out_words(lang)
            }
            Event::Asked => lang
                .pick("asked for everything again (RFC 2918)", "もう一度すべてを求められました (RFC 2918)")
                .into(),
        }
    }

    pub fn json(&self) -> Value {
        match self {
            Event::Established { asn, identifier, after } => json!({
                "event": "established", "asn": asn.0, "router_id": identifier, "seconds": after.as_secs_f64(),
            }),
            Event::Progress(counts) => json!({ "event": "progress", "counts": counts.json() }),
            Event::Told { counts, after } => {
                json!({ "event": "told", "counts": counts.json(), "seconds": after.as_secs_f64() })
            }
            Event::Asked => json!({ "event": "asked-again" }),
        }
    }
}

impl Ended {
    pub fn words(&self, lang: Lang) -> String {
        match self {
            Ended::Stopped => lang.pick("stopped".into(), "終了しました".into()),
            Ended::Connection(error) => {
                lang.pick(format!("no connection: {error}"), format!("接続できません: {error}"))
            }
            Ended::Closed => lang.pick(
                "the far end closed the connection and gave no reason; it may not know us as its neighbour"
                    .into(),
                "相手が理由を言わずに接続を閉じました。こちらを隣接として知らないのかもしれません".into(),
            ),
            Ended::Notification(notification) => {
                let said = notification_words(notification, lang);
                lang.pick(format!("the far end ended it: {said}"), format!("相手が終わらせました: {said}"))
            }
            Ended::Unreadable(error) => lang.pick(
                format!("the far end said what cannot be read: {error}"),
                format!("相手の送ったものが読めません: {error}"),
            ),
            Ended::Unexpected => lang.pick(
                "the far end said something out of turn".into(),
                "相手が順序に合わないメッセージを送りました".into(),
            ),
            Ended::OwnAs => lang.pick(
                "the far end is of the same AS: a table is told from outside, say another --as".into(),
                "相手が同じASです。経路表は外のASとして広告します。--asを変えてください".into(),
            ),
            Ended::Silent => lang.pick(
                "the far end was silent for the hold time".into(),
                "相手がホールド時間のあいだ何も言いませんでした".into(),
            ),
        }
    }
}
