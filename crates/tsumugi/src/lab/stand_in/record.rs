//! What a stand-in has heard, as a document that proofs read.

use super::write_whole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tsumugi_core::id::{Asn, Prefix};

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// In the order of the stand-in's addresses.
    pub sessions: Vec<HeardSession>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardSession {
    pub established: bool,
    /// True once the border has said all that it had to say (RFC 4724 2).
    pub told_all: bool,
    /// What we have announced in this session, the last of it after all that is to be refused.
    #[serde(default)]
    pub announced: Vec<Prefix>,
    /// Why the last session ended.
    pub last_end: Option<String>,
    /// The AS number in the border's OPEN.
    pub remote_asn: Option<Asn>,
    pub routes: Vec<HeardRoute>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardRoute {
    pub prefix: Prefix,
    /// Every number of the path in order.
    pub path: Vec<Asn>,
    /// Large communities as `a:b:c`.
    pub large_communities: Vec<String>,
    /// Communities as `a:b`.
    pub communities: Vec<String>,
}

impl Heard {
    pub fn routes(&self) -> impl Iterator<Item = &HeardRoute> {
        self.sessions.iter().flat_map(|session| &session.routes)
    }

    /// Everything that was announced in sessions that stand.
    pub fn announced(&self) -> impl Iterator<Item = Prefix> {
        let standing = self.sessions.iter().filter(|session| session.established);
        standing.flat_map(|session| session.announced.iter().copied())
    }

    pub fn all_established(&self) -> bool {
        !self.sessions.is_empty() && self.sessions.iter().all(|session| session.established)
    }
}

/// # Errors
/// If there is no record yet.
pub fn read(path: &Path) -> io::Result<Heard> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Keeps the document on disk as the sessions hear.
pub struct Recorder {
    path: PathBuf,
    sessions: Mutex<Vec<State>>,
}

/// A session's part while it is being heard.
#[derive(Debug, Default)]
pub struct State {
    pub established: bool,
    pub told_all: bool,
    pub announced: Vec<Prefix>,
    pub last_end: Option<String>,
    pub remote_asn: Option<Asn>,
    pub routes: BTreeMap<Prefix, HeardRoute>,
}

impl Recorder {
    /// # Errors
    /// If the file cannot be written.
    pub fn new(path: &Path, sessions: usize) -> io::Result<Recorder> {
        let recorder = Recorder {
            path: path.to_owned(),
            sessions: Mutex::new((0..sessions).map(|_| State::default()).collect()),
        };
        recorder.change(0, |_| {})?;
        Ok(recorder)
    }

    /// Changes a session's part and writes the document.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn change(&self, number: usize, change: impl FnOnce(&mut State)) -> io::Result<()> {
        // Held while writing: the newest document is the last one written.
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get_mut(number) {
            change(session);
        }
        let heard = Heard { sessions: sessions.iter().map(State::heard).collect() };
        write_whole(&self.path, &serde_json::to_vec(&heard)?)
    }
}

impl State {
    fn heard(&self) -> HeardSession {
        HeardSession {
            established: self.established,
            told_all: self.told_all,
            announced: self.announced.clone(),
            last_end: self.last_end.clone(),
            remote_asn: self.remote_asn,
            routes: self.routes.values().cloned().collect(),
        }
    }
}
