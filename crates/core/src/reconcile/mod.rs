//! What one plane should hold against what it holds: the ordered changes that make them one.
//!
//! There is no separate way to add, to update and to repair: all of it is this comparison. It touches
//! only what is ours, and what is ours says so in the kernel itself, so that a process that was just
//! born knows it:
//!
//! | thing | ours if |
//! |---|---|
//! | link | its alias begins with [`ALIAS_TAG`]; the plan's names are taken and tagged |
//! | address | made with protocol [`ROUTE_PROTOCOL`], or link-local, made by the kernel on a link that must not make any |
//! | route | made with protocol [`ROUTE_PROTOCOL`] (BGP's have another number and another owner) |
//! | neighbour | made with protocol [`ROUTE_PROTOCOL`] |
//! | walls | they stand in our own tables |
//! | sysctl | the plan names it; one that it names no longer keeps its value |
//!
//! What stands there untagged and is as the plan wants it is left as it is, and is not removed when
//! the plan no longer wants it. Tunnel devices are made and removed by the packet processes alone:
//! here they are only looked after while they exist.

mod observed;
mod plan;
#[cfg(test)]
mod tests;

pub use observed::{AddressOrigin, Observed, ObservedAddress, ObservedKind, ObservedLink, ObservedNeighbour};
pub use plan::{plan, waiting};

use crate::desired::{Address, Neighbour, Route, Sysctl};
use crate::id::{IfName, Mac, Vni};
use alloc::string::String;
use core::net::IpAddr;

/// One step towards what is desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    SetSysctl(Sysctl),
    /// Our tables in nftables, at once.
    SetWalls,
    RemoveRoute(Route),
    RemoveNeighbour {
        link: IfName,
        address: IpAddr,
    },
    RemoveAddress(Address),
    /// Something that is made here (a bridge, a macvlan, a VXLAN or VLAN device) and that the plan no
    /// longer names, or names with other properties.
    RemoveLink(IfName),
    /// A port that the plan no longer names: without our tag, back in the initial namespace.
    ReleasePort(IfName),
    /// A port from the initial namespace; it arrives down, without addresses.
    TakePort(IfName),
    MakeMacvlan {
        name: IfName,
        parent: IfName,
    },
    MakeBridge(IfName),
    /// With what never changes: the port of RFC 7348, no learning, no remote of its own.
    MakeVxlan {
        name: IfName,
        vni: Vni,
        local: IpAddr,
    },
    MakeVlan {
        name: IfName,
        parent: IfName,
        tag: u16,
    },
    /// The whole alias, tag included.
    SetAlias {
        link: IfName,
        alias: String,
    },
    SetMac {
        link: IfName,
        mac: Mac,
    },
    /// Bytes.
    SetMtu {
        link: IfName,
        mtu: u32,
    },
    SetMaster {
        link: IfName,
        master: Option<IfName>,
    },
    /// A bridge: no spanning tree (its loops are guarded otherwise, and BPDUs never cross), no multicast
    /// snooping (EVPN floods multicast; a bridge that snoops drops what it has heard no listener for,
    /// and those behind other routers it does not hear), MACs forgotten after 300 s.
    TuneBridge(IfName),
    /// A VXLAN device as a port of its bridge: nothing is learned on it, and neighbour questions that
    /// the bridge can answer do not leave by it.
    TunePort(IfName),
    /// The kernel shall make no link-local addresses on it.
    StopLinkLocal(IfName),
    SetUp(IfName),
    AddAddress(Address),
    SetNeighbour(Neighbour),
    /// In place of what stands for the same prefix and metric.
    SetRoute(Route),
}

impl Change {
    /// The link that the change makes or changes; `None` if it is about no link or about a route.
    pub fn link(&self) -> Option<&IfName> {
        match self {
            Change::SetSysctl(_) | Change::SetWalls | Change::RemoveRoute(_) | Change::SetRoute(_) => None,
            Change::RemoveNeighbour { link, .. }
            | Change::SetAlias { link, .. }
            | Change::SetMac { link, .. }
            | Change::SetMtu { link, .. }
            | Change::SetMaster { link, .. } => Some(link),
            Change::RemoveAddress(address) | Change::AddAddress(address) => Some(&address.link),
            Change::SetNeighbour(neighbour) => Some(&neighbour.link),
            Change::RemoveLink(link)
            | Change::ReleasePort(link)
            | Change::TakePort(link)
            | Change::MakeBridge(link)
            | Change::TuneBridge(link)
            | Change::TunePort(link)
            | Change::StopLinkLocal(link)
            | Change::SetUp(link) => Some(link),
            Change::MakeMacvlan { name, .. }
            | Change::MakeVxlan { name, .. }
            | Change::MakeVlan { name, .. } => Some(name),
        }
    }

    /// Whether it brings a link: without it, no other change to the link can be made.
    pub fn brings_link(&self) -> bool {
        matches!(
            self,
            Change::TakePort(_)
                | Change::MakeBridge(_)
                | Change::MakeMacvlan { .. }
                | Change::MakeVxlan { .. }
                | Change::MakeVlan { .. }
        )
    }
}
