//! Any bytes as an MRT file: what is read of a table is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_core::wire::bgp::{Context, Message, Stored, frame, PathIds};
use tsumugi_core::wire::mrt::{Content, Record};

fuzz_target!(|bytes: &[u8]| {
    let mut file = bytes;
    while let Ok(Some((record, length))) = Record::first(file) {
        file = &file[length..];
        match record.parse() {
            Ok(Content::Rib(rib)) => {
                for entry in &rib.entries {
                    let Ok(decoded) = Stored::parse(entry.attributes) else { continue };
                    let mut again = Vec::new();
                    decoded.stored.emit(&mut again);
                    let _ = Stored::parse(&again);
                }
                let mut again = Vec::new();
                rib.emit(record.timestamp, &mut again);
                let (again, _) = Record::first(&again).unwrap().unwrap();
                assert_eq!(again.parse(), Ok(Content::Rib(rib)));
            }
            Ok(Content::Message(message)) => {
                let path_ids = PathIds { ipv4: message.add_path, ipv6: message.add_path };
                let context = Context { four_octet: message.four_octet, path_ids, ..Context::default() };
                if let Ok(Some(frame)) = frame(message.message, context.message_max()) {
                    let _ = Message::parse(frame, context);
                }
            }
            _ => {}
        }
    }
});
