//! Validated payloads at the border: what is taken, how it is preferred, and what follows when they
//! change.

use super::net::{Net, PUBLIC, listed, loopbacks, ms, own_prefixes, prefix};
use crate::bgp::config::{Invalid, Origination, Role};
use crate::bgp::{Event, ImportRefusal, Notice, PathStatus};
use crate::id::{Asn, Prefix};
use crate::rpki::{AspaTable, Validation, Validity, Vrp, VrpTable};
use crate::wire::bgp::Community;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use proptest::prelude::*;

const PROVIDER: u32 = 150_369;
const CUSTOMER: u32 = 131_000;

/// Routers 1 - 2; a provider at 1, a customer at 2, and router 1 announces our own prefixes.
struct Border {
    net: Net,
    provider: usize,
    customer: usize,
}

fn border(word: Invalid) -> Border {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    for own in own_prefixes() {
        let while_reaching = loopbacks(2).to_vec();
        net.router_mut(0).config.originate.push(Origination { prefix: own, while_reaching, discard: true });
    }
    let [provider, _] = net.outside(0, Asn(PROVIDER), Role::Provider);
    let [customer, _] = net.outside(1, Asn(CUSTOMER), Role::Customer);
    net.policy_mut(0, "as150369 203").invalid = word;
    net.policy_mut(1, "as131000 203").listed = listed(&["198.51.100.0/23", "43.228.174.64/28"]);
    net.start();
    net.run_until(ms(5000), |net| net.all_established() && net.all_reach_all());
    net.run(ms(500));
    Border { net, provider, customer }
}

fn vrp(text: &str, max_length: u8, asn: u32) -> Vrp {
    Vrp { prefix: prefix(text), max_length, asn: Asn(asn) }
}

fn payloads(vrps: &[Vrp], aspas: &[(u32, &[u32])]) -> Validation {
    let providers = |of: &[u32]| of.iter().copied().map(Asn).collect::<Vec<_>>();
    let aspas: AspaTable = aspas.iter().map(|(customer, of)| (Asn(*customer), providers(of))).collect();
    Validation { vrps: Arc::new(vrps.iter().copied().collect()), aspas: Arc::new(aspas), present: true }
}

impl Border {
    fn validate(&mut self, now: &mut Validation, new: Validation) {
        let change = now.change_to(new.clone()).expect("a change");
        *now = new;
        for node in 0..2 {
            self.net.event(node, Event::Validation(change.clone()));
        }
        self.net.run(ms(500));
    }

    fn say(&mut self, stranger: usize, prefixes: &[&str], path: &[u32]) {
        let bytes = self.net.stranger(stranger).announcement(prefixes, path, |_| {});
        self.net.say(stranger, bytes);
        self.net.run(ms(500));
    }

    fn best(&self, node: usize, text: &str) -> Option<PathStatus> {
        let speaker = self.net.router(node).speaker.as_ref().unwrap();
        let route = speaker.routes().find(|route| route.prefix == prefix(text))?;
        route.paths.into_iter().next()
    }

    /// Local preference on both routers; `None`: not there.
    fn preferred(&self, text: &str) -> [Option<u32>; 2] {
        [0, 1].map(|node| Some(self.best(node, text)?.local_preference))
    }

    fn heard(&self, stranger: usize) -> Vec<String> {
        self.net.stranger(stranger).table.keys().map(Prefix::to_string).collect()
    }

    /// No session has ended and nobody was asked to tell anything again.
    fn undisturbed(&self) {
        assert!(self.net.all_established());
        for node in 0..2 {
            assert!(self.net.router(node).notices.iter().all(|it| !matches!(it, Notice::Lost { .. })));
        }
        assert_eq!(self.net.stranger(self.provider).refreshes, 0);
    }
}

#[test]
fn what_is_invalid_is_not_taken_and_what_is_valid_is_preferred() {
    let mut border = border(Invalid::Drop);
    let p = border.provider;
    let payloads = payloads(&[vrp("8.8.8.0/24", 24, 15169), vrp("9.9.0.0/16", 16, 19281)], &[]);
    border.validate(&mut Validation::default(), payloads);
    border.say(p, &["8.8.8.0/24", "1.1.1.0/24"], &[15169]);
    border.say(p, &["9.9.9.0/24"], &[19281]);
    // Valid and not found, on every router alike; too long a prefix is invalid.
    assert_eq!(border.preferred("8.8.8.0/24"), [Some(110); 2]);
    assert_eq!(border.preferred("1.1.1.0/24"), [Some(100); 2]);
    assert_eq!(border.preferred("9.9.9.0/24"), [None; 2]);
    assert_eq!(border.best(1, "8.8.8.0/24").unwrap().validity, Validity::Valid);
    // Nobody outside hears our marks.
    assert_eq!(border.heard(border.customer), ["1.1.1.0/24", "8.8.8.0/24", "43.228.174.0/24"]);
    let told = &border.net.stranger(border.customer).table[&prefix("8.8.8.0/24")];
    assert_eq!(told.large_communities.len(), 0);
    // Why, with the payloads that say so.
    let status = border.net.status(0);
    let neighbour =
        status.neighbours.iter().find(|it| it.remote_asn == Asn(PROVIDER) && it.held > 0).unwrap();
    let refused = &neighbour.refused[0];
    assert_eq!(refused.prefix, prefix("9.9.9.0/24"));
    assert_eq!(refused.reason, ImportRefusal::OriginInvalid { origin: Some(Asn(19281)) });
    assert_eq!(refused.payloads, [vrp("9.9.0.0/16", 16, 19281)]);
    // A withdrawal of what was never taken.
    let bytes = border.net.stranger(p).withdrawal(&["9.9.9.0/24"]);
    border.net.say(p, bytes);
    border.net.run(ms(500));
    let held = |it: &crate::bgp::NeighbourStatus| it.held == 0 && it.refused.is_empty();
    assert!(border.net.status(0).neighbours.iter().all(held));
}

#[test]
fn changed_payloads_bring_routes_back_and_take_them_with_no_word_from_the_neighbour() {
    let mut border = border(Invalid::Drop);
    let mut now = Validation::default();
    let p = border.provider;
    border.say(p, &["8.8.8.0/24", "8.8.4.0/24", "1.1.1.0/24"], &[15169]);
    assert_eq!(border.preferred("8.8.8.0/24"), [Some(100); 2]);
    let wrong = payloads(&[vrp("8.8.0.0/16", 24, 666)], &[]);
    border.validate(&mut now, wrong);
    for gone in ["8.8.8.0/24", "8.8.4.0/24"] {
        assert_eq!(border.preferred(gone), [None; 2]);
    }
    assert_eq!(border.preferred("1.1.1.0/24"), [Some(100); 2]);
    assert_eq!(border.heard(border.customer), ["1.1.1.0/24", "43.228.174.0/24"]);
    let right = payloads(&[vrp("8.8.0.0/16", 24, 666), vrp("8.8.8.0/24", 24, 15169)], &[]);
    border.validate(&mut now, right);
    assert_eq!(border.preferred("8.8.8.0/24"), [Some(110); 2]);
    assert_eq!(border.preferred("8.8.4.0/24"), [None; 2]);
    border.validate(&mut now, Validation::default());
    assert_eq!(border.preferred("8.8.8.0/24"), [Some(100); 2]);
    assert_eq!(border.preferred("8.8.4.0/24"), [Some(100); 2]);
    border.undisturbed();
}

#[test]
fn a_changed_word_of_policy_needs_no_new_session() {
    let mut border = border(Invalid::Drop);
    border.validate(&mut Validation::default(), payloads(&[vrp("8.8.8.0/24", 24, 666)], &[]));
    border.say(border.provider, &["8.8.8.0/24"], &[15169]);
    for (word, expected) in [
        (Invalid::Last, Some(90)),
        (Invalid::Take, Some(100)),
        (Invalid::Drop, None),
        (Invalid::Last, Some(90)),
    ] {
        border.net.policy_mut(0, "as150369 203").invalid = word;
        let config = border.net.router(0).config.clone();
        let (now, mut actions) = (border.net.now, Vec::new());
        border.net.router_mut(0).speaker.as_mut().unwrap().replace_config(now, config, &mut actions);
        border.net.carry_out(0, actions);
        border.net.run(ms(500));
        assert_eq!(border.preferred("8.8.8.0/24"), [expected; 2], "{word:?}");
    }
    border.undisturbed();
}

#[test]
fn a_leaked_path_is_not_taken() {
    let mut border = border(Invalid::Drop);
    let p = border.provider;
    border.say(p, &["8.8.8.0/24"], &[3356, 15169, 174]);
    border.say(p, &["9.9.9.0/24"], &[3356, 19281]);
    let mut now = Validation::default();
    // 15169 hands what its provider 174 said to its provider 3356.
    let signed: &[(u32, &[u32])] = &[(15169, &[174, 3356]), (174, &[0]), (3356, &[0])];
    border.validate(&mut now, payloads(&[], signed));
    assert_eq!(border.preferred("8.8.8.0/24"), [None; 2]);
    assert_eq!(border.preferred("9.9.9.0/24"), [Some(100); 2]);
    let refused = border.net.status(0).neighbours.iter().flat_map(|it| it.refused.clone()).next().unwrap();
    let expected = ImportRefusal::PathInvalid { customer: Asn(174), not_provider: Asn(15169) };
    assert_eq!(refused.reason, expected);
    border.validate(&mut now, payloads(&[], &[(15169, &[174, 3356])]));
    assert_eq!(border.preferred("8.8.8.0/24"), [Some(100); 2]);
    border.undisturbed();
}

#[test]
fn what_we_lent_a_customer_is_not_for_the_payloads_to_say() {
    let mut border = border(Invalid::Drop);
    border.validate(&mut Validation::default(), payloads(&[vrp("43.228.174.0/24", 24, PUBLIC.0)], &[]));
    border.say(border.customer, &["43.228.174.64/28"], &[]);
    assert_eq!(border.preferred("43.228.174.64/28"), [Some(300); 2]);
}

/// RFC 7999 3.3: what a customer asks to be dropped is longer than what ROAs allow.
#[test]
fn a_request_to_drop_is_not_for_the_payloads_to_say() {
    let mut border = border(Invalid::Drop);
    let payloads = payloads(&[vrp("198.51.100.0/24", 24, CUSTOMER)], &[]);
    border.validate(&mut Validation::default(), payloads);
    let c = border.customer;
    let bytes = border.net.stranger(c).announcement(&["198.51.100.7/32"], &[], |attributes| {
        attributes.communities = [Community::BLACKHOLE].into();
    });
    border.net.say(c, bytes);
    border.net.run(ms(500));
    assert!(border.net.router(1).kernel[&prefix("198.51.100.7/32")].discard);
    // Without the request it is too long for anybody.
    border.say(c, &["198.51.100.8/32"], &[]);
    assert_eq!(border.preferred("198.51.100.8/32"), [None; 2]);
}

#[test]
fn our_own_prefixes_are_looked_at_too() {
    let mut border = border(Invalid::Drop);
    assert!(border.net.status(0).own_validity.is_empty(), "nothing is known");
    let mut now = Validation::default();
    border.validate(&mut now, payloads(&[vrp("43.228.174.0/24", 24, 666)], &[]));
    let own = border.net.status(0).own_validity;
    let found: Vec<_> = own.iter().map(|it| (it.prefix, it.validity)).collect();
    let [v4, v6] = own_prefixes()[..] else { panic!() };
    assert_eq!(found, [(v4, Validity::Invalid), (v6, Validity::NotFound)]);
    assert_eq!(own[0].payloads, [vrp("43.228.174.0/24", 24, 666)]);
    border.validate(&mut now, payloads(&[vrp("43.228.174.0/24", 24, PUBLIC.0)], &[]));
    assert_eq!(border.net.status(0).own_validity[0].validity, Validity::Valid);
    assert!(border.net.status(1).own_validity.is_empty(), "it announces none of them");
}

/// Few prefixes, origins and payloads, so that they meet.
#[derive(Debug, Clone)]
enum Turn {
    Announce { prefix: usize, origin: u32 },
    Withdraw { prefix: usize },
    Payloads(Vec<Vrp>),
}

const PREFIXES: [&str; 6] =
    ["11.0.0.0/16", "11.0.0.0/17", "11.0.1.0/24", "11.0.128.0/17", "11.1.0.0/16", "12.0.0.0/8"];

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let payload = (0usize..6, 0u8..9, 1u32..4).prop_map(|(at, more, asn)| {
        let prefix = prefix(PREFIXES[at]);
        Vrp { prefix, max_length: prefix.prefix_len() + more, asn: Asn(asn) }
    });
    let turn = prop_oneof![
        (0usize..6, 1u32..4).prop_map(|(prefix, origin)| Turn::Announce { prefix, origin }),
        (0usize..6).prop_map(|prefix| Turn::Withdraw { prefix }),
        prop::collection::vec(payload, 0..6).prop_map(Turn::Payloads),
    ];
    prop::collection::vec(turn, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever came in whatever order, what is taken is what would be taken if it all came now.
    #[test]
    fn the_order_does_not_matter(turns in turns()) {
        let mut border = border(Invalid::Drop);
        let (mut now, mut told) = (Validation::default(), [None; 6]);
        for turn in turns {
            match turn {
                Turn::Announce { prefix, origin } => {
                    told[prefix] = Some(origin);
                    border.say(border.provider, &[PREFIXES[prefix]], &[origin]);
                }
                Turn::Withdraw { prefix } => {
                    told[prefix] = None;
                    let bytes = border.net.stranger(border.provider).withdrawal(&[PREFIXES[prefix]]);
                    border.net.say(border.provider, bytes);
                    border.net.run(ms(500));
                }
                Turn::Payloads(vrps) => {
                    let new = payloads(&vrps, &[]);
                    if now.change_to(new.clone()).is_some() {
                        border.validate(&mut now, new);
                    }
                }
            }
            let table: &VrpTable = &now.vrps;
            for (text, origin) in PREFIXES.iter().zip(told) {
                let expected = origin.and_then(|origin| match table.validate(&prefix(text), Some(Asn(origin))) {
                    Validity::Valid => Some(110),
                    Validity::NotFound => Some(100),
                    Validity::Invalid => None,
                });
                prop_assert_eq!(border.preferred(text), [expected; 2], "{}", text);
            }
        }
        border.undisturbed();
    }
}
