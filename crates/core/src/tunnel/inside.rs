//! Finding one's way in what a tunnel carries: where the IP header and the transport header stand,
//! behind an Ethernet header and VLAN tags where there are any.

use crate::wire::ethernet::{self, ethertype};
use crate::wire::{ip, ipv6};

/// What every packet of a device begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Ethernet,
    /// Nothing: it is an IP packet.
    Ip,
}

/// An IP packet within a frame. All positions are in bytes from the frame's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Where the IP header begins.
    pub ip: usize,
    pub ipv6: bool,
    /// Where the transport header begins, extension headers and options skipped.
    pub transport: usize,
    /// The transport's protocol.
    pub protocol: u8,
    /// Where the IP packet ends: Ethernet may have padded it.
    pub end: usize,
    /// More fragments follow this one, which is the first.
    pub is_cut: bool,
}

impl Located {
    /// Bytes of the IP header, extension headers and options included.
    pub fn ip_header_len(&self) -> usize {
        self.transport - self.ip
    }

    /// Bytes of the VLAN tags in front of it.
    pub fn tags_len(&self) -> usize {
        self.ip.saturating_sub(ethernet::HEADER_LEN)
    }

    /// Whether the IP header is its shortest.
    pub fn is_plain(&self) -> bool {
        self.ip_header_len() == if self.ipv6 { ipv6::HEADER_LEN } else { crate::wire::ipv4::HEADER_LEN }
    }
}

/// `None`: no IP packet, none whose lengths agree, or a fragment other than the first.
pub fn locate(link: Link, frame: &[u8]) -> Option<Located> {
    let at = match link {
        Link::Ip => 0,
        Link::Ethernet => match ethernet::Frame::new_checked(frame).ok()?.behind_tags().ok()? {
            (ethertype::IPV4 | ethertype::IPV6, at) => at,
            _ => return None,
        },
    };
    match ip::Packet::new_checked(&frame[at..]).ok()? {
        ip::Packet::V4(packet) => (packet.fragment_offset() == 0).then(|| Located {
            ip: at,
            ipv6: false,
            transport: at + packet.header_len(),
            protocol: packet.protocol(),
            end: at + packet.total_len(),
            is_cut: packet.more_fragments(),
        }),
        ip::Packet::V6(packet) => {
            let walked = packet.walk().ok()?;
            let fragment = walked.fragment.map_or((0, false), |fragment| (fragment.offset, fragment.more));
            (fragment.0 == 0).then(|| Located {
                ip: at,
                ipv6: true,
                transport: at + ipv6::HEADER_LEN + walked.offset,
                protocol: walked.protocol,
                end: at + packet.total_len(),
                is_cut: fragment.1,
            })
        }
    }
}
