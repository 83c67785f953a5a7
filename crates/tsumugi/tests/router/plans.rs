//! Plans of small routers, written by hand: what a test changes stands in the test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::bgp::config::{
    Family, NeighbourConfig, Origination, OutsidePolicy, Relation, Role, SpeakerConfig, Terms, Timers,
    Transport,
};
use tsumugi_core::desired::{Address, Desired, GatewayWall, Link, LinkKind, PortWall, SegmentWall, Sysctl};
use tsumugi_core::evpn::config::{Dhcp, EvpnConfig, Gateway, SegmentConfig, SegmentPort, SharedLan, Stretch};
use tsumugi_core::id::{Asn, IfName, Mac, Plane, Prefix, Vni};
use tsumugi_core::router_plan::{ManagementPlan, Overlay, RouterPlan, SCHEMA};
use tsumugi_core::wire::bgp::{Esi, RouteDistinguisher, RouteTarget};

pub const PUBLIC: Asn = Asn(63806);
/// On inside links.
const MTU: u32 = 2400;

pub fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn loopback_v4(id: u32) -> Ipv4Addr {
    Ipv4Addr::new(43, 228, 174, 128 + u8::try_from(id).unwrap())
}

pub fn loopback_v6(id: u32) -> Ipv6Addr {
    Ipv6Addr::new(0x2402, 0x3160, 0xffff, 0, 0, 0, 0, u16::try_from(id).unwrap())
}

pub fn link_local(id: u32) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::try_from(id).unwrap())
}

fn sysctl(key: &str, value: &str) -> Sysctl {
    Sysctl { key: key.into(), value: value.into(), optional: false }
}

/// A router of a network in which routers 1 to 9 may be.
pub fn router(id: u32) -> RouterPlan {
    let loopbacks = [IpAddr::V4(loopback_v4(id)), IpAddr::V6(loopback_v6(id))];
    let fabric = Desired {
        addresses: loopbacks
            .map(|address| Address { link: IfName::loopback(), prefix: address.into() })
            .into(),
        sysctls: vec![
            sysctl("net/ipv4/ip_forward", "1"),
            sysctl("net/ipv6/conf/all/forwarding", "1"),
            sysctl("net/ipv4/conf/all/rp_filter", "0"),
            sysctl("net/ipv4/conf/default/rp_filter", "0"),
            sysctl("net/ipv4/fib_multipath_hash_policy", "1"),
            sysctl("net/ipv6/fib_multipath_hash_policy", "1"),
        ],
        ..Desired::default()
    };
    RouterPlan {
        schema: SCHEMA,
        generation: 1,
        hash: String::new(),
        network: "test".into(),
        public_asn: PUBLIC,
        name: format!("r{id}"),
        id,
        site: format!("site{id}"),
        management: ManagementPlan {
            desired: Desired::default(),
            overlay: Overlay {
                device: name("mgmt"),
                alias: "management".into(),
                mtu: 1280,
                space: prefix("fd63:806::/48"),
                lines: Vec::new(),
                neighbours: Vec::new(),
            },
        },
        underlay: Desired::default(),
        fabric,
        tunnels: Vec::new(),
        evpn: EvpnConfig::default(),
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        speaker: Some(SpeakerConfig {
            router_id: loopback_v4(id),
            asn: Asn::of_router(id),
            public_asn: PUBLIC,
            inside_asns: (1..10).map(Asn::of_router).collect(),
            source_v4: Some(loopback_v4(id)),
            source_v6: Some(loopback_v6(id)),
            originate: loopbacks
                .map(|address| Origination {
                    prefix: address.into(),
                    while_reaching: Vec::new(),
                    discard: false,
                })
                .into(),
            neighbours: Vec::new(),
            bogons: ["10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32"].map(prefix).into(),
            own_prefixes: ["43.228.174.0/24", "2402:3160::/32"].map(prefix).into(),
            max_paths: 8,
            draining: false,
        }),
    }
}

/// The AS's prefixes are announced while one of these routers is reached.
pub fn originate(plan: &mut RouterPlan, while_reaching: &[u32]) {
    let speaker = plan.speaker.as_mut().unwrap();
    for own in speaker.own_prefixes.clone() {
        let of_family = |id: &u32| match own {
            Prefix::V4(_) => IpAddr::V4(loopback_v4(*id)).into(),
            Prefix::V6(_) => IpAddr::V6(loopback_v6(*id)).into(),
        };
        let while_reaching = while_reaching.iter().map(of_family).collect();
        speaker.originate.push(Origination { prefix: own, while_reaching, discard: true });
    }
}

fn port(plan: &mut RouterPlan, link: &str, mtu: u32, addresses: &[Prefix]) {
    plan.fabric.links.push(Link {
        name: name(link),
        alias: format!("{} of {}", link, plan.name),
        kind: LinkKind::Port,
        mtu,
        mac: None,
        master: None,
    });
    let addresses = addresses.iter().map(|prefix| Address { link: name(link), prefix: *prefix });
    plan.fabric.addresses.extend(addresses);
}

/// An inside link by an Ethernet port to another router, or to whoever is heard there.
pub fn inside(plan: &mut RouterPlan, link: &str, remote_id: u32, heard: bool) {
    let local = link_local(plan.id);
    port(plan, link, MTU, &[Prefix::new(IpAddr::V6(local), 64).unwrap()]);
    let remote = (!heard).then(|| link_local(remote_id));
    plan.speaker.as_mut().unwrap().neighbours.push(NeighbourConfig {
        name: format!("r{remote_id} {link}"),
        transport: Transport::Unnumbered { link: name(link), local, remote },
        local_asn: Asn::of_router(plan.id),
        remote_asn: Asn::of_router(remote_id),
        relation: Relation::Inside { prepends: 1 },
        families: vec![Family::Ipv4Unicast, Family::Ipv6Unicast],
        timers: Timers::INSIDE,
        terms: Terms::default(),
    });
}

/// An outside connection by an Ethernet port: a session for each family.
pub fn provider(plan: &mut RouterPlan, link: &str, asn: u32, ends: &[(&str, &str)]) {
    let addresses: Vec<_> = ends.iter().map(|(local, _)| prefix(local)).collect();
    port(plan, link, 1500, &addresses);
    for (address, (_, remote)) in addresses.iter().zip(ends) {
        let local = address.addr();
        let family = if local.is_ipv4() { Family::Ipv4Unicast } else { Family::Ipv6Unicast };
        plan.speaker.as_mut().unwrap().neighbours.push(NeighbourConfig {
            name: format!("provider {}", if local.is_ipv4() { "ipv4" } else { "ipv6" }),
            transport: Transport::Numbered {
                link: name(link),
                local,
                remote: remote.parse().unwrap(),
                network: address.trunc(),
            },
            local_asn: PUBLIC,
            remote_asn: Asn(asn),
            relation: Relation::Outside(OutsidePolicy::of(Role::Provider)),
            families: vec![family],
            timers: Timers { connect_retry: 500, connect_timeout: 1_000, ..Timers::OUTSIDE },
            terms: Terms::default(),
        });
    }
}

/// A segment named `test` on one router.
pub struct Segment {
    ports: Vec<SegmentPort>,
    gateway: Option<Gateway>,
}

impl Segment {
    pub fn new(ports: &[&str]) -> Segment {
        let ports =
            (1..).zip(ports).map(|(number, link)| SegmentPort { link: name(link), number, lan: None });
        Segment { ports: ports.collect(), gateway: None }
    }

    /// All its ports hang on a LAN that other routers are on as well.
    pub fn on_a_shared_lan(mut self, preference: u16) -> Segment {
        for port in &mut self.ports {
            port.lan = Some(SharedLan { name: "home".into(), esi: Esi::stated([7; 9]), preference });
        }
        self
    }

    /// The hosts' gateway, addresses of 192.0.2.0/24 by DHCP.
    pub fn with_gateway(mut self, id: u32) -> Segment {
        let own = u8::try_from(id).unwrap();
        self.gateway = Some(Gateway {
            mac: Mac([0x02, 0, 0x5e, 0, 0, 0xe0]),
            own_mac: Mac([0x02, 0, 0x5e, 0, 1, own]),
            link_local: "fe80::e0".parse().unwrap(),
            own_link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, own.into()),
            addresses: vec![prefix("192.0.2.254/24"), prefix("2001:db8:2::fe/64")],
            dns: Vec::new(),
            dhcp: Some(Dhcp {
                first: Ipv4Addr::new(192, 0, 2, 100),
                last: Ipv4Addr::new(192, 0, 2, 200),
                lease: 3600,
            }),
        });
        self
    }
}

/// The router carries the segment, as other routers do: VNI 224, to be called once the plan has all its
/// neighbours.
pub fn segment(plan: &mut RouterPlan, segment: &Segment, vtep: IpAddr) {
    let (bridge, vxlan, vni) = (name("seg-test"), name("vx-test"), Vni(224));
    let link = |name: &IfName, kind, master| Link {
        name: name.clone(),
        alias: format!("{name} of {}", plan.name),
        kind,
        mtu: 1500,
        mac: None,
        master,
    };
    let gateway = segment.gateway.clone();
    let mac = gateway.as_ref().map_or(Mac([0x02, 0, 0, 0, 7, vtep_byte(vtep)]), |gateway| gateway.mac);
    let mut links = vec![
        Link { mac: Some(mac), ..link(&bridge, LinkKind::Bridge, None) },
        link(&vxlan, LinkKind::Vxlan { vni, local: vtep }, Some(bridge.clone())),
    ];
    links.extend(segment.ports.iter().map(|port| link(&port.link, LinkKind::Port, Some(bridge.clone()))));
    plan.fabric.links.extend(links);
    if let Some(gateway) = &gateway {
        let link_local = Prefix::new(gateway.link_local.into(), 64).unwrap();
        let addresses = gateway.addresses.iter().copied().chain([link_local]);
        let on_bridge = addresses.map(|prefix| Address { link: bridge.clone(), prefix });
        plan.fabric.addresses.extend(on_bridge);
        plan.fabric.sysctls.push(sysctl("net/ipv6/conf/seg-test/accept_dad", "0"));
    }
    plan.fabric.segment_walls.push(SegmentWall {
        bridge: bridge.clone(),
        vxlan: Some(vxlan.clone()),
        ports: segment
            .ports
            .iter()
            .map(|port| PortWall {
                link: port.link.clone(),
                storm_limit: 1000,
                starts_blocked: port.lan.is_some(),
            })
            .collect(),
        gateway: gateway.as_ref().map(|gateway| GatewayWall {
            mac: gateway.mac,
            own_mac: gateway.own_mac,
            addresses: gateway
                .addresses
                .iter()
                .map(Prefix::addr)
                .chain([IpAddr::V6(gateway.link_local)])
                .collect(),
        }),
        clamp_v4: None,
        clamp_v6: None,
    });
    let target = RouteTarget::of_two_octet_as(63806, vni.0);
    plan.evpn = EvpnConfig {
        network: 7,
        router: plan.id,
        segments: vec![SegmentConfig {
            name: "test".into(),
            vni,
            bridge,
            stretch: Some(Stretch {
                vxlan,
                vtep,
                rd: RouteDistinguisher::of_router(loopback_v4(plan.id), 224),
                import: vec![target],
                export: vec![target],
            }),
            ports: segment.ports.clone(),
            gateway,
        }],
    };
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        neighbour.families.push(Family::Evpn);
    }
}

fn vtep_byte(vtep: IpAddr) -> u8 {
    match vtep {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    }
}

/// What the reconcile of links asks of every fabric.
pub fn sealed(mut plan: RouterPlan) -> RouterPlan {
    let links: Vec<_> = plan.fabric.links.iter().map(|link| link.name.clone()).collect();
    for link in links {
        let conf = format!("net/ipv6/conf/{link}");
        plan.fabric.sysctls.push(sysctl(&format!("{conf}/accept_ra"), "0"));
    }
    tsumugi_plan::hash::seal(&mut plan);
    debug_assert!(plan.plane(Plane::Fabric).links.len() < 10);
    plan
}
