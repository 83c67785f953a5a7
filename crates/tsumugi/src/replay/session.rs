//! The session over which a table is told.

use super::table::Table;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::wire::bgp::{
    AfiSafi, Attributes, Capability, Context, Message, MessageError, MpNextHop, Notification, Open, PathIds,
    Refresh, Update, announce, emit_keepalive, frame,
};

/// In seconds, what we ask for.
const HOLD: u16 = 90;
/// How long the far end may take to be there, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(300);
/// How long the last message may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes that are made before what was made has left.
const AHEAD: usize = 128 << 10;
/// Between two words about how far it is.
const PROGRESS: Duration = Duration::from_secs(1);
/// The AFI of IPv6 next hops (RFC 8950 4).
const IPV6: u16 = 2;
/// Hop limit 255, for a far end that asks for it (RFC 5082).
const HOP_LIMIT: u32 = 255;

/// Who tells whom.
#[derive(Debug, Clone)]
pub struct Session {
    pub to: SocketAddr,
    /// The address that we call from; `None`: as the kernel prefers.
    pub from: Option<IpAddr>,
    pub asn: Asn,
    /// `None`: our address, or of an IPv6 address its last four bytes.
    pub identifier: Option<Ipv4Addr>,
    /// Next hops, where they are not our address.
    pub next_hop4: Option<Ipv4Addr>,
    pub next_hop6: Option<Ipv6Addr>,
    /// How long the session stands once all is told; `None`: until a signal comes.
    pub stay: Option<Duration>,
}

/// Routes told, and not told with the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub told: u64,
    pub messages: u64,
    /// The far end has not said that it takes this family, or there is no next hop of it.
    pub no_way4: u64,
    pub no_way6: u64,
    /// The attributes leave no room in a message.
    pub too_long: u64,
}

/// What there is to say while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Established {
        asn: Asn,
        identifier: Ipv4Addr,
        after: Duration,
    },
    Progress(Counts),
    /// Everything has left, the End-of-RIB of each family last.
    Told {
        counts: Counts,
        after: Duration,
    },
    /// The far end asks for a family again (RFC 2918).
    Asked,
}

/// Why it is over.
#[derive(Debug)]
pub enum Ended {
    /// The time is over, or a signal came.
    Stopped,
    /// Nobody was there, or the connection broke.
    Connection(io::Error),
    /// The far end closed the connection and did not say why.
    Closed,
    Notification(Notification),
    /// What came cannot be read.
    Unreadable(MessageError),
    /// It said something that has no place there.
    Unexpected,
    /// It is of our own AS: a table is told from outside.
    OwnAs,
    /// It was silent for the hold time.
    Silent,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::Connection(error)
    }
}

impl Session {
    /// Tells the table and stays; `say` hears what happens. Everything that was told when it ended.
    pub fn run(&self, table: &Table, mut say: impl FnMut(Event)) -> (Counts, Ended) {
        let live = Signals::catch()
            .and_then(|signals| self.connect(&signals).map(|socket| (signals, socket)))
            .map_err(Ended::Connection)
            .and_then(|(signals, socket)| match socket {
                Some(socket) => Ok(Live::new(self, table, socket, signals)?),
                None => Err(Ended::Stopped),
            });
        let mut live = match live {
            Ok(live) => live,
            Err(ended) => return (Counts::default(), ended),
        };
        let ended = loop {
            if let Err(ended) = live.turn(&mut say) {
                break ended;
            }
        };
        live.part(&ended);
        (live.counts, ended)
    }

    /// `None`: a signal came.
    fn connect(&self, signals: &Signals) -> io::Result<Option<Socket>> {
        let began = Instant::now();
        loop {
            match self.dial() {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) if began.elapsed() >= PATIENCE => return Err(error),
                Err(_) if signals.within(AGAIN) => return Ok(None),
                Err(_) => {}
            }
        }
    }

    fn dial(&self) -> io::Result<Socket> {
        let domain = if self.to.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        if self.to.is_ipv6() {
            socket.set_unicast_hops_v6(HOP_LIMIT)?;
        } else {
            socket.set_ttl_v4(HOP_LIMIT)?;
        }
        if let Some(from) = self.from {
            socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
        }
        socket.connect_timeout(&self.to.into(), PATIENCE)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn open(&self, own: IpAddr) -> Open {
        let identifier = self.identifier.unwrap_or(match own {
            IpAddr::V4(address) => address,
            // Not zero (RFC 6286 2.1).
            IpAddr::V6(address) => Ipv4Addr::from_bits((address.to_bits() as u32).max(1)),
        });
        let capabilities = vec![
            Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
            Capability::Multiprotocol(AfiSafi::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::ExtendedNextHop(vec![(AfiSafi::IPV4_UNICAST, IPV6)]),
            Capability::ExtendedMessage,
        ];
        Open::new(self.asn, HOLD, identifier, capabilities)
    }

    /// The next hops of IPv4 and IPv6 routes. `over_ipv6`: the far end takes IPv4 routes by IPv6 next hops.
    fn next_hops(&self, own: IpAddr, over_ipv6: bool) -> [Option<NextHop>; 2] {
        let own6 = match own {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        };
        let own4 = match own {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let by_ipv6 = self.next_hop6.or(own6).map(|address| NextHop::Mp(MpNextHop::V6(address)));
        let by_ipv4 = self.next_hop4.or(own4).map(NextHop::Classic);
        [by_ipv4.or(by_ipv6.filter(|_| over_ipv6)), by_ipv6]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextHop {
    /// In NEXT_HOP, its routes in the classic field.
    Classic(Ipv4Addr),
    Mp(MpNextHop),
}

/// SIGINT and SIGTERM, as something to wait for.
struct Signals(SignalFd);

impl Signals {
    fn catch() -> io::Result<Signals> {
        let caught = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        caught.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&caught, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Waits for one; false if none came within `time`.
    fn within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout(time)).is_ok_and(|ready| ready > 0)
    }
}

fn timeout(time: Duration) -> PollTimeout {
    // Up, so that a time that is nearly over is not asked for again and again.
    PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
}

/// A connection that stands.
struct Live<'a> {
    session: &'a Session,
    table: &'a Table,
    socket: Socket,
    signals: Signals,
    own: IpAddr,
    began: Instant,
    /// What the far end has said of itself.
    open: Option<Open>,
    established: bool,
    context: Context,
    hold: Duration,
    next_hops: [Option<NextHop>; 2],
    /// The set that is told next.
    next: usize,
    ended_rib: bool,
    told: Option<Instant>,
    counts: Counts,
    heard: Instant,
    spoke: Instant,
    shown: Instant,
    stream: Vec<u8>,
    out: Vec<u8>,
}

impl<'a> Live<'a> {
    fn new(
        session: &'a Session,
        table: &'a Table,
        socket: Socket,
        signals: Signals,
    ) -> Result<Live<'a>, Ended> {
        let own = socket.local_addr()?.as_socket().ok_or(Ended::Unexpected)?.ip();
        let now = Instant::now();
        let mut out = Vec::new();
        session.open(own).emit_message(&mut out);
        Ok(Live {
            session,
            table,
            socket,
            signals,
            own,
            began: now,
            open: None,
            established: false,
            context: Context { four_octet: true, ..Context::default() },
            hold: PATIENCE,
            next_hops: [None; 2],
            next: 0,
            ended_rib: false,
            told: None,
            counts: Counts::default(),
            heard: now,
            spoke: now,
            shown: now,
            stream: Vec::new(),
            out,
        })
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self, say: &mut impl FnMut(Event)) -> Result<(), Ended> {
        self.tell(say);
        self.wait()?;
        self.read(say)?;
        self.write()?;
        let now = Instant::now();
        if self.established && self.ended_rib && self.out.is_empty() && self.told.is_none() {
            self.told = Some(now);
            say(Event::Told { counts: self.counts, after: now - self.began });
        }
        if self.stay_is_over(now) {
            return Err(Ended::Stopped);
        }
        if !self.hold.is_zero() {
            if now - self.heard >= self.hold {
                return Err(Ended::Silent);
            }
            if self.established && now - self.spoke >= self.hold / 3 && self.out.is_empty() {
                emit_keepalive(&mut self.out);
            }
        }
        Ok(())
    }

    fn stay_is_over(&self, now: Instant) -> bool {
        self.told.zip(self.session.stay).is_some_and(|(told, stay)| now - told >= stay)
    }

    fn wait(&self) -> Result<(), Ended> {
        let now = Instant::now();
        let mut until = now + Duration::from_secs(60);
        if !self.hold.is_zero() {
            until = until.min(self.heard + self.hold).min((self.spoke + self.hold / 3).max(now));
        }
        if let Some((told, stay)) = self.told.zip(self.session.stay) {
            until = until.min(told + stay);
        }
        let events =
            if self.out.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT };
        let mut fds = [
            PollFd::new(self.socket.as_fd(), events),
            PollFd::new(self.signals.0.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout(until.saturating_duration_since(now))) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Ended::Connection(error.into())),
        }
        let signalled = fds[1].revents().is_some_and(|events| !events.is_empty());
        if signalled { Err(Ended::Stopped) } else { Ok(()) }
    }

    /// Makes what has room.
    fn tell(&mut self, say: &mut impl FnMut(Event)) {
        if !self.established || self.ended_rib {
            return;
        }
        while self.out.len() < AHEAD {
            let table = self.table;
            let Some(set) = table.sets.get(self.next) else {
                for (family, next_hop) in FAMILIES.into_iter().zip(self.next_hops) {
                    if next_hop.is_some() {
                        Update::emit_end_of_rib(family, &mut self.out);
                    }
                }
                self.ended_rib = true;
                return;
            };
            self.announce(0, &set.ipv4, &set.attributes);
            self.announce(1, &set.ipv6, &set.attributes);
            self.next += 1;
        }
        if self.shown.elapsed() >= PROGRESS {
            self.shown = Instant::now();
            say(Event::Progress(self.counts));
        }
    }

    fn announce(&mut self, family: usize, routes: &[Prefix], attributes: &Attributes) {
        let Some(next_hop) = self.next_hops[family] else {
            let no_way = if family == 0 { &mut self.counts.no_way4 } else { &mut self.counts.no_way6 };
            *no_way += routes.len() as u64;
            return;
        };
        let (classic, mp) = match next_hop {
            NextHop::Classic(address) => (Some(address), None),
            NextHop::Mp(next_hop) => (None, Some(next_hop)),
        };
        let mut shared = Vec::new();
        attributes.emit(self.context.four_octet, classic, &mut shared);
        match announce(self.context.message_max(), &shared, mp, routes, &mut self.out) {
            Ok(messages) => {
                self.counts.told += routes.len() as u64;
                self.counts.messages += u64::from(messages);
            }
            Err(_) => self.counts.too_long += routes.len() as u64,
        }
    }

    fn read(&mut self, say: &mut impl FnMut(Event)) -> Result<(), Ended> {
        let mut buffer = [0; 16 << 10];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(0) => return Err(Ended::Closed),
                Ok(length) => {
                    self.stream.extend_from_slice(&buffer[..length]);
                    self.heard = Instant::now();
                    self.take_messages(say)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_messages(&mut self, say: &mut impl FnMut(Event)) -> Result<(), Ended> {
        loop {
            let whole = frame(&self.stream, self.context.message_max()).map_err(Ended::Unreadable)?;
            let Some(whole) = whole else { return Ok(()) };
            let length = whole.wire_len();
            let message = Message::parse(whole, self.context).map_err(Ended::Unreadable)?;
            self.stream.drain(..length);
            match message {
                Message::Open(open) if self.open.is_none() => self.agree(open)?,
                Message::Keepalive => self.establish(say)?,
                Message::Notification(notification) => return Err(Ended::Notification(notification)),
                // What it tells is not what we are here for.
                Message::Update(_) if self.established => {}
                Message::RouteRefresh(_, Refresh::Request) if self.established => {
                    (self.next, self.ended_rib, self.told) = (0, false, None);
                    self.counts = Counts::default();
                    say(Event::Asked);
                }
                Message::RouteRefresh(..) if self.established => {}
                _ => return Err(Ended::Unexpected),
            }
        }
    }

    fn agree(&mut self, open: Open) -> Result<(), Ended> {
        if open.asn() == self.session.asn {
            return Err(Ended::OwnAs);
        }
        let takes = |family| open.has(&Capability::Multiprotocol(family));
        let over_ipv6 = open.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(families) => families.contains(&(AfiSafi::IPV4_UNICAST, IPV6)),
            _ => false,
        });
        let [ipv4, ipv6] = self.session.next_hops(self.own, over_ipv6);
        // RFC 4760 8: who says nothing of families speaks of IPv4.
        let silent = !open.capabilities.iter().any(|it| matches!(it, Capability::Multiprotocol(_)));
        let takes4 = silent || takes(AfiSafi::IPV4_UNICAST);
        self.next_hops = [ipv4.filter(|_| takes4), ipv6.filter(|_| takes(AfiSafi::IPV6_UNICAST))];
        self.context = Context {
            four_octet: open.four_octet_asn().is_some(),
            ipv4_over_ipv6: over_ipv6,
            evpn: false,
            extended: open.has(&Capability::ExtendedMessage),
            path_ids: PathIds::NONE,
        };
        self.hold = Duration::from_secs(u64::from(HOLD.min(open.hold_time)));
        self.open = Some(open);
        emit_keepalive(&mut self.out);
        Ok(())
    }

    fn establish(&mut self, say: &mut impl FnMut(Event)) -> Result<(), Ended> {
        let open = self.open.as_ref().ok_or(Ended::Unexpected)?;
        if !self.established {
            self.established = true;
            let (asn, identifier) = (open.asn(), open.identifier);
            say(Event::Established { asn, identifier, after: self.began.elapsed() });
            self.began = Instant::now();
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Ended> {
        let mut written = 0;
        let ended = loop {
            if written == self.out.len() {
                break Ok(());
            }
            match (&self.socket).write(&self.out[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error.into()),
            }
        };
        if written > 0 {
            self.spoke = Instant::now();
        }
        self.out.drain(..written);
        ended
    }

    /// Says goodbye if the far end still listens, behind whatever message has left in part.
    fn part(&mut self, ended: &Ended) {
        let notification = match ended {
            Ended::Stopped => Notification::shutdown("the replay is over"),
            Ended::OwnAs => Notification::new(2, 2),
            Ended::Silent => Notification::new(Notification::HOLD_TIMER_EXPIRED, 0),
            Ended::Unexpected => Notification::new(5, 0),
            Ended::Unreadable(error) => error.notification(),
            Ended::Connection(_) | Ended::Closed | Ended::Notification(_) => return,
        };
        notification.emit_message(&mut self.out);
        let until = Instant::now() + FAREWELL;
        while !self.out.is_empty() && Instant::now() < until {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
            let _ = poll(&mut fds, timeout(until.saturating_duration_since(Instant::now())));
            if self.write().is_err() {
                return;
            }
        }
    }
}

const FAMILIES: [AfiSafi; 2] = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST];
