//! A new plan in place of the one in force, and what it would do while it only lies there.

use super::restart;
use super::router::{Router, embedded_config, terms_of};
use crate::observe::logging;
use crate::observe::status::PlanAhead;
use crate::state::{PlanRefused, StateDir};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use tsumugi_core::bgp::change::{session_changes, successors};
use tsumugi_core::bgp::config::NeighbourConfig;
use tsumugi_core::bgp::{Event, NeighbourId};
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_core::time::Instant;

impl Router {
    /// A new plan takes the place of the old one, whole or not at all.
    pub(super) fn reload(&mut self, now: Instant) {
        let Some(plan) = self.frame.read_plan() else { return };
        if plan.routing != self.plan.routing {
            return logging::refuse_plan(&mut self.frame.refused, PlanRefused::OtherEngine);
        }
        let Ok(config) = embedded_config(&plan) else { return };
        self.follow(&config.neighbours);
        self.plan = plan;
        if let Some(speaker) = &self.plan.speaker {
            self.neighbourhood.replace(&speaker.neighbours);
        }
        let _ = self.choose_engine(now);
        self.sign();
        tracing::info!(router = self.plan.name, generation = self.plan.generation, "plan in force");
        let mut actions = Vec::new();
        self.speaker.replace_config(now, config, &mut actions);
        self.perform(now, actions);
        self.guard();
        for (neighbour, address) in self.neighbourhood.known() {
            self.step(now, Event::RemoteHeard { neighbour, address });
        }
        self.rpki.replace(&self.frame.poll, now, &self.frame.state, self.plan.rpki.as_ref());
        let bmp = self.plan.bmp.as_ref();
        self.monitors.replace(&self.frame.poll, &self.frame.state, &mut self.speaker, bmp);
        self.segments.replace(now, &self.links, &self.discovery, self.plan.evpn.clone());
        let forwarding = restart::forwarding(self.keeper.namespace(), &self.plan.evpn);
        self.step(now, Event::Forwarding(forwarding));
        if let Err(error) = self.keeper.set_desired(self.plan.fabric.clone()) {
            tracing::warn!(%error, "the fabric's netlink sockets failed");
        }
        self.turn(now);
        self.speak(now);
    }

    /// Connections and sessions go by the numbers and names of the new list.
    fn follow(&mut self, new: &[NeighbourConfig]) {
        let old = self.plan.speaker.as_ref().map_or(&[][..], |speaker| &speaker.neighbours);
        let places = successors(old, new);
        let place = |old: NeighbourId| {
            let place = places.get(usize::from(old.0)).copied().flatten()?;
            Some(NeighbourId(u16::try_from(place).ok()?))
        };
        let renamed = |(old, place): (&NeighbourConfig, &Option<usize>)| {
            self.standing.contains(&old.name).then(|| Some(new.get((*place)?)?.name.clone())).flatten()
        };
        let standing: BTreeSet<String> = old.iter().zip(&places).filter_map(renamed).collect();
        self.standing = standing;
        self.sessions.renumber(place);
        self.updates.retain(|_, neighbour| match place(*neighbour) {
            Some(new) => {
                *neighbour = new;
                true
            }
            None => false,
        });
    }

    /// What is asked of connections that stand is what the plan says now, as far as the kernel can.
    fn guard(&mut self) {
        let (state, plan, secrets) = (&self.frame.state, &self.plan, &mut self.secrets);
        let refused = self.sessions.guard(|neighbour| {
            // Without its secret a session goes on as it began.
            secrets.guard(state, &terms_of(plan, neighbour)).ok()
        });
        for (neighbour, refusals) in refused {
            for refusal in &refusals {
                let (term, error) = (refusal.term, &refusal.error);
                tracing::warn!(?term, %error, "not on a connection that stands: it waits for the next session");
            }
            self.speaker.set_unapplied(neighbour, refusals.iter().map(|refusal| refusal.term).collect());
        }
    }
}

/// The plan in the state folder, while it is not the one in force.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Which file was looked at, and beside which plan.
    seen: Option<(Stamp, String)>,
    found: Option<PlanAhead>,
}

/// Two files of one stamp have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Ahead {
    /// What the plan that lies in the state folder would do to sessions; `None`: it is the one in force. The
    /// file is read only when it is another than the last time.
    pub fn look(&mut self, state: &StateDir, in_force: &RouterPlan) -> Option<PlanAhead> {
        let found = fs::metadata(state.path().join("plan.json")).ok()?;
        let changed = (found.ctime(), found.ctime_nsec());
        let stamp = Stamp { inode: found.ino(), size: found.size(), changed };
        let seen = Some((stamp, in_force.hash.clone()));
        if self.seen != seen {
            self.seen = seen;
            self.found = ahead(state.plan(), in_force);
        }
        self.found.clone()
    }
}

fn ahead(plan: Result<RouterPlan, PlanRefused>, in_force: &RouterPlan) -> Option<PlanAhead> {
    let refused = |refused| PlanAhead { refused: Some(refused), ..PlanAhead::default() };
    match plan {
        Ok(plan) if plan.hash == in_force.hash => None,
        Ok(plan) if plan.routing != in_force.routing => Some(refused(PlanRefused::OtherEngine)),
        Ok(plan) => Some(match (&in_force.speaker, &plan.speaker) {
            (Some(old), Some(new)) => {
                PlanAhead { generation: plan.generation, refused: None, sessions: session_changes(old, new) }
            }
            _ => refused(PlanRefused::NoSpeaker),
        }),
        Err(why) => Some(refused(why)),
    }
}
