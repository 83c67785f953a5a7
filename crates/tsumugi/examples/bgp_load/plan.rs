//! The plan with which our router takes part: feeders and the idle neighbour are providers, the sink a customer.

use crate::load::{IDLE, ROUTER_V4, ROUTER_V6, SINK, address};
use crate::table::asn;
use std::net::IpAddr;
use tsumugi_core::bgp::config::{
    Family, NeighbourConfig, OutsidePolicy, PrefixRange, Relation, Role, SpeakerConfig, Terms, Timers,
    Transport,
};
use tsumugi_core::desired::{Address, Desired, Link, LinkKind, Sysctl};
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::{Asn, IfName, Prefix};
use tsumugi_core::router_plan::{ManagementPlan, Overlay, RouterPlan, SCHEMA};

fn neighbour(name: &str, number: u8, ipv6: bool, remote_asn: Asn, role: Role) -> NeighbourConfig {
    let local: IpAddr = if ipv6 { ROUTER_V6.into() } else { ROUTER_V4.into() };
    let network = Prefix::new(local, if ipv6 { 64 } else { 24 }).expect("short enough").trunc();
    NeighbourConfig {
        name: format!("{name} {}", if ipv6 { "ipv6" } else { "ipv4" }),
        transport: Transport::Numbered { link: link(), local, remote: address(number, ipv6), network },
        local_asn: PUBLIC,
        remote_asn,
        relation: Relation::Outside(OutsidePolicy {
            // Who is called a customer hears everything only if something is listed as its own.
            listed: (role == Role::Customer).then(|| vec![PrefixRange::exact(network)]),
            ..OutsidePolicy::of(role)
        }),
        families: vec![if ipv6 { Family::Ipv6Unicast } else { Family::Ipv4Unicast }],
        timers: Timers::OUTSIDE,
        terms: Terms::default(),
    }
}

pub const PUBLIC: Asn = Asn(63_806);

fn link() -> IfName {
    IfName::new("eth1").expect("a name")
}

pub fn of(feeders: u8) -> String {
    let mut neighbours = Vec::new();
    for ipv6 in [false, true] {
        neighbours.extend(
            (0..feeders).map(|at| neighbour(&format!("feeder {at}"), at, ipv6, asn(at), Role::Provider)),
        );
        neighbours.push(neighbour("sink", SINK, ipv6, asn(SINK), Role::Customer));
    }
    // A provider is told of no other provider's routes, only that we live.
    neighbours.push(neighbour("idle", IDLE, false, asn(IDLE), Role::Provider));
    let addresses = [IpAddr::V4(ROUTER_V4), IpAddr::V6(ROUTER_V6)].map(|it| Address {
        link: link(),
        prefix: Prefix::new(it, if it.is_ipv4() { 24 } else { 64 }).expect("short enough"),
    });
    let fabric = Desired {
        links: vec![Link {
            name: link(),
            alias: "eth1 of bench".into(),
            kind: LinkKind::Port,
            mtu: 1500,
            mac: None,
            master: None,
        }],
        addresses: addresses.into(),
        sysctls: vec![Sysctl {
            key: "net/ipv6/conf/eth1/accept_ra".into(),
            value: "0".into(),
            optional: false,
        }],
        ..Desired::default()
    };
    let overlay = Overlay {
        device: IfName::new("mgmt").expect("a name"),
        alias: "management".into(),
        mtu: 1280,
        space: "fd63:806::/48".parse().expect("a prefix"),
        lines: Vec::new(),
        neighbours: Vec::new(),
    };
    let mut plan = RouterPlan {
        schema: SCHEMA,
        generation: 1,
        hash: String::new(),
        network: "bench".into(),
        public_asn: PUBLIC,
        name: "bench".into(),
        id: 1,
        site: "bench".into(),
        management: ManagementPlan { desired: Desired::default(), overlay },
        underlay: Desired::default(),
        fabric,
        tunnels: Vec::new(),
        evpn: EvpnConfig::default(),
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        speaker: Some(SpeakerConfig {
            router_id: ROUTER_V4,
            asn: Asn::of_router(1),
            public_asn: PUBLIC,
            inside_asns: vec![Asn::of_router(1)],
            source_v4: Some(ROUTER_V4),
            source_v6: Some(ROUTER_V6),
            originate: Vec::new(),
            neighbours,
            bogons: tsumugi_plan::compile::bogons(),
            own_prefixes: vec!["192.0.2.0/24".parse().expect("a prefix")],
            max_paths: 1,
            draining: false,
        }),
    };
    tsumugi_plan::hash::seal(&mut plan);
    serde_json::to_string(&plan).expect("a plan is text")
}
