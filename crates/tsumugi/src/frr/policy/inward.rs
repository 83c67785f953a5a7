//! What a neighbour outside tells.

use super::inside::keep_no_export;
use super::map::Map;
use super::{Side, ip, mark, paths, world};
use crate::frr::configuration::Text;
use tsumugi_core::bgp::config::{Family, Invalid, Transport};
use tsumugi_core::bgp::policy::Class;
use tsumugi_core::bgp::policy::rule::{PathRule, PrefixRule};

impl Side<'_> {
    /// The map that makes of all of its class what they are here.
    pub fn taken(&self) -> String {
        match self.rules.class {
            Class::Provider => "taken-provider".into(),
            Class::Peer => "taken-peer".into(),
            // What is discarded is so by family.
            Class::Customer => format!("taken-customer-{}", super::short(self.family)),
            Class::Own => "taken-own".into(),
        }
    }

    pub fn inward(&self, text: &mut Text, name: &str) {
        let words = match self.rules.class {
            Class::Provider => "From a provider.",
            Class::Peer => "From a peer.",
            Class::Customer => "From a customer: its own.",
            Class::Own => "From us.",
        };
        let mut map = Map::new(text, name, words);
        // `check` lets no plan through in which anybody would look.
        let (Invalid::Drop | Invalid::Last | Invalid::Take) = self.rules.invalid;
        map.deny(&paths::refused(self.neighbour));
        if matches!(self.neighbour.transport, Transport::Numbered { .. }) {
            map.deny(&format!("match {} next-hop prefix-list {}", ip(self.family).0, self.list("off-link")));
        }
        self.by_prefix(&mut map);
    }

    /// The first that matches decides.
    fn by_prefix(&self, map: &mut Map<'_>) {
        let taken = self.taken();
        let drains = self.rules.path.contains(&PathRule::MarkShutdown);
        let sets = drains.then_some("set community graceful-shutdown additive");
        let sets = sets.as_slice();
        let mut listed = false;
        // What all refuse of anybody is one map, unless a customer may tell parts of it.
        let plain = !self.rules.prefix.iter().any(|rule| {
            matches!(
                rule,
                PrefixRule::RefuseOurs { but_lent: true } | PrefixRule::RefuseLong { but_blackhole: true }
            )
        });
        if plain {
            map.through(&world(self.family));
        } else {
            map.deny(&self.common("refused"));
        }
        for rule in &self.rules.prefix {
            match rule {
                PrefixRule::RefuseDefault | PrefixRule::RefuseBogons | PrefixRule::RefuseShort => {}
                PrefixRule::RefuseOurs { but_lent: false }
                | PrefixRule::RefuseLong { but_blackhole: false }
                    if plain => {}
                PrefixRule::RefuseOurs { but_lent } => {
                    if *but_lent {
                        map.call(&[&self.own("lent")], sets, &taken);
                    }
                    map.deny(&self.common("within-own"));
                }
                PrefixRule::RefuseLong { but_blackhole } => {
                    if *but_blackhole {
                        map.call(&["match community blackhole", &self.own("parts")], sets, &taken);
                    }
                    map.deny(&self.common("too-long"));
                }
                PrefixRule::RefuseUnlisted { .. } => {
                    map.call(&[&self.own("listed")], sets, &taken);
                    listed = true;
                }
            }
        }
        if !listed {
            map.call(&[], sets, &taken);
        }
    }

    pub fn take(&self, text: &mut Text, name: &str) {
        let mut map = Map::new(text, name, "What is taken, as what it is here.");
        for rule in &self.rules.path {
            match rule {
                // They stand in the list of paths.
                PathRule::RefuseOwnAs { .. }
                | PathRule::RefuseOtherFirstAs { .. }
                | PathRule::RefuseNoFirstAs
                | PathRule::RefusePublicAs { .. }
                | PathRule::RefuseAsSets
                | PathRule::RefuseBogonAs { .. }
                | PathRule::RefuseVia { .. }
                | PathRule::RefuseOtherOrigins { .. } => {}
                // `local-role` does it.
                PathRule::RefuseForCustomersOnly { .. } | PathRule::MarkForCustomersOnly { .. } => {}
                PathRule::TakeAwayOurs { asn: _, but_requests } => {
                    let list = if *but_requests { "ours-but-requests" } else { "ours" };
                    map.set(None, &[&format!("set large-comm-list {list} delete")]);
                    keep_no_export(&mut map, self.config);
                }
                PathRule::MarkClass { asn: _, class } => {
                    let preference = format!("set local-preference {}", class.local_preference());
                    map.set(None, &[&mark(*class, self.config), &preference]);
                }
                PathRule::ObeyBlackhole => self.obey_blackhole(&mut map),
                PathRule::IgnoreBlackhole => map.set(None, &["set comm-list blackhole delete"]),
                // Where it is taken, as it is of one neighbour.
                PathRule::MarkShutdown => {}
            }
        }
        map.set(Some("match community drained"), &["set local-preference 0"]);
        map.end();
    }

    /// RFC 7999: its traffic is dropped here, and nobody outside is told (3.2).
    fn obey_blackhole(&self, map: &mut Map<'_>) {
        let keep = format!("set large-community {}:3:1 additive", self.config.public_asn.0);
        let discard = self.discard();
        let next_hop = match self.family {
            // Else the link-local one would be taken.
            Family::Ipv6Unicast => {
                vec![format!("set ipv6 next-hop global {discard}"), "set ipv6 next-hop prefer-global".into()]
            }
            _ => vec![format!("set ip next-hop {discard}")],
        };
        let sets: Vec<&str> = [&keep].into_iter().chain(&next_hop).map(String::as_str).collect();
        map.set(Some("match community blackhole"), &sets);
    }
}
