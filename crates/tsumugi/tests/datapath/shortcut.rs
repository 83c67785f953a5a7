//! The shortcut in the kernel: what takes it, what does not, and what happens without it.

use crate::bench::{Bench, Outside, ip, tunnel};
use crate::bulk::stream;
use nix::sys::signal::Signal;
use std::time::Duration;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};

const PATIENCE: Duration = Duration::from_secs(10);

fn plan(outside: Outside) -> Tunnel {
    Tunnel { engine: Engine::Auto, ..tunnel("eip-x", Encapsulation::EtherIp, outside, 1500, 2400) }
}

/// Waits until both ends say the same of the shortcut. False, and said, where the binary has none.
fn shortcut_is(bench: &Bench, state: &str) -> bool {
    if bench.status(0)["tunnels"][0]["shortcut-why"]["reason"] == "not-built" {
        println!("built without clang: the shortcut is not tested");
        return false;
    }
    for (index, machine) in bench.machines.iter().enumerate() {
        machine.wait_for(state, || bench.status(index)["tunnels"][0]["shortcut"] == state);
    }
    true
}

fn counted(bench: &Bench, way: &str) -> u64 {
    bench.status(0)["tunnels"][0][way]["packets"].as_u64().unwrap_or_default()
}

/// Packets that have come out of the shortcut into the fabric and gone into it, as the pair itself counts.
fn by_the_pair(bench: &Bench) -> (u64, u64) {
    let text = bench.machines[0].in_plane("fabric", || ip("-s -j link show shortcut-in"));
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |way: &str| links[0]["stats64"][way]["packets"].as_u64().unwrap();
    (count("rx"), count("tx"))
}

/// The kernel moves the frames that fit and the processes the others, and both are counted. A process that
/// stands still moves nothing, and soon the kernel moves nothing for it either.
pub fn frames_that_fit_take_the_shortcut_while_the_process_lives() {
    for outside in [Outside::V6, Outside::V4] {
        let bench = Bench::new("shortcut", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        if !shortcut_is(&bench, "open") {
            return;
        }
        // The largest that fits, 1500 less the outer header, EtherIP's and Ethernet's.
        let fits = if outside == Outside::V6 { 1444 } else { 1464 };
        for ipv6 in [false, true] {
            bench.ping(ipv6, 2400, 2);
            let (sent, received) = (counted(&bench, "sent"), counted(&bench, "received"));
            let (came, left) = by_the_pair(&bench);
            assert!(bench.try_ping(ipv6, 100, 3));
            assert!(bench.try_ping(ipv6, fits, 3));
            let (came_now, left_now) = by_the_pair(&bench);
            assert!(came_now >= came + 6 && left_now >= left + 6, "{came_now} {came} {left_now} {left}");
            assert!(bench.try_ping(ipv6, fits + 1, 3));
            assert_eq!(by_the_pair(&bench), (came_now, left_now));
            assert!(counted(&bench, "sent") >= sent + 9, "{}", bench.status(0));
            assert!(counted(&bench, "received") >= received + 9, "{}", bench.status(0));
        }
        for machine in &bench.machines {
            machine.signal(Signal::SIGSTOP);
        }
        bench.machines[0].wait_for("the shortcut's end", || !bench.try_ping(true, 100, 1));
        for machine in &bench.machines {
            machine.signal(Signal::SIGCONT);
        }
        bench.reachable(PATIENCE);
        assert!(shortcut_is(&bench, "open"));
    }
}

/// TCP begins through the process, where its segment size is lowered, and goes on by the shortcut.
pub fn streams_arrive_whole_by_the_shortcut() {
    for outside in [Outside::V6, Outside::V4] {
        let bench = Bench::new("shortstream", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        if !shortcut_is(&bench, "open") {
            return;
        }
        for ipv6 in [false, true] {
            stream(&bench, ipv6, 0);
            stream(&bench, ipv6, 1);
        }
        assert_eq!(bench.status(0)["tunnels"][0]["drops"], serde_json::json!({}));
    }
}

/// What strangers send, and what is not EtherIP, comes to the process and is counted there.
pub fn strangers_do_not_get_in_by_the_shortcut() {
    let bench = Bench::new("shortwrong", 1500);
    bench.start(&plan(Outside::V4));
    bench.reachable(PATIENCE);
    if !shortcut_is(&bench, "open") {
        return;
    }
    bench.quiet();
    let received = counted(&bench, "received");
    // Of UDP and padded: what is neither goes to the process anyway, be it well-formed or not.
    let mut inner = bench.inner_packet();
    inner[9] = 17;
    let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &inner, &[0; 64]].concat();
    let behind = |header: [u8; 2]| [&header[..], &frame].concat();
    // The same frame, well-formed and from the far end, does go this way: what follows is about the rest.
    let (came, _) = by_the_pair(&bench);
    bench.forge("192.0.2.2", 97, &behind([0x30, 0]));
    bench.machines[0].wait_for("a well-formed frame", || by_the_pair(&bench).0 == came + 1);
    bench.machines[0].wait_for("its count", || counted(&bench, "received") == received + 1);
    bench.forge("192.0.2.77", 97, &behind([0x30, 0]));
    bench.forge("192.0.2.2", 97, &behind([0x40, 0]));
    bench.forge("192.0.2.2", 97, &behind([0x30, 1]));
    bench.forge("192.0.2.2", 97, &behind([0x03, 0]));
    let alpha = &bench.machines[0];
    for (of, reason) in [
        ("lines", "unknown-source"),
        ("lines", "etherip-version"),
        ("lines", "etherip-reserved"),
        ("tunnels", "etherip-reversed"),
    ] {
        alpha.wait_for(reason, || bench.status(0)[of][0]["drops"][reason] == 1);
    }
    assert_eq!(by_the_pair(&bench).0, came + 1);
    assert_eq!(counted(&bench, "received"), received + 1, "{}", bench.status(0));
}

/// The next life takes the shortcut over; a plan that does not want it closes it; neither touches the device.
pub fn the_shortcut_comes_and_goes_and_the_device_stays() {
    let bench = Bench::new("shortlife", 1500);
    let plan = plan(Outside::V6);
    bench.start(&plan);
    bench.reachable(PATIENCE);
    if !shortcut_is(&bench, "open") {
        return;
    }
    let alpha = &bench.machines[0];
    let index = || alpha.in_plane("fabric", || ip("-o link show eip-x")).split(':').next().map(str::to_owned);
    let before = index();
    alpha.kill();
    alpha.start();
    alpha.wait_for("the shortcut of the next life", || bench.status(0)["tunnels"][0]["shortcut"] == "open");
    bench.reachable(PATIENCE);
    alpha.write_plan(vec![Tunnel { engine: Engine::Userspace, ..plan }]);
    alpha.signal(Signal::SIGHUP);
    alpha.wait_for("closed", || bench.status(0)["tunnels"][0]["shortcut-why"]["reason"] == "stated");
    bench.reachable(PATIENCE);
    stream(&bench, true, 0);
    assert_eq!(index(), before);
}

/// What the kernel refuses is said, and every packet goes through the process: here a stranger's interface
/// has the name that the pair needs.
pub fn without_the_shortcut_packets_pass_as_ever() {
    let bench = Bench::new("shortless", 1500);
    for machine in &bench.machines {
        machine.in_plane("fabric", || ip("link add shortcut-in type bridge"));
    }
    bench.start(&plan(Outside::V6));
    bench.reachable(PATIENCE);
    if !shortcut_is(&bench, "closed") {
        return;
    }
    let status = bench.status(0);
    assert_eq!(status["tunnels"][0]["shortcut-why"]["reason"], "refused", "{status}");
    bench.ping(true, 2400, 2);
    stream(&bench, true, 0);
    stream(&bench, false, 1);
}
