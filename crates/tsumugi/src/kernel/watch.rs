//! Hears of changes in a namespace as the kernel announces them.

use super::Namespace;
use super::fdb::{self, FdbEntry};
use super::hop_objects::owner_of_object;
use super::link::{LinkInfo, link_of};
use super::neighbour::{self, HostEntry};
use super::netlink::{Messages, decode, message_port};
use super::packet;
use netlink_packet_core::{NLM_F_REPLACE, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use tsumugi_core::desired::{BGP_ROUTE_PROTOCOL, ROUTE_PROTOCOL};

// Multicast groups of linux/rtnetlink.h and linux/netfilter/nfnetlink.h.
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_NEIGH: u32 = 3;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_IPV4_NETCONF: u32 = 24;
const RTNLGRP_IPV6_NETCONF: u32 = 25;
const RTNLGRP_NEXTHOP: u32 = 32;
const NFNLGRP_NFTABLES: u32 = 7;
// Message types of linux/rtnetlink.h.
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
// NFNL_SUBSYS_NFTABLES and message types of linux/netfilter/nf_tables.h.
const NEW_ELEMENT: u16 = 10 << 8 | 12;
const DELETE_ELEMENT: u16 = 10 << 8 | 14;
const NEW_GENERATION: u16 = 10 << 8 | 15;

/// Wanted bytes of a receive buffer: ten thousand MACs heard at once (a notification takes up to 1 KiB
/// of it). An ordinary user gets less: then there are more overflows, and after an overflow everything
/// is read again.
const RECEIVE_BUFFER: usize = 8 << 20;
const READ: usize = 32 << 10;

/// What was heard since the last time.
#[derive(Debug, Default)]
pub struct Heard {
    /// Interfaces that appeared, changed or went (then `true`), in order.
    pub links: Vec<(LinkInfo, bool)>,
    /// Something of ours may have been changed by somebody else.
    pub ours: bool,
    /// A route of BGP's may have been changed by somebody else, or lost with an address or a link.
    pub dynamic: bool,
    /// Forwarding entries and neighbours, in order; only after [`Watch::include_neighbours`].
    pub neighbours: Vec<NeighbourNotice>,
    /// Some table of nftables was changed.
    pub walls: bool,
    /// Announcements were lost: everything must be read again.
    pub overflow: bool,
}

/// What the kernel tells of a neighbour, in the layer of Ethernet or of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourNotice {
    Mac {
        entry: FdbEntry,
        gone: bool,
    },
    Host {
        entry: HostEntry,
        gone: bool,
    },
    /// The kernel wants to know an address and asks programs for it (`app_solicit`).
    Asked {
        link: u32,
        address: IpAddr,
    },
}

/// A subscription in one namespace. Its descriptor is readable while something waits to be heard.
pub struct Watch {
    poll: Epoll,
    route: Socket,
    /// `None` where the kernel has no nftables.
    walls: Option<Socket>,
    buffer: Vec<u8>,
    heard: Heard,
}

impl Watch {
    /// All that a plane is made of.
    ///
    /// # Errors
    /// Those of sockets.
    pub fn plane(namespace: &Namespace) -> io::Result<Watch> {
        let groups = [
            RTNLGRP_LINK,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV6_IFADDR,
            RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV6_ROUTE,
            RTNLGRP_IPV4_NETCONF,
            RTNLGRP_IPV6_NETCONF,
        ];
        let watch = namespace.run(|| Watch::open(&groups, true))?;
        // A kernel without has nothing to say of them.
        let _ = watch.route.add_membership(RTNLGRP_NEXTHOP);
        Ok(watch)
    }

    /// Hears of neighbours and forwarding entries too. Not from the beginning: every address that is resolved
    /// makes two announcements.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn include_neighbours(&self) -> io::Result<()> {
        self.route.add_membership(RTNLGRP_NEIGH)
    }

    /// Links alone: for ports that wait in the initial namespace.
    ///
    /// # Errors
    /// Those of sockets.
    pub fn links(namespace: &Namespace) -> io::Result<Watch> {
        namespace.run(|| Watch::open(&[RTNLGRP_LINK], false))
    }

    /// The routes that the socket with this port number sets and deletes are not announced here at all: a full
    /// table of our own would leave no room in the buffer for what others do.
    ///
    /// # Errors
    /// Those of a socket's filter. What is announced all the same [`Watch::hear`] does not tell of.
    pub fn ignore_routes_of(&self, port: u32) -> io::Result<()> {
        // Of `struct nlmsghdr`, which is in the machine's order, while a filter loads in the network's.
        const TYPE: u32 = 4;
        const PORT: u32 = 12;
        const SET: u32 = u16::from_be(RTM_NEWROUTE) as u32;
        const DELETED: u32 = u16::from_be(RTM_DELROUTE) as u32;
        let op = |code, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let filter = [
            op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, TYPE),
            op(is, 1, 0, SET),
            op(is, 0, 2, DELETED),
            op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, PORT),
            op(is, 1, 0, u32::from_be(port)),
            op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
            op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        ];
        packet::attach(&self.route, &filter)
    }

    fn open(groups: &[u32], walls: bool) -> io::Result<Watch> {
        let route = subscribe(NETLINK_ROUTE, groups)?;
        let walls = if walls { subscribe(NETLINK_NETFILTER, &[NFNLGRP_NFTABLES]).ok() } else { None };
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for socket in std::iter::once(&route).chain(&walls) {
            poll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        }
        Ok(Watch { poll, route, walls, buffer: vec![0; READ], heard: Heard::default() })
    }

    /// Takes all that waits. Changes made by the socket whose port is `own` are not told of, links
    /// excepted.
    pub fn hear(&mut self, own: u32) -> Heard {
        self.listen(own);
        if let Some(walls) = &self.walls {
            drain(walls, &mut self.buffer, &mut self.heard, |part, heard| heard.walls |= touches_walls(part));
        }
        std::mem::take(&mut self.heard)
    }

    /// Takes what waits and keeps it for the next [`Watch::hear`]: so that the answers to many changes
    /// of our own do not overflow the socket. True if there is something.
    pub fn listen(&mut self, own: u32) -> bool {
        drain(&self.route, &mut self.buffer, &mut self.heard, |part, heard| take(part, own, heard));
        let heard = &self.heard;
        heard.overflow
            || heard.ours
            || heard.dynamic
            || !heard.links.is_empty()
            || !heard.neighbours.is_empty()
    }

    /// Forgets what was announced of nftables: after a change of our own.
    pub fn forget_walls(&mut self) {
        if let Some(walls) = &self.walls {
            drain(walls, &mut self.buffer, &mut Heard::default(), |_, _| {});
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.0.as_fd()
    }
}

/// Whether an announcement of nftables may be of a wall: elements of sets come and go with every port
/// that is opened or closed, and each transaction ends with the number of its generation.
fn touches_walls(message: &[u8]) -> bool {
    let kind = message.get(4..6).and_then(|kind| kind.try_into().ok()).map_or(0, u16::from_ne_bytes);
    ![NEW_ELEMENT, DELETE_ELEMENT, NEW_GENERATION].contains(&kind)
}

fn subscribe(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
    for group in groups {
        socket.add_membership(*group)?;
    }
    Ok(socket)
}

fn drain(socket: &Socket, buffer: &mut [u8], heard: &mut Heard, mut take: impl FnMut(&[u8], &mut Heard)) {
    loop {
        match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => {
                for part in Messages(&buffer[..length]) {
                    take(part, heard);
                }
            }
            Err(Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => heard.overflow = true,
            Err(_) => return,
        }
    }
}

fn take(part: &[u8], own: u32, heard: &mut Heard) {
    if let Some(owner) = owner_of_object(part) {
        // Where BGP's routes lead: one that is taken away takes them with it, of which the kernel says nothing more.
        // (Of what goes with a link's carrier it says nothing but that.)
        heard.dynamic |= owner == BGP_ROUTE_PROTOCOL && message_port(part) != own;
        return;
    }
    let Ok(Some(message)) = decode(part) else {
        // Settings (NEWNETCONF) are no type of the library's: whatever it was, look again.
        heard.ours = true;
        return;
    };
    let ours = message.header.port_number == own;
    let replaces = message.header.flags & NLM_F_REPLACE != 0;
    let NetlinkPayload::InnerMessage(object) = message.payload else { return };
    match &object {
        RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_) => {
            let gone = object.is_del_link();
            heard.ours |= !ours;
            if let Some(link) = link_of(&object) {
                heard.links.push((link, gone));
            }
        }
        RouteNetlinkMessage::NewNeighbour(message) | RouteNetlinkMessage::DelNeighbour(message) => {
            heard.ours |= !ours && neighbour::concerns_plan(message);
            let gone = object.is_del_neighbour();
            let mac = fdb::entry_of(&object).map(|entry| NeighbourNotice::Mac { entry, gone });
            let host = || neighbour::host_of(&object).map(|entry| NeighbourNotice::Host { entry, gone });
            heard.neighbours.extend(mac.or_else(host));
        }
        RouteNetlinkMessage::GetNeighbour(_) => {
            let asked = neighbour::host_of(&object);
            let asked = asked.map(|host| NeighbourNotice::Asked { link: host.link, address: host.address });
            heard.neighbours.extend(asked);
        }
        _ if ours => {}
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => {
            heard.ours = true;
            heard.dynamic |= matches!(object, RouteNetlinkMessage::DelAddress(_));
        }
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
            let protocol = u8::from(route.header.protocol);
            // A foreign route can stand in place of one of ours.
            heard.ours |= replaces || protocol == ROUTE_PROTOCOL;
            heard.dynamic |= replaces || protocol == BGP_ROUTE_PROTOCOL;
        }
        _ => heard.ours = true,
    }
}
