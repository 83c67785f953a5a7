//! The send hold timer (RFC 9687): a neighbour that speaks and does not read is given up, since it may hold for good
//! what we have long withdrawn.

use super::event::ConnectionId;
use super::speaker::{Peer, Speaker};
use crate::time::{Duration, Instant};

/// RFC 9687 4: the greater of this and twice the hold time.
const SEND_HOLD: Duration = Duration::from_secs(8 * 60);

impl Peer {
    /// When the neighbour will have left what we have for it unread for too long.
    pub(super) fn send_hold_end(&self) -> Option<Instant> {
        let hold = self.session.established()?.hold;
        let since = self.out.as_ref()?.waits_since?;
        let asked = self.session.config.timers.send_hold.map(|it| Duration::from_millis(it.into()));
        Some(since + asked.unwrap_or_else(|| SEND_HOLD.max(hold * 2)))
    }
}

impl Speaker {
    /// How far a connection's messages have left. `taken`: when its socket last took something, while messages wait
    /// for room in it; `None`: all have left. To be told whenever that changes.
    pub fn sending(&mut self, now: Instant, id: ConnectionId, taken: Option<Instant>) {
        let holds = |it: &&mut Peer| it.session.established().is_some_and(|it| it.connection == id);
        let Some(peer) = self.peers.iter_mut().flatten().find(holds) else { return };
        let Some(out) = &mut peer.out else { return };
        out.waits_since = match (taken, out.waits_since) {
            // The socket may have been content for long: what waits has begun to wait now.
            (Some(_), None) => Some(now),
            (Some(taken), Some(since)) => Some(taken.max(since)),
            // What the shell has not asked for yet waits all the same.
            (None, since) => since.filter(|_| out.told),
        };
    }
}
