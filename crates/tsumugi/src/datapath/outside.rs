//! An outer packet as it came in, its payload whole.

use super::batch::Arrival;
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::tunnel::DropReason;
use tsumugi_core::wire::ipv4;

/// An outer packet.
pub struct Outside {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Where in the buffer.
    pub payload: Range<usize>,
    pub state: State,
}

/// What the kernel has seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing: a checksum of UDP is ours to verify.
    Unchecked,
    /// The checksum of UDP.
    Checked,
    /// All of UDP: the payload is a datagram's.
    Datagram,
}

impl Outside {
    /// Raw IPv4 sockets give the packet with its header.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn of_v4(buffer: &[u8], at: Range<usize>) -> Result<Outside, DropReason> {
        let packet = ipv4::Packet::new_checked(&buffer[at.clone()])?;
        Ok(Outside {
            source: packet.source().into(),
            destination: packet.destination().into(),
            traffic_class: packet.traffic_class(),
            payload: at.start + packet.header_len()..at.start + packet.total_len(),
            state: State::Unchecked,
        })
    }

    /// Raw IPv6 sockets and those of UDP give what follows the headers, which stands at `payload`, and
    /// tell the rest beside it.
    ///
    /// # Errors
    /// `UnknownSource` if they do not tell where it was sent to.
    pub fn of_told(arrival: &Arrival, payload: Range<usize>, state: State) -> Result<Outside, DropReason> {
        Ok(Outside {
            source: arrival.source.ip(),
            destination: arrival.destination.ok_or(DropReason::UnknownSource)?,
            traffic_class: arrival.traffic_class,
            payload,
            state,
        })
    }
}
