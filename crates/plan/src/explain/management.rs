//! Words for the ways by which people come to repair.

use super::{Words, net};
use crate::problem::ManagementProblem;

pub(super) fn words(kind: &ManagementProblem) -> Words {
    match kind {
        ManagementProblem::NoIndependentLine { site } => Words::new(
            format!(
                "site {site} has no line for repair alone: when its other lines break, nobody reaches it"
            ),
            "add an uplink with `for = [\"management\"]` to one of its routers, such as an lte line",
            format!("拠点 {site}に修理専用の回線がありません。ほかの回線が切れると誰も入れなくなります"),
            "この拠点のルーターのどれかに、lteなどの`for = [\"management\"]`の回線を書き足してください",
        ),
        ManagementProblem::RouterUnreachable { router } => Words::new(
            format!(
                "nobody can reach router {router} for repair: it has no line for management, and no router beside it on a switch has one"
            ),
            "add \"management\" to the `for` of one of its lines, or a `management-port` beside a router that has such a line",
            format!(
                "ルーター {router}を修理するための道がありません。管理用の回線がなく、同じスイッチの隣のルーターにもありません"
            ),
            "回線の`for`に\"management\"を足すか、管理用の回線を持つルーターと同じスイッチに`management-port`でつないでください",
        ),
        ManagementProblem::DeviceUnreachable { site } => Words::new(
            format!(
                "no router of site {site} has a port on the management switch, so this device cannot be reached"
            ),
            "add `management-port` to a router of the site",
            format!("拠点 {site}には管理用スイッチにつながるルーターがないので、この機器に届きません"),
            "この拠点のルーターに`management-port`を書き足してください",
        ),
        ManagementProblem::MeetingCannotBeCalled { router } => Words::new(
            format!(
                "router {router} should be a meeting point, and none of its management lines takes calls at a stated address"
            ),
            "give it a line for management that takes calls, with its address stated, or remove `meeting`",
            format!(
                "ルーター {router}は集合点になっていますが、書かれたアドレスで呼び出せる管理用の回線がありません"
            ),
            "呼び出せてアドレスの決まった管理用の回線を書くか、`meeting`を消してください",
        ),
        ManagementProblem::NoMeetingPoint { line, net: of } => {
            let (en, ja) = net(*of);
            Words::new(
                format!(
                    "line {line} has nobody to call for management: no other router is a meeting point on {en}"
                ),
                "give a router with `meeting = true` a line for management on that network, with its address stated",
                format!("管理用の回線 {line}から呼び出せる相手がいません。{ja}に集合点がありません"),
                "`meeting = true`のルーターに、その網でアドレスの決まった管理用の回線を書き足してください",
            )
        }
        ManagementProblem::LaptopMeetsNobody { person } => Words::new(
            format!(
                "{person}'s laptop has nobody to call: no meeting point has a line on the Internet that takes calls"
            ),
            "give a router with `meeting = true` such a line for management",
            format!(
                "{person}さんのノートPCから呼び出せる相手がいません。インターネットから呼び出せる集合点がありません"
            ),
            "`meeting = true`のルーターに、そのような管理用の回線を書き足してください",
        ),
    }
}
