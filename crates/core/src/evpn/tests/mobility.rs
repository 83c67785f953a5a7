//! Hosts that move (RFC 7432 15).

use super::net::Net;
use super::routes::{type2, type2_path};
use super::*;
use crate::evpn::BlockReason;

fn three() -> Net {
    let mut net = Net::up(vec![vec![port(1), port(2)], vec![port(1)], vec![port(1)]]);
    net.run(1000);
    net
}

#[test]
fn a_host_moves_there_and_back() {
    let mut net = three();
    for (round, (here, there)) in [(0, 1), (1, 0), (0, 1), (1, 2)].into_iter().enumerate() {
        net.speak((here, "eth1"), mac(1));
        net.run(1000);
        net.speak((there, "eth1"), mac(1));
        net.run(60_000);
        let want = Some(vtep(there as u32 + 1));
        for at in (0..3).filter(|at| *at != there) {
            assert_eq!(net.seen(at, mac(1)), want, "round {round}");
        }
        assert_eq!(net.seen(there, mac(1)), None);
        let announced = net.benches.iter().filter(|it| it.sequence(mac(1)).is_some()).count();
        assert_eq!(announced, 1, "nobody but the last");
    }
}

#[test]
fn between_ports_of_one_router_nothing_is_said() {
    let mut net = three();
    net.speak((0, "eth1"), mac(1));
    net.run(1000);
    net.benches[0].step(Event::MacHeard { port: link("eth2"), mac: mac(1) });
    assert!(net.benches[0].originated.is_empty());
    // The old port's entry is gone after the new one stands: not the MAC.
    net.benches[0].step(Event::MacGone { port: link("eth1"), mac: mac(1) });
    assert_eq!(net.benches[0].sequence(mac(1)), Some(0));
}

#[test]
fn two_that_hear_a_host_at_once_agree() {
    let mut net = three();
    net.speak((1, "eth1"), mac(1));
    net.speak((2, "eth1"), mac(1));
    net.run(1000);
    // RFC 7432 15: the same sequence number, the lower address.
    assert_eq!(net.seen(0, mac(1)), Some(vtep(2)));
    assert_eq!(net.seen(2, mac(1)), Some(vtep(2)));
    assert_eq!(net.benches[2].sequence(mac(1)), None);
    assert_eq!(net.seen(1, mac(1)), None);
}

#[test]
fn a_duplicate_is_frozen_and_freed_when_it_is_quiet() {
    let mut net = three();
    for _ in 0..6 {
        net.speak((0, "eth1"), mac(1));
        net.run(3000);
        net.speak((1, "eth1"), mac(1));
        net.run(3000);
    }
    let notice = |net: &Net, at: usize, want: &Notice| net.benches[at].notices.contains(want);
    let duplicate = Notice::DuplicateMac { segment: "members".to_string(), mac: mac(1) };
    let ended = Notice::DuplicateEnded { segment: "members".to_string(), mac: mac(1) };
    assert!(notice(&net, 0, &duplicate) || notice(&net, 1, &duplicate));
    let said: usize = net.benches.iter().map(|it| it.notices.len()).sum();
    // It goes on, and nobody hears of it.
    for _ in 0..100 {
        net.speak((0, "eth1"), mac(1));
        net.run(100);
        net.speak((1, "eth1"), mac(1));
        net.run(100);
    }
    assert_eq!(net.benches.iter().map(|it| it.notices.len()).sum::<usize>(), said);
    assert!(net.is_open((0, "eth1")) && net.is_open((1, "eth1")), "one MAC is no loop");
    let frozen = net
        .benches
        .iter()
        .filter(|it| it.evpn.status(it.now).segments[0].macs.iter().any(|mac| mac.frozen_for_ms.is_some()));
    assert!(frozen.count() >= 1);
    net.run(180_000);
    assert!(notice(&net, 0, &ended) || notice(&net, 1, &ended));
    let announced = net.benches.iter().filter(|it| it.sequence(mac(1)).is_some()).count();
    assert_eq!(announced, 1);
}

#[test]
fn many_macs_that_flap_shut_one_end() {
    let mut net = three();
    for round in 0..20 {
        for host in 1..=3 {
            net.speak((round % 2, "eth1"), mac(host));
        }
        net.run(120);
    }
    assert!(net.is_open((0, "eth1")), "the lower VTEP stays");
    assert_eq!(net.benches[1].ports[&link("eth1")], Some(BlockReason::Flapping));
    net.run(11_000);
    assert!(net.is_open((1, "eth1")));
}

#[test]
fn a_static_mac_does_not_move() {
    let mut bench = Bench::up(3);
    bench.route(type2(2, mac(1), None), Some(type2_path(2, &[mobility(0, true)])));
    bench.hear("eth1", mac(1));
    bench.hear("eth1", mac(1));
    let moved = Notice::StickyMacMoved { segment: "members".to_string(), mac: mac(1), port: link("eth1") };
    assert_eq!(bench.notices, [moved]);
    assert_eq!(bench.sequence(mac(1)), None);
    // Against a higher sequence number as well (RFC 7432 15.2), and of two the lower address.
    bench.route(type2(1, mac(1), None), Some(type2_path(1, &[mobility(9, false)])));
    let at = |bench: &Bench| match bench.entries()[..] {
        [BridgeEntry::Mac { vtep, .. }] => vtep,
        _ => panic!("one entry"),
    };
    assert_eq!(at(&bench), vtep(2));
    bench.route(type2(1, mac(1), None), Some(type2_path(1, &[mobility(0, true)])));
    assert_eq!(at(&bench), vtep(1));
    let twice = Notice::StickyMacClaimedTwice {
        segment: "members".to_string(),
        mac: mac(1),
        kept: vtep(1),
        other: vtep(2),
    };
    assert_eq!(bench.notices.last(), Some(&twice));
    // A static route for what is on a port takes it away.
    bench.hear("eth1", mac(2));
    bench.route(type2(2, mac(2), None), Some(type2_path(2, &[mobility(0, true)])));
    assert_eq!(bench.sequence(mac(2)), None);
}

#[test]
fn lost_sessions_take_out_what_they_brought_and_bring_it_back() {
    let mut net = three();
    net.speak((0, "eth1"), mac(1));
    net.speak((1, "eth1"), mac(2));
    net.run(1000);
    let before: Vec<_> = net.benches.iter().map(Bench::entries).collect();
    assert_eq!(before[2].len(), 4);
    net.lose_sessions(0);
    net.run(1000);
    assert_eq!(net.benches[0].entries(), []);
    assert_eq!(net.benches[2].entries().len(), 2);
    net.restore_sessions(0);
    net.run(1000);
    assert_eq!(net.benches.iter().map(Bench::entries).collect::<Vec<_>>(), before);
}

#[test]
fn what_was_lost_is_read_again() {
    let mut net = three();
    net.speak((0, "eth1"), mac(1));
    net.speak((0, "eth1"), mac(2));
    net.speak((1, "eth1"), mac(3));
    net.run(1000);
    let macs = vec![(link("eth1"), mac(2)), (link("eth2"), mac(3)), (link("eth1"), mac(4))];
    net.step(0, Event::Relearned { macs, hosts: Vec::new() });
    net.run(1000);
    assert_eq!([1, 2, 3, 4].map(|n| net.benches[0].sequence(mac(n))), [None, Some(0), Some(1), Some(0)]);
    assert_eq!([1, 2, 3, 4].map(|n| net.seen(1, mac(n)).is_some()), [false, true, true, true]);
}
