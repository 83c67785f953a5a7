//! Outer packets put together to what was sent: fragments grouped by identification (RFC 791, RFC 8200).

use std::net::IpAddr;
use tsumugi_core::wire::ip::{Packet, protocol};

/// One packet on the wire: a whole datagram or a fragment of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The protocol behind all extension headers.
    pub protocol: u8,
    pub fragment: Option<Fragment>,
    /// Bytes of the whole packet.
    pub length: usize,
    /// Bytes behind the IP header, its extension headers and the fragment header.
    pub payload: usize,
    /// Source and destination port of TCP and UDP; a later fragment has none.
    pub ports: Option<(u16, u16)>,
    /// DF of IPv4; always true of IPv6, which no router cuts.
    pub dont_fragment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    pub identification: u32,
    /// In bytes.
    pub offset: usize,
    pub more: bool,
}

impl Piece {
    /// `None` if the bytes are no IP packet.
    pub fn read(bytes: &[u8]) -> Option<Piece> {
        let packet = Packet::new_checked(bytes).ok()?;
        let (source, destination, length) = (packet.source(), packet.destination(), packet.total_len());
        Some(match packet {
            Packet::V4(v4) => {
                let cut = v4.more_fragments() || v4.fragment_offset() > 0;
                let fragment = cut.then(|| Fragment {
                    identification: v4.identification().into(),
                    offset: v4.fragment_offset(),
                    more: v4.more_fragments(),
                });
                let (protocol, payload) = (v4.protocol(), v4.payload().len());
                let ports = ports_of(protocol, fragment, v4.payload());
                let dont_fragment = v4.dont_fragment();
                Piece { source, destination, protocol, fragment, length, payload, ports, dont_fragment }
            }
            Packet::V6(v6) => {
                let walked = v6.walk().ok()?;
                let fragment = walked.fragment.map(|header| Fragment {
                    identification: header.identification,
                    offset: header.offset,
                    more: header.more,
                });
                let payload = v6.payload().len().saturating_sub(walked.offset);
                let protocol = walked.protocol;
                let ports = ports_of(protocol, fragment, v6.payload().get(walked.offset..)?);
                Piece { source, destination, protocol, fragment, length, payload, ports, dont_fragment: true }
            }
        })
    }
}

/// The ports at the start of `payload`. Only these four bytes are looked at: the length that a first
/// fragment states is that of the whole datagram.
fn ports_of(number: u8, fragment: Option<Fragment>, payload: &[u8]) -> Option<(u16, u16)> {
    let begins = fragment.is_none_or(|fragment| fragment.offset == 0);
    if !begins || !matches!(number, protocol::TCP | protocol::UDP) {
        return None;
    }
    let &[a, b, c, d] = payload.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// A datagram and the packets that carried it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// Source and destination port of TCP and UDP, if its beginning was seen.
    pub ports: Option<(u16, u16)>,
    /// Lengths of its packets, IP headers included, in the order in which they passed.
    pub pieces: Vec<usize>,
    /// Bytes of payload of all pieces together.
    pub payload: usize,
    /// True if nothing of it was missing.
    pub complete: bool,
}

/// Groups pieces, in the order in which each datagram's first one passed.
pub fn datagrams<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> Vec<Datagram> {
    let mut groups: Vec<Vec<&Piece>> = Vec::new();
    for piece in pieces {
        let home = groups.iter_mut().find(|group| group.first().is_some_and(|first| together(first, piece)));
        match home {
            Some(group) => group.push(piece),
            None => groups.push(vec![piece]),
        }
    }
    groups.iter().map(|group| put_together(group)).collect()
}

fn together(a: &Piece, b: &Piece) -> bool {
    let (Some(x), Some(y)) = (a.fragment, b.fragment) else { return false };
    x.identification == y.identification
        && a.source == b.source
        && a.destination == b.destination
        && a.protocol == b.protocol
}

/// `group` is not empty: [`datagrams`] begins each with a piece.
fn put_together(group: &[&Piece]) -> Datagram {
    let first = group[0];
    let mut ranges: Vec<(usize, usize)> = group
        .iter()
        .map(|piece| {
            let offset = piece.fragment.map_or(0, |fragment| fragment.offset);
            (offset, offset + piece.payload)
        })
        .collect();
    ranges.sort_unstable();
    let mut reached = 0;
    let mut gapless = true;
    for (from, to) in ranges {
        gapless &= from <= reached;
        reached = reached.max(to);
    }
    let ended = group.iter().any(|piece| piece.fragment.is_none_or(|fragment| !fragment.more));
    Datagram {
        source: first.source,
        destination: first.destination,
        protocol: first.protocol,
        ports: group.iter().find_map(|piece| piece.ports),
        pieces: group.iter().map(|piece| piece.length).collect(),
        payload: group.iter().map(|piece| piece.payload).sum(),
        complete: gapless && ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4_fragment(identification: u16, offset: usize, more: bool, payload: usize) -> Vec<u8> {
        let total = 20 + payload;
        let flags = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
        let mut bytes = vec![0x45, 0, (total >> 8) as u8, total as u8];
        bytes.extend(identification.to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.extend([64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        bytes.resize(total, 0);
        bytes
    }

    fn v6_fragment(identification: u32, offset: usize, more: bool, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(((payload + 8) as u16).to_be_bytes());
        bytes.extend([44, 64]);
        bytes.extend([0x20; 32]);
        bytes.extend([47, 0]);
        bytes.extend((offset as u16 | u16::from(more)).to_be_bytes());
        bytes.extend(identification.to_be_bytes());
        bytes.resize(40 + 8 + payload, 0);
        bytes
    }

    #[test]
    fn two_fragments_are_one_datagram() {
        for (a, b, header) in [
            (v4_fragment(7, 0, true, 1480), v4_fragment(7, 1480, false, 924), 20),
            (v6_fragment(7, 0, true, 1448), v6_fragment(7, 1448, false, 956), 48),
        ] {
            let pieces = [Piece::read(&b).unwrap(), Piece::read(&a).unwrap()];
            let all = datagrams(&pieces);
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].payload, 2404);
            assert_eq!(all[0].protocol, 47);
            assert_eq!(all[0].pieces, vec![b.len(), a.len()]);
            assert_eq!(b.len() + a.len(), 2404 + 2 * header);
            assert!(all[0].complete);
            assert!(!datagrams(&pieces[..1])[0].complete);
            assert!(!datagrams(&pieces[1..])[0].complete);
        }
    }

    #[test]
    fn others_are_kept_apart() {
        let pieces: Vec<Piece> = [
            v4_fragment(7, 0, true, 1480),
            v4_fragment(8, 0, true, 1480),
            v4_fragment(0, 0, false, 60),
            v4_fragment(0, 0, false, 60),
        ]
        .iter()
        .map(|bytes| Piece::read(bytes).unwrap())
        .collect();
        let all = datagrams(&pieces);
        assert_eq!(all.len(), 4);
        assert!(all[2].complete && all[2].pieces == [80]);
    }

    #[test]
    fn what_is_no_packet_is_no_piece() {
        assert_eq!(Piece::read(&[]), None);
        assert_eq!(Piece::read(&[0x45, 0, 0]), None);
        assert_eq!(Piece::read(&[0x10; 40]), None);
    }
}
