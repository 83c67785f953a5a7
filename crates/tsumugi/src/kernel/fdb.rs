//! Forwarding entries: of bridges (a MAC is behind a port) and of VXLAN devices (behind a VTEP).
//!
//! A MAC behind another router stands in both: the bridge sends it to the VXLAN device, the device to
//! the VTEP. Each has its own message, because of one message for both the kernel leaves the second
//! part out when the first fails.

use super::netlink::{Answer, Netlink};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::RouteType;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;
use tsumugi_core::id::Mac;

/// What a VXLAN device does with a frame that it knows no entry for: its entries of this MAC.
pub const EVERYONE: Mac = Mac([0; 6]);

// linux/neighbour.h; a state is a set of them, and the library's type holds but one.
const NUD_REACHABLE: u16 = 0x02;
const NUD_NOARP: u16 = 0x40;

/// One entry as the kernel holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FdbEntry {
    /// Index of the port, of the VXLAN device, or (of its own address) of the bridge.
    pub link: u32,
    pub mac: Mac,
    pub owner: FdbOwner,
    /// Learned from frames, and forgotten again: neither set by anybody nor an address of our own.
    pub heard: bool,
    /// An address of our own.
    pub local: bool,
    /// It cannot move to another port.
    pub sticky: bool,
}

/// Whose entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FdbOwner {
    Bridge {
        /// Its index.
        bridge: u32,
    },
    /// The device's own.
    Device {
        /// `None`: no VXLAN device.
        vtep: Option<IpAddr>,
    },
}

impl Netlink {
    /// Every entry of the namespace.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn fdb(&mut self) -> Answer<Vec<FdbEntry>> {
        let mut request = NeighbourMessage::default();
        request.header.family = AddressFamily::Bridge;
        let found = self.dump(RouteNetlinkMessage::GetNeighbour(request))?;
        Ok(found.iter().filter_map(entry_of).collect())
    }
}

/// A request and its flags, for a batch.
pub type Request = (RouteNetlinkMessage, u16);

/// Frames for everyone, and for nobody known, go to `vtep` too. No error if they do already.
pub fn add_flood(vxlan: u32, vtep: IpAddr) -> Request {
    let mut message = message_for(vxlan, EVERYONE, NeighbourFlags::Own);
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::Destination(vtep.into()));
    (RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_APPEND)
}

/// ENOENT if it is not there.
pub fn delete_flood(vxlan: u32, vtep: IpAddr) -> Request {
    let mut message = message_for(vxlan, EVERYONE, NeighbourFlags::Own);
    message.attributes.push(NeighbourAttribute::Destination(vtep.into()));
    (RouteNetlinkMessage::DelNeighbour(message), 0)
}

/// `mac` is behind `vtep`: in the device and in its bridge, in place of what stands there. Not
/// forgotten with time. `sticky`: the bridge does not let it move to a port.
pub fn set_remote(vxlan: u32, mac: Mac, vtep: IpAddr, sticky: bool) -> [Request; 2] {
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    let mut device = message_for(vxlan, mac, NeighbourFlags::Own | NeighbourFlags::ExtLearned);
    // As `bridge fdb ... static` does: the device takes nothing that is neither permanent nor reachable,
    // and what is reachable alone goes when the device goes down.
    device.header.state = NeighbourState::Other(NUD_NOARP | NUD_REACHABLE);
    device.attributes.push(NeighbourAttribute::Destination(vtep.into()));
    // The kernel heeds stickiness only on what was not learned externally.
    let how = if sticky { NeighbourFlags::Sticky } else { NeighbourFlags::ExtLearned };
    let mut bridge = message_for(vxlan, mac, NeighbourFlags::Controller | how);
    bridge.header.state = NeighbourState::Noarp;
    // The device first: the bridge must not send it what it would flood.
    [device, bridge].map(|message| (RouteNetlinkMessage::NewNeighbour(message), flags))
}

/// ENOENT where it is not there; in the bridge it is not if it moved to a port.
pub fn delete_remote(vxlan: u32, mac: Mac) -> [Request; 2] {
    [NeighbourFlags::Controller, NeighbourFlags::Own]
        .map(|owner| (RouteNetlinkMessage::DelNeighbour(message_for(vxlan, mac, owner)), 0))
}

fn message_for(link: u32, mac: Mac, flags: NeighbourFlags) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = link;
    message.header.flags = flags;
    message.header.kind = RouteType::Unspec;
    message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.0.to_vec())];
    message
}

/// The entry that a message tells of; `None` for those of other families.
pub(super) fn entry_of(message: &RouteNetlinkMessage) -> Option<FdbEntry> {
    let (RouteNetlinkMessage::NewNeighbour(message) | RouteNetlinkMessage::DelNeighbour(message)) = message
    else {
        return None;
    };
    let header = &message.header;
    if header.family != AddressFamily::Bridge {
        return None;
    }
    let (mut mac, mut bridge, mut vtep) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
            NeighbourAttribute::Controller(index) => bridge = Some(*index),
            NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => vtep = address_of(bytes),
            _ => {}
        }
    }
    let of_bridge = bridge.filter(|_| !header.flags.contains(NeighbourFlags::Own));
    let set = matches!(header.state, NeighbourState::Permanent | NeighbourState::Noarp);
    Some(FdbEntry {
        link: header.ifindex,
        mac: mac?,
        owner: of_bridge.map_or(FdbOwner::Device { vtep }, |bridge| FdbOwner::Bridge { bridge }),
        local: of_bridge.is_some() && header.state == NeighbourState::Permanent,
        heard: !set && !header.flags.contains(NeighbourFlags::ExtLearned),
        sticky: header.flags.contains(NeighbourFlags::Sticky),
    })
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}
