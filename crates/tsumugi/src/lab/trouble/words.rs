//! A lab's troubles in words, English and Japanese.

use super::{Awaited, Doing, Trouble};
use crate::lab::processes::ProcessKind;
use crate::lab::space::{Forbids, NoSpace};
use std::time::Duration;
use tsumugi_plan::explain::Lang;

impl Trouble {
    pub fn words(&self, lang: Lang) -> String {
        match self {
            Trouble::Space(reason) => no_space(reason, lang),
            Trouble::Mismatch(mismatch) => lang.pick(mismatch.to_string(), format!("プログラムの誤りです: {mismatch}")),
            Trouble::System { doing, error } => format!("{}: {error}", doing.words(lang)),
            Trouble::Ended { machine, process, log } => {
                let process = process.name();
                let what = lang.pick(
                    format!("{process} of {machine} has ended"),
                    format!("{machine}の{process}が終了しました"),
                );
                what + &last_words(log, lang)
            }
            Trouble::Late { what, machine, process, after, log } => {
                late(what, machine, *process, *after, lang) + &last_words(log, lang)
            }
            Trouble::UpAlready(name) => lang.pick(
                format!("a lab named {name} is up already; `tsumugi lab down {name}` ends it, --name gives another name"),
                format!("{name}という名前のラボはすでに動いています。`tsumugi lab down {name}`で終わらせるか、--nameで別の名前を付けてください"),
            ),
            Trouble::NoSuchLab(name) => lang.pick(
                format!("no lab named {name} is up"),
                format!("{name}という名前のラボは動いていません"),
            ),
            Trouble::WhichLab(names) if names.is_empty() => lang
                .pick(
                    "no lab is up; `tsumugi lab up FILE` begins one",
                    "動いているラボはありません。`tsumugi lab up FILE`で始められます",
                )
                .into(),
            Trouble::WhichLab(names) => {
                let names = names.join(", ");
                lang.pick(
                    format!("several labs are up, name one: {names}"),
                    format!("ラボがいくつか動いています。1つを指定してください: {names}"),
                )
            }
            Trouble::NoSuchMachine { wanted, known } => {
                let known = known.join(", ");
                lang.pick(
                    format!("there is no machine {wanted}; there are: {known}"),
                    format!("{wanted}という機器はありません。あるのは: {known}"),
                )
            }
        }
    }
}

fn late(what: &Awaited, machine: &str, process: ProcessKind, after: Duration, lang: Lang) -> String {
    let (seconds, process) = (after.as_secs(), process.name());
    let what = match what {
        Awaited::Sessions => {
            lang.pick(format!("the sessions of {machine}"), format!("{machine}のセッション"))
        }
        Awaited::Interface { plane, interface } => lang.pick(
            format!("{interface} in the {plane} plane of {machine}"),
            format!("{machine}の{plane}プレーンの{interface}"),
        ),
    };
    lang.pick(
        format!("after {seconds} s still waiting for {what} from its {process} process"),
        format!("{seconds}秒たっても{what}が現れません ({process})"),
    )
}

/// What the log of a process ends with; continues a sentence about it.
fn last_words(log: &[String], lang: Lang) -> String {
    if log.is_empty() {
        return lang.pick("; its log is empty", "。ログは空です").into();
    }
    let begin = lang.pick("; its log ends with:", "。ログの末尾:");
    log.iter().fold(begin.to_owned(), |text, line| text + "\n  " + line)
}

impl Doing {
    fn words(&self, lang: Lang) -> String {
        let fixed = match self {
            Doing::LookingForLabs => lang.pick("looking for labs", "ラボを探せません"),
            Doing::WritingRecord => lang.pick("writing the lab's record", "ラボの記録を書けません"),
            Doing::ReadingRecord => lang.pick("reading the lab's record", "ラボの記録を読めません"),
            Doing::MakingNetworks => lang.pick("making the networks", "網を作れません"),
            Doing::AddressingDevices => {
                lang.pick("setting the devices' addresses", "機器のアドレスを設定できません")
            }
            Doing::Entering { lab } => {
                return lang.pick(format!("entering the lab {lab}"), format!("ラボ {lab}に入れません"));
            }
            Doing::Ending { lab } => {
                return lang.pick(format!("ending the lab {lab}"), format!("ラボ {lab}を終わらせられません"));
            }
            Doing::Recording { lab } => {
                return lang.pick(format!("recording the lab {lab}"), format!("ラボ {lab}を記録できません"));
            }
            Doing::Forgetting { lab } => {
                return lang
                    .pick(format!("forgetting the lab {lab}"), format!("ラボ {lab}の記録を消せません"));
            }
            Doing::MakingMachine { machine } => {
                return lang.pick(format!("making {machine}"), format!("{machine}を作れません"));
            }
            Doing::LayingLine { line } => {
                return lang.pick(format!("laying the line {line}"), format!("回線 {line}を引けません"));
            }
            Doing::Plugging { machine, switch } => {
                return lang.pick(
                    format!("plugging {machine} into {switch}"),
                    format!("{machine}を{switch}につなげません"),
                );
            }
            Doing::WritingState { machine } => {
                return lang.pick(
                    format!("writing the state of {machine}"),
                    format!("{machine}の計画や鍵を書けません"),
                );
            }
            Doing::Starting { process, machine } => {
                let process = process.name();
                return lang.pick(
                    format!("starting {process} of {machine}"),
                    format!("{machine}の{process}を起動できません"),
                );
            }
            Doing::Addressing { line } => {
                return lang.pick(
                    format!("giving {line} its addresses"),
                    format!("{line}にアドレスを設定できません"),
                );
            }
            Doing::Furnishing { machine } => {
                return lang.pick(format!("furnishing {machine}"), format!("{machine}を準備できません"));
            }
            Doing::Looking { interface, machine } => {
                return lang.pick(
                    format!("looking for {interface} of {machine}"),
                    format!("{machine}の{interface}を調べられません"),
                );
            }
            Doing::Capturing { link } => {
                return lang.pick(format!("capturing {link}"), format!("{link}をキャプチャーできません"));
            }
            Doing::Running { program, machine } => {
                return lang.pick(
                    format!("running {program} in {machine}"),
                    format!("{machine}で{program}を実行できません"),
                );
            }
        };
        fixed.into()
    }
}

fn no_space(reason: &NoSpace, lang: Lang) -> String {
    match reason {
        NoSpace::UserNamespacesForbidden(who) => {
            let setting = match who {
                Some(Forbids::AppArmor) => Some("kernel.apparmor_restrict_unprivileged_userns=0"),
                Some(Forbids::UnprivilegedClone) => Some("kernel.unprivileged_userns_clone=1"),
                Some(Forbids::MaxUserNamespaces) => Some("user.max_user_namespaces=10000"),
                None => None,
            };
            let what = lang.pick(
                "this machine forbids ordinary users a network of their own (user namespaces); ",
                "このマシンでは一般ユーザーが自分のネットワーク(user namespace)を作れません。",
            );
            let instead = match setting {
                Some(setting) => lang.pick(
                    format!("allow it with: sudo sysctl {setting}"),
                    format!("許可するには: sudo sysctl {setting}"),
                ),
                None => lang
                    .pick(
                        "run it as root, or outside of the container that forbids it",
                        "rootで、または禁止しているコンテナの外で実行してください",
                    )
                    .into(),
            };
            format!("{what}{instead}")
        }
        NoSpace::NamespacesForbidden(errno) => {
            let error = errno.desc();
            lang.pick(
                format!("this machine forbids even root to make namespaces ({error}); a container needs --privileged"),
                format!("このマシンではrootもnamespaceを作れません({error})。コンテナなら--privilegedが必要です"),
            )
        }
        NoSpace::NoTun { error, mode: None } => lang.pick(
            format!("/dev/net/tun: {error}; load the kernel's module with: sudo modprobe tun (a container needs --device /dev/net/tun)"),
            format!("/dev/net/tun: {error}。カーネルのモジュールを読み込むには: sudo modprobe tun (コンテナなら--device /dev/net/tunが必要です)"),
        ),
        NoSpace::NoTun { error, mode: Some(mode) } => lang.pick(
            format!("/dev/net/tun has mode {mode:04o}: {error}; allow it with: sudo chmod 0666 /dev/net/tun"),
            format!("/dev/net/tunのモードは{mode:04o}です: {error}。許可するには: sudo chmod 0666 /dev/net/tun"),
        ),
        NoSpace::NoProgram(name) => {
            let package = package_of(name);
            lang.pick(
                format!("the program {name} is missing; install it with: sudo apt-get install {package}"),
                format!("プログラム {name}がありません。入れるには: sudo apt-get install {package}"),
            )
        }
        NoSpace::Mount(what) => lang.pick(
            format!("the lab may not mount {what}; a container needs --privileged"),
            format!("マウントが許されません: {what}。コンテナなら--privilegedが必要です"),
        ),
        NoSpace::System(error) => lang.pick(
            format!("the lab has no space: {error}"),
            format!("ラボの場所を作れません: {error}"),
        ),
    }
}

fn package_of(program: &str) -> &str {
    match program {
        "nft" => "nftables",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_is_missing_is_one_line_with_a_way_out() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let reasons = [
            NoSpace::UserNamespacesForbidden(Some(Forbids::AppArmor)),
            NoSpace::UserNamespacesForbidden(None),
            NoSpace::NoTun { error: denied(), mode: Some(0o600) },
            NoSpace::NoTun { error: denied(), mode: None },
            NoSpace::NoProgram("nft"),
            NoSpace::Mount("a /proc of its own".into()),
        ];
        for reason in reasons {
            for (lang, stop) in [(Lang::En, ';'), (Lang::Ja, '。')] {
                let line = no_space(&reason, lang);
                assert!(!line.contains('\n') && line.contains(stop), "{line}");
            }
        }
    }

    #[test]
    fn a_log_is_quoted_and_silence_is_said() {
        let late = |log: &[&str]| Trouble::Late {
            what: Awaited::Sessions,
            machine: "hana".into(),
            process: ProcessKind::Router,
            after: Duration::from_secs(90),
            log: log.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(
            late(&["one", "two"]).words(Lang::En),
            "after 90 s still waiting for the sessions of hana from its router process; its log ends with:\n  one\n  two"
        );
        assert_eq!(
            late(&[]).words(Lang::Ja),
            "90秒たってもhanaのセッションが現れません (router)。ログは空です"
        );
    }
}
