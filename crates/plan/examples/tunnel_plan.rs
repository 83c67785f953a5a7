//! The plan of one end of a tunnel, for `bench/datapath/run`: nothing but the tunnel is in it, or several of GRE
//! that their keys tell apart.
//!
//! `tunnel_plan etherip|etherip-auto|gre|gretap|geneve|wireguard 4|6 PATH-MTU MTU auto|recut|off 1|2 TUNNELS`

use std::env;
use std::net::IpAddr;
use tsumugi_core::desired::Desired;
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::{Asn, IfName, KeyName, Mac, Vni};
use tsumugi_core::router_plan::{
    Encapsulation, Engine, Keepalive, ManagementPlan, Overlay, RouterPlan, SCHEMA, Tunnel, TunnelClamp,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [by, family, path_mtu, mtu, clamp, end, tunnels] = words.as_slice() else {
        return Err(
            "tunnel_plan etherip|etherip-auto|gre|gretap|geneve|wireguard 4|6 PATH-MTU MTU auto|recut|off 1|2 TUNNELS"
                .into(),
        );
    };
    let (near, far) = if end == "1" { (1, 2) } else { (2, 1) };
    let outer_ipv6 = family == "6";
    let address = |id: u32| -> Result<IpAddr, _> {
        if outer_ipv6 { format!("2001:db8:101::{id}").parse() } else { format!("192.0.2.{id}").parse() }
    };
    let key = |id: u32| KeyName(format!("link.machine{id}.bench"));
    let encapsulation = match by.as_str() {
        "etherip" | "etherip-auto" => Encapsulation::EtherIp,
        "gre" => Encapsulation::Gre { key: None },
        "gretap" => Encapsulation::Gretap { key: None },
        "geneve" => Encapsulation::Geneve { vni: Vni(1) },
        "wireguard" => Encapsulation::WireGuard {
            local_key: key(near),
            remote_key: key(far),
            local_port: 20_000,
            remote_port: 20_000,
        },
        other => return Err(format!("unknown kind: {other}").into()),
    };
    let ethernet = matches!(
        encapsulation,
        Encapsulation::EtherIp | Encapsulation::Gretap { .. } | Encapsulation::Geneve { .. }
    );
    let tunnel = Tunnel {
        name: IfName::new("bench0")?,
        alias: "bench".into(),
        encapsulation,
        // What is chosen by itself takes the shortcut in the kernel.
        engine: if by.ends_with("-auto") { Engine::Auto } else { Engine::Userspace },
        mtu: mtu.parse()?,
        uplink: IfName::new("eth1")?,
        local: Some(address(near)?),
        remote: Some(address(far)?),
        outer_ipv6,
        path_mtu: path_mtu.parse()?,
        mac: ethernet.then_some(Mac([2, 0, 0, 0, 0, near as u8])),
        clamp: match clamp.as_str() {
            "off" => TunnelClamp::Off,
            "recut" => TunnelClamp::Recut,
            _ => TunnelClamp::Auto,
        },
        accept_reversed: false,
        keepalive: Keepalive::Nobody,
    };
    let numbered = |number: u32| -> Result<Tunnel, Box<dyn std::error::Error>> {
        let encapsulation = match tunnel.encapsulation {
            Encapsulation::Gre { .. } => Encapsulation::Gre { key: Some(number) },
            _ => return Err("several tunnels are several keys of GRE".into()),
        };
        Ok(Tunnel { name: IfName::new(&format!("bench{number}"))?, encapsulation, ..tunnel.clone() })
    };
    let tunnels = match tunnels.parse()? {
        1 => vec![tunnel],
        count => (0..count).map(numbered).collect::<Result<_, _>>()?,
    };
    let overlay = Overlay {
        device: IfName::new("mgmt")?,
        alias: String::new(),
        mtu: 1280,
        space: "fd63:806::/48".parse()?,
        lines: Vec::new(),
        neighbours: Vec::new(),
    };
    let mut plan = RouterPlan {
        schema: SCHEMA,
        generation: 0,
        hash: String::new(),
        network: "bench".into(),
        public_asn: Asn(64512),
        name: format!("machine{near}"),
        id: near,
        site: "bench".into(),
        management: ManagementPlan { desired: Desired::default(), overlay },
        underlay: Desired::default(),
        fabric: Desired::default(),
        tunnels,
        speaker: None,
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        evpn: EvpnConfig::default(),
    };
    tsumugi_plan::hash::seal(&mut plan);
    println!("{}", serde_json::to_string(&plan)?);
    Ok(())
}
