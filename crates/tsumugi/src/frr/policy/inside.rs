//! Between routers of ours.

use super::CLASSES;
use super::map::Map;
use crate::frr::configuration::Text;
use tsumugi_core::bgp::config::SpeakerConfig;

/// What all links have in common on the way out.
const OUT: &str = "inside-out";

pub fn common(text: &mut Text, config: &SpeakerConfig, inward: &str) {
    let mut map = Map::new(text, inward, "From routers of ours: taken as they marked it.");
    keep_no_export(&mut map, config);
    map.set(None, &["set metric 0"]);
    let (validity, shutdown) = (200, 300);
    for (class, list, _) in CLASSES {
        let matches = format!("match large-community {list}");
        let set = format!("set local-preference {}", class.local_preference());
        map.skip(&[&matches], &[&set], validity);
    }
    map.skip(&[], &["set local-preference 50"], shutdown);
    map.continue_at(validity);
    map.skip(&["match large-community rpki-invalid"], &["set local-preference -10"], shutdown);
    map.skip(&["match large-community rpki-valid"], &["set local-preference +10"], shutdown);
    map.continue_at(shutdown);
    map.set(Some("match community drained"), &["set local-preference 0"]);
    map.end();
    let mut map = Map::new(text, OUT, "To routers of ours: all of it.");
    map.set(Some("match large-community no-export"), &["set community no-export additive"]);
    map.set(Some("match large-community no-export-subconfed"), &["set community local-AS additive"]);
    map.set(None, &["set large-comm-list kept-inside delete"]);
    map.end();
}

/// What FRR would not send over eBGP is marked as ours to keep, and the word itself is to go.
pub fn keep_no_export(map: &mut Map<'_>, config: &SpeakerConfig) {
    for (name, mark) in [("no-export", 1), ("no-export-subconfed", 2)] {
        let matches = format!("match community {name}");
        let set = format!("set large-community {}:3:{mark} additive", config.public_asn.0);
        map.set(Some(&matches), &[&set]);
    }
    map.set(None, &["set comm-list not-for-ebgp delete"]);
}

pub fn outward(text: &mut Text, config: &SpeakerConfig, name: &str, prepends: u8, drained: bool) {
    let mut map = Map::new(text, name, "Over one link, its cost in the path.");
    map.through(OUT);
    // Entries that may say nothing stand all the same, so that a change renumbers no other.
    let again = vec![config.asn.0.to_string(); usize::from(prepends.saturating_sub(1))].join(" ");
    let prepend = format!("set as-path prepend {again}");
    let costs = (!again.is_empty()).then_some(prepend.as_str());
    let leaves = (config.draining || drained).then_some("set community graceful-shutdown additive");
    map.entry("permit", &costs.into_iter().chain(leaves).collect::<Vec<_>>());
}
