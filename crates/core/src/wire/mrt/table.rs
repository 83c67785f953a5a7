//! TABLE_DUMP_V2 (RFC 6396 4.3, RFC 8050 4.2): first whose routes there are, then the routes, prefix by prefix.

use super::{Content, Field, MrtError, Skipped, TABLE_DUMP_V2, put};
use crate::id::{Asn, Prefix};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PEER_INDEX_TABLE: u16 = 1;
const RIB_IPV4_UNICAST: u16 = 2;
const RIB_IPV6_UNICAST: u16 = 4;
const RIB_IPV4_UNICAST_ADDPATH: u16 = 8;
const RIB_IPV6_UNICAST_ADDPATH: u16 = 10;

/// Bits of a peer's type.
const PEER_IPV6: u8 = 1;
const PEER_AS4: u8 = 2;

/// 4.3.1. Routes name their peers by the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIndexTable {
    /// The BGP identifier of whoever wrote the file.
    pub collector: Ipv4Addr,
    /// Mostly empty. At most 65,535 bytes are written.
    pub view: String,
    /// At most 65,535 are written.
    pub peers: Vec<Peer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub identifier: Ipv4Addr,
    /// Unspecified for routes of the collector's own.
    pub address: IpAddr,
    pub asn: Asn,
}

/// 4.3.2: one prefix, and who announces it how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rib<'a> {
    /// Counts up from 0.
    pub sequence: u32,
    pub prefix: Prefix,
    /// Either all have a path identifier or none has.
    pub entries: Vec<RibEntry<'a>>,
}

/// 4.3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RibEntry<'a> {
    /// The place in the PEER_INDEX_TABLE.
    pub peer: u16,
    /// Seconds since 1970 (UTC).
    pub originated: u32,
    /// RFC 8050: of several routes of one peer.
    pub path_id: Option<u32>,
    /// To be read by [`crate::wire::bgp::Stored`]; at most 65,535 bytes.
    pub attributes: &'a [u8],
}

pub(super) fn parse(subtype: u16, field: Field<'_>) -> Result<Content<'_>, MrtError> {
    let (ipv6, add_path) = match subtype {
        PEER_INDEX_TABLE => return PeerIndexTable::parse(field).map(Content::PeerIndexTable),
        RIB_IPV4_UNICAST => (false, false),
        RIB_IPV6_UNICAST => (true, false),
        RIB_IPV4_UNICAST_ADDPATH => (false, true),
        RIB_IPV6_UNICAST_ADDPATH => (true, true),
        // Multicast and RIB_GENERIC, each without and with path identifiers.
        3 | 5 | 6 | 9 | 11 | 12 => return Ok(Content::Skipped(Skipped::OtherFamily)),
        _ => return Ok(Content::Skipped(Skipped::OtherKind { kind: TABLE_DUMP_V2, subtype })),
    };
    Rib::parse(field, ipv6, add_path).map(Content::Rib)
}

impl PeerIndexTable {
    fn parse(mut field: Field<'_>) -> Result<PeerIndexTable, MrtError> {
        let collector = Ipv4Addr::from(field.array::<4>()?);
        let length = field.u16()?;
        let view = String::from_utf8_lossy(field.take(usize::from(length))?).into_owned();
        let count = field.u16()?;
        let peers = (0..count).map(|_| Peer::parse(&mut field)).collect::<Result<_, _>>()?;
        field.end()?;
        Ok(PeerIndexTable { collector, view, peers })
    }

    /// Appends the record.
    pub fn emit(&self, timestamp: u32, out: &mut Vec<u8>) {
        put(out, timestamp, TABLE_DUMP_V2, PEER_INDEX_TABLE, |out| {
            out.extend_from_slice(&self.collector.octets());
            let view = &self.view.as_bytes()[..self.view.len().min(usize::from(u16::MAX))];
            out.extend_from_slice(&(view.len() as u16).to_be_bytes());
            out.extend_from_slice(view);
            let peers = &self.peers[..self.peers.len().min(usize::from(u16::MAX))];
            out.extend_from_slice(&(peers.len() as u16).to_be_bytes());
            peers.iter().for_each(|peer| peer.emit(out));
        });
    }
}

impl Peer {
    fn parse(field: &mut Field<'_>) -> Result<Peer, MrtError> {
        let kind = field.u8()?;
        let identifier = Ipv4Addr::from(field.array::<4>()?);
        let address = if kind & PEER_IPV6 != 0 {
            IpAddr::V6(Ipv6Addr::from(field.array::<16>()?))
        } else {
            IpAddr::V4(Ipv4Addr::from(field.array::<4>()?))
        };
        let asn = if kind & PEER_AS4 != 0 { field.u32()? } else { u32::from(field.u16()?) };
        Ok(Peer { identifier, address, asn: Asn(asn) })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(PEER_AS4 | if self.address.is_ipv6() { PEER_IPV6 } else { 0 });
        out.extend_from_slice(&self.identifier.octets());
        match self.address {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
        out.extend_from_slice(&self.asn.0.to_be_bytes());
    }
}

impl<'a> Rib<'a> {
    fn parse(mut field: Field<'a>, ipv6: bool, add_path: bool) -> Result<Rib<'a>, MrtError> {
        let sequence = field.u32()?;
        let length = field.u8()?;
        let bytes = field.take(usize::from(length).div_ceil(8))?;
        let prefix = prefix(length, bytes, ipv6).ok_or(MrtError::PrefixLength(length))?;
        let count = field.u16()?;
        let mut entries = Vec::with_capacity(usize::from(count).min(field.0.len() / 8));
        for _ in 0..count {
            entries.push(RibEntry {
                peer: field.u16()?,
                originated: field.u32()?,
                path_id: if add_path { Some(field.u32()?) } else { None },
                attributes: {
                    let length = field.u16()?;
                    field.take(usize::from(length))?
                },
            });
        }
        field.end()?;
        Ok(Rib { sequence, prefix, entries })
    }

    /// Appends the record.
    pub fn emit(&self, timestamp: u32, out: &mut Vec<u8>) {
        let add_path = self.entries.first().is_some_and(|entry| entry.path_id.is_some());
        let subtype = match (self.prefix.addr().is_ipv6(), add_path) {
            (false, false) => RIB_IPV4_UNICAST,
            (true, false) => RIB_IPV6_UNICAST,
            (false, true) => RIB_IPV4_UNICAST_ADDPATH,
            (true, true) => RIB_IPV6_UNICAST_ADDPATH,
        };
        put(out, timestamp, TABLE_DUMP_V2, subtype, |out| {
            out.extend_from_slice(&self.sequence.to_be_bytes());
            crate::wire::bgp::Nlri::emit(&self.prefix, out);
            let entries = &self.entries[..self.entries.len().min(usize::from(u16::MAX))];
            out.extend_from_slice(&(entries.len() as u16).to_be_bytes());
            for entry in entries {
                out.extend_from_slice(&entry.peer.to_be_bytes());
                out.extend_from_slice(&entry.originated.to_be_bytes());
                if add_path {
                    out.extend_from_slice(&entry.path_id.unwrap_or(0).to_be_bytes());
                }
                debug_assert!(entry.attributes.len() <= usize::from(u16::MAX));
                out.extend_from_slice(&(entry.attributes.len() as u16).to_be_bytes());
                out.extend_from_slice(entry.attributes);
            }
        });
    }
}

/// Bits behind the prefix are of no meaning and cleared.
fn prefix(length: u8, bytes: &[u8], ipv6: bool) -> Option<Prefix> {
    let mut octets = [0; 16];
    octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let [a, b, c, d, ..] = octets;
    let address = if ipv6 { Ipv6Addr::from(octets).into() } else { Ipv4Addr::new(a, b, c, d).into() };
    Prefix::new(address, length).ok().map(|prefix| prefix.trunc())
}
