//! What the datapaths of a tunnel's two ends say to each other, inside the tunnel: an IPv6 packet from
//! link-local to link-local address, No Next Header (RFC 8200 4.7: what follows is ignored by any stack
//! that is not ours), hop limit 255, in an Ethernet frame where the tunnel carries those.
//!
//! ```text
//!  0 magic   4 version   5 kind   6 body's length   8 number   16 sequence   20 stamp   28 body, padding
//! ```
//!
//! A datapath takes signals out before the device sees them, and answers a question itself: so they
//! pass while carriers are down.

use super::Link;
use crate::id::Mac;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ip::protocol;
use crate::wire::ipv6;
use core::net::Ipv6Addr;

/// CS6, network control (RFC 2474 4.2.2), as a traffic class: signals go before bulk.
pub const TRAFFIC_CLASS: u8 = 0xc0;

const MAGIC: [u8; 4] = *b"tsmg";
const VERSION: u8 = 1;
/// No router in between has sent it on.
const HOP_LIMIT: u8 = 255;
/// Bytes between the IPv6 header and the body.
const FIXED_LEN: usize = 28;

/// What a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Are you there?
    Ask,
    /// Brings a question's number, sequence and stamp back.
    Answer,
    /// A trial of a measurement of the path ([`super::path::Question`]).
    Trial,
    /// What it is replied ([`super::path::Reply`]).
    Reply,
    /// Of a newer datapath.
    Other(u8),
}

impl From<u8> for Kind {
    fn from(code: u8) -> Kind {
        match code {
            1 => Kind::Ask,
            2 => Kind::Answer,
            3 => Kind::Trial,
            4 => Kind::Reply,
            other => Kind::Other(other),
        }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> u8 {
        match kind {
            Kind::Ask => 1,
            Kind::Answer => 2,
            Kind::Trial => 3,
            Kind::Reply => 4,
            Kind::Other(code) => code,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal<'a> {
    pub kind: Kind,
    /// Of whoever asked: a new one with each life of a process.
    pub number: u64,
    /// Counts the questions of that life.
    pub sequence: u32,
    /// When it was asked, in nanoseconds on the clock of whoever asked.
    pub stamp: u64,
    /// As the kind says: at most 65,535 bytes less the headers.
    pub body: &'a [u8],
}

/// The two ends of a tunnel as one of them sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub local: Ipv6Addr,
    pub remote: Ipv6Addr,
    /// Ours and theirs, where the tunnel carries Ethernet.
    pub macs: Option<(Mac, Mac)>,
}

impl Ends {
    pub fn link(&self) -> Link {
        if self.macs.is_some() { Link::Ethernet } else { Link::Ip }
    }

    /// The signal of the far end to us that the inner packet is, with the Ethernet header where there is
    /// one; `None`: an ordinary packet, or one of a version that we do not speak.
    pub fn parse<'a>(&self, frame: &'a [u8]) -> Option<Signal<'a>> {
        let packet = match self.link() {
            Link::Ip => frame,
            Link::Ethernet => {
                let frame = ethernet::Frame::new_checked(frame).ok()?;
                (frame.ethertype() == ethertype::IPV6).then(|| frame.payload())?
            }
        };
        // Looked at first, so that the bulk of packets costs one comparison.
        if packet.get(6) != Some(&protocol::NO_NEXT_HEADER) {
            return None;
        }
        let packet = ipv6::Packet::new_checked(packet).ok()?;
        if (packet.source(), packet.destination(), packet.hop_limit()) != (self.remote, self.local, HOP_LIMIT)
        {
            return None;
        }
        let (fixed, rest) = packet.payload().split_first_chunk::<FIXED_LEN>()?;
        if fixed[..4] != MAGIC || fixed[4] != VERSION {
            return None;
        }
        Some(Signal {
            kind: fixed[5].into(),
            number: u64::from_be_bytes(array(fixed, 8)),
            sequence: u32::from_be_bytes(array(fixed, 16)),
            stamp: u64::from_be_bytes(array(fixed, 20)),
            body: rest.get(..usize::from(u16::from_be_bytes(array(fixed, 6))))?,
        })
    }

    /// Bytes of a signal with `body_len` bytes of body and no padding.
    pub fn signal_len(&self, body_len: usize) -> usize {
        let header = if self.macs.is_some() { ethernet::HEADER_LEN } else { 0 };
        header + ipv6::HEADER_LEN + FIXED_LEN + body_len
    }

    /// Writes a signal to the far end over all of `buffer`, padded with zeros.
    ///
    /// # Panics
    /// If `buffer` is shorter than [`Ends::signal_len`], or holds more than an IPv6 packet can.
    pub fn emit(&self, signal: &Signal<'_>, buffer: &mut [u8]) {
        let packet = match self.macs {
            None => buffer,
            Some((source, destination)) => {
                let header = ethernet::Repr { destination, source, ethertype: ethertype::IPV6 };
                header.emit(buffer);
                &mut buffer[header.buffer_len()..]
            }
        };
        let payload_len = packet.len() - ipv6::HEADER_LEN;
        assert!(payload_len <= ipv6::MAX_PAYLOAD_LEN, "no IPv6 packet is so large");
        let header = ipv6::Repr {
            source: self.local,
            destination: self.remote,
            next_header: protocol::NO_NEXT_HEADER,
            hop_limit: HOP_LIMIT,
            traffic_class: TRAFFIC_CLASS,
            flow_label: 0,
            payload_len,
        };
        header.emit(packet);
        let payload = &mut packet[header.buffer_len()..];
        payload[..4].copy_from_slice(&MAGIC);
        payload[4] = VERSION;
        payload[5] = signal.kind.into();
        // The payload, which holds the body, is no longer than that.
        payload[6..8].copy_from_slice(&(signal.body.len() as u16).to_be_bytes());
        payload[8..16].copy_from_slice(&signal.number.to_be_bytes());
        payload[16..20].copy_from_slice(&signal.sequence.to_be_bytes());
        payload[20..28].copy_from_slice(&signal.stamp.to_be_bytes());
        let (body, padding) = payload[FIXED_LEN..].split_at_mut(signal.body.len());
        body.copy_from_slice(signal.body);
        padding.fill(0);
    }
}

/// `N` bytes at `at`, which is a place before the body.
fn array<const N: usize>(fixed: &[u8; FIXED_LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&fixed[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn ends(ethernet: bool) -> [Ends; 2] {
        let addresses: [Ipv6Addr; 2] = ["fe80::1".parse().unwrap(), "fe80::2".parse().unwrap()];
        let macs = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])];
        [0, 1].map(|near| Ends {
            local: addresses[near],
            remote: addresses[1 - near],
            macs: ethernet.then_some((macs[near], macs[1 - near])),
        })
    }

    const ASK: Signal<'_> = Signal {
        kind: Kind::Ask,
        number: 0x0102_0304_0506_0708,
        sequence: 0x0a0b_0c0d,
        stamp: 0x1112_1314_1516_1718,
        body: &[0xee, 0xff],
    };

    #[test]
    fn byte_by_byte() {
        for ethernet in [false, true] {
            let [near, far] = ends(ethernet);
            let mut bytes = vec![0xaa; near.signal_len(2) + 1];
            near.emit(&ASK, &mut bytes);
            let packet = if ethernet {
                assert_eq!(bytes[..14], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
                &bytes[14..]
            } else {
                &bytes[..]
            };
            assert_eq!(packet[..8], [0x6c, 0, 0, 0, 0, 31, 59, 255]);
            assert_eq!(packet[8..40], [near.local.octets(), near.remote.octets()].concat());
            let want = [
                b't', b's', b'm', b'g', 1, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 18, 19, 20,
                21, 22, 23, 24, 0xee, 0xff, 0,
            ];
            assert_eq!(packet[40..], want);
            assert_eq!(far.parse(&bytes), Some(ASK));
        }
    }

    #[test]
    fn only_what_the_far_end_says_to_us_is_a_signal() {
        let [near, far] = ends(false);
        let mut bytes = vec![0; near.signal_len(2)];
        near.emit(&ASK, &mut bytes);
        assert_eq!(near.parse(&bytes), None, "it is ours");
        assert_eq!(ends(true)[1].parse(&bytes), None, "no frame");
        // Next header, hop limit, source, destination, magic, version, and a body that is not there.
        for at in [6, 7, 23, 39, 40, 44, 46] {
            let mut other = bytes.clone();
            other[at] ^= 2;
            assert_eq!(far.parse(&other), None, "{at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(far.parse(&bytes[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(
            kind: u8, number: u64, sequence: u32, stamp: u64, ethernet: bool, padding in 0usize..100,
            body in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let [near, far] = ends(ethernet);
            let signal = Signal { kind: kind.into(), number, sequence, stamp, body: &body };
            let mut bytes = vec![0xaa; near.signal_len(body.len()) + padding];
            near.emit(&signal, &mut bytes);
            prop_assert_eq!(far.parse(&bytes), Some(signal));
        }

        #[test]
        fn random_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..120), at in 0usize..120, ethernet: bool
        ) {
            let [near, far] = ends(ethernet);
            let _ = far.parse(&bytes);
            // And a signal with some of them in its place.
            let mut signal = vec![0; near.signal_len(2)];
            near.emit(&ASK, &mut signal);
            for (to, from) in signal.iter_mut().skip(at).zip(&bytes) {
                *to = *from;
            }
            let _ = far.parse(&signal);
        }
    }
}
