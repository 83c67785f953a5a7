//! Words for people, in English and Japanese: all that the plan's reasons are called.

mod bfd;
mod bmp;
mod carried;
mod frr;
mod line;
mod link;
mod list;
mod management;
pub mod mtu;
mod naming;
mod network;
mod peer;
pub mod plan;
pub mod policy;
mod reading;
mod render;
mod rpki;
mod segment;

pub use render::{render, to_json};

use crate::declaration::line::{Family, Net};
use crate::declaration::{Pass, word};
use crate::problem::{Noun, ProblemKind};
use tsumugi_core::mtu::Account;

/// The languages that tsumugi speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    En,
    Ja,
}

impl Lang {
    pub const ALL: [Lang; 2] = [Lang::En, Lang::Ja];

    /// As it is typed (ISO 639-1).
    pub fn code(self) -> &'static str {
        self.pick("en", "ja")
    }

    /// The language of a POSIX locale such as `ja_JP.UTF-8`; English if it is none of ours.
    pub fn of_locale(locale: &str) -> Lang {
        let language = locale.split(['_', '.', '@']).next();
        Lang::ALL.into_iter().find(|lang| Some(lang.code()) == language).unwrap_or(Lang::En)
    }

    pub fn pick<T>(self, english: T, japanese: T) -> T {
        match self {
            Lang::En => english,
            Lang::Ja => japanese,
        }
    }
}

/// What is wrong and what to write instead, in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub en: Text,
    pub ja: Text,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    pub what: String,
    pub instead: String,
    /// An arithmetic, line by line.
    pub lines: Vec<String>,
}

impl Words {
    fn new(
        en: impl Into<String>,
        en_instead: impl Into<String>,
        ja: impl Into<String>,
        ja_instead: impl Into<String>,
    ) -> Words {
        let text = |what, instead| Text { what, instead, lines: Vec::new() };
        Words { en: text(en.into(), en_instead.into()), ja: text(ja.into(), ja_instead.into()) }
    }

    fn with_lines(mut self, arithmetic: &Account) -> Words {
        self.en.lines = mtu::lines(arithmetic, Lang::En);
        self.ja.lines = mtu::lines(arithmetic, Lang::Ja);
        self
    }

    pub fn in_lang(&self, lang: Lang) -> &Text {
        match lang {
            Lang::En => &self.en,
            Lang::Ja => &self.ja,
        }
    }
}

/// The words for a reason.
pub fn words(kind: &ProblemKind) -> Words {
    match kind {
        ProblemKind::Reading(kind) => reading::words(kind),
        ProblemKind::Naming(kind) => naming::words(kind),
        ProblemKind::Network(kind) => network::words(kind),
        ProblemKind::Line(kind) => line::words(kind),
        ProblemKind::Link(kind) => link::words(kind),
        ProblemKind::Segment(kind) => segment::words(kind),
        ProblemKind::Peer(kind) => peer::words(kind),
        ProblemKind::Management(kind) => management::words(kind),
        ProblemKind::Rpki(kind) => rpki::words(kind),
        ProblemKind::Bmp(kind) => bmp::words(kind),
        ProblemKind::Bfd(kind) => bfd::words(kind),
        ProblemKind::Frr(kind) => frr::words(kind),
        ProblemKind::TunnelTwice => Words::new(
            "a tunnel of this kind between these two addresses is there already, and nothing would tell the two apart",
            "remove one, take another line, or use wireguard",
            "同じ2つのアドレスのあいだに、同じ種類のトンネルがすでにあります。届いたパケットがどちらのものか区別できません",
            "片方を消すか、別の回線にするか、wireguardにしてください",
        ),
        ProblemKind::Unchecked => Words::new(
            "this file was not checked before it was compiled",
            "run `tsumugi check` on it",
            "確認されていないファイルです",
            "先に`tsumugi check`を実行してください",
        ),
        ProblemKind::TooManyPackets { link, mtu, packets, arithmetic } => Words::new(
            format!("a full packet of {mtu} bytes on {link} would become {packets} packets outside, and two are the most"),
            "lower the MTU, or take a line that passes larger packets",
            format!("{link}では、{mtu}バイトの最大のパケットが外側で{packets}個になります。2個までにしてください"),
            "MTUを下げるか、もっと大きなパケットを通す回線にしてください",
        )
        .with_lines(arithmetic),
        ProblemKind::SegmentTooSmall { segment, needs, has, arithmetic } => Words::new(
            format!("a full packet of segment {segment} needs {needs} bytes, and the links carry {has}"),
            "raise `mtu` in [network]",
            format!("セグメント {segment}の最大のパケットには{needs}バイト必要ですが、リンクは{has}バイトしか運びません"),
            "[network]の`mtu`を上げてください",
        )
        .with_lines(arithmetic),
    }
}

fn noun(what: Noun) -> (&'static str, &'static str) {
    match what {
        Noun::Site => ("site", "拠点"),
        Noun::Device => ("device", "機器"),
        Noun::Person => ("person", "人"),
        Noun::Router => ("router", "ルーター"),
        Noun::Uplink => ("uplink", "回線"),
        Noun::Segment => ("segment", "セグメント"),
        Noun::Peer => ("peer", "ピア"),
    }
}

fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn net(net: Net) -> (&'static str, &'static str) {
    match net {
        Net::NgnEast => ("NGN East", "NGN東日本"),
        Net::NgnWest => ("NGN West", "NGN西日本"),
        Net::Internet => ("the Internet", "インターネット"),
    }
}

fn pass(what: Pass) -> (String, String) {
    let name = word(what);
    match what {
        Pass::Udp => ("UDP".into(), "UDP".into()),
        Pass::Gre => ("IP protocol 47 (gre)".into(), "IPプロトコル47(gre)".into()),
        Pass::EtherIp => ("IP protocol 97 (etherip)".into(), "IPプロトコル97(etherip)".into()),
        Pass::Fragments => (format!("fragments ({name})"), format!("フラグメント({name})")),
        Pass::Incoming => (format!("calls from outside ({name})"), format!("外からの呼び出し({name})")),
    }
}
