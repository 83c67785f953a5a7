//! Words for links and tunnels.

use super::{Words, net, pass};
use crate::declaration::Pass;
use crate::problem::LinkProblem;

pub(super) fn words(kind: &LinkProblem) -> Words {
    match kind {
        LinkProblem::ToItself { router } => Words::new(
            format!("this link leads from {router} to {router}"),
            "name two routers",
            format!("{router}から{router}自身へのリンクになっています"),
            "別々のルーターを2台書いてください",
        ),
        LinkProblem::KeyMissing { key, by } => {
            let (en, ja) = why(key);
            Words::new(
                format!("{by} needs `{key}`"),
                format!("add `{key}`: {en}"),
                format!("{by}には`{key}`が必要です"),
                format!("`{key}`を書き足してください: {ja}"),
            )
        }
        LinkProblem::KeyOutOfPlace { key, by } => Words::new(
            format!("`{key}` says nothing about {by}"),
            format!("remove `{key}`"),
            format!("{by}に`{key}`は関係ありません"),
            format!("`{key}`を消してください"),
        ),
        LinkProblem::NeverMeet { nets } => Words::new(
            format!("these two lines never meet: {} and {}", net(nets[0]).0, net(nets[1]).0),
            "take two lines of one network: two NGN lines of one region, or two Internet lines",
            format!("この2つの回線はつながりません: {}と{}", net(nets[0]).1, net(nets[1]).1),
            "同じ網の回線を2つ選んでください。同じ地域のNGNどうしか、インターネットどうしです",
        ),
        LinkProblem::NobodyCanCall { lines } => Words::new(
            format!(
                "nobody can call in to either line ({} and {}), so neither end can begin",
                lines[0].name(),
                lines[1].name()
            ),
            "let one end be a line that takes calls; if one does, write it: passes = [\"udp\", \"fragments\", \"incoming\", …]",
            format!(
                "どちらの回線({}と{})も外から呼び出せないので、始められません",
                lines[0].name(),
                lines[1].name()
            ),
            "片方を呼び出せる回線にしてください。実際に呼び出せるなら passes = [\"udp\", \"fragments\", \"incoming\", …] と書いてください",
        ),
        LinkProblem::NotPassed { line, is, stated, what, by } => {
            let (what_en, what_ja) = pass(*what);
            let (why_en, why_ja) = match stated {
                true => {
                    ("its `passes` does not name it".to_string(), "`passes`に書かれていません".to_string())
                }
                false => (is.facts().en.to_string(), is.facts().ja.to_string()),
            };
            let (or_en, or_ja) = match *what {
                Pass::Gre | Pass::EtherIp if *by != "gretap" => (" or wireguard", "別の回線かwireguard"),
                _ => ("", "別の回線"),
            };
            Words::new(
                format!("{by} needs {what_en}, and line {line} does not pass that"),
                format!("take another line{or_en}; if it does pass, say so in `passes` ({why_en})"),
                format!("{by}には{what_ja}が必要ですが、回線 {line}は通しません"),
                format!("{or_ja}にしてください。実際に通るなら`passes`に書いてください({why_ja})"),
            )
        }
        LinkProblem::NotForFabric { line } => Words::new(
            format!("line {line} is not for the fabric"),
            "add \"fabric\" to the line's `for`, or take another line",
            format!("回線 {line}は本番用(fabric)ではありません"),
            "回線の`for`に\"fabric\"を足すか、別の回線にしてください",
        ),
        LinkProblem::ClearText { by } => {
            let by = crate::declaration::word(*by);
            Words::new(
                format!("{by} is not encrypted, and these lines cross the open Internet"),
                "use wireguard, or write `cleartext = true` if everybody may read it",
                format!("{by}は暗号化されませんが、この回線はインターネットを通ります"),
                "wireguardにするか、誰に読まれてもよいなら`cleartext = true`と書いてください",
            )
        }
        _ => ends(kind),
    }
}

/// What each end must know of the other, and what the ends cannot do.
fn ends(kind: &LinkProblem) -> Words {
    match kind {
        LinkProblem::NeedsStatedAddress { line, by } => Words::new(
            format!(
                "{by} needs to know both ends' addresses, and line {line} states none that the far end could send to"
            ),
            "state the line's public address, or use wireguard, which finds an end that calls",
            format!(
                "{by}には両端のアドレスが必要ですが、回線 {line}には相手から届くアドレスが書かれていません"
            ),
            "回線のグローバルアドレスを書くか、呼び出してくる相手を見つけられるwireguardにしてください",
        ),
        LinkProblem::NoCommonFamily { lines } => Words::new(
            format!("lines {} and {} have no IP family in common", lines[0], lines[1]),
            "give both an address of IPv6, or both one of IPv4",
            format!("回線 {}と{}に共通する種類(IPv4かIPv6)のアドレスがありません", lines[0], lines[1]),
            "両方にIPv6のアドレスを、または両方にIPv4のアドレスを書いてください",
        ),
        LinkProblem::NoAddressToCall { lines } => Words::new(
            format!("neither {} nor {} is a line that takes calls at a stated address", lines[0], lines[1]),
            "state the address of the line that takes calls, in a family that the other line has",
            format!("{}も{}も、書かれたアドレスで呼び出せる回線ではありません", lines[0], lines[1]),
            "呼び出せるほうの回線に、もう一方も持つ種類のアドレスを書いてください",
        ),
        LinkProblem::KernelCannot { by } => {
            let by = crate::declaration::word(*by);
            Words::new(
                format!(
                    "the kernel cannot carry this link: it has no EtherIP, and its {by} over IPv6 does not fragment outside"
                ),
                "leave `engine` out, or write \"userspace\"",
                format!(
                    "このリンクはカーネルでは運べません。カーネルにEtherIPはなく、IPv6上の{by}は外側で分割できません"
                ),
                "`engine`を消すか、\"userspace\"と書いてください",
            )
        }
        LinkProblem::TooManyParallel { most } => Words::new(
            format!("more than {most} WireGuard links between the same two routers"),
            format!("keep {most} of them: their UDP ports are counted in fours"),
            format!("同じ2台のルーターのあいだにWireGuardのリンクが{most}本より多くあります"),
            format!("{most}本までにしてください。UDPポートは4つずつ割り当てられます"),
        ),
        LinkProblem::SwitchMtuTooSmall { site, switch, link } => Words::new(
            format!("the switches of site {site} pass {switch} bytes, and a link carries {link}"),
            format!("raise the switches' MTU and `switch-mtu` to {link}, or lower `mtu` in [network]"),
            format!("拠点 {site}のスイッチは{switch}バイトしか通しませんが、リンクは{link}バイトを運びます"),
            format!("スイッチのMTUと`switch-mtu`を{link}に上げるか、[network]の`mtu`を下げてください"),
        ),
        // All others have been put in words by the caller.
        _ => Words::default(),
    }
}

fn why(key: &str) -> (&'static str, &'static str) {
    match key {
        "over" => ("the uplink that carries the tunnel", "トンネルを運ぶ回線"),
        "remote" => ("the far end's address", "相手側のアドレス"),
        "vni" => ("the number that both ends have agreed on", "両端で決めた識別番号"),
        _ => ("the port that the wire is in", "ケーブルがつながるポート"),
    }
}
