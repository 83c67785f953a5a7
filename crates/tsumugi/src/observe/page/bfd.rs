//! BFD on the page.

use super::{Drops, duration, line};
use crate::observe::status::{BfdSession, BfdStatus, Running};
use crate::observe::words;
use tsumugi_core::bfd::{Diagnostic, State};
use tsumugi_plan::explain::Lang;

pub fn bfd(page: &mut String, running: &Running, lang: Lang) {
    let Some(bfd) = &running.bfd else {
        return line(page, 1, lang.pick("BFD does not answer", "BFDが応答しません"));
    };
    trouble(page, bfd, lang);
    if bfd.sessions.is_empty() {
        return;
    }
    line(page, 1, "BFD");
    let width = bfd.sessions.iter().map(|session| session.session.name.len()).max().unwrap_or(0);
    for session in &bfd.sessions {
        line(page, 2, &format!("{:width$}  {}", session.session.name, session_words(session, lang)));
    }
}

/// Packets that were not taken.
pub fn drops(drops: &mut Drops, running: &Running, lang: Lang) {
    for (reason, count) in running.bfd.iter().flat_map(|bfd| &bfd.drops) {
        drops.add(*count, words::bfd::drop(*reason, lang));
    }
}

fn trouble(page: &mut String, bfd: &BfdStatus, lang: Lang) {
    if let Some(error) = &bfd.not_listening {
        let said = lang.pick(
            format!("BFD does not listen on ports 3784 and 4784: {error}"),
            format!("BFDがポート3784と4784で待ち受けていません: {error}"),
        );
        line(page, 1, &said);
    }
    if let Some(error) = bfd.not_urgent.as_ref().filter(|_| !bfd.sessions.is_empty()) {
        let said = lang.pick(
            format!("BFD waits for its turn like any other thread: {error}"),
            format!("BFDはほかのスレッドと同じ順番で動いています: {error}"),
        );
        line(page, 1, &said);
    }
}

fn session_words(session: &BfdSession, lang: Lang) -> String {
    let it = &session.session;
    let state = words::bfd::state(it.state, lang);
    let counts = lang.pick(
        format!("{} packets in, {} out", it.received, it.sent),
        format!("パケット 受信{}、送信{}", it.received, it.sent),
    );
    let last = it.last_down.as_ref().map_or_else(String::new, |down| {
        let why = words::bfd::down(down, lang);
        lang.pick(
            format!("; downs so far {}, last: {why}", it.downs),
            format!("; 落ちた回数 {}、最後: {why}", it.downs),
        )
    });
    if !it.active {
        let waits =
            lang.pick("not watched while BGP does not stand", "BGPが確立していないので見張っていません");
        return format!("{waits}{last}");
    }
    if it.state == State::Up {
        let since = duration(it.state_for_ms);
        let (interval, detection) = (it.interval_us / 1000, it.detection_us / 1000);
        return lang.pick(
            format!("{state} for {since}, every {interval} ms, gone after {detection} ms; {counts}{last}"),
            format!(
                "{state} ({since})、間隔{interval}ミリ秒、{detection}ミリ秒届かなければ断; {counts}{last}"
            ),
        );
    }
    let diagnostic = match it.diagnostic {
        Diagnostic::NONE => String::new(),
        diagnostic => format!(" ({})", words::bfd::diagnostic(diagnostic, lang)),
    };
    let without = lang.pick("BGP goes on without it", "BGPはこれなしで続きます");
    let comma = lang.pick(", ", "、");
    format!("{state}{diagnostic}{comma}{without}; {counts}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsumugi_core::bfd::{BfdDown, BfdSessionStatus};

    #[test]
    fn a_session_in_words() {
        let up = BfdSessionStatus {
            name: "r2/eth1".into(),
            active: true,
            state: State::Up,
            diagnostic: Diagnostic::NONE,
            remote_state: State::Up,
            remote_diagnostic: Diagnostic::NONE,
            discriminator: 1,
            remote_discriminator: 2,
            interval_us: 100_000,
            detection_us: 300_000,
            multiplier: 3,
            remote_multiplier: 3,
            remote_demand: false,
            remote_independent: false,
            state_for_ms: 12_000,
            ups: 2,
            downs: 1,
            last_down: Some(BfdDown::Silence { detection: 300 }),
            sent: 130,
            received: 129,
        };
        let down = BfdSessionStatus {
            state: State::Down,
            diagnostic: Diagnostic::TIME_EXPIRED,
            last_down: None,
            ..up.clone()
        };
        let idle = BfdSessionStatus { active: false, ..down.clone() };
        let of = |status: &BfdSessionStatus, lang| session_words(&status.clone().into(), lang);
        let last = "downs so far 1, last: BFD heard nothing for 300 ms";
        assert_eq!(
            of(&up, Lang::En),
            format!("up for 12s, every 100 ms, gone after 300 ms; 129 packets in, 130 out; {last}")
        );
        assert_eq!(
            of(&down, Lang::En),
            "down (Control Detection Time Expired), BGP goes on without it; 129 packets in, 130 out"
        );
        assert_eq!(of(&idle, Lang::En), "not watched while BGP does not stand");
        assert_eq!(of(&idle, Lang::Ja), "BGPが確立していないので見張っていません");
        assert!(of(&up, Lang::Ja).starts_with("上がっています (12s)、間隔100ミリ秒"));
    }
}
