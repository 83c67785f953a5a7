//! A neighbour that says what no good router says about segments.
//!
//!     stranger -eth1- r1 -eth2- r3        r1 and r3 carry a segment with a gateway, VNI 224
//!     (as r2)
//!
//! It speaks BGP by hand, every wrong thing in an UPDATE of its own, and last of all a good route: when
//! that one has arrived everything before it was looked at.

use super::hosts::{PORT, VXLAN, destinations, flood_list, host};
use super::inside::{established, sessions, start};
use super::plans::{Segment, inside, link_local, loopback_v4, router, segment};
use super::stranger::{self, OPTIONAL, Stranger, TRANSITIVE, WELL_KNOWN, attribute};
use super::world::{Machine, World, wait};
use serde_json::Value;
use std::net::Ipv4Addr;
use tsumugi_core::id::Asn;
use tsumugi_core::wire::bgp::{AfiSafi, Capability, Open};

const RD: [u8; 8] = [0, 1, 43, 228, 174, 137, 0, 224];
const VNI: [u8; 3] = [0, 0, 224];
/// RFC 8365 5.1.2: VXLAN.
const VXLAN_COMMUNITY: [u8; 8] = [3, 0x0c, 0, 0, 0, 0, 0, 8];
/// 63806:224.
const TARGET: [u8; 8] = [0, 2, 0xf9, 0x3e, 0, 0, 0, 224];
/// Of the VTEP of the good routes.
const GOOD: Ipv4Addr = Ipv4Addr::new(43, 228, 174, 137);
const INGRESS_REPLICATION: u8 = 6;

/// Calls r1 as r2 and keeps the session.
fn call(machine: &Machine) -> Stranger {
    let capabilities = [AfiSafi::IPV6_UNICAST, AfiSafi::EVPN].map(Capability::Multiprotocol);
    let open = Open::new(Asn::of_router(2), 90, loopback_v4(2), capabilities.into());
    Stranger::begin(machine.call("eth1", link_local(1)), &open)
}

/// An UPDATE that announces what stands in `field`, with these communities beside target and
/// encapsulation, and these attributes beside the mandatory ones.
fn update(next_hop: Ipv4Addr, field: &[u8], communities: &[[u8; 8]], more: &[u8]) -> Vec<u8> {
    let reach = [&[0, 25, 70, 4][..], &next_hop.octets(), &[0], field].concat();
    let communities = [&[TARGET, VXLAN_COMMUNITY], communities].concat().concat();
    message(&reach, &[&attribute(TRANSITIVE, 16, &communities), more].concat())
}

/// A route of the network's own, 2402:3160:N::/48, in the family beside.
fn ipv6_route(n: u8) -> Vec<u8> {
    let prefix = [48, 0x24, 0x02, 0x31, 0x60, 0, n];
    let reach = [&[0, 2, 1, 16][..], &link_local(2).octets(), &[0], &prefix].concat();
    // Its class, as every router of the inside says it.
    let class = [63806u32, 1, 0].map(u32::to_be_bytes).concat();
    message(&reach, &attribute(TRANSITIVE, 32, &class))
}

/// An UPDATE with the mandatory attributes and these.
fn message(reach: &[u8], more: &[u8]) -> Vec<u8> {
    let asn = Asn::of_router(2).0.to_be_bytes();
    let attributes = [
        attribute(OPTIONAL, 14, reach),
        attribute(WELL_KNOWN, 1, &[0]),
        attribute(WELL_KNOWN, 2, &[&[2, 1][..], &asn].concat()),
        more.to_vec(),
    ]
    .concat();
    stranger::update(&[], &attributes, &[])
}

fn nlri(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, u8::try_from(value.len()).unwrap()], value].concat()
}

/// Type 2 with a MAC length as stated (RFC 7432 7.2).
fn mac_route(mac: [u8; 6], bits: u8) -> Vec<u8> {
    nlri(2, &[&RD[..], &[0; 10], &[0; 4], &[bits], &mac, &[0], &VNI].concat())
}

/// Type 3 (RFC 7432 7.3).
fn flood_route(originator: Ipv4Addr) -> Vec<u8> {
    nlri(3, &[&RD[..], &[0; 4], &[32], &originator.octets()].concat())
}

/// Type 5 of IPv4 (RFC 9136 3.1).
fn prefix_route(bits: u8) -> Vec<u8> {
    nlri(5, &[&RD[..], &[0; 10], &[0; 4], &[bits], &[203, 0, 113, 0], &[0; 4], &VNI].concat())
}

/// The route, and zeros behind it, all said to be one.
fn of_255_bytes(mut route: Vec<u8>) -> Vec<u8> {
    route[1] = 255;
    route.resize(2 + 255, 0);
    route
}

fn pmsi(kind: u8, vtep: Ipv4Addr) -> Vec<u8> {
    attribute(TRANSITIVE, 22, &[&[0, kind][..], &VNI, &vtep.octets()].concat())
}

/// RFC 9135 8.1.
fn router_mac(mac: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac;
    [6, 3, a, b, c, d, e, f]
}

/// What the good VTEP says, in two UPDATEs.
fn good() -> Vec<u8> {
    let flood = update(GOOD, &flood_route(GOOD), &[], &pmsi(INGRESS_REPLICATION, GOOD));
    [flood, update(GOOD, &mac_route([2, 0, 0, 0, 9, 0x0f], 48), &[], &[])].concat()
}

struct Scene {
    a: Machine,
    c: Machine,
    stranger: Machine,
}

fn scene(world: &mut World) -> Scene {
    let [a, c, stranger] = ["r1", "r3", "stranger"].map(|name| world.machine(name));
    world.wire((&a, "eth1"), (&stranger, "eth1"));
    world.wire((&a, "eth2"), (&c, "eth2"));
    host(world, 1, &a);
    host(world, 3, &c);
    stranger.run(
        "ip link set eth1 addrgenmode none && ip address add fe80::2/64 dev eth1 nodad \
         && ip link set eth1 mtu 2400 up",
    );
    for (id, machine, links) in [(1, &a, &[("eth1", 2), ("eth2", 3)][..]), (3, &c, &[("eth2", 1)])] {
        let mut plan = router(id);
        for (link, far) in links {
            inside(&mut plan, link, *far, false);
        }
        segment(&mut plan, &Segment::new(&[PORT]).with_gateway(id), loopback_v4(id).into());
        start(world, machine, plan);
    }
    wait("r1 and r3 flood to each other", &[&a, &c], || {
        flood_list(&a, VXLAN) == [loopback_v4(3).to_string()]
            && flood_list(&c, VXLAN) == [loopback_v4(1).to_string()]
    });
    Scene { a, c, stranger }
}

impl Scene {
    /// The session with the stranger.
    fn session(&self) -> Value {
        sessions(&self.a).into_iter().find(|session| session["name"] == "r2 eth1").unwrap()
    }

    /// Waits until the good routes are in the kernels of r1 and, relayed, of r3.
    fn wait_for_good(&self) {
        for machine in [&self.a, &self.c] {
            wait(&format!("{} has the good routes", machine.name), &[&self.a, &self.c], || {
                flood_list(machine, VXLAN).contains(&GOOD.to_string())
                    && destinations(machine, VXLAN, "02:00:00:00:09:0f") == [GOOD.to_string()]
            });
        }
    }

    /// What the speaker of r1 could not read.
    fn faults(&self) -> Vec<Value> {
        let refused = self.session()["evpn_refused"].as_array().cloned().unwrap_or_default();
        refused.iter().map(|refused| refused["reason"]["fault"].clone()).collect()
    }

    fn segment(&self) -> Value {
        self.a.status()["running"]["segments"].clone()
    }
}

pub fn hostile_evpn_costs_only_itself(world: &mut World) {
    let scene = scene(world);
    let mut stranger = call(&scene.stranger);
    let vtep = |n: u8| Ipv4Addr::new(43, 228, 174, n);
    // One router MAC, two VTEPs; a router MAC that is r1's own; r1's own MAC as a host.
    let (shared, own) = ([2, 0, 0, 0, 0x0a, 1], [2, 0, 0x5e, 0, 1, 1]);
    stranger.say(&update(vtep(141), &mac_route([2, 0, 0, 0, 9, 1], 48), &[router_mac(shared)], &[]));
    stranger.say(&update(vtep(142), &mac_route([2, 0, 0, 0, 9, 2], 48), &[router_mac(shared)], &[]));
    stranger.say(&update(vtep(143), &mac_route([2, 0, 0, 0, 9, 3], 48), &[router_mac(own)], &[]));
    stranger.say(&update(vtep(144), &mac_route(own, 48), &[], &[]));
    // A tunnel of a kind that nobody knows, and none at all.
    stranger.say(&update(vtep(145), &flood_route(vtep(145)), &[], &pmsi(0x5b, vtep(145))));
    stranger.say(&update(vtep(146), &flood_route(vtep(146)), &[], &[]));
    // NLRI that cannot be: MAC lengths, whole lengths, prefix lengths, a type of the future.
    for bits in [0, 47, 49, 255] {
        stranger.say(&update(GOOD, &mac_route([2, 0, 0, 0, 9, 4], bits), &[], &[]));
    }
    let of_all_types = [
        nlri(1, &[0; 25]),
        mac_route([2, 0, 0, 0, 9, 4], 48),
        flood_route(vtep(147)),
        nlri(4, &[&RD[..], &[0; 10], &[32], &vtep(147).octets()].concat()),
        prefix_route(24),
    ];
    for route in of_all_types {
        stranger.say(&update(GOOD, &nlri(route[0], &[]), &[], &[]));
        stranger.say(&update(GOOD, &of_255_bytes(route), &[], &[]));
    }
    for bits in [33, 128] {
        stranger.say(&update(GOOD, &prefix_route(bits), &[], &[]));
    }
    stranger.say(&update(GOOD, &nlri(77, &[1, 2, 3]), &[], &[]));
    // A good route between two bad ones of the same UPDATE is taken.
    let mixed = [nlri(2, &[]), mac_route([2, 0, 0, 0, 9, 5], 48), mac_route([2, 0, 0, 0, 9, 6], 17)].concat();
    stranger.say(&update(GOOD, &mixed, &[], &[]));
    stranger.say(&good());
    scene.wait_for_good();

    // Nobody fell, nobody hung up.
    assert_eq!(established(&scene.a), 2);
    assert_eq!(scene.session()["established_count"], 1);
    // What was wrong is said, each for its reason.
    let faults = scene.faults();
    let mut expected: Vec<Value> =
        [0, 47, 49, 255, 17].map(|bits| serde_json::json!({"fault": "mac-length", "bits": bits})).into();
    for kind in 1..=5 {
        expected.extend(
            [0, 255].map(|length| serde_json::json!({"fault": "length", "kind": kind, "length": length})),
        );
    }
    expected.extend([33, 128].map(|bits| serde_json::json!({"fault": "prefix-length", "bits": bits})));
    expected.push(serde_json::json!({"fault": "unknown-type", "kind": 77}));
    for fault in &expected {
        assert!(faults.contains(fault), "{fault} is not among {faults:?}");
    }
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    let said = scene.segment();
    let refused: Vec<(Value, Value)> = said["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| (refused["next_hop"].clone(), refused["reason"]["because"].clone()))
        .collect();
    for (n, because) in [(144, "our-mac"), (145, "not-ingress-replication"), (146, "no-pmsi")] {
        let wanted = (Value::from(vtep(n).to_string()), Value::from(because));
        assert!(refused.contains(&wanted), "{wanted:?} is not among {refused:?}");
    }
    let conflicts = said["segments"][0]["router_macs_in_conflict"].as_array().unwrap();
    let conflict = |mac: &str, vteps: [Ipv4Addr; 2]| {
        let vteps = vteps.map(|vtep| Value::from(vtep.to_string()));
        assert!(
            conflicts.iter().any(|it| it["mac"] == mac && it["vteps"].as_array().unwrap() == &vteps),
            "{mac} is not among {conflicts:?}"
        );
    };
    conflict("02:00:00:00:0a:01", [vtep(141), vtep(142)]);
    conflict("02:00:5e:00:01:01", [loopback_v4(1), vtep(143)]);
    // What was good in all of it is used, here and behind r1.
    for machine in [&scene.a, &scene.c] {
        let list = flood_list(machine, VXLAN);
        assert!(
            !list.iter().any(|it| *it == vtep(145).to_string() || *it == vtep(146).to_string()),
            "{list:?}"
        );
        for (n, far) in [(1, vtep(141)), (2, vtep(142)), (3, vtep(143)), (5, GOOD)] {
            let mac = format!("02:00:00:00:09:{n:02x}");
            assert_eq!(destinations(machine, VXLAN, &mac), [far.to_string()], "{mac} at {}", machine.name);
        }
    }
    assert!(destinations(&scene.a, VXLAN, "02:00:5e:00:01:01").is_empty());
    // When it goes, exactly what it brought goes.
    drop(stranger);
    wait("r1 and r3 are alone again", &[&scene.a, &scene.c], || {
        flood_list(&scene.a, VXLAN) == [loopback_v4(3).to_string()]
            && flood_list(&scene.c, VXLAN) == [loopback_v4(1).to_string()]
            && !scene.c.run(&format!("bridge fdb show dev {VXLAN}")).contains("02:00:00:00:09:")
    });
}

/// A route of 255 bytes in a field that ends before: what follows could be anything. The session stands
/// and keeps IPv6; EVPN of this session is over (RFC 7606 2, AFI/SAFI disable), and begins anew with the next.
pub fn what_cannot_be_read_ends_evpn_only(world: &mut World) {
    let scene = scene(world);
    let mut stranger = call(&scene.stranger);
    stranger.say(&ipv6_route(0x77));
    stranger.say(&good());
    scene.wait_for_good();
    let short = [&[2, 255][..], &[0; 40]].concat();
    stranger.say(&update(GOOD, &short, &[], &[]));
    wait("what it brought is gone", &[&scene.a, &scene.c], || {
        [&scene.a, &scene.c].iter().all(|machine| !flood_list(machine, VXLAN).contains(&GOOD.to_string()))
    });
    // Later ones of the session count for nothing; the other router's stay.
    stranger.say(&good());
    // Behind it an IPv6 route: when that is there, all before it was read.
    stranger.say(&ipv6_route(0x78));
    wait("its IPv6 routes are kept", &[&scene.a], || {
        let routes = scene.a.run("ip -6 route show");
        [0x77, 0x78].iter().all(|n| routes.contains(&format!("2402:3160:{n:x}::/48")))
    });
    assert!(!flood_list(&scene.a, VXLAN).contains(&GOOD.to_string()));
    let faults = scene.faults();
    assert!(faults.contains(&serde_json::json!({"fault": "unreadable"})), "{faults:?}");
    assert_eq!(scene.session()["established_count"], 1);
    assert!(flood_list(&scene.a, VXLAN).contains(&loopback_v4(3).to_string()));
    drop(stranger);
    wait("the session is over", &[&scene.a], || established(&scene.a) == 1);
    let mut stranger = call(&scene.stranger);
    stranger.say(&good());
    scene.wait_for_good();
    assert!(scene.faults().is_empty(), "{:?}", scene.faults());
}
