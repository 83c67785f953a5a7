//! One TCP connection: what waits to be sent, and an end that loses nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use tsumugi_core::time::{Duration, Instant};

/// Bulk output is asked for while less than this waits, in bytes.
const LOW_WATER: usize = 16 * 1024;
/// A far end that reads nothing for this long is given up (RFC 9687: at least 8 minutes).
const SEND_HOLD: Duration = Duration::from_secs(480);

pub struct Connection {
    pub stream: TcpStream,
    /// Whole messages, but for the first, of which `sent` bytes are gone.
    waiting: Vec<u8>,
    sent: usize,
    /// When the kernel last took something, or had nothing to take.
    progress: Instant,
    /// `None`: somebody else decides when the far end is given up.
    send_hold: Option<Duration>,
}

/// What reading has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// This many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The far end has ended the connection.
    End,
}

impl Connection {
    pub fn new(stream: TcpStream, now: Instant) -> Connection {
        Connection { stream, waiting: Vec::new(), sent: 0, progress: now, send_hold: Some(SEND_HOLD) }
    }

    /// One whose far end is never given up here, however long it does not read.
    pub fn patient(stream: TcpStream, now: Instant) -> Connection {
        Connection { send_hold: None, ..Connection::new(stream, now) }
    }

    /// While something waits: when the kernel last took anything.
    pub fn waits_since(&self) -> Option<Instant> {
        (!self.is_idle()).then_some(self.progress)
    }

    /// Whole messages to be sent after those that wait.
    pub fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Whether there is room for bulk output.
    pub fn has_room(&self) -> bool {
        self.waiting.len() - self.sent < LOW_WATER
    }

    pub fn is_idle(&self) -> bool {
        self.sent == self.waiting.len()
    }

    /// Gives the kernel what it takes now.
    ///
    /// # Errors
    /// The connection is gone, or the far end has not read for 8 minutes (`TimedOut`).
    pub fn flush(&mut self, now: Instant) -> io::Result<()> {
        while self.sent < self.waiting.len() {
            match self.stream.write(&self.waiting[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.sent += written;
                    self.progress = now;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let over = self.send_hold.is_some_and(|hold| now.since(self.progress) >= hold);
                    return if over { Err(ErrorKind::TimedOut.into()) } else { Ok(()) };
                }
                Err(error) => return Err(error),
            }
        }
        self.progress = now;
        self.waiting.clear();
        self.waiting.shrink_to(2 * LOW_WATER);
        self.sent = 0;
        Ok(())
    }

    /// # Errors
    /// The connection is gone.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Ok(Heard::End),
                Ok(bytes) => Ok(Heard::Bytes(bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Heard::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Says that no more will come. The socket is to be kept until [`Connection::drain`] is done: to
    /// close one with unread bytes resets it, and a last NOTIFICATION may be lost with that.
    pub fn end(&mut self, now: Instant) {
        // A far end that is gone already needs no goodbye.
        let _ = self.flush(now);
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads and forgets; true once the far end has ended, too.
    pub fn drain(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            match self.read(buffer) {
                Ok(Heard::Bytes(_)) => {}
                Ok(Heard::Nothing) => return false,
                Ok(Heard::End) | Err(_) => return true,
            }
        }
    }
}
