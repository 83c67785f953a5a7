//! A scripted neighbour: says OPEN and KEEPALIVE when called, keeps what it is told, and announces
//! whatever a test wants.

use crate::id::{Asn, Prefix};
use crate::wire::bgp::{
    AfiSafi, AsPath, Attributes, Capability, Context, Message, MessageError, MpNextHop, MpReach,
    Notification, Open, PathIds, Refresh, UnicastNlri, Update, emit_keepalive, frame,
};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// RFC 4271 4.5: OPEN Message Error.
const OPEN_ERROR: u8 = 2;

pub struct Stranger {
    pub asn: Asn,
    pub address: IpAddr,
    pub listens: bool,
    /// Whether it can be asked to tell everything again (RFC 2918).
    pub refreshes_on_request: bool,
    pub four_octet: bool,
    /// In seconds; 0: none.
    pub hold_time: u16,
    /// What it says in OPEN beside its family, route refresh and its AS number.
    pub capabilities: Vec<Capability>,
    /// What it was told in the last OPEN.
    pub open: Option<Open>,
    /// What it has been told and not been told to forget.
    pub table: BTreeMap<Prefix, Attributes>,
    /// The same where it was told identifiers.
    pub paths: BTreeMap<(Prefix, u32), Attributes>,
    pub ends_of_rib: usize,
    pub notifications: Vec<Notification>,
    pub refreshes: usize,
    /// Other words of RFC 7313, each with how many UPDATEs had come by then.
    pub marks: Vec<(Refresh, usize)>,
    pub updates: usize,
    pub errors: Vec<MessageError>,
    stream: Vec<u8>,
}

impl Stranger {
    pub fn new(asn: Asn, address: IpAddr) -> Stranger {
        Stranger {
            asn,
            address,
            listens: true,
            refreshes_on_request: true,
            four_octet: true,
            hold_time: 0,
            capabilities: Vec::new(),
            open: None,
            table: BTreeMap::new(),
            paths: BTreeMap::new(),
            ends_of_rib: 0,
            notifications: Vec::new(),
            refreshes: 0,
            marks: Vec::new(),
            updates: 0,
            errors: Vec::new(),
            stream: Vec::new(),
        }
    }

    pub fn closed(&mut self) {
        self.table.clear();
        self.paths.clear();
        self.stream.clear();
    }

    fn our_open(&self) -> Vec<u8> {
        let family = if self.address.is_ipv4() { AfiSafi::IPV4_UNICAST } else { AfiSafi::IPV6_UNICAST };
        let identifier = Ipv4Addr::new(9, 9, 9, (self.asn.0 % 250) as u8 + 1);
        let mut capabilities = vec![Capability::Multiprotocol(family)];
        capabilities.extend(self.refreshes_on_request.then_some(Capability::RouteRefresh));
        capabilities.extend(self.capabilities.iter().cloned());
        let mut open = Open::new(self.asn, self.hold_time, identifier, capabilities);
        if !self.four_octet {
            open.capabilities.pop();
        }
        let mut bytes = Vec::new();
        open.emit_message(&mut bytes);
        emit_keepalive(&mut bytes);
        bytes
    }

    /// Whether it was told that there is no session (RFC 4486, RFC 9234 4.2).
    pub fn refused(&self) -> bool {
        self.notifications.iter().any(|it| it.code == OPEN_ERROR)
    }

    /// What it answers.
    pub fn received(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = core::mem::take(&mut self.stream);
        stream.extend_from_slice(bytes);
        let mut rest = &stream[..];
        let mut answer = Vec::new();
        let context = Context {
            four_octet: self.four_octet,
            path_ids: self.path_ids(),
            extended: self.capabilities.contains(&Capability::ExtendedMessage),
            ..Context::default()
        };
        while let Some(found) = frame(rest, context.message_max()).unwrap() {
            rest = &rest[found.wire_len()..];
            match Message::parse(found, context) {
                Ok(Message::Open(open)) => {
                    self.open = Some(open);
                    answer.extend(self.our_open());
                }
                Ok(Message::Update(decoded)) => {
                    assert!(decoded.errors.is_empty(), "{:?}", decoded.errors);
                    self.update(decoded.update);
                }
                Ok(Message::Notification(notification)) => self.notifications.push(notification),
                Ok(Message::RouteRefresh(_, Refresh::Request)) => self.refreshes += 1,
                Ok(Message::RouteRefresh(_, what)) => self.marks.push((what, self.updates)),
                Ok(Message::Keepalive) => {}
                Err(error) => self.errors.push(error),
            }
        }
        self.stream = rest.to_vec();
        answer
    }

    /// It understands identifiers where it says that it takes them and hears that they are sent.
    fn path_ids(&self) -> PathIds {
        let takes = |family| {
            let said = self.capabilities.iter().any(|it| match it {
                Capability::AddPath(families) => families.iter().any(|it| it.0 == family && it.1.receive),
                _ => false,
            });
            said && self.open.as_ref().is_some_and(|open| open.add_path(family).send)
        };
        PathIds { ipv4: takes(AfiSafi::IPV4_UNICAST), ipv6: takes(AfiSafi::IPV6_UNICAST) }
    }

    fn update(&mut self, update: Update) {
        self.updates += 1;
        if update.end_of_rib().is_some() {
            self.ends_of_rib += 1;
            return;
        }
        let unreachable = update.mp_unreach.iter().flat_map(|it| &it.prefixes);
        for route in update.withdrawn.iter().chain(unreachable) {
            match route.path_id {
                Some(id) => drop(self.paths.remove(&(route.prefix, id))),
                None => drop(self.table.remove(&route.prefix)),
            }
        }
        let reach = update.mp_reach.iter().flat_map(|it| &it.prefixes);
        for route in update.announced.iter().chain(reach) {
            let attributes = update.attributes.clone().unwrap();
            match route.path_id {
                Some(id) => drop(self.paths.insert((route.prefix, id), attributes)),
                None => drop(self.table.insert(route.prefix, attributes)),
            }
        }
    }

    /// An UPDATE that announces prefixes of its family with a path that begins with its number.
    pub fn announcement(
        &self,
        prefixes: &[&str],
        path: &[u32],
        change: impl FnOnce(&mut Attributes),
    ) -> Vec<u8> {
        let prefixes = prefixes.iter().map(|text| text.parse::<Prefix>().unwrap().into());
        self.announcement_of(prefixes.collect(), path, change)
    }

    /// The same with path identifiers, or without.
    pub fn announcement_of(
        &self,
        prefixes: Vec<UnicastNlri>,
        path: &[u32],
        change: impl FnOnce(&mut Attributes),
    ) -> Vec<u8> {
        let path = core::iter::once(self.asn).chain(path.iter().map(|&asn| Asn(asn)));
        let mut attributes = Attributes { as_path: AsPath::sequence(path), ..Attributes::default() };
        change(&mut attributes);
        let mut update = Update { attributes: Some(attributes), ..Update::default() };
        match self.address {
            IpAddr::V4(address) => {
                update.next_hop = Some(address);
                update.announced = prefixes;
            }
            IpAddr::V6(address) => {
                let next_hop = MpNextHop::V6(address);
                let family = AfiSafi::IPV6_UNICAST;
                update.mp_reach = Some(MpReach { family, next_hop, prefixes, evpn: Vec::new() });
            }
        }
        let mut bytes = Vec::new();
        update.emit(self.four_octet, &mut bytes);
        bytes
    }

    pub fn withdrawal(&self, prefixes: &[&str]) -> Vec<u8> {
        let prefixes = prefixes.iter().map(|text| text.parse::<Prefix>().unwrap().into());
        self.withdrawal_of(&prefixes.collect::<Vec<_>>())
    }

    pub fn withdrawal_of(&self, prefixes: &[UnicastNlri]) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::wire::bgp::withdraw(
            crate::wire::bgp::MESSAGE_MAX,
            self.address.is_ipv4(),
            prefixes,
            &mut bytes,
        );
        bytes
    }

    /// The path under which it hears of a prefix, as text.
    pub fn path(&self, prefix: &str) -> Option<alloc::string::String> {
        let attributes = self.table.get(&prefix.parse().unwrap())?;
        Some(alloc::format!("{}", attributes.as_path))
    }
}
