//! Any bytes as packets from the underlay: reassembled within bounds, decapsulated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_core::time::Instant;
use tsumugi_core::tunnel::{Limits, Received, Reassembly, decapsulate};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let mut reassembly = Reassembly::new(limits);
    let mut rest = bytes;
    let mut now = Instant(0);
    // Each packet is led by its length in two bytes.
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (packet, after) = tail.split_at(length);
        rest = after;
        now = Instant(now.0 + 1_000_000);
        if let Ok(Some(datagram)) = reassembly.receive(now, packet) {
            // Checksums that are right are too rare to be found: both with and without.
            for is_checked in [false, true] {
                let _ = decapsulate(&Received {
                    protocol: datagram.protocol,
                    source: datagram.source,
                    destination: datagram.destination,
                    payload: &datagram.payload,
                    is_checked,
                });
            }
        }
        assert!(reassembly.bytes() <= limits.bytes, "more is held than allowed");
        assert!(reassembly.datagrams() <= limits.datagrams, "more is under way than allowed");
    }
});
