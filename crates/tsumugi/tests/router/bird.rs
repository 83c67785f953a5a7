//! BIRD as a provider on numbered sessions.
//!
//! r2 --eth2-- r1 --eth1-- bird (AS150369)

use super::inside::{start, wait_for_loopbacks, wait_for_sessions};
use super::plans::{inside, originate, provider, router};
use super::world::{Machine, World, wait};
use std::fs;

/// What BIRD announces that must be refused, and the words for it.
const REFUSED: [(&str, &str); 11] = [
    ("0.0.0.0/0", "default route"),
    ("10.1.0.0/16", "within 10.0.0.0/8"),
    ("9.9.9.0/25", "longer than /24"),
    ("43.228.174.0/25", "our own prefix"),
    ("7.7.7.0/24", "our own AS number"),
    ("6.6.6.0/24", "AS64512"),
    ("::/0", "default route"),
    ("2001:db8:1::/48", "within 2001:db8::/32"),
    ("2620:fe:0:1::/64", "longer than /24 (IPv4) or /48 (IPv6)"),
    ("2402:3160:1::/48", "our own prefix 2402:3160::/32"),
    ("2620:77::/48", "our own AS number"),
];

const CONFIGURATION: &str = "
log stderr all;
router id 203.0.113.1;
protocol device { scan time 1; }
protocol kernel k4 { ipv4 { export where source = RTS_BGP; }; }
protocol kernel k6 { ipv6 { export where source = RTS_BGP; }; }
protocol static s4 { ipv4; ROUTES4 }
protocol static s6 { ipv6; ROUTES6 }
filter announce {
    if source != RTS_STATIC then reject;
    if net.type = NET_IP4 then {
        if net = 7.7.7.0/24 then bgp_path.prepend(63806);
        if net = 6.6.6.0/24 then bgp_path.prepend(64512);
        if net = 8.8.8.0/24 then bgp_large_community.add((63806, 1, 0));
    } else {
        if net = 2620:77::/48 then bgp_path.prepend(63806);
    }
    accept;
}
protocol bgp p4 {
    local 203.0.113.1 as 150369; neighbor 203.0.113.2 as 63806;
    connect retry time 1; error wait time 1, 2;
    ipv4 { import all; export filter announce; };
}
protocol bgp p6 {
    local 2001:db8:900:1::1 as 150369; neighbor 2001:db8:900:1::2 as 63806;
    connect retry time 1; error wait time 1, 2;
    ipv6 { import all; export filter announce; };
}
";

fn refusals(machine: &Machine) -> Vec<(String, String)> {
    let status = machine.status();
    let refusals = status["running"]["bgp"]["refusals"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    refusals.iter().map(|refusal| (text(&refusal["prefix"]), text(&refusal["words"]))).collect()
}

pub fn bird_is_a_provider(world: &mut World) {
    let [r1, r2, bird] = ["r1", "r2", "bird"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&bird, "eth1"));
    world.wire((&r1, "eth2"), (&r2, "eth2"));
    bird.run("ip address add 203.0.113.1/30 dev eth1; ip address add 2001:db8:900:1::1/64 dev eth1 nodad");
    bird.run("ip address add 8.8.8.8/32 dev lo; ip address add 2620:fe::8/128 dev lo; ip link set eth1 up");
    let routes = |ipv4: bool, good: &str| {
        let refused = REFUSED.iter().map(|(prefix, _)| *prefix).filter(|prefix| prefix.contains('.') == ipv4);
        [good]
            .into_iter()
            .chain(refused)
            .map(|prefix| format!("route {prefix} blackhole;"))
            .collect::<String>()
    };
    let configuration = CONFIGURATION
        .replace("ROUTES4", &routes(true, "8.8.8.0/24"))
        .replace("ROUTES6", &routes(false, "2620:fe::/48"));
    let directory = world.directory("bird-files");
    let d = directory.display();
    fs::write(directory.join("bird.conf"), configuration).unwrap();
    world.run_on(&bird, &format!("exec bird -f -c {d}/bird.conf -s {d}/bird.ctl"));

    let mut plan = router(1);
    provider(
        &mut plan,
        "eth1",
        150_369,
        &[("203.0.113.2/30", "203.0.113.1"), ("2001:db8:900:1::2/64", "2001:db8:900:1::1")],
    );
    inside(&mut plan, "eth2", 2, false);
    originate(&mut plan, &[2]);
    start(world, &r1, plan);
    let mut plan = router(2);
    inside(&mut plan, "eth2", 1, false);
    start(world, &r2, plan);
    wait_for_sessions(&[&r1, &r2]);
    wait_for_loopbacks(&r2, 2, 1);

    // In: what is good arrives everywhere, and answers come back to loopbacks.
    for machine in [&r1, &r2] {
        wait(&format!("{} reaches the outside", machine.name), &[&r1, &r2, &bird], || {
            machine.reaches("8.8.8.8") && machine.reaches("2620:fe::8")
        });
    }
    // What is not is refused, each for its reason.
    for (prefix, words) in REFUSED {
        wait(&format!("{prefix} is refused"), &[&r1, &bird], || {
            refusals(&r1).iter().any(|(refused, why)| refused == prefix && why.contains(words))
        });
    }
    let kernel = r2.run("ip route show; ip -6 route show");
    for (prefix, _) in REFUSED {
        assert!(!kernel.contains(&format!("{prefix} ")), "{prefix} is in the kernel: {kernel}");
    }
    why(&r1, &bird);
    // Out: the AS's prefixes by its public number, and nothing else.
    let birdc = |what: &str| bird.run(&format!("birdc -r -s {d}/bird.ctl '{what}'"));
    for (protocol, own) in [("p4", "43.228.174.0/24"), ("p6", "2402:3160::/32")] {
        wait(&format!("BIRD has {own}"), &[&r1, &bird], || {
            birdc(&format!("show route protocol {protocol}")).contains(own)
        });
        let routes = birdc(&format!("show route all protocol {protocol}"));
        let paths: Vec<_> = routes.lines().filter(|line| line.contains("BGP.as_path")).collect();
        assert_eq!(paths.len(), 1, "{routes}");
        assert!(paths[0].trim_end().ends_with("as_path: 63806"), "{routes}");
        assert!(!routes.contains("large_community"), "{routes}");
    }
    // A border cut off from the rest of the network withdraws.
    r1.run("ip link set eth2 down");
    for protocol in ["p4", "p6"] {
        wait("BIRD has nothing of ours", &[&r1, &bird], || {
            !birdc(&format!("show route all protocol {protocol}")).contains("BGP.as_path")
        });
    }
    let held_back = r1.status()["running"]["bgp"]["originations"].clone();
    assert!(held_back.to_string().contains("\"announced\":false"), "{held_back}");
}

/// What `tsumugi show` says of it, to people and to programs.
fn why(r1: &Machine, bird: &Machine) {
    let show = |what: &str| {
        let program = env!("CARGO_BIN_EXE_tsumugi");
        let line = format!("{program} show {what} --state {} 2>&1; true", r1.state.display());
        r1.run(&line)
    };
    let holds = |what: &str, words: &[&str]| {
        let said = show(what);
        for word in words {
            assert!(said.contains(word), "show {what}: {word}: {said}\n{}", bird.log());
        }
        said
    };
    let said = holds(
        "route 8.8.8.8 --lang en",
        &["8.8.8.0/24: the longest prefix that holds 8.8.8.8", "packets leave by eth1 by 203.0.113.1"],
    );
    assert!(said.contains("it is the only route") && said.contains("told to r2 eth2"), "{said}");
    assert!(said.contains("not told to provider ipv4: it is the neighbour's own"), "{said}");
    assert!(!said.contains('\x1b'), "no terminal, no colour: {said}");
    holds("route 8.8.8.8 --lang ja", &["8.8.8.8を含む最長のプレフィックス", "ほかに経路がありません"]);
    holds(
        "route 9.9.9.9 --lang en",
        &["there is no route", "9.9.9.0/25 from provider ipv4", "longer than /24"],
    );
    for (prefix, words) in REFUSED {
        let family = if prefix.contains('.') { "ipv4" } else { "ipv6" };
        let said = show(&format!("rejected \"provider {family}\" --lang en"));
        let found = said.lines().any(|line| line.contains(&format!(" {prefix} ")) && line.contains(words));
        assert!(found, "{prefix}: {said}");
    }
    // Both sessions of the peer at once, and one list for programs.
    let received: Vec<serde_json::Value> = serde_json::from_str(&show("received provider --json")).unwrap();
    let taken = received.iter().filter(|it| it["route"]["is"] == "taken").count();
    assert_eq!((taken, received.len()), (2, 2 + REFUSED.len()), "{received:?}");
    holds(
        "sent provider --lang en",
        &["43.228.174.0/24       63806", "2402:3160::/32        63806", "1 in all"],
    );
    holds("bgp --lang en", &["r1: AS", "provider ipv4", "150369", "established for"]);
    holds("sent nobody --lang en", &["there is no neighbour `nobody`", "provider ipv6"]);
}
