use super::*;
use crate::tunnel::Outer;
use crate::wire::{ipv4, ipv6};
use alloc::vec;

mod random;

const NOW: Instant = Instant(0);

fn cut(six: bool, identification: u32, payload: &[u8]) -> Vec<Vec<u8>> {
    let (source, destination) = if six { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") };
    let outer = Outer::new(source.parse().unwrap(), destination.parse().unwrap(), 47, 1280).unwrap();
    let fragments = outer.fragments(payload, identification).unwrap();
    fragments.map(|fragment| [fragment.header(), fragment.payload].concat()).collect()
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8).collect()
}

#[test]
fn in_any_order_of_both_families() {
    for six in [false, true] {
        let payload = payload(5000);
        let mut packets = cut(six, 7, &payload);
        packets.rotate_left(2);
        let mut reassembly = Reassembly::new(Limits::default());
        let last = packets.pop().unwrap();
        for packet in &packets {
            assert_eq!(reassembly.receive(NOW, packet), Ok(None));
        }
        let whole = reassembly.receive(NOW, &last).unwrap().unwrap();
        assert_eq!(
            (whole.protocol, whole.packets, &whole.payload[..]),
            (47, packets.len() + 1, &payload[..])
        );
        assert_eq!(reassembly.bytes(), 0);
    }
}

#[test]
fn what_is_whole_passes_without_a_copy() {
    let packets = cut(true, 7, &[1; 100]);
    let mut reassembly = Reassembly::new(Limits::default());
    let whole = reassembly.receive(NOW, &packets[0]).unwrap().unwrap();
    assert!(matches!(whole.payload, Cow::Borrowed(bytes) if bytes == [1; 100]));
    assert_eq!(whole.packets, 1);
}

#[test]
fn a_congestion_mark_on_one_piece_is_on_the_whole() {
    let mut packets = cut(true, 7, &payload(2404));
    ipv6::set_traffic_class(&mut packets[0], 2);
    ipv6::set_traffic_class(&mut packets[1], 3);
    let mut reassembly = Reassembly::new(Limits::default());
    reassembly.receive(NOW, &packets[0]).unwrap();
    assert_eq!(reassembly.receive(NOW, &packets[1]).unwrap().unwrap().traffic_class, 3);
}

/// The two pieces of a datagram, the second moved by `by` bytes.
fn moved(six: bool, by: isize) -> [Vec<u8>; 2] {
    let [first, mut second] = <[Vec<u8>; 2]>::try_from(cut(six, 7, &payload(2404))).unwrap();
    if six {
        let offset = isize::from(i16::from_be_bytes([second[42], second[43]]) & -8) + by;
        second[42..44].copy_from_slice(&(offset as u16).to_be_bytes());
    } else {
        let offset = isize::from(u16::from_be_bytes([second[6], second[7]]) as i16) + by / 8;
        second[6..8].copy_from_slice(&(offset as u16).to_be_bytes());
        second[10..12].fill(0);
        let sum = crate::wire::checksum::Checksum::new().bytes(&second[..20]).finish();
        second[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    [first, second]
}

#[test]
fn overlap_ends_the_datagram_for_good() {
    for six in [false, true] {
        let packets = cut(six, 7, &payload(2404));
        let [_, overlapping] = moved(six, -8);
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        assert_eq!(reassembly.receive(NOW, &overlapping), Err(DropReason::OverlappingFragment));
        assert_eq!(reassembly.bytes(), 0);
        for packet in &packets {
            assert_eq!(reassembly.receive(NOW, packet), Err(DropReason::OverlappingFragment));
        }
        // Its time is over: the number may be another datagram's.
        let later = NOW + Duration::from_secs(2);
        assert_eq!(reassembly.receive(later, &packets[0]), Ok(None));
        assert!(reassembly.receive(later, &packets[1]).unwrap().is_some());
        assert_eq!(lost(&mut reassembly), (0, 0), "it has been counted");
    }
}

#[test]
fn a_duplicate_is_dropped_alone() {
    for six in [false, true] {
        let packets = cut(six, 7, &payload(2404));
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        assert_eq!(reassembly.receive(NOW, &packets[0]), Err(DropReason::DuplicateFragment));
        assert!(reassembly.receive(NOW, &packets[1]).unwrap().is_some());
        // The same bytes but one are no duplicate.
        let mut other = packets[0].clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        assert_eq!(reassembly.receive(NOW, &other), Err(DropReason::OverlappingFragment));
    }
}

#[test]
fn a_gap_is_waited_for() {
    for six in [false, true] {
        let [first, second] = moved(six, 8);
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &first), Ok(None));
        assert_eq!(reassembly.receive(NOW, &second), Ok(None));
    }
}

#[test]
fn a_first_piece_of_eight_bytes() {
    let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    let payload = payload(40);
    let outer = Outer::new(source, destination, 97, 56).unwrap();
    let packets: Vec<Vec<u8>> = outer
        .fragments(&payload, 1)
        .unwrap()
        .map(|fragment| [fragment.header(), fragment.payload].concat())
        .collect();
    assert_eq!(packets.len(), 5);
    let mut reassembly = Reassembly::new(Limits::default());
    let results: Vec<_> = packets.iter().map(|packet| reassembly.receive(NOW, packet).unwrap()).collect();
    assert_eq!(results[4].as_ref().unwrap().payload[..], payload);
}

#[test]
fn two_pieces_in_order_are_known() {
    for six in [false, true] {
        let packets = cut(six, 7, &payload(2404));
        let other = cut(six, 8, &payload(2404));
        let parts: Vec<Part> = packets.iter().map(|packet| Part::parse(packet).unwrap()).collect();
        assert!(parts[0].is_completed_by(&parts[1]));
        assert!(!parts[1].is_completed_by(&parts[0]));
        assert!(!parts[0].is_completed_by(&Part::parse(&other[1]).unwrap()));
        assert!(!parts[0].is_completed_by(&Part::parse(&moved(six, 8)[1]).unwrap()));
        let three = cut(six, 7, &payload(3000));
        assert!(!parts[0].is_completed_by(&Part::parse(&three[1]).unwrap()));
        // Of one that is under way already, or dead, they have to be looked at one by one.
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.join(NOW, &parts[0], &parts[1]), Some(Ok(0)));
        assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        assert_eq!(reassembly.join(NOW, &parts[0], &parts[1]), None);
        let late = NOW + Duration::from_secs(2);
        assert_eq!(reassembly.join(late, &parts[0], &parts[1]), Some(Ok(0)));
        assert_eq!(lost(&mut reassembly), (0, 1));
    }
}

/// Datagrams that had to make room, and those whose pieces did not come.
fn lost(reassembly: &mut Reassembly) -> (u64, u64) {
    let mut drops = Counters::default();
    reassembly.count_lost(&mut drops);
    (drops.get(DropReason::ReassemblyFull), drops.get(DropReason::FragmentsMissing))
}

#[test]
fn late_pieces() {
    for (six, timeout) in [(true, 2000), (false, 200)] {
        let mut reassembly = Reassembly::new(Limits::default());
        for identification in 0..2 {
            let packets = cut(six, identification, &payload(2404));
            assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        }
        reassembly.expire(NOW + Duration::from_millis(timeout - 1));
        assert_eq!((lost(&mut reassembly), reassembly.datagrams()), ((0, 0), 2));
        reassembly.expire(NOW + Duration::from_millis(timeout));
        assert_eq!((lost(&mut reassembly), reassembly.datagrams()), ((0, 2), 0));
        assert_eq!(reassembly.bytes(), 0);
    }
}

/// What waited for us was not late: it is not known to be until the place where it waits has been empty.
#[test]
fn a_pause_of_ours_is_not_the_paths() {
    let at = |milliseconds| NOW + Duration::from_millis(milliseconds);
    for (emptied, comes, is_whole) in [
        (0, 900, true),
        (199, 900, true),
        (200, 900, false),
        (0, 1199, true),
        (0, 1200, false),
        (9000, 150, true),
    ] {
        let packets = cut(false, 1, &payload(2404));
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        reassembly.was_emptied(at(emptied));
        let came = reassembly.receive(at(comes), &packets[1]).unwrap();
        assert_eq!(came.is_some(), is_whole, "empty at {emptied}, came at {comes}");
        assert_eq!(lost(&mut reassembly).1, u64::from(!is_whole));
    }
}

/// RFC 4963: before an IPv4 number comes again, whatever of its last datagram is missing is given up.
#[test]
fn what_is_far_behind_is_given_up() {
    for six in [false, true] {
        let mut reassembly = Reassembly::new(Limits::default());
        let (first, last) = pair(six, 0);
        assert_eq!(reassembly.receive(NOW, &first), Ok(None));
        let (a, b) = pair(six, 1);
        let (a, b) = (Part::parse(&a).unwrap(), Part::parse(&b).unwrap());
        for _ in 0..Limits::default().behind_v4 {
            assert_eq!(reassembly.join(NOW, &a, &b), Some(Ok(0)));
        }
        assert_eq!(reassembly.datagrams(), 1);
        let (other, _) = pair(six, 2);
        assert_eq!(reassembly.receive(NOW, &other), Ok(None));
        assert_eq!(lost(&mut reassembly), (0, u64::from(!six)));
        assert_eq!(reassembly.receive(NOW, &last).unwrap().is_some(), six);
    }
}

/// Both pieces of a small datagram.
fn pair(six: bool, identification: u16) -> (Vec<u8>, Vec<u8>) {
    let first = Forged { six, identification, ..Forged::default() };
    let last = Forged { six, identification, offset: 16, more: false, ..Forged::default() };
    (first.build(), last.build())
}

#[test]
fn a_flood_of_first_pieces_costs_the_oldest() {
    let limits = Limits { datagrams: 4, datagrams_of_source: 2, ..Limits::default() };
    let mut reassembly = Reassembly::new(limits);
    let pieces = |identification| cut(true, identification, &payload(2404));
    for identification in 0..5 {
        assert_eq!(reassembly.receive(NOW, &pieces(identification)[0]), Ok(None));
        assert!(reassembly.datagrams() <= 2);
    }
    // The two youngest are there still.
    assert_eq!(reassembly.receive(NOW, &pieces(2)[1]), Ok(None));
    assert!(reassembly.receive(NOW, &pieces(4)[1]).unwrap().is_some());
    assert_eq!(lost(&mut reassembly), (4, 0));
    // Another source is not hurt by it.
    assert_eq!(reassembly.receive(NOW, &cut(false, 1, &payload(2404))[0]), Ok(None));
    for identification in 10..20 {
        let _ = reassembly.receive(NOW, &pieces(identification)[0]);
    }
    assert!(reassembly.receive(NOW, &cut(false, 1, &payload(2404))[1]).unwrap().is_some());
}

#[test]
fn one_that_is_more_than_all_room() {
    let limits = Limits { bytes_of_source: 2000, ..Limits::default() };
    let mut reassembly = Reassembly::new(limits);
    let packets = cut(true, 1, &payload(3000));
    assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
    assert_eq!(reassembly.receive(NOW, &packets[1]), Err(DropReason::ReassemblyFull));
    assert_eq!((reassembly.bytes(), reassembly.datagrams()), (0, 0));
}

#[test]
fn a_datagram_cannot_be_larger_than_ip_allows() {
    for offset in [0xfff8u16, 0xfff0] {
        let mut packet = cut(true, 7, &payload(2404)).remove(1);
        packet[42..44].copy_from_slice(&offset.to_be_bytes());
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &packet), Err(DropReason::BadFragment));
        assert_eq!(reassembly.datagrams(), 0);
    }
}

#[test]
fn pieces_that_end_at_the_very_limit() {
    // 65,535 bytes, the last seven at offset 65,528.
    let whole = payload(65_535);
    let mut reassembly = Reassembly::new(Limits::default());
    let packets = cut(true, 7, &whole);
    let (last, others) = packets.split_last().unwrap();
    for packet in others {
        assert_eq!(reassembly.receive(NOW, packet), Ok(None));
    }
    assert_eq!(reassembly.receive(NOW, last).unwrap().unwrap().payload[..], whole);
}

#[test]
fn a_size_that_is_no_multiple_of_eight() {
    let mut packets = cut(true, 7, &payload(2404));
    let len = u16::from_be_bytes([packets[0][4], packets[0][5]]) - 1;
    let whole = packets[0].clone();
    packets[0][4..6].copy_from_slice(&len.to_be_bytes());
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(reassembly.receive(NOW, &packets[1]), Ok(None));
    assert_eq!(reassembly.receive(NOW, &packets[0]), Err(DropReason::BadFragment));
    // It was dropped alone.
    assert!(reassembly.receive(NOW, &whole).unwrap().is_some());
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let pieces = cut(true, 7, &payload(2404));
    let mut atomic = pieces[0][..40 + 8 + 16].to_vec();
    atomic[4..6].copy_from_slice(&24u16.to_be_bytes());
    atomic[42..44].fill(0);
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(reassembly.receive(NOW, &pieces[0]), Ok(None));
    let whole = reassembly.receive(NOW, &atomic).unwrap().unwrap();
    assert_eq!((whole.protocol, whole.payload.len()), (47, 16));
    assert!(reassembly.receive(NOW, &pieces[1]).unwrap().is_some(), "with the same number");
}

/// A piece of IPv4 or IPv6 as a sender of others' may build it.
struct Forged {
    source: u8,
    six: bool,
    identification: u16,
    offset: usize,
    more: bool,
    class: u8,
    payload: Vec<u8>,
}

impl Default for Forged {
    fn default() -> Forged {
        Forged {
            source: 1,
            six: false,
            identification: 7,
            offset: 0,
            more: true,
            class: 0,
            payload: payload(16),
        }
    }
}

impl Forged {
    fn build(&self) -> Vec<u8> {
        let mut bytes = vec![0; if self.six { 48 } else { 20 }];
        if self.six {
            let len = self.payload.len() + 8;
            let source = core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, self.source.into());
            ipv6::Repr {
                source,
                destination: "2001:db8::2".parse().unwrap(),
                next_header: 44,
                hop_limit: 64,
                traffic_class: self.class,
                flow_label: 0,
                payload_len: len,
            }
            .emit(&mut bytes);
            ipv6::FragmentRepr {
                next_header: 97,
                offset: self.offset,
                more: self.more,
                identification: self.identification.into(),
            }
            .emit(&mut bytes[40..]);
        } else {
            ipv4::Repr {
                source: [192, 0, 2, self.source].into(),
                destination: [198, 51, 100, 1].into(),
                protocol: 97,
                hop_limit: 64,
                traffic_class: self.class,
                identification: self.identification,
                dont_fragment: false,
                more_fragments: self.more,
                fragment_offset: self.offset,
                payload_len: self.payload.len(),
            }
            .emit(&mut bytes);
        }
        bytes.extend(&self.payload);
        bytes
    }
}

/// RFC 791 3.1: 65,535 bytes with the header.
#[test]
fn ipv4_has_twenty_bytes_less() {
    for (len, fits) in [(3, true), (4, false)] {
        let mut reassembly = Reassembly::new(Limits::default());
        let last = Forged { offset: 65_512, more: false, payload: payload(len), ..Forged::default() };
        assert_eq!(reassembly.receive(NOW, &last.build()).is_ok(), fits);
    }
}

/// RFC 3168 5.3.
#[test]
fn marks_that_do_not_agree() {
    for six in [false, true] {
        for (one, other, expect) in
            [(0, 0, Some(0)), (2, 3, Some(3)), (3, 1, Some(3)), (0, 3, None), (3, 0, None), (0, 2, None)]
        {
            for turned in [false, true] {
                let first = Forged { six, class: one, ..Forged::default() }.build();
                let last = Forged { six, class: other, offset: 16, more: false, ..Forged::default() }.build();
                let (a, b) = if turned { (&last, &first) } else { (&first, &last) };
                let mut reassembly = Reassembly::new(Limits::default());
                assert_eq!(reassembly.receive(NOW, a), Ok(None));
                let whole = reassembly.receive(NOW, b).ok().flatten();
                assert_eq!(whole.map(|whole| whole.traffic_class), expect, "{one} {other}");
            }
        }
    }
}

/// Nobody has to come by and tell the time.
#[test]
fn a_piece_never_joins_what_is_too_old() {
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(reassembly.receive(NOW, &Forged::default().build()), Ok(None));
    let last = Forged { offset: 16, more: false, ..Forged::default() }.build();
    assert_eq!(reassembly.receive(NOW + Limits::default().timeout_v4, &last), Ok(None));
}

#[test]
fn the_same_bytes_that_end_elsewhere_are_no_duplicate() {
    let mut reassembly = Reassembly::new(Limits::default());
    for (more, expect) in [
        (true, Ok(None)),
        (true, Err(DropReason::DuplicateFragment)),
        (false, Err(DropReason::OverlappingFragment)),
        (true, Err(DropReason::OverlappingFragment)),
    ] {
        let piece = Forged { offset: 16, more, ..Forged::default() }.build();
        assert_eq!(reassembly.receive(NOW, &piece), expect);
    }
}

/// Whoever floods under many names loses its own: the one half of somebody quiet stays.
#[test]
fn many_that_flood_never_evict_the_quiet_one() {
    let mut reassembly = Reassembly::new(Limits::default());
    let quiet = |offset| Forged { source: 200, offset, more: offset == 0, ..Forged::default() }.build();
    assert_eq!(reassembly.receive(NOW, &quiet(0)), Ok(None));
    for identification in 0..100 {
        for source in 0..20 {
            let _ = reassembly.receive(NOW, &Forged { source, identification, ..Forged::default() }.build());
        }
    }
    assert!(reassembly.receive(NOW, &quiet(16)).unwrap().is_some());
}

/// Pieces of eight bytes cost more than eight bytes.
#[test]
fn tiny_pieces_are_charged_for() {
    let mut reassembly = Reassembly::new(Limits::default());
    for at in 0..100_000usize {
        let piece = Forged {
            identification: (at / 4000) as u16,
            offset: at % 4000 * 16,
            payload: payload(8),
            ..Forged::default()
        };
        let _ = reassembly.receive(NOW, &piece.build());
    }
    let pieces: usize = reassembly.pending.values().map(|pending| pending.pieces.len()).sum();
    assert!(pieces <= 4096, "{pieces} pieces");
}

/// RFC 8200 4.5: the headers before the fragment header count; 4.2: some of them are not to be skipped.
#[test]
fn headers_before_and_behind_the_fragment_header() {
    let with_options = |kind: u8, forged: Forged| {
        let mut bytes = Forged { six: true, ..forged }.build();
        bytes.splice(40..40, [44, 0, kind, 4, 0, 0, 0, 0]);
        bytes[5] += 8;
        bytes[6] = 60;
        bytes
    };
    let mut reassembly = Reassembly::new(Limits::default());
    assert_eq!(reassembly.receive(NOW, &with_options(1, Forged::default())), Ok(None));
    let last = |len| Forged { offset: 65_520, more: false, payload: payload(len), ..Forged::default() };
    assert_eq!(reassembly.receive(NOW, &with_options(1, last(8))), Err(DropReason::BadFragment));
    assert_eq!(reassembly.receive(NOW, &with_options(1, last(7))), Ok(None));
    // Behind it they are looked at once the datagram is whole.
    for (kind, expect) in [(1, Ok(Some(24))), (0xc2, Err(DropReason::UnknownOption))] {
        let mut reassembly = Reassembly::new(Limits::default());
        let options = [&[97, 0, kind, 4, 0, 0, 0, 0][..], &payload(8)].concat();
        let mut first = Forged { six: true, payload: options, ..Forged::default() }.build();
        let mut last = Forged { six: true, offset: 16, more: false, ..Forged::default() }.build();
        (first[40], last[40]) = (60, 60);
        let whole = [Part::parse(&first).unwrap(), Part::parse(&last).unwrap()];
        assert!(whole.iter().all(Part::may_be_of_a_tunnel));
        assert_eq!(reassembly.receive(NOW, &first), Ok(None));
        let result = reassembly.receive(NOW, &last);
        assert_eq!(result.map(|done| done.map(|done| done.payload.len())), expect);
    }
}

#[test]
fn what_is_no_tunnels_is_known() {
    let of = |protocol: u8, six: bool| {
        let mut bytes = Forged { six, ..Forged::default() }.build();
        if six {
            bytes[40] = protocol;
        } else {
            bytes[9] = protocol;
            ipv4::mend(&mut bytes[..20], 36, 7);
        }
        // A fragment within a fragment is none at all.
        Part::parse(&bytes).is_ok_and(|part| part.may_be_of_a_tunnel())
    };
    assert!([17, 47, 97].iter().all(|protocol| of(*protocol, true) && of(*protocol, false)));
    assert!([6, 44, 51, 58].iter().all(|protocol| !of(*protocol, true) && !of(*protocol, false)));
}
