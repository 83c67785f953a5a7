//! What a customer may ask for with a route of its own: whom it is told to, and with how many prepends.
//!
//! It says so by large communities (RFC 8092) `ASN:code:target` of our public AS number. They are taken
//! from customers only, obeyed wherever a customer's route leaves, and go before it does.

use super::Class;
use crate::bgp::config::Role;
use crate::id::Asn;
use crate::wire::bgp::{Attributes, LargeCommunity};
use serde::Serialize;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Not to the target.
    NotTo,
    /// With our AS number so many times more towards the target.
    Prepend(u8),
    /// To nobody but the targets of all such communities.
    OnlyTo,
}

/// What the third number of a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The network with this AS number.
    As,
    /// A kind of neighbour: see [`kind`].
    Kind,
}

/// Every code that may stand in the middle, with its meaning.
pub const CODES: [(u32, Request, Target); 10] = [
    (10, Request::NotTo, Target::As),
    (11, Request::Prepend(1), Target::As),
    (12, Request::Prepend(2), Target::As),
    (13, Request::Prepend(3), Target::As),
    (14, Request::OnlyTo, Target::As),
    (20, Request::NotTo, Target::Kind),
    (21, Request::Prepend(1), Target::Kind),
    (22, Request::Prepend(2), Target::Kind),
    (23, Request::Prepend(3), Target::Kind),
    (24, Request::OnlyTo, Target::Kind),
];

/// The number that stands for a kind of neighbour; 0 stands for all of them.
pub fn kind(role: Role) -> u32 {
    match role {
        Role::Customer => 1,
        Role::Peer | Role::RouteServer => 2,
        Role::Provider => 3,
    }
}

/// What a route's communities ask for towards one neighbour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub withheld: bool,
    pub prepends: u8,
}

fn meaning(community: &LargeCommunity, public_asn: Asn) -> Option<(Request, Target)> {
    let known = |code: u32| CODES.iter().find(|(known, ..)| *known == code);
    let ours = community.global_administrator == public_asn.0;
    known(community.data1).filter(|_| ours).map(|&(_, request, target)| (request, target))
}

/// Whether it is a request, to whomever.
pub(super) fn is_request(community: &LargeCommunity, public_asn: Asn) -> bool {
    meaning(community, public_asn).is_some()
}

/// Of several that concern a neighbour, the strictest counts. Nobody's but a customer's are looked at.
pub(super) fn asked(
    attributes: &Attributes,
    class: Option<Class>,
    public_asn: Asn,
    neighbour: Asn,
    role: Role,
) -> Asked {
    let mut asked = Asked::default();
    if class != Some(Class::Customer) {
        return asked;
    }
    let (mut limited, mut chosen) = (false, false);
    for community in &attributes.large_communities {
        let Some((request, target)) = meaning(community, public_asn) else { continue };
        let concerned = match target {
            Target::As => community.data2 == neighbour.0,
            Target::Kind => community.data2 == 0 || community.data2 == kind(role),
        };
        match request {
            Request::NotTo => asked.withheld |= concerned,
            Request::Prepend(times) if concerned => asked.prepends = asked.prepends.max(times),
            Request::Prepend(_) => {}
            Request::OnlyTo => {
                limited = true;
                chosen |= concerned;
            }
        }
    }
    asked.withheld |= limited && !chosen;
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Asn = Asn(63806);
    const THEM: Asn = Asn(150_369);

    fn of(marks: &[(u32, u32)], class: Class, role: Role) -> (bool, u8) {
        let marks = marks.iter().map(|&(code, target)| LargeCommunity::new(US.0, code, target));
        let attributes = Attributes { large_communities: marks.collect(), ..Attributes::default() };
        let asked = asked(&attributes, Some(class), US, THEM, role);
        (asked.withheld, asked.prepends)
    }

    #[test]
    fn what_is_asked_for_is_done_towards_whom_it_concerns() {
        let provider = |marks: &[(u32, u32)]| of(marks, Class::Customer, Role::Provider);
        assert_eq!(provider(&[]), (false, 0));
        assert_eq!(provider(&[(10, THEM.0)]), (true, 0));
        assert_eq!(provider(&[(10, 7)]), (false, 0));
        assert_eq!(provider(&[(12, THEM.0), (21, 3), (13, 7)]), (false, 2));
        assert_eq!(provider(&[(23, 0)]), (false, 3));
        assert_eq!(provider(&[(20, 3)]), (true, 0));
        assert_eq!(provider(&[(20, 2), (20, 1)]), (false, 0));
        // To nobody but some: all such are one list, and "not to" is stronger.
        assert_eq!(provider(&[(14, 7)]), (true, 0));
        assert_eq!(provider(&[(14, 7), (24, 3)]), (false, 0));
        assert_eq!(provider(&[(14, THEM.0), (20, 3)]), (true, 0));
        assert_eq!(provider(&[(24, 2)]), (true, 0));
        // A route server is a way to peers.
        assert_eq!(of(&[(24, 2)], Class::Customer, Role::RouteServer), (false, 0));
        // An unknown code asks for nothing.
        assert_eq!(provider(&[(15, THEM.0), (30, 0)]), (false, 0));
    }

    #[test]
    fn only_customers_ask() {
        for class in [Class::Own, Class::Peer, Class::Provider] {
            assert_eq!(of(&[(20, 0), (23, 0)], class, Role::Provider), (false, 0));
        }
    }
}
