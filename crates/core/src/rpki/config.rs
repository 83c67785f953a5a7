//! What a router is told of RPKI: compiled from the file.

use crate::id::Plane;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpkiConfig {
    /// In the order of preference: the first that answers is used.
    pub caches: Vec<SocketAddr>,
    /// The plane in which they are reached.
    pub plane: Plane,
    /// Seconds for which data of a cache that is lost counts; `None`: as the cache says.
    pub expire: Option<u32>,
    /// A SLURM file (RFC 8416) on the router, absolute or below its state directory.
    pub slurm: Option<String>,
}
