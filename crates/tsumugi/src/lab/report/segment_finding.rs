//! What the proofs of segments measured, or why one failed; `segment_words` says it.

use crate::lab::probe::frame::Whom;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentFinding {
    /// The kernel of this machine has no VLANs (IEEE 802.1Q).
    NotHere,
    /// There is nobody else to reach.
    OneHost,
    /// There is no other router to move to.
    OneRouter,

    /// A full packet of each family went both ways: the links that it crossed in VXLAN, and the most
    /// outer packets on a tunnel (0: it crossed none).
    Full {
        bytes: usize,
        over: Vec<String>,
        outer: usize,
    },
    /// Between two routers, and no link carried it in VXLAN.
    NoVxlan,
    /// Not one VXLAN packet in one direction.
    NotOnePacket {
        link: String,
        packets: usize,
    },
    /// More outer packets than two, or not all of them.
    TooManyOuter {
        link: String,
        pieces: Vec<usize>,
    },
    /// Outside of the link nothing of that size was seen.
    NothingOuter {
        link: String,
    },

    /// Every kind of flooded frame from one host arrived once at all others.
    Once {
        hosts: usize,
        frames: usize,
    },
    /// A frame arrived more than once.
    Again {
        whom: Whom,
        at: String,
        times: usize,
    },
    /// A frame came back to who sent it.
    Back {
        whom: Whom,
    },
    /// A frame did not arrive.
    Missed {
        whom: Whom,
        at: Vec<String>,
    },

    /// Frames or packets that were to go nowhere, and did not.
    Apart {
        frames: usize,
        places: usize,
    },
    /// They arrived: from where and at whom.
    CameTo(Vec<String>),
    /// Who asks for the gateway gets one answer, and nobody else hears the question.
    OneGateway,
    /// It gets none, or several.
    Gateways {
        count: usize,
    },
    /// What is denied was dropped and counted, and what is not passed.
    Denied {
        denied: &'static str,
        passed: &'static str,
    },
    /// What is not denied did not arrive.
    AllowedLost {
        what: &'static str,
    },

    /// A host moved, and back: how long until a third one reached it again.
    Moved {
        from: String,
        to: String,
        there: Duration,
        back: Duration,
    },
    /// Not reached again.
    NotReachedAt {
        router: String,
        after: Duration,
    },
    /// Routers that still send to where it was.
    Stale {
        after: Duration,
        entries: Vec<String>,
    },

    /// A cable between two LANs: blocked after, opened again after it was pulled; the longest outage of
    /// others meanwhile.
    Guarded {
        port: String,
        after: Duration,
        opened: Duration,
        others: Duration,
    },
    /// No port was blocked.
    NotGuarded {
        after: Duration,
    },
    /// A port that its own router does not say is blocked.
    NotSaid {
        port: String,
    },
    /// The cable is gone, and the port stays blocked.
    StaysBlocked {
        port: String,
        after: Duration,
    },
    /// Others of the segment could not reach each other while the loop was.
    OthersDown {
        outage: Duration,
    },

    /// A host's way out, by the router that it was seen at.
    WayOut {
        gateway: String,
        way: Vec<String>,
    },
    /// It was seen at another router than its own.
    NotNearest {
        gateway: String,
        instead: String,
    },
    /// The active router died and came back: who took over, after what time, and the outage at its return.
    TakenOver {
        by: String,
        after: Duration,
        back: Duration,
    },
    /// Nobody took over, or it did not come back.
    NotTakenOver {
        dead: String,
        after: Duration,
    },
    NotBack {
        router: String,
        after: Duration,
    },
    /// A new host was given addresses and reached this host outside, if the file has any outside.
    Newcomer {
        addresses: Vec<String>,
        after: Duration,
        outside: Option<String>,
    },
    /// It was not given one.
    NotGiven {
        what: &'static str,
        after: Duration,
    },
}
