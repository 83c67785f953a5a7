//! Past the stack and through it: which way is taken, and what happens on it.

use crate::bench::{Bench, Outside, ip, run, tunnel, turned};
use crate::bulk::stream;
use crate::wireguard;
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};
use tsumugi_core::tunnel::Outer;

/// Packet sockets where nothing speaks against it; raw ones where a tunnel of the kernel's has the same
/// protocol between the same ends, and back again with the next plan.
pub fn the_stack_is_passed_by_where_it_can_be() {
    let bench = Bench::new("path", 1500);
    let plan = tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 2400);
    bench.start(&plan);
    bench.reachable(Duration::from_secs(10));
    assert_eq!(bench.status(0)["lines"][0]["path"], "packet", "{}", bench.status(0));
    let alpha = &bench.machines[0];
    let rules = || alpha.in_plane("underlay", || run("nft", "list ruleset")).unwrap_or_default();
    assert!(rules().contains("ip saddr 192.0.2.2 ip daddr 192.0.2.1"), "{}", rules());
    let gre = |engine| Tunnel {
        engine,
        ..tunnel("gre-k", Encapsulation::Gre { key: Some(1) }, Outside::V4, 1500, 1400)
    };
    let tap = tunnel("tap-k", Encapsulation::Gretap { key: Some(2) }, Outside::V4, 1500, 1400);
    alpha.write_plan(vec![plan.clone(), gre(Engine::Kernel), tap]);
    alpha.signal(nix::sys::signal::Signal::SIGHUP);
    alpha.wait_for("the kernel's tunnel keeps its packets", || {
        bench.status(0)["lines"][0]["why"] == "shared-with-stack"
    });
    assert!(!rules().contains("tsumugi-datapath"), "{}", rules());
    bench.reachable(Duration::from_secs(10));
    stream(&bench, false, 0);
    stream(&bench, true, 1);
    alpha.write_plan(vec![plan]);
    alpha.signal(nix::sys::signal::Signal::SIGHUP);
    alpha.wait_for("past the stack again", || bench.status(0)["lines"][0]["path"] == "packet");
    bench.reachable(Duration::from_secs(10));
}

/// The far end gets another Ethernet address, as when another router takes over.
pub fn a_next_hop_may_change() {
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("hop", 1500);
        bench.start(&tunnel("eip-x", Encapsulation::EtherIp, outside, 1500, 2400));
        bench.reachable(Duration::from_secs(10));
        bench.machines[1].in_plane("underlay", || ip("link set eth1 address 02:00:00:00:01:77"));
        assert!(!bench.try_ping(false, 100, 1), "nobody has been told");
        bench.machines[0].in_plane("underlay", || {
            for far in ["192.0.2.2", "2001:db8:101::2"] {
                ip(&format!("neighbour replace {far} lladdr 02:00:00:00:01:77 dev eth1 nud permanent"));
            }
        });
        bench.reachable(Duration::from_secs(2));
        // Nothing is known of it any more: the stack asks on the wire, and we hear the answer.
        bench.machines[0].in_plane("underlay", || {
            ip("neighbour del 192.0.2.2 dev eth1");
            ip("neighbour del 2001:db8:101::2 dev eth1");
        });
        bench.reachable(Duration::from_secs(5));
    }
}

/// The line's own merging (GRO) makes one packet of many that carry TCP in GRE, larger than any of the
/// tunnel and with a checksum that is not complete.
pub fn what_the_line_merges_arrives() {
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("gro", 1500);
        let plan = tunnel("gre-x", Encapsulation::Gre { key: None }, outside, 1500, 1400);
        bench.start_ends(&plan, &turned(&plan));
        for machine in &bench.machines {
            let on = machine.in_plane("underlay", || run("ethtool", "-K eth1 gro on"));
            if on.is_none() {
                println!("no ethtool: merging is not tested");
                return;
            }
        }
        bench.reachable(Duration::from_secs(10));
        for ipv6 in [false, true] {
            stream(&bench, ipv6, 0);
            stream(&bench, ipv6, 1);
        }
    }
}

/// Pieces that come late, twice, the wrong way round or among others.
pub fn pieces_may_come_in_any_order() {
    let bench = Bench::new("pieces", 1500);
    bench.start(&tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 2400));
    bench.reachable(Duration::from_secs(10));
    bench.quiet();
    let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5][..], &[7; 2400]].concat();
    let payload = [&[0x30, 0][..], &frame].concat();
    let cut = |source: &str, path: u16, number: u32| -> Vec<Vec<u8>> {
        let outer = Outer::new(source.parse().unwrap(), "192.0.2.1".parse().unwrap(), 97, path).unwrap();
        let pieces = outer.fragments(&payload, number).unwrap();
        pieces.map(|piece| [piece.header(), piece.payload].concat()).collect()
    };
    let received = || bench.status(0)["tunnels"][0]["received"]["packets"].as_u64().unwrap();
    let before = received();
    let two = cut("192.0.2.2", 1500, 1001);
    let mut three = cut("192.0.2.2", 1000, 1002);
    bench.forge_packets(&[two[1].clone(), two[0].clone()]);
    three.swap(0, 2);
    let other = cut("192.0.2.2", 1500, 1003);
    bench.forge_packets(&[
        three[0].clone(),
        other[0].clone(),
        three[1].clone(),
        three[1].clone(),
        other[1].clone(),
        three[2].clone(),
    ]);
    // A stranger's pieces are not even kept.
    bench.forge_packets(&cut("192.0.2.77", 1500, 1004));
    let alpha = &bench.machines[0];
    alpha.wait_for("the three are there", || received() == before + 3);
    let drops = |reason: &str| bench.status(0)["lines"][0]["drops"][reason].as_u64().unwrap_or(0);
    assert_eq!(drops("duplicate-fragment"), 1, "{}", bench.status(0));
    assert_eq!(drops("unknown-source"), 2, "{}", bench.status(0));
    // What overlaps is dropped, and so is what comes after.
    let mut overlapping = cut("192.0.2.2", 1500, 1005);
    let smaller = cut("192.0.2.2", 1000, 1005);
    overlapping.insert(1, smaller[1].clone());
    bench.forge_packets(&overlapping);
    alpha.wait_for("it is counted", || drops("overlapping-fragment") == 2);
    // The other piece never comes.
    bench.forge_packets(&cut("192.0.2.2", 1500, 1006)[..1]);
    alpha.wait_for("it is forgotten", || drops("fragments-missing") == 1);
    assert_eq!(received(), before + 3);
}

/// SIGKILL, and packets pass again within a second of the next start; interfaces, addresses and routes are
/// what they were. A machine that is busy with other things gets three tries.
pub fn a_killed_process_is_back_within_a_second() {
    for (kind, outside) in [
        (Encapsulation::EtherIp, Outside::V6),
        (Encapsulation::Gre { key: Some(7) }, Outside::V4),
        (Encapsulation::Gretap { key: None }, Outside::V6),
        (wireguard(), Outside::V4),
    ] {
        let bench = Bench::new("back", 1500);
        bench.start(&tunnel("back-x", kind, outside, 1500, 2400));
        bench.reachable(Duration::from_secs(10));
        let alpha = &bench.machines[0];
        let stood = alpha.fabric();
        let mut took = Duration::MAX;
        for _ in 0..3 {
            alpha.kill();
            assert!(!bench.try_ping(false, 100, 1));
            let start = Instant::now();
            alpha.start();
            while alpha.in_plane("fabric", || run("ping", "-n -q -c 1 -W 0.1 198.18.0.2")).is_none() {
                assert!(start.elapsed() < Duration::from_secs(10), "{}", bench.status(0));
            }
            took = start.elapsed();
            // The kernel looks at carriers once a second.
            alpha.wait_for("all is as it was", || alpha.fabric() == stood);
            println!("back after {took:?}");
            if took < Duration::from_secs(1) {
                break;
            }
        }
        assert!(took < Duration::from_secs(1), "back only after {took:?}");
    }
}

/// A line that goes down and comes up again, with its sockets.
pub fn a_line_may_go_down_and_up() {
    let bench = Bench::new("down", 1500);
    bench.start(&tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 2400));
    bench.reachable(Duration::from_secs(10));
    let alpha = &bench.machines[0];
    alpha.in_plane("underlay", || ip("link set eth1 down"));
    assert!(!bench.try_ping(false, 100, 1));
    // The next life finds the line down.
    alpha.kill();
    alpha.start();
    alpha.wait_for("it answers", || bench.status(0)["tunnels"][0]["state"] == "up");
    alpha.in_plane("underlay", || ip("link set eth1 up"));
    bench.reachable(Duration::from_secs(10));
    assert_eq!(bench.status(0)["lines"][0]["path"], "packet", "{}", bench.status(0));
    alpha.in_plane("underlay", || ip("link set eth1 down"));
    alpha.in_plane("underlay", || ip("link set eth1 up"));
    bench.reachable(Duration::from_secs(10));
}
