//! The identities that every other part speaks of.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// An IP prefix of either family. Host bits may be set where an address with its length is meant.
pub type Prefix = ipnet::IpNet;

/// An autonomous system number (RFC 6793).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS (RFC 6793 9): stands for a four-octet number where only two octets fit.
    pub const TRANS: Asn = Asn(23456);

    /// The AS number that a router of the file gets unless it states its own: 4200000000 + id.
    pub fn of_router(id: u32) -> Asn {
        Asn(4_200_000_000 + id)
    }

    /// Private use (RFC 6996).
    pub fn is_private(self) -> bool {
        matches!(self.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
    }

    /// Never valid in a path from outside: private, documentation (RFC 5398), reserved (RFC 7300,
    /// RFC 7607) or AS_TRANS itself.
    pub fn is_bogon(self) -> bool {
        self.is_private()
            || matches!(self.0, 0 | 23_456 | 64_496..=64_511 | 65_535 | 65_536..=65_551 | 4_294_967_295)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// A network identifier of VXLAN (RFC 7348) or GENEVE (RFC 8926): 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vni(pub u32);

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Mac, InvalidName> {
        text.parse()
    }
}

impl FromStr for Mac {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Mac, InvalidName> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(InvalidName)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| InvalidName)?;
        }
        if parts.next().is_some() {
            return Err(InvalidName);
        }
        Ok(Mac(bytes))
    }
}

/// The name of a network interface: 1 to 15 bytes, none of them a slash, a colon or white space
/// (the kernel's `dev_valid_name`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct IfName(String);

impl IfName {
    /// # Errors
    /// `InvalidName` if the kernel would not take it.
    pub fn new(name: &str) -> Result<IfName, InvalidName> {
        let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
        let clean = !name.bytes().any(|b| b == b'/' || b == b':' || b.is_ascii_whitespace() || b == 0);
        if fits && clean { Ok(IfName(name.into())) } else { Err(InvalidName) }
    }

    /// The interface that every network namespace is born with.
    pub fn loopback() -> IfName {
        IfName("lo".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> String {
        name.0
    }
}

impl TryFrom<String> for IfName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<IfName, InvalidName> {
        IfName::new(&text)
    }
}

/// A text that is not the name it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid name")
    }
}

impl core::error::Error for InvalidName {}

/// One of the three networks that a router is made of, each a network namespace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    /// The machine's initial namespace: sshd, the repair line, the site's management switch.
    Management,
    /// The access lines over which tunnels travel.
    Underlay,
    /// The real network: the AS's own addresses and routes.
    Fabric,
}

impl Plane {
    pub const ALL: [Plane; 3] = [Plane::Management, Plane::Underlay, Plane::Fabric];

    pub fn name(self) -> &'static str {
        match self {
            Plane::Management => "management",
            Plane::Underlay => "underlay",
            Plane::Fabric => "fabric",
        }
    }
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a secret. The secret itself never stands in a file or a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyName(pub String);

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
