//! Where a MAC is: on a port of ours, behind a VTEP, or both say so (RFC 7432 15).

use crate::id::Mac;
use crate::time::{Duration, Instant};
use crate::wire::bgp::RouteDistinguisher;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::IpAddr;

/// RFC 7432 15.1: N moves within M seconds make a duplicate.
pub(super) const DUPLICATE_MOVES: usize = 5;
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(180);

/// One type 2 route that names the MAC. Told apart by `rd` and `ip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub rd: RouteDistinguisher,
    pub ip: Option<IpAddr>,
    pub vtep: IpAddr,
    pub sequence: u32,
    pub sticky: bool,
    pub router_mac: Option<Mac>,
}

impl Claim {
    /// The greatest wins: RFC 7432 15.2 (a static MAC does not move), 15 (the highest sequence number,
    /// then the lowest address).
    pub fn rank(&self) -> (bool, u32, Reverse<IpAddr>) {
        (self.sticky, self.sequence, Reverse(self.vtep))
    }
}

/// The kernel has the MAC on a port of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    /// [`crate::evpn::config::SegmentPort::number`].
    pub port: u16,
    /// RFC 7432 15: what it is announced with.
    pub sequence: u32,
}

/// Moves of the last [`DUPLICATE_WINDOW`], and what followed from them.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    /// Of local learning only (RFC 7432 15.1), the oldest first.
    pub times: Vec<Instant>,
    /// A duplicate: on a port it stays there, nothing is announced. RFC 7432 15.1 leaves the end of it
    /// to the operator. Here it ends when the MAC has been quiet, with no move and no news of it, for as
    /// long as it took to be called one: then the five moves are no longer within the window.
    pub frozen: bool,
    /// When there is something to forget.
    pub due: Instant,
}

#[derive(Debug, Clone, Default)]
pub(super) struct MacState {
    pub local: Option<Local>,
    pub claims: Vec<Claim>,
    /// The sequence number that we announce it with now.
    pub announced: Option<u32>,
    pub moves: Option<Box<Moves>>,
    /// It was said that a sticky MAC was heard on a port.
    pub alerted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    Port(u16),
    Vtep { vtep: IpAddr, sticky: bool },
}

impl MacState {
    pub fn is_frozen(&self) -> bool {
        self.moves.as_ref().is_some_and(|moves| moves.frozen)
    }

    pub fn best(&self) -> Option<&Claim> {
        self.claims.iter().max_by_key(|claim| claim.rank())
    }

    pub fn place(&self) -> Place {
        match (&self.local, self.best()) {
            (Some(local), _) => Place::Port(local.port),
            (None, Some(best)) => Place::Vtep { vtep: best.vtep, sticky: best.sticky },
            (None, None) => Place::Nowhere,
        }
    }

    /// RFC 7432 15: the route of another router beats what we announce ourselves as `vtep`. True: the
    /// MAC was taken from its port.
    pub fn yield_to_better(&mut self, vtep: IpAddr) -> bool {
        let (Some(local), Some(best)) = (self.local, self.best()) else { return false };
        let better = best.rank() > (false, local.sequence, Reverse(vtep));
        if better && !self.is_frozen() {
            self.local = None;
            return true;
        }
        false
    }

    /// RFC 7432 15: one more than anybody else says; 0 of a MAC that nobody else has announced.
    pub fn next_sequence(&self) -> u32 {
        self.claims.iter().map(|claim| claim.sequence.saturating_add(1)).max().unwrap_or(0)
    }

    /// Whether there is nothing left to know.
    pub fn is_empty(&self) -> bool {
        self.local.is_none() && self.claims.is_empty() && self.announced.is_none() && self.moves.is_none()
    }
}
