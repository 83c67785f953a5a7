//! Several paths to one prefix (RFC 7911), from each of the other implementations and to each of them.
//!
//!     source (AS150369, provider) --eth1-- r1 (AS63806) --eth2-- sink (AS38632, customer)
//!
//! The source has two paths to one prefix of each family, of which the second is longer. OpenBGPD takes several paths,
//! and originates no two by itself.

use super::inside::{established, sessions};
use super::others::{Kind, Network, Other};
use super::outsiders::{begin, networks, plan};
use super::world::{Machine, World, wait};
use serde_json::Value;
use tsumugi_core::bgp::config::AddPaths;

const ASN: u32 = 150_369;
const PREFIXES: [(&str, &str); 2] = [("ipv4", "8.8.8.0/24"), ("ipv6", "2620:fe::/48")];

/// BIRD's second way: other static routes, exported by a longer path.
pub fn bird_also(asn: u32, family: &str, routes: &str) -> String {
    let filter = format!(
        "filter also {{ if source != RTS_STATIC then reject;
             if proto ~ \"t_*\" then {{ bgp_path.prepend({asn}); bgp_path.prepend({asn}); }} accept; }}\n"
    );
    let filter = if family == "ipv4" { filter } else { String::new() };
    format!("{filter}protocol static t_{family} {{ {family} {{ preference 50; }}; {routes} }}\n")
}

/// FRR's: what stands on its loopback.
pub fn frr_also(asn: u32) -> String {
    format!("route-map also permit 10\n match interface lo\n set as-path prepend {asn} {asn}\nexit\n")
}

/// The second way, if the configuration alone does not give it.
fn second_way(source: &Other) {
    match source.network.kind {
        Kind::Bird | Kind::OpenBgpd => {}
        Kind::Frr => {
            source.machine.run("ip address add 8.8.8.1/24 dev lo; ip address add 2620:fe::1/48 dev lo nodad");
        }
        Kind::GoBgp => {
            for (family, prefix) in PREFIXES {
                let path = format!("{ASN} {ASN}");
                source.ask(&format!("global rib add -a {family} {prefix} identifier 2 aspath \"{path}\""));
            }
        }
    }
}

/// The first way is no more.
fn withdraw_the_first(source: &Other) {
    for (family, prefix) in PREFIXES {
        source.ask(&match source.network.kind {
            Kind::Bird | Kind::OpenBgpd => format!("disable s_{family}"),
            Kind::Frr => format!(
                "configure terminal' -c 'router bgp {ASN}' -c 'address-family {family} unicast' -c 'no network {prefix}"
            ),
            Kind::GoBgp => format!("global rib del -a {family} {prefix} identifier 1"),
        });
    }
}

fn show(r1: &Machine, what: &str) -> Vec<Value> {
    let program = env!("CARGO_BIN_EXE_tsumugi");
    let said = r1.run(&format!("{program} show {what} --json --state {} 2>&1; true", r1.state.display()));
    serde_json::from_str(&said).unwrap_or_default()
}

/// AS paths and identifiers of what a session brought, or was told, of a prefix.
fn listed(r1: &Machine, what: &str, prefix: &str) -> Vec<(String, u64)> {
    let of = |it: &Value| {
        let route = &it["route"];
        let path = if route["path"].is_object() { &route["path"] } else { route };
        let id = path["path_id"].as_u64()?;
        (route["prefix"] == prefix).then(|| (path["as_path"].as_str().unwrap_or_default().to_owned(), id))
    };
    let mut all: Vec<_> = show(r1, what).iter().filter_map(of).collect();
    all.sort_by_key(|(path, _)| path.len());
    all
}

fn tells_and_takes(world: &mut World, from: Kind, to: Kind) {
    let [mut source, ..] = networks(from);
    let [.., mut sink] = networks(to);
    source.announces = PREFIXES.map(|(_, prefix)| prefix).to_vec();
    for network in [&mut source, &mut sink] {
        network.add_paths = true;
    }
    let networks: [Network; 2] = [source, sink];
    let mut plan = plan(&networks);
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        neighbour.terms.add_paths = AddPaths { receive: true, send: Some(4) };
    }
    let (r1, others) = begin(world, &networks, plan);
    let [source, sink] = &others[..] else { panic!("there are two") };
    let machines = [&r1, &source.machine, &sink.machine];
    wait("every session stands", &machines, || established(&r1) == 4);
    second_way(source);
    // Agreed on in the directions that each speaks.
    for (place, session) in sessions(&r1).iter().enumerate() {
        let agreed = |key: &str| session[key].as_array().is_some_and(|it| it.len() == 1);
        assert!(place >= 2 || agreed("paths_received"), "{session}");
        assert!(place < 2 || agreed("paths_sent"), "{session}");
    }
    let short = ASN.to_string();
    let long = [short.as_str(); 3].join(" ");
    let beyond = |path: &str| format!("63806 {path}");
    let at_the_sink = |prefix: &str| {
        let mut paths = sink.paths_of(prefix).unwrap_or_default();
        paths.sort_by_key(String::len);
        paths
    };
    let mut before = Vec::new();
    for (family, prefix) in PREFIXES {
        wait(&format!("both ways to {prefix} are there"), &machines, || {
            let paths: Vec<String> =
                listed(&r1, "received Provider", prefix).into_iter().map(|it| it.0).collect();
            paths == [short.clone(), long.clone()]
        });
        wait(&format!("the sink has both ways to {prefix}"), &machines, || {
            at_the_sink(prefix) == [beyond(&short), beyond(&long)]
        });
        let [taken, sent] = ["received Provider", "sent Customer"].map(|what| listed(&r1, what, prefix));
        for ways in [&taken, &sent] {
            assert!(ways.len() == 2 && ways[0].1 != ways[1].1, "{family}: {ways:?}");
        }
        assert_eq!(sent[0].0, beyond(&short));
        before.push((taken, sent));
    }
    withdraw_the_first(source);
    for ((_, prefix), (taken, sent)) in PREFIXES.into_iter().zip(before) {
        wait(&format!("the second way to {prefix} takes over"), &machines, || {
            at_the_sink(prefix) == [beyond(&long)] && listed(&r1, "received Provider", prefix) == taken[1..]
        });
        // By the identifier that it had.
        assert_eq!(listed(&r1, "sent Customer", prefix), sent[1..]);
        let kernel = r1.run("ip route show; ip -6 route show");
        assert!(kernel.contains(prefix), "{kernel}");
    }
    assert_eq!(established(&r1), 4);
}

pub fn bird_and_bird(world: &mut World) {
    tells_and_takes(world, Kind::Bird, Kind::Bird);
}

pub fn frr_and_frr(world: &mut World) {
    tells_and_takes(world, Kind::Frr, Kind::Frr);
}

pub fn gobgp_and_gobgp(world: &mut World) {
    tells_and_takes(world, Kind::GoBgp, Kind::GoBgp);
}

pub fn bird_and_openbgpd(world: &mut World) {
    tells_and_takes(world, Kind::Bird, Kind::OpenBgpd);
}
