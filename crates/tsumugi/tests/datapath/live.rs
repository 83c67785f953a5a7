//! Changes while packets flow: what is not changed does not notice.

use crate::bench::{Bench, Outside, ip, key_name, tunnel};
use crate::stream::Streams;
use std::time::{Duration, Instant};
use tsumugi_core::id::{IfName, Mac};
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel, TunnelClamp};

/// Datagrams that pass between two changes.
const BETWEEN: u32 = 400;

fn gre(key: u32) -> Encapsulation {
    Encapsulation::Gre { key: Some(key) }
}

fn wireguard(local_port: u16, remote_port: u16) -> Encapsulation {
    Encapsulation::WireGuard { local_key: key_name(1), remote_key: key_name(2), local_port, remote_port }
}

/// Each next one changes something of the one before; whether the device is of the same kind then.
fn changes() -> Vec<(&'static str, Tunnel, bool)> {
    let base = tunnel("b-x", gre(2), Outside::V6, 1500, 1400);
    let other = |plan: &Tunnel, outside, encapsulation| {
        let Tunnel { local, remote, outer_ipv6, mac, .. } = tunnel("b-x", encapsulation, outside, 1500, 1400);
        (local, remote, outer_ipv6, mac, plan.clone())
    };
    let as_of = |plan: &Tunnel, outside, encapsulation: Encapsulation| {
        let (local, remote, outer_ipv6, mac, plan) = other(plan, outside, encapsulation.clone());
        Tunnel { encapsulation, local, remote, outer_ipv6, mac, ..plan }
    };
    let mut all = vec![("it is added", base.clone(), false)];
    let mut next = |what, plan: Tunnel, same| {
        all.push((what, plan.clone(), same));
        plan
    };
    let plan = next("its alias", Tunnel { alias: "another".into(), ..base }, true);
    let plan = next("its MTU", Tunnel { mtu: 1300, ..plan }, true);
    let plan = next("its clamp", Tunnel { clamp: TunnelClamp::Off, ..plan }, true);
    let plan = next("its path", Tunnel { path_mtu: 1400, ..plan }, true);
    let plan = next("its key", Tunnel { encapsulation: gre(3), ..plan }, true);
    let plan = next("no key", Tunnel { encapsulation: Encapsulation::Gre { key: None }, ..plan }, true);
    let plan = next("its far end", Tunnel { remote: Some("2001:db8:101::9".parse().unwrap()), ..plan }, true);
    let plan = next("its own end", Tunnel { local: Some("2001:db8:101::8".parse().unwrap()), ..plan }, true);
    let plan = next("the family", as_of(&plan, Outside::V4, gre(4)), true);
    let plan = next("its line", Tunnel { uplink: IfName::new("eth2").unwrap(), ..plan }, true);
    let plan = next("GRE to WireGuard", as_of(&plan, Outside::V6, wireguard(20108, 20104)), true);
    let plan = next("its port", Tunnel { encapsulation: wireguard(20109, 20104), ..plan }, true);
    let plan = next("WireGuard's far end", Tunnel { remote: None, ..plan }, true);
    let plan = Tunnel { uplink: IfName::new("eth1").unwrap(), ..plan };
    // Two EtherIP tunnels with one far end would be the same on the wire.
    let far = |far: &str, plan| Tunnel { remote: Some(far.parse().unwrap()), ..plan };
    let plan = as_of(&plan, Outside::V6, Encapsulation::EtherIp);
    let plan = next("TUN to TAP", far("2001:db8:101::9", plan), false);
    let plan = next("EtherIP of BSDs", Tunnel { accept_reversed: true, ..plan }, true);
    let plan = next("its Ethernet address", Tunnel { mac: Some(Mac([2, 0, 0, 0, 0, 9])), ..plan }, true);
    let plan =
        next("EtherIP to GREtap", as_of(&plan, Outside::V6, Encapsulation::Gretap { key: Some(9) }), true);
    let plan = as_of(&plan, Outside::V4, Encapsulation::EtherIp);
    let plan = next("and back over IPv4", far("192.0.2.9", plan), true);
    next("TAP to TUN", as_of(&plan, Outside::V4, gre(5)), false);
    all
}

/// A second line of alpha's, on which nobody answers.
fn second_line(bench: &Bench) {
    bench.machines[0].in_plane("underlay", || {
        ip("link add eth2 type veth peer name far2");
        ip("link set far2 up");
        ip("link set eth2 up");
    });
}

/// B is added, changed in everything and removed while the streams of A pass: past the stack, through it,
/// and by WireGuard.
pub fn no_change_of_one_tunnel_is_felt_by_another() {
    let kernel = Tunnel { engine: Engine::Kernel, ..tunnel("k-x", gre(77), Outside::V4, 1500, 1400) };
    for (what, kind, outside, beside) in [
        ("EtherIP past the stack", Encapsulation::EtherIp, Outside::V6, None),
        ("GRE past the stack", gre(1), Outside::V4, None),
        ("GRE through the stack", gre(1), Outside::V4, Some(kernel)),
        ("WireGuard", wireguard(20008, 20004), Outside::V6, None),
    ] {
        let bench = Bench::new("live", 1500);
        second_line(&bench);
        let a = tunnel("a-x", kind, outside, 1500, 2400);
        bench.start(&a);
        let mut always = vec![a];
        always.extend(beside);
        let alpha = &bench.machines[0];
        alpha.reload(&always);
        bench.reachable(Duration::from_secs(10));
        let index = alpha.index_of("a-x");
        let streams = Streams::start(&bench);
        for (change, b, _) in changes() {
            let start = Instant::now();
            alpha.reload(&[&always[..], &[b]].concat());
            if start.elapsed() > Duration::from_millis(200) {
                println!("{what}: {change} took {:?}", start.elapsed());
            }
            streams.pass(BETWEEN);
        }
        alpha.reload(&always);
        streams.pass(BETWEEN);
        streams.finish(what, &bench);
        assert_eq!(alpha.index_of("a-x"), index);
    }
}

/// A line's packets go past the stack and through it in turn, because a tunnel of the kernel's between the
/// same ends comes and goes. Where both ways are open for a moment, a datagram may come twice, as any may on
/// the Internet.
pub fn a_line_changes_its_way_without_loss() {
    let bench = Bench::new("ways", 1500);
    let a = tunnel("a-x", Encapsulation::EtherIp, Outside::V4, 1500, 2400);
    let b = tunnel("b-x", gre(78), Outside::V4, 1500, 1400);
    let kernel = Tunnel { engine: Engine::Kernel, ..tunnel("k-x", gre(77), Outside::V4, 1500, 1400) };
    bench.start(&a);
    let alpha = &bench.machines[0];
    let path = || alpha.status()["lines"][0]["path"].clone();
    bench.reachable(Duration::from_secs(10));
    let streams = Streams::start(&bench);
    const TURNS: usize = 3;
    for _ in 0..TURNS {
        alpha.reload(&[a.clone(), b.clone(), kernel.clone()]);
        alpha.wait_for("through the stack", || path() == "raw");
        streams.pass(BETWEEN);
        alpha.reload(std::slice::from_ref(&a));
        alpha.wait_for("past the stack", || path() == "packet");
        streams.pass(BETWEEN);
    }
    streams.finish_with(2 * TURNS, "ways", &bench);
}

/// The interface of B, and with it what stands on it, is there through every change that does not ask for
/// another kind of device; what it counted goes on.
pub fn a_device_stays_while_its_kind_does() {
    let bench = Bench::new("stays", 1500);
    second_line(&bench);
    let a = tunnel("a-x", gre(1), Outside::V6, 1500, 2400);
    bench.start(&a);
    let alpha = &bench.machines[0];
    let mut before = None;
    for (what, b, same) in changes() {
        alpha.reload(&[b.clone(), a.clone()]);
        alpha.wait_for(what, || alpha.index_of("b-x").is_some());
        let index = alpha.index_of("b-x");
        if same {
            assert_eq!(index, before, "{what}");
        }
        before = index;
        let shown = alpha.in_plane("fabric", || ip("-d -o link show dev b-x"));
        let mac = b.mac.map(|mac| format!("link/ether {mac}"));
        let words = [format!("mtu {} ", b.mtu), format!("alias tsumugi: {}", b.alias)];
        assert!(words.iter().chain(&mac).all(|word| shown.contains(word)), "{what}: {shown}");
    }
}
