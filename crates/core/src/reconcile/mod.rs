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
//! | walls | they stand in our own table |
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
use crate::id::{IfName, Mac};
use alloc::string::String;
use core::net::IpAddr;

/// One step towards what is desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    SetSysctl(Sysctl),
    /// Our whole table in nftables, at once.
    SetWalls,
    RemoveRoute(Route),
    RemoveNeighbour {
        link: IfName,
        address: IpAddr,
    },
    RemoveAddress(Address),
    /// A bridge or a macvlan that the plan no longer names.
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
    /// The kernel shall make no link-local addresses on it.
    StopLinkLocal(IfName),
    SetUp(IfName),
    AddAddress(Address),
    SetNeighbour(Neighbour),
    /// In place of what stands for the same prefix and metric.
    SetRoute(Route),
}
