//! An outside peer's router: the mirrored tunnel is one of our own datapath's, everything inside is
//! filled in by the lab, and who speaks BGP there is for the proofs to say.

use super::layout::Mismatch;
use super::wire::{Line, interface};
use tsumugi_core::desired::{Address, Desired, Link, LinkKind, NextHop, Route, RouteTarget};
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::router_plan::{
    Encapsulation, Keepalive, ManagementPlan, Overlay, RouterPlan, SCHEMA, Tunnel, TunnelClamp,
};

/// Who stands at the far end of a tunnel of ours.
pub(super) struct FarEnd {
    pub machine: String,
    /// Whose machine it is.
    pub network: String,
    /// Its inner interface.
    pub interface: IfName,
    /// Our router at the other end.
    pub router: String,
}

/// The plan of the machine at the far end of `tunnel`, which stands on the line `own` and sees the
/// other end behind `far`. It is read by a datapath process only.
pub(super) fn mirror(
    tunnel: &Tunnel,
    own: &Line,
    far: &Line,
    stand: &FarEnd,
) -> Result<RouterPlan, Mismatch> {
    if matches!(tunnel.encapsulation, Encapsulation::WireGuard { .. }) {
        return Err(Mismatch(format!("{} is no outside connection", tunnel.name)));
    }
    let of_family = |address: &std::net::IpAddr| address.is_ipv6() == tunnel.outer_ipv6;
    let local = own.addresses.iter().map(Prefix::addr).find(of_family);
    let remote = far.outside.iter().copied().find(of_family);
    let mirrored = Tunnel {
        name: stand.interface.clone(),
        alias: format!("{} of {}", tunnel.name, stand.router),
        uplink: own.interface.clone(),
        local,
        remote,
        mac: None,
        // Strangers do nothing for us: what fits, fits because of our end.
        clamp: TunnelClamp::Off,
        keepalive: Keepalive::Off,
        ..tunnel.clone()
    };
    let via = own.gateways.iter().copied().find(of_family);
    let everywhere = if tunnel.outer_ipv6 {
        Prefix::V6(ipnet::Ipv6Net::default())
    } else {
        Prefix::V4(ipnet::Ipv4Net::default())
    };
    let to_far_end = remote.map(Prefix::from);
    let route = |prefix: Prefix, mtu: Option<u32>| Route {
        prefix,
        target: RouteTarget::NextHops { next_hops: vec![NextHop { link: own.interface.clone(), via }] },
        source: local,
        mtu,
        metric: None,
    };
    let port = Link {
        name: own.interface.clone(),
        alias: "the line".into(),
        kind: LinkKind::Port,
        mtu: own.port_mtu.into(),
        mac: None,
        master: None,
    };
    let inner = Link {
        name: stand.interface.clone(),
        alias: mirrored.alias.clone(),
        kind: LinkKind::Tunnel,
        mtu: tunnel.mtu.into(),
        mac: None,
        master: None,
    };
    let addresses =
        own.addresses.iter().map(|prefix| Address { link: own.interface.clone(), prefix: *prefix });
    let mut plan = RouterPlan {
        schema: SCHEMA,
        generation: 0,
        hash: String::new(),
        network: stand.network.clone(),
        public_asn: tsumugi_core::id::Asn(0),
        name: stand.machine.clone(),
        id: 1,
        site: String::new(),
        management: ManagementPlan {
            desired: Desired::default(),
            overlay: Overlay {
                device: interface("mgmt"),
                alias: String::new(),
                mtu: 1280,
                space: Prefix::V6(ipnet::Ipv6Net::default()),
                lines: Vec::new(),
                neighbours: Vec::new(),
            },
        },
        underlay: Desired {
            links: vec![port],
            addresses: addresses.collect(),
            routes: std::iter::once(route(everywhere, None))
                .chain(to_far_end.map(|prefix| route(prefix, Some(tunnel.path_mtu.into()))))
                .collect(),
            ..Desired::default()
        },
        fabric: Desired { links: vec![inner], ..Desired::default() },
        tunnels: vec![mirrored],
        speaker: None,
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        evpn: EvpnConfig::default(),
    };
    tsumugi_plan::hash::seal(&mut plan);
    Ok(plan)
}
