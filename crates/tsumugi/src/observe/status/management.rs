//! The document of `management.sock`.

use super::{Missing, PlanStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tsumugi_core::id::{IfName, KeyName, Plane};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementStatus {
    /// Always "management".
    pub process: String,
    pub pid: u32,
    pub uptime_ms: u64,
    pub plan: PlanStatus,
    pub device: Option<DeviceStatus>,
    pub lines: Vec<OverlayLineStatus>,
    pub members: Vec<MemberStatus>,
    /// Packets and datagrams of the overlay that went no further.
    pub drops: BTreeMap<OverlayDrop, u64>,
    /// Packets that a wall of the management plane dropped, by the name of the reason's counter.
    pub walls: BTreeMap<String, u64>,
    /// What is missing or could not be made.
    pub troubles: Vec<ManagementTrouble>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    pub name: IfName,
    pub mtu: u16,
    pub attached: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayLineStatus {
    pub name: String,
    pub plane: Plane,
    pub link: Option<IfName>,
    pub open: bool,
    pub trouble: Option<Missing>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    pub name: String,
    pub meeting: bool,
    /// Reached over a path of its own or through a meeting point.
    pub reachable: bool,
    /// The line of the path in use.
    pub line: Option<String>,
    /// The meeting point that it is reached through while no path of its own is alive.
    pub through: Option<String>,
    pub paths: Vec<PathStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStatus {
    pub line: String,
    pub endpoint: Option<SocketAddr>,
    pub alive: bool,
    pub in_use: bool,
    /// Since anything was heard from the far end.
    pub heard_ms: Option<u64>,
    /// Since the keys in use were made.
    pub handshake_s: Option<u64>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// Why a packet or a datagram of the overlay went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverlayDrop {
    /// No datagram of WireGuard's, or for a session that is not there (any more).
    NotUnderstood,
    /// A handshake by a key that is no neighbour's on this line.
    UnknownKey,
    /// It did not prove to be from whom it claimed to be.
    NotAuthentic,
    /// From a neighbour with a source that is not behind it.
    FalseSource,
    /// Not from or not to the management space.
    NotOurSpace,
    /// Larger than any MTU that the overlay may have: somebody changed the device by hand.
    TooLarge,
    /// Neither the member nor a meeting point can be reached.
    NoPath,
}

/// What the process lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum ManagementTrouble {
    /// The file of public keys cannot be read.
    KeyRing { error: String },
    /// A private key of ours cannot be read.
    PrivateKey { key: KeyName, error: String },
    /// The key ring has no such key, or not as one can be written.
    PublicKey { key: KeyName, error: String },
    /// The overlay's device cannot be had.
    Device { error: String },
    /// What of the plan could not be made, in the kernel's words.
    NotApplied { error: String },
    /// An interface of the plan is not there.
    NoInterface { link: IfName },
}
