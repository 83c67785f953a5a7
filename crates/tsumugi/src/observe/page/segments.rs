//! Segments on the router's page.

use super::{duration, line};
use crate::observe::status::{DhcpStatus, Running};
use crate::observe::words;
use tsumugi_core::evpn::{EvpnStatus, MacPlace, PortStatus, SegmentStatus};
use tsumugi_plan::explain::Lang;

pub fn segments(page: &mut String, running: &Running, lang: Lang) {
    let evpn = &running.segments;
    if evpn.segments.is_empty() {
        return;
    }
    line(page, 1, lang.pick("segments", "セグメント"));
    for it in &evpn.segments {
        segment(page, it, lang);
    }
    refused(page, evpn, lang);
    let (wanted, missing) = (running.entries.wanted, running.entries.missing);
    line(
        page,
        1,
        &lang.pick(
            format!("entries for the kernel's bridges: {wanted}, {missing} missing"),
            format!("カーネルのブリッジの登録: {wanted}、欠落 {missing}"),
        ),
    );
    if let Some(error) = &running.ports_failing {
        line(
            page,
            1,
            &lang.pick(
                format!("ports cannot be opened or closed: {error}"),
                format!("ポートの開閉ができません: {error}"),
            ),
        );
    }
    if let Some(dhcp) = &running.dhcp {
        line(page, 1, &dhcp_words(dhcp, lang));
    }
}

fn segment(page: &mut String, it: &SegmentStatus, lang: Lang) {
    let here = it.macs.iter().filter(|mac| matches!(mac.at, MacPlace::Port { .. })).count();
    let there = it.macs.iter().filter(|mac| matches!(mac.at, MacPlace::Vtep { .. })).count();
    let (name, vni, hosts) = (&it.name, it.vni.0, it.hosts.len());
    line(
        page,
        2,
        &lang.pick(
            format!(
                "{name}  VNI {vni}, {here} MACs here, {there} elsewhere, {hosts} addresses of hosts known"
            ),
            format!("{name}  VNI {vni}、MAC ここに{here}・他に{there}、ホストのアドレス{hosts}"),
        ),
    );
    for port in &it.ports {
        line(page, 3, &port_words(port, lang));
    }
    match (it.vtep, it.reachable) {
        (Some(_), false) => line(
            page,
            3,
            lang.pick(
                "other routers cannot reach it: no VXLAN device",
                "VXLANデバイスがなく、他のルーターから届きません",
            ),
        ),
        (Some(_), true) if it.vteps.is_empty() => {
            line(page, 3, lang.pick("no other router is heard", "他のルーターはまだいません"));
        }
        _ => {}
    }
    for vtep in &it.vteps {
        let (address, macs) = (vtep.address, vtep.macs);
        let flood = if vtep.flood {
            ""
        } else {
            lang.pick(", takes no frames for everyone", "、全体宛のフレームは受けません")
        };
        line(page, 3, &format!("VTEP {address}  MAC {macs}{flood}"));
    }
    for mac in it.macs.iter().filter(|mac| mac.frozen_for_ms.is_some()) {
        let (address, time) = (mac.mac, duration(mac.frozen_for_ms.unwrap_or(0)));
        line(
            page,
            3,
            &lang.pick(
                format!("{address} is in two places and stays where it is for {time} at least"),
                format!("{address}が二か所にあります（少なくとも{time}は今の場所に固定）"),
            ),
        );
    }
    for conflict in &it.router_macs_in_conflict {
        let vteps: Vec<String> = conflict.vteps.iter().map(ToString::to_string).collect();
        let (mac, vteps) = (conflict.mac, vteps.join(", "));
        line(
            page,
            3,
            &lang.pick(
                format!("router MAC {mac} is claimed by several VTEPs: {vteps}"),
                format!("ルーターMAC {mac}を複数のVTEPが名乗っています: {vteps}"),
            ),
        );
    }
}

fn port_words(port: &PortStatus, lang: Lang) -> String {
    let (name, macs, since) = (port.link.as_str(), port.macs, duration(port.since_ms));
    let state = match (port.up, &port.blocked) {
        (false, _) => lang.pick(format!("down for {since}"), format!("{since}前から落ちています")),
        (true, None) => {
            lang.pick(format!("open for {since}, {macs} MACs"), format!("開 ({since})、MAC {macs}"))
        }
        (true, Some(reason)) => {
            let why = words::block_reason(reason, lang);
            lang.pick(format!("blocked for {since}, {why}"), format!("閉 ({since})、{why}"))
        }
    };
    match &port.lan {
        Some(lan) => format!("{name}  LAN {lan}, {state}"),
        None => format!("{name}  {state}"),
    }
}

fn refused(page: &mut String, evpn: &EvpnStatus, lang: Lang) {
    if evpn.refused_now == 0 {
        return;
    }
    let count = evpn.refused_now;
    line(
        page,
        1,
        &lang.pick(
            format!("routes of segments not used: {count}"),
            format!("使わないセグメント経路: {count}"),
        ),
    );
    for route in &evpn.refused {
        let why = words::route_refusal(route.reason, lang);
        line(page, 2, &format!("{}  {} {}: {why}", route.segment, route.next_hop, route.route));
    }
}

fn dhcp_words(dhcp: &DhcpStatus, lang: Lang) -> String {
    let leases = dhcp.leases.len();
    match &dhcp.trouble {
        Some(trouble) => {
            let why = words::dhcp_trouble(trouble, lang);
            lang.pick(format!("no DHCP server: {why}"), format!("DHCPサーバーなし: {why}"))
        }
        None if dhcp.running => lang.pick(
            format!("DHCP server runs, {leases} addresses given"),
            format!("DHCPサーバー稼働中、割当{leases}件"),
        ),
        None => lang.pick("DHCP server is being started", "DHCPサーバーを起動しています").into(),
    }
}
