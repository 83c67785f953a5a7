//! Neighbours: the plan's permanent ones, those that EVPN has learned, and those that the kernel found.

use super::fdb::Request;
use super::netlink::{Answer, Netlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteProtocol, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;
use tsumugi_core::desired::{BGP_ROUTE_PROTOCOL, ROUTE_PROTOCOL};
use tsumugi_core::id::Mac;

/// One permanent entry as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourInfo {
    /// Index of its interface.
    pub link: u32,
    pub address: IpAddr,
    pub mac: Mac,
    /// Tagged with our protocol number (`NDA_PROTOCOL`).
    pub ours: bool,
}

/// A neighbour that is not the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEntry {
    /// Index of its interface.
    pub link: u32,
    pub address: IpAddr,
    pub mac: Option<Mac>,
    pub state: HostState,
}

/// How the kernel came to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// It has answered, and its answer is still believed.
    Resolved,
    /// It is looked for, or has not answered.
    Unresolved,
    /// Learned by EVPN: ours.
    Remote,
    /// Set by somebody: the plan, a hand, the kernel for groups.
    Set,
}

impl Netlink {
    /// Every neighbour of the namespace, however it came about.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn hosts(&mut self) -> Answer<Vec<HostEntry>> {
        let found = self.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
        Ok(found.iter().filter_map(host_of).collect())
    }

    /// Asks the neighbours of an interface that were not heard lately whether they are still there. Whoever
    /// does not answer is told of as unresolved.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn ask_stale(&mut self, links: &[u32]) -> Answer<()> {
        let found = self.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
        let is_stale = |message: &RouteNetlinkMessage| match message {
            RouteNetlinkMessage::NewNeighbour(message) => message.header.state == NeighbourState::Stale,
            _ => false,
        };
        let stale = found.iter().filter(|message| is_stale(message)).filter_map(host_of);
        let requests = stale.filter(|host| links.contains(&host.link)).map(|host| {
            let mut message = message_for(host.link, host.address);
            message.header.state = NeighbourState::Probe;
            // Without NLM_F_CREATE: one that is gone by now stays so.
            (RouteNetlinkMessage::NewNeighbour(message), NLM_F_REPLACE)
        });
        let requests: Vec<Request> = requests.collect();
        self.batch(requests).map(drop)
    }

    /// Every permanent neighbour of the namespace.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn neighbours(&mut self) -> Answer<Vec<NeighbourInfo>> {
        let found = self.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))?;
        Ok(found.iter().filter_map(neighbour_of).collect())
    }

    /// Sets a permanent entry, in place of what stands there for the address.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn set_neighbour(&mut self, link: u32, address: IpAddr, mac: Mac) -> Answer<()> {
        let mut message = message_for(link, address);
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::Other(ROUTE_PROTOCOL)));
        self.request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// As if the host had answered the kernel itself: what waits for it is sent, and the entry ages.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn resolve_neighbour(&mut self, link: u32, address: IpAddr, mac: Mac) -> Answer<()> {
        let mut message = message_for(link, address);
        message.header.state = NeighbourState::Reachable;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        self.request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// # Errors
    /// ENOENT if it is not there.
    pub fn delete_neighbour(&mut self, link: u32, address: IpAddr) -> Answer<()> {
        self.request(RouteNetlinkMessage::DelNeighbour(message_for(link, address)), 0)
    }
}

/// A host behind another router, in place of what stands there: such entries do not count against
/// gc_thresh3, and what the kernel hears from the host itself does not change them.
pub fn set_host(bridge: u32, address: IpAddr, mac: Mac) -> Request {
    let mut message = message_for(bridge, address);
    message.header.state = NeighbourState::Noarp;
    message.header.flags = NeighbourFlags::ExtLearned;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::Other(BGP_ROUTE_PROTOCOL)));
    (RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// ENOENT if it is not there.
pub fn delete_host(bridge: u32, address: IpAddr) -> Request {
    (RouteNetlinkMessage::DelNeighbour(message_for(bridge, address)), 0)
}

/// The host that a message tells of or asks for; `None` for forwarding entries.
pub(super) fn host_of(message: &RouteNetlinkMessage) -> Option<HostEntry> {
    let (RouteNetlinkMessage::NewNeighbour(message)
    | RouteNetlinkMessage::DelNeighbour(message)
    | RouteNetlinkMessage::GetNeighbour(message)) = message
    else {
        return None;
    };
    let (mut address, mut mac, mut protocol) = (None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(to)) => address = Some(IpAddr::V4(*to)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(to)) => address = Some(IpAddr::V6(*to)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
            NeighbourAttribute::Protocol(number) => protocol = u8::from(*number),
            _ => {}
        }
    }
    let header = &message.header;
    let state = match header.state {
        _ if header.flags.contains(NeighbourFlags::ExtLearned) && protocol == BGP_ROUTE_PROTOCOL => {
            HostState::Remote
        }
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
            HostState::Resolved
        }
        NeighbourState::None | NeighbourState::Incomplete | NeighbourState::Failed => HostState::Unresolved,
        _ => HostState::Set,
    };
    Some(HostEntry { link: header.ifindex, address: address?, mac, state })
}

/// Whether a message that tells of a neighbour concerns the plan: a permanent one, or one of its own.
pub(super) fn concerns_plan(message: &NeighbourMessage) -> bool {
    let ours = NeighbourAttribute::Protocol(RouteProtocol::Other(ROUTE_PROTOCOL));
    message.header.family != AddressFamily::Bridge
        && (message.header.state == NeighbourState::Permanent || message.attributes.contains(&ours))
}

fn message_for(link: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = link;
    message.header.flags = NeighbourFlags::empty();
    message.header.kind = RouteType::Unspec;
    message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::from(address))];
    message
}

fn neighbour_of(message: &RouteNetlinkMessage) -> Option<NeighbourInfo> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else { return None };
    if message.header.state != NeighbourState::Permanent {
        return None;
    }
    let mut address = None;
    let mut mac = None;
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(to)) => address = Some(IpAddr::V4(*to)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(to)) => address = Some(IpAddr::V6(*to)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
            NeighbourAttribute::Protocol(protocol) => ours = u8::from(*protocol) == ROUTE_PROTOCOL,
            _ => {}
        }
    }
    Some(NeighbourInfo { link: message.header.ifindex, address: address?, mac: mac?, ours })
}
