//! One session of a feeder, the sink or the idle neighbour.

use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tsumugi_core::id::Asn;
use tsumugi_core::wire::bgp::{
    AfiSafi, Capability, HEADER_LEN, MESSAGE_MAX, Message, Open, emit_keepalive, frame,
};
use tsumugi_core::wire::bgp::{Context, MessageKind};

/// What was heard: the bytes of whole and half messages, and when each piece came.
#[derive(Default)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// How many bytes there were after each piece.
    pub pieces: Vec<(Instant, usize)>,
    pub ended: bool,
}

pub struct Session {
    stream: TcpStream,
    send: Sender<Arc<Vec<u8>>>,
    pub heard: Arc<Mutex<Heard>>,
}

impl Session {
    /// Calls until the router takes the call and answers, at most for `patience`.
    pub fn open(
        local: IpAddr,
        remote: IpAddr,
        asn: Asn,
        hold: u16,
        keep: bool,
        patience: Duration,
    ) -> io::Result<Session> {
        let end = Instant::now() + patience;
        loop {
            match attempt(local, remote, asn, hold) {
                Ok((stream, rest)) => return Session::run(stream, rest, hold, keep),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn run(stream: TcpStream, rest: Vec<u8>, hold: u16, keep: bool) -> io::Result<Session> {
        let (send, receive) = mpsc::channel();
        let heard = Arc::new(Mutex::new(Heard { bytes: rest, ..Heard::default() }));
        let writer = stream.try_clone()?;
        thread::spawn(move || write(writer, &receive, Duration::from_secs(u64::from(hold) / 3)));
        let (reader, kept) = (stream.try_clone()?, heard.clone());
        thread::spawn(move || read(reader, &kept, keep));
        Ok(Session { stream, send, heard })
    }

    /// Whole messages, behind whatever waits.
    pub fn send(&self, bytes: Arc<Vec<u8>>) {
        // It fails only where the session has ended, which `heard` says.
        let _ = self.send.send(bytes);
    }

    pub fn close(&self) {
        // It may have ended already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn attempt(local: IpAddr, remote: IpAddr, asn: Asn, hold: u16) -> io::Result<(TcpStream, Vec<u8>)> {
    let domain = if local.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(local, 0).into())?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_tcp_nodelay(true)?;
    socket.connect_timeout(&SocketAddr::new(remote, 179).into(), Duration::from_secs(1))?;
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let (family, router_id) = match local {
        IpAddr::V4(local) => (AfiSafi::IPV4_UNICAST, local),
        IpAddr::V6(local) => (AfiSafi::IPV6_UNICAST, Ipv4Addr::new(203, 0, 113, local.octets()[15])),
    };
    // As every speaker does, it can be asked to tell all again: nobody has to keep what it told.
    let refresh = Capability::RouteRefresh;
    let capabilities = vec![Capability::Multiprotocol(family), refresh, Capability::FourOctetAsn(asn)];
    let mut bytes = Vec::new();
    Open { short_asn: asn.0 as u16, hold_time: hold, identifier: router_id, capabilities }
        .emit_message(&mut bytes);
    emit_keepalive(&mut bytes);
    stream.write_all(&bytes)?;
    // Its OPEN and its first KEEPALIVE.
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        bytes.extend_from_slice(&buffer[..length]);
        let mut rest = &*bytes;
        while let Ok(Some(found)) = frame(rest, MESSAGE_MAX) {
            rest = &rest[found.wire_len()..];
            match found.kind {
                MessageKind::Keepalive => {
                    stream.set_read_timeout(None)?;
                    return Ok((stream, rest.to_vec()));
                }
                MessageKind::Notification => {
                    let message = Message::parse(found, Context::default());
                    return Err(io::Error::other(format!("refused: {message:?}")));
                }
                _ => {}
            }
        }
    }
}

fn write(mut stream: TcpStream, receive: &Receiver<Arc<Vec<u8>>>, every: Duration) {
    let mut keepalive = Vec::with_capacity(HEADER_LEN);
    emit_keepalive(&mut keepalive);
    loop {
        let done = match receive.recv_timeout(every) {
            Ok(bytes) => stream.write_all(&bytes),
            Err(RecvTimeoutError::Timeout) => stream.write_all(&keepalive),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if done.is_err() {
            return;
        }
    }
}

fn read(mut stream: TcpStream, heard: &Mutex<Heard>, keep: bool) {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = stream.read(&mut buffer).unwrap_or(0);
        let mut heard = heard.lock().expect("nobody panics with it");
        if length == 0 {
            heard.ended = true;
            return;
        }
        if keep {
            heard.bytes.extend_from_slice(&buffer[..length]);
            let there = heard.bytes.len();
            heard.pieces.push((Instant::now(), there));
        }
    }
}
