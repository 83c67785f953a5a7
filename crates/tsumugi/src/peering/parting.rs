//! Connections that have ended here: the last message still arrives if the far end takes it.

use super::connection::Connection;
use tsumugi_core::time::{Duration, Instant};

/// How long a last message may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The oldest first.
pub struct Parting {
    ending: Vec<(Connection, Instant)>,
    most: usize,
}

impl Parting {
    /// `most`: beyond so many the oldest is cut off.
    pub fn new(most: usize) -> Parting {
        Parting { ending: Vec::new(), most }
    }

    /// From now on nothing is read from it but its end.
    pub fn add(&mut self, mut connection: Connection, now: Instant) {
        connection.end(now);
        if self.ending.len() >= self.most {
            self.ending.remove(0);
        }
        self.ending.push((connection, now + GOODBYE));
    }

    /// Forgets those whose goodbye is over. `buffer` takes what they say meanwhile.
    pub fn tidy(&mut self, now: Instant, buffer: &mut [u8]) {
        self.ending.retain_mut(|(connection, until)| *until > now && !connection.drain(buffer));
    }

    /// When [`Parting::tidy`] has work.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.ending.first().map(|(_, until)| *until)
    }

    /// Whether all far ends have taken our last messages.
    pub fn is_over(&self) -> bool {
        self.ending.is_empty()
    }
}
