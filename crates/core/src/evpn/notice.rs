//! What is said about segments: types here, words in the shell.

use crate::id::{IfName, Mac};
use alloc::string::String;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Why a port takes and gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum BlockReason {
    /// Another port of its LAN forwards.
    Standby,
    /// It has just come up, and another port of its LAN may not have stopped yet.
    TakingOver,
    /// What it sends comes back on this port.
    LoopBehind,
    /// Its LAN is joined by a cable to another port of the network.
    LoopWith { router: u32, port: u16 },
    /// MACs move back and forth between it and the rest of the segment.
    Flapping,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    PortBlocked {
        segment: String,
        port: IfName,
        reason: BlockReason,
    },
    PortOpened {
        segment: String,
        port: IfName,
        reason: BlockReason,
    },
    /// RFC 7432 15.1: a MAC moved too often; it stays where it is until it is quiet.
    DuplicateMac {
        segment: String,
        mac: Mac,
    },
    DuplicateEnded {
        segment: String,
        mac: Mac,
    },
    /// Another VTEP claims a MAC of our own (a gateway's or a router's).
    OurMacClaimed {
        segment: String,
        mac: Mac,
        vtep: IpAddr,
    },
    /// A sticky MAC was heard elsewhere (RFC 7432 15.2).
    StickyMacMoved {
        segment: String,
        mac: Mac,
        port: IfName,
    },
}
