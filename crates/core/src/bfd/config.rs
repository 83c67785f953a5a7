//! What a session is told: its pace from the plan, its way from the links as they are.

use alloc::string::String;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// How a neighbour is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdTerms {
    /// In milliseconds: we send no more often, and ask for no more.
    pub interval: u32,
    /// So many intervals without a packet are a failure; at least 1.
    pub multiplier: u8,
    /// Routers may stand between (RFC 5883): another port, and the hop limit says nothing.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub multihop: bool,
}

impl BfdTerms {
    /// On inside links.
    pub const INSIDE: BfdTerms = BfdTerms { interval: 100, multiplier: 3, multihop: false };
    /// To other networks, where both ends have to keep the pace and neither knows the other's load.
    pub const OUTSIDE: BfdTerms = BfdTerms { interval: 300, multiplier: 3, multihop: false };

    /// Milliseconds until a silence is a failure, if the far end keeps the same pace.
    pub fn detection(&self) -> u32 {
        self.interval.saturating_mul(u32::from(self.multiplier))
    }
}

/// Between whom packets go: what tells a first packet's session (RFC 5881 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The interface's index.
    pub index: u32,
    pub local: IpAddr,
    pub remote: IpAddr,
    pub multihop: bool,
}

/// One session that there is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// The neighbour's: unique.
    pub name: String,
    pub terms: BfdTerms,
    /// `None` while there is none: the link is down, or the far end's address is not known.
    pub path: Option<Path>,
    /// Whether it is watched now. RFC 5882 10.2: that is while its BGP session stands, so that neither a far
    /// end that is still coming up nor one that restarts is called a failure.
    pub active: bool,
}
