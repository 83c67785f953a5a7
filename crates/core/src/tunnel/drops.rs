//! Why a tunnel dropped a packet, and how often.

use crate::wire::Malformed;
use serde::ser::{Serialize, SerializeMap, Serializer};

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a packet went no further.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        impl DropReason {
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// The name of its counter.
            pub fn counter(self) -> &'static str {
                match self {
                    $(DropReason::$name => $text,)*
                }
            }
        }
    };
}

drop_reasons! {
    /// The outer packet or its tunnel header is not what its protocol says.
    Malformed = "malformed",
    /// Not from a far end of ours, or not to the address that it is to use.
    UnknownSource = "unknown-source",
    /// From a far end of ours, with a key or in an encapsulation that no tunnel with it has.
    UnknownTunnel = "unknown-tunnel",
    /// EtherIP of a version other than 3.
    EtherIpVersion = "etherip-version",
    /// EtherIP with reserved bits that are not zero.
    EtherIpReserved = "etherip-reserved",
    /// EtherIP with its version in the wrong half of the byte, from a far end that should not.
    EtherIpReversed = "etherip-reversed",
    /// GENEVE of a version other than 0.
    GeneveVersion = "geneve-version",
    /// GENEVE for the far end itself (O bit): we speak no control protocol with anybody.
    GeneveControl = "geneve-control",
    /// GENEVE with an option that must be understood (C bit): we know none.
    GeneveCritical = "geneve-critical",
    /// An Ethernet frame shorter than its header.
    ShortFrame = "short-frame",
    /// What the tunnel carries is not what it should carry.
    WrongInner = "wrong-inner",
    /// Congestion was marked outside on a packet whose sender cannot hear of it (RFC 6040 4.2).
    Congestion = "congestion",
    /// Larger than an IP packet can be once encapsulated.
    TooLarge = "too-large",
    /// The path is too small to be used.
    PathTooSmall = "path-too-small",
    /// The kernel did not take an outer packet: no route, no buffer, a wall.
    SendFailed = "send-failed",
    /// The kernel did not take an inner packet.
    DeviceFailed = "device-failed",
    /// There is no socket on the line, or no address of it, yet.
    NoLine = "no-line",
    /// It is not known yet where the far end is.
    NoRemote = "no-remote",
    /// WireGuard has no session with the far end yet.
    NoSession = "no-session",
    /// WireGuard could not authenticate it.
    Unauthenticated = "unauthenticated",
    /// WireGuard has seen it before, or it is too old.
    Replayed = "replayed",
    /// A fragment that fits no datagram: empty, of a size that is no multiple of 8, beyond what IP allows, or
    /// with another within.
    BadFragment = "bad-fragment",
    /// Fragments that overlap (RFC 5722) or contradict each other, and all others of their datagram.
    OverlappingFragment = "overlapping-fragment",
    /// A fragment that is here already.
    DuplicateFragment = "duplicate-fragment",
    /// Of fragments of one datagram some could be marked for congestion and others not (RFC 9601 5).
    MixedEcn = "mixed-ecn",
    /// An IPv6 extension header that whoever does not know it must not skip (RFC 8200 4.2, 4.4).
    UnknownOption = "unknown-option",
    /// The other fragments of it did not come in time.
    FragmentsMissing = "fragments-missing",
    /// The kernel said of a packet that it left unfinished what cannot be.
    BadOffload = "bad-offload",
    /// Too many datagrams were under way in pieces.
    ReassemblyFull = "reassembly-full",
    /// A measurement of the far end asks more often than is answered.
    QuestionTooMany = "question-too-many",
    /// A measurement of the far end asks for a reply that no path needs.
    QuestionShape = "question-shape",
}

impl From<Malformed> for DropReason {
    fn from(_: Malformed) -> DropReason {
        DropReason::Malformed
    }
}

/// How often each reason applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters([u64; DropReason::ALL.len()]);

impl Counters {
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    pub fn add(&mut self, reason: DropReason, packets: u64) {
        let slot = &mut self.0[reason as usize];
        *slot = slot.saturating_add(packets);
    }

    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// A map from the reason's name to its count, without those that never applied.
impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for &reason in DropReason::ALL {
            if self.get(reason) != 0 {
                map.serialize_entry(reason.counter(), &self.get(reason))?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_by_name() {
        let mut counters = Counters::default();
        counters.count(DropReason::UnknownSource);
        counters.add(DropReason::FragmentsMissing, 2);
        assert_eq!(counters.total(), 3);
        assert_eq!(
            serde_json::to_value(counters).unwrap(),
            serde_json::json!({"unknown-source": 1, "fragments-missing": 2})
        );
    }
}
