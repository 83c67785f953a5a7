//! Segments' routes across networks: through routers that have no segment, past losses and resets,
//! beside everything else.

use super::net::{Net, ms};
use crate::bgp::config::{Family, Origination, Relation, Role};
use crate::bgp::{EvpnPath, EvpnRefusal, ImportRefusal, NeighbourId, Notice, SessionState};
use crate::id::{Asn, Mac, Prefix, Vni};
use crate::wire::bgp::{
    AfiSafi, AsPath, Attributes, Context, Esi, EvpnBody, EvpnFault, EvpnNlri, EvpnRoute, ExtendedCommunity,
    MESSAGE_MAX, Message, MpNextHop, PmsiTunnel, Refresh, RouteDistinguisher, RouteTarget, announce, frame,
    withdraw,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

pub fn vtep(id: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(43, 228, 174, 128 + id as u8))
}

fn rd(id: u32) -> RouteDistinguisher {
    RouteDistinguisher::of_router(Ipv4Addr::new(43, 228, 174, 128 + id as u8), 100)
}

fn path(next_hop: IpAddr, body: EvpnBody) -> EvpnPath {
    let target = RouteTarget::of_two_octet_as(63806, 100);
    EvpnPath { next_hop, body, communities: Box::new([target.into(), ExtendedCommunity::VXLAN]), pmsi: None }
}

fn mac(id: u32, n: u32) -> EvpnRoute {
    let [a, b, c, d] = n.to_be_bytes();
    EvpnRoute::MacIp { rd: rd(id), tag: 0, mac: Mac([2, id as u8, a, b, c, d]), ip: None }
}

fn labelled() -> EvpnBody {
    EvpnBody { label: 100, ..EvpnBody::default() }
}

/// The segment's presence on router `id`: floods reach it.
pub fn flood(id: u32, to: IpAddr) -> (EvpnRoute, EvpnPath) {
    let route = EvpnRoute::Multicast { rd: rd(id), tag: 0, originator: to };
    let pmsi = Some(PmsiTunnel::ingress_replication(Vni(100), to));
    (route, EvpnPath { pmsi, ..path(to, EvpnBody::default()) })
}

/// One of each kind, and what a segment of router `id` says of it.
fn one_of_each(id: u32) -> BTreeMap<EvpnRoute, EvpnPath> {
    let (rd, vtep) = (rd(id), vtep(id));
    let vtep6: IpAddr = "2402:3160:ffff::77".parse().unwrap();
    let esi = Esi::stated([id as u8; 9]);
    let with = |more: &[ExtendedCommunity], path: EvpnPath| {
        let communities = path.communities.iter().chain(more).copied().collect();
        EvpnPath { communities, ..path }
    };
    let ip = EvpnRoute::MacIp { rd, tag: 0, mac: Mac([2, 0, 0, 0, 0, 1]), ip: Some(vtep6) };
    let prefix = "43.228.174.224/28".parse().unwrap();
    let gateway = Some("43.228.174.225".parse().unwrap());
    BTreeMap::from([
        (
            EvpnRoute::AutoDiscovery { rd, esi, tag: u32::MAX },
            with(&[ExtendedCommunity::esi_label(true, 0)], path(vtep, EvpnBody::default())),
        ),
        (mac(id, 1), with(&[ExtendedCommunity::mac_mobility(true, 0)], path(vtep, labelled()))),
        (
            ip,
            with(
                &[ExtendedCommunity::DEFAULT_GATEWAY, ExtendedCommunity::router_mac(Mac([2, 0, 0, 0, 0, 9]))],
                path(vtep6, EvpnBody { esi, label2: Some(7), ..labelled() }),
            ),
        ),
        flood(id, vtep),
        // Over IPv6, and one whose tunnel is of a kind that nobody here knows.
        flood(id, vtep6),
        (EvpnRoute::Multicast { rd, tag: 9, originator: vtep }, {
            let pmsi = PmsiTunnel { flags: 1, kind: 0x7b, label: 0xabcdef, identifier: Box::new([1, 2, 3]) };
            EvpnPath { pmsi: Some(pmsi), ..path(vtep, EvpnBody::default()) }
        }),
        (
            EvpnRoute::EthernetSegment { rd, esi, originator: vtep },
            with(
                &[ExtendedCommunity::es_import(Mac([id as u8; 6]))],
                EvpnPath { communities: Box::new([]), ..path(vtep, EvpnBody::default()) },
            ),
        ),
        (EvpnRoute::IpPrefix { rd, tag: 0, prefix }, path(vtep, EvpnBody { gateway, esi, ..labelled() })),
    ])
}

/// Routers 1, 2 and 3 in a row; the second has no segment.
fn row() -> Net {
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 1);
    net.link(1, 2, 3);
    net.start();
    net.run_until(ms(3000), Net::all_established);
    net
}

fn say_all(net: &mut Net, node: usize, routes: &BTreeMap<EvpnRoute, EvpnPath>) {
    for (route, path) in routes {
        net.originate(node, route.clone(), Some(path.clone()));
    }
}

fn heard(net: &Net, node: usize) -> &BTreeMap<EvpnRoute, EvpnPath> {
    &net.router(node).segments
}

#[test]
fn a_row_relays_every_kind_unharmed() {
    let mut net = row();
    let (ours, theirs) = (one_of_each(1), one_of_each(3));
    say_all(&mut net, 0, &ours);
    say_all(&mut net, 2, &theirs);
    net.run(ms(500));
    assert_eq!((heard(&net, 2), heard(&net, 0)), (&ours, &theirs));
    let both: BTreeMap<_, _> = ours.clone().into_iter().chain(theirs.clone()).collect();
    assert_eq!(heard(&net, 1), &both);
    assert!(net.kernels_are_current());
    // Counted per neighbour and in all.
    let status = net.status(1);
    let counts = |it: &crate::bgp::NeighbourStatus| (it.accepted.evpn, it.announced.evpn);
    assert_eq!(status.neighbours.iter().map(counts).collect::<Vec<_>>(), [(8, 8), (8, 8)]);
    assert_eq!((status.prefixes.evpn, net.status(0).prefixes.evpn), (16, 16));
    assert!(status.neighbours.iter().all(|it| it.evpn_refused.is_empty()));
    // One changes, one goes: exactly that is heard, and nothing of it stays anywhere.
    let moved = EvpnPath {
        communities: Box::new([ExtendedCommunity::mac_mobility(false, 5)]),
        ..path(vtep(1), labelled())
    };
    net.originate(0, mac(1, 1), Some(moved.clone()));
    net.originate(0, flood(1, vtep(1)).0, None);
    net.run(ms(500));
    assert_eq!(heard(&net, 2).get(&mac(1, 1)), Some(&moved));
    assert_eq!((heard(&net, 2).len(), heard(&net, 1).len()), (7, 15));
    for route in ours.keys() {
        net.originate(0, route.clone(), None);
    }
    net.run(ms(500));
    assert!(heard(&net, 2).is_empty());
    assert_eq!(heard(&net, 0), &theirs);
    assert_eq!(net.status(0).prefixes.evpn, 8);
    // The same said twice is nothing new.
    let before = net.messages;
    say_all(&mut net, 2, &theirs);
    assert_eq!(net.messages, before);
}

#[test]
fn a_lost_session_takes_out_what_it_brought() {
    let mut net = row();
    let (ours, theirs) = (one_of_each(1), one_of_each(3));
    say_all(&mut net, 0, &ours);
    say_all(&mut net, 2, &theirs);
    say_all(&mut net, 1, &BTreeMap::from([flood(2, vtep(2))]));
    net.run(ms(500));
    net.set_carrier(1, false);
    net.run(ms(500));
    assert_eq!((heard(&net, 0).len(), heard(&net, 2).len()), (1, 0));
    assert_eq!(heard(&net, 1), &ours);
    assert_eq!(net.status(2).prefixes.evpn, 8);
    net.set_carrier(1, true);
    net.run_until(ms(3000), |net| heard(net, 0).len() == 9 && heard(net, 2).len() == 9);
    assert!(net.kernels_are_current());
    // A router that dies and comes back.
    net.kill(2);
    net.run(ms(500));
    assert_eq!(heard(&net, 0).len(), 1);
    net.power_on(2);
    net.run_until(ms(3000), |net| heard(net, 0).len() == 9 && heard(net, 2).len() == 9);
}

#[test]
fn the_first_telling_after_a_reset_has_everything() {
    let mut net = row();
    let theirs = one_of_each(3);
    say_all(&mut net, 2, &theirs);
    net.run(ms(500));
    for cable in [0, 1, 0] {
        let count = |net: &Net| net.status(1).neighbours[cable].established_count;
        let before = count(&net);
        net.reset_connections(cable);
        net.run(ms(20));
        assert!(heard(&net, 0).is_empty());
        net.run_until(ms(3000), |net| count(net) > before && heard(net, 0).len() == theirs.len());
        // With the tunnel, and no later.
        assert_eq!(heard(&net, 0), &theirs);
        net.run_until(ms(3000), Net::all_established);
    }
    // Asked for by ROUTE-REFRESH (RFC 2918): the family is told again.
    let updates = net.status(1).neighbours[0].updates_out;
    let mut refresh = Vec::new();
    AfiSafi::EVPN.emit_refresh(Refresh::Request, &mut refresh);
    net.inject(0, &refresh);
    net.run(ms(500));
    assert!(net.status(1).neighbours[0].updates_out > updates);
    assert_eq!(heard(&net, 0), &theirs);
    assert!(net.all_established());
}

#[test]
fn a_ring_takes_the_shorter_way_and_then_the_other() {
    let mut net = Net::routers(&[1, 2, 3, 4]);
    for at in 0..4 {
        net.link(at, (at + 1) % 4, 1);
    }
    net.start();
    net.run_until(ms(3000), Net::all_established);
    let ours = one_of_each(1);
    say_all(&mut net, 0, &ours);
    net.run(ms(500));
    for node in 1..4 {
        assert_eq!(heard(&net, node), &ours);
    }
    // What was heard does not come back to where it came from.
    assert!(heard(&net, 0).is_empty());
    net.set_carrier(0, false);
    net.run(ms(500));
    for node in 1..4 {
        assert_eq!(heard(&net, node), &ours, "{node}");
    }
    net.set_carrier(3, false);
    net.run(ms(500));
    assert!((1..4).all(|node| heard(&net, node).is_empty()));
    assert!(net.kernels_are_current());
}

#[test]
fn ours_hides_a_neighbours_of_the_same_key() {
    let mut net = row();
    let theirs = path(vtep(1), labelled());
    net.originate(0, mac(9, 9), Some(theirs.clone()));
    net.run(ms(500));
    assert_eq!(heard(&net, 2).get(&mac(9, 9)), Some(&theirs));
    let ours = path(vtep(3), labelled());
    net.originate(2, mac(9, 9), Some(ours.clone()));
    net.run(ms(500));
    assert_eq!(heard(&net, 2).get(&mac(9, 9)), None);
    assert!(net.kernels_are_current());
    net.originate(2, mac(9, 9), None);
    net.run(ms(500));
    assert_eq!(heard(&net, 2).get(&mac(9, 9)), Some(&theirs));
}

#[test]
fn ten_thousand_macs_in_bounded_pieces() {
    const MACS: u32 = 10_000;
    let mut net = row();
    for n in 0..MACS {
        net.originate(0, mac(1, n), Some(path(vtep(1), labelled())));
    }
    net.run_until(ms(60_000), |net| heard(net, 2).len() == MACS as usize);
    assert!(net.kernels_are_current());
    // About the 600 bytes that were asked for and what belongs to them.
    assert!(net.router(0).largest_batch < 1400, "{}", net.router(0).largest_batch);
    // The far one anew, all at once: as few messages as the bytes need, 35 for a MAC.
    net.reset_connections(1);
    net.run(ms(1));
    assert!(heard(&net, 2).is_empty());
    net.messages = 0;
    net.run_until(ms(60_000), |net| heard(net, 2).len() == MACS as usize);
    assert!(net.messages < 900, "{}", net.messages);
    net.kill(0);
    net.run_until(ms(60_000), |net| heard(net, 2).is_empty());
    assert_eq!(net.status(2).prefixes.evpn, 0);
}

#[test]
fn a_slow_neighbour_hears_the_latest_once() {
    let mut net = row();
    net.cables[1].latency = ms(900);
    for sequence in 0..50 {
        let mobility = ExtendedCommunity::mac_mobility(false, sequence);
        let path = EvpnPath { communities: Box::new([mobility]), ..path(vtep(1), labelled()) };
        for n in 0..20 {
            net.originate(0, mac(1, n), Some(path.clone()));
        }
    }
    net.run_until(ms(20_000), |net| {
        let latest = ExtendedCommunity::mac_mobility(false, 49);
        (0..20).all(|n| heard(net, 2).get(&mac(1, n)).is_some_and(|it| *it.communities == [latest]))
    });
    assert!(net.kernels_are_current());
}

#[test]
fn not_with_everybody() {
    // One link without EVPN: nothing of it crosses, everything else does.
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 1);
    net.link(1, 2, 1);
    let without = vec![Family::Ipv4Unicast, Family::Ipv6Unicast];
    net.router_mut(2).config.neighbours[0].families = without.clone();
    // An outside neighbour, even where somebody wrote it down.
    let [outside, _] = net.outside(0, Asn(3000), Role::Peer);
    let named = net.router_mut(0).config.neighbours.iter_mut().find(|it| it.name.contains("as3000 203"));
    named.unwrap().families.push(Family::Evpn);
    net.start();
    net.run_until(ms(30_000), |net| net.all_established() && net.all_reach_all());
    let ours = one_of_each(1);
    say_all(&mut net, 0, &ours);
    net.run(ms(500));
    assert_eq!((heard(&net, 1), heard(&net, 2).len()), (&ours, 0));
    // What it sends all the same is of a family that was not agreed on: skipped, good or bad.
    let mut attributes = Vec::new();
    let from = AsPath::sequence([Asn(3000)]);
    Attributes { as_path: from, ..Attributes::default() }.emit(true, None, &mut attributes);
    let nlri = EvpnNlri { route: mac(7, 7), body: labelled() };
    let mut bytes = Vec::new();
    let next_hop = Some(MpNextHop::V4(Ipv4Addr::new(9, 9, 9, 9)));
    announce(MESSAGE_MAX, &attributes, next_hop, core::slice::from_ref(&nlri), &mut bytes).unwrap();
    withdraw(MESSAGE_MAX, false, &[nlri], &mut bytes);
    net.say(outside, bytes);
    net.run(ms(500));
    assert_eq!(net.status(0).prefixes.evpn, 8);
    let neighbour = net.status(0).neighbours.into_iter().find(|it| it.name.contains("as3000 203")).unwrap();
    assert_eq!(neighbour.state, SessionState::Established);
    assert_eq!((neighbour.accepted.evpn, neighbour.announced.evpn), (0, 0));
    assert!(neighbour.evpn_refused.is_empty());
    // The link begins to carry it by a new configuration: its session begins anew, the others stay.
    let mut config = net.router(2).config.clone();
    config.neighbours[0].families.push(Family::Evpn);
    let now = net.now;
    let mut actions = Vec::new();
    net.router_mut(2).speaker.as_mut().unwrap().replace_config(now, config.clone(), &mut actions);
    net.router_mut(2).config = config;
    net.carry_out(2, actions);
    net.run_until(ms(10_000), |net| heard(net, 2) == &ours);
    // The link's cost changes: everything is told again, nothing is lost meanwhile.
    let mut config = net.router(1).config.clone();
    config.neighbours[1].relation = Relation::Inside { prepends: 4 };
    let mut actions = Vec::new();
    net.router_mut(1).speaker.as_mut().unwrap().replace_config(now, config.clone(), &mut actions);
    net.router_mut(1).config = config;
    net.carry_out(1, actions);
    net.run(ms(500));
    assert_eq!(heard(&net, 2), &ours);
    assert_eq!(net.status(1).neighbours[1].established_count, 2);
    assert!(net.kernels_are_current());
}

#[test]
fn neither_table_waits_for_the_other() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    let originate = |n: u32| Origination {
        prefix: Prefix::new(Ipv4Addr::from(0x2be4_0000 + n).into(), 32).unwrap(),
        while_reaching: Vec::new(),
        discard: false,
    };
    net.router_mut(0).config.originate.extend((0..1000).map(originate));
    let (route, path) = flood(1, vtep(1));
    net.originate(0, route.clone(), Some(path));
    net.start();
    net.run_until(ms(3000), |net| net.status(1).prefixes.ipv4 == 1002 && heard(net, 1).contains_key(&route));
    // Everything is to be told again; the first piece has something of both.
    let mut config = net.router(0).config.clone();
    config.neighbours[0].relation = Relation::Inside { prepends: 2 };
    let now = net.now;
    let speaker = net.router_mut(0).speaker.as_mut().unwrap();
    speaker.replace_config(now, config, &mut Vec::new());
    let mut bytes = Vec::new();
    assert!(speaker.poll_updates(NeighbourId(0), 3000, &mut bytes));
    let context = Context { four_octet: true, ipv4_over_ipv6: true, evpn: true, ..Context::default() };
    let mut families = BTreeSet::new();
    let mut rest = &bytes[..];
    while let Some(found) = frame(rest, MESSAGE_MAX).unwrap() {
        rest = &rest[found.wire_len()..];
        let Ok(Message::Update(decoded)) = Message::parse(found, context) else { panic!("an UPDATE") };
        families.extend(decoded.update.mp_reach.map(|reach| reach.family));
    }
    assert!(families.contains(&AfiSafi::EVPN) && families.contains(&AfiSafi::IPV4_UNICAST), "{families:?}");
}

/// What router 1 might send to router 2 over the first cable: an UPDATE with these bytes for routes.
fn raw(routes: &[u8], path: &[u32], next_hop: Ipv4Addr) -> Vec<u8> {
    let mut attributes = Vec::new();
    let as_path = AsPath::sequence(path.iter().map(|&id| Asn::of_router(id)));
    Attributes { as_path, ..Attributes::default() }.emit(true, None, &mut attributes);
    let [a, b, c, d] = next_hop.octets();
    let value = [&[0, 25, 70, 4, a, b, c, d, 0], routes].concat();
    let mut field = vec![0x90, 14];
    field.extend_from_slice(&(value.len() as u16).to_be_bytes());
    field.extend_from_slice(&value);
    field.extend_from_slice(&attributes);
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&((19 + 4 + field.len()) as u16).to_be_bytes());
    bytes.extend_from_slice(&[2, 0, 0]);
    bytes.extend_from_slice(&(field.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&field);
    bytes
}

fn bytes_of(route: EvpnRoute) -> Vec<u8> {
    use crate::wire::bgp::Nlri;
    let mut bytes = Vec::new();
    EvpnNlri { route, body: labelled() }.emit(&mut bytes);
    bytes
}

#[test]
fn bad_routes_are_said_and_cost_nothing_else() {
    let mut net = row();
    let ours = one_of_each(1);
    say_all(&mut net, 0, &ours);
    net.run(ms(500));
    let far = Ipv4Addr::new(43, 228, 174, 129);
    let mut bad_mac = bytes_of(mac(1, 5));
    bad_mac[24] = 47;
    let (good, more) = (bytes_of(mac(1, 6)), bytes_of(mac(1, 7)));
    let reasons = |net: &Net| {
        let list = net.status(1).neighbours[0].evpn_refused.clone();
        list.into_iter().map(|it| (it.reason, it.count)).collect::<Vec<_>>()
    };
    // Beside a good one, twice; and a type that nobody knows.
    for _ in 0..2 {
        net.inject(0, &raw(&[&good[..], &bad_mac, &[11, 1, 0], &more].concat(), &[1], far));
    }
    net.run(ms(200));
    assert_eq!(heard(&net, 2).len(), ours.len() + 2);
    let nlri = |fault| EvpnRefusal::Nlri { fault };
    let (unknown, length) =
        (nlri(EvpnFault::UnknownType { kind: 11 }), nlri(EvpnFault::MacLength { bits: 47 }));
    assert_eq!(reasons(&net), [(unknown, 2), (length, 2)]);
    let said = |net: &Net| {
        net.router(1).notices.iter().filter(|it| matches!(it, Notice::EvpnRefused { .. })).count()
    };
    assert_eq!(said(&net), 2);
    // A loop, another's name in front, and a VTEP that is this router itself: not taken, and what was
    // there under the key is gone.
    let own = Ipv4Addr::new(43, 228, 174, 130);
    let asn = Asn::of_router(2);
    let first = Some(Asn::of_router(3));
    for (bytes, reason) in [
        (raw(&good, &[1, 2], far), ImportRefusal::OwnAsInPath { asn }),
        (raw(&good, &[3], far), ImportRefusal::FirstAsNotNeighbours { first }),
        (raw(&good, &[1], own), ImportRefusal::NextHop { next_hop: own.into() }),
    ] {
        net.inject(0, &raw(&good, &[1], far));
        net.run(ms(200));
        assert!(heard(&net, 2).contains_key(&mac(1, 6)));
        net.inject(0, &bytes);
        net.run(ms(200));
        assert!(!heard(&net, 2).contains_key(&mac(1, 6)), "{reason:?}");
        assert!(reasons(&net).iter().any(|it| it.0 == EvpnRefusal::Import { reason }), "{reason:?}");
    }
    // A field that ends within a route: EVPN of this neighbour is over for this session, the session
    // and its prefixes are not.
    net.inject(0, &raw(&[2, 33, 0], &[1], far));
    net.run(ms(200));
    assert!(heard(&net, 2).is_empty() && reasons(&net).contains(&(nlri(EvpnFault::Unreadable), 1)));
    net.inject(0, &raw(&good, &[1], far));
    net.run(ms(3500));
    assert!(heard(&net, 1).is_empty() && net.all_established() && net.all_reach_all());
    assert!(net.status(1).neighbours.iter().all(|it| it.established_count == 1));
    // Status and log are read as they were written.
    let status = net.status(1);
    let json = serde_json::to_string(&status).unwrap();
    assert!(json.contains(r#"{"reason":{"of":"nlri","fault":{"fault":"mac-length","bits":47}},"count":2}"#));
    assert_eq!(serde_json::from_str::<crate::bgp::SpeakerStatus>(&json).unwrap(), status);
    let notices = &net.router(1).notices;
    let json = serde_json::to_string(notices).unwrap();
    assert!(json.contains(r#""route":{"type":"mac-ip","rd":"43.228.174.129:100","tag":0,"#));
    assert_eq!(&serde_json::from_str::<Vec<Notice>>(&json).unwrap(), notices);
    // The next session starts afresh.
    net.reset_connections(0);
    net.run_until(ms(3000), |net| heard(net, 2) == &ours);
    assert!(reasons(&net).is_empty());
}
