//! Loops made on purpose.

use super::net::{Net, Place};
use super::*;
use crate::evpn::BlockReason;
use crate::evpn::probe::Probe;

const A: Place = (0, "eth1");
const B: Place = (1, "eth1");

fn two() -> Net {
    let mut net = Net::up(vec![vec![port(1), port(2)], vec![port(1)]]);
    net.run(5000);
    net
}

#[test]
fn a_cable_between_two_sites_is_blocked_at_one_end() {
    let mut net = two();
    assert!(net.is_open(A) && net.is_open(B));
    net.join(&[A, B]);
    net.run(600);
    assert!(net.is_open(A));
    let reason = BlockReason::LoopWith { router: 1, port: link("eth1") };
    assert_eq!(net.benches[1].ports[&link("eth1")], Some(reason.clone()));
    net.run(60_000);
    assert!(net.is_open(A) && !net.is_open(B), "as long as it is there");
    net.wires.clear();
    net.run(3600);
    assert!(net.is_open(B), "gone after three seconds of silence");
    let opened = Notice::PortOpened { segment: "members".to_string(), port: link("eth1"), reason };
    assert_eq!(net.benches[1].notices.last(), Some(&opened));
}

#[test]
fn a_cable_between_two_ports_of_one_router() {
    let mut net = two();
    net.join(&[A, (0, "eth2")]);
    net.run(600);
    assert!(net.is_open(A) && !net.is_open((0, "eth2")));
}

#[test]
fn a_hub_between_three_leaves_one_open() {
    let mut net = two();
    net.join(&[A, (0, "eth2"), B]);
    net.run(600);
    let open: Vec<Place> = [A, (0, "eth2"), B].into_iter().filter(|it| net.is_open(*it)).collect();
    assert_eq!(open, [A]);
    let said = net.benches[1].notices.len();
    net.run(10_000);
    assert_eq!(net.benches[1].notices.len(), said, "two are heard in turns, and one is spoken of");
}

#[test]
fn a_loop_behind_a_port_blocks_it() {
    let mut net = two();
    net.speak(B, mac(1));
    net.run(100);
    net.wires.push(([B].into_iter().collect(), true));
    net.run(600);
    assert_eq!(net.benches[1].ports[&link("eth1")], Some(BlockReason::LoopBehind));
    assert_eq!(net.benches[1].sequence(mac(1)), None, "what was learned there is forgotten");
}

#[test]
fn a_loop_that_comes_and_goes_is_let_in_less_and_less_often() {
    let mut net = two();
    let mut shut = Vec::new();
    for _ in 0..4 {
        net.join(&[A, B]);
        net.run(600);
        assert!(!net.is_open(B));
        net.wires.clear();
        let mut seconds = 0;
        while !net.is_open(B) {
            net.run(1000);
            seconds += 1;
        }
        shut.push(seconds);
    }
    assert_eq!(shut, [3, 6, 12, 24]);
    // Calm for long enough: as the first time.
    net.run(120_000);
    net.join(&[A, B]);
    net.run(600);
    net.wires.clear();
    net.run(3100);
    assert!(net.is_open(B));
}

/// Frames go from B to A only: B never hears A, so A has to give way.
#[test]
fn a_loop_of_one_direction_is_blocked_as_well() {
    let mut bench = Bench::up(1);
    let probe = |forwarding, sequence| {
        let network = config(1, Vec::new()).network;
        let (lan, vni) = (Esi::SINGLE_HOMED, Vni(VNI));
        let connected = true;
        let candidate = false;
        let probe = Probe {
            network,
            router: 2,
            vni,
            port: 1,
            link: link("eth9"),
            sequence,
            forwarding,
            connected,
            candidate,
            lan,
            preference: 0,
        };
        probe.frame()
    };
    for sequence in 0..4 {
        assert_eq!(bench.ports[&link("eth1")], None);
        bench.step(Event::ProbeHeard { port: link("eth1"), frame: &probe(true, sequence) });
        bench.advance(Duration::from_millis(500));
    }
    assert_eq!(bench.ports[&link("eth1")], Some(BlockReason::LoopWith { router: 2, port: link("eth9") }));
    bench.advance(Duration::from_secs(3));
    // The other end gives way when it hears us: nothing to block here.
    for sequence in 0..10 {
        bench.step(Event::ProbeHeard { port: link("eth1"), frame: &probe(false, sequence) });
        bench.advance(Duration::from_millis(500));
    }
    assert_eq!(bench.ports[&link("eth1")], None);
}

#[test]
fn a_cable_between_two_segments_is_blocked() {
    let other = SegmentConfig {
        name: "guests".to_string(),
        vni: Vni(224),
        bridge: link("seg-guests"),
        stretch: None,
        ports: vec![port(2)],
        gateway: None,
    };
    let mut bench = Bench::up_with(config(1, vec![segment(1, vec![port(1)]), other]));
    bench.frames.clear();
    bench.advance(Duration::from_millis(500));
    for (from, frame) in core::mem::take(&mut bench.frames) {
        let to = if from == link("eth1") { "eth2" } else { "eth1" };
        bench.step(Event::ProbeHeard { port: link(to), frame: &frame });
    }
    assert_eq!(bench.ports[&link("eth1")], None);
    assert_eq!(bench.ports[&link("eth2")], Some(BlockReason::LoopWith { router: 1, port: link("eth1") }));
}

#[test]
fn a_probe_byte_by_byte() {
    let probe = Probe {
        network: 0x0102_0304_0506_0708,
        router: 0x0203,
        vni: Vni(0x00ab_cdef),
        port: 5,
        link: link("eth5.20"),
        sequence: 9,
        forwarding: true,
        connected: false,
        candidate: true,
        lan: Esi::stated([1, 2, 3, 4, 5, 6, 7, 8, 9]),
        preference: 7,
    };
    let frame = probe.frame();
    let mut want = vec![3, 0x74, 0x73, 0x75, 0x6d, 0x75, 2, 0x74, 0x73, 2, 3, 5, 0x88, 0xb5, 1, 5];
    want.extend([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 2, 3, 0, 0xab, 0xcd, 0xef, 0, 5]);
    want.extend([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 7, 0, 0, 0, 9]);
    want.extend(b"eth5.20");
    want.resize(66, 0);
    assert_eq!(frame, want);
    assert_eq!(Probe::parse(&frame), Ok(probe));
}

#[test]
fn another_networks_probes_mean_nothing() {
    let mut bench = Bench::up(1);
    let mut frame = bench.frames.last().unwrap().1.clone();
    frame[16] ^= 1;
    bench.step(Event::ProbeHeard { port: link("eth1"), frame: &frame });
    for length in 0..frame.len() {
        bench.step(Event::ProbeHeard { port: link("eth1"), frame: &frame[..length] });
    }
    assert_eq!(bench.ports[&link("eth1")], None);
    assert_eq!(bench.evpn.status(bench.now).counters.probes_of_strangers, 67);
}
