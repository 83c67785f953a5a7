//! A made-up network that `check` finds nothing wrong with: sites of four routers on NGN and the
//! Internet, a ring through all of them, then links at random; peers and segments here and there, most of them on several routers.

use std::collections::HashMap;
use std::fmt::Write;

/// How many routers stand at one site.
const PER_SITE: usize = 4;
/// How many links of one kind two routers have between them at most.
const PARALLEL: usize = 2;

/// The file of a network of so many routers (at most 4,000) and links; the same for the same seed.
/// Links beyond the ring are fewer than asked for where no pair is left.
pub fn network(routers: usize, links: usize, seed: u64) -> String {
    let mut text = String::from(
        "[network]\nname = \"generated\"\nasn = 63806\nprefixes = [\"43.224.0.0/16\", \"2402:3160::/32\"]\n\
         loopbacks = [\"43.224.0.0/17\", \"2402:3160:ffff::/64\"]\nmanagement = \"fd63:806::/48\"\n\
         originate = [\"r0001\"]\n",
    );
    for site in 0..routers.div_ceil(PER_SITE) {
        let _ = write!(text, "\n[site.s{site:04}]\nid = {}\n", site + 1);
    }
    for router in 0..routers {
        push_router(&mut text, router);
    }
    push_links(&mut text, routers, links, seed);
    for (count, router) in (0..routers).step_by(100).enumerate().take(60) {
        push_peer(&mut text, router, count);
    }
    for (count, router) in (0..routers).step_by(7).enumerate().take(60) {
        push_segment(&mut text, routers, router, count);
    }
    text
}

fn name(router: usize) -> String {
    format!("r{:04}", router + 1)
}

fn push_router(text: &mut String, router: usize) {
    let name = name(router);
    let id = router + 1;
    let first = router.is_multiple_of(PER_SITE);
    let meeting = first && router / PER_SITE < 3;
    let purposes = if first { "[\"fabric\", \"management\"]" } else { "[\"fabric\"]" };
    let _ = write!(
        text,
        "\n[router.{name}]\nid = {id}\nsite = \"s{:04}\"\nmeeting = {meeting}\nmanagement-port = \"eth0\"\n\
         \n[router.{name}.uplink.ngn]\nkind = \"ngn\"\nregion = \"east\"\nport = \"eth1\"\n\
         address = \"2001:db8:{id:x}:1::1/64\"\ngateway = \"2001:db8:{id:x}:1::ff\"\nfor = {purposes}\n",
        router / PER_SITE
    );
    let (address, gateway) = if meeting {
        let base = 4 * (router / PER_SITE);
        (format!(", \"198.51.100.{}/30\"", base + 2), format!(", \"198.51.100.{}\"", base + 1))
    } else {
        Default::default()
    };
    let _ = write!(
        text,
        "\n[router.{name}.uplink.inet]\nkind = \"datacenter\"\nport = \"eth2\"\n\
         address = [\"2001:db8:{id:x}:2::1/64\"{address}]\ngateway = [\"2001:db8:{id:x}:2::ff\"{gateway}]\n\
         for = {purposes}\n"
    );
    if first {
        let _ = write!(
            text,
            "\n[router.{name}.uplink.lte]\nkind = \"lte\"\nport = \"wwan0\"\naddress = \"dhcp\"\n\
             for = [\"management\"]\n"
        );
    }
}

fn push_peer(text: &mut String, router: usize, count: usize) {
    let base = 4 * count;
    let _ = write!(
        text,
        "\n[peer.p{count}]\nasn = {}\nrole = \"{}\"\n\
         \n[[peer.p{count}.at]]\nrouter = \"{}\"\nby = \"{}\"\nover = \"inet\"\nremote = \"2001:db8:ffff:{count:x}::1\"\n\
         addresses = [\"203.0.113.{}/30\", \"2001:db8:fffe:{count:x}::2/64\"]\n\
         neighbours = [\"203.0.113.{}\", \"2001:db8:fffe:{count:x}::1\"]\n",
        1000 + count,
        ["provider", "peer"][count % 2],
        name(router),
        ["etherip", "gretap"][count % 2],
        base + 2,
        base + 1
    );
}

/// By turns: with a gateway on one to three routers; with none, and an EtherIP end; with a LAN on
/// two routers, a VLAN, and a VNI that needs an index.
fn push_segment(text: &mut String, routers: usize, router: usize, count: usize) {
    let (first, second) = (name(router), name((router + 1) % routers));
    let third = name((router + 37) % routers);
    let port = |router: &str| format!("\"{router}:eth{}\"", 900 + count);
    let _ = write!(text, "\n[segment.g{count}]\n");
    let gateway = format!("gateway = [\"43.224.{}.1/24\", \"2402:3160:{count:x}::1/64\"]\n", 128 + count);
    let _ = match count % 3 {
        0 => {
            let mut ports = vec![port(&first), port(&second), port(&third)];
            ports.sort();
            ports.dedup();
            write!(
                text,
                "vni = {}\nports = [{}]\n{gateway}dns = \"9.9.9.9\"\n\
                 dhcp = \"43.224.{net}.10-43.224.{net}.99\"\ndeny = [\"mail\", \"segments\"]\n{}",
                count + 1,
                ports.join(", "),
                if count == 0 { "" } else { "allow = [\"segment.g0\"]\n" },
                net = 128 + count
            )
        }
        1 => write!(
            text,
            "vni = {}\nports = [{}]\nvtep = \"ipv6\"\n\n[[segment.g{count}.etherip]]\nrouter = \"{second}\"\n\
             over = \"inet\"\nremote = \"2001:db8:fffd:{count:x}::1\"\n",
            count + 1,
            port(&first)
        ),
        _ => write!(
            text,
            "vni = {}\nindex = {}\n{gateway}\n[[segment.g{count}.port]]\nat = {}\nlan = \"lan-{count}\"\n\
             \n[[segment.g{count}.port]]\nat = {}\nlan = \"lan-{count}\"\nstandby = true\nvlan = {}\n",
            70_000 + count,
            count + 1,
            port(&first),
            port(&second),
            count + 2
        ),
    };
}

fn push_links(text: &mut String, routers: usize, links: usize, seed: u64) {
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let mut ports: Vec<usize> = vec![10; routers];
    let mut made: HashMap<(usize, usize, usize), usize> = HashMap::new();
    let ring = (0..routers).map(|router| (router, (router + 1) % routers)).filter(|(a, b)| a < b);
    let mut left = links;
    for (a, b) in ring.take(links) {
        push_link(text, a, b, usize::from(a / PER_SITE != b / PER_SITE), &mut ports, 1);
        *made.entry((a, b, usize::from(a / PER_SITE != b / PER_SITE))).or_default() += 1;
        left -= 1;
    }
    for _ in 0..links * 20 {
        if left == 0 || routers < 2 {
            break;
        }
        let (a, b) = (random.below(routers), random.below(routers));
        let kind = if a / PER_SITE == b / PER_SITE { 0 } else { 1 + random.below(3) };
        let count = made.entry((a.min(b), a.max(b), kind)).or_default();
        // EtherIP has nothing that would tell two tunnels apart.
        if a == b || *count == PARALLEL || (kind == 3 && *count == 1) {
            continue;
        }
        *count += 1;
        push_link(text, a, b, kind, &mut ports, 1 + random.below(5));
        left -= 1;
    }
}

fn push_link(text: &mut String, a: usize, b: usize, kind: usize, ports: &mut [usize], cost: usize) {
    let by = ["ethernet", "gre", "wireguard", "etherip"][kind];
    let _ = write!(text, "\n[[link]]\nbetween = [\"{}\", \"{}\"]\nby = \"{by}\"\n", name(a), name(b));
    let _ = match kind {
        0 => writeln!(text, "ports = [\"eth{}\", \"eth{}\"]", ports[a], ports[b]),
        2 => writeln!(text, "over = [\"inet\", \"inet\"]"),
        _ => writeln!(text, "over = [\"ngn\", \"ngn\"]"),
    };
    if kind == 0 {
        ports[a] += 1;
        ports[b] += 1;
    }
    let _ = writeln!(text, "cost = {cost}");
}

/// Numbers that look random and are the same every time (Knuth's constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit.max(1) as u64) as usize
    }
}
