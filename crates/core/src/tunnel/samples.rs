//! Packets for the tests of this room, built byte by byte.

use super::inside::Link;
use super::vnet::{Cut, Partial, VnetHeader};
use crate::wire::checksum::Checksum;
use crate::wire::ip::protocol;
use crate::wire::{ipv4, ipv6, tcp};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

/// A TCP segment or a UDP datagram in IP, perhaps in a frame with VLAN tags.
#[derive(Debug, Clone)]
pub struct Sample {
    pub ipv6: bool,
    pub udp: bool,
    /// `None`: no Ethernet header.
    pub tags: Option<usize>,
    pub identification: u16,
    pub dont_fragment: bool,
    pub traffic_class: u8,
    pub port: u16,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
    /// Of TCP: a multiple of four bytes.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample {
            ipv6: false,
            udp: false,
            tags: None,
            identification: 7,
            dont_fragment: true,
            traffic_class: 0,
            port: 40_000,
            sequence: 9,
            acknowledgment: 5,
            flags: tcp::flags::ACK,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }
}

impl Sample {
    pub fn link(&self) -> Link {
        if self.tags.is_some() { Link::Ethernet } else { Link::Ip }
    }

    fn ip_at(&self) -> usize {
        self.tags.map_or(0, |tags| 14 + 4 * tags)
    }

    fn transport_at(&self) -> usize {
        self.ip_at() + if self.ipv6 { 40 } else { 20 }
    }

    fn transport_header_len(&self) -> usize {
        if self.udp { 8 } else { 20 + self.options.len() }
    }

    /// What a device would say of it that wants it cut.
    pub fn vnet(&self, size: usize) -> VnetHeader {
        VnetHeader {
            checksum: Some(Partial { start: self.transport_at(), offset: if self.udp { 6 } else { 16 } }),
            cut: Some((if self.udp { Cut::Udp } else { Cut::Tcp }, size)),
            header_len: self.transport_at() + self.transport_header_len(),
            ipv6: self.ipv6 && !self.udp,
        }
    }

    /// The bytes, checksums right.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(tags) = self.tags {
            bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
            for tag in 0..tags {
                bytes.extend([
                    if tag == 0 && tags > 1 { 0x88 } else { 0x81 },
                    if tag == 0 && tags > 1 { 0xa8 } else { 0 },
                    0,
                    9,
                ]);
            }
            bytes.extend(if self.ipv6 { [0x86, 0xdd] } else { [8, 0] });
        }
        let len = self.transport_header_len() + self.payload.len();
        let protocol = if self.udp { protocol::UDP } else { protocol::TCP };
        let ends: (IpAddr, IpAddr) = if self.ipv6 {
            ("2001:db8:f::1".parse().unwrap(), "2001:db8:f::2".parse().unwrap())
        } else {
            ("198.18.0.1".parse().unwrap(), "198.18.0.2".parse().unwrap())
        };
        self.ip(&mut bytes, ends, protocol, len);
        let mut transport = [self.port.to_be_bytes(), 5201u16.to_be_bytes()].concat();
        let field = if self.udp {
            transport.extend((len as u16).to_be_bytes());
            transport.extend([0, 0]);
            6
        } else {
            transport.extend(self.sequence.to_be_bytes());
            transport.extend(self.acknowledgment.to_be_bytes());
            transport.extend([((20 + self.options.len()) as u8) << 2, self.flags, 4, 0, 0, 0, 0, 0]);
            transport.extend(&self.options);
            16
        };
        transport.extend(&self.payload);
        let sum = Checksum::pseudo(ends.0, ends.1, protocol, len as u16).unwrap().bytes(&transport).finish();
        let sum = if sum == 0 { 0xffff } else { sum };
        transport[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(transport);
        bytes
    }

    fn ip(&self, bytes: &mut Vec<u8>, ends: (IpAddr, IpAddr), protocol: u8, payload_len: usize) {
        let at = bytes.len();
        match ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.resize(at + 20, 0);
                self.ipv4(source, destination, protocol, payload_len).emit(&mut bytes[at..]);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.resize(at + 40, 0);
                self.ipv6(source, destination, protocol, payload_len).emit(&mut bytes[at..]);
            }
            _ => unreachable!(),
        }
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload_len: usize) -> ipv4::Repr {
        ipv4::Repr {
            source,
            destination,
            protocol,
            hop_limit: 64,
            traffic_class: self.traffic_class,
            identification: self.identification,
            dont_fragment: self.dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            payload_len,
        }
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload_len: usize) -> ipv6::Repr {
        ipv6::Repr {
            source,
            destination,
            next_header: protocol,
            hop_limit: 64,
            traffic_class: self.traffic_class,
            flow_label: 3,
            payload_len,
        }
    }
}

/// Any sample with at least one byte of payload.
pub fn any() -> impl Strategy<Value = Sample> {
    let shape = (any_of::<bool>(), any_of::<bool>(), proptest::option::of(0usize..3), any_of::<bool>());
    let words = (any_of::<u16>(), any_of::<u32>(), any_of::<u8>(), 0usize..11);
    let payload = proptest::collection::vec(any_of::<u8>(), 1..9000);
    (shape, words, payload).prop_map(|(shape, words, payload)| Sample {
        ipv6: shape.0,
        udp: shape.1,
        tags: shape.2,
        dont_fragment: shape.3,
        identification: words.0,
        sequence: words.1,
        flags: words.2,
        options: [1].repeat(words.3 * 4),
        payload,
        ..Sample::default()
    })
}

fn any_of<T: Arbitrary>() -> impl Strategy<Value = T> {
    proptest::prelude::any::<T>()
}
