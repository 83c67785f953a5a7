//! The loop.

use super::bfd::{Bfd, Change as BfdChange};
use super::links::{LinkState, Links};
use super::monitors::{Around, Monitors};
use super::neighbourhood::Neighbourhood;
use super::poll::{Ready, Token};
use super::reload::Ahead;
use super::restart;
use super::rpki::Rpki;
use super::secrets::Secrets;
use super::segments::Segments;
use super::sessions::{Progress, Sessions};
use super::show::Shows;
use super::signals::Request;
use super::{Frame, clock, failing};
use crate::frr::{Frr, Passwords};
use crate::kernel::dynamic::RouteUpdate;
use crate::kernel::plane::Keeper;
use crate::kernel::{Namespace, Netlink, memory, nft};
use crate::observe::status::{RouteCounts, Running, ShowSaid};
use crate::observe::words;
use crate::peering::advertisement::{Message, Schedule};
use crate::peering::connection::Heard;
use crate::peering::discovery::DiscoverySocket;
use crate::peering::socket::{Guard, Target};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::{io, time};
use tsumugi_core::bgp::config::{NeighbourConfig, SpeakerConfig, Terms};
use tsumugi_core::bgp::{
    Action, ConnectionId, Event, NeighbourId, NextHop, Notice, RouteChange, SessionState, Speaker,
};
use tsumugi_core::desired::{self, Route, RouteTarget};
use tsumugi_core::id::{IfName, Plane, Prefix};
use tsumugi_core::reconcile::Change;
use tsumugi_core::router_plan::{RouterPlan, Routing};
use tsumugi_core::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

/// Bytes of UPDATEs asked for at a time.
const UPDATES: usize = 32 * 1024;
/// Routes given to the kernel before the loop looks at its sockets again.
const ROUTES: usize = 512;
/// The same while neighbours wait for UPDATEs and all that the kernel holds is right.
const NEW_ROUTES: usize = 128;
/// Prefixes validated again before the loop looks at its sockets again.
const VALIDATIONS: usize = 2048;
/// Prefixes taken out of the table before the loop looks at its sockets again: some 8 ms, and a fraction of what the
/// kernel takes in between.
const CLEARED: usize = 16_384;
/// Between attempts to listen on port 179.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// Once routes are chosen again, those of an earlier life stay until every session whose link is up stands and nothing
/// has changed for this long: a neighbour that does not say when it is done sends its table in one go.
const QUIET: Duration = Duration::from_secs(1);
/// For this long from the start at the most, and however much changes, for this long after the choice at the most: whoever
/// is not back by then is gone, and a route by it may lead nowhere.
const STALE: Duration = Duration::from_secs(10);
/// How long the last messages may take when we stop.
const FAREWELL: Duration = Duration::from_secs(1);
/// Until memory is given back, in which whoever has lost a session may have it again.
const SOON: Duration = Duration::from_secs(1);
/// Kernel refusals shown in the status.
const SHOWN: usize = 32;

pub struct Router {
    pub(super) frame: Frame,
    pub(super) plan: RouterPlan,
    pub(super) keeper: Keeper,
    netlink: Netlink,
    /// Links of which something was heard that the speaker has yet to be told.
    arriving: BTreeSet<IfName>,
    pub(super) links: Links,
    pub(super) neighbourhood: Neighbourhood,
    bfd: Bfd,
    /// Neighbours whose sessions stand.
    pub(super) standing: BTreeSet<String>,
    pub(super) speaker: Speaker,
    pub(super) sessions: Sessions,
    pub(super) secrets: Secrets,
    /// Why we do not listen on port 179, and when to try again.
    deaf: Option<(String, Instant)>,
    pub(super) discovery: DiscoverySocket,
    schedule: Schedule,
    pub(super) segments: Segments,
    pub(super) rpki: Rpki,
    /// Who speaks BGP in the speaker's place, which then knows of nobody.
    pub(super) frr: Option<Frr>,
    shows: Shows,
    ahead: Ahead,
    pub(super) monitors: Monitors,
    /// Connections that have something to send.
    dirty: BTreeSet<ConnectionId>,
    /// Connections for which the speaker has UPDATEs.
    pub(super) updates: HashMap<ConnectionId, NeighbourId>,
    routes_ready: bool,
    evpn_ready: bool,
    validation_ready: bool,
    table_ready: bool,
    /// Routes have left the table, and their memory is to be given back.
    slimmer: bool,
    /// When that is due.
    give_back_at: Option<Instant>,
    /// When the last route changed; `None`: routes of an earlier life are gone.
    unsettled_since: Option<Instant>,
    /// Since when routes are chosen.
    chosen_since: Option<Instant>,
    buffer: Vec<u8>,
}

impl Router {
    /// # Errors
    /// No right to the fabric's namespace, to netlink or to raw sockets in it.
    pub fn new(frame: Frame, plan: RouterPlan) -> io::Result<Router> {
        let space = frame.state.plane(Plane::Fabric).map_err(failing("opening the fabric's namespace"))?;
        let initial = frame.state.plane(Plane::Management)?;
        let keeper = Keeper::new(Plane::Fabric, space.clone(), &initial, plan.fabric.clone())
            .map_err(failing("opening the fabric's netlink sockets"))?;
        frame.poll.add(&keeper, Token::Kernel, false)?;
        let discovery = space.run(DiscoverySocket::open).map_err(failing("opening a raw ICMPv6 socket"))?;
        frame.poll.add(&discovery, Token::Discovery, false)?;
        let now = clock::now();
        // Where bfdd watches FRR's neighbours, BFD's ports are its own.
        let watches = plan.routing == Routing::Embedded;
        let mut router = Router {
            segments: Segments::new(now, &space, frame.state.path(), plan.evpn.clone())?,
            rpki: Rpki::new(&frame.state, plan.rpki.as_ref())
                .map_err(failing("opening the plane of the RTR caches"))?,
            monitors: Monitors::new(&frame.state, plan.bmp.as_ref())
                .map_err(failing("opening the plane of the BMP collectors"))?,
            frr: None,
            shows: Shows::new(&frame.state).map_err(failing("making show.sock"))?,
            sessions: Sessions::new(Namespace::clone(&space)),
            secrets: Secrets::default(),
            standing: BTreeSet::new(),
            speaker: Speaker::new(embedded_config(&plan)?),
            frame,
            plan,
            keeper,
            netlink: Netlink::open_in(&space)?,
            arriving: BTreeSet::new(),
            links: Links::default(),
            neighbourhood: Neighbourhood::default(),
            bfd: Bfd::start(&space, watches).map_err(failing("starting BFD's thread"))?,
            deaf: None,
            ahead: Ahead::default(),
            discovery,
            schedule: Schedule::default(),
            dirty: BTreeSet::new(),
            updates: HashMap::new(),
            routes_ready: false,
            evpn_ready: false,
            validation_ready: false,
            table_ready: false,
            slimmer: false,
            give_back_at: None,
            unsettled_since: Some(now),
            chosen_since: None,
            buffer: vec![0; 64 * 1024],
        };
        router.frame.poll.add(&router.segments, Token::Frames, false)?;
        router.frame.poll.add(&router.shows, Token::Show, false)?;
        router.frame.poll.add(&router.bfd, Token::Bfd, false)?;
        router.neighbourhood.replace(&speaker_config(&router.plan)?.neighbours);
        router.choose_engine(now)?;
        tracing::info!(router = router.plan.name, generation = router.plan.generation, "plan in force");
        Ok(router)
    }

    pub fn run(mut self) {
        let now = clock::now();
        self.listen(now);
        let forwarding = restart::forwarding(self.keeper.namespace(), &self.plan.evpn);
        self.step(now, Event::Forwarding(forwarding));
        self.step(now, Event::Start);
        self.turn(now);
        let mut ready = Vec::new();
        loop {
            let until = self.next_timeout();
            self.frame.poll.wait(clock::now(), until, &mut ready);
            let now = clock::now();
            for ready in ready.drain(..) {
                // A neighbour that is gone comes before what others have to say, however much that is.
                self.heed(now);
                if ready.token == Token::Signals {
                    if let Some(request) = self.obey(now) {
                        return self.stop(now, request);
                    }
                } else {
                    self.handle(now, ready);
                }
            }
            if self.speaker.next_timeout().is_some_and(|at| at <= now) {
                self.step(now, Event::Timeout);
            }
            if self.keeper.next_timeout().is_some_and(|at| at <= time::Instant::now()) {
                self.turn(now);
            }
            if self.deaf.as_ref().is_some_and(|(_, again)| *again <= now) {
                self.listen(now);
            }
            if self.frr.as_mut().is_some_and(|frr| frr.misses_secrets(now)) {
                let _ = self.choose_engine(now);
            }
            if let Some(frr) = &mut self.frr {
                frr.turn(now, &mut self.keeper, &mut self.netlink);
            }
            self.advertise(now);
            self.validate(now);
            self.clear(now);
            self.exchange(now);
            self.send(now);
            self.install(now);
            self.settle(now);
            self.show(now);
            self.monitor(now);
            self.sessions.tidy(now, &mut self.buffer);
            self.give_back(now);
        }
    }

    /// Gives memory back once routes have left the table and the kernel has followed.
    fn give_back(&mut self, now: Instant) {
        if self.slimmer && !self.table_ready && !self.routes_ready {
            self.slimmer = false;
            self.give_back_at = Some(now + SOON);
        }
        if self.give_back_at.is_some_and(|at| at <= now) {
            self.give_back_at = None;
            memory::give_back();
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let bulk = self.routes_ready || self.evpn_ready || self.validation_ready || self.table_ready;
        if bulk || self.shows.has_work() || self.monitors.has_work(&self.speaker) {
            return Some(Instant::default());
        }
        let chosen = self.unsettled_since.zip(self.chosen_since);
        let settling = chosen.map(|(since, chosen)| (since + QUIET).min(chosen + STALE));
        [
            self.speaker.next_timeout(),
            self.schedule.next_timeout(),
            self.segments.next_timeout(),
            self.rpki.next_timeout(),
            self.monitors.next_timeout(clock::now()),
            self.frr.as_ref().and_then(Frr::next_timeout),
            self.sessions.next_timeout(),
            settling,
            self.give_back_at,
            self.deaf.as_ref().map(|(_, again)| *again),
            self.keeper
                .next_timeout()
                .map(|at| clock::now() + at.saturating_duration_since(time::Instant::now())),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Requests of the operator; the one that ends the process, if it came.
    fn obey(&mut self, now: Instant) -> Option<Request> {
        while let Some(request) = self.frame.signals.next() {
            match request {
                Request::Stop | Request::Restart => return Some(request),
                Request::Reload => self.reload(now),
            }
        }
        None
    }

    fn handle(&mut self, now: Instant, ready: Ready) {
        match ready.token {
            Token::Signals => {}
            Token::Status => self.answer(),
            Token::Show => self.shows.hear(),
            Token::Kernel => self.turn(now),
            Token::Discovery => self.hear(now),
            Token::Bfd => {
                self.bfd.acknowledge();
                self.heed(now);
            }
            Token::Cache(_) => {
                let mut buffer = std::mem::take(&mut self.buffer);
                self.rpki.converse(&self.frame.poll, now, ready, &mut buffer);
                self.buffer = buffer;
            }
            Token::Collector(_) => {
                let poll = &self.frame.poll;
                self.monitors.converse(poll, now, ready, &mut self.speaker, &mut self.buffer);
            }
            Token::Frames => self.segments.hear(now, &mut self.keeper),
            Token::Listener(place) => {
                let find = |incoming: &_| {
                    let neighbour = self.neighbourhood.find(&self.links, incoming)?;
                    Some((neighbour, terms_of(&self.plan, neighbour)))
                };
                for (neighbour, connection) in self.sessions.accept(&self.frame.poll, now, place, find) {
                    self.step(now, Event::Accepted { neighbour, connection });
                }
            }
            Token::Connection(number) => {
                if let Some(id) = self.sessions.by_number(number) {
                    self.converse(now, id, ready);
                }
            }
        }
    }

    /// Takes what BFD has found out, and has the kernel's routes follow before anything else.
    fn heed(&mut self, now: Instant) {
        while let Some(change) = self.bfd.next() {
            match change {
                BfdChange::Up { name } => tracing::info!(neighbour = name, "BFD up"),
                BfdChange::Down { name, cause, independent } => {
                    tracing::warn!(neighbour = name, "{}", words::bfd::down(&cause, Lang::En));
                    if let Some(neighbour) = self.neighbourhood.named(&name) {
                        self.step(now, Event::BfdDown { neighbour, cause, independent });
                        self.clear(now);
                        self.install(now);
                    }
                }
            }
        }
    }

    /// One connection has become readable or writable.
    fn converse(&mut self, now: Instant, id: ConnectionId, ready: Ready) {
        if ready.writable {
            match self.sessions.progress(id) {
                Progress::Nothing => {}
                Progress::Connected => self.step(now, Event::Connected(id)),
                Progress::ConnectFailed(error) => {
                    tracing::debug!(%error, "could not connect");
                    self.sessions.close(&self.frame.poll, now, id);
                    self.step(now, Event::ConnectFailed(id));
                }
            }
            self.dirty.insert(id);
        }
        if ready.readable {
            let mut buffer = std::mem::take(&mut self.buffer);
            match self.sessions.read(id, &mut buffer) {
                Ok(Heard::Bytes(length)) => {
                    self.step(now, Event::Received { connection: id, bytes: &buffer[..length] });
                }
                Ok(Heard::Nothing) => {}
                Ok(Heard::End) | Err(_) => self.lose(now, id),
            }
            self.buffer = buffer;
        }
    }

    /// The far end has ended a connection, or it has broken.
    fn lose(&mut self, now: Instant, id: ConnectionId) {
        self.updates.remove(&id);
        self.sessions.close(&self.frame.poll, now, id);
        self.step(now, Event::Closed(id));
    }

    pub(super) fn step(&mut self, now: Instant, event: Event<'_>) {
        let mut actions = Vec::new();
        self.speaker.step(now, event, &mut actions);
        self.perform(now, actions);
    }

    pub(super) fn perform(&mut self, now: Instant, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Connect { neighbour, connection, link, local, remote } => {
                    let guard = self.secrets.guard(&self.frame.state, &terms_of(&self.plan, neighbour));
                    // A secret that has come since is for their calls as well.
                    if matches!(&guard, Ok(Guard { secret: Some(_), .. })) && !self.sessions.signs(remote) {
                        self.sign();
                    }
                    let dialled = match (self.links.index(&link), guard) {
                        (_, Err(error)) => Err(error),
                        (None, _) => Err(io::ErrorKind::NotFound.into()),
                        (Some(index), Ok(guard)) => {
                            let target = Target { link: &link, index, local, remote, guard };
                            self.sessions.dial(&self.frame.poll, now, neighbour, connection, &target)
                        }
                    };
                    if let Err(error) = dialled {
                        tracing::debug!(%link, %remote, %error, "could not dial");
                        let mut more = Vec::new();
                        self.speaker.step(now, Event::ConnectFailed(connection), &mut more);
                        actions.extend(more);
                    }
                }
                Action::Send { connection, bytes } => {
                    self.sessions.send(connection, &bytes);
                    self.dirty.insert(connection);
                }
                Action::Close { connection } => {
                    self.updates.remove(&connection);
                    self.sessions.close(&self.frame.poll, now, connection);
                }
                Action::UpdatesReady { neighbour, connection } => {
                    self.updates.insert(connection, neighbour);
                    self.dirty.insert(connection);
                }
                Action::ValidationReady => self.validation_ready = true,
                Action::TableReady => self.table_ready = true,
                Action::EvpnReady => self.evpn_ready = true,
                Action::RoutesReady => self.routes_ready = true,
                Action::Log(notice) => {
                    log(&notice);
                    let changed = match &notice {
                        Notice::Established { neighbour, .. } => self.standing.insert(neighbour.clone()),
                        Notice::Lost { neighbour, .. } => self.standing.remove(neighbour),
                        _ => false,
                    };
                    if changed {
                        self.watch();
                    }
                }
            }
        }
    }

    /// Has BFD watch those whose sessions stand.
    fn watch(&mut self) {
        // bfdd watches FRR's neighbours.
        if self.frr.is_none() {
            self.bfd.watch(self.neighbourhood.watched(&self.links, &self.standing));
        }
    }

    /// Sends what waits, as far as the far ends take it.
    fn send(&mut self, now: Instant) {
        while let Some(id) = self.dirty.pop_first() {
            let (speaker, updates) = (&mut self.speaker, &mut self.updates);
            let sent = self.sessions.flush(&self.frame.poll, now, id, |queue| {
                let Some(&neighbour) = updates.get(&id) else { return false };
                let more = speaker.poll_updates(neighbour, UPDATES, queue);
                if !more {
                    updates.remove(&id);
                }
                more
            });
            match sent {
                Ok(taken) => self.speaker.sending(now, id, taken),
                Err(error) => {
                    tracing::debug!(%error, "could not send");
                    self.lose(now, id);
                }
            }
        }
    }

    /// Gives the kernel a piece of what the speaker has for it.
    fn install(&mut self, now: Instant) {
        if !self.routes_ready {
            return;
        }
        let mut changes = Vec::new();
        // Neighbours are not kept waiting for what the kernel merely lacks; what it has wrong comes first.
        let beside = !self.updates.is_empty() && !self.speaker.has_corrections();
        let budget = if beside { NEW_ROUTES } else { ROUTES };
        self.routes_ready = self.speaker.poll_routes(budget, &mut changes);
        if !changes.is_empty() && self.unsettled_since.is_some() {
            self.unsettled_since = Some(now);
        }
        if let Err(error) = self.keeper.change_routes(changes.into_iter().map(update)) {
            tracing::warn!(%error, "routes could not be given to the kernel, trying again");
        }
    }

    /// Hands changed payloads to the speaker, and has a piece of its routes looked at again.
    fn validate(&mut self, now: Instant) {
        self.rpki.turn(&self.frame.poll, now);
        for change in self.rpki.changes() {
            self.step(now, Event::Validation(change));
        }
        if self.validation_ready {
            let mut actions = Vec::new();
            self.validation_ready = self.speaker.poll_validation(VALIDATIONS, &mut actions);
            self.perform(now, actions);
        }
    }

    /// Has a piece of what is gone leave the speaker's table.
    fn clear(&mut self, now: Instant) {
        if self.table_ready {
            let mut actions = Vec::new();
            self.table_ready = self.speaker.poll_table(CLEARED, &mut actions);
            self.slimmer |= !self.table_ready;
            self.perform(now, actions);
        }
    }

    /// Between the speaker and the segments, and from them to the kernel, a piece of each.
    fn exchange(&mut self, now: Instant) {
        if self.evpn_ready {
            let mut updates = Vec::new();
            self.evpn_ready = self.speaker.poll_evpn(ROUTES, &mut updates);
            for update in updates {
                self.segments.route(now, update);
            }
        }
        for update in self.segments.originations() {
            self.step(now, Event::Evpn(update));
        }
        if self.segments.install(now, &mut self.keeper) && self.unsettled_since.is_some() {
            self.unsettled_since = Some(now);
        }
    }

    /// Routes of an earlier life go once they can be told from those of this one.
    fn settle(&mut self, now: Instant) {
        let Some(mut since) = self.unsettled_since.filter(|_| !self.speaker.is_deferring()) else { return };
        let chosen = *self.chosen_since.get_or_insert_with(|| {
            since = now;
            now
        });
        self.unsettled_since = Some(since);
        // What is chosen and not given yet would be taken for what nobody wants.
        if self.routes_ready
            || self.evpn_ready
            || self.table_ready
            || now < (since + QUIET).min(chosen + STALE)
        {
            return;
        }
        let waiting = self.speaker.status(now).neighbours.iter().any(|neighbour| {
            neighbour.state != SessionState::Established && self.links.is_up(&neighbour.link)
        });
        if waiting && now < self.frame.started + STALE {
            self.unsettled_since = Some(now);
            return;
        }
        self.unsettled_since = None;
        self.keeper.forget_stale_routes();
        self.keeper.forget_stale_entries();
    }

    /// Sends the router advertisements that are due.
    fn advertise(&mut self, now: Instant) {
        let mut outgoing = Vec::new();
        self.schedule.poll(now, &mut outgoing);
        for message in &outgoing {
            if let Err(error) = self.discovery.send(message) {
                tracing::debug!(index = message.index, %error, "router advertisement not sent");
            }
        }
        self.segments.turn(now, &self.discovery);
    }

    fn hear(&mut self, now: Instant) {
        // A bound for one round: the socket stays ready if more waits.
        for _ in 0..64 {
            let Some(heard) = self.discovery.receive() else { return };
            if heard.message == Message::Solicitation {
                self.segments.solicited(now, heard.index);
            }
            let Some(source) = self.schedule.hear(now, heard.index, heard.source, heard.message) else {
                continue;
            };
            let Some(link) = self.links.name(heard.index).cloned() else { continue };
            let waiting = self.neighbourhood.hear(&link, source);
            if !waiting.is_empty() {
                self.watch();
            }
            for neighbour in waiting {
                self.step(now, Event::RemoteHeard { neighbour, address: source });
            }
        }
    }

    /// Hears of the kernel's changes, and makes the fabric as the plan wants it if that is due.
    pub(super) fn turn(&mut self, now: Instant) {
        self.segments.install_all(now, &mut self.keeper);
        let turn = self.keeper.turn(time::Instant::now());
        let touched: BTreeSet<IfName> = turn.links.into_iter().map(|event| event.name).collect();
        for name in touched.into_iter().filter(|name| *name != IfName::loopback()) {
            // A session must not outlive its link. What was announced may be older than the last
            // comparison, so the kernel is asked. A link that comes up is told of after the comparison
            // that follows within milliseconds: by then it has its addresses.
            let state = self.netlink.link(&name).ok().flatten().as_ref().map(LinkState::from);
            if state.is_none_or(|state| !state.up || self.links.index(&name) != Some(state.index)) {
                self.set_link(now, &name, state.map(|state| LinkState { up: false, ..state }));
            }
            self.arriving.insert(name);
        }
        if let Some(report) = turn.report {
            if let Some(frr) = &mut self.frr {
                frr.fabric_made();
            }
            if report.made.contains(&Change::SetWalls) {
                self.segments.walls_made(now);
            }
            while let Some(name) = self.arriving.pop_first() {
                let state = self.keeper.links().get(&name).map(LinkState::from);
                self.set_link(now, &name, state);
            }
        }
        for event in turn.hosts {
            self.segments.learned(now, event);
        }
    }

    fn set_link(&mut self, now: Instant, link: &IfName, state: Option<LinkState>) {
        let change = self.links.set(link, state);
        if change.down {
            tracing::info!(%link, "link down");
            self.neighbourhood.forget(link);
            self.step(now, Event::LinkDown(link.clone()));
        }
        self.segments.link(now, link, state.map(|state| state.index), change);
        self.speak(now);
        if change.up {
            tracing::info!(%link, "link up");
            self.step(now, Event::LinkUp(link.clone()));
        }
    }

    /// Speaks and listens on the links that are there now.
    pub(super) fn speak(&mut self, now: Instant) {
        // FRR advertises itself.
        if self.frr.is_none() {
            self.schedule.set_links(now, &self.neighbourhood.speaking(&self.links));
        }
        self.segments.set_links(now, &self.links);
        self.discovery.listen_on(self.schedule.links().chain(self.segments.bridges()));
        self.watch();
    }

    /// Tells FRR what the plan says, if it is to speak in the speaker's place.
    pub(super) fn choose_engine(&mut self, now: Instant) -> io::Result<()> {
        if self.plan.routing == Routing::Embedded {
            return Ok(());
        }
        let speaker = speaker_config(&self.plan)?;
        let passwords: Passwords = self.secrets.passwords(&self.frame.state, &speaker.neighbours);
        match &mut self.frr {
            Some(frr) => frr.replace(now, &self.plan, speaker, &passwords),
            None => {
                let (space, state) = (self.keeper.namespace().clone(), self.frame.state.path());
                self.frr = Some(Frr::new(space, state, &self.plan, speaker, &passwords)?);
            }
        }
        Ok(())
    }

    fn listen(&mut self, now: Instant) {
        // Port 179 is FRR's.
        if self.frr.is_some() {
            return;
        }
        match self.sessions.listen(&self.frame.poll) {
            Ok(()) => {
                self.deaf = None;
                self.sign();
            }
            Err(error) => {
                let error = error.to_string();
                if self.deaf.as_ref().is_none_or(|(old, _)| *old != error) {
                    tracing::warn!(error, "cannot listen on port 179, trying again");
                }
                self.deaf = Some((error, now + LISTEN_AGAIN));
            }
        }
    }

    /// What neighbours must sign with, as the secrets are now.
    pub(super) fn sign(&mut self) {
        let neighbours = self.plan.speaker.iter().flat_map(|speaker| &speaker.neighbours);
        let wanted = self.secrets.signing(&self.frame.state, neighbours);
        if let Err(error) = self.sessions.sign(wanted) {
            tracing::warn!(%error, "this kernel cannot sign BGP sessions (RFC 2385)");
        }
    }

    /// Says goodbye to every neighbour, or for a restart ends without a word. Interfaces, addresses and routes stay.
    fn stop(mut self, now: Instant, request: Request) {
        if request == Request::Restart {
            tracing::info!("making room for another process, the kernel is left as it is");
            // Before BFD: who hears of its end is to know by then that this is a restart.
            self.step(now, Event::Restart);
            self.send(now);
        } else {
            tracing::info!("stopping, the kernel is left as it is");
        }
        self.bfd.stop();
        self.segments.stop();
        self.monitors.stop(&self.frame.poll, &mut self.speaker);
        if let Some(frr) = &mut self.frr {
            frr.stop();
        }
        self.step(now, Event::Stop);
        self.send(now);
        let until = now + FAREWELL;
        let mut ready = Vec::new();
        while self.sessions.is_parting() && clock::now() < until {
            // Nothing is watched any more but time: a short sleep, at most fifty times.
            self.frame.poll.wait(clock::now(), Some(clock::now() + FAREWELL / 50), &mut ready);
            ready.clear();
            self.sessions.tidy(clock::now(), &mut self.buffer);
        }
        self.bfd.join();
    }

    fn answer(&mut self) {
        let now = clock::now();
        let (status, routes, frr) = match &self.frr {
            None => (self.speaker.status(now), self.route_counts(), None),
            Some(frr) => {
                let up = |neighbour: &NeighbourConfig| self.links.is_up(neighbour.transport.link());
                let (status, routes, frr) = frr.status(up);
                (status, routes, Some(frr))
            }
        };
        let running = Running {
            bgp: status.into(),
            bfd: self.bfd.status(),
            links: self.neighbourhood.link_status(&self.links),
            routes,
            routes_failed: self.routes_failed(),
            not_listening: self.deaf.as_ref().map(|(error, _)| error.clone()),
            refused_connections: self.sessions.refused().clone(),
            walls: self.drops(),
            segments: self.segments.status(now),
            entries: self.segments.entry_counts(&self.keeper),
            ports_failing: self.segments.ports_failing(),
            dhcp: self.segments.dhcp_status(),
            rpki: self.rpki.status(now),
            bmp: self.monitors.status(now, &self.speaker),
            ahead: self.ahead.look(&self.frame.state, &self.plan),
            frr,
            fabric_failures: self.keeper.failing().map(str::to_owned).collect(),
        };
        let document = self.frame.document(Some((&self.plan, running)));
        self.frame.status.serve(|| document);
    }

    /// Answers a piece of what is asked.
    fn show(&mut self, now: Instant) {
        if let Some(frr) = &self.frr {
            let (router, sockets) = (self.plan.name.clone(), frr.directory().to_owned());
            return self.shows.refuse(&ShowSaid::OfFrr { router, sockets });
        }
        let missing = self.keeper.dynamic().missing();
        let missing = |prefix: &Prefix| missing.get(prefix).map(|errno| missing_words(*errno));
        self.shows.turn(now, &self.plan.name, &self.speaker, missing);
    }

    /// Tells collectors a piece.
    fn monitor(&mut self, now: Instant) {
        let around = Around { router: &self.plan.name, ports: &|id| self.sessions.ports(id) };
        self.monitors.turn(&self.frame.poll, now, &mut self.speaker, &around);
    }

    fn route_counts(&self) -> RouteCounts {
        let mut counts = RouteCounts::default();
        for change in self.speaker.routes_wanted() {
            let Some(route) = change.route else { continue };
            *if change.prefix.addr().is_ipv4() { &mut counts.ipv4 } else { &mut counts.ipv6 } += 1;
            counts.multipath += u32::from(route.next_hops.len() > 1);
            counts.discard += u32::from(route.discard);
        }
        counts.missing = u32::try_from(self.keeper.dynamic().count().1).unwrap_or(u32::MAX);
        counts.keeps_stale = self.unsettled_since.is_some();
        let (stale, purged) = self.keeper.dynamic().stale();
        counts.stale = u32::try_from(stale).unwrap_or(u32::MAX);
        counts.purged = purged;
        counts
    }

    fn routes_failed(&self) -> BTreeMap<Prefix, String> {
        let missing = self.keeper.dynamic().missing().iter().take(SHOWN);
        missing.map(|(prefix, errno)| (*prefix, missing_words(*errno))).collect()
    }

    /// Nobody can do anything about counters that cannot be read: then there are none.
    fn drops(&self) -> BTreeMap<String, u64> {
        let counters = nft::counters(self.keeper.namespace()).unwrap_or_default();
        counters.into_iter().map(|(reason, dropped)| (reason.counter().to_owned(), dropped.packets)).collect()
    }
}

fn missing_words(errno: Option<Errno>) -> String {
    errno.map_or("its link is away", Errno::desc).to_owned()
}

fn update(change: RouteChange) -> RouteUpdate {
    let Some(route) = change.route else { return RouteUpdate::Remove(change.prefix) };
    let next_hop = |hop: NextHop| desired::NextHop { link: hop.link, via: Some(hop.via) };
    let target = if route.discard {
        RouteTarget::Discard
    } else {
        RouteTarget::NextHops { next_hops: route.next_hops.into_iter().map(next_hop).collect() }
    };
    RouteUpdate::Set(Route { prefix: change.prefix, target, source: route.source, mtu: None, metric: None })
}

fn speaker_config(plan: &RouterPlan) -> io::Result<SpeakerConfig> {
    plan.speaker.clone().ok_or_else(|| io::Error::other("the plan is for a machine that speaks no BGP"))
}

/// What the embedded speaker is told: of nobody where another speaks in its place.
pub(super) fn embedded_config(plan: &RouterPlan) -> io::Result<SpeakerConfig> {
    let config = speaker_config(plan)?;
    Ok(match plan.routing {
        Routing::Embedded => config,
        Routing::Frr => SpeakerConfig { neighbours: Vec::new(), originate: Vec::new(), ..config },
    })
}

fn log(notice: &Notice) {
    let words = words::notice(notice, Lang::En);
    let data = serde_json::to_string(notice).unwrap_or_default();
    match notice {
        Notice::Established { .. } | Notice::OriginationStarted { .. } => tracing::info!(data, "{words}"),
        _ => tracing::warn!(data, "{words}"),
    }
}

/// What is agreed about a neighbour's session.
pub(super) fn terms_of(plan: &RouterPlan, neighbour: NeighbourId) -> Terms {
    let neighbours = plan.speaker.as_ref().map_or(&[][..], |speaker| &speaker.neighbours);
    neighbours.get(usize::from(neighbour.0)).map(|neighbour| neighbour.terms.clone()).unwrap_or_default()
}
