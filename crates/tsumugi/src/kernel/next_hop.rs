//! Where a packet would go next: what the kernel's routes and neighbours say, for whoever sends past
//! them.

use super::Namespace;
use super::netlink::{Answer, Netlink};
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use tsumugi_core::id::Mac;

// Multicast groups of linux/rtnetlink.h.
const RTNLGRP_NEIGH: u32 = 3;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;

const READ: usize = 32 << 10;

impl Netlink {
    /// The address of the next hop on interface `link` for packets from `source` to `destination`: that
    /// of a router, or the destination itself. `None`: they do not go out by this interface.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn next_hop(
        &mut self,
        link: u32,
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> Answer<Option<IpAddr>> {
        let bits = if destination.is_ipv4() { 32 } else { 128 };
        let mut request = RouteMessage::default();
        request.header.address_family = family(destination);
        request.header.destination_prefix_length = bits;
        request.attributes.push(RouteAttribute::Destination(address(destination)));
        if let Some(source) = source {
            request.header.source_prefix_length = bits;
            request.attributes.push(RouteAttribute::Source(address(source)));
        }
        request.attributes.push(RouteAttribute::Oif(link));
        let answer = match self.get(RouteNetlinkMessage::GetRoute(request)) {
            Ok(answer) => answer,
            Err(error)
                if [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL].iter().any(|e| error.is(*e)) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(RouteNetlinkMessage::NewRoute(route)) = answer else { return Ok(None) };
        let mut hop = Some(destination);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Oif(index) if *index != link => return Ok(None),
                RouteAttribute::Gateway(RouteAddress::Inet(via)) => hop = Some(IpAddr::V4(*via)),
                RouteAttribute::Gateway(RouteAddress::Inet6(via)) => hop = Some(IpAddr::V6(*via)),
                RouteAttribute::Via(RouteVia::Inet(via)) => hop = Some(IpAddr::V4(*via)),
                RouteAttribute::Via(RouteVia::Inet6(via)) => hop = Some(IpAddr::V6(*via)),
                // Encapsulated by the route itself: not for us.
                RouteAttribute::Encap(_) => hop = None,
                _ => {}
            }
        }
        Ok(hop.filter(|_| route.header.kind == RouteType::Unicast))
    }

    /// The Ethernet address of a neighbour, if the kernel holds it for good, and has the kernel make sure
    /// of it as if it had just sent there (`NTF_USE`): who sends past the stack has to.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn neighbour_in_use(&mut self, link: u32, neighbour: IpAddr) -> Answer<Option<Mac>> {
        let mut request = NeighbourMessage::default();
        request.header.family = family(neighbour);
        request.header.ifindex = link;
        request.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::from(neighbour))];
        let answer = match self.get(RouteNetlinkMessage::GetNeighbour(request.clone())) {
            Ok(answer) => answer,
            Err(error) if error.is(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        let found = match answer {
            Some(RouteNetlinkMessage::NewNeighbour(found)) => Some(found),
            _ => None,
        };
        let state = found.as_ref().map_or(NeighbourState::None, |found| found.header.state);
        if !matches!(state, NeighbourState::Permanent | NeighbourState::Noarp | NeighbourState::Reachable) {
            request.header.flags = NeighbourFlags::Use;
            request.header.state = NeighbourState::None;
            self.request(RouteNetlinkMessage::NewNeighbour(request), NLM_F_CREATE)?;
        }
        let is_good = !matches!(
            state,
            NeighbourState::None
                | NeighbourState::Incomplete
                | NeighbourState::Failed
                | NeighbourState::Noarp
        );
        Ok(found.filter(|_| is_good).and_then(|found| {
            found.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok().map(Mac),
                _ => None,
            })
        }))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

/// Hears that a route or a neighbour has changed. Its descriptor is readable while something waits.
pub struct HopWatch {
    socket: Socket,
    buffer: Vec<u8>,
}

impl HopWatch {
    /// # Errors
    /// Those of a socket.
    pub fn open(namespace: &Namespace) -> io::Result<HopWatch> {
        let socket = namespace.run(|| {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            for group in [RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] {
                socket.add_membership(group)?;
            }
            socket.set_non_blocking(true)?;
            Ok(socket)
        })?;
        Ok(HopWatch { socket, buffer: vec![0; READ] })
    }

    /// Whether anything was heard since the last time; what it was is read from the kernel anew.
    pub fn heard(&mut self) -> bool {
        let mut heard = false;
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => heard = true,
                // ENOBUFS: more than fits. That is news too.
                Err(Errno::ENOBUFS) => heard = true,
                Err(Errno::EINTR) => {}
                Err(_) => return heard,
            }
        }
    }
}

impl AsFd for HopWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
