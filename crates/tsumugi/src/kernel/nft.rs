//! Walls in nftables: rendered to the text that `nft -f` takes as one transaction, in our own tables
//! (one of the family inet, and with segments one of the family bridge).

use super::Namespace;
use super::port_sets::BLOCKED;
use super::segment_wall::{self, Known, plain};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};
use tsumugi_core::desired::{DropReason, Hook, Match, NFT_TABLE, ProtocolMatch, SegmentWall, Verdict, Wall};
use tsumugi_core::id::{IfName, Mac, Prefix};

/// Why walls are not up, or not known.
#[derive(Debug)]
pub enum NftError {
    /// The program `nft` is not installed.
    Missing,
    /// It could not be run.
    NotRun(io::Error),
    /// It refused what we gave it, with its own words.
    Refused(String),
    /// A name of an interface that its language cannot hold.
    Unspeakable(IfName),
}

impl fmt::Display for NftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NftError::Missing => {
                f.write_str("the program nft is not installed (Debian: apt install nftables)")
            }
            NftError::NotRun(error) => write!(f, "nft could not be run: {error}"),
            NftError::Refused(words) => write!(f, "nft refused: {}", words.trim_end()),
            NftError::Unspeakable(name) => write!(f, "nft cannot speak of an interface named {name}"),
        }
    }
}

impl std::error::Error for NftError {}

/// What a wall dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    pub packets: u64,
    pub bytes: u64,
}

/// The walls of one namespace.
pub struct Nft {
    namespace: Namespace,
    /// What our tables should be, as text; empty: no table.
    wanted: String,
    /// How `nft` lists tables made from `wanted`; found out only when it is needed.
    listing: Option<String>,
    /// What the sets of known MACs should hold, and what of it was not written yet (true: to be added).
    known: Known,
    unwritten: BTreeMap<(IfName, Mac), bool>,
}

impl Nft {
    pub fn new(namespace: Namespace) -> Nft {
        Nft {
            namespace,
            wanted: String::new(),
            listing: None,
            known: Known::new(),
            unwritten: BTreeMap::new(),
        }
    }

    /// What should be from now on.
    ///
    /// # Errors
    /// `Unspeakable`; then the earlier walls stay wanted.
    pub fn want(&mut self, walls: &[Wall], segments: &[SegmentWall]) -> Result<(), NftError> {
        let nothing = (BTreeMap::new(), BTreeSet::new(), Known::new());
        let wanted =
            render(walls, &nothing.0)? + &segment_wall::render(segments, &nothing.0, &nothing.1, &nothing.2)?;
        if wanted != self.wanted {
            self.wanted = wanted;
            self.listing = None;
        }
        Ok(())
    }

    /// Whether our tables are exactly what is wanted, counts and what sets hold aside.
    ///
    /// # Errors
    /// Those of running `nft`.
    pub fn in_place(&mut self) -> Result<bool, NftError> {
        let found = listed(&self.namespace)?;
        if self.wanted.is_empty() || found.is_empty() {
            return Ok(self.wanted.is_empty() && found.is_empty());
        }
        if self.listing.is_none() {
            // The way `nft` prints a rule is its own: an empty namespace tells how it prints ours.
            let scratch = Namespace::unnamed().map_err(NftError::NotRun)?;
            run(&scratch, &["-f", "-"], &self.wanted)?;
            self.listing = Some(listed(&scratch)?);
        }
        Ok(self.listing.as_ref() == Some(&found))
    }

    /// Puts our tables in place as one transaction; what was counted before is counted on, and what was
    /// blocked before is blocked.
    ///
    /// # Errors
    /// Those of running `nft`; what stood before stands on.
    pub fn apply(&mut self, walls: &[Wall], segments: &[SegmentWall]) -> Result<(), NftError> {
        let counted = counters(&self.namespace)?;
        let blocked = blocked(&self.namespace)?;
        let mut text = format!("table inet {NFT_TABLE} {{}}\ndelete table inet {NFT_TABLE}\n");
        // A kernel may lack the family, and nobody without segments needs it.
        if blocked.is_some() {
            text += &format!("delete table bridge {NFT_TABLE}\n");
        }
        text += &render(walls, &counted)?;
        let blocked = blocked.unwrap_or_default();
        text += &segment_wall::render(segments, &counted, &blocked, &self.known)?;
        run(&self.namespace, &["-f", "-"], &text)?;
        self.unwritten.clear();
        Ok(())
    }

    /// A MAC is, or is no longer, known to be behind another router: frames to it are for somebody
    /// known, even if it never sends any. Written with the next [`Nft::write_known`].
    pub fn set_known(&mut self, vxlan: &IfName, mac: Mac, known: bool) {
        let macs = self.known.entry(vxlan.clone()).or_default();
        if if known { macs.insert(mac) } else { macs.remove(&mac) } {
            self.unwritten.insert((vxlan.clone(), mac), known);
        }
    }

    /// Whether [`Nft::write_known`] has something to do.
    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// # Errors
    /// Those of running `nft`. Walls that are put in place later hold all of it.
    pub fn write_known(&mut self) -> Result<(), NftError> {
        let mut lists: BTreeMap<(IfName, bool), Vec<String>> = BTreeMap::new();
        for ((vxlan, mac), known) in std::mem::take(&mut self.unwritten) {
            lists.entry((vxlan, known)).or_default().push(mac.to_string());
        }
        let mut text = String::new();
        for ((vxlan, known), macs) in lists {
            let set =
                format!("element bridge {NFT_TABLE} known-{} {{ {} }}", plain(&vxlan)?, macs.join(", "));
            let _ = writeln!(text, "add {set}");
            if !known {
                let _ = writeln!(text, "delete {set}");
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        run(&self.namespace, &["-f", "-"], &text).map(|_| ())
    }
}

/// The ports that our bridge table holds as blocked; `None` if there is no such table.
fn blocked(namespace: &Namespace) -> Result<Option<BTreeSet<IfName>>, NftError> {
    #[derive(Deserialize)]
    struct Listing {
        nftables: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        set: Option<Set>,
    }
    #[derive(Deserialize)]
    struct Set {
        elem: Option<Vec<String>>,
    }
    let text = match run(namespace, &["-j", "list", "set", "bridge", NFT_TABLE, BLOCKED], "") {
        Ok(text) => text,
        Err(NftError::Refused(words)) if is_absence(&words) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listing: Listing =
        serde_json::from_str(&text).map_err(|error| NftError::Refused(format!("its JSON: {error}")))?;
    let found = listing.nftables.into_iter().filter_map(|object| object.set?.elem).flatten();
    Ok(Some(found.filter_map(|name| IfName::new(&name).ok()).collect()))
}

/// What the walls of a namespace have dropped so far, by reason; empty without walls.
///
/// # Errors
/// Those of running `nft`.
pub fn counters(namespace: &Namespace) -> Result<BTreeMap<DropReason, Dropped>, NftError> {
    #[derive(Deserialize)]
    struct Listing {
        nftables: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        counter: Option<Counter>,
    }
    #[derive(Deserialize)]
    struct Counter {
        table: String,
        name: String,
        packets: u64,
        bytes: u64,
    }
    let text = run(namespace, &["-j", "list", "counters"], "")?;
    let listing: Listing =
        serde_json::from_str(&text).map_err(|error| NftError::Refused(format!("its JSON: {error}")))?;
    let found = listing.nftables.into_iter().filter_map(|object| object.counter);
    Ok(found
        .filter(|counter| counter.table == NFT_TABLE)
        .filter_map(|counter| {
            let reason = DropReason::ALL.into_iter().find(|reason| reason.counter() == counter.name)?;
            Some((reason, Dropped { packets: counter.packets, bytes: counter.bytes }))
        })
        .collect())
}

/// Our tables without their counts and without what their named sets hold; empty if there are none.
fn listed(namespace: &Namespace) -> Result<String, NftError> {
    let mut listing = String::new();
    for family in ["inet", "bridge"] {
        match run(namespace, &["-s", "-t", "list", "table", family, NFT_TABLE], "") {
            Ok(text) => listing += &text,
            Err(NftError::Refused(words)) if is_absence(&words) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listing)
}

fn is_absence(words: &str) -> bool {
    ["No such file or directory", "Operation not supported"].iter().any(|errno| words.contains(errno))
}

fn run(namespace: &Namespace, arguments: &[&str], input: &str) -> Result<String, NftError> {
    let output = namespace.run(|| execute(arguments, input)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NftError::Missing,
        _ => NftError::NotRun(error),
    })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(NftError::Refused(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// Gives `nft` a text of somebody else's tables, as one transaction.
///
/// # Errors
/// Those of running `nft`.
pub fn apply_text(namespace: &Namespace, text: &str) -> Result<(), NftError> {
    run(namespace, &["-f", "-"], text).map(drop)
}

fn execute(arguments: &[&str], input: &str) -> io::Result<Output> {
    // Debian keeps it where an ordinary user's PATH does not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut child = Command::new("nft")
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ends before it has read all, its own words say why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// The whole table as text, with counters that begin at `counted`.
///
/// # Errors
/// `Unspeakable`.
fn render(walls: &[Wall], counted: &BTreeMap<DropReason, Dropped>) -> Result<String, NftError> {
    if walls.is_empty() {
        return Ok(String::new());
    }
    let mut text = format!("table inet {NFT_TABLE} {{\n");
    for reason in reasons(walls) {
        let Dropped { packets, bytes } = counted.get(&reason).copied().unwrap_or_default();
        let _ = writeln!(text, "\tcounter {} {{ packets {packets} bytes {bytes} }}", reason.counter());
    }
    let mut hooks: BTreeMap<Hook, Vec<&Wall>> = BTreeMap::new();
    for wall in walls {
        hooks.entry(wall.hook).or_default().push(wall);
    }
    for (hook, walls) in hooks {
        let (name, priority) = match hook {
            Hook::Prerouting => ("prerouting", "raw"),
            Hook::Input => ("input", "filter"),
            Hook::Forward => ("forward", "filter"),
            Hook::Output => ("output", "filter"),
        };
        let _ = writeln!(text, "\tchain {name} {{");
        let _ = writeln!(text, "\t\ttype filter hook {name} priority {priority}; policy accept;");
        for wall in walls {
            for rule in &wall.rules {
                for matches in alternatives(&rule.matches)? {
                    let _ = writeln!(text, "\t\t{matches}{}", verdict(&rule.verdict));
                }
            }
            if let Some(reason) = wall.otherwise {
                let _ = writeln!(text, "\t\t{}", verdict(&Verdict::Drop { reason }));
            }
        }
        text += "\t}\n";
    }
    text += "}\n";
    Ok(text)
}

fn reasons(walls: &[Wall]) -> BTreeSet<DropReason> {
    let mut reasons = BTreeSet::new();
    for wall in walls {
        reasons.extend(wall.otherwise);
        reasons.extend(wall.rules.iter().filter_map(|rule| match rule.verdict {
            Verdict::Drop { reason } => Some(reason),
            Verdict::Accept | Verdict::ClampMss { .. } => None,
        }));
    }
    reasons
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".into(),
        Verdict::Drop { reason } => format!("counter name \"{}\" drop", reason.counter()),
        // The comparison keeps it from ever being raised.
        Verdict::ClampMss { mss } => {
            format!("tcp option maxseg size > {mss} tcp option maxseg size set {mss}")
        }
    }
}

/// The match as text; several rules where one cannot say it.
fn alternatives(matches: &Match) -> Result<Vec<String>, NftError> {
    let mut common = String::new();
    for (word, names) in [("iifname", &matches.iif), ("oifname", &matches.oif)] {
        if !names.is_empty() {
            let _ = write!(common, "{word} {{ {} }} ", interfaces(names)?);
        }
    }
    for (word, prefixes) in
        [("saddr", &matches.from), ("saddr !=", &matches.not_from), ("daddr", &matches.to)]
    {
        common += &addresses(word, prefixes);
    }
    // Addresses settle the family: nft refuses a header of the other one beside them.
    let addresses = matches.from.iter().chain(&matches.not_from).chain(&matches.to);
    let ipv6 = addresses.map(|prefix| prefix.addr().is_ipv6()).next();
    if let (Some(limit), Some(ipv6)) = (matches.hop_limit, ipv6) {
        let _ = write!(common, "{} {limit} ", if ipv6 { "ip6 hoplimit" } else { "ip ttl" });
    }
    let protocols = protocols(matches.protocol.as_ref(), ipv6);
    Ok(protocols.into_iter().map(|last| format!("{common}{last}")).collect())
}

fn interfaces(names: &[IfName]) -> Result<String, NftError> {
    let mut text = Vec::new();
    for name in names {
        // A star would be a wildcard, a quote would end the string.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        if !name.as_str().bytes().all(plain) {
            return Err(NftError::Unspeakable(name.clone()));
        }
        text.push(format!("\"{name}\""));
    }
    Ok(text.join(", "))
}

fn addresses(word: &str, prefixes: &[Prefix]) -> String {
    let Some(first) = prefixes.first() else { return String::new() };
    let family = if first.addr().is_ipv4() { "ip" } else { "ip6" };
    // Overlapping prefixes would be an error in a set: the wider one says it all.
    let mut kept: Vec<Prefix> = Vec::new();
    for prefix in prefixes {
        let wider = |other: &Prefix| other.contains(prefix) && other.trunc() != prefix.trunc();
        if !prefixes.iter().any(wider) && !kept.contains(&prefix.trunc()) {
            kept.push(prefix.trunc());
        }
    }
    let list: Vec<String> = kept.iter().map(ToString::to_string).collect();
    format!("{family} {word} {{ {} }} ", list.join(", "))
}

/// `ipv6`: the family, where something else in the match says it.
fn protocols(protocol: Option<&ProtocolMatch>, ipv6: Option<bool>) -> Vec<String> {
    let Some(protocol) = protocol else { return vec![String::new()] };
    match protocol {
        ProtocolMatch::Tcp { ports, either } => port_rules("tcp", ports, *either),
        ProtocolMatch::Udp { ports, either } => port_rules("udp", ports, *either),
        // By number: a small system has no /etc/protocols to look names up in.
        ProtocolMatch::Icmp => vec!["meta l4proto { 1, 58 } ".into()],
        ProtocolMatch::NeighbourDiscovery => vec!["icmpv6 type { 133, 134, 135, 136, 137 } ".into()],
        ProtocolMatch::Number { number } => vec![format!("meta l4proto {number} ")],
        ProtocolMatch::TcpSyn { ipv6 } => {
            let family = if *ipv6 { "ipv6" } else { "ipv4" };
            vec![format!("meta nfproto {family} tcp flags & (syn | rst) == syn ")]
        }
        ProtocolMatch::LaterFragment => {
            let of_family = [(true, "frag frag-off != 0 "), (false, "ip frag-off & 0x1fff != 0 ")];
            let wanted = of_family.into_iter().filter(|(family, _)| ipv6.is_none_or(|ipv6| ipv6 == *family));
            wanted.map(|(_, text)| text.into()).collect()
        }
        ProtocolMatch::Established => vec!["ct state { established, related } ".into()],
    }
}

fn port_rules(protocol: &str, ports: &[u16], either: bool) -> Vec<String> {
    if ports.is_empty() {
        return vec![format!("meta l4proto {protocol} ")];
    }
    let list: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let sides: &[&str] = if either { &["dport", "sport"] } else { &["dport"] };
    sides.iter().map(|side| format!("{protocol} {side} {{ {} }} ", list.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::desired::WallRule;

    /// Every kind of rule there is.
    pub(in crate::kernel) fn walls() -> Vec<Wall> {
        let rule = |matches, verdict| WallRule { matches, verdict };
        let of = |protocol| Match { protocol: Some(protocol), ..Match::default() };
        let udp = || ProtocolMatch::Udp { ports: vec![3784], either: false };
        let prefixes =
            |texts: &[&str]| -> Vec<Prefix> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let input = [
            ProtocolMatch::Tcp { ports: vec![179], either: true },
            ProtocolMatch::Udp { ports: vec![4789, 3784], either: false },
            ProtocolMatch::Icmp,
            ProtocolMatch::NeighbourDiscovery,
            ProtocolMatch::Number { number: 97 },
            ProtocolMatch::LaterFragment,
            ProtocolMatch::Established,
        ];
        let clamp = Match {
            oif: vec![IfName::new("gre-cr0201.2").unwrap()],
            ..of(ProtocolMatch::TcpSyn { ipv6: true })
        };
        let false_source = Match {
            iif: vec![IfName::new("eth5").unwrap(), IfName::new("eth6").unwrap()],
            not_from: prefixes(&["2001:db8::/32", "2001:db8:1::/48"]),
            to: prefixes(&["fe80::1/128"]),
            ..Match::default()
        };
        let later = |from: &str| Match { from: prefixes(&[from]), ..of(ProtocolMatch::LaterFragment) };
        let near = |from: &str| Match { from: prefixes(&[from]), hop_limit: Some(255), ..of(udp()) };
        let later = ["2001:db8::1/128", "192.0.2.1/32"]
            .into_iter()
            .flat_map(|from| [rule(later(from), Verdict::Accept), rule(near(from), Verdict::Accept)]);
        vec![
            Wall {
                hook: Hook::Input,
                rules: input.into_iter().map(|protocol| rule(of(protocol), Verdict::Accept)).collect(),
                otherwise: Some(DropReason::NotForRouters),
            },
            Wall {
                hook: Hook::Prerouting,
                rules: vec![rule(false_source, Verdict::Drop { reason: DropReason::FalseSource })],
                otherwise: None,
            },
            Wall {
                hook: Hook::Forward,
                rules: vec![rule(clamp, Verdict::ClampMss { mss: 1180 })],
                otherwise: Some(DropReason::NoTransit),
            },
            Wall { hook: Hook::Output, rules: later.collect(), otherwise: None },
        ]
    }

    #[test]
    fn walls_stand_as_they_are_written_and_a_change_is_seen() {
        let namespace = Namespace::unnamed().unwrap();
        let mut nft = Nft::new(namespace.clone());
        assert!(nft.in_place().unwrap());
        nft.want(&walls(), &[]).unwrap();
        assert!(!nft.in_place().unwrap());
        nft.apply(&walls(), &[]).unwrap();
        assert!(nft.in_place().unwrap());
        for change in ["flush chain inet tsumugi input", "add rule inet tsumugi output accept"] {
            run(&namespace, &["-f", "-"], change).unwrap();
            assert!(!nft.in_place().unwrap(), "{change}");
            nft.apply(&walls(), &[]).unwrap();
            assert!(nft.in_place().unwrap());
        }
        nft.want(&[], &[]).unwrap();
        assert!(!nft.in_place().unwrap());
        nft.apply(&[], &[]).unwrap();
        assert!(nft.in_place().unwrap());
    }

    #[test]
    fn what_was_counted_is_counted_on() {
        let namespace = Namespace::unnamed().unwrap();
        let mut nft = Nft::new(namespace.clone());
        let counted = BTreeMap::from([(DropReason::NoTransit, Dropped { packets: 3, bytes: 180 })]);
        run(&namespace, &["-f", "-"], &render(&walls(), &counted).unwrap()).unwrap();
        nft.apply(&walls(), &[]).unwrap();
        let found = counters(&namespace).unwrap();
        assert_eq!(found[&DropReason::NoTransit], Dropped { packets: 3, bytes: 180 });
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn names_that_nft_cannot_hold_are_refused() {
        let matches = Match { iif: vec![IfName::new("a*").unwrap()], ..Match::default() };
        let rules = vec![WallRule { matches, verdict: Verdict::Accept }];
        let wall = Wall { hook: Hook::Input, rules, otherwise: None };
        assert!(matches!(render(&[wall], &BTreeMap::new()), Err(NftError::Unspeakable(_))));
    }
}
