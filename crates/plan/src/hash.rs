//! The seal of a plan: by it a process knows that what it read is what was compiled.

use sha2::{Digest, Sha256};
use std::fmt::Write;
use tsumugi_core::router_plan::RouterPlan;

/// SHA-256 in hexadecimal over the plan's JSON (as `serde_json` writes it, without white space)
/// with an empty `hash`. What `hash` holds now does not matter.
pub fn hash_of(plan: &RouterPlan) -> String {
    let bare = RouterPlan { hash: String::new(), ..plan.clone() };
    let mut digest = Sha256::new();
    // Keys are strings and numbers are finite: these types always have a JSON form.
    if let Ok(json) = serde_json::to_vec(&bare) {
        digest.update(&json);
    }
    digest.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the plan's own hash into it.
pub fn seal(plan: &mut RouterPlan) {
    plan.hash = hash_of(plan);
}
