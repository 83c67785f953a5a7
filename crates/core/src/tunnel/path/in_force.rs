//! What a finding changes: how a tunnel is driven over the path as it was found, and what is wrong with
//! the path.
//!
//! The inner MTU stays what the plan says: routing and segments are built on it. Only how packets are cut
//! and what TCP is told follow the path.

use super::course::{makable, whole_at_most};
use super::{Answerer, Direction, PathFinding};
use crate::mtu::Way;
use crate::tunnel::Clamp;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Directions of a path: to the far end, from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affected {
    Out,
    Back,
    Both,
    /// One of the two, or both: nobody tells which.
    Either,
}

/// What becomes of TCP where pieces vanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpThen {
    /// It is told to fit one packet, as the plan wants.
    Fits,
    /// It is told so although the plan leaves it alone: else it would connect and then hang.
    FitsAnyway,
    /// The plan leaves it alone, and the packets are not ours to change.
    Hangs,
}

/// Who moves the tunnel's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mover {
    /// We: what was found is used.
    Datapath,
    /// The kernel, by its routes: what was found is only said.
    Kernel,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "trouble")]
pub enum PathTrouble {
    /// Not even the least size passes whole.
    TooNarrow { affected: Affected },
    /// Pieces vanish: what is larger inside than `inner` bytes does not arrive.
    PiecesDropped { affected: Affected, inner: u32, tcp: TcpThen },
    /// Pieces vanish where the second comes first.
    TurnedDropped { affected: Affected },
    /// It passes less than the plan says.
    Narrower { affected: Affected, measured: u16, planned: u16 },
    /// So that a full packet is more than two outside.
    MorePackets { packets: u32 },
}

/// How a tunnel is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Outer packets are cut at so many bytes.
    pub path_mtu: u16,
    /// What TCP is told; `None`: it fits anyway, or is to be left alone.
    pub clamp: Option<Clamp>,
    /// What fits one outer packet.
    pub fits: Clamp,
    pub troubles: Vec<PathTrouble>,
}

impl InForce {
    /// By the plan alone: nothing was measured. `clamps`: the plan wants TCP to fit one packet.
    pub fn planned(way: &Way, clamps: bool) -> InForce {
        InForce {
            path_mtu: u16::try_from(way.path_mtu).unwrap_or(u16::MAX),
            clamp: if clamps { Clamp::of(way) } else { None },
            fits: Clamp::fitting(way),
            troubles: Vec::new(),
        }
    }

    /// By what was found. TCP is clamped by the narrower direction: what we tell it holds for both. Where
    /// pieces vanish it is clamped even if the plan leaves it alone, because else it would connect and
    /// then hang.
    pub fn found(way: &Way, clamps: bool, found: &PathFinding, mover: Mover) -> InForce {
        let planned = u16::try_from(way.path_mtu).unwrap_or(u16::MAX);
        // Sizes in steps: the plan's size may be as good as one that can be made. And what the tunnel's MTU
        // allows is as much as a neighbour can be asked.
        let all = (found.answered_by == Answerer::Neighbour).then(|| whole_at_most(way, planned));
        let is_as_good = |mtu: u16| mtu < planned && (makable(way, planned) == mtu || all == Some(mtu));
        let as_good = |mtu: u16| if is_as_good(mtu) { planned } else { mtu };
        let out = found.out.mtu.map(as_good);
        let back = found.back.map_or(out, |back| back.mtu.map(as_good));
        let path_mtu = out.unwrap_or(planned);
        let at = |path_mtu: u16| Way { path_mtu: path_mtu.into(), ..*way };
        let narrowest = at(path_mtu.min(back.unwrap_or(planned)));
        let drops_pieces = found.drops_pieces();
        let clamp = if clamps || drops_pieces { Clamp::of(&narrowest) } else { None };
        let affected = |is: &dyn Fn(&Direction) -> bool| match (is(&found.out), found.back.as_ref().map(is)) {
            (true, None) => Some(Affected::Either),
            (true, Some(true)) => Some(Affected::Both),
            (true, Some(false)) => Some(Affected::Out),
            (false, Some(true)) => Some(Affected::Back),
            (false, Some(false) | None) => None,
        };
        let mut troubles = Vec::new();
        if let Some(affected) = affected(&|direction| direction.mtu.is_none()) {
            troubles.push(PathTrouble::TooNarrow { affected });
        }
        if let Some(affected) = affected(&|direction| direction.pieces.none_arrived()) {
            let inner = narrowest.largest_inner(1).min(way.mtu);
            let tcp = match mover {
                _ if clamps || clamp.is_none() => TcpThen::Fits,
                Mover::Datapath => TcpThen::FitsAnyway,
                Mover::Kernel => TcpThen::Hangs,
            };
            troubles.push(PathTrouble::PiecesDropped { affected, inner, tcp });
        }
        if let Some(affected) = affected(&Direction::drops_turned) {
            // The answers to both were the same packets: it was what we sent that was lost.
            let affected = if affected == Affected::Either { Affected::Out } else { affected };
            troubles.push(PathTrouble::TurnedDropped { affected });
        }
        let narrower = |direction: &Direction| direction.mtu.is_some_and(|mtu| as_good(mtu) < planned);
        if let Some(affected) = affected(&narrower) {
            let measured = out.unwrap_or(planned).min(back.unwrap_or(planned));
            troubles.push(PathTrouble::Narrower { affected, measured, planned });
        }
        let packets = at(path_mtu).packets(way.mtu).len() as u32;
        if packets > 2 {
            troubles.push(PathTrouble::MorePackets { packets });
        }
        match mover {
            Mover::Datapath => InForce { path_mtu, clamp, fits: Clamp::fitting(&narrowest), troubles },
            Mover::Kernel => InForce { troubles, ..InForce::planned(way, clamps) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mtu::{Ip, Wrapping};
    use crate::tunnel::path::Tally;

    const ALL: Tally = Tally { sent: 4, arrived: 4 };
    const NONE: Tally = Tally { sent: 4, arrived: 0 };

    fn way(wrapping: Wrapping, outer: Ip) -> Way {
        Way { wrapping, outer, path_mtu: 1500, mtu: 2400 }
    }

    fn found(out: u16, back: u16) -> PathFinding {
        let direction = |mtu| Direction { mtu: Some(mtu), pieces: ALL, turned: ALL, ..Direction::default() };
        PathFinding { out: direction(out), back: Some(direction(back)), ..PathFinding::default() }
    }

    #[test]
    fn a_path_as_planned_changes_nothing() {
        for (wrapping, mtu) in [(Wrapping::Gre { key: false }, 1500), (Wrapping::WireGuard, 1488)] {
            for clamps in [true, false] {
                let way = way(wrapping, Ip::V6);
                assert_eq!(
                    InForce::found(&way, clamps, &found(mtu, mtu), Mover::Datapath),
                    InForce::planned(&way, clamps)
                );
            }
        }
    }

    #[test]
    fn a_narrow_path_is_cut_at_and_clamped_by_its_narrower_direction() {
        let way = way(Wrapping::Gre { key: false }, Ip::V6);
        let force = InForce::found(&way, true, &found(1400, 1300), Mover::Datapath);
        assert_eq!((force.path_mtu, force.clamp), (1400, Some(Clamp { ipv4: 1216, ipv6: 1196 })));
        let narrower = PathTrouble::Narrower { affected: Affected::Both, measured: 1300, planned: 1500 };
        assert_eq!(force.troubles, [narrower]);
        assert_eq!(InForce::found(&way, false, &found(1400, 1300), Mover::Datapath).clamp, None);
        let wider = Way { path_mtu: 1454, ..way };
        let force = InForce::found(&wider, true, &found(1500, 1500), Mover::Datapath);
        assert_eq!((force.path_mtu, force.clamp), (1500, Some(Clamp { ipv4: 1416, ipv6: 1396 })));
        assert_eq!(force.troubles, []);
    }

    #[test]
    fn where_pieces_vanish_tcp_fits_whatever_the_plan_says() {
        let way = way(Wrapping::Gre { key: false }, Ip::V6);
        let mut path = found(1500, 1500);
        let back = path.back.as_mut().unwrap();
        (back.pieces, back.turned) = (NONE, NONE);
        for clamps in [true, false] {
            let force = InForce::found(&way, clamps, &path, Mover::Datapath);
            assert_eq!(force.clamp, Some(Clamp { ipv4: 1416, ipv6: 1396 }));
            let tcp = if clamps { TcpThen::Fits } else { TcpThen::FitsAnyway };
            let dropped = PathTrouble::PiecesDropped { affected: Affected::Back, inner: 1456, tcp };
            assert_eq!(force.troubles, [dropped]);
        }
        path = found(1500, 1500);
        path.out.turned = NONE;
        let force = InForce::found(&way, false, &path, Mover::Datapath);
        assert_eq!(force.clamp, None);
        assert_eq!(force.troubles, [PathTrouble::TurnedDropped { affected: Affected::Out }]);
    }

    #[test]
    fn what_is_worse_than_promised_is_said() {
        let way = way(Wrapping::EtherIp { vlan: false }, Ip::V4);
        let force = InForce::found(&way, true, &found(1000, 1500), Mover::Datapath);
        assert!(force.troubles.contains(&PathTrouble::MorePackets { packets: 3 }), "{force:?}");
        let mut path = found(1500, 1500);
        path.out = Direction::default();
        let force = InForce::found(&way, true, &path, Mover::Datapath);
        assert_eq!(force.path_mtu, 1500);
        assert_eq!(force.troubles, [PathTrouble::TooNarrow { affected: Affected::Out }]);
    }
}
