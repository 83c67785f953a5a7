//! Work that may keep the kernel long, beside the packets: rules and interfaces wait for every processor to
//! have looked away, and for whoever else changes something.

use super::forward::{Forwarding, Health};
use super::{Token, in_turn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

/// Events taken from the kernel at once.
const EVENTS: usize = 64;
/// How long a loop that is woken by something else than packets leaves them waiting, in milliseconds.
const PAUSE: u8 = 1;

/// Does `work` on a thread of its own, and forwards packets until it is done. All other events wait.
pub fn meanwhile<T: Send>(epoll: &Epoll, forwarding: &mut Forwarding, work: impl FnOnce() -> T + Send) -> T {
    // Without a way to be told of the end nothing is forwarded meanwhile.
    let Ok(done) = EventFd::new() else { return work() };
    thread::scope(|scope| {
        let job = scope.spawn(|| {
            let result = work();
            let _ = done.write(1);
            result
        });
        let mut only_others = false;
        while !job.is_finished() {
            let mut all = [
                PollFd::new(done.as_fd(), PollFlags::POLLIN),
                PollFd::new(epoll.0.as_fd(), PollFlags::POLLIN),
            ];
            let watched = if only_others { &mut all[..1] } else { &mut all[..] };
            let patience = if only_others { PollTimeout::from(PAUSE) } else { PollTimeout::from(100u8) };
            if poll(watched, patience).is_err() {
                continue;
            }
            if all[0].any() == Some(true) {
                break;
            }
            only_others = !forward(epoll, forwarding);
        }
        match job.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// True if there were packets.
fn forward(epoll: &Epoll, forwarding: &mut Forwarding) -> bool {
    let mut events = [EpollEvent::empty(); EVENTS];
    let count = epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
    in_turn(&mut events[..count]);
    let now = Instant::now();
    let mut any = false;
    for event in &events[..count] {
        let Some(token) = Token::decode(event.data()) else { continue };
        any |= token.is_packets() && forwarding.on(now, token) == Health::Well;
    }
    any
}
