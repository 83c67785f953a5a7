//! BFD beside the loop: a thread of its own, so that no table, however full, comes before a neighbour's
//! silence or before our own word to it.
//!
//! ```text
//! loop ── sessions that there are to be, questions ──▶ thread ── packets ──▶ links
//!      ◀── up, down ── and an eventfd that wakes it ──        ◀── packets ──
//! ```

mod thread;

use crate::kernel::Namespace;
use crate::observe::status::BfdStatus;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use thread::Watch;
use tsumugi_core::bfd::{BfdDown, SessionConfig};

/// How long the thread may take to say how sessions stand. It is never busy.
const ANSWER: Duration = Duration::from_secs(1);
/// Enough for a few sockets and no recursion.
const STACK: usize = 256 << 10;

/// What the thread is told.
enum Command {
    /// Exactly these from now on.
    Sessions(Vec<SessionConfig>),
    /// How do they stand?
    Status(SyncSender<BfdStatus>),
    /// Tell every far end that it is no failure, and end.
    Stop,
}

/// What the thread tells.
#[derive(Debug)]
pub enum Change {
    Up { name: String },
    Down { name: String, cause: BfdDown, independent: bool },
}

pub struct Bfd {
    commands: Sender<Command>,
    changes: Receiver<Change>,
    /// Readable while there may be a change.
    changed: Arc<EventFd>,
    /// Wakes the thread.
    commanded: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
    wanted: Vec<SessionConfig>,
}

impl Bfd {
    /// # Errors
    /// No descriptors or threads left.
    pub fn start(space: &Namespace, listens: bool) -> io::Result<Bfd> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = || EventFd::from_value_and_flags(0, flags).map(Arc::new);
        let (changed, commanded) = (event()?, event()?);
        let (commands, obeys) = channel();
        let (tells, changes) = channel();
        let watch = Watch::new(space.clone(), obeys, tells, Arc::clone(&commanded), Arc::clone(&changed));
        let builder = std::thread::Builder::new().name("bfd".into()).stack_size(STACK);
        let thread = Some(builder.spawn(move || watch.run(listens))?);
        Ok(Bfd { commands, changes, changed, commanded, thread, wanted: Vec::new() })
    }

    /// Exactly these sessions from now on.
    pub fn watch(&mut self, wanted: Vec<SessionConfig>) {
        if self.wanted != wanted {
            self.wanted.clone_from(&wanted);
            self.command(Command::Sessions(wanted));
        }
    }

    /// The next change, if any waits: in the order in which they happened.
    pub fn next(&self) -> Option<Change> {
        self.changes.try_recv().ok()
    }

    /// The loop has seen that there may be changes.
    pub fn acknowledge(&self) {
        // Fails only if it was not readable.
        let _ = self.changed.read();
    }

    /// `None`: no answer in time.
    pub fn status(&self) -> Option<BfdStatus> {
        let (answers, answer) = sync_channel(1);
        self.command(Command::Status(answers));
        answer.recv_timeout(ANSWER).ok()
    }

    /// Far ends are told that it is no failure; [`Bfd::join`] waits until they know.
    pub fn stop(&self) {
        self.command(Command::Stop);
    }

    /// After [`Bfd::stop`].
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // What it may have panicked with is in the log.
            let _ = thread.join();
        }
    }

    fn command(&self, command: Command) {
        // Fails only if the thread has ended, which it does when it is told to.
        let _ = self.commands.send(command);
        let _ = self.commanded.write(1);
    }
}

impl AsFd for Bfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changed.as_fd()
    }
}
