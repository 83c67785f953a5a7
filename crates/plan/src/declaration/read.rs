//! From TOML to a declaration, along the table of keys. Every mistake is told; what could not be
//! read is kept as an unsound value, so that the checks can go on.

use super::keys::{self, Key, Kind, Table as Keys};
use super::syntax::{self, Trust};
use super::values::Read;
use super::*;
use crate::problem::{Found, Problem, ProblemKind, Reading};
use crate::suggest::closest;
use std::collections::HashMap;
use std::ops::Range;
use toml::de::{DeString, DeTable, DeValue};

type Entry<'a, 'i> = (&'a toml::Spanned<DeString<'i>>, &'a toml::Spanned<DeValue<'i>>);

/// Reads a file: what was said, and all that is wrong with how it is written. The declaration is
/// there only if nothing is wrong.
pub fn parse(text: &str) -> (Option<Declaration>, Vec<Problem>) {
    let (draft, problems) = draft(text);
    (draft.filter(|_| problems.is_empty()), problems)
}

/// The same with a declaration that may have unsound values; `None` if parts of it may be missing.
pub(crate) fn draft(text: &str) -> (Option<Declaration>, Vec<Problem>) {
    let (document, mut problems, trust) = syntax::document(text);
    if trust == Trust::Nothing {
        return (None, problems);
    }
    let mut reader = Reader::default();
    let mut declaration = reader.file(document.get_ref());
    if trust == Trust::Values {
        reader.problems.retain(|problem| is_of_a_value(problem) && !share_a_line(text, problem, &problems));
        problems.append(&mut reader.problems);
        return (None, problems);
    }
    problems.append(&mut reader.problems);
    if problems.is_empty() && text.contains('#') {
        // Only now is it known where all values are: read again, each with its comments.
        let (comments, closing) = comments::attach(text, reader.anchors);
        let mut reader = Reader { comments, ..Reader::default() };
        declaration = Declaration { closing, ..reader.file(document.get_ref()) };
    }
    (Some(declaration), problems)
}

fn is_of_a_value(problem: &Problem) -> bool {
    let ProblemKind::Reading(reading) = &problem.kind else { return false };
    !matches!(reading, Reading::UnknownKey { .. } | Reading::MissingKey { .. } | Reading::WrongType { .. })
}

/// Whether one of the others is told on the problem's line.
fn share_a_line(text: &str, problem: &Problem, others: &[Problem]) -> bool {
    let at = problem.span.start;
    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    let first = others.partition_point(|other| other.span.start < begin);
    others.get(first).is_some_and(|other| other.span.start <= end)
}

#[derive(Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    /// The spans of all values, for the comments.
    anchors: Vec<Range<usize>>,
    comments: HashMap<usize, Box<Comment>>,
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
    pub(super) fn tell(&mut self, span: Range<usize>, kind: Reading) {
        self.problems.push(Problem::new(span, kind));
    }

    /// The value that begins here, with its comments.
    fn said<T>(&mut self, value: T, span: Range<usize>) -> Said<T> {
        let comment = self.comments.remove(&span.start);
        self.anchors.push(span.clone());
        Said::new(value, span).with_comment(comment)
    }

    fn fields<'a, 'i>(
        &mut self,
        keys: &'static Keys,
        name: &str,
        span: Range<usize>,
        table: &'a DeTable<'i>,
    ) -> Fields<'a, 'i> {
        let mut entries: HashMap<&'static str, Entry<'a, 'i>> = HashMap::new();
        let mut unknown = Vec::new();
        for entry in table.iter() {
            match keys.key(entry.0.get_ref()) {
                Some(key) => {
                    entries.insert(key.name, entry);
                }
                None => unknown.push(entry),
            }
        }
        for entry in unknown {
            let word = entry.0.get_ref();
            let free = keys.keys.iter().map(|key| key.name).filter(|key| !entries.contains_key(key));
            let suggestion = closest(word, free);
            // What was meant is read all the same: one mistake is told once.
            if let Some(meant) = suggestion {
                entries.insert(meant, entry);
            }
            let kind = Reading::UnknownKey { table: keys.name, key: word.to_string(), suggestion };
            self.tell(entry.0.span(), kind);
        }
        for key in keys.keys.iter().filter(|key| key.required && !entries.contains_key(key.name)) {
            self.tell(
                span.clone(),
                Reading::MissingKey { table: keys.name, name: name.into(), key: key.name },
            );
        }
        Fields { keys, name: name.into(), span, entries }
    }

    /// Stands for a table that is none; that has been told.
    fn no_fields<'a, 'i>(keys: &'static Keys, name: &str, span: Range<usize>) -> Fields<'a, 'i> {
        Fields { keys, name: name.into(), span, entries: HashMap::new() }
    }

    fn required<T: Read>(&mut self, fields: &Fields, name: &'static str) -> Said<T> {
        self.optional(fields, name).unwrap_or_else(|| Said::unsound(T::placeholder(), fields.span.clone()))
    }

    fn optional<T: Read>(&mut self, fields: &Fields, name: &'static str) -> Option<Said<T>> {
        let (key, (_, value)) = fields.entry(name)?;
        Some(self.value(&key.kind, value))
    }

    /// As [`Reader::optional`], of a key that not every table of the kind has.
    fn optional_here<T: Read>(&mut self, fields: &Fields, name: &'static str) -> Option<Said<T>> {
        fields.keys.key(name)?;
        self.optional(fields, name)
    }

    pub(super) fn value<T: Read>(&mut self, kind: &'static Kind, value: &toml::Spanned<DeValue>) -> Said<T> {
        // A list takes its comments before its first value, which may begin at the same place.
        let said = self.said((), value.span());
        match T::read(self, kind, value) {
            Some(read) => said.with(read),
            None => Said::unsound(T::placeholder(), value.span()),
        }
    }

    pub(super) fn wrong_type(&mut self, expected: Kind, value: &toml::Spanned<DeValue>) {
        let found = match value.get_ref() {
            DeValue::String(_) => Found::Text,
            DeValue::Integer(_) => Found::Integer,
            DeValue::Float(_) => Found::Float,
            DeValue::Boolean(_) => Found::Flag,
            DeValue::Datetime(_) => Found::Date,
            DeValue::Array(_) => Found::List,
            DeValue::Table(_) => Found::Table,
        };
        self.tell(value.span(), Reading::WrongType { expected, found });
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
            self.wrong_type(key.kind, value);
            return Vec::new();
        };
        let mut entries: Vec<Entry> = tables.iter().collect();
        entries.sort_by_key(|(said, _)| said.span().start);
        let mut found = Vec::new();
        for (said, value) in entries {
            let (name, span) = (said.get_ref().to_string(), said.span());
            let sound = is_name(&name);
            if !sound {
                self.tell(span.clone(), Reading::BadName { name: name.clone() });
            }
            let fields = match value.get_ref().as_table() {
                Some(table) => self.fields(keys, &name, span.clone(), table),
                None => {
                    self.wrong_type(Kind::One(keys), value);
                    Reader::no_fields(keys, &name, span.clone())
                }
            };
            found.push((self.said(name, span), fields));
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
            self.wrong_type(key.kind, value);
            return Vec::new();
        };
        if tables.is_empty() && key.required {
            self.tell(value.span(), Reading::EmptyList);
        }
        let mut found = Vec::new();
        for value in tables.iter() {
            let fields = match value.get_ref().as_table() {
                Some(table) => self.fields(keys, &fields.name, value.span(), table),
                None => {
                    self.wrong_type(Kind::One(keys), value);
                    Reader::no_fields(keys, &fields.name, value.span())
                }
            };
            found.push((value.span(), fields));
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
            rpki: self.rpki(&file),
            bmp: self.bmp(&file),
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
                .map(|(span, f)| {
                    let link = self.link(&f);
                    self.said(link, span)
                })
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
        let (span, fields) = match file.entry("network") {
            None => (0..0, None),
            Some((key, (said, value))) => match value.get_ref().as_table() {
                Some(table) => (said.span(), Some(self.fields(&keys::NETWORK, "", said.span(), table))),
                None => {
                    self.wrong_type(key.kind, value);
                    (said.span(), None)
                }
            },
        };
        let sound = fields.is_some();
        let fields = fields.unwrap_or_else(|| Reader::no_fields(&keys::NETWORK, "", span.clone()));
        // Its comments are taken before those of its values.
        let said = self.said((), span.clone());
        let network = Network {
            name: self.required(&fields, "name"),
            asn: self.required(&fields, "asn"),
            prefixes: self.required(&fields, "prefixes"),
            loopbacks: self.required(&fields, "loopbacks"),
            management: self.required(&fields, "management"),
            mtu: self.optional(&fields, "mtu"),
            originate: self.optional(&fields, "originate"),
            bfd: self.bfd(&fields),
        };
        if sound { said.with(network) } else { Said::unsound(network, span) }
    }

    fn rpki(&mut self, file: &Fields) -> Option<Said<Rpki>> {
        let (key, (said, value)) = file.entry("rpki")?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key.kind, value);
            return None;
        };
        let fields = self.fields(&keys::RPKI, "", said.span(), table);
        // Its comments are taken before those of its values.
        let said = self.said((), said.span());
        Some(said.with(Rpki {
            caches: self.required(&fields, "caches"),
            plane: self.optional(&fields, "plane"),
            expire: self.optional(&fields, "expire"),
            slurm: self.optional(&fields, "slurm"),
        }))
    }

    fn bmp(&mut self, file: &Fields) -> Option<Said<Bmp>> {
        let (key, (said, value)) = file.entry("bmp")?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key.kind, value);
            return None;
        };
        let fields = self.fields(&keys::BMP, "", said.span(), table);
        // Its comments are taken before those of its values.
        let said = self.said((), said.span());
        let collectors = self.required(&fields, "collectors");
        Some(said.with(Bmp { collectors, plane: self.optional(&fields, "plane") }))
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
            drain: self.optional(f, "drain"),
            management_port: self.optional(f, "management-port"),
            table: self.optional(f, "table"),
            engine: self.optional(f, "engine"),
            routing: self.optional(f, "routing"),
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
            keepalive: self.optional(f, "keepalive"),
            bfd: self.bfd(f),
        }
    }

    fn bfd(&mut self, f: &Fields) -> BfdSaid {
        BfdSaid {
            on: self.optional(f, "bfd"),
            interval: self.optional(f, "bfd-interval"),
            multiplier: self.optional(f, "bfd-multiplier"),
            multihop: self.optional_here(f, "bfd-multihop"),
        }
    }

    fn segment(&mut self, name: Said<String>, f: &Fields) -> Segment {
        Segment {
            name,
            vni: self.required(f, "vni"),
            ports: self.optional(f, "ports").unwrap_or_else(|| Said::new(Vec::new(), f.span.clone())),
            gateway: self.optional(f, "gateway"),
            dns: self.optional(f, "dns"),
            dhcp: self.optional(f, "dhcp"),
            deny: self.optional(f, "deny"),
            allow: self.optional(f, "allow"),
            vtep: self.optional(f, "vtep"),
            route_target: self.optional(f, "route-target"),
            index: self.optional(f, "index"),
            port: self
                .many(f, "port")
                .into_iter()
                .map(|(span, f)| {
                    let port = SegmentPort {
                        at: self.required(&f, "at"),
                        vlan: self.optional(&f, "vlan"),
                        lan: self.optional(&f, "lan"),
                        standby: self.optional(&f, "standby"),
                        storm_limit: self.optional(&f, "storm-limit"),
                    };
                    self.said(port, span)
                })
                .collect(),
            tunnels: TunnelBy::ALL.into_iter().flat_map(|by| self.tunnel_ends(by, f)).collect(),
        }
    }

    fn tunnel_ends(&mut self, by: TunnelBy, f: &Fields) -> Vec<Said<TunnelEnd>> {
        let tables = self.many(f, word(by)).into_iter();
        let end = |(span, f): (Range<usize>, Fields)| {
            let end = TunnelEnd {
                by,
                router: self.required(&f, "router"),
                over: self.required(&f, "over"),
                remote: self.required(&f, "remote"),
                terms: self.tunnel_terms(&f),
                lan: self.optional(&f, "lan"),
                standby: self.optional(&f, "standby"),
                storm_limit: self.optional(&f, "storm-limit"),
                keepalive: self.optional(&f, "keepalive"),
            };
            self.said(end, span)
        };
        tables.map(end).collect()
    }

    /// Of these, each table has the keys that mean something there.
    fn tunnel_terms(&mut self, f: &Fields) -> TunnelTerms {
        TunnelTerms {
            key: self.optional_here(f, "key"),
            vni: self.optional_here(f, "vni"),
            accept_reversed: self.optional_here(f, "accept-reversed"),
            clamp: self.optional_here(f, "clamp"),
        }
    }

    fn peer(&mut self, name: Said<String>, f: &Fields) -> Peer {
        Peer {
            name,
            asn: self.required(f, "asn"),
            role: self.required(f, "role"),
            prefixes: self.optional(f, "prefixes"),
            as_set: self.optional(f, "as-set"),
            list: self.optional(f, "list"),
            origins: self.optional(f, "origins"),
            never_via: self.optional(f, "never-via"),
            announce: self.optional(f, "announce"),
            withhold: self.optional(f, "withhold"),
            prepend: self.optional(f, "prepend"),
            limit: self.optional(f, "limit"),
            limit_warn: self.optional(f, "limit-warn"),
            limit_rest: self.optional(f, "limit-rest"),
            add_paths_receive: self.optional(f, "add-paths-receive"),
            add_paths_send: self.optional(f, "add-paths-send"),
            strict_role: self.optional(f, "strict-role"),
            gtsm: self.optional(f, "gtsm"),
            bfd: self.bfd(f),
            password: self.optional(f, "password"),
            drain: self.optional(f, "drain"),
            invalid: self.optional(f, "invalid"),
            at: self
                .many(f, "at")
                .into_iter()
                .map(|(span, f)| {
                    let at = self.peer_at(&f);
                    self.said(at, span)
                })
                .collect(),
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
            terms: self.tunnel_terms(f),
            addresses: self.required(f, "addresses"),
            neighbours: self.required(f, "neighbours"),
            keepalive: self.optional(f, "keepalive"),
        }
    }
}

/// A name that can stand in file names, interface names and key names.
pub(crate) fn is_name(text: &str) -> bool {
    let clean = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    clean && (1..=40).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
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
