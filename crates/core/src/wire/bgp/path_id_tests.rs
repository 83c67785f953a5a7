//! Path identifiers (RFC 7911): bytes against meaning, and what is none of its forms.

use super::tests::netgauze_with;
use super::*;
use crate::id::{Asn, Prefix};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

const BOTH: Context = Context {
    four_octet: true,
    ipv4_over_ipv6: false,
    evpn: true,
    extended: false,
    path_ids: PathIds { ipv4: true, ipv6: true },
};

fn route(text: &str, id: u32) -> UnicastNlri {
    UnicastNlri { prefix: text.parse::<Prefix>().unwrap(), path_id: Some(id) }
}

fn parse(bytes: &[u8], context: Context) -> Result<Message, MessageError> {
    Message::parse(frame(bytes, MESSAGE_MAX)?.expect("a whole message"), context)
}

fn updated(bytes: &[u8], context: Context) -> Result<Update, MessageError> {
    match parse(bytes, context)? {
        Message::Update(decoded) => Ok(decoded.update),
        other => panic!("{other:?}"),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |two: &[u8]| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn classic() -> Update {
    Update {
        withdrawn: vec![route("198.51.100.0/24", 1)],
        attributes: Some(Attributes { as_path: AsPath::sequence([Asn(64_496)]), ..Attributes::default() }),
        next_hop: Some(Ipv4Addr::new(192, 0, 2, 1)),
        announced: vec![route("203.0.113.0/24", 0), route("203.0.113.0/24", 0xffff_fffe)],
        ..Update::default()
    }
}

fn multiprotocol() -> Update {
    let next_hop = MpNextHop::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let family = AfiSafi::IPV6_UNICAST;
    let reached = vec![route("2001:db8:7::/48", 258)];
    let attributes = Attributes { as_path: AsPath::sequence([Asn(64_496)]), ..Attributes::default() };
    Update {
        mp_unreach: Some(MpUnreach { family, prefixes: vec![route("::/0", 3)], evpn: vec![] }),
        mp_reach: Some(MpReach { family, next_hop, prefixes: reached, evpn: vec![] }),
        attributes: Some(attributes),
        ..Update::default()
    }
}

#[test]
fn routes_byte_by_byte() {
    let marker = "ffffffffffffffffffffffffffffffff";
    let ipv4 = "0043 02  0008 00000001 18c63364  0014 400101 00 400206 0201 0000fbf0 400304 c0000201
        00000000 18cb0071 fffffffe 18cb0071";
    let ipv6 = "0052 02  0000  003b  800f08 0002 01 00000003 00
        800e20 0002 01 10 20010db8000000000000000000000001 00 00000102 30 20010db80007
        400101 00 400206 0201 0000fbf0";
    for (update, bytes) in [(classic(), ipv4), (multiprotocol(), ipv6)] {
        let bytes = hex(&alloc::format!("{marker} {bytes}"));
        let mut ours = Vec::new();
        update.emit(true, &mut ours);
        assert_eq!(ours, bytes);
        assert_eq!(updated(&bytes, BOTH), Ok(update));
    }
}

/// Each family for itself, as it was agreed on.
#[test]
fn only_where_it_was_agreed_on() {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    classic().emit(true, &mut ipv4);
    multiprotocol().emit(true, &mut ipv6);
    let only_ipv6 = Context { path_ids: PathIds { ipv4: false, ipv6: true }, ..BOTH };
    let only_ipv4 = Context { path_ids: PathIds { ipv4: true, ipv6: false }, ..BOTH };
    // An identifier taken for prefixes: 0.0.0.0/0 four times, or what is no prefix at all.
    assert_ne!(updated(&ipv4, only_ipv6), Ok(classic()));
    assert_ne!(updated(&ipv6, only_ipv4), Ok(multiprotocol()));
    assert_eq!(updated(&ipv4, only_ipv4), Ok(classic()));
    assert_eq!(updated(&ipv6, only_ipv6), Ok(multiprotocol()));
}

/// Where one route ends and the next begins is not known then (RFC 7606 5.3).
#[test]
fn cut_identifiers_end_the_session() {
    let body = |announced: &[u8]| {
        let attributes = hex("400101 00 400206 0201 0000fbf0 400304 c0000201");
        let length = (attributes.len() as u16).to_be_bytes();
        [&[0, 0][..], &length, &attributes, announced].concat()
    };
    for cut in [&[0, 0, 0][..], &[0, 0, 0, 1], &[0, 0, 0, 1, 24, 203, 0], &[0, 0, 0, 1, 33, 1, 2, 3, 4, 5]] {
        let body = body(cut);
        let found = Frame { kind: MessageKind::Update, body: &body };
        assert_eq!(Message::parse(found, BOTH), Err(MessageError::Network), "{cut:?}");
    }
    let mut reach = hex("400101 00 400206 0201 0000fbf0 800e1b 0002 01 10");
    reach.extend_from_slice(&[0; 16]);
    reach.extend_from_slice(&[0, 0, 0, 0, 1, 48, 7]);
    let body = [&[0, 0][..], &(reach.len() as u16).to_be_bytes(), &reach].concat();
    let found = Frame { kind: MessageKind::Update, body: &body };
    assert!(matches!(Message::parse(found, BOTH), Err(MessageError::OptionalAttribute(_))));
}

fn said(value: &[u8]) -> Capability {
    let other = Capability::Other { code: 69, value: value.to_vec() };
    let mut bytes = Vec::new();
    Open::new(Asn(64_496), 90, Ipv4Addr::new(1, 1, 1, 1), vec![other]).emit_message(&mut bytes);
    match parse(&bytes, BOTH) {
        Ok(Message::Open(open)) => open.capabilities[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_capability_and_what_is_none() {
    let both = AddPath { receive: true, send: true };
    let [receives, sends] = [AddPath { send: false, ..both }, AddPath { receive: false, ..both }];
    let read = said(&[0, 1, 1, 3, 0, 2, 1, 1, 0, 1, 1, 1, 0, 25, 70, 2]);
    let (ipv4, ipv6) = (AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST);
    let expected = vec![(ipv4, both), (ipv6, receives), (AfiSafi::EVPN, sends)];
    assert_eq!(read, Capability::AddPath(expected.clone()));
    let open = Open::new(Asn(64_496), 90, Ipv4Addr::new(1, 1, 1, 1), vec![read]);
    let mut bytes = Vec::new();
    open.emit_message(&mut bytes);
    assert_eq!(bytes[29 + 2..][..14], hex("45 0c 0001 01 03 0002 01 01 0019 46 02"));
    assert_eq!(parse(&bytes, BOTH), Ok(Message::Open(open.clone())));
    assert_eq!([ipv4, ipv6].map(|it| open.add_path(it)), [both, receives]);
    // RFC 7911 4: another word is not understood, nor is a list that is none.
    for bad in [&[0, 1, 1, 0][..], &[0, 1, 1, 4], &[0, 1, 1], &[0, 1, 1, 3, 0], &[0, 1, 1, 3, 0, 2, 1, 9]] {
        assert_eq!(said(bad), Capability::Other { code: 69, value: bad.to_vec() });
    }
}

#[test]
fn another_codec_reads_the_same() {
    for update in [classic(), multiprotocol()] {
        let mut bytes = Vec::new();
        update.emit(true, &mut bytes);
        let again = netgauze_with(&bytes, true).unwrap();
        assert_eq!(again, bytes);
        assert_eq!(updated(&again, BOTH), Ok(update));
    }
}

/// One route more than fits makes one message more.
#[test]
fn packed_with_their_identifiers() {
    let attributes = Attributes { as_path: AsPath::sequence([Asn(64_496)]), ..Attributes::default() };
    let mut shared = Vec::new();
    attributes.emit(true, Some(Ipv4Addr::LOCALHOST), &mut shared);
    let room = room_for_routes(MESSAGE_MAX, shared.len(), None, AfiSafi::IPV4_UNICAST, true).unwrap();
    let routes: Vec<UnicastNlri> = (0..=room as u32 / 9).map(|id| route("203.0.113.7/32", id)).collect();
    for (count, messages) in [(routes.len() - 1, 1), (routes.len(), 2)] {
        let mut out = Vec::new();
        assert_eq!(announce(MESSAGE_MAX, &shared, None, &routes[..count], &mut out), Ok(messages));
    }
    // What an identifier adds may be just too much.
    let full = MESSAGE_MAX - 23 - 5;
    let fits = |ids| room_for_routes(MESSAGE_MAX, full, None, AfiSafi::IPV4_UNICAST, ids).is_some();
    assert_eq!([false, true].map(fits), [true, false]);
}
