//! The header (RFC 4271 4.1), and the five messages behind it.

use super::error::MessageError;
use super::nlri::AfiSafi;
use super::notification::Notification;
use super::open::Open;
use super::update::{Context, DecodedUpdate, Update};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Marker, length, type.
pub const HEADER_LEN: usize = 19;
/// The longest message, header included (RFC 4271 4.1).
pub const MESSAGE_MAX: usize = 4096;
/// The same where both have agreed on it, for all but OPEN and KEEPALIVE (RFC 8654 4).
pub const EXTENDED_MESSAGE_MAX: usize = 65_535;

const MARKER: [u8; 16] = [0xff; 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    Open,
    Update,
    Notification,
    Keepalive,
    RouteRefresh,
}

impl MessageKind {
    fn code(self) -> u8 {
        match self {
            MessageKind::Open => 1,
            MessageKind::Update => 2,
            MessageKind::Notification => 3,
            MessageKind::Keepalive => 4,
            MessageKind::RouteRefresh => 5,
        }
    }

    fn of(code: u8) -> Option<MessageKind> {
        Some(match code {
            1 => MessageKind::Open,
            2 => MessageKind::Update,
            3 => MessageKind::Notification,
            4 => MessageKind::Keepalive,
            5 => MessageKind::RouteRefresh,
            _ => return None,
        })
    }

    /// RFC 4271 4.2 to 4.5, RFC 2918 3, RFC 8654 4.
    fn length_fits(self, length: usize) -> bool {
        match self {
            MessageKind::Open => (29..=MESSAGE_MAX).contains(&length),
            MessageKind::Update => length >= 23,
            MessageKind::Notification => length >= 21,
            MessageKind::Keepalive => length == HEADER_LEN,
            MessageKind::RouteRefresh => length >= 23,
        }
    }
}

/// One whole message at the beginning of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: MessageKind,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// How many bytes of the stream it takes.
    pub fn wire_len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }
}

/// Finds the first message of a stream; `None` if more bytes are needed. `longest`: see
/// [`Context::message_max`].
///
/// # Errors
/// As soon as the header cannot be one (RFC 4271 6.1).
pub fn frame(stream: &[u8], longest: usize) -> Result<Option<Frame<'_>>, MessageError> {
    let marker = &stream[..stream.len().min(MARKER.len())];
    if marker.iter().any(|&byte| byte != 0xff) {
        return Err(MessageError::NotSynchronised);
    }
    let Some(header) = stream.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let length = u16::from_be_bytes([header[16], header[17]]);
    let size = usize::from(length);
    if !(HEADER_LEN..=longest).contains(&size) {
        return Err(MessageError::Length(length));
    }
    let kind = MessageKind::of(header[18]).ok_or(MessageError::UnknownType(header[18]))?;
    if !kind.length_fits(size) {
        return Err(MessageError::Length(length));
    }
    Ok(stream.get(HEADER_LEN..size).map(|body| Frame { kind, body }))
}

/// Appends a header and what `body` writes after it. The caller sees to it that the whole stays
/// within what the neighbour takes.
pub(super) fn put(out: &mut Vec<u8>, kind: MessageKind, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&[0, 0, kind.code()]);
    body(out);
    let length = out.len() - start;
    debug_assert!(length <= EXTENDED_MESSAGE_MAX, "a message of {length} bytes");
    out[start + 16..start + 18].copy_from_slice(&(length as u16).to_be_bytes());
}

/// A message as it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Open(Open),
    Update(Box<DecodedUpdate>),
    Notification(Notification),
    Keepalive,
    RouteRefresh(AfiSafi, Refresh),
}

/// What a ROUTE-REFRESH says (RFC 7313 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Tell every route again.
    Request,
    /// Every route is about to be told again.
    Begin,
    /// That was all: what was not told is gone.
    End,
    /// Nothing that we know: ignored (RFC 7313 5).
    Unknown(u8),
}

impl Refresh {
    fn of(subtype: u8) -> Refresh {
        match subtype {
            0 => Refresh::Request,
            1 => Refresh::Begin,
            2 => Refresh::End,
            other => Refresh::Unknown(other),
        }
    }

    fn subtype(self) -> u8 {
        match self {
            Refresh::Request => 0,
            Refresh::Begin => 1,
            Refresh::End => 2,
            Refresh::Unknown(subtype) => subtype,
        }
    }
}

impl Message {
    /// # Errors
    /// What ends the session.
    pub fn parse(frame: Frame<'_>, context: Context) -> Result<Message, MessageError> {
        Ok(match frame.kind {
            MessageKind::Open => Message::Open(Open::parse(frame.body)?),
            MessageKind::Update => Message::Update(Box::new(Update::parse(frame.body, context)?)),
            MessageKind::Notification => {
                let length = MessageError::Length(frame.wire_len() as u16);
                Message::Notification(Notification::parse(frame.body).ok_or(length)?)
            }
            MessageKind::Keepalive => Message::Keepalive,
            MessageKind::RouteRefresh => match *frame.body {
                [a, b, subtype, safi] => {
                    let family = AfiSafi { afi: u16::from_be_bytes([a, b]), safi };
                    Message::RouteRefresh(family, Refresh::of(subtype))
                }
                _ => {
                    // RFC 7313 5: the far end is shown its whole message.
                    let mut whole = Vec::new();
                    put(&mut whole, frame.kind, |out| out.extend_from_slice(frame.body));
                    return Err(MessageError::RefreshLength(whole));
                }
            },
        })
    }
}

impl Open {
    pub fn emit_message(&self, out: &mut Vec<u8>) {
        put(out, MessageKind::Open, |out| self.emit(out));
    }
}

impl Notification {
    pub fn emit_message(&self, out: &mut Vec<u8>) {
        put(out, MessageKind::Notification, |out| self.emit(out));
    }
}

impl AfiSafi {
    /// ROUTE-REFRESH for this family.
    pub fn emit_refresh(self, what: Refresh, out: &mut Vec<u8>) {
        put(out, MessageKind::RouteRefresh, |out| {
            out.extend_from_slice(&self.afi.to_be_bytes());
            out.extend_from_slice(&[what.subtype(), self.safi]);
        });
    }
}

/// Appends a KEEPALIVE.
pub fn emit_keepalive(out: &mut Vec<u8>) {
    put(out, MessageKind::Keepalive, |_| {});
}
