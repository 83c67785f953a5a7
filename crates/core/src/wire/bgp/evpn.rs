//! EVPN's nouns on the wire: route distinguishers, route targets, Ethernet segments, and the five
//! kinds of routes (RFC 7432 7, RFC 9136 3) with the tunnel that floods (RFC 6514 5).

use crate::id::{Mac, Prefix, Vni};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// RFC 4364 4.2: makes routes of several routers to one MAC distinct.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RouteDistinguisher(pub [u8; 8]);

impl RouteDistinguisher {
    /// Type 1: an IPv4 address and a number that its owner gave.
    pub fn of_router(router_id: Ipv4Addr, index: u16) -> RouteDistinguisher {
        let [a, b, c, d] = router_id.octets();
        let [hi, lo] = index.to_be_bytes();
        RouteDistinguisher([0, 1, a, b, c, d, hi, lo])
    }
}

/// RFC 4360 4: who shall take a route. As the extended community that carries it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RouteTarget(pub [u8; 8]);

impl RouteTarget {
    /// Type 0x0002 (RFC 4360 3.1).
    pub fn of_two_octet_as(asn: u16, number: u32) -> RouteTarget {
        let [a, b] = asn.to_be_bytes();
        let [c, d, e, f] = number.to_be_bytes();
        RouteTarget([0x00, 0x02, a, b, c, d, e, f])
    }

    /// Type 0x0202 (RFC 5668 2).
    pub fn of_four_octet_as(asn: u32, number: u16) -> RouteTarget {
        let [a, b, c, d] = asn.to_be_bytes();
        let [e, f] = number.to_be_bytes();
        RouteTarget([0x02, 0x02, a, b, c, d, e, f])
    }
}

/// RFC 7432 5: a LAN that is joined to several routers; all zeros: to one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Esi(pub [u8; 10]);

impl Esi {
    pub const SINGLE_HOMED: Esi = Esi([0; 10]);

    /// Type 0: nine bytes of the operator's own (here the plan's).
    pub fn stated(value: [u8; 9]) -> Esi {
        let mut bytes = [0; 10];
        bytes[1..].copy_from_slice(&value);
        Esi(bytes)
    }
}

/// What tells one EVPN route from another: the key of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum EvpnRoute {
    /// Type 1 (RFC 7432 7.1).
    AutoDiscovery { rd: RouteDistinguisher, esi: Esi, tag: u32 },
    /// Type 2 (RFC 7432 7.2).
    MacIp { rd: RouteDistinguisher, tag: u32, mac: Mac, ip: Option<IpAddr> },
    /// Type 3 (RFC 7432 7.3).
    Multicast { rd: RouteDistinguisher, tag: u32, originator: IpAddr },
    /// Type 4 (RFC 7432 7.4).
    EthernetSegment { rd: RouteDistinguisher, esi: Esi, originator: IpAddr },
    /// Type 5 (RFC 9136 3.1).
    IpPrefix { rd: RouteDistinguisher, tag: u32, prefix: Prefix },
}

/// What else stands in a route's NLRI and does not tell it apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvpnBody {
    /// Of types 2 and 5.
    pub esi: Esi,
    /// Of types 1, 2 and 5, all 24 bits: with VXLAN the VNI (RFC 8365 5.1.3).
    pub label: u32,
    /// Of type 2: the VNI for routing.
    pub label2: Option<u32>,
    /// Of type 5.
    pub gateway: Option<IpAddr>,
}

/// The PMSI tunnel attribute (RFC 6514 5): how packets for everyone reach the originator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PmsiTunnel {
    pub flags: u8,
    /// [`PmsiTunnel::INGRESS_REPLICATION`] or another's number.
    pub kind: u8,
    /// All 24 bits; with VXLAN the VNI (RFC 8365 5.1.3).
    pub label: u32,
    /// As on the wire. Of ingress replication: the VTEP's address, 4 or 16 bytes.
    pub identifier: Box<[u8]>,
}

impl PmsiTunnel {
    /// RFC 6514 5: everybody gets a copy of their own.
    pub const INGRESS_REPLICATION: u8 = 6;

    pub fn ingress_replication(vni: Vni, vtep: IpAddr) -> PmsiTunnel {
        let identifier = match vtep {
            IpAddr::V4(address) => address.octets().into(),
            IpAddr::V6(address) => address.octets().into(),
        };
        PmsiTunnel { flags: 0, kind: PmsiTunnel::INGRESS_REPLICATION, label: vni.0, identifier }
    }
}

/// The text of a distinguisher, target or segment is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidIdentifier;

impl fmt::Display for InvalidIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier of this kind")
    }
}

/// The kind's number and the parts of the key, each in brackets, as is the custom.
impl fmt::Display for EvpnRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvpnRoute::AutoDiscovery { rd, esi, tag } => write!(f, "[1]:[{rd}]:[{esi}]:[{tag}]"),
            EvpnRoute::MacIp { rd, tag, mac, ip: None } => write!(f, "[2]:[{rd}]:[{tag}]:[{mac}]"),
            EvpnRoute::MacIp { rd, tag, mac, ip: Some(ip) } => {
                write!(f, "[2]:[{rd}]:[{tag}]:[{mac}]:[{ip}]")
            }
            EvpnRoute::Multicast { rd, tag, originator } => write!(f, "[3]:[{rd}]:[{tag}]:[{originator}]"),
            EvpnRoute::EthernetSegment { rd, esi, originator } => {
                write!(f, "[4]:[{rd}]:[{esi}]:[{originator}]")
            }
            EvpnRoute::IpPrefix { rd, tag, prefix } => write!(f, "[5]:[{rd}]:[{tag}]:[{prefix}]"),
        }
    }
}

/// `AS:NUMBER`, `ADDRESS:NUMBER`, or eight bytes in hexadecimal for other types.
fn write_administered(bytes: [u8; 8], kind: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [_, _, a, b, c, d, e, g] = bytes;
    match kind {
        0 => write!(f, "{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
        1 => write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
        2 => write!(f, "{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g])),
        _ => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
    }
}

/// The type (0, 1 or 2) and six bytes behind it; a bare number up to 65535 is a two-octet AS.
fn read_administered(text: &str) -> Result<(u8, [u8; 6]), InvalidIdentifier> {
    let (left, right) = text.rsplit_once(':').ok_or(InvalidIdentifier)?;
    let mut bytes = [0; 6];
    let wide = |bytes: &mut [u8; 6], administrator: [u8; 4]| {
        let number: u16 = right.parse().map_err(|_| InvalidIdentifier)?;
        bytes[..4].copy_from_slice(&administrator);
        bytes[4..].copy_from_slice(&number.to_be_bytes());
        Ok(())
    };
    let kind = if let Ok(address) = left.parse::<Ipv4Addr>() {
        wide(&mut bytes, address.octets())?;
        1
    } else if let Ok(asn) = left.parse::<u16>() {
        let number: u32 = right.parse().map_err(|_| InvalidIdentifier)?;
        bytes[..2].copy_from_slice(&asn.to_be_bytes());
        bytes[2..].copy_from_slice(&number.to_be_bytes());
        0
    } else {
        let asn: u32 = left.parse().map_err(|_| InvalidIdentifier)?;
        wide(&mut bytes, asn.to_be_bytes())?;
        2
    };
    Ok((kind, bytes))
}

/// `bytes` from two hexadecimal digits each.
fn read_hexadecimal<const N: usize>(text: &str) -> Result<[u8; N], InvalidIdentifier> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return Err(InvalidIdentifier);
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| InvalidIdentifier)?;
    }
    Ok(bytes)
}

impl fmt::Display for RouteDistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.0[0] == 0 { self.0[1] } else { u8::MAX };
        write_administered(self.0, kind, f)
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.0[1] == 0x02 { self.0[0] } else { u8::MAX };
        write_administered(self.0, kind, f)
    }
}

impl fmt::Display for Esi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for RouteDistinguisher {
    type Err = InvalidIdentifier;
    fn from_str(text: &str) -> Result<RouteDistinguisher, InvalidIdentifier> {
        if let Ok(bytes) = read_hexadecimal(text) {
            return Ok(RouteDistinguisher(bytes));
        }
        let (kind, [a, b, c, d, e, f]) = read_administered(text)?;
        Ok(RouteDistinguisher([0, kind, a, b, c, d, e, f]))
    }
}

impl FromStr for RouteTarget {
    type Err = InvalidIdentifier;
    fn from_str(text: &str) -> Result<RouteTarget, InvalidIdentifier> {
        if let Ok(bytes) = read_hexadecimal(text) {
            return Ok(RouteTarget(bytes));
        }
        let (kind, [a, b, c, d, e, f]) = read_administered(text)?;
        Ok(RouteTarget([kind, 0x02, a, b, c, d, e, f]))
    }
}

impl FromStr for Esi {
    type Err = InvalidIdentifier;
    fn from_str(text: &str) -> Result<Esi, InvalidIdentifier> {
        read_hexadecimal(text).map(Esi)
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> String {
                it.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentifier;
            fn try_from(text: String) -> Result<$name, InvalidIdentifier> {
                text.parse()
            }
        }
    )*};
}

as_text!(RouteDistinguisher, RouteTarget, Esi);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_read_what_they_print() {
        let router = RouteDistinguisher::of_router(Ipv4Addr::new(43, 228, 174, 129), 100);
        for (text, rd) in [
            ("43.228.174.129:100", router),
            ("00ff010203040506", RouteDistinguisher([0, 255, 1, 2, 3, 4, 5, 6])),
        ] {
            assert_eq!((rd.to_string().as_str(), text.parse()), (text, Ok(rd)));
        }
        let targets = [
            ("63806:100", RouteTarget::of_two_octet_as(63806, 100)),
            ("4200000001:7", RouteTarget::of_four_octet_as(4_200_000_001, 7)),
            ("0600000000000001", RouteTarget([6, 0, 0, 0, 0, 0, 0, 1])),
        ];
        for (text, target) in targets {
            assert_eq!((target.to_string().as_str(), text.parse()), (text, Ok(target)));
        }
        assert_eq!("63806".parse::<RouteTarget>(), Err(InvalidIdentifier));
        assert_eq!("4200000001:65536".parse::<RouteTarget>(), Err(InvalidIdentifier));
        let lan = Esi::stated([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(lan.to_string().parse(), Ok(lan));
    }
}
