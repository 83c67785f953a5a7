//! OPEN (RFC 4271 4.2) with capabilities (RFC 5492).

use super::error::MessageError;
use super::nlri::AfiSafi;
use crate::id::Asn;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 4;
const PARAMETER_CAPABILITIES: u8 = 2;
/// RFC 9072: the real length follows in two bytes.
const PARAMETERS_EXTENDED: u8 = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// As the two-octet field has it: AS_TRANS stands for what does not fit.
    pub short_asn: u16,
    /// In seconds; zero or at least three.
    pub hold_time: u16,
    /// Not zero (RFC 6286).
    pub identifier: Ipv4Addr,
    pub capabilities: Vec<Capability>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// Code 1 (RFC 4760).
    Multiprotocol(AfiSafi),
    /// Code 2 (RFC 2918).
    RouteRefresh,
    /// Code 5 (RFC 8950): families, each with the AFI that its next hops may be of.
    ExtendedNextHop(Vec<(AfiSafi, u16)>),
    /// Code 6 (RFC 8654).
    ExtendedMessage,
    /// Code 9 (RFC 9234).
    Role(BgpRole),
    /// Code 64 (RFC 4724).
    GracefulRestart(GracefulRestart),
    /// Code 65 (RFC 6793).
    FourOctetAsn(Asn),
    /// Code 69 (RFC 7911): of no family twice.
    AddPath(Vec<(AfiSafi, AddPath)>),
    /// Code 70 (RFC 7313).
    EnhancedRouteRefresh,
    /// Any other, or one of those above with a content that it cannot have.
    Other { code: u8, value: Vec<u8> },
}

/// What a speaker is to its neighbour (RFC 9234 4.1), as the number that it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BgpRole(pub u8);

impl BgpRole {
    pub const PROVIDER: BgpRole = BgpRole(0);
    pub const ROUTE_SERVER: BgpRole = BgpRole(1);
    pub const ROUTE_SERVER_CLIENT: BgpRole = BgpRole(2);
    pub const CUSTOMER: BgpRole = BgpRole(3);
    pub const PEER: BgpRole = BgpRole(4);
}

/// What a speaker says of several paths to one prefix, of one family (RFC 7911 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddPath {
    /// It takes them.
    pub receive: bool,
    /// It may send them.
    pub send: bool,
}

impl AddPath {
    const RECEIVE: u8 = 1;
    const SEND: u8 = 2;

    /// `None`: one that cannot be read. One whose Send/Receive is none of the three is not understood (RFC 7911 4).
    /// Of a family that is there twice the first counts.
    fn parse(value: &[u8]) -> Option<Vec<(AfiSafi, AddPath)>> {
        let (fours, []) = value.as_chunks::<4>() else { return None };
        let mut families: Vec<(AfiSafi, AddPath)> = Vec::with_capacity(fours.len());
        for &[hi, lo, safi, word] in fours {
            if !(1..=3).contains(&word) {
                return None;
            }
            let family = AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi };
            let said = AddPath { receive: word & AddPath::RECEIVE != 0, send: word & AddPath::SEND != 0 };
            if families.iter().all(|(known, _)| *known != family) {
                families.push((family, said));
            }
        }
        Some(families)
    }

    fn word(self) -> u8 {
        (if self.receive { AddPath::RECEIVE } else { 0 }) | if self.send { AddPath::SEND } else { 0 }
    }
}

/// What a speaker says of its restarts (RFC 4724 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// It has just restarted: nobody is to wait for its End-of-RIB before telling it routes.
    pub restarted: bool,
    /// A NOTIFICATION is a restart too, unless it is a Hard Reset (RFC 8538 2).
    pub notification: bool,
    /// In seconds, 12 bits: within this it means to be back.
    pub time: u16,
    /// Families whose routes are to be kept meanwhile, and whether it has gone on forwarding by them.
    pub families: Vec<(AfiSafi, bool)>,
}

impl GracefulRestart {
    const RESTARTED: u16 = 0x8000;
    const NOTIFICATION: u16 = 0x4000;
    const TIME: u16 = 0x0fff;
    const FORWARDING: u8 = 0x80;

    fn parse(head: u16, families: &[u8]) -> GracefulRestart {
        let family = |four: &[u8; 4]| {
            let [hi, lo, safi, flags] = *four;
            let family = AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi };
            (family, flags & GracefulRestart::FORWARDING != 0)
        };
        GracefulRestart {
            restarted: head & GracefulRestart::RESTARTED != 0,
            notification: head & GracefulRestart::NOTIFICATION != 0,
            time: head & GracefulRestart::TIME,
            families: families.as_chunks::<4>().0.iter().map(family).collect(),
        }
    }

    fn emit(&self, value: &mut Vec<u8>) {
        let restarted = if self.restarted { GracefulRestart::RESTARTED } else { 0 };
        let notification = if self.notification { GracefulRestart::NOTIFICATION } else { 0 };
        value
            .extend_from_slice(&(restarted | notification | self.time & GracefulRestart::TIME).to_be_bytes());
        for (family, forwarding) in self.families.iter().take(63) {
            value.extend_from_slice(&family.afi.to_be_bytes());
            value
                .extend_from_slice(&[family.safi, if *forwarding { GracefulRestart::FORWARDING } else { 0 }]);
        }
    }
}

impl Open {
    /// What a speaker of today says of itself.
    pub fn new(asn: Asn, hold_time: u16, identifier: Ipv4Addr, mut capabilities: Vec<Capability>) -> Open {
        capabilities.push(Capability::FourOctetAsn(asn));
        let short_asn = u16::try_from(asn.0).unwrap_or(Asn::TRANS.0 as u16);
        Open { short_asn, hold_time, identifier, capabilities }
    }

    /// The neighbour's AS number: of four octets if it says one.
    pub fn asn(&self) -> Asn {
        self.four_octet_asn().unwrap_or(Asn(u32::from(self.short_asn)))
    }

    pub fn four_octet_asn(&self) -> Option<Asn> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAsn(asn) => Some(*asn),
            _ => None,
        })
    }

    pub fn has(&self, wanted: &Capability) -> bool {
        self.capabilities.contains(wanted)
    }

    /// Every role that it says of itself: one, if it is one that can be agreed with (RFC 9234 4.2).
    pub fn roles(&self) -> impl Iterator<Item = BgpRole> + '_ {
        self.capabilities.iter().filter_map(|capability| match capability {
            Capability::Role(role) => Some(*role),
            _ => None,
        })
    }

    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(restart),
            _ => None,
        })
    }

    /// What it says of several paths in a family; nothing if it does not name it.
    pub fn add_path(&self, family: AfiSafi) -> AddPath {
        let mut said = self.capabilities.iter().filter_map(|capability| match capability {
            Capability::AddPath(families) => families.iter().find(|(it, _)| *it == family),
            _ => None,
        });
        said.next().map(|&(_, said)| said).unwrap_or_default()
    }

    /// Whether routes of `family` may have next hops of `afi` (RFC 8950 4).
    pub fn has_next_hop(&self, family: AfiSafi, afi: u16) -> bool {
        self.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(pairs) => pairs.contains(&(family, afi)),
            _ => false,
        })
    }

    /// # Errors
    /// RFC 4271 6.2.
    pub(super) fn parse(body: &[u8]) -> Result<Open, MessageError> {
        let Some((&[version, as0, as1, hold0, hold1, a, b, c, d, length], rest)) =
            body.split_first_chunk::<10>()
        else {
            return Err(MessageError::MalformedOpen);
        };
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let hold_time = u16::from_be_bytes([hold0, hold1]);
        if hold_time == 1 || hold_time == 2 {
            return Err(MessageError::HoldTime);
        }
        let identifier = Ipv4Addr::new(a, b, c, d);
        if identifier.is_unspecified() {
            return Err(MessageError::Identifier);
        }
        let (extended, parameters) = match *rest {
            [PARAMETERS_EXTENDED, hi, lo, ref parameters @ ..] if length == PARAMETERS_EXTENDED => {
                if usize::from(u16::from_be_bytes([hi, lo])) != parameters.len() {
                    return Err(MessageError::MalformedOpen);
                }
                (true, parameters)
            }
            _ if usize::from(length) == rest.len() => (false, rest),
            _ => return Err(MessageError::MalformedOpen),
        };
        let capabilities = parse_parameters(parameters, extended)?;
        Ok(Open { short_asn: u16::from_be_bytes([as0, as1]), hold_time, identifier, capabilities })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capability.emit(&mut capabilities);
        }
        out.push(VERSION);
        out.extend_from_slice(&self.short_asn.to_be_bytes());
        out.extend_from_slice(&self.hold_time.to_be_bytes());
        out.extend_from_slice(&self.identifier.octets());
        match u8::try_from(capabilities.len()) {
            Ok(0) => out.push(0),
            Ok(length @ 1..=252) => out.extend_from_slice(&[length + 2, PARAMETER_CAPABILITIES, length]),
            _ => {
                let length = capabilities.len() as u16;
                out.extend_from_slice(&[PARAMETERS_EXTENDED; 2]);
                out.extend_from_slice(&(length + 3).to_be_bytes());
                out.push(PARAMETER_CAPABILITIES);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        out.extend_from_slice(&capabilities);
    }
}

fn parse_parameters(mut field: &[u8], extended: bool) -> Result<Vec<Capability>, MessageError> {
    let mut capabilities = Vec::new();
    while let Some((&kind, rest)) = field.split_first() {
        let (length, rest) = if extended {
            let (bytes, rest) = rest.split_first_chunk::<2>().ok_or(MessageError::MalformedOpen)?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        } else {
            let (&length, rest) = rest.split_first().ok_or(MessageError::MalformedOpen)?;
            (usize::from(length), rest)
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(MessageError::MalformedOpen)?;
        if kind != PARAMETER_CAPABILITIES {
            return Err(MessageError::UnsupportedParameter);
        }
        parse_capabilities(value, &mut capabilities).ok_or(MessageError::MalformedOpen)?;
        field = rest;
    }
    Ok(capabilities)
}

fn parse_capabilities(mut field: &[u8], into: &mut Vec<Capability>) -> Option<()> {
    while !field.is_empty() {
        let (&[code, length], rest) = field.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        into.push(Capability::parse(code, value));
        field = rest;
    }
    Some(())
}

impl Capability {
    fn parse(code: u8, value: &[u8]) -> Capability {
        match (code, value) {
            (1, &[hi, lo, _, safi]) => {
                Capability::Multiprotocol(AfiSafi { afi: u16::from_be_bytes([hi, lo]), safi })
            }
            (2, &[]) => Capability::RouteRefresh,
            (5, _) if value.len().is_multiple_of(6) => Capability::ExtendedNextHop(
                value
                    .chunks_exact(6)
                    .map(|six| {
                        let afi = u16::from_be_bytes([six[0], six[1]]);
                        // RFC 8950 4 gives the SAFI two bytes here, of which the first is zero.
                        (AfiSafi { afi, safi: six[3] }, u16::from_be_bytes([six[4], six[5]]))
                    })
                    .collect(),
            ),
            (6, &[]) => Capability::ExtendedMessage,
            (9, &[role]) => Capability::Role(BgpRole(role)),
            (64, &[hi, lo, ref families @ ..]) if families.len().is_multiple_of(4) => {
                Capability::GracefulRestart(GracefulRestart::parse(u16::from_be_bytes([hi, lo]), families))
            }
            (65, &[a, b, c, d]) => Capability::FourOctetAsn(Asn(u32::from_be_bytes([a, b, c, d]))),
            (69, value) => match AddPath::parse(value) {
                Some(families) => Capability::AddPath(families),
                None => Capability::Other { code, value: value.to_vec() },
            },
            (70, &[]) => Capability::EnhancedRouteRefresh,
            _ => Capability::Other { code, value: value.to_vec() },
        }
    }

    /// The value is at most 255 bytes: what does not fit is cut.
    fn emit(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        let code = match self {
            Capability::Multiprotocol(family) => {
                value.extend_from_slice(&family.afi.to_be_bytes());
                value.extend_from_slice(&[0, family.safi]);
                1
            }
            Capability::RouteRefresh => 2,
            Capability::ExtendedNextHop(pairs) => {
                for (family, afi) in pairs.iter().take(42) {
                    value.extend_from_slice(&family.afi.to_be_bytes());
                    value.extend_from_slice(&[0, family.safi]);
                    value.extend_from_slice(&afi.to_be_bytes());
                }
                5
            }
            Capability::ExtendedMessage => 6,
            Capability::Role(role) => {
                value.push(role.0);
                9
            }
            Capability::GracefulRestart(restart) => {
                restart.emit(&mut value);
                64
            }
            Capability::FourOctetAsn(asn) => {
                value.extend_from_slice(&asn.0.to_be_bytes());
                65
            }
            Capability::AddPath(families) => {
                // Nothing to say of a family is no word of the RFC's.
                let said = families.iter().filter(|(_, said)| said.word() != 0);
                for (family, said) in said.take(63) {
                    value.extend_from_slice(&family.afi.to_be_bytes());
                    value.extend_from_slice(&[family.safi, said.word()]);
                }
                69
            }
            Capability::EnhancedRouteRefresh => 70,
            Capability::Other { code, value: bytes } => {
                value.extend_from_slice(&bytes[..bytes.len().min(255)]);
                *code
            }
        };
        out.extend_from_slice(&[code, value.len() as u8]);
        out.extend_from_slice(&value);
    }
}
