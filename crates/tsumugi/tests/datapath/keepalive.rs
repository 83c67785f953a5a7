//! Whether the far end lives, and the carrier that follows.

use crate::bench::{Bench, Outside, ip, run, tunnel, turned};
use crate::{gre, shortcut, wireguard};
use nix::sys::signal::Signal;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tsumugi_core::id::Mac;
use tsumugi_core::router_plan::{Encapsulation, Engine, Keepalive, Tunnel};
use tsumugi_core::tunnel::Outer;

/// The tunnel as alpha has it, and as beta does: each asks the other.
pub fn asking(mut near: Tunnel) -> [Tunnel; 2] {
    let [one, other] = ["fe80::1", "fe80::2"].map(|address| address.parse().unwrap());
    let mac = |last: u8| near.mac.map(|_| Mac([2, 0, 0, 0, 0, last]));
    let far = Keepalive::Signals { local: other, remote: one, remote_mac: mac(1) };
    near.keepalive = Keepalive::Signals { local: one, remote: other, remote_mac: mac(2) };
    let far = Tunnel { keepalive: far, ..turned(&near) };
    [near, far]
}

pub fn keepalive(bench: &Bench, machine: usize) -> serde_json::Value {
    bench.status(machine)["tunnels"][0]["keepalive"].clone()
}

#[track_caller]
pub fn wait_until(bench: &Bench, machine: usize, far_end: &str) {
    let what = format!("machine {machine} says {far_end}");
    bench.machines[machine].wait_for(&what, || keepalive(bench, machine)["far-end"] == far_end);
}

pub fn has_carrier(bench: &Bench, machine: usize, name: &str) -> bool {
    let shown = bench.machines[machine].in_plane("fabric", || run("ip", &format!("-o link show dev {name}")));
    shown.is_some_and(|text| text.contains("LOWER_UP") && !text.contains("NO-CARRIER"))
}

#[track_caller]
pub fn wait_for_carrier(bench: &Bench, machine: usize, name: &str, there: bool) {
    let what = format!("the carrier of machine {machine} is {there}");
    bench.machines[machine].wait_for(&what, || has_carrier(bench, machine, name) == there);
}

/// Beta's process is stopped, which nothing but silence tells of; then it goes on.
pub fn a_far_end_that_hangs_takes_the_carrier_with_it() {
    for (name, encapsulation, engine, outside) in [
        ("gre-x", gre(), Engine::Userspace, Outside::V6),
        ("eip-x", Encapsulation::EtherIp, Engine::Userspace, Outside::V4),
        ("wg-x", wireguard(), Engine::Userspace, Outside::V6),
        ("short-x", Encapsulation::EtherIp, Engine::Auto, Outside::V6),
    ] {
        let bench = Bench::new(name, 1500);
        let [near, far] = asking(Tunnel { engine, ..tunnel(name, encapsulation, outside, 1500, 2400) });
        bench.start_ends(&near, &far);
        if engine == Engine::Auto && shortcut::missing().is_none() {
            shortcut::shortcut_is(&bench, "open");
        }
        for machine in 0..2 {
            wait_until(&bench, machine, "alive");
            assert!(has_carrier(&bench, machine, name));
        }
        // The first question may have been lost; the next is not far.
        bench.machines[0].wait_for("the round trip is known", || keepalive(&bench, 0)["rtt_us"].is_u64());
        bench.machines[1].signal(Signal::SIGSTOP);
        let stopped = Instant::now();
        wait_for_carrier(&bench, 0, name, false);
        eprintln!("{name}: known after {:?}", stopped.elapsed());
        assert_eq!(keepalive(&bench, 0)["cause"], "silent");
        bench.machines[1].signal(Signal::SIGCONT);
        wait_for_carrier(&bench, 0, name, true);
        wait_until(&bench, 0, "alive");
        wait_for_carrier(&bench, 1, name, true);
        bench.reachable(Duration::from_secs(10));
        // A busy machine may have had more of them.
        assert!(keepalive(&bench, 0)["deaths"].as_u64() >= Some(1), "{}", keepalive(&bench, 0));
    }
}

/// Beta's packets go astray, alpha's arrive: both ends know, and say which it is.
pub fn a_way_that_is_cut_in_one_direction_is_dead_at_both_ends() {
    let bench = Bench::new("oneway", 1500);
    let [near, far] = asking(tunnel("gre-x", gre(), Outside::V4, 1500, 2400));
    bench.start_ends(&near, &far);
    for machine in 0..2 {
        wait_until(&bench, machine, "alive");
    }
    let lead_to = |mac: &str| {
        bench.machines[1].in_plane("underlay", || {
            ip(&format!("neighbour replace 192.0.2.1 lladdr {mac} dev eth1 nud permanent"))
        });
    };
    lead_to("02:00:00:00:09:09");
    for (machine, cause) in [(0, "silent"), (1, "deaf")] {
        wait_for_carrier(&bench, machine, "gre-x", false);
        let known = || keepalive(&bench, machine)["cause"] == cause;
        bench.machines[machine].wait_for("the cause is known", known);
    }
    lead_to("02:00:00:00:01:01");
    for machine in 0..2 {
        wait_for_carrier(&bench, machine, "gre-x", true);
    }
    bench.reachable(Duration::from_secs(10));
}

/// A far end of an older version answers nothing, which says nothing of it.
pub fn who_never_answered_keeps_the_carrier() {
    let bench = Bench::new("older", 1500);
    let [near, far] = asking(tunnel("gre-x", gre(), Outside::V6, 1500, 2400));
    bench.start_ends(&near, &Tunnel { keepalive: Keepalive::Nobody, ..far });
    bench.reachable(Duration::from_secs(10));
    bench.machines[0].wait_for("more was asked than is ever left unanswered", || {
        keepalive(&bench, 0)["asked"].as_u64() > Some(8)
    });
    assert_eq!(keepalive(&bench, 0)["far-end"], "unproven");
    assert_eq!(keepalive(&bench, 1)["far-end"], "not-asked");
    assert_eq!(bench.status(1)["tunnels"][0]["drops"], serde_json::json!({}));
    assert!(has_carrier(&bench, 0, "gre-x"));
    bench.reachable(Duration::from_secs(10));
}

/// Somebody else's router at the far end: it is asked as any host is.
pub fn a_neighbour_of_others_is_asked_by_arp_and_by_solicitation() {
    for (ours, theirs, length) in
        [("203.0.113.2", "203.0.113.1", 30), ("2001:db8:900::2", "2001:db8:900::1", 64)]
    {
        let bench = Bench::new("stranger", 1500);
        let asked = Keepalive::Neighbour { address: theirs.parse().unwrap(), source: ours.parse().unwrap() };
        let near = tunnel("eip-x", Encapsulation::EtherIp, Outside::V6, 1500, 1500);
        let far = turned(&near);
        bench.start_ends(&Tunnel { keepalive: asked, ..near }, &far);
        let nodad = if length == 64 { "nodad" } else { "" };
        for (machine, address) in bench.machines.iter().zip([ours, theirs]) {
            machine.in_plane("fabric", || ip(&format!("address add {address}/{length} dev eip-x {nodad}")));
        }
        wait_until(&bench, 0, "alive");
        bench.machines[1].signal(Signal::SIGSTOP);
        wait_for_carrier(&bench, 0, "eip-x", false);
        bench.machines[1].signal(Signal::SIGCONT);
        wait_for_carrier(&bench, 0, "eip-x", true);
        wait_until(&bench, 0, "alive");
    }
}

/// Alpha sends as much as it can for some seconds and hears nothing but answers: no question is lost
/// behind it for so long that the far end would be given up.
pub fn a_flood_does_not_take_the_carrier_down() {
    let near = tunnel("gre-x", gre(), Outside::V6, 1500, 2400);
    flooded(near, 2300);
}

/// The same where the kernel has the bulk and the process the questions.
pub fn a_flood_by_the_shortcut_does_not_take_the_carrier_down() {
    flooded(shortcut::plan(Outside::V6), 1200);
}

fn flooded(near: Tunnel, len: usize) {
    let bench = Bench::new("flood", 1500);
    let [near, far] = asking(near);
    bench.start_ends(&near, &far);
    for machine in 0..2 {
        wait_until(&bench, machine, "alive");
    }
    if near.engine == Engine::Auto {
        shortcut::shortcut_is(&bench, "open");
    }
    let asked = || keepalive(&bench, 0)["answered"].as_u64().unwrap_or(0);
    // Nobody reads it; without it the stack would answer.
    let _sink = bench.machines[1].in_plane("fabric", || UdpSocket::bind("198.18.0.2:9").unwrap());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = || {
            bench.machines[0].in_plane("fabric", || {
                let socket = UdpSocket::bind("198.18.0.1:0").unwrap();
                let packet = vec![0; len];
                while !over.load(Ordering::Relaxed) {
                    // A full queue is what is wanted.
                    let _ = socket.send_to(&packet, "198.18.0.2:9");
                }
            });
        };
        let flooding = [scope.spawn(flood), scope.spawn(flood)];
        let enough = asked() + 8;
        let deadline = Instant::now() + Duration::from_secs(20);
        while asked() < enough && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        for one in flooding {
            one.join().unwrap();
        }
        assert!(asked() >= enough, "{}", keepalive(&bench, 0));
    });
    for machine in 0..2 {
        let known = keepalive(&bench, machine);
        assert_eq!((&known["deaths"], &known["far-end"]), (&0.into(), &"alive".into()), "{known}");
    }
    if near.engine == Engine::Auto {
        shortcut::shortcut_is(&bench, "open");
    }
}

/// The carrier is given back where the file says that the far end is not to be asked any more.
pub fn who_is_not_asked_any_more_has_the_carrier_back() {
    let bench = Bench::new("unasked", 1500);
    let [near, far] = asking(tunnel("gre-x", gre(), Outside::V6, 1500, 2400));
    bench.start_ends(&near, &far);
    wait_until(&bench, 0, "alive");
    bench.machines[1].signal(Signal::SIGSTOP);
    wait_for_carrier(&bench, 0, "gre-x", false);
    bench.machines[0].reload(&[Tunnel { keepalive: Keepalive::Off, ..near }]);
    wait_until(&bench, 0, "not-asked");
    wait_for_carrier(&bench, 0, "gre-x", true);
    bench.machines[1].signal(Signal::SIGCONT);
    bench.reachable(Duration::from_secs(10));
}

/// Alpha's process is killed and starts anew. It does not know where beta is, and beta has WireGuard's session
/// still: it makes another as soon as answers are missing, not when the far end would be given up.
pub fn a_forgotten_session_is_renewed_before_the_far_end_is_given_up() {
    let bench = Bench::new("forgot", 1500);
    let [near, far] = asking(tunnel("wg-x", wireguard(), Outside::V6, 1500, 2400));
    bench.start_ends(&Tunnel { remote: None, ..near }, &far);
    let deaths = || keepalive(&bench, 1)["deaths"].as_u64();
    // A machine that is busy for longer than the far end has may need another try.
    let survived = (0..5).any(|_| {
        for machine in 0..2 {
            wait_until(&bench, machine, "alive");
        }
        let before = deaths();
        bench.machines[0].kill();
        bench.machines[0].start();
        wait_until(&bench, 0, "alive");
        wait_until(&bench, 1, "alive");
        deaths() == before
    });
    assert!(survived, "{}", keepalive(&bench, 1));
}

/// What the kernel says of the raw sockets of GRE in alpha's underlay: how many packets each has lost.
fn lost_by_raw_sockets(bench: &Bench, file: &str) -> Vec<u64> {
    let text = bench.machines[0]
        .in_plane("underlay", || std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap());
    let of_gre = |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(":002F"));
    let lost = |line: &str| line.split_whitespace().last()?.parse().ok();
    text.lines().filter(of_gre).filter_map(lost).collect()
}

/// Through the stack: alpha takes nothing in until bulk has filled its queue and more is lost. What beta asks
/// meanwhile is answered nevertheless, all of it.
pub fn questions_do_not_wait_behind_bulk_on_a_raw_line() {
    for (outside, source, file) in
        [(Outside::V4, "192.0.2.2", "raw"), (Outside::V6, "2001:db8:101::2", "raw6")]
    {
        let bench = Bench::new("rawqueue", 1500);
        let [near, far] = asking(tunnel("gre-x", gre(), outside, 1500, 2400));
        bench.start_ends(&near, &far);
        // The stack has to have the line, for a tunnel that is the kernel's.
        let keyed = |key| Encapsulation::Gre { key: Some(key) };
        let kernel = Tunnel { engine: Engine::Kernel, ..tunnel("k-x", keyed(77), Outside::V4, 1500, 1400) };
        let shared = tunnel("gre-k", keyed(78), Outside::V4, 1500, 1400);
        bench.machines[0].reload(&[near.clone(), kernel, shared]);
        for machine in 0..2 {
            wait_until(&bench, machine, "alive");
        }
        bench.machines[0].wait_for("through the stack", || bench.status(0)["lines"][0]["path"] == "raw");
        let local = near.local.unwrap();
        let inner = [&[0, 0, 8, 0][..], &bench.inner_packet()].concat();
        let outer = Outer::new(source.parse().unwrap(), local, 47, 1500).unwrap();
        let packet: Vec<u8> = {
            let piece = outer.fragments(&inner, 1).unwrap().next().unwrap();
            [piece.header(), piece.payload].concat()
        };
        let batch = vec![packet; 4000];
        let unanswered = || {
            let known = keepalive(&bench, 1);
            known["asked"].as_u64().unwrap().abs_diff(known["answered"].as_u64().unwrap())
        };
        bench.machines[1].wait_for("nothing is open", || unanswered() <= 1);
        let before = unanswered();
        bench.machines[0].signal(Signal::SIGSTOP);
        let lost = || lost_by_raw_sockets(&bench, file);
        bench.machines[1].wait_for("the queue is full", || {
            bench.forge_packets(&batch);
            lost().iter().any(|lost| *lost > 0)
        });
        let asked = || keepalive(&bench, 1)["asked"].as_u64();
        let (full, enough) = (lost(), asked().map(|asked| asked + 3));
        bench.machines[1].wait_for("beta asks", || {
            bench.forge_packets(&batch[..100]);
            asked() >= enough
        });
        let still_full = lost().iter().zip(&full).any(|(now, before)| now > before);
        assert!(still_full, "{full:?} {:?}", lost());
        bench.machines[0].signal(Signal::SIGCONT);
        bench.machines[1].wait_for("all is answered", || unanswered() <= before);
        assert!(lost().contains(&0), "{:?}", lost());
    }
}
