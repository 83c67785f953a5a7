//! The arithmetic of packet sizes in words: every number stands on the left, so that a column can
//! be added up by eye.

use super::Lang;
use crate::problem::Arithmetic;
use tsumugi_core::mtu::{Account, IPV6_FRAGMENT, Ip, Line, Part, TCP, Wrapping};

/// An account in both languages.
pub fn arithmetic(account: &Account) -> Arithmetic {
    Arithmetic { en: lines(account, Lang::En), ja: lines(account, Lang::Ja) }
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
        (Line::Packets { sizes }, lang) => packet_words(sizes, is_wire, lang),
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

fn packet_words(sizes: &[u32], is_wire: bool, lang: Lang) -> String {
    let sum = sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(" + ");
    match (sizes.len(), lang) {
        (0, Lang::En) if is_wire => "      0  nothing leaves: a wire cuts nothing".into(),
        (0, Lang::Ja) if is_wire => "      0  送れません。線の上では分割しないためです".into(),
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
