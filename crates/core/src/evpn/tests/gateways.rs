//! Gateways: MACs that are ours, silent hosts, and who announces what.

use super::routes::{type2, type2_path};
use super::*;
use crate::evpn::BlockReason;
use crate::evpn::RouteRefusal;
use crate::evpn::communities::lowest_preference;

fn bench() -> Bench {
    let with_gateway = SegmentConfig { gateway: Some(gateway(1)), ..segment(1, vec![port(1)]) };
    Bench::up_with(config(1, vec![with_gateway]))
}

#[test]
fn the_routers_own_mac_is_static_and_the_gateways_is_not_announced() {
    let bench = bench();
    let path = &bench.announced[&type2(1, gateway(1).own_mac, None)];
    assert!(path.communities.contains(&mobility(0, true)));
    assert_eq!(bench.announced.len(), 2, "type 3 and that");
}

#[test]
fn our_macs_are_ours() {
    let mut bench = bench();
    let shared = gateway(1).mac;
    let claimed = |mac| Notice::OurMacClaimed { segment: "members".to_string(), mac, vtep: vtep(2) };
    bench.route(type2(2, gateway(1).own_mac, None), Some(type2_path(2, &[mobility(9, true)])));
    assert_eq!(bench.notices, [claimed(gateway(1).own_mac)]);
    bench.route(type2(2, shared, None), Some(type2_path(2, &[])));
    assert_eq!(bench.notices[1..], [claimed(shared)]);
    // Another router that is the same gateway says so: nothing to speak of.
    bench.notices.clear();
    let same = type2(3, shared, Some("192.0.2.1"));
    bench.route(same, Some(type2_path(3, &[ExtendedCommunity::DEFAULT_GATEWAY])));
    assert_eq!(bench.notices, []);
    let reasons: Vec<RouteRefusal> =
        bench.evpn.status(bench.now).refused.iter().map(|it| it.reason).collect();
    assert_eq!(reasons, [RouteRefusal::OurMac, RouteRefusal::OurMac]);
    bench.route(type2(2, mac(1), Some("192.0.2.1")), Some(type2_path(2, &[])));
    assert!(matches!(bench.notices[0], Notice::RouteRefused { reason: RouteRefusal::OurAddress, .. }));
    assert_eq!(bench.entries(), []);
    // A router's MAC in a community (RFC 9135 8.1): the route is used all the same.
    let router = ExtendedCommunity::router_mac(shared);
    bench.route(type2(2, mac(2), None), Some(type2_path(2, &[router])));
    assert_eq!(bench.notices.last(), Some(&claimed(shared)));
    assert_eq!(bench.entries().len(), 1);
    bench.route(type2(3, mac(3), None), Some(type2_path(3, &[router])));
    let status = bench.evpn.status(bench.now);
    assert_eq!(status.segments[0].router_macs_in_conflict[0].vteps, [vtep(1), vtep(2), vtep(3)]);
    // The kernel hears its own MACs: that is no host.
    let before = bench.announced.clone();
    bench.hear("eth1", shared);
    bench.hear("eth1", gateway(1).own_mac);
    assert_eq!(bench.announced, before);
}

fn seek(bench: &mut Bench, address: &str) -> Vec<(IfName, Vec<u8>)> {
    bench.frames.clear();
    let address = address.parse().unwrap();
    bench.step(Event::HostSought { bridge: link("seg-members"), address });
    core::mem::take(&mut bench.frames)
}

#[test]
fn silent_hosts_are_asked_with_our_own_mac() {
    let mut bench = bench();
    let own = gateway(1).own_mac.0;
    let mut arp = [[0xff; 6], own].concat();
    arp.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(own);
    arp.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9]);
    assert_eq!(seek(&mut bench, "192.0.2.9"), [(link("vx-members"), arp)]);
    let mut solicitation = [[0x33, 0x33, 0xff, 0, 0, 9], own].concat();
    solicitation.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    solicitation.extend(gateway(1).own_link_local.octets());
    solicitation.extend("ff02::1:ff00:9".parse::<core::net::Ipv6Addr>().unwrap().octets());
    solicitation.extend([135, 0, 0, 0, 0, 0, 0, 0]);
    solicitation.extend("2001:db8:e00::9".parse::<core::net::Ipv6Addr>().unwrap().octets());
    solicitation.extend([1, 1]);
    solicitation.extend(own);
    let mut frames = seek(&mut bench, "2001:db8:e00::9");
    // The checksum, which the wire format's own test looks after.
    frames[0].1[56..58].fill(0);
    assert_eq!(frames, [(link("vx-members"), solicitation)]);
}

#[test]
fn nobody_is_asked_too_often_or_in_vain() {
    let mut bench = bench();
    assert_eq!(seek(&mut bench, "192.0.2.9").len(), 1);
    assert_eq!(seek(&mut bench, "192.0.2.9").len(), 0, "within a second");
    assert_eq!(seek(&mut bench, "192.0.2.10").len(), 1);
    bench.advance(Duration::from_secs(1));
    assert_eq!(seek(&mut bench, "192.0.2.9").len(), 1);
    bench.advance(Duration::from_secs(1));
    for address in ["192.0.2.1", "198.51.100.1", "fe80::1", "ff02::1", "2001:db8::1", "0.0.0.0"] {
        assert_eq!(seek(&mut bench, address).len(), 0, "{address}");
    }
    assert_eq!(seek(&mut bench, "fe80::99").len(), 1);
    // Known: behind another VTEP, or on a port.
    bench.route(type2(2, mac(1), Some("192.0.2.9")), Some(type2_path(2, &[])));
    assert_eq!(seek(&mut bench, "192.0.2.9").len(), 0);
    bench.hear("eth1", mac(2));
    let address = "192.0.2.10".parse().unwrap();
    bench.step(Event::HostHeard { bridge: link("seg-members"), address, mac: mac(2) });
    assert_eq!(seek(&mut bench, "192.0.2.10").len(), 0);
    // A scan of a /64 costs no more memory than this.
    let asked: usize = (0..3000).map(|n| seek(&mut bench, &format!("2001:db8:e00::{n:x}")).len()).sum();
    assert!((1000..=1024).contains(&asked), "{asked}");
    bench.step(Event::LinkDown(link("vx-members")));
    bench.advance(Duration::from_secs(2));
    assert_eq!(seek(&mut bench, "192.0.2.77").len(), 0);
}

#[test]
fn a_host_that_answers_from_elsewhere_is_not_announced_by_us() {
    let mut bench = bench();
    let address: IpAddr = "192.0.2.9".parse().unwrap();
    bench.step(Event::HostHeard { bridge: link("seg-members"), address, mac: mac(1) });
    assert_eq!(bench.announced.len(), 2);
    // It comes to our port, and is known by its address at once.
    bench.hear("eth1", mac(1));
    assert!(bench.announced.contains_key(&type2(1, mac(1), Some("192.0.2.9"))));
    // The address goes to another host here.
    bench.hear("eth1", mac(2));
    bench.step(Event::HostHeard { bridge: link("seg-members"), address, mac: mac(2) });
    assert!(!bench.announced.contains_key(&type2(1, mac(1), Some("192.0.2.9"))));
    assert!(bench.announced.contains_key(&type2(1, mac(2), Some("192.0.2.9"))));
    // The host moves away: MAC and address are the other router's.
    bench.route(type2(2, mac(2), None), Some(type2_path(2, &[mobility(1, false)])));
    bench.route(type2(2, mac(2), Some("192.0.2.9")), Some(type2_path(2, &[mobility(1, false)])));
    assert!(!bench.announced.contains_key(&type2(1, mac(2), Some("192.0.2.9"))));
    assert_eq!(bench.entries().len(), 2);
    // And back, while the kernel still knows its address.
    bench.hear("eth1", mac(2));
    let path = &bench.announced[&type2(1, mac(2), Some("192.0.2.9"))];
    assert!(path.communities.contains(&mobility(2, false)));
    assert_eq!(bench.entries(), []);
    bench.step(Event::HostGone { bridge: link("seg-members"), address });
    assert!(!bench.announced.contains_key(&type2(1, mac(2), Some("192.0.2.9"))));
}

/// A host may say what it likes in its ARP; the kernel believes it.
#[test]
fn only_addresses_of_the_segment_are_announced() {
    let mut bench = bench();
    bench.hear("eth1", mac(1));
    let before = bench.announced.clone();
    let others = ["198.51.100.1", "10.0.0.2", "192.0.2.1", "fe80::1", "fe80::fe:1", "2001:db8::9"];
    for address in others {
        let address = address.parse().unwrap();
        bench.step(Event::HostHeard { bridge: link("seg-members"), address, mac: mac(1) });
        assert_eq!(bench.announced, before, "{address}");
        bench.step(Event::HostGone { bridge: link("seg-members"), address });
    }
    let hosts = others.map(|address| (link("seg-members"), address.parse().unwrap(), mac(1)));
    bench.step(Event::Relearned { macs: vec![(link("eth1"), mac(1))], hosts: hosts.to_vec() });
    assert_eq!(bench.announced, before);
    for address in ["192.0.2.9", "2001:db8:e00::9", "fe80::9"] {
        let heard = address.parse().unwrap();
        bench.step(Event::HostHeard { bridge: link("seg-members"), address: heard, mac: mac(1) });
        assert!(bench.announced.contains_key(&type2(1, mac(1), Some(address))), "{address}");
    }
}

/// Switches behind the port know the gateway where it was.
#[test]
fn a_port_that_opens_hears_where_the_gateway_is() {
    let config = |ports| SegmentConfig { gateway: Some(gateway(1)), ..segment(1, ports) };
    let mut bench = Bench::up_with(super::config(1, vec![config(vec![shared(1, 0)])]));
    let said = |bench: &Bench| {
        let ours =
            bench.frames.iter().filter(|(to, frame)| *to == link("eth1") && frame[6..12] == gateway(1).mac.0);
        ours.count()
    };
    assert_eq!(said(&bench), 0, "it is blocked");
    bench.advance(Duration::from_secs(5));
    assert_eq!(bench.ports[&link("eth1")], None);
    assert_eq!(said(&bench), 2, "a neighbour solicitation and a gratuitous ARP");
}

/// Who takes a LAN over looks for its hosts, so that others need not wait until they speak by themselves;
/// which of the withdrawals is heard first does not matter.
#[test]
fn hosts_of_a_lan_that_is_taken_over_are_looked_for() {
    let lan = shared(1, 1);
    let esi = lan.lan.as_ref().unwrap().esi;
    let host = type2(2, mac(7), Some("192.0.2.9"));
    let rival = EvpnRoute::EthernetSegment { rd: rd(2), esi, originator: vtep(2) };
    let better = EvpnPath { communities: [lowest_preference(0)].into(), ..type2_path(2, &[]) };
    for host_first in [true, false] {
        let with_gateway = SegmentConfig { gateway: Some(gateway(1)), ..segment(1, vec![lan.clone()]) };
        let mut bench = Bench::up_with(super::config(1, vec![with_gateway]));
        bench.route(rival.clone(), Some(better.clone()));
        bench.route(host.clone(), Some(type2_path(2, &[])));
        bench.advance(Duration::from_secs(5));
        assert_eq!(bench.ports[&link("eth1")], Some(BlockReason::Standby));
        let mut gone = [host.clone(), rival.clone()];
        if !host_first {
            gone.reverse();
        }
        for route in gone {
            assert_eq!(bench.sought, [] as [IpAddr; 0]);
            bench.route(route, None);
        }
        bench.advance(Duration::from_secs(5));
        assert_eq!(bench.ports[&link("eth1")], None);
        assert_eq!(bench.sought, ["192.0.2.9".parse::<IpAddr>().unwrap()], "{host_first}");
    }
}

/// Elsewhere a host that is withdrawn is the kernel's to look for when somebody wants it.
#[test]
fn hosts_that_go_are_not_looked_for_without_a_reason() {
    let mut bench = bench();
    let host = type2(2, mac(7), Some("192.0.2.9"));
    bench.route(host.clone(), Some(type2_path(2, &[])));
    bench.route(host, None);
    bench.advance(Duration::from_secs(20));
    assert_eq!(bench.sought, [] as [IpAddr; 0]);
}
