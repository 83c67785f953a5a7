//! Words for the quality of a path: what was found, what is wrong with it and what to do.

use crate::observe::status::{MeasuredPath, ProbeRefused, VoidPath};
use tsumugi_core::tunnel::path::{
    Affected, Answerer, Direction, Looking, PathTrouble, Stage, Tally, TcpThen,
};
use tsumugi_plan::explain::Lang;

/// A measured path, line by line: numbers first, then troubles with what to do.
pub fn measured_path(path: &MeasuredPath, lang: Lang) -> Vec<String> {
    let finding = &path.kept.finding;
    let when = utc(path.kept.measured_at);
    let (line, local, remote) = (&path.kept.ends.line, path.kept.ends.local, path.kept.ends.remote);
    let mut lines = vec![lang.pick(
        format!("measured {when} on line {line}, {local} to {remote}"),
        format!("{when}に測定。回線 {line}、{local} → {remote}"),
    )];
    match &finding.back {
        Some(back) => {
            lines.push(direction(lang.pick("to the far end", "相手へ"), &finding.out, lang));
            lines.push(direction(lang.pick("from it", "相手から"), back, lang));
        }
        None => lines.push(direction(lang.pick("there and back", "往復"), &finding.out, lang)),
    }
    lines.extend(not_known(finding.answered_by, lang).map(str::to_owned));
    let rtt = [finding.least_rtt_us, finding.median_rtt_us].map(milliseconds);
    lines.push(lang.pick(
        format!("round trip {} ms, at best {} ms", rtt[1], rtt[0]),
        format!("往復 {}ms、最短 {}ms", rtt[1], rtt[0]),
    ));
    let MeasuredPath { path_mtu, planned_now, .. } = path;
    lines.push(if path.by_kernel {
        lang.pick(
            format!("the kernel cuts packets at {path_mtu}, as the file says: what was found changes that only once the file says it"),
            format!("カーネルはファイルどおり{path_mtu}で分割します。測定結果はファイルに書くまで使われません"),
        )
    } else if path_mtu == planned_now {
        lang.pick(
            format!("packets are cut at {path_mtu}, as the file says"),
            format!("外側のパケットはファイルどおり{path_mtu}で分割"),
        )
    } else {
        lang.pick(
            format!("packets are cut at {path_mtu}, not at the {planned_now} of the file"),
            format!("外側のパケットはファイルの{planned_now}ではなく{path_mtu}で分割"),
        )
    });
    if let Some([ipv4, ipv6]) = path.mss {
        lines.push(lang.pick(
            format!("TCP is told MSS {ipv4} (IPv4) and {ipv6} (IPv6), so that it fits one packet"),
            format!("TCPのMSSを{ipv4} (IPv4)、{ipv6} (IPv6)に抑え、1パケットに収める"),
        ));
    }
    lines.extend(path.troubles.iter().map(|trouble| path_trouble(trouble, lang)));
    lines
}

/// What could not be known where the far end is not ours to ask.
fn not_known(answered_by: Answerer, lang: Lang) -> Option<&'static str> {
    match answered_by {
        Answerer::Datapath => None,
        Answerer::Neighbour => Some(lang.pick(
            "the neighbour inside answered echo requests. Not known: in which direction something is lost or too \
             large, whether fragments from there may come out of order, and sizes above what fits the tunnel's mtu. \
             Answers that it withholds (many routers limit them) count as lost",
            "トンネル内の隣接ノードのエコー応答で測りました。どちらの方向の損失やサイズ制限か、相手からの\
             フラグメントの順序逆転が通るか、トンネルのmtuを超えるサイズが通るかは分かりません。\
             相手が返さなかった応答(制限するルーターは多い)も損失に数えます",
        )),
        Answerer::Machine => Some(lang.pick(
            "the far end's machine answered echo requests beside the tunnel. Not known: in which direction something \
             is lost or too large, whether fragments from there may come out of order, and whether a wall on the way \
             treats the tunnel's own packets as it does ICMP. Answers that it withholds count as lost",
            "トンネルの外で、相手の機器のエコー応答で測りました。どちらの方向の損失やサイズ制限か、相手からの\
             フラグメントの順序逆転が通るか、途中のファイアウォールがトンネルのパケットをICMPと同じに扱うかは\
             分かりません。相手が返さなかった応答も損失に数えます",
        )),
    }
}

/// That nothing came back, and what to do.
pub fn unanswered(asked: Answerer, lang: Lang) -> &'static str {
    match asked {
        Answerer::Datapath => lang.pick(
            "not one answer: nothing passes, or the far end's datapath is down, of an older version, or leaves this \
             tunnel to its kernel. What was known of the path stays in force",
            "応答が一つもありません。何も通らないか、相手のデータパスが止まっているか、古いバージョンか、\
             相手側でカーネルがこのトンネルを転送しています。これまでの値を使い続けます",
        ),
        Answerer::Neighbour | Answerer::Machine => lang.pick(
            "not one answer to echo requests, inside the tunnel or beside it: nothing passes, or ICMP echo is dropped \
             there. Ask its operator to let echo requests pass for a minute, or to measure from there; or state what \
             the line passes with path-mtu. What was known of the path stays in force",
            "トンネルの内側でも外側でも、エコー要求に一つも応答がありません。何も通らないか、相手がICMPエコーを\
             捨てています。しばらく通してもらうか、相手側で測ってもらうか、回線の値をpath-mtuに書いてください。\
             これまでの値を使い続けます",
        ),
    }
}

/// Why what was measured is not used.
pub fn void_path(void: &VoidPath, lang: Lang) -> String {
    let VoidPath { measured_at, found, planned_then, planned_now } = void;
    let when = utc(*measured_at);
    let found = found.map_or_else(|| "?".to_owned(), |found| found.to_string());
    lang.pick(
        format!(
            "measured {when} ({found}) and not used any more: the file said {planned_then} of the path then and says \
             {planned_now} now. `tsumugi probe` measures anew"
        ),
        format!(
            "{when}の測定({found})は使いません。ファイルの値が当時の{planned_then}から{planned_now}に変わったためです。\
             `tsumugi probe`で測り直せます"
        ),
    )
}

fn direction(name: &str, direction: &Direction, lang: Lang) -> String {
    let Direction { mtu, pieces, turned, train, jitter_us } = direction;
    let jitter = milliseconds(*jitter_us);
    let size = match mtu {
        Some(mtu) => lang.pick(format!("{mtu} bytes pass whole"), format!("{mtu}バイトまで分割なしで通過")),
        None => lang.pick("not even the least size passes", "最小のサイズも通らない").to_owned(),
    };
    let lost = of(train.lost(), train.sent);
    lang.pick(
        format!(
            "{name}: {size}, {}, {}, {lost} lost, jitter {jitter} ms",
            passed("fragments", *pieces),
            passed("out of order", *turned)
        ),
        format!(
            "{name}: {size}、フラグメント{}、順序逆転{}、損失 {lost}、ゆらぎ {jitter}ms",
            passed_ja(*pieces),
            passed_ja(*turned)
        ),
    )
}

fn passed(what: &str, tally: Tally) -> String {
    match tally {
        Tally { sent: 0, .. } => format!("{what} not tried"),
        Tally { arrived: 0, .. } => format!("{what} DROPPED"),
        Tally { sent, arrived } if sent == arrived => format!("{what} pass"),
        Tally { sent, arrived } => format!("{what} pass ({arrived} of {sent})"),
    }
}

fn passed_ja(tally: Tally) -> String {
    match tally {
        Tally { sent: 0, .. } => "は未測定".into(),
        Tally { arrived: 0, .. } => "は届かない".into(),
        Tally { sent, arrived } if sent == arrived => "は通過".into(),
        Tally { sent, arrived } => format!("は通過 ({sent}中{arrived})"),
    }
}

fn of(part: u32, all: u32) -> String {
    let permille = u64::from(part) * 1000 / u64::from(all.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

fn milliseconds(microseconds: u32) -> String {
    let hundredths = microseconds / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// What is wrong with a path, and what to do.
pub fn path_trouble(trouble: &PathTrouble, lang: Lang) -> String {
    match *trouble {
        PathTrouble::TooNarrow { affected } => {
            let way = way(affected, lang);
            lang.pick(
                format!(
                    "TROUBLE: the path {way} passes not even the least packet whole. Something on it takes \
                     more room than the line's contract says: ask who runs the line; until then use another"
                ),
                format!(
                    "問題: {way}の経路は最小のパケットも通しません。途中で契約以上にヘッダーが付いています。\
                     回線の事業者に問い合わせ、それまでは別の回線を使ってください"
                ),
            )
        }
        PathTrouble::PiecesDropped { affected, inner, tcp } => {
            let way = way(affected, lang);
            let tcp = match (tcp, lang) {
                (TcpThen::FitsAnyway, Lang::En) => "TCP is made to fit although the plan says clamp off, or it would hang",
                (TcpThen::FitsAnyway, Lang::Ja) => {
                    "TCPは止まらないよう、計画ではclampがoffでも1パケットに収めています"
                }
                (TcpThen::Fits, Lang::En) => "TCP is made to fit",
                (TcpThen::Fits, Lang::Ja) => "TCPは1パケットに収めています",
                (TcpThen::Hangs, Lang::En) => "TCP hangs too, as the plan says clamp off",
                (TcpThen::Hangs, Lang::Ja) => "計画でclampがoffのため、TCPも止まります",
            };
            lang.pick(
                format!(
                    "TROUBLE: the path {way} drops IP fragments: a packet of more than {inner} bytes inside does \
                     not arrive ({tcp}). Ask who runs the line, or the firewall in between, to let fragments \
                     pass (IPv6 next header 44, IPv4 packets with an offset); or carry the link over another line, \
                     or state mtu = {inner} if everything on it may be that small"
                ),
                format!(
                    "問題: {way}の経路がIPフラグメントを捨てています。内側で{inner}バイトを超えるパケットは届きません\
                     ({tcp})。回線の事業者か、途中のファイアウォールの管理者に、フラグメント(IPv6の次ヘッダー44、\
                     IPv4のオフセット付き)を通すよう頼んでください。別の回線に移すか、全体が小さくてよければ\
                     mtu = {inner}と書く方法もあります"
                ),
            )
        }
        PathTrouble::TurnedDropped { affected } => {
            let way = way(affected, lang);
            lang.pick(
                format!(
                    "the path {way} drops fragments that come out of order: packets in two pieces are lost \
                     wherever the line reorders. If large packets are lost now and then, ask the provider (some \
                     clouds do this by default)"
                ),
                format!(
                    "{way}の経路は順序の入れ替わったフラグメントを捨てます。回線で順序が入れ替わると、\
                     2つに分けたパケットが失われます。大きなパケットがときどき消えるなら事業者に問い合わせてください\
                     (既定でこうするクラウドもあります)"
                ),
            )
        }
        PathTrouble::Narrower { affected, measured, planned } => {
            let way = way(affected, lang);
            lang.pick(
                format!(
                    "the path {way} is narrower than the file says: {measured}, not {planned}. Write path-mtu = \
                     {measured} at the line's uplink, so that the rest of the network counts on it too"
                ),
                format!(
                    "{way}の経路はファイルの{planned}より狭く、{measured}です。ネットワーク全体の計算に入るよう、\
                     回線(uplink)にpath-mtu = {measured}と書いてください"
                ),
            )
        }
        PathTrouble::MorePackets { packets } => lang.pick(
            format!("TROUBLE: a full packet leaves as {packets} outer packets, not two; a smaller mtu would mend it"),
            format!("問題: 最大のパケットが2つではなく{packets}つの外側パケットになります。mtuを小さくすれば直ります"),
        ),
    }
}

fn way(affected: Affected, lang: Lang) -> &'static str {
    match affected {
        Affected::Out => lang.pick("to the far end", "相手へ"),
        Affected::Back => lang.pick("from the far end", "相手から"),
        Affected::Both => lang.pick("in both directions", "両方向"),
        Affected::Either => lang.pick("there or back", "往復のどちらか"),
    }
}

/// Why a path is not measured, and what to do.
pub fn probe_refused(reason: ProbeRefused, lang: Lang) -> &'static str {
    match reason {
        ProbeRefused::NotUnderstood => lang.pick(
            "the datapath did not understand the question: it is of another version",
            "データパスが問い合わせを理解できません(バージョンが違います)",
        ),
        ProbeRefused::NoTunnel => lang.pick(
            "the datapath runs no such tunnel; `tsumugi status` shows those that it runs",
            "データパスにそのトンネルはありません。動いているものは`tsumugi status`で分かります",
        ),
        ProbeRefused::NotAsked => lang.pick(
            "the file says that this far end is not to be asked (keepalive)",
            "ファイルで、この相手には問い合わせないことになっています(keepalive)",
        ),
        ProbeRefused::NotUp => lang.pick(
            "the tunnel is not up: its line, an address or its session is missing; `tsumugi status` says which",
            "トンネルがまだ使えません。回線、アドレス、セッションのどれかがありません。`tsumugi status`で分かります",
        ),
        ProbeRefused::Busy => lang.pick(
            "as many paths as may be are being measured already: try again in a minute",
            "同時に測れる数に達しています。少し待ってからもう一度試してください",
        ),
        ProbeRefused::Changed => lang.pick(
            "a new plan changed the tunnel meanwhile: probe again",
            "測定中に計画が変わりました。もう一度測ってください",
        ),
    }
}

/// What a measurement is at.
pub fn probe_stage(stage: &Stage, lang: Lang) -> String {
    match stage {
        Stage::Greeting => lang.pick("greeting the far end", "相手に呼びかけています").into(),
        Stage::Train { sent, of } => {
            lang.pick(format!("loss and jitter: {sent} of {of}"), format!("損失とゆらぎ: {of}中{sent}"))
        }
        Stage::Courses { out, back } => {
            let out = looking(*out, lang);
            let Some(back) = back.map(|back| looking(back, lang)) else {
                return lang.pick(format!("there and back: {out}"), format!("往復: {out}"));
            };
            lang.pick(format!("there: {out}; back: {back}"), format!("往き: {out}、帰り: {back}"))
        }
    }
}

fn looking(at: Looking, lang: Lang) -> String {
    match at {
        Looking::Sizes { least, most } => {
            lang.pick(format!("sizes {least} to {most}"), format!("サイズ {least}〜{most}"))
        }
        Looking::Pieces => lang.pick("fragments", "フラグメント").into(),
        Looking::Turned => lang.pick("fragments out of order", "順序の逆転").into(),
        Looking::Done => lang.pick("done", "完了").into(),
    }
}

/// A moment by its seconds since 1970: `2026-11-25 01:23 UTC`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin with March, eras of 400 of them: the leap day is the last of a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) =
        if month < 10 { (year + era * 400, month + 3) } else { (year + era * 400 + 1, month - 9) };
    format!("{year:04}-{month:02}-{of_month:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured() -> MeasuredPath {
        let tally = |sent: u32, arrived: u32| json!({"sent": sent, "arrived": arrived});
        let document = json!({
            "by": "gre", "line": "eth1", "local": "2001:db8:101::1", "remote": "2001:db8:102::1",
            "measured_at": 1_795_570_000,
            "out": {"mtu": 1400, "pieces": tally(4, 4), "turned": tally(4, 3), "train": tally(100, 99),
                    "jitter_us": 120},
            "back": {"mtu": 1500, "pieces": tally(6, 0), "turned": tally(6, 0), "train": tally(99, 99),
                     "jitter_us": 4010},
            "least_rtt_us": 5210, "median_rtt_us": 6004,
            "planned_mtu": 1500, "planned_now": 1500, "path_mtu": 1400, "mss": [1316, 1296],
            "troubles": [
                {"trouble": "pieces-dropped", "affected": "back", "inner": 1356, "tcp": "fits-anyway"},
                {"trouble": "narrower", "affected": "out", "measured": 1400, "planned": 1500},
            ],
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn what_an_echo_cannot_tell_is_said() {
        let mut path = measured();
        path.kept.finding.back = None;
        for (answered_by, words) in [
            (Answerer::Neighbour, "sizes above what fits the tunnel's mtu"),
            (Answerer::Machine, "treats the tunnel's own packets as it does ICMP"),
        ] {
            path.kept.finding.answered_by = answered_by;
            let page = measured_path(&path, Lang::En);
            assert!(page[1].starts_with("there and back: 1400 bytes pass whole"), "{page:?}");
            assert!(
                page[2].contains("in which direction something is lost") && page[2].contains(words),
                "{page:?}"
            );
            assert_eq!(page.len(), measured_path(&path, Lang::Ja).len());
        }
        path.by_kernel = true;
        assert!(measured_path(&path, Lang::En)[4].starts_with("the kernel cuts packets at"));
        let void = VoidPath { measured_at: 0, found: Some(1400), planned_then: 1500, planned_now: 1454 };
        assert!(void_path(&void, Lang::En).contains("the file said 1500 of the path then and says 1454 now"));
        assert_ne!(void_path(&void, Lang::En), void_path(&void, Lang::Ja));
        for asked in [Answerer::Datapath, Answerer::Neighbour, Answerer::Machine] {
            assert_ne!(unanswered(asked, Lang::En), unanswered(asked, Lang::Ja));
        }
    }

    #[test]
    fn a_measured_path_is_said_in_numbers_and_then_in_plain_words() {
        let english = "\
measured 2026-11-25 01:26 UTC on line eth1, 2001:db8:101::1 to 2001:db8:102::1
to the far end: 1400 bytes pass whole, fragments pass, out of order pass (3 of 4), 1.0 % lost, jitter 0.12 ms
from it: 1500 bytes pass whole, fragments DROPPED, out of order DROPPED, 0.0 % lost, jitter 4.01 ms
round trip 6.00 ms, at best 5.21 ms
packets are cut at 1400, not at the 1500 of the file
TCP is told MSS 1316 (IPv4) and 1296 (IPv6), so that it fits one packet
TROUBLE: the path from the far end drops IP fragments: a packet of more than 1356 bytes inside does not arrive \
(TCP is made to fit although the plan says clamp off, or it would hang). Ask who runs the line, or the firewall \
in between, to let fragments pass (IPv6 next header 44, IPv4 packets with an offset); or carry the link over \
another line, or state mtu = 1356 if everything on it may be that small
the path to the far end is narrower than the file says: 1400, not 1500. Write path-mtu = 1400 at the line's \
uplink, so that the rest of the network counts on it too";
        assert_eq!(measured_path(&measured(), Lang::En).join("\n"), english);
        let japanese = measured_path(&measured(), Lang::Ja);
        assert_eq!(japanese.len(), measured_path(&measured(), Lang::En).len());
        assert_eq!(
            japanese[2],
            "相手から: 1500バイトまで分割なしで通過、フラグメントは届かない、順序逆転は届かない、\
             損失 0.0 %、ゆらぎ 4.01ms"
        );
        assert!(
            japanese[6].starts_with("問題: 相手からの経路がIPフラグメントを捨てています"),
            "{}",
            japanese[6]
        );
    }

    #[test]
    fn every_trouble_stage_and_refusal_has_words_in_both_languages() {
        let affected = Affected::Both;
        let troubles = [
            PathTrouble::TooNarrow { affected },
            PathTrouble::TurnedDropped { affected },
            PathTrouble::MorePackets { packets: 3 },
        ];
        for trouble in troubles {
            assert_ne!(path_trouble(&trouble, Lang::En), path_trouble(&trouble, Lang::Ja));
        }
        let sizes = Looking::Sizes { least: 1280, most: 1500 };
        let stages = [
            (Stage::Greeting, "greeting the far end"),
            (Stage::Train { sent: 3, of: 100 }, "loss and jitter: 3 of 100"),
            (
                Stage::Courses { out: sizes, back: Some(Looking::Turned) },
                "there: sizes 1280 to 1500; back: fragments out of order",
            ),
            (Stage::Courses { out: sizes, back: None }, "there and back: sizes 1280 to 1500"),
        ];
        for (stage, words) in stages {
            assert_eq!(probe_stage(&stage, Lang::En), words);
            assert_ne!(probe_stage(&stage, Lang::Ja), words);
        }
        for reason in [
            ProbeRefused::NotUnderstood,
            ProbeRefused::NoTunnel,
            ProbeRefused::NotAsked,
            ProbeRefused::NotUp,
            ProbeRefused::Busy,
            ProbeRefused::Changed,
        ] {
            assert_ne!(probe_refused(reason, Lang::En), probe_refused(reason, Lang::Ja));
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_000_000_000, "2001-09-09 01:46 UTC"),
            (1_795_570_000, "2026-11-25 01:26 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
