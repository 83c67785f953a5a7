//! A port: where hosts attach, and whether it may take and give frames.

use super::config::SegmentPort;
use super::guard::Guard;
use super::lan::Lan;
use super::notice::BlockReason;
use super::watch::Suspect;
use crate::id::Mac;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Port {
    pub config: SegmentPort,
    pub up: bool,
    /// What the kernel was told, if it was; and since when.
    pub told: Option<Option<BlockReason>>,
    pub since: Instant,
    pub guard: Guard,
    pub suspect: Option<Suspect>,
    /// The last MAC that moved back and forth.
    pub flapping: Option<(Mac, Instant)>,
    /// Of a shared LAN's port.
    pub lan: Lan,
}

impl Port {
    pub fn new(config: SegmentPort) -> Port {
        Port {
            config,
            up: false,
            told: None,
            since: Instant::default(),
            guard: Guard::default(),
            suspect: None,
            flapping: None,
            lan: Lan::default(),
        }
    }

    /// The same interface as the file says it now. What its LAN knew holds only while it is the same LAN.
    pub fn restated(self, config: SegmentPort) -> Port {
        let lan = if self.config.lan == config.lan { self.lan } else { Lan::default() };
        Port { config, lan, ..self }
    }

    /// Whether frames go in and out: ports of a shared LAN do not until they are told to.
    pub fn takes(&self) -> bool {
        match &self.told {
            Some(blocked) => blocked.is_none(),
            None => self.config.lan.is_none(),
        }
    }

    /// The port's state changes by itself at these moments.
    pub fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.guard.until().into_iter().chain(self.lan.deadlines())
    }
}
