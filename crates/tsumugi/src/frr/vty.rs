//! FRR's daemons answer commands at a socket each, as vtysh asks them: a line and a zero octet go in,
//! text comes out, then three zero octets and one of success.

use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// No answer of ours is longer, however many neighbours there are.
const LONGEST: usize = 8 << 20;
const END: [u8; 3] = [0; 3];

pub struct Vty {
    stream: UnixStream,
    /// All answers are there by then, or none is waited for any more.
    until: Instant,
}

impl Vty {
    /// `directory`: where the daemons' sockets are.
    ///
    /// # Errors
    /// The daemon is not there.
    pub fn open(directory: &Path, daemon: &str, until: Instant) -> io::Result<Vty> {
        // A socket's path may be 107 octets long, a state folder's more.
        let directory = File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{daemon}.vty", directory.as_raw_fd());
        let stream = UnixStream::connect(path)?;
        Ok(Vty { stream, until })
    }

    /// What is left of the time.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }

    /// # Errors
    /// No answer in time, or none that can be read.
    pub fn json<T: DeserializeOwned>(&mut self, command: &str) -> io::Result<T> {
        let text = self.ask(command)?;
        serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// # Errors
    /// As [`Vty::json`].
    pub fn text(&mut self, command: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.ask(command)?).into_owned())
    }

    fn ask(&mut self, command: &str) -> io::Result<Vec<u8>> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write_all(&[command.as_bytes(), &[0]].concat())?;
        let (mut answer, mut piece) = (Vec::new(), [0; 16 * 1024]);
        loop {
            self.stream.set_read_timeout(self.left()?)?;
            let length = self.stream.read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&piece[..length]);
            if let Some(end) = answer.len().checked_sub(4)
                && answer[end..end + 3] == END
            {
                let success = answer[end + 3] == 0;
                answer.truncate(end);
                return if success { Ok(answer) } else { Err(io::ErrorKind::InvalidInput.into()) };
            }
            if answer.len() > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_success() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let daemon = std::thread::spawn(move || {
            let mut theirs = theirs;
            let mut asked = [0; 5];
            theirs.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"show\0");
            // In pieces, as it likes.
            for piece in [&b"{\"rib\":"[..], b"7}\n\0", b"\0\0", b"\0"] {
                theirs.write_all(piece).unwrap();
            }
            theirs.read_exact(&mut asked[..2]).unwrap();
            theirs.write_all(b"no\0\0\0\x02").unwrap();
            theirs
        });
        let mut vty = Vty { stream: ours, until: Instant::now() + Duration::from_secs(10) };
        let found: std::collections::BTreeMap<String, u32> = vty.json("show").unwrap();
        assert_eq!(found["rib"], 7);
        assert_eq!(vty.ask("x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        daemon.join().unwrap();
    }

    /// One that says a little at a time, and never the end, keeps its caller no longer than it may.
    #[test]
    fn a_daemon_without_end_is_given_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let daemon = std::thread::spawn(move || while theirs.write_all(b"{").is_ok() {});
        let mut vty = Vty { stream: ours, until: Instant::now() + Duration::from_millis(20) };
        let kind = vty.ask("show").unwrap_err().kind();
        let given_up = [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock, io::ErrorKind::InvalidData];
        assert!(given_up.contains(&kind), "{kind}");
        drop(vty);
        daemon.join().unwrap();
    }
}
