//! What the client says of itself and of its caches.

use super::pdu::{ErrorCode, Fault};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpkiStatus {
    /// In the order of preference.
    pub caches: Vec<CacheStatus>,
    /// What routes are validated by, exceptions included.
    pub in_force: PayloadCounts,
    /// Whether there is anything to validate by.
    pub present: bool,
    pub slurm: SlurmStatus,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadCounts {
    pub ipv4: u32,
    pub ipv6: u32,
    /// Customers with a list of providers.
    pub aspa: u32,
}

/// The operator's exceptions (RFC 8416).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlurmStatus {
    pub filters: u32,
    pub assertions: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    pub address: SocketAddr,
    pub state: CacheState,
    /// As negotiated, while a session stands.
    pub version: Option<u8>,
    /// Of the data that we have from it.
    pub session: Option<u16>,
    pub serial: Option<u32>,
    pub payloads: PayloadCounts,
    /// Since the cache last said that this is all, in milliseconds.
    pub age_ms: Option<u64>,
    /// Until the data counts no more, in milliseconds.
    pub expires_in_ms: Option<u64>,
    /// Routes are validated by its data.
    pub in_force: bool,
    /// Why the last session or attempt ended.
    pub last_end: Option<CacheEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheState {
    /// A preferred cache is in use.
    Standby,
    /// The time of the next attempt.
    AwaitRetry,
    /// TCP.
    AwaitConnection,
    /// An answer to our query.
    AwaitResponse,
    /// The end of the data that is on its way.
    Receiving,
    /// It has no data yet, and is asked again.
    NoData,
    /// We have what it has.
    Synchronised,
}

/// Why a session with a cache, or an attempt at one, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum CacheEnd {
    /// TCP could not connect, or not in time.
    ConnectFailed,
    /// The cache closed the connection, or it broke.
    Closed,
    /// The cache did not answer, or not to the end.
    Silent,
    /// It has no data (error 2), and is asked again.
    NoData,
    /// It reported an error of ours.
    Reported { code: ErrorCode, text: String },
    /// It speaks no version that we speak.
    NoCommonVersion,
    /// What it sent was wrong.
    Wrong { fault: Fault },
}

/// For the log: once per change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "notice")]
pub enum Notice {
    /// We have all that the cache has.
    Synchronised { cache: SocketAddr, version: u8, payloads: PayloadCounts },
    /// A session that was synchronised has ended; its data counts until it expires or another cache has
    /// answered.
    Lost { cache: SocketAddr, reason: CacheEnd },
    /// An attempt failed for this reason, which is not the last one's.
    Failing { cache: SocketAddr, reason: CacheEnd },
    /// Routes are validated by this cache's data from now on.
    InForce { cache: SocketAddr },
    /// The data has expired: nothing is validated.
    Expired { cache: SocketAddr },
}
