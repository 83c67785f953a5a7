//! MRT files (RFC 6396): tables and messages as routers and route collectors write them down.
//!
//! A file is records one behind the other. Read and written: TABLE_DUMP_V2 (PEER_INDEX_TABLE, RIB_IPV4_UNICAST,
//! RIB_IPV6_UNICAST, and both with path identifiers, RFC 8050). Read only: BGP4MP messages, with path identifiers
//! too, and changes of state, also with microseconds. Skipped, with the reason: everything else.

mod message;
mod table;

#[cfg(test)]
mod tests;

pub use message::{BgpMessage, StateChange};
pub use table::{Peer, PeerIndexTable, Rib, RibEntry};

use alloc::vec::Vec;
use core::fmt;

/// Timestamp, type, subtype, length.
pub const HEADER_LEN: usize = 12;

/// The most bytes of one record's content that are read: 64 thousand peers, or one prefix with as many paths of
/// ordinary length.
pub const CONTENT_MAX: usize = 8 << 20;

const TABLE_DUMP: u16 = 12;
const TABLE_DUMP_V2: u16 = 13;
const BGP4MP: u16 = 16;
/// RFC 6396 3: microseconds stand before the content.
const BGP4MP_ET: u16 = 17;

/// Why a record, or the file from here on, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MrtError {
    /// A record's content is longer than [`CONTENT_MAX`]: nothing behind it is found.
    TooLong(u32),
    /// A field ends beyond the content.
    Truncated,
    /// Something follows the last field.
    Trailing,
    /// A prefix longer than addresses of its family.
    PrefixLength(u8),
    /// Addresses of a family that is neither IPv4 nor IPv6.
    Family(u16),
}

impl fmt::Display for MrtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MrtError::TooLong(length) => write!(f, "a record of {length} bytes"),
            MrtError::Truncated => f.write_str("a field ends beyond its record"),
            MrtError::Trailing => f.write_str("bytes behind the last field"),
            MrtError::PrefixLength(length) => write!(f, "a prefix of {length} bits"),
            MrtError::Family(afi) => write!(f, "addresses of family {afi}"),
        }
    }
}

impl core::error::Error for MrtError {}

/// Why a record that may be sound is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skipped {
    /// TABLE_DUMP, the first form of table dumps, with AS numbers of two octets.
    FirstTableDump,
    /// A table of multicast routes, or of another family.
    OtherFamily,
    /// Any other type: OSPF, IS-IS, or one that nobody has named yet.
    OtherKind { kind: u16, subtype: u16 },
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Seconds since 1970 (UTC).
    pub timestamp: u32,
    pub kind: u16,
    pub subtype: u16,
    pub content: &'a [u8],
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// Whose routes the RIB records behind it speak of.
    PeerIndexTable(PeerIndexTable),
    Rib(Rib<'a>),
    Message(BgpMessage<'a>),
    StateChange(StateChange),
    Skipped(Skipped),
}

impl<'a> Record<'a> {
    /// The first record of a file, and the bytes that it takes; `None` if more bytes are needed.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn first(file: &'a [u8]) -> Result<Option<(Record<'a>, usize)>, MrtError> {
        let Some((&[a, b, c, d, e, f, g, h, i, j, k, l], rest)) = file.split_first_chunk::<HEADER_LEN>()
        else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([i, j, k, l]);
        let size = usize::try_from(length).ok().filter(|&size| size <= CONTENT_MAX);
        let Some(content) = rest.get(..size.ok_or(MrtError::TooLong(length))?) else { return Ok(None) };
        let record = Record {
            timestamp: u32::from_be_bytes([a, b, c, d]),
            kind: u16::from_be_bytes([e, f]),
            subtype: u16::from_be_bytes([g, h]),
            content,
        };
        Ok(Some((record, HEADER_LEN + content.len())))
    }

    /// # Errors
    /// The content is not what the header says. The next record can be read all the same.
    pub fn parse(&self) -> Result<Content<'a>, MrtError> {
        let mut field = Field(self.content);
        if self.kind == BGP4MP_ET {
            field.u32()?;
        }
        match (self.kind, self.subtype) {
            (TABLE_DUMP, _) => Ok(Content::Skipped(Skipped::FirstTableDump)),
            (TABLE_DUMP_V2, subtype) => table::parse(subtype, field),
            (BGP4MP | BGP4MP_ET, subtype) => message::parse(self.kind, subtype, field),
            (kind, subtype) => Ok(Content::Skipped(Skipped::OtherKind { kind, subtype })),
        }
    }
}

/// Appends a record whose content `content` writes.
fn put(out: &mut Vec<u8>, timestamp: u32, kind: u16, subtype: u16, content: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&timestamp.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&subtype.to_be_bytes());
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    content(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// What is left of a content.
#[derive(Debug, Clone, Copy)]
struct Field<'a>(&'a [u8]);

impl<'a> Field<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], MrtError> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(MrtError::Truncated)?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MrtError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(MrtError::Truncated)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u8(&mut self) -> Result<u8, MrtError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, MrtError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, MrtError> {
        self.array().map(u32::from_be_bytes)
    }

    fn end(self) -> Result<(), MrtError> {
        if self.0.is_empty() { Ok(()) } else { Err(MrtError::Trailing) }
    }
}
