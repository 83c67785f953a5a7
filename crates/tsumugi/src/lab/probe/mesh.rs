//! Everybody asks everybody, all the time: how long who did not reach whom.
//!
//! One thread serves all flows. A flow's outage runs from the sending of the first request that stayed
//! unanswered to the sending of the next that was answered.

use super::echo::{EchoSocket, Question, identifier_base, wait};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A request counts as lost when it has been unanswered for this long.
pub const LOST_AFTER: Duration = Duration::from_millis(250);

/// The running pinger. Dropping it ends its thread.
pub struct Mesh {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
}

struct State {
    flows: Vec<Flow>,
    /// Why the thread ended by itself.
    broken: Option<io::Error>,
}

/// The requests of one flow, by sequence number.
#[derive(Debug, Default, Clone)]
struct Flow {
    sent: Vec<Instant>,
    answered: Vec<bool>,
}

/// What happened to a flow since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Requests that were answered or counted as lost.
    pub decided: usize,
    pub lost: usize,
    /// The longest outage.
    pub longest: Duration,
    /// True if the newest decided request stayed unanswered: the outage goes on.
    pub down: bool,
}

impl Mesh {
    /// Starts asking: every flow once per `interval`, spread over it.
    pub fn start(sockets: Vec<EchoSocket>, flows: Vec<Question>, interval: Duration) -> Mesh {
        let state = State { flows: vec![Flow::default(); flows.len()], broken: None };
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), state: Mutex::new(state) });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            if let Err(error) = run(&for_thread, sockets, &flows, interval) {
                for_thread.lock().broken = Some(error);
            }
        });
        Mesh { shared, thread: Some(thread) }
    }

    /// What happened to each flow to requests sent since `since`.
    ///
    /// # Errors
    /// If the pinger itself has broken down.
    pub fn since(&self, since: Instant) -> io::Result<Vec<Window>> {
        let mut state = self.shared.lock();
        if let Some(error) = state.broken.take() {
            return Err(error);
        }
        let now = Instant::now();
        Ok(state.flows.iter().map(|flow| flow.window(since, now)).collect())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by its hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    fn window(&self, since: Instant, now: Instant) -> Window {
        let first = self.sent.partition_point(|sent| *sent < since);
        let mut window = Window::default();
        let mut gone_since: Option<Instant> = None;
        for (sent, answered) in self.sent[first..].iter().zip(&self.answered[first..]) {
            if !answered && now.duration_since(*sent) < LOST_AFTER {
                // Younger ones may still be answered, and an answer that overtook tells nothing of them.
                continue;
            }
            window.decided += 1;
            if *answered {
                if let Some(start) = gone_since.take() {
                    window.longest = window.longest.max(sent.duration_since(start));
                }
            } else {
                window.lost += 1;
                gone_since.get_or_insert(*sent);
            }
        }
        if let Some(start) = gone_since {
            window.down = true;
            window.longest = window.longest.max(now.duration_since(start));
        }
        window
    }
}

fn run(
    shared: &Shared,
    mut sockets: Vec<EchoSocket>,
    flows: &[Question],
    interval: Duration,
) -> io::Result<()> {
    let base = identifier_base();
    let gap = interval / u32::try_from(flows.len().max(1)).unwrap_or(u32::MAX);
    let mut due = Instant::now();
    let mut turn = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        // All that has come due, at most one round: what was slept through is not made up for.
        for _ in 0..flows.len() {
            if due > now {
                break;
            }
            ask(shared, &mut sockets, flows, turn, base);
            turn = (turn + 1) % flows.len();
            due += gap;
        }
        due = due.max(now);
        // Several flows a wake-up: a thousand wake-ups a second would measure the pinger.
        wait(&sockets, due.max(now + Duration::from_millis(2)))?;
        hear(shared, &mut sockets, flows, base)?;
    }
    Ok(())
}

fn ask(shared: &Shared, sockets: &mut [EchoSocket], flows: &[Question], index: usize, base: u16) {
    let question = flows[index];
    let mut state = shared.lock();
    let flow = &mut state.flows[index];
    let sequence = flow.sent.len() as u16;
    flow.sent.push(Instant::now());
    flow.answered.push(false);
    drop(state);
    // What cannot be sent (no route) stays unanswered: that is its loss.
    let _ = sockets[question.socket].ask(
        question.destination,
        base.wrapping_add(index as u16),
        sequence,
        question.length,
    );
}

fn hear(shared: &Shared, sockets: &mut [EchoSocket], flows: &[Question], base: u16) -> io::Result<()> {
    for (number, socket) in sockets.iter_mut().enumerate() {
        while let Some(reply) = socket.hear()? {
            let index = usize::from(reply.identifier.wrapping_sub(base));
            if flows.get(index).is_none_or(|flow| flow.socket != number) {
                continue;
            }
            let mut state = shared.lock();
            let flow = &mut state.flows[index];
            // Sequence numbers wrap after 65536 requests: the newest that fits is meant.
            let newest = flow.sent.len().saturating_sub(1);
            let back = usize::from((newest as u16).wrapping_sub(reply.sequence));
            if let Some(number) = newest.checked_sub(back) {
                // Later than we count a request as lost is lost, or a healed outage would shrink.
                if flow.sent[number].elapsed() < LOST_AFTER {
                    flow.answered[number] = true;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One request each 50 ms; `#` is answered, `.` is not.
    fn flow(pattern: &str, start: Instant) -> Flow {
        let sent = (0..pattern.len()).map(|n| start + Duration::from_millis(50) * n as u32).collect();
        Flow { sent, answered: pattern.chars().map(|c| c == '#').collect() }
    }

    #[test]
    fn an_outage_is_measured_between_sendings() {
        let start = Instant::now();
        let end = start + Duration::from_secs(10);
        let all = flow("####....##.##", start).window(start, end);
        assert_eq!((all.decided, all.lost, all.down), (13, 5, false));
        assert_eq!(all.longest, Duration::from_millis(200));
        let late = flow("####....##.##", start).window(start + Duration::from_millis(400), end);
        assert_eq!((late.decided, late.lost, late.longest), (5, 1, Duration::from_millis(50)));
    }

    #[test]
    fn young_requests_are_undecided_and_old_silence_is_down() {
        let start = Instant::now();
        let young = flow("##..", start).window(start, start + Duration::from_millis(160));
        assert_eq!(young, Window { decided: 2, lost: 0, longest: Duration::ZERO, down: false });
        let old = flow("##..", start).window(start, start + Duration::from_millis(500));
        assert!(old.down);
        assert_eq!(old.longest, Duration::from_millis(400));
    }
}
