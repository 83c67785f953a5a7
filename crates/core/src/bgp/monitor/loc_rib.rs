//! The Loc-RIB (RFC 9069): of each prefix the best path, ours too. Told to every collector: it is one route more for
//! each prefix at the most, and made from the table as it is, so that nothing is kept for it.

use super::{Speaker, Teller};
use crate::bgp::config::Family;
use crate::bgp::rib::Destination;
use crate::id::Prefix;
use crate::wire::bgp::{AfiSafi, Capability, Open, UnicastNlri, Update};
use crate::wire::bmp::{self, LocRib, View};
use alloc::vec::Vec;

const FAMILIES: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];

impl Speaker {
    pub(super) fn loc_rib(&self) -> LocRib {
        LocRib { asn: self.config.asn, identifier: self.config.router_id }
    }
}

impl Teller<'_> {
    /// What was told before of what is chosen is void.
    pub(super) fn choice_begins(&mut self) {
        let now = self.speaker.loc_rib();
        if let Some(before) = self.monitor.chosen.replace(now) {
            bmp::loc_rib_down(before, self.around.unix, self.out);
        }
        bmp::loc_rib_up(now, self.around.unix, &open(now), self.out);
    }

    /// The best path to a prefix, or that there is none.
    pub(super) fn choice(&mut self, prefix: Prefix, at: u32, destination: Option<&Destination>) {
        let family = AfiSafi::of(&prefix);
        if let Some(chosen) = self.monitor.chosen
            && !self.speaker.defers(family)
        {
            let best = destination.and_then(Destination::best);
            let listed = UnicastNlri { prefix, path_id: None };
            self.route(View::Chosen(chosen), at, listed, best.map(|best| &*best.route));
        }
    }

    /// End-of-RIB of each family that is chosen from.
    pub(super) fn choice_is_whole(&mut self) {
        let Some(chosen) = self.monitor.chosen else { return };
        for family in FAMILIES.map(AfiSafi::from).into_iter().filter(|&family| !self.speaker.defers(family)) {
            bmp::route_monitoring(View::Chosen(chosen), 0, self.out, |out| {
                Update::emit_end_of_rib(family, out);
            });
        }
    }
}

/// An OPEN that nobody has sent, with what is needed to read the routes (RFC 9069 5.2).
fn open(loc_rib: LocRib) -> Vec<u8> {
    let mut capabilities: Vec<Capability> =
        FAMILIES.map(|family| Capability::Multiprotocol(family.into())).into();
    capabilities.push(Capability::ExtendedMessage);
    capabilities
        .push(Capability::ExtendedNextHop([(AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST.afi)].into()));
    let mut bytes = Vec::new();
    Open::new(loc_rib.asn, 0, loc_rib.identifier, capabilities).emit_message(&mut bytes);
    bytes
}
