//! Words for what a changed configuration does to sessions.

use tsumugi_core::bgp::change::{Effect, Fate, SessionChange, SessionTerm};
use tsumugi_plan::explain::Lang;

/// What becomes of a session, in one line without its name. `refreshes`: whether the neighbour can be asked
/// to tell its routes again, if a session tells.
pub fn session_change(change: &SessionChange, refreshes: Option<bool>, lang: Lang) -> String {
    let list =
        |effect: Effect| session_terms(change.terms.iter().filter(|term| term.effect() == effect), lang);
    match change.session {
        Fate::Begins => lang.pick("begins: a new neighbour", "始まります: 新しい相手です").into(),
        Fate::Ends => lang.pick("ends: no longer a neighbour", "終わります: もう相手ではありません").into(),
        Fate::Resets => {
            let why = list(Effect::Reset);
            lang.pick(format!("is reset: {why}"), format!("張り直します: {why}"))
        }
        Fate::Stays => {
            let mut parts = vec![lang.pick("stays", "続きます").to_owned()];
            if change.terms.iter().any(|term| term.effect() == Effect::JudgedAgain) {
                parts.push(judged(refreshes, lang).into());
            }
            if change.terms.iter().any(|term| term.effect() == Effect::ToldAgain) {
                parts.push(
                    lang.pick("is told what is another for it now", "変わった経路を伝え直します").into(),
                );
            }
            let at_once = list(Effect::AtOnce);
            if !at_once.is_empty() {
                parts.push(lang.pick(format!("at once: {at_once}"), format!("すぐに有効: {at_once}")));
            }
            let next = change.terms.iter().filter(|term| term.effect() == Effect::NextSession);
            parts.extend(waits(next, lang));
            parts.join(lang.pick("; ", "。"))
        }
    }
}

/// What comes into force with the next session only; `None`: nothing.
pub fn waits<'a>(of: impl Iterator<Item = &'a SessionTerm>, lang: Lang) -> Option<String> {
    let waiting = session_terms(of, lang);
    (!waiting.is_empty()).then(|| {
        lang.pick(format!("with the next session: {waiting}"), format!("次のセッションから有効: {waiting}"))
    })
}

fn judged(refreshes: Option<bool>, lang: Lang) -> &'static str {
    match refreshes {
        Some(true) => lang.pick("is asked to tell its routes again", "経路を伝え直すよう求めます"),
        Some(false) => lang.pick(
            "what was kept of its routes is judged again, as it cannot be asked",
            "伝え直すよう求められない相手なので、残してある経路を判断し直します",
        ),
        None => lang.pick(
            "is asked to tell its routes again, or judged by what was kept if it cannot be asked",
            "経路を伝え直すよう求め、求められない相手なら残してある経路を判断し直します",
        ),
    }
}

/// What they are, separated by commas.
pub fn session_terms<'a>(of: impl Iterator<Item = &'a SessionTerm>, lang: Lang) -> String {
    let words: Vec<&str> = of.map(|&it| term(it, lang)).collect();
    words.join(lang.pick(", ", "、"))
}

fn term(term: SessionTerm, lang: Lang) -> &'static str {
    match term {
        SessionTerm::Identifier => lang.pick("our BGP identifier (OPEN)", "こちらのBGP識別子 (OPEN)"),
        SessionTerm::LocalAs => lang.pick("our AS number (OPEN)", "こちらのAS番号 (OPEN)"),
        SessionTerm::RemoteAs => lang.pick("the neighbour's AS number (OPEN)", "相手のAS番号 (OPEN)"),
        SessionTerm::Families => lang.pick("the address families (OPEN)", "アドレスファミリー (OPEN)"),
        SessionTerm::Role => lang.pick("the role (OPEN, RFC 9234)", "役割 (OPEN、RFC 9234)"),
        SessionTerm::AddPaths => {
            lang.pick("several paths to one prefix (OPEN, RFC 7911)", "複数経路の送受信 (OPEN、RFC 7911)")
        }
        SessionTerm::Ends => {
            lang.pick("the link or an address: another connection", "リンクかアドレス: 別の接続になります")
        }
        SessionTerm::HoldTime => lang.pick("the hold time (OPEN)", "保持時間 (OPEN)"),
        SessionTerm::StrictRole => lang.pick(
            "whether the neighbour must say its role (OPEN, RFC 9234)",
            "相手が役割を名乗る必要があるか (OPEN、RFC 9234)",
        ),
        SessionTerm::Keepalive => lang.pick("the keepalive interval", "KEEPALIVEの間隔"),
        SessionTerm::Retry => lang.pick("the times of attempts", "接続を試す間隔と待ち時間"),
        SessionTerm::SendHold => lang.pick(
            "how long it may leave unread what it is sent (RFC 9687)",
            "送ったものを読まないまま待つ時間 (RFC 9687)",
        ),
        SessionTerm::Gtsm => lang.pick(
            "GTSM (the neighbour must send with a hop limit of 255, or its session ends by silence)",
            "GTSM (相手がホップリミット255で送らなければ、無音としてセッションが終わります)",
        ),
        SessionTerm::Password => lang.pick(
            "the password (the neighbour must change it as well within the hold time)",
            "パスワード (相手も保持時間内に変える必要があります)",
        ),
        SessionTerm::Bfd => lang.pick("BFD", "BFD"),
        SessionTerm::Limit => lang.pick(
            "the prefix limit (who is beyond it loses its session)",
            "プレフィックス数の上限 (超えている相手のセッションは終わります)",
        ),
        SessionTerm::Invalid => lang.pick("what becomes of RPKI invalid routes", "RPKIで無効な経路の扱い"),
        SessionTerm::Import => lang.pick("what is taken from it", "相手から受け入れる経路"),
        SessionTerm::Export => lang.pick("what it is told", "相手に伝える経路"),
        SessionTerm::Name => lang.pick("its name", "名前"),
    }
}
