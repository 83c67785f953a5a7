//! The management process on the page: which members are reached, over which lines.

use super::{Drops, duration, heading, line};
use crate::observe::say::pad;
use crate::observe::status::{ManagementStatus, MemberStatus, OverlayLineStatus, PathStatus};
use crate::observe::words;
use tsumugi_plan::explain::Lang;
use unicode_width::UnicodeWidthStr;

pub fn page(status: &ManagementStatus, lang: Lang) -> String {
    let mut page = heading(&status.process, &status.plan, status.uptime_ms, lang);
    for trouble in &status.troubles {
        line(&mut page, 1, &words::management_trouble(trouble, lang));
    }
    if let Some(device) = &status.device {
        let (name, mtu) = (&device.name, device.mtu);
        let said = match device.attached {
            true => lang.pick(
                format!("the overlay's device {name} is there, MTU {mtu}"),
                format!("オーバーレイのデバイス {name} あり、MTU {mtu}"),
            ),
            false => lang.pick(
                format!("the overlay's device {name} is missing"),
                format!("オーバーレイのデバイス {name} がありません"),
            ),
        };
        line(&mut page, 1, &said);
    }
    if !status.members.is_empty() {
        line(&mut page, 1, lang.pick("members", "メンバー"));
    }
    let width = status.members.iter().map(|member| member.name.width()).max().unwrap_or(0);
    for one in &status.members {
        member(&mut page, one, width, lang);
    }
    if !status.lines.is_empty() {
        line(&mut page, 1, lang.pick("lines", "回線"));
    }
    for one in &status.lines {
        of_line(&mut page, one, lang);
    }
    let mut drops = Drops::default();
    for (reason, count) in &status.drops {
        drops.add(*count, words::overlay_drop(*reason, lang));
    }
    drops.of_walls(&status.walls, lang);
    drops.print(&mut page, 1, lang);
    page
}

fn member(page: &mut String, member: &MemberStatus, width: usize, lang: Lang) {
    let name = pad(&member.name, width);
    let mut said = match (&member.line, &member.through) {
        (Some(line), _) => lang.pick(format!("reached over line {line}"), format!("回線 {line}で到達可能")),
        (None, Some(through)) => lang.pick(
            format!("reached through the meeting point {through}"),
            format!("中継点 {through}を経由して到達可能"),
        ),
        (None, None) => lang.pick("not reached", "到達できません").into(),
    };
    if member.meeting {
        said += lang.pick(", a meeting point", "、中継点");
    }
    line(page, 2, &format!("{name}  {said}"));
    for one in &member.paths {
        line(page, 3, &path(one, lang));
    }
}

fn path(path: &PathStatus, lang: Lang) -> String {
    let mut said = lang.pick(format!("over {}: ", path.line), format!("{}: ", path.line));
    said += match (path.in_use, path.alive) {
        (true, _) => lang.pick("in use", "使用中"),
        (false, true) => lang.pick("alive, not used", "予備 (通信可)"),
        (false, false) => lang.pick("silent", "応答なし"),
    };
    said += &match path.heard_ms.map(duration) {
        Some(ago) => lang.pick(format!(", heard {ago} ago"), format!("、最後の受信 {ago}前")),
        None => lang.pick(", never heard", "、受信なし").into(),
    };
    if let Some(endpoint) = path.endpoint {
        said += &lang.pick(format!(", at {endpoint}"), format!("、相手 {endpoint}"));
    }
    said
}

fn of_line(page: &mut String, of: &OverlayLineStatus, lang: Lang) {
    let why = of.trouble.as_ref().map(|trouble| words::missing(trouble, lang));
    let state = match (of.open, why) {
        (true, _) => lang.pick("open", "使用中").to_owned(),
        (false, Some(why)) => lang.pick(format!("not open yet: {why}"), format!("まだ使えません: {why}")),
        (false, None) => lang.pick("not open yet", "まだ使えません").to_owned(),
    };
    line(page, 2, &format!("{}  {state}", pad(&of.name, 15)));
}
