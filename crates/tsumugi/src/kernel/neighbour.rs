//! Permanent neighbours.

use super::netlink::{Answer, Netlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteProtocol, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;
use tsumugi_core::desired::ROUTE_PROTOCOL;
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

impl Netlink {
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

    /// # Errors
    /// ENOENT if it is not there.
    pub fn delete_neighbour(&mut self, link: u32, address: IpAddr) -> Answer<()> {
        self.request(RouteNetlinkMessage::DelNeighbour(message_for(link, address)), 0)
    }
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
