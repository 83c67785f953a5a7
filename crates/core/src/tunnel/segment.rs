//! Cutting what a device hands over in one piece (TSO, USO) into packets that fit.
//!
//! TCP (RFC 9293): sequence numbers go on; FIN and PSH are the last segment's alone, CWR the first's
//! (RFC 3168 6.1.2). IPv4 identifications count up from the first, as the kernel's own cutting does.

use super::inside::{Link, Located, locate};
use super::vnet::{Cut, VnetHeader, never_zero};
use super::{Clamp, DropReason};
use crate::wire::checksum::Checksum;
use crate::wire::ip::{self, protocol};
use crate::wire::{ipv4, ipv6, tcp, udp};
use core::ops::Range;

/// The longest headers that are cut along: Ethernet, tags, IPv6 with extensions, TCP with options.
pub const MAX_HEADERS: usize = 256;

/// The segments of one packet, in order.
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    packet: &'a [u8],
    located: Located,
    cut: Cut,
    /// Bytes of all headers.
    headers: usize,
    /// Payload bytes of all segments but the last.
    size: usize,
    /// Where the next segment's payload begins.
    at: usize,
    /// How many have been cut.
    count: usize,
}

impl<'a> Segments<'a> {
    /// # Errors
    /// `BadOffload` if header and packet do not agree, or nothing is to be cut.
    pub fn new(link: Link, vnet: &VnetHeader, packet: &'a [u8]) -> Result<Segments<'a>, DropReason> {
        Segments::find(link, vnet, packet).ok_or(DropReason::BadOffload)
    }

    fn find(link: Link, vnet: &VnetHeader, packet: &'a [u8]) -> Option<Segments<'a>> {
        let (cut, size) = vnet.cut.filter(|(_, size)| *size > 0)?;
        let located = locate(link, packet).filter(|located| !located.is_cut)?;
        let transport = &packet[located.transport..located.end];
        let headers = located.transport
            + match (cut, located.protocol) {
                (Cut::Tcp, protocol::TCP) => tcp::Packet::new_checked(transport).ok()?.header_len(),
                (Cut::Udp, protocol::UDP) if transport.len() >= udp::HEADER_LEN => udp::HEADER_LEN,
                _ => return None,
            };
        (headers <= MAX_HEADERS && headers < located.end).then_some(Segments {
            packet,
            located,
            cut,
            headers,
            size,
            at: headers,
            count: 0,
        })
    }

    /// Makes TCP's segments small enough for one outer packet each, where they would be larger. IPv4
    /// without DF stays as it is: more segments than the sender knows of would take the identifications of
    /// those that follow (RFC 6864 4).
    #[must_use]
    pub fn fitting(mut self, fits: Clamp) -> Segments<'a> {
        let Located { ip, ipv6, .. } = self.located;
        let numbered = !ipv6 && self.packet[ip + 6] & 0x40 == 0;
        if self.cut == Cut::Udp || numbered {
            return self;
        }
        let (limit, plain) = if ipv6 { (fits.ipv6, ipv6::HEADER_LEN) } else { (fits.ipv4, ipv4::HEADER_LEN) };
        let options = self.headers - ip - plain - tcp::HEADER_LEN;
        let room = usize::from(limit).saturating_sub(self.located.tags_len() + options);
        if room > 0 {
            self.size = self.size.min(room);
        }
        self
    }

    /// Bytes of headers in front of each segment's payload.
    pub fn headers_len(&self) -> usize {
        self.headers
    }

    /// Writes the next segment's headers, complete with checksums, to the start of `headers`, and
    /// says where in the packet its payload stands. `None` once all is out.
    ///
    /// # Panics
    /// If `headers` is shorter than [`Segments::headers_len`].
    pub fn next(&mut self, headers: &mut [u8]) -> Option<Range<usize>> {
        let rest = self.located.end - self.at;
        if rest == 0 {
            return None;
        }
        let payload = self.at..self.at + rest.min(self.size);
        let headers = &mut headers[..self.headers];
        headers.copy_from_slice(&self.packet[..self.headers]);
        self.mend_ip(headers, payload.len());
        let (before, transport) = headers.split_at_mut(self.located.transport);
        let bytes = &self.packet[payload.clone()];
        let field = match self.cut {
            Cut::Tcp => {
                self.mend_tcp(transport, payload.len() == rest);
                tcp::CHECKSUM_AT
            }
            Cut::Udp => {
                let len = (udp::HEADER_LEN + bytes.len()) as u16;
                transport[4..6].copy_from_slice(&len.to_be_bytes());
                udp::CHECKSUM_AT
            }
        };
        transport[field..field + 2].fill(0);
        let len = transport.len() + bytes.len();
        let pseudo = pseudo(&self.located, before, len);
        let sum = never_zero(pseudo.bytes(transport).bytes(bytes).finish());
        transport[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        self.at = payload.end;
        self.count += 1;
        Some(payload)
    }

    fn mend_ip(&self, headers: &mut [u8], payload_len: usize) {
        let ip = self.located.ip;
        if self.located.ipv6 {
            let len = (self.headers - ip - ipv6::HEADER_LEN + payload_len) as u16;
            headers[ip + 4..ip + 6].copy_from_slice(&len.to_be_bytes());
            return;
        }
        let len = (self.headers - ip + payload_len) as u16;
        let first = u16::from_be_bytes([headers[ip + 4], headers[ip + 5]]);
        let identification = first.wrapping_add(self.count as u16);
        ipv4::mend(&mut headers[ip..self.located.transport], len, identification);
    }

    fn mend_tcp(&self, header: &mut [u8], is_last: bool) {
        let first = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let sequence = first.wrapping_add((self.at - self.headers) as u32);
        header[4..8].copy_from_slice(&sequence.to_be_bytes());
        if !is_last {
            header[13] &= !(tcp::flags::FIN | tcp::flags::PSH);
        }
        if self.count > 0 {
            header[13] &= !tcp::flags::CWR;
        }
    }
}

/// The sum of the pseudo-header of what is located in a frame, of which the IP header is looked at.
pub(super) fn pseudo(located: &Located, frame: &[u8], transport_len: usize) -> Checksum {
    let ip = &frame[located.ip..];
    let addresses = if located.ipv6 { &ip[8..40] } else { &ip[12..20] };
    // Within an IP packet: below 65,536. Both families' pseudo-headers sum up to the same then.
    debug_assert!(ip::version(ip) == Some(if located.ipv6 { 6 } else { 4 }));
    Checksum::new().bytes(addresses).word(u16::from(located.protocol)).word(transport_len as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::samples::{self, Sample};
    use crate::tunnel::vnet::Partial;
    use alloc::vec::Vec;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    fn cut(sample: &Sample, size: usize) -> Vec<Vec<u8>> {
        let packet = sample.build();
        let vnet = sample.vnet(size);
        let mut segments = Segments::new(sample.link(), &vnet, &packet).unwrap();
        let mut all = Vec::new();
        let mut headers = [0xee; MAX_HEADERS];
        while let Some(payload) = segments.next(&mut headers) {
            all.push([&headers[..segments.headers_len()], &packet[payload]].concat());
        }
        all
    }

    #[test]
    fn flags_sequences_and_identifications() {
        let sample = Sample {
            flags: tcp::flags::ACK | tcp::flags::PSH | tcp::flags::FIN | tcp::flags::CWR,
            sequence: 0xffff_fc00,
            identification: 0xffff,
            payload: (0..2500).map(|at| at as u8).collect(),
            ..Sample::default()
        };
        let segments = cut(&sample, 1000);
        let seen: Vec<_> = segments
            .iter()
            .map(|bytes| {
                let packet = ipv4::Packet::new_checked(bytes).unwrap();
                assert!(packet.verify_checksum());
                let segment = tcp::Packet::new_checked(packet.payload()).unwrap();
                (packet.identification(), segment.sequence(), segment.flags(), segment.payload().len())
            })
            .collect();
        assert_eq!(
            seen,
            [(0xffff, 0xffff_fc00, 0x90, 1000), (0, 0xffff_ffe8, 0x10, 1000), (1, 0x0000_03d0, 0x19, 500)]
        );
    }

    #[test]
    fn one_segment_byte_by_byte() {
        let sample = Sample { payload: [1, 2, 3].to_vec(), ..Sample::default() };
        let segments = cut(&sample, 2);
        assert_eq!(
            segments[0],
            [
                0x45, 0, 0, 42, 0, 7, 0x40, 0, 64, 6, 0xae, 0x9f, 198, 18, 0, 1, 198, 18, 0, 2, // IPv4
                0x9c, 0x40, 0x14, 0x51, 0, 0, 0, 9, 0, 0, 0, 5, 0x50, 0x10, 4, 0, 0x6e, 0x09, 0,
                0, // TCP
                1, 2
            ]
        );
        assert_eq!(segments[1].len(), 41);
    }

    #[test]
    fn segments_are_made_to_fit_one_outer_packet() {
        let fits = Clamp { ipv4: 1000, ipv6: 900 };
        let sizes = |sample: &Sample, size| {
            let packet = sample.build();
            let vnet = sample.vnet(size);
            let mut segments = Segments::new(sample.link(), &vnet, &packet).unwrap().fitting(fits);
            let mut headers = [0; MAX_HEADERS];
            let mut all = Vec::new();
            while let Some(payload) = segments.next(&mut headers) {
                all.push(payload.len());
            }
            all
        };
        let sample = Sample { payload: [0; 2500].to_vec(), ..Sample::default() };
        assert_eq!(sizes(&sample, 1460), [1000, 1000, 500]);
        assert_eq!(sizes(&sample, 800), [800, 800, 800, 100], "never made larger");
        assert_eq!(sizes(&Sample { options: [1; 12].to_vec(), ..sample.clone() }, 1448), [988, 988, 524]);
        assert_eq!(sizes(&Sample { tags: Some(1), ..sample.clone() }, 1460), [996, 996, 508]);
        assert_eq!(sizes(&Sample { ipv6: true, ..sample.clone() }, 1440), [900, 900, 700]);
        assert_eq!(sizes(&Sample { dont_fragment: false, ..sample.clone() }, 1460), [1460, 1040]);
        assert_eq!(sizes(&Sample { udp: true, ..sample }, 1460), [1460, 1040]);
    }

    #[test]
    fn lies_are_refused() {
        let sample = Sample { payload: [0; 100].to_vec(), ..Sample::default() };
        let (packet, vnet) = (sample.build(), sample.vnet(10));
        let refused = |vnet: &VnetHeader, packet: &[u8]| Segments::new(Link::Ip, vnet, packet).is_err();
        assert!(!refused(&vnet, &packet));
        assert!(refused(&VnetHeader { cut: None, ..vnet }, &packet));
        assert!(refused(&VnetHeader { cut: Some((Cut::Tcp, 0)), ..vnet }, &packet));
        assert!(refused(&VnetHeader { cut: Some((Cut::Udp, 10)), ..vnet }, &packet));
        assert!(refused(&vnet, &packet[..139]));
        assert!(refused(&vnet, &[]));
    }

    proptest! {
        /// Whatever is cut comes out right to another's eyes, and its payload is what went in.
        #[test]
        fn segments_are_right(sample in samples::any(), size in 1usize..3000) {
            let segments = cut(&sample, size);
            let mut whole = Vec::new();
            for (at, bytes) in segments.iter().enumerate() {
                let sliced = match sample.link() {
                    Link::Ip => SlicedPacket::from_ip(bytes),
                    Link::Ethernet => SlicedPacket::from_ethernet(bytes),
                }.unwrap();
                let part = match (sliced.net.unwrap(), sliced.transport.unwrap()) {
                    (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
                        let ip = ip.header().to_header();
                        prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                        prop_assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv4(ip.source, ip.destination).unwrap());
                        tcp.payload().to_vec()
                    }
                    (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
                        let (from, to) = (ip.header().source(), ip.header().destination());
                        prop_assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv6(from, to).unwrap());
                        tcp.payload().to_vec()
                    }
                    (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
                        let sum = udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), udp.payload()).unwrap();
                        prop_assert_eq!(udp.checksum(), sum);
                        udp.payload().to_vec()
                    }
                    (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
                        let sum = udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap();
                        prop_assert_eq!(udp.checksum(), sum);
                        udp.payload().to_vec()
                    }
                    _ => unreachable!(),
                };
                prop_assert!(part.len() == size || at + 1 == segments.len());
                whole.extend(part);
            }
            prop_assert_eq!(whole, sample.payload);
        }

        #[test]
        fn random_bytes_never_panic(packet in proptest::collection::vec(any::<u8>(), 0..200), size: u16, udp: bool, ethernet: bool) {
            let vnet = VnetHeader {
                checksum: Some(Partial { start: 20, offset: 16 }),
                cut: Some((if udp { Cut::Udp } else { Cut::Tcp }, usize::from(size))),
                ..VnetHeader::default()
            };
            if let Ok(mut segments) = Segments::new(Link::from(ethernet), &vnet, &packet) {
                let mut headers = [0; MAX_HEADERS];
                while segments.next(&mut headers).is_some() {}
            }
        }
    }
}
