//! Addresses of interfaces.

use super::netlink::{Answer, Netlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;
use tsumugi_core::desired::ROUTE_PROTOCOL;
use tsumugi_core::id::Prefix;

/// One address as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressInfo {
    /// Index of its interface.
    pub link: u32,
    /// The address with its prefix length.
    pub prefix: Prefix,
    pub origin: AddressOrigin,
}

/// Who made an address (`IFA_PROTO`, since Linux 5.18; before, nobody can tell).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOrigin {
    /// We did.
    Ours,
    /// The kernel made this link-local address by itself.
    Generated,
    /// Somebody else.
    Foreign,
}

impl Netlink {
    /// Every address of the namespace.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn addresses(&mut self) -> Answer<Vec<AddressInfo>> {
        let found = self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        Ok(found.iter().filter_map(address_of).collect())
    }

    /// Gives an address, tagged as ours, without duplicate detection.
    ///
    /// # Errors
    /// EEXIST if the interface has it already.
    pub fn add_address(&mut self, link: u32, prefix: Prefix) -> Answer<()> {
        let mut message = new_message(link, prefix);
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(ROUTE_PROTOCOL)));
        self.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Gives an address that is nobody's to look after: the lab's, on what is not ours.
    ///
    /// # Errors
    /// EEXIST if the interface has it already.
    pub fn add_foreign_address(&mut self, link: u32, prefix: Prefix) -> Answer<()> {
        let message = new_message(link, prefix);
        self.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// # Errors
    /// EADDRNOTAVAIL if it is not there.
    pub fn delete_address(&mut self, link: u32, prefix: Prefix) -> Answer<()> {
        self.request(RouteNetlinkMessage::DelAddress(message_for(link, prefix)), 0)
    }
}

/// Without duplicate detection, in the scope that fits.
fn new_message(link: u32, prefix: Prefix) -> AddressMessage {
    let mut message = message_for(link, prefix);
    message.header.scope = match prefix.addr() {
        IpAddr::V6(address) if address.is_unicast_link_local() => AddressScope::Link,
        _ => AddressScope::Universe,
    };
    if prefix.addr().is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

fn message_for(link: u32, prefix: Prefix) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if prefix.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix.prefix_len();
    message.header.index = link;
    message.attributes =
        vec![AddressAttribute::Local(prefix.addr()), AddressAttribute::Address(prefix.addr())];
    message
}

fn address_of(message: &RouteNetlinkMessage) -> Option<AddressInfo> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let mut local = None;
    let mut peer = None;
    let mut origin = AddressOrigin::Foreign;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Protocol(AddressProtocol::Other(ROUTE_PROTOCOL)) => {
                origin = AddressOrigin::Ours
            }
            AddressAttribute::Protocol(AddressProtocol::LinkLocal) => origin = AddressOrigin::Generated,
            _ => {}
        }
    }
    let prefix = Prefix::new(local.or(peer)?, message.header.prefix_len).ok()?;
    Some(AddressInfo { link: message.header.index, prefix, origin })
}
