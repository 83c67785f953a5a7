//! The arithmetic of packet sizes in words: every number stands on the left, so that a column can
//! be added up by eye.

use super::Lang;
use crate::compile::{SEGMENT_MTU, Subject, Subjects, Where};
use crate::declaration::Declaration;
use std::fmt::Write;
use tsumugi_core::mtu::{self, Account, IPV6_FRAGMENT, Ip, Line, Part, TCP, Way, Wrapping};

/// The arithmetic of a file's links, connections, overlay and segments, of a file that `check`
/// finds nothing wrong with. `which` is `a-b`, the name of an interface, a peer, `management` or
/// `segments`; `None`: everything. What shares one arithmetic is told together.
///
/// # Errors
/// The words that `which` may be, if it is none of them.
pub fn explain(declaration: &Declaration, which: Option<&str>, lang: Lang) -> Result<String, Vec<String>> {
    let subjects = Subjects::of(declaration);
    let chosen: Vec<&Subject> =
        subjects.all.iter().filter(|subject| which.is_none_or(|which| subject.is_called(which))).collect();
    if chosen.is_empty() && which.is_some() {
        let mut known: Vec<String> =
            subjects.all.iter().filter_map(|subject| subject.names.first().cloned()).collect();
        known.dedup();
        return Err(known);
    }
    let mut groups: Vec<(Way, Vec<&Subject>)> = Vec::new();
    for subject in chosen {
        match groups.iter_mut().find(|(way, of)| *way == subject.way && of[0].place.is_like(&subject.place)) {
            Some((_, of)) => of.push(subject),
            None => groups.push((subject.way, vec![subject])),
        }
    }
    let mut text = String::new();
    for (way, of) in groups {
        for subject in &of {
            let _ = writeln!(text, "{}", title(subject, lang));
        }
        let mut account = way.account();
        let vtep = match of[0].place {
            Where::SegmentsOver { vtep, .. } => Some(vtep),
            _ => None,
        };
        // TCP is inside the inner packet: what holds it down stands below.
        account.lines.retain(|line| vtep.is_none() || !matches!(line, Line::Mss { .. }));
        for line in lines(&account, lang) {
            let _ = writeln!(text, "  {line}");
        }
        for line in vtep.into_iter().flat_map(|vtep| segment_lines(&way, vtep, lang)) {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}

fn title(subject: &Subject, lang: Lang) -> String {
    let wrapping = wrapping_name(&subject.way);
    match (&subject.place, lang) {
        (Where::Link { ends, lines: None }, Lang::En) => {
            format!("{} - {}: {wrapping}", ends[0], ends[1])
        }
        (Where::Link { ends, lines: None }, Lang::Ja) => {
            format!("{} - {}: {wrapping}", ends[0], ends[1])
        }
        (Where::Link { ends, lines: Some(lines) }, Lang::En) => format!(
            "{} - {}: {wrapping}; lines {} ({}) and {} ({})",
            ends[0], ends[1], lines[0].0, lines[0].1, lines[1].0, lines[1].1
        ),
        (Where::Link { ends, lines: Some(lines) }, Lang::Ja) => format!(
            "{} - {}: {wrapping}。回線は{}({})と{}({})",
            ends[0], ends[1], lines[0].0, lines[0].1, lines[1].0, lines[1].1
        ),
        (Where::Connection { router, peer, line: None }, _) => format!("{router} - {peer}: {wrapping}"),
        (Where::Connection { router, peer, line: Some((line, mtu)) }, Lang::En) => {
            format!("{router} - {peer}, outside: {wrapping}; line {line} ({mtu})")
        }
        (Where::Connection { router, peer, line: Some((line, mtu)) }, Lang::Ja) => {
            format!("{router} - {peer}(外部): {wrapping}。回線は{line}({mtu})")
        }
        (Where::Management { members, lines }, Lang::En) => format!(
            "{} - {}, management: {wrapping}; lines {} ({}) and {} ({})",
            members[0], members[1], lines[0].0, lines[0].1, lines[1].0, lines[1].1
        ),
        (Where::Management { members, lines }, Lang::Ja) => format!(
            "{} - {}(管理): {wrapping}。回線は{}({})と{}({})",
            members[0], members[1], lines[0].0, lines[0].1, lines[1].0, lines[1].1
        ),
        (Where::Segments, Lang::En) => {
            format!("segments: {wrapping} across inside links of {}", subject.way.path_mtu)
        }
        (Where::Segments, Lang::Ja) => {
            format!("セグメント: {wrapping}。内部リンクは{}", subject.way.path_mtu)
        }
        (Where::SegmentsOver { ends, vtep }, Lang::En) => format!(
            "segments over {} - {}: a full frame, by then one packet of VXLAN / {}, in {wrapping}",
            ends[0],
            ends[1],
            ip_name(*vtep)
        ),
        (Where::SegmentsOver { ends, vtep }, Lang::Ja) => format!(
            "セグメント、{} - {}: 最大のフレームがVXLAN / {}の1パケットになり、{wrapping}で運ばれる",
            ends[0],
            ends[1],
            ip_name(*vtep)
        ),
    }
}

/// What TCP inside a segment is held to so that it fits one outer packet of this link.
fn segment_lines(link: &Way, vtep: Ip, lang: Lang) -> Vec<String> {
    let whole = link.largest_inner(1);
    let way = mtu::segment(vtep, whole, SEGMENT_MTU, false);
    if !way.needs_clamp() {
        return Vec::new();
    }
    let around = way.whole(0);
    let of = |ip: Ip| {
        let (mss, header, name) = (way.mss(ip), ip.header(), ip_name(ip));
        match lang {
            Lang::En => format!(
                "  {mss:5}  MSS with which TCP over {name} in a segment fits one outer packet: {whole} - {around} - {header} - {TCP}"
            ),
            Lang::Ja => format!(
                "  {mss:5}  セグメント内の{name}のTCPが外側1パケットに収まるMSS: {whole} - {around} - {header} - {TCP}"
            ),
        }
    };
    Ip::BOTH.map(of).to_vec()
}

/// What carries it, and over which family.
fn wrapping_name(way: &Way) -> String {
    let name = match way.wrapping {
        Wrapping::Ethernet => return "Ethernet".into(),
        Wrapping::Gre { .. } => "GRE",
        Wrapping::Gretap { .. } => "GREtap",
        Wrapping::EtherIp { .. } => "EtherIP",
        Wrapping::Geneve { .. } => "GENEVE",
        Wrapping::WireGuard => "WireGuard",
        Wrapping::Vxlan { .. } => "VXLAN",
    };
    format!("{name} / {}", ip_name(way.outer))
}

/// An account, a line of words for each of its lines.
pub fn lines(account: &Account, lang: Lang) -> Vec<String> {
    account.lines.iter().map(|line| words(account, line, lang)).collect()
}

fn words(account: &Account, line: &Line, lang: Lang) -> String {
    let way = &account.way;
    let is_wire = way.wrapping == Wrapping::Ethernet;
    match (line, lang) {
        (Line::Inner { bytes }, Lang::En) => format!("  {bytes:5}  a full inner packet"),
        (Line::Inner { bytes }, Lang::Ja) => format!("  {bytes:5}  内側の最大のパケット"),
        (Line::Part { part, bytes }, lang) => format!("+ {bytes:5}  {}", part_name(*part, lang)),
        (Line::OuterHeader { ip, bytes }, Lang::En) => format!("+ {bytes:5}  outer {} header", ip_name(*ip)),
        (Line::OuterHeader { ip, bytes }, Lang::Ja) => format!("+ {bytes:5}  外側の{}ヘッダー", ip_name(*ip)),
        (Line::Whole { bytes }, Lang::En) if is_wire => format!("= {bytes:5}  on the wire"),
        (Line::Whole { bytes }, Lang::Ja) if is_wire => format!("= {bytes:5}  線の上でも同じ"),
        (Line::Whole { bytes }, Lang::En) => format!("= {bytes:5}  the outer packet before it is cut"),
        (Line::Whole { bytes }, Lang::Ja) => format!("= {bytes:5}  分割前の外側のパケット"),
        (Line::PathMtu { bytes }, Lang::En) => format!("  {bytes:5}  what the path passes whole"),
        (Line::PathMtu { bytes }, Lang::Ja) => format!("  {bytes:5}  経路が分割なしで通す大きさ"),
        (Line::FragmentCapacity { ip, first, last }, lang) => {
            fragment_words(way.path_mtu, *ip, *first, *last, lang)
        }
        (Line::Packets { sizes }, lang) => packet_words(sizes, way.wrapping, lang),
        (Line::LargestInner { packets: 1, bytes }, Lang::En) => {
            format!("  {bytes:5}  the largest inner packet that leaves as one outer packet")
        }
        (Line::LargestInner { packets: 1, bytes }, Lang::Ja) => {
            format!("  {bytes:5}  外側1パケットに収まる、内側の最大のパケット")
        }
        (Line::LargestInner { packets, bytes }, Lang::En) => {
            format!("  {bytes:5}  the largest that leaves as {packets}")
        }
        (Line::LargestInner { packets, bytes }, Lang::Ja) => {
            format!("  {bytes:5}  外側{packets}パケットに収まる、内側の最大のパケット")
        }
        (Line::Mss { ip, bytes, headers }, Lang::En) => format!(
            "  {bytes:5}  MSS with which TCP over {} fits one outer packet: {} - {} - {TCP}",
            ip_name(*ip),
            bytes + headers,
            ip.header()
        ),
        (Line::Mss { ip, bytes, headers }, Lang::Ja) => format!(
            "  {bytes:5}  {}のTCPが外側1パケットに収まるMSS: {} - {} - {TCP}",
            ip_name(*ip),
            bytes + headers,
            ip.header()
        ),
    }
}

fn fragment_words(path_mtu: u32, ip: Ip, first: u32, last: u32, lang: Lang) -> String {
    let sum = match ip {
        Ip::V4 => format!("{path_mtu} - {}", ip.header()),
        Ip::V6 => format!("{path_mtu} - {} - {IPV6_FRAGMENT}", ip.header()),
    };
    match lang {
        Lang::En => format!(
            "  {first:5}  what a fragment carries ({sum} = {last}, down to a multiple of 8); the last up to {last}"
        ),
        Lang::Ja => format!(
            "  {first:5}  1つのフラグメントが運ぶ量({sum} = {last} を8の倍数に切り捨て)。最後の1つは{last}まで"
        ),
    }
}

fn packet_words(sizes: &[u32], wrapping: Wrapping, lang: Lang) -> String {
    let is_wire = wrapping == Wrapping::Ethernet;
    let is_vxlan = matches!(wrapping, Wrapping::Vxlan { .. });
    let sum = sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(" + ");
    match (sizes.len(), lang) {
        (0, Lang::En) if is_wire => "      0  nothing leaves: a wire cuts nothing".into(),
        (0, Lang::Ja) if is_wire => "      0  送れません。線の上では分割しないためです".into(),
        (0, Lang::En) if is_vxlan => "      0  nothing leaves: VXLAN is never cut (RFC 7348 4.3)".into(),
        (0, Lang::Ja) if is_vxlan => "      0  送れません。VXLANは分割しません(RFC 7348 4.3)".into(),
        (0, Lang::En) => "      0  nothing leaves: the path has no room for a fragment".into(),
        (0, Lang::Ja) => "      0  送れません。フラグメントを入れる余地がありません".into(),
        (1, Lang::En) if is_wire => "      1  packet, uncut".into(),
        (1, Lang::Ja) if is_wire => "      1  パケット、分割なし".into(),
        (1, Lang::En) => format!("      1  outer packet of {sum}, uncut"),
        (1, Lang::Ja) => format!("      1  外側のパケット({sum})、分割なし"),
        (count, Lang::En) => format!("  {count:5}  outer packets, headers included: {sum}"),
        (count, Lang::Ja) => format!("  {count:5}  外側のパケット(ヘッダー込み): {sum}"),
    }
}

fn part_name(part: Part, lang: Lang) -> &'static str {
    match (part, lang) {
        (Part::InnerEthernet, Lang::En) => "inner Ethernet header",
        (Part::InnerEthernet, Lang::Ja) => "内側のイーサネットヘッダー",
        (Part::InnerVlan, Lang::En) => "inner VLAN tag",
        (Part::InnerVlan, Lang::Ja) => "内側のVLANタグ",
        (Part::Gre, Lang::En) => "GRE header",
        (Part::Gre, Lang::Ja) => "GREヘッダー",
        (Part::GreKey, Lang::En) => "GRE key",
        (Part::GreKey, Lang::Ja) => "GREのキー",
        (Part::EtherIp, Lang::En) => "EtherIP header",
        (Part::EtherIp, Lang::Ja) => "EtherIPヘッダー",
        (Part::Geneve, Lang::En) => "GENEVE header",
        (Part::Geneve, Lang::Ja) => "GENEVEヘッダー",
        (Part::Vxlan, Lang::En) => "VXLAN header",
        (Part::Vxlan, Lang::Ja) => "VXLANヘッダー",
        (Part::WireGuardHeader, Lang::En) => "WireGuard header",
        (Part::WireGuardHeader, Lang::Ja) => "WireGuardヘッダー",
        (Part::WireGuardTag, Lang::En) => "WireGuard authenticator",
        (Part::WireGuardTag, Lang::Ja) => "WireGuardの認証タグ",
        (Part::WireGuardPadding, Lang::En) => "WireGuard padding to a multiple of 16",
        (Part::WireGuardPadding, Lang::Ja) => "WireGuardが16の倍数に揃える詰め物",
        (Part::Udp, Lang::En) => "UDP header",
        (Part::Udp, Lang::Ja) => "UDPヘッダー",
    }
}

/// The family's name.
pub fn ip_name(ip: Ip) -> &'static str {
    match ip {
        Ip::V4 => "IPv4",
        Ip::V6 => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration;

    const TWO_HOMES: &str = include_str!("../../../../examples/two-homes.toml");
    const AS63806: &str = include_str!("../../../../examples/as63806.toml");

    fn explained(text: &str, which: Option<&str>, lang: Lang) -> Result<String, Vec<String>> {
        explain(&declaration::parse(text).0.expect("a file that can be read"), which, lang)
    }

    #[test]
    fn two_homes_in_both_languages() {
        insta::assert_snapshot!("two_homes_en", explained(TWO_HOMES, None, Lang::En).unwrap());
        insta::assert_snapshot!("two_homes_ja", explained(TWO_HOMES, None, Lang::Ja).unwrap());
    }

    #[test]
    fn all_of_as63806() {
        insta::assert_snapshot!(explained(AS63806, None, Lang::En).unwrap());
    }

    #[test]
    fn a_link_is_found_by_its_routers_in_either_order_its_interface_or_its_peer() {
        for which in ["cr0101-cr0201", "cr0201-cr0101", "gre-cr0201"] {
            let text = explained(AS63806, Some(which), Lang::En).unwrap();
            assert!(
                text.starts_with("cr0101 - cr0201: GRE / IPv6; lines ngn (1500) and ngn (1500)"),
                "{text}"
            );
        }
        for which in ["telhi", "eip-telhi", "cr0101-telhi"] {
            assert!(explained(AS63806, Some(which), Lang::En).unwrap().contains("1404  MSS"), "{which}");
        }
        assert!(explained(AS63806, Some("management"), Lang::Ja).unwrap().contains("WireGuard"));
        assert!(explained(AS63806, Some("nothing"), Lang::En).unwrap_err().contains(&"segments".to_owned()));
    }

    #[test]
    fn what_is_refused_is_explained_all_the_same() {
        let text =
            explained(&TWO_HOMES.replace("mtu = 2400", "mtu = 3000"), Some("hana-ren"), Lang::En).unwrap();
        assert!(text.contains("3  outer packets, headers included: 1496 + 1496 + 156"), "{text}");
    }
}
