//! What can be wrong with a message, sorted by what follows from it.

use super::notification::Notification;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// What follows from a wrong attribute (RFC 7606 2), the weakest first. A session reset is no
/// [`AttributeError`] but a [`MessageError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approach {
    /// The attribute is dropped, the routes stay.
    AttributeDiscard,
    /// The routes of the UPDATE count as withdrawn.
    TreatAsWithdraw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttributeError {
    /// The attribute's type code.
    pub code: u8,
    pub fault: AttributeFault,
    pub approach: Approach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeFault {
    /// Optional or Transitive is not as the attribute's definition has it (RFC 7606 3 c).
    Flags,
    /// The length does not fit the attribute's kind.
    Length,
    /// The length fits, the content makes no sense.
    Value,
    /// A mandatory attribute is not there (RFC 7606 3 d).
    Missing,
    /// It stands there again; the first one counts (RFC 7606 3 g).
    Repeated,
    /// It reaches beyond the end of the attributes (RFC 7606 4).
    Overrun,
    /// It has no place between autonomous systems (RFC 7606 7.5, 7.9, 7.10; RFC 6793 6).
    NotBetweenAses,
}

/// What ends the session: who reads on would not know where he is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageError {
    /// The marker is not all ones.
    NotSynchronised,
    /// The header's length is outside 19 to 4096 (65535 where both said RFC 8654) or does not fit the type.
    Length(u16),
    UnknownType(u8),
    /// OPEN speaks another version than 4.
    Version(u8),
    /// OPEN's hold time is one or two seconds.
    HoldTime,
    /// OPEN's BGP identifier is zero (RFC 6286).
    Identifier,
    /// OPEN has an optional parameter other than capabilities.
    UnsupportedParameter,
    /// OPEN's optional parameters or capabilities do not add up.
    MalformedOpen,
    /// UPDATE's lengths do not add up, or MP_REACH_NLRI or MP_UNREACH_NLRI stands there twice.
    MalformedAttributeList,
    /// A well-known attribute that we do not know; its bytes.
    UnrecognisedWellKnown(Vec<u8>),
    /// MP_REACH_NLRI or MP_UNREACH_NLRI cannot be read; its bytes.
    OptionalAttribute(Vec<u8>),
    /// A prefix in the withdrawn routes or the NLRI cannot be read.
    Network,
    /// An UPDATE without reachable routes has an attribute whose error asks for more than dropping
    /// it (RFC 7606 5.2).
    NothingToWithdraw(AttributeError),
    /// ROUTE-REFRESH of a wrong length (RFC 7313 5); the whole message.
    RefreshLength(Vec<u8>),
}

impl MessageError {
    /// What the far end is told (RFC 4271 6).
    pub fn notification(&self) -> Notification {
        let (code, subcode, data) = match self {
            MessageError::NotSynchronised => (1, 1, Vec::new()),
            MessageError::Length(length) => (1, 2, length.to_be_bytes().to_vec()),
            MessageError::UnknownType(kind) => (1, 3, alloc::vec![*kind]),
            MessageError::Version(_) => (2, 1, alloc::vec![0, 4]),
            MessageError::HoldTime => (2, 6, Vec::new()),
            MessageError::Identifier => (2, 3, Vec::new()),
            MessageError::UnsupportedParameter => (2, 4, Vec::new()),
            MessageError::MalformedOpen => (2, 0, Vec::new()),
            MessageError::MalformedAttributeList => (3, 1, Vec::new()),
            MessageError::UnrecognisedWellKnown(bytes) => (3, 2, bytes.clone()),
            MessageError::OptionalAttribute(bytes) => (3, 9, bytes.clone()),
            MessageError::Network => (3, 10, Vec::new()),
            MessageError::NothingToWithdraw(_) => (3, 1, Vec::new()),
            MessageError::RefreshLength(bytes) => (7, 1, bytes.clone()),
        };
        Notification { code, subcode, data }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for MessageError {}
