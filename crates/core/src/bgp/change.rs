//! What a new configuration does to the sessions of the old one. Whoever asks beforehand and the speaker that
//! carries it out ([`super::Speaker::replace_config`]) ask the same function.
//!
//! A session ends for what the two OPENs settle (RFC 4271 4.2, RFC 5492) and for the ends of its connection,
//! and for nothing else. The hold time is settled there as well, but a session stands as well with the old
//! one: the new one waits for the next.

use super::config::{
    AddPaths, Family, NeighbourConfig, OutsidePolicy, Relation, SpeakerConfig, Terms, Timers, Transport,
};
use super::policy::Rules;
use crate::id::{IfName, Prefix};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// What of a session is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionTerm {
    /// Our BGP identifier.
    Identifier,
    /// The AS number that we say in OPEN.
    LocalAs,
    /// The AS number that the neighbour must say in OPEN.
    RemoteAs,
    /// The address families (RFC 4760 8).
    Families,
    /// The role (RFC 9234 4.1).
    Role,
    /// Whether there may be several paths to one prefix (RFC 7911 4). How many are told is no matter of OPEN.
    AddPaths,
    /// The link or an address: another connection.
    Ends,
    /// The hold time that we offer.
    HoldTime,
    /// Whether the neighbour must say its role (RFC 9234 4.2).
    StrictRole,
    /// How often we send KEEPALIVE: each end's own matter (RFC 4271 4.4).
    Keepalive,
    /// How long attempts take and how soon the next one follows.
    Retry,
    /// How long it may leave unread what it is sent (RFC 9687).
    SendHold,
    /// Whether what a router has passed on is dropped (RFC 5082).
    Gtsm,
    /// With what segments are signed (RFC 2385 4.5 leaves it to the two ends).
    Password,
    /// How it is watched (RFC 5880).
    Bfd,
    /// The prefix limit and what follows from it.
    Limit,
    /// What is called invalid is treated otherwise.
    Invalid,
    /// What is taken from the neighbour, or as what.
    Import,
    /// What it is told.
    Export,
    /// What it is called here.
    Name,
}

/// When and how a changed term comes into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The session ends and begins anew.
    Reset,
    /// With the next session; this one goes on with what it began with.
    NextSession,
    /// At once, and no route is touched.
    AtOnce,
    /// What the neighbour has told is judged again: it is asked to tell it again (RFC 2918), or it is taken
    /// from what was kept of one that cannot be asked.
    JudgedAgain,
    /// The neighbour is told what is another for it now.
    ToldAgain,
}

impl SessionTerm {
    pub fn effect(self) -> Effect {
        match self {
            SessionTerm::Identifier
            | SessionTerm::LocalAs
            | SessionTerm::RemoteAs
            | SessionTerm::Families
            | SessionTerm::Role
            | SessionTerm::AddPaths
            | SessionTerm::Ends => Effect::Reset,
            SessionTerm::HoldTime | SessionTerm::StrictRole => Effect::NextSession,
            SessionTerm::Keepalive
            | SessionTerm::Retry
            | SessionTerm::SendHold
            | SessionTerm::Gtsm
            | SessionTerm::Password
            | SessionTerm::Bfd
            | SessionTerm::Limit
            | SessionTerm::Invalid
            | SessionTerm::Name => Effect::AtOnce,
            SessionTerm::Import => Effect::JudgedAgain,
            SessionTerm::Export => Effect::ToldAgain,
        }
    }
}

/// What becomes of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// A new neighbour.
    Begins,
    /// It is no neighbour any more.
    Ends,
    /// It ends and begins anew.
    Resets,
    /// It goes on.
    Stays,
}

/// One neighbour under a new configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionChange {
    /// As the new configuration calls it; of one that ends, as the old one did.
    pub neighbour: String,
    pub session: Fate,
    /// What is another, in the order of [`SessionTerm`]; empty of one that stays: nothing.
    pub terms: Vec<SessionTerm>,
}

/// What `new` does to each session of `old`: all of the new configuration's neighbours in their order, then
/// those that end.
pub fn session_changes(old: &SpeakerConfig, new: &SpeakerConfig) -> Vec<SessionChange> {
    let successors = successors(&old.neighbours, &new.neighbours);
    let mut changes = Vec::new();
    for (at, neighbour) in new.neighbours.iter().enumerate() {
        let before = successors.iter().position(|place| *place == Some(at));
        let terms = before.map(|before| changed_terms(old, &old.neighbours[before], new, neighbour));
        let session = match &terms {
            None => Fate::Begins,
            Some(terms) if resets(terms) => Fate::Resets,
            Some(_) => Fate::Stays,
        };
        let terms = terms.unwrap_or_default();
        changes.push(SessionChange { neighbour: neighbour.name.clone(), session, terms });
    }
    for (neighbour, _) in old.neighbours.iter().zip(successors).filter(|(_, place)| place.is_none()) {
        let neighbour = neighbour.name.clone();
        changes.push(SessionChange { neighbour, session: Fate::Ends, terms: Vec::new() });
    }
    changes
}

/// Where in `new` each neighbour of `old` stands: whoever has the same ends is the same, whatever it is called
/// now; of the others, whoever has the same name.
pub fn successors(old: &[NeighbourConfig], new: &[NeighbourConfig]) -> Vec<Option<usize>> {
    let mut places = vec![None; old.len()];
    let mut taken = vec![false; new.len()];
    let same_ends = |a: &NeighbourConfig, b: &NeighbourConfig| ends(&a.transport) == ends(&b.transport);
    // Both at once come before either alone, and ends before names.
    for (by_ends, by_name) in [(true, true), (true, false), (false, true)] {
        for (before, place) in old.iter().zip(&mut places).filter(|(_, place)| place.is_none()) {
            let same = |after: &NeighbourConfig| {
                (!by_ends || same_ends(before, after)) && (!by_name || before.name == after.name)
            };
            *place = (0..new.len()).find(|&at| !taken[at] && same(&new[at]));
            if let Some(at) = *place {
                taken[at] = true;
            }
        }
    }
    places
}

pub(super) fn resets(terms: &[SessionTerm]) -> bool {
    has(terms, Effect::Reset)
}

/// Those that no session outlives.
pub(super) fn resetting(terms: &[SessionTerm]) -> Vec<SessionTerm> {
    terms.iter().copied().filter(|term| term.effect() == Effect::Reset).collect()
}

pub(super) fn has(terms: &[SessionTerm], effect: Effect) -> bool {
    terms.iter().any(|term| term.effect() == effect)
}

/// What of a neighbour is another, sorted.
pub(super) fn changed_terms(
    old: &SpeakerConfig,
    before: &NeighbourConfig,
    new: &SpeakerConfig,
    after: &NeighbourConfig,
) -> Vec<SessionTerm> {
    // Whoever adds a field decides here what becomes of a session in which it changes.
    let NeighbourConfig {
        name: _,
        transport: _,
        local_asn: _,
        remote_asn: _,
        relation: _,
        families: _,
        timers: Timers { keepalive: _, hold: _, connect_retry: _, connect_timeout: _, send_hold: _ },
        terms: Terms { drain: _, strict_role: _, gtsm: _, password: _, bfd: _, limit: _, add_paths: _ },
    } = after;
    let (was, is) = (&before.terms, &after.terms);
    let (old_policy, new_policy) = (outside(before), outside(after));
    let of_policy = |differs: &dyn Fn(&OutsidePolicy, &OutsidePolicy) -> bool| match (old_policy, new_policy)
    {
        (Some(old), Some(new)) => differs(old, new),
        (old, new) => old.is_some() != new.is_some(),
    };
    let limit = of_policy(&|old, new| old.prefix_limit != new.prefix_limit) || was.limit != is.limit;
    // Whether several are told at all is for OPEN.
    let sent = was.add_paths.send.zip(is.add_paths.send);
    let more_paths = sent.is_some_and(|(was, is)| was != is);
    let keepalive = before.timers.keepalive != after.timers.keepalive;
    let retry = |it: &NeighbourConfig| (it.timers.connect_retry, it.timers.connect_timeout);
    let (import, export) = policies(old, before, new, after);
    let found = [
        (SessionTerm::Identifier, old.router_id != new.router_id),
        (SessionTerm::LocalAs, before.local_asn != after.local_asn),
        (SessionTerm::RemoteAs, before.remote_asn != after.remote_asn),
        (SessionTerm::Families, families(before) != families(after)),
        (SessionTerm::Role, of_policy(&|old, new| old.role != new.role)),
        (SessionTerm::AddPaths, offers(was.add_paths) != offers(is.add_paths)),
        (SessionTerm::Ends, ends(&before.transport) != ends(&after.transport)),
        (SessionTerm::HoldTime, before.timers.hold != after.timers.hold),
        (SessionTerm::StrictRole, was.strict_role != is.strict_role),
        (SessionTerm::Keepalive, keepalive),
        (SessionTerm::Retry, retry(before) != retry(after)),
        (SessionTerm::SendHold, before.timers.send_hold != after.timers.send_hold),
        (SessionTerm::Gtsm, was.gtsm != is.gtsm),
        (SessionTerm::Password, was.password != is.password),
        (SessionTerm::Bfd, was.bfd != is.bfd),
        (SessionTerm::Limit, limit),
        (SessionTerm::Invalid, of_policy(&|old, new| old.invalid != new.invalid)),
        (SessionTerm::Import, import),
        (SessionTerm::Export, export || more_paths),
        (SessionTerm::Name, before.name != after.name),
    ];
    found.into_iter().filter_map(|(term, differs)| differs.then_some(term)).collect()
}

/// What OPEN says of it: taken, told.
fn offers(paths: AddPaths) -> (bool, bool) {
    (paths.receive, paths.send.is_some())
}

fn outside(neighbour: &NeighbourConfig) -> Option<&OutsidePolicy> {
    match &neighbour.relation {
        Relation::Outside(policy) => Some(policy),
        Relation::Inside { .. } => None,
    }
}

/// Whether another thing is taken from a neighbour, and whether it is told another.
fn policies(
    old: &SpeakerConfig,
    before: &NeighbourConfig,
    new: &SpeakerConfig,
    after: &NeighbourConfig,
) -> (bool, bool) {
    // Marks of ours carry the network's number, whoever reads them.
    let marks = old.public_asn != new.public_asn;
    let own = old.own_prefixes != new.own_prefixes || old.inside_asns != new.inside_asns;
    let lists = own || old.bogons != new.bogons;
    let network = |it: &Transport| match it {
        Transport::Numbered { network, .. } => Some(*network),
        Transport::Unnumbered { .. } => None,
    };
    let on_link = network(&before.transport) != network(&after.transport);
    let (believed, spoken) = (marks || on_link, marks || lists);
    match (&before.relation, &after.relation) {
        (Relation::Inside { prepends: a }, Relation::Inside { prepends: b }) => {
            let drains = |config: &SpeakerConfig, it: &NeighbourConfig| config.draining || it.terms.drain;
            (believed, spoken || a != b || drains(old, before) != drains(new, after))
        }
        (Relation::Outside(a), Relation::Outside(b)) => {
            let (was, is) = (Rules::of(old, before), Rules::of(new, after));
            let taken = |it: &Option<Rules>| it.as_ref().map(|it| (it.path.clone(), it.prefix.clone()));
            let told = |it: &Option<Rules>| it.as_ref().map(|it| (it.export.clone(), it.change.clone()));
            let (old, new) = (a.listed.as_deref(), b.listed.as_deref());
            let listed = differ(after, old.unwrap_or_default(), new.unwrap_or_default(), |it| it.prefix);
            let import = listed || taken(&was) != taken(&is);
            let (old, new) = (a.announce.as_deref(), b.announce.as_deref());
            let told_of = differ(after, old.unwrap_or_default(), new.unwrap_or_default(), |it| *it)
                || differ(after, &a.withhold, &b.withhold, |it| *it);
            let export = told_of || told(&was) != told(&is);
            (believed || lists || import, spoken || export)
        }
        _ => (true, true),
    }
}

/// Whether two lists differ in what is of the neighbour's families.
fn differ<T: PartialEq>(neighbour: &NeighbourConfig, a: &[T], b: &[T], of: impl Fn(&T) -> Prefix) -> bool {
    let carried = |it: &&T| {
        let family = if of(it).addr().is_ipv4() { Family::Ipv4Unicast } else { Family::Ipv6Unicast };
        neighbour.families.contains(&family)
    };
    !a.iter().filter(carried).eq(b.iter().filter(carried))
}

/// In whatever order they are said.
fn families(neighbour: &NeighbourConfig) -> Vec<Family> {
    let mut families = neighbour.families.clone();
    families.sort_unstable();
    families.dedup();
    families
}

/// What a connection is between. What is reached on the link itself is policy.
fn ends(transport: &Transport) -> (&IfName, IpAddr, Option<IpAddr>, bool) {
    match transport {
        Transport::Unnumbered { link, local, remote } => {
            (link, IpAddr::V6(*local), remote.map(IpAddr::V6), true)
        }
        Transport::Numbered { link, local, remote, .. } => (link, *local, Some(*remote), false),
    }
}
