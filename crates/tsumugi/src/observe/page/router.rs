//! The router process on the page.

use super::{Drops, bfd, bmp, change, duration, heading, line, rpki, segments};
use crate::observe::status::{BgpStatus, FrrStatus, RouterStatus, Running, SessionStatus};
use crate::observe::words;
use tsumugi_core::bgp::{FamilyCounts, SessionState};
use tsumugi_plan::explain::Lang;

pub fn page(status: &RouterStatus, lang: Lang) -> String {
    let mut page = heading(&status.process, &status.plan, status.uptime_ms, lang);
    if let Some(running) = &status.running {
        body(&mut page, running, lang);
    }
    page
}

fn body(page: &mut String, running: &Running, lang: Lang) {
    let bgp = &running.bgp;
    line(
        page,
        1,
        &lang.pick(
            format!("AS{} inside, AS{} outside, BGP identifier {}", bgp.asn, bgp.public_asn, bgp.router_id),
            format!("内側 AS{}、外側 AS{}、BGP識別子 {}", bgp.asn, bgp.public_asn, bgp.router_id),
        ),
    );
    if let Some(error) = &running.not_listening {
        line(
            page,
            1,
            &lang.pick(
                format!("does not listen on port 179: {error}"),
                format!("ポート179で待ち受けていません: {error}"),
            ),
        );
    }
    if let Some(frr) = &running.frr {
        engine(page, frr, lang);
    }
    restart(page, running, lang);
    sessions(page, bgp, lang);
    if let Some(ahead) = &running.ahead {
        change::ahead(page, ahead, bgp, lang);
        if running.frr.is_some() && ahead.refused.is_none() {
            line(page, 2, words::frr_decides(lang));
        }
    }
    bfd::bfd(page, running, lang);
    links(page, running, lang);
    routes(page, running, lang);
    segments::segments(page, running, lang);
    if let Some(report) = &running.rpki {
        rpki::rpki(page, report, lang);
    }
    if let Some(report) = &running.bmp {
        bmp::bmp(page, report, lang);
    }
    if !bgp.originations.is_empty() {
        line(page, 1, lang.pick("own prefixes", "自分たちのプレフィックス"));
        for origination in &bgp.originations {
            let state = if origination.announced {
                lang.pick("announced", "広告中")
            } else {
                lang.pick(
                    "held back: the rest of the network cannot be reached",
                    "広告停止: 網の残りに届きません",
                )
            };
            let rpki = origination.validity.as_ref().map_or_else(String::new, |own| {
                format!("; {}", words::own_validity(own.validity, &own.payloads, lang))
            });
            line(page, 2, &format!("{}  {state}{rpki}", origination.prefix));
        }
    }
    if !bgp.refusals.is_empty() {
        line(page, 1, lang.pick("refused routes", "拒んだ経路"));
        for refusal in &bgp.refusals {
            let why =
                words::import_refusal(&refusal.reason, lang) + &words::payloads(&refusal.payloads, lang);
            line(page, 2, &format!("{}  {}: {why}", refusal.prefix, refusal.neighbour));
        }
    }
    evpn_refusals(page, bgp, lang);
    attribute_errors(page, bgp, lang);
    let mut drops = Drops::default();
    drops.of_walls(&running.walls, lang);
    for (reason, count) in &running.refused_connections {
        drops.add(*count, words::refused_connection(*reason, lang));
    }
    bfd::drops(&mut drops, running, lang);
    drops.print(page, 1, lang);
    for failure in &running.fabric_failures {
        line(
            page,
            1,
            &lang.pick(format!("not applied: {failure}"), format!("適用できませんでした: {failure}")),
        );
    }
}

/// Who speaks BGP, where we do not.
fn engine(page: &mut String, frr: &FrrStatus, lang: Lang) {
    let version = frr.version.as_deref().unwrap_or("?");
    let (running, restarts) = (frr.running.join(", "), frr.restarts);
    let state = match frr.in_force {
        true => lang.pick("as the plan says", "計画どおり"),
        false => lang.pick("not yet as the plan says", "まだ計画どおりではありません"),
    };
    let words = lang.pick(
        format!("routing by FRR {version}: {state}; running: {running}; started again {restarts} times"),
        format!("経路制御はFRR {version}: {state}、動作中 {running}、再起動 {restarts}回"),
    );
    line(page, 1, &words);
    if let Some(trouble) = &frr.trouble {
        line(page, 2, &words::frr_trouble(trouble, lang));
    }
}

/// What an earlier life of this process left, and for whom its routes wait.
fn restart(page: &mut String, running: &Running, lang: Lang) {
    for said in running.bgp.restart.iter().flat_map(|it| words::restart::lines(it, lang)) {
        line(page, 1, &said);
    }
    let (stale, purged) = (running.routes.stale, running.routes.purged);
    if running.routes.keeps_stale && stale > 0 {
        let words = lang.pick(
            format!("{stale} routes of an earlier life are in the kernel and not confirmed yet"),
            format!("以前のプロセスの経路のうち{stale}がカーネルにあり、まだ確認されていません"),
        );
        line(page, 1, &words);
    }
    if purged > 0 {
        let words = lang.pick(
            format!("{purged} routes of an earlier life were removed: nobody confirmed them"),
            format!("以前のプロセスの経路{purged}を、確認されなかったため取り除きました"),
        );
        line(page, 1, &words);
    }
}

fn sessions(page: &mut String, bgp: &BgpStatus, lang: Lang) {
    line(page, 1, lang.pick("sessions", "セッション"));
    let width = bgp.sessions.iter().map(|session| session.neighbour.name.len()).max().unwrap_or(0);
    for session in &bgp.sessions {
        let name = &session.neighbour.name;
        line(page, 2, &format!("{name:width$}  {}", session_words(session, lang)));
    }
}

fn evpn_refusals(page: &mut String, bgp: &BgpStatus, lang: Lang) {
    let refused = |session: &SessionStatus| !session.neighbour.evpn_refused.is_empty();
    if bgp.sessions.iter().any(refused) {
        line(page, 1, lang.pick("refused EVPN routes", "拒んだEVPN経路"));
    }
    for session in &bgp.sessions {
        for refused in &session.neighbour.evpn_refused {
            let (name, count) = (&session.neighbour.name, refused.count);
            line(page, 2, &format!("{name}  {count}: {}", words::evpn_refusal(&refused.reason, lang)));
        }
    }
}

/// What was wrong with attributes, by neighbour and kind (RFC 7606).
fn attribute_errors(page: &mut String, bgp: &BgpStatus, lang: Lang) {
    let wrong = |session: &SessionStatus| !session.neighbour.attribute_errors.is_empty();
    if bgp.sessions.iter().any(wrong) {
        line(page, 1, lang.pick("wrong attributes in UPDATEs", "UPDATEの誤った属性"));
    }
    for session in &bgp.sessions {
        for it in &session.neighbour.attribute_errors {
            let (name, count) = (&session.neighbour.name, it.count);
            line(page, 2, &format!("{name}  {count}: {}", words::attribute_error(&it.error, lang)));
        }
    }
}

fn session_words(session: &SessionStatus, lang: Lang) -> String {
    let SessionStatus { neighbour, .. } = session;
    let state = words::session_state(neighbour.state, lang);
    if neighbour.state == SessionState::Established {
        let since = duration(neighbour.established_for_ms.unwrap_or(0));
        let (taken, sent) = (counts(neighbour.accepted, lang), counts(neighbour.announced, lang));
        let refused = neighbour.refused_count;
        let more = words::add_paths(neighbour, lang) + &change::of_neighbour(neighbour, lang);
        return lang.pick(
            format!("{state} for {since}, takes {taken}, has refused {refused}, sends {sent}{more}"),
            format!("{state} ({since})、受入 {taken}、拒否 {refused}、送信 {sent}{more}"),
        );
    }
    let kept = words::restart::kept(neighbour, lang).map(|kept| lang.pick("; ", "、").to_owned() + &kept);
    let kept = kept.unwrap_or_default();
    match &neighbour.last_end {
        Some(end) => format!("{state} ({}){kept}", words::session_end(end, lang)),
        None => state.into(),
    }
}

fn links(page: &mut String, running: &Running, lang: Lang) {
    line(page, 1, lang.pick("links", "リンク"));
    for link in &running.links {
        let state = match (link.exists, link.up) {
            (false, _) => lang.pick("not there", "まだありません"),
            (true, false) => lang.pick("down", "落ちています"),
            (true, true) => lang.pick("up", "上がっています"),
        };
        line(page, 2, &format!("{:15}  {state}", link.name.as_str()));
    }
}

fn routes(page: &mut String, running: &Running, lang: Lang) {
    let routes = &running.routes;
    let (v4, v6, multipath, missing) = (routes.ipv4, routes.ipv6, routes.multipath, routes.missing);
    line(
        page,
        1,
        &lang.pick(
            format!("routes for the kernel: {v4} IPv4, {v6} IPv6, {multipath} of them by several ways, {missing} missing"),
            format!("カーネルの経路: IPv4 {v4}、IPv6 {v6}、うち複数の道 {multipath}、欠落 {missing}"),
        ),
    );
    for (prefix, error) in &running.routes_failed {
        line(
            page,
            2,
            &lang.pick(format!("{prefix} is missing: {error}"), format!("{prefix}が入っていません: {error}")),
        );
    }
}

/// IPv4 and IPv6, and EVPN where there is any.
fn counts(counts: FamilyCounts, lang: Lang) -> String {
    let FamilyCounts { ipv4, ipv6, evpn } = counts;
    match evpn {
        0 => format!("{ipv4}+{ipv6}"),
        _ => lang.pick(format!("{ipv4}+{ipv6} and {evpn} EVPN"), format!("{ipv4}+{ipv6}とEVPN {evpn}")),
    }
}
