//! BGP4MP (RFC 6396 4.4): messages of a session as they came, and how its state changed.

use super::{Content, Field, MrtError, Skipped};
use crate::id::Asn;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One message with its header, as one end of a session took it from the other, or sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BgpMessage<'a> {
    pub peer: (Asn, IpAddr),
    pub local: (Asn, IpAddr),
    /// AS numbers in it take four octets.
    pub four_octet: bool,
    /// Its routes have path identifiers (RFC 8050 3).
    pub add_path: bool,
    /// It is the local end's own.
    pub sent: bool,
    /// To be read by [`crate::wire::bgp::frame`].
    pub message: &'a [u8],
}

/// By the numbers of RFC 6396 4.4.1: 1 Idle to 6 Established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    pub peer: (Asn, IpAddr),
    pub local: (Asn, IpAddr),
    pub from: u16,
    pub to: u16,
}

pub(super) fn parse(kind: u16, subtype: u16, mut field: Field<'_>) -> Result<Content<'_>, MrtError> {
    // MESSAGE, MESSAGE_LOCAL; with AS4; STATE_CHANGE without and with AS4.
    let add_path = (8..=11).contains(&subtype);
    let (four_octet, sent, is_message) = match subtype {
        0 => (false, false, false),
        1 => (false, false, true),
        4 => (true, false, true),
        5 => (true, false, false),
        6 => (false, true, true),
        7 => (true, true, true),
        // The same four with path identifiers (RFC 8050 3).
        8 => (false, false, true),
        9 => (true, false, true),
        10 => (false, true, true),
        11 => (true, true, true),
        _ => return Ok(Content::Skipped(Skipped::OtherKind { kind, subtype })),
    };
    let mut asn = || Ok(Asn(if four_octet { field.u32()? } else { u32::from(field.u16()?) }));
    let (peer_asn, local_asn) = (asn()?, asn()?);
    let _interface = field.u16()?;
    let family = field.u16()?;
    let mut address = || match family {
        1 => Ok(IpAddr::V4(Ipv4Addr::from(field.array::<4>()?))),
        2 => Ok(IpAddr::V6(Ipv6Addr::from(field.array::<16>()?))),
        other => Err(MrtError::Family(other)),
    };
    let (peer, local) = ((peer_asn, address()?), (local_asn, address()?));
    if is_message {
        return Ok(Content::Message(BgpMessage {
            peer,
            local,
            four_octet,
            add_path,
            sent,
            message: field.0,
        }));
    }
    let change = StateChange { peer, local, from: field.u16()?, to: field.u16()? };
    field.end()?;
    Ok(Content::StateChange(change))
}
