//! Asking a far end that is not ours whether it is there, in a tunnel of Ethernet: by ARP or neighbour
//! solicitation, which no host and no wall leaves unanswered as they do echo requests.

use crate::id::Mac;
use crate::wire::ethernet::{self, Frame, ethertype};
use crate::wire::ip::protocol;
use crate::wire::neighbour_discovery::{self, Advertisement, Solicitation, solicited_node};
use crate::wire::{arp, ipv6};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for any question.
pub const MAX_LEN: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + 32;
/// So many times it is asked where it last was; then everybody is.
const UNICAST: u32 = 3;

/// How a neighbour is spoken to that has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Ours and theirs.
    pub macs: (Mac, Mac),
    pub source: IpAddr,
    pub address: IpAddr,
}

/// Who is asked, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    mac: Mac,
    ends: Ends,
    /// Where the last answer came from.
    known: Option<Mac>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    V4 { source: Ipv4Addr, address: Ipv4Addr },
    V6 { source: Ipv6Addr, address: Ipv6Addr },
}

impl Neighbour {
    /// `None` if the two addresses are not of one family.
    pub fn new(mac: Mac, source: IpAddr, address: IpAddr) -> Option<Neighbour> {
        let ends = match (source, address) {
            (IpAddr::V4(source), IpAddr::V4(address)) => Ends::V4 { source, address },
            (IpAddr::V6(source), IpAddr::V6(address)) => Ends::V6 { source, address },
            _ => return None,
        };
        Some(Neighbour { mac, ends, known: None })
    }

    /// Where it was last, if we have an address to speak from.
    pub fn reached(&self) -> Option<Reached> {
        let (source, address) = match self.ends {
            Ends::V4 { source, address } => (IpAddr::V4(source), IpAddr::V4(address)),
            Ends::V6 { source, address } => (IpAddr::V6(source), IpAddr::V6(address)),
        };
        let known = self.known.filter(|_| !source.is_unspecified());
        known.map(|theirs| Reached { macs: (self.mac, theirs), source, address })
    }

    /// Writes a question and returns its length; `open` is how many have not been answered.
    ///
    /// # Panics
    /// If `buffer` is shorter than [`MAX_LEN`].
    pub fn ask(&self, open: u32, buffer: &mut [u8]) -> usize {
        let known = self.known.filter(|_| open <= UNICAST);
        let (header, rest) = buffer.split_at_mut(ethernet::HEADER_LEN);
        let (destination, ethertype, len) = match self.ends {
            Ends::V4 { source, address } => {
                let request = arp::Repr {
                    operation: arp::Operation::Request,
                    sender_mac: self.mac,
                    sender: source,
                    target_mac: Mac([0; 6]),
                    target: address,
                };
                request.emit(rest);
                (known.unwrap_or(Mac([0xff; 6])), ethertype::ARP, request.buffer_len())
            }
            Ends::V6 { source, address } => {
                let group = solicited_node(address);
                let [.., a, b, c, d] = group.octets();
                let (to, mac) = match known {
                    Some(mac) => (address, mac),
                    // RFC 2464 7.
                    None => (group, Mac([0x33, 0x33, a, b, c, d])),
                };
                let solicitation = Solicitation { target: address, source_mac: Some(self.mac) };
                let packet = ipv6::Repr {
                    source,
                    destination: to,
                    next_header: protocol::ICMPV6,
                    hop_limit: neighbour_discovery::HOP_LIMIT,
                    traffic_class: super::signal::TRAFFIC_CLASS,
                    flow_label: 0,
                    payload_len: solicitation.buffer_len(),
                };
                packet.emit(rest);
                solicitation.emit(source, to, &mut rest[packet.buffer_len()..]);
                (mac, ethertype::IPV6, packet.buffer_len() + solicitation.buffer_len())
            }
        };
        ethernet::Repr { destination, source: self.mac, ethertype }.emit(header);
        ethernet::HEADER_LEN + len
    }

    /// Whether a frame is the answer; where it came from is asked first from now on.
    pub fn is_answered_by(&mut self, frame: &[u8]) -> bool {
        let Ok(frame) = Frame::new_checked(frame) else { return false };
        let from = match (self.ends, frame.ethertype()) {
            (Ends::V4 { address, .. }, ethertype::ARP) => arp::Repr::parse(frame.payload())
                .ok()
                .filter(|arp| arp.operation == arp::Operation::Reply && arp.sender == address)
                .map(|arp| arp.sender_mac),
            // The next header is looked at first: this is done for every frame.
            (Ends::V6 { address, .. }, ethertype::IPV6)
                if frame.payload().get(6) == Some(&protocol::ICMPV6) =>
            {
                let packet = ipv6::Packet::new_checked(frame.payload()).ok();
                packet
                    .and_then(|packet| Advertisement::parse(&packet).ok().flatten())
                    .filter(|advertisement| advertisement.target == address)
                    // A solicitation to one host may be answered without (RFC 4861 4.4).
                    .map(|advertisement| advertisement.target_mac.unwrap_or(frame.source()))
            }
            _ => None,
        };
        self.known = from.or(self.known);
        from.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn neighbour(source: &str, address: &str) -> Neighbour {
        Neighbour::new(OURS, source.parse().unwrap(), address.parse().unwrap()).unwrap()
    }

    fn asked(neighbour: &Neighbour, open: u32) -> Vec<u8> {
        let mut buffer = [0xaa; MAX_LEN];
        let len = neighbour.ask(open, &mut buffer);
        buffer[..len].to_vec()
    }

    #[test]
    fn by_arp() {
        let mut neighbour = neighbour("203.0.113.2", "203.0.113.1");
        let question = asked(&neighbour, 1);
        assert_eq!(question[..14], [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6]);
        assert_eq!(neighbour.reached(), None);
        let mut arp = arp::Repr::parse(&question[14..]).unwrap();
        assert_eq!((arp.sender, arp.target), ([203, 0, 113, 2].into(), [203, 0, 113, 1].into()));
        assert!(!neighbour.is_answered_by(&question), "it is the question");
        arp = arp::Repr {
            operation: arp::Operation::Reply,
            sender_mac: THEIRS,
            sender: arp.target,
            target_mac: OURS,
            target: arp.sender,
        };
        let mut answer = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 6];
        answer.resize(60, 0);
        arp.emit(&mut answer[14..]);
        assert!(neighbour.is_answered_by(&answer));
        assert_eq!(neighbour.reached().map(|reached| reached.macs), Some((OURS, THEIRS)));
        assert_eq!(asked(&neighbour, UNICAST)[..6], THEIRS.0);
        assert_eq!(asked(&neighbour, UNICAST + 1)[..6], [255; 6]);
        answer[31] ^= 1;
        assert!(!neighbour.is_answered_by(&answer), "of another address");
    }

    #[test]
    fn by_neighbour_solicitation() {
        let mut neighbour = neighbour("2001:db8:900:1::2", "2001:db8:900:1::1");
        let question = asked(&neighbour, 1);
        assert_eq!(question[..14], [0x33, 0x33, 0xff, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
        let packet = ipv6::Packet::new_checked(&question[14..]).unwrap();
        assert_eq!((packet.next_header(), packet.hop_limit(), packet.payload().len()), (58, 255, 32));
        assert!(!neighbour.is_answered_by(&question));
        let (source, destination) = (packet.destination(), packet.source());
        let target: Ipv6Addr = "2001:db8:900:1::1".parse().unwrap();
        let mut answer = question.clone();
        answer[54] = 136;
        answer[22..38].copy_from_slice(&target.octets());
        answer[38..54].copy_from_slice(&destination.octets());
        answer[78] = 2;
        answer[80..86].copy_from_slice(&THEIRS.0);
        answer[56..58].copy_from_slice(&[0, 0]);
        let sum = crate::wire::checksum::Checksum::pseudo_v6(target, destination, 58, 32);
        let sum = sum.bytes(&answer[54..]).finish();
        answer[56..58].copy_from_slice(&sum.to_be_bytes());
        assert_ne!(source, target);
        assert!(neighbour.is_answered_by(&answer));
        let again = asked(&neighbour, 2);
        assert_eq!((&again[..6], &again[38..54]), (&THEIRS.0[..], &target.octets()[..]));
    }

    proptest! {
        #[test]
        fn random_frames_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0usize..3) {
            if let Some(ethertype) = bytes.get_mut(12..14) {
                ethertype.copy_from_slice(&[[8, 6], [0x86, 0xdd], [1, 2]][kind]);
            }
            let _ = neighbour("203.0.113.2", "203.0.113.1").is_answered_by(&bytes);
            let _ = neighbour("fe80::2", "fe80::1").is_answered_by(&bytes);
        }
    }
}
