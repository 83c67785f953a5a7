//! Bytes against meaning: by hand, at random, by RFC 7606's table, and against another codec.

use super::*;
use crate::id::{Asn, Prefix};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::collection::vec as many;
use proptest::prelude::*;

const FOUR: Context =
    Context { four_octet: true, ipv4_over_ipv6: true, evpn: false, extended: false, path_ids: PathIds::NONE };

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn parse(bytes: &[u8], context: Context) -> Result<Message, MessageError> {
    let found = frame(bytes, MESSAGE_MAX)?.expect("a whole message");
    assert_eq!(found.wire_len(), bytes.len());
    Message::parse(found, context)
}

fn parse_update(bytes: &[u8], context: Context) -> Result<DecodedUpdate, MessageError> {
    match parse(bytes, context)? {
        Message::Update(decoded) => Ok(*decoded),
        other => panic!("{other:?}"),
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&((19 + body.len()) as u16).to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

/// An UPDATE of these fields, whatever they are.
fn raw_update(withdrawn: &[u8], attributes: &[u8], announced: &[u8]) -> Vec<u8> {
    let mut body = (withdrawn.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(withdrawn);
    body.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    body.extend_from_slice(attributes);
    body.extend_from_slice(announced);
    message(2, &body)
}

#[test]
fn keepalive_and_notification_byte_by_byte() {
    let mut bytes = Vec::new();
    emit_keepalive(&mut bytes);
    assert_eq!(bytes, message(4, &[]));
    assert_eq!(parse(&bytes, FOUR), Ok(Message::Keepalive));

    let mut bytes = Vec::new();
    let shutdown = Notification::shutdown("工事 until 5");
    shutdown.emit_message(&mut bytes);
    assert_eq!(bytes, message(3, b"\x06\x02\x0e\xe5\xb7\xa5\xe4\xba\x8b until 5"));
    assert_eq!(parse(&bytes, FOUR), Ok(Message::Notification(shutdown.clone())));
    assert_eq!(shutdown.text(), Some("工事 until 5"));
    // RFC 9003: too long is cut, between characters; a length that lies is no text.
    let long = "界".repeat(100);
    assert_eq!(Notification::shutdown(&long).text(), Some(&*"界".repeat(85)));
    assert_eq!(Notification { code: 6, subcode: 2, data: vec![9, b'x'] }.text(), None);
    assert_eq!(Notification { code: 6, subcode: 2, data: vec![1, 0xff] }.text(), None);
    assert!(Notification::shutdown("").data.is_empty());
}

#[test]
fn open_byte_by_byte() {
    let capabilities = vec![
        Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
        Capability::RouteRefresh,
        Capability::ExtendedNextHop(vec![(AfiSafi::IPV4_UNICAST, 2)]),
        Capability::ExtendedMessage,
        Capability::EnhancedRouteRefresh,
        Capability::Role(BgpRole::CUSTOMER),
        Capability::GracefulRestart(GracefulRestart {
            restarted: true,
            notification: true,
            time: 120,
            families: vec![(AfiSafi::IPV4_UNICAST, true), (AfiSafi::IPV6_UNICAST, false)],
        }),
        Capability::GracefulRestart(GracefulRestart::default()),
    ];
    let open = Open::new(Asn(4_200_000_001), 3, Ipv4Addr::new(43, 228, 174, 129), capabilities);
    let mut bytes = Vec::new();
    open.emit_message(&mut bytes);
    let body = [
        4, 0x5b, 0xa0, 0, 3, 43, 228, 174, 129, 47, // AS_TRANS
        2, 45, // one parameter with all capabilities
        1, 4, 0, 1, 0, 1, //
        2, 0, //
        5, 6, 0, 1, 0, 1, 0, 2, //
        6, 0, //
        70, 0, //
        9, 1, 3, //
        64, 10, 0xc0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0, //
        64, 2, 0, 0, //
        65, 4, 0xfa, 0x56, 0xea, 0x01,
    ];
    assert_eq!(bytes, message(1, &body));
    assert_eq!(parse(&bytes, FOUR), Ok(Message::Open(open.clone())));
    assert_eq!(open.asn(), Asn(4_200_000_001));
    assert!(open.has_next_hop(AfiSafi::IPV4_UNICAST, 2));
}

#[test]
fn refreshes_byte_by_byte() {
    for (what, subtype) in
        [(Refresh::Request, 0), (Refresh::Begin, 1), (Refresh::End, 2), (Refresh::Unknown(3), 3)]
    {
        let mut bytes = Vec::new();
        AfiSafi::IPV6_UNICAST.emit_refresh(what, &mut bytes);
        assert_eq!(bytes, message(5, &[0, 2, subtype, 1]));
        assert_eq!(parse(&bytes, FOUR), Ok(Message::RouteRefresh(AfiSafi::IPV6_UNICAST, what)));
    }
    let long = message(5, &[0, 1, 1, 1, 0]);
    let error = parse(&long, FOUR).unwrap_err();
    assert_eq!(error, MessageError::RefreshLength(long.clone()));
    assert_eq!(error.notification(), Notification { code: 7, subcode: 1, data: long });
}

#[test]
fn open_that_is_none() {
    let good = [4, 0, 1, 0, 90, 1, 1, 1, 1, 0];
    let with = |at: usize, value: u8| {
        let mut body = good;
        body[at] = value;
        parse(&message(1, &body), FOUR)
    };
    assert!(matches!(with(1, 0), Ok(Message::Open(_))));
    assert_eq!(with(0, 3), Err(MessageError::Version(3)));
    assert_eq!(with(4, 2), Err(MessageError::HoldTime));
    assert_eq!(with(9, 1), Err(MessageError::MalformedOpen));
    let mut zero = good;
    zero[5..9].fill(0);
    assert_eq!(parse(&message(1, &zero), FOUR), Err(MessageError::Identifier));
    let tail = |tail: &[u8]| {
        let mut body = good.to_vec();
        body[9] = tail.len() as u8;
        body.extend_from_slice(tail);
        parse(&message(1, &body), FOUR)
    };
    assert_eq!(tail(&[1, 0]), Err(MessageError::UnsupportedParameter));
    assert_eq!(tail(&[2]), Err(MessageError::MalformedOpen));
    assert_eq!(tail(&[2, 3, 1, 4, 0]), Err(MessageError::MalformedOpen));
    // A capability that cannot be what it says is kept as it is, and so is one that nobody knows.
    let Ok(Message::Open(open)) = tail(&[2, 6, 65, 1, 9, 200, 1, 7]) else { panic!("an OPEN") };
    assert_eq!(open.asn(), Asn(1));
    let other = |code, byte: u8| Capability::Other { code, value: vec![byte] };
    assert_eq!(open.capabilities, [other(65, 9), other(200, 7)]);
}

#[test]
fn headers_that_are_none() {
    assert_eq!(frame(&[], MESSAGE_MAX), Ok(None));
    assert_eq!(frame(&[0xff; 18], MESSAGE_MAX), Ok(None));
    assert_eq!(frame(&[0xff, 0xfe], MESSAGE_MAX), Err(MessageError::NotSynchronised));
    assert_eq!(frame(&message(9, &[]), MESSAGE_MAX), Err(MessageError::UnknownType(9)));
    assert_eq!(frame(&message(4, &[0]), MESSAGE_MAX), Err(MessageError::Length(20)));
    assert_eq!(frame(&message(2, &[0]), MESSAGE_MAX), Err(MessageError::Length(20)));
    let mut short = message(4, &[]);
    short[17] = 18;
    assert_eq!(frame(&short, MESSAGE_MAX), Err(MessageError::Length(18)));
    let mut long = message(2, &[0; 4]);
    long[16..18].copy_from_slice(&4097_u16.to_be_bytes());
    assert_eq!(frame(&long, MESSAGE_MAX), Err(MessageError::Length(4097)));
    // RFC 8654 4: longer ones where they were agreed on, OPEN and KEEPALIVE excepted.
    assert_eq!(frame(&long, EXTENDED_MESSAGE_MAX), Ok(None));
    for kind in [1, 4] {
        long[18] = kind;
        assert_eq!(frame(&long, EXTENDED_MESSAGE_MAX), Err(MessageError::Length(4097)));
    }
    let whole = message(3, &[0; EXTENDED_MESSAGE_MAX - HEADER_LEN]);
    assert_eq!(frame(&whole, EXTENDED_MESSAGE_MAX).unwrap().unwrap().wire_len(), EXTENDED_MESSAGE_MAX);
    // It waits for what the length says.
    assert_eq!(frame(&message(2, &[0; 4])[..22], MESSAGE_MAX), Ok(None));
}

#[test]
fn ipv4_by_an_ipv6_next_hop_byte_by_byte() {
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    let attributes = Attributes { as_path: AsPath::sequence([Asn(4_200_000_001)]), ..Attributes::default() };
    let mut shared = Vec::new();
    attributes.emit(true, None, &mut shared);
    let mut bytes = Vec::new();
    let next_hop = MpNextHop::V6(link_local);
    assert_eq!(
        announce(MESSAGE_MAX, &shared, Some(next_hop), &[prefix("43.228.174.129/32")], &mut bytes),
        Ok(1)
    );
    let mut field = vec![0x90, 14, 0, 26, 0, 1, 1, 16];
    field.extend_from_slice(&link_local.octets());
    field.extend_from_slice(&[0, 32, 43, 228, 174, 129]);
    field.extend_from_slice(&[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0xfa, 0x56, 0xea, 0x01]);
    assert_eq!(bytes, raw_update(&[], &field, &[]));

    // FRR's form: 32 bytes, the link-local address twice.
    let mut field = vec![0x80, 14, 40, 0, 1, 1, 32];
    field.extend_from_slice(&link_local.octets());
    field.extend_from_slice(&link_local.octets());
    field.extend_from_slice(&[0, 16, 10, 7]);
    field.extend_from_slice(&shared);
    // Length: AFI, SAFI, length, 32, reserved, 3 bytes of prefix.
    field[2] = 40;
    let decoded = parse_update(&raw_update(&[], &field, &[]), FOUR).unwrap();
    let reach = decoded.update.mp_reach.unwrap();
    assert_eq!(reach.next_hop, MpNextHop::V6Pair { global: link_local, link_local });
    assert_eq!(reach.prefixes, [prefix("10.7.0.0/16").into()]);
    assert!(decoded.errors.is_empty());
    // Without the capability the length was not agreed on (RFC 8950 4, RFC 7606 7.11).
    let agreed = Context { ipv4_over_ipv6: false, ..FOUR };
    let error = parse_update(&raw_update(&[], &field, &[]), agreed).unwrap_err();
    assert!(matches!(error, MessageError::OptionalAttribute(_)));
}

#[test]
fn ends_of_rib() {
    let mut bytes = Vec::new();
    Update::emit_end_of_rib(AfiSafi::IPV4_UNICAST, &mut bytes);
    assert_eq!(bytes, raw_update(&[], &[], &[]));
    let decoded = parse_update(&bytes, FOUR).unwrap();
    assert_eq!(decoded.update.end_of_rib(), Some(AfiSafi::IPV4_UNICAST));
    let mut bytes = Vec::new();
    Update::emit_end_of_rib(AfiSafi::IPV6_UNICAST, &mut bytes);
    assert_eq!(bytes, raw_update(&[], &[0x80, 15, 3, 0, 2, 1], &[]));
    let decoded = parse_update(&bytes, FOUR).unwrap();
    assert_eq!(decoded.update.end_of_rib(), Some(AfiSafi::IPV6_UNICAST));
}

/// Good ones, to stand beside a bad one.
const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0, 7];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const NLRI: &[u8] = &[24, 198, 51, 100];

#[test]
fn attributes_by_the_table_of_rfc_7606() {
    use Approach::{AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};
    use AttributeFault::{Flags, Length, Missing, NotBetweenAses, Overrun, Repeated, Value};
    let three = [ORIGIN, AS_PATH, NEXT_HOP].concat();
    let beside = |bad: &[u8]| [&three, bad].concat();
    type Case = (&'static str, Vec<u8>, u8, AttributeFault, Approach);
    let cases: Vec<Case> = vec![
        ("7.1 length", [AS_PATH, NEXT_HOP, &[0x40, 1, 2, 0, 0]].concat(), 1, Length, Withdraw),
        ("7.1 value", [AS_PATH, NEXT_HOP, &[0x40, 1, 1, 3]].concat(), 1, Value, Withdraw),
        (
            "7.2 segment type",
            [ORIGIN, NEXT_HOP, &[0x40, 2, 6, 9, 1, 0, 0, 0, 7]].concat(),
            2,
            Value,
            Withdraw,
        ),
        (
            "7.2 confederation",
            [ORIGIN, NEXT_HOP, &[0x40, 2, 6, 3, 1, 0, 0, 0, 7]].concat(),
            2,
            Value,
            Withdraw,
        ),
        ("7.2 overrun", [ORIGIN, NEXT_HOP, &[0x40, 2, 6, 2, 2, 0, 0, 0, 7]].concat(), 2, Value, Withdraw),
        ("7.2 underrun", [ORIGIN, NEXT_HOP, &[0x40, 2, 7, 2, 1, 0, 0, 0, 7, 2]].concat(), 2, Value, Withdraw),
        ("7.2 empty segment", [ORIGIN, NEXT_HOP, &[0x40, 2, 2, 2, 0]].concat(), 2, Value, Withdraw),
        ("7.3", [ORIGIN, AS_PATH, &[0x40, 3, 5, 1, 1, 1, 1, 1]].concat(), 3, Length, Withdraw),
        ("7.4", beside(&[0x80, 4, 3, 0, 0, 0]), 4, Length, Withdraw),
        ("7.5", beside(&[0x40, 5, 4, 0, 0, 0, 1]), 5, NotBetweenAses, Discard),
        ("7.5 of any length", beside(&[0x40, 5, 1, 0]), 5, NotBetweenAses, Discard),
        ("7.6", beside(&[0x40, 6, 1, 0]), 6, Length, Discard),
        ("7.7", beside(&[0xc0, 7, 6, 0, 1, 1, 1, 1, 1]), 7, Length, Discard),
        ("7.8", beside(&[0xc0, 8, 5, 0, 0, 0, 0, 0]), 8, Length, Withdraw),
        ("7.8 empty", beside(&[0xc0, 8, 0]), 8, Length, Withdraw),
        ("7.9", beside(&[0x80, 9, 4, 1, 1, 1, 1]), 9, NotBetweenAses, Discard),
        ("7.10", beside(&[0x80, 10, 4, 1, 1, 1, 1]), 10, NotBetweenAses, Discard),
        ("7.14", beside(&[0xc0, 16, 4, 0, 0, 0, 0]), 16, Length, Withdraw),
        ("RFC 8092 6", beside(&[0xc0, 32, 8, 0, 0, 0, 0, 0, 0, 0, 0]), 32, Length, Withdraw),
        ("RFC 9234 5", beside(&[0xc0, 35, 3, 0, 0, 0]), 35, Length, Withdraw),
        ("RFC 9234 5 flags", beside(&[0x80, 35, 4, 0, 0, 0, 1]), 35, Flags, Withdraw),
        ("RFC 6793 6", beside(&[0xc0, 17, 6, 2, 1, 0, 0, 0, 7]), 17, NotBetweenAses, Discard),
        ("RFC 7607", [ORIGIN, NEXT_HOP, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0]].concat(), 2, Value, Withdraw),
        ("RFC 7607 AGGREGATOR", beside(&[0xc0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1]), 7, Value, Discard),
        ("3 c well-known as optional", [AS_PATH, NEXT_HOP, &[0xc0, 1, 1, 0]].concat(), 1, Flags, Withdraw),
        ("3 c transitive MED", beside(&[0xc0, 4, 4, 0, 0, 0, 0]), 4, Flags, Withdraw),
        ("3 c well-known communities", beside(&[0x40, 8, 4, 0, 0, 0, 0]), 8, Flags, Withdraw),
        ("3 d ORIGIN", [AS_PATH, NEXT_HOP].concat(), 1, Missing, Withdraw),
        ("3 d AS_PATH", [ORIGIN, NEXT_HOP].concat(), 2, Missing, Withdraw),
        ("3 d NEXT_HOP", [ORIGIN, AS_PATH].concat(), 3, Missing, Withdraw),
        ("3 g", beside(&[0x40, 1, 1, 2]), 1, Repeated, Discard),
        ("4 overrun", beside(&[0xc0, 8, 9, 0, 0]), 8, Overrun, Withdraw),
        ("4 too few for a header", beside(&[0xc0, 8]), 8, Overrun, Withdraw),
        ("4 too few for an extended one", beside(&[0xd0, 8, 0]), 8, Overrun, Withdraw),
    ];
    for (name, attributes, code, fault, approach) in cases {
        let decoded = parse_update(&raw_update(&[], &attributes, NLRI), FOUR);
        let decoded = decoded.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(decoded.errors, [AttributeError { code, fault, approach }], "{name}");
        assert_eq!(decoded.treat_as_withdraw(), approach == Withdraw, "{name}");
        assert_eq!(decoded.update.announced, [prefix("198.51.100.0/24").into()], "{name}");
        if fault == Repeated {
            assert_eq!(decoded.update.attributes.unwrap().origin, Origin::Igp, "{name}");
        }
    }
}

#[test]
fn only_to_customer_byte_by_byte() {
    // With Partial, as somebody has set it who does not know the attribute.
    for flags in [0xc0, 0xe0] {
        let attributes = [ORIGIN, AS_PATH, NEXT_HOP, &[flags, 35, 4, 0, 0, 0x0d, 0x1c]].concat();
        let bytes = raw_update(&[], &attributes, NLRI);
        let decoded = parse_update(&bytes, FOUR).unwrap();
        assert_eq!(decoded.errors, []);
        let found = decoded.update.attributes.as_ref().unwrap();
        assert_eq!((found.only_to_customer, found.unknown.len()), (Some(Asn(3356)), 0));
        let mut again = Vec::new();
        decoded.update.emit(true, &mut again);
        assert_eq!(again, bytes);
    }
}

#[test]
fn what_still_ends_the_session() {
    let three = [ORIGIN, AS_PATH, NEXT_HOP].concat();
    let update = |attributes: &[u8], nlri: &[u8]| parse_update(&raw_update(&[], attributes, nlri), FOUR);
    let reach6: &[u8] = &[0x80, 14, 5, 0, 2, 1, 0, 0];
    let unreach: &[u8] = &[0x80, 15, 3, 0, 2, 1];
    // Lengths that do not add up.
    assert_eq!(parse_update(&message(2, &[0, 9, 0, 0]), FOUR), Err(MessageError::MalformedAttributeList));
    assert_eq!(parse_update(&message(2, &[0, 0, 0, 9]), FOUR), Err(MessageError::MalformedAttributeList));
    // 5.3: prefixes that are none.
    assert_eq!(update(&three, &[33, 1, 1, 1, 1, 1]), Err(MessageError::Network));
    assert_eq!(update(&three, &[24, 1, 1]), Err(MessageError::Network));
    assert_eq!(parse_update(&raw_update(&[33], &[], &[]), FOUR), Err(MessageError::Network));
    // 7.11: a next hop of no known length; prefixes behind it that cannot be read.
    let error = update(&[&three[..], reach6].concat(), NLRI).unwrap_err();
    assert_eq!(error, MessageError::OptionalAttribute(reach6.to_vec()));
    let notification = error.notification();
    assert_eq!((notification.code, notification.subcode, &*notification.data), (3, 9, reach6));
    let long: &[u8] = &[0x80, 15, 4, 0, 2, 1, 129];
    assert_eq!(update(long, &[]), Err(MessageError::OptionalAttribute(long.to_vec())));
    // 3 g: twice.
    assert_eq!(update(&[unreach, unreach].concat(), &[]), Err(MessageError::MalformedAttributeList));
    // RFC 4271 6.3: well-known and unknown.
    let unknown: &[u8] = &[0x40, 99, 1, 0];
    let error = update(&[&three[..], unknown].concat(), NLRI).unwrap_err();
    assert_eq!(error, MessageError::UnrecognisedWellKnown(unknown.to_vec()));
    // 5.2: an error that asks for a withdrawal, and nothing to withdraw.
    let error = update(&[AS_PATH, NEXT_HOP, &[0x40, 1, 1, 9]].concat(), &[]).unwrap_err();
    assert!(matches!(error, MessageError::NothingToWithdraw(AttributeError { code: 1, .. })));
    // Without such an error it is no harm.
    assert!(update(&three, &[]).is_ok());
}

#[test]
fn attributes_nobody_knows() {
    let three = [ORIGIN, AS_PATH, NEXT_HOP].concat();
    let transitive: &[u8] = &[0xc0, 99, 2, 1, 2];
    let not: &[u8] = &[0x80, 98, 2, 1, 2];
    let decoded =
        parse_update(&raw_update(&[], &[&three[..], transitive, not].concat(), NLRI), FOUR).unwrap();
    assert_eq!(decoded.errors, []);
    let attributes = decoded.update.attributes.unwrap();
    assert_eq!(*attributes.unknown, [UnknownAttribute { code: 99, value: Box::new([1, 2]) }]);
    // It goes on with Partial set.
    let mut bytes = Vec::new();
    attributes.emit(true, None, &mut bytes);
    assert!(bytes.ends_with(&[0xe0, 99, 2, 1, 2]));
    // A known one keeps the bit that it came with.
    let partial: &[u8] = &[0xe0, 8, 4, 0, 1, 0, 2];
    let decoded = parse_update(&raw_update(&[], &[&three[..], partial].concat(), NLRI), FOUR).unwrap();
    let mut bytes = Vec::new();
    decoded.update.attributes.unwrap().emit(true, None, &mut bytes);
    assert!(bytes.ends_with(partial));
}

#[test]
fn routes_of_other_families_are_skipped() {
    let evpn: &[u8] = &[0x80, 14, 10, 0, 25, 70, 4, 1, 1, 1, 1, 0, 0];
    let field = [ORIGIN, AS_PATH, evpn].concat();
    let decoded = parse_update(&raw_update(&[], &field, &[]), FOUR).unwrap();
    assert_eq!((decoded.update.mp_reach, decoded.errors), (None, vec![]));
    // Nothing of ours is lost if their attributes are bad.
    let field = [AS_PATH, evpn, &[0x40, 1, 1, 9]].concat();
    assert!(parse_update(&raw_update(&[], &field, &[]), FOUR).is_ok());
}

#[test]
fn two_octets_and_four() {
    let two = Context { four_octet: false, ..FOUR };
    let attributes = Attributes {
        as_path: AsPath::sequence([Asn(3000), Asn(150_369), Asn(7)]),
        aggregator: Some(Aggregator { asn: Asn(150_369), identifier: Ipv4Addr::new(1, 2, 3, 4) }),
        ..Attributes::default()
    };
    let update = Update {
        attributes: Some(attributes.clone()),
        next_hop: Some(Ipv4Addr::new(192, 0, 2, 1)),
        announced: vec![prefix("198.51.100.0/24").into()],
        ..Update::default()
    };
    let mut bytes = Vec::new();
    update.emit(false, &mut bytes);
    let decoded = parse_update(&bytes, two).unwrap();
    assert_eq!(decoded, DecodedUpdate { update, errors: vec![], evpn_faults: vec![] });
    // Somebody of two octets put its number in front (RFC 6793 4.2.3).
    let old = AsPath::sequence([Asn(9), Asn(3000), Asn::TRANS, Asn(7)]);
    assert_eq!(old.clone().merged_with(attributes.as_path.clone()).to_string(), "9 3000 150369 7");
    // An AS4_PATH longer than AS_PATH is not believed.
    assert_eq!(AsPath::sequence([Asn(1)]).merged_with(old).to_string(), "1");
}

#[test]
fn paths() {
    let set = Segment::Set(Box::new([Asn(1), Asn(2)]));
    let path = AsPath::from_segments([Segment::Sequence(Box::new([Asn(5), Asn(6)])), set]);
    assert_eq!((path.length(), path.to_string()), (3, "5 6 {1,2}".into()));
    assert_eq!(path.prepended(Asn(5), 2).to_string(), "5 5 5 6 {1,2}");
    assert_eq!(path.without(|asn| asn.0 < 6).to_string(), "6 {}".replace(" {}", ""));
    assert_eq!((path.first(), AsPath::empty().first()), (Some(Asn(5)), None));
    assert_eq!(AsPath::empty().prepended(Asn(5), 0), AsPath::empty());
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![(1..65_000_u32), 1..=u32::MAX].prop_map(Asn)
}

fn as_path() -> impl Strategy<Value = AsPath> {
    let segment = (any::<bool>(), many(asn(), 0..9), 1..40_usize).prop_map(|(set, asns, times)| {
        let asns: Vec<Asn> = if set { asns } else { asns.repeat(times) };
        if set { Segment::Set(asns.into()) } else { Segment::Sequence(asns.into()) }
    });
    many(segment, 0..3).prop_map(AsPath::from_segments)
}

prop_compose! {
    fn attributes()(
        as_path in as_path(),
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        atomic_aggregate in any::<bool>(),
        med in any::<Option<u32>>(),
        aggregator in proptest::option::of((asn(), any::<Ipv4Addr>())),
        communities in many(any::<u32>().prop_map(Community), 0..80),
        extended in many(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..5),
        large in many(any::<[u32; 3]>().prop_map(|[a, b, c]| LargeCommunity::new(a, b, c)), 0..30),
        unknown in many((200..=255_u8, many(any::<u8>(), 0..300)), 0..2),
        only_to_customer in proptest::option::of(asn()),
        partial in any::<[bool; 4]>(),
    ) -> Attributes {
        let mut unknown: Vec<UnknownAttribute> =
            unknown.into_iter().map(|(code, value)| UnknownAttribute { code, value: value.into() }).collect();
        unknown.dedup_by_key(|it| it.code);
        Attributes {
            as_path, origin, atomic_aggregate, med,
            aggregator: aggregator.map(|(asn, identifier)| Aggregator { asn, identifier }),
            partial: Partial {
                aggregator: partial[0] && aggregator.is_some(),
                communities: partial[1] && !communities.is_empty(),
                extended_communities: partial[2] && !extended.is_empty(),
                pmsi: false,
                large_communities: partial[3] && !large.is_empty(),
                // The other codec takes none with it.
                only_to_customer: false,
            },
            communities: communities.into(),
            extended_communities: extended.into(),
            large_communities: large.into(),
            only_to_customer,
            pmsi: None,
            unknown: unknown.into(),
        }
    }
}

/// With identifiers before all of them, or none.
fn listed(ids: bool, prefixes: Vec<(Prefix, u32)>) -> Vec<UnicastNlri> {
    let listed = |(prefix, id)| UnicastNlri { prefix, path_id: ids.then_some(id) };
    prefixes.into_iter().map(listed).collect()
}

fn v4() -> impl Strategy<Value = Prefix> {
    (any::<Ipv4Addr>(), 0..=32_u8)
        .prop_map(|(address, length)| Prefix::new(address.into(), length).unwrap().trunc())
}

fn v6() -> impl Strategy<Value = Prefix> {
    (any::<Ipv6Addr>(), 0..=128_u8)
        .prop_map(|(address, length)| Prefix::new(address.into(), length).unwrap().trunc())
}

fn path_ids() -> impl Strategy<Value = PathIds> {
    any::<[bool; 2]>().prop_map(|[ipv4, ipv6]| PathIds { ipv4, ipv6 })
}

fn update_with(ids: PathIds) -> impl Strategy<Value = Update> {
    let next_hop = prop_oneof![
        any::<Ipv6Addr>().prop_map(MpNextHop::V6),
        any::<[Ipv6Addr; 2]>().prop_map(|[global, link_local]| MpNextHop::V6Pair { global, link_local }),
    ];
    let v4 = |most| many((v4(), any::<u32>()), 0..most).prop_map(move |it| listed(ids.ipv4, it));
    let v6 = many((v6(), any::<u32>()), 0..20).prop_map(move |it| listed(ids.ipv6, it));
    let mp = (any::<bool>(), next_hop, v4(20), v6);
    let classic = (any::<Ipv4Addr>(), v4(40), v4(40));
    (attributes(), mp, classic, any::<bool>()).prop_map(|(attributes, mp, classic, reachable)| {
        let (ipv6, next_hop, v4, v6) = mp;
        let (next_hop4, withdrawn, announced) = classic;
        let (family, prefixes) = if ipv6 { (AfiSafi::IPV6_UNICAST, v6) } else { (AfiSafi::IPV4_UNICAST, v4) };
        if !reachable {
            let mp_unreach = Some(MpUnreach { family, prefixes, evpn: vec![] });
            return Update { withdrawn, mp_unreach, ..Update::default() };
        }
        Update {
            withdrawn,
            mp_unreach: None,
            attributes: Some(attributes),
            mp_reach: Some(MpReach { family, next_hop, prefixes, evpn: vec![] }),
            next_hop: (!announced.is_empty()).then_some(next_hop4),
            announced,
        }
    })
}

/// The message, if it fits in one.
fn emitted(update: &Update, four_octet: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(attributes) = &update.attributes {
        attributes.emit(four_octet, update.next_hop, &mut bytes);
    }
    let prefixes = update.announced.len() + update.withdrawn.len();
    if bytes.len() + prefixes * 9 + 20 * 21 + 100 > MESSAGE_MAX {
        return None;
    }
    bytes.clear();
    update.emit(four_octet, &mut bytes);
    Some(bytes)
}

/// What another codec makes of our bytes.
pub(super) fn netgauze_parsed(bytes: &[u8]) -> Result<netgauze_bgp_pkt::BgpMessage, alloc::string::String> {
    netgauze_parsed_with(bytes, false)
}

/// The same, where path identifiers stand before unicast routes or do not.
pub(super) fn netgauze_parsed_with(
    bytes: &[u8],
    path_ids: bool,
) -> Result<netgauze_bgp_pkt::BgpMessage, alloc::string::String> {
    use netgauze_bgp_pkt::BgpMessage;
    use netgauze_iana::address_family::AddressType;
    let families = [AddressType::Ipv4Unicast, AddressType::Ipv6Unicast];
    let mut context = netgauze_bgp_pkt::wire::deserializer::BgpParsingContext::new(
        true,
        Default::default(),
        families.into_iter().map(|family| (family, path_ids)).collect(),
        true,
        true,
        true,
        true,
    );
    BgpMessage::parse(&mut SliceReader::new(bytes), &mut context).map_err(|error| alloc::format!("{error:?}"))
}

/// Its bytes for what it makes of ours.
pub(super) fn netgauze(bytes: &[u8]) -> Result<Vec<u8>, alloc::string::String> {
    netgauze_with(bytes, false)
}

pub(super) fn netgauze_with(bytes: &[u8], path_ids: bool) -> Result<Vec<u8>, alloc::string::String> {
    let mut out = Vec::new();
    netgauze_parsed_with(bytes, path_ids)?.write(&mut out).map_err(|error| alloc::format!("{error:?}"))?;
    Ok(out)
}

proptest! {
    #[test]
    fn updates_round_trip(
        (path_ids, update) in path_ids().prop_flat_map(|ids| (Just(ids), update_with(ids))),
        four_octet in any::<bool>(),
    ) {
        let bytes = emitted(&update, true);
        prop_assume!(bytes.is_some());
        let bytes = bytes.unwrap_or_default();
        let agreed = Context { path_ids, ..FOUR };
        let decoded = parse_update(&bytes, agreed).unwrap();
        prop_assert_eq!(&decoded.errors, &[]);
        prop_assert_eq!(&decoded.update, &update);
        // With two octets, too, unless a number is AS_TRANS itself or the path too long for one attribute.
        if let (false, Some(attributes)) = (four_octet, &update.attributes) {
            let trans = attributes.aggregator.is_some_and(|it| it.asn.0 <= 0xffff);
            prop_assume!(!trans);
            let bytes = emitted(&update, false);
            prop_assume!(bytes.is_some());
            let bytes = bytes.unwrap_or_default();
            let decoded = parse_update(&bytes, Context { four_octet: false, ..agreed }).unwrap();
            prop_assert_eq!(decoded.update, update);
        }
    }

    #[test]
    fn another_codec_reads_what_we_write(
        (path_ids, mut update) in any::<bool>().prop_flat_map(|ids| {
            (Just(ids), update_with(PathIds { ipv4: ids, ipv6: ids }))
        }),
    ) {
        // It takes no multicast prefixes for unicast; that is for our policy to say.
        let unicast = |it: &UnicastNlri| !it.prefix.network().is_multicast();
        update.announced.retain(unicast);
        update.withdrawn.retain(unicast);
        update.mp_reach.iter_mut().for_each(|it| it.prefixes.retain(unicast));
        update.mp_unreach.iter_mut().for_each(|it| it.prefixes.retain(unicast));
        // Of other extended communities than route targets it keeps only a part.
        for community in update.attributes.iter_mut().flat_map(|it| it.extended_communities.iter_mut()) {
            community.0[..2].copy_from_slice(&[0, 2]);
        }
        let bytes = emitted(&update, true);
        prop_assume!(bytes.is_some());
        let bytes = bytes.unwrap_or_default();
        prop_assert_eq!(netgauze_with(&bytes, path_ids), Ok(bytes));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in many(any::<u8>(), 0..4096), kind in 0..7_u8, four in any::<bool>(), ids in any::<bool>()) {
        let context = Context { four_octet: four, ipv4_over_ipv6: four, evpn: four, extended: false, path_ids: PathIds { ipv4: ids, ipv6: four } };
        let _ = frame(&bytes, MESSAGE_MAX);
        let bytes = message(kind, &bytes[..bytes.len().min(MESSAGE_MAX - HEADER_LEN)]);
        if let Ok(Some(found)) = frame(&bytes, MESSAGE_MAX) {
            let _ = Message::parse(found, context).map_err(|error| error.notification());
        }
    }

    #[test]
    fn mutated_messages_do_no_harm(
        (path_ids, update) in path_ids().prop_flat_map(|ids| (Just(ids), update_with(ids))),
        changes in many((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        four in any::<bool>(),
    ) {
        let bytes = emitted(&update, true);
        prop_assume!(bytes.is_some());
        let mut body = bytes.unwrap_or_default().split_off(HEADER_LEN);
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        if let Some(cut) = cut {
            body.truncate(4 + cut.index(body.len() - 3));
        }
        let bytes = message(2, &body);
        let context = Context { four_octet: four, evpn: true, path_ids, ..FOUR };
        match parse_update(&bytes, context) {
            Ok(DecodedUpdate { update, .. }) => {
                // Never more than the bytes can say.
                let prefixes = update.withdrawn.len() + update.announced.len()
                    + update.mp_reach.as_ref().map_or(0, |it| it.prefixes.len())
                    + update.mp_unreach.as_ref().map_or(0, |it| it.prefixes.len());
                prop_assert!(prefixes <= bytes.len());
                // What was kept can be said again, and means the same.
                let mut again = Vec::new();
                update.emit(true, &mut again);
                if update.attributes.is_none() {
                    prop_assert_eq!(parse_update(&again, Context { path_ids, ..FOUR }).unwrap().update, update);
                }
            }
            Err(error) => drop(error.notification()),
        }
    }

    #[test]
    fn opens_round_trip(
        asn in asn(),
        hold in prop_oneof![Just(0), 3..u16::MAX],
        identifier in any::<u32>().prop_filter("not zero", |it| *it != 0),
        others in many((100..200_u8, many(any::<u8>(), 0..40)), 0..12),
    ) {
        let mut capabilities: Vec<Capability> =
            others.into_iter().map(|(code, value)| Capability::Other { code, value }).collect();
        capabilities.push(Capability::Multiprotocol(AfiSafi::IPV6_UNICAST));
        let open = Open::new(asn, hold, Ipv4Addr::from(identifier), capabilities);
        let mut bytes = Vec::new();
        open.emit_message(&mut bytes);
        prop_assert_eq!(parse(&bytes, FOUR), Ok(Message::Open(open)));
    }

    #[test]
    fn packing_loses_nothing(
        attributes in attributes(),
        v4 in many(v4(), 1..1500),
        v6 in many(v6(), 1..500),
        mp in any::<bool>(),
        extended in any::<bool>(),
        path_ids in path_ids(),
    ) {
        let context = Context { extended, path_ids, ..FOUR };
        let numbered = |prefixes: Vec<Prefix>| prefixes.into_iter().zip(7..).collect();
        let (v4, v6) = (listed(path_ids.ipv4, numbered(v4)), listed(path_ids.ipv6, numbered(v6)));
        let longest = context.message_max();
        let link_local = MpNextHop::V6("fe80::1".parse().unwrap());
        let mut shared = Vec::new();
        attributes.emit(true, (!mp).then_some(Ipv4Addr::LOCALHOST), &mut shared);
        prop_assume!(shared.len() < longest - 100);
        let mut out = Vec::new();
        let messages = announce(longest, &shared, mp.then_some(link_local), &v4, &mut out).unwrap()
            + announce(longest, &shared, Some(link_local), &v6, &mut out).unwrap()
            + withdraw(longest, !mp, &v4, &mut out) + withdraw(longest, false, &v6, &mut out);
        let (mut announced, mut withdrawn, mut count) = (Vec::new(), Vec::new(), 0);
        let mut rest = &out[..];
        while let Some(found) = frame(rest, longest).unwrap() {
            rest = &rest[found.wire_len()..];
            count += 1;
            let Message::Update(decoded) = Message::parse(found, context).unwrap() else { panic!("an UPDATE") };
            let update = decoded.update;
            if let Some(found) = &update.attributes {
                prop_assert_eq!(found, &attributes);
            }
            announced.extend(update.announced.into_iter().chain(update.mp_reach.into_iter().flat_map(|it| it.prefixes)));
            withdrawn.extend(update.withdrawn.into_iter().chain(update.mp_unreach.into_iter().flat_map(|it| it.prefixes)));
        }
        prop_assert_eq!(count, messages);
        prop_assert!(rest.is_empty());
        let all: Vec<UnicastNlri> = v4.into_iter().chain(v6).collect();
        prop_assert_eq!(&announced, &all);
        prop_assert_eq!(&withdrawn, &all);
    }
}
