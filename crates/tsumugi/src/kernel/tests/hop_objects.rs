//! Routes that name next-hop objects:
//!
//!     left ── right: two links, `one` and `two`, between the same two namespaces

use super::super::dynamic::{DynamicRoutes, Progress, RouteUpdate};
use super::super::link::WireEnd;
use super::super::route::{RouteInfo, TargetInfo};
use super::super::watch::Watch;
use super::super::{Namespace, Netlink};
use super::name;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};
use tsumugi_core::desired::{NextHop, Route, RouteTarget};
use tsumugi_core::id::{IfName, Prefix};

const ROUTES: u32 = 2000;

struct Place {
    left: Namespace,
    right: Namespace,
    netlink: Netlink,
    routes: DynamicRoutes,
}

impl Place {
    fn new() -> Place {
        let (left, right) = (Namespace::unnamed().unwrap(), Namespace::unnamed().unwrap());
        let netlink = Netlink::open_in(&left).unwrap();
        let mut place = Place { left, right, netlink, routes: DynamicRoutes::default() };
        place.link("one");
        place.link("two");
        place.ip("addr add 192.0.2.1/24 dev one");
        place
    }

    fn link(&mut self, text: &str) {
        let (one, far) = (name(text), name(&format!("far-{text}")));
        self.netlink
            .add_veth(
                &WireEnd { name: &one, namespace: &self.left, mac: None, mtu: 1500 },
                &WireEnd { name: &far, namespace: &self.right, mac: None, mtu: 1500 },
            )
            .unwrap();
        for (namespace, name) in [(&self.left, &one), (&self.right, &far)] {
            let mut netlink = Netlink::open_in(namespace).unwrap();
            let index = netlink.index(name).unwrap();
            netlink.set_up(index, true).unwrap();
        }
    }

    fn ip_in(&self, space: &Namespace, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        let output = space.run(|| Command::new("ip").args(&words).output()).unwrap();
        assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn ip(&self, words: &str) -> String {
        self.ip_in(&self.left, words)
    }

    /// With carrier, as the keeper sees them.
    fn indexes(&mut self) -> BTreeMap<IfName, u32> {
        let links = self.netlink.links().unwrap();
        links.into_iter().filter(|it| it.up && it.carrier).map(|it| (it.name, it.index)).collect()
    }

    fn change(&mut self, updates: impl IntoIterator<Item = RouteUpdate>) {
        let indexes = self.indexes();
        self.routes.change(&mut self.netlink, &indexes, updates).unwrap();
    }

    /// A whole comparison; returns how many requests it made.
    fn compare(&mut self) -> u32 {
        let (indexes, before) = (self.indexes(), self.netlink.requests());
        self.routes.begin_reading(&self.left, &mut self.netlink, &indexes).unwrap();
        while self.routes.read_on(&mut self.netlink, &indexes).unwrap() == Progress::More {}
        self.netlink.requests() - before
    }

    /// The far end of a link goes down or up, and the kernel has drawn the consequence.
    fn set_far(&mut self, link: &str, up: bool) {
        self.ip_in(&self.right, &format!("link set far-{link} {}", if up { "up" } else { "down" }));
        let deadline = Instant::now() + Duration::from_secs(10);
        let settled = |place: &mut Place| {
            let gone = !place.ip("nexthop show").contains(&format!("dev {link}"));
            place.indexes().contains_key(&name(link)) == up && (up || gone)
        };
        while !settled(self) {
            assert!(Instant::now() < deadline, "the carrier of {link} has not changed");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn count(&self) -> usize {
        Netlink::open_in(&self.left).unwrap().routes(85).unwrap().len()
    }

    fn objects(&self) -> usize {
        self.ip("nexthop show").lines().count()
    }
}

/// As BGP unnumbered has them: IPv4 by IPv6 link-local addresses (RFC 8950), and IPv6.
fn route(at: u32, links: &[&str]) -> Route {
    let hop = |link: &&str| NextHop { link: name(link), via: Some("fe80::2".parse().unwrap()) };
    let prefix = match at % 2 {
        0 => Prefix::new(Ipv4Addr::from((20 << 24) + (at << 8)).into(), 24).unwrap(),
        _ => format!("2001:db8:{at:x}::/48").parse().unwrap(),
    };
    Route {
        prefix,
        target: RouteTarget::NextHops { next_hops: links.iter().map(hop).collect() },
        source: prefix.addr().is_ipv4().then(|| "192.0.2.1".parse().unwrap()),
        mtu: None,
        metric: None,
    }
}

fn all(links: &[&str]) -> Vec<RouteUpdate> {
    (0..ROUTES).map(|at| RouteUpdate::Set(route(at, links))).collect()
}

#[test]
fn a_next_hop_that_changes_is_one_message_however_many_routes_there_are() {
    let mut place = Place::new();
    place.routes.forget_stale();
    place.change(all(&["one", "two"]));
    assert_eq!((place.count(), place.objects()), (2000, 3));
    assert!(place.compare() < 20, "nothing was to be changed");
    assert!(place.ip("route get 20.0.0.1").contains("via inet6 fe80::2"));

    // One of two loses its carrier: the kernel goes on with the other at once, and is told once.
    place.set_far("two", false);
    assert!(place.ip("-6 route get 2001:db8:1::1").contains("dev one"));
    let requests = place.compare();
    assert!(requests < 20, "{requests} requests for {ROUTES} routes");
    assert_eq!((place.count(), place.routes.count()), (2000, (2000, 0)));
    // And back.
    place.set_far("two", true);
    let requests = place.compare();
    assert!(requests < 20, "{requests} requests for {ROUTES} routes");
    assert!(place.ip("nexthop show").contains("/"), "{}", place.ip("nexthop show"));

    // The link is made anew, under another number.
    place.ip("link del two");
    place.link("two");
    let requests = place.compare();
    assert!(requests < 20, "{requests} requests for {ROUTES} routes");
    let index = place.indexes()[&name("two")];
    assert!(place.ip("nexthop show").contains("dev two"), "{index}");
    assert_eq!(place.count(), 2000);

    // Where nothing leads any more goes.
    place.change(all(&["one"]));
    assert_eq!((place.count(), place.objects()), (2000, 1));
    place.change((0..ROUTES).map(|at| RouteUpdate::Remove(route(at, &[]).prefix)));
    assert_eq!((place.count(), place.objects()), (0, 0));
}

#[test]
fn what_led_over_a_lost_link_alone_comes_back_with_it() {
    let mut place = Place::new();
    place.routes.forget_stale();
    place.change(all(&["two"]));
    place.change([RouteUpdate::Set(route(0, &["one"]))]);
    place.set_far("two", false);
    assert_eq!(place.count(), 1);
    place.compare();
    assert_eq!((place.count(), place.routes.count()), (1, (2000, 1999)));
    // It is set while the object is not there, and is wanted again by another way meanwhile.
    place.change([RouteUpdate::Set(route(1, &["two"])), RouteUpdate::Set(route(2, &["one", "two"]))]);
    assert_eq!(place.count(), 2);
    place.set_far("two", true);
    place.compare();
    assert_eq!((place.count(), place.routes.count()), (2000, (2000, 0)));
    // By hand.
    place.ip("nexthop flush");
    assert_eq!(place.count(), 0);
    place.compare();
    assert_eq!((place.count(), place.objects()), (2000, 3));
}

#[test]
fn objects_of_an_earlier_life_are_taken_over_or_go() {
    let mut place = Place::new();
    place.change(all(&["one", "two"]));
    place.change((0..10).map(|at| RouteUpdate::Set(route(at, &["two"]))));
    place.change([RouteUpdate::Set(route(10, &["one"]))]);
    // Another's, with the same content and under a number of ours; and the protocol without.
    place.ip("nexthop add id 1426063460 via fe80::2 dev one");
    place.ip("nexthop add id 7 via fe80::2 dev one protocol 85");
    assert_eq!(place.objects(), 5);
    let before = place.ip("route show proto 85");

    place.routes = DynamicRoutes::default();
    place.compare();
    assert_eq!(place.count(), 2000, "nothing goes before BGP has said all");
    let requests = place.netlink.requests();
    place.change((0..100).map(|at| RouteUpdate::Set(route(at, if at < 10 { &["two"] } else { &["one"] }))));
    // One of them asks for the links.
    assert_eq!(place.netlink.requests() - requests, 101, "objects were made that were there");
    assert_eq!(place.count(), 2000);
    assert!(before.contains("nhid") && place.objects() == 5);

    // What nobody wants goes, and what is not ours stays.
    assert!(place.routes.forget_stale());
    place.compare();
    assert_eq!((place.count(), place.routes.count()), (100, (100, 0)));
    let left = place.ip("nexthop show");
    assert_eq!(left.lines().count(), 4, "{left}");
    assert!(!left.contains("group") && left.contains("id 7 ") && left.contains("id 1426063460 "));
}

#[test]
fn a_kernel_without_objects_is_told_of_next_hops_in_routes() {
    let mut place = Place::new();
    place.routes = DynamicRoutes::without_objects();
    place.routes.forget_stale();
    place.change(all(&["one", "two"]));
    assert_eq!((place.count(), place.objects()), (2000, 0));
    place.compare();
    assert_eq!(place.routes.count(), (2000, 0));
    // And where it has them after all (an earlier life's kernel had none): all becomes as it should.
    place.routes = DynamicRoutes::default();
    place.routes.forget_stale();
    place.change(all(&["one", "two"]));
    place.compare();
    assert_eq!((place.count(), place.objects()), (2000, 3));
    let named = |it: &RouteInfo| matches!(it.target, TargetInfo::Object(_));
    assert!(Netlink::open_in(&place.left).unwrap().routes(85).unwrap().iter().all(named));
}

#[test]
fn what_others_do_to_objects_is_heard() {
    let mut place = Place::new();
    let own = place.netlink.port();
    let mut watch = Watch::plane(&place.left).unwrap();
    watch.ignore_routes_of(own).unwrap();
    // Of IPv4 alone: the kernel says nothing of the routes that go with an object.
    place.change([RouteUpdate::Set(route(0, &["one", "two"]))]);
    assert!(!watch.hear(own).dynamic, "our own were told of");
    place.ip("nexthop flush");
    assert!(watch.hear(own).dynamic);
}

/// While a large table is read, which takes seconds, links go and come: routes that BGP sets meanwhile name objects
/// that are there.
#[test]
fn links_that_go_and_come_while_a_table_is_read_are_named_rightly() {
    let mut place = Place::new();
    place.change([RouteUpdate::Set(route(0, &["one", "two"])), RouteUpdate::Set(route(2, &["one"]))]);
    let indexes = place.indexes();
    place.routes.begin_reading(&place.left, &mut place.netlink, &indexes).unwrap();
    for (link, up) in [("one", false), ("two", false), ("one", true), ("two", true)] {
        place.set_far(link, up);
        let indexes = place.indexes();
        place.routes.compare_objects(&mut place.netlink, &indexes).unwrap();
    }
    place.change([RouteUpdate::Set(route(4, &["one", "two"])), RouteUpdate::Set(route(6, &["two"]))]);
    assert_eq!(place.routes.count(), (4, 0));
    let there = place.ip("route show proto 85");
    for prefix in ["20.0.4.0/24", "20.0.6.0/24"] {
        assert!(there.contains(prefix), "{prefix}: {there}");
    }
}
