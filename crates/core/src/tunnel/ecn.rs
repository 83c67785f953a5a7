//! Explicit congestion notification across a tunnel (RFC 6040, normal mode). The DSCP is not
//! carried out: the outside gives it no meaning.

use super::DropReason;
use crate::wire::ip;

const MASK: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const CE: u8 = 0b11;

/// The traffic class of the outer packet, from the inner IP packet: its ECN field (RFC 6040 4.1).
/// Zero if `inner` is not IP.
pub fn outer_class(inner: &[u8]) -> u8 {
    match (ip::version(inner), inner) {
        (Some(4), [_, class, ..]) => class & MASK,
        (Some(6), [_, second, ..]) => (second >> 4) & MASK,
        _ => 0,
    }
}

/// Carries what the outer traffic class says into the inner IP packet (RFC 6040 4.2, figure 4).
///
/// # Errors
/// `Congestion` if the mark cannot be carried in, so that the packet must be dropped; `Malformed` if
/// there is a mark to carry and `inner` is no IP packet.
pub fn carry_in(outer_class: u8, inner: &mut [u8]) -> Result<(), DropReason> {
    let outer = outer_class & MASK;
    if outer != CE && outer != ECT_1 {
        return Ok(());
    }
    let class = ip::Packet::new_checked(inner)?.traffic_class();
    let ecn = match (outer, class & MASK) {
        (CE, NOT_ECT) => return Err(DropReason::Congestion),
        (CE, _) => CE,
        // ECT(0) inside, ECT(1) outside: the outer one is carried in.
        (_, 0b10) => ECT_1,
        _ => return Ok(()),
    };
    ip::set_traffic_class(inner, class & !MASK | ecn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ipv4, ipv6};

    fn v4(class: u8) -> [u8; 20] {
        let mut bytes = [0; 20];
        ipv4::Repr {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: 59,
            hop_limit: 64,
            traffic_class: class,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: 0,
        }
        .emit(&mut bytes);
        bytes
    }

    fn v6(class: u8) -> [u8; 40] {
        let mut bytes = [0; 40];
        let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        ipv6::Repr {
            source,
            destination,
            next_header: 59,
            hop_limit: 64,
            traffic_class: class,
            flow_label: 5,
            payload_len: 0,
        }
        .emit(&mut bytes);
        bytes
    }

    /// The rows of figure 4 of RFC 6040: inner, then outer 0, ECT(1), ECT(0), CE.
    #[test]
    fn figure_4() {
        let rows: [(u8, [Option<u8>; 4]); 4] = [
            (0b00, [Some(0b00), Some(0b00), Some(0b00), None]),
            (0b10, [Some(0b10), Some(0b01), Some(0b10), Some(0b11)]),
            (0b01, [Some(0b01), Some(0b01), Some(0b01), Some(0b11)]),
            (0b11, [Some(0b11), Some(0b11), Some(0b11), Some(0b11)]),
        ];
        for (inner, results) in rows {
            for (outer, expect) in [0b00, 0b01, 0b10, 0b11].into_iter().zip(results) {
                let dscp = 46 << 2;
                let (mut four, mut six) = (v4(dscp | inner), v6(dscp | inner));
                for bytes in [&mut four[..], &mut six[..]] {
                    let result = carry_in(outer, bytes)
                        .map(|()| ip::Packet::new_checked(bytes).unwrap().traffic_class());
                    assert_eq!(
                        result.ok(),
                        expect.map(|ecn| dscp | ecn),
                        "inner {inner:02b} outer {outer:02b}"
                    );
                    assert_eq!(outer_class(bytes), bytes_class(bytes) & 3);
                }
                assert!(ipv4::Packet::new_checked(&four).unwrap().verify_checksum());
            }
        }
    }

    fn bytes_class(bytes: &[u8]) -> u8 {
        ip::Packet::new_checked(bytes).unwrap().traffic_class()
    }

    #[test]
    fn what_is_not_ip_is_not_touched() {
        assert_eq!(outer_class(&[]), 0);
        assert_eq!(outer_class(&[0xff; 20]), 0);
        assert_eq!(carry_in(0, &mut []), Ok(()));
        assert_eq!(carry_in(3, &mut [0x45]), Err(DropReason::Malformed));
    }
}
