//! The messages between a router and a cache (RFC 6810 5, RFC 8210 5, draft-ietf-sidrops-8210bis 5).
//!
//! Not known here: router keys are skipped (BGPsec is not spoken), and of a transport there is none
//! but TCP.

use super::vrp::Vrp;
use crate::id::{Asn, Prefix};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};

/// The newest version spoken.
pub const NEWEST: u8 = 2;
const HEADER: usize = 8;
/// No PDU of use is longer: an ASPA of 16,380 providers.
const LONGEST: u32 = 65_536;
/// So much of a text in an error report is kept, in bytes.
const TEXT: usize = 256;

/// RFC 8210 12, 8210bis 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    pub const CORRUPT_DATA: ErrorCode = ErrorCode(0);
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(1);
    pub const NO_DATA_AVAILABLE: ErrorCode = ErrorCode(2);
    pub const INVALID_REQUEST: ErrorCode = ErrorCode(3);
    pub const UNSUPPORTED_VERSION: ErrorCode = ErrorCode(4);
    pub const UNSUPPORTED_PDU_TYPE: ErrorCode = ErrorCode(5);
    pub const WITHDRAWAL_OF_UNKNOWN: ErrorCode = ErrorCode(6);
    pub const DUPLICATE_ANNOUNCEMENT: ErrorCode = ErrorCode(7);
    pub const UNEXPECTED_VERSION: ErrorCode = ErrorCode(8);
}

/// What is wrong with what a cache sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum Fault {
    /// No PDU of this kind has this length.
    Length { kind: u8, length: u32 },
    /// A prefix longer than its family has bits, or longer than its maximum length.
    PrefixLength { length: u8, max_length: u8 },
    /// Of no known kind, or of one that the version does not have.
    Kind { kind: u8 },
    /// A version newer than what was asked for, or another than what the session began with.
    Version { found: u8 },
    /// A PDU where it has no place, such as a prefix before a Cache Response.
    OutOfPlace { kind: u8 },
    /// The session id of an answer is not that of the session.
    Session { expected: u16, found: u16 },
    /// A payload was withdrawn that is not there.
    UnknownWithdrawn,
    /// A payload was announced that is there.
    AnnouncedTwice,
    /// More payloads than any cache has.
    TooMany { limit: u32 },
}

impl Fault {
    /// What the cache is told.
    pub fn code(self) -> ErrorCode {
        match self {
            Fault::Length { .. }
            | Fault::PrefixLength { .. }
            | Fault::OutOfPlace { .. }
            | Fault::Session { .. } => ErrorCode::CORRUPT_DATA,
            Fault::Kind { .. } => ErrorCode::UNSUPPORTED_PDU_TYPE,
            Fault::Version { .. } => ErrorCode::UNEXPECTED_VERSION,
            Fault::UnknownWithdrawn => ErrorCode::WITHDRAWAL_OF_UNKNOWN,
            Fault::AnnouncedTwice => ErrorCode::DUPLICATE_ANNOUNCEMENT,
            Fault::TooMany { .. } => ErrorCode::INTERNAL_ERROR,
        }
    }
}

/// When to ask again, in seconds (RFC 8210 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
}

impl Default for Intervals {
    fn default() -> Intervals {
        Intervals { refresh: 3600, retry: 600, expire: 7200 }
    }
}

impl Intervals {
    /// Within what RFC 8210 6 allows.
    #[must_use]
    pub fn bounded(self) -> Intervals {
        let (refresh, retry) = (self.refresh.clamp(1, 86_400), self.retry.clamp(1, 7_200));
        // "MUST be longer than either": data must not expire while it is refreshed in time.
        let expire = self.expire.clamp(600, 172_800).max(refresh.max(retry) + 1);
        Intervals { refresh, retry, expire }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pdu {
    SerialNotify {
        session: u16,
        serial: u32,
    },
    SerialQuery {
        session: u16,
        serial: u32,
    },
    ResetQuery,
    CacheResponse {
        session: u16,
    },
    Payload {
        announce: bool,
        vrp: Vrp,
    },
    /// `intervals`: none in version 0.
    EndOfData {
        session: u16,
        serial: u32,
        intervals: Option<Intervals>,
    },
    CacheReset,
    /// Skipped.
    RouterKey,
    ErrorReport {
        code: ErrorCode,
        text: String,
    },
    /// `None`: withdrawn.
    Aspa {
        customer: Asn,
        providers: Option<Box<[Asn]>>,
    },
}

/// A PDU with its version, as it came off the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed<'a> {
    pub version: u8,
    pub bytes: &'a [u8],
}

/// The next whole PDU and what follows it; `None`: there is not all of it yet.
///
/// # Errors
/// Its length makes no sense: where the next one begins is not known.
pub fn next_frame(bytes: &[u8]) -> Result<Option<(Framed<'_>, &[u8])>, Fault> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let &[version, kind, _, _, a, b, c, d] = header;
    let length = u32::from_be_bytes([a, b, c, d]);
    if !(HEADER as u32..=LONGEST).contains(&length) {
        return Err(Fault::Length { kind, length });
    }
    // At most LONGEST.
    let Some((bytes, rest)) = bytes.split_at_checked(length as usize) else { return Ok(None) };
    Ok(Some((Framed { version, bytes }, rest)))
}

impl Framed<'_> {
    pub fn kind(&self) -> u8 {
        self.bytes[1]
    }

    /// # Errors
    /// What makes no sense by itself.
    pub fn parse(&self) -> Result<Pdu, Fault> {
        let (header, body) = self.bytes.split_at(HEADER);
        let (kind, word) = (header[1], u16::from_be_bytes([header[2], header[3]]));
        let length = Fault::Length { kind, length: self.bytes.len() as u32 };
        let number = |at: usize| -> Result<u32, Fault> {
            let four = body.get(at..at + 4).and_then(|it| it.first_chunk::<4>()).ok_or(length)?;
            Ok(u32::from_be_bytes(*four))
        };
        let exactly = |wanted: usize| if body.len() == wanted { Ok(()) } else { Err(length) };
        Ok(match (kind, self.version) {
            (0, _) => exactly(4).and(Ok(Pdu::SerialNotify { session: word, serial: number(0)? }))?,
            (1, _) => exactly(4).and(Ok(Pdu::SerialQuery { session: word, serial: number(0)? }))?,
            (2, _) => exactly(0).and(Ok(Pdu::ResetQuery))?,
            (3, _) => exactly(0).and(Ok(Pdu::CacheResponse { session: word }))?,
            (4, _) => {
                exactly(12)?;
                let address = Ipv4Addr::from_bits(number(4)?);
                payload(body, |length| Prefix::new(address.into(), length).ok(), number(8)?)?
            }
            (6, _) => {
                exactly(24)?;
                let bits = (4..20)
                    .step_by(4)
                    .try_fold(0, |bits, at| number(at).map(|word| bits << 32 | u128::from(word)))?;
                let address = Ipv6Addr::from_bits(bits);
                payload(body, |length| Prefix::new(address.into(), length).ok(), number(20)?)?
            }
            (7, 0) => {
                exactly(4)?;
                Pdu::EndOfData { session: word, serial: number(0)?, intervals: None }
            }
            (7, _) => {
                exactly(16)?;
                let intervals = Intervals { refresh: number(4)?, retry: number(8)?, expire: number(12)? };
                Pdu::EndOfData { session: word, serial: number(0)?, intervals: Some(intervals) }
            }
            (8, _) => exactly(0).and(Ok(Pdu::CacheReset))?,
            (9, 1..) => Pdu::RouterKey,
            (10, _) => {
                let copy = number(0)? as usize;
                let text = body.get(4 + copy..).ok_or(length)?;
                let (size, text) = text.split_first_chunk::<4>().ok_or(length)?;
                let text = text.get(..u32::from_be_bytes(*size) as usize).ok_or(length)?;
                let text = String::from_utf8_lossy(&text[..text.len().min(TEXT)]).into_owned();
                Pdu::ErrorReport { code: ErrorCode(word), text }
            }
            (11, 2..) => aspa(header, body, length)?,
            _ => return Err(Fault::Kind { kind }),
        })
    }
}

/// Prefixes of both families are alike: flags, length, maximum length, zero, address, AS number.
fn payload(body: &[u8], prefix: impl Fn(u8) -> Option<Prefix>, asn: u32) -> Result<Pdu, Fault> {
    let (flags, length, max_length) = (body[0], body[1], body[2]);
    let fault = Fault::PrefixLength { length, max_length };
    let prefix = prefix(length).ok_or(fault)?.trunc();
    if max_length < length || max_length > prefix.max_prefix_len() {
        return Err(fault);
    }
    Ok(Pdu::Payload { announce: flags & 1 == 1, vrp: Vrp { prefix, max_length, asn: Asn(asn) } })
}

/// 8210bis 5.12. The flags stand in the header since its revision 11. Before (stayrtr 0.5, for one), the
/// header's word was zero and flags, families and a count stood before the customer: a PDU of the newer
/// form with that word zero is a withdrawal, which has no providers, so that the two cannot be confused.
fn aspa(header: &[u8], body: &[u8], length: Fault) -> Result<Pdu, Fault> {
    let old = header[2] == 0 && header[3] == 0 && body.len() > 4;
    let (flags, rest) = match body.split_first_chunk::<4>() {
        Some((&[flags, _, a, b], rest)) if old => {
            let count = usize::from(u16::from_be_bytes([a, b]));
            (flags, (rest.len() == 4 + 4 * count).then_some(rest).ok_or(length)?)
        }
        _ => (header[2], body),
    };
    if rest.is_empty() || !rest.len().is_multiple_of(4) {
        return Err(length);
    }
    let mut numbers =
        rest.chunks_exact(4).map(|it| Asn(it.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))));
    let customer = numbers.next().ok_or(length)?;
    let announce = flags & 1 == 1;
    Ok(Pdu::Aspa { customer, providers: announce.then(|| numbers.collect()) })
}

impl Pdu {
    /// As a router or a cache of this version says it. What a version does not have is not written.
    pub fn emit(&self, version: u8, out: &mut Vec<u8>) {
        match self {
            Pdu::SerialNotify { session, serial } => put(version, 0, *session, &serial.to_be_bytes(), out),
            Pdu::SerialQuery { session, serial } => put(version, 1, *session, &serial.to_be_bytes(), out),
            Pdu::ResetQuery => put(version, 2, 0, &[], out),
            Pdu::CacheResponse { session } => put(version, 3, *session, &[], out),
            Pdu::Payload { announce, vrp } => {
                let mut body = [u8::from(*announce), vrp.prefix.prefix_len(), vrp.max_length, 0].to_vec();
                let kind = match vrp.prefix.addr() {
                    core::net::IpAddr::V4(address) => {
                        body.extend_from_slice(&address.octets());
                        4
                    }
                    core::net::IpAddr::V6(address) => {
                        body.extend_from_slice(&address.octets());
                        6
                    }
                };
                body.extend_from_slice(&vrp.asn.0.to_be_bytes());
                put(version, kind, 0, &body, out);
            }
            Pdu::EndOfData { session, serial, intervals } => {
                let mut body = serial.to_be_bytes().to_vec();
                if version > 0 {
                    let it = intervals.unwrap_or_default();
                    for seconds in [it.refresh, it.retry, it.expire] {
                        body.extend_from_slice(&seconds.to_be_bytes());
                    }
                }
                put(version, 7, *session, &body, out);
            }
            Pdu::CacheReset => put(version, 8, 0, &[], out),
            Pdu::RouterKey => {}
            Pdu::ErrorReport { code, text } => error_report(version, *code, &[], text, out),
            Pdu::Aspa { customer, providers } => {
                let mut body = customer.0.to_be_bytes().to_vec();
                for provider in providers.iter().flatten() {
                    body.extend_from_slice(&provider.0.to_be_bytes());
                }
                put(version, 11, u16::from(providers.is_some()) << 8, &body, out);
            }
        }
    }
}

fn put(version: u8, kind: u8, word: u16, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[version, kind]);
    out.extend_from_slice(&word.to_be_bytes());
    out.extend_from_slice(&((HEADER + body.len()) as u32).to_be_bytes());
    out.extend_from_slice(body);
}

/// With a copy of what was wrong (RFC 8210 5.11).
pub fn error_report(version: u8, code: ErrorCode, copy: &[u8], text: &str, out: &mut Vec<u8>) {
    let mut body = (copy.len() as u32).to_be_bytes().to_vec();
    body.extend_from_slice(copy);
    body.extend_from_slice(&(text.len() as u32).to_be_bytes());
    body.extend_from_slice(text.to_owned().as_bytes());
    put(version, 10, code.0, &body, out);
}
