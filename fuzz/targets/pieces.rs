//! Sequences of pieces from several senders, as whoever wants to may send them: what is put together is the
//! original, two pieces that are joined are the same as two that are added, and what is held has limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_core::time::{Duration, Instant};
use tsumugi_core::tunnel::{Counters, Limits, Part, Reassembly};
use tsumugi_core::wire::{ipv4, ipv6};

/// Bytes that say of one piece what it is.
const LEN: usize = 6;

/// The byte of a sender's datagram at a place.
fn original(sender: u8, number: u8, at: usize) -> u8 {
    (at / 8) as u8 ^ number.wrapping_mul(31) ^ sender.wrapping_mul(97)
}

/// The sender and the number of the datagram, and one of its pieces.
fn piece(&[who, number, offset, fine, len, class]: &[u8; LEN]) -> (u8, u8, Vec<u8>) {
    let (sender, number, more) = (who & 15, number & 7, who & 0x80 == 0);
    let offset = (usize::from(offset) << (fine & 7)) * 8 & 0xfff8;
    let len = usize::from(len) << (fine >> 3 & 3);
    let mut bytes = if who & 0x40 == 0 {
        let mut bytes = vec![0; 20];
        ipv4::Repr {
            source: [192, 0, 2, sender].into(),
            destination: [198, 51, 100, 1].into(),
            protocol: 97,
            hop_limit: 64,
            traffic_class: class,
            identification: number.into(),
            dont_fragment: false,
            more_fragments: more,
            fragment_offset: offset,
            payload_len: len,
        }
        .emit(&mut bytes);
        bytes
    } else {
        let mut bytes = vec![0; 48];
        ipv6::Repr {
            source: [0x2001, 0xdb8, 0, 0, 0, 0, 0, sender.into()].into(),
            destination: [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1].into(),
            next_header: 44,
            hop_limit: 64,
            traffic_class: class,
            flow_label: 0,
            payload_len: len + 8,
        }
        .emit(&mut bytes);
        ipv6::FragmentRepr { next_header: 97, offset, more, identification: number.into() }.emit(&mut bytes[40..]);
        bytes
    };
    bytes.extend((offset..offset + len).map(|at| original(sender, number, at)));
    (sender, number, bytes)
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        datagrams: 24,
        bytes: 64 * 1024,
        datagrams_of_source: 6,
        bytes_of_source: 16 * 1024,
        behind_v4: 16,
        ..Limits::default()
    };
    let mut reassembly = Reassembly::new(limits);
    let mut now = Instant(0);
    let mut last: Option<(Part, Vec<u8>)> = None;
    for chunk in bytes.as_chunks::<LEN>().0 {
        now = now + Duration::from_millis(u64::from(chunk[3] >> 5) * 30);
        let (sender, number, packet) = piece(chunk);
        let part = Part::parse(&packet).expect("it is well made");
        if let Some((first, head)) = &last
            && let Some(class) = Reassembly::new(limits).join(now, first, &part)
        {
            let mut other = Reassembly::new(limits);
            // Not if they are more than may be held.
            if let Ok(None) = other.receive(now, head)
                && let Some(added) = other.receive(now, &packet).transpose()
            {
                assert_eq!(class.is_ok(), added.is_ok());
                if let (Ok(class), Ok(added)) = (class, added) {
                    assert_eq!(class, added.traffic_class);
                }
            }
        }
        if let Ok(Some(whole)) = reassembly.receive(now, &packet) {
            let is_original = whole.payload.iter().enumerate().all(|(at, byte)| *byte == original(sender, number, at));
            assert!(is_original, "not what was sent");
        }
        assert!(reassembly.bytes() <= limits.bytes, "more is held than allowed");
        assert!(reassembly.datagrams() <= limits.datagrams, "more is under way than allowed");
        last = Some((part, packet));
    }
    reassembly.expire(now + Duration::from_secs(60));
    assert_eq!((reassembly.bytes(), reassembly.datagrams()), (0, 0));
    reassembly.count_lost(&mut Counters::default());
});
