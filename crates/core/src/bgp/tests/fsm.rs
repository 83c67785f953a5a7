//! One session under any events in any order, and two that dial each other at once.

use super::net::{link_local, ms};
use crate::bgp::config::{Family, NeighbourConfig, Relation, Terms, Timers, Transport};
use crate::bgp::session::{Change, Output, Session, SessionEvent};
use crate::bgp::{Action, ConnectionId, NeighbourId, SessionEnd, SessionState};
use crate::id::{Asn, IfName};
use crate::time::Instant;
use crate::wire::bgp::{
    AfiSafi, Capability, DecodedUpdate, MESSAGE_MAX, Message, MessageError, Notification, Open, Refresh,
    Update, frame,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use proptest::collection::vec as many;
use proptest::prelude::*;

fn session(own: u32, far: u32) -> Session {
    let config = NeighbourConfig {
        name: "far".into(),
        transport: Transport::Unnumbered {
            link: IfName::new("link").unwrap(),
            local: link_local(own),
            remote: Some(link_local(far)),
        },
        local_asn: Asn::of_router(own),
        remote_asn: Asn::of_router(far),
        relation: Relation::Inside { prepends: 1 },
        families: vec![Family::Ipv4Unicast, Family::Ipv6Unicast],
        timers: Timers::INSIDE,
        terms: Terms::default(),
    };
    Session::new(NeighbourId(0), config, Ipv4Addr::from(own))
}

/// Two sessions that see each other's bytes in any order that TCP allows.
struct Two {
    sessions: [Session; 2],
    dialled: [u64; 2],
    /// Per connection and direction: what is under way. Keyed by the number of the call and the side
    /// that it goes to.
    ways: BTreeMap<(usize, usize), VecDeque<Under>>,
    /// By the number of the call: the id at each side.
    calls: Vec<[Option<ConnectionId>; 2]>,
    ups: [usize; 2],
}

enum Under {
    Syn,
    Connected,
    Bytes(Vec<u8>),
    Fin,
}

impl Two {
    fn new(a: u32, b: u32) -> Two {
        let mut two = Two {
            sessions: [session(a, b), session(b, a)],
            dialled: [0; 2],
            ways: BTreeMap::new(),
            calls: Vec::new(),
            ups: [0; 2],
        };
        for side in 0..2 {
            two.event(side, SessionEvent::LinkUp);
            two.event(side, SessionEvent::Start);
        }
        two
    }

    fn event(&mut self, side: usize, event: SessionEvent) {
        let mut actions = Vec::new();
        let mut out = Output { actions: &mut actions, changes: Vec::new(), dialled: &mut self.dialled[side] };
        self.sessions[side].step(Instant(1), event, &mut out);
        self.ups[side] += out.changes.iter().filter(|change| matches!(change, Change::Up(_))).count();
        for action in actions {
            let mut send = |id: ConnectionId, under: Under| {
                if let Some(call) = self.calls.iter().position(|ids| ids[side] == Some(id)) {
                    self.ways.entry((call, 1 - side)).or_default().push_back(under);
                }
            };
            match action {
                Action::Connect { connection, .. } => {
                    let mut ids = [None; 2];
                    ids[side] = Some(connection);
                    self.calls.push(ids);
                    self.ways.entry((self.calls.len() - 1, 1 - side)).or_default().push_back(Under::Syn);
                }
                Action::Send { connection, bytes } => send(connection, Under::Bytes(bytes)),
                Action::Close { connection } => {
                    send(connection, Under::Fin);
                    for ids in &mut self.calls {
                        if ids[side] == Some(connection) {
                            ids[side] = None;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Delivers what comes next on one of the ways; false if nothing is under way.
    fn deliver(&mut self, choice: usize) -> bool {
        let ready: Vec<(usize, usize)> =
            self.ways.iter().filter(|(_, queue)| !queue.is_empty()).map(|(&way, _)| way).collect();
        if ready.is_empty() {
            return false;
        }
        self.deliver_on(ready[choice % ready.len()]);
        true
    }

    /// In step: one delivery on every way on which something was under way, until nothing is.
    fn run_in_step(&mut self) {
        loop {
            let ready: Vec<(usize, usize)> =
                self.ways.iter().filter(|(_, queue)| !queue.is_empty()).map(|(&way, _)| way).collect();
            if ready.is_empty() {
                return;
            }
            ready.into_iter().for_each(|way| self.deliver_on(way));
        }
    }

    fn deliver_on(&mut self, (call, side): (usize, usize)) {
        let under = self.ways.get_mut(&(call, side)).unwrap().pop_front().unwrap();
        match under {
            Under::Syn => {
                let id = ConnectionId::accepted(call as u64);
                self.calls[call][side] = Some(id);
                self.ways.entry((call, 1 - side)).or_default().push_back(Under::Connected);
                self.event(side, SessionEvent::Accepted(id));
            }
            Under::Connected => {
                if let Some(id) = self.calls[call][side] {
                    self.event(side, SessionEvent::Connected(id));
                }
            }
            Under::Bytes(bytes) => {
                let mut rest = &bytes[..];
                while let Some(found) = frame(rest, MESSAGE_MAX).unwrap() {
                    rest = &rest[found.wire_len()..];
                    let Some(id) = self.calls[call][side] else { break };
                    let message = Message::parse(found, self.sessions[side].context(id));
                    self.event(side, SessionEvent::Message(id, message));
                }
            }
            Under::Fin => {
                if let Some(id) = self.calls[call][side].take() {
                    self.event(side, SessionEvent::Closed(id));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Whatever overtakes what, with no timer's help: one connection stands, the same at both ends,
    /// and it is the only one that ever stood.
    #[test]
    fn both_dial_and_one_connection_is_kept(
        a_is_higher in any::<bool>(),
        choices in many(any::<usize>(), 200),
    ) {
        let mut two = if a_is_higher { Two::new(9, 3) } else { Two::new(3, 9) };
        let mut choices = choices.into_iter().cycle();
        let mut steps = 0;
        while two.deliver(choices.next().unwrap()) {
            steps += 1;
            prop_assert!(steps < 200);
        }
        let states = [two.sessions[0].state(), two.sessions[1].state()];
        prop_assert_eq!(states, [SessionState::Established; 2]);
        let ids = [0, 1].map(|side| two.sessions[side].established().unwrap().connection);
        let call = two.calls.iter().position(|it| it[0] == Some(ids[0])).unwrap();
        prop_assert_eq!(two.calls[call][1], Some(ids[1]));
        prop_assert_eq!(two.ups, [1, 1]);
    }
}

#[test]
fn the_connection_of_the_higher_identifier_wins() {
    // In step, both stand in OpenSent on both connections when the OPENs come.
    for (own, far) in [(9, 3), (3, 9)] {
        let mut two = Two::new(own, far);
        two.run_in_step();
        let dialled = |side: usize| !two.sessions[side].established().unwrap().connection.is_accepted();
        assert_eq!([dialled(0), dialled(1)], [own > far, far > own]);
    }
}

#[test]
fn equal_identifiers_are_told_apart_by_the_as_number() {
    // RFC 6286 2.3.
    let mut two = Two::new(9, 3);
    let router_id = Ipv4Addr::new(1, 1, 1, 1);
    for side in 0..2 {
        let config = two.sessions[side].config.clone();
        two.sessions[side] = Session::new(NeighbourId(0), config, router_id);
    }
    two.calls.clear();
    two.ways.clear();
    for side in 0..2 {
        two.event(side, SessionEvent::LinkUp);
        two.event(side, SessionEvent::Start);
    }
    two.run_in_step();
    assert!(!two.sessions[0].established().unwrap().connection.is_accepted());
}

/// An event with its ids still open.
#[derive(Debug, Clone)]
enum Blind {
    Start,
    Link(bool),
    Heard(u32),
    Connected(usize),
    ConnectFailed(usize),
    Accepted,
    Closed(usize),
    Message(usize, Blurt),
    Time(u64),
    Limit,
    Expired,
}

#[derive(Debug, Clone)]
enum Blurt {
    Open { good: bool, hold: u16, higher: bool },
    Keepalive,
    Update,
    Refresh,
    Notification(u8, u8),
    Garbage,
}

fn blind() -> impl Strategy<Value = Blind> {
    let blurt = prop_oneof![
        4 => (prop::bool::weighted(0.8), prop_oneof![Just(0), 3..200_u16], any::<bool>())
            .prop_map(|(good, hold, higher)| Blurt::Open { good, hold, higher }),
        4 => Just(Blurt::Keepalive),
        2 => Just(Blurt::Update),
        1 => Just(Blurt::Refresh),
        1 => (1..9_u8, 0..9_u8).prop_map(|(code, subcode)| Blurt::Notification(code, subcode)),
        1 => Just(Blurt::Garbage),
    ];
    prop_oneof![
        1 => Just(Blind::Start),
        1 => any::<bool>().prop_map(Blind::Link),
        1 => (1..4_u32).prop_map(Blind::Heard),
        4 => (0..3_usize).prop_map(Blind::Connected),
        1 => (0..3_usize).prop_map(Blind::ConnectFailed),
        4 => Just(Blind::Accepted),
        1 => (0..3_usize).prop_map(Blind::Closed),
        12 => ((0..3_usize), blurt).prop_map(|(at, blurt)| Blind::Message(at, blurt)),
        4 => (1..2000_u64).prop_map(Blind::Time),
        1 => Just(Blind::Limit),
        2 => Just(Blind::Expired),
    ]
}

fn message(blurt: &Blurt) -> Result<Message, MessageError> {
    Ok(match *blurt {
        Blurt::Open { good, hold, higher } => {
            let asn = if good { Asn::of_router(2) } else { Asn(7) };
            let capabilities = vec![
                Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
                Capability::Multiprotocol(AfiSafi::IPV6_UNICAST),
                Capability::ExtendedNextHop(vec![(AfiSafi::IPV4_UNICAST, 2)]),
            ];
            Message::Open(Open::new(asn, hold, Ipv4Addr::from(if higher { 77 } else { 1 }), capabilities))
        }
        Blurt::Keepalive => Message::Keepalive,
        Blurt::Update => Message::Update(Box::new(DecodedUpdate {
            update: Update::default(),
            errors: vec![],
            evpn_faults: vec![],
        })),
        Blurt::Refresh => Message::RouteRefresh(AfiSafi::IPV4_UNICAST, Refresh::Request),
        Blurt::Notification(code, subcode) => Message::Notification(Notification::new(code, subcode)),
        Blurt::Garbage => return Err(MessageError::NotSynchronised),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_event_in_any_state(learns in any::<bool>(), events in many(blind(), 1..120)) {
        let mut session = session(5, 2);
        if learns {
            let mut config = session.config.clone();
            if let Transport::Unnumbered { remote, .. } = &mut config.transport {
                *remote = None;
            }
            session = Session::new(NeighbourId(0), config, Ipv4Addr::from(5));
        }
        let mut now = Instant(1_000_000_000);
        let (mut dialled, mut accepted) = (0, 0);
        let mut open: Vec<ConnectionId> = Vec::new();
        let mut closed = BTreeSet::new();
        let mut stands = false;
        for blind in events {
            let pick = |at: usize| open.get(at).copied().unwrap_or(ConnectionId::dialled(1 << 40));
            let event = match &blind {
                Blind::Start => SessionEvent::Start,
                Blind::Link(true) => SessionEvent::LinkUp,
                Blind::Link(false) => SessionEvent::LinkDown,
                Blind::Heard(id) => SessionEvent::RemoteHeard(link_local(*id)),
                Blind::Connected(at) => SessionEvent::Connected(pick(*at)),
                Blind::ConnectFailed(at) => SessionEvent::ConnectFailed(pick(*at)),
                Blind::Accepted => {
                    accepted += 1;
                    open.push(ConnectionId::accepted(accepted));
                    SessionEvent::Accepted(ConnectionId::accepted(accepted))
                }
                Blind::Closed(at) => SessionEvent::Closed(pick(*at)),
                Blind::Message(at, blurt) => SessionEvent::Message(pick(*at), message(blurt)),
                Blind::Time(millis) => {
                    now = now + ms(*millis);
                    SessionEvent::Timeout
                }
                Blind::Expired => {
                    now = session.next_timeout().unwrap_or(now).max(now);
                    SessionEvent::Timeout
                }
                Blind::Limit => SessionEvent::End(SessionEnd::PrefixLimit { limit: 1, rest: 1000 }, Notification::new(6, 1)),
            };
            if let SessionEvent::Closed(id) | SessionEvent::ConnectFailed(id) = event {
                open.retain(|it| *it != id);
            }
            let timeout = matches!(event, SessionEvent::Timeout);
            let mut actions = Vec::new();
            let mut out = Output { actions: &mut actions, changes: Vec::new(), dialled: &mut dialled };
            session.step(now, event, &mut out);
            for change in &out.changes {
                match change {
                    Change::Up(_) => prop_assert!(!core::mem::replace(&mut stands, true)),
                    Change::Down(..) => prop_assert!(core::mem::replace(&mut stands, false)),
                    Change::Update(_) | Change::Refresh(..) => prop_assert!(stands),
                    Change::Failed(_) => {}
                }
            }
            for action in actions {
                match action {
                    Action::Connect { connection, .. } => open.push(connection),
                    Action::Send { connection, .. } => {
                        prop_assert!(open.contains(&connection), "sends on what is closed");
                    }
                    Action::Close { connection } => {
                        prop_assert!(closed.insert(connection), "closed twice");
                        open.retain(|it| *it != connection);
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(stands, session.established().is_some());
            prop_assert_eq!(stands, session.state() == SessionState::Established);
            // What is open is held, and the other way round: nothing leaks.
            prop_assert!(open.len() <= 2, "{:?}", open);
            for id in &open {
                prop_assert!(session.connection(*id).is_some(), "forgotten: {:?}", id);
            }
            // A timeout that was taken does not come again at once.
            if timeout {
                prop_assert!(session.next_timeout().is_none_or(|at| at > now));
            }
        }
    }
}

/// OpenBGPD 7.7 sends what it had for a connection that came to nothing by the next one, too.
#[test]
fn an_open_that_comes_twice_says_nothing_new() {
    let id = ConnectionId::accepted(1);
    let open = |hold| {
        let families = vec![Capability::Multiprotocol(AfiSafi::IPV6_UNICAST)];
        Message::Open(Open::new(Asn::of_router(2), hold, Ipv4Addr::from(2), families))
    };
    for (again, stands) in [(open(90), true), (open(60), false)] {
        let mut session = session(1, 2);
        let said = [open(90), again, Message::Keepalive].map(|it| SessionEvent::Message(id, Ok(it)));
        let before = [SessionEvent::LinkUp, SessionEvent::Start, SessionEvent::Accepted(id)];
        let mut actions = Vec::new();
        for event in before.into_iter().chain(said) {
            let mut out = Output { actions: &mut actions, changes: Vec::new(), dialled: &mut 0 };
            session.step(Instant(1), event, &mut out);
        }
        assert_eq!(session.established().is_some(), stands);
    }
}
