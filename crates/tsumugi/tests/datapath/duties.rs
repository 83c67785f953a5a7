//! What a tunnel owes whichever way its frames take, while the shortcut is open.

use crate::bench::{Bench, Outside, ip, tunnel};
use crate::bulk::{datagrams, stream};
use crate::handover::Stranger;
use crate::keepalive::{asking, has_carrier, keepalive, wait_for_carrier, wait_until};
use crate::probe::{drop_in_the_middle, found, speaking, started};
use crate::shortcut::{PATIENCE, by_the_pair, left, plan, shortcut_is};
use std::collections::BTreeSet;
use std::net::{TcpStream, UdpSocket};
use tsumugi_core::id::Vni;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};

/// Whether packets of this size, the inner packet's header included, go out by the shortcut.
#[track_caller]
fn passes(bench: &Bench, len: usize, by_shortcut: bool) {
    let (_, before) = by_the_pair(bench);
    assert!(bench.try_ping(false, len, 3), "{len}: {}", bench.status(0));
    let (_, after) = by_the_pair(bench);
    assert_eq!(after >= before + 3, by_shortcut, "{len}: {before} {after}");
}

/// What the kernel sends has the hop limit and the class of what the process sends (RFC 6040 4.1, RFC 9601 4),
/// and in IPv4 numbers that the process has not (RFC 6864 4.3).
pub fn both_ways_send_the_same_outer_packets() {
    const EACH: usize = 20;
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("sameouter", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        shortcut_is(&bench, "open");
        let (header, source) = if outside == Outside::V4 { (20, 15) } else { (40, 23) };
        let class_of = |packet: &[u8]| match outside {
            Outside::V4 => packet[1],
            Outside::V6 => packet[0] << 4 | packet[1] >> 4,
        };
        let capture = bench.capture();
        // On their arrival: what the kernel redirects looks odd to sockets while it leaves.
        bench.machines[1].in_plane("fabric", || {
            let socket = UdpSocket::bind("198.18.0.2:0").unwrap();
            // CS1, and ECN capable: neither stands outside.
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4Tos, &0x22).unwrap();
            for _ in 0..EACH {
                socket.send_to(&[7; 64], "198.18.0.1:9").unwrap();
                // A SYN, which is the process's. Nobody listens there.
                TcpStream::connect("198.18.0.1:9").unwrap_err();
            }
        });
        let [mut by_kernel, mut by_process] = [const { Vec::new() }; 2];
        bench.machines[0].wait_for_mut("all have been seen", || {
            for packet in capture.packets() {
                let inner = header + 2 + 14;
                if packet.len() < inner + 34 || packet[source] != 2 || packet[inner] != 0x45 {
                    continue;
                }
                match packet[inner + 9] {
                    17 => by_kernel.push(packet),
                    6 if packet[inner + 33] & 2 != 0 => by_process.push(packet),
                    _ => {}
                }
            }
            by_kernel.len() >= EACH && by_process.len() >= EACH
        });
        for packet in by_kernel.iter().chain(&by_process) {
            let hop_limit = packet[if outside == Outside::V4 { 8 } else { 7 }];
            assert_eq!(
                (class_of(packet), hop_limit, packet[header..header + 2].to_vec()),
                (0, 64, vec![0x30, 0])
            );
            assert!(outside == Outside::V6 || packet[6..8] == [0, 0], "{packet:02x?}");
        }
        if outside == Outside::V4 {
            let numbers = |packets: &[Vec<u8>]| -> BTreeSet<u16> {
                packets.iter().map(|packet| u16::from_be_bytes([packet[4], packet[5]])).collect()
            };
            let (kernel, process) = (numbers(&by_kernel), numbers(&by_process));
            assert_eq!((kernel.len(), process.len()), (by_kernel.len(), by_process.len()));
            assert!(kernel.iter().all(|number| *number >= 0xe000), "{kernel:x?}");
            assert!(process.iter().all(|number| (0xc000..0xe000).contains(number)), "{process:x?}");
        }
    }
}

/// The path is measured, and holds less than the file says: what fits no more goes through the process, which cuts it.
pub fn a_narrow_path_narrows_the_shortcut() {
    let near = speaking(plan(Outside::V4));
    let bench = started("shortnarrow", &near);
    shortcut_is(&bench, "open");
    passes(&bench, 1464, true);
    drop_in_the_middle(&bench, "meta length > 1408 drop;");
    assert!(!bench.try_ping(false, 1464, 1), "too large for the path, and nobody knows");
    found(&bench, near.name.as_str());
    // The echoes come back by the other end's shortcut, which has measured nothing: it has to as well.
    let state = bench.machines[1].state.to_str().unwrap();
    // A narrower path than the file says is trouble, which is told by the exit status too.
    let measured = std::process::Command::new(env!("CARGO_BIN_EXE_tsumugi"))
        .args(["probe", near.name.as_str(), "--state", state])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&measured.stdout).contains("packets are cut at 1408"), "{measured:?}");
    let fits = 1408 - 20 - 2 - 14;
    bench.machines[0].wait_for("the shortcut knows the path", || {
        let (_, before) = by_the_pair(&bench);
        bench.try_ping(false, fits + 1, 1) && by_the_pair(&bench).1 == before
    });
    passes(&bench, fits, true);
    passes(&bench, fits + 1, false);
    passes(&bench, 2400, false);
    shortcut_is(&bench, "open");
}

/// The far end gets another Ethernet address while a successor knocks that does not take over in the end.
pub fn the_shortcut_follows_the_next_hop() {
    let bench = Bench::new("shorthop", 1500);
    bench.start(&plan(Outside::V6));
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "open");
    let alpha = &bench.machines[0];
    let dying = Stranger::knock(alpha);
    dying.hello(1);
    dying.hear("all");
    alpha.wait_for("closed", || bench.status(0)["tunnels"][0]["shortcut-why"]["reason"] == "handover");
    passes(&bench, 100, false);
    bench.machines[1].in_plane("underlay", || ip("link set eth1 address 02:00:00:00:01:77"));
    alpha.in_plane("underlay", || {
        ip("neighbour replace 2001:db8:101::2 lladdr 02:00:00:00:01:77 dev eth1 nud permanent");
    });
    drop(dying);
    shortcut_is(&bench, "open");
    bench.reachable(PATIENCE);
    passes(&bench, 100, true);
    // Once more, with nobody who knocks.
    bench.machines[1].in_plane("underlay", || ip("link set eth1 address 02:00:00:00:01:78"));
    alpha.in_plane("underlay", || {
        ip("neighbour replace 2001:db8:101::2 lladdr 02:00:00:00:01:78 dev eth1 nud permanent");
    });
    bench.reachable(PATIENCE);
    passes(&bench, 100, true);
}

/// What the far end sends goes astray: what little the kernel has heard of it keeps nobody alive, the carrier goes
/// and the shortcut with it, until the far end is heard again.
pub fn a_dead_far_end_closes_the_shortcut() {
    let bench = Bench::new("shortdead", 1500);
    let [near, far] = asking(plan(Outside::V4));
    bench.start_ends(&near, &far);
    for machine in 0..2 {
        wait_until(&bench, machine, "alive");
    }
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "open");
    let lead_to = |mac: &str| {
        bench.machines[1].in_plane("underlay", || {
            ip(&format!("neighbour replace 192.0.2.1 lladdr {mac} dev eth1 nud permanent"));
        });
    };
    lead_to("02:00:00:00:09:09");
    for machine in 0..2 {
        wait_for_carrier(&bench, machine, "eip-x", false);
        bench.machines[machine].wait_for("closed", || {
            bench.status(machine)["tunnels"][0]["shortcut-why"]["reason"] == "no-carrier"
        });
    }
    lead_to("02:00:00:00:01:01");
    for machine in 0..2 {
        wait_for_carrier(&bench, machine, "eip-x", true);
    }
    shortcut_is(&bench, "open");
    bench.reachable(PATIENCE);
    passes(&bench, 100, true);
    assert!(has_carrier(&bench, 0, "eip-x"), "{}", keepalive(&bench, 0));
}

/// GENEVE on the same line has the process hear all of it; without it the shortcut opens again. Of two tunnels one
/// may leave the shortcut, and its device loses the program.
pub fn others_on_the_line_close_the_shortcut_and_open_it_again() {
    let bench = Bench::new("shortothers", 1500);
    let eip = plan(Outside::V6);
    bench.start(&eip);
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "open");
    let alpha = &bench.machines[0];
    let geneve = tunnel("gnv-x", Encapsulation::Geneve { vni: Vni(1) }, Outside::V4, 1500, 1400);
    let why = |of: &str| {
        let status = bench.status(0);
        let tunnels = status["tunnels"].as_array().cloned().unwrap_or_default();
        tunnels.into_iter().find(|tunnel| tunnel["name"] == of).unwrap_or_default()
    };
    alpha.reload(&[eip.clone(), geneve]);
    alpha.wait_for("closed", || why("eip-x")["shortcut-why"]["reason"] == "geneve");
    bench.ping(true, 2400, 2);
    stream(&bench, true, 0);
    // A second tunnel to another far end, of the kind that has the shortcut.
    let second = Tunnel {
        remote: Some("192.0.2.99".parse().unwrap()),
        ..Tunnel { engine: Engine::Auto, ..tunnel("eip-y", Encapsulation::EtherIp, Outside::V4, 1500, 2400) }
    };
    alpha.in_plane("underlay", || {
        ip("neighbour replace 192.0.2.99 lladdr 02:00:00:00:01:99 dev eth1 nud permanent");
    });
    alpha.reload(&[eip.clone(), second.clone()]);
    alpha.wait_for("both", || ["eip-x", "eip-y"].iter().all(|name| why(name)["shortcut"] == "open"));
    bench.reachable(PATIENCE);
    passes(&bench, 100, true);
    let programs = || left(&bench, 0).matches("link_type").count();
    let with_both = programs();
    alpha.reload(&[eip, Tunnel { engine: Engine::Userspace, ..second }]);
    alpha.wait_for("closed", || why("eip-y")["shortcut-why"]["reason"] == "stated");
    // Before Linux 6.6 there are none that could be counted.
    alpha.wait_for("its program is gone", || with_both == 0 || programs() == with_both - 1);
    passes(&bench, 100, true);
}

/// UDP that is handed over as one (UDP_SEGMENT) goes through the process, which cuts it: what the pair is given is
/// cut on entering only if it is TCP.
pub fn datagrams_in_segments_arrive_beside_the_shortcut() {
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("shortuso", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        shortcut_is(&bench, "open");
        for ipv6 in [false, true] {
            datagrams(&bench, ipv6);
        }
        passes(&bench, 100, true);
        assert_eq!(bench.status(0)["tunnels"][0]["drops"], serde_json::json!({}));
    }
}
