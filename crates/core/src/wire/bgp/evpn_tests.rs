//! EVPN: bytes written from the RFCs, bad routes beside good ones, and another codec.

use super::*;
use crate::id::{Mac, Prefix, Vni};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netgauze_bgp_pkt::nlri as netgauze;
use netgauze_parse_utils::WritablePdu;
use proptest::collection::vec as many;
use proptest::prelude::*;

const EVPN: Context =
    Context { four_octet: true, ipv4_over_ipv6: false, evpn: true, extended: false, path_ids: PathIds::NONE };
const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0, 7];
const RD: [u8; 8] = [0, 1, 43, 228, 174, 129, 0, 100];
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const LAN: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

fn rd() -> RouteDistinguisher {
    RouteDistinguisher::of_router(Ipv4Addr::new(43, 228, 174, 129), 100)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn raw_update(attributes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    message::put(&mut out, MessageKind::Update, |out| {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
        out.extend_from_slice(attributes);
    });
    out
}

fn parse(bytes: &[u8], context: Context) -> Result<DecodedUpdate, MessageError> {
    match Message::parse(frame(bytes, MESSAGE_MAX)?.expect("a whole message"), context)? {
        Message::Update(decoded) => Ok(*decoded),
        other => panic!("{other:?}"),
    }
}

/// MP_REACH_NLRI with these routes behind an IPv4 next hop, as an attribute.
fn reach(routes: &[u8]) -> Vec<u8> {
    let mut value = vec![0, 25, 70, 4, 43, 228, 174, 129, 0];
    value.extend_from_slice(routes);
    [&[0x90, 14][..], &(value.len() as u16).to_be_bytes(), &value].concat()
}

/// Routes by the RFCs' figures, each with its bytes.
fn figures() -> Vec<(EvpnNlri, Vec<u8>)> {
    let esi = Esi(LAN);
    let body = EvpnBody { esi, label: 100, ..EvpnBody::default() };
    let plain = EvpnBody { label: 100, ..EvpnBody::default() };
    let (rd, mac) = (rd(), Mac(MAC));
    let v4 = address("43.228.174.225");
    let v6 = address("2402:3160:e00::1");
    let IpAddr::V6(v6_bytes) = v6 else { panic!("IPv6") };
    let v6_bytes = v6_bytes.octets();
    let mac_ip = |ip| EvpnRoute::MacIp { rd, tag: 0, mac, ip };
    let (tag, label, no_esi): (&[u8], &[u8], &[u8]) = (&[0; 4], &[0, 0, 100], &[0; 10]);
    vec![
        // RFC 7432 7.1: RD, ESI, tag, label.
        (
            EvpnNlri {
                route: EvpnRoute::AutoDiscovery { rd, esi, tag: u32::MAX },
                body: EvpnBody { label: 100, ..EvpnBody::default() },
            },
            [&[1, 25][..], &RD, &LAN, &[0xff; 4], label].concat(),
        ),
        // 7.2: RD, ESI, tag, 48, MAC, length of the address, address, label, second label.
        (
            EvpnNlri { route: mac_ip(None), body: plain.clone() },
            [&[2, 33][..], &RD, no_esi, tag, &[48], &MAC, &[0], label].concat(),
        ),
        (
            EvpnNlri { route: mac_ip(Some(v4)), body: body.clone() },
            [&[2, 37][..], &RD, &LAN, tag, &[48], &MAC, &[32, 43, 228, 174, 225], label].concat(),
        ),
        (
            EvpnNlri {
                route: mac_ip(Some(v6)),
                body: EvpnBody { label2: Some(0x01_02_03), ..plain.clone() },
            },
            [&[2, 52][..], &RD, no_esi, tag, &[48], &MAC, &[128], &v6_bytes, label, &[1, 2, 3]].concat(),
        ),
        // 7.3: RD, tag, length of the address, address.
        (
            EvpnNlri {
                route: EvpnRoute::Multicast { rd, tag: 7, originator: v4 },
                body: EvpnBody::default(),
            },
            [&[3, 17][..], &RD, &[0, 0, 0, 7], &[32, 43, 228, 174, 225]].concat(),
        ),
        (
            EvpnNlri {
                route: EvpnRoute::Multicast { rd, tag: 0, originator: v6 },
                body: EvpnBody::default(),
            },
            [&[3, 29][..], &RD, tag, &[128], &v6_bytes].concat(),
        ),
        // 7.4: RD, ESI, length of the address, address.
        (
            EvpnNlri {
                route: EvpnRoute::EthernetSegment { rd, esi, originator: v4 },
                body: EvpnBody::default(),
            },
            [&[4, 23][..], &RD, &LAN, &[32, 43, 228, 174, 225]].concat(),
        ),
        // RFC 9136 3.1: RD, ESI, tag, length of the prefix, prefix, gateway, label.
        (
            EvpnNlri {
                route: EvpnRoute::IpPrefix { rd, tag: 0, prefix: "43.228.174.224/28".parse().unwrap() },
                body: EvpnBody { gateway: Some(v4), ..plain.clone() },
            },
            [&[5, 34][..], &RD, no_esi, tag, &[28, 43, 228, 174, 224, 43, 228, 174, 225], label].concat(),
        ),
        (
            EvpnNlri {
                route: EvpnRoute::IpPrefix { rd, tag: 0, prefix: "2402:3160:e00::1/128".parse().unwrap() },
                body,
            },
            [&[5, 58][..], &RD, &LAN, tag, &[128], &v6_bytes, &[0; 16], label].concat(),
        ),
    ]
}

#[test]
fn routes_byte_by_byte() {
    let (routes, bytes): (Vec<EvpnNlri>, Vec<Vec<u8>>) = figures().into_iter().unzip();
    let attributes = [ORIGIN, AS_PATH, &reach(&bytes.concat())].concat();
    let decoded = parse(&raw_update(&attributes), EVPN).unwrap();
    assert_eq!((&decoded.errors, &decoded.evpn_faults), (&vec![], &vec![]));
    let found = decoded.update.mp_reach.unwrap();
    assert_eq!(found.next_hop, MpNextHop::V4(Ipv4Addr::new(43, 228, 174, 129)));
    assert_eq!(found.evpn, routes);
    for (route, bytes) in routes.iter().zip(&bytes) {
        let mut out = Vec::new();
        route.emit(&mut out);
        assert_eq!((&out, route.wire_len()), (bytes, bytes.len()), "{}", route.route);
    }
    // As a message of our own: what stands in front of the routes is [`reach`]'s.
    let mut out = Vec::new();
    assert_eq!(
        announce(MESSAGE_MAX, &[ORIGIN, AS_PATH].concat(), Some(found.next_hop), &routes, &mut out),
        Ok(1)
    );
    assert_eq!(out, raw_update(&[&reach(&bytes.concat())[..], ORIGIN, AS_PATH].concat()));
    // Withdrawn.
    let mut out = Vec::new();
    assert_eq!(withdraw(MESSAGE_MAX, false, &routes, &mut out), 1);
    let unreach = parse(&out, EVPN).unwrap().update.mp_unreach.unwrap();
    assert_eq!((unreach.family, unreach.evpn), (AfiSafi::EVPN, routes));
    assert_eq!(
        figures()[2].0.route.to_string(),
        "[2]:[43.228.174.129:100]:[0]:[02:00:00:00:00:01]:[43.228.174.225]"
    );
}

#[test]
fn an_end_of_rib() {
    let mut out = Vec::new();
    Update::emit_end_of_rib(AfiSafi::EVPN, &mut out);
    assert_eq!(out, raw_update(&[0x80, 15, 3, 0, 25, 70]));
    assert_eq!(parse(&out, EVPN).unwrap().update.end_of_rib(), Some(AfiSafi::EVPN));
}

#[test]
fn bad_routes_cost_only_themselves() {
    let good = &figures()[1];
    let mac = |bits: u8| [&[2, 33][..], &RD, &[0; 14], &[bits], &MAC, &[0], &[0; 3]].concat();
    let prefix = |length: u8, bits: u8| {
        [&[5, length][..], &RD, &[0; 14], &[bits], &vec![0; length as usize - 23]].concat()
    };
    use EvpnFault::*;
    let cases: Vec<(Vec<u8>, EvpnFault)> = vec![
        (mac(47), MacLength { bits: 47 }),
        (mac(0), MacLength { bits: 0 }),
        (mac(255), MacLength { bits: 255 }),
        (vec![2, 0], Length { kind: 2, length: 0 }),
        ([&[2, 255][..], &[48; 255]].concat(), AddressLength { kind: 2, bits: 48 }),
        ([&[1, 255][..], &[0; 255]].concat(), Length { kind: 1, length: 255 }),
        ([&[3, 255][..], &[0; 255]].concat(), AddressLength { kind: 3, bits: 0 }),
        (prefix(34, 33), PrefixLength { bits: 33 }),
        (prefix(34, 128), PrefixLength { bits: 128 }),
        (prefix(58, 129), PrefixLength { bits: 129 }),
        (prefix(35, 24), Length { kind: 5, length: 35 }),
        (
            [&[2, 34][..], &RD, &[0; 14], &[48], &MAC, &[8, 1], &[0; 3]].concat(),
            AddressLength { kind: 2, bits: 8 },
        ),
        // An address that is said and not there, and one byte too many.
        (
            [&[2, 33][..], &RD, &[0; 14], &[48], &MAC, &[128], &[0; 3]].concat(),
            Length { kind: 2, length: 33 },
        ),
        ([&[2, 34][..], &RD, &[0; 14], &[48], &MAC, &[0], &[0; 4]].concat(), Length { kind: 2, length: 34 }),
        ([&[4, 23][..], &RD, &LAN, &[31, 1, 1, 1, 1]].concat(), AddressLength { kind: 4, bits: 31 }),
        // Of types that are not known here: IGMP's (RFC 9251), the reserved one.
        (vec![6, 2, 1, 2], UnknownType { kind: 6 }),
        (vec![0, 0], UnknownType { kind: 0 }),
    ];
    for (bad, fault) in cases {
        let field = [&good.1[..], &bad, &good.1].concat();
        let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, &reach(&field)].concat()), EVPN).unwrap();
        assert_eq!(decoded.evpn_faults, [fault]);
        assert_eq!(decoded.errors, []);
        assert_eq!(decoded.update.mp_reach.unwrap().evpn, [good.0.clone(), good.0.clone()], "{fault:?}");
        let unreach = [&[0x90, 15, 0, field.len() as u8 + 3, 0, 25, 70][..], &field].concat();
        if field.len() < 250 {
            let decoded = parse(&raw_update(&unreach), EVPN).unwrap();
            assert_eq!(decoded.evpn_faults, [fault]);
            assert_eq!(decoded.update.mp_unreach.unwrap().evpn.len(), 2);
        }
    }
    // Every type at lengths 0 and 255.
    for kind in 1..=5 {
        for length in [0_u8, 255] {
            let bad = [&[kind, length][..], &vec![0; length.into()]].concat();
            let field = [&good.1[..], &bad, &good.1].concat();
            let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, &reach(&field)].concat()), EVPN).unwrap();
            assert_eq!(decoded.evpn_faults.len(), 1, "{kind} {length}");
            assert_eq!(decoded.update.mp_reach.unwrap().evpn.len(), 2);
        }
    }
}

#[test]
fn what_makes_the_rest_unreadable() {
    let good = &figures()[1];
    for bad in [&[2][..], &[2, 33, 0], &[2, 255, 1, 2, 3]] {
        let field = [&good.1[..], bad].concat();
        let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, &reach(&field)].concat()), EVPN).unwrap();
        assert_eq!(decoded.evpn_faults, [EvpnFault::Unreadable]);
        assert_eq!(decoded.update.mp_reach.unwrap().evpn.len(), 1);
    }
    // A next hop of 16 bytes on any session; of 32 or none on none (RFC 7606 7.11).
    for (length, fits) in [(16_u8, true), (4, true), (32, false), (0, false), (5, false), (255, false)] {
        let next_hop = vec![1; usize::from(length)];
        let value = [&[0, 25, 70, length][..], &next_hop, &[0], &good.1].concat();
        let attribute = [&[0x90, 14][..], &(value.len() as u16).to_be_bytes(), &value].concat();
        let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, &attribute].concat()), EVPN).unwrap();
        assert_eq!((decoded.update.mp_reach.is_some(), decoded.evpn_faults.is_empty()), (fits, fits));
    }
    // Where EVPN was not agreed on it is any unknown family.
    let bad = [ORIGIN, AS_PATH, &reach(&[2])].concat();
    let decoded = parse(&raw_update(&bad), Context { evpn: false, ..EVPN }).unwrap();
    assert_eq!((decoded.update.mp_reach, decoded.evpn_faults), (None, vec![]));
}

#[test]
fn pmsi_byte_by_byte() {
    let vtep = address("43.228.174.129");
    let vtep6 = address("2402:3160:ffff::1");
    let IpAddr::V6(bytes6) = vtep6 else { panic!("IPv6") };
    let long = [&[0xc0, 22, 21, 0, 6, 0, 0, 100][..], &bytes6.octets()].concat();
    let other = PmsiTunnel { flags: 1, kind: 0x7b, label: 0x0a_0b_0c, identifier: Box::new([1, 2]) };
    let cases: [(PmsiTunnel, &[u8]); 3] = [
        (PmsiTunnel::ingress_replication(Vni(100), vtep), &[0xc0, 22, 9, 0, 6, 0, 0, 100, 43, 228, 174, 129]),
        (PmsiTunnel::ingress_replication(Vni(100), vtep6), &long),
        // Of a kind that is not ours: passed on as it came.
        (other, &[0xc0, 22, 7, 1, 0x7b, 10, 11, 12, 1, 2]),
    ];
    let route = figures().swap_remove(4);
    for (pmsi, bytes) in cases {
        let field = [ORIGIN, AS_PATH, bytes, &reach(&route.1)].concat();
        let decoded = parse(&raw_update(&field), EVPN).unwrap();
        assert_eq!(decoded.errors, []);
        let attributes = decoded.update.attributes.unwrap();
        assert_eq!(attributes.pmsi.as_deref(), Some(&pmsi));
        let mut out = Vec::new();
        attributes.emit(true, None, &mut out);
        assert!(out.ends_with(bytes), "{out:?}");
    }
    // Too short for its fixed part, or ingress replication to no address.
    for bad in [&[0xc0, 22, 4, 0, 6, 0, 0][..], &[0xc0, 22, 7, 0, 6, 0, 0, 100, 1, 2]] {
        let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, bad, &reach(&route.1)].concat()), EVPN).unwrap();
        assert!(decoded.treat_as_withdraw());
        assert_eq!(decoded.update.mp_reach.unwrap().evpn, core::slice::from_ref(&route.0));
    }
}

#[test]
fn communities_by_what_they_say() {
    let mac = Mac(MAC);
    let [a, b, c, d, e, f] = MAC;
    let target = RouteTarget::of_two_octet_as(63806, 100);
    let cases = [
        (target.into(), [0, 2, 0xf9, 0x3e, 0, 0, 0, 100], Meaning::RouteTarget(target)),
        (ExtendedCommunity::VXLAN, [3, 12, 0, 0, 0, 0, 0, 8], Meaning::Encapsulation(8)),
        (ExtendedCommunity::DEFAULT_GATEWAY, [3, 13, 0, 0, 0, 0, 0, 0], Meaning::DefaultGateway),
        (
            ExtendedCommunity::mac_mobility(true, 0x01_02_03_04),
            [6, 0, 1, 0, 1, 2, 3, 4],
            Meaning::MacMobility { sticky: true, sequence: 0x01_02_03_04 },
        ),
        (
            ExtendedCommunity::mac_mobility(false, u32::MAX),
            [6, 0, 0, 0, 255, 255, 255, 255],
            Meaning::MacMobility { sticky: false, sequence: u32::MAX },
        ),
        (
            ExtendedCommunity::esi_label(true, 100),
            [6, 1, 1, 0, 0, 0, 0, 100],
            Meaning::EsiLabel { single_active: true, label: 100 },
        ),
        (ExtendedCommunity::es_import(mac), [6, 2, a, b, c, d, e, f], Meaning::EsImport(mac)),
        (ExtendedCommunity::router_mac(mac), [6, 3, a, b, c, d, e, f], Meaning::RouterMac(mac)),
    ];
    for (community, bytes, meaning) in cases {
        assert_eq!((community, community.meaning()), (ExtendedCommunity(bytes), Some(meaning)));
    }
    // Targets of all three kinds of administrators; origins (subtype 3) are none.
    let meaning = |kind, subtype| ExtendedCommunity([kind, subtype, 0, 0, 0, 0, 0, 1]).meaning();
    assert!((0..3).all(|kind| matches!(meaning(kind, 2), Some(Meaning::RouteTarget(_)))));
    assert_eq!((meaning(0, 3), meaning(0x40, 2), meaning(6, 9)), (None, None, None));
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<Ipv4Addr>().prop_map(IpAddr::V4), any::<Ipv6Addr>().prop_map(IpAddr::V6)]
}

/// Distinguishers of the three types that there are (RFC 4364 4.2).
fn any_rd() -> impl Strategy<Value = RouteDistinguisher> {
    (0..3_u8, any::<[u8; 6]>())
        .prop_map(|(kind, [a, b, c, d, e, f])| RouteDistinguisher([0, kind, a, b, c, d, e, f]))
}

prop_compose! {
    fn nlri()(
        kind in 1..=5_u8, rd in any_rd(), lan in any::<[u8; 9]>(), tag in any::<u32>(), mac in any::<[u8; 6]>(),
        ip in proptest::option::of(ip()), originator in ip(), length in 0..=128_u8,
        label in 0..1_u32 << 24, label2 in proptest::option::of(0..1_u32 << 24),
    ) -> EvpnNlri {
        let (esi, mac) = (Esi::stated(lan), Mac(mac));
        let labelled = EvpnBody { esi, label, ..EvpnBody::default() };
        let (route, body) = match kind {
            1 => (EvpnRoute::AutoDiscovery { rd, esi, tag }, EvpnBody { label, ..EvpnBody::default() }),
            2 => (EvpnRoute::MacIp { rd, tag, mac, ip }, EvpnBody { label2, ..labelled }),
            3 => (EvpnRoute::Multicast { rd, tag, originator }, EvpnBody::default()),
            4 => (EvpnRoute::EthernetSegment { rd, esi, originator }, EvpnBody::default()),
            _ => {
                let prefix = Prefix::new(originator, if originator.is_ipv4() { length / 4 } else { length });
                let gateway = ip.filter(|ip| ip.is_ipv4() == originator.is_ipv4() && !ip.is_unspecified());
                (EvpnRoute::IpPrefix { rd, tag, prefix: prefix.unwrap().trunc() }, EvpnBody { gateway, ..labelled })
            }
        };
        EvpnNlri { route, body }
    }
}

fn pmsi() -> impl Strategy<Value = PmsiTunnel> {
    let (label, flags) = (0..1_u32 << 20, any::<bool>());
    (label, flags, ip()).prop_map(|(label, flags, vtep)| PmsiTunnel {
        flags: flags.into(),
        ..PmsiTunnel::ingress_replication(Vni(label), vtep)
    })
}

prop_compose! {
    fn update()(
        routes in many(nlri(), 1..30), v6 in any::<bool>(), vtep in any::<[u8; 16]>(),
        pmsi in proptest::option::of(pmsi()), communities in many(0..1000_u32, 0..4),
    ) -> Update {
        let next_hop = if v6 {
            MpNextHop::V6(Ipv6Addr::from(vtep))
        } else {
            MpNextHop::V4(Ipv4Addr::new(vtep[0], vtep[1], vtep[2], vtep[3]))
        };
        let target = |number| RouteTarget::of_two_octet_as(63806, number).into();
        let attributes = Attributes {
            as_path: AsPath::sequence([crate::id::Asn(4_200_000_001)]),
            pmsi: pmsi.map(Box::new),
            extended_communities: communities.into_iter().map(target).collect(),
            ..Attributes::default()
        };
        let mp_reach = MpReach { family: AfiSafi::EVPN, next_hop, prefixes: vec![], evpn: routes };
        Update { attributes: Some(attributes), mp_reach: Some(mp_reach), ..Update::default() }
    }
}

/// The same route as another codec has it.
fn theirs(nlri: &EvpnNlri) -> netgauze::L2EvpnRoute {
    use netgauze::L2EvpnRoute as Theirs;
    let their_rd = |RouteDistinguisher([_, kind, a, b, c, d, e, f]): RouteDistinguisher| match kind {
        0 => netgauze::RouteDistinguisher::As2Administrator {
            asn2: u16::from_be_bytes([a, b]),
            number: u32::from_be_bytes([c, d, e, f]),
        },
        1 => netgauze::RouteDistinguisher::Ipv4Administrator {
            ip: Ipv4Addr::new(a, b, c, d),
            number: u16::from_be_bytes([e, f]),
        },
        _ => netgauze::RouteDistinguisher::As4Administrator {
            asn4: u32::from_be_bytes([a, b, c, d]),
            number: u16::from_be_bytes([e, f]),
        },
    };
    let their_esi = |esi: Esi| netgauze::EthernetSegmentIdentifier::new(esi.0);
    let tag = netgauze::EthernetTag::new;
    let label = |label: u32| {
        let [_, a, b, c] = label.to_be_bytes();
        netgauze::MplsLabel::new([a, b, c])
    };
    let body = &nlri.body;
    match nlri.route.clone() {
        EvpnRoute::AutoDiscovery { rd, esi, tag: it } => Theirs::EthernetAutoDiscovery(
            netgauze::EthernetAutoDiscovery::new(their_rd(rd), their_esi(esi), tag(it), label(body.label)),
        ),
        EvpnRoute::MacIp { rd, tag: it, mac, ip } => {
            let (rd, esi, mac) = (their_rd(rd), their_esi(body.esi), netgauze::MacAddress::new(mac.0));
            let (first, second) = (label(body.label), body.label2.map(label));
            Theirs::MacIpAdvertisement(netgauze::MacIpAdvertisement::new(
                rd,
                esi,
                tag(it),
                mac,
                ip,
                first,
                second,
            ))
        }
        EvpnRoute::Multicast { rd, tag: it, originator } => Theirs::InclusiveMulticastEthernetTagRoute(
            netgauze::InclusiveMulticastEthernetTagRoute::new(their_rd(rd), tag(it), originator),
        ),
        EvpnRoute::EthernetSegment { rd, esi, originator } => Theirs::EthernetSegmentRoute(
            netgauze::EthernetSegmentRoute::new(their_rd(rd), their_esi(esi), originator),
        ),
        EvpnRoute::IpPrefix { rd, tag: it, prefix } => {
            let (rd, esi, label) = (their_rd(rd), their_esi(body.esi), label(body.label));
            Theirs::IpPrefixRoute(match (prefix, body.gateway) {
                (Prefix::V4(prefix), gateway) => {
                    let gateway = match gateway {
                        Some(IpAddr::V4(gateway)) => gateway,
                        _ => Ipv4Addr::UNSPECIFIED,
                    };
                    let route =
                        netgauze::L2EvpnIpv4PrefixRoute::new(rd, esi, tag(it), prefix, gateway, label);
                    netgauze::L2EvpnIpPrefixRoute::V4(route)
                }
                (Prefix::V6(prefix), gateway) => {
                    let gateway = match gateway {
                        Some(IpAddr::V6(gateway)) => gateway,
                        _ => Ipv6Addr::UNSPECIFIED,
                    };
                    let route =
                        netgauze::L2EvpnIpv6PrefixRoute::new(rd, esi, tag(it), prefix, gateway, label);
                    netgauze::L2EvpnIpPrefixRoute::V6(route)
                }
            })
        }
    }
}

proptest! {
    /// It writes what we read, field by field.
    #[test]
    fn another_codec_means_the_same(routes in many(nlri(), 1..8)) {
        let mut bytes = Vec::new();
        for route in &routes {
            theirs(route).write(&mut bytes).unwrap();
        }
        let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, &reach(&bytes)].concat()), EVPN).unwrap();
        prop_assert_eq!(decoded.update.mp_reach.unwrap().evpn, routes);
    }

    #[test]
    fn updates_round_trip(update in update()) {
        let mut bytes = Vec::new();
        update.emit(true, &mut bytes);
        let decoded = parse(&bytes, EVPN).unwrap();
        prop_assert_eq!(&decoded.update, &update);
        prop_assert_eq!((decoded.errors, decoded.evpn_faults), (vec![], vec![]));
    }

    /// It reads what we write, and writes it as we do.
    #[test]
    fn another_codec_agrees(update in update()) {
        let mut bytes = Vec::new();
        update.emit(true, &mut bytes);
        let parsed = tests::netgauze_parsed(&bytes).map(|it| alloc::format!("{it:?}"));
        prop_assert!(parsed.as_ref().is_ok_and(|it| it.contains("L2Evpn") && !it.contains("route: Unknown")), "{parsed:?}");
        prop_assert_eq!(tests::netgauze(&bytes), Ok(bytes));
    }

    #[test]
    fn random_routes_do_no_harm(field in many(any::<u8>(), 0..600), kind in 0..7_u8, length in any::<u8>()) {
        for field in [field.clone(), [&[kind, length][..], &field].concat()] {
            let decoded = parse(&raw_update(&[ORIGIN, AS_PATH, &reach(&field)].concat()), EVPN);
            let update = decoded.unwrap().update;
            // What was kept can be said again, and means the same.
            let mut again = Vec::new();
            update.emit(true, &mut again);
            prop_assert_eq!(parse(&again, EVPN).unwrap().update.mp_reach, update.mp_reach);
        }
    }

    #[test]
    fn packing_loses_nothing(routes in many(nlri(), 1..400), shared in 0..2500_usize) {
        let unknown = UnknownAttribute { code: 200, value: vec![0; shared].into() };
        let attributes = Attributes {
            as_path: AsPath::sequence([crate::id::Asn(7)]),
            unknown: Box::new([unknown]),
            ..Attributes::default()
        };
        let mut bytes = Vec::new();
        attributes.emit(true, None, &mut bytes);
        let next_hop = Some(MpNextHop::V6(Ipv6Addr::LOCALHOST));
        let mut out = Vec::new();
        announce(MESSAGE_MAX, &bytes, next_hop, &routes, &mut out).unwrap();
        withdraw(MESSAGE_MAX, false, &routes, &mut out);
        let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
        let mut rest = &out[..];
        while let Some(found) = frame(rest, MESSAGE_MAX).unwrap() {
            prop_assert!(found.wire_len() <= MESSAGE_MAX);
            let update = parse(&rest[..found.wire_len()], EVPN).unwrap().update;
            rest = &rest[found.wire_len()..];
            announced.extend(update.mp_reach.into_iter().flat_map(|it| it.evpn));
            withdrawn.extend(update.mp_unreach.into_iter().flat_map(|it| it.evpn));
        }
        prop_assert_eq!((&announced, &withdrawn), (&routes, &routes));
    }
}
