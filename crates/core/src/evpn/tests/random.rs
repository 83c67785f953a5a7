//! Any events in any order: nothing panics, the kernel is told exactly what it should hold, a machine
//! that knows the same facts wants the same, and one port of a LAN forwards at most.

use super::net::Net;
use super::routes::{type2, type2_path, type3};
use super::*;
use crate::bgp::EvpnUpdate;
use proptest::prelude::*;

const ADDRESSES: [&str; 3] = ["192.0.2.9", "192.0.2.10", "2001:db8:e00::9"];

#[derive(Debug, Clone)]
enum Do {
    Type2 { router: u8, mac: u8, ip: Option<u8>, sequence: u8, sticky: bool, bad: bool },
    NoType2 { router: u8, mac: u8, ip: Option<u8> },
    Type3 { router: u8, there: bool },
    Link { port: u8, up: bool },
    Heard { port: u8, mac: u8 },
    Gone { port: u8, mac: u8 },
    Host { address: u8, mac: Option<u8> },
    Sought { address: u8 },
    Relearned { macs: Vec<(u8, u8)>, hosts: Vec<(u8, u8)> },
    Probe { router: u8, port: u8, at: u8, lan: bool, forwarding: bool },
    Garbage { at: u8, frame: Vec<u8> },
    Wait { ms: u32 },
    Replace { gateway: bool, ports: u8 },
}

fn any_do() -> impl Strategy<Value = Do> {
    let (router, mac, port) = (2u8..5, 1u8..5, 1u8..4);
    let ip = proptest::option::of(0u8..3);
    prop_oneof![
        6 => (router.clone(), mac.clone(), ip.clone(), 0u8..4, prop::bool::weighted(0.1),
              prop::bool::weighted(0.1))
            .prop_map(|(router, mac, ip, sequence, sticky, bad)| Do::Type2 {
                router, mac, ip, sequence, sticky, bad
            }),
        3 => (router.clone(), mac.clone(), ip).prop_map(|(router, mac, ip)| Do::NoType2 { router, mac, ip }),
        2 => (router.clone(), any::<bool>()).prop_map(|(router, there)| Do::Type3 { router, there }),
        2 => (0u8..4, prop::bool::weighted(0.8)).prop_map(|(port, up)| Do::Link { port, up }),
        6 => (port.clone(), mac.clone()).prop_map(|(port, mac)| Do::Heard { port, mac }),
        2 => (port.clone(), mac.clone()).prop_map(|(port, mac)| Do::Gone { port, mac }),
        4 => (0u8..3, proptest::option::of(mac.clone())).prop_map(|(address, mac)| Do::Host { address, mac }),
        1 => (0u8..3).prop_map(|address| Do::Sought { address }),
        1 => (prop::collection::vec((port.clone(), mac.clone()), 0..4),
              prop::collection::vec((0u8..3, mac), 0..3))
            .prop_map(|(macs, hosts)| Do::Relearned { macs, hosts }),
        2 => (1u8..3, 1u8..4, port, any::<bool>(), any::<bool>())
            .prop_map(|(router, port, at, lan, forwarding)| Do::Probe { router, port, at, lan, forwarding }),
        1 => (1u8..4, prop::collection::vec(any::<u8>(), 0..70)).prop_map(|(at, frame)| Do::Garbage { at, frame }),
        3 => (0u32..200_000).prop_map(|ms| Do::Wait { ms }),
        1 => (any::<bool>(), 1u8..4).prop_map(|(gateway, ports)| Do::Replace { gateway, ports }),
    ]
}

fn ports(count: u8) -> Vec<SegmentPort> {
    vec![port(1), port(2), shared(3, 1)].into_iter().take(usize::from(count)).collect()
}

fn one(with_gateway: bool, count: u8) -> EvpnConfig {
    let gateway = with_gateway.then(|| gateway(1));
    config(1, vec![SegmentConfig { gateway, ..segment(1, ports(count)) }])
}

fn eth(port: u8) -> IfName {
    link(&format!("eth{port}"))
}

fn address(n: u8) -> IpAddr {
    ADDRESSES[usize::from(n)].parse().unwrap()
}

fn perform(bench: &mut Bench, it: Do) {
    let bridge = link("seg-members");
    let named = |ip: Option<u8>| ip.map(|ip| ADDRESSES[usize::from(ip)]);
    match it {
        Do::Type2 { router, mac: n, ip, sequence, sticky, bad } => {
            let router = u32::from(router);
            let mut path = type2_path(router, &[mobility(u32::from(sequence), sticky)]);
            if bad {
                path.body.label = 1;
            }
            bench.route(type2(router, mac(n), named(ip)), Some(path));
        }
        Do::NoType2 { router, mac: n, ip } => {
            bench.route(type2(u32::from(router), mac(n), named(ip)), None);
        }
        Do::Type3 { router, there } => {
            let (route, path) = type3(u32::from(router));
            bench.route(route, there.then_some(path));
        }
        Do::Link { port, up } => {
            let link = if port == 0 { link("vx-members") } else { eth(port) };
            bench.step(if up { Event::LinkUp(link) } else { Event::LinkDown(link) });
        }
        Do::Heard { port, mac: n } => bench.step(Event::MacHeard { port: eth(port), mac: mac(n) }),
        Do::Gone { port, mac: n } => bench.step(Event::MacGone { port: eth(port), mac: mac(n) }),
        Do::Host { address: n, mac: Some(of) } => {
            bench.step(Event::HostHeard { bridge, address: address(n), mac: mac(of) });
        }
        Do::Host { address: n, mac: None } => bench.step(Event::HostGone { bridge, address: address(n) }),
        Do::Sought { address: n } => bench.step(Event::HostSought { bridge, address: address(n) }),
        Do::Relearned { macs, hosts } => {
            let macs = macs.into_iter().map(|(port, n)| (eth(port), mac(n))).collect();
            let hosts = hosts.into_iter().map(|(n, of)| (bridge.clone(), address(n), mac(of))).collect();
            bench.step(Event::Relearned { macs, hosts });
        }
        Do::Probe { router, port, at, lan, forwarding } => {
            let frame = crate::evpn::probe::Probe {
                network: one(false, 1).network,
                router: u32::from(router),
                vni: Vni(VNI),
                port: u16::from(port),
                link: eth(port),
                sequence: 0,
                forwarding,
                connected: forwarding,
                candidate: lan,
                lan: if lan { shared(3, 1).lan.unwrap().esi } else { Esi::SINGLE_HOMED },
                preference: 0,
            }
            .frame();
            bench.step(Event::ProbeHeard { port: eth(at), frame: &frame });
        }
        Do::Garbage { at, frame } => bench.step(Event::ProbeHeard { port: eth(at), frame: &frame }),
        Do::Wait { ms } => bench.advance(Duration::from_millis(u64::from(ms))),
        Do::Replace { gateway, ports } => bench.replace(one(gateway, ports)),
    }
}

/// What is true in the end, told to a machine that was never told anything else.
fn fresh(bench: &Bench) -> Bench {
    let segment = &bench.evpn.segments[0];
    let mut fresh = Bench::new(config(1, vec![segment.config.clone()]));
    for (route, path) in &bench.evpn.routes {
        fresh.route(route.clone(), Some(path.clone()));
    }
    // Ports of the LAN are open after a while only: what was learned there is told as of another port.
    fresh.now = bench.now;
    let local: Vec<(u16, Mac)> = segment.local_macs().collect();
    for (number, mac) in local {
        let shut = segment.ports[&number].config.lan.is_some();
        let port = if shut { 1 } else { number };
        // A static route came while the MAC was a duplicate: on the port it stays until it is quiet.
        let frozen = segment.tables.macs[&mac].is_frozen();
        if frozen {
            continue;
        }
        fresh.step(Event::MacHeard { port: link(&format!("eth{port}")), mac });
    }
    for (address, host) in &segment.tables.hosts.local {
        let bridge = link("seg-members");
        fresh.step(Event::HostHeard { bridge, address: *address, mac: host.mac });
    }
    fresh
}

fn lan_of_three(delay: u64) -> Net {
    let mut net = Net::new(vec![vec![shared(1, 0)], vec![shared(1, 1)], vec![shared(1, 2)]]);
    net.delay = delay;
    net
}

/// A router, what happens to it, and how long it lasts in milliseconds.
fn any_trouble() -> impl Strategy<Value = Vec<(usize, u8, u64)>> {
    prop::collection::vec((0usize..3, 0u8..6, 0u64..8000), 1..60)
}

fn trouble(net: &mut Net, steps: Vec<(usize, u8, u64)>) {
    for (at, what, ms) in steps {
        match what {
            0 => net.step(at, Event::LinkUp(link("eth1"))),
            1 => net.step(at, Event::LinkDown(link("eth1"))),
            2 => net.lose_sessions(at),
            3 => net.restore_sessions(at),
            4 => net.restart(at),
            _ => net.step(at, Event::LinkUp(link("vx-members"))),
        }
        net.run(ms);
    }
}

/// No two ports that know of each other forward.
fn who_know_of_each_other(net: &Net) {
    let knows = |at: usize, other: usize| {
        let mut routes = net.benches[at].evpn.rivals.values().flat_map(BTreeMap::keys);
        routes.any(|(_, originator)| *originator == vtep(other as u32 + 1))
    };
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let both = net.is_open((a, "eth1")) && net.is_open((b, "eth1"));
        assert!(!(both && knows(a, b) && knows(b, a)), "{a} and {b} forward");
    }
}

proptest! {
    // A case is minutes of a network's life.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_kernel_is_told_what_it_should_hold(steps in prop::collection::vec(any_do(), 1..120)) {
        let mut bench = Bench::new(one(true, 3));
        for step in steps {
            perform(&mut bench, step);
            bench.entries();
            let reachable = bench.evpn.status(bench.now).segments[0].reachable;
            let hosts = |it: &EvpnRoute| !matches!(it, EvpnRoute::EthernetSegment { .. });
            prop_assert!(reachable || !bench.announced.keys().any(hosts), "announced without a way here");
        }
        bench.advance(Duration::from_secs(400));
        let again = fresh(&bench);
        prop_assert_eq!(again.entries(), bench.entries());
    }

    #[test]
    fn one_port_of_a_lan_forwards_at_most(delay in 1u64..6000, steps in any_trouble()) {
        let mut net = lan_of_three(delay);
        net.join(&[(0, "eth1"), (1, "eth1"), (2, "eth1")]);
        net.watch = |net| {
            let open = (0..3).filter(|at| net.is_open((*at, "eth1"))).count();
            assert!(open <= 1, "{open} ports forward");
        };
        trouble(&mut net, steps);
        // In the end the best one forwards.
        for at in 0..3 {
            net.restore_sessions(at);
            net.start(at);
        }
        net.run(delay * 4 + 20_000);
        prop_assert!(net.is_open((0, "eth1")));
    }

    #[test]
    fn routes_alone_are_enough_while_they_are_heard(delay in 1u64..6000, steps in any_trouble()) {
        let mut net = lan_of_three(delay);
        net.watch = who_know_of_each_other;
        trouble(&mut net, steps);
    }
}

/// Ten routers' MACs in twenty segments: what a process of 60 MiB has to hold besides everything else.
#[test]
fn ten_thousand_macs_are_little() {
    let segments = (0..20).map(|n| {
        let mut it = segment(1, vec![SegmentPort { link: link(&format!("p{n}")), ..port(n + 1) }]);
        it.name = format!("s{n}");
        it.bridge = link(&format!("seg-{n}"));
        it.vni = Vni(VNI + u32::from(n));
        let stretch = it.stretch.as_mut().unwrap();
        stretch.vxlan = link(&format!("vx-{n}"));
        stretch.import = vec![RouteTarget::of_two_octet_as(63806, u32::from(n))];
        it
    });
    let mut bench = Bench::up_with(config(1, segments.collect()));
    for n in 0..10_000u32 {
        let [_, _, hi, lo] = n.to_be_bytes();
        let (router, at) = (2 + n % 9, n % 20);
        let mut path = type2_path(router, &[]);
        path.body.label = VNI + at;
        path.communities[0] = RouteTarget::of_two_octet_as(63806, at).into();
        let mac = Mac([2, 0, 0, 1, hi, lo]);
        let route = EvpnRoute::MacIp { rd: rd(router), tag: 0, mac, ip: None };
        bench.step(Event::Route(EvpnUpdate { route, path: Some(path) }));
    }
    assert_eq!(bench.entries().len(), 10_000);
    // What one MAC costs in the tables: B-trees are half full at worst.
    let of_mac = size_of::<(Mac, crate::evpn::macs::MacState)>()
        + size_of::<crate::evpn::macs::Claim>() * 4
        + size_of::<(EvpnRoute, EvpnPath)>()
        + size_of::<(crate::evpn::entries::Key, crate::evpn::entries::Value)>();
    assert!(of_mac * 10_000 * 2 < 12 << 20, "{of_mac} bytes");
}
