//! What a neighbour outside tells.

use super::inside::keep_no_export;
use super::map::Map;
use super::{Side, ip, mark, paths};
use crate::frr::configuration::Text;
use tsumugi_core::bgp::config::{Family, Invalid, Transport};
use tsumugi_core::bgp::policy::Class;
use tsumugi_core::bgp::policy::rule::{PathRule, PrefixRule};

/// Where in the map what is taken goes on.
const TAKEN: u32 = 200;

impl Side<'_> {
    pub fn inward(&self, text: &mut Text, name: &str) {
        let words = match self.rules.class {
            Class::Provider => "From a provider.",
            Class::Peer => "From a peer.",
            Class::Customer => "From a customer: its own.",
            Class::Own => "From us.",
        };
        let mut map = Map::new(text, name, words);
        self.refuse(&mut map);
        map.continue_at(TAKEN);
        self.change(&mut map);
        map.set(Some("match community drained"), &["set local-preference 0"]);
        map.end();
    }

    /// The first that matches decides.
    fn refuse(&self, map: &mut Map<'_>) {
        // `check` lets no plan through in which anybody would look.
        let (Invalid::Drop | Invalid::Last | Invalid::Take) = self.rules.invalid;
        map.deny(&paths::refused(self.neighbour));
        if matches!(self.neighbour.transport, Transport::Numbered { .. }) {
            map.deny(&format!("match {} next-hop prefix-list {}", ip(self.family).0, self.list("off-link")));
        }
        let mut refused = false;
        for rule in &self.rules.prefix {
            match rule {
                PrefixRule::RefuseDefault | PrefixRule::RefuseBogons | PrefixRule::RefuseShort => {
                    // They are one list.
                    if !std::mem::replace(&mut refused, true) {
                        map.deny(&self.common("refused"));
                    }
                }
                PrefixRule::RefuseOurs { but_lent } => {
                    if *but_lent {
                        map.skip(&[&self.own("lent")], &[], TAKEN);
                    }
                    map.deny(&self.common("within-own"));
                }
                PrefixRule::RefuseLong { but_blackhole } => {
                    if *but_blackhole {
                        map.skip(&["match community blackhole", &self.own("parts")], &[], TAKEN);
                    }
                    map.deny(&self.common("too-long"));
                }
                PrefixRule::RefuseUnlisted { .. } => {
                    map.skip(&[&self.own("listed")], &[], TAKEN);
                    map.deny_all();
                }
            }
        }
        if !self.rules.prefix.iter().any(|rule| matches!(rule, PrefixRule::RefuseUnlisted { .. })) {
            map.skip(&[], &[], TAKEN);
        }
    }

    fn change(&self, map: &mut Map<'_>) {
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
                    keep_no_export(map, self.config);
                }
                PathRule::MarkClass { asn: _, class } => {
                    let preference = format!("set local-preference {}", class.local_preference());
                    map.set(None, &[&mark(*class, self.config), &preference]);
                }
                PathRule::ObeyBlackhole => self.obey_blackhole(map),
                PathRule::IgnoreBlackhole => map.set(None, &["set comm-list blackhole delete"]),
                PathRule::MarkShutdown => map.set(None, &["set community graceful-shutdown additive"]),
            }
        }
    }

    /// RFC 7999: its traffic is dropped here, and nobody outside is told (3.2).
    fn obey_blackhole(&self, map: &mut Map<'_>) {
        let keep = format!("set large-community {}:3:1 additive", self.config.public_asn.0);
        let discard = self.discard();
        let next_hop = match self.family {
            // Else the link-local one would be taken.
            Family::Ipv6Unicast => {
                [format!("set ipv6 next-hop global {discard}"), "set ipv6 next-hop prefer-global".into()]
                    .to_vec()
            }
            _ => [format!("set ip next-hop {discard}")].to_vec(),
        };
        let sets: Vec<&str> = [&keep].into_iter().chain(&next_hop).map(String::as_str).collect();
        map.set(Some("match community blackhole"), &sets);
    }
}
