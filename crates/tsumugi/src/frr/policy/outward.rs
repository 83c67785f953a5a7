//! What a neighbour outside is told.

use super::lists::asked;
use super::map::Map;
use super::{CLASSES, Side, word};
use crate::frr::configuration::Text;
use tsumugi_core::bgp::policy::Class;
use tsumugi_core::bgp::policy::request::Request;
use tsumugi_core::bgp::policy::rule::{ExportChange, ExportRule};

/// Where in the map each class goes on, and where all that leaves does.
const OTHERS: u32 = 200;
const CUSTOMERS: u32 = 300;
const CHOSEN: u32 = 400;
const OWN: u32 = 500;
const LEAVES: u32 = 600;
/// A line of a configuration may have 4096 octets.
const NUMBERS_IN_A_LINE: usize = 200;

impl Side<'_> {
    pub fn outward(&self, text: &mut Text, name: &str) {
        let words = match self.rules.class {
            Class::Customer => "To a customer: everything that may leave.",
            Class::Provider | Class::Peer | Class::Own => "To it: our own and our customers'.",
        };
        let mut map = Map::new(text, name, words);
        let mut obeys = false;
        for rule in &self.rules.export {
            match rule {
                ExportRule::KeepByCommunity => map.deny("match large-community stays"),
                // `local-role` does it.
                ExportRule::KeepForCustomersOnly => {}
                ExportRule::OnlyAnnounced => map.deny(&self.own("unannounced")),
                ExportRule::KeepWithheld => map.deny(&self.own("withheld")),
                // Further down, by class.
                ExportRule::KeepUnclassed
                | ExportRule::KeepPartsOfOurs
                | ExportRule::KeepUnroutable
                | ExportRule::OnlyClasses { .. } => {}
                ExportRule::ObeyRequests { .. } => obeys = true,
            }
        }
        self.by_class(&mut map);
        map.continue_at(OTHERS);
        self.routable(&mut map);
        map.skip(&[], &[], LEAVES);
        map.continue_at(CUSTOMERS);
        self.routable(&mut map);
        if obeys {
            self.as_asked(&mut map);
        }
        map.skip(&[], &[], LEAVES);
        map.continue_at(OWN);
        map.skip(&[&self.common("own")], &[], LEAVES);
        map.deny_all();
        map.continue_at(LEAVES);
        self.change_what_leaves(&mut map);
        map.end();
    }

    /// Of several marks the least trusted counts; who has none is not told.
    fn by_class(&self, map: &mut Map<'_>) {
        let let_out: Vec<Class> = self
            .rules
            .export
            .iter()
            .filter_map(|rule| match rule {
                ExportRule::OnlyClasses { classes } => Some(classes.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        for (class, list, _) in CLASSES {
            let matches = format!("match large-community {list}");
            let further = match class {
                Class::Own => OWN,
                Class::Customer => CUSTOMERS,
                Class::Peer | Class::Provider => OTHERS,
            };
            match let_out.contains(&class) {
                true => map.skip(&[&matches], &[], further),
                false => map.deny(&matches),
            }
        }
        map.deny_all();
    }

    fn routable(&self, map: &mut Map<'_>) {
        for list in ["within-own", "refused", "too-long"] {
            map.deny(&self.common(list));
        }
    }

    /// What the customer has asked for with its route.
    fn as_asked(&self, map: &mut Map<'_>) {
        let matches =
            |request| format!("match large-community {}", asked(&word(&self.neighbour.name), request));
        map.deny(&matches(Request::NotTo));
        // To some only: is this one of them?
        map.skip(&[&matches(Request::OnlyTo)], &[], CHOSEN);
        map.deny("match large-community asked-only-to");
        map.continue_at(CHOSEN);
        for times in [3, 2, 1] {
            let prepend = self.prepend(times.into());
            map.skip(&[&matches(Request::Prepend(times))], &[&prepend], LEAVES);
        }
    }

    fn prepend(&self, times: usize) -> String {
        format!("set as-path prepend {}", vec![self.config.public_asn.0.to_string(); times].join(" "))
    }

    fn change_what_leaves(&self, map: &mut Map<'_>) {
        for change in &self.rules.change {
            match change {
                // FRR tells nobody another's MED.
                ExportChange::TakeMed => {}
                ExportChange::StripInside => {
                    // Private ones go by `remove-private-AS`.
                    let inside: Vec<String> =
                        self.config.inside_asns.iter().map(|it| it.0.to_string()).collect();
                    for some in inside.chunks(NUMBERS_IN_A_LINE) {
                        map.set(None, &[&format!("set as-path exclude {}", some.join(" "))]);
                    }
                }
                ExportChange::Prepend { asn: _, times, neighbour: _, role: _ } => {
                    // FRR says our number once by itself.
                    if *times > 1 {
                        map.set(None, &[&self.prepend(usize::from(*times) - 1)]);
                    }
                }
                ExportChange::TakeAwayOurs { asn: _ } => map.set(None, &["set large-comm-list ours delete"]),
                // `local-role` does it.
                ExportChange::MarkForCustomersOnly { by: _ } => {}
                ExportChange::MarkShutdown => map.set(None, &["set community graceful-shutdown additive"]),
            }
        }
    }
}
