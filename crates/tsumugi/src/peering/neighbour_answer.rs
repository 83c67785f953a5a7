//! A host's answer to a question of ours: an ARP reply (RFC 826) or a neighbour advertisement
//! (RFC 4861 4.4), as a whole Ethernet frame.

use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::id::Mac;
use tsumugi_core::wire::checksum::Checksum;
use tsumugi_core::wire::ethernet::{Frame, ethertype};
use tsumugi_core::wire::ipv6;

/// Ethernet, IPv4, the lengths of their addresses, and "reply".
const ARP_REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// Which address is at which MAC, if the frame is an answer to `asked`: whoever answers, answers the
/// MAC that asked. What RFC 826 and RFC 4861 7.1.2 tell a node to discard is none.
pub fn parse(frame: &[u8], asked: Mac) -> Option<(IpAddr, Mac)> {
    let frame = Frame::new_checked(frame).ok().filter(|frame| frame.destination() == asked)?;
    let (address, mac) = match frame.ethertype() {
        ethertype::ARP => arp(frame.payload())?,
        ethertype::IPV6 => advertisement(frame.payload(), frame.source())?,
        _ => return None,
    };
    // A group's MAC is nobody's, and nobody has all zeros.
    let possible = mac.0[0] & 1 == 0 && mac != Mac([0; 6]);
    let address_possible = !address.is_unspecified() && !address.is_multicast();
    (possible && address_possible).then_some((address, mac))
}

fn arp(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let rest = packet.strip_prefix(&ARP_REPLY)?;
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let address = rest.first_chunk::<4>()?;
    Some((Ipv4Addr::from(*address).into(), Mac(*mac)))
}

fn advertisement(packet: &[u8], sender: Mac) -> Option<(IpAddr, Mac)> {
    let packet = ipv6::Packet::new_checked(packet).ok()?;
    let message = packet.payload();
    let length = u32::try_from(message.len()).ok()?;
    let sum = Checksum::pseudo_v6(packet.source(), packet.destination(), ICMPV6, length).bytes(message);
    let sound = packet.next_header() == ICMPV6 && packet.hop_limit() == 255 && sum.finish() == 0;
    let [NEIGHBOUR_ADVERTISEMENT, 0, ..] = *message else { return None };
    let target: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let mut mac = sender;
    let mut options = &message[24..];
    while !options.is_empty() {
        // Units of 8 octets; zero is invalid (4.6).
        let length = usize::from(*options.get(1)?) * 8;
        let option = if length > 0 { options.get(..length)? } else { return None };
        if option[0] == TARGET_LINK_LAYER_ADDRESS {
            mac = Mac(option.get(2..8)?.try_into().ok()?);
        }
        options = &options[length..];
    }
    sound.then_some((IpAddr::from(target), mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const HOST: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
        [&US.0[..], &HOST.0, &kind.to_be_bytes(), payload].concat()
    }

    fn arp_reply() -> Vec<u8> {
        let mut packet = ARP_REPLY.to_vec();
        packet.extend(HOST.0);
        packet.extend([43, 228, 174, 230]);
        packet.extend(US.0);
        packet.extend([0; 4]);
        packet.resize(46, 0);
        ethernet(ethertype::ARP, &packet)
    }

    fn advertisement_with(hop_limit: u8, options: &[u8]) -> Vec<u8> {
        let (from, to): (Ipv6Addr, Ipv6Addr) =
            ("2402:3160:e00::7".parse().unwrap(), "fe80::1".parse().unwrap());
        let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0];
        message.extend(from.octets());
        message.extend(options);
        let length = u8::try_from(message.len()).unwrap();
        let sum = Checksum::pseudo_v6(from, to, ICMPV6, length.into()).bytes(&message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let header = [&[0x60, 0, 0, 0, 0, length, ICMPV6, hop_limit][..], &from.octets(), &to.octets()];
        ethernet(ethertype::IPV6, &[header.concat(), message].concat())
    }

    #[test]
    fn answers_tell_who_is_where() {
        let v4 = ("43.228.174.230".parse().unwrap(), HOST);
        assert_eq!(parse(&arp_reply(), US), Some(v4));
        assert_eq!(parse(&arp_reply(), HOST), None, "an answer to somebody else");
        let v6 = "2402:3160:e00::7".parse().unwrap();
        assert_eq!(parse(&advertisement_with(255, &[]), US), Some((v6, HOST)));
        let other = Mac([2, 0, 0, 0, 0, 9]);
        let option = [2, 1, 2, 0, 0, 0, 0, 9];
        assert_eq!(parse(&advertisement_with(255, &option), US), Some((v6, other)));
    }

    #[test]
    fn what_is_not_sound_is_no_answer() {
        assert_eq!(parse(&advertisement_with(254, &[]), US), None);
        assert_eq!(parse(&advertisement_with(255, &[2, 0, 2, 0, 0, 0, 0, 9]), US), None);
        assert_eq!(parse(&advertisement_with(255, &[2, 1, 3, 0, 0, 0, 0, 9]), US), None, "a group");
        let mut broken = advertisement_with(255, &[]);
        broken[50] ^= 1;
        assert_eq!(parse(&broken, US), None, "its checksum");
        let mut question = arp_reply();
        question[21] = 1;
        assert_eq!(parse(&question, US), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>, length in 0usize..120) {
            parse(&bytes, US);
            let mut frame = advertisement_with(255, &[2, 1, 2, 0, 0, 0, 0, 9]);
            frame.truncate(length);
            bytes.truncate(20);
            frame.extend(bytes);
            parse(&frame, US);
        }
    }
}
