//! UPDATE (RFC 4271 4.3, RFC 4760): routes that are there and routes that are gone.

use super::attributes::{self, Attributes, Collector, EXTENDED_LENGTH, OPTIONAL, RawAttribute, code};
use super::error::{Approach, AttributeError, AttributeFault, MessageError};
use super::evpn_nlri::{self, EvpnFault, EvpnNlri};
use super::message::{EXTENDED_MESSAGE_MAX, HEADER_LEN, MESSAGE_MAX, MessageKind, put};
use super::nlri::{self, AfiSafi, Nlri, PATH_ID_LEN, PathIds, UnicastNlri};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Header, and the two length fields of an UPDATE.
const FIXED: usize = HEADER_LEN + 4;

/// What the two OPENs settled and the bytes depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    /// Both said RFC 6793: AS numbers take four octets.
    pub four_octet: bool,
    /// Both said RFC 8950: IPv4 routes may have IPv6 next hops.
    pub ipv4_over_ipv6: bool,
    /// Both said EVPN: its routes are read. Else they are of a family that we do not know.
    pub evpn: bool,
    /// Both said RFC 8654: messages may be longer than 4096 bytes.
    pub extended: bool,
    /// Families of which the neighbour said that it sends path identifiers, and we that we take them (RFC 7911).
    pub path_ids: PathIds,
}

impl Context {
    /// The longest message that either may send, header included.
    pub fn message_max(self) -> usize {
        if self.extended { EXTENDED_MESSAGE_MAX } else { MESSAGE_MAX }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4, from the classic field.
    pub withdrawn: Vec<UnicastNlri>,
    pub mp_unreach: Option<MpUnreach>,
    /// `None`: no attribute but MP_UNREACH_NLRI, if that.
    pub attributes: Option<Attributes>,
    pub mp_reach: Option<MpReach>,
    /// Of `announced`.
    pub next_hop: Option<Ipv4Addr>,
    /// IPv4, from the classic field.
    pub announced: Vec<UnicastNlri>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MpReach {
    /// IPv4 unicast, IPv6 unicast or EVPN: others are skipped.
    pub family: AfiSafi,
    pub next_hop: MpNextHop,
    /// Empty for EVPN.
    pub prefixes: Vec<UnicastNlri>,
    /// Of EVPN only.
    pub evpn: Vec<EvpnNlri>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MpUnreach {
    /// Any: with no prefixes it is the family's End-of-RIB (RFC 4724 2).
    pub family: AfiSafi,
    /// Empty for families that we do not know.
    pub prefixes: Vec<UnicastNlri>,
    /// Of EVPN only.
    pub evpn: Vec<EvpnNlri>,
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
    /// EVPN routes that could not be read, in the order found: they are not in `update`.
    pub evpn_faults: Vec<EvpnFault>,
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
            Some(unreach) => {
                (unreach.prefixes.is_empty() && unreach.evpn.is_empty()).then_some(unreach.family)
            }
        }
    }

    /// Appends the UPDATE that ends the first telling of a family.
    pub fn emit_end_of_rib(family: AfiSafi, out: &mut Vec<u8>) {
        let unreach = MpUnreach { family, prefixes: Vec::new(), evpn: Vec::new() };
        let mp_unreach = (family != AfiSafi::IPV4_UNICAST).then_some(unreach);
        Update { mp_unreach, ..Update::default() }.emit(true, out);
    }

    /// Appends the message. The caller sees to it that it fits in [`MESSAGE_MAX`].
    pub fn emit(&self, four_octet: bool, out: &mut Vec<u8>) {
        let mut withdrawn = Vec::new();
        for prefix in &self.withdrawn {
            prefix.emit(&mut withdrawn);
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
                prefix.emit(out);
            }
        });
    }

    /// # Errors
    /// What RFC 7606 still ends the session for: routes that cannot be told from other bytes.
    pub(super) fn parse(body: &[u8], context: Context) -> Result<DecodedUpdate, MessageError> {
        let (withdrawn, rest) = split_field(body).ok_or(MessageError::MalformedAttributeList)?;
        let (mut field, announced) = split_field(rest).ok_or(MessageError::MalformedAttributeList)?;
        let mut update = Update {
            withdrawn: nlri::parse(withdrawn, false, context.path_ids.ipv4).ok_or(MessageError::Network)?,
            announced: nlri::parse(announced, false, context.path_ids.ipv4).ok_or(MessageError::Network)?,
            ..Update::default()
        };
        let mut collector = Collector::new(context.four_octet);
        let mut seen = [false; 256];
        let mut skipped_reach = false;
        let mut evpn_faults = Vec::new();
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
                    update.mp_reach = MpReach::parse(raw, context, &mut evpn_faults)?;
                    skipped_reach = update.mp_reach.is_none();
                }
                code::MP_UNREACH_NLRI => {
                    collector.check_flags(raw);
                    update.mp_unreach = Some(MpUnreach::parse(raw, context, &mut evpn_faults)?);
                }
                _ => collector.take(raw)?,
            }
        }
        let classic = !update.announced.is_empty();
        let reaches = |reach: &MpReach| !reach.prefixes.is_empty() || !reach.evpn.is_empty();
        if classic || update.mp_reach.as_ref().is_some_and(reaches) {
            collector.check_mandatory(classic);
        } else if !skipped_reach && evpn_faults.is_empty() {
            // RFC 7606 5.2: routes may have been there and not been seen.
            let worst = collector.errors.iter().find(|error| error.approach == Approach::TreatAsWithdraw);
            if let Some(error) = worst {
                return Err(MessageError::NothingToWithdraw(*error));
            }
        }
        collector.finish();
        update.next_hop = collector.next_hop.filter(|_| classic);
        update.attributes = (!only_unreach).then_some(collector.attributes);
        Ok(DecodedUpdate { update, errors: collector.errors, evpn_faults })
    }
}

/// A field behind its length in two bytes, and what follows.
fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

impl MpReach {
    /// `None`: of a family that we do not know, or of EVPN and not to be read at all.
    fn parse(
        raw: RawAttribute<'_>,
        context: Context,
        faults: &mut Vec<EvpnFault>,
    ) -> Result<Option<MpReach>, MessageError> {
        let unreadable = || MessageError::OptionalAttribute(raw.whole.to_vec());
        let (&[hi, lo, safi, length], rest) = raw.value.split_first_chunk::<4>().ok_or_else(unreadable)?;
        let family = AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi };
        let evpn = context.evpn && family == AfiSafi::EVPN;
        if !family.is_unicast() && !evpn {
            return Ok(None);
        }
        let split = rest.split_at_checked(usize::from(length));
        // One reserved byte (RFC 4760 3), once the number of SNPAs.
        let split = split.and_then(|(next_hop, rest)| Some((next_hop, rest.split_first()?.1)));
        let read = split.and_then(|(next_hop, field)| Some((MpNextHop::parse(next_hop)?, field)));
        let ipv6 = family == AfiSafi::IPV6_UNICAST;
        // RFC 7606 7.11: a length that was not agreed on.
        let read = read.filter(|(next_hop, _)| match next_hop {
            MpNextHop::V4(_) => !ipv6,
            // RFC 7432 9.2 and 11: the address of the router, whatever the session runs over.
            MpNextHop::V6(_) if evpn => true,
            MpNextHop::V6Pair { .. } if evpn => false,
            MpNextHop::V6(_) | MpNextHop::V6Pair { .. } => ipv6 || context.ipv4_over_ipv6,
        });
        let mut reach = match read {
            Some((next_hop, _)) => MpReach { family, next_hop, prefixes: Vec::new(), evpn: Vec::new() },
            None if evpn => {
                faults.push(EvpnFault::Unreadable);
                return Ok(None);
            }
            None => return Err(unreadable()),
        };
        let field = read.map_or(&[][..], |(_, field)| field);
        if evpn {
            reach.evpn = take_evpn(field, faults);
        } else {
            reach.prefixes = nlri::parse(field, ipv6, context.path_ids.of(family)).ok_or_else(unreadable)?;
        }
        Ok(Some(reach))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        emit_reach_head(self.family, self.next_hop, &mut value);
        self.prefixes.iter().for_each(|prefix| prefix.emit(&mut value));
        self.evpn.iter().for_each(|route| route.emit(&mut value));
        attributes::put(out, OPTIONAL, code::MP_REACH_NLRI, &value);
    }
}

/// The routes of a field; what is wrong with others goes to `faults`.
fn take_evpn(field: &[u8], faults: &mut Vec<EvpnFault>) -> Vec<EvpnNlri> {
    let parsed = evpn_nlri::parse(field);
    faults.extend(parsed.faults);
    parsed.routes
}

fn emit_reach_head(family: AfiSafi, next_hop: MpNextHop, out: &mut Vec<u8>) {
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.extend_from_slice(&[family.safi, next_hop.wire_len() as u8]);
    next_hop.emit(out);
    out.push(0);
}

impl MpUnreach {
    fn parse(
        raw: RawAttribute<'_>,
        context: Context,
        faults: &mut Vec<EvpnFault>,
    ) -> Result<MpUnreach, MessageError> {
        let unreadable = || MessageError::OptionalAttribute(raw.whole.to_vec());
        let (&[hi, lo, safi], field) = raw.value.split_first_chunk::<3>().ok_or_else(unreadable)?;
        let family = AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi };
        let mut unreach = MpUnreach { family, prefixes: Vec::new(), evpn: Vec::new() };
        if family.is_unicast() {
            let ipv6 = family == AfiSafi::IPV6_UNICAST;
            unreach.prefixes =
                nlri::parse(field, ipv6, context.path_ids.of(family)).ok_or_else(unreadable)?;
        } else if context.evpn && family == AfiSafi::EVPN {
            unreach.evpn = take_evpn(field, faults);
        }
        Ok(unreach)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        value.extend_from_slice(&self.family.afi.to_be_bytes());
        value.push(self.family.safi);
        self.prefixes.iter().for_each(|prefix| prefix.emit(&mut value));
        self.evpn.iter().for_each(|route| route.emit(&mut value));
        attributes::put(out, OPTIONAL, code::MP_UNREACH_NLRI, &value);
    }
}

impl MpNextHop {
    pub(super) fn wire_len(self) -> usize {
        match self {
            MpNextHop::V4(_) => 4,
            MpNextHop::V6(_) => 16,
            MpNextHop::V6Pair { .. } => 32,
        }
    }

    pub(super) fn emit(self, out: &mut Vec<u8>) {
        match self {
            MpNextHop::V4(address) => out.extend_from_slice(&address.octets()),
            MpNextHop::V6(address) => out.extend_from_slice(&address.octets()),
            MpNextHop::V6Pair { global, link_local } => {
                out.extend_from_slice(&global.octets());
                out.extend_from_slice(&link_local.octets());
            }
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<MpNextHop> {
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

/// How many bytes of routes an UPDATE of at most `longest` bytes has room for beside `shared` bytes of
/// attributes; `None` if not even the family's longest route fits. `path_ids`: each has one. See [`announce`].
pub fn room_for_routes(
    longest: usize,
    shared: usize,
    next_hop: Option<MpNextHop>,
    family: AfiSafi,
    path_ids: bool,
) -> Option<usize> {
    let room = longest.checked_sub(FIXED + shared + reach_head(next_hop));
    let route = family.longest() + if path_ids { PATH_ID_LEN } else { 0 };
    room.filter(|&room| room >= route)
}

/// Flags, code, two bytes of length, AFI, SAFI, length of the next hop, reserved byte.
fn reach_head(next_hop: Option<MpNextHop>) -> usize {
    next_hop.map_or(0, |next_hop| 4 + 5 + next_hop.wire_len())
}

/// Appends as many UPDATEs as it takes to announce `routes`, all of one family, with one set of
/// attributes. `shared`: [`Attributes::emit`]'s bytes, with NEXT_HOP in them if `next_hop` is
/// `None` (then the routes are IPv4 and go into the classic field). `longest`: the most bytes of one
/// message. Returns the number of messages.
///
/// # Errors
/// `NoRoom` if not even one route fits; nothing is appended then.
pub fn announce<N: Nlri>(
    longest: usize,
    shared: &[u8],
    next_hop: Option<MpNextHop>,
    routes: &[N],
    out: &mut Vec<u8>,
) -> Result<u32, NoRoom> {
    let Some(first) = routes.first() else { return Ok(0) };
    let head = reach_head(next_hop);
    let family = first.family();
    let room = room_for_routes(longest, shared.len(), next_hop, family, first.has_path_id()).ok_or(NoRoom)?;
    let mut messages = 0;
    let mut rest = routes;
    while !rest.is_empty() {
        let (part, bytes) = take_routes(&mut rest, room);
        put(out, MessageKind::Update, |out| {
            out.extend_from_slice(&[0, 0]);
            let Some(next_hop) = next_hop else {
                out.extend_from_slice(&(shared.len() as u16).to_be_bytes());
                out.extend_from_slice(shared);
                part.iter().for_each(|route| route.emit(out));
                return;
            };
            let value = head - 4 + bytes;
            out.extend_from_slice(&((4 + value + shared.len()) as u16).to_be_bytes());
            out.extend_from_slice(&[OPTIONAL | EXTENDED_LENGTH, code::MP_REACH_NLRI]);
            out.extend_from_slice(&(value as u16).to_be_bytes());
            emit_reach_head(family, next_hop, out);
            part.iter().for_each(|route| route.emit(out));
            out.extend_from_slice(shared);
        });
        messages += 1;
    }
    Ok(messages)
}

/// Appends as many UPDATEs as it takes to withdraw `routes`, all of one family. `classic`: in the
/// classic field, for IPv4 that was announced there. `longest`: the most bytes of one message. Returns
/// the number of messages.
pub fn withdraw<N: Nlri>(longest: usize, classic: bool, routes: &[N], out: &mut Vec<u8>) -> u32 {
    let Some(first) = routes.first() else { return 0 };
    let family = first.family();
    let room = longest - FIXED - if classic { 0 } else { 7 };
    let mut messages = 0;
    let mut rest = routes;
    while !rest.is_empty() {
        let (part, bytes) = take_routes(&mut rest, room);
        put(out, MessageKind::Update, |out| {
            if classic {
                out.extend_from_slice(&(bytes as u16).to_be_bytes());
                part.iter().for_each(|route| route.emit(out));
                out.extend_from_slice(&[0, 0]);
                return;
            }
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&((7 + bytes) as u16).to_be_bytes());
            out.extend_from_slice(&[OPTIONAL | EXTENDED_LENGTH, code::MP_UNREACH_NLRI]);
            out.extend_from_slice(&((3 + bytes) as u16).to_be_bytes());
            out.extend_from_slice(&family.afi.to_be_bytes());
            out.push(family.safi);
            part.iter().for_each(|route| route.emit(out));
        });
        messages += 1;
    }
    messages
}

/// As many routes as fit in `room` bytes, at least one, and their bytes.
fn take_routes<'a, N: Nlri>(rest: &mut &'a [N], room: usize) -> (&'a [N], usize) {
    let mut bytes = 0;
    let mut count = 0;
    for route in *rest {
        let more = route.wire_len();
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
