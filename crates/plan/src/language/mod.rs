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
    Geneve,
    Ethernet,
}

impl PeerBy {
    /// `None` for a wire.
    pub fn tunnel(self) -> Option<TunnelBy> {
        match self {
            PeerBy::EtherIp => Some(TunnelBy::EtherIp),
            PeerBy::Gretap => Some(TunnelBy::Gretap),
            PeerBy::Geneve => Some(TunnelBy::Geneve),
            PeerBy::Ethernet => None,
        }
    }
}

/// What carries Ethernet to a far end that is no router of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelBy {
    EtherIp,
    Gretap,
    Geneve,
}

impl TunnelBy {
    pub const ALL: [TunnelBy; 3] = [TunnelBy::EtherIp, TunnelBy::Gretap, TunnelBy::Geneve];

    /// What a line has to pass for it, fragments aside. GENEVE's answers come from ports that nobody here
    /// has sent to (RFC 8926 3.3): to whoever stands on the way they are calls from outside.
    pub fn needs(self) -> &'static [Pass] {
        match self {
            TunnelBy::EtherIp => &[Pass::EtherIp],
            TunnelBy::Gretap => &[Pass::Gre],
            TunnelBy::Geneve => &[Pass::Udp, Pass::Incoming],
        }
    }
}

/// How many routes a router is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Every route.
    Full,
    /// The AS's own and its customers' routes and a default: for small boxes.
    Default,
}
