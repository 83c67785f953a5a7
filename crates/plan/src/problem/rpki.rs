//! What is wrong with route validation.

use serde::Serialize;
use std::net::SocketAddr;

/// RPKI: caches, and what becomes of invalid routes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RpkiProblem {
    /// An address that no cache can have: unspecified, loopback, link-local, multicast, or port 0.
    CacheUnusable { cache: SocketAddr },
    /// Reached in the management plane, but in the AS's own prefixes, which are in the fabric.
    CacheInFabric { cache: SocketAddr },
    /// Reached in the fabric, but in the management space.
    CacheInManagement { cache: SocketAddr },
    /// A peer says what becomes of invalid routes, and nothing says which are.
    InvalidUnknown,
}
