//! Wire formats, each in one form: a view over bytes that was checked once, and a `Repr` that says
//! what the bytes mean, with `parse`, `emit` and `buffer_len`.
//!
//! Not here: IPv4 options other than to skip them, jumbograms, the routing field of RFC 1701.

pub mod arp;
pub mod bfd;
pub mod bgp;
pub mod bmp;
pub mod checksum;
pub mod echo;
pub mod etherip;
pub mod ethernet;
pub mod geneve;
pub mod gre;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod mrt;
pub mod neighbour_discovery;
pub mod tcp;
pub mod udp;

use core::fmt;

/// Why bytes are not what they should be. Whoever sent them is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the header, or than the header says.
    Truncated,
    /// A version that the format does not have.
    Version,
    /// A length that contradicts itself.
    Length,
    /// The checksum does not agree.
    Checksum,
    /// Bits that have to be zero are not.
    Reserved,
    /// More extension headers than anybody needs.
    TooManyHeaders,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "truncated",
            Malformed::Version => "unknown version",
            Malformed::Length => "contradictory length",
            Malformed::Checksum => "wrong checksum",
            Malformed::Reserved => "reserved bits set",
            Malformed::TooManyHeaders => "too many extension headers",
        })
    }
}

impl core::error::Error for Malformed {}

/// Two bytes at `at`, big-endian. The caller has checked the length.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes at `at`, big-endian. The caller has checked the length.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
