//! Whatever is in the file: nothing panics, nothing takes long, one mistake is told once, and what
//! is printed reads to the same.

#[path = "../examples/generate/network.rs"]
mod generate;

use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tsumugi_core::id::{Asn, IfName, KeyName, Prefix, Vni};
use tsumugi_core::wire::bgp::RouteTarget;
use tsumugi_plan::declaration::*;
use tsumugi_plan::explain::{Lang, render, to_json};
use tsumugi_plan::{Problem, Severity, check};

const EXAMPLES: [&str; 3] = [
    include_str!("../../../examples/two-homes.toml"),
    include_str!("../../../examples/as63806.toml"),
    include_str!("refusals/base.toml"),
];

/// All that can be done with a file.
fn everything(text: &str) {
    let (declaration, problems) = parse(text);
    assert_eq!(declaration.is_none(), !problems.is_empty());
    if let Some(declaration) = declaration {
        let printed = print(&declaration);
        let (again, problems) = parse(&printed);
        assert_eq!(problems, [], "{printed}");
        let again = again.unwrap();
        assert_eq!(again, declaration);
        assert_eq!(print(&again), printed);
    }
    let problems = told(text);
    for problem in &problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len());
    }
    for lang in [Lang::En, Lang::Ja] {
        let shown = render(&problems, text, "network.toml", lang, false);
        assert_eq!(shown.is_empty(), problems.is_empty());
        to_json(&problems, text, lang);
    }
}

fn told(text: &str) -> Vec<Problem> {
    match check(text) {
        Ok(checked) => checked.warnings,
        Err(problems) => problems,
    }
}

fn errors(text: &str) -> Vec<String> {
    let errors = told(text).into_iter().filter(|problem| problem.severity() == Severity::Error);
    errors.map(|problem| problem.kind.code()).collect()
}

/// Pieces that mean something here, for texts that come further than random bytes do.
const PIECES: [&str; 27] = [
    "[rpki]\n",
    "[bmp]\n",
    "caches = [\"192.0.2.1:323\"]\n",
    "[network]\n",
    "[router.a]\n",
    "[router.a.uplink.x]\n",
    "[[link]]\n",
    "[peer.p]\n",
    "[[peer.p.at]]\n",
    "[segment.s]\n",
    "id = 1\n",
    "site = \"s\"\n",
    "between = [\"a\", \"a\"]\n",
    "by = \"gre\"\n",
    "over = [\"x\", \"x\"]\n",
    "address = \"auto\"\n",
    "kind = \"ngn\"\n",
    "prefixes = [\"0.0.0.0/0\", \"::/0\"]\n",
    "loopbacks = [\"::/0\"]\n",
    "management = \"::/0\"\n",
    "# あ\n",
    "\"",
    "[",
    "]",
    "= ",
    "\n",
    "'''",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        everything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_pieces(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        everything(&text);
    }

    #[test]
    fn examples_with_pieces_cut_moved_and_put_in(
        example in 0..EXAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, 0usize..5, any::<prop::sample::Index>()), 1..6),
    ) {
        let mut text: Vec<char> = EXAMPLES[example].chars().collect();
        for (at, length, edit, other) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            let other_at = other.index(text.len() + 1);
            match edit {
                0 => drop(text.drain(at..end)),
                1 => {
                    let piece: Vec<char> = text[at..end].to_vec();
                    text.splice(other_at..other_at, piece);
                }
                2 => drop(text.splice(at..at, PIECES[other.index(PIECES.len())].chars())),
                3 => {
                    let digit = char::from_digit((length % 10) as u32, 10).unwrap();
                    if let Some(c) = text[at..].iter_mut().find(|c| c.is_ascii_digit()) {
                        *c = digit;
                    }
                }
                _ => {
                    // One line takes another one's place.
                    let lines: Vec<String> = text.iter().collect::<String>().lines().map(str::to_string).collect();
                    if !lines.is_empty() {
                        let (from, to) = (at % lines.len(), other_at % lines.len());
                        let mut lines = lines;
                        lines[to] = lines[from].clone();
                        text = lines.join("\n").chars().collect();
                    }
                }
            }
        }
        everything(&text.into_iter().collect::<String>());
    }
}

/// The lines of an example that say one value, with the key.
fn keyed(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .filter_map(|(at, line)| Some((at, line.split_once(" = ")?.0)))
        .filter(|(_, key)| !key.starts_with('#'))
        .collect()
}

fn with_line(text: &str, at: usize, change: impl Fn(&str) -> String) -> String {
    let lines =
        text.lines().enumerate().map(|(n, line)| if n == at { change(line) } else { line.to_string() });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn a_value_of_the_wrong_type_is_told_once_and_nothing_follows_from_it() {
    for text in EXAMPLES {
        for (at, key) in keyed(text) {
            let broken = with_line(text, at, |_| format!("{key} = 1979-05-27"));
            assert_eq!(errors(&broken), ["wrong-type"], "line {}: {key}", at + 1);
        }
    }
}

#[test]
fn a_mistyped_key_is_told_once_and_read_as_what_was_meant() {
    for text in EXAMPLES {
        for (at, key) in keyed(text) {
            let broken = with_line(text, at, |line| format!("{}{line}", &key[..1]));
            assert_eq!(errors(&broken), ["unknown-key"], "line {}: {key}", at + 1);
        }
    }
}

#[test]
fn a_key_left_out_is_told_once_if_it_is_needed() {
    // What else is said beside these, on purpose: an optional key that another one needs.
    let conditional = [
        "over",
        "ports",
        "port",
        "remote",
        "region",
        "prefixes",
        "share",
        "management-port",
        "meeting",
        "passes",
        "lan",
        "standby",
        "gateway",
    ];
    for text in EXAMPLES {
        for (at, key) in keyed(text).into_iter().filter(|(_, key)| !conditional.contains(key)) {
            let broken = with_line(text, at, |_| String::new());
            let errors = errors(&broken);
            assert!(errors.is_empty() || errors == ["missing-key"], "line {}: {key}: {errors:?}", at + 1);
        }
    }
}

/// Said by nobody: as a program makes it.
fn said<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Said<T>> {
    value.prop_map(Said::from)
}

fn list<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = List<T>> {
    said(prop::collection::vec(said(value), 1..4))
}

fn maybe<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<Said<T>>> {
    prop::option::of(said(value))
}

fn pair<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Pair<T>> {
    said((said(value.clone()), said(value)).prop_map(|(a, b)| [a, b]))
}

fn name() -> impl Strategy<Value = String> + Clone {
    "[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?"
}

fn port() -> impl Strategy<Value = IfName> + Clone {
    "[a-zA-Z0-9._あ\"\\\\-]{1,5}".prop_filter_map("a port", |name| IfName::new(&name).ok())
}

fn words() -> impl Strategy<Value = String> {
    "[ -~あ-ん]{0,20}x"
}

fn address() -> impl Strategy<Value = Prefix> + Clone {
    prop_oneof![
        (any::<u32>(), 0u8..=32)
            .prop_map(|(n, len)| Prefix::new(std::net::Ipv4Addr::from(n).into(), len).unwrap()),
        (any::<u128>(), 0u8..=128)
            .prop_map(|(n, len)| Prefix::new(std::net::Ipv6Addr::from(n).into(), len).unwrap()),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    address().prop_map(|address| address.trunc())
}

fn by_name<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
    name_of: impl Fn(&T) -> String + 'static,
) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(value, 0..4).prop_map(move |mut all| {
        let mut seen = std::collections::HashSet::new();
        all.retain(|one| seen.insert(name_of(one)));
        all
    })
}

fn uplink() -> impl Strategy<Value = Uplink> {
    let kind = prop::sample::select(line::LINES.iter().map(|facts| facts.kind).collect::<Vec<_>>());
    let region = prop::sample::select(vec![Region::East, Region::West]);
    let line_address = prop_oneof![
        address().prop_map(LineAddress::Stated),
        prop::sample::select(vec![
            LineAddress::Auto,
            LineAddress::Dhcp,
            LineAddress::Dhcp6Pd,
            LineAddress::Pppoe
        ]),
    ];
    let passes = vec![Pass::Udp, Pass::Gre, Pass::EtherIp, Pass::Fragments, Pass::Incoming];
    let purposes = vec![Purpose::Fabric, Purpose::Management];
    (
        said(name()),
        said(kind),
        maybe(region),
        said(port()),
        maybe(any::<bool>()),
        maybe(576u16..=9000),
        list(line_address),
        prop::option::of(list(address().prop_map(|one| one.addr()))),
        prop::option::of(said(prop::collection::vec(said(prop::sample::select(passes)), 0..4))),
        list(prop::sample::select(purposes)),
    )
        .prop_map(|(name, kind, region, port, share, path_mtu, address, gateway, passes, purposes)| {
            Uplink { name, kind, region, port, share, path_mtu, address, gateway, passes, purposes }
        })
}

fn router() -> impl Strategy<Value = Router> {
    let engine = prop::sample::select(vec![Engine::Auto, Engine::Kernel, Engine::Userspace]);
    (
        said(name()),
        said(1u16..=7974),
        said(name()),
        maybe((1u32..=4_294_967_294).prop_map(Asn)),
        maybe(any::<bool>()),
        maybe(any::<bool>()),
        maybe(port()),
        maybe(prop::sample::select(vec![Table::Full, Table::Default])),
        maybe(engine),
        maybe(prop::sample::select(vec![Routing::Embedded, Routing::Frr])),
        by_name(uplink(), |uplink| uplink.name.to_string()),
    )
        .prop_map(
            |(name, id, site, asn, meeting, drain, management_port, table, engine, routing, uplinks)| {
                Router {
                    name,
                    id,
                    site,
                    asn,
                    meeting,
                    drain,
                    management_port,
                    table,
                    engine,
                    routing,
                    uplinks,
                }
            },
        )
}

fn link() -> impl Strategy<Value = Said<Link>> {
    let by = vec![LinkBy::Ethernet, LinkBy::Gre, LinkBy::EtherIp, LinkBy::WireGuard];
    let engine = prop::sample::select(vec![Engine::Auto, Engine::Kernel, Engine::Userspace]);
    let link = (
        pair(name()),
        said(prop::sample::select(by)),
        prop::option::of(pair(name())),
        prop::option::of(pair(port())),
        maybe(1u8..=32),
        maybe(any::<bool>()),
        maybe(engine),
        maybe(any::<bool>()),
        bfd(Just(None)),
    )
        .prop_map(|(between, by, over, ports, cost, cleartext, engine, keepalive, bfd)| Link {
            between,
            by,
            over,
            ports,
            cost,
            cleartext,
            engine,
            keepalive,
            bfd,
        });
    said(link)
}

fn terms() -> impl Strategy<Value = TunnelTerms> {
    let clamp = prop::sample::select(vec![TunnelClamp::Auto, TunnelClamp::Off]);
    (maybe(any::<u32>()), maybe((0u32..1 << 24).prop_map(Vni)), maybe(any::<bool>()), maybe(clamp))
        .prop_map(|(key, vni, accept_reversed, clamp)| TunnelTerms { key, vni, accept_reversed, clamp })
}

/// A table has the keys of its kind of tunnel only.
fn terms_of(by: TunnelBy, terms: TunnelTerms) -> TunnelTerms {
    TunnelTerms {
        key: terms.key.filter(|_| by == TunnelBy::Gretap),
        vni: (by == TunnelBy::Geneve).then(|| terms.vni.unwrap_or(Said::new(Vni(7), 0..0))),
        accept_reversed: terms.accept_reversed.filter(|_| by == TunnelBy::EtherIp),
        clamp: terms.clamp,
    }
}

fn peer() -> impl Strategy<Value = Peer> {
    let by = vec![PeerBy::EtherIp, PeerBy::Gretap, PeerBy::Geneve, PeerBy::Ethernet];
    let at = (
        said(name()),
        said(prop::sample::select(by)),
        maybe(name()),
        maybe(port()),
        maybe(1280u16..=9000),
        (maybe(address().prop_map(|one| one.addr())), terms()),
        list(address()),
        list(address().prop_map(|one| one.addr())),
        maybe(asked()),
    )
        .prop_map(|(router, by, over, port, mtu, (remote, terms), addresses, neighbours, keepalive)| {
            PeerAt { router, by, over, port, mtu, remote, terms, addresses, neighbours, keepalive }
        });
    (
        said(name()),
        said((1u32..=4_294_967_294).prop_map(Asn)),
        said(prop::sample::select(vec![Role::Provider, Role::Peer, Role::Customer, Role::RouteServer])),
        (
            prop::option::of(list(prefix())),
            maybe(
                prop::sample::select(vec!["AS-FOO", "AS64500:AS-FOO", "RIPE::AS-X_1"])
                    .prop_map(|name| AsSet(name.into())),
            ),
            maybe(name().prop_map(|name| format!("lists/{name}"))),
            [0, 1].map(|_| prop::option::of(list((1u32..=4_294_967_294).prop_map(Asn)))),
            [0, 1].map(|_| prop::option::of(list(prefix()))),
        ),
        maybe(0u8..=10),
        maybe(1u32..=10_000_000),
        (maybe(1u8..=100), maybe(1u16..=10_080), maybe(any::<bool>()), maybe(2u8..=64)),
        (maybe(any::<bool>()), maybe(any::<bool>()), maybe(any::<bool>()), bfd(maybe(any::<bool>()))),
        (
            maybe(name().prop_map(|name| Secret(KeyName(name)))),
            maybe(prop::sample::select(vec![Invalid::Drop, Invalid::Last, Invalid::Take])),
        ),
        prop::collection::vec(said(at), 1..3),
    )
        .prop_map(
            |(
                name,
                asn,
                role,
                (prefixes, as_set, list, [origins, never_via], [announce, withhold]),
                prepend,
                limit,
                (limit_warn, limit_rest, add_paths_receive, add_paths_send),
                (strict_role, gtsm, drain, bfd),
                (password, invalid),
                at,
            )| {
                Peer {
                    name,
                    asn,
                    role,
                    prefixes,
                    as_set,
                    list,
                    origins,
                    never_via,
                    announce,
                    withhold,
                    prepend,
                    limit,
                    limit_warn,
                    limit_rest,
                    add_paths_receive,
                    add_paths_send,
                    strict_role,
                    gtsm,
                    bfd,
                    password,
                    drain,
                    invalid,
                    at,
                }
            },
        )
}

fn bfd(multihop: impl Strategy<Value = Option<Said<bool>>>) -> impl Strategy<Value = BfdSaid> {
    (maybe(any::<bool>()), maybe(10u16..=10_000), maybe(1u8..=50), multihop)
        .prop_map(|(on, interval, multiplier, multihop)| BfdSaid { on, interval, multiplier, multihop })
}

fn asked() -> impl Strategy<Value = AskedFarEnd> {
    prop_oneof![Just(AskedFarEnd::Nobody), address().prop_map(|one| AskedFarEnd::Host(one.addr()))]
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![
        prop::sample::select(vec![Reach::Mail, Reach::Segments, Reach::Network, Reach::Outside]),
        name().prop_map(Reach::Segment),
    ]
}

fn route_target() -> impl Strategy<Value = RouteTarget> {
    prop_oneof![
        (any::<u16>(), any::<u32>()).prop_map(|(asn, number)| RouteTarget::of_two_octet_as(asn, number)),
        (65_536u32.., any::<u16>()).prop_map(|(asn, number)| RouteTarget::of_four_octet_as(asn, number)),
    ]
}

fn segment(port_ref: impl Strategy<Value = PortRef> + Clone) -> impl Strategy<Value = Segment> {
    let attached = || (maybe(words()), maybe(any::<bool>()), maybe(1u32..=1_000_000));
    let port = (said(port_ref.clone()), maybe(1u16..=4094), attached()).prop_map(
        |(at, vlan, (lan, standby, storm_limit))| SegmentPort { at, vlan, lan, standby, storm_limit },
    );
    let place = (said(name()), said(name()), said(address().prop_map(|one| one.addr())));
    let by = prop::sample::select(TunnelBy::ALL.to_vec());
    let end = (by, place, terms(), attached(), maybe(asked())).prop_map(
        |(by, (router, over, remote), terms, (lan, standby, storm_limit), keepalive)| TunnelEnd {
            by,
            router,
            over,
            remote,
            terms: terms_of(by, terms),
            lan,
            standby,
            storm_limit,
            keepalive,
        },
    );
    let range = (any::<u32>(), any::<u32>())
        .prop_map(|(first, last)| AddressRange { first: first.into(), last: last.into() });
    let vtep = prop::sample::select(vec![Vtep::Ipv4, Vtep::Ipv6]);
    let hosts = (
        prop::option::of(list(address())),
        prop::option::of(list(address().prop_map(|one| one.addr()))),
        maybe(range),
        prop::option::of(list(reach())),
        prop::option::of(list(reach())),
    );
    (
        said(name()),
        said((1u32..1 << 24).prop_map(Vni)),
        said(prop::collection::vec(said(port_ref), 0..4)),
        hosts,
        maybe(vtep),
        prop::option::of(list(route_target())),
        maybe(1u16..),
        prop::collection::vec(said(port), 0..3),
        prop::collection::vec(said(end), 0..3),
    )
        .prop_map(|(name, vni, ports, hosts, vtep, route_target, index, port, mut tunnels)| {
            let order = |end: &Said<TunnelEnd>| TunnelBy::ALL.iter().position(|by| *by == end.by);
            tunnels.sort_by_key(order);
            let (gateway, dns, dhcp, deny, allow) = hosts;
            Segment {
                name,
                vni,
                ports,
                gateway,
                dns,
                dhcp,
                deny,
                allow,
                vtep,
                route_target,
                index,
                port,
                tunnels,
            }
        })
}

fn declaration() -> impl Strategy<Value = Declaration> {
    let network = (
        said(words()),
        said((1u32..=4_294_967_294).prop_map(Asn)),
        list(prefix()),
        list(prefix()),
        said(prefix()),
        maybe(1280u16..=9000),
        prop::option::of(said(prop::collection::vec(said(name()), 0..3))),
        bfd(Just(None)),
    )
        .prop_map(|(name, asn, prefixes, loopbacks, management, mtu, originate, bfd)| Network {
            name,
            asn,
            prefixes,
            loopbacks,
            management,
            mtu,
            originate,
            bfd,
        });
    let site = (said(name()), said(1u16..), maybe(words()), maybe(1280u16..=9000))
        .prop_map(|(name, id, label, switch_mtu)| Site { name, id, label, switch_mtu });
    let device = (said(name()), said(1u16..), said(name()), maybe(words()))
        .prop_map(|(name, id, site, kind)| Device { name, id, site, kind });
    let person = (said(name()), said(1u16..)).prop_map(|(name, id)| Person { name, id });
    let port_ref = (name(), port()).prop_map(|(router, port)| PortRef { router, port });
    let segment = segment(port_ref);
    let cache = (address(), any::<u16>()).prop_map(|(one, port)| SocketAddr::new(one.addr(), port));
    let plane = prop::sample::select(vec![CachePlane::Management, CachePlane::Fabric]);
    let rpki = (list(cache), maybe(plane), maybe(600u32..=172_800), maybe(words()))
        .prop_map(|(caches, plane, expire, slurm)| Rpki { caches, plane, expire, slurm });
    let collector = (address(), any::<u16>()).prop_map(|(one, port)| SocketAddr::new(one.addr(), port));
    let plane = prop::sample::select(vec![CachePlane::Management, CachePlane::Fabric]);
    let bmp = (list(collector), maybe(plane)).prop_map(|(collectors, plane)| Bmp { collectors, plane });
    (
        said(network),
        maybe(rpki),
        maybe(bmp),
        by_name(site, |one| one.name.to_string()),
        by_name(device, |one| one.name.to_string()),
        by_name(person, |one| one.name.to_string()),
        by_name(router(), |one| one.name.to_string()),
        prop::collection::vec(link(), 0..4),
        by_name(segment, |one| one.name.to_string()),
        by_name(peer(), |one| one.name.to_string()),
    )
        .prop_map(|(network, rpki, bmp, sites, devices, persons, routers, links, segments, peers)| {
            Declaration {
                network,
                rpki,
                bmp,
                sites,
                devices,
                persons,
                routers,
                links,
                segments,
                peers,
                closing: Vec::new(),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_declaration_that_is_printed_reads_to_the_same(declaration in declaration()) {
        let printed = print(&declaration);
        let (again, problems) = parse(&printed);
        prop_assert_eq!(problems, [], "{}", printed);
        let again = again.unwrap();
        prop_assert_eq!(&again, &declaration);
        prop_assert_eq!(print(&again), printed);
    }
}

#[test]
fn a_generated_network_is_fine() {
    for (routers, links) in [(1, 0), (2, 1), (10, 45), (40, 100)] {
        let text = generate::network(routers, links, 1);
        assert_eq!(errors(&text), [""; 0], "{routers} {links}");
        assert!(parse(&text).0.unwrap().links.len() <= links.max(routers));
    }
}

/// No timing of a machine's speed: were anything quadratic, this would take minutes.
#[test]
fn large_and_hostile_files_take_no_long_time() {
    let began = Instant::now();
    assert_eq!(errors(&generate::network(1000, 3000, 1)), [""; 0]);

    let network = "[network]\nname = \"n\"\nasn = 63806\nmanagement = \"fd63:806::/48\"\n";
    let many = |of: &dyn Fn(usize) -> String| (0..20_000).map(of).collect::<String>();
    let prefix = |n: usize| format!("\"2402:{:x}:{:x}::/48\",", n >> 8, n & 255);
    for text in [
        // Names that dangle, each near to thousands of others.
        format!(
            "{network}prefixes = []\nloopbacks = []\noriginate = [{}]\n{}",
            many(&|n| format!("\"x{n}\",")),
            many(&|n| format!("[router.r{n}]\nid = {}\n", n % 7000 + 1))
        ),
        // Pools and prefixes.
        format!("{network}prefixes = [{0}]\nloopbacks = [{0}]\n", many(&prefix)),
        // Ports, addresses and segments of one router.
        format!(
            "{network}[router.a]\nid = 1\n{}",
            many(&|n| {
                format!(
                    "[router.a.uplink.u{n}]\nkind = \"cloud\"\nport = \"e\"\naddress = \"2001:db8::{n:x}/64\"\nfor = [\"fabric\"]\n"
                )
            })
        ),
        many(&|_| "[[link]]\nbetween = [\"a\", \"b\"]\nby = \"etherip\"\n".into()),
        many(&|n| {
            format!(
                "[[peer.p.at]]\nrouter = \"a\"\naddresses = \"2001:db8::{n:x}/64\"\nneighbours = \"2001:db8::{n:x}\"\n"
            )
        }),
        "[".repeat(100_000),
        "a.".repeat(50_000),
        "x = [".repeat(20_000),
        "\"\n".repeat(50_000),
        "#\n".repeat(200_000),
        format!("{network}# x\n").repeat(1000),
    ] {
        let problems = told(&text);
        render(&problems, &text, "n", Lang::Ja, false);
        parse(&text);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
