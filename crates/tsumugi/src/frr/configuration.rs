//! What FRR is told: a pure function from what the embedded speaker would be told.
//!
//! The network's public AS number is FRR's own, as RFC 9234's OTC carries it; on inside links the
//! router's private one takes its place (`local-as ... no-prepend replace-as`).

use super::policy;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tsumugi_core::bfd::BfdTerms;
use tsumugi_core::bgp::config::{
    Family, LimitTerms, NeighbourConfig, Origination, OutsidePolicy, Relation, Role, SpeakerConfig, Terms,
    Timers, Transport,
};
use tsumugi_core::id::KeyName;

/// What the daemons begin with. All together are what FRR's reload compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    pub zebra: String,
    pub bfdd: String,
    pub bgpd: String,
}

impl Configuration {
    pub fn whole(&self) -> String {
        format!("{}{}{}", self.zebra, self.bfdd, self.bgpd)
    }
}

/// Secrets of sessions by the names in the plan, as far as they are there.
pub type Passwords = BTreeMap<KeyName, String>;

/// Lines of a configuration.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    /// For whoever reads the file: FRR does not keep it.
    pub fn comment(&mut self, words: &str) {
        let _ = writeln!(self.0, "!\n! {words}");
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// `router`: its name in the file.
pub fn configuration(router: &str, config: &SpeakerConfig, passwords: &Passwords) -> Configuration {
    Configuration { zebra: zebra(router, config), bfdd: bfdd(config), bgpd: bgpd(config, passwords) }
}

/// What FRR calls a neighbour.
pub fn key(transport: &Transport) -> String {
    match transport {
        Transport::Unnumbered { link, local: _, remote: _ } => link.to_string(),
        Transport::Numbered { remote, link: _, local: _, network: _ } => remote.to_string(),
    }
}

fn zebra(router: &str, config: &SpeakerConfig) -> String {
    let mut text = Text::default();
    text.line("frr defaults traditional");
    text.line(format!("hostname {router}"));
    text.line("log stdout informational");
    text.comment("Every route prefers the loopback as its source.");
    let sources = [
        ("ip", "v4", config.source_v4.map(|it| it.to_string())),
        ("ipv6", "v6", config.source_v6.map(|it| it.to_string())),
    ];
    for (_, name, source) in &sources {
        if let Some(source) = source {
            text.line(format!("route-map source-{name} permit 10"));
            text.line(format!(" set src {source}"));
            text.line("exit");
        }
    }
    for (command, name, source) in &sources {
        if source.is_some() {
            text.line(format!("{command} protocol bgp route-map source-{name}"));
        }
    }
    let unnumbered = config.neighbours.iter().filter_map(|neighbour| match &neighbour.transport {
        Transport::Unnumbered { link, .. } => Some(link),
        Transport::Numbered { .. } => None,
    });
    text.comment(
        "Inside links: routers find each other by router advertisements, which make nobody a default router.",
    );
    for link in unnumbered {
        text.line(format!("interface {link}"));
        text.line(" ipv6 nd ra-interval 10");
        text.line(" ipv6 nd ra-lifetime 0");
        text.line(" no ipv6 nd suppress-ra");
        text.line("exit");
    }
    text.finish()
}

fn profile(terms: &BfdTerms) -> String {
    let BfdTerms { interval, multiplier, multihop: _ } = terms;
    format!("{multiplier}x{interval}ms")
}

/// The paces at which neighbours are watched (RFC 5880).
fn bfdd(config: &SpeakerConfig) -> String {
    let watched = config.neighbours.iter().filter_map(|neighbour| neighbour.terms.bfd);
    let profiles: BTreeMap<String, BfdTerms> = watched.map(|terms| (profile(&terms), terms)).collect();
    let mut text = Text::default();
    if profiles.is_empty() {
        return text.finish();
    }
    text.comment("How fast a silent neighbour is known to be gone.");
    text.line("bfd");
    for (name, terms) in profiles {
        text.line(format!(" profile {name}"));
        text.line(format!("  detect-multiplier {}", terms.multiplier));
        text.line(format!("  receive-interval {}", terms.interval));
        text.line(format!("  transmit-interval {}", terms.interval));
        text.line(" exit");
    }
    text.line("exit");
    text.finish()
}

fn bgpd(config: &SpeakerConfig, passwords: &Passwords) -> String {
    // Whatever is added to it is to be thought of here.
    let SpeakerConfig {
        router_id,
        asn: _,
        public_asn,
        inside_asns: _,
        source_v4: _,
        source_v6: _,
        originate,
        neighbours,
        bogons: _,
        own_prefixes: _,
        max_paths,
        draining: _,
    } = config;
    let mut text = Text::default();
    policy::lists(&mut text, config);
    // Before the speaker: a prefix whose map is not there yet is announced seconds later, if at all.
    policy::maps(&mut text, config);
    text.comment("The speaker.");
    text.line(format!("router bgp {}", public_asn.0));
    text.line(format!(" bgp router-id {router_id}"));
    text.line(" bgp log-neighbor-changes");
    text.line(" no bgp default ipv4-unicast");
    text.line(" no bgp network import-check");
    text.line(" bgp bestpath as-path multipath-relax");
    for neighbour in neighbours {
        session(&mut text, neighbour, passwords);
        if policy::obeys_blackhole(config, neighbour) {
            // A next hop that the kernel discards is on no network; the policy asks for what is on the link.
            text.line(format!(" neighbor {} disable-connected-check", key(&neighbour.transport)));
        }
    }
    for family in [Family::Ipv4Unicast, Family::Ipv6Unicast, Family::Evpn] {
        address_family(&mut text, family, originate, neighbours, *max_paths);
    }
    text.line("exit");
    text.finish()
}

fn session(text: &mut Text, neighbour: &NeighbourConfig, passwords: &Passwords) {
    let NeighbourConfig { name, transport, local_asn, remote_asn, relation, families: _, timers, terms } =
        neighbour;
    let key = key(transport);
    let mut say = |words: &str| text.line(format!(" neighbor {key} {words}"));
    match transport {
        Transport::Unnumbered { .. } => {
            say(&format!("interface remote-as {}", remote_asn.0));
            say("capability extended-nexthop");
        }
        Transport::Numbered { link, local, remote, network: _ } => {
            say(&format!("remote-as {}", remote_asn.0));
            let link_local = matches!(remote, std::net::IpAddr::V6(it) if it.is_unicast_link_local());
            match link_local {
                true => say(&format!("interface {link}")),
                false => say(&format!("update-source {local}")),
            }
        }
    }
    say(&format!("description {name}"));
    if matches!(relation, Relation::Inside { .. }) {
        say(&format!("local-as {} no-prepend replace-as", local_asn.0));
    }
    // A route server does not stand in the path itself (RFC 7947 2.2.2.1).
    if !matches!(relation, Relation::Outside(policy) if policy.role == Role::RouteServer) {
        say("enforce-first-as");
    }
    let Timers { keepalive, hold, connect_retry, connect_timeout: _, send_hold: _ } = *timers;
    let seconds = |milliseconds: u32| milliseconds.div_ceil(1000);
    say(&format!("timers {} {}", seconds(keepalive), seconds(hold)));
    say(&format!("timers connect {}", seconds(connect_retry).max(1)));
    // `drain` and `limit` stand with the policy and the families. Several paths FRR takes by itself (RFC 7911).
    let Terms { drain: _, strict_role, gtsm, password, limit: _, bfd, add_paths: _ } = terms;
    if let Relation::Outside(policy) = relation {
        let strict = if *strict_role { " strict-mode" } else { "" };
        say(&format!("local-role {}{strict}", our_role(policy.role)));
    }
    if let Some(bfd) = bfd {
        say(&format!("bfd profile {}", profile(bfd)));
    }
    if *gtsm {
        say("ttl-security hops 1");
    }
    match password.as_ref().map(|name| passwords.get(name)) {
        None => {}
        Some(Some(secret)) => say(&format!("password {secret}")),
        // Nobody is called without the secret that was agreed on.
        Some(None) => say("shutdown message its secret is not there yet"),
    }
}

/// What we say of ourselves to a neighbour (RFC 9234 4.2).
fn our_role(role: Role) -> &'static str {
    match role {
        Role::Provider => "customer",
        Role::Peer => "peer",
        Role::Customer => "provider",
        Role::RouteServer => "rs-client",
    }
}

/// What FRR calls a family.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4 unicast",
        Family::Ipv6Unicast => "ipv6 unicast",
        Family::Evpn => "l2vpn evpn",
    }
}

fn address_family(
    text: &mut Text,
    family: Family,
    originate: &[Origination],
    neighbours: &[NeighbourConfig],
    max_paths: u8,
) {
    let speaks = |neighbour: &&NeighbourConfig| neighbour.families.contains(&family);
    let of_family = |origination: &&Origination| match family {
        Family::Ipv4Unicast => origination.prefix.addr().is_ipv4(),
        Family::Ipv6Unicast => origination.prefix.addr().is_ipv6(),
        Family::Evpn => false,
    };
    let mut own = originate.iter().filter(of_family).peekable();
    if own.peek().is_none() && !neighbours.iter().any(|neighbour| speaks(&neighbour)) {
        return;
    }
    text.line(format!(" address-family {}", family_name(family)));
    let mut while_reaching = false;
    for Origination { prefix, while_reaching: reached, discard: _ } in own {
        match reached.is_empty() {
            true => text.line(format!("  network {} route-map own", prefix.trunc())),
            false => while_reaching = true,
        }
    }
    if while_reaching {
        // The router process holds a discard route for each while the rest of the network is reached.
        text.line("  redistribute kernel route-map while-reaching");
    }
    for neighbour in neighbours.iter().filter(speaks) {
        let key = key(&neighbour.transport);
        let (inward, outward) = policy::names(neighbour, family);
        text.line(format!("  neighbor {key} activate"));
        text.line(format!("  neighbor {key} route-map {inward} in"));
        text.line(format!("  neighbor {key} route-map {outward} out"));
        if let Relation::Outside(policy) = &neighbour.relation {
            outside_session(text, &key, policy, &neighbour.terms);
        }
    }
    if family != Family::Evpn {
        text.line(format!("  maximum-paths {max_paths}"));
    }
    text.line(" exit-address-family");
}

fn outside_session(text: &mut Text, key: &str, policy: &OutsidePolicy, terms: &Terms) {
    // So that a changed policy asks nobody to tell everything again.
    text.line(format!("  neighbor {key} soft-reconfiguration inbound"));
    text.line(format!("  neighbor {key} remove-private-AS all"));
    if let Some(limit) = policy.prefix_limit {
        let LimitTerms { warn_percent, rest } = terms.limit;
        let minutes = rest.div_ceil(60_000).max(1);
        text.line(format!("  neighbor {key} maximum-prefix {limit} {warn_percent} restart {minutes}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = include_str!("snapshots/network.toml");

    /// All that FRR is told at a router of the file, whose secrets are there.
    fn told(router: &str) -> String {
        let checked = tsumugi_plan::check(NETWORK).expect("a sound file");
        let plans = tsumugi_plan::compile::compile(&checked.declaration).expect("plans");
        let plan = plans.machine(router).expect("a router of the file");
        let secret = (KeyName("up".into()), "correct-horse".to_owned());
        configuration(router, plan.speaker.as_ref().expect("a router"), &Passwords::from([secret])).whole()
    }

    #[test]
    fn a_router_at_the_border_tells_frr_this() {
        insta::assert_snapshot!(told("border"));
    }

    #[test]
    fn a_router_inside_tells_frr_this() {
        insta::assert_snapshot!(told("inside"));
    }

    #[test]
    fn a_session_without_its_secret_stays_down() {
        let checked = tsumugi_plan::check(NETWORK).expect("a sound file");
        let plans = tsumugi_plan::compile::compile(&checked.declaration).expect("plans");
        let speaker = plans.machine("border").and_then(|plan| plan.speaker.clone()).expect("a router");
        let text = configuration("border", &speaker, &Passwords::new()).whole();
        assert!(
            text.contains(" neighbor 203.0.113.1 shutdown message its secret is not there yet\n"),
            "{text}"
        );
        assert!(!text.contains("password"), "{text}");
    }

    /// A cost changes lines of a map, and no map's name.
    #[test]
    fn a_changed_cost_changes_one_line() {
        let checked = tsumugi_plan::check(NETWORK).expect("a sound file");
        let plans = tsumugi_plan::compile::compile(&checked.declaration).expect("plans");
        let speaker = plans.machine("inside").and_then(|plan| plan.speaker.clone()).expect("a router");
        let mut dearer = speaker.clone();
        let before = speaker.neighbours.iter().map(|it| it.relation.clone()).collect::<Vec<_>>();
        dearer.neighbours[0].relation = Relation::Inside { prepends: 7 };
        assert_ne!(before[0], dearer.neighbours[0].relation);
        let lines = |config: &SpeakerConfig| configuration("inside", config, &Passwords::new()).whole();
        let (before, after) = (lines(&speaker), lines(&dearer));
        let differ: Vec<_> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(before.lines().count(), after.lines().count());
        assert!(differ.len() == 1 && differ[0].1.starts_with(" set as-path prepend "), "{differ:?}");
    }
}
