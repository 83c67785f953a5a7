//! The kernel settings of each plane.

use tsumugi_core::desired::Sysctl;
use tsumugi_core::id::IfName;

/// What a router does not work without.
fn must(key: impl Into<String>, value: &str) -> Sysctl {
    Sysctl { key: key.into(), value: value.into(), optional: false }
}

/// What it is better with: an ordinary user's namespace, or an old kernel, may not have it.
fn may(key: impl Into<String>, value: &str) -> Sysctl {
    Sysctl { key: key.into(), value: value.into(), optional: true }
}

/// Applies to IPv4 on every interface, present and future.
fn ipv4_everywhere(links: &[IfName], setting: &str, value: &str) -> Vec<Sysctl> {
    let scopes = ["all", "default"].into_iter().chain(links.iter().map(IfName::as_str));
    scopes.map(|scope| must(format!("net/ipv4/conf/{scope}/{setting}"), value)).collect()
}

/// Applies to IPv6 on every interface: `all` has no effect for these settings.
fn ipv6_everywhere(links: &[IfName], setting: &str, value: &str) -> Vec<Sysctl> {
    let scopes = ["default"].into_iter().chain(links.iter().map(IfName::as_str));
    scopes.map(|scope| must(format!("net/ipv6/conf/{scope}/{setting}"), value)).collect()
}

fn optional(mut sysctls: Vec<Sysctl>) -> Vec<Sysctl> {
    for sysctl in &mut sysctls {
        sysctl.optional = true;
    }
    sysctls
}

/// The fabric: a router whose addresses are all of the plan's making. `links` are those that
/// carry IP, of them `gateways` the bridges that hosts hang on, `bridged` those that only belong to a
/// bridge.
pub fn fabric(links: &[IfName], gateways: &[IfName], bridged: &[IfName]) -> Vec<Sysctl> {
    // ip_forward resets other settings of its namespace: it comes first.
    let mut all = vec![
        must("net/ipv4/ip_forward", "1"),
        must("net/ipv6/conf/all/forwarding", "1"),
        must("net/ipv6/conf/default/forwarding", "1"),
        may("net/ipv6/conf/default/disable_ipv6", "0"),
        // Equal paths are shared out by ports as well as addresses.
        must("net/ipv4/fib_multipath_hash_policy", "1"),
        must("net/ipv6/fib_multipath_hash_policy", "1"),
        // Traceroute and path MTU discovery through us: at most one error per destination and 10 ms
        // instead of one a second.
        may("net/ipv4/icmp_ratelimit", "10"),
        may("net/ipv6/icmp/ratelimit", "10"),
        may("net/ipv6/conf/all/keep_addr_on_down", "1"),
    ];
    // Packets come back by another way than they went.
    let between: Vec<IfName> = links.iter().filter(|link| !gateways.contains(link)).cloned().collect();
    all.extend(ipv4_everywhere(&between, "rp_filter", "0"));
    // Not so hosts' own: without this one host fills the table of neighbours, which is one for the
    // whole machine, by ARP questions from addresses that are none of its network's.
    all.extend(gateways.iter().map(|bridge| must(format!("net/ipv4/conf/{bridge}/rp_filter"), "1")));
    all.extend(ipv4_everywhere(links, "send_redirects", "0"));
    all.extend(ipv4_everywhere(links, "accept_redirects", "0"));
    // A loopback is never answered for on a wire where it does not stand.
    all.extend(optional(ipv4_everywhere(links, "arp_ignore", "1")));
    all.extend(optional(ipv4_everywhere(links, "arp_announce", "2")));
    // A route whose link has no carrier is no route: this is how a dead tunnel is learned of.
    all.extend(optional(ipv4_everywhere(links, "ignore_routes_with_linkdown", "1")));
    all.extend(optional(ipv6_everywhere(links, "ignore_routes_with_linkdown", "1")));
    all.extend(ipv6_everywhere(links, "accept_ra", "0"));
    all.extend(ipv6_everywhere(links, "accept_redirects", "0"));
    all.extend(ipv6_everywhere(links, "autoconf", "0"));
    // Link-local addresses are the plan's (1: none is made), and nobody else can have them.
    all.extend(ipv6_everywhere(links, "addr_gen_mode", "1"));
    all.extend(ipv6_everywhere(links, "accept_dad", "0"));
    if !bridged.is_empty() {
        // Where a machine has br_netfilter, what only crosses a bridge would go through the walls for
        // what we route.
        let hooks = ["iptables", "ip6tables", "arptables"];
        all.extend(hooks.map(|hook| may(format!("net/bridge/bridge-nf-call-{hook}"), "0")));
    }
    all.extend(bridged.iter().map(|port| must(format!("net/ipv6/conf/{port}/disable_ipv6"), "1")));
    all
}

/// The underlay: a host with several lines, between which nothing is forwarded. On lines that
/// somebody else's client looks after (`clients`), router advertisements are left alone.
pub fn underlay(stated: &[IfName], clients: &[IfName]) -> Vec<Sysctl> {
    let links: Vec<IfName> = stated.iter().chain(clients).cloned().collect();
    let mut all = vec![
        must("net/ipv4/ip_forward", "0"),
        must("net/ipv6/conf/all/forwarding", "0"),
        must("net/ipv6/conf/default/forwarding", "0"),
        may("net/ipv6/conf/default/disable_ipv6", "0"),
        // Every full packet of a tunnel arrives as two fragments. What lost its other half is
        // forgotten before its 16-bit identification comes round again (RFC 4963).
        may("net/ipv4/ipfrag_time", "3"),
        may("net/ipv6/ip6frag_time", "3"),
        may("net/ipv4/ipfrag_high_thresh", "16777216"),
        may("net/ipv6/ip6frag_high_thresh", "16777216"),
    ];
    all.extend(ipv4_everywhere(&links, "rp_filter", "0"));
    all.extend(ipv4_everywhere(&links, "accept_redirects", "0"));
    all.extend(ipv4_everywhere(&links, "send_redirects", "0"));
    all.extend(optional(ipv4_everywhere(&links, "arp_ignore", "1")));
    all.extend(optional(ipv4_everywhere(&links, "arp_announce", "2")));
    let per_link = |links: &[IfName], setting: &str, value: &str| -> Vec<Sysctl> {
        links.iter().map(|link| must(format!("net/ipv6/conf/{link}/{setting}"), value)).collect()
    };
    all.extend(per_link(&links, "accept_redirects", "0"));
    all.extend(per_link(stated, "accept_ra", "0"));
    all.extend(per_link(stated, "autoconf", "0"));
    all.extend(per_link(stated, "accept_dad", "0"));
    all
}

/// The management plane is the machine's own namespace: as little as possible is changed there.
/// `forwards`: others are reached through us. `clients` are lines on which the machine listens to
/// router advertisements, which a forwarding host does only if told so (2).
pub fn management(ours: &[IfName], clients: &[IfName], forwards: bool) -> Vec<Sysctl> {
    let mut all = Vec::new();
    if forwards {
        all.extend(clients.iter().map(|link| may(format!("net/ipv6/conf/{link}/accept_ra"), "2")));
        all.push(must("net/ipv6/conf/all/forwarding", "1"));
    }
    for link in ours {
        all.push(must(format!("net/ipv6/conf/{link}/accept_ra"), "0"));
        all.push(must(format!("net/ipv6/conf/{link}/accept_redirects"), "0"));
        all.push(must(format!("net/ipv6/conf/{link}/accept_dad"), "0"));
    }
    // The overlay's only addresses are the plan's.
    all.push(must(format!("net/ipv6/conf/{}/addr_gen_mode", super::management::device()), "1"));
    all
}
