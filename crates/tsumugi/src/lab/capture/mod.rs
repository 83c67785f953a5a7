//! What really went over a wire: captured, taken apart, written down.

mod datagram;
mod follow;
mod packet_socket;
mod pcap;
mod show;

pub use datagram::{Datagram, Piece, datagrams};
pub use follow::follow;
pub use packet_socket::PacketSocket;
pub use pcap::PcapWriter;
pub use show::line;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// One IP packet as it passed by.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: SystemTime,
    /// Which of the sockets given to [`Recorder::start`] saw it.
    pub place: usize,
    /// True if it left by the device, false if it came in.
    pub leaving: bool,
    /// From the IP header on, or from the Ethernet header on: as the socket sees.
    pub bytes: Vec<u8>,
}

/// How long the recorder may sleep before it looks whether it should stop.
const PULSE: Duration = Duration::from_millis(20);

/// Sockets that are read by a thread of their own, so that nothing overflows while others work.
/// Dropping it ends the thread.
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

impl Recorder {
    /// Begins to read; a packet's `place` is the index of its socket.
    pub fn start(sockets: Vec<PacketSocket>) -> Recorder {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || record(&for_thread, sockets));
        Recorder { shared, thread: Some(thread) }
    }

    /// All that was seen, in the order in which it was read.
    ///
    /// # Errors
    /// If a socket broke down (its device is gone).
    pub fn finish(mut self) -> io::Result<Vec<Seen>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the recorder panicked")))?;
        }
        Ok(std::mem::take(&mut self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it unfinished wants nothing of it any more.
            let _ = thread.join();
        }
    }
}

fn record(shared: &Shared, mut sockets: Vec<PacketSocket>) -> io::Result<()> {
    loop {
        // Read after the flag was seen: what arrived before it was set is not lost.
        let last = shared.stop.load(Ordering::Relaxed);
        for (place, socket) in sockets.iter_mut().enumerate() {
            while let Some((leaving, bytes)) = socket.read()? {
                let seen = Seen { at: SystemTime::now(), place, leaving, bytes };
                shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            }
        }
        if last {
            return Ok(());
        }
        let mut fds: Vec<PollFd> =
            sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(PULSE).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
