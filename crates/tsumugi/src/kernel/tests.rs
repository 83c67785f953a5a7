//! Against the real kernel, each test in namespaces that only it holds.

use super::address::AddressOrigin;
use super::link::WireEnd;
use super::route::{NextHopInfo, RouteInfo, TargetInfo};
use super::tun::{TunKind, attach};
use super::{Namespace, Netlink};
use nix::errno::Errno;
use std::net::IpAddr;
use tsumugi_core::desired::ROUTE_PROTOCOL;
use tsumugi_core::id::{IfName, Mac};

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
    netlink.rename_link(link.index, &name("other")).unwrap();
    let link = netlink.link(&name("other")).unwrap().unwrap();
    assert_eq!((link.mtu, link.mac, link.master), (1500, Some(Mac([2, 0, 0, 0, 0, 9])), Some(bridge)));
    assert_eq!(link.alias, "tsumugi: a wire");

    netlink.set_master(link.index, None).unwrap();
    netlink.move_link(link.index, &right).unwrap();
    assert_eq!(netlink.link(&name("other")).unwrap(), None);
    assert!(Netlink::open_in(&right).unwrap().link(&name("other")).unwrap().is_some());

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
        super::tun::set_carrier(&descriptor, false).unwrap();
        assert!(!netlink.link(&device).unwrap().unwrap().carrier);
        drop(descriptor);
        assert!(netlink.link(&device).unwrap().is_some());
        attach(&plane, &device, kind).unwrap();
    }
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
