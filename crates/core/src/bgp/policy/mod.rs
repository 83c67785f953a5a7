//! What is taken from a neighbour and what is told to it. There is no neighbour without a policy
//! (RFC 8212): it follows from the neighbour's relation alone, as [`Rules`] that the speaker carries out.
//!
//! A route's class says where the network got it from. It is set once, where the route comes in,
//! stands in a large community of ours while it is inside, and goes before the route leaves.

mod export;
mod import;
mod list;
mod next_hop;
pub mod request;
pub mod rule;

pub(super) use export::{export_attributes, export_check, export_check_inside};
pub(super) use import::{import_attributes, import_prefix};
pub(super) use next_hop::{import_next_hop, import_vtep};
pub use rule::Rules;

use super::config::{NeighbourConfig, OutsidePolicy, Relation, Role, SpeakerConfig};
use super::notice::ImportRefusal;
use super::rib::Route;
use crate::id::{Asn, Prefix};
use crate::rpki::Validity;
use crate::wire::bgp::{Attributes, Community, LargeCommunity, Origin};
use alloc::boxed::Box;
use list::PrefixList;
use prefix_trie::joint::JointPrefixSet;
use serde::{Deserialize, Serialize};

/// The first data part of our large communities: a route's class.
const CLASS: u32 = 1;
/// The longest prefixes that networks tell one another.
pub const LONGEST_V4: u8 = 24;
pub const LONGEST_V6: u8 = 48;
/// The shortest: whoever announces more claims parts of the world that are several registries', as
/// the two halves of a default route do.
pub const SHORTEST_V4: u8 = 8;
pub const SHORTEST_V6: u8 = 16;

/// Where the network got a route from. The order is that of trust, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Own,
    Customer,
    Peer,
    Provider,
}

impl Class {
    fn number(self) -> u32 {
        self as u32
    }

    /// As marked. Of several marks the least trusted counts.
    fn of(attributes: &Attributes, public_asn: Asn) -> Option<Class> {
        let marks = attributes.large_communities.iter();
        let ours = marks.filter(|it| it.global_administrator == public_asn.0 && it.data1 == CLASS);
        ours.filter_map(|mark| match mark.data2 {
            0 => Some(Class::Own),
            1 => Some(Class::Customer),
            2 => Some(Class::Peer),
            3 => Some(Class::Provider),
            _ => None,
        })
        .max()
    }

    pub fn local_preference(self) -> u32 {
        match self {
            Class::Own => 400,
            Class::Customer => 300,
            Class::Peer => 200,
            Class::Provider => 100,
        }
    }
}

impl From<Role> for Class {
    fn from(role: Role) -> Class {
        match role {
            Role::Provider => Class::Provider,
            // A route server hands on what peers say.
            Role::Peer | Role::RouteServer => Class::Peer,
            Role::Customer => Class::Customer,
        }
    }
}

/// Why a route is not told to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "not-told")]
pub enum ExportRefusal {
    /// It is the neighbour's own.
    BackToSource,
    /// The neighbour's AS number stands in the path: it would refuse it.
    WouldLoop,
    /// A well-known community keeps it here (RFC 1997).
    KeptByCommunity,
    /// To the outside: nothing says what it is, so nobody hears of it.
    NoClass,
    /// To the outside: a peer's or provider's route, and the neighbour is no customer.
    NotForThem,
    /// To the outside: for customers only, as somebody on its way has said (RFC 9234 5).
    OnlyToCustomers,
    /// To the outside: within our own prefixes and not one of them.
    NotExactlyOwn,
    /// To the outside: no other network takes such a prefix.
    NotForAnyone(ImportRefusal),
    /// To the outside: the file says what this peer is told, and this is not among it.
    NotAnnounced,
    /// To the outside: the file withholds it from this peer.
    Withheld,
    /// To the outside: the customer whose route it is does not want this peer to hear of it.
    AskedNotTo,
}

/// The lists of a configuration, ready for look-ups.
#[derive(Debug, Default)]
pub(super) struct Tables {
    bogons: JointPrefixSet<Prefix>,
    own: JointPrefixSet<Prefix>,
}

impl Tables {
    pub fn new(config: &SpeakerConfig) -> Tables {
        Tables { bogons: set(&config.bogons), own: set(&config.own_prefixes) }
    }

    /// Whether it is one of our own prefixes or within one.
    pub fn is_own(&self, prefix: &Prefix) -> bool {
        self.own.is_covered(prefix)
    }

    fn check_default(&self, prefix: &Prefix) -> Result<(), ImportRefusal> {
        if prefix.prefix_len() == 0 { Err(ImportRefusal::Default) } else { Ok(()) }
    }

    fn check_bogon(&self, prefix: &Prefix) -> Result<(), ImportRefusal> {
        let within = self.bogons.get_spm(prefix);
        within.map_or(Ok(()), |within| Err(ImportRefusal::Bogon { within }))
    }
}

fn set(prefixes: &[Prefix]) -> JointPrefixSet<Prefix> {
    prefixes.iter().map(Prefix::trunc).collect()
}

/// What happens to the routes of one neighbour outside: the rules, and the lists that they look into.
#[derive(Debug)]
pub(super) struct Policy {
    pub rules: Rules,
    listed: PrefixList,
    announce: JointPrefixSet<Prefix>,
    withhold: JointPrefixSet<Prefix>,
}

impl Policy {
    /// `None`: another router of the network.
    pub fn new(config: &SpeakerConfig, neighbour: &NeighbourConfig) -> Option<Box<Policy>> {
        let (Relation::Outside(said), Some(rules)) = (&neighbour.relation, Rules::of(config, neighbour))
        else {
            return None;
        };
        let OutsidePolicy { listed, announce, withhold, .. } = said;
        Some(Box::new(Policy {
            rules,
            listed: PrefixList::new(listed.as_deref().unwrap_or_default()),
            announce: set(announce.as_deref().unwrap_or_default()),
            withhold: set(withhold),
        }))
    }

    /// Takes what else the rules depend on from a new configuration; the neighbour's lists are the same.
    pub fn renew(&mut self, config: &SpeakerConfig, neighbour: &NeighbourConfig) {
        if let Some(rules) = Rules::of(config, neighbour) {
            self.rules = rules;
        }
    }
}

/// By class and validity. Who has no class is the last choice, but for what is about to go (RFC 8326 4).
pub(super) fn preference(class: Option<Class>, attributes: &Attributes, public_asn: Asn) -> u32 {
    if attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
        return 0;
    }
    class.map_or(50, |class| Validity::of(attributes, public_asn).weigh(class.local_preference()))
}

fn add(attributes: &mut Attributes, community: Community) {
    if !attributes.communities.contains(&community) {
        attributes.communities = attributes.communities.iter().copied().chain([community]).collect();
    }
}

/// Takes away what only we may say (but what `keep` lets pass), and what may not cross between networks.
fn scrub(attributes: &mut Attributes, public_asn: Asn, keep: impl Fn(&LargeCommunity) -> bool) {
    let stays = |it: &&LargeCommunity| it.global_administrator != public_asn.0 || keep(it);
    attributes.large_communities = attributes.large_communities.iter().filter(stays).copied().collect();
    let transitive = attributes.extended_communities.iter().filter(|it| it.is_transitive());
    attributes.extended_communities = transitive.copied().collect();
}

/// A route that begins here.
pub(super) fn own_route(config: &SpeakerConfig, discard: bool) -> Route {
    let mut attributes = Attributes { origin: Origin::Igp, ..Attributes::default() };
    import::mark(&mut attributes, config.public_asn, Class::Own);
    let local_preference = Class::Own.local_preference();
    let class = Some(Class::Own);
    Route { attributes, next_hop: None, class, local_preference, discard, body: None, path_id: 0 }
}
