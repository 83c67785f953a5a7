//! A unix socket over which a verb asks a process for something that takes a while: one line of JSON goes
//! in, lines of JSON come out until it is done.

use super::serve::listen;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Askers at the same time; more are closed at once.
const ASKERS: usize = 16;
/// Bytes of a question.
const LARGEST: usize = 4096;
/// Bytes that wait for an asker who does not read; then it is given up.
const BACKLOG: usize = 256 << 10;
/// More than this is not added to what waits for an asker of a long answer.
const ROOM: usize = BACKLOG / 4;
/// How long an asker may take to ask, and to read what is left. Who is in the middle of a long answer and
/// does not read may take as long as it likes, until somebody else wants its place.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who asked, for as long as it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker(u64);

/// Never blocks: [`AskSocket::as_fd`] is readable whenever [`AskSocket::questions`] has work.
pub struct AskSocket {
    poll: Epoll,
    listener: UnixListener,
    askers: BTreeMap<Asker, Connection>,
    next: u64,
}

struct Connection {
    stream: UnixStream,
    question: Vec<u8>,
    /// Its question is complete.
    asked: bool,
    waiting: Vec<u8>,
    /// Nothing more will be said.
    ending: bool,
    /// Since when something is owed by the asker.
    since: Instant,
    /// When it last took something.
    took: Instant,
}

impl AskSocket {
    /// Takes the place of a socket that an earlier life of the process left behind.
    ///
    /// # Errors
    /// As the kernel says: the directory is missing, or the path longer than 107 bytes.
    pub fn bind(path: &Path) -> io::Result<AskSocket> {
        let listener = listen(path)?;
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        poll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(AskSocket { poll, listener, askers: BTreeMap::new(), next: 0 })
    }

    /// Accepts, reads, writes what waits, and returns the questions that are complete; `None` for one that is
    /// no question of this kind.
    pub fn questions<Q: DeserializeOwned>(&mut self) -> Vec<(Asker, Option<Q>)> {
        // Before all else: what comes from here on wakes the loop again.
        self.drain();
        let now = Instant::now();
        while let Ok((stream, _)) = self.listener.accept() {
            let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            if self.askers.len() >= ASKERS {
                self.make_place(now);
            }
            if self.askers.len() < ASKERS
                && stream.set_nonblocking(true).is_ok()
                && self.poll.add(&stream, EpollEvent::new(events, 0)).is_ok()
            {
                self.next += 1;
                self.askers.insert(Asker(self.next), Connection::new(stream, now));
            }
        }
        let mut questions = Vec::new();
        self.askers.retain(|asker, connection| {
            let keep = connection.turn(now);
            if keep && !connection.asked && connection.question.ends_with(b"\n") {
                connection.asked = true;
                questions.push((*asker, serde_json::from_slice(&connection.question).ok()));
            }
            keep
        });
        questions
    }

    /// Gives up who has not read for the longest, if that is long.
    fn make_place(&mut self, now: Instant) {
        let idle = self.askers.iter().filter(|(_, it)| now.duration_since(it.took) >= PATIENCE);
        let longest = idle.min_by_key(|(_, connection)| connection.took).map(|(asker, _)| *asker);
        self.askers.retain(|asker, _| Some(*asker) != longest);
    }

    /// Whether a further piece of a long answer may be said; `None`: nobody listens any more.
    pub fn has_room(&self, asker: Asker) -> Option<bool> {
        self.askers.get(&asker).map(|connection| connection.waiting.len() < ROOM)
    }

    /// One line to an asker who still listens.
    pub fn say(&mut self, asker: Asker, what: &impl Serialize) {
        if let Some(connection) = self.askers.get_mut(&asker)
            && let Ok(line) = serde_json::to_vec(what)
        {
            connection.waiting.extend(line);
            connection.waiting.push(b'\n');
            if !connection.turn(Instant::now()) {
                self.askers.remove(&asker);
            }
        }
    }

    /// The last line was said.
    pub fn end(&mut self, asker: Asker) {
        if let Some(connection) = self.askers.get_mut(&asker) {
            (connection.ending, connection.since) = (true, Instant::now());
            if !connection.turn(Instant::now()) {
                self.askers.remove(&asker);
            }
        }
    }

    fn drain(&self) {
        let mut events = [EpollEvent::empty(); ASKERS];
        while self.poll.wait(&mut events, 0u8).is_ok_and(|count| count == ASKERS) {}
    }
}

impl Connection {
    fn new(stream: UnixStream, now: Instant) -> Connection {
        Connection {
            stream,
            question: Vec::new(),
            asked: false,
            waiting: Vec::new(),
            ending: false,
            since: now,
            took: now,
        }
    }

    /// Reads and writes what can be; false when the connection is over.
    fn turn(&mut self, now: Instant) -> bool {
        let owes = !self.asked || self.ending;
        if (owes && now.duration_since(self.since) >= PATIENCE) || self.waiting.len() > BACKLOG {
            return false;
        }
        self.read() && self.write() && !(self.ending && self.waiting.is_empty())
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 512];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                // After the question nobody says anything to us.
                Ok(_) if self.asked => {}
                Ok(read) if self.question.len() + read <= LARGEST => {
                    self.question.extend_from_slice(&bytes[..read]);
                }
                Ok(_) => return false,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn write(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(written) if written > 0 => {
                    self.waiting.drain(..written);
                    self.took = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }
}

impl AsFd for AskSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.0.as_fd()
    }
}

/// Asks, and gives every line of the answer to `each` as it comes, which says when it was the last.
/// `patience` is from one line to the next.
///
/// # Errors
/// Nobody listens there, it took too long, or what came is no answer.
pub fn ask<A: DeserializeOwned>(
    path: &Path,
    question: &impl Serialize,
    patience: Duration,
    mut each: impl FnMut(A) -> bool,
) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(&[serde_json::to_vec(question)?, b"\n".into()].concat())?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if each(serde_json::from_str(&line)?) {
            return Ok(());
        }
        line.clear();
    }
    Err(ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::path::PathBuf;
    use std::thread;

    struct Name(PathBuf);

    impl Name {
        fn new(name: &str) -> Name {
            Name(std::env::temp_dir().join(format!("tsumugi-ask-{name}-{}.sock", std::process::id())))
        }
    }

    impl Drop for Name {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// The next questions, as a loop would take them.
    fn taken(socket: &mut AskSocket) -> Vec<(Asker, Option<u32>)> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            assert!(Instant::now() < deadline, "nobody asks within 10 s");
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(20u8)).unwrap();
            let questions = socket.questions();
            if !questions.is_empty() {
                return questions;
            }
        }
    }

    #[test]
    fn a_question_is_answered_line_by_line() {
        let name = Name::new("lines");
        let mut socket = AskSocket::bind(&name.0).unwrap();
        let path = name.0.clone();
        let asker = thread::spawn(move || {
            let mut heard = Vec::new();
            ask(&path, &7u32, Duration::from_secs(10), |line: u32| {
                heard.push(line);
                line == 0
            })
            .unwrap();
            heard
        });
        let (who, question) = taken(&mut socket).remove(0);
        assert_eq!(question, Some(7));
        for line in [3u32, 2, 1, 0] {
            socket.say(who, &line);
        }
        socket.end(who);
        assert_eq!(asker.join().unwrap(), [3, 2, 1, 0]);
        assert!(!socket.askers.contains_key(&who));
    }

    #[test]
    fn nonsense_is_told_from_a_question_and_who_leaves_is_forgotten() {
        let name = Name::new("nonsense");
        let mut socket = AskSocket::bind(&name.0).unwrap();
        let mut stream = UnixStream::connect(&name.0).unwrap();
        stream.write_all(b"\"seven\"\n").unwrap();
        let (who, question) = taken(&mut socket).remove(0);
        assert_eq!(question, None);
        drop(stream);
        socket.questions::<u32>();
        assert!(!socket.askers.contains_key(&who));
        let mut endless = UnixStream::connect(&name.0).unwrap();
        endless.write_all(&[b'1'; LARGEST + 1]).unwrap();
        socket.questions::<u32>();
        assert!(socket.askers.is_empty());
    }

    #[test]
    fn who_does_not_read_has_room_for_a_little_only() {
        let name = Name::new("room");
        let mut socket = AskSocket::bind(&name.0).unwrap();
        let mut stream = UnixStream::connect(&name.0).unwrap();
        stream.write_all(b"7\n").unwrap();
        let (who, _) = taken(&mut socket).remove(0);
        let line = "x".repeat(16 << 10);
        let mut said = 0;
        while socket.has_room(who) == Some(true) {
            socket.say(who, &line);
            said += 1;
            assert!(said < 1000, "there is no end of room");
        }
        // It reads, and there is room again.
        while socket.has_room(who) == Some(false) {
            stream.read_exact(&mut [0; 4096]).unwrap();
            socket.questions::<u32>();
        }
        drop(stream);
        socket.questions::<u32>();
        assert_eq!(socket.has_room(who), None);
    }
}
