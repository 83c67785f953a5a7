//! A synchronous netlink socket of our own: requests with their acknowledgement, dumps, batches.

use super::Namespace;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

/// One read must hold one dump datagram: the kernel makes them up to 32 KiB.
const BUFFER: usize = 64 << 10;
/// Messages of a batch that are sent at once: fewer cost more, more win nothing.
const BATCH: usize = 256;
/// Bytes of the receive buffer, which the kernel doubles: the errors of a batch fit into it if all of
/// it fails.
const RECEIVE: usize = 212_992;
/// Where `struct nlmsghdr` has `nlmsg_flags` and `nlmsg_seq`.
const FLAGS: usize = 6;
const SEQUENCE: usize = 8;
/// And `nlmsg_pid`.
const PORT: usize = 12;
/// `NLMSG_MIN_TYPE`: below stand the control messages.
const FIRST_OBJECT: u16 = 16;
/// `NLMSGERR_ATTR_MSG`: the kernel's own words in an extended acknowledgement.
const EXT_ACK_WORDS: u16 = 1;
/// The extended acknowledgement follows the header of the refused request (capped acknowledgement).
const EXT_ACK_OFFSET: usize = 16;
/// A dump that a change interrupted is read again; after so many times what came is taken.
const DUMP_ATTEMPTS: usize = 5;

/// Why a netlink request came to nothing.
#[derive(Debug)]
pub enum NetlinkError {
    /// The kernel refused it.
    Refused {
        errno: Errno,
        /// The kernel's own words, where it has some.
        words: Option<String>,
    },
    /// The socket itself failed.
    Socket(io::Error),
    /// The kernel's answer was not understood.
    NotUnderstood(String),
}

impl NetlinkError {
    /// The error number, if the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            NetlinkError::Refused { errno, .. } => Some(*errno),
            NetlinkError::Socket(error) => error.raw_os_error().map(Errno::from_raw),
            NetlinkError::NotUnderstood(_) => None,
        }
    }

    /// Whether the kernel gave this error number.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno() == Some(errno)
    }

    pub(super) fn refused(errno: Errno) -> NetlinkError {
        NetlinkError::Refused { errno, words: None }
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetlinkError::Refused { errno, words: Some(words) } => write!(f, "{} ({words})", errno.desc()),
            NetlinkError::Refused { errno, words: None } => f.write_str(errno.desc()),
            NetlinkError::Socket(error) => write!(f, "netlink socket: {error}"),
            NetlinkError::NotUnderstood(what) => write!(f, "netlink answer not understood: {what}"),
        }
    }
}

impl std::error::Error for NetlinkError {}

impl From<io::Error> for NetlinkError {
    fn from(error: io::Error) -> NetlinkError {
        NetlinkError::Socket(error)
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> NetlinkError {
        NetlinkError::Socket(errno.into())
    }
}

impl From<NetlinkError> for io::Error {
    fn from(error: NetlinkError) -> io::Error {
        match error {
            NetlinkError::Socket(error) => error,
            NetlinkError::Refused { errno, words: None } => errno.into(),
            NetlinkError::Refused { errno, .. } => {
                io::Error::new(io::Error::from(errno).kind(), error.to_string())
            }
            NetlinkError::NotUnderstood(_) => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        }
    }
}

/// The result of a request.
pub type Answer<T> = Result<T, NetlinkError>;

/// What is known after a piece of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// It was the last one.
    pub last: bool,
    /// No change of what is read came in between.
    pub whole: bool,
}

/// A route netlink socket in one namespace. Requests are answered before the call returns.
pub struct Netlink {
    socket: Socket,
    /// What the kernel calls this socket: the sender of the changes it makes, in notifications.
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// In the namespace of the calling thread.
    ///
    /// # Errors
    /// Those of a socket.
    pub fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_rx_buf_sz(RECEIVE)?;
        // Both only make answers better: a kernel without them is lived with.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        // With it a dump is filtered by the kernel (by protocol, for routes).
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Netlink { socket, port, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// In `namespace`.
    ///
    /// # Errors
    /// Those of a socket, and of entering the namespace.
    pub fn open_in(namespace: &Namespace) -> io::Result<Netlink> {
        namespace.run(Netlink::open)
    }

    /// The port number that marks the changes made by this socket in notifications.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Sends one request and waits for the kernel's word on it. `flags` beyond REQUEST and ACK, such
    /// as CREATE.
    ///
    /// # Errors
    /// What the kernel refused it with.
    pub fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> Answer<()> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.collect(sequence, &mut |_| {}).map(|_| ())
    }

    /// The same of an encoded message, header and flags included, of a kind that the library does not know.
    ///
    /// # Errors
    /// What the kernel refused it with.
    pub fn request_raw(&mut self, mut message: Vec<u8>) -> Answer<()> {
        self.finish(&mut message, NLM_F_REQUEST | NLM_F_ACK);
        self.socket.send(&message, 0)?;
        let sequence = self.sequence;
        self.collect(sequence, &mut |_| {}).map(|_| ())
    }

    /// Every object that an encoded message asks for, as `read` reads its bytes. What a change interrupted is read
    /// again from the beginning.
    ///
    /// # Errors
    /// What the kernel refused it with.
    pub fn dump_raw<T>(&mut self, message: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Answer<Vec<T>> {
        let mut objects = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            objects.clear();
            let mut message = message.to_vec();
            self.finish(&mut message, NLM_F_REQUEST | NLM_F_DUMP);
            self.socket.send(&message, 0)?;
            if self.collect_raw(self.sequence, &mut |part| objects.extend(read(part)))? {
                break;
            }
        }
        Ok(objects)
    }

    /// True: whole; false: the dump was interrupted.
    fn collect_raw(&mut self, sequence: u32, take: &mut dyn FnMut(&[u8])) -> Answer<bool> {
        let mut whole = true;
        loop {
            let length = self.receive()?;
            for part in Messages(&self.buffer[..length]) {
                if message_number(part) != sequence {
                    continue;
                }
                if message_type(part) >= FIRST_OBJECT {
                    whole &= u16::from_ne_bytes([part[FLAGS], part[FLAGS + 1]]) & NLM_F_DUMP_INTR == 0;
                    take(part);
                    continue;
                }
                let Some(message) = decode(part)? else { continue };
                whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::Error(error) => match refusal(error.code, &error.header) {
                        Some(error) => return Err(error),
                        None => return Ok(whole),
                    },
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(NetlinkError::refused(Errno::from_raw(-done.code)));
                    }
                    NetlinkPayload::Done(_) => return Ok(whole),
                    _ => {}
                }
            }
        }
    }

    /// How many requests were made.
    #[cfg(test)]
    pub fn requests(&self) -> u32 {
        self.sequence
    }

    /// Sends one request that is answered by one message.
    ///
    /// # Errors
    /// What the kernel refused it with.
    pub fn get(&mut self, message: RouteNetlinkMessage) -> Answer<Option<RouteNetlinkMessage>> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK)?;
        let mut answer = None;
        self.collect(sequence, &mut |message| answer = Some(message))?;
        Ok(answer)
    }

    /// Every object that `message` asks for. A dump that a change interrupted is begun again.
    ///
    /// # Errors
    /// What the kernel refused it with.
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> Answer<Vec<RouteNetlinkMessage>> {
        let mut objects = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            objects.clear();
            let sequence = self.begin_dump(message.clone())?;
            if self.collect(sequence, &mut |object| objects.push(object))? {
                break;
            }
        }
        Ok(objects)
    }

    /// Begins a dump, whose pieces are taken by [`Netlink::read_dump`] under the number that is returned. The
    /// kernel goes on with it as far as it is read. Nothing else may be asked by this socket until its end.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn begin_dump(&mut self, message: RouteNetlinkMessage) -> Answer<u32> {
        self.send(message, NLM_F_REQUEST | NLM_F_DUMP)
    }

    /// Takes the next piece of a dump: up to 32 KiB, some three hundred routes.
    ///
    /// # Errors
    /// What the kernel refused it with; the socket is of no more use then.
    pub fn read_dump(&mut self, sequence: u32, take: &mut dyn FnMut(RouteNetlinkMessage)) -> Answer<Piece> {
        let mut whole = true;
        let length = self.receive()?;
        for part in Messages(&self.buffer[..length]) {
            let Some(message) = decode(part)? else { continue };
            if message.header.sequence_number != sequence {
                continue;
            }
            whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
            match message.payload {
                NetlinkPayload::Error(error) => match refusal(error.code, &error.header) {
                    Some(error) => return Err(error),
                    None => return Ok(Piece { last: true, whole }),
                },
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(NetlinkError::refused(Errno::from_raw(-done.code)));
                }
                NetlinkPayload::Done(_) => return Ok(Piece { last: true, whole }),
                NetlinkPayload::InnerMessage(object) => take(object),
                _ => {}
            }
        }
        Ok(Piece { last: false, whole })
    }

    /// Sends all requests in large pieces, only the last of each piece acknowledged when it succeeds.
    /// Returns those that failed, by their place in `messages`.
    ///
    /// # Errors
    /// Only those of the socket itself.
    pub fn batch(
        &mut self,
        messages: impl IntoIterator<Item = (RouteNetlinkMessage, u16)>,
    ) -> Answer<Vec<(usize, NetlinkError)>> {
        self.batch_of(messages, |(message, flags), bytes| encode(message, flags, bytes))
    }

    /// The same of whatever `write` appends as a whole message, header included; its sequence number and
    /// the flags of a request are set here.
    ///
    /// # Errors
    /// Only those of the socket itself.
    pub fn batch_of<T>(
        &mut self,
        requests: impl IntoIterator<Item = T>,
        write: impl Fn(T, &mut Vec<u8>),
    ) -> Answer<Vec<(usize, NetlinkError)>> {
        let mut failed = Vec::new();
        let mut bytes = Vec::new();
        let mut requests = requests.into_iter().enumerate().peekable();
        while let Some(&(start, _)) = requests.peek() {
            bytes.clear();
            let first = self.sequence.wrapping_add(1);
            for taken in 1..=BATCH {
                let Some((_, request)) = requests.next() else { break };
                let begin = bytes.len();
                write(request, &mut bytes);
                let last = taken == BATCH || requests.peek().is_none();
                self.finish(&mut bytes[begin..], NLM_F_REQUEST | if last { NLM_F_ACK } else { 0 });
            }
            self.socket.send(&bytes, 0)?;
            self.collect_batch(first, start, &mut failed)?;
        }
        Ok(failed)
    }

    /// Gives an encoded message its number, and flags besides its own.
    fn finish(&mut self, message: &mut [u8], more: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = u16::from_ne_bytes([message[FLAGS], message[FLAGS + 1]]) | more;
        message[FLAGS..FLAGS + 2].copy_from_slice(&flags.to_ne_bytes());
        message[SEQUENCE..SEQUENCE + 4].copy_from_slice(&self.sequence.to_ne_bytes());
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Answer<u32> {
        let mut bytes = Vec::new();
        encode(message, flags, &mut bytes);
        self.finish(&mut bytes, 0);
        self.socket.send(&bytes, 0)?;
        Ok(self.sequence)
    }

    fn receive(&mut self) -> Answer<usize> {
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => return Ok(length),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Reads until the end of the answer to `sequence`. True: whole; false: a dump was interrupted.
    fn collect(&mut self, sequence: u32, take: &mut dyn FnMut(RouteNetlinkMessage)) -> Answer<bool> {
        let mut all = true;
        loop {
            let Piece { last, whole } = self.read_dump(sequence, take)?;
            all &= whole;
            if last {
                return Ok(all);
            }
        }
    }

    /// Reads until the last request of a piece has its word. `start`: the place of the first one.
    fn collect_batch(
        &mut self,
        first: u32,
        start: usize,
        failed: &mut Vec<(usize, NetlinkError)>,
    ) -> Answer<()> {
        let last = self.sequence;
        loop {
            let length = self.receive()?;
            for part in Messages(&self.buffer[..length]) {
                let Some(message) = decode(part)? else { continue };
                let ahead = message.header.sequence_number.wrapping_sub(first);
                if ahead > last.wrapping_sub(first) {
                    continue;
                }
                if let NetlinkPayload::Error(error) = message.payload {
                    if let Some(error) = refusal(error.code, &error.header) {
                        failed.push((start + ahead as usize, error));
                    }
                    if message.header.sequence_number == last {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Appends a message, without a number.
pub(super) fn encode(message: RouteNetlinkMessage, flags: u16, bytes: &mut Vec<u8>) {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.finalize();
    let start = bytes.len();
    // NLMSG_ALIGN: the next message begins on a multiple of four.
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut bytes[start..]);
}

/// One message. An object that the library does not understand (a device of a strange kind) is `None`
/// and does not spoil the rest of a dump.
///
/// # Errors
/// The kernel's control messages must be understood.
pub(super) fn decode(bytes: &[u8]) -> Answer<Option<NetlinkMessage<RouteNetlinkMessage>>> {
    match NetlinkMessage::deserialize(bytes) {
        Ok(message) => Ok(Some(message)),
        Err(_) if message_type(bytes) >= FIRST_OBJECT => Ok(None),
        Err(error) => Err(NetlinkError::NotUnderstood(error.to_string())),
    }
}

fn message_number(bytes: &[u8]) -> u32 {
    let four = bytes.get(SEQUENCE..SEQUENCE + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_ne_bytes)
}

/// Whose change is announced.
pub(super) fn message_port(bytes: &[u8]) -> u32 {
    bytes.get(PORT..PORT + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

pub(super) fn message_type(bytes: &[u8]) -> u16 {
    bytes.get(4..6).and_then(|two| two.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn refusal(code: Option<std::num::NonZeroI32>, rest: &[u8]) -> Option<NetlinkError> {
    let errno = Errno::from_raw(code?.get().saturating_neg());
    Some(NetlinkError::Refused { errno, words: words(rest.get(EXT_ACK_OFFSET..).unwrap_or_default()) })
}

/// The words among the attributes of an extended acknowledgement.
fn words(mut attributes: &[u8]) -> Option<String> {
    while let [low, high, kind_low, kind_high, rest @ ..] = attributes {
        let length = usize::from(u16::from_ne_bytes([*low, *high])).checked_sub(4)?;
        let value = rest.get(..length)?;
        if u16::from_ne_bytes([*kind_low, *kind_high]) & 0x3fff == EXT_ACK_WORDS {
            return Some(String::from_utf8_lossy(value).trim_end_matches('\0').into());
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// The messages in one datagram, cut by the length in their headers.
pub(super) struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_ne_bytes(self.0.get(..4)?.try_into().ok()?) as usize;
        if length < 16 || length > self.0.len() {
            return None;
        }
        let (message, _) = self.0.split_at(length);
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}
