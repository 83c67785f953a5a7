//! UPDATE (RFC 4271 4.3, RFC 4760): routes that are there and routes that are gone.

use super::attributes::{self, Attributes, Collector, EXTENDED_LENGTH, OPTIONAL, RawAttribute, code};
use super::error::{Approach, AttributeError, AttributeFault, MessageError};
use super::message::{HEADER_LEN, MESSAGE_MAX, MessageKind, put};
use super::nlri::{self, AfiSafi};
use crate::id::Prefix;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Header, and the two length fields of an UPDATE.
const FIXED: usize = HEADER_LEN + 4;

/// What the two OPENs settled and the bytes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Both said RFC 6793: AS numbers take four octets.
    pub four_octet: bool,
    /// Both said RFC 8950: IPv4 routes may have IPv6 next hops.
    pub ipv4_over_ipv6: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4, from the classic field.
    pub withdrawn: Vec<Prefix>,
    pub mp_unreach: Option<MpUnreach>,
    /// `None`: no attribute but MP_UNREACH_NLRI, if that.
    pub attributes: Option<Attributes>,
    pub mp_reach: Option<MpReach>,
    /// Of `announced`.
    pub next_hop: Option<Ipv4Addr>,
    /// IPv4, from the classic field.
    pub announced: Vec<Prefix>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MpReach {
    /// IPv4 or IPv6 unicast: others are skipped.
    pub family: AfiSafi,
    pub next_hop: MpNextHop,
    pub prefixes: Vec<Prefix>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MpUnreach {
    /// Any: with no prefixes it is the family's End-of-RIB (RFC 4724 2).
    pub family: AfiSafi,
    /// Empty for families that we do not know.
    pub prefixes: Vec<Prefix>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MpNextHop {
    V4(Ipv4Addr),
    /// 16 bytes: global or link-local.
    V6(Ipv6Addr),
    /// 32 bytes (RFC 2545 3). Some send the link-local one twice.
    V6Pair {
        global: Ipv6Addr,
        link_local: Ipv6Addr,
    },
}

/// An UPDATE as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedUpdate {
    pub update: Update,
    /// What was wrong with it, in the order found.
    pub errors: Vec<AttributeError>,
}

impl DecodedUpdate {
    /// Whether its reachable routes count as withdrawn (RFC 7606 2).
    pub fn treat_as_withdraw(&self) -> bool {
        self.errors.iter().any(|error| error.approach == Approach::TreatAsWithdraw)
    }
}

/// The attributes leave no room for even one prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl Update {
    /// RFC 4724 2: the family of which every route has been said.
    pub fn end_of_rib(&self) -> Option<AfiSafi> {
        let silent = self.withdrawn.is_empty() && self.announced.is_empty() && self.attributes.is_none();
        match &self.mp_unreach {
            _ if !silent || self.mp_reach.is_some() => None,
            None => Some(AfiSafi::IPV4_UNICAST),
            Some(unreach) => unreach.prefixes.is_empty().then_some(unreach.family),
        }
    }

    /// Appends the UPDATE that ends the first telling of a family.
    pub fn emit_end_of_rib(family: AfiSafi, out: &mut Vec<u8>) {
        let unreach = MpUnreach { family, prefixes: Vec::new() };
        let mp_unreach = (family != AfiSafi::IPV4_UNICAST).then_some(unreach);
        Update { mp_unreach, ..Update::default() }.emit(true, out);
    }

    /// Appends the message. The caller sees to it that it fits in [`MESSAGE_MAX`].
    pub fn emit(&self, four_octet: bool, out: &mut Vec<u8>) {
        let mut withdrawn = Vec::new();
        for prefix in &self.withdrawn {
            nlri::emit(prefix, &mut withdrawn);
        }
        let mut attributes = Vec::new();
        // RFC 7606 5.1: these first, so that they are found whatever follows.
        if let Some(unreach) = &self.mp_unreach {
            unreach.emit(&mut attributes);
        }
        if let Some(reach) = &self.mp_reach {
            reach.emit(&mut attributes);
        }
        if let Some(shared) = &self.attributes {
            shared.emit(four_octet, self.next_hop, &mut attributes);
        }
        put(out, MessageKind::Update, |out| {
            out.extend_from_slice(&(withdrawn.len() as u16).to_be_bytes());
            out.extend_from_slice(&withdrawn);
            out.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
            out.extend_from_slice(&attributes);
            for prefix in &self.announced {
                nlri::emit(prefix, out);
            }
        });
    }

    /// # Errors
    /// What RFC 7606 still ends the session for: routes that cannot be told from other bytes.
    pub(super) fn parse(body: &[u8], context: Context) -> Result<DecodedUpdate, MessageError> {
        let (withdrawn, rest) = split_field(body).ok_or(MessageError::MalformedAttributeList)?;
        let (mut field, announced) = split_field(rest).ok_or(MessageError::MalformedAttributeList)?;
        let mut update = Update {
            withdrawn: nlri::parse(withdrawn, false).ok_or(MessageError::Network)?,
            announced: nlri::parse(announced, false).ok_or(MessageError::Network)?,
            ..Update::default()
        };
        let mut collector = Collector::new(context.four_octet);
        let mut seen = [false; 256];
        let mut skipped_reach = false;
        let mut only_unreach = true;
        while !field.is_empty() {
            let Some(raw) = attributes::split(&mut field) else {
                let code = field.get(1).copied().unwrap_or(0);
                collector.error(code, AttributeFault::Overrun, Approach::TreatAsWithdraw);
                only_unreach = false;
                break;
            };
            let repeated = core::mem::replace(&mut seen[usize::from(raw.code)], true);
            only_unreach &= raw.code == code::MP_UNREACH_NLRI;
            match raw.code {
                // RFC 7606 3 g: which of the two holds the routes?
                code::MP_REACH_NLRI | code::MP_UNREACH_NLRI if repeated => {
                    return Err(MessageError::MalformedAttributeList);
                }
                _ if repeated => {
                    collector.error(raw.code, AttributeFault::Repeated, Approach::AttributeDiscard);
                }
                code::MP_REACH_NLRI => {
                    collector.check_flags(raw);
                    update.mp_reach = MpReach::parse(raw, context)?;
                    skipped_reach = update.mp_reach.is_none();
                }
                code::MP_UNREACH_NLRI => {
                    collector.check_flags(raw);
                    update.mp_unreach = Some(MpUnreach::parse(raw)?);
                }
                _ => collector.take(raw)?,
            }
        }
        let classic = !update.announced.is_empty();
        if classic || update.mp_reach.as_ref().is_some_and(|reach| !reach.prefixes.is_empty()) {
            collector.check_mandatory(classic);
        } else if !skipped_reach {
            // RFC 7606 5.2: routes may have been there and not been seen.
            let worst = collector.errors.iter().find(|error| error.approach == Approach::TreatAsWithdraw);
            if let Some(error) = worst {
                return Err(MessageError::NothingToWithdraw(*error));
            }
        }
        collector.finish();
        update.next_hop = collector.next_hop.filter(|_| classic);
        update.attributes = (!only_unreach).then_some(collector.attributes);
        Ok(DecodedUpdate { update, errors: collector.errors })
    }
}

/// A field behind its length in two bytes, and what follows.
fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

impl MpReach {
    /// `None`: of a family that we do not know.
    fn parse(raw: RawAttribute<'_>, context: Context) -> Result<Option<MpReach>, MessageError> {
        let unreadable = || MessageError::OptionalAttribute(raw.whole.to_vec());
        let (&[hi, lo, safi, length], rest) = raw.value.split_first_chunk::<4>().ok_or_else(unreadable)?;
        let family = AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi };
        if !family.is_known() {
            return Ok(None);
        }
        let (next_hop, rest) = rest.split_at_checked(usize::from(length)).ok_or_else(unreadable)?;
        let ipv6 = family == AfiSafi::IPV6_UNICAST;
        // RFC 7606 7.11: a length that was not agreed on.
        let next_hop = MpNextHop::parse(next_hop)
            .filter(|next_hop| match next_hop {
                MpNextHop::V4(_) => !ipv6,
                MpNextHop::V6(_) | MpNextHop::V6Pair { .. } => ipv6 || context.ipv4_over_ipv6,
            })
            .ok_or_else(unreadable)?;
        // One reserved byte (RFC 4760 3), once the number of SNPAs.
        let (_, field) = rest.split_first().ok_or_else(unreadable)?;
        let prefixes = nlri::parse(field, ipv6).ok_or_else(unreadable)?;
        Ok(Some(MpReach { family, next_hop, prefixes }))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        emit_reach_head(self.family, self.next_hop, &mut value);
        for prefix in &self.prefixes {
            nlri::emit(prefix, &mut value);
        }
        attributes::put(out, OPTIONAL, code::MP_REACH_NLRI, &value);
    }
}

fn emit_reach_head(family: AfiSafi, next_hop: MpNextHop, out: &mut Vec<u8>) {
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.extend_from_slice(&[family.safi, next_hop.wire_len() as u8]);
    next_hop.emit(out);
    out.push(0);
}

impl MpUnreach {
    fn parse(raw: RawAttribute<'_>) -> Result<MpUnreach, MessageError> {
        let unreadable = || MessageError::OptionalAttribute(raw.whole.to_vec());
        let (&[hi, lo, safi], field) = raw.value.split_first_chunk::<3>().ok_or_else(unreadable)?;
        let family = AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi };
        let prefixes = if family.is_known() {
            nlri::parse(field, family == AfiSafi::IPV6_UNICAST).ok_or_else(unreadable)?
        } else {
            Vec::new()
        };
        Ok(MpUnreach { family, prefixes })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        value.extend_from_slice(&self.family.afi.to_be_bytes());
        value.push(self.family.safi);
        for prefix in &self.prefixes {
            nlri::emit(prefix, &mut value);
        }
        attributes::put(out, OPTIONAL, code::MP_UNREACH_NLRI, &value);
    }
}

impl MpNextHop {
    fn wire_len(self) -> usize {
        match self {
            MpNextHop::V4(_) => 4,
            MpNextHop::V6(_) => 16,
            MpNextHop::V6Pair { .. } => 32,
        }
    }

    fn emit(self, out: &mut Vec<u8>) {
        match self {
            MpNextHop::V4(address) => out.extend_from_slice(&address.octets()),
            MpNextHop::V6(address) => out.extend_from_slice(&address.octets()),
            MpNextHop::V6Pair { global, link_local } => {
                out.extend_from_slice(&global.octets());
                out.extend_from_slice(&link_local.octets());
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<MpNextHop> {
        if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
            return Some(MpNextHop::V4(Ipv4Addr::from(octets)));
        }
        if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
            return Some(MpNextHop::V6(Ipv6Addr::from(octets)));
        }
        let (global, rest) = bytes.split_first_chunk::<16>()?;
        let link_local = <[u8; 16]>::try_from(rest).ok()?;
        Some(MpNextHop::V6Pair { global: Ipv6Addr::from(*global), link_local: Ipv6Addr::from(link_local) })
    }
}

/// How many bytes of prefixes an UPDATE has room for beside `shared` bytes of attributes; `None` if
/// not even the longest prefix fits. See [`announce`].
pub fn room_for_prefixes(shared: usize, next_hop: Option<MpNextHop>, ipv6: bool) -> Option<usize> {
    let longest = if ipv6 { 17 } else { 5 };
    MESSAGE_MAX.checked_sub(FIXED + shared + reach_head(next_hop)).filter(|&room| room >= longest)
}

/// Flags, code, two bytes of length, AFI, SAFI, length of the next hop, reserved byte.
fn reach_head(next_hop: Option<MpNextHop>) -> usize {
    next_hop.map_or(0, |next_hop| 4 + 5 + next_hop.wire_len())
}

/// Appends as many UPDATEs as it takes to announce `prefixes`, all of one family, with one set of
/// attributes. `shared`: [`Attributes::emit`]'s bytes, with NEXT_HOP in them if `next_hop` is
/// `None` (then the prefixes are IPv4 and go into the classic field). Returns the number of messages.
///
/// # Errors
/// `NoRoom` if not even one prefix fits; nothing is appended then.
pub fn announce(
    shared: &[u8],
    next_hop: Option<MpNextHop>,
    prefixes: &[Prefix],
    out: &mut Vec<u8>,
) -> Result<u32, NoRoom> {
    let Some(first) = prefixes.first() else { return Ok(0) };
    let head = reach_head(next_hop);
    let ipv6 = AfiSafi::of(first) == AfiSafi::IPV6_UNICAST;
    let room = room_for_prefixes(shared.len(), next_hop, ipv6).ok_or(NoRoom)?;
    let mut messages = 0;
    let mut rest = prefixes;
    while !rest.is_empty() {
        let (part, bytes) = take_prefixes(&mut rest, room);
        put(out, MessageKind::Update, |out| {
            out.extend_from_slice(&[0, 0]);
            let Some(next_hop) = next_hop else {
                out.extend_from_slice(&(shared.len() as u16).to_be_bytes());
                out.extend_from_slice(shared);
                part.iter().for_each(|prefix| nlri::emit(prefix, out));
                return;
            };
            let value = head - 4 + bytes;
            out.extend_from_slice(&((4 + value + shared.len()) as u16).to_be_bytes());
            out.extend_from_slice(&[OPTIONAL | EXTENDED_LENGTH, code::MP_REACH_NLRI]);
            out.extend_from_slice(&(value as u16).to_be_bytes());
            emit_reach_head(AfiSafi::of(first), next_hop, out);
            part.iter().for_each(|prefix| nlri::emit(prefix, out));
            out.extend_from_slice(shared);
        });
        messages += 1;
    }
    Ok(messages)
}

/// Appends as many UPDATEs as it takes to withdraw `prefixes`, all of one family. `classic`: in the
/// classic field, for IPv4 that was announced there. Returns the number of messages.
pub fn withdraw(classic: bool, prefixes: &[Prefix], out: &mut Vec<u8>) -> u32 {
    let Some(first) = prefixes.first() else { return 0 };
    let room = MESSAGE_MAX - FIXED - if classic { 0 } else { 7 };
    let mut messages = 0;
    let mut rest = prefixes;
    while !rest.is_empty() {
        let (part, bytes) = take_prefixes(&mut rest, room);
        put(out, MessageKind::Update, |out| {
            if classic {
                out.extend_from_slice(&(bytes as u16).to_be_bytes());
                part.iter().for_each(|prefix| nlri::emit(prefix, out));
                out.extend_from_slice(&[0, 0]);
                return;
            }
            let family = AfiSafi::of(first);
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&((7 + bytes) as u16).to_be_bytes());
            out.extend_from_slice(&[OPTIONAL | EXTENDED_LENGTH, code::MP_UNREACH_NLRI]);
            out.extend_from_slice(&((3 + bytes) as u16).to_be_bytes());
            out.extend_from_slice(&family.afi.to_be_bytes());
            out.push(family.safi);
            part.iter().for_each(|prefix| nlri::emit(prefix, out));
        });
        messages += 1;
    }
    messages
}

/// As many prefixes as fit in `room` bytes, at least one, and their bytes.
fn take_prefixes<'a>(rest: &mut &'a [Prefix], room: usize) -> (&'a [Prefix], usize) {
    let mut bytes = 0;
    let mut count = 0;
    for prefix in *rest {
        let more = nlri::wire_len(prefix);
        if count > 0 && bytes + more > room {
            break;
        }
        bytes += more;
        count += 1;
    }
    let (part, after) = rest.split_at(count);
    *rest = after;
    (part, bytes)
}
