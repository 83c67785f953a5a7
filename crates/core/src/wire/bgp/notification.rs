//! NOTIFICATION (RFC 4271 4.5): why a session ends, with a text for people where it is closed on
//! purpose (RFC 9003).

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notification {
    pub code: u8,
    pub subcode: u8,
    pub data: Vec<u8>,
}

impl Notification {
    pub const HOLD_TIMER_EXPIRED: u8 = 4;
    pub const CEASE: u8 = 6;
    /// RFC 9687.
    pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;

    /// Of Cease: BFD has found the path to be gone (RFC 9384).
    pub const BFD_DOWN: u8 = 10;

    /// Of Cease: for good, not for a restart (RFC 8538 3).
    pub const HARD_RESET: u8 = 9;

    /// The longest text that RFC 9003 allows, in bytes.
    pub const TEXT_MAX: usize = 255;

    pub fn new(code: u8, subcode: u8) -> Notification {
        Notification { code, subcode, data: Vec::new() }
    }

    /// Cease, Administrative Shutdown (RFC 4486) with a text (RFC 9003), cut to what fits.
    pub fn shutdown(text: &str) -> Notification {
        let mut end = text.len().min(Notification::TEXT_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut data = Vec::with_capacity(1 + end);
        if end > 0 {
            // At most 255, by the line above.
            data.push(end as u8);
            data.extend_from_slice(&text.as_bytes()[..end]);
        }
        Notification { code: Notification::CEASE, subcode: 2, data }
    }

    /// The same as a Hard Reset (RFC 8538 3.1).
    pub fn hard(self) -> Notification {
        let data = [&[self.code, self.subcode], &*self.data].concat();
        Notification { code: Notification::CEASE, subcode: Notification::HARD_RESET, data }
    }

    fn is_hard(&self) -> bool {
        (self.code, self.subcode) == (Notification::CEASE, Notification::HARD_RESET)
    }

    /// What a Hard Reset is for; `None` if it is none, or does not say, or names another one.
    pub fn behind_hard_reset(&self) -> Option<Notification> {
        let behind = Notification::parse(&self.data).filter(|_| self.is_hard())?;
        (!behind.is_hard()).then_some(behind)
    }

    /// The text of an administrative shutdown or reset, a hard one included; `None` if there is none or it
    /// is no UTF-8.
    pub fn text(&self) -> Option<&str> {
        let (code, subcode, data) = match *self.data {
            [code, subcode, ref data @ ..] if self.is_hard() => (code, subcode, data),
            ref data => (self.code, self.subcode, data),
        };
        if code != Notification::CEASE || !matches!(subcode, 2 | 4) {
            return None;
        }
        let (&length, rest) = data.split_first()?;
        core::str::from_utf8(rest.get(..usize::from(length))?).ok().filter(|text| !text.is_empty())
    }

    /// The field's content after the header.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.code);
        out.push(self.subcode);
        out.extend_from_slice(&self.data);
    }

    /// `body`: at least two bytes, as the header's check makes sure of.
    pub(super) fn parse(body: &[u8]) -> Option<Notification> {
        let (&[code, subcode], data) = body.split_first_chunk::<2>()?;
        Some(Notification { code, subcode, data: data.to_vec() })
    }
}
