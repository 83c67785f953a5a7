//! Everything the loop waits for, in one epoll descriptor.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::AsFd;
use tsumugi_core::time::{Duration, Instant};

/// Events taken from the kernel at once: a bound on how long one round may last.
const BATCH: usize = 64;

/// Who has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Signals,
    Status,
    /// Somebody asks why.
    Show,
    /// A change in the kernel.
    Kernel,
    Discovery,
    /// BFD sessions that have come up or gone down.
    Bfd,
    /// Frames on interfaces of segments.
    Frames,
    /// A listener, by its place.
    Listener(u32),
    /// A TCP connection, by its number.
    Connection(u32),
    /// A connection to an RTR cache, by its number.
    Cache(u32),
    /// A connection to a BMP collector, by its number.
    Collector(u32),
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, number) = match self {
            Token::Signals => (0, 0),
            Token::Status => (1, 0),
            Token::Kernel => (2, 0),
            Token::Discovery => (3, 0),
            Token::Frames => (6, 0),
            Token::Bfd => (8, 0),
            Token::Listener(number) => (4, number),
            Token::Connection(number) => (5, number),
            Token::Cache(number) => (7, number),
            Token::Show => (9, 0),
            Token::Collector(number) => (10, number),
        };
        kind << 32 | u64::from(number)
    }

    fn decode(data: u64) -> Option<Token> {
        let number = u32::try_from(data & u64::from(u32::MAX)).ok()?;
        Some(match data >> 32 {
            0 => Token::Signals,
            1 => Token::Status,
            2 => Token::Kernel,
            3 => Token::Discovery,
            6 => Token::Frames,
            8 => Token::Bfd,
            4 => Token::Listener(number),
            5 => Token::Connection(number),
            7 => Token::Cache(number),
            9 => Token::Show,
            10 => Token::Collector(number),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub token: Token,
    pub readable: bool,
    pub writable: bool,
}

pub struct Poll {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Poll {
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Poll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Poll { epoll, events: vec![EpollEvent::empty(); BATCH] })
    }

    /// Reports from now on when `fd` is readable, and with `writable` also when it is that.
    ///
    /// # Errors
    /// It is there already, or the kernel's limit is reached.
    pub fn add(&self, fd: &impl AsFd, token: Token, writable: bool) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(writable), token.encode()))?)
    }

    /// # Errors
    /// It was never added.
    pub fn change(&self, fd: &impl AsFd, token: Token, writable: bool) -> io::Result<()> {
        let mut event = EpollEvent::new(flags(writable), token.encode());
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    /// Nothing more of `fd`, which may stay open.
    pub fn remove(&self, fd: &impl AsFd) {
        // It fails only if it was never added.
        let _ = self.epoll.delete(fd);
    }

    /// Waits until something is ready or `until` has come.
    pub fn wait(&mut self, now: Instant, until: Option<Instant>, ready: &mut Vec<Ready>) {
        let timeout = match until {
            None => EpollTimeout::NONE,
            Some(until) => milliseconds(until.since(now)),
        };
        // Interrupted by a signal that is not blocked: an empty round does no harm.
        let count = self.epoll.wait(&mut self.events, timeout).unwrap_or(0);
        ready.extend(self.events[..count].iter().filter_map(|event| {
            let ended = event.events().intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
            Some(Ready {
                token: Token::decode(event.data())?,
                readable: ended || event.events().contains(EpollFlags::EPOLLIN),
                writable: ended || event.events().contains(EpollFlags::EPOLLOUT),
            })
        }));
    }
}

fn flags(writable: bool) -> EpollFlags {
    if writable { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN }
}

/// Rounded up, so that the loop does not spin before a timer is due; at most a minute.
fn milliseconds(duration: Duration) -> EpollTimeout {
    let rounded = duration.as_nanos().div_ceil(1_000_000).min(60_000);
    EpollTimeout::from(u16::try_from(rounded).unwrap_or(60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [
            Token::Signals,
            Token::Status,
            Token::Kernel,
            Token::Discovery,
            Token::Bfd,
            Token::Show,
            Token::Frames,
            Token::Listener(1),
            Token::Connection(u32::MAX),
            Token::Cache(7),
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }
}
