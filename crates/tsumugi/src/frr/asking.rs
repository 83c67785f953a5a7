//! What FRR says of itself, asked on a thread of its own: the router process never waits for a busy daemon.

use super::status::{Neighbours, RouteSummary, Summary};
use super::vty::Vty;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one answer to the next question.
const EVERY: Duration = Duration::from_secs(1);
/// Whoever is not done by then is busy, and asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was said longer ago says nothing of today.
const FRESH: Duration = Duration::from_secs(10);
/// In bytes: nothing of it is kept on the stack.
const STACK: usize = 256 * 1024;

/// What was answered last.
#[derive(Debug, Default)]
pub struct Said {
    pub neighbours: Neighbours,
    pub summary: Summary,
    /// IPv4 and IPv6.
    pub routes: [RouteSummary; 2],
    pub version: Option<String>,
}

#[derive(Default)]
struct Known {
    said: Option<(Instant, Arc<Said>)>,
    /// Why the last question has no answer.
    error: Option<String>,
}

pub struct Asking {
    known: Arc<Mutex<Known>>,
    /// The thread ends when this goes.
    _lives: Sender<()>,
}

impl Asking {
    /// `directory`: where the daemons' sockets are, as soon as they run.
    ///
    /// # Errors
    /// No threads left.
    pub fn start(directory: PathBuf) -> io::Result<Asking> {
        let known = Arc::<Mutex<Known>>::default();
        let (lives, end) = channel::<()>();
        let tell = Arc::clone(&known);
        let thread = std::thread::Builder::new().name("frr".into()).stack_size(STACK);
        thread.spawn(move || {
            while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let asked = ask(&directory, Instant::now() + PATIENCE);
                let mut known = tell.lock().unwrap_or_else(PoisonError::into_inner);
                match asked {
                    Ok(said) => *known = Known { said: Some((Instant::now(), Arc::new(said))), error: None },
                    Err(error) => known.error = Some(error.to_string()),
                }
            }
        })?;
        Ok(Asking { known, _lives: lives })
    }

    /// What was said not long ago, and why there is no newer word.
    pub fn last(&self) -> (Option<Arc<Said>>, Option<String>) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.said.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        (fresh.map(|(_, said)| Arc::clone(said)), known.error.clone())
    }
}

fn ask(directory: &Path, until: Instant) -> io::Result<Said> {
    let mut bgpd = Vty::open(directory, "bgpd", until)?;
    let neighbours = bgpd.json("show bgp neighbors json")?;
    let summary = bgpd.json("show bgp summary json")?;
    let version = bgpd.text("show version")?;
    let mut zebra = Vty::open(directory, "zebra", until)?;
    let routes = [zebra.json("show ip route summary json")?, zebra.json("show ipv6 route summary json")?];
    let version = version.split_whitespace().nth(1).map(str::to_owned);
    Ok(Said { neighbours, summary, routes, version })
}
