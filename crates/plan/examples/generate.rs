//! Prints a made-up network of any size, for measurements:
//! `cargo run -p tsumugi-plan --example generate -- 1000 3000 > big.toml`

use std::fmt::{self, Write};

/// The file of a network in which nothing is wrong: sites of ten routers each, every router with a
/// line of the Internet, one of NGN and one for repair, and links of all kinds but EtherIP between
/// pairs of routers, no pair twice. At most 1500 routers, and fewer links than half the square of
/// them.
pub fn generate(routers: usize, links: usize) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, routers, links);
    out
}

fn write(out: &mut String, routers: usize, links: usize) -> fmt::Result {
    writeln!(
        out,
        r#"# {routers} routers, {links} links: made up by a program.

[network]
name = "generated"
asn = 63806
prefixes = ["43.228.168.0/21", "2402:3160::/32"]
loopbacks = ["43.228.168.0/21", "2402:3160:ffff::/64"]
management = "fd63:806::/48"
originate = [{originate}]"#,
        originate = if routers < 2 { "\"r1\"" } else { "\"r1\", \"r2\"" },
    )?;
    let sites = routers.div_ceil(10);
    for site in 1..=sites {
        writeln!(out, "\n[site.s{site}]\nid = {site}\nname = \"Place {site}\"")?;
    }
    for id in 1..=routers {
        router(out, id)?;
    }
    let mut made = 0;
    'all: for stride in 1..=routers / 2 {
        for from in 0..routers {
            let to = (from + stride) % routers;
            if made == links || (2 * stride == routers && from >= stride) || from == to {
                if made == links {
                    break 'all;
                }
                continue;
            }
            link(out, from, to, stride)?;
            made += 1;
        }
    }
    for (number, id) in (1..=routers).step_by(100).enumerate() {
        writeln!(
            out,
            r#"
[peer.p{number}]
asn = {asn}
role = "provider"

[[peer.p{number}.at]]
router = "r{id}"
by = "etherip"
over = "inet"
remote = "2001:db8:ffff::{number:x}"
addresses = "2001:db8:fffe:{number:x}::2/64"
neighbours = "2001:db8:fffe:{number:x}::1""#,
            asn = 1000 + number,
        )?;
    }
    Ok(())
}

fn router(out: &mut String, id: usize) -> fmt::Result {
    let site = id.div_ceil(10);
    let meeting = if id <= 3 { "meeting = true\n" } else { "" };
    // A /29 of 198.18.0.0/15 each.
    let (third, fourth) = (id * 8 / 256, id * 8 % 256);
    let (second, third) = (18 + third / 256, third % 256);
    writeln!(
        out,
        r#"
[router.r{id}]
id = {id}
site = "s{site}"
{meeting}
[router.r{id}.uplink.inet]
kind = "datacenter"
port = "eth1"
address = ["198.{second}.{third}.{host}/29", "2001:db8:0:{id:x}::1/64"]
gateway = ["198.{second}.{third}.{gateway}", "2001:db8:0:{id:x}::ff"]
for = ["fabric", "management"]

[router.r{id}.uplink.ngn]
kind = "ngn"
region = "east"
port = "eth2"
address = "2001:db8:1:{id:x}::1/64"
gateway = "2001:db8:1:{id:x}::ff"
for = ["fabric"]

[router.r{id}.uplink.lte]
kind = "lte"
port = "wwan0"
address = "dhcp"
for = ["management"]"#,
        host = fourth + 2,
        gateway = fourth + 1,
    )
}

fn link(out: &mut String, from: usize, to: usize, stride: usize) -> fmt::Result {
    let (a, b) = (from + 1, to + 1);
    writeln!(out, "\n[[link]]\nbetween = [\"r{a}\", \"r{b}\"]")?;
    if stride == 1 && from / 10 == to / 10 {
        writeln!(out, "by = \"ethernet\"\nports = [\"eth3\", \"eth4\"]")
    } else if stride % 2 == 0 {
        writeln!(out, "by = \"gre\"\nover = [\"ngn\", \"ngn\"]\ncost = 5")
    } else {
        writeln!(out, "by = \"wireguard\"\nover = [\"inet\", \"inet\"]\ncost = 5")
    }
}

#[allow(dead_code, reason = "tests take the function alone")]
fn main() {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(routers)), Some(Ok(links))) => print!("{}", generate(routers, links)),
        _ => eprintln!("usage: generate ROUTERS LINKS"),
    }
}
