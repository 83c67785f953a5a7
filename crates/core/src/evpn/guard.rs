//! What keeps a port shut because of a loop, and when it may open again.

use super::notice::BlockReason;
use crate::time::{Duration, Instant};

/// Moves of a MAC that count together as flapping.
pub(super) const FLAP_WINDOW: Duration = Duration::from_secs(2);
/// A loop that was not heard for this long is gone.
const QUIET: Duration = Duration::from_secs(3);
/// Flapping is not heard while the port is blocked: it stays so for longer before another try.
const FLAP_QUIET: Duration = Duration::from_secs(10);
/// A loop that keeps coming back is not let in more often than this.
const LONGEST: Duration = Duration::from_secs(300);
/// A port that stayed open for this long, and for as long as it was last shut, starts from new.
const CALM: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    block: Option<(BlockReason, Instant)>,
    /// How long the last block had to be quiet.
    hold: Duration,
    /// A block before this doubles it.
    calm: Instant,
}

impl Guard {
    pub fn reason(&self) -> Option<&BlockReason> {
        self.block.as_ref().map(|it| &it.0)
    }

    /// When the block ends if nothing more is heard.
    pub fn until(&self) -> Option<Instant> {
        self.block.as_ref().map(|it| it.1)
    }

    /// A loop was noticed, or heard again.
    pub fn trip(&mut self, now: Instant, reason: BlockReason) {
        let base = if reason == BlockReason::Flapping { FLAP_QUIET } else { QUIET };
        if self.block.is_none() {
            let doubled = (self.hold * 2).clamp(base, LONGEST);
            self.hold = if now < self.calm { doubled } else { base };
        }
        let until = now + self.hold;
        // The first reason stays: several ends of one loop are heard in turns.
        self.block = Some(self.block.take().map_or((reason, until), |it| (it.0, it.1.max(until))));
    }

    pub fn expire(&mut self, now: Instant) {
        if self.until().is_some_and(|until| until <= now) {
            self.block = None;
            self.calm = now + CALM.max(self.hold * 2);
        }
    }
}
