//! What is wrong with a file, as types: a problem knows where and why, never in which words.
//! The words are in the room `explain`.

mod bfd;
mod bmp;
mod frr;
mod rpki;
mod segment;

pub use bfd::BfdProblem;
pub use bmp::BmpProblem;
pub use frr::FrrProblem;
pub use rpki::RpkiProblem;
pub use segment::SegmentProblem;

use crate::language::keys::Kind;
use crate::language::line::{Family, Net};
use crate::language::{LineKind, LinkBy, Pass};
use crate::lists::Trouble;
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::bgp::config::Role;
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::mtu::Account;

/// No more are shown in one run.
pub const SHOWN: usize = 20;

/// One thing that is wrong, or that is better said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Bytes of the file; empty at its beginning if the file says nothing of it.
    pub span: Range<usize>,
    pub kind: ProblemKind,
    /// Another place in the file that it has to do with: the first of two that collide.
    pub other: Option<Range<usize>>,
}

impl Problem {
    pub fn new(span: Range<usize>, kind: impl Into<ProblemKind>) -> Problem {
        Problem { span, kind: kind.into(), other: None }
    }

    pub fn with_other(self, other: Range<usize>) -> Problem {
        Problem { other: Some(other), ..self }
    }

    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The network runs, and somebody should know.
    Warning,
}

/// Why.
#[derive(Debug, Clone, PartialEq)]
pub enum ProblemKind {
    Reading(Reading),
    Naming(Naming),
    Network(NetworkProblem),
    Line(LineProblem),
    Link(LinkProblem),
    Segment(SegmentProblem),
    Peer(PeerProblem),
    Management(ManagementProblem),
    Rpki(RpkiProblem),
    Bmp(BmpProblem),
    Bfd(BfdProblem),
    Frr(FrrProblem),
    /// Two tunnels of one kind between the same two addresses: nothing tells them apart.
    TunnelTwice,
    /// The compiler was given a file that `check` refuses.
    Unchecked,
    /// By the compiler's arithmetic: a full inside packet becomes more than two outer ones.
    TooManyPackets {
        link: String,
        mtu: u16,
        packets: u32,
        arithmetic: Account,
    },
    /// By the compiler's arithmetic: a full packet of a segment does not fit a link.
    SegmentTooSmall {
        segment: String,
        needs: u32,
        has: u32,
        arithmetic: Account,
    },
}

macro_rules! areas {
    ($($area:ident($type:ty);)*) => {$(
        impl From<$type> for ProblemKind {
            fn from(kind: $type) -> ProblemKind {
                ProblemKind::$area(kind)
            }
        }
    )*};
}

areas! {
    Reading(Reading);
    Naming(Naming);
    Network(NetworkProblem);
    Line(LineProblem);
    Link(LinkProblem);
    Segment(SegmentProblem);
    Peer(PeerProblem);
    Management(ManagementProblem);
    Rpki(RpkiProblem);
    Bmp(BmpProblem);
    Bfd(BfdProblem);
    Frr(FrrProblem);
}

impl ProblemKind {
    pub fn severity(&self) -> Severity {
        use SegmentProblem as S;
        use {LineProblem as L, ManagementProblem as M, NetworkProblem as N, PeerProblem as P};
        match self {
            ProblemKind::Network(N::PrefixNotGlobal { .. } | N::OriginateNothing | N::Isolated { .. })
            | ProblemKind::Line(L::NoGateway { .. } | L::FragmentsUncertain { .. })
            | ProblemKind::Segment(
                S::AllowsNothing
                | S::ManagementDenied
                | S::DnsDenied { .. }
                | S::GatewayNotSlash64 { .. }
                | S::LanOfOne { .. },
            )
            | ProblemKind::Peer(
                P::AddressWithoutNeighbour { .. } | P::PrefixNotGlobal { .. } | P::ListWithoutFamily { .. },
            )
            | ProblemKind::Management(
                M::NoIndependentLine { .. }
                | M::RouterUnreachable { .. }
                | M::NoMeetingPoint { .. }
                | M::LaptopMeetsNobody { .. },
            )
            | ProblemKind::Rpki(RpkiProblem::InvalidUnknown) => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// For machines: the reason's name under `kind`, and what it is about beside it.
    pub fn to_json(&self) -> serde_json::Value {
        let json = match self {
            ProblemKind::Reading(kind) => serde_json::to_value(kind),
            ProblemKind::Naming(kind) => serde_json::to_value(kind),
            ProblemKind::Network(kind) => serde_json::to_value(kind),
            ProblemKind::Line(kind) => serde_json::to_value(kind),
            ProblemKind::Link(kind) => serde_json::to_value(kind),
            ProblemKind::Segment(kind) => serde_json::to_value(kind),
            ProblemKind::Peer(kind) => serde_json::to_value(kind),
            ProblemKind::Management(kind) => serde_json::to_value(kind),
            ProblemKind::Rpki(kind) => serde_json::to_value(kind),
            ProblemKind::Bmp(kind) => serde_json::to_value(kind),
            ProblemKind::Bfd(kind) => serde_json::to_value(kind),
            ProblemKind::Frr(kind) => serde_json::to_value(kind),
            ProblemKind::TunnelTwice => Ok(json!({ "kind": "tunnel-twice" })),
            ProblemKind::Unchecked => Ok(json!({ "kind": "unchecked" })),
            ProblemKind::TooManyPackets { link, mtu, packets, arithmetic } => Ok(json!({
                "kind": "too-many-packets", "link": link, "mtu": mtu, "packets": packets, "arithmetic": arithmetic,
            })),
            ProblemKind::SegmentTooSmall { segment, needs, has, arithmetic } => Ok(json!({
                "kind": "segment-too-small", "segment": segment, "needs": needs, "has": has, "arithmetic": arithmetic,
            })),
        };
        // Plain enums of texts and numbers: serde_json has nothing to refuse.
        json.unwrap_or_default()
    }

    /// The reason's name: `duplicate-id`.
    pub fn code(&self) -> String {
        self.to_json()["kind"].as_str().unwrap_or_default().to_string()
    }
}

/// What a TOML value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    Text,
    Integer,
    Float,
    Flag,
    Date,
    List,
    Table,
}

/// How a text fails to be TOML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Syntax {
    /// A key or table said twice.
    Twice,
    UnclosedList,
    UnclosedTable,
    UnclosedText,
    /// A text without quotation marks.
    Unquoted,
    MissingValue,
    MissingEquals,
    MissingComma,
    /// Lists or tables within each other beyond all need.
    TooDeep,
    /// More than [`crate::declaration::MAX_BYTES`].
    TooLarge,
    /// In the library's words.
    Other(String),
}

/// How the file is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reading {
    Syntax {
        syntax: Syntax,
    },
    UnknownKey {
        table: &'static str,
        key: String,
        suggestion: Option<&'static str>,
    },
    MissingKey {
        table: &'static str,
        name: String,
        key: &'static str,
    },
    WrongType {
        #[serde(skip)]
        expected: Kind,
        found: Found,
    },
    /// A word that is none of those that are known.
    UnknownWord {
        word: String,
        known: &'static [&'static str],
        suggestion: Option<&'static str>,
    },
    OutOfRange {
        least: u64,
        most: u64,
    },
    BadName {
        name: String,
    },
    BadText,
    BadPort {
        text: String,
    },
    BadPortRef {
        text: String,
    },
    BadAddressRange {
        text: String,
    },
    BadAsSet {
        text: String,
    },
    BadSecret,
    BadRouteTarget {
        text: String,
    },
    BadPrefix {
        text: String,
    },
    BadAddress {
        text: String,
    },
    BadEndpoint {
        text: String,
    },
    /// A prefix where an address alone is meant.
    LengthUnasked {
        address: IpAddr,
    },
    /// An address where its prefix length is meant too.
    LengthMissing {
        address: IpAddr,
    },
    /// An address where a prefix is meant.
    HostBits {
        network: Prefix,
    },
    /// A pair has two.
    NotAPair {
        count: usize,
    },
    EmptyList,
    /// Twice in one list.
    Repeated {
        text: String,
    },
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noun {
    Site,
    Device,
    Person,
    Router,
    Uplink,
    Segment,
    Peer,
}

/// Names and numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Naming {
    /// `of`: the router whose uplink it should be.
    Dangling {
        what: Noun,
        name: String,
        of: Option<String>,
        suggestion: Option<String>,
    },
    DuplicateId {
        what: Noun,
        id: u16,
        first: String,
    },
    DuplicateVni {
        vni: u32,
        first: String,
    },
    /// Two routers speak as one AS inside.
    DuplicateAsn {
        asn: Asn,
        first: String,
    },
    /// A router and a person.
    DuplicateName {
        name: String,
    },
}

/// The network as a whole: numbers, prefixes, pools.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NetworkProblem {
    NoRouters,
    PublicAsnPrivate {
        asn: Asn,
    },
    PublicAsnReserved {
        asn: Asn,
    },
    /// A router's own AS number must be private.
    InsideAsnNotPrivate {
        asn: Asn,
    },
    PrefixTooLong {
        prefix: Prefix,
        longest: u8,
    },
    PrefixTooShort {
        prefix: Prefix,
        shortest: u8,
    },
    PrefixNotGlobal {
        prefix: Prefix,
    },
    ManagementNotSlash48 {
        prefix: Prefix,
    },
    ManagementNotUnicast {
        prefix: Prefix,
    },
    ManagementInPrefixes {
        management: Prefix,
        prefix: Prefix,
    },
    PoolOutsidePrefixes {
        pool: Prefix,
    },
    PoolsOverlap {
        pool: Prefix,
        first: Prefix,
    },
    TwoPoolsOfFamily {
        family: Family,
    },
    /// `most`: the largest id that the pool has room for.
    IdBeyondPool {
        id: u16,
        pool: Prefix,
        most: u64,
    },
    OriginateNothing,
    /// No link leads from these to the rest.
    Isolated {
        routers: Vec<String>,
    },
}

/// What takes a port of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortUse {
    Uplink(String),
    Link(String),
    Segment(String),
    /// A segment, and the tag of its VLAN.
    Vlan(String, u16),
    Peer(String),
    Management,
}

/// One router's access lines and ports.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LineProblem {
    RegionMissing,
    RegionOutOfPlace {
        line: LineKind,
    },
    FamilyNotOnLine {
        line: LineKind,
        family: Family,
    },
    ClientNotOnLine {
        line: LineKind,
        client: &'static str,
    },
    AddressIsNetwork {
        prefix: Prefix,
    },
    AddressIsBroadcast {
        prefix: Prefix,
    },
    AddressUnusable {
        address: IpAddr,
    },
    /// Two of one family where at most one can be.
    FamilyTwice {
        family: Family,
    },
    GatewayNotOnLine {
        gateway: IpAddr,
        network: Prefix,
    },
    GatewayIsAddress {
        gateway: IpAddr,
    },
    GatewayWithoutAddress {
        family: Family,
    },
    NoGateway {
        family: Family,
    },
    PathMtuBelowIpv6 {
        mtu: u16,
    },
    AddressInside {
        address: IpAddr,
        space: Prefix,
    },
    AddressTwice {
        address: IpAddr,
    },
    PortTwice {
        port: String,
        first: PortUse,
        shareable: bool,
    },
    PortReserved {
        port: String,
    },
    ManagementNeedsUdp,
    FragmentsUncertain {
        line: LineKind,
    },
}

/// Links between routers, and the tunnels of outside connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LinkProblem {
    ToItself {
        router: String,
    },
    KeyMissing {
        key: &'static str,
        by: &'static str,
    },
    KeyOutOfPlace {
        key: &'static str,
        by: &'static str,
    },
    NeverMeet {
        nets: [Net; 2],
    },
    NobodyCanCall {
        lines: [LineKind; 2],
    },
    NotPassed {
        line: String,
        is: LineKind,
        stated: bool,
        what: Pass,
        by: &'static str,
    },
    NotForFabric {
        line: String,
    },
    ClearText {
        by: LinkBy,
    },
    NeedsStatedAddress {
        line: String,
        by: &'static str,
    },
    NoCommonFamily {
        lines: [String; 2],
    },
    /// Of WireGuard: neither end has a stated address that can be called.
    NoAddressToCall {
        lines: [String; 2],
    },
    KernelCannot {
        by: LinkBy,
    },
    TooManyParallel {
        most: u8,
    },
    SwitchMtuTooSmall {
        site: String,
        switch: u16,
        link: u16,
    },
}

/// Networks outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PeerProblem {
    AsnIsOurs {
        asn: Asn,
    },
    AsnPrivate {
        asn: Asn,
        role: Role,
    },
    AsnReserved {
        asn: Asn,
    },
    AsnIsRouters {
        asn: Asn,
        router: String,
    },
    CustomerWithoutPrefixes,
    /// One word would make a peer with a list a customer, which hears everything: a second one is asked for.
    CustomerUnconfirmed,
    /// A list file that cannot be used.
    List {
        path: String,
        trouble: Trouble,
    },
    /// A list file with nothing of a family in which there is a session.
    ListWithoutFamily {
        path: String,
        family: Family,
    },
    /// One file for the lists of two AS-SETs.
    ListTwice {
        path: String,
    },
    /// The network itself, or the peer, through which all of its routes come.
    NeverViaItself {
        asn: Asn,
    },
    /// A key that speaks of a limit that is not there.
    WithoutLimit {
        key: &'static str,
    },
    PrefixesOutOfPlace {
        role: Role,
    },
    PrefixTooLong {
        prefix: Prefix,
        longest: u8,
    },
    /// A customer's prefix in which loopbacks of ours are.
    PrefixInPool {
        prefix: Prefix,
        pool: Prefix,
    },
    PrefixNotGlobal {
        prefix: Prefix,
    },
    NeighbourNotOnConnection {
        neighbour: IpAddr,
    },
    NeighbourIsOurs {
        neighbour: IpAddr,
    },
    /// Of a far end that could not answer: not beside us, or we ourselves.
    KeepaliveNotBeside {
        address: IpAddr,
    },
    NeighbourTwice {
        neighbour: IpAddr,
    },
    AddressWithoutNeighbour {
        address: Prefix,
    },
    AddressInPool {
        address: IpAddr,
        space: Prefix,
    },
    ConnectionsOverlap {
        address: Prefix,
        first: Prefix,
    },
    RemoteFamily {
        line: String,
        family: Family,
    },
    RemoteInside {
        remote: IpAddr,
        space: Prefix,
    },
    RemoteIsOurs {
        remote: IpAddr,
    },
}

/// The ways by which people come to repair.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ManagementProblem {
    NoIndependentLine {
        site: String,
    },
    /// Neither a line for management nor a port on the site's switch with such a line beside it.
    RouterUnreachable {
        router: String,
    },
    /// A device at a site none of whose routers has a management port.
    DeviceUnreachable {
        site: String,
    },
    MeetingCannotBeCalled {
        router: String,
    },
    /// A line that nobody can call and that has nobody to call.
    NoMeetingPoint {
        line: String,
        net: Net,
    },
    LaptopMeetsNobody {
        person: String,
    },
}
