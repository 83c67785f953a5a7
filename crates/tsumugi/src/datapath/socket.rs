//! Sockets of the underlay, each bound to one line. Outer packets are built by us and sent raw with
//! their header; what comes in has been reassembled by the kernel, its extension headers walked.

use super::options::{self, Heard};
use crate::kernel::Namespace;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::HOP_LIMIT;
use tsumugi_core::wire::{geneve, ip};

/// Bytes that a burst may wait in before we come to read it, or before the line has taken it.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 4 << 20;

/// SO_PRIORITY of what shall not wait (TC_PRIO_INTERACTIVE): the first band of the kernel's usual queue.
pub const URGENT: i32 = 6;

/// What packets are sent by: bulk has a socket of its own, so that nothing else waits in its room.
pub struct Senders {
    pub bulk: OwnedFd,
    pub urgent: OwnedFd,
}

/// What every packet of one family is sent by.
///
/// # Errors
/// ENODEV while the line is not there; EPERM without CAP_NET_RAW.
pub fn senders(underlay: &Namespace, line: &IfName, ipv6: bool) -> io::Result<Senders> {
    let open = || {
        // It receives nothing: IPPROTO_RAW is for sending only.
        let socket = bound(underlay, line, ipv6, Type::RAW, libc::IPPROTO_RAW)?;
        if !ipv6 {
            options::leave_fragments(&socket)?;
        }
        Ok(socket)
    };
    one_for_each(open)
}

fn one_for_each(open: impl Fn() -> io::Result<Socket>) -> io::Result<Senders> {
    let (bulk, urgent) = (open()?, open()?);
    give_room(&bulk);
    setsockopt(&urgent, sockopt::Priority, &URGENT)?;
    Ok(Senders { bulk: bulk.into(), urgent: urgent.into() })
}

/// Where the packets of one IP protocol and family come in: raw, but for UDP, of which others have other
/// ports. Those of network control alone are too few to need more room than any socket has.
///
/// # Errors
/// As [`senders`]; EADDRINUSE if GENEVE's port is another's.
pub fn receiver(
    underlay: &Namespace,
    line: &IfName,
    ipv6: bool,
    protocol: u8,
    control: bool,
) -> io::Result<OwnedFd> {
    if protocol == ip::protocol::UDP {
        return datagrams(underlay, line, ipv6, None, geneve::PORT);
    }
    let socket = bound(underlay, line, ipv6, Type::RAW, i32::from(protocol))?;
    if !control {
        enlarge(&socket);
    }
    if ipv6 {
        tell_where(&socket, ipv6)?;
    }
    Ok(socket.into())
}

/// What datagrams leave by from `port`, and come in by, at `address` or whatever addresses the line has.
/// The address need not be there yet.
///
/// # Errors
/// As [`senders`]; EADDRINUSE if the port is another's.
pub fn datagrams(
    underlay: &Namespace,
    line: &IfName,
    ipv6: bool,
    address: Option<IpAddr>,
    port: u16,
) -> io::Result<OwnedFd> {
    let socket = bound(underlay, line, ipv6, Type::DGRAM, libc::IPPROTO_UDP)?;
    enlarge(&socket);
    give_room(&socket);
    if ipv6 {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
        socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
    } else {
        socket.set_freebind_v4(true)?;
        socket.set_ttl_v4(HOP_LIMIT.into())?;
    }
    options::let_be_cut(&socket, ipv6)?;
    tell_where(&socket, ipv6)?;
    // Several as one, where the kernel does that.
    let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    let any = if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    socket.bind(&SockAddr::from(SocketAddr::new(address.unwrap_or(any), port)))?;
    Ok(socket.into())
}

/// What packets are sent by past the stack: their next hop is for the sender to know.
///
/// # Errors
/// EPERM without CAP_NET_RAW.
pub fn packet_senders(underlay: &Namespace) -> io::Result<Senders> {
    one_for_each(|| packet(underlay))
}

/// Where the packets of tunnels come in before the stack has seen them, in pieces: those of network control,
/// or all others.
///
/// # Errors
/// ENODEV while the line is not there; EPERM without CAP_NET_RAW.
pub fn packet_receiver(underlay: &Namespace, interface: u32, heard: Heard) -> io::Result<OwnedFd> {
    let socket = packet(underlay)?;
    if !heard.control {
        enlarge(&socket);
    }
    options::take_tunnels_from(&socket, interface, heard)?;
    Ok(socket.into())
}

/// Without a protocol: it receives nothing until it is bound.
fn packet(underlay: &Namespace) -> io::Result<Socket> {
    underlay.run(|| Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), None))
}

/// The address that the line's packets to `destination` have as their source.
///
/// # Errors
/// ENETUNREACH or EADDRNOTAVAIL while the line has no address or no route.
pub fn source_towards(underlay: &Namespace, line: &IfName, destination: IpAddr) -> io::Result<IpAddr> {
    let socket = bound(underlay, line, destination.is_ipv6(), Type::DGRAM, libc::IPPROTO_UDP)?;
    // Connecting a datagram socket sends nothing; any port will do.
    socket.connect(&SockAddr::from(SocketAddr::new(destination, 9)))?;
    let local = socket.local_addr()?.as_socket().ok_or(Errno::EAFNOSUPPORT)?;
    if local.ip().is_unspecified() { Err(Errno::EADDRNOTAVAIL.into()) } else { Ok(local.ip()) }
}

fn bound(underlay: &Namespace, line: &IfName, ipv6: bool, kind: Type, protocol: i32) -> io::Result<Socket> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = underlay.run(|| Socket::new(domain, kind.nonblocking(), Some(Protocol::from(protocol))))?;
    socket.bind_device(Some(line.as_str().as_bytes()))?;
    Ok(socket)
}

/// Best effort: beyond the machine's limit only root may go, and not in every namespace.
fn enlarge(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
}

/// As [`enlarge`], for what waits to leave.
fn give_room(socket: &Socket) {
    if setsockopt(socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::SndBuf, &SEND_BUFFER);
    }
}

/// Asks for the destination and the traffic class with every packet.
fn tell_where(socket: &Socket, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        options::tell_traffic_class(socket)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
        socket.set_recv_tos_v4(true)?;
    }
    Ok(())
}
