//! A peer's policy in words: the very rules that the speaker of its router carries out, in their order.

use super::Lang;
use serde_json::{Value, json};
use std::fmt::Write;
use tsumugi_core::bgp::config::{
    Invalid, NeighbourConfig, OutsidePolicy, Relation, SpeakerConfig, Transport,
};
use tsumugi_core::bgp::policy::rule::{ExportChange, ExportRule, PathRule, PrefixRule};
use tsumugi_core::bgp::policy::{Class, LONGEST_V4, LONGEST_V6, Rules, SHORTEST_V4, SHORTEST_V6, request};
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::router_plan::{RouterPlan, Routing};

/// So many of a list's prefixes are shown.
const SHOWN: usize = 8;

/// A session with a peer, in one router's plan.
struct Session<'a> {
    router: &'a str,
    routing: Routing,
    speaker: &'a SpeakerConfig,
    neighbour: &'a NeighbourConfig,
    policy: &'a OutsidePolicy,
    rules: Rules,
}

/// The policy of one peer on all of its sessions: in words, and for machines.
pub struct Policy<'a> {
    peer: String,
    sessions: Vec<Session<'a>>,
}

/// Finds a peer by its name, or by that of one of its sessions.
///
/// # Errors
/// The names that there are.
pub fn policy<'a>(plans: &'a [&'a RouterPlan], peer: &str) -> Result<Policy<'a>, Vec<String>> {
    let mut sessions = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for plan in plans {
        let Some(speaker) = &plan.speaker else { continue };
        for neighbour in &speaker.neighbours {
            let (Relation::Outside(policy), Some(rules)) =
                (&neighbour.relation, Rules::of(speaker, neighbour))
            else {
                continue;
            };
            let name = neighbour.name.split('/').next().unwrap_or_default();
            if name == peer || neighbour.name == peer {
                sessions.push(Session {
                    router: &plan.name,
                    routing: plan.routing,
                    speaker,
                    neighbour,
                    policy,
                    rules,
                });
            }
            if !known.iter().any(|known| known == name) {
                known.push(name.to_owned());
            }
        }
    }
    if sessions.is_empty() { Err(known) } else { Ok(Policy { peer: peer.to_owned(), sessions }) }
}

impl Policy<'_> {
    /// Sessions of one policy are told together.
    pub fn words(&self, lang: Lang) -> String {
        let mut told: Vec<(String, Vec<&Session<'_>>)> = Vec::new();
        for session in &self.sessions {
            let words = session.words(lang);
            match told.iter_mut().find(|(known, _)| *known == words) {
                Some((_, sessions)) => sessions.push(session),
                None => told.push((words, vec![session])),
            }
        }
        let mut text = String::new();
        for (words, sessions) in told {
            if !text.is_empty() {
                text.push('\n');
            }
            let first = sessions[0];
            let role = super::plan::role_name(first.policy.role, lang);
            let _ = writeln!(text, "{} {}: {role}", self.peer, first.neighbour.remote_asn);
            for session in sessions {
                let at = match &session.neighbour.transport {
                    Transport::Numbered { remote, .. } => remote.to_string(),
                    Transport::Unnumbered { link, .. } => format!("%{link}"),
                };
                let by = match session.routing {
                    Routing::Embedded => "",
                    Routing::Frr => lang.pick("  (carried out by FRR)", "  (FRRが実行)"),
                };
                let _ = writeln!(text, "  {} {} {at}{by}", session.router, session.neighbour.name);
            }
            text.push_str(&words);
        }
        text
    }

    pub fn to_json(&self) -> Value {
        let sessions = self.sessions.iter().map(|session| {
            let policy = session.policy;
            json!({
                "router": session.router,
                "routing": session.routing,
                "session": session.neighbour.name,
                "remote-asn": session.neighbour.remote_asn,
                "role": policy.role,
                "local-preference": session.rules.class.local_preference(),
                "rules": session.rules,
                "listed": policy.listed,
                "announce": policy.announce,
                "withhold": policy.withhold,
                "own": session.speaker.own_prefixes,
                "prefix-limit": policy.prefix_limit,
            })
        });
        json!({ "peer": self.peer, "sessions": sessions.collect::<Vec<_>>() })
    }
}

impl Session<'_> {
    fn words(&self, lang: Lang) -> String {
        let mut text = String::new();
        let mut section = |heading: &str, lines: Vec<String>| {
            let _ = writeln!(text, "  {heading}");
            for (at, line) in (1..).zip(lines) {
                let _ = writeln!(text, "    {at:>2}. {line}");
            }
        };
        section(lang.pick("what it announces", "相手が広報する経路"), self.import(lang));
        section(lang.pick("what it hears of", "相手に伝える経路"), self.export(lang));
        section(lang.pick("what it hears, changed so", "伝えるときに変えること"), self.change(lang));
        if self
            .rules
            .path
            .iter()
            .any(|rule| matches!(rule, PathRule::TakeAwayOurs { but_requests: true, .. }))
        {
            let heading = lang.pick(
                "what it may ask for, by large communities (RFC 8092) of its routes",
                "相手が経路に付けて頼めること(ラージコミュニティ、RFC 8092)",
            );
            section(heading, requests(self.speaker.public_asn, lang));
        }
        text
    }

    fn import(&self, lang: Lang) -> Vec<String> {
        let refused = lang.pick("refused", "拒否");
        let mut lines = vec![format!(
            "{refused}: {}",
            lang.pick(
                "a next hop that is not on the session's network, or is ours",
                "次ホップがセッションのサブネットにないか、自分たちのアドレスである経路",
            )
        )];
        let paths = self.rules.path.iter().map(|rule| path_words(rule, lang));
        lines.extend(paths);
        lines.extend(self.rules.prefix.iter().map(|rule| self.prefix_words(rule, lang)));
        lines.push(invalid_words(self.rules.invalid, lang).into());
        let preference = self.rules.class.local_preference();
        lines.push(match lang {
            Lang::En => format!(
                "all else is accepted, with local preference {preference} (10 more if RPKI calls it valid, 0 if it is about to go)"
            ),
            Lang::Ja => format!(
                "ほかはすべて受け取り、ローカルプリファレンスは{preference}(RPKIで有効なら10増し、まもなく消える経路は0)"
            ),
        });
        if let Some(limit) = self.policy.prefix_limit {
            lines.push(match lang {
                Lang::En => format!("more than {limit} prefixes end the session"),
                Lang::Ja => format!("{limit}を超えるプレフィックスが来たらセッションを切る"),
            });
        }
        lines
    }

    fn prefix_words(&self, rule: &PrefixRule, lang: Lang) -> String {
        let list = || shown(self.policy.listed.as_deref().unwrap_or_default(), lang);
        match (rule, lang) {
            (PrefixRule::RefuseDefault, Lang::En) => "refused: a default route".into(),
            (PrefixRule::RefuseDefault, Lang::Ja) => "拒否: デフォルト経路".into(),
            (PrefixRule::RefuseBogons, Lang::En) => {
                format!(
                    "refused: what nobody may announce ({} networks, RFC 6890)",
                    self.speaker.bogons.len()
                )
            }
            (PrefixRule::RefuseBogons, Lang::Ja) => {
                format!("拒否: 誰も広報してはならないもの({}個の網、RFC 6890)", self.speaker.bogons.len())
            }
            (PrefixRule::RefuseShort, Lang::En) => {
                format!("refused: shorter than /{SHORTEST_V4} (IPv4) or /{SHORTEST_V6} (IPv6)")
            }
            (PrefixRule::RefuseShort, Lang::Ja) => {
                format!("拒否: /{SHORTEST_V4}(IPv4)または/{SHORTEST_V6}(IPv6)より短いもの")
            }
            (PrefixRule::RefuseOurs { but_lent }, Lang::En) => {
                let but = if *but_lent {
                    "; what of it is lent to this customer is accepted and stays inside"
                } else {
                    ""
                };
                format!("refused: our own {} and what is within{but}", own(self.speaker))
            }
            (PrefixRule::RefuseOurs { but_lent }, Lang::Ja) => {
                let but = if *but_lent {
                    "。ただしこの顧客に貸した部分は受け取り、内側にとどめる"
                } else {
                    ""
                };
                format!("拒否: 自分たちの{}とその内側{but}", own(self.speaker))
            }
            (PrefixRule::RefuseLong { but_blackhole }, Lang::En) => {
                let but =
                    if *but_blackhole { ", unless it is to be dropped and within the list" } else { "" };
                format!("refused: longer than /{LONGEST_V4} (IPv4) or /{LONGEST_V6} (IPv6){but}")
            }
            (PrefixRule::RefuseLong { but_blackhole }, Lang::Ja) => {
                let but = if *but_blackhole {
                    "。ただし破棄を頼む経路で、リストの内側なら受け取る"
                } else {
                    ""
                };
                format!("拒否: /{LONGEST_V4}(IPv4)または/{LONGEST_V6}(IPv6)より長いもの{but}")
            }
            (PrefixRule::RefuseUnlisted { customer }, Lang::En) => {
                let whose = if *customer { "the customer's" } else { "the peer's" };
                format!("refused: all but what is in {whose} list: {}", list())
            }
            (PrefixRule::RefuseUnlisted { customer }, Lang::Ja) => {
                let whose = if *customer { "顧客" } else { "相手" };
                format!("拒否: {whose}のリストにないもの。リスト: {}", list())
            }
        }
    }

    fn export(&self, lang: Lang) -> Vec<String> {
        let mut lines: Vec<String> =
            self.rules.export.iter().map(|rule| self.export_words(rule, lang)).collect();
        lines.push(lang.pick("all else is announced", "ほかはすべて伝える").into());
        lines
    }

    fn export_words(&self, rule: &ExportRule, lang: Lang) -> String {
        let prefixes = |list: Option<&[Prefix]>| shown(list.unwrap_or_default(), lang);
        match (rule, lang) {
            (ExportRule::KeepByCommunity, Lang::En) => {
                "kept back: what carries no-export, no-advertise or no-export-subconfed (RFC 1997)".into()
            }
            (ExportRule::KeepByCommunity, Lang::Ja) => {
                "伝えない: no-export、no-advertise、no-export-subconfedの付いたもの(RFC 1997)".into()
            }
            (ExportRule::KeepForCustomersOnly, Lang::En) => {
                "kept back: what is marked as for customers only (OTC, RFC 9234)".into()
            }
            (ExportRule::KeepForCustomersOnly, Lang::Ja) => {
                "伝えない: 顧客だけに伝える印の付いたもの(OTC、RFC 9234)".into()
            }
            (ExportRule::KeepUnclassed, Lang::En) => "kept back: what nothing says where it came from".into(),
            (ExportRule::KeepUnclassed, Lang::Ja) => "伝えない: どこから来たか印のないもの".into(),
            (ExportRule::KeepPartsOfOurs, Lang::En) => {
                format!("kept back: within our own, all but exactly {}", own(self.speaker))
            }
            (ExportRule::KeepPartsOfOurs, Lang::Ja) => {
                format!("伝えない: 自分たちの内側のもの。ただしちょうど{}は別", own(self.speaker))
            }
            (ExportRule::KeepUnroutable, Lang::En) => {
                "kept back: default routes, what nobody may announce, too short and too long".into()
            }
            (ExportRule::KeepUnroutable, Lang::Ja) => {
                "伝えない: デフォルト経路、誰も広報してはならないもの、短すぎるもの、長すぎるもの".into()
            }
            (ExportRule::OnlyClasses { classes }, _) => {
                let words: Vec<&str> = classes.iter().map(|class| class_words(*class, lang)).collect();
                match lang {
                    Lang::En => format!("kept back: all but {}", words.join(", ")),
                    Lang::Ja => format!("伝えない: {}以外", words.join("、")),
                }
            }
            (ExportRule::OnlyAnnounced, Lang::En) => {
                format!("kept back: all but what is within {}", prefixes(self.policy.announce.as_deref()))
            }
            (ExportRule::OnlyAnnounced, Lang::Ja) => {
                format!("伝えない: {}の内側でないもの", prefixes(self.policy.announce.as_deref()))
            }
            (ExportRule::KeepWithheld, Lang::En) => {
                format!("kept back: {} and what is within", prefixes(Some(&self.policy.withhold)))
            }
            (ExportRule::KeepWithheld, Lang::Ja) => {
                format!("伝えない: {}とその内側", prefixes(Some(&self.policy.withhold)))
            }
            (ExportRule::ObeyRequests { asn, role }, Lang::En) => {
                let (kind, ours) = (request::kind(*role), self.speaker.public_asn.0);
                format!(
                    "kept back: customers' routes whose large communities ask for it: {ours}:10:{}, {ours}:20:{kind}, {ours}:20:0, or {ours}:14:… and {ours}:24:… that name others only",
                    asn.0
                )
            }
            (ExportRule::ObeyRequests { asn, role }, Lang::Ja) => {
                let (kind, ours) = (request::kind(*role), self.speaker.public_asn.0);
                format!(
                    "伝えない: 顧客がラージコミュニティでそう頼んだ経路: {ours}:10:{}、{ours}:20:{kind}、{ours}:20:0、またはほかだけを名指す{ours}:14:…や{ours}:24:…",
                    asn.0
                )
            }
        }
    }

    fn change(&self, lang: Lang) -> Vec<String> {
        self.rules.change.iter().map(|change| change_words(change, lang)).collect()
    }
}

fn path_words(rule: &PathRule, lang: Lang) -> String {
    match (rule, lang) {
        (PathRule::RefuseOwnAs { asn }, Lang::En) => {
            format!("refused: {asn}, this router itself, in its path")
        }
        (PathRule::RefuseOwnAs { asn }, Lang::Ja) => format!("拒否: パスにこのルーター自身の{asn}があるもの"),
        (PathRule::RefuseOtherFirstAs { neighbour }, Lang::En) => {
            format!("refused: a path that does not begin with {neighbour}")
        }
        (PathRule::RefuseOtherFirstAs { neighbour }, Lang::Ja) => {
            format!("拒否: パスの先頭が{neighbour}でないもの")
        }
        (PathRule::RefuseNoFirstAs, Lang::En) => {
            "refused: an empty path (that it does not begin with the route server is as it should be)".into()
        }
        (PathRule::RefuseNoFirstAs, Lang::Ja) => {
            "拒否: パスが空のもの(先頭がルートサーバーでないのは正常)".into()
        }
        (PathRule::RefusePublicAs { asn }, Lang::En) => format!("refused: {asn}, ourselves, in its path"),
        (PathRule::RefusePublicAs { asn }, Lang::Ja) => format!("拒否: パスに自分たちの{asn}があるもの"),
        (PathRule::RefuseAsSets, Lang::En) => "refused: an AS_SET in its path (RFC 9774)".into(),
        (PathRule::RefuseAsSets, Lang::Ja) => "拒否: パスにAS_SETがあるもの(RFC 9774)".into(),
        (PathRule::RefuseBogonAs { except }, Lang::En) => {
            let but =
                if except.is_empty() { String::new() } else { format!(", except {}", shown(except, lang)) };
            format!("refused: a private or reserved AS number in its path{but}")
        }
        (PathRule::RefuseBogonAs { except }, Lang::Ja) => {
            let but = if except.is_empty() {
                String::new()
            } else {
                format!("。ただし{}は別", shown(except, lang))
            };
            format!("拒否: パスに私用または予約済みのAS番号があるもの{but}")
        }
        (PathRule::RefuseVia { asns: via }, Lang::En) => {
            format!("refused: {} in its path (never-via)", shown(via, lang))
        }
        (PathRule::RefuseVia { asns: via }, Lang::Ja) => {
            format!("拒否: パスに{}があるもの(never-via)", shown(via, lang))
        }
        (PathRule::RefuseOtherOrigins { asns: origins }, Lang::En) => {
            format!("refused: a path that begins elsewhere than at {}", shown(origins, lang))
        }
        (PathRule::RefuseOtherOrigins { asns: origins }, Lang::Ja) => {
            format!("拒否: 発信元が{}でないもの", shown(origins, lang))
        }
        (PathRule::RefuseForCustomersOnly { but_by }, Lang::En) => {
            let but = but_by.map_or(String::new(), |asn| format!(" by anybody but {asn}"));
            format!("refused: marked as for customers only{but}: a leak (OTC, RFC 9234)")
        }
        (PathRule::RefuseForCustomersOnly { but_by }, Lang::Ja) => {
            let but = but_by.map_or(String::new(), |asn| format!("{asn}以外が"));
            format!("拒否: {but}顧客だけに伝える印を付けたもの。漏れた経路です(OTC、RFC 9234)")
        }
        (PathRule::MarkForCustomersOnly { by }, Lang::En) => {
            format!("changed: marked as for customers only, by {by}, unless it is (OTC, RFC 9234)")
        }
        (PathRule::MarkForCustomersOnly { by }, Lang::Ja) => {
            format!("変更: まだなければ、{by}による「顧客だけ」の印を付ける(OTC、RFC 9234)")
        }
        (PathRule::TakeAwayOurs { asn, but_requests }, Lang::En) => {
            let but = if *but_requests { " but what it may ask for (below)" } else { "" };
            format!(
                "changed: large communities {}:…{but} and non-transitive extended ones are taken away",
                asn.0
            )
        }
        (PathRule::TakeAwayOurs { asn, but_requests }, Lang::Ja) => {
            let but = if *but_requests { "(頼めること(下)は残す)" } else { "" };
            format!("変更: {}:…のラージコミュニティ{but}と、非推移の拡張コミュニティを取り除く", asn.0)
        }
        (PathRule::MarkClass { asn, class }, _) => {
            let word = class_words(*class, lang);
            let mark = format!("{}:1:{}", asn.0, *class as u32);
            match lang {
                Lang::En => format!("changed: marked {mark}, as one of {word}"),
                Lang::Ja => format!("変更: {mark}({word})の印を付ける"),
            }
        }
        (PathRule::ObeyBlackhole, Lang::En) => {
            "changed: what carries BLACKHOLE (RFC 7999) is dropped here and told nobody outside".into()
        }
        (PathRule::ObeyBlackhole, Lang::Ja) => {
            "変更: BLACKHOLE(RFC 7999)の付いたものは、宛ての通信を捨て、外には伝えない".into()
        }
        (PathRule::IgnoreBlackhole, Lang::En) => {
            "changed: BLACKHOLE (RFC 7999) is taken away, not obeyed".into()
        }
        (PathRule::IgnoreBlackhole, Lang::Ja) => "変更: BLACKHOLE(RFC 7999)は取り除き、従わない".into(),
        (PathRule::MarkShutdown, Lang::En) => {
            "changed: the last choice, as the session is about to go (RFC 8326)".into()
        }
        (PathRule::MarkShutdown, Lang::Ja) => {
            "変更: まもなく切るセッションなので、最後の選択肢にする(RFC 8326)".into()
        }
    }
}

fn invalid_words(invalid: Invalid, lang: Lang) -> &'static str {
    match invalid {
        Invalid::Drop => lang.pick(
            "refused: what RPKI calls invalid, by origin (RFC 6811) or by path (ASPA)",
            "拒否: RPKIで不正とされたもの(発信元: RFC 6811、パス: ASPA)",
        ),
        Invalid::Last => lang.pick(
            "changed: what RPKI calls invalid is preferred 10 less",
            "変更: RPKIで不正とされたものは優先度を10下げる",
        ),
        Invalid::Take => lang.pick("what RPKI says of it is not looked at", "RPKIでどうであるかは調べない"),
    }
}

fn change_words(change: &ExportChange, lang: Lang) -> String {
    match (change, lang) {
        (ExportChange::TakeMed, Lang::En) => "MED is taken away".into(),
        (ExportChange::TakeMed, Lang::Ja) => "MEDを取り除く".into(),
        (ExportChange::StripInside, Lang::En) => {
            "our routers' AS numbers and private ones are taken out of the path".into()
        }
        (ExportChange::StripInside, Lang::Ja) => "ルーターのAS番号と私用のAS番号をパスから取り除く".into(),
        (ExportChange::Prepend { asn, times, .. }, Lang::En) => {
            let times = if *times == 1 { "once".into() } else { format!("{times} times") };
            format!("{asn} is put in front {times}, and up to 3 times more where a customer asks for it")
        }
        (ExportChange::Prepend { asn, times, .. }, Lang::Ja) => {
            format!("パスの先頭に{asn}を{times}回入れる(顧客が頼んだ経路は最大3回増やす)")
        }
        (ExportChange::TakeAwayOurs { asn }, Lang::En) => {
            format!("large communities {}:… and non-transitive extended ones are taken away", asn.0)
        }
        (ExportChange::TakeAwayOurs { asn }, Lang::Ja) => {
            format!("{}:…のラージコミュニティと、非推移の拡張コミュニティを取り除く", asn.0)
        }
        (ExportChange::MarkForCustomersOnly { by }, Lang::En) => {
            format!("marked as for customers only, by {by}, unless it is (OTC, RFC 9234)")
        }
        (ExportChange::MarkForCustomersOnly { by }, Lang::Ja) => {
            format!("まだなければ、{by}による「顧客だけ」の印を付ける(OTC、RFC 9234)")
        }
        (ExportChange::MarkShutdown, Lang::En) => "asked to prefer any other way (RFC 8326)".into(),
        (ExportChange::MarkShutdown, Lang::Ja) => "ほかの道を選ぶよう頼む(RFC 8326)".into(),
    }
}

/// All that a customer may ask for.
fn requests(ours: Asn, lang: Lang) -> Vec<String> {
    let of = |(code, request, target): &(u32, request::Request, request::Target)| {
        let whom = match target {
            request::Target::As => lang.pick("the network with AS number N", "AS番号Nの網"),
            request::Target::Kind => lang.pick(
                "neighbours of kind N (0 all, 1 customers, 2 peers and route servers, 3 providers)",
                "種類Nの相手(0: 全員、1: customer、2: peerとroute-server、3: provider)",
            ),
        };
        let what = match (request, lang) {
            (request::Request::NotTo, Lang::En) => format!("not to {whom}"),
            (request::Request::NotTo, Lang::Ja) => format!("{whom}に伝えない"),
            (request::Request::Prepend(times), Lang::En) => {
                format!("{times} more of {ours} in the path to {whom}")
            }
            (request::Request::Prepend(times), Lang::Ja) => {
                format!("{whom}へのパスに{ours}を{times}回増やす")
            }
            (request::Request::OnlyTo, Lang::En) => format!("to nobody but {whom}; several add up"),
            (request::Request::OnlyTo, Lang::Ja) => format!("{whom}だけに伝える。複数書けば合わせる"),
        };
        format!("{}:{code}:N  {what}", ours.0)
    };
    request::CODES.iter().map(of).collect()
}

fn class_words(class: Class, lang: Lang) -> &'static str {
    match class {
        Class::Own => lang.pick("our own", "自分たちの経路"),
        Class::Customer => lang.pick("customers'", "顧客の経路"),
        Class::Peer => lang.pick("peers'", "ピアの経路"),
        Class::Provider => lang.pick("providers'", "上流の経路"),
    }
}

fn own(speaker: &SpeakerConfig) -> String {
    let words: Vec<String> = speaker.own_prefixes.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// The first of a list, and how many more there are.
fn shown<T: ToString>(list: &[T], lang: Lang) -> String {
    if list.is_empty() {
        return lang.pick("nothing", "なし").into();
    }
    let mut words: Vec<String> = list.iter().take(SHOWN).map(ToString::to_string).collect();
    if let Some(more) = list.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        words.push(lang.pick(format!("and {more} more"), format!("ほか{more}個")));
    }
    words.join(lang.pick(", ", "、"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile_with;
    use crate::{Lists, check_with};

    const AS63806: &str = include_str!("../../../../examples/as63806.toml");

    #[test]
    fn every_role_in_both_languages() {
        let text = AS63806
            .replace(
                "role = \"peer\"",
                "role = \"route-server\"\nas-set = \"AS-JCIX\"\nnever-via = [174, 3356]",
            )
            .replace("prepend = 1", "prepend = 1\nwithhold = [\"123.253.119.0/24\"]\nlimit = 1200000")
            .replace("asn = 190063", "asn = 190063\norigins = [190063]");
        let mut lists = Lists::default();
        lists.add("lists/jcix.json", Ok("192.0.2.0/24\n2001:db8::/32<=48\n"));
        let checked = check_with(&text, &lists).expect("a sound file");
        let network = compile_with(&checked.declaration, &lists).expect("a plan");
        let plans: Vec<&RouterPlan> = network.routers.iter().collect();
        let of = |peer: &str, lang| policy(&plans, peer).expect("a peer of the file").words(lang);
        let all = |lang| ["homenoc", "jcix", "kagari"].map(|peer| of(peer, lang)).join("\n");
        insta::assert_snapshot!("policy_en", all(Lang::En));
        insta::assert_snapshot!("policy_ja", all(Lang::Ja));
        let known = policy(&plans, "nobody").err().expect("no such peer");
        assert_eq!(known, ["telhi", "homenoc", "jcix", "kagari"]);
        let json = policy(&plans, "jcix/ipv6").expect("a session").to_json();
        assert_eq!(json["sessions"][0]["listed"], json!(["2001:db8::/32<=48"]));
        assert_eq!(json["sessions"][0]["rules"]["export"][1]["rule"], "keep-for-customers-only");
    }
}
