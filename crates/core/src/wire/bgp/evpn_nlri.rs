//! EVPN's routes in MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 7432 7, RFC 9136 3.1): a type, a length in
//! bytes, and what the type says. The length tells where the next one begins whatever is wrong with
//! this one, so that a bad route costs only itself.

use super::evpn::{Esi, EvpnBody, EvpnRoute, RouteDistinguisher};
use super::nlri::{AfiSafi, Nlri};
use crate::id::{Mac, Prefix};
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Route types.
mod kind {
    pub const AUTO_DISCOVERY: u8 = 1;
    pub const MAC_IP: u8 = 2;
    pub const MULTICAST: u8 = 3;
    pub const ETHERNET_SEGMENT: u8 = 4;
    pub const IP_PREFIX: u8 = 5;
}

/// A route as it stands in an UPDATE.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvpnNlri {
    pub route: EvpnRoute,
    /// Of withdrawn routes it says nothing.
    pub body: EvpnBody,
}

/// What is wrong with EVPN routes in an UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum EvpnFault {
    /// Of a type that we do not know: discarded (RFC 7606 5.4).
    UnknownType { kind: u8 },
    /// The length in bytes is none that the type can have.
    Length { kind: u8, length: u8 },
    /// Type 2: a MAC address of other than 48 bits (RFC 7432 7.2).
    MacLength { bits: u8 },
    /// An address of other than 32 or 128 bits; type 2 may have none.
    AddressLength { kind: u8, bits: u8 },
    /// Type 5: longer than its family allows (RFC 9136 3.1).
    PrefixLength { bits: u8 },
    /// The field ends within a route, or the next hop is neither of 4 nor of 16 bytes: what follows
    /// cannot be read. No more EVPN is taken in this session (AFI/SAFI disable, RFC 7606 2 and 7.11).
    Unreadable,
}

/// The routes of a field, and what was wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub routes: Vec<EvpnNlri>,
    pub faults: Vec<EvpnFault>,
}

/// Every route of a field that can be read.
pub(super) fn parse(mut field: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    while !field.is_empty() {
        let split = field.split_first_chunk::<2>();
        let split = split.and_then(|(&[kind, length], rest)| {
            let (value, rest) = rest.split_at_checked(usize::from(length))?;
            Some((kind, value, rest))
        });
        let Some((kind, value, rest)) = split else {
            parsed.faults.push(EvpnFault::Unreadable);
            break;
        };
        match parse_route(kind, value) {
            Ok(route) => parsed.routes.push(route),
            Err(fault) => parsed.faults.push(fault),
        }
        field = rest;
    }
    parsed
}

/// What is left of a route's bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]: [u8; 1]| byte)
    }

    fn rd(&mut self) -> Option<RouteDistinguisher> {
        self.take().map(RouteDistinguisher)
    }

    fn esi(&mut self) -> Option<Esi> {
        self.take().map(Esi)
    }

    fn tag(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn label(&mut self) -> Option<u32> {
        let [a, b, c] = self.take()?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    /// An address of `bits`, which are 32 or 128.
    fn address(&mut self, bits: u8) -> Option<IpAddr> {
        if bits == 32 { self.take::<4>().map(IpAddr::from) } else { self.take::<16>().map(IpAddr::from) }
    }
}

fn parse_route(kind: u8, value: &[u8]) -> Result<EvpnNlri, EvpnFault> {
    let length = EvpnFault::Length { kind, length: u8::try_from(value.len()).unwrap_or(u8::MAX) };
    let mut reader = Reader(value);
    let route = match kind {
        kind::AUTO_DISCOVERY => parse_auto_discovery(&mut reader).ok_or(length),
        kind::MAC_IP => parse_mac_ip(&mut reader, length),
        kind::MULTICAST => parse_multicast(&mut reader, length),
        kind::ETHERNET_SEGMENT => parse_ethernet_segment(&mut reader, length),
        kind::IP_PREFIX => parse_ip_prefix(&mut reader, length),
        _ => Err(EvpnFault::UnknownType { kind }),
    }?;
    if reader.0.is_empty() { Ok(route) } else { Err(length) }
}

/// RFC 7432 7.1.
fn parse_auto_discovery(reader: &mut Reader<'_>) -> Option<EvpnNlri> {
    let (rd, esi, tag) = (reader.rd()?, reader.esi()?, reader.tag()?);
    let body = EvpnBody { label: reader.label()?, ..EvpnBody::default() };
    Some(EvpnNlri { route: EvpnRoute::AutoDiscovery { rd, esi, tag }, body })
}

/// RFC 7432 7.2.
fn parse_mac_ip(reader: &mut Reader<'_>, length: EvpnFault) -> Result<EvpnNlri, EvpnFault> {
    let mut head = || Some((reader.rd()?, reader.esi()?, reader.tag()?, reader.byte()?));
    let (rd, esi, tag, bits) = head().ok_or(length)?;
    if bits != 48 {
        return Err(EvpnFault::MacLength { bits });
    }
    let mac = reader.take().map(Mac).ok_or(length)?;
    let ip = match reader.byte().ok_or(length)? {
        0 => None,
        bits @ (32 | 128) => Some(reader.address(bits).ok_or(length)?),
        bits => return Err(EvpnFault::AddressLength { kind: kind::MAC_IP, bits }),
    };
    let label = reader.label().ok_or(length)?;
    let label2 = reader.label();
    let body = EvpnBody { esi, label, label2, gateway: None };
    Ok(EvpnNlri { route: EvpnRoute::MacIp { rd, tag, mac, ip }, body })
}

/// The length in bits and the address of a router.
fn parse_originator(reader: &mut Reader<'_>, kind: u8, length: EvpnFault) -> Result<IpAddr, EvpnFault> {
    match reader.byte().ok_or(length)? {
        bits @ (32 | 128) => reader.address(bits).ok_or(length),
        bits => Err(EvpnFault::AddressLength { kind, bits }),
    }
}

/// RFC 7432 7.3.
fn parse_multicast(reader: &mut Reader<'_>, length: EvpnFault) -> Result<EvpnNlri, EvpnFault> {
    let (rd, tag) = reader.rd().zip(reader.tag()).ok_or(length)?;
    let originator = parse_originator(reader, kind::MULTICAST, length)?;
    Ok(EvpnNlri { route: EvpnRoute::Multicast { rd, tag, originator }, body: EvpnBody::default() })
}

/// RFC 7432 7.4.
fn parse_ethernet_segment(reader: &mut Reader<'_>, length: EvpnFault) -> Result<EvpnNlri, EvpnFault> {
    let (rd, esi) = reader.rd().zip(reader.esi()).ok_or(length)?;
    let originator = parse_originator(reader, kind::ETHERNET_SEGMENT, length)?;
    Ok(EvpnNlri { route: EvpnRoute::EthernetSegment { rd, esi, originator }, body: EvpnBody::default() })
}

/// RFC 9136 3.1: the length of the whole says of which family it is.
fn parse_ip_prefix(reader: &mut Reader<'_>, length: EvpnFault) -> Result<EvpnNlri, EvpnFault> {
    let bits = match reader.0.len() {
        34 => 32,
        58 => 128,
        _ => return Err(length),
    };
    let mut head = || Some((reader.rd()?, reader.esi()?, reader.tag()?, reader.byte()?));
    let (rd, esi, tag, prefix_len) = head().ok_or(length)?;
    let mut tail = || Some((reader.address(bits)?, reader.address(bits)?, reader.label()?));
    let (address, gateway, label) = tail().ok_or(length)?;
    let prefix =
        Prefix::new(address, prefix_len).map_err(|_| EvpnFault::PrefixLength { bits: prefix_len })?;
    // All zeros: there is no gateway (RFC 9136 3.1).
    let gateway = Some(gateway).filter(|gateway| !gateway.is_unspecified());
    let body = EvpnBody { esi, label, label2: None, gateway };
    Ok(EvpnNlri { route: EvpnRoute::IpPrefix { rd, tag, prefix: prefix.trunc() }, body })
}

fn address_len(address: &IpAddr) -> usize {
    if address.is_ipv4() { 4 } else { 16 }
}

fn emit_address(address: &IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
}

/// Its length in bits, and itself.
fn emit_measured(address: &IpAddr, out: &mut Vec<u8>) {
    out.push(if address.is_ipv4() { 32 } else { 128 });
    emit_address(address, out);
}

fn emit_label(label: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&label.to_be_bytes()[1..]);
}

impl EvpnNlri {
    fn kind(&self) -> u8 {
        match self.route {
            EvpnRoute::AutoDiscovery { .. } => kind::AUTO_DISCOVERY,
            EvpnRoute::MacIp { .. } => kind::MAC_IP,
            EvpnRoute::Multicast { .. } => kind::MULTICAST,
            EvpnRoute::EthernetSegment { .. } => kind::ETHERNET_SEGMENT,
            EvpnRoute::IpPrefix { .. } => kind::IP_PREFIX,
        }
    }

    /// Behind type and length.
    fn value_len(&self) -> usize {
        match &self.route {
            EvpnRoute::AutoDiscovery { .. } => 25,
            EvpnRoute::MacIp { ip, .. } => {
                33 + ip.as_ref().map_or(0, address_len) + if self.body.label2.is_some() { 3 } else { 0 }
            }
            EvpnRoute::Multicast { originator, .. } => 13 + address_len(originator),
            EvpnRoute::EthernetSegment { originator, .. } => 19 + address_len(originator),
            EvpnRoute::IpPrefix { prefix, .. } => 26 + 2 * address_len(&prefix.network()),
        }
    }
}

impl Nlri for EvpnNlri {
    fn family(&self) -> AfiSafi {
        AfiSafi::EVPN
    }

    fn wire_len(&self) -> usize {
        2 + self.value_len()
    }

    fn emit(&self, out: &mut Vec<u8>) {
        // At most 58, by the table above.
        out.extend_from_slice(&[self.kind(), self.value_len() as u8]);
        let body = &self.body;
        match &self.route {
            EvpnRoute::AutoDiscovery { rd, esi, tag } => {
                out.extend_from_slice(&rd.0);
                out.extend_from_slice(&esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
                emit_label(body.label, out);
            }
            EvpnRoute::MacIp { rd, tag, mac, ip } => {
                out.extend_from_slice(&rd.0);
                out.extend_from_slice(&body.esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(48);
                out.extend_from_slice(&mac.0);
                match ip {
                    None => out.push(0),
                    Some(ip) => emit_measured(ip, out),
                }
                emit_label(body.label, out);
                if let Some(label) = body.label2 {
                    emit_label(label, out);
                }
            }
            EvpnRoute::Multicast { rd, tag, originator } => {
                out.extend_from_slice(&rd.0);
                out.extend_from_slice(&tag.to_be_bytes());
                emit_measured(originator, out);
            }
            EvpnRoute::EthernetSegment { rd, esi, originator } => {
                out.extend_from_slice(&rd.0);
                out.extend_from_slice(&esi.0);
                emit_measured(originator, out);
            }
            EvpnRoute::IpPrefix { rd, tag, prefix } => {
                let address = prefix.network();
                out.extend_from_slice(&rd.0);
                out.extend_from_slice(&body.esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(prefix.prefix_len());
                emit_address(&address, out);
                match &body.gateway {
                    Some(gateway) if gateway.is_ipv4() == address.is_ipv4() => emit_address(gateway, out),
                    _ => out.resize(out.len() + address_len(&address), 0),
                }
                emit_label(body.label, out);
            }
        }
    }
}
