//! GENEVE: what it drops and why, and that it gets along with others on its line.

use crate::bench::{Bench, Outside, ip, key_name, run, tunnel, turned};
use crate::bulk::stream;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use std::net::UdpSocket;
use std::time::Duration;
use tsumugi_core::id::Vni;
use tsumugi_core::router_plan::{Encapsulation, Tunnel};
use tsumugi_core::tunnel::{Outer, Shim, encapsulate};

const VNI: u32 = 0x01_0203;

fn geneve(outside: Outside, mtu: u16) -> Tunnel {
    tunnel("gnv-x", Encapsulation::Geneve { vni: Vni(VNI) }, outside, 1500, mtu)
}

/// What the datagram's first bytes of GENEVE are made, and whether its checksum is mended after that.
fn forged(vni: u32, source: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let shim = Shim::Geneve { vni: Vni(vni) };
    let outer = Outer::new(source.parse().unwrap(), "192.0.2.1".parse().unwrap(), 17, 1500).unwrap();
    let mut buffer = [&[0; 16][..], &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5], &[0; 46]].concat();
    encapsulate(shim, &outer, &mut buffer, 16..76).unwrap();
    change(&mut buffer[8..]);
    shim.complete(&outer, &mut buffer, &[]).unwrap();
    buffer
}

/// Each reason has a counter of its own, and options that nobody has to know are skipped; so it is where
/// the kernel takes UDP apart, and where we do.
pub fn geneve_is_strict() {
    for raw in [false, true] {
        let bench = Bench::new("geneve", 1500);
        let plan = geneve(Outside::V4, 1500);
        bench.start(&plan);
        bench.reachable(Duration::from_secs(10));
        if raw {
            let alpha = &bench.machines[0];
            alpha.write_plan(vec![plan, wireguard()]);
            alpha.signal(Signal::SIGHUP);
            alpha.wait_for("the stack is needed", || {
                bench.status(0)["lines"][0]["why"] == "shared-with-stack"
            });
        }
        bench.quiet();
        let received = || bench.status(0)["tunnels"][0]["received"]["packets"].as_u64();
        let before = received();
        let forge = |datagram: Vec<u8>| bench.forge("192.0.2.2", 17, &datagram);
        forge(forged(VNI, "192.0.2.2", |geneve| geneve[0] = 0x40));
        forge(forged(VNI, "192.0.2.2", |geneve| geneve[1] = 0x80));
        // RFC 8926 3.4 and 3.5: an option that who receives it must know (the high bit of its type) is told of in
        // the C bit, and who knows no options drops the packet for that.
        forge(forged(VNI, "192.0.2.2", |geneve| {
            geneve[..2].copy_from_slice(&[1, 0x40]);
            geneve[8..12].copy_from_slice(&[1, 2, 0x83, 0]);
        }));
        forge(forged(VNI, "192.0.2.2", |geneve| geneve[2..4].copy_from_slice(&[8, 0])));
        forge(forged(VNI + 1, "192.0.2.2", |_| ()));
        bench.forge("192.0.2.77", 17, &forged(VNI, "192.0.2.77", |_| ()));
        let mut wrong = forged(VNI, "192.0.2.2", |_| ());
        wrong[40] ^= 1;
        forge(wrong);
        bench.machines[0].wait_for("each is counted", || {
            let drops = &bench.status(0)["lines"][0]["drops"];
            // A wrong checksum is the kernel's to drop where it takes UDP apart.
            [
                "geneve-version",
                "geneve-control",
                "geneve-critical",
                "wrong-inner",
                "unknown-tunnel",
                "unknown-source",
            ]
            .iter()
            .all(|reason| drops[reason] == 1)
                && (raw || drops["malformed"] == 1)
        });
        assert_eq!(received(), before);
        // The first 48 bytes of the frame's place are 4 words of options more.
        forge(forged(VNI, "192.0.2.2", |geneve| {
            geneve[0] = 1;
            geneve[8..12].copy_from_slice(&[1, 2, 3, 0]);
        }));
        bench.machines[0].wait_for("an option is skipped", || received() > before);
        if raw {
            all_of_one_arrive(&bench);
        }
    }
}

/// What the line hands over as one, as it does where both ends cut and merge UDP, is as many datagrams as
/// were sent.
fn all_of_one_arrive(bench: &Bench) {
    const DATAGRAMS: usize = 20;
    let received = || bench.status(0)["tunnels"][0]["received"]["packets"].as_u64().unwrap();
    let dropped = || bench.status(0)["lines"][0]["drops"].clone();
    let (before, drops) = (received(), dropped());
    let datagram = forged(VNI, "192.0.2.2", |_| ()).split_off(8);
    let send = || {
        let socket = UdpSocket::bind("192.0.2.2:0")?;
        setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(datagram.len()).unwrap())?;
        socket.send_to(&datagram.repeat(DATAGRAMS), "192.0.2.1:6081")
    };
    bench.machines[1].enter("underlay", send).unwrap();
    bench.machines[0].wait_for("all have come", || received() >= before + DATAGRAMS as u64);
    assert_eq!((received(), dropped()), (before + DATAGRAMS as u64, drops));
}

fn wireguard() -> Tunnel {
    let by = Encapsulation::WireGuard {
        local_key: key_name(1),
        remote_key: key_name(2),
        local_port: 20008,
        remote_port: 20004,
    };
    tunnel("wg-x", by, Outside::V4, 1500, 2400)
}

/// Fragments of UDP do not say whose they are: where WireGuard is between the same ends, the stack puts
/// them together for both. Without it, and with EtherIP beside it, packets pass the stack by.
pub fn geneve_beside_wireguard_leaves_datagrams_to_the_stack() {
    let bench = Bench::new("beside", 1500);
    let plan = geneve(Outside::V4, 2400);
    bench.start(&plan);
    bench.reachable(Duration::from_secs(10));
    assert_eq!(bench.status(0)["lines"][0]["path"], "packet", "{}", bench.status(0));
    let reload = |tunnels: Vec<Tunnel>, path: &str| {
        for (machine, turn) in bench.machines.iter().zip([false, true]) {
            let of = |tunnel: &Tunnel| if turn { turned(tunnel) } else { tunnel.clone() };
            machine.write_plan(tunnels.iter().map(of).collect());
            machine.signal(Signal::SIGHUP);
        }
        for at in 0..2 {
            bench.machines[at].wait_for(path, || bench.status(at)["lines"][0]["path"] == path);
        }
        bench.reachable(Duration::from_secs(10));
        bench.ping(false, 2400, 3);
        bench.ping(true, 2400, 3);
        stream(&bench, false, 0);
        stream(&bench, true, 1);
    };
    reload(vec![plan.clone(), wireguard()], "raw");
    reload(vec![plan.clone(), tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 1500)], "packet");
    // The filter of a socket that is open learns of GENEVE, and forgets it.
    let other = tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 1500);
    bench.machines[0].write_plan(vec![other.clone()]);
    bench.machines[0].signal(Signal::SIGHUP);
    bench.machines[0].wait_for("GENEVE is gone", || {
        bench.status(0)["tunnels"].as_array().is_some_and(|tunnels| tunnels.len() == 1)
    });
    bench.machines[0].write_plan(vec![other, plan.clone()]);
    bench.machines[0].signal(Signal::SIGHUP);
    bench.address_one(0, &plan);
    bench.reachable(Duration::from_secs(10));
    bench.ping(false, 2400, 3);
}

/// Where WireGuard stands that is called: its far end is nobody until it speaks, and then the same machine as
/// GENEVE's.
pub fn geneve_beside_a_learned_far_end_leaves_datagrams_to_the_stack() {
    let bench = Bench::new("learned", 1500);
    let plan = geneve(Outside::V4, 1500);
    bench.start(&plan);
    bench.reachable(Duration::from_secs(10));
    let called = Tunnel { remote: None, ..wireguard() };
    bench.machines[0].reload(&[plan.clone(), called]);
    let path = || bench.status(0)["lines"][0]["path"].clone();
    assert_eq!(path(), "packet", "{}", bench.status(0));
    bench.machines[1].reload(&[turned(&plan), turned(&wireguard())]);
    bench.machines[0].wait_for("the far end is known", || path() == "raw");
    assert_eq!(bench.status(0)["lines"][0]["why"], "shared-with-stack");
    for (id, machine) in [1, 2].into_iter().zip(&bench.machines) {
        machine.in_plane("fabric", || ip(&format!("address add fe80::{id}/64 dev wg-x nodad")));
    }
    let asks = "-6 -n -q -c 3 -i 0.2 -W 5 -M do -s 2352 fe80::2%wg-x";
    bench.machines[0].wait_for("2400 bytes by WireGuard", || {
        let said = bench.machines[0].in_plane("fabric", || run("ping", asks));
        said.is_some_and(|said| said.contains("3 received"))
    });
    bench.ping(false, 1500, 3);
}

/// A line that merges datagrams, as machines that forward are often told to: each frame arrives as it was sent.
pub fn a_line_that_merges_datagrams_leaves_them_to_the_stack() {
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("merging", 1500);
        bench.start(&geneve(outside, 1400));
        bench.reachable(Duration::from_secs(10));
        let line = |at: usize| bench.status(at)["lines"][0].clone();
        for (merging, path) in [("on", "raw"), ("off", "packet")] {
            for (at, machine) in bench.machines.iter().enumerate() {
                let told = machine.in_plane("underlay", || {
                    run("ethtool", &format!("-K eth1 gro on rx-udp-gro-forwarding {merging}"))
                });
                if told.is_none() {
                    println!("no ethtool that knows of it: merging is not tested");
                    return;
                }
                machine.wait_for(path, || line(at)["path"] == path);
                assert!(path == "packet" || line(at)["why"] == "merges-datagrams", "{}", line(at));
            }
            bench.reachable(Duration::from_secs(10));
            for ipv6 in [false, true] {
                stream(&bench, ipv6, 0);
                stream(&bench, ipv6, 1);
            }
        }
    }
}
