//! Packets that nobody should believe: whole IP packets with whatever source we like.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tsumugi_core::wire::checksum::Checksum;
use tsumugi_core::wire::ip::protocol;
use tsumugi_core::wire::{etherip, ethernet, gre, ipv4, ipv6};

use super::echo::MARK;

/// The port of BFD's control packets (RFC 5881 4).
pub const BFD_PORT: u16 = 3784;
/// VXLAN's port (RFC 7348 5).
pub const VXLAN_PORT: u16 = 4789;
pub const BGP_PORT: u16 = 179;

/// What stands behind the IP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The first segment of a connection.
    TcpSyn {
        source_port: u16,
        port: u16,
    },
    Udp {
        source_port: u16,
        port: u16,
    },
    /// An echo request.
    Echo {
        identifier: u16,
    },
    /// GRE with an IP packet in it.
    Gre {
        key: Option<u32>,
        inner: Vec<u8>,
    },
    /// EtherIP with a frame in it, to everybody, that holds an IP packet.
    EtherIp {
        inner: Vec<u8>,
    },
}

/// Sends whole packets of one family.
pub struct Forger(Socket);

impl Forger {
    /// Opens it in the calling thread's namespace.
    ///
    /// # Errors
    /// If raw sockets are forbidden.
    pub fn open(ipv6: bool, device: Option<&str>) -> io::Result<Forger> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        // IPPROTO_RAW means that the header is ours, in both families.
        let socket = Socket::new(domain, Type::RAW.cloexec(), Some(Protocol::from(libc::IPPROTO_RAW)))?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        Ok(Forger(socket))
    }

    /// Sends a packet made by [`packet`].
    ///
    /// # Errors
    /// If there is no route, or the packet is not of the forger's family.
    pub fn send(&self, destination: IpAddr, packet: &[u8]) -> io::Result<()> {
        self.0.send_to(packet, &SockAddr::from(SocketAddr::new(destination, 0))).map(drop)
    }
}

/// An address of a network that nobody in the lab has.
pub fn nobodys(ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(0x2a0f, 0xe9fe, 0, 0, 0, 0, 0, 0x66))
    } else {
        IpAddr::V4(Ipv4Addr::new(45, 254, 0, 66))
    }
}

/// A packet of either family; `None` if source and destination are of different ones.
pub fn packet(source: IpAddr, destination: IpAddr, content: &Content) -> Option<Vec<u8>> {
    let (number, mut payload) = match content {
        Content::TcpSyn { source_port, port } => (protocol::TCP, tcp_syn(*source_port, *port)),
        Content::Udp { source_port, port } => (protocol::UDP, udp(*source_port, *port)),
        Content::Echo { identifier } if source.is_ipv6() => (protocol::ICMPV6, echo(128, *identifier)),
        Content::Echo { identifier } => (protocol::ICMP, echo(8, *identifier)),
        Content::Gre { key, inner } => (protocol::GRE, in_gre(*key, inner)),
        Content::EtherIp { inner } => (protocol::ETHERIP, in_etherip(inner)),
    };
    fill_checksum(source, destination, number, &mut payload)?;
    let header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let repr = ipv4::Repr {
                source,
                destination,
                protocol: number,
                hop_limit: 64,
                traffic_class: 0,
                identification: rand::random(),
                dont_fragment: false,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: payload.len(),
            };
            let mut header = vec![0; repr.buffer_len()];
            repr.emit(&mut header);
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let repr = ipv6::Repr {
                source,
                destination,
                next_header: number,
                hop_limit: 64,
                traffic_class: 0,
                flow_label: 0,
                payload_len: payload.len(),
            };
            let mut header = vec![0; repr.buffer_len()];
            repr.emit(&mut header);
            header
        }
        _ => return None,
    };
    Some([header, payload].concat())
}

/// Puts the checksum where the protocol has it; `None` if the families differ.
fn fill_checksum(source: IpAddr, destination: IpAddr, number: u8, payload: &mut [u8]) -> Option<()> {
    let at = match number {
        protocol::TCP => 16,
        protocol::UDP => 6,
        protocol::ICMP | protocol::ICMPV6 => 2,
        _ => return Some(()),
    };
    let start = if number == protocol::ICMP {
        Checksum::new()
    } else {
        Checksum::pseudo(source, destination, number, payload.len() as u16)?
    };
    let sum = start.bytes(payload).finish();
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

fn tcp_syn(source_port: u16, port: u16) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes[..2].copy_from_slice(&source_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&rand::random::<u32>().to_be_bytes());
    // Five words of header; SYN; a window.
    bytes[12..16].copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    bytes
}

fn udp(source_port: u16, port: u16) -> Vec<u8> {
    let length = (8 + MARK.len()) as u16;
    let mut bytes = Vec::with_capacity(usize::from(length));
    bytes.extend(source_port.to_be_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(MARK);
    bytes
}

fn echo(kind: u8, identifier: u16) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(identifier.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(MARK);
    bytes
}

fn ethertype_of(inner: &[u8]) -> u16 {
    if tsumugi_core::wire::ip::version(inner) == Some(6) {
        ethernet::ethertype::IPV6
    } else {
        ethernet::ethertype::IPV4
    }
}

fn in_gre(key: Option<u32>, inner: &[u8]) -> Vec<u8> {
    let repr = gre::Repr::new(ethertype_of(inner), key);
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut bytes);
    bytes.extend_from_slice(inner);
    bytes
}

fn in_etherip(inner: &[u8]) -> Vec<u8> {
    let frame = ethernet::Repr {
        destination: tsumugi_core::id::Mac([0xff; 6]),
        source: tsumugi_core::id::Mac([0x02, 0, 0, 0, 0, 0x66]),
        ethertype: ethertype_of(inner),
    };
    let mut bytes = vec![0; etherip::HEADER_LEN + frame.buffer_len()];
    etherip::Repr::default().emit(&mut bytes);
    frame.emit(&mut bytes[etherip::HEADER_LEN..]);
    bytes.extend_from_slice(inner);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    #[test]
    fn others_read_what_we_forge() {
        for (source, destination) in [("192.0.2.1", "198.51.100.1"), ("2001:db8::1", "2001:db8::2")] {
            let (source, destination): (IpAddr, IpAddr) =
                (source.parse().unwrap(), destination.parse().unwrap());
            let syn = packet(source, destination, &Content::TcpSyn { source_port: 1025, port: 179 }).unwrap();
            let sliced = SlicedPacket::from_ip(&syn).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
            assert!(tcp.syn() && !tcp.ack() && tcp.destination_port() == 179);
            let sum = match sliced.net {
                Some(NetSlice::Ipv4(ip)) => {
                    tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
                }
                Some(NetSlice::Ipv6(ip)) => {
                    tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap()
                }
                _ => panic!("no IP"),
            };
            assert_eq!(sum, tcp.checksum());
        }
        assert_eq!(
            packet(
                "192.0.2.1".parse().unwrap(),
                "2001:db8::1".parse().unwrap(),
                &Content::Echo { identifier: 1 }
            ),
            None
        );
    }
}
