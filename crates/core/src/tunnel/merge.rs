//! Merging what came in order (GRO): segments of one TCP flow, or datagrams of one size of one UDP
//! flow, become one packet that the device cuts again where it has to. Nothing is lost by it: what
//! the kernel would cut it into are the very packets that came.
//!
//! A packet is looked at by [`inspect`], which verifies its checksums. A [`Group`] holds what was
//! merged; the bytes stay where they are, with the caller.

use super::inside::{Link, Located, locate};
use super::segment::pseudo;
use super::vnet::{Cut, Partial, VnetHeader};
use crate::wire::checksum::Checksum;
use crate::wire::ip::protocol;
use crate::wire::{ipv4, ipv6, tcp, udp};
use core::ops::Range;

/// No more pieces than this in one packet, as the kernel's own GRO has it for datagrams.
const MAX_PIECES: usize = 64;

/// A packet of TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// The same for all packets of a flow in one direction, and seldom the same for two flows.
    pub flow: u64,
    /// What can be merged of it; `None`: it has to stay as it is, and in its place within the flow.
    pub piece: Option<Piece>,
}

/// A packet that can be merged: its checksums are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    located: Located,
    cut: Cut,
    /// Bytes of all headers.
    headers: usize,
    /// Of TCP.
    sequence: u32,
    flags: u8,
    /// Of IPv4.
    identification: u16,
}

impl Piece {
    pub fn is_tcp(&self) -> bool {
        self.cut == Cut::Tcp
    }

    /// Where the payload stands.
    pub fn payload(&self) -> Range<usize> {
        self.headers..self.located.end
    }

    fn payload_len(&self) -> usize {
        self.located.end - self.headers
    }
}

/// `None` for what is neither TCP nor UDP, or in pieces.
pub fn inspect(link: Link, frame: &[u8]) -> Option<Inspected> {
    let located = locate(link, frame)?;
    let cut = match located.protocol {
        protocol::TCP => Cut::Tcp,
        protocol::UDP => Cut::Udp,
        _ => return None,
    };
    let ports = frame.get(located.transport..located.transport + 4)?;
    let flow = flow(&frame[located.ip..], located.ipv6, ports);
    Some(Inspected { flow, piece: piece(frame, located, cut) })
}

/// What the device has to know of a TCP packet that the kernel itself has merged under way to us, as its
/// GRE does: it is larger than any packet of the tunnel, and its checksum holds the sum of the
/// pseudo-header alone. `mss` is what TCP of this family may have had in one piece.
pub fn merged_by_kernel(link: Link, frame: &[u8], mss: impl Fn(bool) -> u16) -> Option<VnetHeader> {
    let located = locate(link, frame)?;
    if located.protocol != protocol::TCP || located.is_cut || !located.is_plain() {
        return None;
    }
    let transport = &frame[located.transport..located.end];
    let segment = tcp::Packet::new_checked(transport).ok()?;
    if segment.checksum() != pseudo(&located, frame, transport.len()).partial() {
        return None;
    }
    let options = segment.header_len() - tcp::HEADER_LEN;
    let size = usize::from(mss(located.ipv6)).checked_sub(options).filter(|size| *size > 0)?;
    (segment.payload().len() > size).then_some(VnetHeader {
        checksum: Some(Partial { start: located.transport, offset: tcp::CHECKSUM_AT }),
        cut: Some((Cut::Tcp, size)),
        header_len: located.transport + segment.header_len(),
        ipv6: located.ipv6,
    })
}

fn piece(frame: &[u8], located: Located, cut: Cut) -> Option<Piece> {
    if located.is_cut || !located.is_plain() {
        return None;
    }
    let transport = &frame[located.transport..located.end];
    let (headers, sequence, flags) = match cut {
        Cut::Tcp => {
            let segment = tcp::Packet::new_checked(transport).ok()?;
            // What opens, ends, or says something once stays as it is.
            let flags = segment.flags();
            if flags & !(tcp::flags::PSH | tcp::flags::ECE) != tcp::flags::ACK {
                return None;
            }
            (located.transport + segment.header_len(), segment.sequence(), flags)
        }
        Cut::Udp => {
            let datagram = udp::Packet::new_checked(transport).ok()?;
            let is_whole = datagram.payload().len() + udp::HEADER_LEN == transport.len();
            // Without a checksum there is nothing to verify.
            if !is_whole || transport[udp::CHECKSUM_AT..udp::HEADER_LEN] == [0, 0] {
                return None;
            }
            (located.transport + udp::HEADER_LEN, 0, 0)
        }
    };
    let mut identification = 0;
    if !located.ipv6 {
        let packet = ipv4::Packet::new_checked(&frame[located.ip..]).ok()?;
        if !packet.verify_checksum() {
            return None;
        }
        identification = packet.identification();
    }
    let verified = pseudo(&located, frame, transport.len()).bytes(transport).finish() == 0;
    let has_payload = headers < located.end;
    (verified && has_payload).then_some(Piece { located, cut, headers, sequence, flags, identification })
}

/// A multiplicative hash over addresses and ports: whoever finds two flows that share one only has
/// them merged less.
pub(super) fn flow(ip: &[u8], ipv6: bool, ports: &[u8]) -> u64 {
    let addresses = if ipv6 { &ip[8..40] } else { &ip[12..20] };
    let mut hash = u64::from(u32::from_ne_bytes([ports[0], ports[1], ports[2], ports[3]]));
    for word in addresses.chunks_exact(8) {
        let word =
            u64::from_ne_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]);
        hash = (hash.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash
}

/// Pieces that have become one packet.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    first: Piece,
    count: usize,
    /// Payload bytes of every piece but the last.
    size: usize,
    /// Payload bytes of all.
    total: usize,
    /// Whether nothing may follow any more.
    closed: bool,
    pushed: bool,
}

impl Group {
    pub fn new(first: Piece) -> Group {
        let size = first.payload_len();
        let pushed = first.flags & tcp::flags::PSH != 0;
        Group { first, count: 1, size, total: size, closed: pushed, pushed }
    }

    pub fn first(&self) -> &Piece {
        &self.first
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Something of the flow that cannot be merged has come: nothing may overtake it.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Takes a piece behind those that are there, if it continues them. `head` is the first piece's
    /// frame, `frame` the new one's.
    pub fn append(&mut self, head: &[u8], piece: &Piece, frame: &[u8]) -> bool {
        let len = piece.payload_len();
        let fits = !self.closed
            && len <= self.size
            && self.count < MAX_PIECES
            && self.first.headers - self.first.located.ip + self.total + len <= ipv4::MAX_LEN
            && self.is_next(head, piece)
            && is_alike(head, &self.first, frame, piece);
        if !fits {
            // It is of this flow, and will stand behind: nothing may come between.
            self.closed = true;
            return false;
        }
        self.count += 1;
        self.total += len;
        let pushed = piece.flags & tcp::flags::PSH != 0;
        self.pushed |= pushed;
        self.closed = pushed || len < self.size;
        true
    }

    fn is_next(&self, head: &[u8], piece: &Piece) -> bool {
        let in_sequence = match self.first.cut {
            Cut::Tcp => piece.sequence == self.first.sequence.wrapping_add(self.total as u32),
            Cut::Udp => true,
        };
        // Cutting numbers the pieces from the first on. With DF the number means nothing (RFC 6864 4).
        let dont_fragment = !self.first.located.ipv6 && head[self.first.located.ip + 6] & 0x40 != 0;
        let numbered = self.first.located.ipv6
            || dont_fragment
            || piece.identification == self.first.identification.wrapping_add(self.count as u16);
        in_sequence && numbered
    }

    /// Makes the first piece's headers, at the start of `head`, those of the whole, and says what the
    /// device has to know. The payloads of the other pieces are to follow the first's.
    pub fn seal(&self, head: &mut [u8]) -> VnetHeader {
        if self.count == 1 {
            return VnetHeader::default();
        }
        let Piece { located, cut, headers, .. } = self.first;
        let len = headers - located.transport + self.total;
        if located.ipv6 {
            head[located.ip + 4..located.ip + 6].copy_from_slice(&(len as u16).to_be_bytes());
        } else {
            let total = (located.ip_header_len() + len) as u16;
            ipv4::mend(&mut head[located.ip..located.transport], total, self.first.identification);
        }
        // What completes the sum adds the header and the payload to this.
        let sum: Checksum = pseudo(&located, head, len);
        let transport = &mut head[located.transport..headers];
        let offset = match cut {
            Cut::Tcp => {
                if self.pushed {
                    transport[13] |= tcp::flags::PSH;
                }
                tcp::CHECKSUM_AT
            }
            Cut::Udp => {
                transport[4..6].copy_from_slice(&(len as u16).to_be_bytes());
                udp::CHECKSUM_AT
            }
        };
        transport[offset..offset + 2].copy_from_slice(&sum.partial().to_be_bytes());
        VnetHeader {
            checksum: Some(Partial { start: located.transport, offset }),
            cut: Some((cut, self.size)),
            header_len: headers,
            ipv6: located.ipv6 && cut == Cut::Tcp,
        }
    }
}

/// Whether two packets' headers differ in nothing but what counts on from one to the next.
fn is_alike(head: &[u8], first: &Piece, frame: &[u8], piece: &Piece) -> bool {
    let same = |range: Range<usize>| head[range.clone()] == frame[range];
    if first.located.ip != piece.located.ip
        || first.located.ipv6 != piece.located.ipv6
        || first.headers != piece.headers
        || first.cut != piece.cut
    {
        return false;
    }
    let (ip, transport) = (first.located.ip, first.located.transport);
    // Frame and IP header without lengths, identification and checksum.
    let below = same(0..ip)
        && if first.located.ipv6 {
            same(ip..ip + 4) && same(ip + 6..ip + ipv6::HEADER_LEN)
        } else {
            same(ip..ip + 2) && same(ip + 6..ip + 10) && same(ip + 12..ip + ipv4::HEADER_LEN)
        };
    let above = match first.cut {
        // Ports; acknowledgment, data offset; window; urgent pointer and options.
        Cut::Tcp => {
            same(transport..transport + 4)
                && same(transport + 8..transport + 13)
                && (first.flags ^ piece.flags) & !tcp::flags::PSH == 0
                && same(transport + 14..transport + tcp::CHECKSUM_AT)
                && same(transport + tcp::CHECKSUM_AT + 2..first.headers)
        }
        Cut::Udp => same(transport..transport + 4),
    };
    below && above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::samples::{self, Sample};
    use crate::tunnel::segment::{MAX_HEADERS, Segments};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Merges packets as they come; what cannot be joined to the last group begins another.
    fn merge(link: Link, frames: &[Vec<u8>]) -> Vec<(VnetHeader, Vec<u8>)> {
        let mut groups: Vec<(Option<Group>, Vec<u8>)> = Vec::new();
        for frame in frames {
            let piece = inspect(link, frame).and_then(|inspected| inspected.piece);
            if let (Some(piece), Some((Some(group), bytes))) = (piece, groups.last_mut())
                && group.append(bytes, &piece, frame)
            {
                bytes.extend_from_slice(&frame[piece.payload()]);
                continue;
            }
            groups.push((piece.map(Group::new), frame.clone()));
        }
        let seal = |(group, mut bytes): (Option<Group>, Vec<u8>)| {
            (group.map_or(VnetHeader::default(), |group| group.seal(&mut bytes)), bytes)
        };
        groups.into_iter().map(seal).collect()
    }

    /// What the device would cut it into.
    fn cut(link: Link, vnet: &VnetHeader, bytes: &[u8]) -> Vec<Vec<u8>> {
        if vnet.cut.is_none() {
            return Vec::from([bytes.to_vec()]);
        }
        let mut segments = Segments::new(link, vnet, bytes).unwrap();
        let mut headers = [0; MAX_HEADERS];
        let mut all = Vec::new();
        while let Some(payload) = segments.next(&mut headers) {
            all.push([&headers[..segments.headers_len()], &bytes[payload]].concat());
        }
        all
    }

    fn two(change: impl Fn(&mut Sample)) -> usize {
        let first = Sample { payload: [1; 100].to_vec(), options: [1; 12].to_vec(), ..Sample::default() };
        let mut next = Sample { sequence: 109, identification: 8, ..first.clone() };
        change(&mut next);
        merge(next.link(), &[first.build(), next.build()]).len()
    }

    #[test]
    fn only_what_continues_is_merged() {
        assert_eq!(two(|_| {}), 1);
        assert_eq!(two(|next| next.payload.truncate(1)), 1);
        assert_eq!(two(|next| next.flags |= tcp::flags::PSH), 1);
        assert_eq!(two(|next| next.identification = 7), 1, "with DF it means nothing");
        assert_eq!(two(|next| next.payload.push(1)), 2);
        assert_eq!(two(|next| next.payload.clear()), 2);
        assert_eq!(two(|next| next.sequence = 110), 2);
        assert_eq!(two(|next| next.acknowledgment = 6), 2);
        assert_eq!(two(|next| next.port = 1), 2);
        assert_eq!(two(|next| next.traffic_class = 3), 2);
        assert_eq!(two(|next| next.options[5] = 2), 2);
        assert_eq!(two(|next| next.options.truncate(8)), 2);
        assert_eq!(two(|next| next.dont_fragment = false), 2);
        for flag in [tcp::flags::FIN, tcp::flags::SYN, tcp::flags::RST, tcp::flags::URG, tcp::flags::CWR] {
            assert_eq!(two(|next| next.flags |= flag), 2);
        }
    }

    #[test]
    fn a_wrong_checksum_is_never_hidden() {
        let first = Sample { payload: [1; 100].to_vec(), ..Sample::default() };
        let mut frames = [first.build(), Sample { sequence: 109, identification: 8, ..first }.build()];
        frames[1][60] ^= 1;
        let merged = merge(Link::Ip, &frames);
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[1].1, frames[1]);
    }

    #[test]
    fn without_df_numbers_have_to_count_on() {
        let first =
            Sample { payload: [1; 100].to_vec(), dont_fragment: false, udp: true, ..Sample::default() };
        for (identification, groups) in [(8, 1), (9, 2), (7, 2)] {
            let next = Sample { identification, ..first.clone() };
            assert_eq!(merge(Link::Ip, &[first.build(), next.build()]).len(), groups);
        }
    }

    #[test]
    fn nothing_follows_a_shorter_or_a_pushed_piece() {
        for (len, flags) in [(99, tcp::flags::ACK), (100, tcp::flags::ACK | tcp::flags::PSH)] {
            let base = Sample { payload: [1; 100].to_vec(), ..Sample::default() };
            let second = Sample { payload: [1; 100][..len].to_vec(), sequence: 109, flags, ..base.clone() };
            let third = Sample { sequence: 109 + len as u32, ..base.clone() };
            let merged = merge(Link::Ip, &[base.build(), second.build(), third.build()]);
            assert_eq!(merged.len(), 2);
        }
    }

    #[test]
    fn two_segments_byte_by_byte() {
        let first = Sample { payload: [1, 2].to_vec(), ..Sample::default() };
        let second = Sample { payload: [3].to_vec(), sequence: 11, identification: 8, ..first.clone() };
        let merged = merge(Link::Ip, &[first.build(), second.build()]);
        let (vnet, bytes) = &merged[0];
        assert_eq!(*vnet, VnetHeader { cut: Some((Cut::Tcp, 2)), ..first.vnet(2) });
        assert_eq!(
            bytes[..],
            [
                0x45, 0, 0, 43, 0, 7, 0x40, 0, 64, 6, 0xae, 0x9e, 198, 18, 0, 1, 198, 18, 0, 2, // IPv4
                // The checksum is the pseudo-header's sum alone.
                0x9c, 0x40, 0x14, 0x51, 0, 0, 0, 9, 0, 0, 0, 5, 0x50, 0x10, 4, 0, 0x8c, 0x45, 0, 0, //
                1, 2, 3
            ]
        );
    }

    #[test]
    fn what_the_kernel_merged_is_known() {
        let sample = Sample { payload: [1; 5000].to_vec(), options: [1; 12].to_vec(), ..Sample::default() };
        let mut frame = sample.build();
        assert_eq!(merged_by_kernel(Link::Ip, &frame, |_| 1416), None, "its checksum is complete");
        let sum = Checksum::new().bytes(&frame[12..20]).word(6).word(5032).partial();
        frame[36..38].copy_from_slice(&sum.to_be_bytes());
        let vnet = merged_by_kernel(Link::Ip, &frame, |_| 1416).unwrap();
        assert_eq!(vnet, sample.vnet(1404));
        assert_eq!(cut(Link::Ip, &vnet, &frame).len(), 4);
        assert_eq!(merged_by_kernel(Link::Ip, &frame, |_| 6000), None, "it is no larger than it may be");
    }

    proptest! {
        /// Cut, merged and cut again: the same packets, byte for byte.
        #[test]
        fn what_was_merged_is_cut_into_what_came(sample in samples::any(), size in 100usize..2000) {
            let mut sample = Sample { flags: sample.flags & (tcp::flags::PSH | tcp::flags::ECE) | tcp::flags::ACK, ..sample };
            sample.identification %= 60_000;
            let packets = cut(sample.link(), &sample.vnet(size), &sample.build());
            let merged = merge(sample.link(), &packets);
            prop_assert_eq!(merged.len(), packets.len().div_ceil(MAX_PIECES));
            let again: Vec<Vec<u8>> =
                merged.iter().flat_map(|(vnet, bytes)| cut(sample.link(), vnet, bytes)).collect();
            prop_assert_eq!(again, packets);
        }

        /// Whatever comes in whatever order: what would be cut again are the packets that came.
        #[test]
        fn nothing_is_lost_or_changed(
            parts in proptest::collection::vec((0u32..4, 0usize..3, 0u8..4, any::<bool>(), 0u16..3), 1..20), udp: bool, ipv6: bool
        ) {
            let frames: Vec<Vec<u8>> = parts.iter().map(|(at, len, flags, ack, id)| Sample {
                sequence: at * 50, payload: [7].repeat([1, 50, 49][*len]), udp, ipv6, dont_fragment: false,
                flags: if *ack { 0x10 } else { 0x10 | flags }, identification: *id, ..Sample::default()
            }.build()).collect();
            let again: Vec<Vec<u8>> =
                merge(Link::Ip, &frames).iter().flat_map(|(vnet, bytes)| cut(Link::Ip, vnet, bytes)).collect();
            prop_assert_eq!(again, frames);
        }

        /// One byte of one packet is not what was sent: what would be cut again is the same byte for byte, so
        /// that whoever it is for sees that its sum is wrong.
        #[test]
        fn no_error_is_hidden(
            count in 1usize..6, which in 0usize..6, at: prop::sample::Index, change in 1u8..=255,
            udp: bool, ipv6: bool, tags in proptest::option::of(0usize..3)
        ) {
            let sample = Sample { udp, ipv6, tags, ..Sample::default() };
            let mut frames: Vec<Vec<u8>> = (0..count).map(|at| Sample {
                sequence: at as u32 * 50, identification: at as u16, payload: [at as u8].repeat(50), ..sample.clone()
            }.build()).collect();
            let frame = &mut frames[which % count];
            let at = at.index(frame.len());
            frame[at] ^= change;
            let merged = merge(sample.link(), &frames);
            let again: Vec<Vec<u8>> =
                merged.iter().flat_map(|(vnet, bytes)| cut(sample.link(), vnet, bytes)).collect();
            prop_assert_eq!(again, frames);
        }

        #[test]
        fn random_bytes_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..120), ethernet: bool) {
            let _ = inspect(Link::from(ethernet), &frame);
        }
    }
}
