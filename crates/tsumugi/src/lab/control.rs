//! Labs as their owner sees them from outside: begun, found again by name, entered, ended.
//!
//! A lab that stays is recorded in $XDG_RUNTIME_DIR/tsumugi, else in /tmp/tsumugi-UID, readable by
//! nobody else. A record whose init is gone is removed by whoever finds it.

use super::layout::Source;
use super::progress::Progress;
use super::space::{self, End};
use super::trouble::Doing;
use super::{Lab, Trouble, up};
use crate::observe::say;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

/// How long the end of a lab may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lab that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    /// The file, as an absolute path.
    pub file: PathBuf,
    /// Process id of its init, seen from outside.
    pub init: i32,
    /// When init began, in clock ticks since boot: tells it from a later process of the same id.
    pub began: u64,
    /// The PID namespace in which `init` means something, by its inode. Inside a lab or a container
    /// the same directory may be seen, and other processes by the same numbers.
    pub seen_from: u64,
}

impl Record {
    fn is_alive(&self) -> bool {
        began(self.init) == Some(self.began)
    }

    /// Whether this process can tell if the lab is up.
    fn is_ours(&self) -> bool {
        here().is_ok_and(|here| here == self.seen_from)
    }

    /// Runs `work` inside the lab; its exit status.
    ///
    /// # Errors
    /// If it cannot be entered.
    pub fn within(&self, work: impl FnOnce() -> u8) -> Result<u8, Trouble> {
        space::within(Pid::from_raw(self.init), work)
            .map_err(Trouble::doing(Doing::Entering { lab: self.name.clone() }))
    }

    /// Ends the lab and returns when nothing of it is left.
    ///
    /// # Errors
    /// If it does not end.
    pub fn end(&self) -> Result<(), Trouble> {
        let end = || -> io::Result<()> {
            if self.is_alive() {
                kill(Pid::from_raw(self.init), Signal::SIGKILL)?;
            }
            let deadline = Instant::now() + PATIENCE;
            while self.is_alive() {
                if Instant::now() > deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                thread::sleep(Duration::from_millis(5));
            }
            remove(&self.name)
        };
        end().map_err(Trouble::doing(Doing::Ending { lab: self.name.clone() }))
    }
}

/// The PID namespace of this process.
fn here() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// When a process began, in clock ticks since boot; `None` if it is gone.
fn began(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses: the state is field 3, the beginning field 22 (proc(5)).
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The directory of records, made if it is not there.
fn directory() -> io::Result<PathBuf> {
    let user = geteuid();
    let path = match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(runtime) if runtime.is_dir() => runtime.join("tsumugi"),
        _ => PathBuf::from(format!("/tmp/tsumugi-{user}")),
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    // In /tmp anybody could have been there before.
    let found = fs::symlink_metadata(&path)?;
    if found.is_dir() && found.uid() == user.as_raw() && found.mode() & 0o077 == 0 {
        return Ok(path);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} is not a directory of this user alone", path.display()),
    ))
}

fn record_path(name: &str) -> io::Result<PathBuf> {
    Ok(directory()?.join(format!("{}.{}.json", name.replace('/', "_"), here()?)))
}

fn remove(name: &str) -> io::Result<()> {
    match fs::remove_file(record_path(name)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn write(record: &Record) -> io::Result<()> {
    let path = record_path(&record.name)?;
    let unfinished = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    fs::rename(unfinished, path)
}

/// Every lab of this user that is up, by name.
///
/// # Errors
/// If the directory of records cannot be read.
pub fn labs() -> Result<Vec<Record>, Trouble> {
    let read = || -> io::Result<Vec<Record>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory()?)? {
            let path = entry?.path();
            let record = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
            match record {
                Some(record) if !record.is_ours() => {}
                Some(record) if record.is_alive() => found.push(record),
                Some(_) => fs::remove_file(&path)?,
                None => {}
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    };
    read().map_err(Trouble::doing(Doing::LookingForLabs))
}

/// The lab that is meant: by its name, by its file, or the only one there is.
///
/// # Errors
/// If it is not clear which.
pub fn find(wanted: Option<&str>) -> Result<Record, Trouble> {
    let mut labs = labs()?;
    let Some(wanted) = wanted else {
        return match labs.len() {
            1 => Ok(labs.remove(0)),
            _ => Err(Trouble::WhichLab(labs.into_iter().map(|lab| lab.name).collect())),
        };
    };
    let file = fs::canonicalize(wanted).ok();
    let is_meant = |lab: &Record| lab.name == wanted || file.as_ref() == Some(&lab.file);
    labs.into_iter().find(is_meant).ok_or_else(|| Trouble::NoSuchLab(wanted.into()))
}

/// Whether a lab outlives the command that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// It ends with the command.
    Never,
    /// It stays once it is up, whatever came after.
    OnceUp,
}

/// Brings a lab up in a space of its own, runs `then` inside it, and returns the exit status of that:
/// 1 if the lab did not come up, after its reason was said on standard error.
///
/// Must be called by a process with a single thread.
///
/// # Errors
/// Why no lab can stand here, or that one of the name is up already.
pub fn raise(
    source: &Source<'_>,
    stay: Stay,
    lang: Lang,
    then: impl FnOnce(&Lab) -> u8,
) -> Result<u8, Trouble> {
    if labs()?.iter().any(|lab| lab.name == source.name) {
        return Err(Trouble::UpAlready(source.name.into()));
    }
    let file = fs::canonicalize(source.file).unwrap_or_else(|_| source.file.into());
    let mut recorded = Ok(());
    // Recorded from its first moment: one may look into a lab that does not come up.
    let begun = |init: Pid| {
        let init = init.as_raw();
        let began = began(init).unwrap_or_default();
        recorded = here().and_then(|seen_from| {
            write(&Record { name: source.name.into(), file: file.clone(), init, began, seen_from })
        });
    };
    let ran = space::run(begun, || {
        let mut progress = Progress::new(lang);
        match up::bring_up(source, &mut progress) {
            Ok(lab) => End { code: then(&lab), stays: stay == Stay::OnceUp },
            Err(trouble) => {
                drop(progress);
                say::err(&format!("tsumugi: {}", trouble.words(lang)));
                End { code: 1, stays: false }
            }
        }
    });
    let end = match ran {
        Ok(end) if end.stays => end,
        ended => {
            remove(source.name).map_err(Trouble::doing(Doing::Forgetting { lab: source.name.into() }))?;
            ended?
        }
    };
    recorded.map_err(Trouble::doing(Doing::Recording { lab: source.name.into() }))?;
    Ok(end.code)
}

/// A machine and one of its planes, as `exec` is told: `NAME` or `NAME:PLANE`.
///
/// # Errors
/// If there is no such machine or plane.
pub fn resolve<'a>(
    lab: &'a Lab,
    wanted: &str,
) -> Result<(&'a super::Machine, tsumugi_core::id::Plane), Trouble> {
    use tsumugi_core::id::Plane;
    let (name, plane) = match wanted.split_once(':') {
        Some((name, plane)) => (name, Some(plane)),
        None => (wanted, None),
    };
    let unknown =
        || Trouble::NoSuchMachine { wanted: wanted.into(), known: lab.machines.keys().cloned().collect() };
    let machine = lab.machine(name).ok_or_else(unknown)?;
    let plane = match plane {
        None => machine.default_plane(),
        Some(plane) => Plane::ALL.into_iter().find(|known| known.name() == plane).ok_or_else(unknown)?,
    };
    Ok((machine, plane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_id() {
        let own = i32::try_from(std::process::id()).expect("a process id");
        let (began, seen_from) = (began(own).expect("alive"), here().expect("a PID namespace"));
        let record = Record { name: "a".into(), file: "a.toml".into(), init: own, began, seen_from };
        assert!(record.is_alive());
        assert!(!Record { began: record.began + 1, ..record }.is_alive());
    }
}
