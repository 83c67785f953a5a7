//! Steady streams of numbered datagrams through a tunnel, both ways and in both families, a quarter of them
//! larger than one outer packet: each has to arrive, once.

use crate::bench::Bench;
use nix::sys::socket::{setsockopt, sockopt};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Datagrams a second of one of the four streams.
const RATE: u32 = 500;
/// How many may be under way. Where a process has no turn they wait, in fewer places than the kernel's queues
/// have: what is lost then was not lost for want of room.
const WINDOW: u32 = 200;
/// How many one stream may be behind before it leaves the rest out: a busy machine shall not be flooded.
const BEHIND: u32 = 20;
/// Bytes of a datagram, and of each fourth.
const SMALL: usize = 100;
const LARGE: usize = 2000;
/// How long the last ones may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take until the next ones are sent.
const LONGEST: Duration = Duration::from_secs(60);

pub struct Streams {
    end: Arc<AtomicBool>,
    streams: Vec<Stream>,
}

struct Stream {
    name: String,
    /// How many have been sent.
    sent: Arc<AtomicU32>,
    sender: JoinHandle<()>,
    /// How often each number has come.
    receiver: JoinHandle<Vec<u32>>,
}

impl Streams {
    /// Begins to send between the loopbacks of the two machines.
    pub fn start(bench: &Bench) -> Streams {
        let end = Arc::new(AtomicBool::new(false));
        let ways = [(false, 0), (true, 0), (false, 1), (true, 1)];
        let streams = ways.map(|(ipv6, from)| Stream::start(bench, ipv6, from, &end)).into();
        Streams { end, streams }
    }

    /// How many have been sent until now.
    pub fn sent(&self) -> u32 {
        self.streams.iter().map(|stream| stream.sent.load(Ordering::Relaxed)).sum()
    }

    /// Waits until so many more have been sent.
    pub fn pass(&self, more: u32) {
        let (until, deadline) = (self.sent() + more, Instant::now() + LONGEST);
        while self.sent() < until {
            assert!(Instant::now() < deadline, "the streams have stopped");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops sending; every datagram has to have arrived, once.
    #[track_caller]
    pub fn finish(self, what: &str, bench: &Bench) {
        self.finish_with(0, what, bench);
    }

    /// As [`Streams::finish`], where so many of a stream may have come twice.
    #[track_caller]
    pub fn finish_with(self, most_twice: usize, what: &str, bench: &Bench) {
        self.end.store(true, Ordering::Relaxed);
        let mut wrong = String::new();
        for stream in self.streams {
            stream.sender.join().unwrap();
            let sent = stream.sent.load(Ordering::Relaxed);
            let counts = stream.receiver.join().unwrap();
            let lost: Vec<u32> = (0..sent).filter(|number| counts[*number as usize] == 0).collect();
            let twice: Vec<u32> = (0..sent).filter(|number| counts[*number as usize] > 1).collect();
            println!("{what}, {}: {sent} sent, {} came twice", stream.name, twice.len());
            if !lost.is_empty() || twice.len() > most_twice {
                wrong += &format!(
                    "{}: of {sent} {} lost {:?}.., {} twice {:?}..\n",
                    stream.name,
                    lost.len(),
                    &lost[..lost.len().min(20)],
                    twice.len(),
                    &twice[..twice.len().min(20)]
                );
            }
        }
        let log = || std::fs::read_to_string(bench.machines[0].state.join("log")).unwrap_or_default();
        assert!(wrong.is_empty(), "{what}\n{wrong}{}\n{}\n{}", bench.status(0), bench.status(1), log());
    }
}

impl Stream {
    fn start(bench: &Bench, ipv6: bool, from: usize, end: &Arc<AtomicBool>) -> Stream {
        let bind = |machine: usize| {
            let id = machine + 1;
            let host = if ipv6 { format!("[2001:db8:f::{id}]") } else { format!("198.18.0.{id}") };
            bench.machines[machine].in_plane("fabric", || UdpSocket::bind(format!("{host}:0")).unwrap())
        };
        let (sender, receiver) = (bind(from), bind(1 - from));
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        setsockopt(&receiver, sockopt::RcvBufForce, &(8 << 20)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let sent = Arc::new(AtomicU32::new(0));
        // One more than the highest number that has come.
        let came = Arc::new(AtomicU32::new(0));
        let (counter, ended, until) = (sent.clone(), end.clone(), came.clone());
        let sender = thread::spawn(move || {
            let mut buffer = [0; LARGE];
            let start = Instant::now();
            let mut left_out = 0;
            while !ended.load(Ordering::Relaxed) {
                let due = start.elapsed().as_millis() as u32 * RATE / 1000;
                let number = counter.load(Ordering::Relaxed);
                left_out = left_out.max(due.saturating_sub(number + BEHIND));
                if number + left_out >= due || number >= until.load(Ordering::Relaxed) + WINDOW {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                buffer[..4].copy_from_slice(&number.to_be_bytes());
                let len = if number % 4 == 3 { LARGE } else { SMALL };
                sender.send(&buffer[..len]).unwrap();
                counter.store(number + 1, Ordering::Relaxed);
            }
        });
        let (counter, ended) = (sent.clone(), end.clone());
        let receiver = thread::spawn(move || {
            let mut counts: Vec<u32> = Vec::new();
            let mut buffer = [0; LARGE];
            let mut missing = 0;
            let mut last = Instant::now();
            loop {
                if let Ok(len) = receiver.recv(&mut buffer) {
                    let number = u32::from_be_bytes(buffer[..4].try_into().unwrap());
                    assert_eq!(len, if number % 4 == 3 { LARGE } else { SMALL });
                    let at = number as usize;
                    if counts.len() <= at {
                        missing += at + 1 - counts.len();
                        counts.resize(at + 1, 0);
                        came.store(number + 1, Ordering::Relaxed);
                    }
                    missing -= usize::from(counts[at] == 0);
                    counts[at] += 1;
                    last = Instant::now();
                    continue;
                }
                let sent = counter.load(Ordering::Relaxed) as usize;
                let whole = counts.len() >= sent && missing == 0;
                if ended.load(Ordering::Relaxed) && (whole || last.elapsed() > PATIENCE) {
                    counts.resize(sent.max(counts.len()), 0);
                    return counts;
                }
            }
        });
        let name = format!("{} from {}", if ipv6 { "IPv6" } else { "IPv4" }, ["alpha", "beta"][from]);
        Stream { name, sent, sender, receiver }
    }
}
