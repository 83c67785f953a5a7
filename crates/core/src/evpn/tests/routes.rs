//! Types 2 and 3, both ways.

use super::*;
use crate::evpn::RouteRefusal;

use crate::wire::bgp::{EvpnBody, PmsiTunnel};

fn communities(more: &[ExtendedCommunity]) -> alloc::boxed::Box<[ExtendedCommunity]> {
    let mut all = vec![ExtendedCommunity(target().0), ExtendedCommunity::VXLAN];
    all.extend_from_slice(more);
    all.into_boxed_slice()
}

pub(in crate::evpn::tests) fn type2(router: u32, mac: Mac, ip: Option<&str>) -> EvpnRoute {
    EvpnRoute::MacIp { rd: rd(router), tag: 0, mac, ip: ip.map(|ip| ip.parse().unwrap()) }
}

pub(in crate::evpn::tests) fn type2_path(router: u32, more: &[ExtendedCommunity]) -> EvpnPath {
    EvpnPath {
        next_hop: vtep(router),
        body: EvpnBody { label: VNI, ..EvpnBody::default() },
        communities: communities(more),
        pmsi: None,
    }
}

pub(in crate::evpn::tests) fn type3(router: u32) -> (EvpnRoute, EvpnPath) {
    let route = EvpnRoute::Multicast { rd: rd(router), tag: 0, originator: vtep(router) };
    let path = EvpnPath {
        next_hop: vtep(router),
        body: EvpnBody::default(),
        communities: communities(&[]),
        pmsi: Some(PmsiTunnel::ingress_replication(Vni(VNI), vtep(router))),
    };
    (route, path)
}

fn at(vtep_of: u32, mac: Mac, sticky: bool) -> BridgeEntry {
    BridgeEntry::Mac { vxlan: link("vx-members"), mac, vtep: vtep(vtep_of), sticky }
}

#[test]
fn what_others_announce_becomes_entries_and_goes_with_their_routes() {
    let mut bench = Bench::up(1);
    let (route, path) = type3(2);
    bench.route(route.clone(), Some(path));
    bench.route(type2(2, mac(1), None), Some(type2_path(2, &[])));
    bench.route(type2(2, mac(1), Some("192.0.2.9")), Some(type2_path(2, &[])));
    let host =
        BridgeEntry::Host { bridge: link("seg-members"), address: "192.0.2.9".parse().unwrap(), mac: mac(1) };
    let flood = BridgeEntry::Flood { vxlan: link("vx-members"), vtep: vtep(2) };
    assert_eq!(bench.entries(), [flood, at(2, mac(1), false), host]);
    bench.route(type2(2, mac(1), None), None);
    assert_eq!(bench.entries().len(), 3);
    bench.route(type2(2, mac(1), Some("192.0.2.9")), None);
    assert_eq!(bench.entries().len(), 1);
    bench.route(route, None);
    assert_eq!(bench.entries(), []);
}

#[test]
fn what_the_kernel_learns_is_announced_and_withdrawn() {
    let mut bench = Bench::up(1);
    let (route, path) = type3(1);
    assert_eq!(bench.announced, BTreeMap::from([(route, path)]));
    bench.hear("eth1", mac(1));
    let address = "192.0.2.9".parse().unwrap();
    bench.step(Event::HostHeard { bridge: link("seg-members"), address, mac: mac(1) });
    let sorted = |mut path: EvpnPath| {
        path.communities.sort_unstable();
        path
    };
    for ip in [None, Some("192.0.2.9")] {
        assert_eq!(bench.announced.get(&type2(1, mac(1), ip)), Some(&sorted(type2_path(1, &[]))));
    }
    // A host whose MAC is not on a port of ours is another router's to announce.
    let other = "192.0.2.10".parse().unwrap();
    bench.step(Event::HostHeard { bridge: link("seg-members"), address: other, mac: mac(2) });
    assert_eq!(bench.announced.len(), 3);
    bench.step(Event::MacGone { port: link("eth1"), mac: mac(1) });
    assert_eq!(bench.announced.len(), 1);
    // The device goes: nobody can reach us.
    bench.hear("eth1", mac(1));
    bench.step(Event::LinkDown(link("vx-members")));
    assert!(bench.announced.is_empty());
    bench.step(Event::LinkUp(link("vx-members")));
    assert_eq!(bench.announced.len(), 3);
}

#[test]
fn the_last_to_hear_a_mac_has_it() {
    let mut bench = Bench::up(2);
    bench.route(type2(1, mac(1), None), Some(type2_path(1, &[mobility(7, false)])));
    assert_eq!(bench.entries(), [at(1, mac(1), false)]);
    bench.hear("eth1", mac(1));
    assert_eq!((bench.entries().len(), bench.sequence(mac(1))), (0, Some(8)));
    // It moves away: another router has heard it since.
    bench.route(type2(3, mac(1), None), Some(type2_path(3, &[mobility(9, false)])));
    assert_eq!(bench.entries(), [at(3, mac(1), false)]);
    assert_eq!(bench.sequence(mac(1)), None);
    // The same number from two: the lower address (RFC 7432 15).
    bench.route(type2(1, mac(1), None), Some(type2_path(1, &[mobility(9, false)])));
    assert_eq!(bench.entries(), [at(1, mac(1), false)]);
}

#[test]
fn refusals_have_their_reason() {
    use RouteRefusal::*;
    type Change = fn(&mut EvpnRoute, &mut EvpnPath);
    let of_type2: [(Change, RouteRefusal); 8] = [
        (|_, path| path.body.label = 101, WrongVni { label: 101 }),
        (|_, path| path.communities[1].0[7] = 7, NotVxlan),
        (|_, path| path.next_hop = "2001:db8::1".parse().unwrap(), WrongFamily),
        (|_, path| path.next_hop = "224.0.0.1".parse().unwrap(), BadVtep),
        (|route, _| *route = type2(2, Mac([0; 6]), None), BadMac),
        (|route, _| *route = type2(2, Mac([1, 0, 0, 0, 0, 1]), None), BadMac),
        (|route, _| *route = type2(2, mac(1), Some("224.0.0.1")), BadAddress),
        (|route, _| *route = EvpnRoute::MacIp { rd: rd(2), tag: 5, mac: mac(1), ip: None }, EthernetTag),
    ];
    let of_type3: [(Change, RouteRefusal); 6] = [
        (|_, path| path.pmsi = None, NoPmsi),
        (|_, path| path.pmsi.as_mut().unwrap().kind = 3, NotIngressReplication { kind: 3 }),
        (|_, path| path.pmsi.as_mut().unwrap().label = 7, WrongVni { label: 7 }),
        (|_, path| path.pmsi.as_mut().unwrap().identifier = [1, 2, 3].into(), BadVtep),
        (|_, path| path.pmsi.as_mut().unwrap().identifier = [0; 4].into(), BadVtep),
        (|_, path| path.pmsi.as_mut().unwrap().identifier = [0x20; 16].into(), WrongFamily),
    ];
    let good2 = (type2(2, mac(1), None), type2_path(2, &[]));
    let cases = of_type2.map(|(change, reason)| (good2.clone(), change, reason));
    let cases3 = of_type3.map(|(change, reason)| (type3(2), change, reason));
    for ((mut route, mut path), change, reason) in cases.into_iter().chain(cases3) {
        let mut bench = Bench::up(1);
        change(&mut route, &mut path);
        bench.route(route.clone(), Some(path));
        assert_eq!(bench.entries(), [], "{reason:?}");
        let status = bench.evpn.status(bench.now);
        assert_eq!(status.refused.iter().map(|it| it.reason).collect::<Vec<_>>(), [reason]);
        assert!(matches!(&bench.notices[..], [Notice::RouteRefused { reason: it, .. }] if *it == reason));
        bench.route(route, None);
        assert_eq!(bench.evpn.status(bench.now).refused_now, 0);
    }
}

#[test]
fn one_line_says_what_a_vtep_does_wrong() {
    let mut bench = Bench::up(1);
    for n in 0..9 {
        let mut path = type2_path(2, &[]);
        path.body.label = 7;
        bench.route(type2(2, mac(n), None), Some(path));
    }
    assert_eq!(bench.notices.len(), 1);
    assert_eq!(bench.evpn.status(bench.now).refused_now, 9);
    (0..9).for_each(|n| bench.route(type2(2, mac(n), None), Some(type2_path(2, &[]))));
    let status = bench.evpn.status(bench.now);
    assert_eq!((status.refused_now, bench.entries().len()), (0, 9));
}
