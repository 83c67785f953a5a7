//! The thread: packets and time in, packets and changes out. It takes no lock, waits for nobody, and sends
//! before it tells.

use super::{Change, Command};
use crate::kernel::{Namespace, urgency};
use crate::node::clock;
use crate::observe::status::BfdStatus;
use crate::peering::bfd_socket::{Ear, Mouth};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use tsumugi_core::bfd::{Action, Bfd, Event, Path};
use tsumugi_core::time::{Duration, Instant};

/// Packets taken from one socket before time has its turn.
const ROUND: usize = 256;
/// Between attempts to get the ports.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How long far ends may take to hear that we stop.
const FAREWELL: Duration = Duration::from_millis(500);

pub(super) struct Watch {
    space: Namespace,
    commands: Receiver<Command>,
    changes: Sender<Change>,
    commanded: Arc<EventFd>,
    changed: Arc<EventFd>,
    bfd: Bfd,
    ears: Vec<Ear>,
    mouths: HashMap<Path, Mouth>,
    actions: Vec<Action>,
    /// Why nothing is heard, and when to try again.
    deaf: Option<(String, Instant)>,
    /// Why it is scheduled like any other thread.
    patient: Option<String>,
    /// Until when far ends are told that we stop.
    stops: Option<Instant>,
}

impl Watch {
    pub fn new(
        space: Namespace,
        commands: Receiver<Command>,
        changes: Sender<Change>,
        commanded: Arc<EventFd>,
        changed: Arc<EventFd>,
    ) -> Watch {
        Watch {
            space,
            commands,
            changes,
            commanded,
            changed,
            bfd: Bfd::new(rand::random()),
            ears: Vec::new(),
            mouths: HashMap::new(),
            actions: Vec::new(),
            deaf: None,
            patient: None,
            stops: None,
        }
    }

    /// `listens`: false where BFD's ports are another program's.
    pub fn run(mut self, listens: bool) {
        self.patient = urgency::make_urgent().err().map(|error| error.to_string());
        if let Err(error) = self.space.enter() {
            tracing::error!(%error, "BFD cannot enter the fabric's namespace");
            return;
        }
        if listens {
            self.listen(clock::now());
        }
        loop {
            self.wait();
            let now = clock::now();
            self.step(now, Event::Awake);
            self.hear(now);
            self.obey(now);
            self.step(clock::now(), Event::Timeout);
            if self.deaf.as_ref().is_some_and(|(_, again)| *again <= now) {
                self.listen(now);
            }
            if self.stops.is_some_and(|until| until <= now || !self.bfd.is_leaving()) {
                return;
            }
        }
    }

    fn wait(&self) {
        let again = self.deaf.as_ref().map(|(_, again)| *again);
        let until = [self.bfd.next_timeout(), again, self.stops].into_iter().flatten().min();
        let timeout = until.map(|until| TimeSpec::from_duration(until.since(clock::now())));
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = [const { None }; 5];
        let sources = self.ears.iter().map(Ear::as_fd).chain([self.commanded.as_fd()]);
        let mut count = 0;
        for (place, fd) in fds.iter_mut().zip(sources) {
            *place = Some(readable(fd));
            count += 1;
        }
        let mut fds: [PollFd<'_>; 5] = fds.map(|fd| fd.unwrap_or_else(|| readable(self.commanded.as_fd())));
        // Interrupted by a signal: an empty round does no harm.
        let _ = ppoll(&mut fds[..count], timeout, None);
    }

    fn listen(&mut self, now: Instant) {
        match Ear::open_all() {
            Ok(ears) => (self.ears, self.deaf) = (ears, None),
            Err(error) => {
                let error = error.to_string();
                if self.deaf.as_ref().is_none_or(|(old, _)| *old != error) {
                    tracing::warn!(error, "cannot listen for BFD, trying again");
                }
                self.deaf = Some((error, now + LISTEN_AGAIN));
            }
        }
    }

    /// Everything that waits comes before anybody is called silent.
    fn hear(&mut self, now: Instant) {
        let Watch { ears, bfd, actions, .. } = self;
        for ear in ears {
            for _ in 0..ROUND {
                let Some(received) = ear.receive() else { break };
                bfd.step(now, Event::Received(received), actions);
            }
        }
        self.perform();
    }

    fn obey(&mut self, now: Instant) {
        // Fails only if it was not readable.
        let _ = self.commanded.read();
        loop {
            match self.commands.try_recv() {
                Ok(Command::Sessions(wanted)) if self.stops.is_none() => {
                    self.step(now, Event::Configure(wanted));
                    let Watch { mouths, bfd, .. } = self;
                    mouths.retain(|path, _| bfd.has_path(path));
                }
                Ok(Command::Sessions(_)) => {}
                Ok(Command::Status(answer)) => {
                    // Nobody waits any more: then nobody needs it.
                    let _ = answer.try_send(self.status(now));
                }
                Ok(Command::Stop) => {
                    self.stops = Some(now + FAREWELL);
                    self.step(now, Event::Stop);
                }
                Err(_) => return,
            }
        }
    }

    fn step(&mut self, now: Instant, event: Event<'_>) {
        self.bfd.step(now, event, &mut self.actions);
        self.perform();
    }

    /// Packets first.
    fn perform(&mut self) {
        if self.actions.is_empty() {
            return;
        }
        let mut told = false;
        for action in &self.actions {
            if let Action::Send { path, bytes } = action {
                // What keeps a packet from leaving is the kernel's to say elsewhere: the far end is heard, or
                // it is not.
                let _ = send(&mut self.mouths, path, bytes);
            }
        }
        for action in self.actions.drain(..) {
            let change = match action {
                Action::Send { .. } => continue,
                Action::Up { name } => Change::Up { name },
                Action::Down { name, cause, independent } => Change::Down { name, cause, independent },
            };
            told |= self.changes.send(change).is_ok();
        }
        if told {
            // Fails only if 2^64 changes wait.
            let _ = self.changed.write(1);
        }
    }

    fn status(&self, now: Instant) -> BfdStatus {
        BfdStatus {
            sessions: self.bfd.status(now).into_iter().map(Into::into).collect(),
            drops: self.bfd.drops().clone(),
            not_listening: self.deaf.as_ref().map(|(error, _)| error.clone()),
            not_urgent: self.patient.clone(),
        }
    }
}

fn send(mouths: &mut HashMap<Path, Mouth>, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(mouth) = mouths.get(path) {
        // One that was refused tells of an earlier packet: this one has not left yet.
        return mouth.send(bytes).or_else(|_| mouth.send(bytes));
    }
    let mouth = Mouth::open(path, rand::random)?;
    mouth.send(bytes)?;
    mouths.insert(*path, mouth);
    Ok(())
}
