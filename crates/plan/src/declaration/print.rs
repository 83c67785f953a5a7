//! Prints a declaration back in its one form: tables and keys in the order of the table of keys,
//! everything else in the order of the file, comments kept. The print reads to the same.

use super::keys::{self, Kind, Table as Keys};
use super::values::Word;
use super::*;
use std::fmt::Write;

/// Lists that make a longer line are written with a value to a line.
const WIDTH: usize = 100;

/// The file's text.
pub fn print(declaration: &Declaration) -> String {
    let mut printer = Printer { out: String::new() };
    let network = &declaration.network;
    printer.table("[network]", network.comment(), &keys::NETWORK, network_lines(network));
    if let Some(rpki) = &declaration.rpki {
        let lines = vec![
            line("caches", &rpki.caches),
            optional("plane", &rpki.plane),
            optional("expire", &rpki.expire),
            optional("slurm", &rpki.slurm),
        ];
        printer.table("[rpki]", rpki.comment(), &keys::RPKI, lines);
    }
    if let Some(bmp) = &declaration.bmp {
        let lines = vec![line("collectors", &bmp.collectors), optional("plane", &bmp.plane)];
        printer.table("[bmp]", bmp.comment(), &keys::BMP, lines);
    }
    for site in &declaration.sites {
        let lines = vec![
            line("id", &site.id),
            optional("name", &site.label),
            optional("switch-mtu", &site.switch_mtu),
        ];
        printer.named("site", &site.name, &keys::SITE_TABLE, lines);
    }
    for device in &declaration.devices {
        let lines = vec![line("id", &device.id), line("site", &device.site), optional("kind", &device.kind)];
        printer.named("device", &device.name, &keys::DEVICE, lines);
    }
    for person in &declaration.persons {
        printer.named("person", &person.name, &keys::PERSON, vec![line("id", &person.id)]);
    }
    for router in &declaration.routers {
        printer.named("router", &router.name, &keys::ROUTER_TABLE, router_lines(router));
        let of = format!("router.{}.uplink", key(&router.name));
        for uplink in &router.uplinks {
            printer.named(&of, &uplink.name, &keys::UPLINK_TABLE, uplink_lines(uplink));
        }
    }
    for link in &declaration.links {
        printer.table("[[link]]", link.comment(), &keys::LINK, link_lines(link));
    }
    for segment in &declaration.segments {
        printer.named("segment", &segment.name, &keys::SEGMENT, segment_lines(segment));
        let header = format!("[[segment.{}.port]]", key(&segment.name));
        for port in &segment.port {
            printer.table(&header, port.comment(), &keys::SEGMENT_PORT, port_lines(port));
        }
        for end in &segment.tunnels {
            let header = format!("[[segment.{}.{}]]", key(&segment.name), word(end.by));
            let keys = match end.by {
                TunnelBy::EtherIp => &keys::SEGMENT_ETHERIP,
                TunnelBy::Gretap => &keys::SEGMENT_GRETAP,
                TunnelBy::Geneve => &keys::SEGMENT_GENEVE,
            };
            printer.table(&header, end.comment(), keys, tunnel_lines(end));
        }
    }
    for peer in &declaration.peers {
        printer.named("peer", &peer.name, &keys::PEER, peer_lines(peer));
        let header = format!("[[peer.{}.at]]", key(&peer.name));
        for at in &peer.at {
            printer.table(&header, at.comment(), &keys::PEER_AT, at_lines(at));
        }
    }
    if !declaration.closing.is_empty() {
        printer.out.push('\n');
        printer.above("", &declaration.closing);
    }
    printer.out
}

fn network_lines(network: &Network) -> Vec<Option<Line>> {
    let own = [
        line("name", &network.name),
        line("asn", &network.asn),
        line("prefixes", &network.prefixes),
        line("loopbacks", &network.loopbacks),
        line("management", &network.management),
        optional("mtu", &network.mtu),
        optional("originate", &network.originate),
    ];
    own.into_iter().chain(bfd_lines(&network.bfd)).collect()
}

fn bfd_lines(bfd: &BfdSaid) -> [Option<Line>; 4] {
    [
        optional("bfd", &bfd.on),
        optional("bfd-interval", &bfd.interval),
        optional("bfd-multiplier", &bfd.multiplier),
        optional("bfd-multihop", &bfd.multihop),
    ]
}

fn router_lines(router: &Router) -> Vec<Option<Line>> {
    vec![
        line("id", &router.id),
        line("site", &router.site),
        optional("asn", &router.asn),
        optional("meeting", &router.meeting),
        optional("drain", &router.drain),
        optional("management-port", &router.management_port),
        optional("table", &router.table),
        optional("engine", &router.engine),
        optional("routing", &router.routing),
    ]
}

fn uplink_lines(uplink: &Uplink) -> Vec<Option<Line>> {
    vec![
        line("kind", &uplink.kind),
        optional("region", &uplink.region),
        line("port", &uplink.port),
        optional("share", &uplink.share),
        optional("path-mtu", &uplink.path_mtu),
        line("address", &uplink.address),
        optional("gateway", &uplink.gateway),
        optional("passes", &uplink.passes),
        line("for", &uplink.purposes),
    ]
}

fn link_lines(link: &Link) -> Vec<Option<Line>> {
    let own = [
        line("between", &link.between),
        line("by", &link.by),
        optional("over", &link.over),
        optional("ports", &link.ports),
        optional("cost", &link.cost),
        optional("cleartext", &link.cleartext),
        optional("engine", &link.engine),
        optional("keepalive", &link.keepalive),
    ];
    own.into_iter().chain(bfd_lines(&link.bfd)).collect()
}

fn segment_lines(segment: &Segment) -> Vec<Option<Line>> {
    vec![
        line("vni", &segment.vni),
        line("ports", &segment.ports).filter(|_| !segment.ports.is_empty()),
        optional("gateway", &segment.gateway),
        optional("dns", &segment.dns),
        optional("dhcp", &segment.dhcp),
        optional("deny", &segment.deny),
        optional("allow", &segment.allow),
        optional("vtep", &segment.vtep),
        optional("route-target", &segment.route_target),
        optional("index", &segment.index),
    ]
}

fn port_lines(port: &SegmentPort) -> Vec<Option<Line>> {
    vec![
        line("at", &port.at),
        optional("vlan", &port.vlan),
        optional("lan", &port.lan),
        optional("standby", &port.standby),
        optional("storm-limit", &port.storm_limit),
    ]
}

fn tunnel_lines(end: &TunnelEnd) -> Vec<Option<Line>> {
    let own = [
        line("router", &end.router),
        line("over", &end.over),
        line("remote", &end.remote),
        optional("lan", &end.lan),
        optional("standby", &end.standby),
        optional("storm-limit", &end.storm_limit),
        optional("keepalive", &end.keepalive),
    ];
    own.into_iter().chain(terms_lines(&end.terms)).collect()
}

fn terms_lines(terms: &TunnelTerms) -> [Option<Line>; 4] {
    [
        optional("key", &terms.key),
        optional("vni", &terms.vni),
        optional("accept-reversed", &terms.accept_reversed),
        optional("clamp", &terms.clamp),
    ]
}

fn peer_lines(peer: &Peer) -> Vec<Option<Line>> {
    let own = [
        line("asn", &peer.asn),
        line("role", &peer.role),
        optional("prefixes", &peer.prefixes),
        optional("as-set", &peer.as_set),
        optional("list", &peer.list),
        optional("origins", &peer.origins),
        optional("never-via", &peer.never_via),
        optional("announce", &peer.announce),
        optional("withhold", &peer.withhold),
        optional("prepend", &peer.prepend),
        optional("limit", &peer.limit),
        optional("limit-warn", &peer.limit_warn),
        optional("limit-rest", &peer.limit_rest),
        optional("add-paths-receive", &peer.add_paths_receive),
        optional("add-paths-send", &peer.add_paths_send),
        optional("strict-role", &peer.strict_role),
        optional("gtsm", &peer.gtsm),
        optional("password", &peer.password),
        optional("drain", &peer.drain),
        optional("invalid", &peer.invalid),
    ];
    own.into_iter().chain(bfd_lines(&peer.bfd)).collect()
}

fn at_lines(at: &PeerAt) -> Vec<Option<Line>> {
    let own = [
        line("router", &at.router),
        line("by", &at.by),
        optional("over", &at.over),
        optional("port", &at.port),
        optional("mtu", &at.mtu),
        optional("remote", &at.remote),
        line("addresses", &at.addresses),
        line("neighbours", &at.neighbours),
        optional("keepalive", &at.keepalive),
    ];
    own.into_iter().chain(terms_lines(&at.terms)).collect()
}

/// A key's value on its way into the file.
struct Line {
    key: &'static str,
    value: Form,
    comment: Comment,
}

/// How a value is written.
enum Form {
    One(String),
    Many(Vec<(String, Comment)>),
}

fn line<T: Print>(key: &'static str, said: &Said<T>) -> Option<Line> {
    Some(Line { key, value: said.form(), comment: said.comment().cloned().unwrap_or_default() })
}

fn optional<T: Print>(key: &'static str, said: &Option<Said<T>>) -> Option<Line> {
    said.as_ref().and_then(|said| line(key, said))
}

struct Printer {
    out: String,
}

impl Printer {
    fn named(&mut self, of: &str, name: &Said<String>, keys: &'static Keys, lines: Vec<Option<Line>>) {
        self.table(&format!("[{of}.{}]", key(name)), name.comment(), keys, lines);
    }

    fn table(
        &mut self,
        header: &str,
        comment: Option<&Comment>,
        keys: &'static Keys,
        lines: Vec<Option<Line>>,
    ) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.commented("", header, comment.unwrap_or(&Comment::default()));
        let mut lines: Vec<Line> = lines.into_iter().flatten().collect();
        lines.sort_by_key(|line| keys.keys.iter().position(|key| key.name == line.key));
        for line in lines {
            let kind = keys.key(line.key).map(|key| key.kind);
            self.line(line, matches!(kind, Some(Kind::OneOrMore(_))));
        }
    }

    fn line(&mut self, line: Line, bare: bool) {
        let Line { key, value, comment } = line;
        let values = match value {
            Form::One(value) => return self.commented("", &format!("{key} = {value}"), &comment),
            Form::Many(values) => values,
        };
        let plain = values.iter().all(|(_, comment)| *comment == Comment::default());
        let texts: Vec<&str> = values.iter().map(|(text, _)| text.as_str()).collect();
        let short = match texts[..] {
            [one] if bare => format!("{key} = {one}"),
            _ => format!("{key} = [{}]", texts.join(", ")),
        };
        if plain && (short.len() <= WIDTH || texts.len() < 2) {
            return self.commented("", &short, &comment);
        }
        self.above("", &comment.above);
        self.out.push_str(key);
        self.out.push_str(" = [\n");
        for (text, comment) in &values {
            self.commented("    ", &format!("{text},"), comment);
        }
        self.commented("", "]", &Comment { above: Vec::new(), beside: comment.beside });
    }

    fn commented(&mut self, indent: &str, text: &str, comment: &Comment) {
        self.above(indent, &comment.above);
        self.out.push_str(indent);
        self.out.push_str(text);
        if let Some(beside) = &comment.beside {
            self.out.push(' ');
            self.out.push_str(beside);
        }
        self.out.push('\n');
    }

    fn above(&mut self, indent: &str, lines: &[String]) {
        for line in lines {
            if !line.is_empty() {
                self.out.push_str(indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }
}

/// A key as TOML writes it: bare where it can be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_string() } else { quoted(name) }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// How a type is written as a value.
trait Print {
    fn form(&self) -> Form;

    fn text(&self) -> String {
        match self.form() {
            Form::One(text) => text,
            Form::Many(_) => String::new(),
        }
    }
}

macro_rules! print_as {
    ($($type:ty, |$value:ident| $text:expr;)*) => {$(
        impl Print for $type {
            fn form(&self) -> Form {
                let $value = self;
                Form::One($text)
            }
        }
    )*};
}

print_as! {
    String, |text| quoted(text);
    bool, |flag| flag.to_string();
    u8, |number| number.to_string();
    u16, |number| number.to_string();
    u32, |number| number.to_string();
    Asn, |asn| asn.0.to_string();
    Vni, |vni| vni.0.to_string();
    IfName, |port| quoted(port.as_str());
    PortRef, |port| quoted(&format!("{}:{}", port.router, port.port));
    AddressRange, |range| quoted(&format!("{}-{}", range.first, range.last));
    RouteTarget, |target| quoted(&target.to_string());
    AsSet, |name| quoted(&name.to_string());
    Secret, |secret| quoted(&secret.to_string());
    Reach, |reach| quoted(&reach.to_string());
    IpAddr, |address| quoted(&address.to_string());
    AskedFarEnd, |asked| match asked {
        AskedFarEnd::Nobody => "false".into(),
        AskedFarEnd::Host(address) => quoted(&address.to_string()),
    };
    Prefix, |prefix| quoted(&prefix.to_string());
    LineAddress, |address| quoted(&match address {
        LineAddress::Stated(prefix) => prefix.to_string(),
        LineAddress::Auto => "auto".into(),
        LineAddress::Dhcp => "dhcp".into(),
        LineAddress::Dhcp6Pd => "dhcp6-pd".into(),
        LineAddress::Pppoe => "pppoe".into(),
    });
    LineKind, |word| quoted(word.word());
    Region, |word| quoted(word.word());
    Pass, |word| quoted(word.word());
    Purpose, |word| quoted(word.word());
    Table, |word| quoted(word.word());
    Engine, |word| quoted(word.word());
    Routing, |word| quoted(word.word());
    LinkBy, |word| quoted(word.word());
    PeerBy, |word| quoted(word.word());
    TunnelClamp, |word| quoted(word.word());
    Vtep, |word| quoted(word.word());
    SocketAddr, |address| quoted(&address.to_string());
    CachePlane, |word| quoted(word.word());
    Invalid, |word| quoted(word.word());
    Role, |word| quoted(word.word());
}

impl<T: Print> Print for Vec<Said<T>> {
    fn form(&self) -> Form {
        many(self)
    }
}

impl<T: Print> Print for [Said<T>; 2] {
    fn form(&self) -> Form {
        many(self)
    }
}

fn many<T: Print>(values: &[Said<T>]) -> Form {
    let each = |value: &Said<T>| (value.text(), value.comment().cloned().unwrap_or_default());
    Form::Many(values.iter().map(each).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::parse;

    fn read(text: &str) -> Declaration {
        let (declaration, problems) = parse(text);
        declaration.unwrap_or_else(|| panic!("{problems:?}\n{text}"))
    }

    #[test]
    fn the_examples_are_in_their_one_form() {
        for text in [
            include_str!("../../../../examples/two-homes.toml"),
            include_str!("../../../../examples/as63806.toml"),
        ] {
            let printed = print(&read(text));
            for (line, (a, b)) in text.lines().zip(printed.lines()).enumerate() {
                assert_eq!(a, b, "line {}", line + 1);
            }
            assert_eq!(text, printed);
        }
    }

    #[test]
    fn comments_and_meaning_survive_whatever_the_order() {
        let text = r##"
# first

# of the peer
[peer.x] # beside the peer
role = 'peer' # beside the role
# above the asn
asn = 0xfde8
at = [ # first of the list
  { router = "a", by = "ethernet", port = "eth9", addresses = ["192.0.2.1/24" # beside an address
   ], neighbours = "192.0.2.2" },
  # inside
]

[router] # of nothing
a.id = 1
a.site = "s"
"b".id = 2 # beside b
b.site = "s"

[site]
# the place

s = { id = 1 } # beside s

[network]
originate = [] # nobody
name = "n \"quoted\" \\ あ"
asn = 63806
prefixes = ["43.228.174.0/24",
    # six
    "2402:3160::/32",
]
loopbacks = [ "43.228.174.128/26" ]
management = "fd63:806::/48" # the end of the line
# below everything

# and more
"##;
        let declaration = read(text);
        let printed = print(&declaration);
        let again = read(&printed);
        assert_eq!(again, declaration);
        assert_eq!(print(&again), printed);
        let words = |text: &str| {
            let mut words: Vec<String> = text
                .lines()
                .filter_map(|line| line.split_once('#'))
                .map(|(_, c)| c.trim().to_string())
                .collect();
            words.sort();
            words
        };
        assert_eq!(words(&printed), words(text));
        assert!(printed.contains("# six\n    \"2402:3160::/32\",\n"), "{printed}");
        assert!(printed.contains("[peer.x] # beside the peer\n# above the asn\nasn = 65000\n"), "{printed}");
        assert!(printed.contains("addresses = [\n    \"192.0.2.1/24\", # beside an address\n]"), "{printed}");
        assert!(printed.ends_with("\n# below everything\n\n# and more\n"), "{printed}");
    }
}
