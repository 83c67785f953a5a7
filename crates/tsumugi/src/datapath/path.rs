//! The path under a tunnel: what was measured of it, now or in an earlier life, and what is in force.

use super::tunnel::{Inside, Tunnel, word};
use crate::observe::status::{MeasuredPath, VoidPath};
use crate::state::{KeptPath, PathEnds, StateDir};
use tsumugi_core::mtu::{Ip, Way, Wrapping};
use tsumugi_core::router_plan::{self, TunnelClamp};
use tsumugi_core::tunnel::path::{InForce, Mover, Reflector};

/// Of one tunnel.
pub struct PathKnown {
    /// What the folder holds was looked at.
    is_read: bool,
    kept: Option<KeptPath>,
    /// `kept` is about the path that the tunnel has now.
    is_in_force: bool,
    pub force: InForce,
    /// Replies to the far end's own measurement.
    pub reflector: Reflector,
}

impl PathKnown {
    pub fn new(plan: &router_plan::Tunnel) -> PathKnown {
        PathKnown {
            is_read: false,
            kept: None,
            is_in_force: false,
            force: InForce::planned(&way(plan), clamps(plan)),
            reflector: Reflector::default(),
        }
    }
}

/// The way of a tunnel's packets as the plan has it.
pub fn way(plan: &router_plan::Tunnel) -> Way {
    Way {
        wrapping: Wrapping::from(&plan.encapsulation),
        outer: Ip::of_ipv6(plan.outer_ipv6),
        path_mtu: plan.path_mtu.into(),
        mtu: plan.mtu.into(),
    }
}

fn clamps(plan: &router_plan::Tunnel) -> bool {
    plan.clamp == TunnelClamp::Auto
}

impl Tunnel {
    /// Which path it has now; `None` while an end is not known.
    pub fn path_ends(&self) -> Option<PathEnds> {
        let (local, remote) = self.ends();
        Some(PathEnds {
            by: word(&self.plan.encapsulation).into(),
            line: self.plan.uplink.clone(),
            local: local?,
            remote: remote?,
        })
    }

    /// Drives the tunnel by what is kept of its path, as long as it is of this path: a far end that moves
    /// has another one, and a file that speaks of another size has the last word.
    pub fn follow_path(&mut self, state: &StateDir) {
        if !self.path.is_read {
            self.path.is_read = true;
            self.path.kept = state.kept_path(&self.plan.name).unwrap_or_else(|error| {
                tracing::warn!(tunnel = %self.plan.name, reason = %error, "what was measured cannot be read");
                None
            });
        }
        let ends = self.path_ends();
        let is_ours =
            |kept: &KeptPath| ends.as_ref() == Some(&kept.ends) && kept.holds_beside(self.plan.path_mtu);
        if self.path.kept.as_ref().is_some_and(is_ours) != self.path.is_in_force {
            self.path.is_in_force = !self.path.is_in_force;
            self.drive();
        }
    }

    /// Takes what was just measured.
    pub fn take_path(&mut self, kept: KeptPath) {
        self.path.is_read = true;
        self.path.is_in_force = self.path_ends().as_ref() == Some(&kept.ends);
        self.path.kept = Some(kept);
        self.drive();
    }

    fn drive(&mut self) {
        let (way, clamps) = (way(&self.plan), clamps(&self.plan));
        let force = match self.path.kept.as_ref().filter(|_| self.path.is_in_force) {
            Some(kept) => InForce::found(&way, clamps, &kept.finding, self.mover()),
            None => InForce::planned(&way, clamps),
        };
        tracing::info!(
            tunnel = %self.plan.name,
            measured = self.path.is_in_force,
            path_mtu = force.path_mtu,
            troubles = ?force.troubles,
            "path in force"
        );
        self.path.force = force;
    }

    fn mover(&self) -> Mover {
        if matches!(self.inside, Inside::Kernel) { Mover::Kernel } else { Mover::Datapath }
    }

    /// What was measured of this path and holds no more, because the file speaks of another size since.
    pub fn void_path(&self) -> Option<VoidPath> {
        let kept = self.path.kept.as_ref().filter(|kept| self.path_ends().as_ref() == Some(&kept.ends))?;
        let planned_then = kept.planned_mtu.filter(|_| !kept.holds_beside(self.plan.path_mtu))?;
        Some(VoidPath {
            measured_at: kept.measured_at,
            found: kept.finding.mtu(),
            planned_then,
            planned_now: self.plan.path_mtu,
        })
    }

    /// What is in force of what was measured.
    pub fn measured(&self) -> Option<MeasuredPath> {
        let kept = self.path.kept.clone().filter(|_| self.path.is_in_force)?;
        let force = &self.path.force;
        Some(MeasuredPath {
            kept,
            planned_now: self.plan.path_mtu,
            by_kernel: self.mover() == Mover::Kernel,
            path_mtu: force.path_mtu,
            mss: force.clamp.map(|clamp| [clamp.ipv4, clamp.ipv6]),
            troubles: force.troubles.clone(),
        })
    }
}
