//! What one plane holds, as far as it concerns us.

use crate::desired::{ALIAS_TAG, Neighbour, Route};
use crate::id::{IfName, Mac, Prefix, Vni};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// All of the namespace's.
    pub links: Vec<ObservedLink>,
    /// All of the namespace's.
    pub addresses: Vec<ObservedAddress>,
    /// Only those tagged as the plan's.
    pub routes: Vec<Route>,
    /// The permanent ones.
    pub neighbours: Vec<ObservedNeighbour>,
    /// Of those that the plan names, the ones that exist, white space made single.
    pub sysctls: BTreeMap<String, String>,
    /// Whether our tables in nftables hold exactly the plan's walls.
    pub walls_in_place: bool,
    /// The links of the initial namespace, where ports wait to be taken; `None` if this plane is the
    /// initial namespace itself.
    pub initial: Option<Vec<ObservedLink>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedLink {
    pub name: IfName,
    /// Empty: none.
    pub alias: String,
    pub kind: ObservedKind,
    /// Bytes.
    pub mtu: u32,
    /// `None` where it carries no Ethernet.
    pub mac: Option<Mac>,
    pub master: Option<IfName>,
    pub up: bool,
    /// Whether the kernel makes link-local addresses on it by itself.
    pub makes_link_local: bool,
    /// Of a bridge, and of a VXLAN device that is a port of one: whether it is set as ours are (see
    /// `TuneBridge` and `TunePort` of [`super::Change`]). True of everything else.
    pub tuned: bool,
}

impl ObservedLink {
    /// Whether it carries our tag.
    pub fn is_ours(&self) -> bool {
        self.alias.starts_with(ALIAS_TAG)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedKind {
    Loopback,
    /// Hardware, or one end of a wire (veth).
    Port,
    /// `parent`: where it is known.
    Macvlan {
        parent: Option<IfName>,
    },
    Bridge,
    Vxlan {
        vni: Vni,
        /// `None`: none stated.
        local: Option<IpAddr>,
        /// Whether the rest is as we make it: UDP port 4789, no learning, no remote or group of its own.
        plain: bool,
    },
    Vlan {
        /// Where it is known.
        parent: Option<IfName>,
        tag: u16,
    },
    /// TUN, TAP, or a tunnel device of the kernel's.
    Tunnel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAddress {
    pub link: IfName,
    pub prefix: Prefix,
    pub origin: AddressOrigin,
}

/// Who made an address. Before Linux 5.18 nobody can tell, and all are foreign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOrigin {
    /// We did: it bears our protocol number.
    Ours,
    /// The kernel made this link-local address by itself.
    Generated,
    /// Somebody else.
    Foreign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNeighbour {
    pub neighbour: Neighbour,
    /// It bears our protocol number.
    pub ours: bool,
}
