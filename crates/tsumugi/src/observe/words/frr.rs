//! Words for the second engine.

use crate::observe::status::FrrTrouble;
use std::path::Path;
use tsumugi_plan::explain::Lang;

/// What a session survives where FRR carries a change out.
pub fn frr_decides(lang: Lang) -> &'static str {
    lang.pick(
        "FRR speaks BGP here and decides by itself: it also resets a session for its password, GTSM and strict-role",
        "ここのBGPはFRRで、張り直すかどうかはFRRが決めます。パスワード、GTSM、strict-roleの変更でも張り直します",
    )
}

/// Why `show` says nothing of a router.
pub fn table_is_frrs(router: &str, sockets: &Path, lang: Lang) -> String {
    let sockets = sockets.display();
    lang.pick(
        format!(
            "the BGP of {router} is FRR's (`routing = \"frr\"`), and so is its table; ask it: vtysh --vty_socket {sockets} -c 'show bgp'"
        ),
        format!(
            "{router}のBGPはFRRのもの(`routing = \"frr\"`)で、経路表もFRRにあります。次のように問い合わせてください: vtysh --vty_socket {sockets} -c 'show bgp'"
        ),
    )
}

/// Why FRR is not as the plan asks.
pub fn frr_trouble(trouble: &FrrTrouble, lang: Lang) -> String {
    match trouble {
        FrrTrouble::NotInstalled => lang
            .pick(
                "it is not installed (Debian: apt install frr frr-pythontools)",
                "入っていません(Debianでは apt install frr frr-pythontools)",
            )
            .into(),
        FrrTrouble::NoUser => lang
            .pick(
                "its user `frr` is not there, or may not be become here (the lab of an ordinary user)",
                "ユーザー`frr`がないか、ここではそのユーザーになれません(一般ユーザーのlabなど)",
            )
            .into(),
        FrrTrouble::NotStarted { daemon, error } => lang
            .pick(format!("{daemon} could not be started: {error}"), format!("{daemon}を起動できませんでした: {error}")),
        FrrTrouble::Ended { daemon, status } => lang
            .pick(format!("{daemon} ended by itself: {status}"), format!("{daemon}が勝手に終了しました: {status}")),
        FrrTrouble::NoReload => lang
            .pick(
                "the changed plan waits: frr-reload.py is not installed (Debian: apt install frr-pythontools)",
                "変更が適用できません: frr-reload.pyが入っていません(Debianでは apt install frr-pythontools)",
            )
            .into(),
        FrrTrouble::ReloadFailed { status } => lang.pick(
            format!("it did not take the changed plan: frr-reload.py ended with {status}"),
            format!("変更が適用できませんでした: frr-reload.pyの終了状態 {status}"),
        ),
        FrrTrouble::NoAnswer { error } => {
            lang.pick(format!("it does not answer: {error}"), format!("応答がありません: {error}"))
        }
    }
}
