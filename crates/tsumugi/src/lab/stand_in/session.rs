//! One BGP session of a stand-in, in plain blocking calls: it announces its script and keeps what it
//! hears.

use super::record::{HeardRoute, Recorder};
use super::{Announcement, Expect};
use crate::kernel::tcp;
use crate::lab::equip::lab_secret;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tsumugi_core::bgp::config::{NeighbourConfig, Relation, Transport};
use tsumugi_core::id::Prefix;
use tsumugi_core::wire::bgp::{
    AfiSafi, AsPath, Attributes, Capability, Context, DecodedUpdate, LargeCommunity, Message, MpNextHop,
    MpReach, Open, PathIds, Update, emit_keepalive, frame,
};

const BGP_PORT: u16 = 179;
/// In seconds.
const HOLD: u16 = 90;
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Between two attempts to dial.
const AGAIN: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(1);
/// Both sides speak of four octets; an outside session has next hops of its own family.
const CONTEXT: Context = Context {
    four_octet: true,
    ipv4_over_ipv6: false,
    evpn: false,
    extended: false,
    path_ids: PathIds::NONE,
};

pub struct Session<'a> {
    /// Its place in the record.
    pub number: usize,
    /// Our own address.
    pub address: IpAddr,
    /// The session as the border's plan states it.
    pub neighbour: &'a NeighbourConfig,
    pub announced: Vec<&'a Announcement>,
}

impl Session<'_> {
    /// Dials until the end of the process.
    pub fn keep(&self, recorder: &Recorder) {
        loop {
            let end = self.live(recorder);
            let Err(why) = end;
            let written = recorder.change(self.number, |state| {
                // A call that nobody took changes nothing.
                if state.established || state.last_end.is_none() {
                    state.last_end = Some(why.to_string());
                }
                state.established = false;
                state.told_all = false;
                state.routes.clear();
                state.announced.clear();
            });
            if let Err(error) = written {
                eprintln!("the record cannot be written: {error}");
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// From dialling to the end of the session: why it ended.
    fn live(&self, recorder: &Recorder) -> io::Result<Never> {
        let mut socket = self.dial()?;
        let mut out = Vec::new();
        self.open().emit_message(&mut out);
        socket.write_all(&out)?;
        let mut stream = Vec::new();
        let mut buffer = vec![0; 65_536];
        let mut spoke = Instant::now();
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the border")),
                Ok(length) => stream.extend_from_slice(&buffer[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            out.clear();
            let tells = self.take_messages(&mut stream, recorder, &mut out)?;
            if spoke.elapsed() >= KEEPALIVE {
                emit_keepalive(&mut out);
            }
            if !out.is_empty() {
                socket.write_all(&out)?;
                spoke = Instant::now();
            }
            if tells {
                let prefixes = self.told().iter().map(|announcement| announcement.prefix).collect();
                recorder.change(self.number, |state| state.announced = prefixes)?;
            }
        }
    }

    /// The script as it is told: first what is to be refused, so that whoever has taken what comes after
    /// it has heard it.
    fn told(&self) -> Vec<&Announcement> {
        let mut told = self.announced.clone();
        told.sort_by_key(|announcement| !matches!(announcement.expect, Expect::Refused(_)));
        told
    }

    fn dial(&self) -> io::Result<Socket> {
        let Transport::Numbered { local: remote, .. } = &self.neighbour.transport else {
            return Err(io::Error::other("an outside session has addresses"));
        };
        let domain = if self.address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        // The border may ask for it (RFC 5082).
        match self.address {
            IpAddr::V4(_) => socket.set_ttl_v4(255)?,
            IpAddr::V6(_) => socket.set_unicast_hops_v6(255)?,
        }
        if let Some(name) = &self.neighbour.terms.password {
            tcp::sign(&socket, *remote, Some(lab_secret(name).as_bytes()))?;
        }
        socket.bind(&SockAddr::from(SocketAddr::new(self.address, 0)))?;
        socket.connect_timeout(&SockAddr::from(SocketAddr::new(*remote, BGP_PORT)), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    fn family(&self) -> AfiSafi {
        if self.address.is_ipv6() { AfiSafi::IPV6_UNICAST } else { AfiSafi::IPV4_UNICAST }
    }

    fn open(&self) -> Open {
        let identifier = match self.address {
            IpAddr::V4(address) => address,
            // Distinct from the IPv4 session's on purpose: some networks do it so.
            IpAddr::V6(address) => Ipv4Addr::from_bits((address.to_bits() as u32) | 0x0a00_0000),
        };
        let mut capabilities = vec![Capability::Multiprotocol(self.family())];
        if let Relation::Outside(policy) = &self.neighbour.relation {
            capabilities.push(Capability::Role(policy.role.agreed().0));
        }
        Open::new(self.neighbour.remote_asn, HOLD, identifier, capabilities)
    }

    /// Takes whole messages from the front of `stream`; answers go to `out`. Whether the script is among
    /// them.
    fn take_messages(
        &self,
        stream: &mut Vec<u8>,
        recorder: &Recorder,
        out: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let mut tells = false;
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        loop {
            let (message, length) =
                match frame(stream, CONTEXT.message_max()).map_err(|error| invalid(error.to_string()))? {
                    None => return Ok(tells),
                    Some(whole) => {
                        let message =
                            Message::parse(whole, CONTEXT).map_err(|error| invalid(error.to_string()))?;
                        (message, whole.wire_len())
                    }
                };
            stream.drain(..length);
            match message {
                Message::Open(open) => {
                    let asn = open.asn();
                    recorder.change(self.number, |state| state.remote_asn = Some(asn))?;
                    emit_keepalive(out);
                }
                Message::Keepalive => tells |= self.established(recorder, out)?,
                Message::Update(update) => self.hear(&update, recorder)?,
                Message::Notification(notification) => {
                    let (code, subcode) = (notification.code, notification.subcode);
                    return Err(invalid(format!("NOTIFICATION {code}/{subcode}")));
                }
                _ => {}
            }
        }
    }

    /// The first KEEPALIVE is the border's yes: now the script is told. Whether it was the first.
    fn established(&self, recorder: &Recorder, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut first = false;
        recorder.change(self.number, |state| {
            first = !state.established;
            state.established = true;
        })?;
        if first {
            for announcement in self.told() {
                self.update(announcement).emit(CONTEXT.four_octet, out);
            }
            Update::emit_end_of_rib(self.family(), out);
        }
        Ok(first)
    }

    fn update(&self, announcement: &Announcement) -> Update {
        let large = announcement.large_communities.iter();
        let attributes = Attributes {
            as_path: AsPath::sequence(announcement.path.iter().copied()),
            large_communities: large.map(|(a, b, c)| LargeCommunity::new(*a, *b, *c)).collect(),
            ..Attributes::default()
        };
        let update = Update { attributes: Some(attributes), ..Update::default() };
        match self.address {
            IpAddr::V4(next_hop) => {
                Update { next_hop: Some(next_hop), announced: vec![announcement.prefix.into()], ..update }
            }
            IpAddr::V6(next_hop) => {
                let (family, prefixes) = (self.family(), vec![announcement.prefix.into()]);
                let mp_reach =
                    MpReach { family, next_hop: MpNextHop::V6(next_hop), prefixes, evpn: Vec::new() };
                Update { mp_reach: Some(mp_reach), ..update }
            }
        }
    }

    fn hear(&self, decoded: &DecodedUpdate, recorder: &Recorder) -> io::Result<()> {
        let update = &decoded.update;
        let gone: Vec<Prefix> = update
            .withdrawn
            .iter()
            .chain(update.mp_unreach.iter().flat_map(|unreach| &unreach.prefixes))
            .map(|route| route.prefix)
            .collect();
        let come = update.announced.iter().chain(update.mp_reach.iter().flat_map(|reach| &reach.prefixes));
        let routes: Vec<HeardRoute> = update
            .attributes
            .iter()
            .flat_map(|attributes| come.clone().map(|route| heard_route(route.prefix, attributes)))
            .collect();
        recorder.change(self.number, |state| {
            for prefix in gone {
                state.routes.remove(&prefix);
            }
            state.routes.extend(routes.into_iter().map(|route| (route.prefix, route)));
            state.told_all |= update.end_of_rib().is_some();
        })
    }
}

fn heard_route(prefix: Prefix, attributes: &Attributes) -> HeardRoute {
    HeardRoute {
        prefix,
        path: attributes.as_path.asns().collect(),
        large_communities: attributes.large_communities.iter().map(ToString::to_string).collect(),
        communities: attributes.communities.iter().map(ToString::to_string).collect(),
    }
}

/// What a session that ends only by an error returns.
enum Never {}
