//! What a changed plan does to sessions: before it is in force, and what of it waits afterwards.

use super::line;
use crate::observe::say::pad;
use crate::observe::status::{BgpStatus, PlanAhead};
use crate::observe::words;
use tsumugi_core::bgp::change::{Fate, SessionChange};
use tsumugi_core::bgp::{NeighbourStatus, SessionState};
use tsumugi_plan::explain::Lang;
use unicode_width::UnicodeWidthStr;

/// The plan in the state folder that is not in force.
pub fn ahead(page: &mut String, ahead: &PlanAhead, bgp: &BgpStatus, lang: Lang) {
    let PlanAhead { generation, refused, sessions } = ahead;
    if let Some(refused) = refused {
        let why = words::plan_refused(refused, lang);
        let said = lang.pick(
            format!("the plan in the state folder would be refused: {why}"),
            format!("状態フォルダーの計画は受け入れられません: {why}"),
        );
        return line(page, 1, &said);
    }
    let said = lang.pick(
        format!("the plan in the state folder (generation {generation}) is not in force; what it would do:"),
        format!("状態フォルダーの計画(世代{generation})はまだ有効ではありません。有効にすると:"),
    );
    line(page, 1, &said);
    let refreshes = |name: &str| {
        let known = bgp.sessions.iter().map(|it| &it.neighbour).find(|it| it.name == name)?;
        (known.state == SessionState::Established).then_some(known.route_refresh)
    };
    changes(page, 2, sessions, refreshes, lang);
}

/// A line for each session; those that nothing happens to are counted. `refreshes`: whether a neighbour can be
/// asked to tell its routes again, if it is known.
pub fn changes(
    page: &mut String,
    depth: usize,
    sessions: &[SessionChange],
    refreshes: impl Fn(&str) -> Option<bool>,
    lang: Lang,
) {
    let untouched = |it: &&SessionChange| it.session == Fate::Stays && it.terms.is_empty();
    let (rest, concerned): (Vec<_>, Vec<_>) = sessions.iter().partition(untouched);
    let width = concerned.iter().map(|it| it.neighbour.width()).max().unwrap_or(0);
    for change in &concerned {
        let words = words::session_change(change, refreshes(&change.neighbour), lang);
        line(page, depth, &format!("{}  {words}", pad(&change.neighbour, width)));
    }
    let count = rest.len();
    let said = match (concerned.is_empty(), lang) {
        (true, Lang::En) => format!("no session is touched ({count})"),
        (true, Lang::Ja) => format!("どのセッションにも影響しません ({count})"),
        (false, Lang::En) => format!("{count} more are not touched"),
        (false, Lang::Ja) => format!("ほかの{count}には影響しません"),
    };
    if count > 0 || concerned.is_empty() {
        line(page, depth, &said);
    }
}

/// What is under way at a session that stands, or waits for the next; begins with what separates it.
pub fn of_neighbour(neighbour: &NeighbourStatus, lang: Lang) -> String {
    let judging = neighbour.judging.then(|| {
        lang.pick("its kept routes are judged again", "残してある経路を判断し直しています").to_owned()
    });
    let waits = words::waits(neighbour.waits.iter(), lang);
    let parts = judging.into_iter().chain(waits);
    parts.map(|it| lang.pick(format!("; {it}"), format!("。{it}"))).collect()
}
