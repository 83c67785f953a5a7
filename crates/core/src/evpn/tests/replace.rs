//! A changed file: what did not change goes on.

use super::routes::{type2, type2_path, type3};
use super::*;

fn guests() -> SegmentConfig {
    SegmentConfig {
        name: "guests".to_string(),
        vni: Vni(224),
        bridge: link("seg-guests"),
        stretch: None,
        ports: vec![port(7)],
        gateway: None,
    }
}

/// Entries, hosts, and a port, all in use.
fn busy() -> Bench {
    let mut bench = Bench::up_with(config(1, vec![segment(1, vec![port(1), shared(2, 0)])]));
    let (route, path) = type3(2);
    bench.route(route, Some(path));
    bench.route(type2(2, mac(1), None), Some(type2_path(2, &[mobility(4, false)])));
    bench.hear("eth1", mac(1));
    bench.route(type2(2, mac(2), None), Some(type2_path(2, &[])));
    bench.advance(Duration::from_secs(4));
    bench.originated.clear();
    bench.flushed.clear();
    bench
}

#[test]
fn the_same_again_changes_nothing() {
    let mut bench = busy();
    let mut bad = type2_path(2, &[]);
    bad.body.label = 7;
    bench.route(type2(2, mac(3), None), Some(bad));
    let before = (bench.entries(), bench.announced.clone(), bench.ports.clone());
    bench.notices.clear();
    bench.replace(config(1, vec![segment(1, vec![port(1), shared(2, 0)])]));
    bench.replace(config(1, vec![guests(), segment(1, vec![port(1), shared(2, 0)])]));
    assert_eq!((&bench.originated[..], &bench.notices[..]), (&[][..], &[][..]));
    assert_eq!(bench.evpn.status(bench.now).refused.len(), 1);
    assert_eq!((bench.entries(), bench.announced.clone(), bench.ports.clone()), before);
    bench.step(Event::LinkUp(link("eth7")));
    bench.hear("eth7", mac(9));
    assert_eq!(bench.evpn.status(bench.now).segments[0].macs.len(), 1);
}

#[test]
fn a_port_that_goes_takes_its_hosts_along() {
    let mut bench = busy();
    bench.replace(config(1, vec![segment(1, vec![shared(2, 0)])]));
    assert_eq!(bench.sequence(mac(1)), None);
    assert_eq!(bench.ports[&link("eth2")], None);
    // The route of the other router is the only one left.
    assert_eq!(bench.entries().len(), 3);
    bench.replace(config(1, vec![segment(1, vec![shared(2, 0), port(1)])]));
    bench.hear("eth1", mac(1));
    assert_eq!(bench.sequence(mac(1)), Some(5), "its link is up as it was");
}

#[test]
fn a_port_that_becomes_shared_is_shut_at_once() {
    let mut bench = busy();
    bench.replace(config(1, vec![segment(1, vec![shared(1, 1), shared(2, 0)])]));
    assert_eq!(bench.ports[&link("eth1")], Some(crate::evpn::BlockReason::Standby));
    assert_eq!(bench.flushed, [link("eth1")]);
    assert_eq!(bench.ports[&link("eth2")], None);
}

#[test]
fn a_segment_that_goes_leaves_nothing() {
    let mut bench = busy();
    bench.replace(config(1, vec![guests()]));
    assert_eq!(bench.entries(), []);
    assert!(bench.announced.is_empty());
}

#[test]
fn a_new_segment_knows_what_was_announced_before() {
    let mut bench = busy();
    let before = (bench.entries(), bench.announced.len());
    bench.replace(config(1, Vec::new()));
    bench.replace(config(1, vec![segment(1, vec![port(1), shared(2, 0)])]));
    // Its MAC on eth1 is forgotten: until it is heard again it is where the route says.
    assert_eq!(bench.entries().len(), before.0.len() + 1);
    bench.hear("eth1", mac(1));
    bench.advance(Duration::from_secs(4));
    assert_eq!((bench.entries(), bench.announced.len()), before);
}

#[test]
fn a_new_gateway_is_no_new_segment_to_the_kernel() {
    let mut bench = busy();
    let before = bench.entries();
    let with_gateway = SegmentConfig { gateway: Some(gateway(1)), ..segment(1, vec![port(1), shared(2, 0)]) };
    bench.replace(config(1, vec![with_gateway]));
    assert_eq!(bench.entries(), before);
    assert_eq!(bench.sequence(mac(1)), Some(5));
    assert_eq!(bench.ports[&link("eth2")], None, "open all the while");
    assert_eq!(bench.flushed, []);
    assert!(bench.announced.contains_key(&type2(1, gateway(1).own_mac, None)));
}

#[test]
fn other_route_targets_take_other_routes() {
    let mut bench = busy();
    let mut other = segment(1, vec![port(1), shared(2, 0)]);
    let stretch = other.stretch.as_mut().unwrap();
    stretch.import = vec![RouteTarget::of_two_octet_as(1, 1)];
    bench.replace(config(1, vec![other]));
    assert_eq!(bench.entries(), []);
    assert_eq!(bench.sequence(mac(1)), Some(0), "nobody that we listen to has it");
}
