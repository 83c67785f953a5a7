//! Ethernet frames of our own making: what a host sends to everybody, to nobody known, or to say where
//! it is.

use super::echo::MARK;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::id::Mac;
use tsumugi_core::wire::arp::{self, Operation};
use tsumugi_core::wire::checksum::Checksum;
use tsumugi_core::wire::ethernet::{self, ethertype};
use tsumugi_core::wire::ip::protocol;
use tsumugi_core::wire::{ipv4, ipv6};

/// IEEE 802, local experimental EtherType 2: nobody else's. The first is the routers' own probes'.
const EXPERIMENTAL: u16 = 0x88b6;
/// The shortest frame without its checksum (IEEE 802.3 4.2.3.3).
const SHORTEST: usize = 60;

/// Whom a marked frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    Everybody,
    Group,
    /// One that nobody has.
    Nobody,
}

impl Whom {
    pub const ALL: [Whom; 3] = [Whom::Everybody, Whom::Group, Whom::Nobody];

    fn mac(self) -> Mac {
        Mac(match self {
            Whom::Everybody => [0xff; 6],
            // Locally administered both.
            Whom::Group => [0x03, 0x74, 0x73, 0x75, 0x6d, 0x75],
            Whom::Nobody => [0x02, 0x74, 0x73, 0x75, 0x6d, 0x66],
        })
    }
}

/// A frame that is known again by its number.
pub fn marked(source: Mac, whom: Whom, number: u32) -> Vec<u8> {
    let mut frame = header(whom.mac(), source, EXPERIMENTAL);
    frame.extend(MARK);
    frame.extend(number.to_be_bytes());
    frame.resize(SHORTEST, 0);
    frame
}

/// The number of a marked frame; `None` if it is not ours.
pub fn number_of(frame: &[u8]) -> Option<u32> {
    let frame = ethernet::Frame::new_checked(frame).ok()?;
    let number = frame.payload().strip_prefix(&MARK)?.first_chunk::<4>()?;
    (frame.ethertype() == EXPERIMENTAL).then_some(u32::from_be_bytes(*number))
}

/// Says to everybody which MAC an address has: a gratuitous ARP request (RFC 5227 3), an unsolicited
/// neighbour advertisement that overrides (RFC 4861 7.2.6).
pub fn announcement(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp_frame(mac, v4, v4),
        IpAddr::V6(v6) => {
            let all_nodes = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            // Type 136, code, checksum; override; the target; option 2: the target's MAC.
            let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
            message.extend(v6.octets());
            message.extend([2, 1]);
            message.extend(mac.0);
            let length = message.len();
            if let Some(start) = Checksum::pseudo(address, all_nodes.into(), protocol::ICMPV6, length as u16)
            {
                let sum = start.bytes(&message).finish();
                message[2..4].copy_from_slice(&sum.to_be_bytes());
            }
            let repr = ipv6::Repr {
                source: v6,
                destination: all_nodes,
                next_header: protocol::ICMPV6,
                // Or it is not believed (RFC 4861 7.1.2).
                hop_limit: 255,
                traffic_class: 0,
                flow_label: 0,
                payload_len: length,
            };
            let mut packet = vec![0; repr.buffer_len()];
            repr.emit(&mut packet);
            let mut frame = header(Mac([0x33, 0x33, 0, 0, 0, 1]), mac, ethertype::IPV6);
            frame.extend(packet);
            frame.extend(message);
            frame
        }
    }
}

/// Asks everybody on the link who has an IPv4 address (RFC 826).
pub fn arp_question(mac: Mac, own: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    arp_frame(mac, own, wanted)
}

fn arp_frame(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = header(Mac([0xff; 6]), sender_mac, ethertype::ARP);
    let repr =
        arp::Repr { operation: Operation::Request, sender_mac, sender, target_mac: Mac([0; 6]), target };
    let start = frame.len();
    frame.resize(SHORTEST, 0);
    repr.emit(&mut frame[start..]);
    frame
}

/// What an ARP frame says; `None` for any other.
pub fn read_arp(frame: &[u8]) -> Option<arp::Repr> {
    let frame = ethernet::Frame::new_checked(frame).ok()?;
    (frame.ethertype() == ethertype::ARP).then(|| arp::Repr::parse(frame.payload()).ok()).flatten()
}

/// UDP over IPv4 from nobody yet to everybody on the link.
pub fn udp_to_everybody(source: Mac, source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let udp_length = 8 + payload.len();
    let repr = ipv4::Repr {
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::BROADCAST,
        protocol: protocol::UDP,
        hop_limit: 64,
        traffic_class: 0,
        identification: rand::random(),
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: udp_length,
    };
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut packet);
    let mut frame = header(Mac([0xff; 6]), source, ethertype::IPV4);
    frame.extend(packet);
    frame.extend(source_port.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend((udp_length as u16).to_be_bytes());
    // No checksum, which IPv4 allows (RFC 768).
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

fn header(destination: Mac, source: Mac, ethertype: u16) -> Vec<u8> {
    let repr = ethernet::Repr { destination, source, ethertype };
    let mut frame = vec![0; repr.buffer_len()];
    repr.emit(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn marked_frames_are_known_again() {
        for whom in Whom::ALL {
            let frame = marked(OWN, whom, 77);
            assert_eq!(number_of(&frame), Some(77));
            assert_eq!(frame[0] & 1 == 1, whom != Whom::Nobody);
        }
        assert_eq!(number_of(&announcement(OWN, "192.0.2.1".parse().unwrap())), None);
        assert_eq!(number_of(&[0; 20]), None);
    }

    #[test]
    fn others_read_an_announcement() {
        let address: IpAddr = "2001:db8::5".parse().unwrap();
        let frame = announcement(OWN, address);
        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) = (sliced.net, sliced.transport)
        else {
            panic!("no ICMPv6");
        };
        assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()));
        assert_eq!(ip.header().hop_limit(), 255);
    }
}
