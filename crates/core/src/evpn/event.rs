//! What goes into the segments' machine and what comes out of it.

use super::notice::{BlockReason, Notice};
use crate::bgp::EvpnUpdate;
use crate::desired::BridgeEntry;
use crate::id::{IfName, Mac};
use alloc::vec::Vec;
use core::net::IpAddr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The best path of an EVPN route has changed, or there is none any more.
    Route(EvpnUpdate),
    /// The interface exists and has carrier: a port or a VXLAN device.
    LinkUp(IfName),
    LinkDown(IfName),
    /// The kernel has learned a MAC on a port of a bridge (or it has moved there).
    MacHeard {
        port: IfName,
        mac: Mac,
    },
    /// The kernel has aged it out, or its port is gone.
    MacGone {
        port: IfName,
        mac: Mac,
    },
    /// The kernel has resolved a host's address on a gateway's bridge, or a host has answered us.
    HostHeard {
        bridge: IfName,
        address: IpAddr,
        mac: Mac,
    },
    HostGone {
        bridge: IfName,
        address: IpAddr,
    },
    /// The kernel looks for a host on a gateway's bridge.
    HostSought {
        bridge: IfName,
        address: IpAddr,
    },
    /// Events may have been lost: this is all that the kernel has learned by itself, read after all
    /// that was polled had been put into it.
    Relearned {
        macs: Vec<(IfName, Mac)>,
        hosts: Vec<(IfName, IpAddr, Mac)>,
    },
    /// A frame of the EtherType of our probes was heard on a port, blocked or not.
    ProbeHeard {
        port: IfName,
        frame: &'a [u8],
    },
    /// [`super::Evpn::next_timeout`] has passed (harmless if it has not).
    Timeout,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// For the speaker: what we announce, or no longer do.
    Originate(EvpnUpdate),
    /// [`super::Evpn::poll_entries`] has something: call it until it says that there is no more.
    EntriesReady,
    /// Whether a port may take and give frames. Ports of a shared LAN are blocked until told otherwise,
    /// all others are open. Said once when a port comes up for the first time, whatever a process
    /// before this one left, and then at every change.
    SetPort { port: IfName, blocked: Option<BlockReason> },
    /// Forget what was learned on a port: its hosts may be elsewhere now.
    Flush { port: IfName },
    /// Have the kernel look for a host on a gateway's bridge.
    AskHost { bridge: IfName, address: IpAddr },
    /// An Ethernet frame to send out of a port or a VXLAN device, past the bridge.
    SendFrame { link: IfName, frame: Vec<u8> },
    /// For the log: once per change of state.
    Log(Notice),
}

/// What the kernel should hold. Entries are told apart by VTEP (flood), MAC or host address within their
/// device: a later one takes the place of an earlier one, with no gap between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange {
    pub entry: BridgeEntry,
    /// False: not any more.
    pub present: bool,
}
