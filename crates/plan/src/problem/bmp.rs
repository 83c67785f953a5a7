//! What is wrong with collectors.

use serde::Serialize;
use std::net::SocketAddr;

/// BMP: who is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BmpProblem {
    /// An address that no collector can have: unspecified, loopback, link-local, multicast, or port 0.
    CollectorUnusable { collector: SocketAddr },
    /// Reached in the management plane, but in the AS's own prefixes, which are in the fabric.
    CollectorInFabric { collector: SocketAddr },
    /// Reached in the fabric, but in the management space.
    CollectorInManagement { collector: SocketAddr },
}
