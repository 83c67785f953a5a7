//! Snapshots of the examples' plans, and what holds for every network.

#[path = "../../examples/generate/network.rs"]
mod network;

use super::*;
use crate::declaration;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use tsumugi_core::bfd::BfdTerms;
use tsumugi_core::bgp::config::{AddPaths, Invalid, LimitTerms, NeighbourConfig, Relation, Terms, Transport};
use tsumugi_core::desired::{Hook, Link, LinkKind, ProtocolMatch, Verdict, WallRule};
use tsumugi_core::evpn::config::{Gateway, SegmentConfig, SegmentPort};
use tsumugi_core::id::{Asn, IfName, KeyName, Plane, Prefix, Vni};
use tsumugi_core::mtu::{Ip, Line, Way, Wrapping};
use tsumugi_core::router_plan::{Encapsulation, Routing, Tunnel, TunnelClamp};

const TWO_HOMES: &str = include_str!("../../../../examples/two-homes.toml");
const AS63806: &str = include_str!("../../../../examples/as63806.toml");

fn compiled(text: &str) -> NetworkPlan {
    let (declaration, problems) = declaration::parse(text);
    assert_eq!(problems, []);
    compile(&declaration.expect("a declaration without problems")).expect("a plan")
}

/// JSON with every value that fits a line on one line, so that a plan can be read and compared.
fn readable(value: &Value, indent: usize, text: &mut String) {
    let line = value.to_string();
    if indent + line.len() <= 160 {
        text.push_str(&line);
        return;
    }
    let inner = indent + 1;
    let pad = " ".repeat(inner);
    match value {
        Value::Array(items) => {
            text.push('[');
            for (count, item) in items.iter().enumerate() {
                text.push_str(if count == 0 { "\n" } else { ",\n" });
                text.push_str(&pad);
                readable(item, inner, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (count, (key, field)) in fields.iter().enumerate() {
                text.push_str(if count == 0 { "\n" } else { ",\n" });
                text.push_str(&format!("{pad}\"{key}\": "));
                readable(field, inner, text);
            }
            text.push('}');
        }
        _ => text.push_str(&line),
    }
}

fn snapshot(plan: &RouterPlan) -> String {
    let mut text = String::new();
    readable(&serde_json::to_value(plan).unwrap(), 0, &mut text);
    text
}

#[test]
fn two_homes() {
    let plan = compiled(TWO_HOMES);
    insta::assert_snapshot!(plan.routers.iter().map(snapshot).collect::<Vec<_>>().join("\n"));
}

#[test]
fn as63806() {
    let plan = compiled(AS63806);
    for name in ["cr0101", "cr0102", "er0111", "er0112", "hr0302", "hr0303", "hana"] {
        insta::assert_snapshot!(name, snapshot(plan.machine(name).unwrap()));
    }
    insta::assert_debug_snapshot!("devices", plan.devices);
    insta::assert_debug_snapshot!("keys", plan.keys);
}

#[test]
fn a_sealed_plan_reads_back_and_its_hash_holds() {
    for plan in compiled(TWO_HOMES).routers {
        let read: RouterPlan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(read, plan);
        assert_eq!(hash_of(&read), plan.hash);
        let changed = RouterPlan { generation: 7, ..read };
        assert_ne!(hash_of(&changed), plan.hash);
    }
}

/// One more home on NGN, with a link to one router.
const ANOTHER: &str = r#"
[site.sendai]
id = 77
[router.hr0399]
id = 39
site = "sendai"
[router.hr0399.uplink.ngn]
kind = "ngn"
region = "east"
port = "eth1"
address = "2001:db8:399::1/64"
gateway = "2001:db8:399::ff"
for = ["fabric", "management"]
[[link]]
between = ["er0111", "hr0399"]
by = "gre"
over = ["ngn", "ngn"]
cost = 5
"#;

#[test]
fn adding_a_router_changes_its_neighbours_links_and_nobodys_identity() {
    let before = compiled(AS63806);
    let after = compiled(&format!("{AS63806}\n{ANOTHER}"));
    for old in &before.routers {
        let new = after.machine(&old.name).unwrap();
        let (old_speaker, new_speaker) = (old.speaker.as_ref().unwrap(), new.speaker.as_ref().unwrap());
        assert_eq!(old_speaker.router_id, new_speaker.router_id);
        assert_eq!(old_speaker.asn, new_speaker.asn);
        assert_eq!(old.management.overlay.lines, new.management.overlay.lines);
        assert_eq!(old.management.desired.addresses, new.management.desired.addresses);
        assert!(old.fabric.addresses.iter().all(|address| new.fabric.addresses.contains(address)));
        assert!(old.fabric.links.iter().all(|link| new.fabric.links.contains(link)));
        assert!(old.tunnels.iter().all(|tunnel| new.tunnels.contains(tunnel)));
        assert!(old_speaker.neighbours.iter().all(|neighbour| new_speaker.neighbours.contains(neighbour)));
        if old.name != "er0111" {
            assert_eq!(old.tunnels, new.tunnels);
            assert_eq!(old.fabric, new.fabric);
            assert_eq!(old_speaker.neighbours, new_speaker.neighbours);
        }
    }
    let keys = |plan: &NetworkPlan| plan.keys.clone();
    assert!(keys(&before).iter().all(|machine| keys(&after).contains(machine)));
}

#[test]
fn a_wide_line_says_nothing_of_the_way_to_another_network() {
    let wide = "kind = \"ngn\"\nregion = \"east\"\npath-mtu = 9000\n";
    let plan = compiled(&AS63806.replace("kind = \"ngn\"\nregion = \"east\"\n", wide));
    let path_mtu = |name: &str| {
        let tunnels = &plan.machine("cr0101").unwrap().tunnels;
        tunnels.iter().find(|tunnel| tunnel.name.as_str() == name).unwrap().path_mtu
    };
    assert_eq!((path_mtu("gre-cr0201"), path_mtu("eip-telhi")), (9000, 1500));
}

#[test]
fn three_outer_packets_are_refused_with_the_arithmetic_at_the_link() {
    let text = TWO_HOMES.replace("mtu = 2400", "mtu = 3000");
    let (declaration, _) = declaration::parse(&text);
    let problems = compile(&declaration.unwrap()).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(
        text[problem.span.clone()].contains("[[link]]") || text[problem.span.clone()].contains("between")
    );
    let crate::ProblemKind::TooManyPackets { link, mtu, packets, arithmetic } = &problem.kind else {
        panic!("{problem:?}")
    };
    assert_eq!((link.as_str(), *mtu, *packets), ("hana-ren", 3000, 3));
    assert!(arithmetic.lines.contains(&Line::Packets { sizes: vec![1496, 1496, 156] }), "{arithmetic:?}");
}

#[test]
fn a_segment_that_does_not_fit_is_refused_with_the_arithmetic() {
    let segment = "[segment.members]\nvni = 100\nports = [\"hana:eth5\", \"ren:eth5\"]\n";
    let text = format!("{}\n{segment}", TWO_HOMES.replace("mtu = 2400", "mtu = 1500"));
    let (declaration, _) = declaration::parse(&text);
    let problems = compile(&declaration.unwrap()).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    let crate::ProblemKind::SegmentTooSmall { needs: 1550, has: 1500, .. } = &problem.kind else {
        panic!("{problem:?}")
    };
}

#[test]
fn a_segment_on_one_router_is_a_bridge_with_its_ports_and_gateway() {
    let segment = "[segment.members]\nvni = 100\nports = [\"hana:eth5\", \"hana:eth6\"]\n\
                   gateway = [\"43.228.174.1/26\", \"2402:3160:1::1/64\"]\n";
    let plan = compiled(&format!("{TWO_HOMES}\n{segment}"));
    let hana = plan.machine("hana").unwrap();
    let of_segment: Vec<&str> = hana.fabric.links[1..].iter().map(|link| link.name.as_str()).collect();
    assert_eq!(of_segment, ["seg-members", "eth5", "eth6"]);
    let prefixes = |prefix: &str| {
        hana.speaker.as_ref().unwrap().originate.iter().any(|o| o.prefix.to_string() == prefix)
    };
    assert!(prefixes("43.228.174.0/26") && prefixes("2402:3160:1::/64"));
    insta::assert_snapshot!("segment_walls", {
        let mut text = String::new();
        readable(&serde_json::to_value(&hana.fabric.walls[0]).unwrap(), 0, &mut text);
        text
    });
}

/// One more router that carries what others carry already, and one more segment.
const STRETCHED_FURTHER: &str = r#"
[[segment.guests.port]]
at = "hr0399:eth5"
[segment.lounge]
vni = 300
ports = ["er0111:eth8", "er0211:eth8", "er0112:eth8"]
gateway = "43.228.174.209/28"
"#;

#[test]
fn stretching_a_segment_further_changes_nobodys_identity_in_it() {
    let before = compiled(AS63806);
    let after = compiled(&format!("{AS63806}\n{ANOTHER}\n{STRETCHED_FURTHER}"));
    for old in &before.routers {
        let new = after.machine(&old.name).unwrap();
        for segment in &old.evpn.segments {
            let again = new.evpn.segments.iter().find(|one| one.name == segment.name);
            assert_eq!(again, Some(segment), "{}", old.name);
        }
        assert!(old.fabric.links.iter().all(|link| new.fabric.links.contains(link)));
        assert_eq!(old.evpn.network, new.evpn.network);
    }
    let newcomer = &after.machine("hr0399").unwrap().evpn.segments[0];
    let guests = &before.machine("er0211").unwrap().evpn.segments[1];
    assert_eq!(newcomer.gateway.as_ref().unwrap().mac, guests.gateway.as_ref().unwrap().mac);
    check_segments(&after);
}

#[test]
fn tcp_in_a_segment_is_held_to_what_the_usual_paths_pass() {
    // GRE over IPv6 at 1500 between two homes, and nothing else: the known value.
    let segment = "[segment.members]\nvni = 100\nports = [\"er0211:eth6\", \"hr0301:eth5\"]\n";
    let at = AS63806.find("[segment.members]").unwrap();
    let end = AS63806.find("# Rooms at m-ibr1").unwrap();
    let text = format!("{}{segment}\n{}", &AS63806[..at], &AS63806[end..]);
    let plan = compiled(&text);
    for name in ["er0211", "hr0301"] {
        let wall = &plan.machine(name).unwrap().fabric.segment_walls[0];
        assert_eq!((wall.clamp_v4, wall.clamp_v6), (Some(1366), Some(1346)), "{name}");
    }
    // A wire passes all of it.
    let wire = text.replace("\"er0211:eth6\", \"hr0301:eth5\"", "\"er0211:eth6\", \"cr0201:eth5\"");
    let wall = &compiled(&wire).machine("er0211").unwrap().fabric.segment_walls[0].clone();
    assert_eq!((wall.clamp_v4, wall.clamp_v6), (None, None));
}

#[test]
fn a_vlan_is_a_port_over_its_parent_and_an_etherip_end_a_tunnel_in_the_bridge() {
    let segment = "[[segment.peering-lan.port]]\nat = \"er0112:eth9\"\nvlan = 12\n\
                   [[segment.members.port]]\nat = \"er0112:eth9\"\nvlan = 13\nstorm-limit = 50\n";
    let plan = compiled(&format!("{AS63806}\n{segment}"));
    let er0112 = plan.machine("er0112").unwrap();
    let link = |name: &str| er0112.fabric.links.iter().find(|link| link.name.as_str() == name).unwrap();
    assert_eq!((&link("eth9").kind, link("eth9").master.as_ref()), (&LinkKind::Port, None));
    let LinkKind::Vlan { parent, tag: 12 } = &link("eth9.12").kind else { panic!() };
    assert_eq!(parent.as_str(), "eth9");
    assert_eq!(link("eth9.13").master.as_ref().unwrap().as_str(), "seg-members");
    let position = |name: &str| er0112.fabric.links.iter().position(|link| link.name.as_str() == name);
    assert!(position("eth9") < position("eth9.12") && position("eth9") < position("eth9.13"));
    let cr0102 = plan.machine("cr0102").unwrap();
    let tunnel = cr0102.tunnels.last().unwrap();
    assert_eq!((tunnel.name.as_str(), tunnel.mtu), ("eip-peering-lan", 1500));
    let port = cr0102.fabric.links.iter().find(|link| link.name == tunnel.name).unwrap();
    assert_eq!((&port.kind, port.master.as_ref().unwrap().as_str()), (&LinkKind::Tunnel, "seg-peering-lan"));
}

/// Every kind of tunnel to others, as the file says it.
#[test]
fn tunnels_to_others_are_what_the_file_says() {
    let end = |by: &str, more: &str| {
        format!(
            "[[segment.peering-lan.{by}]]\nrouter = \"cr0102\"\nover = \"inet\"\n\
             remote = \"2001:db8:950::1\"\n{more}\n"
        )
    };
    let segment = [
        end("etherip", "accept-reversed = true\nclamp = \"off\""),
        end("gretap", ""),
        end("gretap", "key = 7"),
        end("geneve", "vni = 7"),
        end("geneve", "vni = 16777215"),
    ];
    let plan = compiled(&format!("{AS63806}\n{}", segment.concat()));
    let cr0102 = plan.machine("cr0102").unwrap();
    let to_it = |tunnel: &&Tunnel| tunnel.remote == Some("2001:db8:950::1".parse().unwrap());
    let tunnels: Vec<&Tunnel> = cr0102.tunnels.iter().filter(to_it).collect();
    let kinds: Vec<&Encapsulation> = tunnels.iter().map(|tunnel| &tunnel.encapsulation).collect();
    assert_eq!(
        kinds,
        [
            &Encapsulation::EtherIp,
            &Encapsulation::Gretap { key: None },
            &Encapsulation::Gretap { key: Some(7) },
            &Encapsulation::Geneve { vni: Vni(7) },
            &Encapsulation::Geneve { vni: Vni(0xff_ffff) },
        ]
    );
    assert_eq!(tunnels[3].name.as_str(), "gnv-peering-lan");
    assert!(tunnels[0].accept_reversed && tunnels[0].clamp == TunnelClamp::Off);
    assert!(!tunnels[3].accept_reversed && tunnels[3].clamp == TunnelClamp::Auto);
    // The wall takes GENEVE from whatever port, from the far end only.
    let underlay = serde_json::to_string(&cr0102.underlay.walls).unwrap();
    assert!(underlay.contains("6081"), "{underlay}");
}

#[test]
fn what_is_agreed_with_a_peer_reaches_each_of_its_sessions() {
    let told = AS63806.replace("[router.cr0102]\n", "[router.cr0102]\ndrain = true\n").replace(
        "prepend = 1\n",
        "prepend = 1\nlimit = 5\nlimit-warn = 90\nlimit-rest = 2\nadd-paths-receive = true\nadd-paths-send = 4\nstrict-role = true\ngtsm = true\nbfd = true\nbfd-interval = 250\npassword = \"secret:homenoc\"\ndrain = true\n",
    );
    let plan = compiled(&told);
    for name in ["cr0101", "cr0102", "cr0201"] {
        let speaker = plan.machine(name).unwrap().speaker.as_ref().unwrap();
        assert_eq!(speaker.draining, name == "cr0102");
        for neighbour in &speaker.neighbours {
            let terms = if neighbour.remote_asn == Asn(59105) {
                Terms {
                    drain: true,
                    strict_role: true,
                    gtsm: true,
                    password: Some(KeyName("homenoc".into())),
                    bfd: Some(BfdTerms { interval: 250, multiplier: 3, multihop: false }),
                    limit: LimitTerms { warn_percent: 90, rest: 120_000 },
                    add_paths: AddPaths { receive: true, send: Some(4) },
                }
            } else if matches!(neighbour.relation, Relation::Inside { .. }) {
                Terms { bfd: Some(BfdTerms::INSIDE), ..Terms::default() }
            } else {
                Terms::default()
            };
            assert_eq!(neighbour.terms, terms, "{}", neighbour.name);
        }
    }
}

/// As the link says, else the network, else the slower of its lines; walls take it from who is watched.
#[test]
fn who_is_watched_and_at_what_pace() {
    let link = "between = [\"cr0101\", \"cr0201\"]\n";
    let bfd = |text: &str, machine: &str, far: &str| {
        let plan = compiled(text);
        let plan = plan.machine(machine).unwrap();
        let neighbours = &plan.speaker.as_ref().unwrap().neighbours;
        let neighbour = neighbours.iter().find(|it| it.name.starts_with(far)).unwrap();
        let input = plan.fabric.walls.iter().find(|wall| wall.hook == Hook::Input).unwrap();
        let (Transport::Unnumbered { link, .. } | Transport::Numbered { link, .. }) = &neighbour.transport;
        let udp = |rule: &&WallRule| matches!(rule.matches.protocol, Some(ProtocolMatch::Udp { .. }));
        let on_link = input.rules.iter().filter(|rule| rule.matches.iif == [link.clone()]).filter(udp);
        let taken: Vec<String> = on_link
            .map(|rule| match &rule.matches.protocol {
                Some(ProtocolMatch::Udp { ports, .. }) => format!("{ports:?} {:?}", rule.matches.hop_limit),
                _ => String::new(),
            })
            .collect();
        (neighbour.terms.bfd, taken)
    };
    let terms = |interval, multiplier, multihop| Some(BfdTerms { interval, multiplier, multihop });
    let near = || vec!["[3784] Some(255)".to_owned()];
    let network = |said: &str| AS63806.replace("[network]\n", &format!("[network]\n{said}"));
    let on_link = |text: &str, said: &str| text.replace(link, &format!("{link}{said}"));
    let ask = |text: &str| bfd(text, "cr0101", "cr0201");
    assert_eq!(ask(AS63806), (terms(100, 3, false), near()));
    assert_eq!(ask(&network("bfd = false\n")), (None, vec![]));
    assert_eq!(ask(&network("bfd-interval = 200\nbfd-multiplier = 5\n")), (terms(200, 5, false), near()));
    let both = on_link(&network("bfd = false\nbfd-interval = 200\n"), "bfd = true\nbfd-multiplier = 4\n");
    assert_eq!(ask(&both), (terms(200, 4, false), near()));
    assert_eq!(ask(&on_link(AS63806, "bfd = false\n")), (None, vec![]));
    // A mobile line.
    let mobile = AS63806.replace("kind = \"pppoe\"\n", "kind = \"lte\"\n");
    let slow = compiled(&mobile);
    let paces: Vec<_> = slow
        .routers
        .iter()
        .flat_map(|router| &router.speaker.as_ref().unwrap().neighbours)
        .filter_map(|neighbour| neighbour.terms.bfd)
        .map(|bfd| bfd.interval)
        .collect();
    assert!(paces.contains(&500) && paces.contains(&100), "{paces:?}");
    // Peers only if it is said.
    assert_eq!(bfd(AS63806, "cr0102", "homenoc"), (None, vec![]));
    let peer = AS63806.replace("prepend = 1\n", "prepend = 1\nbfd = true\nbfd-multihop = true\n");
    let (found, taken) = bfd(&peer, "cr0102", "homenoc");
    assert_eq!(found, terms(300, 3, true));
    assert!(!taken.is_empty() && taken.iter().all(|rule| rule == "[4784] None"), "{taken:?}");
}

#[test]
fn allow_comes_before_deny_and_the_outside_is_what_is_left() {
    let told = AS63806.replace(
        "deny = [\"mail\", \"segments\"]",
        "deny = [\"outside\", \"network\", \"mail\", \"segments\"]\nallow = [\"segment.lounge\"]",
    );
    let plan = compiled(&format!(
        "{told}\n{}",
        &STRETCHED_FURTHER[STRETCHED_FURTHER.find("[segment.lounge]").unwrap()..]
    ));
    let er0211 = plan.machine("er0211").unwrap();
    let forward = er0211.fabric.walls.iter().find(|wall| wall.hook == Hook::Forward).unwrap();
    let of_guests =
        forward.rules.iter().filter(|rule| rule.matches.iif == [IfName::new("seg-guests").unwrap()]);
    let mut text = String::new();
    readable(&serde_json::to_value(of_guests.collect::<Vec<_>>()).unwrap(), 0, &mut text);
    insta::assert_snapshot!("reach", text);
}

/// What tells a router's tunnels apart: both outer addresses, the protocol and the key or port.
fn flow(tunnel: &Tunnel) -> (Option<IpAddr>, Option<IpAddr>, u8, u32) {
    let (protocol, key) = match &tunnel.encapsulation {
        Encapsulation::Gre { key } | Encapsulation::Gretap { key } => (47, key.unwrap_or(0)),
        Encapsulation::EtherIp => (97, 0),
        Encapsulation::Geneve { vni } => (17, vni.0 << 8),
        Encapsulation::WireGuard { local_port, .. } => (17, (*local_port).into()),
    };
    (tunnel.local, tunnel.remote, protocol, key)
}

fn check_names(plan: &RouterPlan) {
    let mut names = HashSet::new();
    for link in Plane::ALL.iter().flat_map(|plane| &plan.plane(*plane).links) {
        assert!(link.name.as_str().len() <= 15);
        assert!(names.insert(link.name.clone()), "{} of {}", link.name, plan.name);
    }
    let mut flows = HashSet::new();
    for tunnel in &plan.tunnels {
        assert!(flows.insert(flow(tunnel)), "{} of {}", tunnel.name, plan.name);
        let lines = &plan.underlay.links;
        assert!(lines.iter().any(|link| link.name == tunnel.uplink), "{}", tunnel.uplink);
        let way = Way {
            wrapping: Wrapping::from(&tunnel.encapsulation),
            outer: Ip::of_ipv6(tunnel.outer_ipv6),
            path_mtu: tunnel.path_mtu.into(),
            mtu: tunnel.mtu.into(),
        };
        assert!((1..=2).contains(&way.packets(way.mtu).len()));
    }
    let unique = |names: Vec<&String>| names.iter().collect::<HashSet<_>>().len() == names.len();
    let speaker = plan.speaker.as_ref().unwrap();
    assert!(unique(speaker.neighbours.iter().map(|neighbour| &neighbour.name).collect()));
}

fn check_addresses(plan: &RouterPlan) {
    let link_local = format!("fe80::{:x}/64", plan.id);
    let links: HashSet<&IfName> = plan.fabric.links.iter().map(|link| &link.name).collect();
    let mut routed = plan.evpn.segments.iter();
    let bridges: HashSet<&IfName> = plan.evpn.segments.iter().map(|segment| &segment.bridge).collect();
    let trunks: HashSet<&IfName> = plan
        .fabric
        .links
        .iter()
        .filter_map(|link| match &link.kind {
            LinkKind::Vlan { parent, .. } => Some(parent),
            _ => None,
        })
        .collect();
    assert!(routed.all(|segment| links.contains(&segment.bridge)));
    let carries =
        |link: &&Link| link.master.is_none() && !bridges.contains(&link.name) && !trunks.contains(&link.name);
    for link in plan.fabric.links.iter().filter(carries) {
        let own = plan.fabric.addresses.iter().filter(|address| address.link == link.name);
        assert!(own.into_iter().any(|address| address.prefix.to_string() == link_local), "{}", link.name);
    }
    for address in &plan.fabric.addresses {
        assert!(address.link == IfName::loopback() || links.contains(&address.link));
    }
    for tunnel in &plan.tunnels {
        assert!(links.contains(&tunnel.name));
    }
    assert!(plan.underlay.routes.iter().all(|route| route.metric.is_some_and(|metric| metric >= 1024)));
}

/// The other end of a tunnel, if it is a router's of ours.
fn check_far_ends(plans: &HashMap<&str, &RouterPlan>, plan: &RouterPlan) {
    for neighbour in &plan.speaker.as_ref().unwrap().neighbours {
        let Relation::Inside { prepends } = &neighbour.relation else { continue };
        let Transport::Unnumbered { link, local, remote } = &neighbour.transport else { panic!() };
        let far = plans[neighbour.name.split('/').next().unwrap()];
        let mirrors: Vec<&NeighbourConfig> = far
            .speaker
            .as_ref()
            .unwrap()
            .neighbours
            .iter()
            .filter(|mirror| {
                mirror.name.split('/').next() == Some(plan.name.as_str())
                    && mirror.relation == Relation::Inside { prepends: *prepends }
                    && (mirror.local_asn, mirror.remote_asn) == (neighbour.remote_asn, neighbour.local_asn)
                    && matches!(&mirror.transport, Transport::Unnumbered { local: l, remote: r, .. }
                        if Some(*l) == *remote && *r == Some(*local))
            })
            .collect();
        assert!(!mirrors.is_empty(), "{} of {}", neighbour.name, plan.name);
        let Some(tunnel) = plan.tunnels.iter().find(|tunnel| tunnel.name == *link) else { continue };
        let agrees = far.tunnels.iter().any(|other| {
            other.mtu == tunnel.mtu
                && other.path_mtu == tunnel.path_mtu
                && other.outer_ipv6 == tunnel.outer_ipv6
                && mirrored(&tunnel.encapsulation, &other.encapsulation)
                && tunnel.remote.is_none_or(|remote| other.local == Some(remote))
                && other.remote.is_none_or(|remote| tunnel.local == Some(remote))
        });
        assert!(agrees, "{} of {}", tunnel.name, plan.name);
    }
}

fn mirrored(ours: &Encapsulation, theirs: &Encapsulation) -> bool {
    match (ours, theirs) {
        (
            Encapsulation::WireGuard { local_key, remote_key, local_port, remote_port },
            Encapsulation::WireGuard {
                local_key: key,
                remote_key: far_key,
                local_port: port,
                remote_port: far,
            },
        ) => local_key == far_key && remote_key == key && local_port == far && remote_port == port,
        _ => ours == theirs,
    }
}

/// Every key that somebody expects is somebody's, and every path of the overlay is known at its
/// other end.
fn check_overlay(network: &NetworkPlan) {
    let keys: HashSet<&KeyName> = network.keys.iter().flat_map(|machine| &machine.keys).collect();
    let mut paths: HashSet<(&KeyName, &KeyName)> = HashSet::new();
    let machines = || network.routers.iter().chain(&network.laptops);
    for plan in machines() {
        for tunnel in &plan.tunnels {
            if let Encapsulation::WireGuard { remote_key, .. } = &tunnel.encapsulation {
                assert!(keys.contains(remote_key), "{remote_key}");
            }
        }
        let overlay = &plan.management.overlay;
        for path in overlay.neighbours.iter().flat_map(|neighbour| &neighbour.paths) {
            let line = overlay.lines.iter().find(|line| line.name == path.line).unwrap();
            assert!(keys.contains(&path.remote_key), "{}", path.remote_key);
            assert!(paths.insert((&line.key, &path.remote_key)));
        }
    }
    assert!(paths.iter().all(|(ours, theirs)| paths.contains(&(theirs, ours))));
}

/// All routers of a segment agree on what it is, and each says something of its own by which it is
/// told apart.
fn check_segments(network: &NetworkPlan) {
    let mut rds = HashSet::new();
    let mut own_macs = HashSet::new();
    let mut targets: HashMap<String, &str> = HashMap::new();
    let mut firsts: HashMap<&str, &SegmentConfig> = HashMap::new();
    let mut preferences: HashMap<(String, u16), &str> = HashMap::new();
    for plan in &network.routers {
        check_walls(plan);
        let numbers: HashSet<u16> = ports(plan).map(|port| port.number).collect();
        assert_eq!(numbers.len(), ports(plan).count());
        assert_eq!(plan.fabric.segment_walls.len(), plan.evpn.segments.len());
        for segment in &plan.evpn.segments {
            let first = *firsts.entry(&segment.name).or_insert(segment);
            assert_eq!(segment.vni, first.vni);
            assert_eq!(segment.stretch.is_some(), first.stretch.is_some(), "{}", segment.name);
            if let (Some(stretch), Some(other)) = (&segment.stretch, &first.stretch) {
                assert!(rds.insert(stretch.rd), "{}", stretch.rd);
                assert_eq!((&stretch.import, &stretch.export), (&other.import, &other.export));
                assert_eq!(stretch.vtep.is_ipv6(), other.vtep.is_ipv6());
                for target in &stretch.import {
                    let of = targets.entry(target.to_string()).or_insert(&segment.name);
                    assert_eq!(*of, segment.name);
                }
            }
            if let (Some(gateway), Some(other)) = (&segment.gateway, &first.gateway) {
                assert_eq!((gateway.mac, gateway.link_local), (other.mac, other.link_local));
                assert_eq!(
                    (&gateway.addresses, gateway.dhcp.as_ref()),
                    (&other.addresses, other.dhcp.as_ref())
                );
                assert!(own_macs.insert(gateway.own_mac) && gateway.own_mac != gateway.mac);
                assert_eq!(gateway.mac.0[0] & 3, 2, "locally administered, unicast");
                check_gateway(plan, segment, gateway);
            }
            for lan in segment.ports.iter().filter_map(|port| port.lan.as_ref()) {
                let first = preferences.insert((lan.esi.to_string(), lan.preference), &plan.name);
                assert_eq!(first, None);
            }
        }
    }
    let actives = preferences.keys().filter(|(_, preference)| *preference == 0).count();
    let lans: HashSet<&String> = preferences.keys().map(|(esi, _)| esi).collect();
    assert_eq!(actives, lans.len());
}

fn ports(plan: &RouterPlan) -> impl Iterator<Item = &SegmentPort> {
    plan.evpn.segments.iter().flat_map(|segment| &segment.ports)
}

fn check_gateway(plan: &RouterPlan, segment: &SegmentConfig, gateway: &Gateway) {
    let bridge = plan.fabric.links.iter().find(|link| link.name == segment.bridge).unwrap();
    assert_eq!(bridge.mac, Some(gateway.mac));
    let on_bridge: Vec<Prefix> = plan
        .fabric
        .addresses
        .iter()
        .filter(|address| address.link == segment.bridge)
        .map(|address| address.prefix)
        .collect();
    let link_local = Prefix::new(gateway.link_local.into(), 64).unwrap();
    let expected: Vec<Prefix> = [link_local].into_iter().chain(gateway.addresses.iter().copied()).collect();
    assert_eq!(on_bridge, expected);
    let originate = &plan.speaker.as_ref().unwrap().originate;
    for address in &gateway.addresses {
        assert!(originate.iter().any(|one| one.prefix == address.trunc() && !one.discard));
    }
}

/// The walls speak of the bridges' real ports, and nobody but the segments' other routers may send
/// VXLAN.
fn check_walls(plan: &RouterPlan) {
    let mut vteps = 0;
    for (wall, segment) in plan.fabric.segment_walls.iter().zip(&plan.evpn.segments) {
        assert_eq!(wall.bridge, segment.bridge);
        assert_eq!(wall.vxlan.as_ref(), segment.stretch.as_ref().map(|stretch| &stretch.vxlan));
        assert_eq!(wall.gateway.is_some(), segment.gateway.is_some() && segment.stretch.is_some());
        let of_bridge = plan.fabric.links.iter().filter(|link| link.master.as_ref() == Some(&wall.bridge));
        let expected: HashSet<&IfName> = of_bridge.map(|link| &link.name).collect();
        let named = wall.ports.iter().map(|port| &port.link).chain(&wall.vxlan);
        assert_eq!(named.collect::<HashSet<_>>(), expected);
        for (port, told) in wall.ports.iter().zip(&segment.ports) {
            assert_eq!((&port.link, port.starts_blocked), (&told.link, told.lan.is_some()));
        }
        vteps += usize::from(segment.stretch.is_some());
    }
    let input = plan.fabric.walls.iter().find(|wall| wall.hook == Hook::Input).unwrap();
    let accepted = input.rules.iter().filter(|rule| {
        rule.verdict == Verdict::Accept
            && matches!(&rule.matches.protocol, Some(ProtocolMatch::Udp { ports, .. }) if ports.contains(&4789))
    });
    let own = plan.fabric.addresses.iter().filter(|address| address.link == IfName::loopback());
    let own: Vec<Prefix> = own.map(|address| address.prefix).collect();
    let mut rules = 0;
    for rule in accepted {
        assert!(!rule.matches.iif.is_empty() && !rule.matches.from.is_empty());
        assert!(rule.matches.from.iter().all(|from| !own.contains(from)));
        rules += 1;
    }
    let outside = |neighbour: &NeighbourConfig| matches!(neighbour.relation, Relation::Outside(_));
    let alone = plan.speaker.as_ref().unwrap().neighbours.iter().all(outside);
    assert!(rules <= 2 && (rules > 0 || vteps == 0 || alone));
}

fn check_network(text: &str) {
    let network = compiled(text);
    let plans: HashMap<&str, &RouterPlan> =
        network.routers.iter().map(|plan| (plan.name.as_str(), plan)).collect();
    for plan in &network.routers {
        assert_eq!(hash_of(plan), plan.hash);
        check_names(plan);
        check_addresses(plan);
        check_far_ends(&plans, plan);
    }
    check_segments(&network);
    check_overlay(&network);
    assert_eq!(
        serde_json::to_vec(&network.routers).unwrap(),
        serde_json::to_vec(&compiled(text).routers).unwrap()
    );
}

#[test]
fn what_holds_for_every_network_holds_for_the_examples() {
    check_network(TWO_HOMES);
    check_network(AS63806);
}

#[test]
fn check_finds_nothing_wrong_with_a_generated_network() {
    for (routers, links) in [(1, 0), (9, 30), (200, 500)] {
        let text = network::network(routers, links, 3);
        let errors = |problems: Vec<Problem>| -> Vec<Problem> {
            problems.into_iter().filter(|problem| problem.severity() == crate::Severity::Error).collect()
        };
        assert_eq!(crate::check(&text).map(|_| ()).map_err(errors), Ok(()));
    }
}

#[test]
fn a_network_of_a_thousand_routers_compiles() {
    let network = compiled(&network::network(1000, 3000, 1));
    assert_eq!(network.routers.len(), 1000);
    let ends: usize = network
        .routers
        .iter()
        .flat_map(|plan| &plan.speaker.as_ref().unwrap().neighbours)
        .filter(|neighbour| matches!(neighbour.relation, Relation::Inside { .. }))
        .count();
    assert_eq!(ends, 2 * 3000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_holds_for_every_network(routers in 1usize..40, links in 0usize..120, seed in any::<u64>()) {
        check_network(&network::network(routers, links, seed));
    }
}

#[test]
fn who_hears_from_outside_or_announces_validates() {
    let told = AS63806.replace("originate = [", "originate = [\"er0111\", ").replacen(
        "[site.",
        "[rpki]\ncaches = [\"198.51.100.77:323\", \"[2001:db8:77::1]:8282\"]\nplane = \"fabric\"\nexpire = 3600\n\n[site.",
        1,
    );
    let told = told.replace("prepend = 1\n", "prepend = 1\ninvalid = \"last\"\n");
    let plan = compiled(&told);
    for router in &plan.routers {
        let speaker = router.speaker.as_ref().unwrap();
        let outside = speaker.neighbours.iter().any(|it| matches!(it.relation, Relation::Outside(_)));
        assert_eq!(router.rpki.is_some(), outside || router.name == "er0111", "{}", router.name);
        for neighbour in &speaker.neighbours {
            if let Relation::Outside(policy) = &neighbour.relation {
                let expected = if neighbour.remote_asn == Asn(59105) { Invalid::Last } else { Invalid::Drop };
                assert_eq!(policy.invalid, expected, "{}", neighbour.name);
            }
        }
        // What a cache answers gets past the wall.
        let input = router.fabric.walls.iter().find(|wall| wall.hook == Hook::Input).unwrap();
        let from_cache = |port: u16| -> Vec<&tsumugi_core::desired::WallRule> {
            let answer = Some(ProtocolMatch::Tcp { ports: vec![port], either: true });
            let lets = |rule: &&tsumugi_core::desired::WallRule| {
                rule.matches.protocol == answer && rule.verdict == Verdict::Accept
            };
            input.rules.iter().filter(lets).collect()
        };
        assert_eq!(from_cache(8282).len(), usize::from(router.rpki.is_some()));
        assert!(
            from_cache(323).iter().all(|rule| rule.matches.from == ["198.51.100.77/32".parse().unwrap()])
        );
    }
    let rpki = plan.machine("cr0101").unwrap().rpki.as_ref().unwrap();
    assert_eq!((rpki.caches.len(), rpki.plane, rpki.expire), (2, Plane::Fabric, Some(3600)));
}

#[test]
fn every_router_tells_the_collectors() {
    let said = |plane: &str| {
        let table = format!("[bmp]\ncollectors = [\"198.51.100.78:11019\"]\n{plane}\n[site.");
        compiled(&AS63806.replacen("[site.", &table, 1))
    };
    for (words, plane, answers) in [("", Plane::Management, 0), ("plane = \"fabric\"\n", Plane::Fabric, 1)] {
        for router in &said(words).routers {
            let bmp = router.bmp.as_ref().unwrap();
            assert_eq!((bmp.collectors.len(), bmp.plane), (1, plane));
            // What a collector in the fabric answers gets past the wall.
            let input = router.fabric.walls.iter().find(|wall| wall.hook == Hook::Input).unwrap();
            let answer = Some(ProtocolMatch::Tcp { ports: vec![11_019], either: true });
            let lets = input.rules.iter().filter(|rule| {
                rule.matches.protocol == answer
                    && rule.verdict == Verdict::Accept
                    && rule.matches.from == ["198.51.100.78/32".parse().unwrap()]
            });
            assert_eq!(lets.count(), answers, "{}", router.name);
        }
    }
}

#[test]
fn a_router_says_who_speaks_its_bgp() {
    let plans = compiled(TWO_HOMES).routers;
    assert!(plans.iter().all(|plan| plan.routing == Routing::Embedded));
    let table = format!("[router.{}]\n", plans[0].name);
    let text = TWO_HOMES.replacen(&table, &format!("{table}routing = \"frr\"\n"), 1);
    let declaration = declaration::parse(&text).0.unwrap();
    assert!(declaration::print(&declaration).contains("routing = \"frr\"\n"));
    let plans = compile(&declaration).unwrap().routers;
    assert_eq!((plans[0].routing, plans[1].routing), (Routing::Frr, Routing::Embedded));
}
