//! Any bytes as a file: the parser and the check end, and what passes compiles or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checked) = tsumugi_plan::check(text) {
        let _ = tsumugi_plan::compile::compile(&checked.declaration);
    }
});
