//! The language of the file: its keys, its words, and the kinds of lines that it can name.

pub mod keys;
pub mod line;

pub use line::LineKind;

/// NTT's two closed networks do not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    East,
    West,
}

/// What a line passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    Udp,
    /// IP protocol 47.
    Gre,
    /// IP protocol 97.
    #[serde(rename = "etherip")]
    EtherIp,
    /// Fragments of IP packets.
    Fragments,
    /// Packets that nobody behind the line asked for.
    Incoming,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    Fabric,
    Management,
}

/// What carries a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkBy {
    Ethernet,
    Gre,
    #[serde(rename = "etherip")]
    EtherIp,
    #[serde(rename = "wireguard")]
    WireGuard,
}

/// What carries an outside connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerBy {
    EtherIp,
    Gretap,
    Ethernet,
}

/// How many routes a router is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Every route.
    Full,
    /// The AS's own and its customers' routes and a default: for small boxes.
    Default,
}
