//! Any bytes as a stream of BGP messages, with two and with four octets for an AS number, with
//! EVPN, long messages and path identifiers and without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_core::wire::bgp::{Context, Message, PathIds, frame};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, mut stream)) = bytes.split_first() else { return };
    let context = Context {
        four_octet: first & 1 == 1,
        ipv4_over_ipv6: first & 2 == 2,
        evpn: first & 4 == 4,
        extended: first & 8 == 8,
        path_ids: PathIds { ipv4: first & 16 == 16, ipv6: first & 32 == 32 },
    };
    while let Ok(Some(message)) = frame(stream, context.message_max()) {
        let _ = Message::parse(message, context);
        stream = &stream[message.wire_len()..];
    }
});
