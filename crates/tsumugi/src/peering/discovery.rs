//! The raw ICMPv6 socket of the fabric on which router advertisements are sent and heard.

use super::advertisement::{HOP_LIMIT, Message, Outgoing, TYPES};
use super::host_advertisement::ToHosts;
use super::options;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

pub struct DiscoverySocket {
    socket: Socket,
    /// Links whose solicitations (to all routers) reach us.
    joined: BTreeSet<u32>,
}

/// A message that passed all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardMessage {
    pub index: u32,
    pub source: Ipv6Addr,
    pub message: Message,
}

impl DiscoverySocket {
    /// # Errors
    /// No right to raw sockets in the namespace.
    pub fn open() -> io::Result<DiscoverySocket> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6))?;
        options::hear_only(&socket, &TYPES)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        socket.set_recv_hoplimit_v6(true)?;
        socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
        socket.set_multicast_hops_v6(HOP_LIMIT.into())?;
        socket.set_multicast_loop_v6(false)?;
        Ok(DiscoverySocket { socket, joined: BTreeSet::new() })
    }

    /// Hears solicitations on exactly these links.
    pub fn listen_on(&mut self, links: impl Iterator<Item = u32>) {
        let wanted: BTreeSet<u32> = links.collect();
        for gone in self.joined.difference(&wanted) {
            // The kernel has left for us if the interface is gone.
            let _ = self.socket.leave_multicast_v6(&ALL_ROUTERS, *gone);
        }
        // A router is a member already where the kernel forwards; a failure costs an answer only,
        // and advertisements are sent every few seconds anyway.
        self.joined = wanted.into_iter().filter(|&index| self.join(index).is_ok()).collect();
    }

    fn join(&self, index: u32) -> io::Result<()> {
        if self.joined.contains(&index) { Ok(()) } else { self.socket.join_multicast_v6(&ALL_ROUTERS, index) }
    }

    /// # Errors
    /// The link is down or gone, or does not have the source address (yet).
    pub fn send(&self, outgoing: &Outgoing) -> io::Result<()> {
        let to = match outgoing.message {
            Message::Solicitation => ALL_ROUTERS,
            Message::Advertisement => ALL_NODES,
        };
        self.send_bytes(outgoing.index, outgoing.source, to, outgoing.message.bytes())
    }

    /// # Errors
    /// As [`DiscoverySocket::send`].
    pub fn send_to_hosts(&self, outgoing: &ToHosts) -> io::Result<()> {
        self.send_bytes(outgoing.index, outgoing.source, ALL_NODES, &outgoing.bytes)
    }

    fn send_bytes(&self, index: u32, source: Ipv6Addr, to: Ipv6Addr, bytes: &[u8]) -> io::Result<()> {
        let to = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, index));
        let info =
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: index };
        let control = [ControlMessage::Ipv6PacketInfo(&info)];
        let bytes = [IoSlice::new(bytes)];
        sendmsg(self.socket.as_raw_fd(), &bytes, &control, MsgFlags::empty(), Some(&to))?;
        Ok(())
    }

    /// The next message that is worth hearing; `None` when nothing waits.
    pub fn receive(&self) -> Option<HeardMessage> {
        loop {
            let mut buffer = [0; 1500];
            let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
            let (bytes, source, index, hop_limit) = {
                let mut slices = [IoSliceMut::new(&mut buffer)];
                let received = recvmsg::<SockaddrIn6>(
                    self.socket.as_raw_fd(),
                    &mut slices,
                    Some(&mut control),
                    MsgFlags::empty(),
                )
                .ok()?;
                let (mut index, mut hop_limit) = (None, None);
                for message in received.cmsgs().ok()? {
                    match message {
                        ControlMessageOwned::Ipv6PacketInfo(info) => index = Some(info.ipi6_ifindex),
                        ControlMessageOwned::Ipv6HopLimit(limit) => hop_limit = u8::try_from(limit).ok(),
                        _ => {}
                    }
                }
                (received.bytes, received.address.map(|address| address.ip()), index, hop_limit)
            };
            if let (Some(source), Some(index), Some(hop_limit)) = (source, index, hop_limit)
                && let Some(message) = Message::parse(&buffer[..bytes], source, hop_limit)
            {
                return Some(HeardMessage { index, source, message });
            }
        }
    }
}

impl AsFd for DiscoverySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
