//! Network namespaces, held by a file descriptor or by a bind mount.

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::sys::statfs::fstatfs;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// `NSFS_MAGIC` of linux/magic.h: the file system that namespaces are files of.
const NSFS_MAGIC: i64 = 0x6e73_6673;
/// The namespace of the calling thread, not of the process.
const OWN: &str = "/proc/thread-self/ns/net";

/// One network namespace. It lives as long as a clone of this, a mount, a process or a socket does.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn current() -> io::Result<Namespace> {
        Namespace::at(Path::new(OWN))
    }

    /// A new namespace that nothing but the returned value holds.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN in the user namespace.
    pub fn unnamed() -> io::Result<Namespace> {
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Namespace::current()
        })
    }

    /// A new namespace held by a bind mount on `path`, whose directory must exist. If a namespace is
    /// mounted there already, it is that one. Callers that may race hold a lock.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; errors of the file system.
    pub fn create_at(path: &Path) -> io::Result<Namespace> {
        match Namespace::open(path) {
            Ok(existing) => return Ok(existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
            }
            // A plain file: left by a mount that is gone.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            Namespace::current()
        })
    }

    /// The namespace mounted on `path`.
    ///
    /// # Errors
    /// `InvalidData` if the file is there and no namespace is mounted on it.
    pub fn open(path: &Path) -> io::Result<Namespace> {
        let namespace = Namespace::at(path)?;
        if i128::from(fstatfs(namespace.as_fd())?.filesystem_type().0) != i128::from(NSFS_MAGIC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no namespace is mounted here"));
        }
        Ok(namespace)
    }

    /// Runs `work` inside this namespace on a thread that ends with it: sockets that it opens stay in
    /// the namespace, the caller's thread never moves.
    ///
    /// # Errors
    /// EPERM if the namespace may not be entered, and whatever `work` fails with.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_a_thread(|| {
            setns(&*self.0, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// The calling thread is in this namespace from here on. Never for a thread that others share.
    ///
    /// # Errors
    /// EPERM if the namespace may not be entered.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&*self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Whether both are the same namespace.
    pub fn is(&self, other: &Namespace) -> bool {
        let identity = |namespace: &Namespace| {
            nix::sys::stat::fstat(namespace.as_fd()).map(|stat| (stat.st_dev, stat.st_ino)).ok()
        };
        identity(self).is_some_and(|own| Some(own) == identity(other))
    }

    fn at(path: &Path) -> io::Result<Namespace> {
        Ok(Namespace(Arc::new(open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Runs `work` on a thread of its own; a panic in it goes on in the caller.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("namespace".into())
            .stack_size(256 << 10)
            .spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_entered_by_a_thread_and_not_by_the_caller() {
        let before = Namespace::current().unwrap();
        let fresh = Namespace::unnamed().unwrap();
        assert!(!fresh.is(&before));
        let inside = fresh.run(Namespace::current).unwrap();
        assert!(inside.is(&fresh));
        assert!(Namespace::current().unwrap().is(&before));
    }

    #[test]
    fn a_plain_file_is_no_namespace() {
        let path = std::env::temp_dir().join(format!("tsumugi-plain-{}", std::process::id()));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Namespace::open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::remove_file(&path).unwrap();
    }
}
