//! The walls of segments, in nftables' bridge family: rendered to the text that `nft -f` takes.
//!
//! State lives in named sets of the table: which ports are blocked and which of those that start so
//! forward for now (see [`super::port_sets`]), which MACs were heard lately (`seen`) and which are known
//! to be behind other routers (`known`). A set can be used from its own
//! table only, so what must outlive a change of the rules is read first and written with them.

use super::nft::{Dropped, NftError};
use super::port_sets::{BLOCKED, FORWARDING};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use tsumugi_core::desired::{DropReason, GatewayWall, NFT_TABLE, PortWall, SegmentWall};
use tsumugi_core::id::{IfName, Mac};

/// How many MACs of a segment are remembered as heard: more than a segment of homes has; of those
/// beyond it, frames to them count as for nobody known.
const SEEN: usize = 16_384;
/// The EtherType of our loop probes: IEEE Std 802 - Local Experimental 1.
const PROBE: u16 = 0x88b5;
/// Where Cisco's and Juniper's switches send the BPDUs of a VLAN (PVST+, VSTP): not in the group that no
/// bridge passes on.
const BPDU_OF_VLAN: &str = "ether daddr 01:00:0c:cc:cc:cd";
/// Any of them: a group address (the I/G bit, IEEE 802 8.2.2).
const GROUP: &str = "ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00";

/// MACs behind other routers, by VXLAN device.
pub type Known = BTreeMap<IfName, BTreeSet<Mac>>;

/// The whole table, with counters that begin at `counted`; empty without walls.
///
/// # Errors
/// `Unspeakable`.
pub fn render(
    walls: &[SegmentWall],
    counted: &BTreeMap<DropReason, Dropped>,
    blocked: &BTreeSet<IfName>,
    known: &Known,
) -> Result<String, NftError> {
    if walls.is_empty() {
        return Ok(String::new());
    }
    let mut text = format!("table bridge {NFT_TABLE} {{\n");
    for reason in [
        DropReason::LinkLocalFrame,
        DropReason::BlockedPort,
        DropReason::Storm,
        DropReason::GatewayFrame,
        DropReason::FalseGateway,
    ] {
        let Dropped { packets, bytes } = counted.get(&reason).copied().unwrap_or_default();
        let _ = writeln!(text, "\tcounter {} {{ packets {packets} bytes {bytes} }}", reason.counter());
    }
    // A port that is gone from the walls is forgotten.
    let ports = walls.iter().flat_map(|wall| &wall.ports).map(|port| &port.link);
    let still: Vec<&IfName> = ports.filter(|port| blocked.contains(*port)).collect();
    let _ = writeln!(text, "\tset {BLOCKED} {{ type ifname; {} }}", elements(&still)?);
    let _ = writeln!(text, "\tset {FORWARDING} {{ type ifname; flags timeout; }}");
    for wall in walls {
        sets(wall, known, &mut text)?;
    }
    hooks(walls, &mut text)?;
    for wall in walls {
        for port in &wall.ports {
            port_chain(wall, port, &mut text)?;
        }
        if let Some(gateway) = &wall.gateway {
            host_chain(&wall.bridge, gateway, &mut text)?;
            if let Some(vxlan) = &wall.vxlan {
                gateway_chain(vxlan, gateway, &mut text)?;
            }
        }
    }
    text += "}\n";
    Ok(text)
}

/// The name as a part of a set's or chain's name.
///
/// # Errors
/// `Unspeakable`.
pub fn plain(name: &IfName) -> Result<&str, NftError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.as_str().bytes().all(plain) {
        Ok(name.as_str())
    } else {
        Err(NftError::Unspeakable(name.clone()))
    }
}

fn elements(names: &[&IfName]) -> Result<String, NftError> {
    if names.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("elements = {{ {} }};", list(names)?))
}

fn list(names: &[&IfName]) -> Result<String, NftError> {
    let names: Result<Vec<String>, NftError> =
        names.iter().map(|name| Ok(format!("\"{}\"", plain(name)?))).collect();
    Ok(names?.join(", "))
}

fn sets(wall: &SegmentWall, known: &Known, text: &mut String) -> Result<(), NftError> {
    let bridge = plain(&wall.bridge)?;
    // As long as the bridge remembers MACs (see `Netlink::tune_bridge`).
    let _ = writeln!(
        text,
        "\tset seen-{bridge} {{ type ether_addr; size {SEEN}; flags dynamic,timeout; timeout 300s; }}"
    );
    if let Some(vxlan) = &wall.vxlan {
        let macs: Vec<String> = known.get(vxlan).into_iter().flatten().map(ToString::to_string).collect();
        let macs =
            if macs.is_empty() { String::new() } else { format!("elements = {{ {} }};", macs.join(", ")) };
        let _ = writeln!(text, "\tset known-{} {{ type ether_addr; {macs} }}", plain(vxlan)?);
    }
    Ok(())
}

fn hooks(walls: &[SegmentWall], text: &mut String) -> Result<(), NftError> {
    let drop = |reason: DropReason| format!("counter name \"{}\" drop", reason.counter());
    let blocked = blocked_rules(walls)?;
    let link_local = drop(DropReason::LinkLocalFrame);
    let every: Vec<&IfName> = walls.iter().flat_map(members).collect();
    let every = list(&every)?;
    // Before the bridge learns.
    *text += "\tchain prerouting {\n\t\ttype filter hook prerouting priority -300; policy accept;\n";
    *text += &blocked.replace("NAME", "iifname");
    // A bridge without a spanning tree passes BPDUs on like any frame.
    let group = "ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00";
    let _ = writeln!(text, "\t\tiifname {{ {every} }} {group} {link_local}");
    let _ = writeln!(text, "\t\tiifname {{ {every} }} {BPDU_OF_VLAN} {link_local}");
    let _ = writeln!(text, "\t\tiifname {{ {every} }} ether type {PROBE:#06x} {link_local}");
    for wall in walls {
        for port in &wall.ports {
            let port = plain(&port.link)?;
            let _ = writeln!(text, "\t\tiifname \"{port}\" jump port-{port}");
            if wall.gateway.is_some() {
                let _ = writeln!(text, "\t\tiifname \"{port}\" jump host-{}", plain(&wall.bridge)?);
            }
        }
        through_vxlan(wall, "iifname", text)?;
        let every: Vec<&IfName> = members(wall).collect();
        let (every, bridge) = (list(&every)?, plain(&wall.bridge)?);
        let _ = writeln!(text, "\t\tiifname {{ {every} }} update @seen-{bridge} {{ ether saddr }}");
    }
    // Frames of one link for this machine itself: the bridge learns from them too.
    *text += "\t}\n\tchain input {\n\t\ttype filter hook input priority -300; policy accept;\n";
    *text += &blocked.replace("NAME", "iifname");
    // What the bridge passes on and what this machine sends of its own.
    *text += "\t}\n\tchain postrouting {\n\t\ttype filter hook postrouting priority 300; policy accept;\n";
    *text += &blocked.replace("NAME", "oifname");
    for wall in walls {
        through_vxlan(wall, "oifname", text)?;
    }
    *text += "\t}\n";
    Ok(())
}

/// The rules for ports that take and give nothing, `NAME` in place of the direction.
fn blocked_rules(walls: &[SegmentWall]) -> Result<String, NftError> {
    let drop = format!("counter name \"{}\" drop", DropReason::BlockedPort.counter());
    let mut rules = format!("\t\tNAME @{BLOCKED} {drop}\n");
    let ports = walls.iter().flat_map(|wall| &wall.ports).filter(|port| port.starts_blocked);
    let shared: Vec<&IfName> = ports.map(|port| &port.link).collect();
    if !shared.is_empty() {
        let _ = writeln!(rules, "\t\tNAME {{ {} }} NAME != @{FORWARDING} {drop}", list(&shared)?);
    }
    Ok(rules)
}

fn members(wall: &SegmentWall) -> impl Iterator<Item = &IfName> {
    wall.ports.iter().map(|port| &port.link).chain(&wall.vxlan)
}

/// What holds for frames between this router and others, in the direction that `word` names.
fn through_vxlan(wall: &SegmentWall, word: &str, text: &mut String) -> Result<(), NftError> {
    let Some(vxlan) = &wall.vxlan else { return Ok(()) };
    let vxlan = plain(vxlan)?;
    if let Some(GatewayWall { mac, own_mac, .. }) = &wall.gateway {
        let _ = writeln!(text, "\t\t{word} \"{vxlan}\" jump gateway-{vxlan}");
        // What is left of the gateway's own: packets routed to a host behind another router.
        let rest = match word {
            "oifname" => format!("ether saddr set {own_mac}"),
            _ => format!("counter name \"{}\" drop", DropReason::GatewayFrame.counter()),
        };
        let _ = writeln!(text, "\t\t{word} \"{vxlan}\" ether saddr {mac} {rest}");
    }
    // By the protocol of the packet and not of the frame: so behind a VLAN tag as well. The comparison
    // keeps an MSS from ever being raised.
    for (family, mss) in [("ip", wall.clamp_v4), ("ip6", wall.clamp_v6)] {
        let Some(mss) = mss else { continue };
        let _ = writeln!(
            text,
            "\t\t{word} \"{vxlan}\" meta protocol {family} tcp flags & (syn | rst) == syn \
             tcp option maxseg size > {mss} tcp option maxseg size set {mss}"
        );
    }
    Ok(())
}

/// Each kind of frame for many is limited by itself. A kind that is within its limit is looked at no
/// further.
fn port_chain(wall: &SegmentWall, port: &PortWall, text: &mut String) -> Result<(), NftError> {
    // A burst of one second: hosts ask for a whole subnet at once.
    let limit = format!("limit rate over {0}/second burst {0} packets", port.storm_limit.max(1));
    let drop = format!("{limit} counter name \"{}\" drop", DropReason::Storm.counter());
    let everyone = "ether daddr ff:ff:ff:ff:ff:ff";
    let _ = writeln!(text, "\tchain port-{} {{", plain(&port.link)?);
    for kind in [everyone, GROUP] {
        let _ = writeln!(text, "\t\t{kind} {drop}\n\t\t{kind} return");
    }
    let mut unknown = format!("ether daddr != @seen-{} ", plain(&wall.bridge)?);
    if let Some(vxlan) = &wall.vxlan {
        let _ = write!(unknown, "ether daddr != @known-{} ", plain(vxlan)?);
    }
    if let Some(gateway) = &wall.gateway {
        let _ = write!(unknown, "ether daddr != {} ", gateway.mac);
    }
    let _ = writeln!(text, "\t\t{unknown}{drop}\n\t}}");
    Ok(())
}

/// What no host says, because only its gateway does: of a host that plays the gateway, the others would
/// believe it. (Those behind the same switch hear it all the same.) RFC 6105 for router advertisements.
fn host_chain(bridge: &IfName, gateway: &GatewayWall, text: &mut String) -> Result<(), NftError> {
    let drop = format!("counter name \"{}\" drop", DropReason::FalseGateway.counter());
    let GatewayWall { mac, own_mac, addresses } = gateway;
    let _ = writeln!(text, "\tchain host-{} {{", plain(bridge)?);
    let mut rule = |matches: &str| {
        let _ = writeln!(text, "\t\t{matches} {drop}");
    };
    rule(&format!("ether saddr {{ {mac}, {own_mac} }}"));
    // RFC 4861: router advertisement, redirect.
    rule("icmpv6 type { 134, 137 }");
    for address in addresses {
        match address {
            IpAddr::V4(address) => rule(&format!("arp saddr ip {address}")),
            IpAddr::V6(address) => rule(&format!("icmpv6 type 136 {}", nd_target(address))),
        }
    }
    // From a DHCP server to its client.
    rule("meta protocol ip udp sport 67 udp dport 68");
    rule("meta protocol ip6 udp sport 547 udp dport 546");
    *text += "\t}\n";
    Ok(())
}

/// The target address of solicitations and advertisements: 64 bits into the message (RFC 4861 4.3, 4.4).
fn nd_target(address: &Ipv6Addr) -> String {
    format!("@th,64,128 {:#034x}", address.to_bits())
}

/// The same gateway stands on every router of the segment: its hosts must hear their own one only.
///
/// A unicast packet from here to a host behind another router passes, under the router's own MAC: it was
/// routed here because the AS does not route by host.
fn gateway_chain(vxlan: &IfName, gateway: &GatewayWall, text: &mut String) -> Result<(), NftError> {
    let drop = format!("counter name \"{}\" drop", DropReason::GatewayFrame.counter());
    let mac = gateway.mac;
    let _ = writeln!(text, "\tchain gateway-{} {{", plain(vxlan)?);
    let mut rule = |matches: &str| {
        let _ = writeln!(text, "\t\t{matches} {drop}");
    };
    rule(&format!("ether daddr {mac}"));
    rule(&format!("ether saddr {mac} {GROUP}"));
    rule(&format!("ether saddr {mac} ether type arp"));
    // RFC 4861: router solicitation to redirect.
    rule(&format!("ether saddr {mac} icmpv6 type {{ 133, 134, 135, 136, 137 }}"));
    rule("icmpv6 type { 133, 134, 137 }");
    for address in &gateway.addresses {
        match address {
            IpAddr::V4(address) => {
                rule(&format!("arp saddr ip {address}"));
                rule(&format!("arp daddr ip {address}"));
            }
            IpAddr::V6(address) => rule(&format!("icmpv6 type {{ 135, 136 }} {}", nd_target(address))),
        }
    }
    rule("meta protocol ip udp dport { 67, 68 }");
    rule("meta protocol ip6 udp dport { 546, 547 }");
    *text += "\t}\n";
    Ok(())
}
