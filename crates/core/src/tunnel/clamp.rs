//! Lowering the maximum segment size that TCP's SYN and SYN-ACK offer, so that what follows fits one
//! outer packet.

use super::inside::{Link, locate};
use crate::mtu::{Ip, Way};
use crate::wire::checksum;
use crate::wire::ip::protocol;
use crate::wire::tcp::{self, flags};

/// The largest segment of each family that fits, in bytes of payload and options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    pub ipv4: u16,
    pub ipv6: u16,
}

impl Clamp {
    /// `None` if TCP fits one outer packet anyway.
    pub fn of(way: &Way) -> Option<Clamp> {
        way.needs_clamp().then(|| Clamp::fitting(way))
    }

    /// What fits one outer packet.
    pub fn fitting(way: &Way) -> Clamp {
        // Below the largest IP packet.
        let limit = |ip| u16::try_from(way.mss(ip)).unwrap_or(u16::MAX);
        Clamp { ipv4: limit(Ip::V4), ipv6: limit(Ip::V6) }
    }

    /// Lowers the MSS of a SYN in the frame, behind VLAN tags as well (which take their bytes from
    /// it), and mends the checksum, which has to be complete. Never raises it, and adds none to a SYN
    /// without (536 and 1220 are meant then, RFC 9293 3.7.1: what fits anyway). True if it was changed.
    pub fn apply(&self, link: Link, frame: &mut [u8]) -> bool {
        let Some(located) = locate(link, frame).filter(|located| located.protocol == protocol::TCP) else {
            return false;
        };
        let Ok(segment) = tcp::Packet::new_checked(&frame[located.transport..located.end]) else {
            return false;
        };
        if segment.flags() & flags::SYN == 0 {
            return false;
        }
        let limit = if located.ipv6 { self.ipv6 } else { self.ipv4 };
        // At most four tags.
        let limit = limit.saturating_sub(located.tags_len() as u16);
        let Some((at, offered)) = segment.mss().filter(|(_, offered)| *offered > limit) else {
            return false;
        };
        let before = segment.checksum();
        // A value at an odd place lies across two of the sum's words, whose bytes it fills the other
        // way round.
        let sum = if at.is_multiple_of(2) {
            checksum::update(before, offered, limit)
        } else {
            checksum::update(before, offered.swap_bytes(), limit.swap_bytes())
        };
        let header = &mut frame[located.transport..];
        header[at..at + 2].copy_from_slice(&limit.to_be_bytes());
        header[tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mtu::Wrapping;
    use crate::tunnel::samples::Sample;
    use crate::wire::checksum::Checksum;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn clamp(wrapping: Wrapping, outer: Ip) -> Clamp {
        Clamp::of(&Way { wrapping, outer, path_mtu: 1500, mtu: 1500 }).unwrap()
    }

    fn mss_of(sample: &Sample, bytes: &[u8]) -> Option<u16> {
        let located = locate(sample.link(), bytes).unwrap();
        let ends =
            if located.ipv6 { located.ip + 8..located.ip + 40 } else { located.ip + 12..located.ip + 20 };
        let segment = &bytes[located.transport..located.end];
        let sum = Checksum::new().bytes(&bytes[ends]).word(6).word(segment.len() as u16).bytes(segment);
        assert_eq!(sum.finish(), 0, "the checksum is right");
        tcp::Packet::new_checked(segment).unwrap().mss().map(|(_, value)| value)
    }

    const PLACES: [&[u8]; 4] = [
        &[2, 4, 5, 180],
        &[1, 2, 4, 5, 180, 1, 1, 1],
        &[3, 3, 7, 2, 4, 5, 180, 0],
        &[4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 2, 4, 5, 180],
    ];

    #[test]
    fn known_values_at_1500() {
        let etherip = clamp(Wrapping::EtherIp { vlan: false }, Ip::V6);
        assert_eq!(etherip, Clamp { ipv4: 1404, ipv6: 1384 });
        assert_eq!(clamp(Wrapping::Gre { key: false }, Ip::V6), Clamp { ipv4: 1416, ipv6: 1396 });
        for syn in [flags::SYN, flags::SYN | flags::ACK] {
            for (ipv6, limit) in [(false, 1404), (true, 1384)] {
                for tags in 0..3 {
                    for options in PLACES {
                        let sample = Sample {
                            ipv6,
                            tags: Some(tags),
                            flags: syn,
                            options: options.to_vec(),
                            ..Sample::default()
                        };
                        let mut frame = sample.build();
                        assert!(etherip.apply(Link::Ethernet, &mut frame));
                        assert_eq!(mss_of(&sample, &frame), Some(limit - 4 * tags as u16));
                        assert!(!etherip.apply(Link::Ethernet, &mut frame), "once is enough");
                    }
                }
            }
        }
    }

    /// The MTU of the tunnel does not matter, only that of the path.
    #[test]
    fn known_values_of_every_kind() {
        for (wrapping, outer, path_mtu, ipv4, ipv6) in [
            (Wrapping::EtherIp { vlan: false }, Ip::V6, 1500, 1404, 1384),
            (Wrapping::EtherIp { vlan: false }, Ip::V4, 1500, 1424, 1404),
            (Wrapping::EtherIp { vlan: false }, Ip::V6, 1454, 1358, 1338),
            (Wrapping::Gre { key: false }, Ip::V6, 1500, 1416, 1396),
            (Wrapping::Gre { key: true }, Ip::V4, 1500, 1432, 1412),
            (Wrapping::Gretap { key: false, vlan: false }, Ip::V6, 1500, 1402, 1382),
            (Wrapping::Geneve { vlan: false }, Ip::V6, 1500, 1390, 1370),
            (Wrapping::Geneve { vlan: false }, Ip::V4, 1500, 1410, 1390),
            (Wrapping::EtherIp { vlan: false }, Ip::V6, 2400, 2304, 2284),
            (Wrapping::Gre { key: false }, Ip::V6, 2400, 2316, 2296),
            (Wrapping::Geneve { vlan: false }, Ip::V6, 2400, 2290, 2270),
        ] {
            for mtu in [1500, 2400].into_iter().filter(|mtu| *mtu >= path_mtu) {
                let clamp = Clamp::of(&Way { wrapping, outer, path_mtu, mtu });
                assert_eq!(clamp, Some(Clamp { ipv4, ipv6 }), "{wrapping:?} {outer:?} {path_mtu} {mtu}");
            }
            assert_eq!(Clamp::of(&Way { wrapping, outer, path_mtu, mtu: 1280 }), None);
        }
    }

    /// Eight bytes more of IP header: options of IPv4, or an extension header of IPv6.
    fn with_more_headers(sample: &Sample) -> Vec<u8> {
        let mut bytes = sample.build();
        let ip = locate(sample.link(), &bytes).unwrap().ip;
        let (end, more, length_at) = if sample.ipv6 {
            bytes[ip + 6] = protocol::DESTINATION_OPTIONS;
            (ip + 40, [protocol::TCP, 0, 1, 4, 0, 0, 0, 0], ip + 4)
        } else {
            bytes[ip] += 2;
            (ip + 20, [1, 1, 0x94, 4, 0, 0, 0, 0], ip + 2)
        };
        let length = u16::from_be_bytes([bytes[length_at], bytes[length_at + 1]]) + 8;
        bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        bytes.splice(end..end, more);
        if !sample.ipv6 {
            bytes[ip + 10..ip + 12].fill(0);
            let sum = Checksum::new().bytes(&bytes[ip..ip + 28]).finish();
            bytes[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn behind_options_and_extension_headers() {
        let clamp = Clamp { ipv4: 1404, ipv6: 1384 };
        for (ipv6, limit) in [(false, 1404), (true, 1384)] {
            for tags in [None, Some(0), Some(2)] {
                for syn in [flags::SYN, flags::SYN | flags::ACK] {
                    for options in PLACES {
                        let options = options.to_vec();
                        let sample = Sample { ipv6, tags, flags: syn, options, ..Sample::default() };
                        let mut bytes = with_more_headers(&sample);
                        let len = bytes.len();
                        assert!(clamp.apply(sample.link(), &mut bytes));
                        let limit = limit - 4 * tags.unwrap_or(0) as u16;
                        assert_eq!((mss_of(&sample, &bytes), bytes.len()), (Some(limit), len));
                    }
                }
            }
        }
    }

    /// What is no TCP header, or has options that lie, is passed on as it came.
    #[test]
    fn malformed_segments_are_left_as_they_are() {
        let clamp = Clamp { ipv4: 536, ipv6: 536 };
        let left = |sample: &Sample, mut bytes: Vec<u8>| {
            let before = bytes.clone();
            assert!(!clamp.apply(sample.link(), &mut bytes), "{before:x?}");
            assert_eq!(bytes, before);
        };
        for ipv6 in [false, true] {
            let syn = |options: &[u8]| Sample {
                ipv6,
                flags: flags::SYN,
                options: options.to_vec(),
                ..Sample::default()
            };
            for options in [
                // A length of zero, of one, beyond the header; an MSS of three and of five bytes; one that
                // is cut; one behind the end of the list.
                &[4, 0, 2, 4, 5, 180, 0, 0][..],
                &[4, 1, 2, 4, 5, 180, 0, 0],
                &[8, 60, 2, 4, 5, 180, 0, 0],
                &[2, 3, 5, 180],
                &[2, 5, 5, 180, 0, 0, 0, 0],
                &[1, 1, 2, 4],
                &[0, 2, 4, 5, 180, 0, 0, 0],
            ] {
                let sample = syn(options);
                left(&sample, sample.build());
            }
            let sample = syn(&[2, 4, 5, 180]);
            let located = locate(sample.link(), &sample.build()).unwrap();
            // A data offset below the header's own length, and one beyond the packet.
            for offset in [0x40, 0xf0] {
                let mut bytes = sample.build();
                bytes[located.transport + 12] = offset;
                left(&sample, bytes);
            }
            // A packet that is shorter than it says.
            let mut bytes = sample.build();
            bytes.truncate(bytes.len() - 1);
            left(&sample, bytes);
        }
        // A later fragment that looks like a SYN.
        let sample = Sample { flags: flags::SYN, options: [2, 4, 5, 180].to_vec(), ..Sample::default() };
        let mut bytes = sample.build();
        bytes[7] = 3;
        left(&sample, bytes);
    }

    #[test]
    fn what_is_not_to_be_touched() {
        let clamp = Clamp { ipv4: 1460, ipv6: 1440 };
        for sample in [
            Sample { flags: flags::SYN, options: [2, 4, 5, 180].to_vec(), ..Sample::default() },
            Sample { flags: flags::SYN, options: [2, 4, 1, 0].to_vec(), ..Sample::default() },
            Sample { flags: flags::SYN, ..Sample::default() },
            Sample { flags: flags::ACK, options: [2, 4, 255, 255].to_vec(), ..Sample::default() },
            Sample { udp: true, payload: [0xff; 30].to_vec(), ..Sample::default() },
        ] {
            let (before, mut bytes) = (sample.build(), sample.build());
            assert!(!clamp.apply(Link::Ip, &mut bytes));
            assert_eq!(bytes, before);
        }
    }

    /// What an authentication header covers must not be changed (RFC 4302 3.3.3).
    #[test]
    fn what_is_authenticated_is_not_touched() {
        let sample =
            Sample { ipv6: true, flags: flags::SYN, options: [2, 4, 5, 180].to_vec(), ..Sample::default() };
        let mut bytes = sample.build();
        let header = [6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.splice(40..40, header);
        bytes[6] = 51;
        bytes[5] += header.len() as u8;
        assert!(!Clamp { ipv4: 1000, ipv6: 1000 }.apply(Link::Ip, &mut bytes));
    }

    proptest! {
        #[test]
        fn never_raised_always_right(
            ipv6: bool, tags in proptest::option::of(0usize..4), limit: u16, offered: u16, before in 0usize..12
        ) {
            let mut options: Vec<u8> = [1].repeat(before);
            options.extend([2, 4]);
            options.extend(offered.to_be_bytes());
            options.resize(options.len().next_multiple_of(4), 0);
            let sample = Sample { ipv6, tags, flags: flags::SYN, options, ..Sample::default() };
            let mut bytes = sample.build();
            Clamp { ipv4: limit, ipv6: limit }.apply(sample.link(), &mut bytes);
            let limit = limit.saturating_sub(4 * tags.unwrap_or(0) as u16);
            prop_assert_eq!(mss_of(&sample, &bytes), Some(offered.min(limit)));
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), ethernet: bool) {
            Clamp { ipv4: 1, ipv6: 1 }.apply(Link::from(ethernet), &mut bytes);
        }
    }
}
