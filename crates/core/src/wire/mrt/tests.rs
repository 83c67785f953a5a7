use super::*;
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{AsPath, Attributes, MpNextHop, Origin, Stored};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

/// Bytes written as hexadecimal, with white space anywhere.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |two: &[u8]| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn table() -> PeerIndexTable {
    PeerIndexTable {
        collector: Ipv4Addr::new(192, 0, 2, 255),
        view: "ab".into(),
        peers: alloc::vec![
            Peer {
                identifier: Ipv4Addr::new(198, 51, 100, 1),
                address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
                asn: Asn(64_496),
            },
            Peer {
                identifier: Ipv4Addr::new(198, 51, 100, 2),
                address: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
                asn: Asn(4_200_000_001),
            },
        ],
    }
}

/// RFC 6396 4.3.1, byte by byte.
const TABLE: &str = "
    5f5e1000 000d 0001 00000030
    c00002ff 0002 6162 0002
    02 c6336401 cb007101 0000fbf0
    03 c6336402 20010db8000000000000000000000001 fa56ea01";

/// RFC 6396 4.3.2 and 4.3.4: 192.0.2.0/24 by way of AS64496, next hop 203.0.113.1.
const RIB: &str = "
    5f5e1000 000d 0002 00000026
    00000007 18 c00002 0001
    0000 5f5e0fff 0014
    40 01 01 00  40 02 06 02 01 0000fbf0  40 03 04 cb007101
    ";

fn only(bytes: &[u8]) -> (Record<'_>, Content<'_>) {
    let (record, length) = Record::first(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    let content = record.parse().unwrap();
    (record, content)
}

#[test]
fn the_table_of_peers_is_as_the_rfc_draws_it() {
    let mut bytes = Vec::new();
    table().emit(0x5f5e_1000, &mut bytes);
    assert_eq!(bytes, hex(TABLE));
    let (record, content) = only(&bytes);
    assert_eq!(record.timestamp, 0x5f5e_1000);
    assert_eq!(content, Content::PeerIndexTable(table()));
}

#[test]
fn a_prefix_is_as_the_rfc_draws_it() {
    let stored = Stored {
        attributes: Attributes {
            as_path: AsPath::sequence([Asn(64_496)]),
            origin: Origin::Igp,
            ..Attributes::default()
        },
        local_preference: None,
        next_hop: Some(MpNextHop::V4(Ipv4Addr::new(203, 0, 113, 1))),
    };
    let mut attributes = Vec::new();
    stored.emit(&mut attributes);
    let entry = RibEntry { peer: 0, originated: 0x5f5e_0fff, path_id: None, attributes: &attributes };
    let rib = Rib { sequence: 7, prefix: "192.0.2.0/24".parse().unwrap(), entries: alloc::vec![entry] };
    let mut bytes = Vec::new();
    rib.emit(0x5f5e_1000, &mut bytes);
    assert_eq!(bytes, hex(RIB));
    let (_, content) = only(&bytes);
    assert_eq!(content, Content::Rib(rib));
    assert_eq!(Stored::parse(&attributes).unwrap().stored, stored);
}

#[test]
fn path_identifiers_are_read_and_written() {
    let entry = RibEntry { peer: 1, originated: 5, path_id: Some(9), attributes: &[] };
    let rib = Rib { sequence: 0, prefix: "2001:db8::/32".parse().unwrap(), entries: alloc::vec![entry] };
    let mut bytes = Vec::new();
    rib.emit(1, &mut bytes);
    // RFC 8050 4.2: RIB_IPV6_UNICAST_ADDPATH.
    assert_eq!(bytes[6..8], [0, 10]);
    assert_eq!(only(&bytes).1, Content::Rib(rib));
}

#[test]
fn messages_are_read_in_both_lengths_of_as_numbers() {
    let keepalive = hex("ffffffffffffffffffffffffffffffff 0013 04");
    let short = [hex("00000001 0010 0001 00000023 fbf0 fbf1 0000 0001 cb007101 cb007102"), keepalive.clone()];
    let long = [
        // With microseconds, IPv6 and four octets.
        hex("00000001 0011 0004 00000043 000f423f 0000fbf0 0000fbf1 0000 0002
             20010db8000000000000000000000001 20010db8000000000000000000000002"),
        keepalive.clone(),
    ];
    for (bytes, four_octet) in [(short.concat(), false), (long.concat(), true)] {
        let mut bytes = bytes;
        let length = (bytes.len() - HEADER_LEN) as u32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let (_, Content::Message(message)) = only(&bytes) else { panic!("a message") };
        assert_eq!((message.peer.0, message.local.0), (Asn(64_496), Asn(64_497)));
        assert_eq!((message.four_octet, message.sent), (four_octet, false));
        assert_eq!(message.message, keepalive);
    }
}

/// RFC 8050 3: the same four kinds of messages, whose routes have identifiers.
#[test]
fn messages_with_path_identifiers() {
    let keepalive = hex("ffffffffffffffffffffffffffffffff 0013 04");
    for (subtype, four_octet, sent) in
        [(8, false, false), (9, true, false), (10, false, true), (11, true, true)]
    {
        let asns = if four_octet { "0000fbf0 0000fbf1" } else { "fbf0 fbf1" };
        let length = if four_octet { "27" } else { "23" };
        let head =
            alloc::format!("00000001 0010 {subtype:04x} 000000{length} {asns} 0000 0001 cb007101 cb007102");
        let bytes = [hex(&head), keepalive.clone()].concat();
        let (_, Content::Message(message)) = only(&bytes) else { panic!("a message") };
        assert_eq!((message.add_path, message.four_octet, message.sent), (true, four_octet, sent));
        assert_eq!(message.message, keepalive);
    }
}

#[test]
fn what_is_not_read_says_why() {
    let kinds = [
        ("000c 0001", Skipped::FirstTableDump),
        ("000d 0003", Skipped::OtherFamily),
        ("000d 0006", Skipped::OtherFamily),
        ("000b 0000", Skipped::OtherKind { kind: 11, subtype: 0 }),
        ("000d 00ff", Skipped::OtherKind { kind: 13, subtype: 255 }),
    ];
    for (kind, why) in kinds {
        let bytes = hex(&alloc::format!("00000001 {kind} 00000000"));
        assert_eq!(only(&bytes).1, Content::Skipped(why));
    }
    assert_eq!(Record::first(&hex("00000001 000d 0001 7fffffff")), Err(MrtError::TooLong(0x7fff_ffff)));
    assert_eq!(Record::first(&hex("00000001 000d 0001 00000001")), Ok(None));
    let long = hex("00000001 000d 0002 0000000c 00000000 21 c000020000 0000");
    assert_eq!(Record::first(&long).unwrap().unwrap().0.parse(), Err(MrtError::PrefixLength(33)));
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<u32>(), 0u8..=32).prop_map(|(it, length)| (IpAddr::V4(Ipv4Addr::from(it)), length));
    let v6 = (any::<u128>(), 0u8..=128).prop_map(|(it, length)| (IpAddr::V6(Ipv6Addr::from(it)), length));
    prop_oneof![v4, v6].prop_map(|(it, length)| Prefix::new(it, length).unwrap().trunc())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200),
                                     kind in prop_oneof![12u16..18, any::<u16>()], subtype in 0u16..14) {
        let mut file = Vec::new();
        put(&mut file, 1, kind, subtype, |out| out.extend_from_slice(&bytes));
        let (record, _) = Record::first(&file).unwrap().unwrap();
        if let Ok(Content::Rib(rib)) = record.parse() {
            for entry in &rib.entries {
                let _ = Stored::parse(entry.attributes);
            }
            // What was read is written as it was, but for bits behind the prefix.
            let mut again = Vec::new();
            rib.emit(1, &mut again);
            prop_assert_eq!(again.len(), file.len());
            prop_assert_eq!(only(&again).1, Content::Rib(rib));
        }
        let _ = Record::first(&bytes);
    }

    #[test]
    fn what_is_written_is_read(prefix in any_prefix(), sequence: u32, add_path: bool,
                               entries in proptest::collection::vec((any::<u16>(), any::<u32>(), any::<u32>(),
                                    proptest::collection::vec(any::<u8>(), 0..40)), 1..5)) {
        let entries = entries.iter().map(|(peer, originated, id, attributes)| RibEntry {
            peer: *peer,
            originated: *originated,
            path_id: add_path.then_some(*id),
            attributes,
        });
        let rib = Rib { sequence, prefix, entries: entries.collect() };
        let mut bytes = Vec::new();
        rib.emit(9, &mut bytes);
        prop_assert_eq!(only(&bytes).1, Content::Rib(rib));
    }
}
