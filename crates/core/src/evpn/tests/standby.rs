//! One LAN on several ports: never two of them forward, and one does before long.

use super::net::{Net, Place};
use super::*;
use crate::evpn::BlockReason;

const A: Place = (0, "eth1");
const B: Place = (1, "eth1");

/// A (active) and B (standby) on one LAN, and a third router elsewhere.
fn house() -> Net {
    let mut net = Net::new(vec![vec![shared(1, 0)], vec![shared(1, 1)], vec![port(1)]]);
    net.join(&[A, B]);
    net.watch = |net| assert!(!(net.is_open(A) && net.is_open(B)), "both forward");
    net
}

fn started() -> Net {
    let mut net = house();
    (0..3).for_each(|at| net.start(at));
    net.run(4000);
    net
}

#[test]
fn both_come_up_at_once_and_the_active_one_forwards() {
    let net = started();
    assert!(net.is_open(A));
    assert_eq!(net.benches[1].ports[&link("eth1")], Some(BlockReason::Standby));
}

#[test]
fn the_newcomer_waits() {
    let mut net = house();
    (0..3).for_each(|at| net.start(at));
    net.run(2900);
    assert!(!net.is_open(A) && !net.is_open(B));
    assert_eq!(net.benches[0].ports[&link("eth1")], Some(BlockReason::TakingOver));
}

#[test]
fn the_standby_takes_over_and_gives_back() {
    let mut net = started();
    net.speak(A, mac(1));
    net.run(1000);
    net.step(0, Event::LinkDown(link("eth1")));
    net.run(2000);
    assert!(net.is_open(B), "within two seconds");
    assert_eq!(net.seen(2, mac(1)), None, "no stale entry");
    net.speak(B, mac(1));
    net.run(1000);
    assert_eq!(net.seen(2, mac(1)), Some(vtep(2)));
    net.step(0, Event::LinkUp(link("eth1")));
    net.run(1000);
    assert!(!net.is_open(A) && !net.is_open(B), "B stopped, A waits");
    assert_eq!(net.seen(2, mac(1)), None);
    net.run(3000);
    assert!(net.is_open(A));
    net.speak(A, mac(1));
    net.run(1000);
    assert_eq!(net.seen(1, mac(1)), Some(vtep(1)));
}

#[test]
fn a_router_that_dies_is_replaced() {
    let mut net = started();
    net.lose_sessions(0);
    net.step(0, Event::LinkDown(link("eth1")));
    net.run(3000);
    assert!(net.is_open(B));
}

/// Nobody on a LAN without probes knows what a port does whose process is dead: it may forward for a
/// second more.
#[test]
fn where_a_lan_swallows_probes_the_dead_ones_port_is_given_time() {
    let mut net = Net::new(vec![vec![shared(1, 0)], vec![shared(1, 1)], vec![port(1)]]);
    (0..3).for_each(|at| net.start(at));
    net.run(4000);
    assert!(net.is_open(A) && !net.is_open(B));
    net.lose_sessions(0);
    net.run(50 + 1000);
    assert!(!net.is_open(B));
    net.run(1000);
    assert!(net.is_open(B));
}

/// Its sessions are gone, its port is not: the one that others still hear forwards.
#[test]
fn a_router_that_is_cut_off_leaves_the_lan_to_the_other() {
    let mut net = started();
    net.lose_sessions(0);
    net.run(4000);
    assert!(net.is_open(B) && !net.is_open(A));
    net.restore_sessions(0);
    net.run(10_000);
    assert!(net.is_open(A));
}

#[test]
fn two_that_lose_each_other_do_not_both_forward() {
    let mut net = Net::new(vec![vec![shared(1, 0)], vec![shared(1, 1)]]);
    net.join(&[A, B]);
    net.watch = |net| assert!(!(net.is_open(A) && net.is_open(B)), "both forward");
    (0..2).for_each(|at| net.start(at));
    net.run(4000);
    net.lose_sessions(1);
    net.run(60_000);
    assert!(net.is_open(A), "nothing changes");
    net.restore_sessions(1);
    net.run(60_000);
    assert!(net.is_open(A));
}

/// A process that begins anew finds its port open in the kernel, and shuts it until it knows better.
#[test]
fn a_restart_is_a_newcomer() {
    let mut net = started();
    assert!(net.is_open(A));
    net.speak(A, mac(1));
    net.restart(0);
    assert!(!net.is_open(A));
    // What the kernel had learned there it would not tell again: it has to forget it.
    net.speak(A, mac(1));
    assert_eq!(net.benches[0].sequence(mac(1)), None);
    net.run(5000);
    assert!(net.is_open(B) && !net.is_open(A), "it has not heard the others yet");
    net.restore_sessions(0);
    net.run(10_000);
    assert!(net.is_open(A));
    net.speak(A, mac(1));
    net.run(100);
    assert_eq!(net.seen(2, mac(1)), Some(vtep(1)));
}

#[test]
fn slow_routes_are_no_danger() {
    let mut net = house();
    // RFC 7432 8.5 hopes for routes within three seconds; these take five, and probes make up for it.
    net.delay = 5000;
    (0..3).for_each(|at| net.start(at));
    for _ in 0..3 {
        net.run(20_000);
        net.step(0, Event::LinkDown(link("eth1")));
        net.run(20_000);
        net.step(0, Event::LinkUp(link("eth1")));
    }
    net.run(20_000);
    assert!(net.is_open(A));
}

#[test]
fn two_ports_of_one_router_on_one_lan() {
    let mut net = Net::new(vec![vec![shared(1, 0), shared(2, 2)], vec![shared(1, 1)]]);
    net.join(&[A, (0, "eth2"), B]);
    net.watch = |net| {
        let open = [A, (0, "eth2"), B].into_iter().filter(|it| net.is_open(*it)).count();
        assert!(open <= 1, "one at most");
    };
    (0..2).for_each(|at| net.start(at));
    net.run(5000);
    assert!(net.is_open(A));
    net.step(0, Event::LinkDown(link("eth1")));
    net.run(3000);
    assert!(net.is_open(B));
    net.step(1, Event::LinkDown(link("eth1")));
    net.run(5000);
    assert!(net.is_open((0, "eth2")));
    net.step(1, Event::LinkUp(link("eth1")));
    net.run(5000);
    assert!(net.is_open(B));
}

/// A port of a foreign router on the LAN (no preference) comes last.
#[test]
fn a_route_without_preference_comes_last() {
    let mut bench = Bench::new(config(1, vec![segment(1, vec![shared(1, 7)])]));
    let esi = shared(1, 7).lan.unwrap().esi;
    let route = EvpnRoute::EthernetSegment { rd: rd(9), esi, originator: vtep(9) };
    let path = EvpnPath {
        next_hop: vtep(9),
        body: Default::default(),
        communities: alloc::boxed::Box::new([]),
        pmsi: None,
    };
    bench.route(route, Some(path));
    bench.step(Event::LinkUp(link("eth1")));
    bench.advance(Duration::from_secs(4));
    assert_eq!(bench.ports[&link("eth1")], None);
}
