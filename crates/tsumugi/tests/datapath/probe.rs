//! `tsumugi probe` over a path whose middle drops what it likes.
//!
//! ```text
//!   alpha eth1 ── m0 br0 m1 ── eth1 beta        nftables drops at the bridge
//! ```

use crate::bench::{Bench, Outside, ip, tunnel, turned};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tsumugi_core::id::Mac;
use tsumugi_core::router_plan::{Encapsulation, Keepalive, Tunnel, TunnelClamp};

/// The same with ends that speak to each other.
fn speaking(plan: Tunnel) -> Tunnel {
    let keepalive = Keepalive::Signals {
        local: "fe80::1".parse().unwrap(),
        remote: "fe80::2".parse().unwrap(),
        remote_mac: plan.mac.map(|_| Mac([2, 0, 0, 0, 0, 2])),
    };
    Tunnel { keepalive, ..plan }
}

fn far(near: &Tunnel) -> Tunnel {
    let keepalive = Keepalive::Signals {
        local: "fe80::2".parse().unwrap(),
        remote: "fe80::1".parse().unwrap(),
        remote_mac: near.mac.map(|_| Mac([2, 0, 0, 0, 0, 1])),
    };
    Tunnel { keepalive, ..turned(near) }
}

fn started(name: &str, near: &Tunnel) -> Bench {
    let bench = Bench::new(name, 1500);
    bench.wire_through_the_middle();
    bench.start_ends(near, &far(near));
    bench.reachable(Duration::from_secs(10));
    bench
}

/// Has the bridge drop what `rules` say; `m0` is alpha's side.
fn drop_in_the_middle(bench: &Bench, rules: &str) {
    let text = format!(
        "table bridge middle {{
            set seen {{ typeof frag id; flags dynamic,timeout; timeout 5s; }}
            chain forward {{ type filter hook forward priority 0; {rules} }}
        }}"
    );
    bench.in_the_middle(|| {
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{text}");
    });
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
fn found(bench: &Bench, tunnel: &str) -> Value {
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
            "although the file says clamp off",
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
    alpha.write_plan(vec![Tunnel { keepalive: Keepalive::Nobody, ..near.clone() }]);
    alpha.signal(nix::sys::signal::Signal::SIGHUP);
    alpha.wait_for("the far end is a stranger", || words(&["gre-x"]).contains("no router of the file"));
    alpha.kill();
    assert!(words(&["gre-x"]).contains("the datapath does not answer"), "{}", words(&["gre-x"]));
}
