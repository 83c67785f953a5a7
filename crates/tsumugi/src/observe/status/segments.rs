//! Segments in the document of `router.sock`.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// What EVPN has for the kernel's bridges: MACs, floods and hosts behind other routers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryCounts {
    pub wanted: usize,
    /// Those that it does not hold: their device is away, or it refused them.
    pub missing: usize,
}

/// The server that gives IPv4 addresses to hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpStatus {
    pub running: bool,
    /// Why it does not run, or did not.
    pub trouble: Option<DhcpTrouble>,
    /// Addresses given that have not run out.
    pub leases: Vec<Ipv4Addr>,
}

/// Why there is no DHCP server. It is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum DhcpTrouble {
    NotInstalled,
    NotStarted {
        error: String,
    },
    /// It ended by itself, with this status.
    Ended {
        status: String,
    },
}
