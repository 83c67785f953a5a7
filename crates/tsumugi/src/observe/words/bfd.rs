//! Words for BFD: how sessions stand and why they went down.

use tsumugi_core::bfd::{BfdDown, BfdDrop, Diagnostic, State};
use tsumugi_plan::explain::Lang;

pub fn state(state: State, lang: Lang) -> &'static str {
    match state {
        State::AdminDown => lang.pick("switched off", "止めてあります"),
        State::Down => lang.pick("down", "落ちています"),
        State::Init => {
            lang.pick("hears the far end, is not heard yet", "相手は聞こえますが、まだ聞かれていません")
        }
        State::Up => lang.pick("up", "上がっています"),
    }
}

/// RFC 5880 4.1. Field terms stay English in both languages.
pub fn diagnostic(diagnostic: Diagnostic, lang: Lang) -> String {
    let name = match diagnostic {
        Diagnostic::NONE => "No Diagnostic",
        Diagnostic::TIME_EXPIRED => "Control Detection Time Expired",
        Diagnostic::ECHO_FAILED => "Echo Function Failed",
        Diagnostic::NEIGHBOUR_DOWN => "Neighbor Signaled Session Down",
        Diagnostic::FORWARDING_RESET => "Forwarding Plane Reset",
        Diagnostic::PATH_DOWN => "Path Down",
        Diagnostic::CONCATENATED_PATH_DOWN => "Concatenated Path Down",
        Diagnostic::ADMIN_DOWN => "Administratively Down",
        Diagnostic::REVERSE_CONCATENATED_PATH_DOWN => "Reverse Concatenated Path Down",
        Diagnostic(other) => {
            return lang.pick(format!("unknown diagnostic {other}"), format!("未知の診断コード{other}"));
        }
    };
    name.into()
}

/// Why a session that was up is no longer.
pub fn down(down: &BfdDown, lang: Lang) -> String {
    match down {
        BfdDown::Silence { detection } => lang.pick(
            format!("BFD heard nothing for {detection} ms"),
            format!("BFDで{detection}ミリ秒のあいだ何も届きませんでした"),
        ),
        BfdDown::NeighbourDown { diagnostic } => {
            let said = self::diagnostic(*diagnostic, lang);
            lang.pick(
                format!("the neighbour's BFD says that the path is down: {said}"),
                format!("相手のBFDが、経路が落ちていると伝えました: {said}"),
            )
        }
        BfdDown::NeighbourAdminDown => {
            lang.pick("the neighbour has switched its BFD off", "相手がBFDを止めました").into()
        }
    }
}

/// Why a packet was not taken.
pub fn drop(reason: BfdDrop, lang: Lang) -> &'static str {
    match reason {
        BfdDrop::Hops => lang.pick(
            "BFD that may have crossed a router: its hop limit is not 255 (RFC 5881)",
            "ルーターを越えた可能性のあるBFD: ホップリミットが255ではありません (RFC 5881)",
        ),
        BfdDrop::Truncated => lang.pick("BFD that is too short", "短すぎるBFD"),
        BfdDrop::Version => lang.pick("BFD of another version", "バージョンの違うBFD"),
        BfdDrop::Length => lang.pick("BFD with an impossible length", "ありえない長さのBFD"),
        BfdDrop::NoMultiplier => lang.pick("BFD with a multiplier of zero", "倍率が0のBFD"),
        BfdDrop::Multipoint => lang.pick("BFD of a multipoint session", "マルチポイントのBFD"),
        BfdDrop::NoDiscriminator => {
            lang.pick("BFD whose sender names no session", "送信側のセッション番号がないBFD")
        }
        BfdDrop::UnknownSession => lang.pick(
            "BFD for a session that is not there, or not the sender's",
            "存在しない、または他者のセッション宛のBFD",
        ),
        BfdDrop::Unnamed => lang.pick(
            "BFD that should name our session and does not",
            "こちらのセッション番号を書くべきなのに書いていないBFD",
        ),
        BfdDrop::Stranger => lang.pick("BFD from somebody who is no neighbour", "計画にない相手からのBFD"),
        BfdDrop::Inactive => lang.pick(
            "BFD from a neighbour whose BGP session does not stand",
            "BGPセッションが確立していない相手からのBFD",
        ),
        BfdDrop::Authenticated => {
            lang.pick("BFD with authentication, which was not agreed on", "取り決めのない認証つきのBFD")
        }
        BfdDrop::AdminDown => lang.pick("BFD for a session that was switched off", "止めたセッション宛のBFD"),
    }
}
