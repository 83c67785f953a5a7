//! Any bytes as packets that a device hands over unfinished, or that came and may be merged: cut, merged
//! and clamped without a panic, and what was merged is cut into what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_core::tunnel::merge::{Group, inspect, merged_by_kernel};
use tsumugi_core::tunnel::{Clamp, Link, MAX_HEADERS, Segments, VnetHeader};

fn cut(link: Link, vnet: &VnetHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut headers = [0; MAX_HEADERS];
    if let Ok(mut segments) = Segments::new(link, vnet, packet) {
        while let Some(payload) = segments.next(&mut headers) {
            all.push([&headers[..segments.headers_len()], &packet[payload]].concat());
        }
    }
    all
}

/// Makes the length of an IP packet what it is, so that more of them are looked at.
fn mend(link: Link, packet: &mut [u8]) {
    let at = match link {
        Link::Ip => 0,
        Link::Ethernet => 14,
    };
    let Some(ip) = packet.get_mut(at..) else { return };
    let len = ip.len() as u16;
    match ip {
        [first, _, high, low, ..] if *first >> 4 == 4 => [*high, *low] = len.to_be_bytes(),
        [first, _, _, _, high, low, ..] if *first >> 4 == 6 => {
            [*high, *low] = len.saturating_sub(40).to_be_bytes();
        }
        _ => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let link = Link::from(kind & 1 == 0);
    let mut packet = bytes.to_vec();
    Clamp { ipv4: 1404, ipv6: 1384 }.apply(link, &mut packet);
    let _ = merged_by_kernel(link, &packet, |_| 1404);
    let Ok(vnet) = VnetHeader::parse(bytes) else { return };
    let mut packet = bytes[VnetHeader::LEN..].to_vec();
    if kind & 2 == 0 {
        mend(link, &mut packet);
    }
    let segments = cut(link, &vnet, &packet);
    let _ = vnet.complete(&mut packet);
    // What was cut is right: all of it is taken for merging, and comes out the same.
    let mut whole: Option<(Group, Vec<u8>, usize)> = None;
    for (at, segment) in segments.iter().enumerate() {
        let Some(piece) = inspect(link, segment).and_then(|inspected| inspected.piece) else { return };
        match &mut whole {
            None => whole = Some((Group::new(piece), segment[..piece.payload().end].to_vec(), 0)),
            Some((group, bytes, last)) => {
                let head = bytes.clone();
                if !group.append(&head, &piece, segment) {
                    break;
                }
                bytes.extend_from_slice(&segment[piece.payload()]);
                *last = at;
            }
        }
    }
    if let Some((group, mut bytes, last)) = whole.filter(|(group, ..)| group.count() > 1) {
        let vnet = group.seal(&mut bytes);
        assert_eq!(cut(link, &vnet, &bytes), segments[..=last]);
    }
});
