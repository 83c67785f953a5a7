//! The datapath process on the page: its tunnels and the lines under them.

use super::{Drops, duration, heading, line};
use crate::observe::say::pad;
use crate::observe::status::{
    DatapathStatus, FarEnd, HandoversRefused, KeepaliveStatus, LineStatus, TakenOver, TunnelState,
    TunnelStatus,
};
use crate::observe::words;
use std::collections::BTreeMap;
use tsumugi_core::tunnel::DropReason;
use tsumugi_plan::explain::Lang;

pub fn page(status: &DatapathStatus, lang: Lang) -> String {
    let mut page = heading(&status.process, &status.plan, status.uptime_ms, lang);
    if let Some(TakenOver { pid, program, tunnels, lines }) = &status.taken_over {
        let said = lang.pick(
            format!("taken over without loss from {program}, pid {pid}: {tunnels} tunnels, {lines} lines"),
            format!("{program} (pid {pid})から損失なく引き継ぎました: トンネル {tunnels}本、回線 {lines}本"),
        );
        line(&mut page, 1, &said);
    }
    for HandoversRefused { why, count } in &status.handovers_refused {
        let why = words::handover_refused(why, lang);
        let said = lang.pick(
            format!("not handed over to another process, {count} times: {why}"),
            format!("別のプロセスに引き継がなかった ({count}回): {why}"),
        );
        line(&mut page, 1, &said);
    }
    if !status.tunnels.is_empty() || !status.unmade.is_empty() {
        line(&mut page, 1, lang.pick("tunnels", "トンネル"));
    }
    for one in &status.tunnels {
        tunnel(&mut page, one, lang);
    }
    for name in &status.unmade {
        let said = lang.pick("could not be made, the log says why", "作れませんでした。理由はログにあります");
        line(&mut page, 2, &format!("{}  {said}", pad(name.as_str(), 15)));
    }
    if !status.lines.is_empty() {
        line(&mut page, 1, lang.pick("lines", "回線"));
    }
    for one in &status.lines {
        of_line(&mut page, one, lang);
    }
    for link in &status.underlay.waiting {
        let said = lang.pick(
            format!("the interface {link} of the underlay is not there"),
            format!("アンダーレイのインターフェース {link}がありません"),
        );
        line(&mut page, 1, &said);
    }
    for failure in &status.underlay.failing {
        let said = lang.pick(format!("not applied: {failure}"), format!("適用できませんでした: {failure}"));
        line(&mut page, 1, &said);
    }
    page
}

fn tunnel(page: &mut String, tunnel: &TunnelStatus, lang: Lang) {
    let mut state = words::tunnel_state(tunnel.state, lang).to_owned();
    if tunnel.state == TunnelState::Up {
        state += &match tunnel.last_heard_ms.map(duration) {
            Some(ago) => lang.pick(format!(", heard {ago} ago"), format!("、最後の受信 {ago}前")),
            // The kernel does not tell.
            None if tunnel.received.packets > 0 => String::new(),
            None => lang.pick(", nothing heard yet", "、まだ何も届いていません").into(),
        };
    }
    line(page, 2, &format!("{}  {state}", pad(tunnel.name.as_str(), 15)));
    let (by, on, engine) = (&tunnel.by, &tunnel.line, words::engine(&tunnel.engine, lang));
    let unknown = || lang.pick("?", "不明").to_owned();
    let end = |address: Option<std::net::IpAddr>| address.map_or_else(unknown, |address| address.to_string());
    let (local, remote) = (end(tunnel.local), end(tunnel.remote));
    let (mtu, path) = (tunnel.mtu, tunnel.path_mtu);
    let said = lang.pick(
        format!("{by} on line {on}, {local} to {remote}; MTU {mtu} over {path}; {engine}"),
        format!("{by}、回線 {on}、{local} → {remote}。MTU {mtu} (経路 {path})。{engine}"),
    );
    line(page, 3, &said);
    if let Some(shortcut) = &tunnel.shortcut {
        line(page, 3, &words::shortcut(shortcut, lang));
    }
    if let Some(passed) = &tunnel.by_shortcut {
        let (received, sent) = (passed.received.packets, passed.sent.packets);
        let said = lang.pick(
            format!("by the shortcut received {received} of them, sent {sent}"),
            format!("うち近道で受信 {received}、送信 {sent}"),
        );
        line(page, 4, &said);
    }
    let (received, sent) = (tunnel.received, tunnel.sent);
    let said = lang.pick(
        format!("received {} packets, sent {}", received.packets, sent.packets),
        format!("受信 {}パケット、送信 {}パケット", received.packets, sent.packets),
    );
    line(page, 3, &said);
    line(page, 3, &keepalive(&tunnel.keepalive, lang));
    if let Some(measured) = &tunnel.measured {
        line(page, 3, lang.pick("path", "経路"));
        for said in words::measured_path(measured, lang) {
            line(page, 4, &said);
        }
    }
    if let Some(void) = &tunnel.measured_void {
        line(page, 3, &words::void_path(void, lang));
    }
    if let Some(progress) = &tunnel.measuring {
        let stage = words::probe_stage(&progress.stage, lang);
        let said =
            lang.pick(format!("the path is being measured: {stage}"), format!("経路を測定中: {stage}"));
        line(page, 3, &said);
    }
    for trouble in &tunnel.trouble {
        line(page, 3, &words::missing(trouble, lang));
    }
    drops(&tunnel.drops, lang).print(page, 3, lang);
}

fn keepalive(status: &KeepaliveStatus, lang: Lang) -> String {
    let mut said = words::far_end(&status.far_end, lang).to_owned();
    if matches!(status.far_end, FarEnd::NotAsked { .. }) {
        return said;
    }
    if let Some(since) = status.since_ms.map(duration) {
        said += &lang.pick(format!(", for {since}"), format!(" ({since}前から)"));
    }
    if let Some((last, least)) = status.rtt_us.zip(status.rtt_min_us) {
        let [last, least] = [last, least].map(|us| us as f64 / 1000.0);
        said += &lang.pick(
            format!("; round trip {last:.1} ms, at least {least:.1}"),
            format!("。往復 {last:.1} ms (最短 {least:.1})"),
        );
    }
    let KeepaliveStatus { asked, answered, deaths, .. } = status;
    said += &lang.pick(
        format!("; {answered} answers to {asked} questions, given up {deaths} times"),
        format!("。質問{asked}回に応答{answered}回、断念{deaths}回"),
    );
    said
}

fn of_line(page: &mut String, of: &LineStatus, lang: Lang) {
    let state = match (&of.trouble, of.open) {
        (_, true) => lang.pick("open", "使用中").to_owned(),
        (Some(trouble), false) => {
            let why = words::missing(trouble, lang);
            lang.pick(format!("not usable yet: {why}"), format!("まだ使えません: {why}"))
        }
        (None, false) => lang.pick("not usable yet", "まだ使えません").to_owned(),
    };
    line(page, 2, &format!("{}  {state}", pad(of.name.as_str(), 15)));
    let path = of.path.as_ref().map(|path| words::line_path(path, lang)).unwrap_or_default();
    if of.open && !path.is_empty() {
        line(page, 3, &path);
    }
    drops(&of.drops, lang).print(page, 3, lang);
}

fn drops(counts: &BTreeMap<String, u64>, lang: Lang) -> Drops {
    let mut drops = Drops::default();
    for reason in DropReason::ALL {
        let count = counts.get(reason.counter()).copied();
        drops.add(count.unwrap_or(0), words::tunnel_drop(*reason, lang));
    }
    drops
}
