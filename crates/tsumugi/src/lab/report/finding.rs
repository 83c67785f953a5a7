//! What a proof measured, or why it failed: as types; `words` says them.

use super::SegmentFinding;
use crate::lab::stand_in::Why;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::desired::DropReason;
use tsumugi_core::id::Prefix;

/// Where on a link something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the underlay, where the sending end's line ends.
    Sender,
    /// In the underlay, where the receiving end's line begins.
    Receiver,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The file has no subject of this kind.
    NothingToProve,
    /// The measuring itself failed: what the system said.
    Failed(String),
    /// Of the two address families, this is about one.
    Of { ipv6: bool, what: Box<Finding> },

    /// About a segment.
    Segment(SegmentFinding),

    /// Sessions; how long the last one took.
    Established { count: usize, after: Option<Duration> },
    /// Neighbours without a session and what each waits for.
    NotEstablished { of: usize, missing: Vec<String> },

    /// All were answered; the slowest round trip.
    Reached { count: usize, slowest: Duration },
    /// Who did not answer.
    Unreached { of: usize, missing: Vec<String> },

    /// Numbers of addresses of the fabric, by what they are.
    Addresses { loopback: usize, link_local: usize, outside: usize, gateways: usize },
    /// Addresses that have no place in the fabric, each with its interface.
    Strays(Vec<String>),
    /// Addresses that should be there.
    Absent(Vec<String>),

    /// The routers of a way, the destination included.
    Way(Vec<String>),
    /// Hops (from 1) that nobody answered for.
    SilentHop { hop: usize, way: Vec<String> },
    /// A hop that answers with an address that is no loopback.
    ForeignHop { hop: usize, address: IpAddr },
    /// Two hops that no link of the file joins.
    NoSuchLink { from: String, to: String },
    /// The way ends before its destination.
    NotArrived { way: Vec<String> },

    /// Sizes of the outer packets that one inner packet of each family became, at either place.
    TwoPackets { inner: usize, v4: Vec<usize>, v6: Vec<usize>, path_mtu: usize },
    /// The inner packet was refused by the sender's own kernel.
    Unsent { inner: usize, why: String },
    /// The inner packet left and did not arrive.
    Lost { inner: usize },
    /// It arrived otherwise than it was sent.
    Changed { pieces: Vec<usize>, inner: usize },
    /// Not two outer packets.
    Pieces { place: Place, pieces: Vec<usize> },
    /// Larger than the path passes.
    TooLarge { place: Place, length: usize, path_mtu: usize },

    /// A transfer without fragments: its outer packets and the largest of them.
    OnePacket { packets: usize, largest: usize, bytes: usize },
    /// Outer fragments of a transfer.
    Fragments { place: Place, count: usize, of: usize },
    /// A transfer that was not seen where it should have passed.
    Elsewhere { place: Place },
    /// The transfer broke off or stood still.
    NoTransfer(String),

    /// Forged packets that were dropped, by the name of their counter.
    Dropped(Vec<(DropReason, u64)>),
    /// Fewer were counted than were sent.
    NotCounted { reason: DropReason, sent: u64, counted: u64 },
    /// What was answered or let through although it was forged: to whom, and what went there.
    LetThrough(Vec<String>),

    /// A peer holds exactly what it should; the path of our own prefixes.
    Holds { prefixes: usize, path: String },
    /// A peer holds what it should not, or lacks what it should hold.
    HoldsWrong { missing: Vec<String>, extra: Vec<String> },
    /// A route with a path that is not the file's.
    WrongPath { prefix: String, path: String, expected: String },
    /// A route with a community that is ours alone.
    OurCommunity { prefix: String, community: String },
    /// The peer's session does not stand: what it says of it.
    NoSession(String),
    /// Bad announcements of which no packet came, with the border's reason for each.
    RefusedAll { count: usize, reasons: BTreeMap<Why, usize> },
    /// Bad announcements that were never made: nothing is proven of them.
    NotAnnounced(Vec<String>),
    /// Bad announcements that attracted packets.
    TakenAlthough(Vec<(Prefix, Why)>),
    /// Where packets to what everybody announces went, and it is right.
    Prefers { winners: Vec<String> },
    /// Packets to what everybody announces came to somebody less preferred.
    PrefersWrong { at: Vec<String>, instead: Vec<String> },
    /// A border cut off from the AS withdrew all of the AS's prefixes.
    Withdrew { after: Duration },
    /// It still announces them.
    StillAnnounced { prefixes: Vec<String>, after: Duration },
    /// All is mended, and it has not come back.
    NotRestored(Vec<String>),

    /// Packets sent to the management space from elsewhere; none arrived.
    NothingCrossed { packets: usize, places: usize },
    /// Packets that did arrive: from where and at whom.
    Crossed(Vec<String>),

    /// A silent cut: the longest outage, and how many of the pairs had any.
    Healed { loss: Duration, interrupted: usize, of: usize },
    /// The file shows no second way for some; all others healed.
    NoSecondWay { apart: Vec<String>, loss: Duration },
    /// Outer packets still came out of a line of the link: it was not cut.
    NotCut { packets: usize },
    /// Pairs that have a second way and did not find it.
    NotHealed { pairs: Vec<String>, after: Duration },
}

impl From<SegmentFinding> for Finding {
    fn from(finding: SegmentFinding) -> Finding {
        Finding::Segment(finding)
    }
}

impl From<io::Error> for Finding {
    fn from(error: io::Error) -> Finding {
        Finding::Failed(error.to_string())
    }
}
