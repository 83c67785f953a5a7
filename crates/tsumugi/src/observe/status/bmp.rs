//! BMP in the document of `router.sock`.

use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use tsumugi_core::bgp::MonitorCounts;
use tsumugi_core::id::Plane;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmpReport {
    /// Where the collectors are reached.
    pub plane: Plane,
    pub collectors: Vec<CollectorStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorStatus {
    pub address: SocketAddr,
    /// For how long it has been told, in milliseconds; `None`: it is not.
    pub connected_ms: Option<u64>,
    pub connected_count: u32,
    /// Of all its connections.
    pub counts: MonitorCounts,
    /// How the last connection ended.
    pub last_end: Option<CollectorEnd>,
}

/// Why a collector is told nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum CollectorEnd {
    /// It could not be reached.
    ConnectFailed {
        error: String,
    },
    /// It has closed the connection.
    Closed,
    /// It has read nothing for 8 minutes.
    NotReading,
    Broken {
        error: String,
    },
}

impl CollectorEnd {
    pub fn failed(error: &io::Error) -> CollectorEnd {
        CollectorEnd::ConnectFailed { error: error.to_string() }
    }

    /// Of a connection that stood.
    pub fn broken(error: &io::Error) -> CollectorEnd {
        match error.kind() {
            ErrorKind::TimedOut => CollectorEnd::NotReading,
            _ => CollectorEnd::Broken { error: error.to_string() },
        }
    }
}
