//! A unix socket that answers every connection with one JSON document and closes it.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Readers that may wait for the rest of their document at the same time; more are closed at once.
const READERS: usize = 16;
/// How long a reader may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Never blocks: [`StatusSocket::as_fd`] is readable whenever [`StatusSocket::serve`] has work (it
/// is an epoll descriptor over the listener and the readers), so it fits into any loop. The name in
/// the file system stays when the process ends: the next life takes it over.
pub struct StatusSocket {
    poll: Epoll,
    listener: UnixListener,
    readers: HashMap<i32, Reader>,
}

struct Reader {
    stream: UnixStream,
    document: Vec<u8>,
    written: usize,
    since: Instant,
}

impl StatusSocket {
    /// Takes the place of a socket that an earlier life of the process left behind.
    ///
    /// # Errors
    /// As the kernel says: the directory is missing, or the path longer than 107 bytes.
    pub fn bind(path: &Path) -> io::Result<StatusSocket> {
        let listener = listen(path)?;
        let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        poll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, token(&listener)))?;
        Ok(StatusSocket { poll, listener, readers: HashMap::new() })
    }

    /// Accepts and answers all that can be answered now. `document` is called at most once.
    pub fn serve(&mut self, document: impl FnOnce() -> String) {
        let now = Instant::now();
        self.readers.retain(|_, reader| now.duration_since(reader.since) < PATIENCE);
        let mut accepted = Vec::new();
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() && self.readers.len() + accepted.len() < READERS {
                accepted.push(stream);
            }
        }
        if !accepted.is_empty() {
            let document = document().into_bytes();
            for stream in accepted {
                let event = EpollEvent::new(EpollFlags::EPOLLOUT, token(&stream));
                if self.poll.add(&stream, event).is_ok() {
                    let reader = Reader { document: document.clone(), written: 0, since: now, stream };
                    self.readers.insert(reader.stream.as_raw_fd(), reader);
                }
            }
        }
        self.readers.retain(|_, reader| !reader.advance());
    }
}

impl Reader {
    /// Writes what fits; true when there is nothing more to do for this reader.
    fn advance(&mut self) -> bool {
        while self.written < self.document.len() {
            match self.stream.write(&self.document[self.written..]) {
                Ok(0) => return true,
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        true
    }
}

impl AsFd for StatusSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.0.as_fd()
    }
}

/// Listens without blocking, in place of a socket that an earlier life of the process left behind.
///
/// # Errors
/// As the kernel says.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn token(fd: &impl AsRawFd) -> u64 {
    u64::try_from(fd.as_raw_fd()).unwrap_or(u64::MAX)
}

/// Reads the whole document that a [`StatusSocket`] gives, waiting for at most `patience`.
///
/// # Errors
/// Nobody listens there, or it took too long.
pub fn ask(path: &Path, patience: Duration) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    io::read_to_string(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::path::PathBuf;

    /// A name of its own in the temporary directory, removed again.
    struct Name(PathBuf);

    impl Name {
        fn new(name: &str) -> Name {
            Name(std::env::temp_dir().join(format!("tsumugi-{name}-{}.sock", std::process::id())))
        }
    }

    impl Drop for Name {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Serves as a loop would until `done`.
    fn serve_until(socket: &mut StatusSocket, document: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < deadline, "nothing happened within 10 s");
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(20u8)).unwrap();
            socket.serve(|| document.to_owned());
        }
    }

    #[test]
    fn a_document_larger_than_the_socket_buffer_arrives_whole() {
        let name = Name::new("large");
        let mut socket = StatusSocket::bind(&name.0).unwrap();
        let path = name.0.clone();
        let document = "x".repeat(3_000_000);
        let reader = std::thread::spawn(move || ask(&path, Duration::from_secs(10)).unwrap());
        serve_until(&mut socket, &document, || reader.is_finished());
        assert_eq!(reader.join().unwrap(), document);
    }

    #[test]
    fn a_reader_that_does_not_read_hinders_nobody() {
        let name = Name::new("slow");
        let mut socket = StatusSocket::bind(&name.0).unwrap();
        let path = name.0.clone();
        let document = "x".repeat(3_000_000);
        let idle: Vec<_> = (0..READERS - 1).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let reader = std::thread::spawn(move || ask(&path, Duration::from_secs(10)).unwrap());
        serve_until(&mut socket, &document, || reader.is_finished());
        assert_eq!(reader.join().unwrap().len(), document.len());
        drop(idle);
    }

    #[test]
    fn binding_again_takes_the_place_of_a_dead_socket() {
        let name = Name::new("again");
        drop(UnixListener::bind(&name.0).unwrap());
        StatusSocket::bind(&name.0).unwrap();
    }
}
