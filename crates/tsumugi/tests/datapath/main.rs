//! The datapath process against itself, by the real binary in network namespaces of the test's own.
//!
//! ```text
//!   alpha                                                        beta
//!   fabric    lo 198.18.0.1, 2001:db8:f::1                       lo 198.18.0.2, 2001:db8:f::2
//!             tunnel (MTU 2400) fe80::1                          tunnel fe80::2
//!   underlay  eth1 2001:db8:101::1, 192.0.2.1  ── veth, MTU P ── eth1 2001:db8:101::2, 192.0.2.2
//! ```
//!
//! Needs root and iproute2, ping: without them the tests say so and pass as skipped.

mod bench;

use bench::{Bench, Outside, tunnel};
use std::time::Duration;
use tsumugi_core::router_plan::{Encapsulation, Engine};

fn gre() -> Encapsulation {
    Encapsulation::Gre { key: None }
}

/// A packet of exactly `mtu` bytes with DF passes in both families and both directions, and each
/// is exactly `packets` outer packets, none larger than the path.
#[track_caller]
fn full_packets_pass(bench: &Bench, mtu: usize, packets: usize) {
    bench.reachable(Duration::from_secs(10));
    for ipv6 in [false, true] {
        let capture = bench.capture();
        bench.ping(ipv6, mtu, 5);
        let seen = capture.finish(10, mtu);
        assert_eq!(seen.len(), 10, "5 requests and 5 answers: {seen:?}");
        for datagram in seen {
            assert_eq!(datagram.packets, packets, "{datagram:?}");
            assert!(datagram.largest <= bench.path_mtu(), "{datagram:?}");
        }
    }
}

#[test]
fn gre_over_ipv6_is_two_packets_on_every_path() {
    for path in [1500, 1454, 1280] {
        let Some(bench) = Bench::new("gre6", path) else { return };
        bench.start(&tunnel("gre-x", gre(), Outside::V6, path, 2400));
        full_packets_pass(&bench, 2400, 2);
    }
}

#[test]
fn gre_over_ipv4_is_two_packets_on_every_path() {
    for path in [1500, 1454, 1280] {
        let Some(bench) = Bench::new("gre4", path) else { return };
        bench.start(&tunnel("gre-x", Encapsulation::Gre { key: Some(7) }, Outside::V4, path, 2400));
        full_packets_pass(&bench, 2400, 2);
    }
}

#[test]
fn ethernet_tunnels_carry_1500_and_2400() {
    for (encapsulation, outside, mtu) in [
        (Encapsulation::EtherIp, Outside::V6, 1500),
        (Encapsulation::EtherIp, Outside::V4, 2400),
        (Encapsulation::Gretap { key: Some(1) }, Outside::V6, 1500),
    ] {
        let Some(bench) = Bench::new("eth", 1500) else { return };
        bench.start(&tunnel("eip-x", encapsulation, outside, 1500, mtu));
        full_packets_pass(&bench, usize::from(mtu), 2);
    }
}

#[test]
fn engines_are_told_with_their_reason() {
    let Some(bench) = Bench::new("engine", 1500) else { return };
    let mut plan = tunnel("gre-x", gre(), Outside::V6, 1500, 2400);
    plan.engine = Engine::Auto;
    bench.start(&plan);
    bench.reachable(Duration::from_secs(10));
    let status = bench.status(0);
    let tunnel = &status["tunnels"][0];
    assert_eq!((&tunnel["name"], &tunnel["state"]), (&"gre-x".into(), &"up".into()), "{status}");
    assert_eq!(
        (&tunnel["engine"], &tunnel["why"]),
        (&"userspace".into(), &"cannot-fragment".into()),
        "{status}"
    );
}
