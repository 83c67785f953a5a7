//! Any bytes as a list file: what is read means something, and reads the same when it is printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_plan::lists;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(ranges) = lists::read(text) else { return };
    for range in &ranges {
        assert!(range.prefix.prefix_len() <= range.least && range.least <= range.most);
        assert!(range.most <= range.prefix.max_prefix_len());
    }
    assert_eq!(lists::read(&lists::print(&ranges)).as_ref(), Ok(&ranges));
});
