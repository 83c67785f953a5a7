//! A router's segments in words: who carries them, where hosts attach, what they are told and what
//! they may send to.

use super::Lang;
use std::fmt::Write;
use tsumugi_core::desired::{Hook, Match, ProtocolMatch, SegmentWall, Verdict, WallRule};
use tsumugi_core::evpn::config::{Gateway, SegmentConfig, SegmentPort};
use tsumugi_core::router_plan::RouterPlan;

/// The part of a plan's summary.
pub(super) fn lines(text: &mut String, plan: &RouterPlan, lang: Lang) {
    if plan.evpn.segments.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {}", lang.pick("segments", "セグメント"));
    for segment in &plan.evpn.segments {
        let wall = plan.fabric.segment_walls.iter().find(|wall| wall.bridge == segment.bridge);
        let _ = writeln!(text, "    {:15} {}", segment.name, way(segment, lang));
        for port in &segment.ports {
            let limit = wall.and_then(|wall| wall.ports.iter().find(|one| one.link == port.link));
            let words = port_words(port, limit.map_or(0, |limit| limit.storm_limit), lang);
            let _ = writeln!(text, "      {words}");
        }
        if let Some(words) = wall.and_then(|wall| clamp(wall, lang)) {
            let _ = writeln!(text, "      {words}");
        }
        if let Some(gateway) = &segment.gateway {
            for line in gateway_lines(gateway, segment.stretch.is_some(), lang) {
                let _ = writeln!(text, "      {line}");
            }
            for line in reach(plan, segment, lang) {
                let _ = writeln!(text, "      {line}");
            }
        }
    }
}

fn way(segment: &SegmentConfig, lang: Lang) -> String {
    let vni = segment.vni.0;
    let Some(stretch) = &segment.stretch else {
        return lang.pick(format!("VNI {vni}, on this router alone"), format!("VNI {vni}。このルーターだけ"));
    };
    let targets = |list: &[tsumugi_core::wire::bgp::RouteTarget]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let (import, export) = (targets(&stretch.import), targets(&stretch.export));
    let marks = if import == export { import } else { format!("{export} <- {import}") };
    let (vtep, rd) = (stretch.vtep, stretch.rd);
    match lang {
        Lang::En => format!("VNI {vni} by VXLAN from {vtep}; route target {marks}, distinguisher {rd}"),
        Lang::Ja => format!("VNI {vni}。{vtep}からVXLAN。ルートターゲット{marks}、経路識別子{rd}"),
    }
}

fn port_words(port: &SegmentPort, limit: u32, lang: Lang) -> String {
    let link = port.link.as_str();
    let lan = match (&port.lan, lang) {
        (None, _) => String::new(),
        (Some(lan), Lang::En) if lan.preference == 0 => format!("; LAN {}: forwards", lan.name),
        (Some(lan), Lang::Ja) if lan.preference == 0 => format!("。LAN {}: 転送する", lan.name),
        (Some(lan), Lang::En) => format!("; LAN {}: stands by, number {} in line", lan.name, lan.preference),
        (Some(lan), Lang::Ja) => format!("。LAN {}: 待機、{}番目", lan.name, lan.preference),
    };
    match lang {
        Lang::En => format!("{link:13} broadcast, multicast, unknown: {limit} a second each{lan}"),
        Lang::Ja => format!("{link:13} ブロードキャスト、マルチキャスト、宛先不明は毎秒{limit}ずつまで{lan}"),
    }
}

fn clamp(wall: &SegmentWall, lang: Lang) -> Option<String> {
    let (v4, v6) = (wall.clamp_v4?, wall.clamp_v6?);
    Some(match lang {
        Lang::En => format!("TCP to other routers: MSS {v4} / {v6}, so that it fits one packet outside"),
        Lang::Ja => format!("ほかのルーターへのTCP: MSS {v4} / {v6}(外側1パケットに収まる大きさ)"),
    })
}

fn gateway_lines(gateway: &Gateway, is_shared: bool, lang: Lang) -> Vec<String> {
    let join = |all: Vec<String>| all.join(" ");
    let addresses = join(gateway.addresses.iter().map(ToString::to_string).collect());
    let mac = gateway.mac;
    let everywhere = match (is_shared, lang) {
        (false, _) => "",
        (true, Lang::En) => ", the same on every router",
        (true, Lang::Ja) => "(どのルーターでも同じ)",
    };
    let mut lines = vec![match lang {
        Lang::En => format!("gateway {addresses} at {mac}{everywhere}"),
        Lang::Ja => format!("ゲートウェイ {addresses}、{mac}{everywhere}"),
    }];
    if !gateway.dns.is_empty() {
        lines.push(format!("DNS {}", join(gateway.dns.iter().map(ToString::to_string).collect())));
    }
    if let Some(dhcp) = &gateway.dhcp {
        let (first, last, lease) = (dhcp.first, dhcp.last, dhcp.lease);
        lines.push(match lang {
            Lang::En => format!("DHCP lends {first} to {last} for {lease} s"),
            Lang::Ja => format!("DHCPで{first}から{last}までを{lease}秒貸し出す"),
        });
    }
    lines
}

/// What its hosts may send to, first match first, read back from the rules that will hold.
fn reach(plan: &RouterPlan, segment: &SegmentConfig, lang: Lang) -> Vec<String> {
    let walls = plan.fabric.walls.iter().filter(|wall| wall.hook == Hook::Forward);
    let rules =
        walls.flat_map(|wall| &wall.rules).filter(|rule| rule.matches.iif == [segment.bridge.clone()]);
    let mut lines: Vec<String> = rules.filter_map(|rule| rule_words(rule, lang)).collect();
    let rest = match (lines.is_empty(), lang) {
        (true, Lang::En) => "may send to everything",
        (false, Lang::En) => "may send to everything else",
        (true, Lang::Ja) => "どこへでも送れる",
        (false, Lang::Ja) => "それ以外へは送れる",
    };
    lines.push(rest.into());
    lines
}

fn rule_words(rule: &WallRule, lang: Lang) -> Option<String> {
    let what = what(&rule.matches, lang);
    match (rule.verdict, lang) {
        (Verdict::Accept, Lang::En) => Some(format!("may send {what}")),
        (Verdict::Accept, Lang::Ja) => Some(format!("{what}を送れる")),
        (Verdict::Drop { .. }, Lang::En) => Some(format!("may not send {what}")),
        (Verdict::Drop { .. }, Lang::Ja) => Some(format!("{what}は送れない")),
        (Verdict::ClampMss { .. }, _) => None,
    }
}

fn what(matches: &Match, lang: Lang) -> String {
    let to = matches.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let kind = match &matches.protocol {
        Some(ProtocolMatch::Tcp { ports, .. }) if *ports == [25] => {
            lang.pick("mail (TCP 25)", "メール(TCP 25)")
        }
        Some(ProtocolMatch::Icmp) => lang.pick("pings", "ping"),
        _ => "",
    };
    match (to.as_str(), kind, lang) {
        ("", "", Lang::En) => "to anything".into(),
        ("", "", Lang::Ja) => "何か".into(),
        ("", kind, _) => kind.into(),
        (to, "", Lang::En) => format!("to {to}"),
        (to, "", Lang::Ja) => format!("{to}へのパケット"),
        (to, kind, Lang::En) => format!("{kind} to {to}"),
        (to, kind, Lang::Ja) => format!("{to}への{kind}"),
    }
}
