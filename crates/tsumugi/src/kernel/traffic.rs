//! What an interface has counted.

use super::netlink::{Answer, Netlink};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;
use tsumugi_core::id::IfName;

/// Packets and bytes, seen from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkTraffic {
    pub received_packets: u64,
    pub received_bytes: u64,
    pub sent_packets: u64,
    pub sent_bytes: u64,
    /// Could not be sent (no route, too large) or not be taken.
    pub failed: u64,
}

impl Netlink {
    /// The counters of the interface `name`; `None` if it is not there.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn traffic(&mut self, name: &IfName) -> Answer<Option<LinkTraffic>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.as_str().into()));
        let found = match self.get(RouteNetlinkMessage::GetLink(request)) {
            Ok(Some(RouteNetlinkMessage::NewLink(found))) => found,
            Ok(_) => return Ok(None),
            Err(error) if error.is(Errno::ENODEV) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(found.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Stats64(stats) => Some(LinkTraffic {
                received_packets: stats.rx_packets,
                received_bytes: stats.rx_bytes,
                sent_packets: stats.tx_packets,
                sent_bytes: stats.tx_bytes,
                failed: stats.rx_errors + stats.rx_dropped + stats.tx_errors + stats.tx_dropped,
            }),
            _ => None,
        }))
    }
}
