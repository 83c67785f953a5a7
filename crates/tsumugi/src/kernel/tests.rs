//! Against the real kernel, each test in namespaces that only it holds.

mod hop_objects;
mod segment_walls;
mod segments;

use super::address::AddressOrigin;
use super::dynamic::RouteUpdate;
use super::link::WireEnd;
use super::plane::{Keeper, Report};
use super::route::{NextHopInfo, RouteInfo, TargetInfo};
use super::tun::{TunKind, attach, set_carrier};
use super::watch::Watch;
use super::{Namespace, Netlink};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tsumugi_core::desired::{
    Address, Desired, DropReason, Hook, Link, LinkKind, Neighbour, NextHop, ROUTE_PROTOCOL, Route,
    RouteTarget, Sysctl, Wall,
};
use tsumugi_core::id::{IfName, Mac, Plane, Prefix};
use tsumugi_core::reconcile::Change;

pub(super) fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

/// A wire between two fresh namespaces: `left` in the first, `right` in the second, both up.
pub(super) fn wire() -> (Namespace, Namespace) {
    let (left, right) = (Namespace::unnamed().unwrap(), Namespace::unnamed().unwrap());
    let mut netlink = Netlink::open_in(&left).unwrap();
    let (one, other) = (name("left"), name("right"));
    netlink
        .add_veth(
            &WireEnd { name: &one, namespace: &left, mac: Some(Mac([2, 0, 0, 0, 0, 1])), mtu: 2400 },
            &WireEnd { name: &other, namespace: &right, mac: None, mtu: 2400 },
        )
        .unwrap();
    for (namespace, name) in [(&left, &one), (&right, &other)] {
        let mut netlink = Netlink::open_in(namespace).unwrap();
        let index = netlink.index(name).unwrap();
        netlink.set_makes_link_local(index, false).unwrap();
        netlink.set_up(index, true).unwrap();
        let lo = netlink.index(&IfName::loopback()).unwrap();
        netlink.set_up(lo, true).unwrap();
    }
    (left, right)
}

#[test]
fn a_link_is_made_changed_moved_and_removed() {
    let (left, right) = wire();
    let mut netlink = Netlink::open_in(&left).unwrap();
    let link = netlink.link(&name("left")).unwrap().unwrap();
    assert_eq!((link.mtu, link.mac, link.kind.as_str()), (2400, Some(Mac([2, 0, 0, 0, 0, 1])), "veth"));
    assert!(link.up && link.carrier && !link.makes_link_local && !link.loopback);

    netlink.set_mtu(link.index, 1500).unwrap();
    netlink.set_alias(link.index, "tsumugi: a wire").unwrap();
    netlink.set_mac(link.index, Mac([2, 0, 0, 0, 0, 9])).unwrap();
    netlink.add_bridge(&name("br")).unwrap();
    let bridge = netlink.index(&name("br")).unwrap();
    netlink.set_master(link.index, Some(bridge)).unwrap();
    let link = netlink.link(&name("left")).unwrap().unwrap();
    assert_eq!((link.mtu, link.mac, link.master), (1500, Some(Mac([2, 0, 0, 0, 0, 9])), Some(bridge)));
    assert_eq!(link.alias, "tsumugi: a wire");

    netlink.set_master(link.index, None).unwrap();
    netlink.move_link(link.index, &right).unwrap();
    assert_eq!(netlink.link(&name("left")).unwrap(), None);
    assert!(Netlink::open_in(&right).unwrap().link(&name("left")).unwrap().is_some());

    netlink.delete_link(bridge).unwrap();
    let error = netlink.delete_link(bridge).unwrap_err();
    assert!(error.is(Errno::ENODEV), "{error}");
}

#[test]
fn a_macvlan_is_made_in_another_namespace() {
    let (left, _right) = wire();
    let plane = Namespace::unnamed().unwrap();
    Netlink::open_in(&left).unwrap().add_macvlan(&name("left"), &name("mv-ngn"), &plane).unwrap();
    let made = Netlink::open_in(&plane).unwrap().link(&name("mv-ngn")).unwrap().unwrap();
    assert_eq!(made.kind, "macvlan");
}

#[test]
fn a_tun_device_outlives_who_made_it() {
    let plane = Namespace::unnamed().unwrap();
    let mut netlink = Netlink::open_in(&plane).unwrap();
    for (device, kind) in [("gre-x", TunKind::Tun), ("eip-x", TunKind::Tap)] {
        let device = name(device);
        let descriptor = attach(&plane, &device, kind).unwrap();
        let busy = attach(&plane, &device, kind).unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(Errno::EBUSY as i32));
        let link = netlink.link(&device).unwrap().unwrap();
        assert_eq!((link.kind.as_str(), link.mac.is_some()), ("tun", kind == TunKind::Tap));
        netlink.set_up(link.index, true).unwrap();
        assert!(netlink.link(&device).unwrap().unwrap().carrier);
        drop(descriptor);
        assert!(netlink.link(&device).unwrap().is_some());
        // A child that another test is starting has a copy of the descriptor until it runs its program.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while let Err(error) = attach(&plane, &device, kind) {
            assert_eq!(error.raw_os_error(), Some(Errno::EBUSY as i32));
            assert!(std::time::Instant::now() < deadline, "still busy");
        }
    }
}

/// Of several carriers that change together, as when a line dies under many tunnels, all are told of at once.
#[test]
fn carriers_are_told_of_at_once() {
    let plane = Namespace::unnamed().unwrap();
    let mut netlink = Netlink::open_in(&plane).unwrap();
    let devices: Vec<_> = ["gre-x", "gre-y", "gre-z"]
        .map(name)
        .into_iter()
        .map(|device| {
            let descriptor = attach(&plane, &device, TunKind::Tun).unwrap();
            let index = netlink.index(&device).unwrap();
            netlink.set_up(index, true).unwrap();
            (device, descriptor)
        })
        .collect();
    let mut watch = Watch::links(&plane).unwrap();
    for there in [false, true, false] {
        watch.hear(0);
        for (device, descriptor) in &devices {
            set_carrier(descriptor, there).unwrap();
            netlink.tell_carrier(device).unwrap();
        }
        let heard = watch.hear(0).links;
        for (device, _) in &devices {
            let last = heard.iter().rev().find(|(link, _)| link.name == *device);
            // Linux before 6.8 takes its time.
            if release() >= (6, 8) {
                assert_eq!(last.map(|(link, _)| link.carrier), Some(there), "{device}");
            }
        }
    }
}

/// Of the kernel, as far as it is needed.
fn release() -> (u32, u32) {
    let name = nix::sys::utsname::uname().unwrap();
    let text = name.release().to_str().unwrap().to_owned();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[test]
fn addresses_carry_our_tag() {
    let (left, _right) = wire();
    let mut netlink = Netlink::open_in(&left).unwrap();
    let index = netlink.index(&name("left")).unwrap();
    for text in ["fe80::1/64", "2001:db8::1/64", "192.0.2.1/24"] {
        netlink.add_address(index, text.parse().unwrap()).unwrap();
    }
    let ours: Vec<String> = netlink
        .addresses()
        .unwrap()
        .into_iter()
        .filter(|address| address.link == index && address.origin == AddressOrigin::Ours)
        .map(|address| address.prefix.to_string())
        .collect();
    assert_eq!(ours.len(), 3, "{ours:?}");
    netlink.delete_address(index, "192.0.2.1/24".parse().unwrap()).unwrap();
    assert!(netlink.delete_address(index, "192.0.2.1/24".parse().unwrap()).is_err());
}

#[test]
fn every_kind_of_route_reads_back_as_it_was_written() {
    let (left, _right) = wire();
    let mut netlink = Netlink::open_in(&left).unwrap();
    let link = netlink.index(&name("left")).unwrap();
    let lo = netlink.index(&IfName::loopback()).unwrap();
    netlink.add_bridge(&name("second")).unwrap();
    let second = netlink.index(&name("second")).unwrap();
    netlink.set_up(second, true).unwrap();
    for (link, text) in
        [(lo, "198.51.100.1/32"), (lo, "2001:db8:ffff::1/128"), (link, "fe80::1/64"), (second, "fe80::1/64")]
    {
        netlink.add_address(link, text.parse().unwrap()).unwrap();
    }
    let hop = |link, via: &str| NextHopInfo { link, via: Some(via.parse().unwrap()) };
    let v4: IpAddr = "198.51.100.1".parse().unwrap();
    let v6: IpAddr = "2001:db8:ffff::1".parse().unwrap();
    let route = |prefix: &str, target, source, mtu, metric| RouteInfo {
        prefix: prefix.parse().unwrap(),
        target,
        source,
        mtu,
        metric,
        protocol: ROUTE_PROTOCOL,
    };
    let both = vec![hop(link, "fe80::2"), hop(second, "fe80::3")];
    let direct = vec![NextHopInfo { link, via: None }];
    let routes = [
        route("203.0.113.0/24", TargetInfo::NextHops(vec![hop(link, "fe80::2")]), Some(v4), None, None),
        route("203.0.114.0/24", TargetInfo::NextHops(both.clone()), Some(v4), None, Some(2048)),
        route("203.0.115.0/24", TargetInfo::NextHops(direct.clone()), None, Some(1454), None),
        route("203.0.116.0/24", TargetInfo::Discard, None, None, None),
        route("203.0.117.0/24", TargetInfo::Unreachable, None, None, Some(7)),
        route("2001:db8:1::/48", TargetInfo::NextHops(vec![hop(link, "fe80::2")]), Some(v6), None, None),
        route("2001:db8:2::/48", TargetInfo::NextHops(both), Some(v6), None, Some(2048)),
        route("2001:db8:3::1/128", TargetInfo::NextHops(direct), None, Some(1454), None),
        route("2001:db8:4::/48", TargetInfo::Discard, None, None, None),
        route("2001:db8:5::/48", TargetInfo::Unreachable, None, None, None),
        route("::/0", TargetInfo::NextHops(vec![hop(link, "fe80::2")]), None, None, None),
    ];
    for route in &routes {
        netlink.set_route(route).unwrap_or_else(|error| panic!("{}: {error}", route.prefix));
        // Replacing it by itself is no error.
        netlink.set_route(route).unwrap();
    }
    let mut found = netlink.routes(ROUTE_PROTOCOL).unwrap();
    let mut wanted = routes.to_vec();
    found.sort_by_key(|route| route.prefix);
    wanted.sort_by_key(|route| route.prefix);
    assert_eq!(found, wanted);
    assert!(netlink.routes(85).unwrap().is_empty());

    for route in &routes {
        netlink.delete_route(route).unwrap_or_else(|error| panic!("{}: {error}", route.prefix));
    }
    assert!(netlink.routes(ROUTE_PROTOCOL).unwrap().is_empty());
}

#[test]
fn a_batch_tells_which_of_its_requests_failed() {
    let (left, _right) = wire();
    let mut netlink = Netlink::open_in(&left).unwrap();
    let link = netlink.index(&name("left")).unwrap();
    let routes: Vec<RouteInfo> = (0..1000u32)
        .map(|number| RouteInfo {
            prefix: format!("10.{}.{}.0/24", number >> 8, number & 255).parse().unwrap(),
            // Every hundredth leaves by an interface that is not there.
            target: TargetInfo::NextHops(vec![NextHopInfo {
                link: if number % 100 == 50 { 9999 } else { link },
                via: None,
            }]),
            source: None,
            mtu: None,
            metric: None,
            protocol: ROUTE_PROTOCOL,
        })
        .collect();
    let failed = netlink.batch(routes.iter().map(super::route::set_message)).unwrap();
    let places: Vec<usize> = failed.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (0..10).map(|hundred| hundred * 100 + 50).collect::<Vec<_>>());
    assert!(failed.iter().all(|(_, error)| error.is(Errno::ENODEV)), "{failed:?}");
    assert_eq!(netlink.routes(ROUTE_PROTOCOL).unwrap().len(), 990);
}

#[test]
fn a_permanent_neighbour_is_ours() {
    let (left, _right) = wire();
    let mut netlink = Netlink::open_in(&left).unwrap();
    let link = netlink.index(&name("left")).unwrap();
    for address in ["192.0.2.9", "fe80::9"] {
        netlink.set_neighbour(link, address.parse().unwrap(), Mac([2, 0, 0, 0, 0, 7])).unwrap();
    }
    let found = netlink.neighbours().unwrap();
    assert_eq!(found.iter().filter(|neighbour| neighbour.ours).count(), 2, "{found:?}");
    netlink.delete_neighbour(link, "fe80::9".parse().unwrap()).unwrap();
    assert_eq!(netlink.neighbours().unwrap().iter().filter(|neighbour| neighbour.ours).count(), 1);
}

/// A plane with two ports of the initial namespace, each wired to `far`.
///
/// ```text
/// initial: eth0, eth1 -(taken)-> plane: eth0 in br0, eth1, mv0 (over eth2, which stays), lo
/// ```
struct Machine {
    initial: Namespace,
    plane: Namespace,
    far: Namespace,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine {
            initial: Namespace::unnamed().unwrap(),
            plane: Namespace::unnamed().unwrap(),
            far: Namespace::unnamed().unwrap(),
        };
        for port in ["eth0", "eth1", "eth2"] {
            machine.plug(port);
        }
        machine
    }

    fn plug(&self, port: &str) {
        let (here, there) = (name(port), name(&format!("far-{port}")));
        Netlink::open_in(&self.initial)
            .unwrap()
            .add_veth(
                &WireEnd { name: &here, namespace: &self.initial, mac: None, mtu: 1500 },
                &WireEnd { name: &there, namespace: &self.far, mac: None, mtu: 1500 },
            )
            .unwrap();
    }

    fn keeper(&self, desired: &Desired) -> Keeper {
        Keeper::new(Plane::Underlay, self.plane.clone(), &self.initial, desired.clone()).unwrap()
    }

    /// A command by hand in the plane.
    fn hand(&self, command: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let output =
            self.plane.run(|| std::process::Command::new(words[0]).args(&words[1..]).output()).unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn link(link: &str, kind: LinkKind, master: Option<&str>) -> Link {
    Link {
        name: name(link),
        alias: format!("the link {link}"),
        kind,
        mtu: 1400,
        mac: None,
        master: master.map(name),
    }
}

fn some_plane() -> Desired {
    let route = |prefix: &str, hops: &[(&str, Option<&str>)], source: Option<&str>, mtu| Route {
        prefix: prefix.parse().unwrap(),
        target: RouteTarget::NextHops {
            next_hops: hops
                .iter()
                .map(|(link, via)| NextHop { link: name(link), via: via.map(|via| via.parse().unwrap()) })
                .collect(),
        },
        source: source.map(|source| source.parse().unwrap()),
        mtu,
        metric: None,
    };
    let address = |link: &str, prefix: &str| Address { link: name(link), prefix: prefix.parse().unwrap() };
    let sysctl = |key: &str, value: &str| Sysctl { key: key.into(), value: value.into(), optional: false };
    Desired {
        links: vec![
            link("br0", LinkKind::Bridge, None),
            link("eth0", LinkKind::Port, Some("br0")),
            link("eth1", LinkKind::Port, None),
            link("mv0", LinkKind::Macvlan { parent: name("eth2") }, None),
            link("tun0", LinkKind::Tunnel, None),
        ],
        addresses: vec![
            address("lo", "198.51.100.1/32"),
            address("lo", "2001:db8:ffff::1/128"),
            address("br0", "192.0.2.1/24"),
            address("eth1", "2001:db8:1::1/64"),
            address("eth1", "fe80::1/64"),
            address("tun0", "fe80::1/64"),
        ],
        routes: vec![
            route("0.0.0.0/0", &[("br0", Some("192.0.2.254"))], Some("198.51.100.1"), None),
            route("2001:db8:9::1/128", &[("eth1", Some("2001:db8:1::ff"))], None, Some(1280)),
            route("203.0.113.0/24", &[("tun0", Some("fe80::2")), ("eth1", Some("fe80::3"))], None, None),
            Route { target: RouteTarget::Discard, ..route("2001:db8::/32", &[], None, None) },
        ],
        neighbours: vec![Neighbour {
            link: name("eth1"),
            address: "2001:db8:1::ff".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 9]),
        }],
        sysctls: vec![
            sysctl("net/ipv4/ip_forward", "1"),
            sysctl("net/ipv6/conf/eth1/accept_ra", "0"),
            sysctl("net/ipv6/conf/tun0/accept_ra", "0"),
            Sysctl { optional: true, ..sysctl("net/ipv4/no_such_setting", "1") },
        ],
        walls: vec![Wall { hook: Hook::Forward, rules: Vec::new(), otherwise: Some(DropReason::NoTransit) }],
        segment_walls: Vec::new(),
    }
}

/// Turns the keeper until it has compared, and asserts that nothing failed.
fn settle(keeper: &mut Keeper) -> Report {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(Instant::now() < deadline, "no comparison within 10 s");
        if let Some(report) = keeper.turn(Instant::now()).report {
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            return report;
        }
        wait(keeper, Duration::from_millis(100));
    }
}

fn wait(keeper: &Keeper, longest: Duration) {
    let left = keeper.next_timeout().map_or(longest, |due| due.saturating_duration_since(Instant::now()));
    let left = u16::try_from(left.min(longest).as_millis()).unwrap() + 1;
    poll(&mut [PollFd::new(keeper.as_fd(), PollFlags::POLLIN)], PollTimeout::from(left)).unwrap();
}

/// Until nothing is announced any more, and no comparison but the far one is due.
fn calm(keeper: &mut Keeper) -> Vec<Change> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut made = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "no calm within 10 s: {made:?}");
        if let Some(report) = keeper.turn(Instant::now()).report {
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            made.extend(report.made);
        }
        let left = keeper.next_timeout().unwrap().saturating_duration_since(Instant::now());
        if left > Duration::from_secs(10) {
            return made;
        }
        wait(keeper, Duration::from_millis(100));
    }
}

#[test]
fn a_plane_becomes_what_the_plan_says_and_stays_so() {
    let machine = Machine::new();
    let desired = some_plane();
    let mut keeper = machine.keeper(&desired);
    let report = settle(&mut keeper);
    assert!(report.made.contains(&Change::TakePort(name("eth1"))), "{:?}", report.made);
    assert_eq!(report.waiting, [name("tun0")]);
    calm(&mut keeper);

    // A packet process makes its device: it is looked after.
    let device = attach(&machine.plane, &name("tun0"), TunKind::Tun).unwrap();
    let made = calm(&mut keeper);
    let mtu = Change::SetMtu { link: name("tun0"), mtu: 1400 };
    assert!(made.contains(&mtu), "{made:?}");
    assert!(keeper.waiting().is_empty());
    drop(device);
    assert!(keeper.links()[&name("tun0")].up);

    // Applying again changes nothing, in this life and in the next.
    assert!(calm(&mut keeper).is_empty());
    keeper.set_desired(desired.clone()).unwrap();
    assert!(settle(&mut keeper).made.is_empty());
    let report = settle(&mut machine.keeper(&desired));
    assert!(report.made.is_empty(), "{:?}", report.made);
}

#[test]
fn a_change_by_hand_is_put_back() {
    let machine = Machine::new();
    let _device = attach(&machine.plane, &name("tun0"), TunKind::Tun).unwrap();
    let desired = some_plane();
    let mut keeper = machine.keeper(&desired);
    calm(&mut keeper);
    for command in [
        "ip link set eth1 mtu 1300",
        "ip link set eth1 down",
        "ip link set eth0 nomaster",
        "ip link set eth1 alias mine",
        "ip link del br0",
        "ip link del mv0",
        "ip addr del 198.51.100.1/32 dev lo",
        "ip -6 addr del fe80::1/64 dev tun0",
        "ip -6 addr flush dev eth1",
        "ip route del default",
        "ip route replace 203.0.113.0/24 dev br0",
        "ip -6 route del 2001:db8::/32",
        "ip -6 neigh del 2001:db8:1::ff dev eth1",
        "sysctl -qw net.ipv4.ip_forward=0",
        "nft flush chain inet tsumugi forward",
        "nft delete table inet tsumugi",
    ] {
        machine.hand(command);
        let made = calm(&mut keeper);
        assert!(!made.is_empty(), "{command}: nothing was put back");
        let report = settle(&mut machine.keeper(&desired));
        assert!(report.made.is_empty(), "{command}: {:?}", report.made);
    }
}

#[test]
fn what_is_foreign_is_left_alone_and_what_is_no_longer_wanted_goes() {
    let machine = Machine::new();
    machine.hand("ip link add docker0 type bridge");
    machine.hand("ip addr add 172.17.0.1/16 dev docker0");
    machine.hand("ip link set docker0 up");
    machine.hand("ip route add 10.0.0.0/8 via 172.17.0.9 proto static");
    machine.hand("nft add table inet mine");
    let mut keeper = machine.keeper(&some_plane());
    calm(&mut keeper);
    machine.hand("ip addr add 10.9.9.9/32 dev eth1");
    calm(&mut keeper);

    keeper.set_desired(Desired::default()).unwrap();
    settle(&mut keeper);
    let mut netlink = Netlink::open_in(&machine.plane).unwrap();
    let links: Vec<String> = netlink.links().unwrap().iter().map(|link| link.name.to_string()).collect();
    assert_eq!(links, ["lo", "docker0"]);
    let global: Vec<String> = netlink
        .addresses()
        .unwrap()
        .iter()
        .filter(|address| address.origin == AddressOrigin::Foreign)
        .map(|address| address.prefix.to_string())
        .collect();
    assert!(global.contains(&"172.17.0.1/16".into()), "{global:?}");
    assert!(netlink.routes(ROUTE_PROTOCOL).unwrap().is_empty());
    assert_eq!(netlink.routes(4).unwrap().len(), 1);
    machine.hand("nft list table inet mine");
    let mut initial = Netlink::open_in(&machine.initial).unwrap();
    for port in ["eth0", "eth1", "eth2"] {
        let port = initial.link(&name(port)).unwrap().unwrap();
        assert_eq!(port.alias, "");
    }
}

#[test]
fn a_port_that_is_plugged_in_later_is_taken() {
    let machine = Machine::new();
    let desired = Desired { links: vec![link("wwan0", LinkKind::Port, None)], ..Desired::default() };
    let mut keeper = machine.keeper(&desired);
    calm(&mut keeper);
    assert_eq!(keeper.waiting(), [name("wwan0")]);
    machine.plug("wwan0");
    calm(&mut keeper);
    assert!(keeper.waiting().is_empty());
    machine.hand("ip link del wwan0");
    calm(&mut keeper);
    assert_eq!(keeper.waiting(), [name("wwan0")]);
    machine.plug("wwan0");
    calm(&mut keeper);
    assert!(keeper.links()[&name("wwan0")].up);
}

#[test]
fn routes_of_bgp_have_an_owner_of_their_own() {
    let machine = Machine::new();
    let device = attach(&machine.plane, &name("tun0"), TunKind::Tun).unwrap();
    let mut keeper = machine.keeper(&some_plane());
    calm(&mut keeper);
    let route = |prefix: &str, via: &[&str], source: &str| Route {
        prefix: prefix.parse().unwrap(),
        target: RouteTarget::NextHops {
            next_hops: via
                .iter()
                .zip(["tun0", "eth1"])
                .map(|(via, link)| NextHop { link: name(link), via: Some(via.parse().unwrap()) })
                .collect(),
        },
        source: Some(source.parse().unwrap()),
        mtu: None,
        metric: None,
    };
    let routes = [
        route("203.0.113.0/24", &["fe80::2"], "198.51.100.1"),
        route("198.18.0.0/24", &["fe80::2", "fe80::3"], "198.51.100.1"),
        route("2001:db8:77::/48", &["fe80::2", "fe80::3"], "2001:db8:ffff::1"),
        route("2001:db8:78::/48", &["fe80::2"], "2001:db8:ffff::1"),
    ];
    keeper.change_routes(routes.iter().cloned().map(RouteUpdate::Set)).unwrap();
    assert_eq!(keeper.dynamic().count(), (4, 0), "{:?}", keeper.dynamic().missing());
    let count = |protocol| Netlink::open_in(&machine.plane).unwrap().routes(protocol).unwrap().len();
    assert_eq!((count(84), count(85)), (4, 4));

    // By hand, by the link, by the address that they prefer, and by what they name.
    for command in [
        "ip route del 198.18.0.0/24",
        "ip link set tun0 down",
        "ip addr del 198.51.100.1/32 dev lo",
        "ip nexthop flush",
    ] {
        machine.hand(command);
        calm(&mut keeper);
        assert_eq!((count(84), count(85)), (4, 4), "{command}");
    }

    let update = route("198.18.0.0/24", &["fe80::9"], "198.51.100.1");
    let changes = [
        RouteUpdate::Set(update),
        RouteUpdate::Remove("2001:db8:78::/48".parse().unwrap()),
        RouteUpdate::Remove("2001:db8:99::/48".parse().unwrap()),
    ];
    keeper.change_routes(changes).unwrap();
    assert_eq!((count(84), count(85)), (4, 3));

    // The next life keeps what it finds until it has heard from its neighbours.
    drop(keeper);
    let mut keeper = machine.keeper(&some_plane());
    calm(&mut keeper);
    assert_eq!(count(85), 3);
    keeper.change_routes([RouteUpdate::Set(routes[0].clone())]).unwrap();
    keeper.forget_stale_routes();
    calm(&mut keeper);
    assert_eq!((count(84), count(85)), (4, 1));

    // A link that is away takes its routes with it; they come back with it.
    drop(device);
    machine.hand("ip link del tun0");
    settle(&mut keeper);
    assert_eq!(keeper.dynamic().count(), (1, 1));
    let _device = attach(&machine.plane, &name("tun0"), TunKind::Tun).unwrap();
    calm(&mut keeper);
    assert_eq!(keeper.dynamic().count(), (1, 0));
    assert_eq!(count(85), 1);
}

#[test]
fn a_large_table_is_compared_in_pieces_while_it_changes() {
    const ROUTES: u32 = 20_000;
    let machine = Machine::new();
    let mut keeper = machine.keeper(&Desired::default());
    let discard = |at: u32| Route {
        prefix: Prefix::new(std::net::Ipv4Addr::from((20 << 24) + (at << 8)).into(), 24).unwrap(),
        target: RouteTarget::Discard,
        source: None,
        mtu: None,
        metric: None,
    };
    keeper.forget_stale_routes();
    keeper.change_routes((0..ROUTES).map(discard).map(RouteUpdate::Set)).unwrap();
    calm(&mut keeper);
    let count = || Netlink::open_in(&machine.plane).unwrap().routes(85).unwrap().len();
    assert_eq!(count(), 20_000);

    // A third of them goes by hand, and one comes that nobody wants.
    machine.hand("ip route flush root 20.0.0.0/11 proto 85");
    machine.hand("ip route add blackhole 30.0.0.0/24 proto 85 metric 2048");
    assert_eq!(count(), 20_001 - (32 << 8));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !keeper.dynamic().is_reading() {
        assert!(Instant::now() < deadline, "it was not read");
        keeper.turn(Instant::now());
        wait(&keeper, Duration::from_millis(100));
    }
    // Others have their turn now, and what they change is not undone.
    let changes = [
        RouteUpdate::Remove(discard(10).prefix),
        RouteUpdate::Remove(discard(ROUTES - 1).prefix),
        RouteUpdate::Set(discard(ROUTES)),
        RouteUpdate::Set(discard(ROUTES + 1)),
    ];
    keeper.change_routes(changes).unwrap();
    calm(&mut keeper);
    assert_eq!(keeper.dynamic().count(), (20_000, 0));
    let found = Netlink::open_in(&machine.plane).unwrap().routes(85).unwrap();
    assert_eq!(found.len(), 20_000);
    let there = |at: u32| found.iter().any(|route| route.prefix == discard(at).prefix);
    assert!(there(0) && there(ROUTES) && there(ROUTES + 1) && !there(10) && !there(ROUTES - 1));
}

#[test]
fn many_routes_of_our_own_leave_room_for_what_others_do() {
    let (left, _right) = wire();
    let mut netlink = Netlink::open_in(&left).unwrap();
    let mut watch = Watch::plane(&left).unwrap();
    watch.ignore_routes_of(netlink.port()).unwrap();
    let discard = |at: u32| RouteInfo {
        prefix: Prefix::new(std::net::Ipv4Addr::from((20 << 24) + (at << 8)).into(), 24).unwrap(),
        target: TargetInfo::Discard,
        source: None,
        mtu: None,
        metric: None,
        protocol: 85,
    };
    // More than the receive buffer has room for.
    let routes = (0..60_000).map(discard).collect::<Vec<_>>();
    assert!(netlink.batch(routes.iter().map(super::route::set_message)).unwrap().is_empty());
    let heard = watch.hear(netlink.port());
    assert!(!heard.overflow && !heard.dynamic, "{heard:?}");
    // Another's are heard, and links whoever changes them.
    Netlink::open_in(&left).unwrap().delete_route(&discard(7)).unwrap();
    assert!(watch.hear(netlink.port()).dynamic);
    let index = netlink.index(&name("left")).unwrap();
    netlink.set_up(index, false).unwrap();
    assert!(!watch.hear(netlink.port()).links.is_empty());
}
