//! What was measured of the paths under tunnels, kept from one life of a process to the next:
//! `paths/TUNNEL.json`.

use super::{StateDir, read_plain};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::{fs, io};
use tsumugi_core::id::{IfName, KeyName};
use tsumugi_core::tunnel::path::PathFinding;

/// Bytes of a file: far more than a finding has.
const LARGEST: u64 = 64 << 10;

/// Which path a finding is about: another line, another end or another protocol is another path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEnds {
    /// What encapsulates.
    pub by: String,
    pub line: IfName,
    pub local: IpAddr,
    pub remote: IpAddr,
}

/// A finding, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPath {
    #[serde(flatten)]
    pub ends: PathEnds,
    /// Seconds since 1970.
    pub measured_at: u64,
    /// What the plan said of the path then, in bytes; `None` of an older process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_mtu: Option<u16>,
    #[serde(flatten)]
    pub finding: PathFinding,
}

impl KeptPath {
    /// Whether it still holds where the plan says this of the path now: who has changed that since has the last
    /// word, unless they wrote what was found.
    pub fn holds_beside(&self, planned_now: u16) -> bool {
        let unchanged = self.planned_mtu.is_none_or(|then| then == planned_now);
        unchanged || self.finding.mtu() == Some(planned_now)
    }
}

impl StateDir {
    /// What is kept of the path under a tunnel; `None` if nothing is.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` if the file holds something else.
    pub fn kept_path(&self, tunnel: &IfName) -> io::Result<Option<KeptPath>> {
        match read_plain(&self.file_of("paths", &file_name(tunnel))?, LARGEST) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what was found; whoever reads meanwhile sees the old or the new.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep_path(&self, tunnel: &IfName, kept: &KeptPath) -> io::Result<()> {
        let path = self.file_of("paths", &file_name(tunnel))?;
        fs::create_dir_all(self.path.join("paths"))?;
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_vec_pretty(kept)?)?;
        fs::rename(beside, path)
    }
}

fn file_name(tunnel: &IfName) -> KeyName {
    KeyName(format!("{tunnel}.json"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;
    use tsumugi_core::tunnel::path::{Direction, Tally};

    #[test]
    fn a_finding_is_kept_for_the_next_life() {
        let scratch = Scratch::new("paths");
        let state = StateDir::open(&scratch.0).unwrap();
        let tunnel = IfName::new("gre-x").unwrap();
        assert_eq!(state.kept_path(&tunnel).unwrap(), None);
        let out = Direction {
            mtu: Some(1400),
            pieces: Tally { sent: 4, arrived: 3 },
            jitter_us: 7,
            ..Direction::default()
        };
        let kept = KeptPath {
            ends: PathEnds {
                by: "gre".into(),
                line: IfName::new("eth1").unwrap(),
                local: "2001:db8::1".parse().unwrap(),
                remote: "2001:db8::2".parse().unwrap(),
            },
            measured_at: 1_800_000_000,
            planned_mtu: Some(1500),
            finding: PathFinding { out, ..PathFinding::default() },
        };
        let holds = |planned| kept.holds_beside(planned);
        assert_eq!([1500, 1400, 1399, 1454].map(holds), [true, true, false, false]);
        for _ in 0..2 {
            state.keep_path(&tunnel, &kept).unwrap();
            assert_eq!(state.kept_path(&tunnel).unwrap(), Some(kept.clone()));
        }
        assert_eq!(fs::read_dir(scratch.0.join("paths")).unwrap().count(), 1);
        fs::write(scratch.0.join("paths/gre-x.json"), "{").unwrap();
        assert!(state.kept_path(&tunnel).is_err());
    }
}
