//! Why a packet was not taken.

use crate::wire::Malformed;
use serde::{Deserialize, Serialize};

/// In the order of RFC 5880 6.8.6, after what RFC 5881 5 asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BfdDrop {
    /// It has crossed a router, or may have: its hop limit is not 255 (RFC 5881 5).
    Hops,
    /// Shorter than a packet, or than it says.
    Truncated,
    Version,
    /// A length field that no packet has.
    Length,
    /// A multiplier of zero.
    NoMultiplier,
    /// Of a point-to-multipoint session.
    Multipoint,
    /// Its sender's discriminator is zero.
    NoDiscriminator,
    /// It names a session of ours that is not there, or is another's.
    UnknownSession,
    /// It names no session of ours and says that its own is on its way up: it should know ours.
    Unnamed,
    /// No neighbour of the plan has its addresses on its link.
    Stranger,
    /// From a neighbour that is not watched now.
    Inactive,
    /// It carries authentication, and none was agreed on.
    Authenticated,
    /// We have switched the session off.
    AdminDown,
}

impl From<Malformed> for BfdDrop {
    fn from(malformed: Malformed) -> BfdDrop {
        match malformed {
            Malformed::Version => BfdDrop::Version,
            Malformed::Truncated => BfdDrop::Truncated,
            _ => BfdDrop::Length,
        }
    }
}
