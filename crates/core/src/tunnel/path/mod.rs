//! The quality of the path under a tunnel, measured between the datapaths of its two ends: how large a
//! packet passes whole, whether pieces pass, whether they pass the wrong way round, loss, jitter.
//!
//! Where the far end is not ours, it is asked by echo requests ([`Answerer`]), which tell less.
//!
//! One end measures both directions. Each of its trials is a question in some [`Shape`] that asks for a
//! reply in some other; the far end needs no plan of what comes ([`Reflector`]). [`Measurement`] is driven
//! by time and by replies and decides which trial is next.
//!
//! ```text
//! greeting ─▶ train ─▶ sizes ─▶ pieces ─▶ pieces turned round
//!            loss      out and back, each at its own pace
//! ```

mod course;
mod in_force;
mod measurement;
mod message;
mod reflector;
#[cfg(test)]
mod simulated;

pub use course::Looking;
pub use in_force::{Affected, InForce, Mover, PathTrouble, TcpThen};
pub use measurement::{Measurement, Outcome, Progress, Stage, Subject, Trial};
pub use message::{Question, Reply};
pub use reflector::Reflector;

use crate::mtu::{Way, outer_packets};
use serde::{Deserialize, Serialize};

/// The least that is looked for where the outer packets are IPv4: what every host takes (RFC 791 3.1).
const LEAST_IPV4: u16 = 576;
/// The inner packet of every trial that is not about size, in bytes: with all headers below any floor.
const SMALL: u16 = 128;

/// How one trial leaves a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Bytes of the inner IP packet.
    pub inner: u16,
    /// Outer packets may have so many bytes: what does not fit is cut there. What fits bears DF.
    pub path: u16,
    /// The last piece leaves first.
    pub turned: bool,
}

impl Shape {
    /// Whole on any path.
    pub fn small(way: &Way) -> Shape {
        let path = u16::try_from(way.whole(SMALL.into())).unwrap_or(u16::MAX);
        Shape { inner: SMALL, path, turned: false }
    }

    /// Whether a far end may ask for it: one packet or two, none larger than `most`, so that nobody who
    /// plays the far end gets more out of us than that.
    fn is_fair(&self, way: &Way, most: u16) -> bool {
        let packets = outer_packets(way.outer, self.path.into(), way.wrapping.payload(self.inner.into()));
        self.inner >= SMALL
            && (1..=2).contains(&packets.len())
            && packets.iter().all(|size| *size <= most.into())
    }
}

/// How many of some trials arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub sent: u32,
    pub arrived: u32,
}

impl Tally {
    pub fn lost(self) -> u32 {
        self.sent.saturating_sub(self.arrived)
    }

    /// Several were sent, and not one arrived.
    pub fn none_arrived(self) -> bool {
        self.sent > 0 && self.arrived == 0
    }
}

/// One direction of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direction {
    /// The largest outer packet that arrived whole, in bytes, among the sizes that the tunnel can make;
    /// `None`: not even the least that was tried.
    pub mtu: Option<u16>,
    /// Datagrams in two pieces.
    pub pieces: Tally,
    /// The same with the second piece first.
    pub turned: Tally,
    /// Small packets, whole.
    pub train: Tally,
    /// How much the time on the way changed from one packet to the next, in microseconds: the mean
    /// (RFC 3393 with consecutive packets, absolute values).
    pub jitter_us: u32,
}

impl Direction {
    /// Whether pieces pass, but not the wrong way round.
    pub fn drops_turned(&self) -> bool {
        !self.pieces.none_arrived() && self.turned.none_arrived()
    }
}

/// Who answered, and so how much could be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answerer {
    /// The far end's datapath, which is ours: each direction is known for itself.
    #[default]
    Datapath,
    /// A neighbour inside the tunnel, to echo requests. What it sends back has the size of what it was sent,
    /// and whoever is there cuts it.
    Neighbour,
    /// The machine at the far end, to echo requests outside the tunnel, cut like the tunnel's packets.
    Machine,
}

impl Answerer {
    /// Whether the two directions are told apart.
    pub fn tells_directions(self) -> bool {
        self == Answerer::Datapath
    }
}

/// What was found of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFinding {
    #[serde(default)]
    pub answered_by: Answerer,
    /// From us to the far end. Where directions are not told apart, there and back: what is sent is sent so,
    /// and the answer comes as the far end makes it.
    pub out: Direction,
    /// From the far end to us; `None`: not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Direction>,
    /// Round trips of small packets, in microseconds: the least and the one in the middle.
    pub least_rtt_us: u32,
    pub median_rtt_us: u32,
}

impl PathFinding {
    /// The largest outer packet that passes whole in both directions.
    pub fn mtu(&self) -> Option<u16> {
        match &self.back {
            Some(back) => Some(self.out.mtu?.min(back.mtu?)),
            None => self.out.mtu,
        }
    }

    /// Whether pieces vanish in any direction.
    pub fn drops_pieces(&self) -> bool {
        self.out.pieces.none_arrived() || self.back.is_some_and(|back| back.pieces.none_arrived())
    }
}
