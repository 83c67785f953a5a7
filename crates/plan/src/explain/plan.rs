//! A router's plan in a few lines that a person can read.

use super::Lang;
use super::mtu::ip_name;
use std::fmt::Write;
use tsumugi_core::bgp::config::{NeighbourConfig, Relation, Role, SpeakerConfig, Terms, Transport};
use tsumugi_core::desired::{Desired, LinkKind};
use tsumugi_core::id::{IfName, Plane};
use tsumugi_core::mtu::{Ip, Way, Wrapping};
use tsumugi_core::router_plan::{Encapsulation, Engine, Keepalive, RouterPlan, Tunnel, TunnelClamp};

/// What one machine must be: addresses, interfaces of each plane, sessions, keys.
pub fn summary(plan: &RouterPlan, lang: Lang) -> String {
    let mut text = String::new();
    let site = if plan.site.is_empty() { String::new() } else { format!(" @ {}", plan.site) };
    let asn = plan.speaker.as_ref().map_or_else(String::new, |speaker| format!("  {}", speaker.asn));
    let _ = writeln!(text, "{}{site}  id {}{asn}", plan.name, plan.id);
    for plane in Plane::ALL {
        plane_lines(&mut text, plan, plane, lang);
        if plane == Plane::Management {
            overlay_lines(&mut text, plan, lang);
        }
    }
    super::carried::lines(&mut text, plan, lang);
    if let Some(speaker) = &plan.speaker {
        speaker_lines(&mut text, speaker, lang);
        super::frr::lines(&mut text, plan, lang);
    }
    if let Some(rpki) = &plan.rpki {
        super::rpki::lines(&mut text, rpki, lang);
    }
    if let Some(bmp) = &plan.bmp {
        super::bmp::lines(&mut text, bmp, lang);
    }
    text
}

fn heading(text: &mut String, words: &str) {
    let _ = writeln!(text, "  {words}");
}

fn plane_lines(text: &mut String, plan: &RouterPlan, plane: Plane, lang: Lang) {
    let desired = plan.plane(plane);
    if desired.links.is_empty() && desired.addresses.is_empty() {
        return;
    }
    heading(text, plane_name(plane, lang));
    let on_loopback = addresses(desired, &IfName::loopback());
    if !on_loopback.is_empty() {
        let _ = writeln!(text, "    {:15}        {on_loopback}", "lo");
    }
    for link in &desired.links {
        let addresses = addresses(desired, &link.name);
        let tunnel = plan.tunnels.iter().find(|tunnel| plane == Plane::Fabric && tunnel.name == link.name);
        let kind = match (&link.kind, tunnel) {
            (_, Some(tunnel)) => tunnel_words(tunnel, lang),
            (LinkKind::Macvlan { parent }, None) => format!("macvlan {parent}"),
            (_, None) => link.alias.clone(),
        };
        let addresses = if addresses.is_empty() { "-" } else { &addresses };
        let _ = writeln!(text, "    {:15} {:>5}  {addresses}  {kind}", link.name.as_str(), link.mtu);
    }
}

fn addresses(desired: &Desired, link: &IfName) -> String {
    let of_link = desired.addresses.iter().filter(|address| address.link == *link);
    of_link.map(|address| address.prefix.to_string()).collect::<Vec<_>>().join(" ")
}

fn plane_name(plane: Plane, lang: Lang) -> &'static str {
    match (plane, lang) {
        (Plane::Management, Lang::En) => "management: for repair",
        (Plane::Management, Lang::Ja) => "management: 管理用",
        (Plane::Underlay, Lang::En) => "underlay: the access lines",
        (Plane::Underlay, Lang::Ja) => "underlay: アクセス回線",
        (Plane::Fabric, Lang::En) => "fabric: the real network",
        (Plane::Fabric, Lang::Ja) => "fabric: 本番のネットワーク",
    }
}

fn tunnel_words(tunnel: &Tunnel, lang: Lang) -> String {
    let outer = Ip::of_ipv6(tunnel.outer_ipv6);
    let way = Way {
        wrapping: Wrapping::from(&tunnel.encapsulation),
        outer,
        path_mtu: tunnel.path_mtu.into(),
        mtu: tunnel.mtu.into(),
    };
    let by = match &tunnel.encapsulation {
        Encapsulation::Gre { key: None } => "GRE".into(),
        Encapsulation::Gre { key: Some(key) } => format!("GRE key {key}"),
        Encapsulation::Gretap { key: None } => "GREtap".into(),
        Encapsulation::Gretap { key: Some(key) } => format!("GREtap key {key}"),
        Encapsulation::EtherIp => "EtherIP".into(),
        Encapsulation::Geneve { vni } => format!("GENEVE VNI {}", vni.0),
        Encapsulation::WireGuard { local_port, .. } => format!("WireGuard port {local_port}"),
    };
    let sizes = way.packets(way.mtu).iter().map(u32::to_string).collect::<Vec<_>>().join(" + ");
    let mss = match (tunnel.clamp, lang) {
        (TunnelClamp::Auto, Lang::En) => format!("; MSS {} / {}", way.mss(Ip::V4), way.mss(Ip::V6)),
        (TunnelClamp::Auto, Lang::Ja) => format!("、MSS {} / {}", way.mss(Ip::V4), way.mss(Ip::V6)),
        (TunnelClamp::Recut, Lang::En) => "; TCP is cut anew to fit".into(),
        (TunnelClamp::Recut, Lang::Ja) => "、TCPは収まるように切り直す".into(),
        (TunnelClamp::Off, Lang::En) => "; TCP is left as it is".into(),
        (TunnelClamp::Off, Lang::Ja) => "、TCPのMSSは調整しない".into(),
    };
    let reversed = match (tunnel.accept_reversed, lang) {
        (false, _) => "",
        (true, Lang::En) => "; takes 0x03 of old BSDs as well",
        (true, Lang::Ja) => "、古いBSDの0x03も受け取る",
    };
    let shortcut = match (&tunnel.encapsulation, tunnel.engine, lang) {
        (Encapsulation::EtherIp, Engine::Auto, Lang::En) => {
            "; what fits one packet stays in the kernel if it can"
        }
        (Encapsulation::EtherIp, Engine::Auto, Lang::Ja) => {
            "、1パケットに収まるものはできればカーネル内を通る"
        }
        _ => "",
    };
    let unknown = match lang {
        Lang::En => "whoever calls",
        Lang::Ja => "呼び出してきた相手",
    };
    let remote = tunnel.remote.map_or_else(|| unknown.to_owned(), |remote| remote.to_string());
    let ip = ip_name(outer);
    let asks = asks(&tunnel.keepalive, lang);
    match lang {
        Lang::En => format!(
            "{by} / {ip} by {} to {remote}; path {}: {} -> {sizes}{mss}{reversed}{shortcut}; {asks}",
            tunnel.uplink, tunnel.path_mtu, tunnel.mtu
        ),
        Lang::Ja => format!(
            "{by} / {ip} {}から{remote}へ。経路は{}: {} -> {sizes}{mss}{reversed}{shortcut}。{asks}",
            tunnel.uplink, tunnel.path_mtu, tunnel.mtu
        ),
    }
}

/// Who says whether the far end lives.
fn asks(keepalive: &Keepalive, lang: Lang) -> String {
    match (keepalive, lang) {
        (Keepalive::Signals { .. }, Lang::En) => "both ends ask if the other lives".into(),
        (Keepalive::Signals { .. }, Lang::Ja) => "両端が互いに生存を尋ねる".into(),
        (Keepalive::Neighbour { address, .. }, Lang::En) => format!("asks {address} if it lives"),
        (Keepalive::Neighbour { address, .. }, Lang::Ja) => format!("{address}に生存を尋ねる"),
        (Keepalive::Off, Lang::En) => "asks nobody if the far end lives, as the file says".into(),
        (Keepalive::Off, Lang::Ja) => "相手の生存は尋ねない(ファイルの指定)".into(),
        (Keepalive::Nobody, Lang::En) => "nobody is known to ask if the far end lives".into(),
        (Keepalive::Nobody, Lang::Ja) => "相手の生存を尋ねる先が分からない".into(),
    }
}

fn overlay_lines(text: &mut String, plan: &RouterPlan, lang: Lang) {
    let overlay = &plan.management.overlay;
    for neighbour in &overlay.neighbours {
        let paths: Vec<String> = neighbour
            .paths
            .iter()
            .map(|path| match (path.endpoint, lang) {
                (Some(endpoint), _) => format!("{} -> {endpoint}", path.line),
                (None, Lang::En) => format!("{} (it calls)", path.line),
                (None, Lang::Ja) => format!("{}(相手が呼び出す)", path.line),
            })
            .collect();
        let words = match lang {
            Lang::En => format!("{} with {}", overlay.device, neighbour.name),
            Lang::Ja => format!("{}の相手 {}", overlay.device, neighbour.name),
        };
        let _ = writeln!(text, "    {words}: {}", paths.join(", "));
    }
}

fn speaker_lines(text: &mut String, speaker: &SpeakerConfig, lang: Lang) {
    heading(text, "BGP");
    if speaker.draining {
        let words = lang.pick(
            "drained: asks everybody to prefer other ways",
            "ほかの道を選ぶよう全員に頼み、通信を逃がす",
        );
        let _ = writeln!(text, "    {words}");
    }
    for neighbour in &speaker.neighbours {
        let _ = writeln!(text, "    {:24} {}", neighbour.name, session_words(neighbour, lang));
    }
    for origination in speaker.originate.iter().filter(|origination| origination.discard) {
        let words = match (origination.while_reaching.is_empty(), lang) {
            (true, Lang::En) => "always".to_owned(),
            (true, Lang::Ja) => "常に".to_owned(),
            (false, Lang::En) => {
                format!("while it reaches one of {} routers elsewhere", origination.while_reaching.len())
            }
            (false, Lang::Ja) => {
                format!("他の場所の{}台のどれかに届くあいだ", origination.while_reaching.len())
            }
        };
        let announces = match lang {
            Lang::En => "announces",
            Lang::Ja => "広報",
        };
        let _ = writeln!(text, "    {announces} {} {words}", origination.prefix);
    }
}

fn session_words(neighbour: &NeighbourConfig, lang: Lang) -> String {
    let what = match (&neighbour.relation, lang) {
        (Relation::Inside { prepends }, Lang::En) => format!("inside, cost {prepends}"),
        (Relation::Inside { prepends }, Lang::Ja) => format!("内部、コスト{prepends}"),
        (Relation::Outside(policy), lang) => {
            let listed = policy.listed.as_ref().map(|listed| match lang {
                Lang::En => format!(", {} listed", listed.len()),
                Lang::Ja => format!("、リスト{}個", listed.len()),
            });
            format!("{}{}", role_name(policy.role, lang), listed.unwrap_or_default())
        }
    };
    let at = match &neighbour.transport {
        Transport::Unnumbered { remote: Some(remote), link, .. } => format!("{remote}%{link}"),
        Transport::Unnumbered { remote: None, link, .. } => format!("%{link}"),
        Transport::Numbered { remote, .. } => remote.to_string(),
    };
    format!("{:14} {at}  {what}{}", neighbour.remote_asn.to_string(), terms_words(&neighbour.terms, lang))
}

/// What is agreed about a session besides its policy.
fn terms_words(terms: &Terms, lang: Lang) -> String {
    let mut words = Vec::new();
    if terms.drain {
        words.push(lang.pick("drained", "通信を逃がす"));
    }
    if terms.strict_role {
        words.push(lang.pick("must say its role", "役割を名乗ること"));
    }
    if terms.gtsm {
        words.push("GTSM");
    }
    if terms.password.is_some() {
        words.push(lang.pick("signed", "署名つき"));
    }
    if terms.add_paths.receive {
        words.push(lang.pick("takes several paths", "複数経路を受け取る"));
    }
    let sent = terms.add_paths.send.map(|most| match lang {
        Lang::En => format!("told {most} paths to a prefix"),
        Lang::Ja => format!("{most}経路まで伝える"),
    });
    words.extend(sent.as_deref());
    let bfd = terms.bfd.map(|bfd| super::bfd::pace(&bfd, lang));
    words.extend(bfd.as_deref());
    words.iter().map(|word| format!("{}{word}", lang.pick(", ", "、"))).collect()
}

pub(super) fn role_name(role: Role, lang: Lang) -> &'static str {
    match (role, lang) {
        (Role::Provider, Lang::En) => "provider",
        (Role::Provider, Lang::Ja) => "provider(上流)",
        (Role::Peer, Lang::En) => "peer",
        (Role::Peer, Lang::Ja) => "peer(ピア)",
        (Role::Customer, Lang::En) => "customer",
        (Role::Customer, Lang::Ja) => "customer(顧客)",
        (Role::RouteServer, Lang::En) => "route server",
        (Role::RouteServer, Lang::Ja) => "route-server(ルートサーバー)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::declaration;

    const AS63806: &str = include_str!("../../../../examples/as63806.toml");

    #[test]
    fn a_border_and_a_home_in_both_languages() {
        let declaration = declaration::parse(AS63806).0.expect("a file that can be read");
        let network = compile(&declaration).expect("a plan");
        let of = |name: &str, lang| summary(network.machine(name).expect("a machine of the file"), lang);
        insta::assert_snapshot!("summary_en", [of("cr0102", Lang::En), of("hr0303", Lang::En)].join("\n"));
        insta::assert_snapshot!("segments_en", of("er0211", Lang::En));
        insta::assert_snapshot!("segments_ja", of("er0112", Lang::Ja));
        insta::assert_snapshot!("summary_ja", [of("cr0102", Lang::Ja), of("hana", Lang::Ja)].join("\n"));
    }

    #[test]
    fn who_speaks_bgp_is_said_where_it_is_frr() {
        let table = "[router.cr0102]\n";
        let text = AS63806.replacen(table, &format!("{table}routing = \"frr\"\n"), 1);
        let declaration = declaration::parse(&text).0.expect("a file that can be read");
        let network = compile(&declaration).expect("a plan");
        let says = |name: &str, lang| {
            summary(network.machine(name).expect("a machine of the file"), lang).contains("FRR")
        };
        for lang in [Lang::En, Lang::Ja] {
            assert!(says("cr0102", lang) && !says("cr0201", lang));
        }
    }

    #[test]
    fn tunnels_to_others_in_words() {
        let end = |by: &str, more: &str| {
            format!(
                "[[segment.peering-lan.{by}]]\nrouter = \"cr0102\"\nover = \"inet\"\n\
                 remote = \"2001:db8:950::1\"\n{more}\n"
            )
        };
        let ends = [
            end("etherip", "accept-reversed = true\nclamp = \"off\""),
            end("gretap", "key = 7\nclamp = \"recut\""),
            end("geneve", "vni = 16777215"),
        ];
        let text = format!("{AS63806}\n{}", ends.concat());
        let declaration = declaration::parse(&text).0.expect("a file that can be read");
        let network = compile(&declaration).expect("a plan");
        let words = summary(network.machine("cr0102").expect("a machine of the file"), Lang::En);
        for line in [
            "EtherIP / IPv6 by eth1 to 2001:db8:950::1; path 1500: 1500 -> 1496 + 116; TCP is left as it is; \
             takes 0x03 of old BSDs as well",
            "GREtap key 7 / IPv6 by eth1 to 2001:db8:950::1; path 1500: 1500 -> 1496 + 122; TCP is cut anew to fit",
            "GENEVE VNI 16777215 / IPv6 by eth1 to 2001:db8:950::1; path 1500: 1500 -> 1496 + 130; MSS 1390 / 1370",
        ] {
            assert!(words.contains(line), "{line}\n{words}");
        }
    }
}
