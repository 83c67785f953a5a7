//! The policy of the embedded speaker (`tsumugi_core::bgp::policy`) in FRR's lists and maps. What a
//! neighbour outside is, its [`Rules`] say, and each of them has its place here:
//!
//! | the speaker's rule | in FRR |
//! |---|---|
//! | our AS in the path; a first AS that is not the neighbour's | its own check; `enforce-first-as` |
//! | public, reserved or private AS, AS_SET, a way that is not wanted, another origin | `as-path access-list` |
//! | default, bogons, too short, too long, our own prefixes, what is listed | `prefix-list` |
//! | a next hop that is on another network than the session | `prefix-list` |
//! | parts of ours lent to a customer | `prefix-list`, the overlap worked out here |
//! | roles and OTC (RFC 9234) | `local-role` |
//! | class, once at the border, by it the preference | `large-community-list`, `set local-preference` |
//! | validation state of a route that an embedded speaker took | the same, +10 and -10 |
//! | no-export, which the inside of the network is not | kept as a large community of ours inside FRR |
//! | our marks of strangers, our marks towards strangers | `set large-comm-list ... delete` |
//! | what customers ask for | kept so, and `large-community-list` where routes leave |
//! | exactly our routers' AS numbers stripped, prepends | `set as-path exclude`, `set as-path prepend` |
//! | draining (RFC 8326) | `set community graceful-shutdown`, preference 0 |
//! | a customer's wish that traffic be dropped (RFC 7999) | a next hop that the kernel discards |
//! | RPKI | refused at `check` |
//!
//! FRR sends no route with no-export over eBGP, and every session of the inside is eBGP: so no-export
//! and no-export-subconfed become large communities of ours on the way in and themselves on the way out to
//! inside routers. Nothing with them leaves the network.
//!
//! Not the same: own routes leave with a MED of 0, and an AGGREGATOR stays as a customer said it.

mod asked;
mod inside;
mod inward;
mod lists;
mod map;
mod outward;
mod paths;

pub use lists::lists;

use super::configuration::Text;
use map::Map;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::bgp::config::{Family, NeighbourConfig, OutsidePolicy, Relation, SpeakerConfig};
use tsumugi_core::bgp::policy::rule::PathRule;
use tsumugi_core::bgp::policy::{Class, Rules};
use tsumugi_core::id::Prefix;

const FAMILIES: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];
/// The classes, the least trusted first, with the names of their lists and the marks of
/// `tsumugi_core::bgp::policy`.
const CLASSES: [(Class, &str, u8); 4] = [
    (Class::Provider, "class-provider", 3),
    (Class::Peer, "class-peer", 2),
    (Class::Customer, "class-customer", 1),
    (Class::Own, "class-own", 0),
];

const INSIDE_IN: &str = "inside-in";
/// Where traffic goes that a customer wants dropped: the kernel discards what is for these. Nobody has them
/// (RFC 5737, RFC 6666).
const DISCARD_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DISCARD_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

/// Next hops that the kernel must discard.
pub fn discards(config: &SpeakerConfig) -> BTreeSet<Prefix> {
    let obeying = Side::all(config).filter(Side::obeys_blackhole);
    obeying.map(|side| Prefix::from(side.discard())).collect()
}

/// Whether traffic of the neighbour's is dropped where it asks for it.
pub fn obeys_blackhole(config: &SpeakerConfig, neighbour: &NeighbourConfig) -> bool {
    neighbour
        .families
        .iter()
        .filter_map(|it| Side::new(config, neighbour, *it))
        .any(|it| it.obeys_blackhole())
}

/// The maps of a neighbour, in and out.
pub fn names(neighbour: &NeighbourConfig, family: Family) -> (String, String) {
    match &neighbour.relation {
        // One for each neighbour, whatever the cost: a map that is not there lets nothing through, and the
        // reload of a changed cost would pass through such a moment.
        Relation::Inside { .. } => (INSIDE_IN.into(), format!("inside-out-{}", neighbour.transport.link())),
        Relation::Outside(_) => {
            let name = word(&neighbour.name);
            (format!("{name}-{}-in", short(family)), format!("{name}-{}-out", short(family)))
        }
    }
}

/// A name of ours as one word.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() { '-' } else { c }).collect()
}

fn short(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "v4",
        Family::Ipv6Unicast => "v6",
        Family::Evpn => "evpn",
    }
}

/// The command of a family's lists, and its largest prefix length.
fn ip(family: Family) -> (&'static str, u8) {
    match family {
        Family::Ipv6Unicast => ("ipv6", 128),
        _ => ("ip", 32),
    }
}

fn mark(class: Class, config: &SpeakerConfig) -> String {
    let number = CLASSES.iter().find(|(it, ..)| *it == class).map_or(3, |(.., number)| *number);
    format!("set large-community {}:1:{number} additive", config.public_asn.0)
}

/// One family of one neighbour outside.
struct Side<'a> {
    config: &'a SpeakerConfig,
    neighbour: &'a NeighbourConfig,
    policy: &'a OutsidePolicy,
    rules: Rules,
    family: Family,
}

impl<'a> Side<'a> {
    /// `None`: it is inside.
    fn new(config: &'a SpeakerConfig, neighbour: &'a NeighbourConfig, family: Family) -> Option<Side<'a>> {
        let Relation::Outside(policy) = &neighbour.relation else { return None };
        let rules = Rules::of(config, neighbour)?;
        Some(Side { config, neighbour, policy, rules, family })
    }

    /// Of all families that are spoken with neighbours outside.
    fn all(config: &'a SpeakerConfig) -> impl Iterator<Item = Side<'a>> {
        let families =
            |neighbour: &'a NeighbourConfig| neighbour.families.iter().map(move |it| (neighbour, *it));
        config.neighbours.iter().flat_map(families).filter_map(|(it, family)| Side::new(config, it, family))
    }

    fn obeys_blackhole(&self) -> bool {
        self.rules.path.contains(&PathRule::ObeyBlackhole)
    }

    fn discard(&self) -> IpAddr {
        match self.family {
            Family::Ipv6Unicast => DISCARD_V6.into(),
            _ => DISCARD_V4.into(),
        }
    }

    /// The name of a list of its own.
    fn list(&self, what: &str) -> String {
        format!("{}-{}-{what}", word(&self.neighbour.name), short(self.family))
    }

    /// What a map asks of a list of prefixes of its own.
    fn own(&self, what: &str) -> String {
        format!("match {} address prefix-list {}", ip(self.family).0, self.list(what))
    }

    /// What a map asks of a list of prefixes that holds for all.
    fn common(&self, what: &str) -> String {
        format!("match {} address prefix-list {what}-{}", ip(self.family).0, short(self.family))
    }
}

/// The map of what is refused of anybody.
fn world(family: Family) -> String {
    format!("world-{}", short(family))
}

pub fn maps(text: &mut Text, config: &SpeakerConfig) {
    let mut map = Map::new(text, "own", "What begins here is the network's own.");
    map.entry("permit", &[&mark(Class::Own, config)]);
    while_reaching(text, config);
    common(text, config);
    let mut done = BTreeSet::new();
    for neighbour in &config.neighbours {
        for family in &neighbour.families {
            let (inward, outward) = names(neighbour, *family);
            match (&neighbour.relation, Side::new(config, neighbour, *family)) {
                (Relation::Inside { prepends }, _) => {
                    if done.insert(outward.clone()) {
                        inside::outward(text, config, &outward, *prepends, neighbour.terms.drain);
                    }
                }
                (Relation::Outside(_), Some(side)) => {
                    side.inward(text, &inward);
                    side.outward(text, &outward);
                }
                (Relation::Outside(_), None) => {}
            }
        }
    }
}

/// The maps that others call.
fn common(text: &mut Text, config: &SpeakerConfig) {
    if config.neighbours.iter().any(|neighbour| matches!(neighbour.relation, Relation::Inside { .. })) {
        inside::common(text, config, INSIDE_IN);
    }
    if let Some(side) = Side::all(config).next() {
        side.leave(text);
    }
    asked::maps(text, config);
    let mut done = BTreeSet::new();
    for side in Side::all(config) {
        let (world, taken, told) = (world(side.family), side.taken(), side.told());
        if done.insert(world.clone()) {
            let mut map = Map::new(text, &world, "What no network tells another.");
            for list in ["refused", "within-own", "too-long"] {
                map.deny(&side.common(list));
            }
            map.end();
        }
        if done.insert(taken.clone()) {
            side.take(text, &taken);
        }
        if done.insert(told.clone()) {
            side.tell(text, &told);
        }
    }
}

fn while_reaching(text: &mut Text, config: &SpeakerConfig) {
    let mut map = Map::new(text, "while-reaching", "Announced while the discard route stands in the kernel.");
    for family in FAMILIES {
        let list = format!("while-reaching-{}", short(family));
        let matches = format!("match {} address prefix-list {list}", ip(family).0);
        map.entry("permit", &[&matches, &mark(Class::Own, config), "set metric 0", "set origin igp"]);
    }
    let conditional = config.originate.iter().filter(|origination| !origination.while_reaching.is_empty());
    let conditional: Vec<Prefix> = conditional.map(|origination| origination.prefix).collect();
    for family in FAMILIES {
        let prefixes = lists::of_family(&conditional, family);
        let list = format!("while-reaching-{}", short(family));
        lists::prefix_list(text, family, &list, prefixes.iter().map(Prefix::to_string));
    }
}
