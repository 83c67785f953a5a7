//! What a neighbour outside is told.

use super::map::Map;
use super::{CLASSES, Side, asked, short, world};
use crate::frr::configuration::Text;
use tsumugi_core::bgp::policy::Class;
use tsumugi_core::bgp::policy::rule::{ExportChange, ExportRule};

/// The map of what all that leaves becomes.
const LEAVES: &str = "leaves";
/// A line of a configuration may have 4096 octets.
const NUMBERS_IN_A_LINE: usize = 200;

impl Side<'_> {
    fn let_out(&self) -> Vec<Class> {
        let classes = self.rules.export.iter().filter_map(|rule| match rule {
            ExportRule::OnlyClasses { classes } => Some(classes.clone()),
            _ => None,
        });
        classes.flatten().collect()
    }

    /// The map that says of which kind is told.
    pub fn told(&self) -> String {
        let kind = if self.let_out().contains(&Class::Provider) { "all" } else { "ours" };
        format!("told-{kind}-{}", short(self.family))
    }

    pub fn outward(&self, text: &mut Text, name: &str) {
        let mut map = Map::new(text, name, "To it.");
        map.through(&self.told());
        for rule in &self.rules.export {
            match rule {
                ExportRule::OnlyAnnounced => map.deny(&self.own("unannounced")),
                ExportRule::KeepWithheld => map.deny(&self.own("withheld")),
                // `local-role` does it.
                ExportRule::KeepForCustomersOnly => {}
                // Common to all who are told the same classes.
                ExportRule::KeepByCommunity
                | ExportRule::KeepUnclassed
                | ExportRule::KeepPartsOfOurs
                | ExportRule::KeepUnroutable
                | ExportRule::OnlyClasses { .. } => {}
                ExportRule::ObeyRequests { asn, role } => map.through(&asked::name(*asn, *role)),
            }
        }
        let mut sets = Vec::new();
        for change in &self.rules.change {
            match change {
                // FRR says our number once by itself.
                ExportChange::Prepend { asn, times, neighbour: _, role: _ } if *times > 1 => {
                    sets.push(asked::prepend(*asn, usize::from(*times) - 1));
                }
                ExportChange::MarkShutdown => sets.push("set community graceful-shutdown additive".into()),
                // FRR tells nobody another's MED, and `local-role` marks; the rest is common to all.
                ExportChange::Prepend { .. }
                | ExportChange::TakeMed
                | ExportChange::StripInside
                | ExportChange::TakeAwayOurs { .. }
                | ExportChange::MarkForCustomersOnly { .. } => {}
            }
        }
        map.call(&[], &sets.iter().map(String::as_str).collect::<Vec<_>>(), LEAVES);
    }

    /// By class, of several marks the least trusted; who has none is not told.
    pub fn tell(&self, text: &mut Text, name: &str) {
        let let_out = self.let_out();
        let mut map = Map::new(text, name, "Who hears of which routes.");
        map.deny("match large-community stays");
        for (class, list, _) in CLASSES {
            let matches = format!("match large-community {list}");
            match class {
                _ if !let_out.contains(&class) => map.deny(&matches),
                // Of ours exactly the prefixes of the file.
                Class::Own => map.entry("permit", &[&matches, &self.common("own")]),
                Class::Customer | Class::Peer | Class::Provider => {
                    map.call(&[&matches], &[], &world(self.family));
                }
            }
        }
    }

    /// What all that leaves becomes. Private numbers go by `remove-private-AS`.
    pub fn leave(&self, text: &mut Text) {
        let mut map = Map::new(text, LEAVES, "What leaves says nothing of the inside.");
        let inside: Vec<String> = self.config.inside_asns.iter().map(|it| it.0.to_string()).collect();
        for some in inside.chunks(NUMBERS_IN_A_LINE) {
            map.set(None, &[&format!("set as-path exclude {}", some.join(" "))]);
        }
        map.set(None, &["set large-comm-list ours delete"]);
        map.end();
    }
}
