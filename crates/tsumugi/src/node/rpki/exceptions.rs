//! The operator's file of exceptions (SLURM, RFC 8416): read when it has changed, and taken whole or
//! not at all.

use crate::observe::status::SlurmTrouble;
use crate::observe::words;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tsumugi_core::rpki::{Slurm, SlurmFile};
use tsumugi_core::time::{Duration, Instant};
use tsumugi_plan::explain::Lang;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// A larger one is no file of exceptions.
const MAX_BYTES: u64 = 16 << 20;

pub struct Exceptions {
    path: Option<PathBuf>,
    next: Instant,
    /// Of what was read last: when it was changed, and its size.
    seen: Option<(SystemTime, u64)>,
    trouble: Option<SlurmTrouble>,
    /// There was a file, or nothing was given to the machine yet.
    given: bool,
}

impl Exceptions {
    pub fn new(directory: &Path, said: Option<&str>) -> Exceptions {
        let path = said.map(|said| directory.join(said));
        Exceptions { path, next: Instant::default(), seen: None, trouble: None, given: false }
    }

    pub fn replace(&mut self, directory: &Path, said: Option<&str>) {
        let given = self.given;
        *self = Exceptions { given, ..Exceptions::new(directory, said) };
    }

    pub fn path(&self) -> Option<String> {
        Some(self.path.as_ref()?.display().to_string())
    }

    /// Why what the file says does not count; what it said before does.
    pub fn trouble(&self) -> Option<&SlurmTrouble> {
        self.trouble.as_ref()
    }

    pub fn next_look(&self) -> Option<Instant> {
        (self.path.is_some() || self.given).then_some(self.next)
    }

    /// The exceptions, if they may be others than before.
    pub fn look(&mut self, now: Instant) -> Option<Slurm> {
        if self.next_look().is_none_or(|at| at > now) {
            return None;
        }
        self.next = now + EVERY;
        let Some(path) = self.path.clone() else {
            self.given = false;
            return Some(Slurm::default());
        };
        let seen = fs::metadata(&path).and_then(|it| Ok((it.modified()?, it.len()))).ok();
        if seen.is_some() && seen == self.seen {
            return None;
        }
        self.seen = seen;
        match read(&path) {
            Ok(slurm) => {
                self.trouble = None;
                self.given = true;
                tracing::info!(path = %path.display(), "exceptions to RPKI read");
                Some(slurm)
            }
            Err(trouble) => {
                if self.trouble.as_ref() != Some(&trouble) {
                    let words = words::slurm_trouble(&trouble, Lang::En);
                    tracing::warn!(path = %path.display(), "exceptions to RPKI not taken: {words}");
                }
                self.trouble = Some(trouble);
                None
            }
        }
    }
}

fn read(path: &Path) -> Result<Slurm, SlurmTrouble> {
    let unreadable = |error: io::Error| SlurmTrouble::Unreadable { error: error.to_string() };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    let file: SlurmFile =
        serde_json::from_str(&text).map_err(|error| SlurmTrouble::NotSlurm { error: error.to_string() })?;
    Slurm::try_from(file).map_err(|bad| SlurmTrouble::Wrong { bad })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"slurmVersion":1,
        "validationOutputFilters":{"prefixFilters":[{"asn":64496}],"bgpsecFilters":[]},
        "locallyAddedAssertions":{"prefixAssertions":[],"bgpsecAssertions":[]}}"#;

    #[test]
    fn a_broken_file_changes_nothing_and_is_told() {
        let directory = std::env::temp_dir().join(format!("tsumugi-slurm-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("slurm.json");
        let mut exceptions = Exceptions::new(&directory, Some("slurm.json"));
        let mut now = Instant(0);
        let mut look = |exceptions: &mut Exceptions| {
            now = now + EVERY;
            exceptions.look(now)
        };
        assert_eq!(look(&mut exceptions), None);
        assert!(matches!(exceptions.trouble(), Some(SlurmTrouble::Unreadable { .. })));
        fs::write(&path, FILE).unwrap();
        assert_eq!(look(&mut exceptions).unwrap().filters(), 1);
        assert_eq!(exceptions.trouble(), None);
        assert_eq!(look(&mut exceptions), None, "it has not changed");
        fs::write(&path, "{").unwrap();
        assert_eq!(look(&mut exceptions), None);
        assert!(matches!(exceptions.trouble(), Some(SlurmTrouble::NotSlurm { .. })));
        fs::write(&path, FILE.replace("Version\":1", "Version\":3")).unwrap();
        assert_eq!(look(&mut exceptions), None);
        assert!(matches!(exceptions.trouble(), Some(SlurmTrouble::Wrong { .. })));
        // No longer said: there are none.
        fs::write(&path, FILE).unwrap();
        assert!(look(&mut exceptions).is_some());
        exceptions.replace(&directory, None);
        assert_eq!(look(&mut exceptions), Some(Slurm::default()));
        assert_eq!(look(&mut exceptions), None);
        fs::remove_dir_all(&directory).unwrap();
    }
}
