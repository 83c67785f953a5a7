//! UDP sockets for BFD: four that hear, and one for each way that is spoken over.

use nix::net::if_::if_indextoname;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use tsumugi_core::bfd::{Path, Received};
use tsumugi_core::wire::bfd::{MULTIHOP_PORT, PORT};

/// Class selector 6: network control (RFC 4594 3.1), in the upper six bits of the octet.
const NETWORK_CONTROL: u32 = 0xc0;
/// RFC 5881 5: "sent with a TTL or Hop Limit value of 255".
const HOP_LIMIT: u32 = 255;
/// SO_PRIORITY of what shall not wait (TC_PRIO_INTERACTIVE): the first band of the kernel's usual queue.
const URGENT: i32 = 6;
/// RFC 5881 4.
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// Tries to find a port that is free among 16384.
const TRIES: u32 = 16;
/// More than any packet of BFD; what is longer is cut, and what was cut off is not looked at.
const BUFFER: usize = 512;

/// What comes to one of the two ports, in one family.
pub struct Ear {
    socket: Socket,
    multihop: bool,
    buffer: [u8; BUFFER],
    control: Vec<u8>,
}

impl Ear {
    /// Both families, both ports, in the calling thread's namespace.
    ///
    /// # Errors
    /// Somebody else has a port.
    pub fn open_all() -> io::Result<Vec<Ear>> {
        let mut ears = Vec::new();
        for (port, multihop) in [(PORT, false), (MULTIHOP_PORT, true)] {
            for any in [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
                ears.push(Ear::open(any, port, multihop)?);
            }
        }
        Ok(ears)
    }

    fn open(any: IpAddr, port: u16, multihop: bool) -> io::Result<Ear> {
        let socket = datagrams(any)?;
        if any.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            socket.set_recv_hoplimit_v6(true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        }
        socket.bind(&SocketAddr::new(any, port).into())?;
        let control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int, libc::in_pktinfo);
        Ok(Ear { socket, multihop, buffer: [0; BUFFER], control })
    }

    /// The next datagram; `None` when nothing waits.
    pub fn receive(&mut self) -> Option<Received<'_>> {
        let (mut from, mut to, mut index, mut hops) = (None, None, None, None);
        let length = {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let (fd, control) = (self.socket.as_raw_fd(), Some(&mut self.control[..]));
            let received = recvmsg::<SockaddrStorage>(fd, &mut slices, control, MsgFlags::empty()).ok()?;
            if let Some(address) = received.address {
                let v6 = address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip()));
                from = v6.or_else(|| address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip())));
            }
            for message in received.cmsgs().into_iter().flatten() {
                match message {
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        to = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                        index = Some(info.ipi6_ifindex);
                    }
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        to = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                        index = u32::try_from(info.ipi_ifindex).ok();
                    }
                    ControlMessageOwned::Ipv6HopLimit(limit) | ControlMessageOwned::Ipv4Ttl(limit) => {
                        hops = u8::try_from(limit).ok();
                    }
                    _ => {}
                }
            }
            received.bytes
        };
        // The kernel always says these; a datagram without them has no session.
        let unknown = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        Some(Received {
            index: index.unwrap_or(0),
            from: from.unwrap_or(unknown),
            to: to.unwrap_or(unknown),
            multihop: self.multihop,
            hops,
            bytes: &self.buffer[..length],
        })
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What one session speaks by: from a port of its own (RFC 5881 4).
pub struct Mouth(Socket);

impl Mouth {
    /// `port`: gives one of 16384 source ports by chance.
    ///
    /// # Errors
    /// The link or our address is not there (yet).
    pub fn open(path: &Path, mut chance: impl FnMut() -> u16) -> io::Result<Mouth> {
        let socket = datagrams(path.local)?;
        let link = if_indextoname(path.index)?;
        socket.bind_device(Some(link.to_bytes()))?;
        if path.local.is_ipv6() {
            socket.set_unicast_hops_v6(HOP_LIMIT)?;
            socket.set_tclass_v6(NETWORK_CONTROL)?;
        } else {
            socket.set_ttl_v4(HOP_LIMIT)?;
            socket.set_tos_v4(NETWORK_CONTROL)?;
        }
        setsockopt(&socket, sockopt::Priority, &URGENT)?;
        let span = SOURCE_PORTS.end() - SOURCE_PORTS.start() + 1;
        let mut tries = 0;
        loop {
            let port = SOURCE_PORTS.start() + chance() % span;
            tries += 1;
            match socket.bind(&address(path.local, port, path.index)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {}
                other => break other?,
            }
        }
        let port = if path.multihop { MULTIHOP_PORT } else { PORT };
        socket.connect(&address(path.remote, port, path.index))?;
        Ok(Mouth(socket))
    }

    /// # Errors
    /// ECONNREFUSED: nobody listened to an earlier one; others as the kernel says. The socket is of use all
    /// the same.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes).map(drop)
    }
}

fn datagrams(family: IpAddr) -> io::Result<Socket> {
    let domain = if family.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))
}

fn address(ip: IpAddr, port: u16, index: u32) -> SockAddr {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, index).into(),
        _ => SocketAddr::new(ip, port).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::process::Command;

    /// By the loopback interface, from and to one address.
    #[test]
    fn a_datagram_tells_where_it_came_from_and_how_far() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root for a network namespace of its own");
            return;
        }
        let space = crate::kernel::Namespace::unnamed().unwrap();
        let test = || {
            let ip = |arguments: &str| {
                assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success());
            };
            ip("link set lo up");
            ip("address add fe80::7/64 dev lo nodad");
            ip("address add 192.0.2.7/32 dev lo");
            let mut ears = Ear::open_all().unwrap();
            let ways = [("fe80::7", false), ("192.0.2.7", false), ("fe80::7", true), ("192.0.2.7", true)];
            for (ear, (address, multihop)) in ears.iter_mut().zip(ways) {
                let local: IpAddr = address.parse().unwrap();
                let path = Path { index: 1, local, remote: local, multihop };
                // The first port is taken by a session before.
                let mut ports = [5, 5, 6].into_iter();
                let first = Mouth::open(&path, || ports.next().unwrap()).unwrap();
                let second = Mouth::open(&path, || ports.next().unwrap()).unwrap();
                for (mouth, port) in [(&first, 49_157), (&second, 49_158)] {
                    let bound = mouth.0.local_addr().unwrap().as_socket().unwrap().port();
                    assert_eq!(bound, port);
                }
                second.send(b"bfd").unwrap();
                let mut fds = [PollFd::new(ear.as_fd(), PollFlags::POLLIN)];
                assert_eq!(poll(&mut fds, PollTimeout::from(5_000u16)).unwrap(), 1, "nothing within 5 s");
                let heard = ear.receive().unwrap();
                assert_eq!((heard.index, heard.from, heard.to, heard.hops), (1, local, local, Some(255)));
                assert_eq!((heard.multihop, heard.bytes), (multihop, &b"bfd"[..]));
                assert!(ear.receive().is_none());
            }
            let path = Path { index: 1, local: "192.0.2.8".parse().unwrap(), ..ways_path() };
            assert_eq!(Mouth::open(&path, || 1).err().unwrap().kind(), io::ErrorKind::AddrNotAvailable);
            Ok(())
        };
        space.run(test).unwrap();
    }

    fn ways_path() -> Path {
        let local = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        Path { index: 1, local, remote: local, multihop: false }
    }
}
