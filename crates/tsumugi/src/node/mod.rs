//! The router process: one loop, events in, actions out.
//!
//! ```text
//! signals, router.sock ─┐
//! netlink notifications ─┤                     ┌─ connect, send, close ─▶ sessions
//! router advertisements ─┼─▶ Speaker::step ───┼─ updates ready ────────▶ sessions, as they have room
//! TCP connections ───────┤                     ├─ routes ready ─────────▶ kernel, in pieces
//! BFD, RPKI, time ───────┘                     └─ notices ──────────────▶ log
//! ```
//!
//! Nothing that a packet, a neighbour or an interface does ends it: what is missing is waited for.

mod bfd;
mod clock;
mod dhcp;
mod links;
mod monitors;
mod neighbourhood;
mod poll;
mod reload;
mod restart;
mod router;
mod rpki;
mod secrets;
mod segments;
mod sessions;
mod show;
mod signals;

use crate::observe::logging;
use crate::observe::serve::StatusSocket;
use crate::observe::status::{PlanStatus, RouterStatus, Running};
use crate::state::{PlanRefused, StateDir};
use poll::{Poll, Token};
use router::Router;
use signals::{Request, Signals};
use std::io;
use std::path::Path;
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_core::time::Instant;

/// Runs until it is told to stop.
///
/// # Errors
/// What keeps it from beginning: no state directory, no right to a namespace or to raw sockets.
pub fn run(directory: &Path) -> io::Result<()> {
    logging::init("router");
    let mut frame = Frame::open(directory)?;
    let Some(plan) = frame.first_plan() else { return Ok(()) };
    Router::new(frame, plan)?.run();
    Ok(())
}

/// The error with what it kept from happening.
fn failing(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// What the process has whether or not there is a plan.
struct Frame {
    state: StateDir,
    poll: Poll,
    signals: Signals,
    status: StatusSocket,
    started: Instant,
    /// Why the newest plan was refused.
    refused: Option<PlanRefused>,
}

impl Frame {
    fn open(directory: &Path) -> io::Result<Frame> {
        let signals = Signals::catch()?;
        let state = StateDir::open(directory)?;
        let status = StatusSocket::bind(&state.socket("router")).map_err(failing("making router.sock"))?;
        let poll = Poll::new()?;
        poll.add(&signals, Token::Signals, false)?;
        poll.add(&status, Token::Status, false)?;
        Ok(Frame { state, poll, signals, status, started: clock::now(), refused: None })
    }

    /// The plan, if it is understood and for a router; its refusal is said once.
    fn read_plan(&mut self) -> Option<RouterPlan> {
        let refusal = match self.state.plan() {
            Ok(plan) if plan.speaker.is_some() => {
                self.refused = None;
                return Some(plan);
            }
            Ok(_) => PlanRefused::NoSpeaker,
            Err(refusal) => refusal,
        };
        logging::refuse_plan(&mut self.refused, refusal);
        None
    }

    /// Waits, with nothing running, until there is a plan; `None`: told to stop.
    fn first_plan(&mut self) -> Option<RouterPlan> {
        let mut ready = Vec::new();
        loop {
            if let Some(plan) = self.read_plan() {
                return Some(plan);
            }
            let request = loop {
                self.poll.wait(clock::now(), None, &mut ready);
                ready.clear();
                let document = self.document(None);
                self.status.serve(|| document);
                if let Some(request) = self.signals.next() {
                    break request;
                }
            };
            if request != Request::Reload {
                return None;
            }
        }
    }

    fn document(&self, in_force: Option<(&RouterPlan, Running)>) -> String {
        let (plan, running) = in_force.unzip();
        let status = RouterStatus {
            process: "router".into(),
            pid: std::process::id(),
            uptime_ms: u64::try_from(clock::now().since(self.started).as_millis()).unwrap_or(u64::MAX),
            plan: PlanStatus::of(plan, self.refused.as_ref()),
            running,
        };
        // Its types are plain: numbers, texts, lists, and maps whose keys are texts.
        serde_json::to_string(&status).unwrap_or_default()
    }
}
