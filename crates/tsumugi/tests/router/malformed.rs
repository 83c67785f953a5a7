//! A neighbour at the border that sends every UPDATE that RFC 7606 speaks of, beside one that behaves.
//!
//!     bad (AS150369) -eth1- r1 (AS63806) -eth2- good (AS59105)
//!
//! What is expected is the RFCs' own word, by the section named in each row.

use super::inside::{established, sessions, start};
use super::plans::{originate, provider, router};
use super::stranger::{OPTIONAL, Stranger, TRANSITIVE, WELL_KNOWN, attribute, message, update};
use super::world::{Machine, World, wait};
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::Asn;
use tsumugi_core::wire::bgp::{AfiSafi, Capability, Open};

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");
pub const BAD: u32 = 150_369;
pub const GOOD: u32 = 59_105;
pub const BAD_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub const GOOD_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
const BAD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x900, 1, 0, 0, 0, 1);

const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;
const MED: u8 = 4;
const ATOMIC_AGGREGATE: u8 = 6;
const COMMUNITIES: u8 = 8;
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;
const PMSI: u8 = 22;

type Attribute = (u8, u8, Vec<u8>);

/// An AS_PATH of one number.
pub fn path(asn: u32) -> Vec<u8> {
    [&[2, 1][..], &asn.to_be_bytes()].concat()
}

/// The mandatory attributes of a good IPv4 route.
fn mandatory() -> Vec<Attribute> {
    vec![
        (WELL_KNOWN, ORIGIN, vec![0]),
        (WELL_KNOWN, AS_PATH, path(BAD)),
        (WELL_KNOWN, NEXT_HOP, BAD_V4.octets().into()),
    ]
}

/// A good IPv4 route to a /24.
pub fn route(as_path: &[u8], next_hop: Ipv4Addr, prefix: [u8; 3]) -> Vec<u8> {
    let attributes = [
        attribute(WELL_KNOWN, ORIGIN, &[0]),
        attribute(WELL_KNOWN, AS_PATH, as_path),
        attribute(WELL_KNOWN, NEXT_HOP, &next_hop.octets()),
    ];
    let [a, b, c] = prefix;
    update(&[], &attributes.concat(), &[24, a, b, c])
}

fn bytes(attributes: &[Attribute]) -> Vec<u8> {
    attributes.iter().flat_map(|(flags, code, value)| attribute(*flags, *code, value)).collect()
}

fn with(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    [bytes(&mandatory()), attribute(flags, code, value)].concat()
}

fn without(code: u8) -> Vec<u8> {
    let mut attributes = mandatory();
    attributes.retain(|it| it.1 != code);
    bytes(&attributes)
}

/// A mandatory attribute with other flags or another value.
fn instead(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let change = |it: Attribute| if it.1 == code { (flags, code, value.to_vec()) } else { it };
    bytes(&mandatory().into_iter().map(change).collect::<Vec<_>>())
}

/// Attributes for which the routes count as withdrawn, the code that is to blame, and whose word it is.
fn withdrawing() -> Vec<(&'static str, u8, Vec<u8>)> {
    let own = BAD.to_be_bytes();
    let behind = |more: &[u8]| [&bytes(&mandatory()), more].concat();
    let as_path = |value: &[u8]| instead(WELL_KNOWN, AS_PATH, value);
    let segment = |kind: u8, count: u8| as_path(&[&[kind, count][..], &own].concat());
    let two = [attribute(WELL_KNOWN, ATOMIC_AGGREGATE, &[0]), attribute(OPTIONAL, MED, &[0; 3])].concat();
    vec![
        ("7606 7.1, empty", ORIGIN, instead(WELL_KNOWN, ORIGIN, &[])),
        ("7606 7.1, long", ORIGIN, instead(WELL_KNOWN, ORIGIN, &[0, 0])),
        ("7606 7.1, undefined", ORIGIN, instead(WELL_KNOWN, ORIGIN, &[3])),
        ("7606 3 c, ORIGIN", ORIGIN, instead(OPTIONAL, ORIGIN, &[0])),
        ("7606 3 d, ORIGIN", ORIGIN, without(ORIGIN)),
        ("7606 7.2, unknown segment", AS_PATH, segment(5, 1)),
        ("7606 7.2, no segment type", AS_PATH, segment(0, 1)),
        ("5065 5, confederation", AS_PATH, segment(3, 1)),
        ("7606 7.2, overrun", AS_PATH, segment(2, 2)),
        ("7606 7.2, underrun", AS_PATH, as_path(&[&path(BAD)[..], &[2]].concat())),
        ("7606 7.2, empty segment", AS_PATH, as_path(&[&path(BAD)[..], &[2, 0]].concat())),
        ("7607 2, AS 0", AS_PATH, as_path(&[&path(BAD)[..], &path(0)].concat())),
        ("7606 3 c, AS_PATH", AS_PATH, instead(TRANSITIVE, AS_PATH, &path(BAD))),
        ("7606 3 d, AS_PATH", AS_PATH, without(AS_PATH)),
        ("7606 7.3, short", NEXT_HOP, instead(WELL_KNOWN, NEXT_HOP, &[203, 0, 113])),
        ("7606 7.3, long", NEXT_HOP, instead(WELL_KNOWN, NEXT_HOP, &[203, 0, 113, 1, 0])),
        ("7606 3 c, NEXT_HOP", NEXT_HOP, instead(OPTIONAL, NEXT_HOP, &BAD_V4.octets())),
        ("7606 3 d, NEXT_HOP", NEXT_HOP, without(NEXT_HOP)),
        ("7606 7.4, short", MED, with(OPTIONAL, MED, &[0; 3])),
        ("7606 7.4, empty", MED, with(OPTIONAL, MED, &[])),
        ("7606 3 c, MED", MED, with(TRANSITIVE, MED, &[0; 4])),
        ("7606 3 c, ATOMIC_AGGREGATE", ATOMIC_AGGREGATE, with(OPTIONAL, ATOMIC_AGGREGATE, &[])),
        ("7606 3 c, AGGREGATOR", 7, with(OPTIONAL, 7, &[&own[..], &BAD_V4.octets()].concat())),
        ("7606 7.8, odd", COMMUNITIES, with(TRANSITIVE, COMMUNITIES, &[0; 5])),
        ("7606 7.8, empty", COMMUNITIES, with(TRANSITIVE, COMMUNITIES, &[])),
        ("7606 3 c, COMMUNITIES", COMMUNITIES, with(OPTIONAL, COMMUNITIES, &[0; 4])),
        ("7606 7.14, odd", 16, with(TRANSITIVE, 16, &[0; 7])),
        ("7606 7.14, empty", 16, with(TRANSITIVE, 16, &[])),
        ("8092 6, odd", 32, with(TRANSITIVE, 32, &[0; 11])),
        ("8092 6, empty", 32, with(TRANSITIVE, 32, &[])),
        ("9234 5, short", 35, with(TRANSITIVE, 35, &[0; 3])),
        ("9234 5, long", 35, with(TRANSITIVE, 35, &[0; 8])),
        ("6514 5, short", PMSI, with(TRANSITIVE, PMSI, &[0, 0, 0, 0])),
        ("6514 5, empty", PMSI, with(TRANSITIVE, PMSI, &[])),
        ("6514 5, no endpoint", PMSI, with(TRANSITIVE, PMSI, &[0, 6, 0, 0, 0, 203, 0, 113])),
        ("7606 3 c, PMSI", PMSI, with(OPTIONAL, PMSI, &[0; 5])),
        ("7606 7.15, odd", 25, with(TRANSITIVE, 25, &[0; 21])),
        ("7606 7.15, empty", 25, with(TRANSITIVE, 25, &[])),
        ("7606 7.16, no origin AS", 128, with(TRANSITIVE, 128, &[0, 0, 1])),
        ("7606 7.16, overrun", 128, with(TRANSITIVE, 128, &[0, 0, 1, 0, TRANSITIVE, 8, 9, 0])),
        ("7606 4, overrun", MED, behind(&[OPTIONAL, MED, 200, 0, 0, 0, 0])),
        ("7606 4, half a header", MED, behind(&[OPTIONAL, MED])),
        // The strongest of two counts.
        ("7606 3 h", MED, behind(&two)),
    ]
}

/// Attributes that are dropped, or nothing but unusual, and cost no route.
fn harmless() -> Vec<(&'static str, Option<u8>, Vec<u8>)> {
    let aggregator = |asn: u32| [asn.to_be_bytes(), BAD_V4.octets()].concat();
    let twice = |first: &[u8], second: &[u8]| {
        let [first, second] = [first, second].map(|value| attribute(TRANSITIVE, COMMUNITIES, value));
        [bytes(&mandatory()), first, second].concat()
    };
    let short = [WELL_KNOWN | 0x0f, ORIGIN, 1, 0];
    vec![
        ("7606 7.5", Some(5), with(WELL_KNOWN, 5, &[0, 0, 0, 100])),
        ("7606 7.5, short", Some(5), with(WELL_KNOWN, 5, &[0; 3])),
        ("7606 7.5, flags", Some(5), with(TRANSITIVE, 5, &[0; 4])),
        ("7606 7.6", Some(ATOMIC_AGGREGATE), with(WELL_KNOWN, ATOMIC_AGGREGATE, &[0])),
        ("7606 7.7, of two octets", Some(7), with(TRANSITIVE, 7, &[0, 1, 203, 0, 113, 1])),
        ("7606 7.7, long", Some(7), with(TRANSITIVE, 7, &[0; 9])),
        ("7607 2, AGGREGATOR", Some(7), with(TRANSITIVE, 7, &aggregator(0))),
        ("7606 7.9", Some(9), with(OPTIONAL, 9, &BAD_V4.octets())),
        ("7606 7.9, short", Some(9), with(OPTIONAL, 9, &[0; 3])),
        ("7606 7.10", Some(10), with(OPTIONAL, 10, &BAD_V4.octets())),
        ("7606 7.10, odd", Some(10), with(OPTIONAL, 10, &[0; 5])),
        ("6793 6, AS4_PATH", Some(17), with(TRANSITIVE, 17, &path(64_999))),
        ("6793 6, AS4_PATH malformed", Some(17), with(TRANSITIVE, 17, &[9])),
        ("6793 6, AS4_AGGREGATOR", Some(18), with(TRANSITIVE, 18, &aggregator(BAD))),
        ("7606 3 g, ORIGIN", Some(ORIGIN), with(WELL_KNOWN, ORIGIN, &[2])),
        ("7606 3 g, malformed", Some(COMMUNITIES), twice(&[0, 1, 0, 1], &[0; 3])),
        ("4271 5, unknown transitive", None, with(TRANSITIVE, 99, &[1, 2, 3])),
        // Nobody here reads them; RFC 5543 does not say what would be malformed.
        ("7606 7.13, Traffic Engineering", None, with(OPTIONAL, 24, &[1])),
        ("7606 7.15", None, with(TRANSITIVE, 25, &[0; 40])),
        (
            "7606 7.16",
            None,
            with(TRANSITIVE, 128, &[&[0, 0, 1, 0][..], &attribute(WELL_KNOWN, 1, &[0])].concat()),
        ),
        ("4271 9, unknown", None, with(OPTIONAL, 99, &[1, 2, 3])),
        // Neither Partial nor the unused bits are in RFC 7606 3 c.
        ("7606 3 c, Partial", None, instead(WELL_KNOWN | 0x20, ORIGIN, &[0])),
        ("4271 4.3, unused bits", None, [&short[..], &without(ORIGIN)].concat()),
    ]
}

/// What ends the session, and the code and subcode of its NOTIFICATION, 0 where the RFC leaves it open.
fn ending() -> Vec<(&'static str, Vec<u8>, (u8, u8))> {
    let good = bytes(&mandatory());
    let raw = |body: &[u8]| message(2, body);
    let mut marker = update(&[], &good, &[24, 8, 8, 8]);
    marker[3] = 0;
    let unknown = with(WELL_KNOWN, 99, &[1]);
    vec![
        ("4271 6.1, marker", marker, (1, 1)),
        ("4271 6.1, length", raw(&[0, 0, 0]), (1, 2)),
        ("4271 6.1, type", message(9, &[]), (1, 3)),
        ("4271 6.3, withdrawn length", raw(&[0, 200, 0, 0]), (3, 1)),
        ("4271 6.3, attributes' length", raw(&[0, 0, 0, 200, 0]), (3, 1)),
        ("4271 6.3, unknown well-known", update(&[], &unknown, &[24, 8, 8, 8]), (3, 2)),
        ("7606 5.3, 33 bits", update(&[], &good, &[33, 8, 8, 8, 8, 0]), (3, 10)),
        ("7606 5.3, overrun", update(&[], &good, &[24, 8, 8]), (3, 10)),
        ("7606 3 i, 33 bits", update(&[33, 8, 8, 8, 8, 0], &[], &[]), (3, 10)),
        ("7606 3 i, overrun", update(&[24, 8], &[], &[]), (3, 10)),
        ("7606 5.2", update(&[], &instead(WELL_KNOWN, ORIGIN, &[9]), &[]), (3, 0)),
        ("7606 5.2, overrun", update(&[], &[OPTIONAL, MED, 200, 0], &[]), (3, 0)),
    ]
}

/// MP_REACH_NLRI with a next hop of `length` octets.
fn reach(length: u8, nlri: &[u8]) -> Vec<u8> {
    let next_hop = [BAD_V6.octets(), [0; 16]].concat();
    [&[0, 2, 1, length], &next_hop[..length.into()], &[0], nlri].concat()
}

fn ipv6(mp: &[u8]) -> Vec<u8> {
    update(&[], &[mp, &without(NEXT_HOP)].concat(), &[])
}

/// 2620:fe:n::/48.
fn ipv6_nlri(n: u8) -> [u8; 7] {
    [48, 0x26, 0x20, 0, 0xfe, 0, n]
}

fn ipv6_route(n: u8) -> Vec<u8> {
    ipv6(&attribute(OPTIONAL, MP_REACH, &reach(16, &ipv6_nlri(n))))
}

fn ending_ipv6() -> Vec<(&'static str, Vec<u8>, (u8, u8))> {
    let of = |value: &[u8]| attribute(OPTIONAL, MP_REACH, value);
    let un = |value: &[u8]| attribute(OPTIONAL, MP_UNREACH, value);
    let good = of(&reach(16, &ipv6_nlri(1)));
    let gone = un(&[&[0, 2, 1][..], &ipv6_nlri(1)].concat());
    let alone = |attributes: &[u8]| update(&[], attributes, &[]);
    let long = [&[129][..], &[0x26; 17]].concat();
    vec![
        ("7606 3 g, MP_REACH", ipv6(&[&good[..], &good].concat()), (3, 1)),
        ("7606 3 g, MP_UNREACH", alone(&[&gone[..], &gone].concat()), (3, 1)),
        ("7606 7.11, no next hop", ipv6(&of(&reach(0, &ipv6_nlri(1)))), (3, 9)),
        ("7606 7.11, of 5 octets", ipv6(&of(&reach(5, &ipv6_nlri(1)))), (3, 9)),
        ("7606 7.11, of IPv4", ipv6(&of(&reach(4, &ipv6_nlri(1)))), (3, 9)),
        ("7606 5.3, 129 bits", ipv6(&of(&reach(16, &long))), (3, 9)),
        ("7606 5.3, overrun", ipv6(&of(&reach(16, &ipv6_nlri(1)[..5]))), (3, 9)),
        ("7606 5.3, too short", ipv6(&of(&[0, 2])), (3, 9)),
        ("7606 5.3, next hop overruns", ipv6(&of(&[0, 2, 1, 16, 0])), (3, 9)),
        ("7606 7.12, too short", alone(&un(&[0, 2])), (3, 9)),
        ("7606 7.12, 129 bits", alone(&un(&[&[0, 2, 1][..], &long].concat())), (3, 9)),
        ("7606 7.12, overrun", alone(&un(&[0, 2, 1, 48, 0x26])), (3, 9)),
    ]
}

pub struct Scene {
    pub r1: Machine,
    pub bad: Machine,
    /// Says one route and nothing more.
    pub good: Stranger,
}

pub fn open(asn: u32, id: Ipv4Addr, family: AfiSafi) -> Open {
    Open::new(Asn(asn), 90, id, vec![Capability::Multiprotocol(family), Capability::RouteRefresh])
}

pub fn scene(world: &mut World) -> Scene {
    let [r1, bad, good] = ["r1", "bad", "good"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&bad, "eth1"));
    world.wire((&r1, "eth2"), (&good, "eth1"));
    bad.run("ip address add 203.0.113.1/30 dev eth1 && ip address add 2001:db8:900:1::1/64 dev eth1 nodad");
    bad.run("ip link set eth1 up");
    good.run("ip address add 203.0.113.5/30 dev eth1 && ip link set eth1 up");
    let mut plan = router(1);
    let bad_ends = [("203.0.113.2/30", "203.0.113.1"), ("2001:db8:900:1::2/64", "2001:db8:900:1::1")];
    provider(&mut plan, "eth1", BAD, &bad_ends);
    provider(&mut plan, "eth2", GOOD, &[("203.0.113.6/30", "203.0.113.5")]);
    originate(&mut plan, &[]);
    let neighbours = &mut plan.speaker.as_mut().unwrap().neighbours;
    for (neighbour, name) in neighbours.iter_mut().zip(["bad v4", "bad v6", "good"]) {
        neighbour.name = name.into();
    }
    start(world, &r1, plan);
    wait("r1 listens", &[&r1], || sessions(&r1).iter().all(|it| it["last_end"]["end"] == "connect-failed"));
    let stream = good.dial("203.0.113.6:179".parse().unwrap());
    let mut good = Stranger::begin(stream, &open(GOOD, GOOD_V4, AfiSafi::IPV4_UNICAST));
    good.say(&route(&path(GOOD), GOOD_V4, [9, 9, 9]));
    Scene { r1, bad, good }
}

impl Scene {
    pub fn session(&self, name: &str) -> Value {
        sessions(&self.r1).into_iter().find(|session| session["name"] == name).unwrap()
    }

    pub fn call(&self, v6: bool) -> Stranger {
        let (to, family) = if v6 {
            ("[2001:db8:900:1::2]:179", AfiSafi::IPV6_UNICAST)
        } else {
            ("203.0.113.2:179", AfiSafi::IPV4_UNICAST)
        };
        Stranger::begin(self.bad.dial(to.parse().unwrap()), &open(BAD, BAD_V4, family))
    }

    fn routes(&self) -> String {
        self.r1.run("ip route show; ip -6 route show")
    }

    pub fn wait_for(&self, prefix: &str) {
        wait(prefix, &[&self.r1], || self.routes().contains(prefix));
    }

    /// What `show rejected` says of a neighbour.
    fn rejected(&self, neighbour: &str) -> String {
        let state = self.r1.state.display();
        self.r1.run(&format!("{TSUMUGI} --lang en show --state {state} rejected '{neighbour}'"))
    }

    pub fn good_stands(&self) {
        let session = self.session("good");
        assert_eq!((&session["state"], &session["established_count"]), (&"established".into(), &1.into()));
        assert!(!self.good.is_closed() && self.routes().contains("9.9.9.0/24"));
    }

    /// Every row ends a session of its own, with the NOTIFICATION that is asked for.
    fn ends(&self, v6: bool, rows: Vec<(&'static str, Vec<u8>, (u8, u8))>) {
        let (name, route, prefix) = if v6 {
            ("bad v6", ipv6_route(0x77), "2620:fe:77::/48")
        } else {
            ("bad v4", update(&[], &bytes(&mandatory()), &[24, 8, 7, 7]), "8.7.7.0/24")
        };
        for (row, bad, (code, subcode)) in rows {
            let mut stranger = self.call(v6);
            stranger.say(&route);
            self.wait_for(prefix);
            stranger.say(&bad);
            let (said, sub, data) =
                stranger.notification().unwrap_or_else(|| panic!("{row}: no NOTIFICATION"));
            assert_eq!(said, code, "{row}");
            assert!(subcode == 0 || sub == subcode, "{row}: {sub}");
            if (code, subcode) == (3, 2) {
                // RFC 4271 6.3: the data is the attribute.
                assert_eq!(data, attribute(WELL_KNOWN, 99, &[1]), "{row}");
            }
            wait(&format!("{row}: its routes are gone"), &[&self.r1], || !self.routes().contains(prefix));
            let end = &self.session(name)["last_end"]["notification"];
            assert_eq!((&end["code"], &end["subcode"]), (&code.into(), &sub.into()), "{row}: {end}");
            self.good_stands();
        }
    }
}

/// Each row's error is counted under its kind, and the words say so in both languages. A few kinds are
/// named here with the number of rows that are of them.
fn counted_by_kind(scene: &Scene, session: &Value) {
    let counts = session["attribute_errors"].as_array().unwrap();
    let count = |code: u8, fault: &str, approach: &str| {
        let kind = |it: &&Value| it["code"] == code && it["fault"] == fault && it["approach"] == approach;
        counts.iter().find(kind).map_or(0, |it| it["count"].as_u64().unwrap())
    };
    assert_eq!(count(ORIGIN, "length", "treat-as-withdraw"), 2, "{counts:?}");
    assert_eq!(count(ORIGIN, "value", "treat-as-withdraw"), 1, "{counts:?}");
    assert_eq!(count(ORIGIN, "missing", "treat-as-withdraw"), 1, "{counts:?}");
    assert_eq!(count(ORIGIN, "repeated", "attribute-discard"), 1, "{counts:?}");
    assert_eq!(count(5, "not-between-ases", "attribute-discard"), 3, "{counts:?}");
    assert_eq!(count(MED, "overrun", "treat-as-withdraw"), 2, "{counts:?}");
    let none = |it: Value| it["attribute_errors"].as_array().unwrap().is_empty();
    assert!(none(scene.session("good")) && none(scene.session("bad v6")));
    let state = scene.r1.state.display();
    for (lang, words) in [
        ("en", "bad v4  3: attribute 5 has no place between autonomous systems: the attribute is dropped"),
        ("ja", "bad v4  3: 属性5はAS間で使うものではありません。属性を捨てました"),
    ] {
        for verb in [format!("status --state {state}"), format!("show --state {state} bgp")] {
            // Status fails, as neither of the other two processes runs here.
            let said = scene.r1.run(&format!("{TSUMUGI} --lang {lang} {verb} || true"));
            assert!(said.contains(words), "{verb}: {said}");
        }
    }
}

pub fn hostile_updates_cost_only_their_routes(world: &mut World) {
    let scene = scene(world);
    scene.wait_for("9.9.9.0/24");
    let mut stranger = scene.call(false);
    let good = bytes(&mandatory());
    let numbered = |n: usize| u8::try_from(n).unwrap();
    let (withdrawing, harmless) = (withdrawing(), harmless());
    // All that will be withdrawn is there before.
    for n in 0..withdrawing.len() {
        stranger.say(&update(&[], &good, &[24, 8, 1, numbered(n)]));
    }
    for n in 0..withdrawing.len() {
        scene.wait_for(&format!("8.1.{n}.0/24"));
    }
    for (n, (_, _, attributes)) in withdrawing.iter().enumerate() {
        stranger.say(&update(&[], attributes, &[24, 8, 1, numbered(n)]));
        stranger.say(&update(&[], &good, &[24, 8, 2, numbered(n)]));
    }
    for (n, (_, _, attributes)) in harmless.iter().enumerate() {
        stranger.say(&update(&[], attributes, &[24, 8, 3, numbered(n)]));
    }
    // RFC 4271 6.3, semantics: the route is not used, by its next hop; nothing else follows.
    let ours = instead(WELL_KNOWN, NEXT_HOP, &[203, 0, 113, 2]);
    stranger.say(&update(&[], &ours, &[24, 8, 4, 0]));
    stranger.say(&update(&[], &good, &[24, 8, 5, 0]));
    scene.wait_for("8.5.0.0/24");
    let (routes, rejected, log) = (scene.routes(), scene.rejected("bad v4"), scene.r1.log());
    let said = |code: u8| log.contains(&format!("attribute {code} "));
    for (n, (row, code, _)) in withdrawing.iter().enumerate() {
        let prefix = format!("8.1.{n}.0/24");
        wait(&format!("{row}: withdrawn"), &[&scene.r1], || !scene.routes().contains(&prefix));
        assert!(routes.contains(&format!("8.2.{n}.0/24")), "{row}: the next good one");
        let line = rejected.lines().find(|line| line.contains(&prefix)).unwrap_or_default();
        assert!(line.contains("RFC 7606"), "{row}: {rejected}");
        assert!(said(*code), "{row}: {log}");
    }
    for (n, (row, code, _)) in harmless.iter().enumerate() {
        assert!(routes.contains(&format!("8.3.{n}.0/24")), "{row}: {rejected}");
        assert!(code.is_none_or(said), "{row}: {log}");
    }
    assert!(!routes.contains("8.4.0.0/24") && rejected.contains("8.4.0.0/24"), "{rejected}");
    let session = scene.session("bad v4");
    assert_eq!(session["established_count"], 1, "{session}");
    counted_by_kind(&scene, &session);
    // Refused once each, and the one with our own next hop.
    assert_eq!(session["refused_count"], withdrawing.len() + 1, "{session}");
    drop(stranger);
    wait("the session is over", &[&scene.r1], || established(&scene.r1) == 1);
    scene.ends(false, ending());

    // The same beside MP_REACH_NLRI (RFC 7606 3 c, 3 d), and a family that nobody agreed on.
    let mut stranger = scene.call(true);
    let reach = |flags: u8, n: u8| attribute(flags, MP_REACH, &reach(16, &ipv6_nlri(n)));
    for n in 1..=3 {
        stranger.say(&ipv6_route(n));
        scene.wait_for(&format!("2620:fe:{n}::/48"));
    }
    stranger.say(&ipv6(&reach(TRANSITIVE, 1)));
    stranger.say(&update(&[], &[reach(OPTIONAL, 2), attribute(WELL_KNOWN, ORIGIN, &[0])].concat(), &[]));
    stranger.say(&ipv6(&attribute(OPTIONAL, MP_REACH, &[0, 99, 1, 3, 1, 2, 3, 0, 255])));
    stranger.say(&ipv6_route(4));
    scene.wait_for("2620:fe:4::/48");
    wait("both are withdrawn", &[&scene.r1], || {
        let routes = scene.routes();
        ["2620:fe:1::/48", "2620:fe:2::/48"].iter().all(|prefix| !routes.contains(prefix))
    });
    assert!(scene.routes().contains("2620:fe:3::/48"));
    assert_eq!(scene.session("bad v6")["established_count"], 1);
    drop(stranger);
    wait("the session is over", &[&scene.r1], || established(&scene.r1) == 1);
    scene.ends(true, ending_ipv6());
    scene.good_stands();
}
