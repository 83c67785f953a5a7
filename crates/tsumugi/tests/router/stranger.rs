//! A BGP neighbour by hand: it says any bytes, and keeps what it hears.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tsumugi_core::id::Prefix;
use tsumugi_core::wire::bgp::{Attributes, Context, Message, Open, emit_keepalive, frame};

/// Flags of attributes: well-known, and optional transitive (RFC 4271 4.3).
pub const WELL_KNOWN: u8 = 0x40;
pub const OPTIONAL: u8 = 0x80;
pub const TRANSITIVE: u8 = 0xc0;
/// Two octets of length.
const EXTENDED: u8 = 0x10;

const NOTIFICATION: u8 = 3;

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    closed: bool,
}

pub struct Stranger {
    stream: TcpStream,
    over: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
}

impl Stranger {
    /// Opens a session on a connection and keeps it.
    pub fn begin(stream: TcpStream, open: &Open) -> Stranger {
        Stranger::deaf_and_silent(stream, open).hearing().speaking()
    }

    /// Opens a session and neither reads nor says anything of its own.
    pub fn deaf_and_silent(stream: TcpStream, open: &Open) -> Stranger {
        let mut out = Vec::new();
        open.emit_message(&mut out);
        emit_keepalive(&mut out);
        Stranger::saying(stream, &out)
    }

    /// Begins with any bytes instead of a session.
    pub fn saying(mut stream: TcpStream, bytes: &[u8]) -> Stranger {
        stream.write_all(bytes).unwrap();
        Stranger { stream, over: Arc::default(), heard: Arc::default() }
    }

    /// It keeps what it hears.
    pub fn hearing(self) -> Stranger {
        let (mut from, heard) = (self.stream.try_clone().unwrap(), self.heard.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                heard.lock().unwrap().bytes.extend_from_slice(&buffer[..length]);
            }
            heard.lock().unwrap().closed = true;
        });
        self
    }

    /// The inside's hold time is 3 s: something is said every half second.
    pub fn speaking(self) -> Stranger {
        let (mut to, over) = (self.stream.try_clone().unwrap(), self.over.clone());
        std::thread::spawn(move || {
            let mut keepalive = Vec::new();
            emit_keepalive(&mut keepalive);
            while !over.load(Ordering::Relaxed) && to.write_all(&keepalive).is_ok() {
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        self
    }

    /// Says it in whole as the other end takes it; nobody waits for that.
    pub fn say_meanwhile(&self, messages: Vec<u8>) {
        let mut to = self.stream.try_clone().unwrap();
        std::thread::spawn(move || to.write_all(&messages));
    }

    /// Each octet in a segment of its own.
    pub fn say_by_octets(&mut self, messages: &[u8]) {
        self.stream.set_nodelay(true).unwrap();
        for octet in messages {
            self.say(&[*octet]);
        }
    }

    pub fn say(&mut self, messages: &[u8]) {
        self.stream.write_all(messages).unwrap();
    }

    pub fn is_closed(&self) -> bool {
        self.heard.lock().unwrap().closed
    }

    /// The code, the subcode and the data of the NOTIFICATION that ended the session; `None`: the
    /// connection was closed without one, or stands after 15 s.
    pub fn notification(&self) -> Option<(u8, u8, Vec<u8>)> {
        let start = Instant::now();
        while !self.is_closed() && start.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let heard = self.heard.lock().unwrap();
        let mut rest = &heard.bytes[..];
        loop {
            let length = usize::from(u16::from_be_bytes([*rest.get(16)?, *rest.get(17)?]));
            let message = rest.get(..length)?;
            if message[18] == NOTIFICATION {
                return Some((message[19], message[20], message[21..].to_vec()));
            }
            rest = &rest[length..];
        }
    }
}

impl Stranger {
    /// All that it was told and that was not taken back, as a session of four-octet AS numbers says it.
    pub fn table(&self) -> BTreeMap<Prefix, Attributes> {
        let mut table = BTreeMap::new();
        let bytes = self.heard.lock().unwrap().bytes.clone();
        let context = Context { four_octet: true, ..Context::default() };
        let mut rest = &bytes[..];
        while let Some(frame) = frame(rest, context.message_max()).unwrap() {
            rest = &rest[frame.wire_len()..];
            let Message::Update(decoded) = Message::parse(frame, context).unwrap() else { continue };
            let update = decoded.update;
            let gone = update.withdrawn.iter().chain(update.mp_unreach.iter().flat_map(|it| &it.prefixes));
            gone.for_each(|told| drop(table.remove(&told.prefix)));
            let told = update.announced.iter().chain(update.mp_reach.iter().flat_map(|it| &it.prefixes));
            let attributes = update.attributes.unwrap_or_default();
            told.for_each(|told| drop(table.insert(told.prefix, attributes.clone())));
        }
        table
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[flags | EXTENDED, code][..], &length, value].concat()
}

/// A field behind its length in two octets.
fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// An UPDATE (RFC 4271 4.3) of any three fields.
pub fn update(withdrawn: &[u8], attributes: &[u8], announced: &[u8]) -> Vec<u8> {
    message(2, &[&field(withdrawn), &field(attributes), announced].concat())
}

/// A message of any type (RFC 4271 4.1).
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    [&[0xff; 16][..], &length, &[kind], body].concat()
}
