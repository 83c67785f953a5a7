//! `tsumugi probe` over a path whose middle drops what it likes.
//!
//! ```text
//!   alpha eth1 ── m0 br0 m1 ── eth1 beta        nftables drops at the bridge
//! ```

use crate::bench::{Bench, Outside, ip, run, tunnel, turned};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tsumugi_core::id::Mac;
use tsumugi_core::router_plan::{Encapsulation, Engine, Keepalive, Tunnel, TunnelClamp};

/// The same with ends that speak to each other.
pub fn speaking(plan: Tunnel) -> Tunnel {
    let keepalive = Keepalive::Signals {
        local: "fe80::1".parse().unwrap(),
        remote: "fe80::2".parse().unwrap(),
        remote_mac: plan.mac.map(|_| Mac([2, 0, 0, 0, 0, 2])),
    };
    Tunnel { keepalive, ..plan }
}

fn far(near: &Tunnel) -> Tunnel {
    if !matches!(near.keepalive, Keepalive::Signals { .. }) {
        return turned(near);
    }
    let keepalive = Keepalive::Signals {
        local: "fe80::2".parse().unwrap(),
        remote: "fe80::1".parse().unwrap(),
        remote_mac: near.mac.map(|_| Mac([2, 0, 0, 0, 0, 1])),
    };
    Tunnel { keepalive, ..turned(near) }
}

pub fn started(name: &str, near: &Tunnel) -> Bench {
    let bench = Bench::new(name, 1500);
    bench.wire_through_the_middle();
    bench.start_ends(near, &far(near));
    bench.reachable(Duration::from_secs(10));
    bench
}

/// Has the bridge drop what `rules` say; `m0` is alpha's side.
pub fn drop_in_the_middle(bench: &Bench, rules: &str) {
    let text = format!(
        "table bridge middle {{
            set seen {{ typeof frag id; flags dynamic,timeout; timeout 5s; }}
            chain forward {{ type filter hook forward priority 0; {rules} }}
        }}"
    );
    bench.in_the_middle(|| feed_nft(&text));
}

fn feed_nft(text: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{text}");
}

fn probe(bench: &Bench, arguments: &[&str]) -> Output {
    let state = bench.machines[0].state.to_str().unwrap();
    Command::new(env!("CARGO_BIN_EXE_tsumugi"))
        .args(["probe", "--state", state])
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

#[track_caller]
pub fn found(bench: &Bench, tunnel: &str) -> Value {
    let output = probe(bench, &[tunnel, "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(said["said"], "found", "{said}");
    said
}

fn kinds() -> [Tunnel; 3] {
    let wireguard = Encapsulation::WireGuard {
        local_key: crate::bench::key_name(1),
        remote_key: crate::bench::key_name(2),
        local_port: 20008,
        remote_port: 20004,
    };
    [
        tunnel("gre-x", Encapsulation::Gre { key: None }, Outside::V6, 1500, 2400),
        tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 2400),
        tunnel("wg-x", wireguard, Outside::V6, 1500, 2400),
    ]
    .map(speaking)
}

/// Full packets vanish until the path is measured; then they pass, after a restart too, until the plan speaks
/// of another path.
pub fn a_narrow_path_is_found_kept_and_used() {
    for near in kinds() {
        let bench = started("narrow", &near);
        let name = near.name.as_str();
        drop_in_the_middle(&bench, "meta length > 1408 drop; iifname \"m1\" meta length > 1344 drop;");
        assert!(!bench.try_ping(false, 2400, 1), "{name}: a full packet does not pass");
        let said = found(&bench, name);
        assert_eq!((&said["out"]["mtu"], &said["back"]["mtu"]), (&1408.into(), &1344.into()), "{said}");
        assert_eq!(said["out"]["pieces"], serde_json::json!({"sent": 4, "arrived": 4}), "{said}");
        let status = bench.status(0);
        let of = &status["tunnels"][0];
        assert_eq!((&of["path_mtu"], &of["measured"]["back"]["mtu"]), (&1408.into(), &1344.into()), "{of}");

        // The other end measures for itself: what it sends is cut by what it found.
        let state = bench.machines[1].state.to_str().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_tsumugi"))
            .args(["probe", name, "--state", state, "--lang", "ja"])
            .output()
            .unwrap();
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(page.contains("1344バイトまで分割なしで通過") && page.contains("path-mtu = 1344"), "{page}");
        bench.ping(false, 2400, 5);
        bench.ping(true, 2400, 5);

        let alpha = &bench.machines[0];
        alpha.kill();
        alpha.start();
        bench.reachable(Duration::from_secs(10));
        assert_eq!(bench.status(0)["tunnels"][0]["path_mtu"], 1408, "{}", bench.status(0));
        bench.ping(false, 2400, 5);
        if near.outer_ipv6 {
            continue;
        }
        alpha.in_plane("underlay", || ip("address add 192.0.2.9/24 dev eth1"));
        alpha.write_plan(vec![Tunnel { local: Some("192.0.2.9".parse().unwrap()), ..near }]);
        alpha.signal(nix::sys::signal::Signal::SIGHUP);
        alpha.wait_for("the plan's own again", || {
            let status = bench.status(0);
            let tunnel = &status["tunnels"][0];
            tunnel["local"] == "192.0.2.9" && tunnel["path_mtu"] == 1500 && tunnel["measured"].is_null()
        });
    }
}

/// What is wrong is said in plain words, with what to do; TCP is made to fit even where it was to be left alone.
pub fn a_path_that_drops_fragments_is_said() {
    for (near, rule) in kinds().into_iter().zip([
        "ether type ip6 exthdr frag exists drop;",
        "ether type ip ip frag-off & 0x3fff != 0 drop;",
        "ether type ip6 exthdr frag exists drop;",
    ]) {
        let near = Tunnel { clamp: TunnelClamp::Off, ..near };
        let bench = started("fragments", &near);
        drop_in_the_middle(&bench, rule);
        let output = probe(&bench, &[near.name.as_str()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        for words in [
            "fragments DROPPED, out of order DROPPED, 0.0 % lost",
            "TROUBLE: the path in both directions drops IP fragments",
            "although the plan says clamp off",
            "Ask who runs the line",
            "kept, and in force from now on",
        ] {
            assert!(page.contains(words), "{words}:\n{page}");
        }
        let state = bench.machines[0].state.to_str().unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_tsumugi"))
            .args(["status", "--state", state])
            .env("LC_ALL", "C")
            .output();
        let shown = String::from_utf8_lossy(&status.unwrap().stdout).into_owned();
        assert!(shown.contains("TROUBLE: the path in both directions drops IP fragments"), "{shown}");
        let mss = &bench.status(0)["tunnels"][0]["measured"]["mss"];
        assert!(mss.is_array(), "{mss}");
    }
}

/// A wall that lets a later piece pass only behind the first.
pub fn pieces_out_of_order_are_told_apart() {
    let near = kinds()[0].clone();
    let bench = started("turned", &near);
    drop_in_the_middle(
        &bench,
        "ether type ip6 exthdr frag exists frag frag-off 0 update @seen { frag id }; \
         ether type ip6 exthdr frag exists frag frag-off != 0 frag id != @seen drop;",
    );
    let said = found(&bench, "gre-x");
    for way in ["out", "back"] {
        assert_eq!(said[way]["pieces"], serde_json::json!({"sent": 4, "arrived": 4}), "{said}");
        assert_eq!(said[way]["turned"], serde_json::json!({"sent": 4, "arrived": 0}), "{said}");
    }
    let trouble = serde_json::json!([{"trouble": "turned-dropped", "affected": "both"}]);
    assert_eq!(said["troubles"], trouble);
    bench.ping(false, 2400, 5);
}

/// A tenth of all packets is lost: that is told, and not taken for a size.
pub fn loss_is_not_taken_for_a_size() {
    let near = kinds()[1].clone();
    let bench = started("loss", &near);
    drop_in_the_middle(&bench, "meta length > 1400 drop; numgen random mod 100 < 10 drop;");
    let said = found(&bench, "eip-x");
    for way in ["out", "back"] {
        assert_eq!(said[way]["mtu"], 1400, "{said}");
        assert_ne!(said[way]["pieces"]["arrived"], 0, "{said}");
        let train = &said[way]["train"];
        let lost = train["sent"].as_u64().unwrap() - train["arrived"].as_u64().unwrap();
        assert!((1..40).contains(&lost), "{said}");
    }
}

/// Who cannot answer is told from what does not pass, and a slip of the finger from both.
pub fn what_cannot_be_measured_is_refused_with_a_reason() {
    let near = kinds()[0].clone();
    let bench = started("refused", &near);
    let words = |arguments: &[&str]| {
        let output = probe(&bench, arguments);
        assert_ne!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(words(&["gre-y"]).contains("did you mean `gre-x`?"), "{}", words(&["gre-y"]));
    assert!(words(&["zzz"]).contains("there are gre-x"), "{}", words(&["zzz"]));
    bench.machines[1].kill();
    assert!(words(&["gre-x"]).contains("not one answer"), "{}", words(&["gre-x"]));
    let alpha = &bench.machines[0];
    alpha.write_plan(vec![Tunnel { keepalive: Keepalive::Off, ..near.clone() }]);
    alpha.signal(nix::sys::signal::Signal::SIGHUP);
    alpha.wait_for("the file wants nobody asked", || words(&["gre-x"]).contains("not to be asked"));
    alpha.kill();
    assert!(words(&["gre-x"]).contains("the datapath does not answer"), "{}", words(&["gre-x"]));
}

/// Where the middle lets no more than 1408 bytes pass from alpha to beta.
fn narrow_the_way_out(bench: &Bench) {
    drop_in_the_middle(bench, "iifname \"m0\" meta length > 1408 drop;");
}

/// The far end is no datapath of ours: its neighbour inside answers echo requests.
pub fn a_neighbour_of_others_tells_of_the_path() {
    for (encapsulation, outside, [source, address], width) in [
        (Encapsulation::EtherIp, Outside::V6, ["203.0.113.2", "203.0.113.1"], 30),
        (Encapsulation::Gretap { key: None }, Outside::V4, ["2001:db8:900::2", "2001:db8:900::1"], 64),
    ] {
        let plain = tunnel("eip-x", encapsulation, outside, 1500, 2400);
        let keepalive =
            Keepalive::Neighbour { address: address.parse().unwrap(), source: source.parse().unwrap() };
        let near = Tunnel { keepalive, ..plain.clone() };
        let bench = Bench::new("neighbour", 1500);
        bench.wire_through_the_middle();
        bench.start_ends(&near, &turned(&plain));
        for (machine, address) in bench.machines.iter().zip([source, address]) {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            machine.in_plane("fabric", || ip(&format!("address add {address}/{width} dev eip-x {nodad}")));
        }
        narrow_the_way_out(&bench);
        let alpha = &bench.machines[0];
        alpha.wait_for("the neighbour answers", || {
            bench.status(0)["tunnels"][0]["keepalive"]["far-end"] == "alive"
        });
        let said = found(&bench, "eip-x");
        assert_eq!(said["answered_by"], "neighbour", "{said}");
        assert_eq!((&said["out"]["mtu"], &said["back"]), (&1408.into(), &Value::Null), "{said}");
        for pieces in ["pieces", "turned"] {
            assert_eq!(said["out"][pieces], serde_json::json!({"sent": 4, "arrived": 4}), "{said}");
        }
        assert_eq!(bench.status(0)["tunnels"][0]["path_mtu"], 1408, "{}", bench.status(0));
        bench.ping(false, 2400, 5);
        bench.ping(true, 2400, 5);
        // Others' answers to others' questions go on to whoever asked.
        let asked = alpha.in_plane("fabric", || run("ping", &format!("-n -q -c 2 -W 5 {address}")));
        assert!(asked.is_some_and(|text| text.contains("2 received")));

        // It answers no echo any more: the machine beside the tunnel does.
        let silence = "table inet silent { chain in { type filter hook input priority 0; \
                       icmp type echo-request drop; icmpv6 type echo-request drop; }; }";
        bench.machines[1].in_plane("fabric", || feed_nft(silence));
        let page = String::from_utf8_lossy(&probe(&bench, &["eip-x"]).stdout).into_owned();
        for words in ["there and back: 1408 bytes pass whole", "answered echo requests beside the tunnel"] {
            assert!(page.contains(words), "{words}:\n{page}");
        }
        bench.machines[1].in_plane("underlay", || feed_nft(silence));
        let page = String::from_utf8_lossy(&probe(&bench, &["eip-x"]).stdout).into_owned();
        assert!(page.contains("not one answer to echo requests, inside the tunnel or beside it"), "{page}");
        assert_eq!(bench.status(0)["tunnels"][0]["path_mtu"], 1408, "what was known stays");
    }
}

/// Nobody inside is known: the machine itself is asked, in packets cut like the tunnel's.
pub fn the_machine_at_the_far_end_tells_of_the_path() {
    for outside in [Outside::V4, Outside::V6] {
        let near = tunnel("gre-x", Encapsulation::Gre { key: None }, outside, 1500, 2400);
        let bench = started("beside", &Tunnel { keepalive: Keepalive::Nobody, ..near.clone() });
        narrow_the_way_out(&bench);
        let said = found(&bench, "gre-x");
        assert_eq!(said["answered_by"], "machine", "{said}");
        assert_eq!((&said["out"]["mtu"], &said["back"]), (&1408.into(), &Value::Null), "{said}");
        assert_eq!(said["out"]["turned"], serde_json::json!({"sent": 4, "arrived": 4}), "{said}");
        assert_eq!(bench.status(0)["tunnels"][0]["path_mtu"], 1408, "{}", bench.status(0));
    }
    let near = tunnel("gre-x", Encapsulation::Gre { key: None }, Outside::V6, 1500, 2400);
    let bench = started("beside", &near);
    drop_in_the_middle(&bench, "iifname \"m0\" ether type ip6 exthdr frag exists drop;");
    let page = String::from_utf8_lossy(&probe(&bench, &["gre-x"]).stdout).into_owned();
    assert!(page.contains("TROUBLE: the path there or back drops IP fragments"), "{page}");
}

/// Who writes another size into the file has the last word, unless it is the one that was found.
pub fn a_changed_file_makes_a_measurement_void() {
    let near = kinds()[0].clone();
    let bench = started("void", &near);
    narrow_the_way_out(&bench);
    found(&bench, "gre-x");
    let alpha = &bench.machines[0];
    let says = |path_mtu: u16, in_force: u16, is_void: bool| {
        alpha.write_plan(vec![Tunnel { path_mtu, ..near.clone() }]);
        alpha.signal(nix::sys::signal::Signal::SIGHUP);
        alpha.wait_for(&format!("the file says {path_mtu}"), || {
            let tunnel = &bench.status(0)["tunnels"][0];
            tunnel["path_mtu"] == in_force
                && tunnel["measured"].is_null() == is_void
                && tunnel["measured_void"].is_null() != is_void
        });
    };
    says(1280, 1280, true);
    let void = &bench.status(0)["tunnels"][0]["measured_void"];
    assert_eq!((&void["found"], &void["planned_then"]), (&1408.into(), &1500.into()), "{void}");
    alpha.kill();
    alpha.start();
    alpha.wait_for("and in the next life", || bench.status(0)["tunnels"][0]["path_mtu"] == 1280);
    says(1408, 1408, false);
    says(1280, 1280, true);
    found(&bench, "gre-x");
    assert_eq!(bench.status(0)["tunnels"][0]["path_mtu"], 1408, "measured anew");
}

/// Through the stack, which puts pieces together itself: what is found is the same, in each direction.
pub fn a_path_is_measured_by_raw_sockets_too() {
    let keyed = |key| Encapsulation::Gre { key: Some(key) };
    for outside in [Outside::V4, Outside::V6] {
        let near = speaking(tunnel("gre-x", keyed(1), outside, 1500, 2400));
        let bench = started("rawpath", &near);
        // The stack has to have the line, for a tunnel that is the kernel's.
        let kernel = Tunnel { engine: Engine::Kernel, ..tunnel("k-x", keyed(77), Outside::V4, 1500, 1400) };
        let shared = tunnel("gre-k", keyed(78), Outside::V4, 1500, 1400);
        bench.machines[0].reload(&[near.clone(), kernel.clone(), shared.clone()]);
        bench.machines[1].reload(&[far(&near), turned(&kernel), turned(&shared)]);
        for (at, machine) in bench.machines.iter().enumerate() {
            machine.wait_for("through the stack", || bench.status(at)["lines"][0]["path"] == "raw");
        }
        bench.reachable(Duration::from_secs(10));
        narrow_the_way_out(&bench);
        let said = found(&bench, "gre-x");
        assert_eq!((&said["out"]["mtu"], &said["back"]["mtu"]), (&1408.into(), &1500.into()), "{said}");
        for direction in ["out", "back"] {
            for pieces in ["pieces", "turned"] {
                assert_eq!(said[direction][pieces], serde_json::json!({"sent": 4, "arrived": 4}), "{said}");
            }
        }
        assert_eq!(bench.status(0)["tunnels"][0]["path_mtu"], 1408, "{}", bench.status(0));
        bench.ping(outside == Outside::V6, 2400, 3);
    }
}
