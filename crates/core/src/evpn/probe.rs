//! The frame by which a network hears its own loops: sent out of every port, and nobody but us reads it.
//!
//! After an Ethernet header, all numbers big-endian:
//!
//! | bytes | |
//! |---|---|
//! | 0 | version, 1 |
//! | 1 | bit 0: the port forwards; bit 1: its router hears others of the segment; bit 2: it would forward for its LAN |
//! | 2..10 | digest of the network's name |
//! | 10..14 | router |
//! | 14..18 | VNI |
//! | 18..20 | port |
//! | 20..30 | the shared LAN (ESI), or zeros |
//! | 30..32 | preference in it |
//! | 32..36 | sequence |
//! | 36..52 | the port's interface, filled up with zeros |

use crate::id::{IfName, Mac, Vni};
use crate::wire::bgp::Esi;
use crate::wire::ethernet::{self, Frame};
use crate::wire::{Malformed, ethernet::ethertype};
use alloc::vec;
use alloc::vec::Vec;

const VERSION: u8 = 1;
const FORWARDING: u8 = 1;
const CONNECTED: u8 = 2;
const CANDIDATE: u8 = 4;
/// More than Ethernet's least.
const PAYLOAD_LEN: usize = 52;
/// A group address that bridges forward, locally administered: of no protocol.
pub const DESTINATION: Mac = Mac([0x03, 0x74, 0x73, 0x75, 0x6d, 0x75]);
/// What the sources begin with, so that nobody takes them for hosts.
const SOURCE: [u8; 3] = [0x02, 0x74, 0x73];

/// Whether a MAC is the source of probes, of whatever port.
pub(super) fn is_source(mac: Mac) -> bool {
    mac.0.starts_with(&SOURCE)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub network: u64,
    pub router: u32,
    pub vni: Vni,
    pub port: u16,
    /// The same port, for people.
    pub link: IfName,
    pub sequence: u32,
    /// Whether frames go in and out of the port that sent it.
    pub forwarding: bool,
    /// Whether its router hears others of the segment.
    pub connected: bool,
    /// Whether it is ready to forward for its LAN, or does.
    pub candidate: bool,
    /// [`Esi::SINGLE_HOMED`] of a port that shares its LAN with none.
    pub lan: Esi,
    pub preference: u16,
}

impl Probe {
    /// Of an Ethernet frame.
    ///
    /// # Errors
    /// `Truncated`, or `Version` where it is none of ours.
    pub fn parse(bytes: &[u8]) -> Result<Probe, Malformed> {
        let frame = Frame::new_checked(bytes)?;
        let payload = frame.payload().get(..PAYLOAD_LEN).ok_or(Malformed::Truncated)?;
        if frame.ethertype() != ethertype::LOCAL_EXPERIMENTAL || payload[0] != VERSION {
            return Err(Malformed::Version);
        }
        let number = |from: usize, to: usize| {
            payload[from..to].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let mut lan = [0; 10];
        lan.copy_from_slice(&payload[20..30]);
        let link = payload[36..].split(|byte| *byte == 0).next().unwrap_or_default();
        let link = core::str::from_utf8(link).ok().and_then(|link| IfName::new(link).ok());
        Ok(Probe {
            network: number(2, 10),
            router: number(10, 14) as u32,
            vni: Vni(number(14, 18) as u32),
            port: number(18, 20) as u16,
            link: link.ok_or(Malformed::Version)?,
            sequence: number(32, 36) as u32,
            forwarding: payload[1] & FORWARDING != 0,
            connected: payload[1] & CONNECTED != 0,
            candidate: payload[1] & CANDIDATE != 0,
            lan: Esi(lan),
            preference: number(30, 32) as u16,
        })
    }

    /// The whole Ethernet frame. Its source is the port's own, so that switches between two ports do not
    /// see one MAC move.
    pub fn frame(&self) -> Vec<u8> {
        let [_, _, a, b] = self.router.to_be_bytes();
        let [a, b] = [a ^ self.port.to_be_bytes()[0], b];
        let source = Mac([SOURCE[0], SOURCE[1], SOURCE[2], a, b, self.port.to_be_bytes()[1]]);
        let header =
            ethernet::Repr { destination: DESTINATION, source, ethertype: ethertype::LOCAL_EXPERIMENTAL };
        let mut frame = vec![0; header.buffer_len() + PAYLOAD_LEN];
        header.emit(&mut frame);
        let payload = &mut frame[header.buffer_len()..];
        payload[0] = VERSION;
        let flags = [(self.forwarding, FORWARDING), (self.connected, CONNECTED), (self.candidate, CANDIDATE)];
        payload[1] = flags.iter().filter(|it| it.0).fold(0, |all, it| all | it.1);
        payload[2..10].copy_from_slice(&self.network.to_be_bytes());
        payload[10..14].copy_from_slice(&self.router.to_be_bytes());
        payload[14..18].copy_from_slice(&self.vni.0.to_be_bytes());
        payload[18..20].copy_from_slice(&self.port.to_be_bytes());
        payload[20..30].copy_from_slice(&self.lan.0);
        payload[30..32].copy_from_slice(&self.preference.to_be_bytes());
        payload[32..36].copy_from_slice(&self.sequence.to_be_bytes());
        // At most 15 bytes: IfName holds nothing else.
        payload[36..].iter_mut().zip(self.link.as_str().bytes()).for_each(|(to, from)| *to = from);
        frame
    }
}
