//! Words for restarts of this process and of its neighbours (RFC 4724).

use super::bgp::{deferral_end, family_name, family_names};
use tsumugi_core::bgp::{FamilyCounts, NeighbourStatus, RestartStatus};
use tsumugi_plan::explain::Lang;

/// What this process found when it began, and what it still waits for.
pub fn lines(restart: &RestartStatus, lang: Lang) -> Vec<String> {
    let found = family_names(&restart.found);
    let mut lines = vec![lang.pick(
        format!("restarted: the kernel had {found} routes of an earlier life"),
        format!("再起動: カーネルに以前のプロセスの経路({found})がありました"),
    )];
    for deferred in &restart.deferred {
        let family = family_name(deferred.family);
        let waits = deferred.waits_for.iter().map(|(neighbour, left)| {
            let seconds = left.div_ceil(1000);
            lang.pick(format!("{neighbour} for up to {seconds} s"), format!("{neighbour}を最長{seconds}秒"))
        });
        let waits = waits.collect::<Vec<_>>().join(lang.pick(", ", "、"));
        lines.push(lang.pick(
            format!("{family}: nothing is chosen or told yet, waits for {waits}"),
            format!("{family}: 選択と広告を保留し、{waits}待っています"),
        ));
    }
    for selected in &restart.selected {
        let (family, why) = (family_name(selected.family), deferral_end(selected.why, lang));
        let after = selected.after_ms;
        lines.push(lang.pick(
            format!("{family}: chosen and told again after {after} ms, as {why}"),
            format!("{family}: {after}ミリ秒後に選択と広告を再開 ({why})"),
        ));
    }
    lines
}

/// Of a neighbour that restarts: what is kept of it.
pub fn kept(neighbour: &NeighbourStatus, lang: Lang) -> Option<String> {
    let seconds = neighbour.kept_ms?.div_ceil(1000);
    let FamilyCounts { ipv4, ipv6, evpn } = neighbour.stale;
    let stale = ipv4 + ipv6 + evpn;
    Some(lang.pick(
        format!("it restarts, {stale} routes that it has not told again are kept for up to {seconds} s"),
        format!("再起動中で、まだ伝え直されていない経路{stale}を最長{seconds}秒保ちます"),
    ))
}
