//! Each refusal and each warning, as people see it, in both languages.
//!
//! A case is the file `refusals/base.toml`, in which nothing is wrong, with some of its text
//! replaced; beside it stand the reasons that must be told, all of them and no others.

use std::collections::BTreeSet;
use tsumugi_plan::explain::{Lang, render};
use tsumugi_plan::{Lists, Problem, check_with};

const BASE: &str = include_str!("refusals/base.toml");

/// The list files beside it.
const LISTS: [(&str, &str); 3] = [
    ("lists/v4", "192.0.2.0/24\n"),
    ("lists/wrong", "192.0.2.0/24\n192.0.2.0/33\nfoo\n"),
    ("lists/empty", "# none\n"),
];

struct Case {
    name: &'static str,
    edits: Vec<(&'static str, &'static str)>,
    reasons: Vec<&'static str>,
}

/// An edit replaces the first occurrence; an empty text is the end of the file, a star all of it.
macro_rules! cases {
    ($($name:literal: [$($from:expr => $to:expr),* $(,)?] tells [$($reason:literal),* $(,)?];)*) => {
        vec![$(Case { name: $name, edits: vec![$(($from, $to)),*], reasons: vec![$($reason),*] }),*]
    };
}

macro_rules! gateway {
    () => {
        "gateway = [\"43.228.174.1/28\", \"2402:3160:1::1/64\"]\n"
    };
}

/// A port of a segment that is an EtherIP tunnel.
macro_rules! end {
    ($router:literal, $over:literal, $remote:literal) => {
        concat!(
            "etherip = [{ router = \"",
            $router,
            "\", over = \"",
            $over,
            "\", remote = \"",
            $remote,
            "\" }]"
        )
    };
}

fn problems(text: &str) -> Vec<Problem> {
    let mut lists = Lists::default();
    for (path, text) in LISTS {
        lists.add(path, Ok(text));
    }
    let long: String = (0..300).map(|n| format!("45.{}.{}.0/24\n", n / 256, n % 256)).collect();
    lists.add("lists/long", Ok(&(long + "2a00:45::/32\n")));
    match check_with(text, &lists) {
        Ok(checked) => checked.warnings,
        Err(problems) => problems,
    }
}

fn edited(case: &Case) -> String {
    let mut text = BASE.to_string();
    for (from, to) in &case.edits {
        match *from {
            "" => text.push_str(to),
            "*" => text = to.to_string(),
            _ => {
                assert!(text.contains(from), "{}: no {from:?} in the file", case.name);
                text = text.replacen(from, to, 1);
            }
        }
    }
    text
}

fn writing() -> Vec<Case> {
    cases! {
        "unknown-key-near": ["originate =" => "orignate ="] tells ["unknown-key"];
        "unknown-key-far": ["mtu = 2400" => "colour = \"red\""] tells ["unknown-key"];
        "unknown-key-required": ["kind = \"datacenter\"" => "knid = \"datacenter\""] tells ["unknown-key"];
        "unknown-table": ["[segment.members]" => "[segments.members]"] tells ["unknown-key"];
        "missing-key": ["site = \"s1\"\nmeeting" => "meeting"] tells ["missing-key"];
        "missing-key-of-link": ["by = \"gre\"\n" => ""] tells ["missing-key"];
        "missing-at": ["\n[[peer.guest.at]]\nrouter = \"b\"\nby = \"ethernet\"\nport = \"eth4\"\naddresses = \"203.0.113.9/30\"\nneighbours = \"203.0.113.10\"\n" => ""]
            tells ["missing-key"];
        "wrong-type": ["id = 1" => "id = \"1\""] tells ["wrong-type"];
        "wrong-type-table": ["[device.ix]\nid = 2\nsite = \"s1\"" => "[device]\nix = 2"] tells ["wrong-type"];
        "unknown-word": ["kind = \"ngn\"" => "kind = \"nng\""] tells ["unknown-word"];
        "unknown-client": ["address = \"auto\"" => "address = \"atuo\""] tells ["unknown-word"];
        "tunnel-of-others-unknown": ["by = \"etherip\"" => "by = \"genev\""] tells ["unknown-word"];
        "vni-out-of-range": ["by = \"etherip\"" => "by = \"geneve\"\nvni = 16777216"] tells ["out-of-range"];
        "clamp-unknown": ["by = \"etherip\"" => "by = \"etherip\"\nclamp = \"1400\""] tells ["unknown-word"];
        "out-of-range": ["cost = 5" => "cost = 500"] tells ["out-of-range"];
        "bad-name": ["[site.s2]" => "[site.S_2]", "site = \"s2\"" => "site = \"S_2\""] tells ["bad-name"];
        "bad-text": ["name = \"One\"" => "name = \"\""] tells ["bad-text"];
        "bad-port": ["port = \"wwan0\"" => "port = \"a very long port name\""] tells ["bad-port"];
        "bad-port-ref": ["\"c:eth5\"" => "\"c-eth5\""] tells ["bad-port-ref"];
        "bad-secret": ["asn = 64512\n" => "asn = 64512\npassword = \"hunter2\"\n"] tells ["bad-secret"];
        "bad-prefix": ["\"43.228.174.0/24\"" => "\"43.228.174/24\""] tells ["bad-prefix"];
        "bad-endpoint": ["[site.s1]" => "[rpki]\ncaches = [\"rtr.example.net:323\"]\n\n[site.s1]"] tells ["bad-endpoint"];
        "bad-address": ["\"198.51.100.1\"" => "\"198.51.100.256\""] tells ["bad-address"];
        "length-unasked": ["gateway = \"192.0.2.1\"" => "gateway = \"192.0.2.1/24\""] tells ["length-unasked"];
        "length-missing": ["\"192.0.2.3/24\"" => "\"192.0.2.3\""] tells ["length-missing"];
        "host-bits": ["\"43.228.174.0/24\"" => "\"43.228.174.5/24\""] tells ["host-bits"];
        "not-a-pair": ["between = [\"a\", \"b\"]" => "between = [\"a\", \"b\", \"c\"]"] tells ["not-a-pair"];
        "empty-list": ["prefixes = [\"192.31.196.0/24\"]" => "prefixes = []"] tells ["empty-list"];
        "repeated": ["originate = [\"a\", \"b\"]" => "originate = [\"a\", \"b\", \"a\"]"] tells ["repeated"];
    }
}

fn not_toml() -> Vec<Case> {
    cases! {
        "syntax-twice": ["site = \"s1\"" => "site = \"s1\"\nid = 7"] tells ["syntax"];
        "syntax-table-twice": ["" => "\n[router.c]\ntable = \"full\"\n"] tells ["syntax"];
        "syntax-unclosed-list": ["originate = [\"a\", \"b\"]" => "originate = [\"a\", \"b\""] tells ["syntax"];
        "syntax-unclosed-table": ["[router.c]" => "[router.c"] tells ["syntax"];
        "syntax-unclosed-text": ["name = \"test\"" => "name = \"test"] tells ["syntax"];
        "syntax-unquoted": ["site = \"s2\"" => "site = s2"] tells ["syntax"];
        "syntax-unquoted-prefix": ["management = \"fd63:806::/48\"" => "management = fd63:806::/48"] tells ["syntax"];
        "syntax-missing-value": ["asn = 150369" => "asn ="] tells ["syntax"];
        "syntax-missing-equals": ["asn = 150369" => "asn 150369"] tells ["syntax"];
        "syntax-missing-comma": ["[\"198.51.100.1\", " => "[\"198.51.100.1\" "] tells ["syntax"];
        "syntax-other": ["mtu = 2400" => "mtu = 02400"] tells ["syntax"];
        "syntax-and-values": ["asn = 150369" => "asn =", "cost = 5" => "cost = 500"] tells ["out-of-range", "syntax"];
    }
}

fn names_and_numbers() -> Vec<Case> {
    cases! {
        "dangling-router": ["between = [\"b\", \"c\"]" => "between = [\"b\", \"cc\"]"] tells ["dangling"];
        "dangling-originator": ["originate = [\"a\", \"b\"]" => "originate = [\"tokyo\"]"] tells ["dangling"];
        "dangling-site": ["site = \"s2\"" => "site = \"s22\""] tells ["dangling"];
        "dangling-uplink": ["over = [\"inet\", \"home\"]" => "over = [\"intet\", \"home\"]"] tells ["dangling"];
        "dangling-segment": ["\"c:eth6\"" => "\"nobody:eth6\""] tells ["dangling"];
        "dangling-peer": ["router = \"b\"" => "router = \"nobody\""] tells ["dangling"];
        "duplicate-router": ["id = 3" => "id = 1"] tells ["duplicate-id"];
        "duplicate-site": ["[site.s2]\nid = 2" => "[site.s2]\nid = 1"] tells ["duplicate-id"];
        "duplicate-device": ["[device.ix]\nid = 2" => "[device.ix]\nid = 1"] tells ["duplicate-id"];
        "duplicate-person": ["[person.ren]\nid = 2" => "[person.ren]\nid = 1"] tells ["duplicate-id"];
        "duplicate-vni": ["" => "\n[segment.more]\nvni = 100\nports = [\"b:eth5\"]\n"] tells ["duplicate-vni"];
        "duplicate-asn": ["id = 3" => "id = 3\nasn = 4200000001"] tells ["duplicate-asn"];
        "duplicate-name": ["[person.hana]" => "[person.a]"] tells ["duplicate-name"];
    }
}

fn networks() -> Vec<Case> {
    cases! {
        "no-routers": ["*" => "[network]\nname = \"empty\"\nasn = 63806\nprefixes = [\"43.228.174.0/24\"]\nloopbacks = [\"43.228.174.0/26\"]\nmanagement = \"fd63:806::/48\"\n"]
            tells ["no-routers", "originate-nothing"];
        "public-asn-private": ["asn = 63806" => "asn = 65001"] tells ["public-asn-private"];
        "public-asn-reserved": ["asn = 63806" => "asn = 64500"] tells ["public-asn-reserved"];
        "inside-asn-not-private": ["id = 3" => "id = 3\nasn = 13335"] tells ["inside-asn-not-private"];
        "prefix-too-long": ["\"43.228.174.0/24\"" => "\"43.228.174.0/24\", \"43.228.175.0/25\""] tells ["prefix-too-long"];
        "prefix-too-long-v6": ["\"2402:3160::/32\"" => "\"2402:3160::/32\", \"2402:3161::/64\""] tells ["prefix-too-long"];
        "prefix-too-short": ["\"43.228.174.0/24\"" => "\"43.228.174.0/24\", \"0.0.0.0/0\""] tells ["prefix-too-short"];
        "prefix-not-global": ["\"43.228.174.0/24\"" => "\"43.228.174.0/24\", \"10.0.0.0/8\""] tells ["prefix-not-global"];
        "management-v4": ["\"fd63:806::/48\"" => "\"10.0.0.0/8\""] tells ["management-not-slash48"];
        "management-not-slash48": ["\"fd63:806::/48\"" => "\"fd63:806::/64\""] tells ["management-not-slash48"];
        "management-not-unicast": ["\"fd63:806::/48\"" => "\"fe80::/48\""] tells ["management-not-unicast"];
        "management-in-prefixes": ["\"fd63:806::/48\"" => "\"2402:3160:a::/48\""] tells ["management-in-prefixes"];
        "pool-outside-prefixes": ["\"43.228.174.128/26\"" => "\"43.228.175.128/26\""] tells ["pool-outside-prefixes"];
        "pools-overlap": ["\"43.228.174.128/26\"" => "\"43.228.174.128/26\", \"43.228.174.160/27\""] tells ["pools-overlap"];
        "two-pools-of-family": ["\"43.228.174.128/26\"" => "\"43.228.174.128/26\", \"43.228.174.64/26\""]
            tells ["two-pools-of-family"];
        "id-beyond-pool": ["id = 3" => "id = 64"] tells ["id-beyond-pool"];
        "originate-nothing": ["originate = [\"a\", \"b\"]" => "originate = []"] tells ["originate-nothing"];
        "originate-unsaid": ["originate = [\"a\", \"b\"]\n" => ""] tells ["originate-nothing"];
        "isolated": ["between = [\"a\", \"c\"]\nby = \"ethernet\"\nports = [\"eth3\", \"eth3\"]" => "between = [\"a\", \"b\"]\nby = \"ethernet\"\nports = [\"eth3\", \"eth3\"]",
            "between = [\"b\", \"c\"]\nby = \"wireguard\"\nover = [\"inet\", \"home\"]" => "between = [\"b\", \"a\"]\nby = \"wireguard\"\nover = [\"inet\", \"inet\"]"] tells ["isolated"];
    }
}

/// The base has no caches: they are put before its first site.
fn validation() -> Vec<Case> {
    macro_rules! rpki {
        ($said:literal) => {
            concat!("[rpki]\n", $said, "\n\n[site.s1]")
        };
    }
    cases! {
        "cache-unusable": ["[site.s1]" => rpki!("caches = [\"127.0.0.1:323\"]")] tells ["cache-unusable"];
        "cache-port-zero": ["[site.s1]" => rpki!("caches = [\"[2001:db8::1]:0\"]")] tells ["cache-unusable"];
        "cache-in-fabric": ["[site.s1]" => rpki!("caches = [\"43.228.174.20:323\"]")] tells ["cache-in-fabric"];
        "cache-in-management": ["[site.s1]" => rpki!("caches = [\"[fd63:806::5]:323\"]\nplane = \"fabric\"")]
            tells ["cache-in-management"];
        "cache-twice": ["[site.s1]" => rpki!("caches = [\"192.0.2.77:323\", \"192.0.2.77:323\"]")] tells ["repeated"];
        "collector-unusable": ["[site.s1]" => "[bmp]\ncollectors = [\"[fe80::1]:11019\"]\n\n[site.s1]"] tells ["collector-unusable"];
        "collector-in-fabric": ["[site.s1]" => "[bmp]\ncollectors = [\"43.228.174.20:11019\"]\n\n[site.s1]"]
            tells ["collector-in-fabric"];
        "collector-in-management": ["[site.s1]" => "[bmp]\ncollectors = [\"[fd63:806::5]:11019\"]\nplane = \"fabric\"\n\n[site.s1]"]
            tells ["collector-in-management"];
        "cache-expire": ["[site.s1]" => rpki!("caches = [\"192.0.2.77:323\"]\nexpire = 60")] tells ["out-of-range"];
        "bfd-pace-where-it-is-off": ["role = \"provider\"" => "role = \"provider\"\nbfd-interval = 100\nbfd-multihop = true",
            "between = [\"b\", \"c\"]" => "between = [\"b\", \"c\"]\nbfd = false\nbfd-multiplier = 5"] tells ["without-bfd"];
        "bfd-multihop-with-gtsm": ["role = \"provider\"" => "role = \"provider\"\ngtsm = true\nbfd = true\nbfd-multihop = true"]
            tells ["multihop-with-gtsm"];
        "bfd-interval-out-of-range": ["mtu = 2400" => "mtu = 2400\nbfd-interval = 5"] tells ["out-of-range"];
        "frr-carries-segment": ["[router.c]\n" => "[router.c]\nrouting = \"frr\"\n"] tells ["frr-carries-segment"];
        "frr-passes-segment": ["[router.a]\n" => "[router.a]\nrouting = \"frr\"\n",
            "\"c:eth6\"" => "\"c:eth6\", \"b:eth6\""] tells ["frr-passes-segment"];
        "frr-validates-nothing": ["[router.a]\n" => "[router.a]\nrouting = \"frr\"\n",
            "[site.s1]" => rpki!("caches = [\"192.0.2.77:323\"]")] tells ["frr-validates-nothing"];
        "frr-tells-no-collector": ["[router.a]\n" => "[router.a]\nrouting = \"frr\"\n",
            "[site.s1]" => "[bmp]\ncollectors = [\"192.0.2.77:11019\"]\n\n[site.s1]"] tells ["frr-tells-no-collector"];
        "frr-tells-one-path": ["[router.a]\n" => "[router.a]\nrouting = \"frr\"\n",
            "role = \"provider\"" => "role = \"provider\"\nadd-paths-send = 4"] tells ["frr-tells-one-path"];
        "frr-watches-one-hop": ["[router.a]\n" => "[router.a]\nrouting = \"frr\"\n",
            "role = \"provider\"" => "role = \"provider\"\nbfd = true\nbfd-multihop = true"] tells ["frr-watches-one-hop"];
        "frr-lists-too-much": ["[router.a]\n" => "[router.a]\nrouting = \"frr\"\n",
            "role = \"provider\"" => "role = \"provider\"\nlist = \"lists/long\""] tells ["frr-lists-too-much"];
        "routing-unknown": ["[router.a]\n" => "[router.a]\nrouting = \"bird\"\n"] tells ["unknown-word"];
        "invalid-unknown": ["role = \"provider\"" => "role = \"provider\"\ninvalid = \"last\""] tells ["invalid-unknown"];
    }
}

fn lines() -> Vec<Case> {
    cases! {
        "region-missing": ["region = \"east\"\n" => ""] tells ["region-missing"];
        "region-out-of-place": ["kind = \"datacenter\"" => "kind = \"datacenter\"\nregion = \"east\""] tells ["region-out-of-place"];
        "family-not-on-line": ["address = \"2001:db8:101::1/64\"" => "address = [\"2001:db8:101::1/64\", \"198.51.100.18/29\"]",
            "gateway = \"2001:db8:101::ff\"" => "gateway = [\"2001:db8:101::ff\", \"198.51.100.17\"]"] tells ["family-not-on-line"];
        "client-not-on-line": ["address = \"auto\"" => "address = \"pppoe\""] tells ["client-not-on-line"];
        "address-is-network": ["\"198.51.100.2/29\"" => "\"198.51.100.0/29\""] tells ["address-is-network"];
        "address-is-broadcast": ["\"198.51.100.2/29\"" => "\"198.51.100.7/29\""] tells ["address-is-broadcast"];
        "address-unusable": ["\"198.51.100.2/29\"" => "\"127.0.0.1/8\""] tells ["address-unusable", "gateway-not-on-line"];
        "family-twice": ["\"198.51.100.2/29\"" => "\"198.51.100.2/29\", \"198.51.100.3/29\""] tells ["family-twice"];
        "gateways-twice": ["\"198.51.100.1\"" => "\"198.51.100.1\", \"198.51.100.3\""] tells ["family-twice"];
        "gateway-not-on-line": ["\"198.51.100.1\"" => "\"198.51.100.201\""] tells ["gateway-not-on-line"];
        "gateway-is-address": ["\"198.51.100.1\"" => "\"198.51.100.2\""] tells ["gateway-is-address"];
        "gateway-without-address": ["address = \"auto\"" => "address = \"auto\"\ngateway = \"2001:db8::1\""] tells ["gateway-without-address"];
        "no-gateway": ["gateway = \"2001:db8:101::ff\"\n" => ""] tells ["no-gateway"];
        "path-mtu-below-ipv6": ["kind = \"ftth-ipoe\"" => "kind = \"ftth-ipoe\"\npath-mtu = 1279"]
            tells ["path-mtu-below-ipv6"];
        "address-inside": ["\"198.51.100.2/29\"" => "\"43.228.174.250/29\"", "\"198.51.100.1\"" => "\"43.228.174.249\""]
            tells ["address-inside"];
        "address-inside-management": ["\"2001:db8:1::1/64\"" => "\"fd63:806:0:9::1/64\"", "\"2001:db8:1::ff\"" => "\"fd63:806:0:9::ff\""]
            tells ["address-inside"];
        "address-twice": ["\"198.51.100.10/29\"" => "\"198.51.100.2/29\"", "\"198.51.100.9\"" => "\"198.51.100.1\""]
            tells ["address-twice"];
        "port-twice": ["port = \"eth2\"" => "port = \"eth1\""] tells ["port-twice"];
        "port-twice-link": ["ports = [\"eth3\", \"eth3\"]" => "ports = [\"eth0\", \"eth3\"]"] tells ["port-twice"];
        "port-twice-segment": ["\"c:eth6\"" => "\"c:eth5\""] tells ["port-twice"];
        "port-twice-peer": ["port = \"eth4\"" => "port = \"eth2\""] tells ["port-twice"];
        "port-reserved": ["port = \"wwan0\"" => "port = \"mgmt\""] tells ["port-reserved"];
        "management-needs-udp": ["address = \"dhcp\"\n" => "address = \"dhcp\"\npasses = [\"fragments\"]\n"] tells ["management-needs-udp"];
        "fragments-uncertain": ["kind = \"cloud\"" => "kind = \"azure\""] tells ["fragments-uncertain"];
    }
}

fn links() -> Vec<Case> {
    cases! {
        "to-itself": ["between = [\"a\", \"c\"]" => "between = [\"a\", \"a\"]"] tells ["to-itself"];
        "link-key-missing": ["ports = [\"eth3\", \"eth3\"]\n" => ""] tells ["key-missing"];
        "link-key-out-of-place": ["over = [\"inet\", \"home\"]" => "over = [\"inet\", \"home\"]\ncleartext = true"] tells ["key-out-of-place"];
        "link-ports-out-of-place": ["over = [\"inet\", \"home\"]" => "ports = [\"eth7\", \"eth7\"]"] tells ["key-missing", "key-out-of-place"];
        "never-meet": ["over = [\"ngn\", \"ngn\"]" => "over = [\"ngn\", \"inet\"]"] tells ["never-meet"];
        "never-meet-regions": ["region = \"east\"" => "region = \"west\""] tells ["never-meet"];
        "nobody-can-call": ["kind = \"cloud\"" => "kind = \"map-e\"", "[\"198.51.100.10/29\", \"2001:db8:2::1/64\"]" => "\"198.51.100.10/29\"",
            "[\"198.51.100.9\", \"2001:db8:2::ff\"]" => "\"198.51.100.9\"", "meeting = true\n\n[router.b.uplink" => "\n[router.b.uplink",
            "over = [\"inet\", \"home\"]" => "over = [\"inet\", \"old\"]"] tells ["no-meeting-point", "nobody-can-call"];
        "not-passed": ["kind = \"cloud\"" => "kind = \"azure\"", "over = [\"ngn\", \"ngn\"]" => "over = [\"inet\", \"inet\"]\ncleartext = true"]
            tells ["fragments-uncertain", "not-passed"];
        "not-passed-stated": ["address = \"auto\"" => "address = \"auto\"\npasses = [\"udp\"]"] tells ["not-passed"];
        "not-for-fabric": ["over = [\"ngn\", \"ngn\"]" => "over = [\"ngn\", \"ngn\"]", "for = [\"fabric\"]" => "for = [\"management\"]"]
            tells ["not-for-fabric"];
        "clear-text": ["over = [\"ngn\", \"ngn\"]" => "over = [\"inet\", \"inet\"]"] tells ["clear-text"];
        "needs-stated-address": ["by = \"wireguard\"" => "by = \"gre\"\ncleartext = true"] tells ["needs-stated-address"];
        "needs-public-address": ["\"192.0.2.3/24\"" => "\"192.168.0.3/24\"", "\"192.0.2.1\"" => "\"192.168.0.1\"",
            "by = \"wireguard\"\nover = [\"inet\", \"home\"]" => "by = \"gre\"\ncleartext = true\nover = [\"inet\", \"old\"]"] tells ["needs-stated-address"];
        "no-common-family": ["[\"198.51.100.10/29\", \"2001:db8:2::1/64\"]" => "\"198.51.100.10/29\"", "[\"198.51.100.9\", \"2001:db8:2::ff\"]" => "\"198.51.100.9\""]
            tells ["no-common-family"];
        "no-address-to-call": ["[\"198.51.100.10/29\", \"2001:db8:2::1/64\"]" => "\"auto\"", "gateway = [\"198.51.100.9\", \"2001:db8:2::ff\"]\n" => "",
            "meeting = true\n\n[router.b.uplink" => "\n[router.b.uplink"]
            tells ["no-address-to-call", "no-meeting-point"];
        "kernel-cannot": ["cost = 5" => "cost = 5\nengine = \"kernel\""] tells ["kernel-cannot"];
        "tunnel-twice": ["by = \"gre\"\nover = [\"ngn\", \"ngn\"]\ncost = 5" => "by = \"etherip\"\nover = [\"ngn\", \"ngn\"]\n\n[[link]]\nbetween = [\"b\", \"a\"]\nby = \"etherip\"\nover = [\"ngn\", \"ngn\"]"]
            tells ["tunnel-twice"];
        "too-many-parallel": ["" => "\n[[link]]\nbetween = [\"b\", \"c\"]\nby = \"wireguard\"\nover = [\"inet\", \"home\"]\n[[link]]\nbetween = [\"b\", \"c\"]\nby = \"wireguard\"\nover = [\"inet\", \"home\"]\n[[link]]\nbetween = [\"b\", \"c\"]\nby = \"wireguard\"\nover = [\"inet\", \"home\"]\n[[link]]\nbetween = [\"c\", \"b\"]\nby = \"wireguard\"\nover = [\"old\", \"inet\"]\n"]
            tells ["too-many-parallel"];
        "switch-mtu-too-small": ["switch-mtu = 2400" => "switch-mtu = 2000"] tells ["switch-mtu-too-small"];
    }
}

fn outside() -> Vec<Case> {
    cases! {
        "gateway-outside-prefixes": ["\"43.228.174.1/28\"" => "\"192.168.0.1/24\""] tells ["gateway-outside-prefixes"];
        "gateway-in-pool": ["\"43.228.174.1/28\"" => "\"43.228.174.129/28\""] tells ["gateway-in-pool"];
        "gateways-overlap": ["" => "\n[segment.more]\nvni = 101\nports = [\"b:eth5\"]\ngateway = \"43.228.174.9/29\"\n"] tells ["gateways-overlap"];
        "peer-is-us": ["asn = 150369" => "asn = 63806"] tells ["asn-is-ours"];
        "route-server-private": ["asn = 150369\nrole = \"provider\"" => "asn = 65001\nrole = \"route-server\""] tells ["asn-private"];
        "as-set-bad": ["asn = 150369\n" => "asn = 150369\nas-set = \"-h rr.example\"\n"] tells ["bad-as-set"];
        "list-missing": ["asn = 150369\n" => "asn = 150369\nas-set = \"AS-UP\"\n"] tells ["list"];
        "list-wrong": ["asn = 150369\n" => "asn = 150369\nlist = \"lists/wrong\"\n"] tells ["list"];
        "list-empty": ["asn = 150369\n" => "asn = 150369\nlist = \"lists/empty\"\n"] tells ["list"];
        "list-without-family": ["asn = 150369\n" => "asn = 150369\nas-set = \"AS-UP\"\nlist = \"lists/v4\"\n"] tells ["list-without-family"];
        "list-twice": ["asn = 150369\n" => "asn = 150369\nas-set = \"AS-UP\"\nlist = \"l.json\"\n", "asn = 64512\n" => "asn = 64512\nas-set = \"AS-GUEST\"\nlist = \"l.json\"\n"]
            tells ["list", "list", "list-twice"];
        "customer-unconfirmed": ["prefixes = [\"192.31.196.0/24\"]" => "as-set = \"AS-GUEST\""] tells ["customer-unconfirmed", "list"];
        "never-via-itself": ["asn = 150369\n" => "asn = 150369\nnever-via = [174, 150369]\n"] tells ["never-via-itself"];
        "never-via-repeated": ["asn = 150369\n" => "asn = 150369\nnever-via = [174, 174]\n"] tells ["repeated"];
        "withhold-host-bits": ["asn = 150369\n" => "asn = 150369\nwithhold = [\"192.0.2.1/24\"]\n"] tells ["host-bits"];
        "peer-private": ["asn = 150369" => "asn = 65001"] tells ["asn-private"];
        "peer-reserved": ["asn = 150369" => "asn = 23456"] tells ["asn-reserved"];
        "peer-is-router": ["asn = 64512" => "asn = 4200000001"] tells ["asn-is-routers"];
        "customer-without-prefixes": ["prefixes = [\"192.31.196.0/24\"]\n" => ""] tells ["customer-without-prefixes"];
        "limit-keys-without-limit": ["asn = 64512\n" => "asn = 64512\nlimit-warn = 80\nlimit-rest = 5\n"] tells ["without-limit"];
        "prefixes-out-of-place": ["role = \"provider\"" => "role = \"provider\"\nprefixes = [\"192.31.196.0/24\"]"]
            tells ["prefixes-out-of-place"];
        "customer-prefix-too-long": ["192.31.196.0/24" => "192.31.196.0/25"] tells ["prefix-too-long"];
        "customer-prefix-in-pool": ["192.31.196.0/24" => "43.228.174.128/27"] tells ["prefix-in-pool"];
        "customer-prefix-not-global": ["192.31.196.0/24" => "192.168.0.0/24"] tells ["prefix-not-global"];
        "neighbour-not-on-connection": ["\"203.0.113.1\"" => "\"203.0.113.5\""] tells ["neighbour-not-on-connection"];
        "neighbour-is-ours": ["\"203.0.113.1\"" => "\"203.0.113.2\""] tells ["neighbour-is-ours"];
        "keepalive-not-beside": ["\"2001:db8:900:1::1\"]\n" => "\"2001:db8:900:1::1\"]\nkeepalive = \"203.0.113.5\"\n"]
            tells ["keepalive-not-beside"];
        "keepalive-is-ours": ["\"2001:db8:900:1::1\"]\n" => "\"2001:db8:900:1::1\"]\nkeepalive = \"203.0.113.2\"\n"]
            tells ["keepalive-not-beside"];
        "keepalive-true": ["\"2001:db8:900:1::1\"]\n" => "\"2001:db8:900:1::1\"]\nkeepalive = true\n"] tells ["wrong-type"];
        "keepalive-of-wire": ["neighbours = \"203.0.113.10\"\n" => "neighbours = \"203.0.113.10\"\nkeepalive = false\n"]
            tells ["key-out-of-place"];
        "neighbour-twice": ["\"203.0.113.1\"" => "\"203.0.113.1\", \"203.0.113.1\""] tells ["neighbour-twice"];
        "address-without-neighbour": ["[\"203.0.113.1\", \"2001:db8:900:1::1\"]" => "\"2001:db8:900:1::1\""]
            tells ["address-without-neighbour"];
        "address-in-pool": ["\"203.0.113.9/30\"" => "\"43.228.174.129/30\"", "\"203.0.113.10\"" => "\"43.228.174.130\""] tells ["address-in-pool"];
        "connections-overlap": ["" => "\n[[peer.guest.at]]\nrouter = \"b\"\nby = \"ethernet\"\nport = \"eth5\"\naddresses = \"203.0.113.11/29\"\nneighbours = \"203.0.113.12\"\n"]
            tells ["connections-overlap"];
        "peer-address-twice": ["\"203.0.113.9/30\"" => "\"203.0.113.2/30\"", "\"203.0.113.10\"" => "\"203.0.113.1\""] tells ["address-twice"];
        "peer-key-missing": ["remote = \"2001:db8:900::1\"\n" => ""] tells ["key-missing"];
        "peer-key-out-of-place": ["port = \"eth4\"" => "port = \"eth4\"\nover = \"inet\""] tells ["key-out-of-place"];
        "peer-vni-missing": ["by = \"etherip\"" => "by = \"geneve\""] tells ["key-missing"];
        "peer-vni-out-of-place": ["by = \"etherip\"" => "by = \"etherip\"\nvni = 7"] tells ["key-out-of-place"];
        "peer-key-without-gretap": ["by = \"etherip\"" => "by = \"geneve\"\nvni = 7\nkey = 7"] tells ["key-out-of-place"];
        "peer-reversed-gre": ["by = \"etherip\"" => "by = \"gretap\"\naccept-reversed = true"] tells ["key-out-of-place"];
        "peer-clamp-ethernet": ["port = \"eth4\"" => "port = \"eth4\"\nclamp = \"off\""] tells ["key-out-of-place"];
        "peer-geneve-not-called": ["kind = \"ngn\"" => "kind = \"ngn\"\npasses = [\"udp\", \"gre\", \"fragments\"]", "by = \"etherip\"" => "by = \"geneve\"\nvni = 7",
            "over = \"inet\"\nremote" => "over = \"ngn\"\nremote"] tells ["not-passed"];
        "peer-gretap-not-passed": ["kind = \"datacenter\"" => "kind = \"datacenter\"\npasses = [\"udp\", \"fragments\", \"incoming\"]", "by = \"etherip\"" => "by = \"gretap\""]
            tells ["not-passed"];
        "peer-not-passed": ["kind = \"datacenter\"" => "kind = \"azure\""] tells ["fragments-uncertain", "not-passed"];
        "remote-family": ["[\"198.51.100.2/29\", \"2001:db8:1::1/64\"]" => "\"198.51.100.2/29\"", "[\"198.51.100.1\", \"2001:db8:1::ff\"]" => "\"198.51.100.1\""]
            tells ["remote-family"];
        "remote-inside": ["\"2001:db8:900::1\"" => "\"2402:3160:7::1\""] tells ["remote-inside"];
        "remote-is-ours": ["\"2001:db8:900::1\"" => "\"2001:db8:1::1\""] tells ["remote-is-ours"];
        "no-independent-line": ["[router.b.uplink.lte]\nkind = \"lte\"\nport = \"wwan0\"\naddress = \"dhcp\"\nfor = [\"management\"]\n" => ""]
            tells ["no-independent-line"];
        "router-unreachable": ["site = \"s1\"\nmanagement-port = \"eth0\"\n" => "site = \"s1\"\n"] tells ["router-unreachable"];
        "device-unreachable": ["site = \"s1\"\nkind = \"switch\"" => "site = \"s2\"\nkind = \"switch\""] tells ["device-unreachable"];
        "meeting-cannot-be-called": ["id = 3" => "id = 3\nmeeting = true"] tells ["meeting-cannot-be-called"];
        "no-meeting-point": ["site = \"s2\"\nmeeting = true" => "site = \"s2\""] tells ["no-meeting-point"];
        "laptop-meets-nobody": ["meeting = true" => "", "meeting = true" => "", "[person.ren]\nid = 2\n" => ""]
            tells ["laptop-meets-nobody", "no-meeting-point"];
        "too-many-packets": ["kind = \"pppoe\"" => "kind = \"pppoe\"\npath-mtu = 1200", "over = [\"inet\", \"home\"]" => "over = [\"inet\", \"old\"]"]
            tells ["too-many-packets"];
    }
}

/// The base's segment: its gateway, and its ports.
const GATEWAY: &str = gateway!();
const PORTS: &str = "ports = [\"c:eth5\", \"c:eth6\"]";

fn segments() -> Vec<Case> {
    cases! {
        "bad-address-range": [GATEWAY => concat!(gateway!(), "dhcp = \"43.228.174.2\"\n")] tells ["bad-address-range"];
        "bad-route-target": [GATEWAY => concat!(gateway!(), "route-target = \"63806\"\n")] tells ["bad-route-target"];
        "bad-reach": [GATEWAY => concat!(gateway!(), "deny = [\"segmets\"]\n")] tells ["unknown-word"];
        "vlan-out-of-range": [PORTS => "ports = [\"c:eth5\"]\nport = [{ at = \"c:eth6\", vlan = 4095 }]"] tells ["out-of-range"];
        "storm-limit-zero": [PORTS => "ports = [\"c:eth5\"]\nport = [{ at = \"c:eth6\", storm-limit = 0 }]"] tells ["out-of-range"];
        "no-ports": [PORTS => ""] tells ["no-ports"];
        "port-mixed": [PORTS => "ports = [\"c:eth5\"]\nport = [{ at = \"c:eth6\", vlan = 7 }]", "" => "\n[segment.more]\nvni = 101\nports = [\"c:eth6\"]\n"]
            tells ["port-mixed"];
        "port-twice-vlan": [PORTS => "port = [{ at = \"c:eth6\", vlan = 7 }]", "" => "\n[segment.more]\nvni = 101\nport = [{ at = \"c:eth6\", vlan = 7 }]\n"]
            tells ["port-twice"];
        "port-twice-vlan-uplink": [PORTS => "port = [{ at = \"c:eth1\", vlan = 7 }]"] tells ["port-twice"];
        "port-twice-two-segments": ["" => "\n[segment.more]\nvni = 101\nports = [\"c:eth6\"]\n"] tells ["port-twice"];
        "gateway-not-slash64": ["\"2402:3160:1::1/64\"" => "\"2402:3160:1::1/48\""] tells ["gateway-not-slash64"];
        "gateway-is-lent": ["192.31.196.0/24" => "43.228.174.0/29"] tells ["gateway-is-lent"];
        "dns-without-gateway": [GATEWAY => "dns = \"9.9.9.9\"\n"] tells ["gateway-missing"];
        "deny-without-gateway": [GATEWAY => "deny = [\"mail\"]\n"] tells ["gateway-missing"];
        "dhcp-without-gateway": [GATEWAY => "gateway = \"2402:3160:1::1/64\"\ndhcp = \"43.228.174.2-43.228.174.5\"\n"] tells ["gateway-missing"];
        "dhcp-backwards": [GATEWAY => concat!(gateway!(), "dhcp = \"43.228.174.5-43.228.174.2\"\n")] tells ["dhcp-backwards"];
        "dhcp-outside-gateway": [GATEWAY => concat!(gateway!(), "dhcp = \"43.228.174.2-43.228.174.15\"\n")] tells ["dhcp-outside-gateway"];
        "dhcp-holds-gateway": [GATEWAY => concat!(gateway!(), "dhcp = \"43.228.174.1-43.228.174.5\"\n")] tells ["dhcp-holds-gateway"];
        "dns-unusable": [GATEWAY => concat!(gateway!(), "dns = [\"9.9.9.9\", \"fe80::1\"]\n")] tells ["dns-unusable"];
        "dns-denied": [GATEWAY => concat!(gateway!(), "dns = \"9.9.9.9\"\ndeny = [\"outside\"]\n")] tells ["dns-denied"];
        "vtep-missing": [GATEWAY => concat!(gateway!(), "vtep = \"ipv4\"\n"), "\"43.228.174.128/26\", " => ""] tells ["vtep-missing"];
        "index-missing": [PORTS => "ports = [\"c:eth5\", \"b:eth6\"]", "vni = 100" => "vni = 70000"] tells ["index-missing"];
        "index-twice": ["" => "\n[segment.more]\nvni = 70000\nindex = 100\nports = [\"c:eth7\", \"b:eth7\"]\n"] tells ["index-twice"];
        "route-target-missing": ["asn = 63806" => "asn = 150063", PORTS => "ports = [\"c:eth5\", \"b:eth6\"]"] tells ["route-target-missing"];
        "route-target-shared": ["" => "\n[segment.more]\nvni = 101\nroute-target = [\"63806:101\", \"63806:100\"]\nports = [\"c:eth7\", \"b:eth7\"]\n"]
            tells ["route-target-shared"];
        "standby-without-lan": [PORTS => "ports = [\"c:eth5\"]\nport = [{ at = \"b:eth6\", standby = true }]"] tells ["standby-without-lan"];
        "two-active": [PORTS => "port = [{ at = \"c:eth5\", lan = \"room\" }, { at = \"b:eth6\", lan = \"room\" }]"] tells ["two-active"];
        "no-active": [PORTS => "port = [{ at = \"c:eth5\", lan = \"room\", standby = true }, { at = \"b:eth6\", lan = \"room\", standby = true }]"] tells ["no-active"];
        "lan-of-one": [PORTS => "port = [{ at = \"c:eth5\", lan = \"room\" }, { at = \"b:eth6\", lan = \"rom\" }]"] tells ["lan-of-one", "lan-of-one"];
        "lan-on-one-router": [PORTS => "port = [{ at = \"c:eth5\", lan = \"room\" }, { at = \"c:eth6\", lan = \"room\", standby = true }]"] tells ["lan-on-one-router"];
        "lan-twice": [PORTS => "port = [{ at = \"c:eth5\", lan = \"room\" }]", "" => "\n[segment.more]\nvni = 101\nport = [{ at = \"b:eth6\", lan = \"room\", standby = true }]\n"]
            tells ["lan-twice"];
        "reach-self": [GATEWAY => concat!(gateway!(), "deny = [\"segment.members\"]\n")] tells ["reach-self"];
        "reach-dangling": [GATEWAY => concat!(gateway!(), "deny = [\"segment.membres\"]\n")] tells ["dangling"];
        "management-allowed": [GATEWAY => concat!(gateway!(), "deny = [\"mail\"]\nallow = [\"management\"]\n")] tells ["management-allowed"];
        "management-denied": [GATEWAY => concat!(gateway!(), "deny = [\"management\"]\n")] tells ["management-denied"];
        "allow-outside": [GATEWAY => concat!(gateway!(), "deny = [\"mail\"]\nallow = [\"outside\"]\n")] tells ["allow-outside"];
        "denied-and-allowed": [GATEWAY => concat!(gateway!(), "deny = [\"mail\"]\nallow = [\"mail\"]\n")] tells ["denied-and-allowed"];
        "allows-nothing": [GATEWAY => concat!(gateway!(), "allow = [\"mail\"]\n")] tells ["allows-nothing"];
        "etherip-twice": [PORTS => end!("a", "inet", "2001:db8:900::1")] tells ["tunnel-twice"];
        "geneve-twice": [PORTS => "geneve = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", vni = 7 }, { router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", vni = 7 }]"]
            tells ["tunnel-twice"];
        "geneve-without-vni": [PORTS => "geneve = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\" }]"] tells ["missing-key"];
        "gretap-reversed": [PORTS => "gretap = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", accept-reversed = true }]"] tells ["unknown-key"];
        "keepalive-no-host": [PORTS => "etherip = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:900::9\", keepalive = \"ff02::1\" }]"]
            tells ["keepalive-no-host"];
        "etherip-to-line": [PORTS => end!("a", "inet", "2001:db8:2::1")] tells ["remote-is-line"];
        "etherip-not-for-fabric": [PORTS => end!("b", "lte", "2001:db8:940::1")] tells ["needs-stated-address", "not-for-fabric"];
        "etherip-too-narrow": [PORTS => end!("a", "inet", "198.51.100.77"), "kind = \"datacenter\"" => "kind = \"datacenter\"\npath-mtu = 600",
            "address = [\"198.51.100.2/29\", \"2001:db8:1::1/64\"]\ngateway = [\"198.51.100.1\", \"2001:db8:1::ff\"]" => "address = \"198.51.100.2/29\"\ngateway = \"198.51.100.1\"",
            "remote = \"2001:db8:900::1\"" => "remote = \"198.51.100.66\"", "over = \"inet\"\nremote" => "over = \"inet\"\nmtu = 1280\nremote"] tells ["too-many-packets"];
        "segment-too-small": ["mtu = 2400" => "mtu = 1540", PORTS => "ports = [\"c:eth5\", \"b:eth6\"]"] tells ["segment-too-small"];
    }
}

fn all() -> Vec<Case> {
    [
        writing(),
        not_toml(),
        names_and_numbers(),
        networks(),
        validation(),
        lines(),
        links(),
        segments(),
        outside(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn nothing_is_wrong_with_the_base() {
    assert_eq!(problems(BASE), []);
}

/// Tunnels to others of every kind, told apart by key or VNI where their ends are the same.
#[test]
fn tunnels_to_others_of_every_kind() {
    let ports = [
        "etherip = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", accept-reversed = true }]",
        "gretap = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\" }, \
         { router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", key = 7, clamp = \"off\" }]",
        "geneve = [{ router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", vni = 7 }, \
         { router = \"a\", over = \"inet\", remote = \"2001:db8:950::1\", vni = 8 }]",
    ];
    for by in [
        "by = \"geneve\"\nvni = 0",
        "by = \"gretap\"\nkey = 7\nclamp = \"off\"",
        "by = \"etherip\"\naccept-reversed = true\nclamp = \"auto\"",
    ] {
        let text = BASE.replacen("by = \"etherip\"", by, 1).replacen(PORTS, &ports.join("\n"), 1);
        assert_ne!(text, BASE);
        assert_eq!(problems(&text), [], "{text}");
    }
}

/// What was lent of our own is of whatever length: nobody outside hears of it.
#[test]
fn a_part_of_ours_may_be_a_customers() {
    let lent = BASE.replacen("192.31.196.0/24", "43.228.174.64/27", 1);
    assert_ne!(lent, BASE);
    assert_eq!(problems(&lent), []);
}

#[test]
fn each_mistake_is_told_once_and_in_words() {
    let mut wrong = Vec::new();
    for case in all() {
        let text = edited(&case);
        let problems = problems(&text);
        let told: BTreeSet<String> = problems.iter().map(|problem| problem.kind.code()).collect();
        let expected: BTreeSet<String> = case.reasons.iter().map(|reason| reason.to_string()).collect();
        if told != expected {
            wrong.push(format!("{}: {told:?}, not {expected:?}", case.name));
            continue;
        }
        let [en, ja] = [Lang::En, Lang::Ja].map(|lang| render(&problems, &text, "network.toml", lang, false));
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "refusals", omit_expression => true }, {
            insta::assert_snapshot!(case.name, format!("{en}\n{ja}"));
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every reason that the types know is shown by some case.
#[test]
fn no_reason_is_without_a_case() {
    let shown: BTreeSet<&str> = all().iter().flat_map(|case| case.reasons.clone()).collect();
    let source = concat!(
        include_str!("../src/problem.rs"),
        include_str!("../src/problem/segment.rs"),
        include_str!("../src/problem/bmp.rs"),
        include_str!("../src/problem/rpki.rs"),
        include_str!("../src/problem/frr.rs")
    );
    let mut missing = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("pub enum ") {
            let name = name.trim_end_matches(" {");
            inside = ["Reading", "Naming"].contains(&name) || name.ends_with("Problem");
        } else if line == "}" {
            inside = false;
        }
        let Some(variant) =
            line.strip_prefix("    ").filter(|rest| inside && rest.starts_with(|c: char| c.is_uppercase()))
        else {
            continue;
        };
        let variant: String = variant.chars().take_while(|c| c.is_alphanumeric()).collect();
        let mut code = String::new();
        for c in variant.chars() {
            if c.is_uppercase() && !code.is_empty() {
                code.push('-');
            }
            code.push(c.to_ascii_lowercase());
        }
        if !shown.contains(code.as_str()) {
            missing.push(code);
        }
    }
    assert!(missing.is_empty(), "no case shows {missing:?}");
}
