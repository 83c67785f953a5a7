//! Path attributes (RFC 4271 4.3, 5): what a route carries besides its prefix and next hop.

use super::as_path::AsPath;
use super::community::{Community, ExtendedCommunity, LargeCommunity};
use super::error::{Approach, AttributeError, AttributeFault, MessageError};
use super::evpn::PmsiTunnel;
use crate::id::Asn;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// Type codes.
pub mod code {
    pub const ORIGIN: u8 = 1;
    pub const AS_PATH: u8 = 2;
    pub const NEXT_HOP: u8 = 3;
    pub const MED: u8 = 4;
    pub const LOCAL_PREF: u8 = 5;
    pub const ATOMIC_AGGREGATE: u8 = 6;
    pub const AGGREGATOR: u8 = 7;
    pub const COMMUNITIES: u8 = 8;
    pub const ORIGINATOR_ID: u8 = 9;
    pub const CLUSTER_LIST: u8 = 10;
    pub const MP_REACH_NLRI: u8 = 14;
    pub const MP_UNREACH_NLRI: u8 = 15;
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    pub const AS4_PATH: u8 = 17;
    pub const AS4_AGGREGATOR: u8 = 18;
    pub const PMSI_TUNNEL: u8 = 22;
    /// RFC 5701.
    pub const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
    pub const LARGE_COMMUNITIES: u8 = 32;
    /// RFC 9234.
    pub const ONLY_TO_CUSTOMER: u8 = 35;
    /// RFC 6368.
    pub const ATTR_SET: u8 = 128;
}

pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

/// In the order of preference (RFC 4271 9.1.2.2 b).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    #[default]
    Igp,
    Egp,
    Incomplete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregator {
    pub asn: Asn,
    pub identifier: Ipv4Addr,
}

/// Which of the optional transitive attributes that we know have passed somebody who does not: once
/// set, the bit stays (RFC 4271 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partial {
    pub aggregator: bool,
    pub communities: bool,
    pub extended_communities: bool,
    pub pmsi: bool,
    pub large_communities: bool,
    pub only_to_customer: bool,
}

/// An optional transitive attribute that we do not know: passed on as it is, with Partial set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownAttribute {
    pub code: u8,
    pub value: Box<[u8]>,
}

/// Shared by all routes that carry the same: compare, clone and keep it behind an `Arc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    pub as_path: AsPath,
    pub origin: Origin,
    pub atomic_aggregate: bool,
    pub partial: Partial,
    pub med: Option<u32>,
    pub aggregator: Option<Aggregator>,
    pub communities: Box<[Community]>,
    pub extended_communities: Box<[ExtendedCommunity]>,
    pub pmsi: Option<Box<PmsiTunnel>>,
    pub large_communities: Box<[LargeCommunity]>,
    /// Who first told it to go to customers only (RFC 9234 5).
    pub only_to_customer: Option<Asn>,
    /// In the order of arrival, each code once.
    pub unknown: Box<[UnknownAttribute]>,
}

impl Attributes {
    /// Appends every attribute, ascending by type. `next_hop`: of routes in the classic fields.
    pub fn emit(&self, four_octet: bool, next_hop: Option<Ipv4Addr>, out: &mut Vec<u8>) {
        put(out, TRANSITIVE, code::ORIGIN, &[self.origin as u8]);
        let mut value = Vec::new();
        self.as_path.emit(four_octet, &mut value);
        put(out, TRANSITIVE, code::AS_PATH, &value);
        if let Some(next_hop) = next_hop {
            put(out, TRANSITIVE, code::NEXT_HOP, &next_hop.octets());
        }
        if let Some(med) = self.med {
            put(out, OPTIONAL, code::MED, &med.to_be_bytes());
        }
        if self.atomic_aggregate {
            put(out, TRANSITIVE, code::ATOMIC_AGGREGATE, &[]);
        }
        let shared = |partial| OPTIONAL | TRANSITIVE | if partial { PARTIAL } else { 0 };
        if let Some(aggregator) = self.aggregator {
            let value = aggregator.bytes(four_octet);
            put(out, shared(self.partial.aggregator), code::AGGREGATOR, &value);
        }
        if !self.communities.is_empty() {
            let value: Vec<u8> = self.communities.iter().flat_map(|it| it.0.to_be_bytes()).collect();
            put(out, shared(self.partial.communities), code::COMMUNITIES, &value);
        }
        if !self.extended_communities.is_empty() {
            let value: Vec<u8> = self.extended_communities.iter().flat_map(|it| it.0).collect();
            put(out, shared(self.partial.extended_communities), code::EXTENDED_COMMUNITIES, &value);
        }
        if !four_octet {
            self.emit_as4(out);
        }
        if let Some(pmsi) = &self.pmsi {
            put(out, shared(self.partial.pmsi), code::PMSI_TUNNEL, &pmsi.bytes());
        }
        if !self.large_communities.is_empty() {
            let numbers = |it: &LargeCommunity| [it.global_administrator, it.data1, it.data2];
            let value: Vec<u8> =
                self.large_communities.iter().flat_map(numbers).flat_map(u32::to_be_bytes).collect();
            put(out, shared(self.partial.large_communities), code::LARGE_COMMUNITIES, &value);
        }
        if let Some(asn) = self.only_to_customer {
            let flags = shared(self.partial.only_to_customer);
            put(out, flags, code::ONLY_TO_CUSTOMER, &asn.0.to_be_bytes());
        }
        for unknown in &self.unknown {
            put(out, shared(true), unknown.code, &unknown.value);
        }
    }

    /// For a neighbour of two octets (RFC 6793 4.2.2).
    fn emit_as4(&self, out: &mut Vec<u8>) {
        if !self.as_path.fits_two_octets() {
            let mut value = Vec::new();
            self.as_path.emit(true, &mut value);
            put(out, OPTIONAL | TRANSITIVE, code::AS4_PATH, &value);
        }
        if let Some(aggregator) = self.aggregator.filter(|it| it.asn.0 > 0xffff) {
            put(out, OPTIONAL | TRANSITIVE, code::AS4_AGGREGATOR, &aggregator.bytes(true));
        }
    }
}

impl PmsiTunnel {
    fn bytes(&self) -> Vec<u8> {
        let [_, a, b, c] = self.label.to_be_bytes();
        [&[self.flags, self.kind, a, b, c], &*self.identifier].concat()
    }

    /// RFC 6514 5. `None`: shorter than its fixed part, or ingress replication to no address. A kind
    /// that we do not know is another's matter, and passed on.
    fn parse(value: &[u8]) -> Option<PmsiTunnel> {
        let (&[flags, kind, a, b, c], identifier) = value.split_first_chunk::<5>()?;
        if kind == PmsiTunnel::INGRESS_REPLICATION && !matches!(identifier.len(), 4 | 16) {
            return None;
        }
        let label = u32::from_be_bytes([0, a, b, c]);
        Some(PmsiTunnel { flags, kind, label, identifier: identifier.into() })
    }
}

impl Aggregator {
    fn bytes(self, four_octet: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8);
        if four_octet {
            bytes.extend_from_slice(&self.asn.0.to_be_bytes());
        } else {
            let short = u16::try_from(self.asn.0).unwrap_or(Asn::TRANS.0 as u16);
            bytes.extend_from_slice(&short.to_be_bytes());
        }
        bytes.extend_from_slice(&self.identifier.octets());
        bytes
    }

    fn parse(value: &[u8]) -> Option<Aggregator> {
        Some(match *value {
            [a, b, i, j, k, l] => Aggregator {
                asn: Asn(u32::from(u16::from_be_bytes([a, b]))),
                identifier: Ipv4Addr::new(i, j, k, l),
            },
            [a, b, c, d, i, j, k, l] => Aggregator {
                asn: Asn(u32::from_be_bytes([a, b, c, d])),
                identifier: Ipv4Addr::new(i, j, k, l),
            },
            _ => return None,
        })
    }
}

/// Appends one attribute; its length takes two bytes only if it must.
pub(super) fn put(out: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend_from_slice(&[flags, code, length]),
        Err(_) => {
            out.extend_from_slice(&[flags | EXTENDED_LENGTH, code]);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}

/// One attribute as it lies in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawAttribute<'a> {
    pub flags: u8,
    pub code: u8,
    pub value: &'a [u8],
    /// With its header.
    pub whole: &'a [u8],
}

/// Cuts the first attribute off. `None`: it overruns the field (RFC 7606 4).
pub(super) fn split<'a>(field: &mut &'a [u8]) -> Option<RawAttribute<'a>> {
    let start = *field;
    let (&[flags, code], rest) = start.split_first_chunk::<2>()?;
    let (length, rest) = if flags & EXTENDED_LENGTH != 0 {
        let (bytes, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_be_bytes(*bytes)), rest)
    } else {
        let (&length, rest) = rest.split_first()?;
        (usize::from(length), rest)
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *field = rest;
    Some(RawAttribute { flags, code, value, whole: &start[..start.len() - rest.len()] })
}

/// What Optional and Transitive must be, for the attributes that we know.
fn flags_of(code: u8) -> Option<u8> {
    Some(match code {
        code::ORIGIN | code::AS_PATH | code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => {
            TRANSITIVE
        }
        code::MED | code::ORIGINATOR_ID | code::CLUSTER_LIST => OPTIONAL,
        code::MP_REACH_NLRI | code::MP_UNREACH_NLRI => OPTIONAL,
        code::AGGREGATOR | code::COMMUNITIES | code::EXTENDED_COMMUNITIES | code::LARGE_COMMUNITIES => {
            OPTIONAL | TRANSITIVE
        }
        code::AS4_PATH | code::AS4_AGGREGATOR | code::PMSI_TUNNEL | code::ONLY_TO_CUSTOMER => {
            OPTIONAL | TRANSITIVE
        }
        _ => return None,
    })
}

/// Takes attributes one after another and keeps what can be used.
#[derive(Debug, Default)]
pub(super) struct Collector {
    four_octet: bool,
    pub attributes: Attributes,
    pub next_hop: Option<Ipv4Addr>,
    pub errors: Vec<AttributeError>,
    has_origin: bool,
    has_as_path: bool,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
    unknown: Vec<UnknownAttribute>,
}

impl Collector {
    pub fn new(four_octet: bool) -> Collector {
        Collector { four_octet, ..Collector::default() }
    }

    pub fn error(&mut self, code: u8, fault: AttributeFault, approach: Approach) {
        self.errors.push(AttributeError { code, fault, approach });
    }

    /// RFC 7606 3 c: whether the flags are those of the definition.
    pub fn check_flags(&mut self, raw: RawAttribute<'_>) -> bool {
        let fits = flags_of(raw.code).is_none_or(|flags| raw.flags & (OPTIONAL | TRANSITIVE) == flags);
        if !fits {
            self.error(raw.code, AttributeFault::Flags, Approach::TreatAsWithdraw);
        }
        fits
    }

    /// Takes any attribute but MP_REACH_NLRI and MP_UNREACH_NLRI; each code once.
    ///
    /// # Errors
    /// A well-known attribute that we do not know (RFC 4271 6.3).
    pub fn take(&mut self, raw: RawAttribute<'_>) -> Result<(), MessageError> {
        let between_ases = match raw.code {
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST => false,
            code::AS4_PATH | code::AS4_AGGREGATOR => !self.four_octet,
            _ => true,
        };
        if !between_ases {
            self.error(raw.code, AttributeFault::NotBetweenAses, Approach::AttributeDiscard);
            return Ok(());
        }
        if flags_of(raw.code).is_none() {
            return self.take_unknown(raw);
        }
        if !self.check_flags(raw) {
            return Ok(());
        }
        if let Err((fault, approach)) = self.take_known(raw) {
            self.error(raw.code, fault, approach);
        }
        Ok(())
    }

    fn take_unknown(&mut self, raw: RawAttribute<'_>) -> Result<(), MessageError> {
        if raw.flags & OPTIONAL == 0 {
            return Err(MessageError::UnrecognisedWellKnown(raw.whole.to_vec()));
        }
        if !is_well_formed(raw) {
            self.error(raw.code, AttributeFault::Length, Approach::TreatAsWithdraw);
            return Ok(());
        }
        // RFC 4271 9: an optional non-transitive attribute that nobody here knows is quietly ignored.
        if raw.flags & TRANSITIVE != 0 {
            self.unknown.push(UnknownAttribute { code: raw.code, value: raw.value.into() });
        }
        Ok(())
    }

    /// RFC 7606 7, in its order; RFC 8092 6, RFC 6793 6, RFC 7607 2.
    fn take_known(&mut self, raw: RawAttribute<'_>) -> Result<(), (AttributeFault, Approach)> {
        use Approach::{AttributeDiscard, TreatAsWithdraw};
        use AttributeFault::{Length, Value};
        let partial = raw.flags & PARTIAL != 0;
        let attributes = &mut self.attributes;
        match raw.code {
            code::ORIGIN => {
                attributes.origin = match *raw.value {
                    [0] => Origin::Igp,
                    [1] => Origin::Egp,
                    [2] => Origin::Incomplete,
                    [_] => return Err((Value, TreatAsWithdraw)),
                    _ => return Err((Length, TreatAsWithdraw)),
                };
                self.has_origin = true;
            }
            code::AS_PATH => {
                let path = AsPath::parse(raw.value, self.four_octet).filter(has_no_zero);
                attributes.as_path = path.ok_or((Value, TreatAsWithdraw))?;
                self.has_as_path = true;
            }
            code::NEXT_HOP => {
                let octets: [u8; 4] = raw.value.try_into().map_err(|_| (Length, TreatAsWithdraw))?;
                self.next_hop = Some(Ipv4Addr::from(octets));
            }
            code::MED => {
                let octets: [u8; 4] = raw.value.try_into().map_err(|_| (Length, TreatAsWithdraw))?;
                attributes.med = Some(u32::from_be_bytes(octets));
            }
            code::ATOMIC_AGGREGATE => {
                attributes.atomic_aggregate = raw.value.is_empty();
                if !raw.value.is_empty() {
                    return Err((Length, AttributeDiscard));
                }
            }
            code::AGGREGATOR => {
                let length = if self.four_octet { 8 } else { 6 };
                if raw.value.len() != length {
                    return Err((Length, AttributeDiscard));
                }
                let aggregator = Aggregator::parse(raw.value).filter(|it| it.asn != Asn(0));
                attributes.aggregator = Some(aggregator.ok_or((Value, AttributeDiscard))?);
                attributes.partial.aggregator = partial;
            }
            code::COMMUNITIES => {
                let of = |it: &[u8; 4]| Community(u32::from_be_bytes(*it));
                attributes.communities = list(raw.value, of).ok_or((Length, TreatAsWithdraw))?;
                attributes.partial.communities = partial;
            }
            code::EXTENDED_COMMUNITIES => {
                let of = |it: &[u8; 8]| ExtendedCommunity(*it);
                attributes.extended_communities = list(raw.value, of).ok_or((Length, TreatAsWithdraw))?;
                attributes.partial.extended_communities = partial;
            }
            code::PMSI_TUNNEL => {
                let pmsi = PmsiTunnel::parse(raw.value).ok_or((Length, TreatAsWithdraw))?;
                attributes.pmsi = Some(Box::new(pmsi));
                attributes.partial.pmsi = partial;
            }
            code::LARGE_COMMUNITIES => {
                let of = |it: &[u8; 12]| {
                    let [a, b, c] =
                        [0, 4, 8].map(|at| it[at..at + 4].iter().fold(0, |sum, &b| sum << 8 | u32::from(b)));
                    LargeCommunity::new(a, b, c)
                };
                attributes.large_communities = list(raw.value, of).ok_or((Length, TreatAsWithdraw))?;
                attributes.partial.large_communities = partial;
            }
            code::ONLY_TO_CUSTOMER => {
                // RFC 9234 5.
                let octets: [u8; 4] = raw.value.try_into().map_err(|_| (Length, TreatAsWithdraw))?;
                attributes.only_to_customer = Some(Asn(u32::from_be_bytes(octets)));
                attributes.partial.only_to_customer = partial;
            }
            code::AS4_PATH => {
                let path =
                    AsPath::parse(raw.value, true).filter(|path| !path.is_empty() && has_no_zero(path));
                self.as4_path = Some(path.ok_or((Value, AttributeDiscard))?);
            }
            code::AS4_AGGREGATOR => {
                if raw.value.len() != 8 {
                    return Err((Length, AttributeDiscard));
                }
                let aggregator = Aggregator::parse(raw.value).filter(|it| it.asn != Asn(0));
                self.as4_aggregator = Some(aggregator.ok_or((Value, AttributeDiscard))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 7606 3 d: what must stand beside reachable routes. `classic`: some of them are in the
    /// classic field.
    pub fn check_mandatory(&mut self, classic: bool) {
        let present = [
            (code::ORIGIN, self.has_origin),
            (code::AS_PATH, self.has_as_path),
            (code::NEXT_HOP, self.next_hop.is_some() || !classic),
        ];
        for (code, present) in present {
            // An attribute that was there and wrong has said so already.
            if !present && !self.errors.iter().any(|error| error.code == code) {
                self.error(code, AttributeFault::Missing, Approach::TreatAsWithdraw);
            }
        }
    }

    /// RFC 6793 4.2.3.
    pub fn finish(&mut self) {
        let attributes = &mut self.attributes;
        let ignored =
            attributes.aggregator.is_some_and(|it| it.asn != Asn::TRANS) && self.as4_aggregator.is_some();
        if !ignored {
            if let (Some(aggregator), Some(real)) = (&mut attributes.aggregator, self.as4_aggregator) {
                *aggregator = real;
            }
            if let Some(as4) = self.as4_path.take() {
                attributes.as_path = core::mem::take(&mut attributes.as_path).merged_with(as4);
            }
        }
        attributes.unknown = core::mem::take(&mut self.unknown).into_boxed_slice();
    }
}

/// Whether an attribute that nobody here reads has at least the shape that its RFC gives it, so that who
/// does read it further on is not told a broken one by us.
fn is_well_formed(raw: RawAttribute<'_>) -> bool {
    match raw.code {
        // RFC 7606 7.15.
        code::IPV6_EXTENDED_COMMUNITIES => list(raw.value, |_: &[u8; 20]| ()).is_some(),
        // RFC 7606 7.16, RFC 6368 5: an AS number and attributes.
        code::ATTR_SET => raw.value.split_first_chunk::<4>().is_some_and(|(_, mut field)| {
            while !field.is_empty() {
                if split(&mut field).is_none() {
                    return false;
                }
            }
            true
        }),
        _ => true,
    }
}

/// RFC 7607 2: nobody is AS 0, and what names it is malformed.
fn has_no_zero(path: &AsPath) -> bool {
    !path.contains(Asn(0))
}

/// A list of elements of `N` bytes; `None` unless the length is a non-zero multiple.
fn list<const N: usize, T>(value: &[u8], of: impl Fn(&[u8; N]) -> T) -> Option<Box<[T]>> {
    let (elements, rest) = value.as_chunks::<N>();
    (rest.is_empty() && !elements.is_empty()).then(|| elements.iter().map(of).collect())
}
