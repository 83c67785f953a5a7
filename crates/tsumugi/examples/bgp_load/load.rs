//! The run: everybody calls, the feeders tell, the best feeder goes, everybody goes.

use crate::Options;
use crate::process::{LOOK, cpu, kernel_routes, memory};
use crate::session::{Heard, Session};
use crate::table::{Table, asn};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tsumugi_core::id::Prefix;
use tsumugi_core::wire::bgp::{Context, MESSAGE_MAX, Message, MessageKind, frame};

pub const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x900, 1, 0, 0, 0, 1);
/// Numbers behind the feeders'.
pub const SINK: u8 = 100;
pub const IDLE: u8 = 101;
/// The sink has heard nothing for this long and has what it should: the phase is over.
const QUIET: Duration = Duration::from_millis(1500);
const HOLD: u16 = 90;
/// Entries that the kernel makes and drops by itself, of addresses and neighbours: fewer than this.
const ITS_OWN: usize = 16;

/// The address of a feeder, the sink or the idle neighbour.
pub fn address(number: u8, ipv6: bool) -> IpAddr {
    let last = number + 10;
    if ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0x900, 1, 0, 0, 0, last.into()).into()
    } else {
        Ipv4Addr::new(203, 0, 113, last).into()
    }
}

fn router(ipv6: bool) -> IpAddr {
    if ipv6 { ROUTER_V6.into() } else { ROUTER_V4.into() }
}

/// What the sink knows, one family: by prefix what its route carries.
#[derive(Default)]
struct Known {
    read: usize,
    routes: HashMap<Prefix, u64>,
}

/// What a phase came to.
#[derive(Default, Clone, Copy)]
struct Phase {
    /// When the sink first had as many routes as it should.
    complete: Option<Instant>,
    last: Option<Instant>,
    messages: u64,
    prefixes: u64,
}

impl Known {
    /// Reads what has come since.
    fn read(&mut self, heard: &Heard, wanted: usize, phase: &mut Phase) {
        let context = Context { four_octet: true, ..Context::default() };
        while let Ok(Some(found)) = frame(&heard.bytes[self.read..], MESSAGE_MAX) {
            self.read += found.wire_len();
            if found.kind != MessageKind::Update {
                continue;
            }
            let Ok(Message::Update(decoded)) = Message::parse(found, context) else { continue };
            let update = &decoded.update;
            if update.end_of_rib().is_some() {
                continue;
            }
            let piece = heard.pieces.partition_point(|&(_, there)| there < self.read);
            let at = heard.pieces.get(piece).map(|&(at, _)| at);
            phase.messages += 1;
            phase.last = phase.last.max(at);
            let mp = update.mp_unreach.iter().flat_map(|it| &it.prefixes);
            for route in update.withdrawn.iter().chain(mp) {
                phase.prefixes += 1;
                self.routes.remove(&route.prefix);
            }
            let mut hasher = DefaultHasher::new();
            if let Some(attributes) = &update.attributes {
                // A set has no order (RFC 1997), and BIRD sorts it.
                let communities: BTreeSet<_> = attributes.communities.iter().collect();
                (&attributes.as_path, attributes.origin, communities).hash(&mut hasher);
            }
            let carried = hasher.finish();
            let mp = update.mp_reach.iter().flat_map(|it| &it.prefixes);
            for route in update.announced.iter().chain(mp) {
                phase.prefixes += 1;
                self.routes.insert(route.prefix, carried);
            }
            if self.routes.len() == wanted && phase.complete.is_none() {
                phase.complete = at;
            }
        }
    }
}

struct Sink {
    /// IPv4 and IPv6.
    sessions: [Session; 2],
    known: [Known; 2],
}

impl Sink {
    fn open() -> io::Result<Sink> {
        Ok(Sink {
            sessions: [open(SINK, false, HOLD, true)?, open(SINK, true, HOLD, true)?],
            known: Default::default(),
        })
    }

    /// How many bytes the sink has heard.
    fn heard(&self) -> usize {
        self.sessions.iter().map(|it| it.heard.lock().expect("nobody panics with it").bytes.len()).sum()
    }

    /// Waits until the sink has `wanted` routes and hears nothing more.
    fn wait(&mut self, wanted: [usize; 2], patience: Duration) -> io::Result<Phase> {
        let end = Instant::now() + patience;
        let (mut seen, mut since) = (usize::MAX, Instant::now());
        let mut phases = [Phase::default(); 2];
        loop {
            thread::sleep(Duration::from_millis(50));
            let there = self.heard();
            if std::mem::replace(&mut seen, there) != there {
                since = Instant::now();
            }
            let late = Instant::now() > end;
            if since.elapsed() < QUIET && !late {
                continue;
            }
            for at in 0..2 {
                let heard = self.sessions[at].heard.lock().expect("nobody panics with it");
                if heard.ended {
                    return Err(io::Error::other("the router has ended the sink's session"));
                }
                self.known[at].read(&heard, wanted[at], &mut phases[at]);
            }
            let has = [0, 1].map(|at: usize| self.known[at].routes.len());
            // Where the numbers were right before, silence alone may mean that it has not begun.
            if has == wanted && phases.iter().any(|phase| phase.messages > 0) {
                return Ok(phases[0].with(phases[1]));
            }
            if late {
                return Err(io::Error::other(format!("the sink has {has:?} routes, not {wanted:?}")));
            }
            since = Instant::now();
        }
    }

    /// A line per prefix: what its route carries.
    fn dump(&self, path: &std::path::Path) -> io::Result<()> {
        let routes = self.known.iter().flat_map(|it| &it.routes);
        let mut lines: Vec<String> =
            routes.map(|(prefix, carried)| format!("{prefix} {carried:016x}\n")).collect();
        lines.sort_unstable();
        std::fs::File::create(path)?.write_all(lines.concat().as_bytes())
    }
}

impl Phase {
    /// Two families told at once.
    fn with(self, other: Phase) -> Phase {
        Phase {
            complete: self.complete.max(other.complete),
            last: self.last.max(other.last),
            messages: self.messages + other.messages,
            prefixes: self.prefixes + other.prefixes,
        }
    }
}

fn open(number: u8, ipv6: bool, hold: u16, keep: bool) -> io::Result<Session> {
    let calls = address(number, ipv6);
    Session::open(calls, router(ipv6), asn(number), hold, keep, Duration::from_secs(60))
        .map_err(|error| io::Error::new(error.kind(), format!("{calls} calls {}: {error}", router(ipv6))))
}

fn seconds(from: Instant, to: Option<Instant>) -> f64 {
    to.map_or(f64::NAN, |to| to.saturating_duration_since(from).as_secs_f64())
}

/// Waits until the kernel holds as many routes, and says when.
fn follow_kernel(
    options: &Options,
    start: Instant,
    base: (usize, usize),
    up: bool,
) -> thread::JoinHandle<f64> {
    let space = options.kernel.clone().unwrap_or_default();
    let (wanted, patience) = ((options.ipv4, options.ipv6), options.patience);
    thread::spawn(move || {
        let (mut v4, mut v6) = (0, 0);
        while start.elapsed() < patience {
            (v4, v6) = kernel_routes(&space);
            (v4, v6) = (v4.saturating_sub(base.0), v6.saturating_sub(base.1));
            let there = if up { v4 >= wanted.0 && v6 >= wanted.1 } else { v4 + v6 < ITS_OWN };
            if there {
                return start.elapsed().as_secs_f64();
            }
            thread::sleep(LOOK);
        }
        eprintln!("bgp_load: the kernel holds {v4} routes of IPv4 and {v6} of IPv6 more than before");
        f64::NAN
    })
}

/// Prints `name value` lines: seconds, MiB, numbers.
///
/// # Errors
/// A session that does not come up or ends; a table that does not come whole.
pub fn run(options: &Options) -> io::Result<()> {
    let table = Table::new(options.ipv4, options.ipv6);
    let whole = [options.ipv4, options.ipv6];
    let mut sink = Sink::open()?;
    let idle = open(IDLE, false, 3, true)?;
    let mut feeders = Vec::new();
    let mut messages = 0;
    for feeder in 0..options.feeders {
        for ipv6 in [false, true] {
            let (bytes, count) = table.stream(ipv6, feeder, address(feeder, ipv6));
            messages += count;
            feeders.push((open(feeder, ipv6, HOLD, false)?, Arc::new(bytes)));
        }
    }
    thread::sleep(Duration::from_secs(1));
    let say = |name: &str, value: f64| println!("{name} {value:.2}");
    let base = options.kernel.as_deref().map(kernel_routes);
    say("updates sent", messages as f64);
    say("memory empty, MiB", memory(&options.pids).1);

    let (start, cpu_before) = (Instant::now(), cpu(&options.pids));
    for (session, bytes) in &feeders {
        session.send(bytes.clone());
    }
    let kernel = base.map(|base| follow_kernel(options, start, base, true));
    let full = sink.wait(whole, options.patience)?;
    say("full, s", seconds(start, full.complete));
    say("full, last UPDATE, s", seconds(start, full.last));
    say("full, UPDATEs", full.messages as f64);
    if let Some(seconds) = kernel.and_then(|it| it.join().ok()) {
        say("kernel full, s", seconds);
    }
    say("full, CPU s", cpu(&options.pids) - cpu_before);
    say("memory peak, MiB", memory(&options.pids).0);
    say("memory full, MiB", memory(&options.pids).1);
    if let Some(path) = &options.dump {
        sink.dump(path)?;
    }

    if options.feeders > 1 {
        let start = Instant::now();
        for (session, _) in feeders.drain(..2) {
            session.close();
        }
        // The best of the rest tell of everything, so that what is complete does not say when it was over.
        let switch = sink.wait(whole, options.patience)?;
        say("switch, s", seconds(start, switch.last));
        say("switch, UPDATEs", switch.messages as f64);
        say("switch, prefixes per UPDATE", switch.prefixes as f64 / switch.messages as f64);
    }
    let start = Instant::now();
    for (session, _) in &feeders {
        session.close();
    }
    let kernel = base.map(|base| follow_kernel(options, start, base, false));
    let gone = sink.wait([0, 0], options.patience)?;
    say("withdrawn, s", seconds(start, gone.last));
    if let Some(seconds) = kernel.and_then(|it| it.join().ok()) {
        say("kernel empty, s", seconds);
    }
    say("all, CPU s", cpu(&options.pids) - cpu_before);
    say("memory peak of all, MiB", memory(&options.pids).0);
    // Who gives memory back when there is nothing else to do has that moment.
    thread::sleep(Duration::from_secs(2));
    say("memory after, MiB", memory(&options.pids).1);
    let heard = idle.heard.lock().expect("nobody panics with it");
    let between = heard.pieces.windows(2).map(|two| (two[1].0 - two[0].0).as_secs_f64());
    say("longest between KEEPALIVEs of 1 s, s", between.fold(0.0, f64::max));
    say("idle session lost", f64::from(u8::from(heard.ended)));
    Ok(())
}
