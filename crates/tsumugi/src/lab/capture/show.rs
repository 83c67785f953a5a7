//! An outer packet as one line for people.

use super::{Piece, Seen};
use std::fmt::Write;
use std::time::UNIX_EPOCH;
use tsumugi_core::wire::ip::protocol;

/// Time of day (UTC), at whose line it was seen and whether that end gets or sends it, from where to where, what it is and how long.
pub fn line(seen: &Seen, place: &str) -> String {
    let at = seen.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (at.as_secs() % 86_400, at.subsec_micros());
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    // Seen outside of the router: what leaves there goes to it.
    let does = if seen.leaving { "gets " } else { "sends" };
    let mut text = format!("{hours:02}:{minutes:02}:{seconds:02}.{micros:06} {place} {does} ");
    let Some(piece) = Piece::read(&seen.bytes) else {
        let _ = write!(text, "not an IP packet, {} bytes", seen.bytes.len());
        return text;
    };
    let _ = write!(text, "{} > {} {}", piece.source, piece.destination, what(&piece));
    if let Some(fragment) = piece.fragment {
        let end = fragment.offset + piece.payload;
        let rest = if fragment.more { "+" } else { "" };
        let _ = write!(text, ", fragment {:x}: {}..{end}{rest}", fragment.identification, fragment.offset);
    }
    let _ = write!(text, ", {} bytes", piece.length);
    text
}

/// The protocol by its name; ports where the piece has them.
fn what(piece: &Piece) -> String {
    let name = match piece.protocol {
        protocol::GRE => "GRE",
        protocol::ETHERIP => "EtherIP",
        protocol::ICMP => "ICMP",
        protocol::ICMPV6 => "ICMPv6",
        protocol::TCP => "TCP",
        protocol::UDP => {
            return piece
                .ports
                .map_or("UDP".into(), |(source, destination)| format!("UDP {source} > {destination}"));
        }
        number => return format!("protocol {number}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_fragment_of_wireguard() {
        let mut bytes =
            vec![0x45, 0, 0, 44, 0x12, 0x34, 0x20, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
        bytes.extend([0x4e, 0x48, 0x4e, 0x24, 0x09, 0x90, 0, 0]);
        bytes.resize(44, 0);
        let at = UNIX_EPOCH + Duration::from_micros(3_661_000_009);
        let seen = Seen { at, place: 0, leaving: true, bytes };
        assert_eq!(
            line(&seen, "hr0302 pppoe"),
            "01:01:01.000009 hr0302 pppoe gets  192.0.2.1 > 198.51.100.2 UDP 20040 > 20004, \
             fragment 1234: 0..24+, 44 bytes"
        );
    }
}
