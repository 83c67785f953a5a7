//! The status of a machine's processes as a page that a person reads.

use super::status::{BgpStatus, RouterStatus, Running, SessionStatus};
use super::words;
use serde_json::Value;
use std::fmt::Write;
use tsumugi_core::bgp::{FamilyCounts, SessionState};
use tsumugi_core::desired::DropReason;
use tsumugi_plan::explain::Lang;

/// The router process's document.
pub fn router(status: &RouterStatus, lang: Lang) -> String {
    let mut page = String::new();
    let up = duration(status.uptime_ms);
    let plan = &status.plan;
    let title = match status.running {
        Some(_) => lang.pick(
            format!(
                "router {} of {} (site {}, id {}), up {up}",
                plan.router, plan.network, plan.site, plan.id
            ),
            format!(
                "{}のルーター {} (拠点 {}, id {})、稼働 {up}",
                plan.network, plan.router, plan.site, plan.id
            ),
        ),
        None => lang.pick(
            format!("router: nothing runs, there is no plan; up {up}"),
            format!("router: 計画がないため何も動いていません、稼働 {up}"),
        ),
    };
    line(&mut page, 0, &title);
    if let Some(refused) = &plan.refused {
        line(
            &mut page,
            1,
            &lang.pick(
                format!("newest plan refused: {refused}"),
                format!("最新の計画を拒みました: {refused}"),
            ),
        );
    }
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
    sessions(page, bgp, lang);
    links(page, running, lang);
    routes(page, running, lang);
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
            line(page, 2, &format!("{}  {state}", origination.prefix));
        }
    }
    if !bgp.refusals.is_empty() {
        line(page, 1, lang.pick("refused routes", "拒んだ経路"));
        for refusal in &bgp.refusals {
            let why = words::import_refusal(&refusal.reason, lang);
            line(page, 2, &format!("{}  {}: {why}", refusal.prefix, refusal.neighbour));
        }
    }
    let drops: Vec<_> = DropReason::ALL
        .into_iter()
        .filter_map(|reason| Some((reason, *running.walls.get(reason.counter())?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    if !drops.is_empty() {
        line(page, 1, lang.pick("dropped packets", "捨てたパケット"));
        for (reason, count) in drops {
            line(page, 2, &format!("{count:>8}  {}", words::drop_reason(reason, lang)));
        }
    }
    for (reason, count) in &running.refused_connections {
        line(page, 2, &format!("{count:>8}  {}", words::refused_connection(*reason, lang)));
    }
    for failure in &running.fabric_failures {
        line(
            page,
            1,
            &lang.pick(format!("not applied: {failure}"), format!("適用できませんでした: {failure}")),
        );
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

fn session_words(session: &SessionStatus, lang: Lang) -> String {
    let SessionStatus { neighbour, .. } = session;
    let state = words::session_state(neighbour.state, lang);
    if neighbour.state == SessionState::Established {
        let since = duration(neighbour.established_for_ms.unwrap_or(0));
        let (taken, sent) = (counts(neighbour.accepted), counts(neighbour.announced));
        let refused = neighbour.refused_count;
        return lang.pick(
            format!("{state} for {since}, takes {taken}, refuses {refused}, sends {sent}"),
            format!("{state} ({since})、受入 {taken}、拒否 {refused}、送信 {sent}"),
        );
    }
    match &neighbour.last_end {
        Some(end) => format!("{state} ({})", words::session_end(end, lang)),
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

fn counts(counts: FamilyCounts) -> String {
    format!("{}+{}", counts.ipv4, counts.ipv6)
}

/// Any other process's document: its fields, a line each.
pub fn other(document: &Value) -> String {
    let mut page = String::new();
    fields(&mut page, 1, document);
    page
}

fn fields(page: &mut String, depth: usize, value: &Value) {
    let mut field = |name: &str, value: &Value| match value {
        Value::Object(object) if !object.is_empty() => {
            line(page, depth, name);
            fields(page, depth + 1, value);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            line(page, depth, name);
            fields(page, depth + 1, value);
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            line(page, depth, &format!("{name}: {}", items.join(", ")));
        }
        value => line(page, depth, &format!("{name}: {}", plain(value))),
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| field(name, value)),
        Value::Array(items) => items.iter().for_each(|value| field("-", value)),
        value => line(page, depth, &plain(value)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        value => value.to_string(),
    }
}

fn line(page: &mut String, depth: usize, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{:1$}{text}", "", depth * 2);
}

/// Two units at the most: 3d 4h, 12m 5s, 850ms.
fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_document_is_readable() {
        let document =
            json!({"process": "datapath", "tunnels": [{"name": "gre-a", "up": true}], "ports": [1, 2]});
        let page =
            "  ports: 1, 2\n  process: datapath\n  tunnels\n    -\n      name: gre-a\n      up: true\n";
        assert_eq!(other(&document), page);
    }

    #[test]
    fn durations_have_two_units() {
        let texts = [850, 12_000, 725_000, 7_380_000, 273_600_000].map(duration);
        assert_eq!(texts, ["850ms", "12s", "12m 5s", "2h 3m", "3d 4h"]);
    }
}
