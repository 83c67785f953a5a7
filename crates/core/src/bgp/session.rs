//! The session with one neighbour (RFC 4271 8): who dials, which connection is kept, what was
//! agreed on, and when it ends. `(state, event) -> actions`; it knows no route.

use super::change::SessionTerm;
use super::config::{Family, NeighbourConfig, Relation, Timers, Transport};
use super::connection::{Await, Connection};
use super::deferral::Offer;
use super::event::{Action, ConnectionId, NeighbourId};
use super::notice::SessionEnd;
use super::status::SessionState;
use crate::id::Asn;
use crate::time::{Duration, Instant};
use crate::wire::bgp::{
    AddPath, AfiSafi, Capability, Context, DecodedUpdate, GracefulRestart, Message, MessageError,
    Notification, Open, PathIds, Refresh, emit_keepalive,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long OPEN may take where no hold time says so (RFC 4271 8.2.2: "a large value").
const OPEN_WAIT: Duration = Duration::from_secs(240);

impl From<Family> for AfiSafi {
    fn from(family: Family) -> AfiSafi {
        match family {
            Family::Ipv4Unicast => AfiSafi::IPV4_UNICAST,
            Family::Ipv6Unicast => AfiSafi::IPV6_UNICAST,
            Family::Evpn => AfiSafi::EVPN,
        }
    }
}

/// What happens to one session.
#[derive(Debug)]
pub(super) enum SessionEvent {
    Start,
    LinkUp,
    LinkDown,
    RemoteHeard(Ipv6Addr),
    Connected(ConnectionId),
    ConnectFailed(ConnectionId),
    Accepted(ConnectionId),
    Closed(ConnectionId),
    Message(ConnectionId, Result<Message, MessageError>),
    Timeout,
    /// From above: end it, if it stands or not, and say so.
    End(SessionEnd, Notification),
    Stop(Notification),
    /// End it for another process of ours that takes its place; the word is for who knows of no restarts.
    Leave(Notification),
}

/// What a session tells those above it.
#[derive(Debug)]
pub(super) enum Change {
    Up(Negotiated),
    /// It stood and has ended.
    Down(SessionEnd, Negotiated),
    /// An attempt has ended.
    Failed(SessionEnd),
    Update(Box<DecodedUpdate>),
    Refresh(AfiSafi, Refresh),
}

/// What the two OPENs settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub connection: ConnectionId,
    /// The neighbour's.
    pub open: Open,
    pub router_id: Ipv4Addr,
    pub families: Vec<Family>,
    pub context: Context,
    /// Families of which we tell several paths, with identifiers (RFC 7911). Of which it does, the context says.
    pub tells_paths: PathIds,
    pub route_refresh: bool,
    /// What the neighbour says of its restarts.
    pub restart: Option<GracefulRestart>,
    /// Both mean a NOTIFICATION that is no Hard Reset, and silence, to be a restart (RFC 8538).
    pub notification: bool,
    /// RFC 7313: where a telling on request begins and ends is said; nothing without RFC 2918.
    pub enhanced_refresh: bool,
    pub hold: Duration,
    pub keepalive: Duration,
}

/// Where a session's outputs go.
pub(super) struct Output<'a> {
    pub actions: &'a mut Vec<Action>,
    pub changes: Vec<Change>,
    /// Numbers the connections that we dial.
    pub dialled: &'a mut u64,
}

#[derive(Debug)]
pub(super) struct Session {
    pub id: NeighbourId,
    pub config: NeighbourConfig,
    router_id: Ipv4Addr,
    started: bool,
    link_up: bool,
    remote: Option<IpAddr>,
    /// At most two: one that we dialled, one that we accepted.
    connections: Vec<Connection>,
    /// Not before this do we dial.
    retry_at: Option<Instant>,
    /// Not before this do we dial or accept.
    rests_until: Option<Instant>,
    negotiated: Option<Negotiated>,
    /// The hold time that our last OPEN offered, in milliseconds.
    hold_said: u32,
    /// What the next OPEN says of our restarts, and what the last one said.
    pub offer: Offer,
    said: GracefulRestart,
    /// It has stood in this life.
    stood: bool,
    random: u32,
}

impl Session {
    pub fn new(id: NeighbourId, config: NeighbourConfig, router_id: Ipv4Addr) -> Session {
        let remote = match config.transport {
            Transport::Unnumbered { remote, .. } => remote.map(IpAddr::V6),
            Transport::Numbered { remote, .. } => Some(remote),
        };
        let random = (u32::from(router_id) ^ u32::from(id.0).wrapping_mul(0x9e37_79b9)) | 1;
        Session {
            id,
            hold_said: config.timers.hold,
            config,
            router_id,
            started: false,
            link_up: false,
            remote,
            connections: Vec::new(),
            retry_at: None,
            rests_until: None,
            negotiated: None,
            offer: Offer::default(),
            said: GracefulRestart::default(),
            stood: false,
            random,
        }
    }

    /// Takes other terms, none of which ends the session.
    pub fn adjust(&mut self, now: Instant, config: NeighbourConfig) {
        let keepalive = self.config.timers.keepalive != config.timers.keepalive;
        self.config = config;
        let timers = self.config.timers;
        let Some(negotiated) = self.negotiated.as_mut().filter(|_| keepalive) else { return };
        negotiated.keepalive = keepalive_of(timers, negotiated.hold);
        let (id, interval) = (negotiated.connection, negotiated.keepalive);
        let due = self.keepalive_due(now, interval);
        if let Some(connection) = self.connection(id) {
            connection.keepalive_at = due.map(|due| connection.keepalive_at.map_or(due, |old| old.min(due)));
        }
    }

    /// What has changed since a session that stands began, and comes into force with the next.
    pub fn waits(&self) -> Vec<SessionTerm> {
        let Some(negotiated) = &self.negotiated else { return Vec::new() };
        let hold = self.hold_said != self.config.timers.hold;
        let role = self.check_role(&negotiated.open).is_err();
        let waits = [(SessionTerm::HoldTime, hold), (SessionTerm::StrictRole, role)];
        waits.into_iter().filter_map(|(term, waits)| waits.then_some(term)).collect()
    }

    pub fn remote(&self) -> Option<IpAddr> {
        self.remote
    }

    /// The neighbour is about to be forgotten: nobody is dialled any more.
    pub fn retire(&mut self) {
        self.started = false;
    }

    pub fn local(&self) -> IpAddr {
        match self.config.transport {
            Transport::Unnumbered { local, .. } => IpAddr::V6(local),
            Transport::Numbered { local, .. } => local,
        }
    }

    pub fn established(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    pub fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    /// How bytes of a connection are to be read.
    pub fn context(&self, id: ConnectionId) -> Context {
        let agreed = self.negotiated.as_ref().filter(|negotiated| negotiated.connection == id);
        let unagreed = Context { four_octet: true, ..Context::default() };
        agreed.map_or(unagreed, |negotiated| negotiated.context)
    }

    pub fn state(&self) -> SessionState {
        let furthest = |connection: &Connection| match connection.awaits {
            Await::Tcp => SessionState::AwaitConnection,
            Await::Open => SessionState::AwaitOpen,
            Await::Rival { .. } | Await::Keepalive { .. } => SessionState::AwaitKeepalive,
            Await::Update => SessionState::Established,
        };
        let idle = match self.remote {
            _ if !self.started || self.rests_until.is_some() => SessionState::AwaitStart,
            _ if !self.link_up => SessionState::AwaitLink,
            None => SessionState::AwaitRemote,
            Some(_) => SessionState::AwaitRetry,
        };
        self.connections.iter().map(furthest).max().unwrap_or(idle)
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let connections = self.connections.iter().flat_map(|it| [it.deadline, it.keepalive_at]);
        let ready = self.started && self.link_up && self.remote.is_some() && self.connections.is_empty();
        let retry = self.retry_at.filter(|_| ready).max(self.rests_until);
        connections.chain([retry]).flatten().min()
    }

    pub fn step(&mut self, now: Instant, event: SessionEvent, out: &mut Output<'_>) {
        match event {
            SessionEvent::Start => self.started = true,
            SessionEvent::LinkUp => self.link_up = true,
            SessionEvent::LinkDown => {
                self.link_up = false;
                self.end_all(now, &SessionEnd::LinkDown, None, out);
                self.retry_at = None;
            }
            SessionEvent::RemoteHeard(address) => self.heard(now, address, out),
            SessionEvent::Connected(id) => self.connected(now, id, out),
            SessionEvent::ConnectFailed(id) => self.drop_connection(now, id, SessionEnd::ConnectFailed, out),
            SessionEvent::Accepted(id) => self.accepted(now, id, out),
            SessionEvent::Closed(id) => self.drop_connection(now, id, SessionEnd::Closed, out),
            SessionEvent::Message(id, Ok(message)) => self.message(now, id, message, out),
            SessionEvent::Message(id, Err(error)) => {
                let notification = error.notification();
                let end = SessionEnd::NotificationSent { notification: notification.clone() };
                self.end(now, id, end, Some(notification), out);
            }
            SessionEvent::Timeout => self.timeout(now, out),
            SessionEvent::End(end, notification) => {
                if let SessionEnd::PrefixLimit { rest, .. } = end {
                    self.rests_until = Some(now + Duration::from_millis(u64::from(rest)));
                }
                let notification = self.for_good(notification);
                self.end_all(now, &end, Some(&notification), out);
            }
            SessionEvent::Stop(notification) => {
                self.started = false;
                let notification = self.for_good(notification);
                self.end_all(now, &SessionEnd::Stopped, Some(&notification), out);
            }
            SessionEvent::Leave(notification) => {
                self.started = false;
                let agreed = self.negotiated.as_ref().is_some_and(|it| it.restart.is_some());
                let notification = Some(&notification).filter(|_| !agreed);
                self.end_all(now, &SessionEnd::Stopped, notification, out);
            }
        }
        self.dial_if_due(now, out);
    }

    /// What is meant to end the session and not to be a restart (RFC 8538 3).
    fn for_good(&self, notification: Notification) -> Notification {
        let agreed = self.negotiated.as_ref().is_some_and(|negotiated| negotiated.notification);
        if agreed { notification.hard() } else { notification }
    }

    /// RFC 4271 8.2.1.1: only while there is no connection at all, so that the two ends collide as
    /// seldom as may be.
    fn dial_if_due(&mut self, now: Instant, out: &mut Output<'_>) {
        let due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        let may = self.started && self.link_up && self.connections.is_empty();
        let Some(remote) = self.remote.filter(|_| may && due(self.retry_at) && due(self.rests_until)) else {
            return;
        };
        self.rests_until = None;
        *out.dialled += 1;
        let connection = ConnectionId::dialled(*out.dialled);
        let deadline = now + Duration::from_millis(u64::from(self.config.timers.connect_timeout));
        self.connections.push(Connection::new(connection, Await::Tcp, deadline));
        out.actions.push(Action::Connect {
            neighbour: self.id,
            connection,
            link: self.config.transport.link().clone(),
            local: self.local(),
            remote,
        });
    }

    fn heard(&mut self, now: Instant, address: Ipv6Addr, out: &mut Output<'_>) {
        // A stated address is not argued about.
        let Transport::Unnumbered { remote: None, local, .. } = self.config.transport else { return };
        let address_v6 = IpAddr::V6(address);
        if address == local || !address.is_unicast_link_local() || self.remote == Some(address_v6) {
            return;
        }
        if self.remote.is_some() {
            let notification = Notification::new(Notification::CEASE, 6);
            self.end_all(now, &SessionEnd::RemoteChanged, Some(&notification), out);
        }
        self.remote = Some(address_v6);
        self.retry_at = None;
    }

    fn connected(&mut self, now: Instant, id: ConnectionId, out: &mut Output<'_>) {
        let rival_heard = self.connections.iter().any(|other| other.id != id && other.has_heard());
        if self.connection(id).is_none_or(|connection| connection.awaits != Await::Tcp) {
            return;
        }
        if rival_heard {
            // Nothing was said on it yet, so nobody can prefer it.
            self.end(now, id, SessionEnd::Collision, None, out);
            return;
        }
        self.send_open(now, id, out);
    }

    fn accepted(&mut self, now: Instant, id: ConnectionId, out: &mut Output<'_>) {
        let rests = self.rests_until.is_some_and(|until| until > now);
        // RFC 4724 4.2: who restarts and calls has lost the connection that stands, though we have not
        // heard of it.
        let restarts = |it: &Negotiated| it.restart.as_ref().is_some_and(|it| !it.families.is_empty());
        if let Some(lost) = self.negotiated.as_ref().filter(|it| restarts(it)).map(|it| it.connection) {
            out.actions.push(Action::Close { connection: lost });
            self.drop_connection(now, lost, SessionEnd::Closed, out);
        }
        if !self.started || !self.link_up || rests || self.negotiated.is_some() {
            // RFC 4271 6.8: a connection that stands is not replaced.
            if self.started && self.negotiated.is_some() {
                send_notification(id, &Notification::new(Notification::CEASE, 7), out);
            }
            out.actions.push(Action::Close { connection: id });
            return;
        }
        // Who dials again has given up the connection it dialled before.
        let earlier = self.connections.iter().map(|other| other.id).find(|other| other.is_accepted());
        let deadline = now + OPEN_WAIT;
        self.connections.push(Connection::new(id, Await::Tcp, deadline));
        self.send_open(now, id, out);
        if let Some(earlier) = earlier.filter(|&earlier| earlier != id) {
            self.end(now, earlier, SessionEnd::Collision, None, out);
        }
    }

    fn send_open(&mut self, now: Instant, id: ConnectionId, out: &mut Output<'_>) {
        let mut bytes = Vec::new();
        self.hold_said = self.config.timers.hold;
        self.said = self.offer.capability(&self.config.relation, self.families(), self.stood);
        self.our_open().emit_message(&mut bytes);
        out.actions.push(Action::Send { connection: id, bytes });
        let hold = Duration::from_millis(u64::from(self.config.timers.hold));
        let wait = if hold.is_zero() { OPEN_WAIT } else { hold };
        if let Some(connection) = self.connection(id) {
            connection.awaits = Await::Open;
            connection.deadline = Some(now + wait);
        }
    }

    /// The two OPENs of a session that stands, whole messages, as they are understood; else they are empty.
    pub fn opens(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        if let Some(negotiated) = &self.negotiated {
            self.our_open().emit_message(&mut sent);
            negotiated.open.emit_message(&mut received);
        }
        (sent, received)
    }

    fn our_open(&self) -> Open {
        let mut capabilities: Vec<Capability> =
            self.families().map(|family| Capability::Multiprotocol(family.into())).collect();
        capabilities.extend([
            Capability::RouteRefresh,
            Capability::ExtendedMessage,
            Capability::EnhancedRouteRefresh,
            // Of no family, it says that we keep the routes of neighbours that restart (RFC 4724 3).
            Capability::GracefulRestart(self.said.clone()),
        ]);
        if self.local().is_ipv6() && self.config.families.contains(&Family::Ipv4Unicast) {
            capabilities.push(Capability::ExtendedNextHop(alloc::vec![(
                AfiSafi::IPV4_UNICAST,
                AfiSafi::IPV6_UNICAST.afi
            )]));
        }
        let ours = self.our_add_path();
        if ours != AddPath::default() {
            let unicast = self.families().map(AfiSafi::from).filter(|family| family.is_unicast());
            capabilities.push(Capability::AddPath(unicast.map(|family| (family, ours)).collect()));
        }
        if let Relation::Outside(policy) = &self.config.relation {
            capabilities.push(Capability::Role(policy.role.agreed().1));
        }
        let hold = u16::try_from(self.hold_said / 1000).unwrap_or(u16::MAX);
        Open::new(self.config.local_asn, hold, self.router_id, capabilities)
    }

    fn our_add_path(&self) -> AddPath {
        let said = self.config.terms.add_paths;
        AddPath { receive: said.receive, send: said.send.is_some() }
    }

    /// RFC 7911 4: what one end sends and the other takes, in each direction: ours, then the neighbour's.
    fn agreed_paths(&self, open: &Open, families: &[Family]) -> (PathIds, PathIds) {
        let ours = self.our_add_path();
        let theirs = |family| match families.contains(&family) {
            true => open.add_path(family.into()),
            false => AddPath::default(),
        };
        let (ipv4, ipv6) = (theirs(Family::Ipv4Unicast), theirs(Family::Ipv6Unicast));
        let sent = PathIds { ipv4: ours.send && ipv4.receive, ipv6: ours.send && ipv6.receive };
        let taken = PathIds { ipv4: ours.receive && ipv4.send, ipv6: ours.receive && ipv6.send };
        (sent, taken)
    }

    fn message(&mut self, now: Instant, id: ConnectionId, message: Message, out: &mut Output<'_>) {
        let hold = self.negotiated.as_ref().map(|negotiated| negotiated.hold);
        let Some(connection) = self.connection(id) else { return };
        match (&mut connection.awaits, message) {
            // Nothing can have come before TCP connected.
            (Await::Tcp, _) => {}
            (_, Message::Notification(notification)) => {
                let collision = (notification.code, notification.subcode) == (Notification::CEASE, 7);
                let received = SessionEnd::NotificationReceived { notification };
                self.drop_connection(now, id, if collision { SessionEnd::Collision } else { received }, out);
            }
            (Await::Open, Message::Open(open)) => self.opened(now, id, open, out),
            // RFC 4271 8.2.2: another OPEN is no error here, and this one says nothing new. OpenBGPD sends what it had
            // for a connection that came to nothing by the next one, too.
            (Await::Rival { open, .. } | Await::Keepalive { open }, Message::Open(again))
                if *open == again => {}
            (Await::Rival { keepalive_heard, .. }, Message::Keepalive) => *keepalive_heard = true,
            (Await::Keepalive { open }, Message::Keepalive) => {
                let open = open.clone();
                self.establish(now, id, &open, out);
            }
            (Await::Update, Message::Keepalive) => connection.deadline = deadline(now, hold),
            (Await::Update, Message::Update(update)) => {
                connection.deadline = deadline(now, hold);
                out.changes.push(Change::Update(update));
            }
            (Await::Update, Message::RouteRefresh(family, what)) => {
                out.changes.push(Change::Refresh(family, what));
            }
            (awaits, _) => {
                // RFC 6608: in which state the unexpected came.
                let subcode = match awaits {
                    Await::Tcp | Await::Open => 1,
                    Await::Rival { .. } | Await::Keepalive { .. } => 2,
                    Await::Update => 3,
                };
                let notification = Notification::new(5, subcode);
                let end = SessionEnd::NotificationSent { notification: notification.clone() };
                self.end(now, id, end, Some(notification), out);
            }
        }
    }

    /// RFC 4271 6.2 and 6.8, RFC 6286.
    fn opened(&mut self, now: Instant, id: ConnectionId, open: Open, out: &mut Output<'_>) {
        if let Err((end, notification)) = self.check_open(&open) {
            self.end(now, id, end, Some(notification), out);
            return;
        }
        let cease = Notification::new(Notification::CEASE, 7);
        // The connection that the side with the higher identifier dialled is kept.
        let ours = (self.router_id, self.config.local_asn);
        let dialled_wins = ours > (open.identifier, open.asn());
        let wins = id.is_accepted() != dialled_wins;
        let rival = self.connections.iter().find(|other| other.id != id).map(|it| (it.id, it.awaits.clone()));
        match rival {
            Some((rival, Await::Tcp)) => self.end(now, rival, SessionEnd::Collision, None, out),
            Some((_, Await::Update)) => {
                self.end(now, id, SessionEnd::Collision, Some(cease), out);
                return;
            }
            Some((rival, _)) if wins => self.end(now, rival, SessionEnd::Collision, Some(cease), out),
            Some((_, Await::Open)) => {
                if let Some(connection) = self.connection(id) {
                    connection.awaits = Await::Rival { open, keepalive_heard: false };
                }
                return;
            }
            Some(_) => {
                self.end(now, id, SessionEnd::Collision, Some(cease), out);
                return;
            }
            None => {}
        }
        self.confirm(now, id, open, out);
    }

    fn check_open(&self, open: &Open) -> Result<(), (SessionEnd, Notification)> {
        let (expected, found) = (self.config.remote_asn, open.asn());
        if found != expected || found == Asn(0) {
            return Err((SessionEnd::WrongAsn { expected, found }, Notification::new(2, 2)));
        }
        // RFC 6286 2.2: within one AS the identifier must be another one.
        if open.identifier == self.router_id && found == self.config.local_asn {
            let notification = MessageError::Identifier.notification();
            return Err((SessionEnd::NotificationSent { notification: notification.clone() }, notification));
        }
        self.check_role(open)?;
        if self.common_families(open).is_empty() {
            return Err((SessionEnd::NoCommonFamily, Notification::new(2, 7)));
        }
        Ok(())
    }

    /// RFC 9234 4.2: both ends mean the same, and say one thing only.
    fn check_role(&self, open: &Open) -> Result<(), (SessionEnd, Notification)> {
        let Relation::Outside(policy) = &self.config.relation else { return Ok(()) };
        let expected = policy.role.agreed().0;
        let found = open.roles().next();
        let agrees = found.is_some() || !self.config.terms.strict_role;
        if agrees && open.roles().all(|role| role == expected) {
            return Ok(());
        }
        let found = open.roles().find(|&role| role != expected);
        Err((SessionEnd::RoleMismatch { expected, found }, Notification::new(2, 11)))
    }

    fn common_families(&self, open: &Open) -> Vec<Family> {
        let multiprotocol = open.capabilities.iter().any(|it| matches!(it, Capability::Multiprotocol(_)));
        let over_ipv6 = self.local().is_ipv6();
        let carried = |family: &Family| {
            let said = open.has(&Capability::Multiprotocol(AfiSafi::from(*family)));
            match family {
                Family::Ipv4Unicast if over_ipv6 => {
                    said && open.has_next_hop(AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST.afi)
                }
                // RFC 4760 8: who says nothing speaks IPv4.
                Family::Ipv4Unicast => said || !multiprotocol,
                Family::Ipv6Unicast => said && over_ipv6,
                Family::Evpn => said,
            }
        };
        self.families().filter(carried).collect()
    }

    /// What we offer: to the outside never EVPN, whatever was written.
    fn families(&self) -> impl Iterator<Item = Family> + '_ {
        let inside = matches!(self.config.relation, Relation::Inside { .. });
        self.config.families.iter().copied().filter(move |&family| inside || family != Family::Evpn)
    }

    /// Sends our KEEPALIVE: from our side the connection is good.
    fn confirm(&mut self, now: Instant, id: ConnectionId, open: Open, out: &mut Output<'_>) {
        let negotiated = self.negotiate(id, &open);
        let keepalive_at = self.keepalive_due(now, negotiated.keepalive);
        let Some(connection) = self.connection(id) else { return };
        let heard = matches!(connection.awaits, Await::Rival { keepalive_heard: true, .. });
        connection.awaits = Await::Keepalive { open: open.clone() };
        connection.deadline = deadline(now, Some(negotiated.hold)).or(Some(now + OPEN_WAIT));
        connection.keepalive_at = keepalive_at;
        send_keepalive(id, out);
        if heard {
            self.establish(now, id, &open, out);
        }
    }

    fn negotiate(&self, connection: ConnectionId, open: &Open) -> Negotiated {
        let timers = self.config.timers;
        let hold = Duration::from_millis(u64::from(self.hold_said.min(u32::from(open.hold_time) * 1000)));
        let families = self.common_families(open);
        let (tells_paths, path_ids) = self.agreed_paths(open, &families);
        Negotiated {
            connection,
            open: open.clone(),
            router_id: open.identifier,
            context: Context {
                four_octet: open.four_octet_asn().is_some(),
                ipv4_over_ipv6: self.local().is_ipv6() && families.contains(&Family::Ipv4Unicast),
                evpn: families.contains(&Family::Evpn),
                extended: open.has(&Capability::ExtendedMessage),
                path_ids,
            },
            tells_paths,
            families,
            route_refresh: open.has(&Capability::RouteRefresh),
            restart: open.graceful_restart().cloned(),
            notification: self.said.notification && open.graceful_restart().is_some_and(|it| it.notification),
            enhanced_refresh: [Capability::RouteRefresh, Capability::EnhancedRouteRefresh]
                .iter()
                .all(|it| open.has(it)),
            hold,
            keepalive: keepalive_of(timers, hold),
        }
    }

    fn establish(&mut self, now: Instant, id: ConnectionId, open: &Open, out: &mut Output<'_>) {
        let negotiated = self.negotiate(id, open);
        let Some(connection) = self.connection(id) else { return };
        connection.awaits = Await::Update;
        connection.deadline = deadline(now, Some(negotiated.hold));
        self.retry_at = None;
        self.stood = true;
        self.negotiated = Some(negotiated.clone());
        out.changes.push(Change::Up(negotiated));
    }

    fn timeout(&mut self, now: Instant, out: &mut Output<'_>) {
        if self.rests_until.is_some_and(|until| until <= now) {
            self.rests_until = None;
        }
        let due: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|it| it.deadline.is_some_and(|at| at <= now))
            .map(|it| it.id)
            .collect();
        for id in due {
            let Some(connection) = self.connection(id) else { continue };
            let expired = Notification::new(Notification::HOLD_TIMER_EXPIRED, 0);
            let (end, notification) = match connection.awaits {
                Await::Tcp => (SessionEnd::ConnectTimeout, None),
                Await::Open => (SessionEnd::OpenTimeout, Some(expired)),
                Await::Rival { .. } | Await::Keepalive { .. } | Await::Update => {
                    (SessionEnd::HoldExpired, Some(expired))
                }
            };
            self.end(now, id, end, notification, out);
        }
        let interval = |session: &Session, connection: &Connection| match &connection.awaits {
            Await::Keepalive { open } => session.negotiate(connection.id, open).keepalive,
            _ => session.negotiated.as_ref().map_or(Duration::ZERO, |negotiated| negotiated.keepalive),
        };
        for at in 0..self.connections.len() {
            let connection = &self.connections[at];
            if connection.keepalive_at.is_some_and(|at| at <= now) {
                send_keepalive(connection.id, out);
                let interval = interval(self, connection);
                self.connections[at].keepalive_at = self.keepalive_due(now, interval);
            }
        }
    }

    fn end_all(
        &mut self,
        now: Instant,
        end: &SessionEnd,
        notification: Option<&Notification>,
        out: &mut Output<'_>,
    ) {
        for connection in core::mem::take(&mut self.connections) {
            if let Some(notification) = notification.filter(|_| connection.has_spoken()) {
                send_notification(connection.id, notification, out);
            }
            self.forget(now, &connection, end.clone(), out);
        }
    }

    /// We end a connection.
    fn end(
        &mut self,
        now: Instant,
        id: ConnectionId,
        end: SessionEnd,
        notification: Option<Notification>,
        out: &mut Output<'_>,
    ) {
        let Some(connection) = self.connection(id) else { return };
        if let Some(notification) = notification.filter(|_| connection.has_spoken()) {
            send_notification(id, &notification, out);
        }
        self.drop_connection(now, id, end, out);
    }

    /// A connection is over, whoever ended it. Both ends' sockets are told: after a NOTIFICATION
    /// its sender waits for nothing.
    fn drop_connection(&mut self, now: Instant, id: ConnectionId, end: SessionEnd, out: &mut Output<'_>) {
        let Some(at) = self.connections.iter().position(|connection| connection.id == id) else { return };
        let connection = self.connections.remove(at);
        self.forget(now, &connection, end, out);
        // Whoever waited for this one need not any more.
        let waiting = self.connections.iter().find_map(|it| match &it.awaits {
            Await::Rival { open, .. } => Some((it.id, open.clone())),
            _ => None,
        });
        if let Some((id, open)) = waiting {
            self.confirm(now, id, open, out);
        }
    }

    fn forget(&mut self, now: Instant, connection: &Connection, end: SessionEnd, out: &mut Output<'_>) {
        if !matches!(end, SessionEnd::ConnectFailed | SessionEnd::Closed) {
            out.actions.push(Action::Close { connection: connection.id });
        }
        self.retry_at = Some(now + self.retry_after(&end));
        if connection.awaits == Await::Update {
            out.changes.extend(self.negotiated.take().map(|negotiated| Change::Down(end, negotiated)));
        } else if end != SessionEnd::Collision && self.connections.is_empty() {
            out.changes.push(Change::Failed(end));
        }
    }

    /// What will go wrong in the same way again is tried less often.
    fn retry_after(&mut self, end: &SessionEnd) -> Duration {
        let lasting = match end {
            SessionEnd::WrongAsn { .. } | SessionEnd::RoleMismatch { .. } | SessionEnd::NoCommonFamily => {
                true
            }
            SessionEnd::NotificationSent { notification }
            | SessionEnd::NotificationReceived { notification } => {
                !matches!(notification.code, Notification::HOLD_TIMER_EXPIRED | Notification::CEASE)
            }
            _ => false,
        };
        let base = u64::from(self.config.timers.connect_retry) * if lasting { 10 } else { 1 };
        self.jittered(Duration::from_millis(base))
    }

    fn keepalive_due(&mut self, now: Instant, interval: Duration) -> Option<Instant> {
        (!interval.is_zero()).then(|| now + self.jittered(interval))
    }

    /// RFC 4271 10: 0.75 to 1.0 times the time, so that two ends fall out of step.
    fn jittered(&mut self, time: Duration) -> Duration {
        // Xorshift (Marsaglia 2003): never zero, by the odd start.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        time * (768 + self.random % 257) / 1024
    }
}

/// RFC 4271 4.4: no more than a third of the hold time.
fn keepalive_of(timers: Timers, hold: Duration) -> Duration {
    Duration::from_millis(u64::from(timers.keepalive)).min(hold / 3)
}

fn deadline(now: Instant, hold: Option<Duration>) -> Option<Instant> {
    hold.filter(|hold| !hold.is_zero()).map(|hold| now + hold)
}

fn send_keepalive(connection: ConnectionId, out: &mut Output<'_>) {
    let mut bytes = Vec::new();
    emit_keepalive(&mut bytes);
    out.actions.push(Action::Send { connection, bytes });
}

fn send_notification(connection: ConnectionId, notification: &Notification, out: &mut Output<'_>) {
    let mut bytes = Vec::new();
    notification.emit_message(&mut bytes);
    out.actions.push(Action::Send { connection, bytes });
}
