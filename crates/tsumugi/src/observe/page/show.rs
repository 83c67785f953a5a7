//! `tsumugi show` for people: one route and why it is so, tables a line at a time, the sessions in short.

use super::change::of_neighbour;
use super::{duration, line};
use crate::observe::say::pad;
use crate::observe::status::{BgpSaid, RouteSaid};
use crate::observe::words;
use std::fmt::Write;
use tsumugi_core::bgp::{
    FamilyCounts, LostAt, NeighbourStatus, NextHop, PathStatus, ReceivedRoute, RefusedBy, SentRoute,
    SessionState, SpeakerRoute, ToldState, ToldStatus,
};
use tsumugi_core::rpki::Validity;
use tsumugi_plan::explain::Lang;

/// For whom a page is.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    pub lang: Lang,
    /// It is a terminal, which knows colours.
    pub colour: bool,
}

impl Reader {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// Why packets go where they go.
pub fn route(said: &RouteSaid, reader: Reader) -> String {
    let lang = reader.lang;
    let mut page = String::new();
    line(&mut page, 0, &reader.strong(&headline(said, lang)));
    let paths = &said.report.paths;
    if let Some(best) = paths.first() {
        line(&mut page, 1, &leaves(said.report.forwarding.as_ref(), best, paths, lang));
        if let Some(missing) = &said.missing {
            let words = lang.pick(
                format!("but the kernel does not have it: {missing}"),
                format!("ただしカーネルに入っていません: {missing}"),
            );
            line(&mut page, 1, &reader.bad(&words));
        }
        let used = paths.iter().filter(|path| is_used(path)).count();
        for path in paths {
            let (mark, why) = match path.lost {
                None => (reader.good(lang.pick("best", "最良")), String::new()),
                Some(at) => {
                    let why = words::lost(at, path, best, used, lang);
                    let mark = if at == LostAt::UsedTogether {
                        reader.good(lang.pick("used", "使用"))
                    } else {
                        lang.pick("left", "不採用").to_owned()
                    };
                    (mark, format!(": {why}"))
                }
            };
            line(&mut page, 1, &format!("{mark}  {}{why}", who(path, lang)));
            line(&mut page, 3, &carries(path, lang));
        }
    }
    refusals(&mut page, &said.refused, reader);
    told(&mut page, said, reader);
    page
}

fn is_used(path: &PathStatus) -> bool {
    matches!(path.lost, None | Some(LostAt::UsedTogether))
}

fn headline(said: &RouteSaid, lang: Lang) -> String {
    let asked = if said.exact { said.asked.to_string() } else { said.asked.addr().to_string() };
    match said.covering {
        Some(covering) if covering == said.asked => asked,
        Some(covering) if said.exact => lang.pick(
            format!("{covering}: there is no route to {asked} itself, this one holds all of it"),
            format!("{covering}: {asked}そのものへの経路はなく、これがその全体を含みます"),
        ),
        Some(covering) => lang.pick(
            format!("{covering}: the longest prefix that holds {asked}"),
            format!("{covering}: {asked}を含む最長のプレフィックス"),
        ),
        None => lang.pick(
            format!("{asked}: there is no route, packets to it are answered with unreachable"),
            format!("{asked}: 経路がありません。宛先到達不能と応答します"),
        ),
    }
}

/// Where packets leave, and why there.
fn leaves(forwarding: Option<&SpeakerRoute>, best: &PathStatus, paths: &[PathStatus], lang: Lang) -> String {
    let why = words::won(paths, lang);
    let hops = forwarding.map_or(&[][..], |route| &route.next_hops);
    let hop = |hop: &NextHop| {
        lang.pick(format!("{} by {}", hop.link, hop.via), format!("{} ({}経由)", hop.link, hop.via))
    };
    let hops = hops.iter().map(hop).collect::<Vec<_>>().join(lang.pick(" and ", "と"));
    match forwarding {
        Some(route) if route.discard && best.neighbour.is_none() => lang.pick(
            "it is our own: packets that nothing longer leads on are dropped here".to_owned(),
            "自分たちのものです。より長い経路がないパケットはここで捨てます".to_owned(),
        ),
        Some(route) if route.discard => lang.pick(
            "packets to it are dropped, as a customer asked for (RFC 7999)".to_owned(),
            "顧客の求めにより、宛てのパケットを捨てます (RFC 7999)".to_owned(),
        ),
        Some(_) => lang.pick(format!("packets leave by {hops}: {why}"), format!("{hops}から出ます: {why}")),
        None => lang.pick("it begins at this router".to_owned(), "このルーターから始まります".to_owned()),
    }
}

fn who(path: &PathStatus, lang: Lang) -> String {
    let name = path.neighbour.clone().unwrap_or_else(|| lang.pick("our own", "自分たちのもの").to_owned());
    let name = name + &path_id(path.path_id, lang);
    match path.stale {
        true => lang.pick(format!("{name} (restarting)"), format!("{name} (再起動中)")),
        false => name,
    }
}

/// Which of several paths of one neighbour (RFC 7911).
fn path_id(id: Option<u32>, lang: Lang) -> String {
    id.map_or_else(String::new, |id| lang.pick(format!(", path {id}"), format!("、パス{id}")))
}

/// What a path carries, in one line.
fn carries(path: &PathStatus, lang: Lang) -> String {
    let mut text = String::new();
    let way = if path.as_path.is_empty() { lang.pick("empty", "空") } else { &path.as_path };
    let (preference, origin) = (path.local_preference, words::origin(path.origin));
    let _ = write!(text, "{} {way}, ", lang.pick("AS path", "ASパス"));
    let _ = write!(text, "{} {preference}, ", lang.pick("local preference", "ローカル優先度"));
    let _ = write!(text, "{} {origin}", lang.pick("origin", "オリジン"));
    if let Some(med) = path.med {
        let _ = write!(text, ", MED {med}");
    }
    match path.validity {
        Validity::Valid => text.push_str(lang.pick(", RPKI valid", "、RPKI有効")),
        Validity::Invalid => text.push_str(lang.pick(", RPKI invalid", "、RPKI無効")),
        Validity::NotFound => {}
    }
    let communities: Vec<&str> =
        path.communities.iter().chain(&path.large_communities).map(String::as_str).collect();
    if !communities.is_empty() {
        let _ = write!(text, ", {} {}", lang.pick("communities", "コミュニティー"), communities.join(" "));
    }
    text
}

fn refusals(page: &mut String, refused: &[RefusedBy], reader: Reader) {
    let lang = reader.lang;
    for RefusedBy { neighbour, refused } in refused {
        let why = words::import_refusal(&refused.reason, lang) + &words::payloads(&refused.payloads, lang);
        let mark = reader.bad(lang.pick("refused", "拒否"));
        let prefix = refused.prefix;
        let neighbour = neighbour.clone() + &path_id(refused.path_id, lang);
        line(
            page,
            1,
            &lang.pick(
                format!("{mark}  {prefix} from {neighbour}: {why}"),
                format!("{mark}  {neighbour}からの{prefix}: {why}"),
            ),
        );
    }
}

fn told(page: &mut String, said: &RouteSaid, reader: Reader) {
    let lang = reader.lang;
    let of = |wanted: ToldState| {
        let told = said.report.told.iter().filter(|it| it.state == wanted);
        let name = |it: &ToldStatus| match it.path_ids.len() {
            0 => it.neighbour.clone(),
            count => lang
                .pick(format!("{} ({count} paths)", it.neighbour), format!("{} ({count}経路)", it.neighbour)),
        };
        told.map(name).collect::<Vec<_>>().join(", ")
    };
    let (yes, waits) = (of(ToldState::Yes), of(ToldState::Waits));
    if !yes.is_empty() {
        line(page, 1, &lang.pick(format!("told to {yes}"), format!("伝えている相手: {yes}")));
    }
    if !waits.is_empty() {
        line(
            page,
            1,
            &lang.pick(format!("about to be told to {waits}"), format!("これから伝える相手: {waits}")),
        );
    }
    for it in &said.report.told {
        if let ToldState::No { why } = &it.state {
            let (neighbour, why) = (&it.neighbour, words::not_told(why, lang));
            line(
                page,
                1,
                &lang.pick(
                    format!("not told to {neighbour}: {why}"),
                    format!("{neighbour}には伝えません: {why}"),
                ),
            );
        }
    }
}

/// One line of what a neighbour has told.
pub fn received(route: &ReceivedRoute, reader: Reader) -> String {
    let lang = reader.lang;
    let (mark, prefix, id, rest) = match route {
        ReceivedRoute::Taken { prefix, path } => {
            let mark = match path.lost {
                None => reader.good(&pad(lang.pick("best", "最良"), 8)),
                Some(LostAt::UsedTogether) => reader.good(&pad(lang.pick("used", "使用"), 8)),
                Some(_) => pad(lang.pick("left", "不採用"), 8),
            };
            let at = path.lost.filter(|at| *at != LostAt::UsedTogether).map(|at| step(at, lang));
            let at = at.map_or_else(String::new, |at| {
                lang.pick(format!(" (lost by {at})"), format!(" ({at}で負け)"))
            });
            (mark, *prefix, path.path_id, format!("{}{at}", path.as_path))
        }
        ReceivedRoute::Refused(refused) => {
            let why =
                words::import_refusal(&refused.reason, lang) + &words::payloads(&refused.payloads, lang);
            let way = refused.as_path.clone().unwrap_or_default();
            let gap = if way.is_empty() { "" } else { "  " };
            let mark = reader.bad(&pad(lang.pick("refused", "拒否"), 8));
            (mark, refused.prefix, refused.path_id, format!("{way}{gap}{why}"))
        }
    };
    let prefix = prefix.to_string() + &path_id(id, lang);
    format!("  {mark}  {}  {rest}", pad(&prefix, 20)).trim_end().to_owned()
}

/// A step of the decision, in a word.
fn step(at: LostAt, lang: Lang) -> &'static str {
    match at {
        LostAt::LocalPreference => lang.pick("local preference", "ローカル優先度"),
        LostAt::PathLength => lang.pick("path length", "ASパスの長さ"),
        LostAt::Origin => lang.pick("origin", "オリジン"),
        LostAt::Med => "MED",
        LostAt::UsedTogether => lang.pick("nothing", "なし"),
        LostAt::MaxPaths => lang.pick("BGP identifier", "BGP識別子"),
    }
}

/// One line of what a neighbour was told.
pub fn sent(route: &SentRoute, reader: Reader) -> String {
    let lang = reader.lang;
    let from = route.from.as_deref().unwrap_or(lang.pick("our own", "自分たちのもの"));
    let communities: Vec<&str> =
        route.communities.iter().chain(&route.large_communities).map(String::as_str).collect();
    let communities = match communities.is_empty() {
        true => String::new(),
        false => format!(", {} {}", lang.pick("communities", "コミュニティー"), communities.join(" ")),
    };
    let waits = match route.waits {
        true => lang.pick(", about to be told", "、これから伝えます"),
        false => "",
    };
    let from =
        lang.pick(format!("(from {from}{communities}{waits})"), format!("({from}から{communities}{waits})"));
    let prefix = route.prefix.to_string() + &path_id(route.path_id, lang);
    format!("  {}  {}  {from}", pad(&prefix, 20), route.as_path)
}

/// The sessions, a row each.
pub fn bgp(said: &BgpSaid, reader: Reader) -> String {
    let lang = reader.lang;
    let mut page = String::new();
    let BgpSaid { router, router_id, asn, public_asn, restart, neighbours } = said;
    line(
        &mut page,
        0,
        &reader.strong(&lang.pick(
            format!("{router}: AS{asn} inside, AS{public_asn} outside, BGP identifier {router_id}"),
            format!("{router}: 内側 AS{asn}、外側 AS{public_asn}、BGP識別子 {router_id}"),
        )),
    );
    for said in restart.iter().flat_map(|it| words::restart::lines(it, lang)) {
        line(&mut page, 1, &said);
    }
    let head = match lang {
        Lang::En => ["neighbour", "AS", "is", "received", "accepted", "refused", "sent", "session"],
        Lang::Ja => ["相手", "AS", "関係", "受信", "採用", "拒否", "送信", "セッション"],
    };
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(neighbours.iter().map(|neighbour| row(neighbour, lang)));
    let columns = head.len();
    let width = |column: usize| rows.iter().map(|row| columns_of(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (at, cells) in rows.iter().enumerate() {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| pad(cell, *width));
        let text = cells.collect::<Vec<_>>().join("  ");
        let text = text.trim_end();
        let stands = |at: usize| neighbours[at].state == SessionState::Established;
        let text = match at.checked_sub(1) {
            Some(at) if !stands(at) => reader.bad(text),
            _ => text.to_owned(),
        };
        line(&mut page, 1, &text);
    }
    attribute_errors(&mut page, neighbours, lang);
    page
}

/// What was wrong with attributes, by neighbour and kind (RFC 7606).
fn attribute_errors(page: &mut String, neighbours: &[NeighbourStatus], lang: Lang) {
    if neighbours.iter().any(|it| !it.attribute_errors.is_empty()) {
        line(page, 1, lang.pick("wrong attributes in UPDATEs", "UPDATEの誤った属性"));
    }
    for neighbour in neighbours {
        for it in &neighbour.attribute_errors {
            let words = words::attribute_error(&it.error, lang);
            line(page, 2, &format!("{}  {}: {words}", neighbour.name, it.count));
        }
    }
}

fn columns_of(text: &str) -> usize {
    use unicode_width::UnicodeWidthStr;
    text.width()
}

fn row(neighbour: &NeighbourStatus, lang: Lang) -> Vec<String> {
    let add = |a: FamilyCounts, b: FamilyCounts| FamilyCounts {
        ipv4: a.ipv4 + b.ipv4,
        ipv6: a.ipv6 + b.ipv6,
        evpn: a.evpn + b.evpn,
    };
    let all = |counts: FamilyCounts| counts.ipv4 + counts.ipv6 + counts.evpn;
    let received = all(add(neighbour.accepted, neighbour.refused_now));
    let more = if neighbour.refused_beyond > 0 { "+" } else { "" };
    vec![
        neighbour.name.clone(),
        neighbour.remote_asn.0.to_string(),
        words::role(neighbour.role, lang).to_owned(),
        format!("{received}{more}"),
        all(neighbour.accepted).to_string(),
        format!("{}{more}", all(neighbour.refused_now)),
        all(neighbour.announced).to_string(),
        session(neighbour, lang),
    ]
}

/// Since when, and how the last one ended.
fn session(neighbour: &NeighbourStatus, lang: Lang) -> String {
    let state = words::session_state(neighbour.state, lang);
    let since = neighbour.established_for_ms.or(neighbour.down_for_ms).map(duration);
    let end = neighbour.last_end.as_ref().map(|end| words::session_end(end, lang));
    let mut text = state.to_owned();
    if let Some(since) = since {
        let stands = neighbour.established_for_ms.is_some();
        let _ = match stands {
            true => write!(text, "{}", lang.pick(format!(" for {since}"), format!(" ({since})"))),
            false => write!(text, "{}", lang.pick(format!(", down for {since}"), format!("、停止 {since}"))),
        };
    }
    text.push_str(&words::add_paths(neighbour, lang));
    if let Some(kept) = words::restart::kept(neighbour, lang) {
        let _ = write!(text, "{}{kept}", lang.pick("; ", "、"));
    }
    if let Some(end) = end {
        let _ = write!(text, "{}", lang.pick(format!("; last end: {end}"), format!("、前回の終わり: {end}")));
    }
    text + &of_neighbour(neighbour, lang)
}
