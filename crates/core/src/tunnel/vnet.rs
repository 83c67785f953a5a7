//! What a TUN or TAP device says of a packet before its bytes: the virtio network header (Virtual I/O
//! Device 1.2, 5.1.6), in the legacy form of ten bytes in the machine's own byte order.

use super::DropReason;
use super::inside::Link;
use crate::wire::checksum::Checksum;

const NEEDS_CHECKSUM: u8 = 1;
/// Kinds of segmentation.
const NONE: u8 = 0;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
/// Segments of UDP that keep their boundaries (USO).
const UDP: u8 = 5;
/// Beside the kind: the first segment alone has CWR set.
const ECN: u8 = 0x80;

/// What the packet has to be cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Tcp,
    Udp,
}

/// A checksum whose field holds the sum of the pseudo-header so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// Where what it covers begins: it ends with the packet.
    pub start: usize,
    /// Where from there the field stands.
    pub offset: usize,
}

/// What is still to be done to the packet that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VnetHeader {
    pub checksum: Option<Partial>,
    /// What to cut it into, and the payload bytes of each piece.
    pub cut: Option<(Cut, usize)>,
    /// Bytes of all headers of the packet; zero where nothing is to be cut.
    pub header_len: usize,
    /// For a TCP packet to be cut: the family.
    pub ipv6: bool,
}

impl VnetHeader {
    pub const LEN: usize = 10;

    /// # Errors
    /// `BadOffload` for less than ten bytes or a kind of cutting that was never agreed to.
    pub fn parse(bytes: &[u8]) -> Result<VnetHeader, DropReason> {
        let Some(&[flags, kind, l0, l1, s0, s1, c0, c1, o0, o1]) = bytes.first_chunk() else {
            return Err(DropReason::BadOffload);
        };
        let word = |low, high| usize::from(u16::from_ne_bytes([low, high]));
        let checksum =
            (flags & NEEDS_CHECKSUM != 0).then(|| Partial { start: word(c0, c1), offset: word(o0, o1) });
        let cut = match kind & !ECN {
            NONE => None,
            TCP_V4 | TCP_V6 => Some((Cut::Tcp, word(s0, s1))),
            UDP => Some((Cut::Udp, word(s0, s1))),
            _ => return Err(DropReason::BadOffload),
        };
        Ok(VnetHeader { checksum, cut, header_len: word(l0, l1), ipv6: kind & !ECN == TCP_V6 })
    }

    pub fn emit(&self) -> [u8; VnetHeader::LEN] {
        let mut bytes = [0; VnetHeader::LEN];
        let mut word = |at: usize, value: usize| {
            // Positions and sizes within one packet: below 65,536.
            bytes[at..at + 2].copy_from_slice(&(value as u16).to_ne_bytes());
        };
        word(2, self.header_len);
        word(4, self.cut.map_or(0, |(_, size)| size));
        word(6, self.checksum.map_or(0, |partial| partial.start));
        word(8, self.checksum.map_or(0, |partial| partial.offset));
        bytes[0] = if self.checksum.is_some() { NEEDS_CHECKSUM } else { 0 };
        bytes[1] = match self.cut {
            None => NONE,
            Some((Cut::Tcp, _)) if self.ipv6 => TCP_V6,
            Some((Cut::Tcp, _)) => TCP_V4,
            Some((Cut::Udp, _)) => UDP,
        };
        bytes
    }

    /// Completes the checksum of a packet that is not to be cut.
    ///
    /// # Errors
    /// `BadOffload` if what the header says is not within the packet.
    pub fn complete(&self, packet: &mut [u8]) -> Result<(), DropReason> {
        let Some(Partial { start, offset }) = self.checksum else { return Ok(()) };
        let field = start + offset;
        if packet.len() < field + 2 {
            return Err(DropReason::BadOffload);
        }
        let sum = never_zero(Checksum::new().bytes(&packet[start..]).finish());
        packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        Ok(())
    }
}

/// Zero means "none" in UDP (RFC 768); in TCP both zeros are the same.
pub fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// The link of a device that carries whole frames, or IP packets.
impl From<bool> for Link {
    fn from(carries_ethernet: bool) -> Link {
        if carries_ethernet { Link::Ethernet } else { Link::Ip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::inside::locate;
    use crate::tunnel::samples;
    use crate::tunnel::segment::pseudo;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn byte_by_byte() {
        let header = VnetHeader {
            checksum: Some(Partial { start: 34, offset: 16 }),
            cut: Some((Cut::Tcp, 1448)),
            header_len: 66,
            ipv6: false,
        };
        let mut bytes = [1, 1].to_vec();
        for word in [66u16, 1448, 34, 16] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        assert_eq!(header.emit()[..], bytes);
        assert_eq!(VnetHeader::parse(&bytes), Ok(header));
        bytes[1] = 0x84;
        assert_eq!(VnetHeader::parse(&bytes), Ok(VnetHeader { ipv6: true, ..header }));
        assert_eq!(VnetHeader::parse(&[0; 10]), Ok(VnetHeader::default()));
        assert_eq!(VnetHeader::parse(&[0; 9]), Err(DropReason::BadOffload));
        // UFO, which no kernel of today has.
        assert_eq!(VnetHeader::parse(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]), Err(DropReason::BadOffload));
    }

    proptest! {
        /// What holds the pseudo-header's sum alone becomes what its sender would have sent, behind VLAN tags
        /// and deep inside another packet too.
        #[test]
        fn what_is_completed_is_right(sample in samples::any(), before in 0usize..100) {
            let right = sample.build();
            let located = locate(sample.link(), &right).unwrap();
            let partial = sample.vnet(0).checksum.unwrap();
            let at = partial.start + partial.offset;
            let mut open = [vec![0xee; before], right.clone()].concat();
            let sum = pseudo(&located, &right, located.end - located.transport).partial();
            open[before + at..before + at + 2].copy_from_slice(&sum.to_be_bytes());
            let partial = Partial { start: before + partial.start, ..partial };
            VnetHeader { checksum: Some(partial), ..VnetHeader::default() }.complete(&mut open).unwrap();
            prop_assert_eq!(&open[before..], &right[..]);
        }

        #[test]
        fn any_header_over_any_packet(bytes: [u8; 10], mut packet in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(header) = VnetHeader::parse(&bytes) {
                let _ = header.complete(&mut packet);
            }
        }
    }
}
