//! What travels in VXLAN (RFC 7348): the frames of a segment, seen between routers.

use crate::lab::capture::Piece;
use crate::lab::probe::forge::VXLAN_PORT;
use tsumugi_core::id::Vni;
use tsumugi_core::wire::ethernet;
use tsumugi_core::wire::ip::{Packet, protocol};

/// The headers in front of the inner frame: UDP, and VXLAN's own (RFC 7348 5).
const UDP: usize = 8;
const VXLAN: usize = 8;
/// The flag that a VNI follows.
const HAS_VNI: u8 = 0x08;

/// An IP packet of a host within one of VXLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    pub vni: Vni,
    pub inner: Piece,
}

impl Carried {
    /// From an outer packet, its IP header first. `None`: no VXLAN, a fragment, or no IP within.
    pub fn read(bytes: &[u8]) -> Option<Carried> {
        let outer = Piece::read(bytes)?;
        let is_vxlan = outer.protocol == protocol::UDP
            && outer.fragment.is_none()
            && outer.ports.is_some_and(|(_, destination)| destination == VXLAN_PORT);
        if !is_vxlan {
            return None;
        }
        let packet = Packet::new_checked(bytes).ok()?;
        let udp = match &packet {
            Packet::V4(v4) => v4.payload(),
            Packet::V6(v6) => v6.payload(),
        };
        let header = udp.get(UDP..)?;
        let &[flags, _, _, _, a, b, c, _] = header.first_chunk::<VXLAN>()?;
        if flags & HAS_VNI == 0 {
            return None;
        }
        let frame = ethernet::Frame::new_checked(header.get(VXLAN..)?).ok()?;
        let inner = Piece::read(frame.payload())?;
        Some(Carried { vni: Vni(u32::from_be_bytes([0, a, b, c])), inner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::probe::forge::{Content, packet};
    use std::net::IpAddr;

    #[test]
    fn the_hosts_packet_is_found_within() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (a, b) = (address("198.19.0.1"), address("198.19.0.2"));
        let inner = packet(a, b, &Content::Echo { identifier: 5 }).unwrap();
        let mut udp = vec![0xc0, 0x00, 0x12, 0xb5, 0, 0, 0, 0];
        udp.extend([0x08, 0, 0, 0, 0, 0, 224, 0]);
        udp.extend([2; 12]);
        udp.extend([0x08, 0x00]);
        udp.extend(&inner);
        let length = udp.len() as u16;
        udp[4..6].copy_from_slice(&length.to_be_bytes());
        let mut outer = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        outer[2..4].copy_from_slice(&(20 + length).to_be_bytes());
        outer.extend(&udp);
        let carried = Carried::read(&outer).unwrap();
        assert_eq!((carried.vni, carried.inner.source, carried.inner.length), (Vni(224), a, inner.len()));
        outer[23] = 0xb6;
        assert_eq!(Carried::read(&outer), None);
        assert_eq!(Carried::read(&inner), None);
    }
}
