//! Sockets of the underlay, each bound to one line. Outer packets are built by us and sent raw with
//! their header; what comes in has been reassembled by the kernel, its extension headers walked.

use super::options;
use crate::kernel::Namespace;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::Fragment;

/// Bytes that a burst may wait in before we come to read it.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Room for the control messages of one packet: packet information and traffic class.
pub const CONTROL_LEN: usize = 128;

/// What every packet of one family is sent by.
///
/// # Errors
/// ENODEV while the line is not there; EPERM without CAP_NET_RAW.
pub fn sender(underlay: &Namespace, line: &IfName, ipv6: bool) -> io::Result<OwnedFd> {
    let socket = bound(underlay, line, ipv6, Type::RAW, libc::IPPROTO_RAW)?;
    if !ipv6 {
        options::leave_fragments(&socket)?;
    }
    // It receives nothing: IPPROTO_RAW is for sending only.
    Ok(socket.into())
}

/// Where the packets of one IP protocol and family come in.
///
/// # Errors
/// As [`sender`].
pub fn receiver(underlay: &Namespace, line: &IfName, ipv6: bool, protocol: u8) -> io::Result<OwnedFd> {
    let socket = bound(underlay, line, ipv6, Type::RAW, i32::from(protocol))?;
    enlarge(&socket);
    if ipv6 {
        tell_where(&socket, ipv6)?;
    }
    Ok(socket.into())
}

/// Where datagrams to `port` come in, at `address` or whatever addresses the line has. The address
/// need not be there yet.
///
/// # Errors
/// As [`sender`]; EADDRINUSE if the port is another's.
pub fn datagrams(
    underlay: &Namespace,
    line: &IfName,
    ipv6: bool,
    address: Option<IpAddr>,
    port: u16,
) -> io::Result<OwnedFd> {
    let socket = bound(underlay, line, ipv6, Type::DGRAM, libc::IPPROTO_UDP)?;
    enlarge(&socket);
    if ipv6 {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    tell_where(&socket, ipv6)?;
    let any = if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    socket.bind(&SockAddr::from(SocketAddr::new(address.unwrap_or(any), port)))?;
    Ok(socket.into())
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

/// Sends one outer packet by a [`sender`].
///
/// # Errors
/// As the kernel says: EAGAIN when its queue is full, ENETUNREACH, EMSGSIZE, EPERM from a wall.
pub fn send(sender: &OwnedFd, fragment: &Fragment<'_>, destination: IpAddr) -> nix::Result<()> {
    let parts = [IoSlice::new(fragment.header()), IoSlice::new(fragment.payload)];
    let fd = sender.as_raw_fd();
    match destination {
        IpAddr::V4(address) => {
            let to = SockaddrIn::from(SocketAddrV4::new(address, 0));
            sendmsg(fd, &parts, &[], MsgFlags::empty(), Some(&to))
        }
        IpAddr::V6(address) => {
            let to = SockaddrIn6::from(SocketAddrV6::new(address, 0, 0, 0));
            sendmsg(fd, &parts, &[], MsgFlags::empty(), Some(&to))
        }
    }
    .map(drop)
}

/// What came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Bytes in the buffer.
    pub len: usize,
    /// The port is zero for raw sockets.
    pub source: SocketAddr,
    /// `None` where the socket was not asked to tell: raw IPv4 has it in the header.
    pub destination: Option<IpAddr>,
    /// DSCP and ECN, where told.
    pub traffic_class: u8,
}

/// Takes one packet. `None`: there is none now, or one that was cut or has no address.
///
/// # Errors
/// As the kernel says; ENETDOWN while the line is down.
pub fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    control: &mut [u8; CONTROL_LEN],
) -> nix::Result<Option<Arrival>> {
    let mut parts = [IoSliceMut::new(buffer)];
    let message = match recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(control),
        MsgFlags::MSG_DONTWAIT,
    ) {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(source) = message.address.as_ref().and_then(address_of) else { return Ok(None) };
    let mut arrival = Arrival { len: message.bytes, source, destination: None, traffic_class: 0 };
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let address = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                arrival.destination = Some(address.into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                arrival.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            ControlMessageOwned::Ipv4Tos(class) => arrival.traffic_class = class,
            ControlMessageOwned::Ipv6TClass(class) => arrival.traffic_class = class as u8,
            _ => {}
        }
    }
    Ok(Some(arrival))
}

fn address_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into()),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()),
        _ => None,
    }
}
