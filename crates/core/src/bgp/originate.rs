//! The prefixes that begin here: announced only while they can be stood for.

use super::config::{Origination, SpeakerConfig};
use super::policy::own_route;
use super::rib::{Rib, Route, Shared};
use super::slots::Slot;
use crate::id::Prefix;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

#[derive(Debug)]
struct Entry {
    origination: Origination,
    route: Arc<Route>,
    announced: bool,
}

#[derive(Debug, Default)]
pub(super) struct Originations {
    entries: Vec<Entry>,
    /// Every prefix on whose reachability something depends.
    watched: BTreeSet<Prefix>,
}

impl Originations {
    pub fn new(config: &SpeakerConfig, shared: &mut Shared) -> Originations {
        let entries: Vec<Entry> = config
            .originate
            .iter()
            .map(|origination| Entry {
                origination: Origination { prefix: origination.prefix.trunc(), ..origination.clone() },
                route: shared.share(own_route(config, origination.discard)),
                announced: false,
            })
            .collect();
        let watched = entries.iter().flat_map(|entry| &entry.origination.while_reaching);
        let watched = watched.map(Prefix::trunc).collect();
        Originations { entries, watched }
    }

    pub fn watches(&self, prefix: &Prefix) -> bool {
        self.watched.contains(prefix)
    }

    /// What changes now: prefixes that begin or cease to be announced.
    pub fn reconsider(&mut self, rib: &Rib<Prefix>) -> Vec<(Prefix, Option<Arc<Route>>)> {
        let reached = |prefix: &Prefix| {
            let destination = rib.get(&prefix.trunc());
            destination.is_some_and(|it| it.paths().iter().any(|path| path.slot != Slot::LOCAL))
        };
        let mut changes = Vec::new();
        for entry in &mut self.entries {
            let needs = &entry.origination.while_reaching;
            let wanted = needs.is_empty() || needs.iter().any(reached);
            if core::mem::replace(&mut entry.announced, wanted) != wanted {
                changes.push((entry.origination.prefix, wanted.then(|| entry.route.clone())));
            }
        }
        changes
    }

    /// Prefixes by whether they are announced now.
    pub fn prefixes(&self, announced: bool) -> Vec<Prefix> {
        let of_kind = self.entries.iter().filter(|entry| entry.announced == announced);
        of_kind.map(|entry| entry.origination.prefix).collect()
    }
}
