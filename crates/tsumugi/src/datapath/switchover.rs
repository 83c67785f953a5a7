//! A line's change from raw sockets to the packet socket and back, with nothing lost and nothing taken twice.

use super::forward::Forwarding;
use std::time::Instant;

impl Forwarding {
    /// Has packets come by the packet socket alone, on lines that have learned which datagrams are half here.
    /// What it has heard of until this moment the raw sockets have heard as well, and they take it. True
    /// if there was such a line.
    pub fn leave_stack(&mut self, now: Instant) -> bool {
        let mut any = false;
        for slot in 0..self.lines.len() {
            if !self.lines[slot].leaves_stack() {
                continue;
            }
            any = true;
            self.lines[slot].learns = true;
            self.empty_packets(now, slot);
            if let Err(error) = self.lines[slot].deafen_receivers() {
                tracing::error!(line = %self.lines[slot].name, reason = %error, "raw sockets cannot be emptied");
            } else {
                for receiver in 0..self.lines[slot].receivers.len() {
                    while self.batch_of_line(now, slot, receiver).is_ok_and(|count| count > 0) {}
                }
            }
            self.lines[slot].receivers.clear();
        }
        any
    }

    /// Has packets come by the raw sockets alone, on lines whose packets the stack has again. True if there
    /// was such a line.
    pub fn join_stack(&mut self, now: Instant) -> bool {
        let mut any = false;
        for slot in 0..self.lines.len() {
            if !self.lines[slot].joins_stack() {
                continue;
            }
            any = true;
            if let Err(error) = self.lines[slot].deafen_packets() {
                tracing::error!(line = %self.lines[slot].name, reason = %error, "packet socket cannot be emptied");
            } else {
                self.empty_packets(now, slot);
            }
            self.lines[slot].lose_packets();
        }
        any
    }

    /// Reads all that a line's packet sockets have heard.
    fn empty_packets(&mut self, now: Instant, slot: usize) {
        for control in [true, false] {
            while self.batch_of_packets(now, slot, control).is_ok_and(|count| count > 0) {}
        }
    }
}
