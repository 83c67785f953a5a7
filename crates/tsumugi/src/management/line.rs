//! The sockets of one line: UDP of both families, opened in the line's plane, bound to its interface.

use crate::kernel::Namespace;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use tsumugi_core::router_plan::OverlayLine;

/// IPv6's minimum: no path passes less.
const LEAST_MTU: u16 = 1280;

/// A line that is open.
pub struct LineSockets {
    v6: Option<UdpSocket>,
    v4: Option<UdpSocket>,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// On its way; or not, as the network has no way there at the moment.
    Well,
    /// The interface that the socket was bound to is gone.
    LinkGone,
}

impl LineSockets {
    /// `path_mtu`: the smallest of the line's paths in bytes; larger datagrams leave in fragments.
    ///
    /// # Errors
    /// ENODEV: the interface is not there yet; EADDRINUSE: another process has the port.
    pub fn open(namespace: &Namespace, line: &OverlayLine, path_mtu: u16) -> io::Result<LineSockets> {
        namespace.run(|| {
            let v6 = open_one(line, Domain::IPV6, path_mtu);
            let v4 = open_one(line, Domain::IPV4, path_mtu);
            match (v6, v4) {
                // A machine may be without one of the families, not without both.
                (Err(error), Err(_)) => Err(error),
                (v6, v4) => Ok(LineSockets { v6: v6.ok(), v4: v4.ok() }),
            }
        })
    }

    /// Both descriptors, to be waited for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.v6.iter().chain(&self.v4).map(AsFd::as_fd)
    }

    /// A lost datagram is no error: the overlay notices what is not answered.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> Sent {
        let socket = if to.is_ipv6() { &self.v6 } else { &self.v4 };
        let Some(socket) = socket else { return Sent::Well };
        match socket.send_to(bytes, to) {
            Err(error) if is_gone(&error) => Sent::LinkGone,
            _ => Sent::Well,
        }
    }

    /// The next datagram that waits, into `buffer`.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        // Whatever else recv_from says, there is nothing to be read.
        self.v6.iter().chain(&self.v4).find_map(|socket| socket.recv_from(buffer).ok())
    }
}

fn open_one(line: &OverlayLine, domain: Domain, path_mtu: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if let Some(link) = &line.link {
        socket.bind_device(Some(link.as_str().as_bytes()))?;
    }
    let stated = line.address.filter(|address| address.is_ipv6() == (domain == Domain::IPV6));
    let address = if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        // The kernel cuts what is larger than the path; it does not wait to be told by a router.
        options::fragment_ipv6(&socket, path_mtu.max(LEAST_MTU))?;
        stated.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    } else {
        options::fragment_ipv4(&socket)?;
        stated.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    };
    // The address may be given to the line later.
    options::bind_before_address(&socket, domain)?;
    socket.bind(&SocketAddr::new(address, line.listen_port).into())?;
    Ok(socket.into())
}

fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::ENODEV, Errno::ENXIO];
    error.raw_os_error().is_some_and(|number| gone.contains(&Errno::from_raw(number)))
}

/// Socket options that the libraries have no names for.
#[allow(unsafe_code)]
mod options {
    use nix::errno::Errno;
    use nix::libc;
    use socket2::{Domain, Socket};
    use std::io;
    use std::os::fd::AsRawFd;

    /// Fragments no larger than `mtu`, whatever the route says.
    pub fn fragment_ipv6(socket: &Socket, mtu: u16) -> io::Result<()> {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)?;
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU, mtu.into())
    }

    /// Without DF: whoever has to may cut on the way.
    pub fn fragment_ipv4(socket: &Socket) -> io::Result<()> {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)
    }

    pub fn bind_before_address(socket: &Socket, domain: Domain) -> io::Result<()> {
        if domain == Domain::IPV6 {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, 1)
        } else {
            set(socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1)
        }
    }

    fn set(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the option reads one int behind the pointer, which lives across the call.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
        Errno::result(result).map(drop).map_err(io::Error::from)
    }
}
