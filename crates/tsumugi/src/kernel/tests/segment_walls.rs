//! The walls of segments, frame by frame.

use super::super::frame_socket::{FrameSocket, Hears};
use super::super::learned::HostEvent;
use super::super::netlink::Netlink;
use super::super::nft::counters;
use super::super::plane::Keeper;
use super::super::port_sets::{PortChange, PortSets};
use super::segments::{ALL, Site, TEST, frame, mac, site, two_sites};
use super::{calm, name, settle, wire};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use tsumugi_core::desired::{BridgeEntry, DropReason, GatewayWall, PortWall, SegmentWall};
use tsumugi_core::id::{Mac, Plane};

const GATEWAY: Mac = Mac([2, 0, 0x5e, 0, 0, 1]);
const OWN: Mac = Mac([2, 0, 0x5e, 0, 0, 2]);
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

fn wall(storm_limit: u32) -> SegmentWall {
    let port = |port, starts_blocked| PortWall { link: name(port), storm_limit, starts_blocked };
    SegmentWall {
        bridge: name("seg"),
        vxlan: Some(name("vx")),
        ports: vec![port("p1", false), port("p2", false)],
        gateway: None,
        clamp_v4: Some(1366),
        clamp_v6: Some(1346),
    }
}

fn joined(wall: &SegmentWall) -> (Site, Site) {
    let (mut one, mut two) = two_sites(false, std::slice::from_ref(wall));
    one.flood_to(two.vtep);
    two.flood_to(one.vtep);
    (one, two)
}

fn dropped(site: &Site, reason: DropReason) -> u64 {
    counters(&site.plane).unwrap().get(&reason).map_or(0, |dropped| dropped.packets)
}

/// A frame that all walls let pass.
fn mark() -> (Vec<u8>, [u8; 8]) {
    (frame(ALL, mac(0xee), TEST, b"the mark"), *b"the mark")
}

/// Nothing goes in or out by p2, and nothing is learned there.
fn closed(one: &Site, two: &Site) {
    let (mark, text) = mark();
    one.send(1, &frame(ALL, mac(7), TEST, b"from a blocked port"));
    one.send(0, &mark);
    assert!(!two.arrives_before(0, b"from a blocked port", &text));
    // What floods leaves by all ports at once.
    assert!(!one.waiting(1).iter().any(|frame| frame.windows(8).any(|window| window == text)));
    assert!(!one.hand("bridge fdb").contains(":01:07"));
}

fn open(one: &Site, two: &Site) {
    one.send(1, &frame(ALL, mac(8), TEST, b"from an open port"));
    assert!(two.receive(0, |frame| frame.windows(17).any(|w| w == b"from an open port")).is_some());
}

#[test]
fn a_blocked_port_passes_nothing_until_it_is_opened() {
    let (mut one, two) = joined(&wall(1000));
    let mut sets = PortSets::open_in(&one.plane).unwrap();
    open(&one, &two);
    sets.change(&[PortChange::Block(name("p2"))]).unwrap();
    closed(&one, &two);
    assert!(dropped(&one, DropReason::BlockedPort) >= 1);
    assert!(calm(&mut one.keeper).is_empty(), "what sets hold is no wall");
    // It stays so over other rules and another life.
    let mut desired = one.desired.clone();
    desired.segment_walls[0].clamp_v4 = Some(1300);
    one.keeper.set_desired(desired.clone()).unwrap();
    settle(&mut one.keeper);
    closed(&one, &two);
    one.keeper = Keeper::new(Plane::Fabric, one.plane.clone(), &one.plane, desired.clone()).unwrap();
    settle(&mut one.keeper);
    closed(&one, &two);
    sets.change(&[PortChange::Unblock(name("p2"))]).unwrap();
    open(&one, &two);
    // A port that is gone from the walls is forgotten.
    sets.change(&[PortChange::Block(name("p2"))]).unwrap();
    desired.segment_walls[0].ports.pop();
    one.keeper.set_desired(desired).unwrap();
    settle(&mut one.keeper);
    assert_eq!(one.hand("nft list set bridge tsumugi blocked").matches("p2").count(), 0);
}

#[test]
fn a_port_of_a_shared_lan_forwards_only_while_somebody_says_so() {
    let mut walls = wall(1000);
    walls.ports[1].starts_blocked = true;
    let (one, two) = joined(&walls);
    let mut sets = PortSets::open_in(&one.plane).unwrap();
    closed(&one, &two);
    let long = Duration::from_secs(60);
    sets.change(&[PortChange::Forward(name("p2"), long)]).unwrap();
    open(&one, &two);
    sets.change(&[PortChange::Forward(name("p2"), long), PortChange::Block(name("p2"))]).unwrap();
    closed(&one, &two);
    sets.change(&[PortChange::Unblock(name("p2")), PortChange::Hold(name("p2"))]).unwrap();
    closed(&one, &two);
    sets.change(&[PortChange::Forward(name("p2"), Duration::from_millis(100))]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while one.hand("nft list set bridge tsumugi forwarding").contains("p2") {
        assert!(Instant::now() < deadline, "it forwards on");
    }
    closed(&one, &two);
}

#[test]
fn walls_that_stand_are_not_put_up_again() {
    let (left, _right) = wire();
    let mut walls = wall(1000);
    walls.gateway = Some(gateway());
    walls.ports[0].starts_blocked = true;
    let one = site(left, "left", "192.0.2.1", vec![walls]);
    let mut again = Keeper::new(Plane::Fabric, one.plane.clone(), &one.plane, one.desired.clone()).unwrap();
    assert!(settle(&mut again).made.is_empty());
    one.hand("nft flush chain bridge tsumugi port-p1");
    assert!(!calm(&mut again).is_empty());
    again.set_desired(Default::default()).unwrap();
    settle(&mut again);
    assert_eq!(one.hand("nft list tables"), "");
}

#[test]
fn bpdus_and_probes_do_not_cross_a_bridge() {
    let (one, two) = joined(&wall(1000));
    let bpdu = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
    let per_vlan = Mac([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd]);
    let probe = Mac([3, 0, 0, 0, 0, 0]);
    let (mark, text) = mark();
    one.send(0, &frame(bpdu, mac(1), 0x0027, b"spanning tree"));
    one.send(0, &frame(per_vlan, mac(1), 0x0032, b"spanning tree"));
    one.send(0, &frame(probe, mac(1), 0x88b5, b"spanning tree"));
    one.send(0, &mark);
    assert!(!two.arrives_before(0, b"spanning tree", &text));
    assert!(!one.arrives_before(1, b"spanning tree", &text));
    assert_eq!(dropped(&one, DropReason::LinkLocalFrame), 3);
}

#[test]
fn a_storm_is_limited_by_kind_and_counted() {
    let (mut one, mut two) = joined(&wall(10));
    let stranger = Mac([2, 9, 9, 9, 9, 9]);
    for to in [ALL, Mac([3, 1, 1, 1, 1, 1]), stranger] {
        let before = dropped(&one, DropReason::Storm);
        for _ in 0..100 {
            one.send(0, &frame(to, mac(1), TEST, b"storm"));
        }
        let after = dropped(&one, DropReason::Storm) - before;
        // Ten at once pass, and ten each second that the sending takes.
        assert!((50..=90).contains(&after), "to {to}: {after}");
    }
    // Known ones are not limited: heard here, or known to be elsewhere.
    one.send(1, &frame(ALL, mac(2), TEST, b"hello"));
    one.until(|event| *event == HostEvent::MacHeard { port: name("p2"), mac: mac(2) });
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(3), vtep: two.vtep, sticky: false }, true);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !one.hand("nft list set bridge tsumugi known-vx").contains(":01:03") {
        assert!(Instant::now() < deadline, "not written");
        one.keeper.turn(Instant::now());
        super::wait(&one.keeper, Duration::from_millis(50));
    }
    let before = dropped(&one, DropReason::Storm);
    for to in [mac(2), mac(3)] {
        for _ in 0..100 {
            one.send(0, &frame(to, mac(1), TEST, b"no storm"));
        }
    }
    assert_eq!(dropped(&one, DropReason::Storm), before);
    // What comes from other routers was limited at its port.
    two.tell(BridgeEntry::Flood { vxlan: name("vx"), vtep: one.vtep }, true);
    assert_eq!(dropped(&two, DropReason::Storm), 0);
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(3), vtep: two.vtep, sticky: false }, false);
    calm(&mut one.keeper);
    assert!(!one.hand("nft list set bridge tsumugi known-vx").contains(":01:03"));
}

fn sum(bytes: &[u8], start: u32) -> u32 {
    bytes.chunks(2).fold(start, |sum, two| {
        sum + u32::from(u16::from_be_bytes([two[0], two.get(1).copied().unwrap_or(0)]))
    })
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A TCP SYN with an MSS, as an IP packet.
fn syn(ipv6: bool, mss: u16) -> Vec<u8> {
    let (from, to) = if ipv6 {
        let address = |last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).octets().to_vec();
        (address(1), address(2))
    } else {
        (Ipv4Addr::new(10, 0, 0, 1).octets().to_vec(), Ipv4Addr::new(10, 0, 0, 2).octets().to_vec())
    };
    let mut tcp = vec![0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4];
    tcp.extend(mss.to_be_bytes());
    let pseudo = sum(&from, sum(&to, 6 + tcp.len() as u32));
    let checksum = folded(sum(&tcp, pseudo));
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = if ipv6 {
        vec![0x60, 0, 0, 0, 0, tcp.len() as u8, 6, 64]
    } else {
        vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 1, 0x40, 0, 64, 6, 0, 0]
    };
    packet.extend(from.iter().chain(&to));
    if !ipv6 {
        let checksum = folded(sum(&packet, 0));
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    packet.extend(tcp);
    packet
}

#[test]
fn an_mss_through_vxlan_is_lowered_and_never_raised() {
    let (one, two) = joined(&wall(1000));
    for (ipv6, tagged) in [(false, false), (true, false), (false, true), (true, true)] {
        let limit = if ipv6 { 1346 } else { 1366 };
        let ethertype = if ipv6 { IPV6 } else { IPV4 };
        for (said, heard) in [(1460, limit), (limit + 1, limit), (limit, limit), (536, 536)] {
            let packet = syn(ipv6, said);
            let tag: Vec<u8> =
                if tagged { [7u16.to_be_bytes(), ethertype.to_be_bytes()].concat() } else { Vec::new() };
            let payload = [tag.clone(), packet.clone()].concat();
            one.send(0, &frame(ALL, mac(1), if tagged { 0x8100 } else { ethertype }, &payload));
            let start = 14 + tag.len();
            let is_it =
                |frame: &[u8]| frame.len() >= start + packet.len() && frame[start..start + 8] == packet[..8];
            // At another port of the bridge it is as it was sent.
            for (site, port, wanted) in [(&two, 0, heard), (&one, 1, said)] {
                let got = site.receive(port, is_it).expect("the SYN did not come");
                let got = &got[start..start + packet.len()];
                let mss = u16::from_be_bytes(got[packet.len() - 2..].try_into().unwrap());
                assert_eq!(mss, wanted, "ipv6 {ipv6}, tagged {tagged}, said {said}");
                if mss == said {
                    assert_eq!(got, packet);
                } else {
                    assert_eq!(got, syn(ipv6, mss), "with its checksum");
                }
            }
        }
    }
}

fn gateway() -> GatewayWall {
    let addresses = ["10.0.0.254", "2001:db8:7::1", "fe80::254"];
    GatewayWall {
        mac: GATEWAY,
        own_mac: OWN,
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

fn arp(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac(1).0, &from, &[0; 6], &to].concat()
}

fn udp(ipv6: bool, port: u16) -> Vec<u8> {
    udp_from(ipv6, 100, port)
}

fn udp_from(ipv6: bool, source: u16, port: u16) -> Vec<u8> {
    let mut packet = syn(ipv6, 1460);
    let header = if ipv6 { 40 } else { 20 };
    packet[if ipv6 { 6 } else { 9 }] = 17;
    packet.truncate(header);
    if ipv6 {
        packet[5] = 8;
    } else {
        packet[3] = 28;
        packet[10..12].copy_from_slice(&[0, 0]);
        let checksum = folded(sum(&packet, 0));
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    packet.extend([source, port, 8, 0].iter().flat_map(|word| word.to_be_bytes()));
    packet
}

fn icmpv6(kind: u8, target: &str) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().unwrap();
    let mut packet = syn(true, 1460);
    packet[5] = 24;
    packet[6] = 58;
    packet[7] = 255;
    packet.truncate(40);
    // Advertisements as the answers that they are: the bridge keeps those that nobody asked for to itself.
    let solicited = if kind == 136 { 0x40 } else { 0 };
    packet.extend([kind, 0, 0, 0, solicited, 0, 0, 0]);
    packet.extend(target.octets());
    packet
}

#[test]
fn a_gateway_is_not_heard_by_the_hosts_of_other_routers() {
    let plain = wall(1000);
    let walls = SegmentWall { gateway: Some(gateway()), ..plain.clone() };
    let (host, other) = ([10, 0, 0, 5], [10, 0, 0, 6]);
    let its = [10, 0, 0, 254];
    let stopped = [
        ("to its MAC", frame(GATEWAY, mac(1), TEST, b"")),
        ("everyone from its MAC", frame(ALL, GATEWAY, TEST, b"")),
        ("its ARP for another", frame(mac(2), GATEWAY, ARP, &arp(host, other))),
        ("a question for it", frame(ALL, mac(1), ARP, &arp(host, its))),
        ("an answer for it", frame(ALL, mac(1), ARP, &arp(its, host))),
        ("a solicitation of it", frame(ALL, mac(1), IPV6, &icmpv6(135, "2001:db8:7::1"))),
        ("an advertisement of it", frame(ALL, mac(1), IPV6, &icmpv6(136, "fe80::254"))),
        ("its solicitation of a host", frame(mac(2), GATEWAY, IPV6, &icmpv6(135, "2001:db8:7::9"))),
        ("router solicitation", frame(ALL, mac(1), IPV6, &icmpv6(133, "::"))),
        ("router advertisement", frame(ALL, mac(1), IPV6, &icmpv6(134, "::"))),
        ("redirect", frame(ALL, mac(1), IPV6, &icmpv6(137, "::"))),
        ("DHCP", frame(ALL, mac(1), IPV4, &udp(false, 67))),
        ("DHCP's answer", frame(ALL, mac(1), IPV4, &udp(false, 68))),
        ("DHCPv6", frame(ALL, mac(1), IPV6, &udp(true, 547))),
    ];
    let passed = [
        ("a host's question", frame(ALL, mac(1), ARP, &arp(host, other))),
        ("a host's solicitation", frame(ALL, mac(1), IPV6, &icmpv6(135, "2001:db8:7::9"))),
        ("a host's advertisement", frame(ALL, mac(1), IPV6, &icmpv6(136, "fe80::9"))),
        ("an echo", frame(ALL, mac(1), IPV6, &icmpv6(128, "::"))),
        ("DNS", frame(ALL, mac(1), IPV4, &udp(false, 53))),
    ];
    // The rules stand at one end: at the sending one, then at the receiving one.
    for (here, there) in [(&walls, &plain), (&plain, &walls)] {
        let (left, right) = wire();
        let mut one = site(left, "left", "192.0.2.1", vec![here.clone()]);
        let two = site(right, "right", "192.0.2.2", vec![there.clone()]);
        one.flood_to(two.vtep);
        let strict = if here.gateway.is_some() { &one } else { &two };
        // On the way the kernel may cut what an IP packet does not fill of its frame.
        let comes = |sent: &[u8]| two.receive(0, |frame| frame.starts_with(&sent[..42])).is_some();
        // Where the rules stand, no host may play the gateway: the router itself says it there.
        let router = || {
            let index = Netlink::open_in(&one.plane).unwrap().index(&name("seg")).unwrap();
            one.plane.run(|| FrameSocket::open(index, Hears::Nothing)).unwrap()
        };
        let router = here.gateway.is_some().then(router);
        let say = |sent: &[u8]| match &router {
            Some(router) => router.send(sent).unwrap(),
            None => one.send(0, sent),
        };
        for (number, (what, sent)) in stopped.iter().enumerate() {
            say(sent);
            assert_eq!(dropped(strict, DropReason::GatewayFrame), number as u64 + 1, "{what}");
        }
        for (what, sent) in &passed {
            one.send(0, sent);
            assert!(comes(sent), "{what}");
        }
        let (mark, text) = mark();
        one.send(0, &mark);
        two.receive(0, |frame| frame.windows(8).any(|window| window == text)).expect("the mark did not come");
        // What was routed here to a host elsewhere leaves under the router's own MAC.
        let routed = |from| frame(mac(9), from, IPV4, &udp(false, 53));
        say(&routed(GATEWAY));
        if here.gateway.is_some() {
            assert!(comes(&routed(OWN)));
        } else {
            assert_eq!(dropped(strict, DropReason::GatewayFrame), stopped.len() as u64 + 1);
        }
        // Within the segment of one router nothing of it holds.
        one.send(0, &stopped[3].1);
        assert!(one.receive(1, |frame| frame.starts_with(&stopped[3].1)).is_some());
    }
}

/// Of what a host sends, other hosts of its router hear nothing that only the gateway may say.
#[test]
fn a_host_that_plays_the_gateway_is_not_heard() {
    let (left, _right) = wire();
    let walls = SegmentWall { gateway: Some(gateway()), ..wall(1000) };
    let one = site(left, "left", "192.0.2.1", vec![walls]);
    let (host, other, its) = ([10, 0, 0, 5], [10, 0, 0, 6], [10, 0, 0, 254]);
    let stopped = [
        ("its MAC", frame(ALL, GATEWAY, TEST, b"")),
        ("the router's own MAC", frame(ALL, OWN, TEST, b"")),
        ("its ARP", frame(ALL, mac(1), ARP, &arp(its, host))),
        ("an advertisement of its address", frame(ALL, mac(1), IPV6, &icmpv6(136, "2001:db8:7::1"))),
        ("an advertisement of its link-local", frame(ALL, mac(1), IPV6, &icmpv6(136, "fe80::254"))),
        ("router advertisement", frame(ALL, mac(1), IPV6, &icmpv6(134, "::"))),
        ("redirect", frame(ALL, mac(1), IPV6, &icmpv6(137, "::"))),
        ("a DHCP server", frame(ALL, mac(1), IPV4, &udp_from(false, 67, 68))),
        ("a DHCPv6 server", frame(ALL, mac(1), IPV6, &udp_from(true, 547, 546))),
    ];
    let passed = [
        ("a question for it", frame(ALL, mac(1), ARP, &arp(host, its))),
        ("a host's ARP", frame(ALL, mac(1), ARP, &arp(host, other))),
        ("a probe", frame(ALL, mac(1), ARP, &arp([0; 4], other))),
        ("a solicitation of it", frame(ALL, mac(1), IPV6, &icmpv6(135, "2001:db8:7::1"))),
        ("a host's advertisement", frame(ALL, mac(1), IPV6, &icmpv6(136, "fe80::9"))),
        ("router solicitation", frame(ALL, mac(1), IPV6, &icmpv6(133, "::"))),
        ("a DHCP client", frame(ALL, mac(1), IPV4, &udp_from(false, 68, 67))),
        ("a DHCPv6 client", frame(ALL, mac(1), IPV6, &udp_from(true, 546, 547))),
    ];
    for (number, (what, sent)) in stopped.iter().enumerate() {
        one.send(0, sent);
        assert_eq!(dropped(&one, DropReason::FalseGateway), number as u64 + 1, "{what}");
    }
    assert!(!one.hand("bridge fdb").contains(&format!("{OWN} dev p1")), "it was learned");
    for (what, sent) in &passed {
        one.send(0, sent);
        assert!(one.receive(1, |frame| frame.starts_with(&sent[..42])).is_some(), "{what}");
    }
    assert_eq!(dropped(&one, DropReason::FalseGateway), stopped.len() as u64);
}
