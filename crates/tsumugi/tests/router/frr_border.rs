//! The border by FRR and the border by our own speaker, side by side: strangers tell both the same, and
//! hear the same of both.
//!
//!     provider  peer  customer  other (a provider)  exchange (a route server)
//!        eth1 \  eth2 \  eth3 |   eth4 /   eth5 /
//!                r1 (AS63806), once by each engine

use super::inside::{established, sessions, start};
use super::others::{Kind, Network};
use super::outsiders;
use super::plans::prefix;
use super::stranger::Stranger;
use super::world::{Machine, World, wait};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::bgp::config::{OutsidePolicy, PrefixRange, Relation, Role};
use tsumugi_core::bgp::policy::request::CODES;
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::router_plan::{RouterPlan, Routing};
use tsumugi_core::wire::bgp::{
    AfiSafi, AsPath, Attributes, Capability, Community, ExtendedCommunity, LargeCommunity, MpNextHop,
    MpReach, Open, Segment, Update,
};

const US: u32 = 63_806;
const PROVIDER: u32 = 150_369;
const PEER: u32 = 59_105;
const CUSTOMER: u32 = 38_632;
const OTHER: u32 = 3_257;
const EXCHANGE: u32 = 47_065;
const STRANGERS: [(u32, Role); 5] = [
    (PROVIDER, Role::Provider),
    (PEER, Role::Peer),
    (CUSTOMER, Role::Customer),
    (OTHER, Role::Provider),
    (EXCHANGE, Role::RouteServer),
];
/// What each says last, in both families: when all have heard of it everything before it was looked at.
const LAST: [&str; 2] = ["45.0.255.0/24", "2a00:45:ff::/48"];

fn networks() -> Vec<Network> {
    let network = |(number, (asn, role)): (u8, (u32, Role))| Network {
        kind: Kind::Bird,
        asn,
        role,
        number,
        announces: Vec::new(),
        password: None,
        graceful: false,
        tells: None,
        add_paths: false,
    };
    (1..).zip(STRANGERS).map(network).collect()
}

fn plan(routing: Routing) -> RouterPlan {
    let mut plan = outsiders::plan(&networks());
    plan.routing = routing;
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        let Relation::Outside(policy) = &mut neighbour.relation else { continue };
        neighbour.name = format!("{}/{:?}", neighbour.remote_asn, neighbour.families[0]);
        match neighbour.remote_asn.0 {
            PEER => {
                policy.never_via = vec![Asn(174)];
                policy.withhold = vec![prefix("45.0.103.0/24")];
            }
            CUSTOMER => {
                let ranges = ["45.0.0.0/16<=24", "43.228.174.64/28<=32", "2a00:45::/32<=48"];
                policy.listed = Some(ranges.map(|text| text.parse::<PrefixRange>().unwrap()).into());
                policy.allowed_private_asns = vec![Asn(64_512)];
            }
            OTHER => narrow(policy),
            _ => {}
        }
    }
    plan
}

/// All that a file may say of a neighbour beside its role.
fn narrow(policy: &mut OutsidePolicy) {
    policy.origins = vec![Asn(3_356), Asn(15_169)];
    policy.extra_prepends = 2;
    policy.announce = Some(["43.228.174.0/24", "45.0.0.0/16", "2a00:45::/32"].map(prefix).into());
    policy.withhold = vec![prefix("45.0.104.0/24")];
    let ranges = ["1.0.0.0/8>=23<=24", "2a00::/12<=48"];
    policy.listed = Some(ranges.map(|text| text.parse::<PrefixRange>().unwrap()).into());
}

/// One engine's router with everybody around it.
struct Border {
    r1: Machine,
    /// By IPv4 and by IPv6.
    strangers: Vec<[Stranger; 2]>,
}

impl Border {
    fn new(world: &mut World, name: &str, routing: Routing) -> Border {
        let r1 = world.machine(name);
        let mut machines = Vec::new();
        for (place, network) in networks().iter().enumerate() {
            let machine = world.machine(&format!("{name}-{}", network.number));
            world.wire((&r1, &format!("eth{}", place + 1)), (&machine, "eth1"));
            let n = network.number;
            machine.run(&format!(
                "ip address add 203.0.113.{}/30 dev eth1; ip address add 2001:db8:900:{n}::1/64 dev eth1 nodad",
                4 * n + 1
            ));
            machine.run("ip link set eth1 up");
            machines.push(machine);
        }
        start(world, &r1, plan(routing));
        // FRR takes seconds to read a border's policy, and hears nobody whom it has not called yet.
        wait("it runs", &[&r1], || {
            routing == Routing::Embedded || !r1.status()["running"]["frr"]["version"].is_null()
        });
        wait("it has called", &[&r1], || {
            let sessions = sessions(&r1);
            sessions.len() == 2 * STRANGERS.len() && sessions.iter().all(|it| it["state"] != "await-start")
        });
        let strangers =
            (1..).zip(&machines).map(|(n, machine)| [0, 1].map(|family| begin(n, family, machine)));
        let mut strangers: Vec<[Stranger; 2]> = strangers.collect();
        wait("every session stands", &[&r1], || {
            for ((n, machine), sessions) in (1..).zip(&machines).zip(&mut strangers) {
                for (family, stranger) in sessions.iter_mut().enumerate().filter(|(_, it)| it.is_closed()) {
                    *stranger = begin(n, family, machine);
                }
            }
            established(&r1) == 2 * STRANGERS.len()
        });
        Border { r1, strangers }
    }

    fn say(&mut self, who: usize, prefix: &str, path: &[u32], change: impl FnOnce(&mut Attributes)) {
        self.say_by(who, prefix, None, |attributes, own| {
            attributes.as_path = AsPath::sequence(own.chain(path.iter().copied()).map(Asn));
            change(attributes);
        });
    }

    /// With a next hop other than the stranger's own.
    fn say_by(
        &mut self,
        who: usize,
        text: &str,
        next_hop: Option<IpAddr>,
        change: impl FnOnce(&mut Attributes, std::iter::Once<u32>),
    ) {
        let said = prefix(text);
        let mut attributes = Attributes::default();
        change(&mut attributes, std::iter::once(STRANGERS[who].0));
        let (v4, v6) = own(who as u8 + 1);
        let mut update = Update { attributes: Some(attributes), ..Update::default() };
        match (said, next_hop) {
            (Prefix::V4(_), next_hop) => {
                update.next_hop = Some(next_hop.map_or(v4, |it| it.to_string().parse().unwrap()));
                update.announced = vec![said.into()];
            }
            (Prefix::V6(_), next_hop) => {
                let next_hop = next_hop.map_or(v6, |it| it.to_string().parse().unwrap());
                update.mp_reach = Some(MpReach {
                    family: AfiSafi::IPV6_UNICAST,
                    next_hop: MpNextHop::V6(next_hop),
                    prefixes: vec![said.into()],
                    evpn: Vec::new(),
                });
            }
        }
        let mut bytes = Vec::new();
        update.emit(true, &mut bytes);
        self.strangers[who][usize::from(said.addr().is_ipv6())].say(&bytes);
    }

    /// What everybody has heard, in words, without what FRR says of own routes only (a MED).
    fn heard(&self) -> BTreeMap<(u32, String), String> {
        let mut all = BTreeMap::new();
        for ((asn, _), sessions) in STRANGERS.iter().zip(&self.strangers) {
            for (prefix, attributes) in sessions.iter().flat_map(Stranger::table) {
                let sorted = |mut numbers: Vec<String>| {
                    numbers.sort_unstable();
                    numbers.join(" ")
                };
                let communities = attributes.communities.iter().map(|it| format!("{:x}", it.0));
                let large = attributes.large_communities.iter().map(|it| format!("{it:?}"));
                let extended = attributes.extended_communities.iter().map(|it| format!("{:x?}", it.0));
                let words = format!(
                    "{} [{}] {:?}",
                    attributes.as_path,
                    sorted(communities.chain(large).chain(extended).collect()),
                    attributes.only_to_customer
                );
                all.insert((*asn, prefix.to_string()), words);
            }
        }
        all
    }

    /// Where the kernel sends packets of each prefix.
    fn kernel(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for family in ["-4", "-6"] {
            let said: Value =
                serde_json::from_str(&self.r1.run(&format!("ip {family} -j route show"))).unwrap();
            for route in said.as_array().unwrap() {
                let way = route["type"].as_str().or(route["dev"].as_str()).unwrap_or("several");
                all.insert(route["dst"].as_str().unwrap().to_owned(), way.to_owned());
            }
        }
        // Where FRR sends what is to be dropped.
        all.retain(|prefix, _| !["192.0.2.1", "100::1"].contains(&prefix.as_str()));
        all
    }
}

fn own(number: u8) -> (Ipv4Addr, std::net::Ipv6Addr) {
    let v6 = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x900, number.into(), 0, 0, 0, 1);
    (Ipv4Addr::new(203, 0, 113, 4 * number + 1), v6)
}

/// Calls the router by one family.
fn begin(number: u8, family: usize, machine: &Machine) -> Stranger {
    let (asn, _) = STRANGERS[usize::from(number) - 1];
    let ours = [format!("203.0.113.{}:179", 4 * number + 2), format!("[2001:db8:900:{number}::2]:179")];
    let families = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST];
    let open = Open::new(Asn(asn), 90, own(number).0, vec![Capability::Multiprotocol(families[family])]);
    Stranger::begin(machine.dial(ours[family].parse().unwrap()), &open)
}

type Change = fn(&mut Attributes);

fn community(attributes: &mut Attributes, community: Community) {
    attributes.communities = [community].into();
}

fn large(attributes: &mut Attributes, of_ours: &[(u32, u32)]) {
    attributes.large_communities = of_ours.iter().map(|(a, b)| LargeCommunity::new(US, *a, *b)).collect();
}

/// What anybody may say beside a route: the path behind it, and all else.
const SAID: [(&[u32], Change); 21] = [
    (&[15_169], |_| {}),
    (&[3_356], |it| it.only_to_customer = Some(Asn(174))),
    (&[3_356, 15_169], |it| it.only_to_customer = it.as_path.first()),
    (&[15_169], |it| large(it, &[(1, 0)])),
    (&[15_169], |it| large(it, &[(1, 1), (2, 0), (2, 1), (3, 1)])),
    (&[15_169], |it| large(it, &[(10, 59_105), (24, 1), (99, 7)])),
    (&[15_169], |it| community(it, Community::NO_EXPORT)),
    (&[15_169], |it| community(it, Community::NO_ADVERTISE)),
    (&[15_169], |it| community(it, Community::NO_EXPORT_SUBCONFED)),
    (&[15_169], |it| community(it, Community::BLACKHOLE)),
    (&[15_169], |it| community(it, Community::GRACEFUL_SHUTDOWN)),
    (&[US, 15_169], |_| {}),
    (&[64_512], |_| {}),
    (&[64_513, 15_169], |_| {}),
    (&[4_200_000_003], |_| {}),
    (&[23_456, 15_169], |_| {}),
    (&[174, 15_169], |_| {}),
    (&[15_169, 2_914], |_| {}),
    (&[15_169], |it| {
        let set = Segment::Set([Asn(64_999), Asn(2_914)].into());
        it.as_path = AsPath::from_segments(it.as_path.segments().iter().cloned().chain([set]));
    }),
    (&[15_169], |it| {
        it.extended_communities =
            [[0x40, 4, 0, 0, 0, 0, 0, 1], [0, 2, 0, 1, 0, 0, 0, 1]].map(ExtendedCommunity).into()
    }),
    (&[15_169], |it| {
        it.med = Some(7);
        it.communities = [Community(0x0d1c_0001)].into();
        it.large_communities = [LargeCommunity::new(3_356, 1, 2)].into();
    }),
];

/// What nobody takes of anybody, and what a customer alone may say.
const NEVER: [&str; 12] = [
    "0.0.0.0/0",
    "128.0.0.0/1",
    "10.1.0.0/16",
    "43.228.174.0/24",
    "43.228.174.0/25",
    "198.51.100.7/32",
    "9.9.9.7/32",
    "::/0",
    "2000::/4",
    "2001:db8:7::/48",
    "2402:3160:7::/48",
    "2a00:99::/56",
];

fn anybody(border: &mut Border) {
    for (who, (_, role)) in STRANGERS.into_iter().enumerate() {
        for (number, (path, change)) in SAID.iter().enumerate() {
            let text = match role {
                Role::Customer => format!("45.0.{number}.0/24"),
                _ => format!("1.{number}.{who}.0/24"),
            };
            border.say(who, &text, path, change);
        }
        for prefix in NEVER {
            border.say(who, prefix, &[15_169], |_| {});
        }
        let second = if role == Role::Customer { 45 } else { who + 1 };
        border.say(who, &format!("2a00:{second}:1::/48"), &[15_169], |_| {});
        border
            .say(who, &format!("2a00:{second}:2::/48"), &[15_169], |it| community(it, Community::BLACKHOLE));
        let by = |it: &mut Attributes, own: std::iter::Once<u32>| {
            it.as_path = AsPath::sequence(own.chain([15_169]).map(Asn));
        };
        // Over another network, over us, by nobody, by another than itself.
        let (elsewhere, _) = self::own((who as u8 + 1) % 5 + 1);
        let text = if role == Role::Customer { "45.0.106.0/24" } else { "1.100.0.0/24" };
        border.say_by(who, text, Some(elsewhere.into()), by);
        let us = IpAddr::from([203, 0, 113, 4 * (who as u8 + 1) + 2]);
        border.say_by(who, "1.101.0.0/24", Some(us), by);
        border.say_by(who, &format!("2a00:{second}:3::/48"), Some("2620:fe::1".parse().unwrap()), by);
        border.say_by(who, "1.102.0.0/24", None, |_, _| {});
        border.say_by(who, &format!("1.103.{who}.0/24"), None, |it, _| {
            it.as_path = AsPath::sequence([7_018, 15_169].map(Asn));
        });
    }
}

fn customer(border: &mut Border) {
    let who = 2;
    let blackhole = |it: &mut Attributes| community(it, Community::BLACKHOLE);
    for (text, drop) in [
        ("43.228.174.64/28", false),
        ("43.228.174.66/32", false),
        ("43.228.174.65/32", true),
        ("45.0.200.7/32", true),
        ("45.0.201.0/24", true),
        ("45.0.202.0/25", false),
        ("46.0.4.0/24", false),
        ("46.0.4.7/32", true),
        ("2a00:45:5::1/128", true),
        ("2a00:45:6::/56", false),
        ("2a00:46::/48", false),
    ] {
        border.say(who, text, &[], |it| {
            if drop {
                blackhole(it)
            }
        });
    }
    let mut number = 50;
    for (code, ..) in CODES {
        let targets = if code < 20 { [0, PROVIDER, PEER, 7] } else { [0, 1, 2, 3] };
        for target in targets {
            border.say(who, &format!("45.0.{number}.0/24"), &[], |it| large(it, &[(code, target)]));
            number += 1;
        }
    }
    for asked in
        [&[(14, PROVIDER), (24, 2)][..], &[(14, PEER), (20, 2)], &[(21, 0), (13, PROVIDER)], &[(15, PEER)]]
    {
        border.say(who, &format!("45.0.{number}.0/24"), &[], |it| large(it, asked));
        number += 1;
    }
    for (text, path) in
        [("45.0.103.0/24", &[][..]), ("45.0.104.0/24", &[]), ("45.0.105.0/24", &[64_512, 64_512])]
    {
        border.say(who, text, path, |_| {});
    }
    for last in LAST {
        border.say(who, last, &[], |_| {});
    }
}

pub fn both_engines_tell_strangers_the_same(world: &mut World) {
    let mut ours = Border::new(world, "ours", Routing::Embedded);
    let mut frrs = Border::new(world, "frrs", Routing::Frr);
    for border in [&mut ours, &mut frrs] {
        anybody(border);
        customer(border);
    }
    for border in [&ours, &frrs] {
        wait("everybody has heard the last", &[&border.r1], || {
            let heard = border.heard();
            STRANGERS.iter().all(|(asn, _)| {
                *asn == CUSTOMER || LAST.iter().all(|last| heard.contains_key(&(*asn, (*last).to_owned())))
            })
        });
    }
    let mut same = false;
    let start = std::time::Instant::now();
    while !same && start.elapsed() < std::time::Duration::from_secs(5) {
        same = ours.heard() == frrs.heard() && ours.kernel() == frrs.kernel();
    }
    differ("heard", &ours.heard(), &frrs.heard());
    differ("kernel", &ours.kernel(), &frrs.kernel());
    let heard = frrs.heard();
    assert!(heard.len() > 200, "{}", heard.len());
    let mut wrong = Vec::new();
    for (asn, prefix) in heard.keys().filter(|(asn, _)| *asn != CUSTOMER) {
        if !(prefix.starts_with("45.0.")
            || prefix.starts_with("2a00:45:")
            || outsiders::OWN.contains(&prefix.as_str()))
        {
            wrong.push(format!("{asn} hears {prefix}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

fn differ<K: Ord + std::fmt::Debug>(what: &str, ours: &BTreeMap<K, String>, frrs: &BTreeMap<K, String>) {
    let mut all: Vec<String> = Vec::new();
    for key in ours.keys().chain(frrs.keys().filter(|key| !ours.contains_key(key))) {
        if ours.get(key) != frrs.get(key) {
            all.push(format!("{key:?}: ours {:?}, FRR's {:?}", ours.get(key), frrs.get(key)));
        }
    }
    assert!(all.is_empty(), "{what} differs:\n{}", all.join("\n"));
}
