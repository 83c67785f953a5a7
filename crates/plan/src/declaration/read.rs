//! From TOML to a declaration, along the table of keys. Every mistake is told; what could not be
//! read is kept as an unsound value, so that the checks can go on.

use super::keys::{self, Key, Kind, Table as Keys};
use super::*;
use crate::problem::{Found, Problem, ProblemKind};
use std::collections::HashMap;
use std::ops::Range;
use toml::de::{DeArray, DeString, DeTable, DeValue};

type Entry<'a, 'i> = (&'a toml::Spanned<DeString<'i>>, &'a toml::Spanned<DeValue<'i>>);

/// Reads a file: what was said, and all that is wrong with how it is written. The declaration is
/// there only if nothing is wrong.
pub fn parse(text: &str) -> (Option<Declaration>, Vec<Problem>) {
    let (draft, problems) = draft(text);
    (draft.filter(|_| problems.is_empty()), problems)
}

/// The same with a declaration that may have unsound values; `None` if the text is not TOML.
pub(crate) fn draft(text: &str) -> (Option<Declaration>, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problems = errors.iter().map(|error| {
            let span = error.span().unwrap_or(0..text.len());
            Problem::new(span, ProblemKind::Syntax { message: error.message().into() })
        });
        return (None, problems.collect());
    }
    let mut reader = Reader { problems: Vec::new() };
    let declaration = reader.file(document.get_ref());
    (Some(declaration), reader.problems)
}

struct Reader {
    problems: Vec<Problem>,
}

/// One table on its way into a type.
struct Fields<'a, 'i> {
    keys: &'static Keys,
    /// The table's name in the file, for messages; empty if it has none.
    name: String,
    /// What is underlined if a key is missing.
    span: Range<usize>,
    entries: HashMap<&'static str, Entry<'a, 'i>>,
}

impl<'a, 'i> Fields<'a, 'i> {
    fn entry(&self, name: &str) -> Option<(&'static Key, Entry<'a, 'i>)> {
        let key = self.keys.key(name);
        debug_assert!(key.is_some(), "{name} is not in the table of {}", self.keys.name);
        let key = key?;
        Some((key, *self.entries.get(key.name)?))
    }
}

impl Reader {
    fn tell(&mut self, span: Range<usize>, kind: ProblemKind) {
        self.problems.push(Problem::new(span, kind));
    }

    fn fields<'a, 'i>(
        &mut self,
        keys: &'static Keys,
        name: &str,
        span: Range<usize>,
        table: &'a DeTable<'i>,
    ) -> Fields<'a, 'i> {
        let mut entries = HashMap::new();
        for (said, value) in table.iter() {
            match keys.key(said.get_ref()) {
                Some(key) => {
                    entries.insert(key.name, (said, value));
                }
                None => self.tell(
                    said.span(),
                    ProblemKind::UnknownKey {
                        table: keys.name,
                        key: said.get_ref().to_string(),
                        suggestion: None,
                    },
                ),
            }
        }
        for key in keys.keys.iter().filter(|key| key.required && !entries.contains_key(key.name)) {
            self.tell(
                span.clone(),
                ProblemKind::MissingKey { table: keys.name, name: name.into(), key: key.name },
            );
        }
        Fields { keys, name: name.into(), span, entries }
    }

    fn required<T: Read>(&mut self, fields: &Fields, name: &'static str) -> Said<T> {
        self.optional(fields, name).unwrap_or_else(|| Said::unsound(T::placeholder(), fields.span.clone()))
    }

    fn optional<T: Read>(&mut self, fields: &Fields, name: &'static str) -> Option<Said<T>> {
        let (key, (_, value)) = fields.entry(name)?;
        Some(self.value(&key.kind, value))
    }

    fn value<T: Read>(&mut self, kind: &Kind, value: &toml::Spanned<DeValue>) -> Said<T> {
        match T::read(self, kind, value) {
            Some(read) => Said::new(read, value.span()),
            None => Said::unsound(T::placeholder(), value.span()),
        }
    }

    fn wrong_type(&mut self, expected: &Kind, value: &toml::Spanned<DeValue>) {
        let found = match value.get_ref() {
            DeValue::String(_) => Found::Text,
            DeValue::Integer(_) => Found::Integer,
            DeValue::Float(_) => Found::Float,
            DeValue::Boolean(_) => Found::Flag,
            DeValue::Datetime(_) => Found::Date,
            DeValue::Array(_) => Found::List,
            DeValue::Table(_) => Found::Table,
        };
        self.tell(value.span(), ProblemKind::WrongType { expected: *expected, found });
    }

    fn text<'a>(&mut self, kind: &Kind, value: &'a toml::Spanned<DeValue>) -> Option<&'a str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(kind, value);
        }
        text
    }

    /// The tables under a key such as `router`, in the order of the file.
    fn named<'a, 'i>(
        &mut self,
        fields: &Fields<'a, 'i>,
        name: &'static str,
    ) -> Vec<(Said<String>, Fields<'a, 'i>)> {
        let Some((key, (_, value))) = fields.entry(name) else { return Vec::new() };
        let Kind::Named(keys) = key.kind else { return Vec::new() };
        let Some(tables) = value.get_ref().as_table() else {
            self.wrong_type(&key.kind, value);
            return Vec::new();
        };
        let mut entries: Vec<Entry> = tables.iter().collect();
        entries.sort_by_key(|(said, _)| said.span().start);
        let mut found = Vec::new();
        for (said, value) in entries {
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(&Kind::One(keys), value);
                continue;
            };
            if !is_name(said.get_ref()) {
                self.tell(said.span(), ProblemKind::BadName { name: said.get_ref().to_string() });
            }
            let fields = self.fields(keys, said.get_ref(), said.span(), table);
            found.push((Said::new(said.get_ref().to_string(), said.span()), fields));
        }
        found
    }

    /// The tables of a `[[key]]`.
    fn many<'a, 'i>(
        &mut self,
        fields: &Fields<'a, 'i>,
        name: &'static str,
    ) -> Vec<(Range<usize>, Fields<'a, 'i>)> {
        let Some((key, (_, value))) = fields.entry(name) else { return Vec::new() };
        let Kind::Many(keys) = key.kind else { return Vec::new() };
        let Some(tables) = value.get_ref().as_array() else {
            self.wrong_type(&key.kind, value);
            return Vec::new();
        };
        let mut found = Vec::new();
        for value in tables.iter() {
            match value.get_ref().as_table() {
                Some(table) => {
                    let fields = self.fields(keys, &fields.name, value.span(), table);
                    found.push((value.span(), fields));
                }
                None => self.wrong_type(&Kind::One(keys), value),
            }
        }
        found
    }
}

// One function per table of the file.
impl Reader {
    fn file(&mut self, table: &DeTable) -> Declaration {
        let file = self.fields(&keys::FILE, "", 0..0, table);
        Declaration {
            network: self.network(&file),
            sites: self.named(&file, "site").into_iter().map(|(name, f)| self.site(name, &f)).collect(),
            devices: self.named(&file, "device").into_iter().map(|(name, f)| self.device(name, &f)).collect(),
            persons: self
                .named(&file, "person")
                .into_iter()
                .map(|(name, f)| Person { name, id: self.required(&f, "id") })
                .collect(),
            routers: self.named(&file, "router").into_iter().map(|(name, f)| self.router(name, &f)).collect(),
            links: self
                .many(&file, "link")
                .into_iter()
                .map(|(span, f)| Said::new(self.link(&f), span))
                .collect(),
            segments: self
                .named(&file, "segment")
                .into_iter()
                .map(|(name, f)| self.segment(name, &f))
                .collect(),
            peers: self.named(&file, "peer").into_iter().map(|(name, f)| self.peer(name, &f)).collect(),
            closing: Vec::new(),
        }
    }

    fn network(&mut self, file: &Fields) -> Said<Network> {
        let empty = DeTable::new();
        let (span, table) = match file.entry("network") {
            None => (0..0, None),
            Some((key, (said, value))) => {
                let table = value.get_ref().as_table();
                if table.is_none() {
                    self.wrong_type(&key.kind, value);
                }
                (said.span(), table)
            }
        };
        let told = self.problems.len();
        let fields = self.fields(&keys::NETWORK, "", span.clone(), table.unwrap_or(&empty));
        if table.is_none() {
            // Told once: the table is not there.
            self.problems.truncate(told);
        }
        let network = Network {
            name: self.required(&fields, "name"),
            asn: self.required(&fields, "asn"),
            prefixes: self.required(&fields, "prefixes"),
            loopbacks: self.required(&fields, "loopbacks"),
            management: self.required(&fields, "management"),
            mtu: self.optional(&fields, "mtu"),
            originate: self.optional(&fields, "originate"),
        };
        match table {
            Some(_) => Said::new(network, span),
            None => Said::unsound(network, span),
        }
    }

    fn site(&mut self, name: Said<String>, f: &Fields) -> Site {
        Site {
            name,
            id: self.required(f, "id"),
            label: self.optional(f, "name"),
            switch_mtu: self.optional(f, "switch-mtu"),
        }
    }

    fn device(&mut self, name: Said<String>, f: &Fields) -> Device {
        Device {
            name,
            id: self.required(f, "id"),
            site: self.required(f, "site"),
            kind: self.optional(f, "kind"),
        }
    }

    fn router(&mut self, name: Said<String>, f: &Fields) -> Router {
        Router {
            name,
            id: self.required(f, "id"),
            site: self.required(f, "site"),
            asn: self.optional(f, "asn"),
            meeting: self.optional(f, "meeting"),
            management_port: self.optional(f, "management-port"),
            table: self.optional(f, "table"),
            engine: self.optional(f, "engine"),
            uplinks: self.named(f, "uplink").into_iter().map(|(name, f)| self.uplink(name, &f)).collect(),
        }
    }

    fn uplink(&mut self, name: Said<String>, f: &Fields) -> Uplink {
        Uplink {
            name,
            kind: self.required(f, "kind"),
            region: self.optional(f, "region"),
            port: self.required(f, "port"),
            share: self.optional(f, "share"),
            path_mtu: self.optional(f, "path-mtu"),
            address: self.required(f, "address"),
            gateway: self.optional(f, "gateway"),
            passes: self.optional(f, "passes"),
            purposes: self.required(f, "for"),
        }
    }

    fn link(&mut self, f: &Fields) -> Link {
        Link {
            between: self.required(f, "between"),
            by: self.required(f, "by"),
            over: self.optional(f, "over"),
            ports: self.optional(f, "ports"),
            cost: self.optional(f, "cost"),
            cleartext: self.optional(f, "cleartext"),
            engine: self.optional(f, "engine"),
        }
    }

    fn segment(&mut self, name: Said<String>, f: &Fields) -> Segment {
        Segment {
            name,
            vni: self.required(f, "vni"),
            ports: self.required(f, "ports"),
            gateway: self.optional(f, "gateway"),
        }
    }

    fn peer(&mut self, name: Said<String>, f: &Fields) -> Peer {
        Peer {
            name,
            asn: self.required(f, "asn"),
            role: self.required(f, "role"),
            prefixes: self.optional(f, "prefixes"),
            prepend: self.optional(f, "prepend"),
            limit: self.optional(f, "limit"),
            at: self.many(f, "at").into_iter().map(|(span, f)| Said::new(self.peer_at(&f), span)).collect(),
        }
    }

    fn peer_at(&mut self, f: &Fields) -> PeerAt {
        PeerAt {
            router: self.required(f, "router"),
            by: self.required(f, "by"),
            over: self.optional(f, "over"),
            port: self.optional(f, "port"),
            mtu: self.optional(f, "mtu"),
            remote: self.optional(f, "remote"),
            addresses: self.required(f, "addresses"),
            neighbours: self.required(f, "neighbours"),
        }
    }
}

/// A name that can stand in file names, interface names and key names.
pub(crate) fn is_name(text: &str) -> bool {
    let clean = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    clean && (1..=40).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// What can be read from one value.
trait Read: Sized {
    /// `None` after the problem has been told.
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<Self>;
    /// Stands for what could not be read.
    fn placeholder() -> Self;
}

impl Read for String {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<String> {
        reader.text(kind, value).map(str::to_string)
    }
    fn placeholder() -> String {
        String::new()
    }
}

impl Read for bool {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<bool> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            reader.wrong_type(kind, value);
        }
        flag
    }
    fn placeholder() -> bool {
        false
    }
}

fn integer(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<u64> {
    let Some(integer) = value.get_ref().as_integer() else {
        reader.wrong_type(kind, value);
        return None;
    };
    let Kind::Integer { least, most } = *kind else { return None };
    let read = u64::from_str_radix(integer.as_str(), integer.radix());
    let read = read.ok().filter(|read| (least..=most).contains(read));
    if read.is_none() {
        reader.tell(value.span(), ProblemKind::OutOfRange { least, most });
    }
    read
}

macro_rules! read_integer {
    ($($type:ty, $make:expr;)*) => {$(
        impl Read for $type {
            fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<$type> {
                // The table's range fits the type: a test reads both ends of every range.
                integer(reader, kind, value).and_then(|read| read.try_into().ok()).map($make)
            }
            fn placeholder() -> $type {
                $make(0)
            }
        }
    )*};
}

read_integer! {
    u8, |n: u8| n;
    u16, |n: u16| n;
    u32, |n: u32| n;
    Asn, Asn;
    Vni, Vni;
}

impl Read for IfName {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<IfName> {
        let text = reader.text(kind, value)?;
        let port = IfName::new(text).ok();
        if port.is_none() {
            reader.tell(value.span(), ProblemKind::BadPort { text: text.into() });
        }
        port
    }
    fn placeholder() -> IfName {
        IfName::loopback()
    }
}

impl Read for PortRef {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<PortRef> {
        let text = reader.text(kind, value)?;
        let read = text.split_once(':').and_then(|(router, port)| {
            Some(PortRef { router: router.into(), port: IfName::new(port).ok()? })
        });
        if read.is_none() {
            reader.tell(value.span(), ProblemKind::BadPortRef { text: text.into() });
        }
        read
    }
    fn placeholder() -> PortRef {
        PortRef { router: String::new(), port: IfName::loopback() }
    }
}

impl Read for IpAddr {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<IpAddr> {
        let text = reader.text(kind, value)?;
        let address = text.parse().ok();
        if address.is_none() {
            reader.tell(value.span(), ProblemKind::BadAddress { text: text.into() });
        }
        address
    }
    fn placeholder() -> IpAddr {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}

impl Read for Prefix {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<Prefix> {
        let text = reader.text(kind, value)?;
        let Ok(prefix) = text.parse::<Prefix>() else {
            reader.tell(value.span(), ProblemKind::BadPrefix { text: text.into() });
            return None;
        };
        if matches!(kind, Kind::Prefix) && prefix.trunc() != prefix {
            reader.tell(value.span(), ProblemKind::HostBits { network: prefix.trunc().to_string() });
            return None;
        }
        Some(prefix)
    }
    fn placeholder() -> Prefix {
        Prefix::V6(ipnet::Ipv6Net::default())
    }
}

impl Read for LineAddress {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<LineAddress> {
        Some(match reader.text(kind, value)? {
            "auto" => LineAddress::Auto,
            "dhcp" => LineAddress::Dhcp,
            "dhcp6-pd" => LineAddress::Dhcp6Pd,
            "pppoe" => LineAddress::Pppoe,
            _ => LineAddress::Stated(Prefix::read(reader, kind, value)?),
        })
    }
    fn placeholder() -> LineAddress {
        LineAddress::Auto
    }
}

impl<T: Read> Read for Vec<Said<T>> {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<Vec<Said<T>>> {
        let inner = match kind {
            Kind::List(inner) | Kind::OneOrMore(inner) => *inner,
            _ => return None,
        };
        match (value.get_ref(), kind) {
            (DeValue::Array(array), _) => Some(elements(reader, inner, array)),
            (_, Kind::OneOrMore(_)) => Some(vec![reader.value(inner, value)]),
            _ => {
                reader.wrong_type(kind, value);
                None
            }
        }
    }
    fn placeholder() -> Vec<Said<T>> {
        Vec::new()
    }
}

fn elements<T: Read>(reader: &mut Reader, inner: &Kind, array: &DeArray) -> Vec<Said<T>> {
    array.iter().map(|element| reader.value(inner, element)).collect()
}

impl<T: Read> Read for [Said<T>; 2] {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<[Said<T>; 2]> {
        let Kind::Pair(inner) = kind else { return None };
        let Some(array) = value.get_ref().as_array() else {
            reader.wrong_type(kind, value);
            return None;
        };
        let found = elements(reader, inner, array);
        let count = found.len();
        let pair = found.try_into().ok();
        if pair.is_none() {
            reader.tell(value.span(), ProblemKind::NotAPair { count });
        }
        pair
    }
    fn placeholder() -> [Said<T>; 2] {
        [Said::unsound(T::placeholder(), 0..0), Said::unsound(T::placeholder(), 0..0)]
    }
}

/// Words of the file and what they mean, in the order of the table's words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [&'static str];
    const VALUES: &'static [Self];

    fn word(self) -> &'static str {
        let at = Self::VALUES.iter().position(|value| *value == self);
        at.and_then(|at| Self::WORDS.get(at)).copied().unwrap_or("")
    }
}

impl<T: Word> Read for T {
    fn read(reader: &mut Reader, kind: &Kind, value: &toml::Spanned<DeValue>) -> Option<T> {
        let text = reader.text(kind, value)?;
        let at = T::WORDS.iter().position(|word| *word == text);
        if at.is_none() {
            let kind = ProblemKind::UnknownWord { word: text.into(), known: T::WORDS, suggestion: None };
            reader.tell(value.span(), kind);
        }
        at.and_then(|at| T::VALUES.get(at)).copied()
    }
    fn placeholder() -> T {
        T::VALUES[0]
    }
}

macro_rules! words {
    ($($type:ty, $words:expr, [$($value:ident),*];)*) => {$(
        impl Word for $type {
            const WORDS: &'static [&'static str] = $words;
            const VALUES: &'static [$type] = &[$(<$type>::$value),*];
        }
    )*};
}

words! {
    LineKind, &keys::LINE_KINDS,
        [Ngn, FtthIpoe, Pppoe, DsLite, MapE, Lte, Gcp, Azure, Cloud, Datacenter];
    Region, keys::REGIONS, [East, West];
    Pass, keys::PASSES, [Udp, Gre, EtherIp, Fragments, Incoming];
    Purpose, keys::PURPOSES, [Fabric, Management];
    Table, keys::TABLES, [Full, Default];
    Engine, keys::ENGINES, [Auto, Kernel, Userspace];
    LinkBy, keys::LINK_BY, [Ethernet, Gre, EtherIp, WireGuard];
    PeerBy, keys::PEER_BY, [EtherIp, Gretap, Ethernet];
    Role, keys::ROLES, [Provider, Peer, Customer];
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLES: [&str; 2] = [
        include_str!("../../../../examples/two-homes.toml"),
        include_str!("../../../../examples/as63806.toml"),
    ];

    #[test]
    fn the_examples_are_read() {
        for text in EXAMPLES {
            let (declaration, problems) = parse(text);
            assert_eq!(problems, []);
            assert!(declaration.is_some());
        }
        let big = parse(EXAMPLES[1]).0.unwrap();
        assert_eq!(big.routers.len(), 10);
        assert_eq!(*big.routers[0].name, "cr0101");
        assert_eq!(big.links.len(), 16);
        assert_eq!(big.peers[0].at[0].neighbours.len(), 2);
    }
}
